//! Numbers of machines as formulas of the demand and of what a machine puts out.
//!
//! A stage that one layout does alone needs the demand over that layout's output, rounded up. Where several layouts share a stage, one of
//! them (its closing layout) takes what the others leave. The others keep their numbers in proportion to the demand. Which layout closes a
//! stage is chosen so that the plan's own inputs give the plan's own numbers.

use super::term::Term;

/// The solver takes a demand as met at this share of it, so that figures like 4 x 1.6 do not cost a machine.
const MET: f64 = 1.0 - 1e-9;

/// A layout of the purchase.
#[derive(Clone, Debug)]
pub struct Part {
    /// Machines in the plan.
    pub planned: u32,
    /// Sectors per hour of a machine by stage.
    pub per_h: Vec<Term>,
}

/// What numbers of machines are computed for.
#[derive(Clone, Debug)]
pub struct Needs {
    /// What each stage has to reach.
    pub demand: Term,
    /// The same with the plan's own inputs, a constant.
    pub planned: f64,
    /// The layouts at the rates that the plan was made with.
    pub base: Vec<Part>,
}

/// Where the number of each layout stands, so that formulas can name it.
pub type Place<'a> = &'a dyn Fn(usize, f64) -> Term;

impl Needs {
    /// The formulas, one per layout; `parts` are the layouts at the rates that count, `place` names the cell that a number goes to.
    pub fn counts(&self, parts: &[Part], place: Place) -> Vec<Term> {
        let stages = parts.first().map_or(0, |part| part.per_h.len());
        let planned: Vec<f64> = self.base.iter().map(|part| f64::from(part.planned)).collect();
        let then = Needs { demand: Term::number(self.planned), ..self.clone() };
        let fits = |closing: &Vec<usize>| {
            let counts = then.closed(&self.base, closing, place);
            counts.is_some_and(|counts| counts.iter().zip(&planned).all(|(term, planned)| term.value() == *planned))
        };
        let ways = closings(parts.len(), stages);
        let closing = ways.into_iter().filter(|closing| self.does_each(closing)).find(fits);
        closing.and_then(|closing| self.closed(parts, &closing, place)).unwrap_or_else(|| self.in_proportion(parts))
    }

    /// Whether the closing layout of each stage does it.
    fn does_each(&self, closing: &[usize]) -> bool {
        closing.iter().enumerate().all(|(stage, part)| self.base[*part].per_h[stage].value() > 0.0)
    }

    /// The numbers with these closing layouts, by stage; `None` if two of them would each depend on the other.
    fn closed(&self, parts: &[Part], closing: &[usize], place: Place) -> Option<Vec<Term>> {
        let gives = |part: usize, stage: usize| self.base[part].per_h[stage].value() > 0.0;
        if let [first, second] = closing
            && first != second
            && gives(*first, 1)
            && gives(*second, 0)
        {
            return None;
        }
        let kept = |part: usize| self.kept(parts, part);
        let mut counts: Vec<Option<Term>> =
            (0..parts.len()).map(|part| (!closing.contains(&part)).then(|| kept(part))).collect();
        // The one that depends on no other closing layout comes first.
        let mut stages: Vec<usize> = (0..closing.len()).collect();
        if let [first, second] = closing
            && first != second
            && gives(*second, 0)
        {
            stages.reverse();
        }
        for stage in stages {
            let part = closing[stage];
            let own = closing.iter().enumerate().filter(|(_, closes)| **closes == part).map(|(stage, _)| stage);
            let needed: Vec<Term> = own.map(|stage| self.left(parts, &counts, part, stage, place)).collect();
            counts[part] = Some(Term::max(&needed)?.round_up());
        }
        counts.into_iter().collect()
    }

    /// Machines of a closing layout for what the others leave of a stage, not rounded.
    fn left(&self, parts: &[Part], counts: &[Option<Term>], part: usize, stage: usize, place: Place) -> Term {
        let demand = &self.demand * &Term::number(MET);
        let others = (0..parts.len()).filter(|other| *other != part && parts[*other].per_h[stage].value() > 0.0);
        let given = others.filter_map(|other| {
            let count = counts[other].as_ref()?;
            Some(&place(other, count.value()) * &parts[other].per_h[stage])
        });
        let given: Vec<Term> = given.collect();
        let left = if given.is_empty() { demand } else { (&demand - &Term::sum(given)).at_least_zero() };
        &left / &parts[part].per_h[stage]
    }

    /// The planned number in proportion to the demand.
    fn kept(&self, parts: &[Part], part: usize) -> Term {
        let planned = Term::number(f64::from(parts[part].planned));
        let share = &self.demand / &Term::number(self.planned);
        (&(&planned * &share) * &Term::number(MET)).round_up()
    }

    /// All planned numbers in proportion to what the planned machines lack of the demand.
    fn in_proportion(&self, parts: &[Part]) -> Vec<Term> {
        let stages = parts.first().map_or(0, |part| part.per_h.len());
        let load = |parts: &[Part], demand: &Term| {
            let of = |stage: usize| {
                let all = parts.iter().filter(|part| part.per_h[stage].value() > 0.0);
                let all = all.map(|part| &Term::number(f64::from(part.planned)) * &part.per_h[stage]);
                demand / &Term::sum(all)
            };
            Term::max(&(0..stages).map(of).collect::<Vec<_>>()).unwrap_or(Term::number(0.0))
        };
        let planned = load(&self.base, &Term::number(self.planned)).value();
        let now = &load(parts, &self.demand) / &Term::number(planned);
        let count = |part: &Part| (&(&Term::number(f64::from(part.planned)) * &now) * &Term::number(MET)).round_up();
        parts.iter().map(count).collect()
    }
}

/// Every choice of a closing layout for each stage; first those in which each stage has one of its own.
fn closings(parts: usize, stages: usize) -> Vec<Vec<usize>> {
    let mut ways = (0..stages).fold(vec![Vec::new()], |ways: Vec<Vec<usize>>, _| {
        ways.iter().flat_map(|way| (0..parts).map(move |part| [way.as_slice(), &[part]].concat())).collect()
    });
    let is_shared = |way: &Vec<usize>| way.iter().enumerate().any(|(stage, part)| way[..stage].contains(part));
    ways.sort_by_key(is_shared);
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(planned: u32, per_h: &[f64]) -> Part {
        Part { planned, per_h: per_h.iter().map(|rate| Term::reference("r", *rate)).collect() }
    }

    fn counts(parts: &[Part], planned: f64, demand: f64) -> Vec<f64> {
        let needs = Needs { demand: Term::reference("demand_per_h", demand), planned, base: parts.to_vec() };
        let place = |part: usize, value: f64| Term::reference(format!("F{part}"), value);
        needs.counts(parts, &place).iter().map(Term::value).collect()
    }

    #[test]
    fn the_notes_machines_follow_the_demand() {
        let parts = [part(41, &[1.6, 0.0]), part(28, &[0.0, 180.0 / 77.0])];
        let target = 32768.0 / 504.0;
        assert_eq!(counts(&parts, target, target), [41.0, 28.0]);
        assert_eq!(counts(&parts, target, 2.0 * target), [82.0, 56.0]);
        let needs = Needs { demand: Term::reference("demand_per_h", target), planned: target, base: parts.to_vec() };
        let formulas = needs.counts(&parts, &|part, value| Term::reference(format!("F{part}"), value));
        assert_eq!(formulas[0].text(), "ROUNDUP((demand_per_h*0.999999999)/r,0)");
    }

    #[test]
    fn one_layout_that_does_both_stages_follows_the_slower() {
        let parts = [part(5, &[2.0, 3.0])];
        assert_eq!(counts(&parts, 10.0, 10.0), [5.0]);
        assert_eq!(counts(&parts, 10.0, 21.0), [11.0]);
    }

    #[test]
    fn a_layout_takes_what_others_leave() {
        // Four mixed machines prove 4 of 10; three provers do the rest.
        let parts = [part(5, &[2.0, 1.0]), part(3, &[0.0, 2.0])];
        assert_eq!(counts(&parts, 10.0, 10.0), [5.0, 3.0]);
        assert_eq!(counts(&parts, 10.0, 20.0), [10.0, 5.0]);
    }

    proptest! {
        #[test]
        fn the_plans_inputs_give_the_plans_numbers_and_any_demand_is_met(
            rates in proptest::collection::vec((1u32..4, 0u32..5, 0u32..5), 1..4), more in 1.0f64..5.0,
        ) {
            let parts: Vec<Part> =
                rates.iter().map(|(n, a, b)| part(*n, &[f64::from(*a) * 0.7, f64::from(*b) * 0.3])).collect();
            let reach = |counts: &[f64], stage: usize| -> f64 {
                parts.iter().zip(counts).map(|(part, count)| part.per_h[stage].value() * count).sum()
            };
            let planned: Vec<f64> = parts.iter().map(|part| f64::from(part.planned)).collect();
            let demand = reach(&planned, 0).min(reach(&planned, 1));
            prop_assume!(demand > 0.0);
            prop_assert_eq!(counts(&parts, demand, demand), planned);
            let then = counts(&parts, demand, demand * more);
            for stage in 0..2 {
                prop_assert!(reach(&then, stage) >= demand * more * (1.0 - 1e-8), "{:?}", then);
            }
        }
    }
}
