//! `sealbench results compare`.

use std::collections::BTreeSet;
use std::io::Write;

use clap::Args;

use super::side::{Found, side};
use crate::error::Stop;
use crate::report::compare::{self, Report, Side};
use crate::store::{Query, Store};
use crate::trial::record::Record;

const EXAMPLES: &str = "A and B are each one of:
  an id, the start of one, `last`, a run directory, a baseline's name
  a record that `run --json` wrote, or a bundle
  a query: phase=p1,engine=native,host=NAME,sweep=ID,point=NAME,shape=8MiB,cpu=PART,since=2026-11-24,limit=50
  criterion's results: kernels:START@NAME~BACK,host=NAME, each part optional; ~1 is the result before the latest

Examples:
  sealbench results compare v1 last --fail-if-slower 5
  sealbench results compare \"sweep=ID,point=p2 native 1x2\" \"sweep=ID,point=p2 native 2x1\"
  sealbench results compare host=bench-1,phase=p1 host=bench-2,phase=p1
  sealbench results compare kernels:label~1 kernels:label

Exit codes: 2 if nothing can be compared (other shapes, no phase in common); 4 with --fail-if-slower.";

/// Ratios of B to A with intervals and verdicts, per phase and span, and what differs between the two
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// What is compared with
    a: String,
    /// What is compared
    b: String,
    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
    /// Exit with 4 if a phase of B is slower by more than this many percent, told apart with certainty
    #[arg(long, value_name = "PCT", value_parser = percent)]
    fail_if_slower: Option<f64>,
}

/// A share in percent that is not negative.
pub fn percent(text: &str) -> Result<f64, String> {
    let value = text.trim_end_matches('%').parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| format!("'{text}' is not a number of percent"))
}

/// Runs the command.
pub fn run(store: &Store, args: &CompareArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    match (side(store, &args.a)?, side(store, &args.b)?) {
        (Found::Runs(a), Found::Runs(b)) => {
            let report = report(store, &a, &b)?;
            if args.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            } else {
                out.write_all(compare::text(&report).as_bytes())?;
            }
            args.fail_if_slower.map_or(Ok(()), |percent| report.check(percent))
        }
        (Found::Kernels(a), Found::Kernels(b)) => {
            let report = compare::compare_kernels(&args.a, &args.b, &a, &b)?;
            if args.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            } else {
                out.write_all(compare::kernel_text(&report).as_bytes())?;
            }
            args.fail_if_slower.map_or(Ok(()), |percent| report.check(percent))
        }
        _ => Err(Stop::Usage.error("kernels are compared with kernels, and runs with runs")),
    }
}

/// The comparison of two sides, with the A/A pairs of their sweeps.
pub fn report(store: &Store, a: &Side, b: &Side) -> anyhow::Result<Report> {
    compare::compare(a, b, &twins(store, a.records.iter().chain(&b.records))?)
}

/// The records of the sweeps that these records belong to, if one of them has an A/A pair.
fn twins<'a>(store: &Store, records: impl Iterator<Item = &'a Record>) -> anyhow::Result<Vec<Record>> {
    let sweeps: BTreeSet<&str> = records.filter_map(|record| Some(record.sweep.as_ref()?.sweep.as_str())).collect();
    let mut found = Vec::new();
    for sweep in sweeps {
        for row in store.query(&Query { sweep: Some(sweep.to_string()), ..Query::default() })? {
            found.push(store.record(&row.id)?);
        }
    }
    Ok(found)
}
