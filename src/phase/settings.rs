//! Settings of the linked crates. They are read once per process from the environment, and a mistyped value is a panic at first use, so
//! each is checked here first and then set explicitly for the worker.

use std::collections::BTreeMap;

use crate::error::Stop;

/// How a value is written.
enum Kind {
    Bool,
    Number { min: u64, max: u64 },
}

/// A setting of rust-fil-proofs (`storage_proofs_core::settings::Settings`) that a user may choose, with its default.
struct Setting {
    name: &'static str,
    kind: Kind,
    default: &'static str,
}

/// Nodes of a parent window: the reference's multicore path halves it, and both paths need a window that holds a node's neighbourhood.
const MIN_PARENT_WINDOW: u64 = 64;

const SETTINGS: [Setting; 8] = [
    Setting { name: "FIL_PROOFS_ROWS_TO_DISCARD", kind: Kind::Number { min: 0, max: 10 }, default: "2" },
    Setting {
        name: "FIL_PROOFS_SDR_PARENTS_CACHE_SIZE",
        kind: Kind::Number { min: MIN_PARENT_WINDOW, max: u32::MAX as u64 },
        default: "2048",
    },
    Setting { name: "FIL_PROOFS_USE_MULTICORE_SDR", kind: Kind::Bool, default: "false" },
    Setting { name: "FIL_PROOFS_MULTICORE_SDR_PRODUCERS", kind: Kind::Number { min: 1, max: 64 }, default: "3" },
    Setting {
        name: "FIL_PROOFS_MULTICORE_SDR_PRODUCER_STRIDE",
        kind: Kind::Number { min: 1, max: 1 << 20 },
        default: "128",
    },
    Setting { name: "FIL_PROOFS_MULTICORE_SDR_LOOKAHEAD", kind: Kind::Number { min: 1, max: 1 << 20 }, default: "800" },
    Setting { name: "FIL_PROOFS_VERIFY_CACHE", kind: Kind::Bool, default: "false" },
    Setting { name: "FIL_PROOFS_VERIFY_PRODUCTION_PARAMS", kind: Kind::Bool, default: "false" },
];

/// Places that the launcher chooses itself; a user's value of them is a place to search.
const PLACES: [&str; 3] = ["FIL_PROOFS_PARAMETER_CACHE", "FIL_PROOFS_PARENT_CACHE", "FIL_PROOFS_CACHE_DIR"];

/// Settings of the GPU paths, which the linked crates are built without.
const WITHOUT_EFFECT: [&str; 7] = [
    "FIL_PROOFS_USE_GPU_COLUMN_BUILDER",
    "FIL_PROOFS_MAX_GPU_COLUMN_BATCH_SIZE",
    "FIL_PROOFS_COLUMN_WRITE_BATCH_SIZE",
    "FIL_PROOFS_USE_GPU_TREE_BUILDER",
    "FIL_PROOFS_MAX_GPU_TREE_BATCH_SIZE",
    "FIL_PROOFS_WINDOW_POST_SYNTHESIS_NUM_CPUS",
    "FIL_PROOFS_GPU_FRAMEWORK",
];

/// The effective settings: the user's where given, else the reference's defaults, the thread counts of both pools, all written out.
pub fn resolve(environment: &BTreeMap<String, String>, threads: u32) -> anyhow::Result<BTreeMap<String, String>> {
    for name in environment.keys().filter(|name| name.starts_with("FIL_PROOFS_")) {
        let known = SETTINGS.iter().any(|setting| setting.name == name);
        if !known && !PLACES.contains(&name.as_str()) && !WITHOUT_EFFECT.contains(&name.as_str()) {
            return Err(
                Stop::Usage.error(format!("{name} is not a setting of rust-fil-proofs: unset it or correct its name"))
            );
        }
    }
    let mut settings = BTreeMap::new();
    for setting in &SETTINGS {
        let value = match environment.get(setting.name) {
            Some(value) => check(setting, value)?,
            // One core hashes; producers beyond the remaining cores only disturb it.
            None if setting.name.ends_with("SDR_PRODUCERS") => threads.saturating_sub(1).clamp(1, 3).to_string(),
            None => setting.default.to_string(),
        };
        settings.insert(setting.name.to_string(), value);
    }
    if settings["FIL_PROOFS_USE_MULTICORE_SDR"] == "true" && !cfg!(feature = "reference-multicore") {
        return Err(Stop::Usage.error(
            "FIL_PROOFS_USE_MULTICORE_SDR is set, but this binary has single-core SDR only: build it with the feature \
             `reference-multicore`, or unset the variable",
        ));
    }
    for pool in ["RAYON_NUM_THREADS", "EC_GPU_NUM_THREADS"] {
        settings.insert(pool.to_string(), threads.to_string());
    }
    Ok(settings)
}

fn check(setting: &Setting, value: &str) -> anyhow::Result<String> {
    let wrong = |what: String| Err(Stop::Usage.error(format!("{}={value}: {what}", setting.name)));
    match &setting.kind {
        Kind::Bool => match value {
            "true" | "1" => Ok("true".into()),
            "false" | "0" => Ok("false".into()),
            _ => wrong("use true or false".into()),
        },
        Kind::Number { min, max } => match value.parse::<u64>() {
            Ok(number) if (*min..=*max).contains(&number) => Ok(number.to_string()),
            Ok(_) => wrong(format!("use {min} to {max}")),
            Err(_) => wrong("use a whole number".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;

    fn with(pairs: &[(&str, &str)]) -> anyhow::Result<BTreeMap<String, String>> {
        resolve(&pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(), 2)
    }

    #[test]
    fn defaults_are_written_out_and_pools_bounded() {
        let settings = with(&[("PATH", "/bin")]).unwrap();
        assert_eq!(settings["FIL_PROOFS_ROWS_TO_DISCARD"], "2");
        assert_eq!(settings["FIL_PROOFS_MULTICORE_SDR_PRODUCERS"], "1");
        assert_eq!((settings["RAYON_NUM_THREADS"].as_str(), settings["EC_GPU_NUM_THREADS"].as_str()), ("2", "2"));
        assert!(!settings.contains_key("PATH"));
    }

    #[test]
    fn a_value_that_would_panic_later_is_a_usage_error_now() {
        for (name, value) in [
            ("FIL_PROOFS_ROWS_TO_DISCARD", "two"),
            ("FIL_PROOFS_ROWS_TO_DISCARD", "-1"),
            ("FIL_PROOFS_VERIFY_CACHE", "maybe"),
            ("FIL_PROOFS_SDR_PARENTS_CACHE_SIZE", "0"),
            ("FIL_PROOFS_ROWS_TO_DISCRAD", "2"),
        ] {
            let error = with(&[(name, value)]).unwrap_err();
            assert_eq!(exit_code(&error), 2, "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
