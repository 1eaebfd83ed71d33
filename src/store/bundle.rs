//! A bundle: runs packed for a colleague, `ID/record.json`, `ID/run.log` and `ID/manifest.json` in one tar.zst, without sector data.
//!
//! What comes in is not trusted: it is read to its end, within limits, before anything is written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{Store, is_id};
use crate::disk::write_file;
use crate::sector::manifest::MANIFEST_FILE;
use crate::trial::record::{Record, SCHEMA};
use crate::trial::status::LOG_FILE;

const RECORD: &str = "record.json";

/// The files a bundle may hold of a run.
const NAMES: [&str; 3] = [RECORD, LOG_FILE, MANIFEST_FILE];

/// Most bytes of one file; a longer log is packed from its end.
const MAX_FILE: u64 = 16 << 20;

/// Most bytes of a bundle, unpacked.
const MAX_TOTAL: u64 = 256 << 20;

/// The first bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Enough for repeated logs, and quick.
const ZSTD_LEVEL: i32 = 9;

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Ids of the runs that are new in the store.
    pub new: Vec<String>,
    /// Ids of those it already had; they were left alone.
    pub known: Vec<String>,
}

/// Packs runs of a store into one file. `ids` are whole ids of runs that have a record.
///
/// The log and the manifest go along when the run directory still has them.
pub fn pack(store: &Store, ids: &[String], out: &Path, overwrite: bool) -> anyhow::Result<()> {
    write_file(out, overwrite, |out| {
        let mut tar = tar::Builder::new(zstd::Encoder::new(out, ZSTD_LEVEL)?);
        let mut total = 0;
        for id in ids {
            let record = store.record_text(id)?.into_bytes();
            let run_dir = store.run(id)?.run_dir;
            let others = [LOG_FILE, MANIFEST_FILE].map(|name| (name, run_dir.as_deref().map(|dir| dir.join(name))));
            total += append(&mut tar, id, RECORD, &record)?;
            for (name, path) in others {
                if let Some(bytes) = path.map(|path| tail(&path)).transpose()?.flatten() {
                    total += append(&mut tar, id, name, &bytes)?;
                }
            }
        }
        if total > MAX_TOTAL {
            bail!("{total} bytes are too many for one bundle (at most {MAX_TOTAL}): pack fewer runs at once");
        }
        tar.into_inner()?.finish()?;
        Ok(())
    })
}

fn append(tar: &mut tar::Builder<impl Write>, id: &str, name: &str, bytes: &[u8]) -> anyhow::Result<u64> {
    let size = bytes.len() as u64;
    if size > MAX_FILE {
        bail!("{name} of run {id} has {size} bytes; a bundle holds files of at most {MAX_FILE}");
    }
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    tar.append_data(&mut header, format!("{id}/{name}"), bytes)?;
    // A tar entry is a header and whole blocks.
    Ok(512 + size.next_multiple_of(512))
}

/// The last bytes of a plain file; `None` if it is not there. Links are not followed: a bundle holds nothing from elsewhere.
fn tail(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let what = || format!("cannot read {}", path.display());
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => bail!("{} is not a plain file", path.display()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(what),
    }
    let mut file = File::open(path).with_context(what)?;
    let length = file.metadata().with_context(what)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_FILE))).with_context(what)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).with_context(what)?;
    Ok(Some(bytes))
}

/// What tells a record from any other JSON, read before the rest of it.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// One run of a bundle, checked.
#[derive(Debug)]
struct Run {
    record: Record,
    text: String,
    /// The log and the manifest, by name.
    files: BTreeMap<&'static str, Vec<u8>>,
}

/// Takes the runs of a bundle, or of a single record's JSON file, into a store; their logs and manifests go to `HOME/imported/ID/`.
///
/// Either all of them come in or, when anything about the file is wrong, none. Runs whose record the store already has stay as they are.
pub fn import(store: &Store, home: &Path, path: &Path) -> anyhow::Result<Imported> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let runs = read(BufReader::new(file)).with_context(|| format!("nothing was imported from {}", path.display()))?;
    let mut result = Imported::default();
    let mut new = Vec::new();
    for run in runs {
        let id = run.record.id.clone();
        if store.has_record(&id)? {
            result.known.push(id);
        } else {
            result.new.push(id);
            new.push(run);
        }
    }
    keep(store, home, &new).with_context(|| format!("nothing was imported from {}", path.display()))?;
    Ok(result)
}

/// The records of a bundle or of a record's JSON file, without taking them into a store.
pub fn records(path: &Path) -> anyhow::Result<Vec<Record>> {
    let what = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(what)?;
    Ok(read(BufReader::new(file)).with_context(what)?.into_iter().map(|run| run.record).collect())
}

/// Writes the files of new runs beside their place, then lets them and the records appear together.
fn keep(store: &Store, home: &Path, new: &[Run]) -> anyhow::Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let imported = home.join("imported");
    fs::create_dir_all(&imported).with_context(|| format!("cannot create {}", imported.display()))?;
    let staging = tempfile::tempdir_in(&imported).with_context(|| format!("cannot write in {}", imported.display()))?;
    let mut rows = Vec::new();
    let mut moves: Vec<(PathBuf, PathBuf)> = Vec::new();
    for run in new {
        let dir = imported.join(&run.record.id);
        let run_dir = (!run.files.is_empty()).then(|| dir.clone());
        if run_dir.is_some() {
            let staged = staging.path().join(&run.record.id);
            stage(&staged, &run.files)?;
            moves.push((staged, dir));
        }
        rows.push((&run.record, run.text.as_str(), run_dir));
    }
    store.import(&rows, || moves.iter().try_for_each(|(staged, dir)| place(staged, dir)))
}

fn stage(dir: &Path, files: &BTreeMap<&'static str, Vec<u8>>) -> anyhow::Result<()> {
    fs::create_dir(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A directory of a run that the store does not know is left from an import that was killed: it makes room.
fn place(staged: &Path, dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::rename(staged, dir).with_context(|| format!("cannot write {}", dir.display()))
}

/// Reads and checks a whole bundle or record file.
fn read(mut file: impl Read) -> anyhow::Result<Vec<Run>> {
    let mut start = Vec::new();
    file.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut start)?;
    let whole = start.as_slice().chain(file);
    if start != ZSTD_MAGIC {
        return Ok(vec![Run::new(None, read_limited(whole, "the file")?, BTreeMap::new())?]);
    }
    unpack(zstd::Decoder::new(whole)?)
}

fn unpack(unpacked: impl Read) -> anyhow::Result<Vec<Run>> {
    // Raw entries: no long names, no extended headers, so no entry is read into memory before its type and name are checked.
    let mut archive = tar::Archive::new(unpacked.take(MAX_TOTAL));
    let mut found: BTreeMap<String, BTreeMap<&'static str, Vec<u8>>> = BTreeMap::new();
    let mut total = 0;
    for entry in archive.entries()?.raw(true) {
        let entry = entry.context("the bundle is damaged or cut off")?;
        let (id, name) = checked_name(&entry)?;
        total += 512 + entry.size().min(MAX_FILE).next_multiple_of(512);
        if total > MAX_TOTAL {
            bail!("the bundle unpacks to more than {MAX_TOTAL} bytes");
        }
        let bytes = read_limited(entry, &format!("{id}/{name}"))?;
        if found.entry(id.clone()).or_default().insert(name, bytes).is_some() {
            bail!("{id}/{name} is in the bundle twice");
        }
    }
    if found.is_empty() {
        bail!("the bundle is empty");
    }
    found.into_iter().map(|(id, files)| run_of(id, files)).collect()
}

/// The run and the file that an entry is, if it is one a bundle may hold.
fn checked_name(entry: &tar::Entry<impl Read>) -> anyhow::Result<(String, &'static str)> {
    let bytes = entry.path_bytes();
    let shown = bytes.escape_ascii();
    let kind = entry.header().entry_type();
    if !kind.is_file() {
        bail!("entry '{shown}' is no plain file ({kind:?}): a bundle holds nothing else");
    }
    let parts = std::str::from_utf8(&bytes).ok().and_then(|path| path.split_once('/'));
    let known = parts.and_then(|(id, name)| Some((id, NAMES.into_iter().find(|known| *known == name)?)));
    match known {
        Some((id, name)) if is_id(id) => Ok((id.to_string(), name)),
        _ => bail!("entry '{shown}' is not ID/{}", NAMES.join(", ID/")),
    }
}

fn read_limited(from: impl Read, what: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE + 1).read_to_end(&mut bytes).with_context(|| format!("{what} cannot be read"))?;
    if bytes.len() as u64 > MAX_FILE {
        bail!("{what} has more than {MAX_FILE} bytes");
    }
    Ok(bytes)
}

fn run_of(id: String, mut files: BTreeMap<&'static str, Vec<u8>>) -> anyhow::Result<Run> {
    let record = files.remove(RECORD).with_context(|| format!("{id}/{RECORD} is missing"))?;
    Run::new(Some(&id), record, files)
}

impl Run {
    fn new(id: Option<&str>, record: Vec<u8>, files: BTreeMap<&'static str, Vec<u8>>) -> anyhow::Result<Run> {
        let name = id.map_or("the file".to_string(), |id| format!("{id}/{RECORD}"));
        let text = String::from_utf8(record).with_context(|| format!("{name} is not a record: it is not UTF-8"))?;
        let head: Head = serde_json::from_str(&text).with_context(|| format!("{name} is not a record"))?;
        if head.schema != SCHEMA {
            bail!("{name} has the schema '{}'; this sealbench reads {SCHEMA}", head.schema.escape_debug());
        }
        let record: Record = serde_json::from_str(&text).with_context(|| format!("{name} is not a whole record"))?;
        if !is_id(&record.id) || id.is_some_and(|id| id != record.id) {
            bail!("{name} names the run '{}', which does not fit", record.id.escape_debug());
        }
        if record.started_at.parse::<jiff::Timestamp>().is_err() {
            bail!("started_at in {name} is not an RFC 3339 time");
        }
        Ok(Run { record, text, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;
    use crate::store::{RunStart, sample};
    use proptest::prelude::*;

    const ID: &str = "20261124T081932Z-5f3a";

    fn home() -> (tempfile::TempDir, Store) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        (home, store)
    }

    /// A store with the sample run and its directory.
    fn source() -> (tempfile::TempDir, Store) {
        let (home, store) = home();
        let run_dir = home.path().join("run");
        fs::create_dir(&run_dir).unwrap();
        fs::write(run_dir.join(LOG_FILE), "the log\n").unwrap();
        fs::write(run_dir.join(MANIFEST_FILE), "{}").unwrap();
        fs::write(run_dir.join("sealed"), "sector data").unwrap();
        let start = RunStart {
            id: ID.to_string(),
            started_at: "2026-11-24T08:19:32Z".to_string(),
            run_dir,
            command: Vec::new(),
            pid: 1,
        };
        store.begin(&start).unwrap();
        store.finish(&sample::record(ID)).unwrap();
        (home, store)
    }

    fn header(name: &[u8], size: u64) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_size(size);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        header
    }

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in entries {
            tar.append(&header(name.as_bytes(), bytes.len() as u64), *bytes).unwrap();
        }
        zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
    }

    fn import_bytes(bytes: &[u8]) -> (tempfile::TempDir, Store, anyhow::Result<Imported>) {
        let (home, store) = home();
        let file = home.path().join("in");
        fs::write(&file, bytes).unwrap();
        let result = import(&store, home.path(), &file);
        (home, store, result)
    }

    /// The sentence an import fails with, once it is sure that it left nothing behind.
    fn refusal(bytes: &[u8]) -> String {
        let (home, store, result) = import_bytes(bytes);
        assert_eq!(store.count().unwrap(), 0);
        assert!(!home.path().join("imported").exists());
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn a_bundle_carries_record_log_and_manifest_and_nothing_else() {
        let (from, store) = source();
        let out = from.path().join("b.tar.zst");
        pack(&store, &[ID.to_string()], &out, false).unwrap();
        assert_eq!(exit_code(&pack(&store, &[ID.to_string()], &out, false).unwrap_err()), 2);
        pack(&store, &[ID.to_string()], &out, true).unwrap();

        let (to, there) = home();
        let new = Imported { new: vec![ID.to_string()], known: vec![] };
        assert_eq!(import(&there, to.path(), &out).unwrap(), new);
        let known = Imported { new: vec![], known: vec![ID.to_string()] };
        assert_eq!(import(&there, to.path(), &out).unwrap(), known);
        assert_eq!(there.record_text(ID).unwrap(), store.record_text(ID).unwrap());
        let dir = to.path().join("imported").join(ID);
        assert_eq!(there.run(ID).unwrap().run_dir.as_deref(), Some(dir.as_path()));
        assert_eq!(fs::read_to_string(dir.join(LOG_FILE)).unwrap(), "the log\n");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        assert_eq!(fs::read_dir(to.path().join("imported")).unwrap().count(), 1, "the staging directory is gone");

        // It can be handed on.
        pack(&there, &[ID.to_string()], &to.path().join("c.tar.zst"), false).unwrap();
        assert_eq!(fs::read(to.path().join("c.tar.zst")).unwrap(), fs::read(&out).unwrap());
    }

    #[test]
    fn a_run_without_its_directory_is_packed_without_log() {
        let (from, store) = source();
        fs::remove_dir_all(from.path().join("run")).unwrap();
        let out = from.path().join("b.tar.zst");
        pack(&store, &[ID.to_string()], &out, false).unwrap();
        let (to, there) = home();
        import(&there, to.path(), &out).unwrap();
        assert_eq!(there.run(ID).unwrap().run_dir, None);
    }

    #[test]
    fn a_long_log_is_packed_from_its_end_and_a_link_not_at_all() {
        let (from, store) = source();
        let log = from.path().join("run").join(LOG_FILE);
        let mut text = vec![b'.'; MAX_FILE as usize];
        text.extend_from_slice(b"the end");
        fs::write(&log, text).unwrap();
        let out = from.path().join("b.tar.zst");
        pack(&store, &[ID.to_string()], &out, false).unwrap();
        let (to, there) = home();
        import(&there, to.path(), &out).unwrap();
        let copy = fs::read(to.path().join("imported").join(ID).join(LOG_FILE)).unwrap();
        assert!(copy.len() as u64 == MAX_FILE && copy.ends_with(b"the end"));

        fs::remove_file(&log).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &log).unwrap();
        let error = pack(&store, &[ID.to_string()], &out, true).unwrap_err();
        assert!(error.to_string().contains("not a plain file"), "{error}");
    }

    #[test]
    fn a_record_file_comes_in_alone_also_for_a_run_that_lost_its_record() {
        let (_home, store, result) = import_bytes(sample::TEXT.as_bytes());
        assert_eq!(result.unwrap().new, [ID]);
        assert_eq!(store.record_text(ID).unwrap(), sample::TEXT);

        let (home, store) = home();
        let run_dir = home.path().join("run");
        let start =
            RunStart { id: ID.into(), started_at: "2026-11-24T08:19:32Z".into(), run_dir, command: vec![], pid: 1 };
        store.begin(&start).unwrap();
        fs::write(home.path().join("r.json"), sample::TEXT).unwrap();
        assert_eq!(import(&store, home.path(), &home.path().join("r.json")).unwrap().new, [ID]);
        assert_eq!(store.run(ID).unwrap().run_dir, Some(home.path().join("run")));
    }

    #[test]
    fn an_entry_that_leaves_the_directory_is_refused_by_name() {
        for name in [
            "../record.json",
            "/etc/record.json",
            "a/../record.json",
            "a/../../record.json",
            "./a/record.json",
            "record.json",
        ] {
            let error = refusal(&archive(&[("a/record.json", b"{}"), (name, b"x")]));
            assert!(error.contains(name), "{error}");
        }
        for name in ["a/sealed", "a/b/run.log", "a/", "a/RUN.LOG", ".a/run.log"] {
            assert!(refusal(&archive(&[(name, b"")])).contains(&format!("'{name}' is not ID/")), "{name}");
        }
    }

    #[test]
    fn links_devices_directories_and_long_names_are_refused() {
        use tar::EntryType;
        for kind in [
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Directory,
            EntryType::Fifo,
            EntryType::Char,
            EntryType::GNULongName,
            EntryType::GNUSparse,
            EntryType::XHeader,
            EntryType::XGlobalHeader,
        ] {
            let mut header = header(format!("{ID}/run.log").as_bytes(), 0);
            header.set_entry_type(kind);
            header.set_link_name("/etc/passwd").unwrap();
            header.set_cksum();
            let mut tar = tar::Builder::new(Vec::new());
            tar.append(&header, &[][..]).unwrap();
            let bytes = zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap();
            let error = refusal(&bytes);
            assert!(error.contains(&format!("{ID}/run.log")) && error.contains("no plain file"), "{error}");
        }
    }

    #[test]
    fn too_large_is_refused_before_it_is_unpacked() {
        let zeros = vec![0; MAX_FILE as usize + 1];
        let name = format!("{ID}/run.log");
        assert!(refusal(&archive(&[(&name, &zeros)])).contains("has more than"));
        // A header that claims far more than there is.
        let claim = header(name.as_bytes(), u64::from(u32::MAX)).as_bytes().to_vec();
        assert!(!refusal(&zstd::encode_all(claim.as_slice(), 1).unwrap()).is_empty());
        // Many files, each within the limit: a few kilobytes that unpack to more than the whole may have.
        let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        for n in 0..=MAX_TOTAL / MAX_FILE {
            let name = format!("run-{n}/run.log");
            tar.append(&header(name.as_bytes(), MAX_FILE), &zeros[1..]).unwrap();
        }
        let bomb = tar.into_inner().unwrap().finish().unwrap();
        assert!(bomb.len() < 1 << 20);
        assert!(refusal(&bomb).contains("unpacks to more than"));
    }

    #[test]
    fn one_bad_run_keeps_all_out() {
        let good = sample::TEXT.as_bytes();
        let named = |id: &str| format!("{id}/{RECORD}");
        let other = sample::TEXT.replace("sealbench/record/1", "sealbench/record/9");
        let untimed = sample::TEXT.replace("2026-11-24T08:19:32.118Z", "soon");
        for (id, record, part) in [
            ("b", &b"{"[..], "b/record.json is not a record"),
            ("b", b"{\"schema\": \"sealbench/record/1\"}", "not a whole record"),
            ("b", b"\xff", "not UTF-8"),
            ("b", good, "does not fit"),
            (ID, good, "twice"),
            ("b", other.as_bytes(), "has the schema 'sealbench/record/9'"),
            ("b", &b"[".repeat(100_000), "b/record.json is not a record"),
        ] {
            let error = refusal(&archive(&[(&named(ID), good), (&named(id), record)]));
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(refusal(untimed.as_bytes()).contains("not an RFC 3339 time"));
        let log_only = archive(&[(&named(ID), good), ("b/run.log", b"x")]);
        assert!(refusal(&log_only).contains("b/record.json is missing"));
        assert!(refusal(&archive(&[])).contains("empty"));
        assert!(refusal(b"").contains("not a record"));
        let whole = archive(&[(&named(ID), good)]);
        assert!(!refusal(&whole[..whole.len() / 2]).is_empty());
    }

    #[test]
    fn what_a_killed_import_left_is_replaced() {
        let (home, store) = home();
        let stale = home.path().join("imported").join(ID);
        fs::create_dir_all(&stale).unwrap();
        fs::write(stale.join("stale"), "").unwrap();
        let file = home.path().join("b");
        fs::write(
            &file,
            archive(&[(&format!("{ID}/record.json"), sample::TEXT.as_bytes()), (&format!("{ID}/run.log"), b"x")]),
        )
        .unwrap();
        import(&store, home.path(), &file).unwrap();
        assert!(stale.join(LOG_FILE).exists() && !stale.join("stale").exists());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), frame in 0..3) {
            let bytes = match frame {
                0 => bytes,
                1 => [&ZSTD_MAGIC[..], &bytes].concat(),
                _ => zstd::encode_all(bytes.as_slice(), 1).unwrap(),
            };
            prop_assert!(read(bytes.as_slice()).is_err());
        }

        #[test]
        fn a_flipped_bit_of_the_archive_is_no_panic(at in 0usize..12_000, bit in 0..8) {
            let mut tar = tar::Builder::new(Vec::new());
            append(&mut tar, ID, RECORD, sample::TEXT.as_bytes()).unwrap();
            append(&mut tar, ID, LOG_FILE, b"log").unwrap();
            let mut bytes = tar.into_inner().unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1u8 << bit;
            // Whatever still comes out is a run with a proper id.
            for run in unpack(bytes.as_slice()).into_iter().flatten() {
                prop_assert!(is_id(&run.record.id));
            }
        }
    }
}
