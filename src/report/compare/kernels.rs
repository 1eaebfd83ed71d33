//! Two sides of criterion's results.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Pair, SCHEMA, list, noise};
use crate::error::Stop;
use crate::store::KernelBench;

/// A kernel on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct KernelRow {
    /// Criterion's id: group/function/parameter.
    pub bench: String,
    /// Time per iteration, seconds.
    pub seconds: Pair,
}

/// A whole comparison of kernels.
#[derive(Clone, Debug, Serialize)]
pub struct KernelReport {
    /// Always "sealbench/comparison/1".
    pub schema: &'static str,
    /// What the user called the side that is compared with.
    pub a: String,
    /// What they called the side that is compared.
    pub b: String,
    /// The kernels that both have.
    pub kernels: Vec<KernelRow>,
    /// What a reader must know before believing the ratios.
    pub warnings: Vec<String>,
}

/// Compares the results that both sides have; none in common is refused (exit code 2).
pub fn compare_kernels(
    label_a: &str,
    label_b: &str,
    a: &[KernelBench],
    b: &[KernelBench],
) -> anyhow::Result<KernelReport> {
    let row = |a: &KernelBench| {
        let b = b.iter().find(|b| b.bench == a.bench)?;
        let floor = noise::floor(&a.samples, &b.samples, std::iter::empty());
        Some(KernelRow { bench: a.bench.clone(), seconds: Pair::of_times(&a.samples, &b.samples, floor) })
    };
    let kernels: Vec<KernelRow> = a.iter().filter_map(row).collect();
    if kernels.is_empty() {
        let text = "no kernel in common: `sealbench results list --kernels` shows what there is";
        return Err(Stop::Usage.error(text));
    }
    let places = |side: &[KernelBench]| -> BTreeSet<String> {
        let place = |bench: &KernelBench| [&bench.host, &bench.cpu].map(|p| p.clone().unwrap_or_default()).join(", ");
        side.iter().map(place).collect()
    };
    let mut warnings = Vec::new();
    if places(a) != places(b) {
        let (a, b) = (list(places(a).into_iter()), list(places(b).into_iter()));
        warnings.push(format!("the machines differ: {a} and {b}"));
    }
    Ok(KernelReport { schema: SCHEMA, a: label_a.to_string(), b: label_b.to_string(), kernels, warnings })
}

impl KernelReport {
    /// An error with exit code 4 if a kernel of B is slower by more than `percent`; it names the kernels.
    pub fn check(&self, percent: f64) -> anyhow::Result<()> {
        let rows = self.kernels.iter().filter(|row| row.seconds.is_slower_by(percent));
        super::check(&self.a, percent, rows.map(|row| row.seconds.in_words(&row.bench)).collect())
    }
}
