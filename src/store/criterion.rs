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
    let written = Timestamp::try_from(fs::metadata(dir.join(SAMPLE)).and_then(|meta| meta.modified())?)?;
    Ok(KernelBench {
        digest: digest.finalize().to_hex().to_string(),
        bench: benchmark.full_id,
        baseline: name.to_string(),
        // As exact as the store keeps it.
        measured_at: Timestamp::from_microsecond(written.as_microsecond())?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;
    use crate::store::{KernelQuery, Store};

    /// What `cargo bench -p sealbench-kernels --bench graph` left, run twice, the second time with `--save-baseline v1`.
    fn written() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/criterion")
    }

    /// A copy of one result, to damage.
    fn copy() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let result = dir.path().join("graph_512 MiB/avx2/new");
        fs::create_dir_all(&result).unwrap();
        for name in [BENCHMARK, ESTIMATES, SAMPLE] {
            fs::copy(written().join("graph_512 MiB/avx2/new").join(name), result.join(name)).unwrap();
        }
        (dir, result)
    }

    #[test]
    fn what_criterion_wrote_is_read_with_its_names_units_and_times() {
        let benches = read(&written()).unwrap();
        let names: Vec<(&str, &str)> = benches.iter().map(|b| (b.bench.as_str(), b.baseline.as_str())).collect();
        // The first run's result of avx2 is criterion's "base"; that of the scalar model was run once, so its "base" is its "new".
        let avx2 = "graph/512 MiB/avx2";
        assert_eq!(names, [(avx2, "new"), (avx2, "new"), (avx2, "v1"), ("graph/512 MiB/scalar model", "new")]);
        let scalar = &benches[3];
        assert_eq!(scalar.throughput, Some(Throughput { unit: "Elements".to_string(), count: 16 }));
        assert_eq!(scalar.samples.len(), 30);
        // Criterion's own report: 160.82 to 186.02 us.
        let median = crate::measure::stats::median(&scalar.samples).unwrap();
        assert!((160e-6..187e-6).contains(&median), "{median}");
        assert_eq!(scalar.build["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn a_result_comes_into_the_store_once() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let benches = read(&written()).unwrap();
        assert_eq!(store.keep_kernel_benches(&benches).unwrap(), 4);
        assert_eq!(store.keep_kernel_benches(&benches).unwrap(), 0);
        let query = KernelQuery { prefix: "graph/512 MiB/avx2".to_string(), ..KernelQuery::default() };
        let v1 = KernelQuery { baseline: Some("v1".to_string()), ..query.clone() };
        let found = store.kernel_benches(&v1).unwrap().pop().unwrap();
        assert_eq!(Some(&found), benches.iter().find(|bench| bench.baseline == "v1"));
        let count = |query: &KernelQuery| store.kernel_benches(query).unwrap().len();
        assert_eq!(count(&KernelQuery::default()), 2, "the newest of each kernel");
        assert_eq!([0, 1, 2, 3].map(|back| count(&KernelQuery { back, ..query.clone() })), [1, 1, 1, 0]);
        assert_eq!(count(&KernelQuery { host: Some("elsewhere".to_string()), ..query.clone() }), 0);
        assert_eq!(count(&KernelQuery { prefix: "label".to_string(), ..query }), 0);
        for statement in ["DELETE FROM kernel_benches", "REPLACE INTO kernel_benches SELECT * FROM kernel_benches"] {
            let error = store.sql(|db| db.execute(statement, [])).unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
    }

    #[test]
    fn what_criterion_would_not_write_is_refused() {
        let sample =
            |iters: &str, times: &str| format!(r#"{{"sampling_mode":"Flat","iters":{iters},"times":{times}}}"#);
        let long = format!(r#"{{"full_id":"{}","throughput":null}}"#, "x".repeat(513));
        for (name, text, part) in [
            (SAMPLE, sample("[1.0]", "[1.0, 2.0]"), "belong together"),
            (SAMPLE, sample("[0.0]", "[1.0]"), "belong together"),
            (SAMPLE, sample("[1.0]", "[-1.0]"), "belong together"),
            (SAMPLE, sample("[]", "[]"), "belong together"),
            (SAMPLE, sample("[1.0]", "[1e300]"), "not of the samples"),
            (SAMPLE, "[".repeat(100_000), SAMPLE),
            (ESTIMATES, "{}".to_string(), ESTIMATES),
            (BENCHMARK, long, "no name of a kernel"),
            (BENCHMARK, r#"{"full_id":"a\u001b[2J"}"#.to_string(), "no name of a kernel"),
        ] {
            let (dir, result) = copy();
            fs::write(result.join(name), text).unwrap();
            let error = format!("{:#}", read(dir.path()).unwrap_err());
            assert!(error.contains(part) && error.contains("is no result of criterion"), "{name}: {error}");
        }
        let (dir, result) = copy();
        fs::remove_file(result.join(SAMPLE)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", result.join(SAMPLE)).unwrap();
        assert!(format!("{:#}", read(dir.path()).unwrap_err()).contains("not a plain file"));
        assert_eq!(exit_code(&read(tempfile::tempdir().unwrap().path()).unwrap_err()), 2);
    }
}
