//! What is written on a container: whose it is, and whether its launcher lives.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::{cores, process};

const RUN: &str = "sealbench.run";
const NAME: &str = "sealbench.instance";
const LAUNCHER: &str = "sealbench.launcher";
const PLACE: &str = "sealbench.launcher-place";
const OPENED: &str = "sealbench.opened";
const CORES: &str = "sealbench.cores";
const DIR: &str = "sealbench.dir";
const TRANSIENT: &str = "sealbench.transient";

/// A container that is not running for this long is not just being started.
const SETTLED: Duration = Duration::from_secs(600);

/// The label that every container of ours has.
pub const OURS: &str = RUN;

/// A container's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The run.
    pub run: String,
    /// The instance's name.
    pub name: String,
    /// The launcher: its process id and the start of that process in clock ticks.
    pub launcher: (u32, u64),
    /// Where that number means something, see [`here`].
    pub place: String,
    /// When the launcher began to make the run's containers, nanoseconds since 1970 by its clock.
    pub opened_ns: u128,
    /// The instance's cores.
    pub cores: Vec<usize>,
    /// The instance's directory.
    pub dir: PathBuf,
    /// Whether the run's directory goes with it.
    pub transient: bool,
}

impl Labels {
    /// As the engine keeps them.
    pub fn write(&self) -> HashMap<String, String> {
        let pairs = [
            (RUN, self.run.clone()),
            (NAME, self.name.clone()),
            (LAUNCHER, format!("{}:{}", self.launcher.0, self.launcher.1)),
            (PLACE, self.place.clone()),
            (OPENED, self.opened_ns.to_string()),
            (CORES, cores::format_list(&self.cores)),
            (DIR, self.dir.display().to_string()),
            (TRANSIENT, self.transient.to_string()),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
    }

    /// Reads them; `None` if they are not of our making.
    pub fn read(labels: &HashMap<String, String>) -> Option<Labels> {
        let text = |key: &str| labels.get(key).cloned();
        let launcher = text(LAUNCHER)?;
        let (pid, start) = launcher.split_once(':')?;
        Some(Labels {
            run: text(RUN)?,
            name: text(NAME)?,
            launcher: (pid.parse().ok()?, start.parse().ok()?),
            place: text(PLACE)?,
            opened_ns: text(OPENED)?.parse().ok()?,
            cores: cores::parse_list(&text(CORES)?).ok()?,
            dir: text(DIR)?.into(),
            transient: text(TRANSIENT)? == "true",
        })
    }

    /// Whether its launcher is gone. One of another machine or process namespace cannot be asked; but a container ends with its launcher.
    pub fn is_orphan(&self, here: &str, is_running: bool, age: Duration) -> bool {
        if self.place == here {
            return !process::is_alive(self.launcher.0, self.launcher.1);
        }
        !is_running && age > SETTLED
    }
}

/// What tells the processes of this one's numbering: the boot and the process namespace.
pub fn here() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    format!("{} {namespace}", boot.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let pid = std::process::id();
        Labels {
            run: "20261124T000000Z-00000000".into(),
            name: "instance-0".into(),
            launcher: (pid, process::start_ticks(pid).unwrap()),
            place: here(),
            opened_ns: 1,
            cores: vec![0, 1, 2, 7],
            dir: "/data/with space/instance-0".into(),
            transient: true,
        }
    }

    #[test]
    fn labels_are_read_as_written() {
        assert_eq!(Labels::read(&labels().write()), Some(labels()));
        assert_eq!(Labels::read(&HashMap::new()), None);
        let mut damaged = labels().write();
        damaged.insert(CORES.into(), "many".into());
        assert_eq!(Labels::read(&damaged), None);
    }

    #[test]
    fn an_orphan_is_one_whose_launcher_is_gone_or_that_stopped_long_ago_elsewhere() {
        let (old, new) = (Duration::from_secs(3600), Duration::from_secs(1));
        assert!(!labels().is_orphan(&here(), false, old));
        let dead = Labels { launcher: (std::process::id(), 1), ..labels() };
        assert!(dead.is_orphan(&here(), true, new));
        assert!(labels().is_orphan("elsewhere", false, old));
        assert!(!labels().is_orphan("elsewhere", true, old) && !labels().is_orphan("elsewhere", false, new));
    }
}
