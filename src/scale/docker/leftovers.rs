//! Containers of ours that the engine has: those of runs that go on, and those that dead launchers left.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{ListContainersOptions, TopOptions};

use super::container::remove;
use super::engine::Engine;
use super::labels::{Labels, OURS, here};
use crate::disk::remove_dir;
use crate::sector::RunDir;
use crate::trial::status::RunStatus;

/// A container of ours.
#[derive(Clone, Debug)]
pub struct Found {
    /// The engine's id.
    pub id: String,
    /// What is written on it.
    pub labels: Labels,
    /// Whether it runs.
    pub is_running: bool,
    /// When it was made, seconds since 1970 by the engine's clock.
    pub created: i64,
}

impl Found {
    fn is_orphan(&self) -> bool {
        let age = jiff::Timestamp::now().as_second().saturating_sub(self.created);
        self.labels.is_orphan(&here(), self.is_running, Duration::from_secs(age.max(0) as u64))
    }
}

/// All containers of ours, oldest first.
pub fn list(engine: &Engine) -> anyhow::Result<Vec<Found>> {
    let filters = HashMap::from([("label".to_string(), vec![OURS.to_string()])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let found =
        engine.call("cannot list containers", |docker| async move { docker.list_containers(Some(options)).await })?;
    let mut found: Vec<Found> = found.into_iter().filter_map(read).collect();
    found.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(found)
}

fn read(summary: ContainerSummary) -> Option<Found> {
    Some(Found {
        id: summary.id?,
        labels: Labels::read(&summary.labels?)?,
        is_running: summary.state == Some(ContainerSummaryStateEnum::RUNNING),
        created: summary.created.unwrap_or(0),
    })
}

/// Removes what dead launchers left: containers, and the sectors of runs whose directory nobody named and nobody works in. `keep` is
/// the directory that the caller is about to work in, without links. Says how many containers were removed.
pub fn clean(engine: &Engine, keep: Option<&Path>) -> anyhow::Result<usize> {
    let orphans: Vec<Found> = list(engine)?.into_iter().filter(Found::is_orphan).collect();
    let mut removed = 0;
    for orphan in &orphans {
        // Another launcher that starts now may remove the same one.
        removed += usize::from(remove(engine, &orphan.id, &orphan.labels.name).is_ok());
    }
    // Whether a launcher elsewhere is gone is not known well enough to remove what it may come back to.
    let here = here();
    for orphan in orphans.iter().filter(|orphan| orphan.labels.transient && orphan.labels.place == here) {
        if let Some(dir) = run_dir(&orphan.labels).and_then(|dir| dir.canonicalize().ok())
            && keep != Some(&dir)
        {
            remove_unused(&dir)?;
        }
    }
    Ok(removed)
}

/// The run's directory by a container's labels. Anyone may write labels: it is one that a run without a directory of its own would have.
fn run_dir(labels: &Labels) -> Option<PathBuf> {
    let dir = labels.dir.parent()?;
    let is_id = labels.run.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_run = dir.ends_with(Path::new("runs").join(&labels.run)) && labels.dir.ends_with(&labels.name);
    (is_id && is_run && !labels.run.is_empty()).then(|| dir.to_path_buf())
}

/// Removes a run's directory unless it is none, someone holds its lock, or its launcher came to an end in good order and told the user how to
/// go on.
fn remove_unused(dir: &Path) -> anyhow::Result<()> {
    if RunStatus::read(dir).is_ok_and(|status| status.is_some_and(|status| status.ended)) {
        return Ok(());
    }
    match RunDir::open(dir, "") {
        Ok(Some(held)) => {
            remove_dir(dir)?;
            drop(held);
            Ok(())
        }
        Ok(None) | Err(_) => Ok(()),
    }
}

/// The processes in a container, as the engine's machine numbers them; empty if it does not say.
pub fn pids(engine: &Engine, id: &str) -> Vec<u32> {
    let options = TopOptions { ps_args: "-eo pid".into() };
    let top = engine.call("", |docker| async move { docker.top_processes(id, Some(options)).await });
    let processes = top.ok().and_then(|top| top.processes).unwrap_or_default();
    processes.iter().filter_map(|fields| fields.first()?.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(run: &str, dir: &str) -> Labels {
        Labels {
            run: run.into(),
            name: "instance-0".into(),
            launcher: (1, 1),
            place: here(),
            opened_ns: 0,
            cores: vec![0],
            dir: dir.into(),
            transient: true,
        }
    }

    #[test]
    fn only_what_looks_like_a_run_of_its_own_is_removed() {
        let of = |run, dir| run_dir(&labels(run, dir)).map(|dir| dir.display().to_string());
        assert_eq!(of("2026-a1", "/home/runs/2026-a1/instance-0"), Some("/home/runs/2026-a1".into()));
        for (run, dir) in [
            ("2026-a1", "/data/instance-0"),
            ("2026-a1", "/home/runs/2026-a2/instance-0"),
            ("2026-a1", "/home/runs/2026-a1"),
            ("..", "/home/runs/../instance-0"),
            ("", "/home/runs/instance-0"),
        ] {
            assert_eq!(of(run, dir), None, "{run} {dir}");
        }
    }
}
