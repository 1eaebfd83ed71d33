//! A container engine: where it answers, what it is, and its errors as sentences.

use std::env;
use std::fmt::{self, Debug};
use std::fs;
use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow};
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::runtime::{Builder, Runtime};

use super::tunnel::Tunnel;
use crate::error::Stop;

/// Where Docker Engine listens.
const SOCKET: &str = "/var/run/docker.sock";

/// How long an answer may take, seconds: a busy machine starts containers slowly.
const TIMEOUT_S: u64 = 90;

/// An engine that answers.
pub struct Engine {
    runtime: Runtime,
    docker: Docker,
    endpoint: String,
    name: String,
    is_remote: bool,
    is_rootless: bool,
    /// It once gave no answer in time: it is not waited for again.
    is_silent: AtomicBool,
    _tunnel: Option<Tunnel>,
}

impl Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.endpoint)
    }
}

impl Engine {
    /// The engine that DOCKER_HOST names (`unix://PATH` or `ssh://[USER@]HOST[:PORT][/PATH]`), else the one of this machine. Podman's socket
    /// speaks the same language.
    ///
    /// # Errors
    /// Exit code 3, with the socket and, where that is what is missing, the group that may use it.
    pub fn connect() -> anyhow::Result<Engine> {
        let host = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let endpoint = host.unwrap_or_else(|| format!("unix://{SOCKET}"));
        let (socket, tunnel) = match endpoint.split_once("://") {
            Some(("unix", path)) => (PathBuf::from(path), None),
            Some(("ssh", place)) => {
                let tunnel = Tunnel::open(place, SOCKET)?;
                (tunnel.socket().to_path_buf(), Some(tunnel))
            }
            _ => {
                return Err(Stop::Usage.error(format!(
                    "DOCKER_HOST is '{}': name a socket, as in unix://{SOCKET}, or a machine, as in ssh://user@host",
                    endpoint.escape_debug()
                )));
            }
        };
        check_socket(&socket)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("engine").enable_all().build();
        let runtime = runtime.context("cannot start the thread that talks to the engine")?;
        let connect = || Docker::connect_with_unix(&socket.to_string_lossy(), TIMEOUT_S, API_DEFAULT_VERSION);
        let is_remote = tunnel.is_some();
        let docker = {
            let _inside = runtime.enter();
            connect().map_err(|error| anyhow!(error)).with_context(|| format!("cannot talk to {endpoint}"))?
        };
        let mut engine = Engine {
            runtime,
            docker,
            endpoint,
            name: String::new(),
            is_remote,
            is_rootless: false,
            is_silent: AtomicBool::new(false),
            _tunnel: tunnel,
        };
        let answer = engine.call("no answer", |docker| docker.negotiate_version());
        engine.docker = answer.map_err(|error| if is_remote { nobody_there(&engine.endpoint) } else { error })?;
        engine.name = engine.call("no answer", |docker| async move { docker.version().await.map(describe) })?;
        let info = engine.call("no answer", |docker| async move { docker.info().await })?;
        // Not every Podman says so; but then its socket is a user's.
        let is_a_users = !is_remote && fs::metadata(&socket).is_ok_and(|found| found.uid() != 0);
        engine.is_rootless =
            is_a_users || info.security_options.iter().flatten().any(|option| option == "name=rootless");
        Ok(engine)
    }

    /// What it calls itself, e.g. "Docker Engine 20.10.24".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it answers, as DOCKER_HOST says it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether it may be on another machine.
    pub fn is_remote(&self) -> bool {
        self.is_remote
    }

    /// Whether it runs without root: its containers' root is the user that it runs as.
    pub fn is_rootless(&self) -> bool {
        self.is_rootless
    }

    /// Asks the engine; what fails is `what`, at this engine, with its own words.
    pub fn call<T, F>(&self, what: &str, ask: impl FnOnce(Docker) -> F) -> anyhow::Result<T>
    where
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        if self.is_silent.load(Ordering::SeqCst) {
            anyhow::bail!("{what}: the engine at {} does not answer any more", self.endpoint);
        }
        self.runtime.block_on(ask(self.docker.clone())).map_err(|error| {
            if matches!(error, bollard::errors::Error::RequestTimeoutError) {
                self.is_silent.store(true, Ordering::SeqCst);
            }
            self.explain(what, error)
        })
    }

    /// Runs something that belongs to the engine's thread.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Does something on the engine's thread while others go on.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    fn explain(&self, what: &str, error: bollard::errors::Error) -> anyhow::Error {
        use bollard::errors::Error;
        let words = match &error {
            Error::DockerResponseServerError { message, .. } => message.trim().to_string(),
            _ => format!("{:#}", anyhow!(error)),
        };
        anyhow!("{what} at {}: {words}", self.endpoint)
    }
}

/// ssh reached the machine, and no engine is behind the socket there.
fn nobody_there(endpoint: &str) -> anyhow::Error {
    Stop::Refused.error(format!(
        "no container engine answers behind {endpoint}: start it there, name its socket as in ssh://user@host/run/podman/podman.sock, or let \
         this user use it (group docker)"
    ))
}

/// What an engine calls itself, with its version. Docker's is just "Engine".
fn describe(version: bollard::models::SystemVersion) -> String {
    let component = version.components.unwrap_or_default().into_iter().next().map(|component| component.name);
    let name = component.filter(|name| name != "Engine").unwrap_or_else(|| "Docker Engine".into());
    format!("{name} {}", version.version.unwrap_or_default()).trim_end().into()
}

/// Says why nobody answers at a socket, if nobody does.
fn check_socket(socket: &Path) -> anyhow::Result<()> {
    let Err(error) = UnixStream::connect(socket) else { return Ok(()) };
    let at = socket.display();
    Err(Stop::Refused.error(match error.kind() {
        ErrorKind::NotFound => format!(
            "no container engine listens at {at}: start it (Docker: systemctl start docker, or dockerd), or name another with DOCKER_HOST"
        ),
        ErrorKind::ConnectionRefused => {
            format!("the container engine at {at} does not run any more, only its socket is left: start it again")
        }
        ErrorKind::PermissionDenied => {
            let group = fs::metadata(socket).ok().map(|file| group_name(file.gid()));
            let group = group.unwrap_or_else(|| "docker".into());
            format!("no permission for the container engine at {at}: become a member of the group {group} (usermod -aG {group} $USER, then log in again) or run as root")
        }
        _ => format!("cannot reach the container engine at {at}: {error}"),
    }))
}

/// A group's name; its number if it has none here.
fn group_name(gid: u32) -> String {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id == gid.to_string()).then(|| name.to_string())
    });
    named.unwrap_or_else(|| gid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::stop_of;

    #[test]
    fn a_socket_that_is_not_there_or_dead_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let error = check_socket(&socket).unwrap_err();
        assert_eq!(stop_of(&error), Some(Stop::Refused));
        assert!(format!("{error}").contains("engine.sock") && format!("{error}").contains("DOCKER_HOST"), "{error}");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(format!("{}", check_socket(&socket).unwrap_err()).contains("only its socket is left"));
    }

    #[test]
    fn groups_have_names() {
        assert_eq!(group_name(0), "root");
        assert_eq!(group_name(4_000_000), "4000000");
    }
}
