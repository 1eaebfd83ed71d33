//! A way to the socket of an engine on another machine: OpenSSH's forwarding of one.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::disk::remove_dir;
use crate::error::Stop;
use crate::host::{process, sys};

/// Nobody is asked, nothing is shared with the user's other connections, and a peer that is gone is noticed within a minute.
const OPTIONS: [&str; 7] = [
    "BatchMode=yes",
    "ExitOnForwardFailure=yes",
    "ConnectTimeout=20",
    "ControlMaster=no",
    "ControlPath=none",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
];

/// Name of the socket in the tunnel's directory.
const SOCKET: &str = "engine.sock";

/// More than this of what ssh says is not kept, bytes.
const MAX_SAID: usize = 4096;

/// How long logging in may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Directories of tunnels are named after the process that uses them.
const DIR: &str = "sealbench-tunnel-";

/// A forwarded socket. The remote end waits for our end of its stdin, so the tunnel ends with this process, however that ends.
#[derive(Debug)]
pub struct Tunnel {
    ssh: Child,
    dir: PathBuf,
    /// What ssh said, as far as it has.
    said: Arc<Mutex<String>>,
}

/// Where an engine is.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    login: &'a str,
    port: Option<u16>,
    socket: String,
}

impl Tunnel {
    /// Opens a tunnel to `[USER@]HOST[:PORT][/SOCKET]`; without a path to the engine's usual socket. Nobody is asked for a password.
    pub fn open(place: &str, usual: &str) -> anyhow::Result<Tunnel> {
        let place = parse(place, usual).ok_or_else(|| {
            Stop::Usage
                .error(format!("DOCKER_HOST ssh://{} names no machine: write ssh://user@host", place.escape_debug()))
        })?;
        let dir = own_dir()?;
        let mut command = Command::new("ssh");
        for option in OPTIONS {
            command.args(["-o", option]);
        }
        command.arg("-T").arg("-L").arg(format!("{}:{}", dir.join(SOCKET).display(), place.socket));
        command.args(place.port.iter().flat_map(|port| ["-p".to_string(), port.to_string()]));
        command.args(["--", place.login, "cat"]);
        // A group of its own: a terminal's Ctrl-C is for the launcher, which still needs the engine.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut ssh =
            command.spawn().context("cannot start ssh, which DOCKER_HOST asks for: install the OpenSSH client")?;
        let said = Arc::default();
        listen(ssh.stderr.take().expect("stderr is piped"), Arc::clone(&said));
        let mut tunnel = Tunnel { ssh, dir, said };
        tunnel.wait(place.login)?;
        Ok(tunnel)
    }

    /// This end of it.
    pub fn socket(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    fn wait(&mut self, login: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        while !self.socket().exists() {
            let ended = self.ssh.try_wait().context("cannot wait for ssh")?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                // Its last words are on their way.
                thread::sleep(Duration::from_millis(100));
                return Err(Stop::Refused.error(format!(
                    "cannot reach the container engine on {login} with ssh ({}): try `ssh {login} true`; it must log in without asking",
                    self.said()
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What ssh said, in one line.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
        let _ = remove_dir(&self.dir);
    }
}

/// Keeps the first part of what ssh says, and lets it go on.
fn listen(mut stderr: ChildStderr, said: Arc<Mutex<String>>) {
    thread::spawn(move || {
        let mut piece = [0; 1024];
        while let Ok(read @ 1..) = stderr.read(&mut piece) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < MAX_SAID {
                said.push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        }
    });
}

/// A new directory that only this user sees; those of processes that are gone make room.
fn own_dir() -> anyhow::Result<PathBuf> {
    let base = std::env::temp_dir();
    for entry in fs::read_dir(&base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(DIR).and_then(|rest| {
            let mut parts = rest.split('-');
            Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
        });
        let own = entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == sys::user().0);
        if own && owner.is_some_and(|(pid, start)| !process::is_alive(pid, start)) {
            // Somebody else may be removing it too.
            let _ = remove_dir(&entry.path());
        }
    }
    let pid = std::process::id();
    let prefix = format!("{DIR}{pid}-{}-", process::start_ticks(pid).unwrap_or(0));
    let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(&base);
    Ok(dir.context("cannot make a directory for the tunnel's socket")?.keep())
}

/// The parts of `[USER@]HOST[:PORT][/SOCKET]`. A name that ssh could take for an option is none.
fn parse<'a>(place: &'a str, usual: &str) -> Option<Place<'a>> {
    let (machine, socket) = match place.find('/') {
        Some(at) if place.len() > at + 1 => (&place[..at], place[at..].to_string()),
        Some(at) => (&place[..at], usual.to_string()),
        None => (place, usual.to_string()),
    };
    let (login, port) = match machine.rsplit_once(':') {
        Some((login, port)) if !port.contains(']') => (login, Some(port.parse().ok()?)),
        _ => (machine, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "@.-_[]:%".contains(c);
    let sound = !login.is_empty() && !login.starts_with('-') && login.chars().all(plain) && !socket.contains(':');
    sound.then_some(Place { login, port, socket })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let of = |place| parse(place, "/usual").map(|place| (place.login.to_string(), place.port, place.socket));
        assert_eq!(of("me@host"), Some(("me@host".into(), None, "/usual".into())));
        assert_eq!(of("host:2222/run/podman.sock"), Some(("host".into(), Some(2222), "/run/podman.sock".into())));
        assert_eq!(of("host/"), Some(("host".into(), None, "/usual".into())));
        for wrong in ["", "-oProxyCommand=x", "host:port", "a b", "host;id", "host/a:b", "$(id)"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
