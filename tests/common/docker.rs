//! Docker Engine as it runs on this machine, and one static image for all tests.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::{Ended, Home};

/// Runs of containers hold cores: those of this file take turns.
static TURN: Mutex<()> = Mutex::new(());

/// A turn with the engine; `None` where none answers.
pub fn turn() -> Option<MutexGuard<'static, ()>> {
    let answers = docker(&["version"]).status.success();
    answers.then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

pub fn docker(words: &[&str]) -> Output {
    Command::new("docker").args(words).env_remove("DOCKER_HOST").output().unwrap()
}

/// Containers of ours that there are, running or not.
pub fn containers() -> Vec<String> {
    let listed = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", "label=sealbench.run"]);
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_string).collect()
}

/// The static binary of the images, built once by the command itself; SEALBENCH_TEST_BINARY names one that is there.
pub fn binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        if let Some(there) = std::env::var_os("SEALBENCH_TEST_BINARY") {
            return there.into();
        }
        let home = Home::new();
        let words = ["scale", "docker", "--phases", "p1", "--sector-size", "2KiB", "--target-cpu", "native"];
        home.run(&words).success();
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/image/native/x86_64-unknown-linux-gnu/release/sealbench")
    };
    BUILT.get_or_init(build).clone()
}

impl Home {
    /// `sealbench scale docker` with the image of all tests.
    pub fn scale(&self, line: &str) -> Ended {
        let binary = binary();
        self.run(&words(&binary, line))
    }
}

/// The words of a command line of `scale docker`.
pub fn words<'a>(binary: &'a std::path::Path, line: &'a str) -> Vec<&'a str> {
    let start = ["scale", "docker", "--binary", binary.to_str().unwrap()];
    start.into_iter().chain(super::words(line)).collect()
}
