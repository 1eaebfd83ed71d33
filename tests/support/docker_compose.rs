//! The program that reads Compose files, if there is one.

use std::path::Path;
use std::process::{Command, Output};

use super::absent;

/// What `docker compose` or `docker-compose` makes of the `compose.yaml` in a directory; `None` where there is neither.
pub fn config(dir: &Path) -> Option<Output> {
    for words in [&["docker", "compose"][..], &["docker-compose"]] {
        let command = || {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).current_dir(dir);
            command
        };
        if command().arg("version").output().is_ok_and(|output| output.status.success()) {
            return command().args(["--file", "compose.yaml", "config"]).output().ok();
        }
    }
    absent::absent("docker-compose", "there is neither docker compose nor docker-compose");
    None
}
