//! Where a worker runs: as a process of this machine, or in what another room of the house puts around it.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Debug;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::Context;

use crate::host::{BuildInfo, HostInfo};
use crate::trial::launch;
use crate::trial::record::{Containers, Finding};
use crate::trial::signals::Signals;

/// Variables of the caller that a worker keeps. Everything else it gets is chosen by the launcher.
const KEPT: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "RUST_BACKTRACE"];

/// A place where workers are started.
pub trait Station: Debug + Send + Sync {
    /// Starts `sealbench worker` in a directory, with the variables given and no others of the caller's that could matter.
    fn start(&self, variables: &BTreeMap<String, String>, cwd: &Path) -> anyhow::Result<Running>;
}

/// A worker that runs. It ends when its stdin closes.
pub struct Running {
    /// Its process id on this machine, if it has one there.
    pub pid: Option<u32>,
    /// The trial goes in here, and what it is told later.
    pub stdin: Box<dyn Write + Send>,
    /// The report.
    pub stdout: Box<dyn Read + Send>,
    /// Messages and lines for the log.
    pub stderr: Box<dyn Read + Send>,
    /// Its life.
    pub life: Box<dyn Life>,
}

/// The end of a worker.
pub trait Life {
    /// Ends it at once.
    fn kill(&mut self);
    /// Waits until it has ended.
    fn wait(&mut self) -> anyhow::Result<Ended>;
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Killed(i32),
    /// By the kernel, for memory beyond its control group's limit.
    OutOfMemory {
        /// What has the limit, e.g. "container instance-0".
        whose: String,
        /// The limit, bytes.
        limit_bytes: Option<u64>,
        /// The most that was in use, bytes.
        peak_bytes: Option<u64>,
    },
    /// With all that was around it; the sentence says why.
    Lost(String),
}

/// What makes the stations of a run's instances.
pub trait Site: Debug + Send + Sync {
    /// Whether its stations are containers. They must have their cores to themselves, reportable or not, and this process must remove them:
    /// nothing ends it half-way.
    fn makes_containers(&self) -> bool {
        false
    }

    /// Makes a station for each berth, before anything is measured.
    fn open(&self, run: &str, berths: &[Berth], reads: &[PathBuf], signals: &Signals) -> anyhow::Result<Opened>;
}

/// What a station is for.
#[derive(Clone, Debug)]
pub struct Berth {
    /// The instance's number; one that is measured alone has its kind's.
    pub instance: u32,
    /// Its name in the run: that of its directory.
    pub name: String,
    /// The only directory that it writes.
    pub dir: PathBuf,
    /// Its cores.
    pub cores: Vec<usize>,
    /// Memory that it will need, bytes.
    pub memory_bytes: u64,
}

/// Stations, and what a record says of them.
#[derive(Debug)]
pub struct Opened {
    /// One for each berth, in order.
    pub stations: Vec<Arc<dyn Station>>,
    /// The binary that works there, if it is not this one.
    pub build: Option<BuildInfo>,
    /// The machine that works there, if it may be another one.
    pub host: Option<HostInfo>,
    /// The containers, if they are any.
    pub containers: Option<Containers>,
    /// What a reader must know.
    pub findings: Vec<Finding>,
}

/// Processes of this machine.
#[derive(Clone, Debug)]
pub struct Processes {
    exe: PathBuf,
    /// Whether that is another build of this program.
    is_other: bool,
}

impl Processes {
    /// Of this program itself.
    pub fn own() -> anyhow::Result<Processes> {
        let exe = env::current_exe().context("cannot find this program's own file")?;
        Ok(Processes { exe, is_other: false })
    }

    /// Of another build of this program.
    pub fn of(exe: PathBuf) -> Processes {
        Processes { exe, is_other: true }
    }
}

impl Site for Processes {
    fn open(&self, _: &str, berths: &[Berth], _: &[PathBuf], signals: &Signals) -> anyhow::Result<Opened> {
        let stations = berths.iter().map(|_| Arc::new(self.clone()) as Arc<dyn Station>).collect();
        let other = berths.first().filter(|_| self.is_other);
        let look = |berth: &Berth| launch::look(self, &berth.cores, &berth.dir, &berth.dir, signals);
        let build = other.map(look).transpose()?.map(|inside| inside.build);
        Ok(Opened { stations, build, host: None, containers: None, findings: Vec::new() })
    }
}

impl Station for Processes {
    /// The worker is in a process group of its own, so a terminal's Ctrl-C reaches the launcher alone.
    fn start(&self, variables: &BTreeMap<String, String>, cwd: &Path) -> anyhow::Result<Running> {
        let mut child = Command::new(&self.exe)
            .arg("worker")
            .env_clear()
            .envs(KEPT.iter().filter_map(|name| Some((name, env::var_os(name)?))))
            .envs(variables)
            .current_dir(cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start a worker from {}", self.exe.display()))?;
        Ok(Running {
            pid: Some(child.id()),
            stdin: Box::new(child.stdin.take().expect("stdin is piped")),
            stdout: Box::new(child.stdout.take().expect("stdout is piped")),
            stderr: Box::new(child.stderr.take().expect("stderr is piped")),
            life: Box::new(child),
        })
    }
}

impl Life for Child {
    fn kill(&mut self) {
        // One that has ended already is what is asked for.
        let _ = Child::kill(self);
    }

    fn wait(&mut self) -> anyhow::Result<Ended> {
        let status = Child::wait(self).context("cannot wait for the worker")?;
        Ok(match status.signal() {
            Some(signal) => Ended::Killed(signal),
            None => Ended::Exited(status.code().unwrap_or(-1)),
        })
    }
}
