//! Whether given numbers of machines can be cut so that every stage reaches its demand.
//!
//! For one stage every machine takes its best layout. For two, a machine that does not take the layout with the most value loses some; the
//! demand can be reached if and only if for every exchange rate between the stages the losses stay within what the machines have to spare. The
//! exchange rates that matter are those of the edges of the models' sets of layouts.

use super::Problem;
use super::corners::corners;

/// Share of the demand that rounding may take.
const ROUNDING: f64 = 1e-9;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// Machines by model and layout.
    Yes(Vec<Vec<u32>>),
    /// They do not suffice.
    No,
    /// The work that was allowed did not suffice to know.
    Unknown,
}

/// Finds layouts for so many machines of each model; `work` is lowered by what it took.
pub fn assign(problem: &Problem, machines: &[u32], work: &mut u64) -> Assigned {
    let losses = Losses::new(problem, machines);
    if losses.spare.iter().any(|spare| *spare < -ROUNDING) {
        return Assigned::No;
    }
    if let Some(counts) = losses.dive(problem, machines) {
        return Assigned::Yes(counts);
    }
    let mut search = Search { losses: &losses, machines, counts: none(problem), work };
    match search.model(0, losses.spare.clone()) {
        Some(true) => Assigned::Yes(search.counts),
        Some(false) => Assigned::No,
        None => Assigned::Unknown,
    }
}

fn none(problem: &Problem) -> Vec<Vec<u32>> {
    problem.models.iter().map(|model| vec![0; model.layouts.len()]).collect()
}

/// What each layout loses at each exchange rate, in shares of the demand's value.
struct Losses {
    /// What the machines have to spare if each takes its best, by exchange rate.
    spare: Vec<f64>,
    /// By model, layout and exchange rate.
    loss: Vec<Vec<Vec<f64>>>,
    /// Layouts of each model, those that lose least at the tightest exchange rate first.
    order: Vec<Vec<usize>>,
}

impl Losses {
    fn new(problem: &Problem, machines: &[u32]) -> Losses {
        let rates = exchange_rates(problem, machines);
        let mut spare = vec![-1.0; rates.len()];
        let mut loss = Vec::new();
        for (model, count) in problem.models.iter().zip(machines) {
            let worth = |layout: &Vec<f64>, rate: &Vec<f64>| layout.iter().zip(rate).map(|(a, b)| a * b).sum::<f64>();
            let best = |rate: &Vec<f64>| model.layouts.iter().map(|layout| worth(layout, rate)).fold(0.0, f64::max);
            let best: Vec<f64> = rates.iter().map(best).collect();
            spare.iter_mut().zip(&best).for_each(|(spare, best)| *spare += f64::from(*count) * best);
            let of = |layout| rates.iter().zip(&best).map(|(rate, best)| best - worth(layout, rate)).collect();
            loss.push(if *count == 0 { Vec::new() } else { model.layouts.iter().map(of).collect::<Vec<Vec<f64>>>() });
        }
        let tightest = (0..rates.len()).min_by(|a, b| spare[*a].total_cmp(&spare[*b])).unwrap_or(0);
        let sorted = |of_model: &Vec<Vec<f64>>| {
            let mut order: Vec<usize> = (0..of_model.len()).collect();
            order.sort_by(|a, b| of_model[*a][tightest].total_cmp(&of_model[*b][tightest]));
            order
        };
        Losses { spare, order: loss.iter().map(sorted).collect(), loss }
    }

    /// Gives one machine after the other the layout that leaves most to spare.
    fn dive(&self, problem: &Problem, machines: &[u32]) -> Option<Vec<Vec<u32>>> {
        let (mut spare, mut counts) = (self.spare.clone(), none(problem));
        for (model, count) in machines.iter().enumerate() {
            // One that loses nothing at any exchange rate is for all machines: with one stage there always is one.
            if let Some(best) = self.loss[model].iter().position(|loss| loss.iter().all(|loss| *loss <= 0.0)) {
                counts[model][best] = *count;
                continue;
            }
            for _ in 0..*count {
                let left = |layout: &usize| {
                    let loss = &self.loss[model][*layout];
                    spare.iter().zip(loss).map(|(spare, loss)| spare - loss).fold(f64::INFINITY, f64::min)
                };
                let layout = (0..self.loss[model].len()).max_by(|a, b| left(a).total_cmp(&left(b)))?;
                if left(&layout) < -ROUNDING {
                    return None;
                }
                spare.iter_mut().zip(&self.loss[model][layout]).for_each(|(spare, loss)| *spare -= loss);
                counts[model][layout] += 1;
            }
        }
        Some(counts)
    }
}

/// Exchange rates between the stages, each scaled so that the demand has the value 1.
fn exchange_rates(problem: &Problem, machines: &[u32]) -> Vec<Vec<f64>> {
    let demand = &problem.demand;
    let mut rates: Vec<Vec<f64>> = (0..demand.len())
        .map(|stage| (0..demand.len()).map(|other| if stage == other { 1.0 / demand[stage] } else { 0.0 }).collect())
        .collect();
    if demand.len() == 2 {
        for (model, _) in problem.models.iter().zip(machines).filter(|(_, count)| **count > 0) {
            for edge in corners(&model.layouts).windows(2) {
                let normal = [edge[0][1] - edge[1][1], edge[1][0] - edge[0][0]];
                let value = normal[0] * demand[0] + normal[1] * demand[1];
                rates.push(normal.iter().map(|x| x / value).collect());
            }
        }
    }
    rates
}

/// Search through all ways.
struct Search<'a> {
    losses: &'a Losses,
    machines: &'a [u32],
    counts: Vec<Vec<u32>>,
    work: &'a mut u64,
}

impl Search<'_> {
    fn model(&mut self, model: usize, spare: Vec<f64>) -> Option<bool> {
        match self.machines.get(model) {
            None => Some(true),
            Some(0) => self.model(model + 1, spare),
            Some(count) => self.layouts(model, 0, *count, spare),
        }
    }

    /// Gives the `left` machines of a model layouts from this place of the order on. `None` if the work is used up.
    fn layouts(&mut self, model: usize, place: usize, left: u32, spare: Vec<f64>) -> Option<bool> {
        if left == 0 {
            return self.model(model + 1, spare);
        }
        let Some(&layout) = self.losses.order[model].get(place) else { return Some(false) };
        let loss = &self.losses.loss[model][layout];
        for count in (0..=left).rev() {
            *self.work = self.work.checked_sub(1)?;
            let n = f64::from(count);
            let after: Vec<f64> = spare.iter().zip(loss).map(|(spare, loss)| spare - n * loss).collect();
            if after.iter().all(|spare| *spare >= -ROUNDING) {
                self.counts[model][layout] = count;
                if self.layouts(model, place + 1, left - count, after)? {
                    return Some(true);
                }
            }
        }
        self.counts[model][layout] = 0;
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Model;
    use super::*;

    fn problem(demand: [f64; 2], models: &[&[[f64; 2]]]) -> Problem {
        let model = |layouts: &&[[f64; 2]]| Model {
            layouts: layouts.iter().map(|layout| layout.to_vec()).collect(),
            spares: 0,
            owned: 0,
            available: 9,
            each: [1; 3],
            bought: [0; 3],
        };
        Problem { demand: demand.to_vec(), models: models.iter().map(model).collect() }
    }

    #[test]
    fn machines_that_suffice_on_average_may_not_do_so_whole() {
        // Three machines that do 2 of one or 2 of the other stage: 3 and 3 on average, but 2 and 4 or 4 and 2 in truth.
        let of = |demand: [f64; 2], layouts: &[[f64; 2]]| assign(&problem(demand, &[layouts]), &[3], &mut 1000);
        assert_eq!(of([3.0, 3.0], &[[2.0, 0.0], [0.0, 2.0]]), Assigned::No);
        assert_eq!(of([2.0, 4.0], &[[2.0, 0.0], [0.0, 2.0]]), Assigned::Yes(vec![vec![1, 2]]));
        // A layout that is best at no exchange rate saves it.
        assert!(matches!(of([2.9, 2.9], &[[2.0, 0.0], [0.0, 2.0], [0.95, 0.95]]), Assigned::Yes(_)));
        assert_eq!(of([3.1, 3.1], &[[2.0, 0.0], [0.0, 2.0]]), Assigned::No);
    }

    #[test]
    fn the_work_is_bounded() {
        let problem = problem([30.0, 30.0], &[&[[2.0, 0.0], [0.0, 2.0]]]);
        assert_eq!(assign(&problem, &[30], &mut 1000), Assigned::Yes(vec![vec![15, 15]]));
        let odd = [[2.0, 0.0], [0.0, 2.0], [1.3, 0.6], [0.6, 1.3]];
        let problem = self::problem([31.0, 30.99], &[&odd]);
        assert_eq!(assign(&problem, &[31], &mut 10), Assigned::Unknown);
    }
}
