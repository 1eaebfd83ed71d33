//! The stages of generating parameters as parts of one whole, so that the remaining time is that of all of them.

use crate::params::Progress;
use crate::params::estimate::{Estimate, G2_COST};

/// Time of a constraint in points of G1, measured on two cores: recorded (by one core), and evaluated.
const RECORD: f64 = 0.3;
const EVALUATE: f64 = 0.2;

/// A progress that takes each stage's own and passes on that of the whole, in points of G1: every other kind of work counts as the points
/// that take as long.
pub fn whole<'a, 'p>(
    estimate: &Estimate,
    progress: &'a mut Progress<'p>,
) -> impl FnMut(&str, u64, u64) + Send + use<'a, 'p> {
    let constraints = estimate.constraints as f64;
    let counts = estimate.structure;
    let stages = [
        ("record", RECORD * constraints),
        ("evaluate", EVALUATE * constraints),
        ("h", f64::from(counts.h)),
        ("l", f64::from(counts.l)),
        ("a", f64::from(counts.a)),
        ("b_g1", f64::from(counts.b_g1)),
        ("b_g2", G2_COST * f64::from(counts.b_g2)),
    ];
    let total: f64 = stages.iter().map(|(_, cost)| cost).sum();
    move |stage, done, of| {
        let Some(at) = stages.iter().position(|(name, _)| *name == stage) else {
            return progress(stage, done, of);
        };
        let before: f64 = stages[..at].iter().map(|(_, cost)| cost).sum();
        let share = if of == 0 { 1.0 } else { done as f64 / of as f64 };
        progress(stage, (before + share.min(1.0) * stages[at].1) as u64, total as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::Shape;

    #[test]
    fn stages_follow_each_other_up_to_the_whole() {
        let estimate = Estimate::of(&Shape::network("2KiB".parse().unwrap()));
        let mut seen = Vec::new();
        let mut note = |stage: &str, done: u64, total: u64| seen.push((stage.to_string(), done, total));
        let mut progress = whole(&estimate, &mut note);
        progress("wait", 1, 1);
        for stage in ["record", "evaluate", "h", "l", "a", "b_g1", "b_g2"] {
            progress(stage, 0, 10);
            progress(stage, 10, 10);
        }
        drop(progress);
        assert_eq!(seen[0], ("wait".into(), 1, 1));
        assert_eq!((seen[1].1, seen[14].1), (0, seen[14].2));
        assert!(seen[1..].is_sorted_by_key(|(_, done, _)| *done), "{seen:?}");
        assert!(seen[1..].iter().all(|(_, _, total)| *total == seen[1].2));
    }
}
