//! From a sweep file to the points of its grids.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::Stop;
use crate::host::arena::Pages;
use crate::host::core_sets::{Group, Placement};
use crate::phase::{self, Engine, Phase};
use crate::sector::{SectorSize, Shape};
use crate::sweep::file::{Grid, SweepFile};
use crate::trial::spec::{Io, ParamsMode, ParentsMode};

/// More points than this are a mistake.
const MAX_POINTS: usize = 20_000;

/// The spread that asks for more samples (the Phoronix Test Suite's 3.5 %).
const MAX_CV: f64 = 0.035;

/// One phase under one combination of settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// The phase.
    pub phase: Phase,
    /// The engine.
    pub engine: Engine,
    /// What is sealed.
    pub shape: Shape,
    /// Instances side by side.
    pub instances: u32,
    /// Cores of each.
    pub cores: u32,
    /// Threads of each; as many as cores if not said.
    pub threads: Option<u32>,
    /// Kernels that are forced.
    pub kernels: BTreeMap<String, String>,
    /// Pages of the layers.
    pub pages: Pages,
    /// Sectors together.
    pub sectors: u32,
    /// Partitions at once.
    pub at_once: Option<u32>,
    /// How p4 holds its parameters.
    pub params: ParamsMode,
    /// Where p1 takes the parents from.
    pub parents: ParentsMode,
    /// How p2 reads.
    pub io: Io,
    /// What the placement may do.
    pub placement: Placement,
    /// The fewest samples.
    pub repeats: u32,
    /// The most samples.
    pub max_repeats: u32,
    /// The coefficient of variation that is good enough.
    pub max_cv: f64,
    /// Whether it is the second arm of an A/A pair.
    pub twin: bool,
}

impl Point {
    /// Its name: every setting that is not the default.
    pub fn label(&self) -> String {
        let mut words =
            vec![self.phase.to_string(), self.engine.to_string(), format!("{}x{}", self.instances, self.cores)];
        let mut add = |word: Option<String>| words.extend(word);
        add(self.threads.map(|threads| format!("{threads} threads")));
        add((self.sectors > 1).then(|| format!("{} sectors", self.sectors)));
        add(self.at_once.map(|at_once| format!("{at_once} partitions at once")));
        add((self.pages != Pages::default()).then(|| value_name(&self.pages)));
        let kernels: Vec<String> = self.kernels.iter().map(|(primitive, name)| format!("{primitive}={name}")).collect();
        add((!kernels.is_empty()).then(|| kernels.join(",")));
        add((self.params != ParamsMode::default()).then(|| self.params.to_string()));
        add((self.io != Io::default()).then(|| self.io.to_string()));
        add((self.parents != ParentsMode::default()).then(|| format!("parents {}", value_name(&self.parents))));
        add(self.twin.then(|| "(A/A)".into()));
        words.join(" ")
    }

    /// What it competes in: the best point of a phase and shape is looked for.
    pub fn class(&self) -> String {
        format!("{} of {}", self.phase, self.shape)
    }
}

fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is skipped").get_name().to_string()
}

/// All points of a sweep, those of the first grid first; with an A/A twin of the first point of each class.
pub fn expand(file: &SweepFile) -> anyhow::Result<Vec<Point>> {
    let mut points: Vec<Point> = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    for (number, grid) in file.grids.iter().enumerate() {
        let of_grid =
            points_of(grid).map_err(|text| Stop::Usage.error(format!("grid {} of the sweep: {text}", number + 1)))?;
        for point in of_grid {
            if known.insert(serde_json::to_string(&point)?) {
                points.push(point);
            }
        }
        if points.len() > MAX_POINTS {
            return Err(Stop::Usage.error(too_many()));
        }
    }
    Ok(if file.twins { with_twins(points) } else { points })
}

/// The points with a twin of the first one of each class.
pub fn with_twins(mut points: Vec<Point>) -> Vec<Point> {
    let mut classes: Vec<String> = Vec::new();
    for point in points.clone() {
        if !classes.contains(&point.class()) {
            classes.push(point.class());
            points.push(Point { twin: true, ..point });
        }
    }
    points
}

/// Every combination of a grid's axes that means something: what a phase or engine does not know is no axis of it.
fn points_of(grid: &Grid) -> Result<Vec<Point>, String> {
    let size: SectorSize = grid.sector_size.as_deref().unwrap_or("8MiB").parse().map_err(text)?;
    let repeats = grid.repeats.unwrap_or(3);
    let max_repeats = grid.max_repeats.unwrap_or_else(|| repeats.saturating_mul(2));
    if repeats == 0 || max_repeats < repeats || max_repeats > 1000 {
        return Err(format!("repeats {repeats} to {max_repeats} is no range within 1 to 1000"));
    }
    let max_cv = grid.max_cv.unwrap_or(MAX_CV);
    if !(max_cv > 0.0 && max_cv.is_finite()) {
        return Err(format!("max_cv {max_cv} is no spread: write a share such as {MAX_CV}"));
    }
    let phases: Vec<Phase> = if grid.phases.is_empty() { vec![Phase::P1] } else { parsed("phases", &grid.phases)? };
    let base = |phase: Phase| -> Result<Point, String> {
        let native = phase::is_available(Engine::Native, phase);
        Ok(Point {
            phase,
            engine: if native { Engine::Native } else { Engine::Reference },
            shape: Shape::new(size, grid.layers, grid.partitions, phase == Phase::P1).map_err(|e| format!("{e:#}"))?,
            instances: 1,
            cores: 1,
            threads: None,
            kernels: BTreeMap::new(),
            pages: Pages::default(),
            sectors: 1,
            at_once: None,
            params: one("params", grid.params.as_deref())?,
            parents: one("parents", grid.parents.as_deref())?,
            io: one("io", grid.io.as_deref())?,
            placement: Placement { split_l3: grid.split_l3, smt: grid.smt, share: grid.share_cores },
            repeats,
            max_repeats,
            max_cv,
            twin: false,
        })
    };
    let points = phases.into_iter().map(base).collect::<Result<Vec<_>, _>>()?;
    let engines = grid.engines.iter().map(|name| engine(name)).collect::<Result<Vec<_>, _>>()?;
    let is_native = |point: &Point| point.engine == Engine::Native;
    let points = vary(points, &engines, |_| true, |point, engine| point.engine = engine)?;
    let points = vary(points, &layouts(grid)?, |_| true, |point, (m, k)| (point.instances, point.cores) = (m, k))?;
    let points = vary(points, &positive(&grid.threads)?, |_| true, |point, n| point.threads = Some(n))?;
    let points = vary(points, &kernels(&grid.kernels)?, is_native, |point, kernels| point.kernels = kernels)?;
    let labels = |point: &Point| is_native(point) && point.phase == Phase::P1;
    let pages = grid.pages.iter().map(|word| one("pages", Some(word))).collect::<Result<Vec<_>, _>>()?;
    let points = vary(points, &pages, labels, |point, pages| point.pages = pages)?;
    let batches = |point: &Point| is_native(point) && point.phase <= Phase::P2;
    let points = vary(points, &positive(&grid.sectors)?, batches, |point, n| point.sectors = n)?;
    let proves = |point: &Point| point.phase == Phase::P4;
    vary(points, &positive(&grid.p4_partitions_at_once)?, proves, |point, k| point.at_once = Some(k))
}

/// Each point once for every value of an axis, if the axis means something to it.
fn vary<T: Clone>(
    points: Vec<Point>,
    axis: &[T],
    applies: impl Fn(&Point) -> bool,
    set: impl Fn(&mut Point, T),
) -> Result<Vec<Point>, String> {
    let mut varied = Vec::new();
    for point in points {
        if axis.is_empty() || !applies(&point) {
            varied.push(point);
            continue;
        }
        for value in axis {
            let mut point = point.clone();
            set(&mut point, value.clone());
            varied.push(point);
        }
        if varied.len() > MAX_POINTS {
            return Err(too_many());
        }
    }
    Ok(varied)
}

fn too_many() -> String {
    format!("there are more than {MAX_POINTS} points: shorten an axis")
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn parsed<T: FromStr<Err = String>>(name: &str, words: &[String]) -> Result<Vec<T>, String> {
    words.iter().map(|word| word.parse().map_err(|e| format!("{name}: {e}"))).collect()
}

fn engine(name: &str) -> Result<Engine, String> {
    let found = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    found.ok_or_else(|| format!("engines: '{name}' is none; use native or reference"))
}

fn one<T: ValueEnum + Default>(name: &str, word: Option<&str>) -> Result<T, String> {
    word.map_or(Ok(T::default()), |word| T::from_str(word, true).map_err(|e| format!("{name}: {e}")))
}

fn layouts(grid: &Grid) -> Result<Vec<(u32, u32)>, String> {
    let product = grid.instances.iter().flat_map(|&m| grid.cores_per_instance.iter().map(move |&k| (m, k)));
    match (grid.layouts.is_empty(), grid.instances.is_empty(), grid.cores_per_instance.is_empty()) {
        (true, false, false) if grid.instances.len().saturating_mul(grid.cores_per_instance.len()) > MAX_POINTS => {
            Err(too_many())
        }
        (true, false, false) => Ok(product.collect()),
        (false, true, true) => grid
            .layouts
            .iter()
            .map(|text| {
                let group: Group = text.parse().map_err(|e| format!("layouts: {e}"))?;
                Ok((group.count, group.cores))
            })
            .collect(),
        (true, true, true) => Err("name layouts, e.g. layouts = [\"2x1\"]".into()),
        _ => Err("name either layouts or both instances and cores_per_instance".into()),
    }
}

fn kernels(words: &[String]) -> Result<Vec<BTreeMap<String, String>>, String> {
    let of = |word: &String| -> Result<BTreeMap<String, String>, String> {
        let pairs = word.split(',').filter(|pair| *pair != "auto").map(|pair| {
            let (primitive, name) = pair.split_once('=').ok_or_else(|| {
                format!("kernels: '{pair}' is not auto or a primitive and its kernel, as in sha256=sha-ni-x1")
            })?;
            Ok((primitive.to_string(), name.to_string()))
        });
        pairs.collect()
    };
    words.iter().map(of).collect()
}

fn positive(numbers: &[u32]) -> Result<Vec<u32>, String> {
    if numbers.contains(&0) {
        Err("an axis of threads, sectors or partitions holds a 0".into())
    } else {
        Ok(numbers.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Vec<String> {
        let file = SweepFile::parse(text).unwrap();
        expand(&file).unwrap().iter().map(Point::label).collect()
    }

    fn refusal(text: &str) -> String {
        expand(&SweepFile::parse(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_grid_is_every_combination_of_what_a_point_knows() {
        let text = "twins = false\n[[grid]]\nphases = ['p1', 'p2']\nengines = ['native', 'reference']\nlayouts = ['1x2', '2x1']\n\
                    pages = ['2MiB', 'thp']";
        assert_eq!(
            labels(text),
            [
                "p1 native 1x2 2MiB",
                "p1 native 1x2 thp",
                "p1 native 2x1 2MiB",
                "p1 native 2x1 thp",
                "p1 reference 1x2",
                "p1 reference 2x1",
                "p2 native 1x2",
                "p2 native 2x1",
                "p2 reference 1x2",
                "p2 reference 2x1",
            ]
        );
    }

    #[test]
    fn instances_and_cores_may_be_two_axes() {
        let text =
            "twins = false\n[[grid]]\ninstances = [1, 2]\ncores_per_instance = [1, 2]\nsectors = [8]\nthreads = [3]";
        let shapes = ["1x1", "1x2", "2x1", "2x2"].map(|layout| format!("p1 native {layout} 3 threads 8 sectors"));
        assert_eq!(labels(text), shapes);
    }

    #[test]
    fn every_class_has_one_twin_and_a_point_counts_once() {
        let text = "[[grid]]\nphases = ['p1', 'p4']\nlayouts = ['1x1', '1x1', '1x2']\n[[grid]]\nlayouts = ['1x1']";
        let labels = labels(text);
        assert_eq!(labels.iter().filter(|label| label.ends_with("(A/A)")).count(), 2, "{labels:?}");
        assert_eq!(labels.len(), 6, "{labels:?}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_axis() {
        for (grid, part) in [
            ("", "name layouts"),
            ("layouts = ['1x1']\ninstances = [1]", "either layouts or both"),
            ("instances = [1]", "either layouts or both"),
            ("layouts = ['1x0']", "layouts"),
            ("layouts = ['1x1']\nphases = ['p9']", "phases"),
            ("layouts = ['1x1']\nengines = ['cuda']", "'cuda' is none"),
            ("layouts = ['1x1']\npages = ['3MiB']", "pages"),
            ("layouts = ['1x1']\nkernels = ['sha-ni']", "kernels"),
            ("layouts = ['1x1']\nthreads = [0]", "a 0"),
            ("layouts = ['1x1']\nrepeats = 5\nmax_repeats = 2", "no range"),
            ("layouts = ['1x1']\nmax_cv = 0", "max_cv"),
            ("layouts = ['1x1']\nsector_size = '3MiB'", "3MiB"),
        ] {
            let error = refusal(&format!("[[grid]]\n{grid}"));
            assert!(error.starts_with("grid 1 of the sweep: ") && error.contains(part), "{grid}: {error}");
        }
        let many: Vec<String> = (1..=200).map(|n| n.to_string()).collect();
        let many = many.join(",");
        let error = refusal(&format!("[[grid]]\ninstances = [{many}]\ncores_per_instance = [{many}]"));
        assert!(error.contains("more than 20000 points"), "{error}");
    }
}
