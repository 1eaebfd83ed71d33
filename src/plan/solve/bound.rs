//! Lower bounds by Lagrangian relaxation (Geoffrion, Lagrangean relaxation for integer programming, 1974): whatever prices a stage's output is
//! given, the least of "cost of the machines less the value of what they put out" plus the value of the demand is no more than any purchase
//! costs. With the demand relaxed the models do not concern each other, so that least is the sum over models, each exact in whole machines.

use super::Problem;

/// A limit on an objective that came earlier.
#[derive(Clone, Copy, Debug)]
pub struct Cap {
    /// Which objective.
    pub objective: usize,
    /// Its best value.
    pub value: i64,
}

/// What bounds are asked for: an objective, under caps on those before it.
#[derive(Clone, Debug)]
pub struct Relaxation<'a> {
    /// The problem, its models in the order of the search.
    pub problem: &'a Problem,
    /// The objective.
    pub objective: usize,
    /// Caps on those before it.
    pub caps: Vec<Cap>,
    /// Most machines of each model.
    pub most: Vec<u32>,
    /// The layouts of each model that are worth most at some prices.
    pub corners: Vec<Vec<Vec<f64>>>,
}

/// Prices, and what follows from them for each model.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Value of the demand less the price of the caps.
    pub constant: f64,
    /// Price of what each cap limits.
    caps: Vec<f64>,
    /// The most valuable output of a machine, by model.
    best: Vec<f64>,
    /// Least cost less value of the models from this one on.
    pub rest: Vec<f64>,
}

impl Relaxation<'_> {
    /// Number of prices: one for each stage and each cap.
    fn dimensions(&self) -> usize {
        self.problem.demand.len() + self.caps.len()
    }

    /// The cut of some prices, of which each is at least zero.
    pub fn cut(&self, prices: &[f64]) -> Cut {
        let (stages, caps) = prices.split_at(self.problem.demand.len());
        let worth = |layout: &Vec<f64>| layout.iter().zip(stages).map(|(rate, price)| rate * price).sum::<f64>();
        let best = |layouts: &[Vec<f64>]| layouts.iter().map(worth).fold(0.0, f64::max);
        let limits: f64 = self.caps.iter().zip(caps).map(|(cap, price)| cap.value as f64 * price).sum();
        let mut cut = Cut {
            constant: worth(&self.problem.demand) - limits,
            caps: caps.to_vec(),
            best: self.corners.iter().map(|layouts| best(layouts)).collect(),
            rest: vec![0.0; self.problem.models.len() + 1],
        };
        for model in (0..self.problem.models.len()).rev() {
            cut.rest[model] = cut.rest[model + 1] + self.term(&cut, model, self.cheapest(&cut, model));
        }
        cut
    }

    /// Cost less value of so many machines of a model.
    pub fn term(&self, cut: &Cut, model: usize, machines: u32) -> f64 {
        let of = &self.problem.models[model];
        let capped =
            self.caps.iter().zip(&cut.caps).map(|(cap, price)| of.value(cap.objective, machines) as f64 * price);
        of.value(self.objective, machines) as f64 + capped.sum::<f64>() - f64::from(machines) * cut.best[model]
    }

    /// The number of machines with the least cost less value. It grows linearly between these numbers.
    fn cheapest(&self, cut: &Cut, model: usize) -> u32 {
        let (of, most) = (&self.problem.models[model], self.most[model]);
        let free = of.owned.saturating_sub(of.spares);
        let candidates = [0, 1, free, most].map(|n| n.min(most));
        let cost = |n: &u32| self.term(cut, model, *n);
        candidates.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0)
    }

    /// The bound of a cut if the first models have so many machines, and its direction of growth in prices.
    fn bound_of(&self, prices: &[f64], fixed: &[u32]) -> (f64, Vec<f64>) {
        let cut = self.cut(prices);
        let mut bound = cut.constant + cut.rest[fixed.len()];
        let stages = self.problem.demand.len();
        let mut growth = self.problem.demand.clone();
        growth.extend(self.caps.iter().map(|cap| -(cap.value as f64)));
        for (index, model) in self.problem.models.iter().enumerate() {
            let machines = match fixed.get(index) {
                Some(machines) => {
                    bound += self.term(&cut, index, *machines);
                    *machines
                }
                None => self.cheapest(&cut, index),
            };
            if machines == 0 {
                continue;
            }
            let worth = |layout: &&Vec<f64>| layout.iter().zip(prices).map(|(rate, price)| rate * price).sum::<f64>();
            if let Some(layout) = self.corners[index].iter().max_by(|a, b| worth(a).total_cmp(&worth(b))) {
                growth.iter_mut().zip(layout).for_each(|(growth, rate)| *growth -= f64::from(machines) * rate);
            }
            for (growth, cap) in growth[stages..].iter_mut().zip(&self.caps) {
                *growth += model.value(cap.objective, machines) as f64;
            }
        }
        (bound, growth)
    }

    /// Prices with nearly the highest bound, for the first models fixed; the search ends early above `enough`.
    ///
    /// The bound is concave in the prices, which are few: the ellipsoid method with deep cuts (Bland, Goldfarb and Todd, The ellipsoid method: a
    /// survey, 1981) gets there without solving anything. Whatever it returns is a valid bound.
    pub fn best_prices(&self, fixed: &[u32], scale: f64, enough: f64) -> (f64, Vec<f64>) {
        let n = self.dimensions();
        // In these units the demand is 1 and the bound about 1.
        let mut unit: Vec<f64> = self.problem.demand.iter().map(|demand| scale / demand).collect();
        unit.extend(self.caps.iter().map(|cap| scale / (cap.value.abs().max(1) as f64)));
        let prices = |at: &[f64]| at.iter().zip(&unit).map(|(x, unit)| x.max(0.0) * unit).collect::<Vec<f64>>();
        let mut ellipsoid = Ellipsoid::new(n);
        let mut best = (f64::NEG_INFINITY, prices(&ellipsoid.centre));
        for _ in 0..60 * n {
            let outside = ellipsoid.centre.iter().position(|x| *x < 0.0);
            let (direction, depth) = match outside {
                Some(axis) => {
                    let mut direction = vec![0.0; n];
                    direction[axis] = 1.0;
                    (direction, -ellipsoid.centre[axis])
                }
                None => {
                    let here = prices(&ellipsoid.centre);
                    let (bound, growth) = self.bound_of(&here, fixed);
                    if bound > best.0 {
                        best = (bound, here);
                    }
                    if best.0 > enough {
                        break;
                    }
                    (
                        growth.iter().zip(&unit).map(|(growth, unit)| growth * unit / scale).collect(),
                        (best.0 - bound) / scale,
                    )
                }
            };
            if !ellipsoid.shrink(&direction, depth) {
                break;
            }
        }
        best
    }
}

/// Where the best prices are.
struct Ellipsoid {
    centre: Vec<f64>,
    /// Its matrix: the points with (x - centre)' inverse(matrix) (x - centre) at most 1.
    matrix: Vec<Vec<f64>>,
}

impl Ellipsoid {
    /// A ball that holds prices up to eight times what the demand alone explains.
    fn new(n: usize) -> Ellipsoid {
        let diagonal = |row: usize| (0..n).map(|column| if row == column { 64.0 * n as f64 } else { 0.0 }).collect();
        Ellipsoid { centre: vec![0.5; n], matrix: (0..n).map(diagonal).collect() }
    }

    /// The smallest ellipsoid that holds the part in which `direction` times the way from the centre is at least `depth`; false if little or
    /// nothing is left.
    fn shrink(&mut self, direction: &[f64], depth: f64) -> bool {
        let n = direction.len();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let image: Vec<f64> = self.matrix.iter().map(|row| dot(row, direction)).collect();
        let width = dot(&image, direction).max(0.0).sqrt();
        if width < 1e-9 || depth >= width {
            return false;
        }
        let (alpha, size) = (depth / width, n as f64);
        let step = (1.0 + size * alpha) / (size + 1.0);
        for (x, image) in self.centre.iter_mut().zip(&image) {
            *x += step * image / width;
        }
        if n == 1 {
            // An interval: its middle and half its length.
            let half = width / direction[0].abs() * (1.0 - alpha) / 2.0;
            self.matrix[0][0] = half * half;
            return true;
        }
        let (shrink, flat) = (size * size / (size * size - 1.0) * (1.0 - alpha * alpha), 2.0 * step / (1.0 + alpha));
        for row in 0..n {
            for column in 0..n {
                let entry = &mut self.matrix[row][column];
                *entry = shrink * (*entry - flat * image[row] * image[column] / (width * width));
            }
        }
        true
    }
}
