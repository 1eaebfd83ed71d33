//! One instance's container. It holds still until its launcher goes, and workers are started inside it.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, ContainerState, HostConfig, HostConfigLogConfig, Mount, MountType};
use bollard::query_parameters::{AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions};
use tokio::io::AsyncWrite;

use super::engine::Engine;
use super::labels::Labels;
use super::streams::{Outlet, split};
use crate::host::cores;
use crate::host::inside::Inside;
use crate::trial::estimate::show;
use crate::trial::launch;
use crate::trial::record::{Finding, Severity};
use crate::trial::signals::Signals;
use crate::trial::station::{Ended, Life, Running, Station};

/// Where an image has the program.
pub const PROGRAM: &str = "/sealbench";

/// What the container's first process does: nothing, until its stdin closes.
pub const HOLD: &str = "hold";

/// The first process of a container: returns when its stdin closes, and the container ends with it.
pub fn hold() -> anyhow::Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink()).context("cannot wait for the end of stdin")?;
    Ok(())
}

/// How often, and after which pause, a removal is tried before it counts as failed.
const REMOVALS: usize = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// How long a container may take to be known as ended.
const ENDING: Duration = Duration::from_secs(3);

/// How often the engine is asked whether a worker has ended.
const POLL: Duration = Duration::from_millis(20);

/// What a container is made of.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The image.
    pub image: String,
    /// Labels, with the cores and the directory.
    pub labels: Labels,
    /// NUMA nodes of the cores; empty if there is one.
    pub mems: Vec<usize>,
    /// Memory limit, bytes.
    pub memory_bytes: Option<u64>,
    /// What of the engine's machine it sees beside its own directory; of several with one target the first.
    pub binds: Vec<Bind>,
    /// Capabilities beyond none.
    pub capabilities: Vec<String>,
    /// User and group of the files it makes.
    pub user: String,
}

/// A directory or file of the engine's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Where it is there.
    pub source: PathBuf,
    /// Where the container sees it.
    pub target: PathBuf,
    /// Whether the container may only read it.
    pub read_only: bool,
}

impl Bind {
    /// The same path inside and outside.
    pub fn same(path: &Path, read_only: bool) -> Bind {
        Bind { source: path.to_path_buf(), target: path.to_path_buf(), read_only }
    }

    fn mount(&self) -> Mount {
        Mount {
            typ: Some(MountType::BIND),
            source: Some(self.source.display().to_string()),
            target: Some(self.target.display().to_string()),
            read_only: Some(self.read_only),
            ..Default::default()
        }
    }
}

/// A container that runs; removed when it is dropped.
pub struct Container {
    handle: Handle,
    /// Its stdin: while this is open, it lives.
    tether: Mutex<Option<Pin<Box<dyn AsyncWrite + Send>>>>,
    /// What the engine said when it made it.
    warnings: Vec<String>,
}

/// How to reach it.
#[derive(Clone)]
struct Handle {
    engine: Arc<Engine>,
    id: String,
    labels: Labels,
    memory_bytes: Option<u64>,
    signals: Signals,
    /// Processes that the kernel had killed in it when it was last looked at.
    oom_kills: Arc<AtomicU64>,
}

impl Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} ({})", self.handle.labels.name, self.handle.id)
    }
}

impl Container {
    /// Makes and starts a container. What fails half-way leaves none.
    pub fn start(engine: &Arc<Engine>, wanted: &Wanted, signals: &Signals) -> anyhow::Result<Container> {
        let labels = &wanted.labels;
        let name = format!("sealbench-{}-{}", labels.run, labels.name);
        let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        let body = body(wanted);
        let what = format!("cannot make the container {name}");
        let made = engine.call(&what, |docker| async move { docker.create_container(Some(options), body).await })?;
        let handle = Handle {
            engine: Arc::clone(engine),
            id: made.id,
            labels: labels.clone(),
            memory_bytes: wanted.memory_bytes,
            signals: signals.clone(),
            oom_kills: Arc::default(),
        };
        let mut container = Container { handle, tether: Mutex::new(None), warnings: made.warnings };
        let id = container.handle.id.clone();
        let attach = AttachContainerOptions { stdin: true, stream: true, ..Default::default() };
        let what = format!("cannot start the container {name}");
        let attached = engine.call(&what, |docker| async move {
            let attached = docker.attach_container(&id, Some(attach)).await?;
            docker.start_container(&id, None).await?;
            Ok(attached)
        })?;
        container.tether = Mutex::new(Some(attached.input));
        Ok(container)
    }

    /// The engine's id.
    pub fn id(&self) -> &str {
        &self.handle.id
    }

    /// What the engine said when it made it, as findings.
    pub fn warnings(&self) -> Vec<Finding> {
        let said = self.warnings.iter().map(|words| words.trim()).filter(|words| !words.is_empty());
        let finding = |words| Finding::new("engine-warning", Severity::Warning, format!("the engine says: {words}"));
        said.map(finding).collect()
    }

    /// What a process in it sees, and whether that is this file.
    pub fn look(&self, mark: &Path) -> anyhow::Result<Inside> {
        self.handle.look(mark)
    }
}

/// Ends a container and removes it. One that is just ending by itself may be in its own way, and an engine may be on its way back: both are
/// asked again.
pub fn remove(engine: &Engine, id: &str, name: &str) -> anyhow::Result<()> {
    let what = format!("cannot remove the container {name}");
    let mut last = None;
    for _ in 0..REMOVALS {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let is_gone = engine.call(&what, |docker| async move {
            match docker.remove_container(id, Some(options)).await {
                Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(true),
                Err(Error::DockerResponseServerError { status_code: 409 | 500.., .. }) => Ok(false),
                Err(error) => Err(error),
            }
        });
        match is_gone {
            Ok(true) => return Ok(()),
            Ok(false) => last = None,
            Err(error) => last = Some(error),
        }
        thread::sleep(PAUSE);
    }
    Err(last.unwrap_or_else(|| anyhow!("{what} at {}: it does not go", engine.endpoint())))
}

impl Drop for Container {
    /// What cannot be removed now is a leftover with a label: the next start finds it.
    fn drop(&mut self) {
        let tether = self.tether.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        self.handle.engine.block_on(async { drop(tether) });
        let _ = remove(&self.handle.engine, &self.handle.id, &self.handle.labels.name);
    }
}

impl Station for Container {
    fn start(&self, variables: &BTreeMap<String, String>, cwd: &Path) -> anyhow::Result<Running> {
        self.handle.start(variables, cwd)
    }
}

impl Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.labels.name)
    }
}

impl Handle {
    fn look(&self, mark: &Path) -> anyhow::Result<Inside> {
        let inside = launch::look(&Looker(self), &self.labels.cores, mark, &self.labels.dir, &self.signals)?;
        self.oom_kills.store(inside.oom_kills.unwrap_or(0), Ordering::SeqCst);
        Ok(inside)
    }

    fn out_of_memory(&self, peak_bytes: Option<u64>) -> Ended {
        let whose = format!("the container {}", self.labels.name);
        Ended::OutOfMemory { whose, limit_bytes: self.memory_bytes, peak_bytes }
    }

    fn state(&self) -> anyhow::Result<ContainerState> {
        let id = self.id.clone();
        let what = format!("cannot ask for the container {}", self.labels.name);
        let found = self.engine.call(&what, |docker| async move { docker.inspect_container(&id, None).await })?;
        Ok(found.state.unwrap_or_default())
    }
}

/// The engine's order for it: nothing that is not asked for.
fn body(wanted: &Wanted) -> ContainerCreateBody {
    let Wanted { labels, .. } = wanted;
    let mut binds = vec![Bind::same(&labels.dir, false)];
    for bind in &wanted.binds {
        if binds.iter().all(|other| other.target != bind.target) {
            binds.push(bind.clone());
        }
    }
    let memory = wanted.memory_bytes.map(|bytes| bytes.min(i64::MAX as u64) as i64);
    let host_config = HostConfig {
        cpuset_cpus: Some(cores::format_list(&labels.cores)),
        cpuset_mems: (!wanted.mems.is_empty()).then(|| cores::format_list(&wanted.mems)),
        memory,
        // As much again in swap would make an instance slow in place of stopping it.
        memory_swap: memory,
        network_mode: Some("none".into()),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".into()]),
        cap_add: Some(wanted.capabilities.clone()),
        security_opt: Some(vec!["no-new-privileges".into()]),
        mounts: Some(binds.iter().map(Bind::mount).collect()),
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        ..Default::default()
    };
    ContainerCreateBody {
        image: Some(wanted.image.clone()),
        cmd: Some(vec![HOLD.into()]),
        hostname: Some(labels.name.clone()),
        user: Some(wanted.user.clone()),
        working_dir: Some(labels.dir.display().to_string()),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        labels: Some(labels.write()),
        // The first process of a container does not hear a SIGTERM that it does not handle, and has nothing to tidy up.
        stop_signal: Some("SIGKILL".into()),
        host_config: Some(host_config),
        ..Default::default()
    }
}

impl Station for Handle {
    fn start(&self, variables: &BTreeMap<String, String>, cwd: &Path) -> anyhow::Result<Running> {
        self.start_worker(variables, cwd, false)
    }
}

/// Starts workers that find out what became of others: nobody looks what became of them.
#[derive(Debug)]
struct Looker<'a>(&'a Handle);

impl Station for Looker<'_> {
    fn start(&self, variables: &BTreeMap<String, String>, cwd: &Path) -> anyhow::Result<Running> {
        self.0.start_worker(variables, cwd, true)
    }
}

impl Handle {
    fn start_worker(&self, variables: &BTreeMap<String, String>, cwd: &Path, looks: bool) -> anyhow::Result<Running> {
        let cwd = cwd.display().to_string();
        // The image has no directory for temporary files: they belong with the phase's own.
        let temporary = std::iter::once(format!("TMPDIR={cwd}"));
        let options = CreateExecOptions {
            cmd: Some(vec![PROGRAM.to_string(), "worker".into()]),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(variables.iter().map(|(name, value)| format!("{name}={value}")).chain(temporary).collect()),
            working_dir: Some(cwd),
            ..Default::default()
        };
        let id = self.id.clone();
        let what = format!("cannot start a worker in the container {}", self.labels.name);
        let (exec, started) = self.engine.call(&what, |docker| async move {
            let exec = docker.create_exec(&id, options).await?;
            let started = docker.start_exec(&exec.id, None::<StartExecOptions>).await?;
            Ok((exec.id, started))
        })?;
        let StartExecResults::Attached { output, input } = started else {
            anyhow::bail!("{what}: the engine gave no streams");
        };
        let [stdout, stderr] = split(&self.engine, output);
        let life = Exec { container: self.clone(), exec, looks };
        Ok(Running {
            pid: life.inspect().ok().and_then(|found| found.1),
            stdin: Box::new(Outlet::new(Arc::clone(&self.engine), input)),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            life: Box::new(life),
        })
    }
}

/// A worker in a container.
struct Exec {
    container: Handle,
    exec: String,
    /// It only looks around.
    looks: bool,
}

impl Exec {
    /// Its exit code, once it has ended; and its process id on the engine's machine.
    fn inspect(&self) -> anyhow::Result<(Option<i64>, Option<u32>)> {
        let exec = self.exec.clone();
        let what = format!("cannot ask for the worker in the container {}", self.container.labels.name);
        let found = self.container.engine.call(&what, |docker| async move { docker.inspect_exec(&exec).await })?;
        let code = found.exit_code.filter(|_| found.running != Some(true));
        Ok((code, found.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid > 0)))
    }

    /// What a worker that a SIGKILL ended died of.
    fn killed(&self) -> Ended {
        let container = &self.container;
        let before = container.oom_kills.load(Ordering::SeqCst);
        match container.look(&container.labels.dir) {
            Ok(inside) if inside.oom_kills.is_some_and(|kills| kills > before) => out_of_memory(container, &inside),
            Ok(_) => Ended::Killed(9),
            Err(_) => self.gone(),
        }
    }

    /// What became of the container around it.
    fn gone(&self) -> Ended {
        let name = &self.container.labels.name;
        let (mut state, start) = (self.container.state(), Instant::now());
        // One that is just ending is still said to run.
        while state.as_ref().is_ok_and(|state| state.running == Some(true)) && start.elapsed() < ENDING {
            thread::sleep(POLL);
            state = self.container.state();
        }
        Ended::Lost(match state {
            Ok(state) if state.oom_killed == Some(true) => return self.container.out_of_memory(None),
            Ok(state) if state.running != Some(true) => format!(
                "the container {name} was stopped from outside (exit code {}): the engine was restarted, or someone removed it",
                state.exit_code.unwrap_or(-1)
            ),
            Ok(_) => format!("the engine lost the worker in the container {name}, which still runs"),
            Err(error) => format!("{error:#}: the container {name} is gone, or the engine went away while it ran"),
        })
    }
}

/// The end of a worker whose container has seen the kernel kill for memory.
fn out_of_memory(container: &Handle, inside: &Inside) -> Ended {
    let peak = inside.memory_peak_bytes;
    match inside.memory_max_bytes.zip(peak) {
        // The kernel also kills where NUMA nodes, or the whole machine, have no more.
        Some((limit, peak)) if peak < limit / 10 * 9 => Ended::Lost(format!(
            "the kernel killed a worker for memory in the container {}, whose peak of {} is far from its limit of {}: NUMA nodes {} or the \
             machine have no more",
            container.labels.name,
            show(peak),
            show(limit),
            cores::format_list(&inside.mems)
        )),
        _ => container.out_of_memory(peak),
    }
}

impl Life for Exec {
    /// The engine has no way to end one process of a container: all of it ends.
    fn kill(&mut self) {
        let id = self.container.id.clone();
        let _ = self.container.engine.call("", |docker| async move { docker.kill_container(&id, None).await });
    }

    fn wait(&mut self) -> anyhow::Result<Ended> {
        loop {
            match self.inspect() {
                Ok((Some(137), _)) if !self.looks => return Ok(self.killed()),
                // The engine's way to say a signal; none of a worker's own exit codes is one of these.
                Ok((Some(code @ (132 | 134..=139)), _)) => return Ok(Ended::Killed(code as i32 - 128)),
                Ok((Some(code), _)) => return Ok(Ended::Exited(code as i32)),
                Ok((None, _)) if self.container.state().is_ok_and(|state| state.running == Some(true)) => {
                    thread::sleep(POLL);
                }
                Ok((None, _)) | Err(_) => return Ok(self.gone()),
            }
        }
    }
}
