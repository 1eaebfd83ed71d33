//! The run directory: a manifest that says what the sector is and which files are whole, and one set of files per engine and repeat.
//!
//! ```text
//! manifest.json        what is sealed, which phases of which set are whole, size and digest of each of their files
//! status.json run.log  where the run stands; what it said
//! data/                staged-file, piece-infos-file: the input of every set
//! reference-0/         one set: cache files, files between the phases, the replica, the proof
//! reference-0/work-p2/ scratch of a phase that runs now; gone when the phase is whole
//! native-0.1/          the set of the second sector of a batch
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::disk::{remove_dir, remove_file, write_by_rename};
use crate::error::Stop;
use crate::phase::{Engine, Phase};
use crate::sector::identity::Bytes32;
use crate::sector::manifest::{self, Data, FileEntry, MANIFEST_FILE, Manifest, Set, Whole, entries, link_all};
use crate::sector::{Identity, Seed, Shape, benchy, data, files};
use crate::trial::record::PhaseRecord;
use crate::trial::spec::Spec;

/// Directory of the sector's data in a run directory.
const DATA: &str = "data";

/// Which set of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetKey {
    /// The engine.
    pub engine: Engine,
    /// The repeat, from 0.
    pub repeat: u32,
    /// The sector of a batch, from 0; where a phase works on a batch, its first.
    pub sector: u32,
}

impl SetKey {
    /// The set of another sector of the same batch.
    fn of_sector(self, sector: u32) -> SetKey {
        SetKey { sector, ..self }
    }

    fn name(self) -> String {
        let SetKey { engine, repeat, sector } = self;
        if sector == 0 { format!("{engine}-{repeat}") } else { format!("{engine}-{repeat}.{sector}") }
    }
}

/// A run directory that this process works in; it holds the lock that keeps a second run out.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    manifest: Manifest,
    _lock: File,
}

impl RunDir {
    /// Starts a run directory: makes it if needed; refuses one that holds anything.
    pub fn create(path: &Path, run: &str, seed: Seed, identity: Identity, shape: Shape) -> anyhow::Result<RunDir> {
        fs::create_dir_all(path).with_context(|| format!("cannot make the run directory {}", path.display()))?;
        let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        // The file of `--json` may lie here, still under its temporary name.
        let temporary = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(".tmp");
        if entries.flatten().any(|entry| !temporary(&entry.file_name())) {
            return Err(Stop::Usage.error(format!(
                "{} is not empty and holds no {MANIFEST_FILE}: name an empty or new directory, or one that an earlier run made",
                path.display()
            )));
        }
        let manifest = Manifest {
            schema: manifest::SCHEMA.to_string(),
            run: run.to_string(),
            seed: Some(seed),
            identity,
            shape,
            spec: None,
            data: None,
            sets: BTreeMap::new(),
        };
        RunDir::start(path, manifest)
    }

    /// Opens the directory of an earlier run, or one that benchy left (`--preserve-cache`); `None` if there is neither.
    ///
    /// Nothing is written yet: [`RunDir::settle`] does that.
    pub fn open(path: &Path, run: &str) -> anyhow::Result<Option<RunDir>> {
        let Some(manifest) = manifest::read(path)?.map_or_else(|| benchy::adopt(path, run), |read| Ok(Some(read)))?
        else {
            return Ok(None);
        };
        Ok(Some(RunDir { path: path.to_path_buf(), manifest, _lock: lock(path)? }))
    }

    /// Removes what a killed run left, before a new one works here; one that resumes keeps the whole layers of an unfinished p1.
    pub fn settle(&mut self, resume: bool) -> anyhow::Result<()> {
        self.remove_leftovers(resume)?;
        self.save()
    }

    fn start(path: &Path, manifest: Manifest) -> anyhow::Result<RunDir> {
        let dir = RunDir { path: path.to_path_buf(), manifest, _lock: lock(path)? };
        dir.save()?;
        Ok(dir)
    }

    /// Where the directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Remembers the settings of the run that works here.
    pub fn set_spec(&mut self, run: &str, spec: &Spec) -> anyhow::Result<()> {
        self.manifest.run = run.to_string();
        self.manifest.spec = Some(spec.clone());
        self.save()
    }

    /// Makes the sector's data if it is not there yet: derived from the seed, with its piece information.
    pub fn ensure_data(&mut self) -> anyhow::Result<()> {
        if self.manifest.data.is_some() {
            return Ok(());
        }
        let seed = self
            .manifest
            .seed
            .context("a directory that came from benchy lacks its staged-file: nothing can replace it")?;
        let dir = self.path.join(DATA);
        remove_dir(&dir)?;
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let size = self.manifest.shape.sector_size;
        let comm_d = data::write(&dir.join(files::STAGED), size, &seed)?;
        write_by_rename(&dir.join(files::PIECE_INFOS), &benchy::piece_infos(comm_d, size.bytes())?)?;
        let files = entries(&dir, &[files::STAGED.into(), files::PIECE_INFOS.into()])?;
        self.manifest.data = Some(Data { comm_d: Bytes32(comm_d), dir: DATA.into(), files });
        self.save()
    }

    /// A set, if there is one.
    pub fn set(&self, key: SetKey) -> Option<&Set> {
        self.manifest.sets.get(&key.name())
    }

    /// Whether a phase of a set is whole.
    pub fn is_whole(&self, phase: Phase, key: SetKey) -> bool {
        self.set(key).is_some_and(|set| set.phases.contains_key(&phase))
    }

    /// The lowest repeat from which on no set of this engine holds any of these phases.
    pub fn free_repeat(&self, phases: &[Phase], engine: Engine) -> u32 {
        let taken =
            |set: &&Set| set.engine == Some(engine) && phases.iter().any(|phase| set.phases.contains_key(phase));
        self.manifest.sets.values().filter(taken).map(|set| set.repeat + 1).max().unwrap_or(0)
    }

    /// The set whose outputs of `phase` a later phase of a set reads: its own, else one of the same engine, else any of that sector.
    fn source(&self, phase: Phase, key: SetKey) -> Option<&Set> {
        let has = |set: &&Set| set.sector == key.sector && set.phases.contains_key(&phase);
        let sets = || self.manifest.sets.values().filter(has);
        self.set(key)
            .filter(has)
            .or_else(|| sets().find(|set| set.engine == Some(key.engine)))
            .or_else(|| sets().next())
    }

    /// Whether everything that a phase reads is there; the error names what is missing.
    pub fn check_inputs_exist(&self, phase: Phase, key: SetKey) -> anyhow::Result<()> {
        for &needed in files::needs(phase).0 {
            if self.source(needed, key).is_none() {
                let of = if key.sector > 0 { format!(" of sector {}", key.sector) } else { String::new() };
                return Err(Stop::Usage.error(format!(
                    "{phase} needs the output of {needed}, and {} holds none{of}: run {needed} first, or add it to --phases",
                    self.path.display()
                )));
            }
        }
        Ok(())
    }

    /// Prepares the scratch directory of a phase over some sectors: their inputs checked against the manifest and linked, for the
    /// reference's p2, which encodes in place, a fresh copy of the data. Nothing else is in it, because the reference trusts whatever it finds; only whole layers that
    /// [`RunDir::settle`] kept for the native engine stay.
    pub fn prepare(&self, phase: Phase, key: SetKey, sectors: u32) -> anyhow::Result<PathBuf> {
        let work = self.work(phase, key);
        if phase == Phase::P1 && key.engine == Engine::Native {
            keep_layers(&work, &self.manifest.shape)?;
        } else {
            remove_dir(&work)?;
        }
        for sector in 0..sectors {
            let key = key.of_sector(key.sector + sector);
            self.link_inputs(phase, key, &files::sector_dir(&work, sector))?;
        }
        if phase == Phase::P2 && key.engine == Engine::Reference {
            let (from, to) = (work.join(files::STAGED), work.join(files::SEALED));
            fs::copy(&from, &to).with_context(|| format!("cannot copy the data to {}", to.display()))?;
        }
        Ok(work)
    }

    fn link_inputs(&self, phase: Phase, key: SetKey, work: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(work).with_context(|| format!("cannot make {}", work.display()))?;
        let (phases, data_files) = files::needs(phase);
        if !data_files.is_empty() {
            let data = self.manifest.data.as_ref().context("the sector's data is missing")?;
            let needed = data.files.iter().filter(|file| data_files.contains(&file.name.as_str()));
            link_all(&self.path.join(&data.dir), needed, work)?;
        }
        for &needed in phases {
            self.check_inputs_exist(phase, key)?;
            let source = self.source(needed, key).expect("checked above");
            link_all(&self.path.join(&source.dir), &source.phases[&needed].files, work)?;
        }
        Ok(())
    }

    /// Digests of the files that a phase left in its scratch directory, by sector.
    pub fn digests(&self, phase: Phase, key: SetKey, sectors: u32) -> anyhow::Result<Vec<Vec<FileEntry>>> {
        let work = self.work(phase, key);
        let names = files::outputs(phase, &self.manifest.shape);
        (0..sectors).map(|sector| entries(&files::sector_dir(&work, sector), &names)).collect()
    }

    /// Makes a phase whole: its files move to their final names, and the manifest says so. A kill before the manifest is written
    /// leaves files that the next start removes. The record of a batch is the first sector's.
    pub fn commit(
        &mut self,
        phase: Phase,
        key: SetKey,
        files: Vec<Vec<FileEntry>>,
        record: PhaseRecord,
    ) -> anyhow::Result<()> {
        let work = self.work(phase, key);
        let mut record = Some(record);
        for (sector, files) in (0..).zip(files) {
            let key = key.of_sector(key.sector + sector);
            let (from, to) = (files::sector_dir(&work, sector), self.path.join(key.name()));
            fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
            for file in &files {
                let to = to.join(&file.name);
                fs::rename(from.join(&file.name), &to)
                    .with_context(|| format!("cannot move a file to {}", to.display()))?;
            }
            let SetKey { engine, repeat, sector } = key;
            let empty = Set { dir: key.name(), engine: Some(engine), repeat, sector, phases: BTreeMap::new() };
            let set = self.manifest.sets.entry(key.name()).or_insert(empty);
            set.phases.insert(phase, Whole { files, record: record.take() });
        }
        self.save()?;
        remove_dir(&work)
    }

    /// Removes the scratch directory of a phase that did not become whole, but for what a resumed run goes on from.
    pub fn discard(&self, phase: Phase, key: SetKey) -> anyhow::Result<()> {
        let work = self.work(phase, key);
        if phase == Phase::P1 && key.engine == Engine::Native {
            return keep_layers(&work, &self.manifest.shape);
        }
        remove_dir(&work)
    }

    /// What was measured when a phase became whole.
    pub fn whole_record(&self, phase: Phase, key: SetKey) -> Option<PhaseRecord> {
        self.set(key)?.phases.get(&phase)?.record.clone()
    }

    fn work(&self, phase: Phase, key: SetKey) -> PathBuf {
        self.path.join(key.name()).join(work_name(phase))
    }

    /// Another directory of the same sector, with copies of what phase `first` reads of so many sectors. What an earlier run left there is kept.
    ///
    /// Copies, because instances that read one file would share its page cache, as sectors do not.
    pub fn twin(&self, path: &Path, run: &str, first: Phase, key: SetKey, sectors: u32) -> anyhow::Result<RunDir> {
        let mut twin = match RunDir::open(path, run)? {
            Some(mut twin) => {
                twin.settle(true)?;
                twin
            }
            None => {
                fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
                let (run, data, sets) = (run.to_string(), None, BTreeMap::new());
                RunDir::start(path, Manifest { run, data, sets, spec: None, ..self.manifest.clone() })?
            }
        };
        if twin.manifest.identity != self.manifest.identity || twin.manifest.shape != self.manifest.shape {
            return Err(Stop::Usage.error(format!(
                "{} holds another sector than {}: remove it, or name another --run-dir",
                path.display(),
                self.path.display()
            )));
        }
        if let Some(data) = self.manifest.data.as_ref().filter(|_| twin.manifest.data.is_none()) {
            copy_all(&self.path.join(&data.dir), &data.files, &path.join(&data.dir))?;
            twin.manifest.data = Some(data.clone());
        }
        let keys = (key.sector..key.sector + sectors).map(|sector| key.of_sector(sector));
        for (key, &needed) in keys.flat_map(|key| files::needs(first).0.iter().map(move |needed| (key, needed))) {
            self.check_inputs_exist(first, key)?;
            if twin.source(needed, key).is_none() {
                twin.take_over(self, needed, key)?;
            }
        }
        twin.save()?;
        Ok(twin)
    }

    fn take_over(&mut self, from: &RunDir, phase: Phase, key: SetKey) -> anyhow::Result<()> {
        let source = from.source(phase, key).expect("the caller has checked that it exists");
        let (name, whole) = (from.name_of(source), source.phases[&phase].clone());
        copy_all(&from.path.join(&source.dir), &whole.files, &self.path.join(&source.dir))?;
        let empty = Set { phases: BTreeMap::new(), ..source.clone() };
        self.manifest.sets.entry(name).or_insert(empty).phases.insert(phase, whole);
        Ok(())
    }

    fn name_of(&self, set: &Set) -> String {
        let named = self.manifest.sets.iter().find(|(_, other)| std::ptr::eq(*other, set));
        named.expect("the set is of this directory").0.clone()
    }

    /// Removes a phase of the sectors of a set: its entries, then its files.
    pub fn forget(&mut self, phase: Phase, key: SetKey, sectors: u32) -> anyhow::Result<()> {
        let keys = (key.sector..key.sector + sectors).map(|sector| key.of_sector(sector));
        let entries: Vec<_> = keys.filter_map(|key| self.take_entry(phase, key)).collect();
        if entries.is_empty() {
            return Ok(());
        }
        self.save()?;
        for (set, whole) in entries {
            let dir = self.path.join(&set.dir);
            whole.files.iter().try_for_each(|file| remove_file(&dir.join(&file.name)))?;
            if set.phases.is_empty() {
                remove_dir(&dir)?;
            }
        }
        Ok(())
    }

    /// Takes a phase out of a set, and the set out of the manifest if nothing is left of it.
    fn take_entry(&mut self, phase: Phase, key: SetKey) -> Option<(Set, Whole)> {
        let set = self.manifest.sets.get_mut(&key.name())?;
        let whole = set.phases.remove(&phase)?;
        let left = set.clone();
        if left.phases.is_empty() {
            self.manifest.sets.remove(&key.name());
        }
        Some((left, whole))
    }

    /// Removes the files of a set that are not needed any more; its records stay.
    pub fn remove_set_files(&mut self, key: SetKey, sectors: u32) -> anyhow::Result<()> {
        (key.sector..key.sector + sectors)
            .try_for_each(|sector| remove_dir(&self.path.join(key.of_sector(sector).name())))
    }

    /// Removes the sector's data and every set: the manifest, the log and the status stay.
    pub fn remove_sector(&mut self) -> anyhow::Result<()> {
        let sets: Vec<String> = self.manifest.sets.keys().cloned().collect();
        self.manifest.sets.clear();
        self.manifest.data = None;
        self.save()?;
        sets.iter().map(String::as_str).chain([DATA]).try_for_each(|name| remove_dir(&self.path.join(name)))
    }

    /// Removes what a killed run left: scratch directories, and files of phases that never became whole.
    fn remove_leftovers(&mut self, keep: bool) -> anyhow::Result<()> {
        let shape = self.manifest.shape;
        for entry in fs::read_dir(&self.path).with_context(|| format!("cannot read {}", self.path.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_symlink() && (is_set_name(&name) || name == DATA) {
                return Err(Stop::Usage
                    .error(format!("{} is a link: a run directory holds its own files", entry.path().display())));
            }
            if !entry.file_type()?.is_dir() || !is_set_name(&name) {
                continue;
            }
            let whole = |phase| self.manifest.sets.get(&name).is_some_and(|set| set.phases.contains_key(&phase));
            for phase in Phase::ALL {
                let work = entry.path().join(work_name(phase));
                if keep && phase == Phase::P1 && name.starts_with(Engine::Native.name()) {
                    keep_layers(&work, &shape)?;
                } else {
                    remove_dir(&work)?;
                }
                for file in files::outputs(phase, &shape).into_iter().filter(|_| !whole(phase)) {
                    remove_file(&entry.path().join(file))?;
                }
            }
        }
        Ok(())
    }

    fn save(&self) -> anyhow::Result<()> {
        write_by_rename(&self.path.join(MANIFEST_FILE), &serde_json::to_vec_pretty(&self.manifest)?)
    }
}

/// Whether a set can have this name.
pub(super) fn is_set_name(name: &str) -> bool {
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    Engine::ALL.iter().filter_map(|engine| name.strip_prefix(engine.name())?.strip_prefix('-')).any(|rest| {
        rest.split_once('.').map_or(is_number(rest), |(repeat, sector)| is_number(repeat) && is_number(sector))
    })
}

/// Removes everything from a scratch directory of p1 but plain layer files and the list of those that are whole, of all sectors. The
/// engine checks each against the list before it goes on from there.
fn keep_layers(work: &Path, shape: &Shape) -> anyhow::Result<()> {
    if fs::symlink_metadata(work).is_ok_and(|found| found.is_symlink()) {
        return remove_file(work);
    }
    if !work.join(files::WHOLE_LAYERS).is_file() {
        return remove_dir(work);
    }
    let kept = [files::layers(shape), vec![files::WHOLE_LAYERS.to_string()]].concat();
    let list = |dir: &Path| fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()));
    for entry in list(work)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if !entry.file_type()?.is_dir() {
            remove_unless(&entry, &kept)?;
        } else if name.strip_prefix("sector-").is_some_and(|sector| sector.parse::<u32>().is_ok()) {
            list(&path)?.try_for_each(|entry| remove_unless(&entry?, &kept))?;
        } else {
            remove_dir(&path)?;
        }
    }
    Ok(())
}

/// Removes an entry unless it is a plain file of one of these names.
fn remove_unless(entry: &fs::DirEntry, kept: &[String]) -> anyhow::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_file() && kept.iter().any(|name| entry.file_name() == name.as_str()) {
        return Ok(());
    }
    if kind.is_dir() { remove_dir(&entry.path()) } else { remove_file(&entry.path()) }
}

/// Copies files, if they are what the manifest says.
fn copy_all(from: &Path, files: &[FileEntry], to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    files.iter().try_for_each(|file| {
        file.check(from)?;
        let to = to.join(&file.name);
        fs::copy(from.join(&file.name), &to).with_context(|| format!("cannot copy to {}", to.display()))?;
        Ok(())
    })
}

fn work_name(phase: Phase) -> String {
    format!("work-{phase}")
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Stop::Refused.error(format!(
            "another sealbench run works in {}: wait for it, or name another --run-dir",
            path.display()
        ))),
        Err(fs::TryLockError::Error(e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
    }
}
