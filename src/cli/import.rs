//! `sealbench import`.

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serializer;
use serde::ser::SerializeSeq;

use crate::disk::Promised;
use crate::error::Stop;
use crate::home::home;
use crate::import::record::Told;
use crate::import::{Format, Imported, Options, read, store};
use crate::report::imported::{MAX_ROWS, rates, runs};
use crate::sector::SectorSize;
use crate::store::Store;

const EXAMPLES: &str = "Examples:
  sealbench import benchy-p2-*.log --cores-from-name   the notes' sweep: which layout gives most, and which ran side by side
  sealbench import sealer.log --sector-size 64GiB --cores 24 --host epyc-3
  sealbench import bench.json --json records.json      and the records in a file
  sealbench import *.log --dry-run                     the tables only
  sealbench import *.log --skip-bad                    leave out the runs that something is wrong with

Import the logs of one test together: which runs were side by side is worked out from the time windows of all of them. A run is kept once,
also if it comes in a file of another name, or again later. docs/import.md says what is taken from which line.

--cores-from-name takes the number in a part of the file's name like 23cpu, cpu30, 23cores or cores23: benchy-p2-23cpu-1.log.";

/// Take in logs and reports of benchy, rust-fil-proofs, lotus and curio as records.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// The logs
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Read every file as this [default: what is found in it]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Sector size, where the log does not say it [default: 32GiB]
    #[arg(long, value_name = "SIZE")]
    sector_size: Option<SectorSize>,
    /// Cores of each instance
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    cores: Option<u32>,
    /// Take the cores of each instance from the file's name; --cores is for files whose name has none
    #[arg(long)]
    cores_from_name: bool,
    /// Instances that ran side by side
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    instances: Option<u32>,
    /// The machine's name; logs of different machines are imported one machine at a time
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Import what is whole even if something is wrong with other runs
    #[arg(long)]
    skip_bad: bool,
    /// Write the records to this file, as an array
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show what would be imported and keep nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command; the tables go to stdout, what is left out and why to stderr.
pub fn run(args: ImportArgs) -> anyhow::Result<()> {
    let json = args.json.as_deref().map(|path| promised(path, &args.logs)).transpose()?;
    let told = Told { cores: args.cores, instances: args.instances, sector_size: args.sector_size, host: args.host };
    let options = Options { format: args.format, cores_from_name: args.cores_from_name, told };
    let imported = read(&args.logs, &options)?;
    say(&imported);
    if !imported.problems.is_empty() && !args.skip_bad {
        return Err(refusal(&imported));
    }
    if imported.runs() == 0 {
        return Err(Stop::Usage.error("no whole run was found: nothing to import"));
    }
    let shown = imported.records().take(MAX_ROWS).collect::<anyhow::Result<Vec<_>>>()?;
    let mut out = stdout().lock();
    let _ = write!(out, "{}\n{}", runs(&shown, imported.phases()), rates(&imported.rates));
    if let Some(json) = json {
        json.fill(|out| array(&imported, out))?;
    }
    if args.dry_run {
        let _ = writeln!(out, "\n{} runs would be imported", imported.runs());
        return Ok(());
    }
    let kept = store(&Store::open(&home()?)?, imported.records())?;
    let _ = writeln!(out, "\n{} runs imported, {} were there already", kept.new, kept.known);
    Ok(())
}

/// All records as one array.
fn array(imported: &Imported, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut json = serde_json::Serializer::pretty(out);
    let mut array = json.serialize_seq(None)?;
    for record in imported.records() {
        array.serialize_element(&record?)?;
    }
    Ok(array.end()?)
}

/// The file of `--json`. One of the logs it may not be: it would be lost.
fn promised(path: &Path, logs: &[PathBuf]) -> anyhow::Result<Promised> {
    let real = |path: &Path| path.canonicalize().ok();
    if let Some(log) = logs.iter().find(|log| real(path).is_some_and(|path| real(log) == Some(path))) {
        return Err(Stop::Usage.error(format!(
            "--json {} is one of the logs ({}): name another file",
            path.display(),
            log.display()
        )));
    }
    Promised::open("--json", path)
}

/// What was left out, and why.
fn say(imported: &Imported) {
    let mut out = stderr().lock();
    for ((copy, kept), count) in &imported.duplicates {
        let (copy, kept) = (copy.display(), kept.display());
        let _ = match count {
            1 => writeln!(out, "{copy}: the same run as in {kept}: counted once"),
            _ => writeln!(out, "{copy}: {count} runs that are in {kept} too: each counted once"),
        };
    }
    for what in imported.notes.iter().chain(&imported.problems) {
        let _ = writeln!(out, "{}", crate::report::table::one_line(&what.to_string()));
    }
}

/// The first mistake, and how to go on.
fn refusal(imported: &Imported) -> anyhow::Error {
    let first = imported.problems.first().map(ToString::to_string).unwrap_or_default();
    let listed = imported.problems.len() - 1;
    let all = listed as u64 + imported.more_problems;
    let more = match (all, imported.more_problems) {
        (0, _) => String::new(),
        (_, 0) => format!(" (and {all} more, above)"),
        _ => format!(" (and {all} more, {listed} of them above)"),
    };
    Stop::Usage.error(format!("{first}{more}; nothing was imported: mend or leave out the file, or add --skip-bad"))
}
