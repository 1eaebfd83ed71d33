//! Which points this machine can run, and what the sweep will take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Stop;
use crate::host::memory;
use crate::phase::mock::Script;
use crate::phase::{Engine, Phase};
use crate::sector::{Identity, Seed, Shape};
use crate::sweep::grid::{Point, with_twins};
use crate::trial::estimate::{self, show};
use crate::trial::layout::{Instance, Layout};
use crate::trial::request::Request;
use crate::trial::spec::{Native, Spec};

/// What a trial takes beside its phase: a process, inputs that are checked, a record.
const OVERHEAD_S: f64 = 0.4;

/// More cores than any machine has: the most CPUs that Linux can be configured for.
const MAX_CORES: u32 = 8192;

/// A point that cannot run here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its name.
    pub point: String,
    /// Why.
    pub why: String,
}

impl Point {
    /// The request of one trial, without directory and seed.
    pub fn request(&self, script: Option<&Script>) -> Request {
        Request {
            sector_size: Some(self.shape.sector_size),
            phases: Some(vec![self.phase]),
            engines: Some(vec![self.engine]),
            layers: Some(self.shape.layers),
            partitions: Some(self.shape.partitions),
            threads: self.threads,
            at_once: self.at_once,
            params: self.params,
            sectors: Some(self.sectors),
            native: Native { kernels: self.kernels.clone(), pages: self.pages, parents: self.parents, io: self.io },
            layout: Layout {
                instances: Some(self.instances),
                cores_per_instance: Some(self.cores),
                placement: self.placement,
                ..Layout::default()
            },
            without_alone: true,
            mock: script.cloned(),
            repeats: Some(1),
            quiet: true,
            discard: true,
            ..Request::default()
        }
    }

    /// What it would run, or why it cannot.
    fn spec(&self) -> Result<Spec, String> {
        let identity = Identity::from_seed(&Seed::default());
        self.request(None).spec(self.shape, identity, vec![self.phase]).map_err(|e| format!("{e:#}"))
    }
}

/// A point as estimates need it, on a machine that has its cores; whether this one has is not asked, nor which kernels it can run.
pub fn sketch(point: &Point) -> anyhow::Result<Spec> {
    if u64::from(point.instances) * u64::from(point.cores) > u64::from(MAX_CORES) {
        let text = format!("{} instances of {} cores are more than a machine has", point.instances, point.cores);
        return Err(Stop::Usage.error(text));
    }
    let threads = point.threads.unwrap_or(point.cores);
    let any = Point { kernels: BTreeMap::new(), threads: Some(threads), ..point.clone() };
    let request = Request { layout: Layout::default(), ..any.request(None) };
    let mut spec = request.spec(point.shape, Identity::from_seed(&Seed::default()), vec![point.phase])?;
    let cores = |number: u32| (number * point.cores..(number + 1) * point.cores).map(|core| core as usize).collect();
    spec.instances =
        (0..point.instances).map(|number| Instance { cores: cores(number), threads, phase: None }).collect();
    Ok(spec)
}

/// The points that run on this machine, and the others with the reason.
pub fn split(points: Vec<Point>) -> (Vec<Point>, Vec<LeftOut>) {
    let available = memory::available_bytes();
    let fits = |point: &Point| -> Result<(), String> {
        let spec = point.spec()?;
        let needed = estimate::memory_at_once(&spec).into_iter().map(|(_, bytes)| bytes).max().unwrap_or(0);
        match available.filter(|&available| needed > available) {
            Some(available) => {
                Err(format!("it needs about {} of memory and {} are available", show(needed), show(available)))
            }
            None => Ok(()),
        }
    };
    split_by(points, fits)
}

/// The points that fit, and the others with the reason.
pub fn split_by(points: Vec<Point>, fits: impl Fn(&Point) -> Result<(), String>) -> (Vec<Point>, Vec<LeftOut>) {
    let (mut fitting, mut left_out) = (Vec::new(), Vec::new());
    let (twins, originals): (Vec<Point>, Vec<Point>) = points.into_iter().partition(|point| point.twin);
    for point in originals {
        match fits(&point) {
            Ok(()) => fitting.push(point),
            Err(why) => left_out.push(LeftOut { point: point.label(), why }),
        }
    }
    // The first point of a class may be one that does not run here: then the first that does has the twin.
    (if twins.is_empty() { fitting } else { with_twins(fitting) }, left_out)
}

/// Seconds that one trial of a point takes, roughly.
pub fn trial_seconds(point: &Point) -> f64 {
    let spec = sketch(point);
    OVERHEAD_S + spec.map_or(0.0, |spec| estimate::seconds(point.phase, point.engine, &spec, point.cores))
}

/// What has to be made of a shape before its points can run: the phases before the last one measured, and of how many sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// The last phase that is measured.
    pub last: Phase,
    /// Whether the mock engine makes them.
    pub mock: bool,
    /// Sectors of the largest batch that reads them.
    pub sectors: u32,
}

/// The inputs of each shape, with its name.
pub fn inputs(points: &[Point]) -> BTreeMap<String, (Shape, Inputs)> {
    let mut shapes: BTreeMap<String, (Shape, Inputs)> = BTreeMap::new();
    for point in points {
        let mock = point.engine == Engine::Mock;
        let own = Inputs { last: point.phase, mock, sectors: if point.phase > Phase::P1 { point.sectors } else { 1 } };
        let (_, inputs) = shapes.entry(place(point)).or_insert((point.shape, own));
        inputs.last = inputs.last.max(own.last);
        inputs.sectors = inputs.sectors.max(own.sectors);
    }
    shapes
}

/// The name of the directory that a point's trials run in: one for each shape, and the mock engine's placeholders apart from sectors.
pub fn place(point: &Point) -> String {
    let Shape { sector_size, layers, partitions } = point.shape;
    let mock = if point.engine == Engine::Mock { "-mock" } else { "" };
    format!("{sector_size}-{layers}-{partitions}{mock}")
}

/// Space that a sweep needs at once, bytes: of every shape the inputs, and for its largest point each instance's copy of them and what it makes.
pub fn disk_bytes(points: &[Point]) -> u64 {
    let before = |last: Phase| Phase::ALL.into_iter().filter(move |&phase| phase < last).collect::<Vec<_>>();
    let of_inputs = |shape: &Shape, inputs: &Inputs| {
        let data = shape.sector_size.bytes();
        data + u64::from(inputs.sectors) * estimate::disk(&before(inputs.last), shape)
    };
    let inputs: u64 = inputs(points).values().map(|(shape, inputs)| of_inputs(shape, inputs)).sum();
    // Copies stay from trial to trial, so that only the first one of a layout makes them; those of other shapes are beside them.
    let copies = |point: &Point| {
        let [first, own] = [before(point.phase), vec![point.phase]].map(|phases| estimate::disk(&phases, &point.shape));
        u64::from(point.instances) * (point.shape.sector_size.bytes() + u64::from(point.sectors) * (first + own))
    };
    let mut of_shapes: BTreeMap<String, u64> = BTreeMap::new();
    for point in points {
        let most = of_shapes.entry(place(point)).or_default();
        *most = copies(point).max(*most);
    }
    inputs + of_shapes.values().sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::file::SweepFile;
    use crate::sweep::grid::expand;

    fn points(text: &str) -> Vec<Point> {
        expand(&SweepFile::parse(&format!("twins = false\n{text}")).unwrap()).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_left_out_with_the_reason() {
        let grid = "[[grid]]\nengines = ['mock']\nlayouts = ['1x1', '9000x1', '1x9000']";
        let (fitting, left_out) = split(points(grid));
        assert_eq!(fitting.iter().map(Point::label).collect::<Vec<_>>(), ["p1 mock 1x1"]);
        assert_eq!(left_out[0].point, "p1 mock 9000x1");
        assert!(left_out[0].why.contains("instances") && left_out[1].why.contains("cores"), "{left_out:?}");
        let (fitting, left_out) = split(points("[[grid]]\nlayouts = ['1x1']\nsector_size = '64GiB'\nsectors = [4000]"));
        assert!(fitting.is_empty() && left_out[0].why.contains("of memory"), "{left_out:?}");
    }

    #[test]
    fn inputs_reach_to_the_last_phase_of_each_shape() {
        let grids = "[[grid]]\nphases = ['p1', 'p2']\nengines = ['mock']\nlayouts = ['1x1']\n\
                     [[grid]]\nsector_size = '2KiB'\nphases = ['p4']\nengines = ['mock']\nlayouts = ['1x1']";
        let points = points(grids);
        let inputs = inputs(&points);
        let last: Vec<_> = inputs.iter().map(|(place, (_, inputs))| (place.as_str(), inputs.last)).collect();
        assert_eq!(last, [("2KiB-2-1-mock", Phase::P4), ("8MiB-2-1-mock", Phase::P2)]);
        assert!(disk_bytes(&points) > 5 * (8 << 20), "layers, trees and data of 8 MiB");
        let of = |last: usize| disk_bytes(&points[last..=last]);
        assert_eq!(disk_bytes(&points), of(1) + of(2), "copies of one shape stay while another one runs");
    }
}
