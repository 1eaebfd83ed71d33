//! Other engines than the machine's own Docker: one that is restarted in the middle, one behind ssh, and Podman's.

mod common;

#[path = "support/absent.rs"]
mod absent;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::docker::{binary, containers, turn, words};
use common::{Home, phases, read_json, wait_for};
use serde_json::json;

const MOCK: &str =
    "--engine mock --mock mock.json --sector-size 2KiB --phases p1 --core-sets 0;1 --without-alone --json r.json";

/// A daemon of this test's own.
struct Daemon {
    process: Child,
    dir: PathBuf,
}

impl Daemon {
    fn start(program: &str, dir: &Path, words: &[String]) -> Option<Daemon> {
        let log = fs::File::create(dir.join("log")).unwrap();
        let started = Command::new(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        started.ok().map(|process| Daemon { process, dir: dir.to_path_buf() })
    }

    /// Waits until it answers at a place; `None` if it ends before.
    fn ready(mut self, answers: impl Fn() -> bool) -> Option<Daemon> {
        while !answers() {
            if self.process.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Some(self)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        // What engines mount below their directories goes with them.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|place| Path::new(place).starts_with(&self.dir));
        for place in below {
            let _ = Command::new("umount").args(["--lazy", place]).status();
        }
    }
}

/// Docker Engine once more, beside the machine's, without networks.
fn dockerd(dir: &Path) -> Option<Daemon> {
    fs::write(dir.join("config.json"), "{}").unwrap();
    let place = |name: &str| dir.join(name).display().to_string();
    let words = [
        "--config-file".into(),
        place("config.json"),
        "--data-root".into(),
        place("data"),
        "--exec-root".into(),
        place("exec"),
        "--pidfile".into(),
        place("pid"),
        "--host".into(),
        format!("unix://{}", place("engine.sock")),
        "--storage-driver".into(),
        "vfs".into(),
        "--bridge".into(),
        "none".into(),
        "--iptables=false".into(),
        "--ip-forward=false".into(),
        "--ip-masq=false".into(),
    ];
    let socket = dir.join("engine.sock");
    Daemon::start("dockerd", dir, &words)?.ready(|| std::os::unix::net::UnixStream::connect(&socket).is_ok())
}

fn host(socket: &Path) -> PathBuf {
    format!("unix://{}", socket.display()).into()
}

#[test]
fn an_engine_that_is_restarted_in_the_middle_is_said_and_nothing_keeps_running() {
    let Some(_turn) = turn() else { return absent::absent("docker", "no container engine answers") };
    let binary = binary();
    let dir = tempfile::tempdir().unwrap();
    let Some(daemon) = dockerd(dir.path()) else { return absent::absent("dockerd", "a second one does not start") };
    let home = Home::with("DOCKER_HOST", &host(&dir.path().join("engine.sock")));
    fs::write(home.path("mock.json"), r#"{"phases": {"p1": {"takes_s": 60.0}}}"#).unwrap();
    let mut run = home.spawn(&words(&binary, MOCK));
    wait_for("progress", || home.run(&common::words("scale status")).stdout.matches("p1 mock #0").count() == 2);
    let worker = |home: &Home| home.run(&common::words("scale status --json")).stdout;
    let pids: Vec<serde_json::Value> = serde_json::from_str(&worker(&home)).unwrap();
    let pids: Vec<u32> =
        pids.iter().flat_map(|line| line["pids"].as_array().unwrap()).map(|pid| pid.as_u64().unwrap() as u32).collect();
    drop(daemon);
    let _again = dockerd(dir.path()).expect("it started before");
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let said = fs::read_to_string(home.path("stderr")).unwrap();
    assert!(said.contains("the engine was restarted") || said.contains("the engine went away"), "{said}");
    assert_eq!(read_json(&home.path("r.json"))["state"], "failed");
    wait_for("the workers to end", || pids.iter().all(|&pid| !common::is_running(pid)));
    fs::write(home.path("mock.json"), "{}").unwrap();
    home.run(&words(&binary, MOCK)).success();
    assert!(home.run(&common::words("scale status")).success().stdout.contains("no containers"));
}

/// sshd for this user on a port of its own, and an `ssh` that knows it.
fn sshd(dir: &Path, port: u16) -> Option<(Daemon, PathBuf)> {
    let key = |name: &str| {
        let path = dir.join(name);
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
        made.is_ok_and(|status| status.success()).then_some(path)
    };
    let (host_key, user_key) = (key("host")?, key("user")?);
    fs::copy(dir.join("user.pub"), dir.join("authorized")).unwrap();
    fs::write(
        dir.join("sshd_config"),
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nAllowStreamLocalForwarding yes\n",
            host_key.display(),
            dir.join("sshd.pid").display(),
            dir.join("authorized").display()
        ),
    )
    .unwrap();
    fs::write(
        dir.join("ssh_config"),
        format!(
            "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  StrictHostKeyChecking no\n  UserKnownHostsFile {}\n",
            user_key.display(),
            dir.join("known").display()
        ),
    )
    .unwrap();
    let bin = dir.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all("/run/sshd").ok();
    fs::write(
        bin.join("ssh"),
        format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", dir.join("ssh_config").display()),
    )
    .unwrap();
    fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let words = ["-D", "-e", "-f", dir.join("sshd_config").to_str().unwrap()].map(String::from);
    let daemon = Daemon::start("/usr/sbin/sshd", dir, &words)?;
    let daemon = daemon.ready(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Some((daemon, bin))
}

#[test]
fn an_engine_behind_ssh_runs_the_same_instances() {
    let Some(_turn) = turn() else { return absent::absent("docker", "no container engine answers") };
    let dir = tempfile::tempdir().unwrap();
    let port = 20_000 + (std::process::id() % 20_000) as u16;
    let Some((_daemon, bin)) = sshd(dir.path(), port) else {
        return absent::absent("sshd", "openssh-server does not start");
    };
    let home = Home::with("DOCKER_HOST", format!("ssh://root@127.0.0.1:{port}").as_ref());
    let binary = binary();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let ended = home
        .command(&words(&binary, "--engine native --sector-size 2KiB --phases p1 --core-sets 0;1 --json r.json"))
        .env("PATH", &path)
        .output();
    common::Ended::from(ended.unwrap()).success();
    let record = read_json(&home.path("r.json"));
    assert_eq!(phases(&record, "p1").len(), 3);
    assert_eq!(record["containers"]["endpoint"], json!(format!("ssh://root@127.0.0.1:{port}")));
    assert_eq!(containers(), Vec::<String>::new());

    // A machine without an engine there.
    let host = format!("ssh://root@127.0.0.1:{port}/nowhere/engine.sock");
    let without = Home::with("DOCKER_HOST", host.as_ref());
    let ended = without.command(&words(&binary, "--phases p1")).env("PATH", &path).output().unwrap();
    common::Ended::from(ended).fails(3, &["no container engine answers behind ssh://", "/nowhere/engine.sock"]);

    // Nobody is there, or nobody lets in: ssh's own words.
    let elsewhere = Home::with("DOCKER_HOST", "ssh://root@127.0.0.1:1".as_ref());
    let ended = elsewhere.command(&words(&binary, "--phases p1")).env("PATH", &path).output().unwrap();
    common::Ended::from(ended).fails(3, &["127.0.0.1", "refused", "ssh root@127.0.0.1 true"]);
}

#[test]
fn podmans_socket_runs_the_same_instances() {
    let Some(_turn) = turn() else { return absent::absent("docker", "no container engine answers") };
    let binary = binary();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("podman.sock");
    let place = |name: &str| dir.path().join(name).display().to_string();
    // Podman raises limits for its containers, which not every machine allows.
    fs::write(
        place("containers.conf"),
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n",
    )
    .unwrap();
    let service = format!(
        "CONTAINERS_CONF={} podman --root {} --runroot {} --storage-driver vfs system service --time=0 unix://{}",
        place("containers.conf"),
        place("root"),
        place("run"),
        socket.display()
    );
    let started =
        Daemon::start("env", dir.path(), &common::words(&service).into_iter().map(String::from).collect::<Vec<_>>());
    let Some(_daemon) = started.and_then(|daemon| daemon.ready(|| socket.exists())) else {
        return absent::absent("podman", "its service does not start");
    };
    let home = Home::with("DOCKER_HOST", &host(&socket));
    home.run(&words(&binary, "--engine native --sector-size 2KiB --phases p1 --core-sets 0;1 --json r.json")).success();
    let record = read_json(&home.path("r.json"));
    assert!(record["containers"]["engine"].as_str().unwrap().starts_with("Podman"), "{}", record["containers"]);
    let cpus: Vec<_> =
        record["containers"]["instances"].as_array().unwrap().iter().map(|one| one["cpus"].clone()).collect();
    assert_eq!(cpus, [json!([0]), json!([1]), json!([0])]);
    assert!(home.run(&common::words("scale status")).success().stdout.contains("no containers"));
}
