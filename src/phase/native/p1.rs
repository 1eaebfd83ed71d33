//! Pre-commit 1: tree_d, then the SDR labels of all layers, for one sector or a batch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use sealbench_kernels::cpu::Features;
use sealbench_kernels::graph::{self, Graph};

use crate::host::arena::Pages;
use crate::host::map::Map;
use crate::measure::limit;
use crate::phase::PhaseContext;
use crate::phase::native::calibrate::Arrangement;
use crate::phase::native::label::Labelling;
use crate::phase::native::layers::Whole;
use crate::phase::native::parents::Parents;
use crate::phase::native::{check, output, tree_d};
use crate::sector::files::{self, sector_dir};
use crate::sector::parents::ParentCache;
use crate::trial::job::Outcome;
use crate::trial::record::{Finding, Output, Severity, Work};

/// Runs p1: labels all sectors of the batch together and writes the files of each.
///
/// The sectors of a batch have consecutive numbers and the same data, so one graph, one comm_d, and replica ids of their own; every
/// sector's tree_d is built nevertheless.
pub fn p1(context: &PhaseContext<'_>) -> anyhow::Result<Outcome> {
    let (shape, dir) = (context.shape, context.dir);
    let forced = context.native.kernels.get("sha256").map(String::as_str);
    let arrangement = Arrangement::new(context.sectors, context.working_cores(), forced)?;
    let whole = Whole::resume(dir, context.sectors, shape)?;
    let resumed = whole.count();

    let sealed = context.probe.timed("tree_d", || seal(context, &arrangement, whole))?;
    let Sealed { comm_d, replica_ids, graph, pages, reserved_bytes } = sealed;
    for sector in 0..context.sectors {
        output::write_p1(&sector_dir(dir, sector), shape, comm_d)?;
    }
    let (verified, wrong) = check::labels(context, &replica_ids)?;
    let labelled = u64::from(shape.layers - resumed) * shape.sector_size.nodes();
    Ok(Outcome {
        variant: Some(format!("parents {graph}")),
        kernel: BTreeMap::from([("sha256".to_string(), arrangement.kernels())]),
        work: Work { unit: "node".into(), count: labelled * u64::from(context.sectors) },
        output: Output { comm_d: Some(hex::encode(comm_d)), ..Output::default() },
        verified,
        findings: [wrong, resumed_finding(resumed), pages_finding(context.native.pages, pages)]
            .into_iter()
            .flatten()
            .collect(),
        pages: Some(pages.to_string()),
        reserved_bytes,
        labelled_together: arrangement.most_sectors(),
        calibration: arrangement.calibration,
    })
}

/// What the timed part ends with.
struct Sealed {
    comm_d: [u8; 32],
    replica_ids: Vec<[u8; 32]>,
    /// Where parents came from.
    graph: String,
    /// What backs the layers.
    pages: &'static str,
    reserved_bytes: u64,
}

fn seal(context: &PhaseContext<'_>, arrangement: &Arrangement, whole: Whole) -> anyhow::Result<Sealed> {
    let enter = |span| context.probe.timeline.enter(span);
    let comm_d = trees(context)?;
    let replica_ids: Vec<[u8; 32]> =
        (0..context.sectors).map(|sector| context.identity.in_batch(sector).replica_id(&comm_d)).collect();
    enter("parents");
    let (parents, graph) = parents(context, arrangement.shares.len())?;
    enter("memory");
    let mut labelling = Labelling::new(context, arrangement, &parents, &replica_ids)?;
    labelling.run(whole)?;
    let (pages, reserved_bytes) = (labelling.pages(), labelling.reserved_bytes());
    Ok(Sealed { comm_d, graph, pages, reserved_bytes, replica_ids })
}

/// Builds every sector's tree_d; gives comm_d.
fn trees(context: &PhaseContext<'_>) -> anyhow::Result<[u8; 32]> {
    let nodes = context.shape.sector_size.nodes();
    let done = AtomicU64::new(0);
    let progress = |leaves: u64| {
        let done = done.fetch_add(leaves, Ordering::Relaxed) + leaves;
        (context.progress)("tree_d", done, nodes * u64::from(context.sectors), "node");
    };
    let backend = limit::fastest_pairs();
    let mut comm_d = [0; 32];
    for sector in 0..context.sectors {
        let dir = sector_dir(context.dir, sector);
        comm_d = tree_d::build(backend, &dir.join(files::STAGED), &dir.join(files::TREE_D), nodes, &progress)?;
    }
    Ok(comm_d)
}

/// Where the parents come from, and that in words; `labelling` cores label.
fn parents(context: &PhaseContext<'_>, labelling: usize) -> anyhow::Result<(Parents, String)> {
    if let Some(dir) = context.parents {
        let cache = ParentCache::new(dir, context.shape.sector_size, &context.identity.porep_id);
        let map = Map::open(cache.path()).with_context(|| format!("cannot map {}", cache.path().display()))?;
        anyhow::ensure!(map.words().len() as u64 * 4 == cache.bytes(), "{} was cut short", cache.path().display());
        return Ok((Parents::Cache(map), "from the cache".into()));
    }
    let backend = graph::Backend::supported(&Features::detect()).next().expect("the portable backend always runs");
    let graph = Graph::new(context.shape.sector_size.nodes(), &context.identity.porep_id.0);
    let place = if labelling < context.working_cores().len() { "on another core" } else { "on the same core" };
    Ok((Parents::Compute(graph, backend), format!("computed {place} ({})", backend.name())))
}

fn resumed_finding(layers: u32) -> Option<Finding> {
    let text = format!("{layers} layers were labelled by an earlier run: the times are those of the other layers");
    (layers > 0).then(|| Finding::new("resumed-layers", Severity::Warning, text))
}

fn pages_finding(asked: Pages, got: &str) -> Option<Finding> {
    let text = match asked {
        Pages::Auto if got == "4KiB" => {
            "no huge pages were to be had: labels that miss the caches also miss the TLB".to_string()
        }
        Pages::Thp if got == "4KiB" => "transparent huge pages were asked for, and the kernel gave none".to_string(),
        _ => return None,
    };
    Some(Finding::new("no-huge-pages", Severity::Warning, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_pages_are_a_finding_unless_they_were_asked_for() {
        let code = |asked, got| pages_finding(asked, got).map(|finding| finding.code);
        assert_eq!(code(Pages::Auto, "4KiB").as_deref(), Some("no-huge-pages"));
        assert_eq!(code(Pages::Thp, "4KiB").as_deref(), Some("no-huge-pages"));
        assert_eq!([code(Pages::Base, "4KiB"), code(Pages::Auto, "thp"), code(Pages::Mib, "2MiB")], [None, None, None]);
    }
}
