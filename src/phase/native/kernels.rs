//! The kernels of the native engine by name: what there is, what this CPU runs, what is asked for.

use std::collections::BTreeMap;

use sealbench_kernels::cpu::Features;
use sealbench_kernels::{poseidon, sha256};
use serde::Serialize;

use crate::error::Stop;

/// A kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// What it computes: the key of `--kernel` and of records.
    pub primitive: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether this CPU runs it.
    pub runs: bool,
}

/// All kernels that can be asked for.
pub fn all() -> Vec<Kernel> {
    let features = Features::detect();
    let sha256 = sha256::Backend::all().map(|name| Kernel {
        primitive: "sha256",
        name,
        runs: sha256::Backend::new(name, &features).is_some(),
    });
    let poseidon = poseidon::Backend::all().map(|name| Kernel {
        primitive: "poseidon",
        name,
        runs: poseidon::Backend::new(name, &features).is_some(),
    });
    sha256.chain(poseidon).collect()
}

/// Whether what `--kernel` asks for is there and runs on this CPU.
pub fn check(forced: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let all = all();
    for (primitive, name) in forced {
        let of = |primitive: &str| all.iter().filter(|kernel| kernel.primitive == primitive).collect::<Vec<_>>();
        let kernels = of(primitive);
        if kernels.is_empty() {
            return Err(Stop::Usage
                .error(format!("--kernel {primitive}={name}: there are kernels of sha256 and poseidon only")));
        }
        let runs = kernels.iter().filter(|kernel| kernel.runs).map(|kernel| kernel.name).collect::<Vec<_>>().join(", ");
        match kernels.iter().find(|kernel| kernel.name == name) {
            Some(kernel) if kernel.runs => {}
            Some(_) => {
                return Err(Stop::Usage
                    .error(format!("--kernel {primitive}={name}: this CPU lacks its instructions; it runs {runs}")));
            }
            None => {
                return Err(
                    Stop::Usage.error(format!("--kernel {primitive}={name}: no such kernel; this CPU runs {runs}"))
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forced(primitive: &str, name: &str) -> Result<(), String> {
        check(&BTreeMap::from([(primitive.into(), name.into())])).map_err(|e| e.to_string())
    }

    #[test]
    fn only_kernels_that_run_here_can_be_forced() {
        for kernel in all() {
            assert_eq!(forced(kernel.primitive, kernel.name).is_ok(), kernel.runs, "{kernel:?}");
        }
        assert!(forced("sha256", "md5").unwrap_err().contains("portable"));
        assert!(forced("aes", "portable").unwrap_err().contains("sha256"));
    }
}
