//! What differs between the machines, builds and settings of two sides.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::trial::record::{Containers, Record};
use crate::trial::spec::Spec;

/// Keys whose values differ from one minute to the next, or name the run and not how it ran.
const PASSING: [&str; 15] = [
    "host.memory.available_bytes",
    "host.memory.swap_free_bytes",
    "spec.identity",
    "spec.phases",
    "spec.engines",
    "spec.first_repeat",
    "spec.repeats",
    "spec.sector",
    "spec.fallback",
    "spec.mock",
    // Said by the shape of each phase, or below it.
    "spec.shape",
    "spec.network_shape",
    "settings.FIL_PROOFS_PARAMETER_CACHE",
    "settings.FIL_PROOFS_PARENT_CACHE",
    "spec.native.kernels",
];

/// A key of the record whose values differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The key: "host.cpu.microcode", "build.rustc", "spec.threads", or "p1 native: pages" for what a phase ran with.
    pub key: String,
    /// The values in A; empty if no run has one.
    pub a: Vec<String>,
    /// Those in B.
    pub b: Vec<String>,
}

type Facts = BTreeMap<String, BTreeSet<String>>;

/// Every key whose values differ between the sides.
pub fn differences(a: &[Record], b: &[Record]) -> Vec<Difference> {
    let (a, b) = (facts(a), facts(b));
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let values =
        |facts: &Facts, key: &String| -> Vec<String> { facts.get(key).into_iter().flatten().cloned().collect() };
    let differs = |key: &&String| a.get(*key) != b.get(*key);
    // What a phase ran with is no difference if only one side ran it.
    let shared = |key: &&String| !key.contains(": ") || (a.contains_key(*key) && b.contains_key(*key));
    keys.into_iter()
        .filter(|key| differs(key) && shared(key))
        .map(|key| Difference { key: key.clone(), a: values(&a, key), b: values(&b, key) })
        .collect()
}

/// Whether the records of one side ran with different settings.
pub fn mixed_settings(records: &[Record]) -> bool {
    let settings = |(key, values): (&String, &BTreeSet<String>)| !key.starts_with("host.") && values.len() > 1;
    facts(records).iter().any(settings)
}

/// Whether two runs were given the same settings, and both were processes or both containers.
pub fn same_settings(a: &Record, b: &Record) -> bool {
    if a.containers.is_some() != b.containers.is_some() {
        return false;
    }
    let (a, b) = (&a.spec.resolved, &b.spec.resolved);
    Spec { identity: b.identity.clone(), first_repeat: b.first_repeat, ..a.clone() } == *b
}

/// Containers without what differs between any two: their ids.
fn without_instances(containers: &Containers) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(containers)?;
    value.as_object_mut().and_then(|keys| keys.remove("instances"));
    Ok(value)
}

/// The values of each key over all records.
fn facts(records: &[Record]) -> Facts {
    let mut facts = Facts::new();
    for record in records {
        let parts = [
            ("host", serde_json::to_value(&record.host)),
            ("build", serde_json::to_value(&record.build)),
            ("spec", serde_json::to_value(&record.spec.resolved)),
            ("settings", serde_json::to_value(&record.spec.settings)),
            ("containers", record.containers.as_ref().map_or(Ok(Value::Null), without_instances)),
        ];
        for (name, value) in parts {
            // A record that was read can be written.
            flatten(name, &value.unwrap_or_default(), &mut facts);
        }
        for phase in &record.phases {
            let mut add = |name: &str, value: String| {
                let key = format!("{} {}: {name}", phase.phase, phase.engine);
                facts.entry(key).or_default().insert(value);
            };
            if let Some(pages) = &phase.pages {
                add("pages", pages.clone());
            }
            add("sectors", phase.sectors.to_string());
            if let Some(variant) = &phase.variant {
                // What was measured of it is in parentheses, and differs from run to run.
                add("variant", variant.split(" (").next().unwrap_or_default().to_string());
            }
            for (primitive, kernel) in &phase.kernel {
                add(&format!("kernel {primitive}"), kernel.clone());
            }
        }
    }
    facts.retain(|key, _| !is_passing(key));
    facts
}

fn is_passing(key: &str) -> bool {
    let below = |passing: &str| key.strip_prefix(passing).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    PASSING.into_iter().any(below)
}

/// One key for each value that is no object; null is no value. Lists are one value.
fn flatten(name: &str, value: &Value, facts: &mut Facts) {
    match value {
        Value::Null => {}
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, facts)),
        other => {
            let text = match other {
                Value::String(text) => text.clone(),
                other => without_passing(other).to_string(),
            };
            facts.entry(name.to_string()).or_default().insert(text);
        }
    }
}

/// A list without the number of free huge pages in its items.
fn without_passing(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_passing).collect(),
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| *key != "free")
            .map(|(key, value)| (key.clone(), without_passing(value)))
            .collect(),
        other => other.clone(),
    }
}
