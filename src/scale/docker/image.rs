//! The image: one static binary, made for a CPU.

use std::env;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use bollard::query_parameters::BuildImageOptions;
use clap::ValueEnum;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use crate::error::Stop;

/// Name of the images, before the tag.
const NAME: &str = "sealbench";

const DOCKERFILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docker/Dockerfile"));

/// A binary that links its C library too needs nothing of the image.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// No binary is larger.
const MAX_BINARY: u64 = 1 << 30;

/// The CPU that a binary is built for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum TargetCpu {
    /// The CPU of the machine that builds it.
    #[default]
    #[value(name = "native")]
    Native,
    /// Any x86-64 with AVX2 (Haswell and later).
    #[value(name = "x86-64-v3")]
    X86V3,
    /// AMD Zen 2 and later.
    #[value(name = "znver2")]
    Znver2,
}

impl fmt::Display for TargetCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetCpu::Native => "native",
            TargetCpu::X86V3 => "x86-64-v3",
            TargetCpu::Znver2 => "znver2",
        })
    }
}

/// Where the image's binary comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// An image that the engine has.
    Image(String),
    /// A static binary.
    Binary(PathBuf),
    /// A build of this program's own source.
    Build,
}

/// An image that the engine has.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Its content address.
    pub digest: String,
    /// Its binary as a file of this machine, unless it was there already.
    pub binary: Option<PathBuf>,
}

/// The image with this source, built if the engine does not have it. `say` hears what takes long.
pub fn ensure(engine: &Engine, source: &Source, cpu: TargetCpu, say: &mut dyn FnMut(&str)) -> anyhow::Result<Image> {
    let binary = match source {
        Source::Image(name) => return existing(engine, name),
        Source::Binary(path) => path.clone(),
        Source::Build => build_binary(cpu, say)?,
    };
    let bytes = read(&binary)?;
    let name = format!("{NAME}:{}", &blake3::hash(&bytes).to_hex()[..16]);
    if let Some(digest) = digest(engine, &name)? {
        return Ok(Image { name, digest, binary: Some(binary) });
    }
    say(&format!("building the image {name} ({} MB)", bytes.len().div_ceil(1_000_000)));
    build_image(engine, &name, context(&bytes)?)?;
    let digest = digest(engine, &name)?.with_context(|| format!("the engine built {name} and does not have it"))?;
    Ok(Image { name, digest, binary: Some(binary) })
}

fn existing(engine: &Engine, name: &str) -> anyhow::Result<Image> {
    let Some(digest) = digest(engine, name)? else {
        return Err(Stop::Refused.error(format!(
            "the engine at {} has no image {}: drop --image to build one, or load it (docker load)",
            engine.endpoint(),
            name.escape_debug()
        )));
    };
    Ok(Image { name: name.to_string(), digest, binary: None })
}

/// The content address of an image; `None` if the engine does not have it.
fn digest(engine: &Engine, name: &str) -> anyhow::Result<Option<String>> {
    let name = name.to_string();
    engine.call("cannot look for the image", |docker| async move {
        match docker.inspect_image(&name).await {
            Ok(found) => Ok(found.id),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    })
}

fn read(binary: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", binary.display());
    let file = fs::File::open(binary).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(MAX_BINARY).read_to_end(&mut bytes).with_context(cannot)?;
    if let Some(interpreter) = interpreter(&bytes) {
        return Err(Stop::Usage.error(format!(
            "{} {interpreter}: an image of nothing else cannot run it; build it as docs/scale.md says, or drop --binary",
            binary.display()
        )));
    }
    Ok(bytes)
}

/// What speaks against running this binary alone; `None` for a static one.
fn interpreter(elf: &[u8]) -> Option<String> {
    let word = |at: usize, bytes: usize| -> Option<u64> {
        let part = elf.get(at..at.checked_add(bytes)?)?;
        Some(part.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    };
    let headers = || Some((word(32, 8)? as usize, word(54, 2)? as usize, word(56, 2)? as usize));
    if elf.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        return Some("is no program for 64-bit Linux".into());
    }
    let (first, size, count) = headers()?;
    // PT_INTERP names the dynamic loader.
    let loads = (0..count).any(|index| word(first.saturating_add(index * size), 4) == Some(3));
    loads.then(|| "needs shared libraries".into())
}

/// Builds this program from its source as one static file; quick if that was done before.
fn build_binary(cpu: TargetCpu, say: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !source.join("Cargo.toml").exists() {
        return Err(Stop::Refused.error(format!(
            "the source of this program is not in {} any more, so no image can be built: name a static binary with --binary or an image \
             with --image",
            source.display()
        )));
    }
    let target_dir = source.join("target/image").join(cpu.to_string());
    say(&format!("building a static sealbench for {cpu} in {} (minutes, the first time)", target_dir.display()));
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked", "--release", "--bin", "sealbench", "--target", TARGET, "--target-dir"]);
    cargo.arg(&target_dir).current_dir(source);
    if !cfg!(feature = "reference") {
        cargo.arg("--no-default-features");
    }
    cargo.env("RUSTFLAGS", format!("-C target-feature=+crt-static -C target-cpu={cpu} -C strip=symbols"));
    cargo.env_remove("CARGO_TARGET_DIR");
    let built = cargo.output().context("cannot start cargo: install Rust, or name a static binary with --binary")?;
    let said = String::from_utf8_lossy(&built.stderr);
    let last = said.lines().rev().find(|line| line.starts_with("error")).unwrap_or("no error was named");
    ensure!(built.status.success(), "cargo could not build a static sealbench for {cpu}: {last}");
    Ok(target_dir.join(TARGET).join("release/sealbench"))
}

/// What is sent to the engine: the Dockerfile and the binary, and nothing that lies around.
fn context(binary: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::with_capacity(binary.len() + 8192));
    for (name, bytes, mode) in [("Dockerfile", DOCKERFILE.as_bytes(), 0o644), ("sealbench", binary, 0o755)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes)?;
    }
    Ok(tar.into_inner()?)
}

fn build_image(engine: &Engine, name: &str, context: Vec<u8>) -> anyhow::Result<()> {
    let options = BuildImageOptions {
        dockerfile: "Dockerfile".into(),
        t: Some(name.to_string()),
        rm: true,
        forcerm: true,
        ..Default::default()
    };
    engine.call(&format!("cannot build the image {name}"), |docker| async move {
        let mut steps = docker.build_image(options, None, Some(bollard::body_full(context.into())));
        while let Some(step) = steps.next().await {
            step?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_is_the_dockerfile_and_the_binary() {
        let bytes = context(b"binary").unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
        assert_eq!(names.collect::<Vec<_>>(), ["Dockerfile", "sealbench"]);
    }

    #[test]
    fn only_a_static_program_is_taken() {
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        assert_eq!(interpreter(&own), Some("needs shared libraries".into()));
        assert!(interpreter(b"#!/bin/sh").unwrap().contains("no program"));
        // Headers that lead nowhere.
        let mut headers = own[..64].to_vec();
        assert_eq!(interpreter(&headers), None);
        headers[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(interpreter(&headers), None);
    }

    #[test]
    fn a_file_that_is_no_program_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = read(file.path()).unwrap_err();
        assert!(format!("{error}").contains(&file.path().display().to_string()), "{error}");
    }
}
