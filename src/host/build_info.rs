//! How this binary was built. The facts come from `build.rs` and from the lock file, which is embedded.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cpu;

const LOCK_FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));

/// The crates whose versions decide what the reference engine computes and how fast.
const REFERENCE_CRATES: [&str; 12] = [
    "bellperson",
    "blst",
    "blstrs",
    "ec-gpu-gen",
    "filecoin-hashers",
    "filecoin-proofs",
    "merkletree",
    "neptune",
    "sha2",
    "sha2raw",
    "storage-proofs-core",
    "storage-proofs-porep",
];

/// The binary that measured. What was not known when it was built is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildInfo {
    /// Version of sealbench.
    pub version: String,
    /// Revision it was built from; null without git or outside its repository.
    pub git_revision: Option<String>,
    /// Whether what it was built from differed from that revision.
    pub git_dirty: Option<bool>,
    /// The compiler.
    pub rustc: Option<String>,
    /// Target triple.
    pub target: String,
    /// "release" or "debug".
    pub profile: String,
    /// Optimisation level: "0" to "3", "s" or "z".
    pub opt_level: String,
    /// Whether debug assertions and overflow checks slow it down.
    pub debug_assertions: bool,
    /// Flags given to the compiler (RUSTFLAGS or cargo's configuration), one by one.
    pub rustflags: Vec<String>,
    /// CPU features beyond the x86-64 baseline that it was compiled for and uses without asking.
    pub target_features: Vec<String>,
    /// Features of sealbench it was built with: "reference", "reference-multicore".
    pub cargo_features: Vec<String>,
    /// Versions of the reference engine's crates; null without that engine.
    pub reference_crates: Option<BTreeMap<String, String>>,
    /// How blst, the curve arithmetic of p4, was built; null without the reference engine or off x86-64.
    pub blst: Option<Blst>,
    /// BLAKE3 of Cargo.lock, hexadecimal: every version of every crate.
    pub cargo_lock_blake3: String,
}

/// How blst was built: it fixes its multiplication at build time and never asks the CPU it runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blst {
    /// "adx" (MULX, ADCX, ADOX: needs a CPU with ADX), "mulq" (any x86-64 with SSSE3) or "portable" (chosen when it starts).
    pub multiplication: String,
    /// What decided: "target-cpu" (the flag -C target-cpu and the features it implies) or "build-host" (the CPU of the machine
    /// that built it, as no target-cpu was given).
    pub decided_by: String,
}

impl BuildInfo {
    /// This binary.
    pub fn capture() -> BuildInfo {
        let names = |list: Vec<&str>| list.into_iter().map(str::to_string).collect::<Vec<_>>();
        BuildInfo {
            version: env!("CARGO_PKG_VERSION").to_string(),
            git_revision: known(env!("SEALBENCH_GIT_REVISION")),
            git_dirty: known(env!("SEALBENCH_GIT_DIRTY")).map(|dirty| dirty == "true"),
            rustc: known(env!("SEALBENCH_RUSTC")),
            target: env!("SEALBENCH_TARGET").to_string(),
            profile: env!("SEALBENCH_PROFILE").to_string(),
            opt_level: env!("SEALBENCH_OPT_LEVEL").to_string(),
            debug_assertions: cfg!(debug_assertions),
            rustflags: flags(env!("SEALBENCH_RUSTFLAGS")),
            target_features: names(cpu::compiled_features()),
            cargo_features: names(cargo_features()),
            reference_crates: cfg!(feature = "reference").then(|| versions(LOCK_FILE, &REFERENCE_CRATES)),
            blst: blst(),
            cargo_lock_blake3: blake3::hash(LOCK_FILE.as_bytes()).to_hex().to_string(),
        }
    }
}

/// Whether blst was linked for CPUs with ADX.
pub(super) fn blst_needs_adx() -> bool {
    cfg!(feature = "reference") && env!("SEALBENCH_BLST").starts_with("adx ")
}

fn blst() -> Option<Blst> {
    let (multiplication, decided_by) = env!("SEALBENCH_BLST").split_once(' ')?;
    cfg!(feature = "reference")
        .then(|| Blst { multiplication: multiplication.to_string(), decided_by: decided_by.to_string() })
}

fn cargo_features() -> Vec<&'static str> {
    let all =
        [("reference", cfg!(feature = "reference")), ("reference-multicore", cfg!(feature = "reference-multicore"))];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}

fn known(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_string())
}

/// The flags in cargo's encoding, which separates them by the ASCII unit separator.
fn flags(encoded: &str) -> Vec<String> {
    encoded.split('\x1f').filter(|flag| !flag.is_empty()).map(str::to_string).collect()
}

/// The versions that a Cargo.lock holds of the wanted crates; several of one crate joined by ", ".
fn versions(lock: &str, wanted: &[&str]) -> BTreeMap<String, String> {
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value =
            |key| package.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('"')?.strip_suffix('"'));
        let (Some(name), Some(version)) = (value("name ="), value("version =")) else { continue };
        if wanted.contains(&name) {
            let all = versions.entry(name.to_string()).or_default();
            let separator = if all.is_empty() { "" } else { ", " };
            *all += &format!("{separator}{version}");
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_describes_itself() {
        let build = BuildInfo::capture();
        assert_eq!(build.version, env!("CARGO_PKG_VERSION"));
        assert!(build.rustc.as_ref().unwrap().starts_with("rustc "));
        assert!(build.target.contains("linux"), "{}", build.target);
        assert_eq!(build.debug_assertions, cfg!(debug_assertions));
        assert_eq!(build.cargo_lock_blake3.len(), 64);
        assert_eq!(build.target_features.contains(&"avx2".to_string()), cfg!(target_feature = "avx2"));
        if let Some(revision) = &build.git_revision {
            assert!(revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(build.git_dirty.is_some());
        }
        let json = serde_json::to_string(&build).unwrap();
        assert_eq!(serde_json::from_str::<BuildInfo>(&json).unwrap(), build);
    }

    #[test]
    fn reference_crates_are_named_only_where_they_are_linked() {
        let build = BuildInfo::capture();
        let linked = cfg!(feature = "reference");
        assert_eq!(build.cargo_features.contains(&"reference".to_string()), linked);
        assert_eq!(build.reference_crates.is_some(), linked);
        assert!(linked || build.blst.is_none());
        if let Some(blst) = build.blst {
            assert_eq!(blst_needs_adx(), blst.multiplication == "adx");
        }
    }

    #[test]
    fn the_lock_file_holds_every_reference_crate() {
        let versions = versions(LOCK_FILE, &REFERENCE_CRATES);
        assert_eq!(versions.keys().collect::<Vec<_>>(), REFERENCE_CRATES.iter().collect::<Vec<_>>());
        assert_eq!(versions["filecoin-proofs"], "19.1.0");
    }

    #[test]
    fn two_versions_of_a_crate_are_both_named() {
        let lock = "version = 4\n[[package]]\nname = \"sha2\"\nversion = \"0.10.9\"\n\n[[package]]\nname = \"sha2\"\n\
            version = \"0.11.0\"\ndependencies = [\n \"sha2raw\",\n]\n[[package]]\nname = \"sha2raw\"\nversion = \"1\"\n";
        assert_eq!(versions(lock, &["sha2"]), BTreeMap::from([("sha2".to_string(), "0.10.9, 0.11.0".to_string())]));
    }

    #[test]
    fn encoded_flags() {
        assert_eq!(flags("-C\x1ftarget-cpu=native"), ["-C", "target-cpu=native"]);
        assert!(flags("").is_empty());
    }
}
