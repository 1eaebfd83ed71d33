//! What criterion wrote below `target/criterion`, read as it is: each result is a directory GROUP/FUNCTION[/PARAMETER]/NAME with
//! `benchmark.json`, `estimates.json` and `sample.json` (criterion 0.8). The files are not trusted: sizes, depth and numbers are bounded.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{KernelBench, Throughput};
use crate::error::Stop;
use crate::host::{BuildInfo, HostInfo};

const BENCHMARK: &str = "benchmark.json";
const ESTIMATES: &str = "estimates.json";
const SAMPLE: &str = "sample.json";

/// Directories below the named one that are looked into: group, function, parameter, name of the result, and some to spare.
const MAX_DEPTH: usize = 6;

/// Most directories that are looked into.
const MAX_DIRS: usize = 100_000;

/// Most bytes of one file.
const MAX_FILE: u64 = 16 << 20;

/// Most characters of a kernel's name.
const MAX_NAME: usize = 512;

/// What is read of `benchmark.json`.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Option<serde_json::Map<String, Value>>,
}

/// What is read of `sample.json`: each sample's iterations and their time, nanoseconds.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// What is read of `estimates.json`: enough to tell that the samples are its own.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// The results below a directory; those of the name "base", criterion's own copy of the latest, count as "new". A directory without any is
/// an error (exit code 2), and so is a result that is not what criterion writes: nothing is taken then.
pub fn read(dir: &Path) -> anyhow::Result<Vec<KernelBench>> {
    let mut results = Vec::new();
    let mut seen = 0;
    walk(dir, 0, &mut seen, &mut results)?;
    if results.is_empty() {
        return Err(Stop::Usage.error(format!(
            "{} has no result of criterion: name a target/criterion that `cargo bench` wrote",
            dir.display()
        )));
    }
    results.sort();
    let (host, build) = (HostInfo::capture(), serde_json::to_value(BuildInfo::capture())?);
    let mut benches: Vec<KernelBench> = Vec::new();
    for dir in results {
        let mut bench = result(&dir).with_context(|| format!("{} is no result of criterion", dir.display()))?;
        (bench.host, bench.cpu, bench.build) = (host.hostname.clone(), host.cpu.model.clone(), build.clone());
        if !benches.iter().any(|other| other.digest == bench.digest) {
            benches.push(bench);
        }
    }
    Ok(benches)
}

/// Collects the directories that hold a result. Links are not followed.
fn walk(dir: &Path, depth: usize, seen: &mut usize, results: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let what = || format!("cannot read {}", dir.display());
    *seen += 1;
    if *seen > MAX_DIRS {
        bail!("{} has more than {MAX_DIRS} directories: name a smaller part of it", dir.display());
    }
    if dir.join(BENCHMARK).is_file() {
        results.push(dir.to_path_buf());
    }
    if depth == MAX_DEPTH {
        return Ok(());
    }
    for entry in fs::read_dir(dir).with_context(what)? {
        let entry = entry.with_context(what)?;
        if entry.file_type().with_context(what)?.is_dir() {
            walk(&entry.path(), depth + 1, seen, results)?;
        }
    }
    Ok(())
}

/// One result. Host and build are the caller's.
fn result(dir: &Path) -> anyhow::Result<KernelBench> {
    let [benchmark, estimates, sample] = [BENCHMARK, ESTIMATES, SAMPLE].map(|name| bytes(&dir.join(name)));
    let (benchmark, estimates, sample) = (benchmark?, estimates?, sample?);
    let name = match dir.file_name().and_then(|name| name.to_str()) {
        Some("base") => "new",
        Some(name) => name,
        None => bail!("its name is not UTF-8"),
    };
    let digest = [name.as_bytes(), &benchmark, &sample].iter().fold(blake3::Hasher::new(), |mut hasher, part| {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        hasher
    });
    let benchmark: Benchmark = serde_json::from_slice(&benchmark).context(BENCHMARK)?;
    let sample: Sample = serde_json::from_slice(&sample).context(SAMPLE)?;
    let estimates: Estimates = serde_json::from_slice(&estimates).context(ESTIMATES)?;
    let samples = per_iteration(&sample)?;
    let median = crate::measure::stats::median(&samples).unwrap_or_default();
    if (estimates.median.point_estimate * 1e-9 - median).abs() > 1e-6 * median {
        bail!("{ESTIMATES} is not of the samples in {SAMPLE}");
    }
    let long = benchmark.full_id.chars().count() > MAX_NAME || name.len() > MAX_NAME;
    if benchmark.full_id.is_empty() || long || benchmark.full_id.chars().any(char::is_control) {
        bail!("full_id in {BENCHMARK} is no name of a kernel");
    }
    let written = fs::metadata(dir.join(SAMPLE)).and_then(|meta| meta.modified())?;
    Ok(KernelBench {
        digest: digest.finalize().to_hex().to_string(),
        bench: benchmark.full_id,
        baseline: name.to_string(),
        measured_at: Timestamp::try_from(written)?,
        host: None,
        cpu: None,
        build: Value::Null,
        throughput: throughput(benchmark.throughput.as_ref()),
        samples,
    })
}

/// Seconds per iteration of each sample.
fn per_iteration(sample: &Sample) -> anyhow::Result<Vec<f64>> {
    let times = sample.iters.iter().zip(&sample.times).map(|(iterations, time)| time / iterations * 1e-9);
    let seconds: Vec<f64> = times.collect();
    let sound = seconds.iter().all(|time| time.is_finite() && *time > 0.0);
    if seconds.is_empty() || sample.iters.len() != sample.times.len() || !sound {
        bail!("iters and times in {SAMPLE} do not belong together");
    }
    Ok(seconds)
}

/// Criterion writes {"Bytes": 1024}; a unit with more than one count is left out.
fn throughput(map: Option<&serde_json::Map<String, Value>>) -> Option<Throughput> {
    let (unit, count) = map?.iter().next()?;
    Some(Throughput { unit: unit.clone(), count: count.as_u64()? })
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let what = || format!("cannot read {}", path.display());
    if !path.symlink_metadata().with_context(what)?.is_file() {
        bail!("{} is not a plain file", path.display());
    }
    let mut bytes = Vec::new();
    File::open(path).with_context(what)?.take(MAX_FILE + 1).read_to_end(&mut bytes).with_context(what)?;
    if bytes.len() as u64 > MAX_FILE {
        bail!("{} has more than {MAX_FILE} bytes", path.display());
    }
    Ok(bytes)
}
