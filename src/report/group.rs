//! Samples of the same: what a report tells as one.

use std::collections::{BTreeMap, BTreeSet};

use super::statistics::Statistics;
use super::table::gib_per_hour;
use super::units;
use crate::measure::stats;
use crate::phase::{Engine, Phase};
use crate::sector::Shape;
use crate::trial::record::{Aggregate, Origin, PhaseRecord, Record};

/// One performance of a phase.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The run it is of.
    pub record: &'a Record,
    /// What was measured.
    pub phase: &'a PhaseRecord,
}

/// Samples of a phase on an engine with the same settings, of one run or of one point of a sweep.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// A name that no other group of the report has.
    pub name: String,
    /// Which machine, an index into those of the report.
    pub machine: usize,
    /// The samples, in the order of the records; never empty.
    pub samples: Vec<Sample<'a>>,
    /// Instances of this phase side by side.
    pub instances: u32,
    /// Wall times, seconds.
    pub time: Statistics,
    /// Output of all instances together, GiB of sector data an hour, a sample for each repeat; none where it cannot be told.
    pub rate: Option<Statistics>,
}

impl<'a> Group<'a> {
    /// The groups of records on machines (an index for each record), by phase, engine, machine and layout; else in the order in which they
    /// first appear.
    pub fn of(records: &'a [Record], machines: &[usize]) -> Vec<Group<'a>> {
        let mut sets: Vec<(usize, Vec<Sample>)> = Vec::new();
        for (record, &machine) in records.iter().zip(machines) {
            for phase in &record.phases {
                let sample = Sample { record, phase };
                match sets.iter_mut().find(|(of, set)| *of == machine && same(&set[0], &sample)) {
                    Some((_, set)) => set.push(sample),
                    None => sets.push((machine, vec![sample])),
                }
            }
        }
        let mut groups: Vec<Group> = sets.into_iter().filter_map(|(machine, set)| Group::new(machine, set)).collect();
        groups.sort_by_key(|g| (g.phase(), g.engine().to_string(), g.machine, g.is_twin(), g.cores(), g.instances));
        let names = names(&groups);
        groups.iter_mut().zip(names).for_each(|(group, name)| group.name = name);
        groups
    }

    fn new(machine: usize, samples: Vec<Sample<'a>>) -> Option<Group<'a>> {
        let times: Vec<f64> = samples.iter().map(|sample| sample.phase.wall_s).collect();
        let of_repeats: Vec<((&str, u32), f64)> =
            samples.iter().map(|Sample { record, phase }| ((record.id.as_str(), phase.repeat), phase.wall_s)).collect();
        let time = Statistics::of_repeats(times, &stats::by_repeat(&of_repeats))?;
        let concurrent = samples[0].phase.concurrent;
        // The aggregates of a run are those of its instances side by side, not of the one alone.
        let aggregates: Vec<&Aggregate> = match concurrent {
            1 => Vec::new(),
            _ => repeats(&samples).iter().filter_map(aggregate).collect(),
        };
        let instances = aggregates.first().map_or(concurrent, |aggregate| aggregate.instances);
        let rate = match aggregates.is_empty() {
            false => Statistics::of(aggregates.iter().map(|aggregate| aggregate.gib_per_h).collect()),
            true if concurrent == 1 => rate_of_one(&samples, &time),
            true => None,
        };
        Some(Group { name: String::new(), machine, samples, instances, time, rate })
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.first().phase
    }

    /// The engine.
    pub fn engine(&self) -> Engine {
        self.first().engine
    }

    /// What was sealed.
    pub fn shape(&self) -> Shape {
        self.samples[0].record.spec.resolved.shape
    }

    /// Where the figures come from.
    pub fn origin(&self) -> Origin {
        self.first().origin
    }

    /// Cores of each instance.
    pub fn cores(&self) -> usize {
        self.first().cores.len()
    }

    /// Sectors that an instance takes together.
    pub fn sectors(&self) -> u32 {
        self.first().sectors
    }

    /// The sweep that it is a point of.
    pub fn sweep(&self) -> Option<&'a str> {
        self.samples[0].record.sweep.as_ref().map(|run| run.sweep.as_str())
    }

    /// Whether it is the second arm of a sweep's A/A pair.
    pub fn is_twin(&self) -> bool {
        self.samples[0].record.sweep.as_ref().is_some_and(|run| run.twin)
    }

    /// "2 cores", or "3 x 2 cores" for three instances of two.
    pub fn layout(&self) -> String {
        let cores = self.cores();
        let cores = if cores == 1 { "1 core".to_string() } else { format!("{cores} cores") };
        if self.instances > 1 { format!("{} x {cores}", self.instances) } else { cores }
    }

    /// The sample at the median, or just below it: one that happened, whose spans add up.
    pub fn typical(&self) -> Sample<'a> {
        let mut sorted: Vec<&Sample> = self.samples.iter().collect();
        sorted.sort_by(|a, b| a.phase.wall_s.total_cmp(&b.phase.wall_s));
        *sorted[(sorted.len() - 1) / 2]
    }

    /// The median rate.
    pub fn median_rate(&self) -> Option<f64> {
        self.rate.as_ref().map(|rate| rate.median)
    }

    /// The median time, with where it comes from if it was not measured.
    pub fn time_text(&self) -> String {
        format!("{}{}", units::duration(self.time.median), self.mark())
    }

    /// The median rate, with where it comes from if it was not measured.
    pub fn rate_text(&self) -> String {
        self.median_rate().map_or_else(String::new, |rate| format!("{}{}", units::rate(rate), self.mark()))
    }

    /// The interval of the rate.
    pub fn rate_interval_text(&self) -> String {
        self.rate.as_ref().map_or_else(String::new, |rate| rate.interval_text(units::rate))
    }

    fn mark(&self) -> String {
        super::table::origin_mark(self.origin())
    }

    fn first(&self) -> &'a PhaseRecord {
        self.samples[0].phase
    }
}

/// Whether two samples on one machine are samples of the same.
fn same(a: &Sample, b: &Sample) -> bool {
    let settings =
        |s: &Sample| (s.phase.phase, s.phase.engine, s.phase.concurrent, s.phase.cores.len(), s.phase.origin);
    let source = match (&a.record.sweep, &b.record.sweep) {
        (Some(a), Some(b)) => (&a.sweep, &a.point, a.twin) == (&b.sweep, &b.point, b.twin),
        (None, None) => a.record.id == b.record.id,
        _ => false,
    };
    source && settings(a) == settings(b)
}

/// One sample of each run and repeat.
fn repeats<'a>(samples: &[Sample<'a>]) -> Vec<Sample<'a>> {
    let mut repeats: Vec<Sample> = Vec::new();
    for sample in samples {
        let is_known =
            |known: &Sample| known.record.id == sample.record.id && known.phase.repeat == sample.phase.repeat;
        if !repeats.iter().any(is_known) {
            repeats.push(*sample);
        }
    }
    repeats
}

/// What the instances of a sample's repeat put out together.
fn aggregate<'a>(sample: &Sample<'a>) -> Option<&'a Aggregate> {
    let key = (sample.phase.phase, sample.phase.engine, sample.phase.repeat);
    sample.record.aggregates.iter().find(|aggregate| (aggregate.phase, aggregate.engine, aggregate.repeat) == key)
}

/// The rates of an instance alone; their interval is that of the times, turned around.
fn rate_of_one(samples: &[Sample], time: &Statistics) -> Option<Statistics> {
    let Sample { record, phase } = samples[0];
    let rate = |wall_s| gib_per_hour(record, phase.sectors, wall_s);
    let rates: Option<Vec<f64>> = time.samples.iter().map(|wall_s| rate(*wall_s)).collect();
    Statistics::of(rates?)
}

/// A name for each group: phase and engine, and of the other settings those in which groups of the same phase and engine differ.
fn names(groups: &[Group]) -> Vec<String> {
    type Feature = fn(&Group) -> String;
    let threads: Feature = |g| match g.first().threads {
        Some(threads) if threads as usize != g.cores() => format!("{threads} threads"),
        _ => String::new(),
    };
    let kernel: Feature = |g| g.first().kernel.values().cloned().collect::<Vec<_>>().join(" ");
    let features: [Feature; 8] = [
        |g| g.layout(),
        |g| g.shape().to_string(),
        |g| format!("{} sectors", g.sectors()),
        threads,
        |g| g.first().pages.as_ref().map_or_else(String::new, |pages| format!("{pages} pages")),
        kernel,
        |g| if g.is_twin() { "A/A twin".to_string() } else { String::new() },
        |g| format!("on {}", super::machines::letter(g.machine)),
    ];
    let last: [Feature; 2] = [
        |g| g.samples[0].record.sweep.as_ref().map_or_else(String::new, |run| run.point.clone()),
        |g| format!("run {}", g.samples[0].record.id),
    ];
    let bases: Vec<String> = groups.iter().map(|g| format!("{} {}", g.phase(), g.engine())).collect();
    let mut names = bases.clone();
    for feature in features {
        let values: Vec<String> = groups.iter().map(feature).collect();
        let mut of_base: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (base, value) in bases.iter().zip(&values) {
            of_base.entry(base).or_default().insert(value);
        }
        for ((name, base), value) in names.iter_mut().zip(&bases).zip(&values) {
            if of_base[base.as_str()].len() > 1 && !value.is_empty() {
                *name = format!("{name}, {value}");
            }
        }
    }
    for feature in last {
        append(&mut names, groups, |g, is_unique| (!is_unique).then(|| feature(g)));
    }
    // Groups of one run that differ in nothing named here, such as the instances of a mix.
    append(&mut names, groups, |g, is_unique| {
        (!is_unique).then(|| format!("cores {}", units::ranges(&g.first().cores)))
    });
    append(&mut names, groups, |g, _| (g.origin() != Origin::Measured).then(|| g.origin().name().to_string()));
    names
}

/// Adds to each name what `more` tells of its group, given whether the name is unique so far.
fn append(names: &mut [String], groups: &[Group], more: impl Fn(&Group, bool) -> Option<String>) {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    names.iter().for_each(|name| *times.entry(name.clone()).or_default() += 1);
    for (name, group) in names.iter_mut().zip(groups) {
        if let Some(words) = more(group, times[name.as_str()] == 1).filter(|words| !words.is_empty()) {
            *name = format!("{name}, {words}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;
    use serde_json::json;

    /// A record of one phase, p2, with these wall times, changed further.
    fn record(id: &str, walls: &[f64], change: impl Fn(&mut serde_json::Value)) -> Record {
        sample::changed(|r| {
            r["id"] = id.into();
            let phase = r["phases"][1].clone();
            let again = |(repeat, wall): (usize, &f64)| {
                let mut phase = phase.clone();
                phase["repeat"] = repeat.into();
                phase["wall_s"] = (*wall).into();
                phase
            };
            r["phases"] = walls.iter().enumerate().map(again).collect();
            change(r);
        })
    }

    #[test]
    fn repeats_of_a_run_are_one_group_with_an_interval() {
        let records = [record("a", &[12.0, 10.0, 18.0], |_| ())];
        let groups = Group::of(&records, &[0]);
        assert_eq!(groups.len(), 1);
        let group = &groups[0];
        assert_eq!(
            (group.name.as_str(), group.time.median, group.time.ends()),
            ("p2 reference", 12.0, Some((10.0, 18.0)))
        );
        // 8 MiB in 12 s.
        assert_eq!(group.median_rate(), Some(3600.0 / 128.0 / 12.0));
        assert_eq!(group.rate.as_ref().unwrap().ends(), Some((3600.0 / 128.0 / 18.0, 3600.0 / 128.0 / 10.0)));
        assert!(group.rate_interval_text().ends_with(" (range of 3)"), "{}", group.rate_interval_text());
        assert_eq!(group.typical().phase.wall_s, 12.0);
    }

    #[test]
    fn runs_of_a_sweeps_point_are_pooled_and_others_are_not() {
        let point = |point: &'static str, twin: bool| {
            move |r: &mut serde_json::Value| {
                r["sweep"] = json!({"sweep": "s", "point": point, "round": 0, "twin": twin})
            }
        };
        let two = |r: &mut serde_json::Value| {
            point("p2 1x1", false)(r);
            r["phases"][0]["cores"] = json!([1]);
            r["phases"][0]["threads"] = 1.into();
        };
        let records = [
            record("a", &[1.0], point("p2 1x2", false)),
            record("b", &[2.0], two),
            record("c", &[3.0], point("p2 1x2", false)),
            record("d", &[4.0], point("p2 1x2", true)),
            record("e", &[5.0], |_| ()),
            record("f", &[5.0], |_| ()),
        ];
        let groups = Group::of(&records, &[0, 0, 0, 0, 0, 1]);
        let told: Vec<(&str, &[f64])> = groups.iter().map(|g| (g.name.as_str(), g.time.samples.as_slice())).collect();
        let expected: [(&str, &[f64]); 5] = [
            ("p2 reference, 1 core, on A", &[2.0]),
            ("p2 reference, 2 cores, on A, p2 1x2", &[1.0, 3.0]),
            ("p2 reference, 2 cores, on A", &[5.0]),
            ("p2 reference, 2 cores, A/A twin, on A", &[4.0]),
            ("p2 reference, 2 cores, on B", &[5.0]),
        ];
        assert_eq!(told, expected);
        assert!(groups[1].time.interval.is_none(), "a summary is of one run");
    }

    #[test]
    fn instances_side_by_side_have_the_rate_of_all_together() {
        let records = [record("a", &[10.0, 11.0], |r| {
            for (n, core) in [(0, 0), (1, 1)] {
                let phase = &mut r["phases"][n];
                phase["instance"] = n.into();
                phase["repeat"] = 0.into();
                phase["concurrent"] = 2.into();
                phase["cores"] = json!([core]);
            }
            r["aggregates"] = json!([{"phase": "p2", "engine": "reference", "repeat": 0, "instances": 2, "completed": 2,
                "window_s": 10.0, "overlap": 0.9, "sectors_per_h": 600.0, "gib_per_h": 5.0, "slow_down": null}]);
        })];
        let groups = Group::of(&records, &[0]);
        assert_eq!((groups.len(), groups[0].layout().as_str(), groups[0].median_rate()), (1, "2 x 1 core", Some(5.0)));
        assert_eq!((groups[0].time.samples.as_slice(), groups[0].time.cv), ([10.0, 11.0].as_slice(), None));
    }

    #[test]
    fn an_estimate_says_so_in_its_name_and_beside_its_figures() {
        let records = [record("a", &[10.0], |r| r["phases"][0]["origin"] = "estimated".into())];
        let group = &Group::of(&records, &[0])[0];
        assert_eq!(
            (group.name.as_str(), group.time_text().as_str()),
            ("p2 reference, estimated", "10.0 s (estimated)")
        );
        assert!(group.rate_text().ends_with(" (estimated)"));
    }
}
