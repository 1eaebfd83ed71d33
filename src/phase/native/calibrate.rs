//! Which kernel labels which sectors on which core.

use std::ops::Range;
use std::time::Instant;

use anyhow::Context;
use sealbench_kernels::cpu::Features;
use sealbench_kernels::graph::{self, Graph};
use sealbench_kernels::label::Layer;
use sealbench_kernels::sha256::Backend;

use crate::error::Stop;
use crate::trial::record::Calibration;

/// The sectors of a batch divided over cores.
#[derive(Clone, Debug)]
pub struct Arrangement {
    /// What each core has to do.
    pub shares: Vec<Share>,
    /// The times by which the kernels were chosen; empty where there was nothing to choose.
    pub calibration: Vec<Calibration>,
}

/// What one core has to do: its groups take turns, window by window, so that the parents of a window are fetched once.
#[derive(Clone, Debug)]
pub struct Share {
    /// The core.
    pub core: usize,
    /// A kernel with the sectors that it labels together.
    pub groups: Vec<(Backend, Range<u32>)>,
}

impl Arrangement {
    /// Divides `sectors` evenly over at most so many of the cores. Kernels are chosen by a short calibration unless one is forced; a
    /// forced one must find its number of sectors on every core.
    pub fn new(sectors: u32, cores: &[usize], forced: Option<&str>) -> anyhow::Result<Arrangement> {
        let features = Features::detect();
        let shares = divide(sectors, cores.len() as u32);
        let most = shares.iter().map(|share| share.end - share.start).max().unwrap_or(0);
        let (kernels, calibration) = match forced {
            Some(name) => (vec![(named(name, &features)?, 1.0)], Vec::new()),
            None => {
                let candidates: Vec<Backend> =
                    Backend::supported(&features).filter(|backend| backend.streams() as u32 <= most).collect();
                let timed: Vec<(Backend, f64)> =
                    candidates.iter().map(|&backend| (backend, seconds_per_label(backend))).collect();
                let calibration = timed
                    .iter()
                    .map(|(backend, seconds)| Calibration { kernel: backend.name().into(), label_s: *seconds });
                (timed.clone(), calibration.collect())
            }
        };
        let shares = cores
            .iter()
            .zip(shares)
            .map(|(&core, sectors)| Ok(Share { core, groups: groups(sectors, &kernels)? }))
            .collect::<anyhow::Result<_>>()?;
        Ok(Arrangement { shares, calibration })
    }

    /// The kernels in use, joined by "+".
    pub fn kernels(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for (backend, _) in self.shares.iter().flat_map(|share| &share.groups) {
            if !names.contains(&backend.name()) {
                names.push(backend.name());
            }
        }
        names.join("+")
    }

    /// The most sectors that one core labels.
    pub fn most_sectors(&self) -> u32 {
        let sectors = |share: &Share| share.groups.iter().map(|(_, sectors)| sectors.end - sectors.start).sum();
        self.shares.iter().map(sectors).max().unwrap_or(0)
    }
}

fn named(name: &str, features: &Features) -> anyhow::Result<Backend> {
    Backend::new(name, features).with_context(|| format!("this CPU does not run the kernel sha256={name}"))
}

/// Consecutive ranges of sectors, as even as they can be; no range is empty.
fn divide(sectors: u32, cores: u32) -> Vec<Range<u32>> {
    let parts = cores.min(sectors);
    let first = |part: u32| (u64::from(part) * u64::from(sectors) / u64::from(parts.max(1))) as u32;
    (0..parts).map(|part| first(part)..first(part + 1)).collect()
}

/// Covers a range of sectors with kernels so that a label of all of them takes the least time.
fn groups(sectors: Range<u32>, kernels: &[(Backend, f64)]) -> anyhow::Result<Vec<(Backend, Range<u32>)>> {
    let timed: Vec<(usize, f64)> = kernels.iter().map(|(kernel, seconds)| (kernel.streams(), *seconds)).collect();
    let Some(chosen) = cover(sectors.len(), &timed) else {
        let (kernel, _) = kernels[0];
        return Err(Stop::Usage.error(format!(
            "--kernel sha256={} labels {} sectors at a time, and a core has {}: choose --sectors and --cores so that each core gets a \
             multiple",
            kernel.name(),
            kernel.streams(),
            sectors.len()
        )));
    };
    let mut first = sectors.start;
    let group = |kernel: usize| {
        let (backend, _) = kernels[kernel];
        let group = (backend, first..first + backend.streams() as u32);
        first = group.1.end;
        group
    };
    Ok(chosen.into_iter().map(group).collect())
}

/// Which kernels, given as streams and seconds per stream, cover exactly `count` streams in the least time; `None` if they cannot.
fn cover(count: usize, kernels: &[(usize, f64)]) -> Option<Vec<usize>> {
    // The last kernel of the best cover of n streams, and the time of all of that cover.
    let mut best: Vec<Option<(usize, f64)>> = vec![None; count + 1];
    for n in 1..=count {
        for (kernel, &(streams, seconds)) in kernels.iter().enumerate().filter(|(_, (streams, _))| *streams <= n) {
            let before = if n == streams { Some(0.0) } else { best[n - streams].map(|(_, time)| time) };
            let time = before.map(|before| before + seconds * streams as f64);
            if let Some(time) = time.filter(|time| best[n].is_none_or(|(_, known)| *time < known)) {
                best[n] = Some((kernel, time));
            }
        }
    }
    let mut chosen = Vec::new();
    let mut left = count;
    while left > 0 {
        let (kernel, _) = best[left]?;
        chosen.push(kernel);
        left -= kernels[kernel].0;
    }
    Some(chosen)
}

/// Seconds in which a kernel makes one label of one sector, on a graph whose labels stay in the caches; the fastest of some samples,
/// because whatever else runs on the core only adds.
fn seconds_per_label(backend: Backend) -> f64 {
    const NODES: u64 = 1024;
    const SAMPLES: usize = 5;

    let graph = Graph::new(NODES, &[1; 32]);
    let portable = graph::Backend::supported(&Features::baseline()).next().expect("the portable backend always runs");
    let mut rows = vec![[0; 14]; NODES as usize];
    graph.parents(portable, 0, &mut rows);
    let ids: Vec<[u8; 32]> = (0..backend.streams()).map(|stream| [stream as u8; 32]).collect();
    let layer = Layer::new(backend, &ids, 2);
    let previous = vec![1; NODES as usize * backend.streams() * 8];
    let mut current = previous.clone();
    let sample = |current: &mut [u32]| {
        let start = Instant::now();
        layer.label_nodes(0, rows.len(), &rows, Some(&previous), current);
        start.elapsed().as_secs_f64() / (rows.len() * backend.streams()) as f64
    };
    (0..SAMPLES).map(|_| sample(&mut current)).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_divided_evenly_and_no_core_gets_none() {
        assert_eq!(divide(1, 4).len(), 1);
        assert_eq!(divide(5, 2), [0..2, 2..5]);
        assert_eq!(divide(7, 3), [0..2, 2..4, 4..7]);
        assert_eq!(divide(0, 3), []);
    }

    #[test]
    fn the_fastest_cover_is_taken() {
        let cover = |count, wide_s| {
            let mut kernels = cover(count, &[(1, 1.0), (4, wide_s)]).unwrap();
            kernels.sort();
            kernels
        };
        assert_eq!(cover(9, 0.5), [0, 1, 1]);
        assert_eq!(cover(9, 1.5), [0; 9]);
        assert_eq!(cover(3, 0.5), [0; 3]);
        assert_eq!(super::cover(6, &[(4, 1.0)]), None);
        assert_eq!(super::cover(8, &[(4, 1.0)]), Some(vec![0, 0]));
    }
}
