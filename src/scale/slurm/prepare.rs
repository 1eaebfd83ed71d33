//! From a sweep to elements and arrays: which points, on which nodes, how many trials together, and what they ask Slurm for.

use std::collections::BTreeMap;

use crate::phase::{self, Engine, Phase};
use crate::sweep::fit::{self, LeftOut};
use crate::sweep::grid::Point;
use crate::sweep::schedule::{Progress, next_round};
use crate::trial::estimate;

use super::submission::{Array, Ask, Element};

/// Slurm takes about a second to start a task, so an element should last for longer.
const ELEMENT_S: f64 = 30.0;

/// Most elements of an array: Slurm numbers tasks up to its MaxArraySize, 1001 unless it is set.
const MAX_ELEMENTS: usize = 1000;

/// Over the estimated memory: the launcher, and what an estimate misses.
const MEMORY_FACTOR: f64 = 1.25;
const MEMORY_BASE: u64 = 256 << 20;

/// Starting, and making parent caches.
const TIME_BASE_S: f64 = 120.0;

/// How a sweep is spread over a cluster.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Features that select nodes, one for each kind of machine; none: any node.
    pub constraints: Vec<Option<String>>,
    /// Whole nodes.
    pub exclusive: bool,
    /// What the estimated time is multiplied by.
    pub time_factor: f64,
    /// Trials of a point that an element runs one after the other; by their length if not said.
    pub trials_per_element: Option<u32>,
}

/// The points that a node could run, and the others with the reason. Cores and kernels are the nodes' affair.
pub fn split(points: Vec<Point>) -> (Vec<Point>, Vec<LeftOut>) {
    let whole_chain = |point: &Point| {
        parts(point).iter().try_for_each(|part| fit::sketch(part).map(drop).map_err(|e| format!("{e:#}")))
    };
    fit::split_by(points, whole_chain)
}

/// The arrays of a sweep. What a constraint, a number of CPUs, memory and time are given to is a job array and not its element: so those
/// elements are one array that ask for the same, and of two constraints there are at least two.
pub fn arrays(points: &[Point], order_seed: u64, terms: &Terms) -> Vec<Array> {
    let mut asks: BTreeMap<(usize, u32), Ask> = BTreeMap::new();
    let mut alike: BTreeMap<Ask, Vec<Element>> = BTreeMap::new();
    for element in elements(points, order_seed, terms) {
        let Element { point, repeats, .. } = element;
        let ask = *asks.entry((point, repeats)).or_insert_with(|| ask(&points[point], repeats, terms));
        alike.entry(ask).or_default().push(element);
    }
    let of = |constraint: &Option<String>| {
        let chunks =
            alike.iter().flat_map(|(ask, elements)| elements.chunks(MAX_ELEMENTS).map(move |some| (*ask, some)));
        let array =
            |(ask, some): (Ask, &[Element])| Array { constraint: constraint.clone(), ask, elements: some.to_vec() };
        chunks.map(array).collect::<Vec<_>>()
    };
    terms.constraints.iter().flat_map(of).collect()
}

/// The elements of one constraint: rounds over all points, each in an order of its own, as a sweep on one machine has them.
fn elements(points: &[Point], order_seed: u64, terms: &Terms) -> Vec<Element> {
    let together: Vec<u32> = points.iter().map(|point| trials_together(point, terms)).collect();
    let none = vec![Progress::default(); points.len()];
    let rounds = points.iter().map(|point| point.repeats).max().unwrap_or(0);
    let mut elements = Vec::new();
    for round in 0..rounds {
        for point in next_round(points, &none, order_seed, round) {
            let repeats = together[point];
            if round % repeats == 0 && round < points[point].repeats {
                let left = points[point].repeats - round;
                elements.push(Element { point, round, repeats: repeats.min(left) });
            }
        }
    }
    elements
}

/// How many trials of a point are one element: one that is long enough by itself; more of short ones; all where making the inputs takes
/// longer than the trial.
fn trials_together(point: &Point, terms: &Terms) -> u32 {
    if let Some(trials) = terms.trials_per_element {
        return trials.min(point.repeats);
    }
    let trial_s = fit::trial_seconds(point);
    if inputs_s(point) > trial_s {
        return point.repeats;
    }
    ((ELEMENT_S / trial_s).ceil() as u32).clamp(1, point.repeats)
}

/// What an element asks for. Memory and time are rounded up to powers of two, so that few arrays are needed.
fn ask(point: &Point, repeats: u32, terms: &Terms) -> Ask {
    let needed = parts(point)
        .into_iter()
        .filter_map(|part| fit::sketch(&part).ok())
        .flat_map(|spec| estimate::memory_at_once(&spec));
    let needed = needed.map(|(_, bytes)| bytes).max().unwrap_or(0);
    let memory = (needed as f64 * MEMORY_FACTOR) as u64 + MEMORY_BASE;
    let mut seconds = inputs_s(point) + f64::from(repeats) * fit::trial_seconds(point);
    if point.phase == Phase::P4 {
        // Making parameters that are not there takes about as long as a proof.
        seconds += fit::trial_seconds(point);
    }
    let minutes = ((seconds * terms.time_factor + TIME_BASE_S) / 60.0).ceil() as u64;
    // Instances that share cores take what the node has.
    let instances = if point.placement.share { 1 } else { point.instances };
    Ask {
        cpus: instances * point.cores,
        // How many hardware threads a core has is known on the node only.
        exclusive: terms.exclusive || point.placement.smt || point.placement.share,
        smt: point.placement.smt,
        memory_mib: memory.div_ceil(1 << 20).next_power_of_two(),
        minutes: minutes.next_power_of_two(),
    }
}

/// The point, and what makes its inputs, as points: one instance on all of the cores.
fn parts(point: &Point) -> Vec<Point> {
    let before = Phase::ALL.into_iter().filter(|&phase| phase < point.phase);
    let maker = |phase: Phase| {
        let engine = match point.engine {
            Engine::Mock => Engine::Mock,
            _ if phase::is_available(Engine::Native, phase) => Engine::Native,
            _ => Engine::Reference,
        };
        let cores = point.instances.saturating_mul(point.cores);
        let sectors = if phase <= Phase::P2 { point.sectors } else { 1 };
        Point { phase, engine, instances: 1, cores, threads: None, sectors, ..point.clone() }
    };
    before.map(maker).chain([point.clone()]).collect()
}

fn inputs_s(point: &Point) -> f64 {
    let parts = parts(point);
    parts[..parts.len() - 1].iter().map(fit::trial_seconds).sum()
}

/// Seconds that all elements of the arrays take, one after the other, roughly.
pub fn seconds(points: &[Point], arrays: &[Array]) -> f64 {
    let each: Vec<(f64, f64)> = points.iter().map(|point| (inputs_s(point), fit::trial_seconds(point))).collect();
    let of = |element: &Element| each[element.point].0 + f64::from(element.repeats) * each[element.point].1;
    arrays.iter().flat_map(|array| &array.elements).map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::file::SweepFile;
    use crate::sweep::grid::expand;

    fn points(text: &str) -> Vec<Point> {
        expand(&SweepFile::parse(&format!("twins = false\n[[grid]]\n{text}")).unwrap()).unwrap()
    }

    fn terms(constraints: &[&str], trials_per_element: Option<u32>) -> Terms {
        let constraints = constraints.iter().map(|name| Some(name.to_string())).collect();
        Terms { constraints, exclusive: false, time_factor: 4.0, trials_per_element }
    }

    #[test]
    fn every_trial_of_every_point_is_in_one_element_of_each_constraint() {
        let points = points("engines = ['mock']\nlayouts = ['1x1', '2x4']\nrepeats = 7");
        for together in [1, 3, 7, 100] {
            let arrays = arrays(&points, 3, &terms(&["a", "b"], Some(together)));
            assert_eq!(arrays.len(), 4, "two sizes on two kinds of nodes");
            for constraint in ["a", "b"] {
                let own = arrays.iter().filter(|array| array.constraint.as_deref() == Some(constraint));
                let elements: Vec<&Element> = own.flat_map(|array| &array.elements).collect();
                for point in 0..2 {
                    let of = elements.iter().filter(|element| element.point == point);
                    let mut rounds: Vec<u32> =
                        of.flat_map(|element| element.round..element.round + element.repeats).collect();
                    rounds.sort_unstable();
                    assert_eq!(rounds, (0..7).collect::<Vec<_>>(), "{together} together");
                }
            }
        }
    }

    #[test]
    fn elements_that_ask_for_the_same_are_one_array_as_long_as_slurm_numbers_them() {
        let points =
            points("engines = ['mock']\nlayouts = ['2x4']\nthreads = [1, 2, 3]\nrepeats = 700\nmax_repeats = 700");
        let arrays = arrays(&points, 0, &terms(&["a"], Some(1)));
        assert_eq!(arrays.iter().map(|array| array.elements.len()).collect::<Vec<_>>(), [1000, 1000, 100]);
        assert_eq!(arrays[0].ask.cpus, 8);
        let whole = Terms { exclusive: true, ..terms(&["a"], None) };
        assert!(super::arrays(&points, 0, &whole)[0].ask.exclusive);
    }

    #[test]
    fn short_trials_go_together_and_so_do_those_whose_inputs_take_longer() {
        let together = |text: &str| {
            let point = &points(text)[0];
            trials_together(point, &terms(&["a"], None))
        };
        assert_eq!(together("layouts = ['1x1']\nsector_size = '8MiB'\nrepeats = 10"), 10, "ten of a second");
        assert_eq!(together("layouts = ['1x1']\nsector_size = '1GiB'\nrepeats = 10"), 1, "labels of a minute");
        assert_eq!(
            together("phases = ['p2']\nlayouts = ['1x8']\nsector_size = '32GiB'\nrepeats = 10"),
            10,
            "p1 takes hours"
        );
    }

    #[test]
    fn what_a_node_is_asked_for_grows_with_the_point_and_does_not_depend_on_this_machine() {
        let ask_of = |text: &str| ask(&points(text)[0], 1, &terms(&["a"], None));
        let small = ask_of("layouts = ['1x1']\nsector_size = '8MiB'");
        let large = ask_of("layouts = ['16x4']\nsector_size = '32GiB'");
        assert_eq!((small.cpus, large.cpus), (1, 64));
        assert!(small.memory_mib <= 1024 && large.memory_mib >= 16 * 64 * 1024, "{small:?} {large:?}");
        assert!(small.minutes <= 4 && large.minutes >= 4 * 60, "{small:?} {large:?}");
        let p2 = ask_of("phases = ['p2']\nlayouts = ['1x8']\nsector_size = '32GiB'");
        assert!(p2.minutes >= 4 * 60 && p2.memory_mib >= 64 * 1024, "the p1 before it counts: {p2:?}");
        let threads = ask_of("layouts = ['1x4']\nsmt = true");
        assert!(threads.exclusive && threads.smt);
        let (fits, left_out) = split(points("engines = ['mock']\nlayouts = ['1x64', '100x1000']"));
        assert_eq!(fits.len(), 1);
        assert!(left_out[0].why.contains("more than a machine has"), "{left_out:?}");
    }
}
