//! What a user asks for, resolved into a spec.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::error::Stop;
use crate::host::{HostInfo, core_sets, cores, sys};
use crate::phase::mock::Script;
use crate::phase::native::kernels;
use crate::phase::{self, Engine, Phase};
use crate::sector::manifest::{MAX_REPEATS, MAX_SECTORS};
use crate::sector::{Identity, RunDir, SectorSize, Seed, Shape};
use crate::trial::layout::Layout;
use crate::trial::record::{ClusterRun, SweepRun};
use crate::trial::spec::{Io, Native, ParamsMode, Spec};

/// The seed of a run that names none. It is fixed, so that runs can be compared and the graph's parent cache is made once.
pub const DEFAULT_SEED: &str = "5ea1";

/// The most threads per pool that make sense to ask for.
pub(super) const MAX_THREADS: u32 = 4096;

/// The most repeats of a reportable run that names none: twice the most that a rule asks for.
const MOST_REPEATS: u32 = 20;

/// A request: what is `None` was not said.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The command line, word by word.
    pub given: Vec<String>,
    /// Sector size.
    pub sector_size: Option<SectorSize>,
    /// Phases.
    pub phases: Option<Vec<Phase>>,
    /// Engines.
    pub engines: Option<Vec<Engine>>,
    /// SDR layers.
    pub layers: Option<u32>,
    /// Groth16 partitions.
    pub partitions: Option<u32>,
    /// Cores; `None` is all that are allowed.
    pub cores: Option<Vec<usize>>,
    /// Threads per pool.
    pub threads: Option<u32>,
    /// Partitions proved at once.
    pub at_once: Option<u32>,
    /// How p4 holds its parameters.
    pub params: ParamsMode,
    /// Sectors processed together.
    pub sectors: Option<u32>,
    /// The sector of a batch in the run directory to continue.
    pub sector: Option<u32>,
    /// Settings of the native engine; the kernels as given, `primitive=name`.
    pub native: Native,
    /// How the run is cut into instances.
    pub layout: Layout,
    /// Do not measure one instance with the machine to itself.
    pub without_alone: bool,
    /// Apply the run rules.
    pub reportable: bool,
    /// The point of a sweep that this run measures.
    pub sweep: Option<SweepRun>,
    /// The element of a cluster's job array that this run is.
    pub cluster: Option<ClusterRun>,
    /// Say nothing but in the log.
    pub quiet: bool,
    /// Remove what this run makes from its directory, and keep what was there.
    pub discard: bool,
    /// What the mock engine does.
    pub mock: Option<Script>,
    /// Repetitions.
    pub repeats: Option<u32>,
    /// The seed.
    pub seed: Option<Seed>,
    /// The run directory.
    pub run_dir: Option<PathBuf>,
    /// Continue an interrupted run.
    pub resume: bool,
    /// Where the directory of a run is made that names none; `None` is the home.
    pub scratch: Option<PathBuf>,
    /// Keep the sector of a run without a directory of its own.
    pub keep: bool,
    /// Where the record goes.
    pub json: Option<PathBuf>,
    /// Say what would run, and stop.
    pub dry_run: bool,
}

impl Request {
    /// The spec of a run that starts from nothing.
    pub fn fresh(&self) -> anyhow::Result<(Seed, Spec)> {
        if self.sector.is_some() {
            return Err(
                Stop::Usage.error("--sector continues a sector of a batch: name the batch's directory with --run-dir")
            );
        }
        let seed = self.seed.unwrap_or_else(|| DEFAULT_SEED.parse().expect("the default seed is valid"));
        let size = self.sector_size.unwrap_or_else(|| "8MiB".parse().expect("the default size is valid"));
        let phases = self.phases()?;
        let shape = Shape::new(size, self.layers, self.partitions, phases == [Phase::P1])?;
        if phases[0] != Phase::P1 && self.layout.mix.is_none() {
            return Err(Stop::Usage.error(format!(
                "{} needs an earlier phase's output: name its directory with --run-dir, or start with p1",
                phases[0]
            )));
        }
        Ok((seed, self.spec(shape, Identity::from_seed(&seed), phases)?))
    }

    /// The spec of a run on a directory that holds something.
    pub fn on(&self, dir: &RunDir) -> anyhow::Result<Spec> {
        if self.resume {
            return self.resumed(dir);
        }
        let manifest = dir.manifest();
        let mut phases = self.phases()?;
        let conflict = |what: String| {
            Err(Stop::Usage
                .error(format!("{} holds {what}: drop the option or name another directory", dir.path().display())))
        };
        if self.sector_size.is_some_and(|size| size != manifest.shape.sector_size)
            || self.layers.is_some_and(|layers| layers != manifest.shape.layers)
            || self.partitions.is_some_and(|partitions| partitions != manifest.shape.partitions)
        {
            return conflict(format!("a sector of {}", manifest.shape));
        }
        if self.seed.is_some() && self.seed != manifest.seed {
            return conflict(
                manifest.seed.map_or("a sector of benchy's".into(), |seed| format!("a sector of seed {seed}")),
            );
        }
        if self.phases.is_none() && self.layout.mix.is_none() {
            let whole = |phase| manifest.sets.values().any(|set| set.phases.contains_key(&phase));
            let first = phases.iter().position(|&phase| !whole(phase)).unwrap_or(phases.len());
            phases.drain(..first);
        }
        let Shape { sector_size, layers, partitions } = manifest.shape;
        Shape::new(sector_size, Some(layers), Some(partitions), phases == [Phase::P1])?;
        let identity = manifest.identity.in_batch(self.sector.unwrap_or(0));
        let mut spec = self.spec(manifest.shape, identity, phases)?;
        spec.first_repeat = spec.runs().map(|(phase, engine)| dir.free_repeat(&[phase], engine)).max().unwrap_or(0);
        if !in_range(&spec) {
            return Err(Stop::Usage.error(format!(
                "{} has no room for more sets: at most {MAX_SECTORS} sectors of a batch and {MAX_REPEATS} repeats; name another directory",
                dir.path().display()
            )));
        }
        check_startable(&spec, dir)?;
        Ok(spec)
    }

    fn resumed(&self, dir: &RunDir) -> anyhow::Result<Spec> {
        let Some(spec) = &dir.manifest().spec else {
            return Err(Stop::Usage.error(format!("{} holds no run to resume", dir.path().display())));
        };
        let asked = Native::default();
        let given = [
            ("--sector-size", self.sector_size.is_some()),
            ("--phases", self.phases.is_some()),
            ("--engine", self.engines.is_some()),
            ("--layers", self.layers.is_some()),
            ("--partitions", self.partitions.is_some()),
            ("--p4-partitions-at-once", self.at_once.is_some()),
            ("--repeats", self.repeats.is_some()),
            ("--seed", self.seed.is_some()),
            ("--sectors", self.sectors.is_some()),
            ("--sector", self.sector.is_some()),
            ("--instances, --core-sets and --mix", self.layout != Layout::default()),
            ("--reportable", self.reportable),
            ("--kernel", !self.native.kernels.is_empty()),
            ("--pages", self.native.pages != asked.pages),
            ("--parents", self.native.parents != asked.parents),
            ("--io", self.native.io != asked.io),
        ];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            return Err(Stop::Usage.error(format!("--resume takes its settings from the run directory: drop {option}")));
        }
        let mut spec = spec.clone();
        check(&spec, dir)?;
        let Shape { sector_size, layers, partitions } = spec.shape;
        Shape::new(sector_size, Some(layers), Some(partitions), spec.phases == [Phase::P1])?;
        check_engines(&spec)?;
        if !spec.instances.is_empty() {
            let sets: Vec<Vec<usize>> = spec.instances.iter().map(|instance| instance.cores.clone()).collect();
            core_sets::check(&HostInfo::capture().topology, &sys::allowed_cores()?, &sets, &spec.placement)?;
            if self.cores.is_some() || self.threads.is_some() {
                return Err(
                    Stop::Usage.error("--resume keeps the instances' cores and threads: drop --cores and --threads")
                );
            }
            return Ok(spec);
        }
        let keep_cores = self.cores.is_none() && self.threads.is_none();
        let wanted = if keep_cores { Some(spec.cores.clone()) } else { self.cores.clone() };
        spec.cores = cores::resolve(wanted.as_deref(), &sys::allowed_cores()?)?;
        spec.threads = if keep_cores { spec.threads } else { self.threads.unwrap_or(spec.cores.len() as u32) };
        Ok(spec)
    }

    fn phases(&self) -> anyhow::Result<Vec<Phase>> {
        if let Some(mix) = &self.layout.mix {
            if self.phases.is_some() {
                return Err(Stop::Usage.error("--mix names its phases itself: drop --phases"));
            }
            return Ok(mix.iter().map(|part| part.phase).collect::<BTreeSet<_>>().into_iter().collect());
        }
        let phases = self.phases.clone().unwrap_or_else(|| Phase::ALL.to_vec());
        if !contiguous(&phases) {
            let named: Vec<&str> = phases.iter().map(|phase| phase.name()).collect();
            return Err(Stop::Usage.error(format!("--phases {} is no contiguous part of p1,p2,c1,p4", named.join(","))));
        }
        Ok(phases)
    }

    /// The spec of some phases of a sector; whether their inputs are there is not asked.
    pub fn spec(&self, shape: Shape, identity: Identity, phases: Vec<Phase>) -> anyhow::Result<Spec> {
        let fallback = self.engines.is_none();
        let engines = self.engines.clone().unwrap_or_else(|| vec![Engine::Native]);
        let mut cores = cores::resolve(self.cores.as_deref(), &sys::allowed_cores()?)?;
        let threads = within("--threads", self.threads.unwrap_or(cores.len() as u32), 1, MAX_THREADS)?;
        // Ten at once is what the reference's batch prover does (MAX_GROTH16_BATCH_SIZE).
        let at_once = self.at_once.unwrap_or(shape.partitions.min(10));
        let sectors = within("--sectors", self.sectors.unwrap_or(1), 1, MAX_SECTORS)?;
        // The topology takes a while to read, and one instance does not ask for it.
        let instances = match self.layout == Layout::default() {
            true => Vec::new(),
            false => self.layout.resolve(&HostInfo::capture().topology, &cores, self.threads)?,
        };
        // What is not said of instances holds for each of them.
        let threads = instances.iter().map(|instance| instance.threads).max().unwrap_or(threads);
        let width = instances.iter().map(|instance| instance.cores.len()).max().unwrap_or(cores.len());
        if !instances.is_empty() {
            cores = instances
                .iter()
                .flat_map(|instance| &instance.cores)
                .copied()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
        }
        let parents = self.native.parents.resolve(sectors, threads.min(width as u32));
        let spec = Spec {
            shape,
            network_shape: shape.is_network(),
            identity,
            phases,
            engines,
            threads,
            first_repeat: 0,
            repeats: within(
                "--repeats",
                self.repeats.unwrap_or(if self.reportable { MOST_REPEATS } else { 1 }),
                1,
                MAX_REPEATS,
            )?,
            p4_partitions_at_once: within("--p4-partitions-at-once", at_once, 1, shape.partitions)?,
            cores,
            params: self.params,
            fallback,
            sectors,
            sector: within("--sector", self.sector.unwrap_or(0), 0, MAX_SECTORS - 1)?,
            native: Native { parents, ..self.native.clone() },
            alone: !instances.is_empty() && !self.without_alone,
            instances,
            placement: self.layout.placement,
            containers: false,
            reportable: self.reportable,
            mock: self.mock.clone(),
        };
        check_engines(&spec)?;
        Ok(spec)
    }
}

fn contiguous(phases: &[Phase]) -> bool {
    let first = Phase::ALL.iter().position(|phase| Some(phase) == phases.first());
    first.is_some_and(|first| Phase::ALL[first..].starts_with(phases))
}

/// Every phase is there on its engine, and takes as many sectors.
fn check_engines(spec: &Spec) -> anyhow::Result<()> {
    if let Some((phase, engine)) = spec.runs().find(|&(phase, engine)| !phase::is_available(engine, phase)) {
        return Err(phase::unavailable(engine, phase));
    }
    if let Some((phase, _)) = spec.runs().find(|&(_, engine)| spec.sectors > 1 && engine == Engine::Reference) {
        return Err(Stop::Usage.error(format!(
            "--sectors {}: {phase} takes one sector at a time; label the batch with --phases p1 --run-dir DIR, then continue each \
             sector with --run-dir DIR --sector I",
            spec.sectors
        )));
    }
    // Direct reads are of whole pages; the subtrees of smaller sectors are smaller.
    if spec.native.io == Io::Direct && spec.shape.sector_size.bytes() < 8 << 20 && spec.has(Phase::P2, Engine::Native) {
        return Err(
            Stop::Usage.error(format!("--io direct needs a sector of 8MiB or more, not {}", spec.shape.sector_size))
        );
    }
    kernels::check(&spec.native.kernels)
}

/// Sets are numbered within these bounds.
fn in_range(spec: &Spec) -> bool {
    spec.sector.saturating_add(spec.sectors) <= MAX_SECTORS
        && spec.first_repeat.saturating_add(spec.repeats) <= MAX_REPEATS + 1
}

/// Every instance of a mix has a phase, and those are the phases of the run.
fn is_sound_mix(spec: &Spec) -> bool {
    let own: Option<BTreeSet<Phase>> = spec.instances.iter().map(|instance| instance.phase).collect();
    own.is_some_and(|own| own.into_iter().collect::<Vec<_>>() == spec.phases)
}

/// A spec out of a manifest is of this program's making only if nobody else wrote the manifest.
fn check(spec: &Spec, dir: &RunDir) -> anyhow::Result<()> {
    let manifest = dir.manifest();
    let identity = manifest.identity.in_batch(spec.sector);
    let same_sector = spec.shape == manifest.shape && spec.identity == identity;
    let counts = (1..=MAX_REPEATS).contains(&spec.repeats)
        && (1..=MAX_THREADS).contains(&spec.threads)
        && (1..=spec.shape.partitions).contains(&spec.p4_partitions_at_once)
        && (1..=MAX_SECTORS).contains(&spec.sectors)
        && in_range(spec)
        && spec.instances.iter().all(|instance| (1..=MAX_THREADS).contains(&instance.threads));
    let phases = if spec.is_mix() { is_sound_mix(spec) } else { contiguous(&spec.phases) };
    if same_sector && counts && phases && !spec.engines.is_empty() {
        return Ok(());
    }
    Err(Stop::Usage.error(format!("the settings in the manifest of {} are not those of a run", dir.path().display())))
}

pub(super) fn within(option: &str, value: u32, min: u32, max: u32) -> anyhow::Result<u32> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(Stop::Usage.error(format!("{option} {value} is out of range: use {min} to {max}")))
}

/// The first phase finds its inputs in the directory.
fn check_startable(spec: &Spec, dir: &RunDir) -> anyhow::Result<()> {
    let Some(&first) = spec.phases.first() else {
        return Err(Stop::Usage.error(format!(
            "every phase in {} is whole: name those to run again with --phases",
            dir.path().display()
        )));
    };
    if spec.is_mix() {
        return Ok(());
    }
    spec.engines.iter().try_for_each(|&engine| {
        dir.check_inputs_exist(first, spec.set(spec.engine_of(first, engine), spec.first_repeat))
    })
}
