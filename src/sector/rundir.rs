//! The run directory: a manifest that says what the sector is and which files are whole, and one set of files per engine and repeat.
//!
//! ```text
//! manifest.json        what is sealed, which phases of which set are whole, size and digest of each of their files
//! status.json run.log  where the run stands; what it said
//! data/                staged-file, piece-infos-file: the input of every set
//! reference-0/         one set: cache files, files between the phases, the replica, the proof
//! reference-0/work-p2/ scratch of a phase that runs now; gone when the phase is whole
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

    /// Removes what a killed run left, before a new one works here.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        self.remove_leftovers()?;
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

    /// The set of an engine and repeat.
    pub fn set(&self, engine: Engine, repeat: u32) -> Option<&Set> {
        self.manifest.sets.get(&set_name(engine, repeat))
    }

    /// Whether a phase of a set is whole.
    pub fn is_whole(&self, phase: Phase, engine: Engine, repeat: u32) -> bool {
        self.set(engine, repeat).is_some_and(|set| set.phases.contains_key(&phase))
    }

    /// The lowest repeat from which on no set of this engine holds any of these phases.
    pub fn free_repeat(&self, phases: &[Phase], engine: Engine) -> u32 {
        let taken =
            |set: &&Set| set.engine == Some(engine) && phases.iter().any(|phase| set.phases.contains_key(phase));
        self.manifest.sets.values().filter(taken).map(|set| set.repeat + 1).max().unwrap_or(0)
    }

    /// The set whose outputs of `phase` a later phase of (engine, repeat) reads: its own, else one of the same engine, else any.
    fn source(&self, phase: Phase, engine: Engine, repeat: u32) -> Option<&Set> {
        let has = |set: &&Set| set.phases.contains_key(&phase);
        let sets = || self.manifest.sets.values().filter(has);
        self.set(engine, repeat)
            .filter(has)
            .or_else(|| sets().find(|set| set.engine == Some(engine)))
            .or_else(|| sets().next())
    }

    /// Whether everything that a phase reads is there; the error names what is missing.
    pub fn check_inputs_exist(&self, phase: Phase, engine: Engine, repeat: u32) -> anyhow::Result<()> {
        for &needed in files::needs(phase).0 {
            if self.source(needed, engine, repeat).is_none() {
                return Err(Stop::Usage.error(format!(
                    "{phase} needs the output of {needed}, and {} holds none: run {needed} first, or add it to --phases",
                    self.path.display()
                )));
            }
        }
        Ok(())
    }

    /// Prepares the scratch directory of a phase: its inputs checked against the manifest and linked, for p2 a fresh copy of the data
    /// (the reference encodes in place). Nothing else is in it, because the reference trusts whatever it finds.
    pub fn prepare(&self, phase: Phase, engine: Engine, repeat: u32) -> anyhow::Result<PathBuf> {
        let set_dir = self.path.join(set_name(engine, repeat));
        let work = set_dir.join(work_name(phase));
        remove_dir(&work)?;
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        let (phases, data_files) = files::needs(phase);
        if !data_files.is_empty() {
            let data = self.manifest.data.as_ref().context("the sector's data is missing")?;
            let needed = data.files.iter().filter(|file| data_files.contains(&file.name.as_str()));
            link_all(&self.path.join(&data.dir), needed, &work)?;
        }
        for &needed in phases {
            self.check_inputs_exist(phase, engine, repeat)?;
            let source = self.source(needed, engine, repeat).expect("checked above");
            link_all(&self.path.join(&source.dir), &source.phases[&needed].files, &work)?;
        }
        if phase == Phase::P2 {
            let (from, to) = (work.join(files::STAGED), work.join(files::SEALED));
            fs::copy(&from, &to).with_context(|| format!("cannot copy the data to {}", to.display()))?;
        }
        Ok(work)
    }

    /// Digests of the files that a phase left in its scratch directory.
    pub fn digests(&self, phase: Phase, engine: Engine, repeat: u32) -> anyhow::Result<Vec<FileEntry>> {
        let work = self.path.join(set_name(engine, repeat)).join(work_name(phase));
        entries(&work, &files::outputs(phase, &self.manifest.shape))
    }

    /// Makes a phase whole: its files move to their final names, and the manifest says so. A kill before the manifest is written
    /// leaves files that the next start removes.
    pub fn commit(
        &mut self,
        phase: Phase,
        engine: Engine,
        repeat: u32,
        files: Vec<FileEntry>,
        record: PhaseRecord,
    ) -> anyhow::Result<()> {
        let name = set_name(engine, repeat);
        let set_dir = self.path.join(&name);
        let work = set_dir.join(work_name(phase));
        for file in &files {
            let to = set_dir.join(&file.name);
            fs::rename(work.join(&file.name), &to)
                .with_context(|| format!("cannot move a file to {}", to.display()))?;
        }
        let set = self.manifest.sets.entry(name.clone()).or_insert_with(|| Set {
            dir: name,
            engine: Some(engine),
            repeat,
            phases: BTreeMap::new(),
        });
        set.phases.insert(phase, Whole { files, record: Some(record) });
        self.save()?;
        remove_dir(&work)
    }

    /// Removes the scratch directory of a phase that did not become whole.
    pub fn discard(&self, phase: Phase, engine: Engine, repeat: u32) -> anyhow::Result<()> {
        remove_dir(&self.path.join(set_name(engine, repeat)).join(work_name(phase)))
    }

    /// What was measured when a phase became whole.
    pub fn whole_record(&self, phase: Phase, engine: Engine, repeat: u32) -> Option<PhaseRecord> {
        self.set(engine, repeat)?.phases.get(&phase)?.record.clone()
    }

    /// Removes the files of a set that are not needed any more; its records stay.
    pub fn remove_set_files(&mut self, engine: Engine, repeat: u32) -> anyhow::Result<()> {
        remove_dir(&self.path.join(set_name(engine, repeat)))
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
    fn remove_leftovers(&mut self) -> anyhow::Result<()> {
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
                remove_dir(&entry.path().join(work_name(phase)))?;
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

fn set_name(engine: Engine, repeat: u32) -> String {
    format!("{engine}-{repeat}")
}

fn is_set_name(name: &str) -> bool {
    [Engine::Native, Engine::Reference]
        .iter()
        .filter_map(|engine| name.strip_prefix(engine.name())?.strip_prefix('-'))
        .any(|repeat| repeat.parse::<u32>().is_ok())
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
