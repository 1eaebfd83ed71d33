//! A SEALBENCH_HOME of its own for each test, and the program run in it.

#![allow(dead_code, reason = "every test crate uses its own part")]

pub mod docker;
pub mod mount;
#[cfg(feature = "reference")]
pub mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A home, and room for run directories beside it.
pub struct Home {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Home {
    pub fn new() -> Home {
        Home { dir: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// A home whose commands see this variable.
    pub fn with(name: &'static str, value: &Path) -> Home {
        Home { variables: vec![(name, value.to_path_buf())], ..Home::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program in this home, with nothing of the caller's settings.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealbench"));
        command.args(words).env("SEALBENCH_HOME", self.path("home")).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FIL_PROOFS_")) {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, words: &[&str]) -> Ended {
        Ended::from(self.command(words).output().unwrap())
    }

    /// A run that must succeed; returns its record.
    pub fn record(&self, words: &[&str]) -> Value {
        let file = self.path("record.json");
        let json = ["--json", file.to_str().unwrap()];
        self.run(&[words, &json].concat()).success();
        read_json(&file)
    }

    /// The program in the background, stdout and stderr to files of this home.
    pub fn spawn(&self, words: &[&str]) -> Child {
        let out = fs::File::create(self.path("stdout")).unwrap();
        let err = fs::File::create(self.path("stderr")).unwrap();
        self.command(words).stdout(out).stderr(err).spawn().unwrap()
    }
}

/// How a command ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    #[track_caller]
    pub fn success(self) -> Ended {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The exit code, and an error in one sentence that holds these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Ended {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        let error = self.stderr.lines().rev().find(|line| line.starts_with("Error:") || line.starts_with("error:"));
        let error = error.unwrap_or_else(|| panic!("no error in: {}", self.stderr));
        for word in words {
            assert!(error.contains(word), "'{word}' is not in: {error}");
        }
        self
    }
}

/// The words of a command line.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The phase's entry in a record.
#[track_caller]
pub fn phase<'a>(record: &'a Value, name: &str) -> &'a Value {
    let phases = record["phases"].as_array().unwrap();
    phases.iter().find(|phase| phase["phase"] == name).unwrap_or_else(|| panic!("no {name} in {record}"))
}

/// All entries of a phase in a record, in order.
pub fn phases(record: &Value, name: &str) -> Vec<Value> {
    record["phases"].as_array().unwrap().iter().filter(|phase| phase["phase"] == name).cloned().collect()
}

pub fn codes(record: &Value) -> Vec<&str> {
    record["validity"]["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// Waits until a condition holds; fails after a minute.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a run's log says this by now.
pub fn logged(dir: &Path, words: &str) -> bool {
    fs::read_to_string(dir.join("run.log")).is_ok_and(|log| log.contains(words))
}

/// The process id of the worker that a run's log named last.
pub fn worker_pid(dir: &Path) -> Option<u32> {
    let log = fs::read_to_string(dir.join("run.log")).ok()?;
    log.lines().rev().find_map(|line| line.split(": worker ").nth(1)?.trim().parse().ok())
}

pub fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rfind(')').is_some_and(|end| !stat[end..].starts_with(") Z") && !stat[end..].starts_with(") X"))
}

/// Sends a signal by number.
pub fn signal(pid: u32, signal: i32) {
    sealbench::host::sys::kill(pid, signal).unwrap();
}

pub fn corrupt(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 1;
    fs::write(path, bytes).unwrap();
}
