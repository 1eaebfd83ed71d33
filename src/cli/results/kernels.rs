//! Criterion's results: taken in and listed.

use std::io::Write;
use std::path::Path;

use crate::measure::stats::median;
use crate::report::table::{Align, table};
use crate::report::units;
use crate::store::{KernelBench, KernelQuery, Store, criterion};

/// Takes in the results below a directory.
pub fn import(store: &Store, dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let benches = criterion::read(dir)?;
    let new = store.keep_kernel_benches(&benches)?;
    writeln!(out, "{new} results imported, {} were already in the store", benches.len() - new)?;
    Ok(())
}

/// Lists the newest result of each kernel.
pub fn list(store: &Store, out: &mut dyn Write) -> anyhow::Result<()> {
    let benches = store.kernel_benches(&KernelQuery::default())?;
    if benches.is_empty() {
        writeln!(out, "There are none yet: `cargo bench`, then `sealbench results import-criterion`.")?;
        return Ok(());
    }
    let columns = [
        ("kernel", Align::Left),
        ("name", Align::Left),
        ("measured (UTC)", Align::Left),
        ("host", Align::Left),
        ("n", Align::Right),
        ("median", Align::Right),
        ("throughput", Align::Right),
    ];
    out.write_all(table(&columns, benches.iter().map(cells)).as_bytes())?;
    Ok(())
}

fn cells(bench: &KernelBench) -> Vec<String> {
    let median = median(&bench.samples).unwrap_or(f64::NAN);
    vec![
        bench.bench.clone(),
        bench.baseline.clone(),
        bench.measured_at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        bench.host.clone().unwrap_or_default(),
        bench.samples.len().to_string(),
        units::fine_duration(median),
        bench.throughput.as_ref().map_or_else(String::new, |throughput| {
            format!("{} {}/s", units::rate(throughput.count as f64 / median), throughput.unit.to_lowercase())
        }),
    ]
}
