//! Putting generated parameters in place: whole or not at all, once, and never over a file of someone else's.
//!
//! Below the target directory, `.generating/IDENTIFIER.lock` is held by the process that makes a shape's files (the lock ends
//! with the process, the empty file stays), and `.generating/IDENTIFIER/` is its scratch directory. The marker is written last
//! there, when the keys are synced: a scratch directory with a marker is complete. Then the proving key, the verifying key, the
//! metadata and finally the marker are renamed into place, so a kill before the last rename leaves files that are missing or
//! unknown, never development. The next start finishes the renames or, if they had not begun, removes the scratch directory.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::error::Stop;
use crate::params::Progress;
use crate::params::digest::{Digest, Digests};
use crate::params::estimate::Estimate;
use crate::params::format;
use crate::params::name::Names;
use crate::params::search::{Candidate, FoundFile, Status, examine};
use crate::params::sidecar::{Fingerprint, SeedMode, Sidecar};
use crate::report::units;
use crate::sector::Shape;

/// Directory for locks and scratch directories, in the target directory: renames must not cross file systems.
const GENERATING: &str = ".generating";

/// What to generate, and where.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The shape; its partitions matter only by the challenges per partition.
    pub shape: Shape,
    /// Target directory; created if missing.
    pub into: &'a Path,
    /// Replace files that are there, unless they are the network's.
    pub replace: bool,
    /// Free bytes of the target's file system, if known: too few is refused before anything is made.
    pub free: Option<u64>,
}

impl Order<'_> {
    /// What the order will cost.
    pub fn estimate(&self) -> Estimate {
        Estimate::of(&self.shape)
    }
}

/// Parameters that are in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    /// The proving key.
    pub params: PathBuf,
    /// The verifying key.
    pub vk: PathBuf,
    /// The marker.
    pub sidecar: PathBuf,
    /// Whether they were there already.
    pub reused: bool,
}

/// What a generation will write, how large, where, and how long it takes: said before it starts.
pub fn announcement(shape: &Shape, into: &Path, threads: usize) -> String {
    let estimate = Estimate::of(shape);
    let seconds = (estimate.generate_core_seconds / threads.max(1) as f64).round();
    format!(
        "Development parameters of {shape}: {} to {}, about {} and {} of memory on {threads} thread{}",
        ByteSize(estimate.params_bytes).display().si(),
        into.display(),
        units::duration(seconds),
        ByteSize(estimate.generate_peak_bytes).display().si(),
        if threads == 1 { "" } else { "s" },
    )
}

/// Lets `make` write a shape's proving key and verifying key, and puts them in place. It gives the checksum of the constraints.
///
/// Valid development files that are there, or that another process finishes meanwhile, are used instead. Refused: the network's
/// files of the same name; files that are damaged or unknown, unless `order.replace`; too little space.
pub fn install(
    order: &Order<'_>,
    generator: &str,
    seed: SeedMode,
    make: impl FnOnce(&mut dyn Write, &mut dyn Write, &mut Progress<'_>) -> Result<String>,
    progress: &mut Progress<'_>,
) -> Result<Generated> {
    let names = Names::of(&order.shape);
    if existing(order)?.is_usable() && !order.replace {
        return Ok(generated(order.into, &names, true));
    }
    let workshop = Workshop::open(order, &names.identifier, progress)?;
    // Another process may have finished them while this one waited.
    let reuse = !order.replace || workshop.waited;
    if replaceable(order)?.is_usable() && reuse {
        return Ok(generated(order.into, &names, true));
    }
    require_space(order)?;
    let scratch = workshop.scratch()?;
    let sidecar = write_files(order, &scratch.0, &names, generator, seed, make, progress)?;
    write_synced(&scratch.0.join(&names.sidecar), &serde_json::to_vec_pretty(&sidecar)?)?;
    sync_dir(&scratch.0)?;
    // Other programs know nothing of the lock.
    replaceable(order)?;
    place(&scratch.0, order.into, &names)?;
    Ok(generated(order.into, &names, false))
}

fn generated(into: &Path, names: &Names, reused: bool) -> Generated {
    Generated { params: into.join(&names.params), vk: into.join(&names.vk), sidecar: into.join(&names.sidecar), reused }
}

/// What the target holds; an error if that is the network's.
fn existing(order: &Order<'_>) -> Result<Candidate> {
    let candidate = examine(order.into, &order.shape, &Digests::uncached(), &mut |_, _, _| ());
    if let Some(file) = candidate.files().into_iter().find(|file| file.status == Status::Network) {
        return Err(Stop::Refused.error(format!(
            "{} is the network's, and development parameters of {} have the same name: choose another directory with --into",
            file.path.display(),
            order.shape
        )));
    }
    Ok(candidate)
}

/// What the target holds; an error if it must not be replaced.
fn replaceable(order: &Order<'_>) -> Result<Candidate> {
    let candidate = existing(order)?;
    // A key left over from an earlier setup of ours may go.
    let foreign = |file: &&FoundFile| !matches!(file.status, Status::Missing | Status::Development);
    if let Some(file) = candidate.files().into_iter().find(foreign).filter(|_| !order.replace) {
        return Err(Stop::Refused.error(format!(
            "{} is {}: move it away, or replace it with `sealbench params generate --replace`",
            file.path.display(),
            file.status,
        )));
    }
    Ok(candidate)
}

fn require_space(order: &Order<'_>) -> Result<()> {
    let need = order.estimate().disk_bytes();
    match order.free {
        Some(free) if free < need => Err(Stop::Refused.error(format!(
            "parameters of {} need {need} bytes in {}, where {free} are free: free some, or choose another directory with --into",
            order.shape,
            order.into.display()
        ))),
        _ => Ok(()),
    }
}

/// The right to make one shape's files in one directory.
struct Workshop {
    dir: PathBuf,
    identifier: String,
    waited: bool,
    /// Held until drop.
    _lock: File,
}

impl Workshop {
    /// Waits for the right, then settles what dead generators left.
    fn open(order: &Order<'_>, identifier: &str, progress: &mut Progress<'_>) -> Result<Workshop> {
        let dir = order.into.join(GENERATING);
        let cannot_write = || {
            format!(
                "cannot write to {}: make it writable, or choose another directory with --into",
                order.into.display()
            )
        };
        fs::create_dir_all(&dir).with_context(cannot_write)?;
        let lock = open_lock(&dir.join(format!("{identifier}.lock"))).with_context(cannot_write)?;
        let waited = match lock.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => {
                progress("wait", 0, 1);
                lock.lock().with_context(|| format!("cannot lock {}", dir.display()))?;
                progress("wait", 1, 1);
                true
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("cannot lock {}", dir.display())),
        };
        settle(&dir, order.into, identifier)?;
        settle_others(&dir, order.into, identifier)?;
        Ok(Workshop { dir, identifier: identifier.to_owned(), waited, _lock: lock })
    }

    fn scratch(&self) -> Result<Scratch> {
        let dir = self.dir.join(&self.identifier);
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Scratch(dir))
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

/// A scratch directory that goes when generation ends, well or badly.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Finishes or removes a dead generator's scratch directory; the caller holds its lock.
fn settle(dir: &Path, into: &Path, identifier: &str) -> Result<()> {
    let scratch = dir.join(identifier);
    if !scratch.exists() {
        return Ok(());
    }
    let names = Names::from_identifier(identifier.to_owned());
    let complete = scratch.join(&names.sidecar).exists();
    let begun = !scratch.join(&names.params).exists();
    if complete && begun {
        place(&scratch, into, &names)?;
    }
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))
}

/// The same for other shapes whose generator is dead: their lock is free.
fn settle_others(dir: &Path, into: &Path, own: &str) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let name = entry?.file_name();
        let Some(identifier) = name.to_str().and_then(|name| name.strip_suffix(".lock")).filter(|id| *id != own) else {
            continue;
        };
        let lock = open_lock(&dir.join(&name)).with_context(|| format!("cannot open a lock in {}", dir.display()))?;
        if lock.try_lock().is_ok() {
            settle(dir, into, identifier)?;
        }
    }
    Ok(())
}

/// Renames a complete scratch directory's files, what is left of them, into place; the marker last.
fn place(scratch: &Path, into: &Path, names: &Names) -> Result<()> {
    for name in [&names.params, &names.vk, &names.meta, &names.sidecar] {
        match fs::rename(scratch.join(name), into.join(name)) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("cannot put {name} into {}", into.display()));
            }
            _ => {}
        }
    }
    sync_dir(into)
}

fn write_files(
    order: &Order<'_>,
    scratch: &Path,
    names: &Names,
    generator: &str,
    seed: SeedMode,
    make: impl FnOnce(&mut dyn Write, &mut dyn Write, &mut Progress<'_>) -> Result<String>,
    progress: &mut Progress<'_>,
) -> Result<Sidecar> {
    let written = || {
        let mut params = Output::create(&scratch.join(&names.params))?;
        let mut vk = Output::create(&scratch.join(&names.vk))?;
        let constraints = make(&mut params.0, &mut vk.0, progress)?;
        let meta = serde_json::json!({ "sector_size": order.shape.sector_size.bytes() });
        write_synced(&scratch.join(&names.meta), meta.to_string().as_bytes())?;
        Ok::<_, anyhow::Error>((params.finish()?, vk.finish()?, constraints))
    };
    let (params, vk, constraints) = written().with_context(|| {
        format!(
            "cannot generate the parameters of {} in {} ({} bytes needed there)",
            order.shape,
            order.into.display(),
            order.estimate().disk_bytes()
        )
    })?;
    format::structure(&scratch.join(&names.params)).context("the generator wrote a proving key that is not whole")?;
    format::verifying_key_inputs(&scratch.join(&names.vk))
        .context("the generator wrote a verifying key that is not whole")?;
    Ok(Sidecar::new(&order.shape, generator, seed, constraints, params, vk))
}

/// A file being written: buffered, hashed on the way, synced at the end.
struct Output(BufWriter<Hashed>);

struct Hashed {
    file: File,
    digest: Digest,
    bytes: u64,
}

impl Output {
    fn create(path: &Path) -> io::Result<Output> {
        let hashed = Hashed { file: File::create_new(path)?, digest: Digest::new(), bytes: 0 };
        Ok(Output(BufWriter::with_capacity(8 << 20, hashed)))
    }

    fn finish(self) -> io::Result<Fingerprint> {
        let Hashed { file, digest, bytes } = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(Fingerprint { bytes, digest: digest.finish() })
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.write_all(&bytes[..written])?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("cannot sync {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Stop, stop_of};
    use crate::params::format::synthetic::{self, SMALL};
    use std::cell::Cell;
    use std::sync::Barrier;
    use std::thread;

    fn order(into: &Path) -> Order<'_> {
        Order { shape: Shape::network("2KiB".parse().unwrap()), into, replace: false, free: None }
    }

    fn names(order: &Order<'_>) -> Names {
        Names::of(&order.shape)
    }

    fn write(params: &mut dyn Write, vk: &mut dyn Write) -> Result<String> {
        params.write_all(&synthetic::params(&SMALL, 1))?;
        vk.write_all(&synthetic::vk(&SMALL, 1))?;
        Ok("checksum".into())
    }

    fn run(order: &Order<'_>) -> Result<Generated> {
        install(order, "test", SeedMode::Deterministic, |params, vk, _| write(params, vk), &mut |_, _, _| ())
    }

    /// A generation that must not come to generating.
    fn refused(order: &Order<'_>) -> String {
        let error = install(order, "test", SeedMode::Os, |_, _, _| panic!("generated"), &mut |_, _, _| ()).unwrap_err();
        assert_eq!(stop_of(&error), Some(Stop::Refused), "{error:#}");
        error.to_string()
    }

    fn is_usable(order: &Order<'_>) -> bool {
        examine(order.into, &order.shape, &Digests::uncached(), &mut |_, _, _| ()).is_usable()
    }

    /// Final names that are there, sorted.
    fn listing(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != GENERATING);
        names.sort();
        names
    }

    fn scratch(order: &Order<'_>) -> PathBuf {
        order.into.join(GENERATING).join(names(order).identifier)
    }

    #[test]
    fn generated_files_are_development_files_and_are_reused() {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("new/params");
        let order = order(&into);
        let first = run(&order).unwrap();
        assert!(!first.reused && is_usable(&order));
        let Names { params, vk, meta, sidecar, .. } = names(&order);
        assert_eq!(fs::read_to_string(into.join(&meta)).unwrap(), r#"{"sector_size":2048}"#);
        assert_eq!(listing(&into), [meta, params, sidecar.clone(), vk]);
        assert!(!scratch(&order).exists());

        let marker = Sidecar::read(&into.join(sidecar), &order.shape).unwrap().unwrap();
        assert_eq!((marker.seed, marker.params.bytes), (SeedMode::Deterministic, SMALL.params_bytes()));
        assert!(marker.created_at.parse::<jiff::Timestamp>().is_ok());

        let again = install(&order, "test", SeedMode::Os, |_, _, _| panic!("generated"), &mut |_, _, _| ()).unwrap();
        assert_eq!(again, Generated { reused: true, ..first });
    }

    #[test]
    fn damaged_or_unknown_files_are_replaced_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let order = order(dir.path());
        let path = run(&order).unwrap().params;
        for (length, word) in [(100, "truncated"), (0, "truncated")] {
            File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
            let sentence = refused(&order);
            assert!(sentence.contains(word) && sentence.contains("--replace"), "{sentence}");
        }
        fs::write(&path, synthetic::params(&SMALL, 9)).unwrap();
        assert!(refused(&order).contains("unknown"));
        assert!(!run(&Order { replace: true, ..order.clone() }).unwrap().reused);
        assert!(is_usable(&order));
        // Asked for, valid ones are made anew too.
        assert!(!run(&Order { replace: true, ..order.clone() }).unwrap().reused);
    }

    #[test]
    fn a_lost_proving_key_is_made_again_with_its_verifying_key() {
        let dir = tempfile::tempdir().unwrap();
        let order = order(dir.path());
        fs::remove_file(run(&order).unwrap().params).unwrap();
        assert!(!run(&order).unwrap().reused && is_usable(&order));
    }

    #[test]
    fn too_little_space_is_refused_with_both_figures() {
        let dir = tempfile::tempdir().unwrap();
        let order = Order { free: Some(1_000_000_000), ..order(dir.path()) };
        let sentence = refused(&order);
        let need = order.estimate().disk_bytes().to_string();
        assert!(sentence.contains(&need) && sentence.contains("1000000000"), "{sentence}");
        assert!(listing(dir.path()).is_empty());
    }

    #[test]
    fn a_failure_half_way_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let order = order(dir.path());
        let full = |params: &mut dyn Write, _: &mut dyn Write, _: &mut Progress<'_>| {
            params.write_all(&synthetic::params(&SMALL, 1)[..1000])?;
            Err(io::Error::from(ErrorKind::StorageFull).into())
        };
        let error = install(&order, "test", SeedMode::Os, full, &mut |_, _, _| ()).unwrap_err();
        let sentence = format!("{error:#}");
        assert!(
            sentence.contains("bytes needed") && sentence.contains(&dir.path().display().to_string()),
            "{sentence}"
        );
        let cut = |params: &mut dyn Write, vk: &mut dyn Write, _: &mut Progress<'_>| {
            params.write_all(&synthetic::params(&SMALL, 1)[..1000])?;
            vk.write_all(&synthetic::vk(&SMALL, 1))?;
            Ok(String::new())
        };
        let error = install(&order, "test", SeedMode::Os, cut, &mut |_, _, _| ()).unwrap_err();
        assert!(format!("{error:#}").contains("not whole"), "{error:#}");
        assert!(listing(dir.path()).is_empty() && !scratch(&order).exists());
        assert!(!run(&order).unwrap().reused);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("file");
        fs::write(&into, "").unwrap();
        let error = run(&order(&into)).unwrap_err();
        assert!(format!("{error:#}").starts_with(&format!("cannot write to {}", into.display())), "{error:#}");
    }

    /// Valid files are used from where nothing can be written, here because no lock can be made.
    #[test]
    fn valid_files_are_reused_without_writing() {
        let dir = tempfile::tempdir().unwrap();
        let order = order(dir.path());
        run(&order).unwrap();
        fs::remove_dir_all(dir.path().join(GENERATING)).unwrap();
        fs::write(dir.path().join(GENERATING), "").unwrap();
        assert!(run(&order).unwrap().reused);
    }

    /// The state after a kill at each rename: never development before the last, and finished by the next start.
    #[test]
    fn a_kill_between_renames_is_finished_by_the_next_start() {
        for renamed in 0..=4 {
            let dir = tempfile::tempdir().unwrap();
            let order = order(dir.path());
            let Names { params, vk, meta, sidecar, .. } = names(&order);
            run(&order).unwrap();
            fs::create_dir(scratch(&order)).unwrap();
            for name in [params, vk, meta, sidecar].into_iter().skip(renamed) {
                fs::rename(dir.path().join(&name), scratch(&order).join(&name)).unwrap();
            }
            let files = examine(dir.path(), &order.shape, &Digests::uncached(), &mut |_, _, _| ());
            let words = files.files().map(|file| file.status.word());
            assert!(renamed == 4 || words.iter().all(|word| ["missing", "unknown"].contains(word)), "{words:?}");

            let made = Cell::new(false);
            let make = |params: &mut dyn Write, vk: &mut dyn Write, _: &mut Progress<'_>| {
                made.set(true);
                write(params, vk)
            };
            install(&order, "test", SeedMode::Os, make, &mut |_, _, _| ()).unwrap();
            assert_eq!(made.get(), renamed == 0, "after {renamed} renames");
            assert!(is_usable(&order));
        }
    }

    #[test]
    fn what_dead_generators_left_goes_and_what_live_ones_have_stays() {
        let dir = tempfile::tempdir().unwrap();
        let order = order(dir.path());
        run(&order).unwrap();
        let other = Order { shape: Shape { partitions: 2, ..order.shape }, ..order.clone() };
        let live = Order { shape: Shape { layers: 11, ..order.shape }, ..order.clone() };
        for order in [&order, &other, &live] {
            fs::create_dir(scratch(order)).unwrap();
            fs::write(scratch(order).join(names(order).params), "half").unwrap();
            open_lock(&order.into.join(GENERATING).join(format!("{}.lock", names(order).identifier))).unwrap();
        }
        let lock = open_lock(&dir.path().join(GENERATING).join(format!("{}.lock", names(&live).identifier))).unwrap();
        lock.lock().unwrap();
        assert!(!run(&Order { replace: true, ..order.clone() }).unwrap().reused);
        assert!(!scratch(&order).exists() && !scratch(&other).exists() && scratch(&live).exists());
    }

    /// Locks belong to open files, so two threads stand for two processes.
    #[test]
    fn of_two_generating_the_same_one_works_and_the_other_waits() {
        let dir = tempfile::tempdir().unwrap();
        let (order, working, waiting) = (order(dir.path()), Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let make = |params: &mut dyn Write, vk: &mut dyn Write, _: &mut Progress<'_>| {
                    working.wait();
                    waiting.wait();
                    write(params, vk)
                };
                install(&order, "test", SeedMode::Os, make, &mut |_, _, _| ()).unwrap()
            });
            working.wait();
            let mut stages = Vec::new();
            let mut progress = |stage: &str, done: u64, _: u64| {
                stages.push((stage.to_owned(), done));
                if done == 0 {
                    waiting.wait();
                }
            };
            let asked = Order { replace: true, ..order.clone() };
            let second = install(&asked, "test", SeedMode::Os, |_, _, _| panic!("generated twice"), &mut progress);
            assert!(second.unwrap().reused);
            assert_eq!(stages, [("wait".to_owned(), 0), ("wait".to_owned(), 1)]);
            assert!(!worker.join().unwrap().reused);
        });
        assert!(is_usable(&order));
    }

    #[test]
    fn the_announcement_says_what_how_large_where_and_how_long() {
        let text = announcement(&Shape::network("2KiB".parse().unwrap()), Path::new("/x/params"), 2);
        assert_eq!(
            text,
            "Development parameters of 2KiB, 2 layers, 1 partition: 1.1 GB to /x/params, about 40.0 s and 588.2 MB of memory on 2 threads"
        );
    }
}
