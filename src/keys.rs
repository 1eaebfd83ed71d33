//! Keys of TOML files that people write: an unknown one is named with the nearest valid one.

use serde::Serialize;

/// The least likeness with which a key is suggested (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.7;

/// The keys of a table, from a value that has them all.
pub fn keys(value: &impl Serialize) -> Vec<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(|(key, _)| key).collect(),
        _ => Vec::new(),
    }
}

/// Refuses a table with a key that is not valid; `of` says which table it is, e.g. " of grid 2".
pub fn check_keys(table: &toml::Table, valid: &[String], of: &str) -> Result<(), String> {
    let Some(unknown) = table.keys().find(|key| !valid.contains(key)) else { return Ok(()) };
    let likeness = |key: &&String| strsim::jaro_winkler(unknown, key);
    let nearest =
        valid.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|key| likeness(key) >= SIMILAR);
    let hint =
        nearest.map_or_else(|| format!("valid are {}", valid.join(", ")), |key| format!("did you mean '{key}'?"));
    Err(format!("unknown key '{}'{of}: {hint}", unknown.escape_debug()))
}
