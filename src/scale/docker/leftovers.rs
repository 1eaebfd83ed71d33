//! Containers of ours that the engine has: those of runs that go on, and those that dead launchers left.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{ListContainersOptions, TopOptions};

use super::container::remove;
use super::engine::Engine;
use super::labels::{Labels, OURS, here};
use crate::disk::remove_dir;

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

/// Removes what dead launchers left, containers and the sectors of runs that nobody wanted to keep; says how many containers that were.
pub fn clean(engine: &Engine, home: &Path) -> anyhow::Result<usize> {
    let orphans: Vec<Found> = list(engine)?.into_iter().filter(Found::is_orphan).collect();
    for orphan in &orphans {
        remove(engine, &orphan.id, &orphan.labels.name)?;
        // Anyone may write labels: only what is where such runs are is removed.
        let dir = home.join("runs").join(&orphan.labels.run);
        if orphan.labels.transient && is_id(&orphan.labels.run) && orphan.labels.dir.starts_with(&dir) {
            remove_dir(&dir)?;
        }
    }
    Ok(orphans.len())
}

/// The processes in a container, as the engine's machine numbers them; empty if it does not say.
pub fn pids(engine: &Engine, id: &str) -> Vec<u32> {
    let options = TopOptions { ps_args: "-eo pid".into() };
    let top = engine.call("", |docker| async move { docker.top_processes(id, Some(options)).await });
    let processes = top.ok().and_then(|top| top.processes).unwrap_or_default();
    processes.iter().filter_map(|fields| fields.first()?.trim().parse().ok()).collect()
}

/// Whether this is a run's id, and so one name in a directory.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
