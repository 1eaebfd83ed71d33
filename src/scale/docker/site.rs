//! The containers of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

use super::container::{Bind, Container, Wanted};
use super::engine::Engine;
use super::image::Image;
use super::labels::{Labels, here};
use super::leftovers::{self, Found};
use super::share::{Limit, Need, Share, shares};
use crate::error::Stop;
use crate::host::inside::Inside;
use crate::host::{BuildInfo, HostInfo, NumaNode, cores, memory, process, sys};
use crate::trial::estimate::show;
use crate::trial::record::{self, Containers, Finding, Severity};
use crate::trial::signals::Signals;
use crate::trial::station::{Berth, Opened, Site, Station};

/// What is missing without each capability that is asked for.
const WITHOUT: [(&str, &str); 3] = [
    ("IPC_LOCK", "reserved huge pages may be refused"),
    ("SYS_NICE", "memory stays where the kernel put it"),
    ("PERFMON", "hardware counters are not there"),
];

/// Where instances run as containers.
#[derive(Debug)]
pub struct ContainerSite {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The image.
    pub image: Image,
    /// Memory limit of each container.
    pub memory: Limit,
    /// The machine's NUMA nodes.
    pub nodes: Vec<NumaNode>,
    /// Whether reserved huge pages were asked for.
    pub reserved_pages: bool,
    /// What single instances have for themselves; empty if none has.
    pub own: Vec<Own>,
    /// What a reader of the record must know beforehand.
    pub findings: Vec<Finding>,
    /// Whether the run's directory goes with it.
    pub transient: bool,
}

/// What one instance has for itself.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// What it sees of the engine's machine beside what it needs.
    pub binds: Vec<Bind>,
    /// Its memory limit, if that is not everyone's, bytes.
    pub memory_bytes: Option<u64>,
}

impl Site for ContainerSite {
    fn makes_containers(&self) -> bool {
        true
    }

    fn open(&self, run: &str, berths: &[Berth], reads: &[PathBuf], signals: &Signals) -> anyhow::Result<Opened> {
        let capabilities = self.capabilities();
        let opened_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let shares = self.shares(berths.iter().map(|berth| (berth.instance, &*berth.cores, berth.memory_bytes)));
        let wanted = berths.iter().map(|berth| {
            let share = &shares[berth.instance as usize];
            let own = self.own(berth.instance as usize).binds;
            Wanted {
                image: self.image.digest.clone(),
                labels: self.labels(run, opened_ns, berth),
                mems: share.mems.clone(),
                memory_bytes: share.memory_bytes,
                binds: reads.iter().map(|path| Bind::same(path, true)).chain(own).collect(),
                capabilities: capabilities.clone(),
                user: self.user(),
            }
        });
        let wanted: Vec<Wanted> = wanted.collect();
        let started = self.start_all(&wanted, signals)?;
        self.check_cores(run, opened_ns, berths)?;
        let opened: Vec<(Arc<Container>, Inside)> =
            started.into_iter().map(|(container, inside)| (Arc::new(container), inside)).collect();
        let seen = opened.iter().zip(&wanted).flat_map(|((_, inside), wanted)| differences(wanted, inside));
        let said = opened.iter().flat_map(|(container, _)| container.warnings());
        let tight = berths.iter().flat_map(|berth| too_little(berth, &shares[berth.instance as usize]));
        let findings = self.findings.iter().cloned().chain(said).chain(tight).chain(seen).collect();
        Ok(Opened {
            build: opened.first().map(|(_, inside)| inside.build.clone()),
            host: self.host(&opened),
            containers: Some(self.disclose(&opened, berths)),
            findings,
            stations: opened.into_iter().map(|(container, _)| container as Arc<dyn Station>).collect(),
        })
    }
}

impl ContainerSite {
    /// What an instance has for itself.
    pub fn own(&self, instance: usize) -> Own {
        self.own.get(instance).cloned().unwrap_or_default()
    }

    /// What each instance may use of the memory. Asked for are the number, cores and memory of each; one that is measured alone has its
    /// kind's number, and part.
    pub fn shares<'a>(&self, asked: impl Iterator<Item = (u32, &'a [usize], u64)>) -> Vec<Share> {
        let need = |(number, cores, memory_bytes): (u32, &[usize], u64)| {
            let own_limit = self.own(number as usize).memory_bytes;
            (number, Need { cores: cores.to_vec(), memory_bytes, own_limit })
        };
        let needs: BTreeMap<u32, Need> = asked.map(need).collect();
        let needs: Vec<Need> = needs.into_values().collect();
        shares(&needs, self.memory, memory::available_bytes(), &self.nodes)
    }

    /// User and group of the files that containers make: the launcher's, whom an engine that runs without root knows as root.
    pub fn user(&self) -> String {
        let (user, group) = if self.engine.is_rootless() { (0, 0) } else { sys::user() };
        format!("{user}:{group}")
    }

    /// What this run needs beyond nothing.
    pub fn capabilities(&self) -> Vec<String> {
        let asked = [("PERFMON", true), ("IPC_LOCK", self.reserved_pages), ("SYS_NICE", self.nodes.len() > 1)];
        asked.into_iter().filter(|(_, needed)| *needed).map(|(name, _)| name.to_string()).collect()
    }

    fn labels(&self, run: &str, opened_ns: u128, berth: &Berth) -> Labels {
        let pid = std::process::id();
        Labels {
            run: run.to_string(),
            name: berth.name.clone(),
            launcher: (pid, process::start_ticks(pid).unwrap_or(0)),
            place: here(),
            opened_ns,
            cores: berth.cores.clone(),
            dir: berth.dir.clone(),
            transient: self.transient,
        }
    }

    /// Starts all at once and looks around in each; if one fails, none is left.
    fn start_all(&self, wanted: &[Wanted], signals: &Signals) -> anyhow::Result<Vec<(Container, Inside)>> {
        thread::scope(|scope| {
            let start = |wanted| scope.spawn(move || self.start(wanted, signals));
            let threads: Vec<_> = wanted.iter().map(start).collect();
            let started: Vec<_> =
                threads.into_iter().map(|thread| thread.join().expect("starting a container does not panic")).collect();
            started.into_iter().collect()
        })
    }

    fn start(&self, wanted: &Wanted, signals: &Signals) -> anyhow::Result<(Container, Inside)> {
        let dir = &wanted.labels.dir;
        let mark = dir.join(format!(".mark-{}", wanted.labels.run));
        fs::write(&mark, b"").with_context(|| format!("cannot write {}", mark.display()))?;
        let started = self.start_with_what_is_known(wanted, signals).map_err(|error| self.explain(error, dir));
        let looked = started.and_then(|container| Ok((container.look(&mark)?, container)));
        let removed = fs::remove_file(&mark).with_context(|| format!("cannot remove {}", mark.display()));
        let (inside, container) = looked?;
        removed?;
        if !inside.sees_mark {
            return Err(self.unseen(dir));
        }
        if !inside.writes_mark {
            return Err(Stop::Refused.error(format!(
                "containers of the engine at {} run as user {} and may not write {}: name a --run-dir that belongs to that user",
                self.engine.endpoint(),
                wanted.user,
                dir.display()
            )));
        }
        Ok((container, inside))
    }

    /// An engine that does not know a capability makes no container; it gets the order without it.
    fn start_with_what_is_known(&self, wanted: &Wanted, signals: &Signals) -> anyhow::Result<Container> {
        let mut wanted = wanted.clone();
        loop {
            let error = match Container::start(&self.engine, &wanted, signals) {
                Ok(container) => return Ok(container),
                Err(error) => error,
            };
            let words = format!("{error:#}");
            let before = wanted.capabilities.len();
            wanted.capabilities.retain(|name| !(words.contains("capability") && words.contains(name.as_str())));
            if wanted.capabilities.len() == before {
                return Err(error);
            }
        }
    }

    /// An engine on another machine says so by not having a directory.
    fn explain(&self, error: anyhow::Error, dir: &Path) -> anyhow::Error {
        let missing = format!("bind source path does not exist: {}", dir.display());
        if format!("{error:#}").contains(&missing) { self.unseen(dir) } else { error }
    }

    fn unseen(&self, dir: &Path) -> anyhow::Error {
        Stop::Refused.error(format!(
            "the engine at {} does not see {}: it runs on another machine; name a --run-dir, and a SEALBENCH_HOME, on storage that both \
             have at the same path",
            self.engine.endpoint(),
            dir.display()
        ))
    }

    /// Two runs on the same cores measure each other: the one that came later gives way. On one machine the core lock has decided that
    /// already; this is for launchers on several.
    fn check_cores(&self, run: &str, opened_ns: u128, berths: &[Berth]) -> anyhow::Result<()> {
        let cores: Vec<usize> = berths.iter().flat_map(|berth| &berth.cores).copied().collect();
        let is_earlier = |found: &Found| (found.labels.opened_ns, found.labels.run.as_str()) < (opened_ns, run);
        for found in leftovers::list(&self.engine)?.iter().filter(|found| found.is_running && is_earlier(found)) {
            let shared: Vec<usize> = found.labels.cores.iter().copied().filter(|core| cores.contains(core)).collect();
            if !shared.is_empty() {
                return Err(Stop::Refused.error(format!(
                    "cores {} are used by the container {} of run {}: wait for it, or name other --cores",
                    cores::format_list(&shared),
                    found.labels.name,
                    found.labels.run
                )));
            }
        }
        Ok(())
    }

    /// The machine that measured, if it is not this one.
    fn host(&self, opened: &[(Arc<Container>, Inside)]) -> Option<HostInfo> {
        opened.first().filter(|_| self.engine.is_remote()).map(|(_, inside)| inside.host.clone())
    }

    fn disclose(&self, opened: &[(Arc<Container>, Inside)], berths: &[Berth]) -> Containers {
        let instance = |((container, inside), berth): (&(Arc<Container>, Inside), &Berth)| record::Container {
            name: berth.name.clone(),
            instance: berth.instance,
            id: container.id().to_string(),
            cpus: inside.cpus.clone(),
            mems: inside.mems.clone(),
            memory_max_bytes: inside.memory_max_bytes,
            capabilities: inside.capabilities.clone(),
        };
        Containers {
            engine: self.engine.name().to_string(),
            endpoint: self.engine.endpoint().to_string(),
            image: self.image.name.clone(),
            image_digest: self.image.digest.clone(),
            target_cpu: opened.first().map_or_else(String::new, |(_, inside)| target_cpu(&inside.build)),
            instances: opened.iter().zip(berths).map(instance).collect(),
        }
    }
}

/// The CPU that a binary was built for, by the flags that it was built with.
fn target_cpu(build: &BuildInfo) -> String {
    let named = build.rustflags.iter().find_map(|flag| flag.split_once("target-cpu=").map(|(_, cpu)| cpu));
    named.unwrap_or("x86-64").to_string()
}

/// What is not as it was asked for.
fn differences(wanted: &Wanted, inside: &Inside) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, without) in WITHOUT {
        if wanted.capabilities.iter().any(|asked| asked == name) && !inside.capabilities.iter().any(|has| has == name) {
            let root = if wanted.user.starts_with("0:") { "" } else { " (only root in a container has any)" };
            let text = format!("the containers have no {name}{root}: {without}");
            findings.push(Finding::new("capability-refused", Severity::Info, text));
        }
    }
    let mut asked = wanted.labels.cores.clone();
    asked.sort_unstable();
    let cpus = ("cores", &inside.cpus, &asked);
    let mems = ("NUMA nodes", &inside.mems, &wanted.mems);
    for (what, got, asked) in [cpus, mems] {
        if got != asked && !asked.is_empty() {
            let [got, asked] = [got, asked].map(|list| cores::format_list(list));
            let name = &wanted.labels.name;
            let text = format!("the container {name} may use {what} {got} where {asked} were asked for");
            findings.push(Finding::new("cpuset-not-honoured", Severity::Error, text));
        }
    }
    // The kernel rounds a limit down to a page.
    if wanted.memory_bytes.is_some_and(|asked| inside.memory_max_bytes.is_none_or(|limit| limit > asked)) {
        let text = format!("the engine gave the container {} no memory limit", wanted.labels.name);
        findings.push(Finding::new("memory-limit-not-honoured", Severity::Warning, text));
    }
    findings
}

/// Memory that will hardly do.
fn too_little(berth: &Berth, share: &Share) -> Vec<Finding> {
    let (name, needed) = (&berth.name, show(berth.memory_bytes));
    let limit = share.memory_bytes.filter(|&limit| limit < berth.memory_bytes).map(|limit| {
        let text = format!("the container {name} needs about {needed} and its limit is {}: see --memory", show(limit));
        Finding::new("memory-limit-tight", Severity::Warning, text)
    });
    let far = share.is_far.then(|| {
        let text = format!(
            "the container {name} is not bound to the NUMA nodes of its cores: they have less than is needed there"
        );
        Finding::new("memory-far", Severity::Warning, text)
    });
    limit.into_iter().chain(far).collect()
}
