//! A way to the socket of an engine on another machine: OpenSSH's forwarding of one.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::error::Stop;

/// How long logging in may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A forwarded socket. The remote end waits for our end of its stdin, so the tunnel ends with this process, however that ends.
#[derive(Debug)]
pub struct Tunnel {
    ssh: Child,
    dir: tempfile::TempDir,
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
        let dir = tempfile::tempdir().context("cannot make a directory for the tunnel's socket")?;
        let socket = dir.path().join("engine.sock");
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ConnectTimeout=20"]);
        command.arg("-L").arg(format!("{}:{}", socket.display(), place.socket));
        command.args(place.port.iter().flat_map(|port| ["-p".to_string(), port.to_string()]));
        command.args(["--", place.login, "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let ssh =
            command.spawn().context("cannot start ssh, which DOCKER_HOST asks for: install the OpenSSH client")?;
        let mut tunnel = Tunnel { ssh, dir };
        tunnel.wait(place.login)?;
        Ok(tunnel)
    }

    /// This end of it.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("engine.sock")
    }

    fn wait(&mut self, login: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        while !Path::exists(&self.socket()) {
            let ended = self.ssh.try_wait().context("cannot wait for ssh")?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                let _ = self.ssh.kill();
                let mut said = String::new();
                self.ssh.stderr.iter_mut().for_each(|stderr| {
                    let _ = stderr.take(4096).read_to_string(&mut said);
                });
                let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
                return Err(Stop::Refused.error(format!(
                    "cannot reach the container engine on {login} with ssh ({said}): try `ssh {login} true`; it must log in without asking"
                )));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
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
