//! Whether a record is what an element was asked for: the settings of its point, every sample once, figures that are figures.

use std::collections::BTreeSet;

use crate::sweep::grid::Point;
use crate::trial::layout::Instance;
use crate::trial::record::{Aggregate, Origin, PhaseRecord, Record, RunState, SCHEMA};
use crate::trial::spec::{ParentsMode, Spec};
use crate::trial::verify;

use super::submission::{Element, Submission};

/// What is wrong with a record, in words.
pub fn check(record: &Record, submission: &Submission, element: &Element) -> Result<(), String> {
    let point = submission.point(element);
    if record.schema != SCHEMA || record.sweep.as_ref() != Some(&submission.sweep(element)) {
        return Err("its record is of another element".into());
    }
    if record.state != RunState::Complete {
        return Err(format!("its run is {}", record.state.name()));
    }
    if record.seed != Some(submission.seed) {
        return Err("its record is of another seed".into());
    }
    settings(&record.spec.resolved, point, element.repeats)?;
    let bound = record.cluster.iter().flat_map(|run| &run.cores).collect::<BTreeSet<_>>();
    if !record.spec.resolved.cores.iter().all(|core| bound.contains(core)) {
        return Err("it was measured on cores that were not the job's".into());
    }
    aggregates(&record.aggregates, point, element.repeats)?;
    phases(&record.phases, point, element.repeats)?;
    verify::wrong(&record.phases).map_or(Ok(()), Err)
}

/// The run was resolved from the point, whatever cores it was given.
fn settings(spec: &Spec, point: &Point, repeats: u32) -> Result<(), String> {
    let same = [
        ("sector", spec.shape == point.shape),
        ("phases", spec.phases == [point.phase]),
        ("engines", spec.engines == [point.engine]),
        ("repeats", spec.repeats == repeats),
        ("instances", spec.instances.len() == point.instances as usize),
        ("cores and threads", spec.instances.iter().all(|instance| is_of(instance, point))),
        ("sectors", spec.sectors == point.sectors),
        ("kernels", spec.native.kernels == point.kernels),
        ("pages", spec.native.pages == point.pages),
        ("parents", point.parents == ParentsMode::Auto || spec.native.parents == point.parents),
        ("io", spec.native.io == point.io),
        ("params", spec.params == point.params),
        ("partitions at once", point.at_once.is_none_or(|at_once| spec.p4_partitions_at_once == at_once)),
        ("placement", spec.placement == point.placement),
    ];
    match same.iter().find(|(_, is_same)| !is_same) {
        Some((what, _)) => Err(format!("its record has other {what} than the point")),
        None => Ok(()),
    }
}

/// With `smt` an instance has every hardware thread of its cores, as many as the node has.
fn is_of(instance: &Instance, point: &Point) -> bool {
    let (has, asked) = (instance.cores.len(), point.cores as usize);
    let cores = if point.placement.smt { has > 0 && has.is_multiple_of(asked) } else { has == asked };
    cores && instance.threads == point.threads.unwrap_or(has as u32)
}

/// One sample for each repeat, of all instances.
fn aggregates(found: &[Aggregate], point: &Point, repeats: u32) -> Result<(), String> {
    let numbers: BTreeSet<u32> = found.iter().map(|aggregate| aggregate.repeat).collect();
    if found.len() != repeats as usize || !numbers.iter().copied().eq(0..repeats) {
        return Err(format!("it has {} samples, not one for each of {repeats} repeats", found.len()));
    }
    let is_whole = |one: &Aggregate| {
        (one.phase, one.engine) == (point.phase, point.engine)
            && (one.instances, one.completed) == (point.instances, point.instances)
    };
    if !found.iter().all(is_whole) {
        return Err("it has a sample of another phase or engine, or not of all instances".into());
    }
    let is_rate = |rate: f64| rate.is_finite() && rate > 0.0;
    if !found.iter().all(|one| is_rate(one.sectors_per_h) && is_rate(one.gib_per_h)) {
        return Err("it has a sample whose rate is none".into());
    }
    Ok(())
}

/// Every instance was measured in every repeat, here and now.
fn phases(found: &[PhaseRecord], point: &Point, repeats: u32) -> Result<(), String> {
    let places: BTreeSet<(u32, u32)> = found.iter().map(|phase| (phase.repeat, phase.instance)).collect();
    let all = (0..repeats).flat_map(|repeat| (0..point.instances).map(move |instance| (repeat, instance)));
    if found.len() != places.len() || !places.into_iter().eq(all) {
        return Err(format!(
            "it has {} phases, not one for each of {} instances and {repeats} repeats",
            found.len(),
            point.instances
        ));
    }
    let is_measured = |one: &PhaseRecord| {
        (one.phase, one.engine, one.origin) == (point.phase, point.engine, Origin::Measured)
            && one.wall_s.is_finite()
            && one.wall_s > 0.0
    };
    match found.iter().all(is_measured) {
        true => Ok(()),
        false => Err("it has a phase that was not measured, or another one than the point's".into()),
    }
}
