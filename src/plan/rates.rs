//! Rates: how fast an instance of a phase is on so many cores, how sure that is and where it comes from.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::measure::stats::bootstrap::median_interval;
use crate::measure::stats::{coefficient_of_variation, median};
use crate::phase::Phase;
use crate::trial::record::{Interval, Origin};

/// Two figures of one thing without intervals agree if they differ by no more than this: the spread that the Phoronix Test Suite accepts.
const TOLERANCE: f64 = 0.035;

/// What converting a time to a rate may change.
const ROUNDING: f64 = 1e-9;

/// Partitions that p4 proves at once unless a rate says otherwise.
const PARTITIONS_AT_ONCE: u32 = 10;

/// What was typed disagrees with what was measured if it differs by more than this from the mean.
const SLIP: f64 = 0.02;

/// A rate as it is typed in a scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Where it stands: "rate 2".
    pub place: String,
    /// The phase.
    pub phase: Phase,
    /// The models it holds for; all if empty.
    pub skus: Vec<String>,
    /// Cores of an instance.
    pub cores: Option<u32>,
    /// Instances that ran side by side.
    pub instances: u32,
    /// Wall times of runs, seconds; one alone is that of each instance. With several instances side by side those of one repeat after those of
    /// another.
    pub times: Vec<f64>,
    /// In place of times: sectors per hour of one instance.
    pub sectors_per_h: Option<f64>,
    /// 95 % interval of the sectors per hour of one instance.
    pub interval: Option<Interval>,
    /// Coefficient of variation of the times.
    pub cv: Option<f64>,
    /// Sectors of a batch.
    pub batch: u32,
    /// Partitions that p4 proved at once.
    pub partitions_at_once: Option<u32>,
    /// Memory of an instance, bytes, where it is not the usual.
    pub memory: Option<f64>,
    /// Engine or kernels; rates of different variants are different things.
    pub variant: Option<String>,
    /// Where the figure comes from; an estimate if nothing is said.
    pub origin: Option<Origin>,
    /// Files, runs or words that say where it comes from.
    pub source: Vec<String>,
    /// Whether the instances really ran at the same time.
    pub concurrent: Option<bool>,
}

/// How fast an instance of a phase is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// The phase.
    pub phase: Phase,
    /// The models it holds for; all if empty.
    pub skus: Vec<String>,
    /// Cores of an instance.
    pub cores: u32,
    /// Instances that ran side by side when it was measured.
    pub instances: u32,
    /// Sectors that an instance processes together.
    pub batch: u32,
    /// Engine or kernels.
    pub variant: Option<String>,
    /// Partitions that p4 proves at once.
    pub partitions_at_once: Option<u32>,
    /// Memory of an instance, bytes, where it is not the usual.
    pub memory: Option<f64>,
    /// Sectors per hour of one instance: the median over repeats of what the instances put out together, shared among them.
    pub sectors_per_h: f64,
    /// 95 % interval of that.
    pub interval: Option<Interval>,
    /// Number of samples: repeats, however many instances ran in each; 1 for a figure that was typed.
    pub n: u32,
    /// Coefficient of variation of the times.
    pub cv: Option<f64>,
    /// Mean wall time of a run, seconds.
    pub mean_s: f64,
    /// Shortest and longest run, seconds, where samples are known.
    pub range_s: Option<Interval>,
    /// Where the figure comes from.
    pub origin: Origin,
    /// Whether it is a figure that someone typed, not one that samples give.
    pub typed: bool,
    /// Files, runs or words that say where it comes from.
    pub source: Vec<String>,
    /// Whether the instances really ran at the same time; `None` if nobody said.
    pub concurrent: Option<bool>,
}

impl Rate {
    /// Wall time of one run of an instance, seconds.
    pub fn run_s(&self) -> f64 {
        3600.0 * f64::from(self.batch) / self.sectors_per_h
    }

    /// Time of an instance for one sector of a run, seconds.
    pub fn sector_s(&self) -> f64 {
        3600.0 / self.sectors_per_h
    }

    /// Whether it holds for a model.
    pub fn holds_for(&self, sku: &str) -> bool {
        self.skus.is_empty() || self.skus.iter().any(|name| name == sku)
    }

    /// The rate at the lower end of its interval; itself without one.
    pub fn at_bound(&self) -> Rate {
        Rate { sectors_per_h: self.interval.map_or(self.sectors_per_h, |interval| interval.low), ..self.clone() }
    }

    /// What it is a rate of: "p2 on 23 cores", "native p1 on 1 core, 4 sectors together".
    pub fn label(&self) -> String {
        let variant = self.variant.as_ref().map_or_else(String::new, |variant| format!("{variant} "));
        let cores = if self.cores == 1 { "core" } else { "cores" };
        let batch = if self.batch > 1 { format!(", {} sectors together", self.batch) } else { String::new() };
        let at_once = self.partitions_at_once.map_or_else(String::new, |k| format!(", {k} partitions at once"));
        format!("{variant}{} on {} {cores}{batch}{at_once}", self.phase, self.cores)
    }

    /// Where it comes from, in a few words.
    pub fn sources(&self) -> String {
        match self.source.as_slice() {
            [] => "no source is named".to_string(),
            [one] => one.clone(),
            [first, .., last] => format!("{first} to {last}"),
        }
    }

    /// What speaks against running so many instances of it on a machine, alone or beside others. Where nobody said how it was measured there is
    /// nothing to say here.
    pub fn doubt(&self, count: u32, alone: bool) -> Option<String> {
        if count <= 1 && alone {
            return None;
        }
        let why = match self.concurrent {
            None => return None,
            Some(false) => {
                "was measured in runs that were not concurrent, so side by side it will be slower".to_string()
            }
            Some(true) if self.instances >= count => return None,
            Some(true) => format!("was measured with {} side by side and is used with {count}", self.instances),
        };
        Some(format!("the rate of {} ({}) {why}", self.label(), self.sources()))
    }

    /// Whether a typed figure and samples are about the same thing: what was typed is about any number side by side and, if it names no
    /// variant, about any.
    fn is_typed_of(&self, samples: &Rate) -> bool {
        self.thing() == samples.thing() && (self.variant.is_none() || self.variant == samples.variant)
    }

    /// What it is a rate of, whatever ran beside it.
    fn thing(&self) -> (Phase, u32, u32, Option<u32>) {
        (self.phase, self.cores, self.batch, (self.phase == Phase::P4).then(|| self.at_once()))
    }

    /// Partitions that p4 proves at once.
    pub fn at_once(&self) -> u32 {
        self.partitions_at_once.unwrap_or(PARTITIONS_AT_ONCE)
    }

    /// Whether both, two typed figures or two from samples, are about the same thing.
    fn is_same_thing(&self, other: &Rate) -> bool {
        self.thing() == other.thing() && (&self.variant, self.instances) == (&other.variant, other.instances)
    }

    /// Whether each is outside the other's interval.
    fn contradicts(&self, other: &Rate) -> bool {
        let outside = |value: f64, of: &Rate| {
            let interval = of.interval.unwrap_or(Interval {
                low: of.sectors_per_h * (1.0 - TOLERANCE),
                high: of.sectors_per_h * (1.0 + TOLERANCE),
            });
            !(interval.low..=interval.high).contains(&value)
        };
        outside(self.sectors_per_h, other) && outside(other.sectors_per_h, self)
    }
}

/// The rate that an entry gives; an error names the entry.
pub fn from_entry(entry: &Entry) -> Result<Rate, String> {
    let Entry { place, phase, times, .. } = entry;
    let Some(cores) = entry.cores else {
        return Err(format!(
            "{place} ({phase}): say on how many cores it was measured (cores = ...): a rate without cores cannot be placed"
        ));
    };
    let batch = f64::from(entry.batch);
    let repeats = repeats(entry)?;
    let Some(sectors_per_h) = median(&repeats) else {
        return Err(format!("{place} ({phase}): there is no time, times or sectors_per_h"));
    };
    let has_samples = times.len() > 1;
    let rate = Rate {
        phase: *phase,
        skus: entry.skus.clone(),
        cores,
        instances: entry.instances,
        batch: entry.batch,
        variant: entry.variant.clone(),
        partitions_at_once: entry.partitions_at_once,
        memory: entry.memory,
        sectors_per_h,
        interval: entry.interval.or_else(|| median_interval(&repeats)),
        n: repeats.len() as u32,
        cv: entry.cv.or_else(|| coefficient_of_variation(times)),
        mean_s: if has_samples { mean(times) } else { 3600.0 * batch / sectors_per_h },
        range_s: has_samples.then(|| range(times)),
        origin: entry.origin.unwrap_or(Origin::Estimated),
        typed: !has_samples,
        source: if entry.source.is_empty() { vec![format!("typed, {place}")] } else { entry.source.clone() },
        concurrent: entry.concurrent,
    };
    match entry.interval {
        Some(Interval { low, high })
            if !(low * (1.0 - ROUNDING)..=high * (1.0 + ROUNDING)).contains(&sectors_per_h) =>
        {
            Err(format!(
                "{place} ({phase}): its interval, {} to {} min, does not hold its time, {} min: correct one of them",
                minutes(3600.0 * batch / high),
                minutes(3600.0 * batch / low),
                minutes(rate.run_s())
            ))
        }
        _ => Ok(rate),
    }
}

/// Sectors per hour of one instance, by repeat: the sum of reciprocal times of the instances side by side, over their number. A single figure is
/// that of each.
fn repeats(entry: &Entry) -> Result<Vec<f64>, String> {
    let Entry { place, phase, instances, .. } = entry;
    let per_h = |time: &f64| 3600.0 * f64::from(entry.batch) / time;
    match (entry.times.as_slice(), entry.sectors_per_h) {
        ([_, ..], Some(_)) => Err(format!("{place} ({phase}): sectors_per_h and times say the same: leave one out")),
        ([], rate) => Ok(rate.into_iter().collect()),
        ([time], None) => Ok(vec![per_h(time)]),
        (times, None) if times.len() % *instances as usize == 0 => {
            let of = |repeat: &[f64]| mean(&repeat.iter().map(per_h).collect::<Vec<_>>());
            Ok(times.chunks_exact(*instances as usize).map(of).collect())
        }
        (times, None) => {
            Err(format!("{place}: {} times are not a whole number of repeats of {instances} instances", times.len()))
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn range(values: &[f64]) -> Interval {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    Interval { low, high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max) }
}

/// Rates of which each thing has one, and what a reader must know about those that were left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The rates.
    pub rates: Vec<Rate>,
    /// Sentences.
    pub warnings: Vec<String>,
}

/// Keeps for each model one rate of each thing: of those from samples that agree the one with most, then a typed one in place of all that it
/// is about, which is said if they disagree. Two that contradict each other are an error that names both. The order of the rates does not count.
pub fn settle(rates: Vec<Rate>, skus: &[&str]) -> Result<Settled, String> {
    let mut kept: Vec<Vec<String>> = vec![Vec::new(); rates.len()];
    let mut warnings: Vec<String> = Vec::new();
    for sku in skus {
        let of =
            |typed: bool| rates.iter().enumerate().filter(move |(_, rate)| rate.typed == typed && rate.holds_for(sku));
        let (samples, typed) = (agreed(of(false).collect())?, agreed(of(true).collect())?);
        typed.iter().for_each(|(index, _)| kept[*index].push(sku.to_string()));
        for (index, samples) in samples {
            let is_about = |typed: &&(usize, &Rate)| typed.1.is_typed_of(samples);
            let nearest = |typed: &&(usize, &Rate)| typed.1.instances.abs_diff(samples.instances);
            match typed.iter().filter(is_about).min_by_key(nearest) {
                Some((_, typed)) => warnings.extend(disagreement(typed, samples)),
                None => kept[index].push(sku.to_string()),
            }
        }
    }
    let mut seen = BTreeSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
    let narrowed = |(rate, kept): (Rate, Vec<String>)| {
        let all = skus.iter().filter(|sku| rate.holds_for(sku)).count();
        let skus = if kept.len() == all { rate.skus.clone() } else { kept.clone() };
        (!kept.is_empty()).then_some(Rate { skus, ..rate })
    };
    Ok(Settled { rates: rates.into_iter().zip(kept).filter_map(narrowed).collect(), warnings })
}

/// Of rates that all hold for a model one of each thing, with its place: that with most samples, of equally many the slowest.
fn agreed(rates: Vec<(usize, &Rate)>) -> Result<Vec<(usize, &Rate)>, String> {
    let mut agreed: Vec<(usize, &Rate)> = Vec::new();
    for (place, (index, rate)) in rates.iter().enumerate() {
        let same = |other: &&(usize, &Rate)| other.1.is_same_thing(rate);
        if let Some((_, other)) = rates[..place].iter().filter(same).find(|(_, other)| other.contradicts(rate)) {
            return Err(contradiction(other, rate));
        }
        match agreed.iter_mut().find(|known| known.1.is_same_thing(rate)) {
            Some(known) if (known.1.n, -known.1.sectors_per_h) >= (rate.n, -rate.sectors_per_h) => {}
            Some(known) => *known = (*index, rate),
            None => agreed.push((*index, rate)),
        }
    }
    Ok(agreed)
}

fn contradiction(one: &Rate, other: &Rate) -> String {
    let of = |rate: &Rate| format!("{} min ({})", minutes(rate.run_s()), rate.sources());
    let remedy = if one.skus == other.skus { "" } else { ", or say for which models each holds (skus)" };
    format!("{}: {} and {} contradict each other: leave one out{remedy}", other.label(), of(one), of(other))
}

/// That a typed figure is not what the samples say.
fn disagreement(typed: &Rate, samples: &Rate) -> Option<String> {
    if (typed.run_s() / samples.mean_s - 1.0).abs() <= SLIP {
        return None;
    }
    let range = samples
        .range_s
        .map_or_else(String::new, |range| format!(", {} to {} min", minutes(range.low), minutes(range.high)));
    let repeats = if samples.n == 1 { "1 repeat".to_string() } else { format!("{} repeats", samples.n) };
    Some(format!(
        "{}: the typed {} min disagrees with the {} {} min ({repeats}{range}: {}); the plan uses what was typed",
        samples.label(),
        minutes(typed.run_s()),
        samples.origin.name(),
        minutes(samples.mean_s),
        samples.sources()
    ))
}

/// Minutes with at most one digit: "120", "128.6".
pub fn minutes(seconds: f64) -> String {
    let text = format!("{:.1}", seconds / 60.0);
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A typed entry.
    pub fn entry(phase: Phase, cores: u32, minutes: &[f64], instances: u32) -> Entry {
        Entry {
            place: "rate 1".into(),
            phase,
            skus: Vec::new(),
            cores: Some(cores),
            instances,
            times: minutes.iter().map(|time| time * 60.0).collect(),
            sectors_per_h: None,
            interval: None,
            cv: None,
            batch: 1,
            partitions_at_once: None,
            memory: None,
            variant: None,
            origin: None,
            source: Vec::new(),
            concurrent: None,
        }
    }

    /// One model.
    const BOX: [&str; 1] = ["box"];

    /// The notes' p2 sweep on 96 cores, minutes from their logs' time stamps.
    pub const SWEEP: [(u32, &[f64]); 3] = [
        (23, &[130.5, 133.983_333, 131.933_333, 118.133_333]),
        (30, &[104.25, 105.983_333, 95.45]),
        (46, &[66.25, 58.833_333]),
    ];

    #[test]
    fn instances_side_by_side_put_out_the_sum_of_their_reciprocal_times() {
        for ((cores, times), expected) in SWEEP.into_iter().zip([1.870, 1.770, 1.925]) {
            let rate = from_entry(&entry(Phase::P2, cores, times, times.len() as u32)).unwrap();
            let together = rate.sectors_per_h * times.len() as f64;
            assert!((together - expected).abs() < 0.001, "{cores} cores: {together}");
            assert_eq!((rate.n, rate.interval, rate.typed), (1, None, false), "one repeat says nothing of the spread");
        }
        let times = [60.0, 30.0, 120.0, 120.0, 60.0, 60.0];
        let repeats = from_entry(&entry(Phase::P2, 8, &times, 2)).unwrap();
        assert_eq!((repeats.sectors_per_h, repeats.n), (1.0, 3));
        assert_eq!(repeats.interval, Some(Interval { low: 0.5, high: 1.5 }));
        assert_eq!(repeats.range_s, Some(Interval { low: 1800.0, high: 7200.0 }));
        assert!(from_entry(&entry(Phase::P2, 8, &[60.0, 30.0, 120.0], 2)).unwrap_err().contains("whole number"));
    }

    #[test]
    fn a_batch_puts_out_all_its_sectors_in_one_run() {
        let rate = from_entry(&Entry { batch: 16, ..entry(Phase::P1, 8, &[180.0], 1) }).unwrap();
        assert_eq!((rate.sectors_per_h, rate.run_s()), (16.0 / 3.0, 10800.0));
        assert_eq!(rate.label(), "p1 on 8 cores, 16 sectors together");
    }

    #[test]
    fn a_rate_without_cores_is_refused() {
        let error = from_entry(&Entry { cores: None, ..entry(Phase::P2, 1, &[120.0], 1) }).unwrap_err();
        assert!(error.contains("rate 1 (p2)") && error.contains("cores = "), "{error}");
    }

    #[test]
    fn a_typed_figure_is_used_and_said_to_disagree() {
        let typed = from_entry(&entry(Phase::P2, 23, &[120.0], 4)).unwrap();
        let imported = Entry {
            origin: Some(Origin::Imported),
            source: vec!["benchy-p2-23cpu-1.log".into(), "benchy-p2-23cpu-4.log".into()],
            ..entry(Phase::P2, 23, SWEEP[0].1, 4)
        };
        let imported = from_entry(&imported).unwrap();
        for order in [[typed.clone(), imported.clone()], [imported.clone(), typed.clone()]] {
            let settled = settle(order.to_vec(), &BOX).unwrap();
            assert_eq!(settled.rates, std::slice::from_ref(&typed));
            assert!(
                settled.warnings[0].contains("the typed 120 min disagrees with the imported 128.6 min"),
                "{settled:?}"
            );
        }
        let near = from_entry(&entry(Phase::P2, 23, &[128.0], 4)).unwrap();
        assert!(settle(vec![near, imported], &BOX).unwrap().warnings.is_empty());
    }

    #[test]
    fn two_that_contradict_each_other_are_named() {
        let of = |times: &[f64], source: &str| {
            from_entry(&Entry { source: vec![source.into()], ..entry(Phase::P1, 8, times, 1) }).unwrap()
        };
        let (a, b) = (of(&[100.0, 101.0, 102.0], "run-a"), of(&[150.0, 151.0, 152.0], "run-b"));
        let error = settle(vec![a.clone(), b.clone()], &BOX).unwrap_err();
        assert!(error.contains("101 min (run-a)") && error.contains("151 min (run-b)"), "{error}");
        let more = of(&[100.5, 101.0, 101.0, 101.5], "run-c");
        assert_eq!(settle(vec![a.clone(), more.clone()], &BOX).unwrap().rates, [more]);
        assert!(settle(vec![of(&[100.0], "x"), of(&[103.0], "y")], &BOX).is_ok());
        assert!(settle(vec![of(&[100.0], "x"), of(&[104.0], "y")], &BOX).is_err());
        let elsewhere = Rate { skus: vec!["other".into()], ..b };
        assert_eq!(
            settle(vec![Rate { skus: vec!["one".into()], ..a }, elsewhere], &["one", "other"]).unwrap().rates.len(),
            2
        );
    }

    /// All orders of three.
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

    #[test]
    fn a_rate_for_all_models_stays_where_one_model_has_its_own() {
        let all = from_entry(&entry(Phase::P2, 23, SWEEP[0].1, 4)).unwrap();
        let own = Rate { skus: vec!["a".into()], ..from_entry(&entry(Phase::P2, 23, &[120.0], 1)).unwrap() };
        let near = Rate { n: 9, skus: vec!["b".into()], ..all.clone() };
        for order in ORDERS {
            let given = order.map(|place| [&all, &own, &near][place].clone());
            let settled = settle(given.to_vec(), &["a", "b", "c"]).unwrap();
            let mut models: Vec<(bool, u32, Vec<String>)> =
                settled.rates.into_iter().map(|rate| (rate.typed, rate.n, rate.skus)).collect();
            models.sort();
            let of = |sku: &str| vec![sku.to_string()];
            assert_eq!(models, [(false, 1, of("c")), (false, 9, of("b")), (true, 1, of("a"))], "{order:?}");
            assert_eq!(settled.warnings.len(), 1, "{:?}", settled.warnings);
        }
    }

    #[test]
    fn the_order_of_rates_does_not_count() {
        let of = |minutes: f64| from_entry(&entry(Phase::P1, 8, &[minutes], 1)).unwrap();
        let agreeing = [of(100.0), of(101.0), of(103.0)];
        let apart = [of(100.0), of(103.0), of(106.0)];
        for order in ORDERS {
            let of = |rates: &[Rate; 3]| settle(order.map(|place| rates[place].clone()).to_vec(), &BOX);
            assert_eq!(of(&agreeing).unwrap().rates, &agreeing[2..], "the slowest of equally many samples");
            let error = of(&apart).unwrap_err();
            assert!(error.contains("100 min") && error.contains("106 min"), "{order:?}: {error}");
        }
        let one = Rate { skus: vec!["box".into()], ..of(106.0) };
        assert!(settle(vec![of(100.0), one], &BOX).unwrap_err().contains("or say for which models each holds"));
    }

    #[test]
    fn a_typed_figure_stands_for_samples_of_any_number_side_by_side() {
        let samples =
            |instances: usize| from_entry(&entry(Phase::P2, 8, &vec![60.0; 3 * instances], instances as u32)).unwrap();
        let typed = from_entry(&entry(Phase::P2, 8, &[61.0], 1)).unwrap();
        for order in ORDERS {
            let given = order.map(|place| [&samples(2), &typed, &samples(4)][place].clone());
            assert_eq!(settle(given.to_vec(), &BOX).unwrap().rates, std::slice::from_ref(&typed), "{order:?}");
        }
    }

    #[test]
    fn ten_partitions_at_once_need_not_be_said() {
        let p4 = |minutes: &[f64], at_once| {
            from_entry(&Entry { partitions_at_once: at_once, ..entry(Phase::P4, 21, minutes, 1) }).unwrap()
        };
        let typed = p4(&[90.0], None);
        let settled = settle(vec![typed.clone(), p4(&[77.0; 3], Some(10))], &BOX).unwrap();
        assert_eq!(settled.rates, std::slice::from_ref(&typed));
        assert_eq!(settled.warnings.len(), 1, "{:?}", settled.warnings);
        assert_eq!(settle(vec![typed, p4(&[77.0; 3], Some(5))], &BOX).unwrap().rates.len(), 2);
    }

    #[test]
    fn an_interval_that_does_not_hold_its_time_is_refused() {
        let with = |low: f64, high: f64| {
            from_entry(&Entry { interval: Some(Interval { low, high }), ..entry(Phase::P2, 8, &[60.0], 1) })
        };
        assert!(with(0.9, 1.1).is_ok() && with(1.0, 1.1).is_ok());
        assert_eq!(
            with(1.2, 1.5).unwrap_err(),
            "rate 1 (p2): its interval, 40 to 50 min, does not hold its time, 60 min: correct one of them"
        );
    }

    #[test]
    fn what_was_not_measured_side_by_side_is_doubted() {
        let rate = |instances, concurrent| {
            from_entry(&Entry { concurrent, ..entry(Phase::P2, 46, &vec![60.0; instances as usize], instances) })
                .unwrap()
        };
        assert!(rate(2, Some(false)).doubt(2, true).unwrap().contains("not concurrent"));
        assert_eq!(rate(1, None).doubt(2, true), None);
        assert!(rate(2, Some(true)).doubt(3, true).unwrap().contains("with 2 side by side and is used with 3"));
        assert_eq!(rate(2, Some(true)).doubt(2, false), None);
        assert_eq!(rate(1, None).doubt(1, true), None);
        assert!(rate(1, Some(false)).doubt(1, false).is_some());
    }
}
