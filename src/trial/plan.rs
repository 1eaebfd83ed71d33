//! A request resolved: what runs, where, with which settings, and whether this machine has room for it.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Stop;
use crate::host::{cores, memory};
use crate::phase::{Phase, settings};
use crate::sector::{RunDir, Seed};
use crate::trial::estimate::{self, ProvingMemory, show};
use crate::trial::prepare;
use crate::trial::request::Request;
use crate::trial::spec::Spec;
use crate::trial::station::{Processes, Site};

/// A resolved request, before anything is written.
pub struct Plan {
    /// What runs.
    pub spec: Spec,
    /// The seed, unless the sector came from benchy.
    pub seed: Option<Seed>,
    /// The run directory, if it holds something already.
    pub existing: Option<RunDir>,
    /// The run directory.
    pub dir: PathBuf,
    /// Settings of the linked crates.
    pub settings: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    /// The sector is removed at the end.
    pub transient: bool,
    /// The run goes on where an earlier one stopped.
    pub resume: bool,
    /// Nothing is said but in the log.
    pub quiet: bool,
    /// Where the instances run.
    pub site: Arc<dyn Site>,
}

impl Plan {
    /// Resolves a request.
    pub fn new(request: &Request, home: &Path, id: &str) -> anyhow::Result<Plan> {
        let scratch = || request.scratch.as_deref().unwrap_or(home).join("runs").join(id);
        let dir = request.run_dir.clone().unwrap_or_else(scratch);
        let existing = if request.run_dir.is_some() { RunDir::open(&dir, id)? } else { None };
        let (seed, spec) = match &existing {
            Some(existing) => (existing.manifest().seed, request.on(existing)?),
            None if request.resume => {
                return Err(Stop::Usage.error("--resume needs --run-dir with the directory of an earlier run"));
            }
            None => {
                let (seed, spec) = request.fresh()?;
                (Some(seed), spec)
            }
        };
        let environment =
            env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let settings = settings::resolve(&environment, spec.threads)?;
        let transient = request.run_dir.is_none() && !request.keep;
        Ok(Plan {
            spec,
            seed,
            existing,
            dir,
            settings,
            environment,
            transient,
            resume: request.resume,
            quiet: request.quiet,
            site: Arc::new(Processes::own()?),
        })
    }

    /// Settings of the linked crates for an instance with so many threads.
    pub fn settings(&self, threads: u32) -> anyhow::Result<BTreeMap<String, String>> {
        settings::resolve(&self.environment, threads)
    }

    /// Notes where the instances run.
    ///
    /// # Errors
    /// Exit code 2 for a run that began elsewhere: what it measured there is no repeat of what is measured here.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        let here = self.site.makes_containers();
        if self.resume && self.spec.containers != here {
            let what = if self.spec.containers { "a run of containers" } else { "a run of processes" };
            return Err(Stop::Usage.error(format!("{} holds {what}: {}", self.dir.display(), self.how_to_go_on())));
        }
        self.spec.containers = here;
        Ok(())
    }

    /// How to go on with a run that was interrupted.
    pub fn how_to_go_on(&self) -> String {
        let command = if self.spec.containers { "sealbench scale docker" } else { "sealbench run" };
        format!("continue with {command} --resume --run-dir {}", self.dir.display())
    }

    /// Refuses what this machine has no room for.
    pub fn check(&self) -> anyhow::Result<()> {
        let spec = &self.spec;
        let most = estimate::memory_at_once(spec).into_iter().max_by_key(|&(_, bytes)| bytes);
        if let Some(((phase, needed), available)) = most.zip(memory::available_bytes())
            && needed > available
        {
            return Err(Stop::Refused.error(format!(
                "{phase} of {} needs about {} of memory and {} are available: use a machine with more, fewer instances, or a smaller \
                 --sector-size",
                spec.shape,
                show(needed),
                show(available)
            )));
        }
        prepare::check_space(&self.dir, self.disk_needed(), &format!("sealing {}", spec.shape))
    }

    fn disk_needed(&self) -> u64 {
        let spec = &self.spec;
        let whole = |phase: &&Phase| {
            let key = |engine| spec.set(spec.engine_of(**phase, engine), spec.first_repeat);
            let done = |dir: &RunDir| spec.engines.iter().all(|&engine| dir.is_whole(**phase, key(engine)));
            self.existing.as_ref().is_some_and(done)
        };
        // A mix may need what no phase of it makes.
        let last = spec.phases.last().copied().unwrap_or(Phase::P4);
        let to_run =
            Phase::ALL.iter().filter(|&&phase| spec.phases.contains(&phase) || (spec.is_mix() && phase < last));
        let phases: Vec<Phase> = to_run.filter(|phase| !whole(phase)).copied().collect();
        let sets = if self.transient { 1 } else { u64::from(spec.repeats) * spec.engines.len() as u64 };
        // Every instance has its own files, and so has the one alone.
        let copies = (spec.instances.len() + if spec.alone { spec.kinds().len() } else { 0 }).max(1);
        let sets = sets * u64::from(spec.sectors) * copies as u64;
        let has_data = self.existing.as_ref().is_some_and(|dir| dir.manifest().data.is_some());
        let data = if has_data { 0 } else { spec.shape.sector_size.bytes() };
        copies as u64 * data + sets * estimate::disk(&phases, &spec.shape)
    }

    /// What would run, on stdout.
    pub fn describe(&self) {
        let spec = &self.spec;
        let mut out = std::io::stdout().lock();
        let phases: Vec<&str> = spec.phases.iter().map(|phase| phase.name()).collect();
        let engines: Vec<&str> = spec.engines.iter().map(|engine| engine.name()).collect();
        let mut lines = vec![
            format!(
                "would run {} of {} on {}, {} times",
                phases.join(","),
                spec.shape,
                engines.join(" and "),
                spec.repeats
            ),
            format!("cores {}, {} threads per pool", cores::format_list(&spec.cores), spec.threads),
            format!("directory {}, {} of space", self.dir.display(), show(self.disk_needed())),
        ];
        lines.extend(spec.instances.iter().enumerate().map(|(number, instance)| {
            let phase = instance.phase.map_or(String::new(), |phase| format!(", {phase} only"));
            format!(
                "instance {number}: cores {}, {} threads{phase}",
                cores::format_list(&instance.cores),
                instance.threads
            )
        }));
        lines.extend(spec.runs().map(|(phase, engine)| {
            format!("{phase} of {engine}, memory: about {}", show(estimate::memory(phase, engine, spec, spec.threads)))
        }));
        if spec.phases.contains(&Phase::P4) {
            let memory = ProvingMemory::new(&spec.shape, spec.params, spec.p4_partitions_at_once);
            lines.push(memory.line(spec.p4_partitions_at_once));
        }
        let _ = writeln!(out, "{}", lines.join("\n"));
    }
}
