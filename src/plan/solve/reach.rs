//! What models can put out at most: with too few machines of one the others cannot reach the demand, whatever they cost.

use super::Problem;

/// Share of the demand that rounding may take, more than [`super::assign`] allows.
const ROUNDING: f64 = 1e-8;

/// The most that models put out, stage by stage, in the order of the search.
pub struct Reach {
    demand: Vec<f64>,
    /// By model: what one machine gives at most.
    best: Vec<Vec<f64>>,
    /// By model: what all machines of the models from this one on give at most.
    rest: Vec<Vec<f64>>,
}

impl Reach {
    /// That of a problem with at most so many machines of each model.
    pub fn new(problem: &Problem, most: &[u32]) -> Reach {
        let stages = 0..problem.demand.len();
        let best_of =
            |layouts: &[Vec<f64>], stage: usize| layouts.iter().map(|layout| layout[stage]).fold(0.0, f64::max);
        let best: Vec<Vec<f64>> = problem
            .models
            .iter()
            .map(|model| stages.clone().map(|stage| best_of(&model.layouts, stage)).collect())
            .collect();
        let mut rest = vec![vec![0.0; problem.demand.len()]; problem.models.len() + 1];
        for model in (0..problem.models.len()).rev() {
            rest[model] = stages
                .clone()
                .map(|stage| rest[model + 1][stage] + f64::from(most[model]) * best[model][stage])
                .collect();
        }
        Reach { demand: problem.demand.clone(), best, rest }
    }

    /// The fewest machines of the next model with which every stage may reach its demand, the first models having so many; the largest number if
    /// none do.
    pub fn least(&self, fixed: &[u32]) -> u32 {
        let next = fixed.len();
        let of_stage = |(stage, demand): (usize, &f64)| {
            let given: f64 =
                fixed.iter().zip(&self.best).map(|(machines, best)| f64::from(*machines) * best[stage]).sum();
            let lacks = demand * (1.0 - ROUNDING) - given - self.rest[next + 1][stage];
            match self.best[next][stage] {
                _ if lacks <= 0.0 => 0,
                best if best > 0.0 => (lacks / best).ceil() as u32,
                _ => u32::MAX,
            }
        };
        self.demand.iter().enumerate().map(of_stage).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Model;
    use super::*;

    #[test]
    fn too_few_of_a_model_are_those_that_the_others_cannot_make_up_for() {
        let model = |layouts: &[[f64; 2]]| Model {
            layouts: layouts.iter().map(|layout| layout.to_vec()).collect(),
            spares: 0,
            owned: 0,
            available: 9,
            each: [1; 3],
            bought: [0; 3],
        };
        let models = vec![model(&[[2.0, 0.0], [0.0, 1.0]]), model(&[[1.0, 0.0]])];
        let reach = Reach::new(&Problem { demand: vec![10.0, 4.0], models }, &[9, 3]);
        // The second model gives 3 of the first stage and nothing of the other.
        assert_eq!(reach.least(&[]), 4);
        assert_eq!((reach.least(&[4]), reach.least(&[5]), reach.least(&[3])), (2, 0, u32::MAX));
    }
}
