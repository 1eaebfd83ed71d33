//! What a word on the command line stands for: a run, or the sides of a comparison.

use std::path::Path;

use crate::error::{Stop, stop_of};
use crate::report::compare::Side;
use crate::store::{KernelBench, KernelQuery, Query, RunRow, Store, bundle};
use crate::trial::record::Record;
use crate::trial::status::{RunStatus, STATUS_FILE};

/// Most records of a query that count as samples, unless the query has a limit of its own.
const MAX_RECORDS: u32 = 500;

/// The start of a word that means criterion's results.
const KERNELS: &str = "kernels:";

/// One side of a comparison.
pub enum Found {
    /// Runs.
    Runs(Side),
    /// Criterion's results.
    Kernels(Vec<KernelBench>),
}

/// The side that a word names: `kernels:...`, a query, a file with a record or a bundle, a baseline, or a run.
pub fn side(store: &Store, word: &str) -> anyhow::Result<Found> {
    if let Some(rest) = word.strip_prefix(KERNELS) {
        return Ok(Found::Kernels(kernels(store, rest)?));
    }
    let path = Path::new(word);
    let named = |records| Found::Runs(Side { label: word.to_string(), records, ..Side::default() });
    if path.is_file() && (word.contains(['/', '.']) || store.find(word)?.is_none()) {
        return Ok(named(bundle::records(path)?));
    }
    if word.contains('=') {
        return Ok(Found::Runs(pooled(store, word)?));
    }
    if !store.has_run(word)?
        && let Some(run) = store.baseline(word)?
    {
        return Ok(named(vec![store.record(&run)?]));
    }
    let run = resolve(store, word).map_err(|e| or_baseline(store, e))?;
    Ok(named(vec![record(store, &run)?]))
}

/// The records of a query, the newest [`MAX_RECORDS`] of them.
fn pooled(store: &Store, word: &str) -> anyhow::Result<Side> {
    let query: Query = word.parse().map_err(|e: String| Stop::Usage.error(e))?;
    let (phase, engine) = (query.phase, query.engine);
    let cut = query.limit.is_none();
    let rows = store.query(&Query { limit: query.limit.or(Some(MAX_RECORDS)), ..query })?;
    if rows.is_empty() {
        return Err(Stop::Usage.error(format!("no record matches '{}'", word.escape_debug())));
    }
    let label = if cut && rows.len() == MAX_RECORDS as usize {
        format!("{word}, the newest {MAX_RECORDS}")
    } else {
        word.to_string()
    };
    let records = rows.iter().map(|row| store.record(&row.id)).collect::<anyhow::Result<_>>()?;
    Ok(Side { label, records, phase, engine })
}

/// PREFIX@BASELINE~BACK,host=NAME, each part optional.
fn kernels(store: &Store, text: &str) -> anyhow::Result<Vec<KernelBench>> {
    let (text, host) = match text.split_once(",host=") {
        Some((text, host)) => (text, Some(host.to_string())),
        None => (text, None),
    };
    let wrong = || Stop::Usage.error(format!("'{}' is not START@NAME~BACK,host=NAME", text.escape_debug()));
    let (text, back) = match text.rsplit_once('~') {
        Some((text, back)) => (text, back.parse().map_err(|_| wrong())?),
        None => (text, 0),
    };
    let (prefix, baseline) = match text.rsplit_once('@') {
        Some((prefix, name)) => (prefix, Some(name.to_string()).filter(|name| !name.is_empty())),
        None => (text, None),
    };
    let found = store.kernel_benches(&KernelQuery { prefix: prefix.to_string(), baseline, host, back })?;
    if found.is_empty() {
        let text = "no result of criterion matches: `sealbench results list --kernels` shows what there is";
        return Err(Stop::Usage.error(text));
    }
    Ok(found)
}

/// The record of a run (exit code 2 if it has none).
fn record(store: &Store, run: &RunRow) -> anyhow::Result<Record> {
    if run.state.is_none() {
        let id = &run.id;
        let text = format!("run {id} has no record yet, or died: see `sealbench results show {id}`");
        return Err(Stop::Usage.error(text));
    }
    store.record(&run.id)
}

/// A word that names no run may have been meant as a baseline.
fn or_baseline(store: &Store, error: anyhow::Error) -> anyhow::Error {
    match store.baselines() {
        Ok(baselines) if !baselines.is_empty() && stop_of(&error) == Some(Stop::Usage) => {
            let names: Vec<String> = baselines.into_iter().map(|baseline| baseline.name).collect();
            Stop::Usage.error(format!("{error:#}; baselines: {}", names.join(", ")))
        }
        _ => error,
    }
}

/// The run that a word on the command line names.
pub fn resolve(store: &Store, word: &str) -> anyhow::Result<RunRow> {
    if word == "last" {
        let newest = store.list(Some(1))?.pop();
        return newest.ok_or_else(|| Stop::Usage.error("there are no runs yet: `sealbench run` makes one"));
    }
    let dir = Path::new(word);
    // A word is a directory if it looks like one, or if it is one and no run's id.
    if word.contains('/') || (dir.is_dir() && store.find(word)?.is_none()) {
        let status = RunStatus::read(dir)?
            .ok_or_else(|| Stop::Usage.error(format!("{word} is not a run directory: it has no {STATUS_FILE}")))?;
        return store.run(&status.run);
    }
    store.run(word)
}
