//! `sealbench results`: what was measured, out of the store and between stores.

pub(super) mod compare;
mod kernels;
pub(super) mod side;

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::disk::write_file;
use crate::error::Stop;
use crate::report::export;
use crate::report::table::{Align, full_report, table};
use crate::report::unfinished::{Unfinished, resume};
use crate::report::units;
use crate::store::rescue::{Count, Rescued, rescue};
use crate::store::{FILE, Query, RunRow, Store, bundle};
use crate::trial::record::RunState;

/// The results store: list, show and compare runs, export them, bundle and import them
#[derive(Debug, Args)]
pub struct ResultsArgs {
    #[command(subcommand)]
    command: Command,
}

/// RUN is an id, the start of one, `last`, or a run directory.
#[derive(Debug, Subcommand)]
enum Command {
    /// The runs in the store, the newest first
    List {
        /// At most this many; 0 means all
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only runs whose record matches, e.g. phase=p1,engine=native,host=NAME (also shape, cpu, sweep, point, since)
        #[arg(value_name = "QUERY")]
        query: Option<Query>,
        /// Criterion's results instead of runs
        #[arg(long, conflicts_with_all = ["query", "baselines"])]
        kernels: bool,
        /// The baselines instead of runs
        #[arg(long, conflicts_with = "query")]
        baselines: bool,
    },
    /// One run: its phases, spans and findings; or, while it has no record, where it stands and what to do
    Show {
        /// An id, the start of one, `last`, or a run directory
        #[arg(default_value = "last")]
        run: String,
        /// Print the record itself
        #[arg(long)]
        json: bool,
    },
    /// Records for other programs
    Export {
        /// csv: one row per phase record; md: a table; json: an array of records
        #[arg(long, value_enum)]
        format: Format,
        /// Write to this file instead of standard output
        #[arg(long)]
        out: Option<PathBuf>,
        /// Ids, starts of ids, `last`, or run directories (default: every run with a record)
        runs: Vec<String>,
    },
    /// Pack record, log and manifest of runs (no sector data) into one file
    Bundle {
        /// Ids, starts of ids, `last`, or run directories
        #[arg(required = true)]
        runs: Vec<String>,
        /// The file, FILE.tar.zst
        #[arg(long)]
        out: PathBuf,
        /// Overwrite the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// Take in a bundle, or a record that `run --json` wrote
    Import {
        /// The file
        file: PathBuf,
    },
    Compare(compare::CompareArgs),
    /// Keep a run under a name, to compare later ones with; the name stands for the run it was saved for last
    SaveBaseline {
        /// The name
        name: String,
        /// An id, the start of one, `last`, or a run directory
        #[arg(default_value = "last")]
        run: String,
    },
    /// Take in what `cargo bench` (criterion) measured of the kernels
    ImportCriterion {
        /// Criterion's directory
        #[arg(default_value = "target/criterion")]
        dir: PathBuf,
    },
    /// Write what can be read of a damaged store into a new one; the damaged one stays as it is
    Rescue {
        /// The new store, a file that is not there yet
        #[arg(long, value_name = "NEW.db")]
        out: PathBuf,
        /// The damaged store [default: results.db in SEALBENCH_HOME]
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Csv,
    Md,
    Json,
}

/// Runs the command on the store of SEALBENCH_HOME.
pub fn run(args: ResultsArgs) -> anyhow::Result<()> {
    let done = run_in(&crate::home::home()?, args, &mut io::stdout().lock());
    match done {
        // Whoever read the output has seen enough.
        Err(e) if is_closed_pipe(&e) => Ok(()),
        done => done,
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe))
}

fn run_in(home: &Path, args: ResultsArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    // The one command that must not need a sound store.
    if let Command::Rescue { out: path, from } = args.command {
        rescue_to(&from.unwrap_or_else(|| home.join(FILE)), &path, out)?;
        return Ok(out.flush()?);
    }
    let store = Store::open(home)?;
    match args.command {
        Command::List { kernels: true, .. } => kernels::list(&store, out)?,
        Command::List { baselines: true, .. } => list_baselines(&store, out)?,
        Command::List { limit, query, .. } => list(&store, limit, query, out)?,
        Command::Show { run, json } => show(&store, &run, json, out)?,
        Command::Export { format, out: None, runs } => export_to(&store, format, &runs, out)?,
        Command::Export { format, out: Some(path), runs } => {
            write_file(&path, true, |file| export_to(&store, format, &runs, file))?;
        }
        Command::Bundle { runs, out: path, force } => {
            bundle::pack(&store, &recorded(&store, &runs)?, &path, force)?;
        }
        Command::Import { file } => import(&store, home, &file, out)?,
        Command::Compare(args) => compare::run(&store, &args, out)?,
        Command::SaveBaseline { name, run } => {
            let id = side::resolve(&store, &run)?.id;
            store.save_baseline(&name, &id)?;
            writeln!(out, "{name} is run {id}")?;
        }
        Command::ImportCriterion { dir } => kernels::import(&store, &dir, out)?,
        Command::Rescue { .. } => {}
    }
    Ok(out.flush()?)
}

fn list(store: &Store, limit: u32, query: Option<Query>, out: &mut dyn Write) -> anyhow::Result<()> {
    let limit = (limit > 0).then_some(limit);
    let all = query.is_none();
    let rows = match query {
        Some(query) => store.query(&Query { limit: query.limit.or(limit), ..query })?,
        None => store.list(limit)?,
    };
    if rows.is_empty() {
        writeln!(
            out,
            "{}",
            if all { "There are no runs yet: `sealbench run` makes one." } else { "No record matches." }
        )?;
        return Ok(());
    }
    let columns = [
        ("run", Align::Left),
        ("started (UTC)", Align::Left),
        ("state", Align::Left),
        ("shape", Align::Left),
        ("phases", Align::Left),
        ("engine", Align::Left),
        ("time", Align::Right),
    ];
    out.write_all(table(&columns, rows.iter().map(list_cells)).as_bytes())?;
    let total = store.count()?;
    if all && total > rows.len() as u64 {
        writeln!(out, "{} of {total} runs; --limit 0 shows all", rows.len())?;
    }
    Ok(())
}

fn list_baselines(store: &Store, out: &mut dyn Write) -> anyhow::Result<()> {
    let baselines = store.baselines()?;
    if baselines.is_empty() {
        writeln!(out, "There are no baselines yet: `sealbench results save-baseline NAME` makes one.")?;
        return Ok(());
    }
    let columns = [("baseline", Align::Left), ("run", Align::Left), ("saved (UTC)", Align::Left)];
    let cells =
        baselines.into_iter().map(|b| vec![b.name, b.run, b.saved_at.strftime("%Y-%m-%d %H:%M:%S").to_string()]);
    out.write_all(table(&columns, cells).as_bytes())?;
    Ok(())
}

fn rescue_to(damaged: &Path, new: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let Rescued { runs, records, reference_outputs, baselines, kernel_benches, lost_records } = rescue(damaged, new)?;
    let tables = [
        ("runs", runs),
        ("records", records),
        ("outputs of the reference", reference_outputs),
        ("baselines", baselines),
        ("results of criterion", kernel_benches),
    ];
    writeln!(out, "{} has, of what {} is known to have had:", new.display(), damaged.display())?;
    for (name, Count { rescued, known }) in tables.into_iter().filter(|(_, count)| count.known > 0) {
        writeln!(out, "  {rescued} of {known} {name}")?;
    }
    for id in &lost_records {
        writeln!(out, "the record of run {id} is not readable")?;
    }
    writeln!(out, "Nothing was changed. To use it, move the damaged store away and this one to its place.")?;
    Ok(())
}

fn list_cells(row: &RunRow) -> Vec<String> {
    let (state, phases) = match row.state {
        Some(state) => (state.name(), row.phases.clone().unwrap_or_default()),
        None => {
            let unfinished = Unfinished::of(row);
            (unfinished.state(), unfinished.at().map_or_else(String::new, |at| format!("at {}", at.phase)))
        }
    };
    vec![
        row.id.clone(),
        row.started_at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        state.to_string(),
        row.shape.clone().unwrap_or_default(),
        phases,
        row.engines.clone().unwrap_or_default(),
        row.phases_s.map_or_else(String::new, units::duration),
    ]
}

fn show(store: &Store, run: &str, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let row = side::resolve(store, run)?;
    if json {
        let record: serde_json::Value = serde_json::from_str(&store.record_text(&row.id)?)
            .with_context(|| format!("the record of run {} is damaged", row.id))?;
        writeln!(out, "{record:#}")?;
        return Ok(());
    }
    let Some(state) = row.state else {
        out.write_all(Unfinished::of(&row).report(&row, Timestamp::now()).as_bytes())?;
        return Ok(());
    };
    out.write_all(full_report(&store.record(&row.id)?).as_bytes())?;
    match (row.pid, row.run_dir.filter(|dir| dir.is_dir())) {
        (None, _) => writeln!(out, "imported   this run was not made with this store")?,
        (Some(_), Some(dir)) if state != RunState::Complete => {
            writeln!(out, "what to do {}", resume(&dir))?;
        }
        _ => {}
    }
    Ok(())
}

fn export_to(store: &Store, format: Format, runs: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    let ids = if runs.is_empty() { store.recorded()? } else { recorded(store, runs)? };
    match format {
        Format::Csv => export::csv(store, &ids, out),
        Format::Md => export::markdown(store, &ids, out),
        Format::Json => export::json(store, &ids, out),
    }
}

fn import(store: &Store, home: &Path, file: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let imported = bundle::import(store, home, file)?;
    for id in imported.new {
        writeln!(out, "{id} imported")?;
    }
    for id in imported.known {
        writeln!(out, "{id} is already in the store: skipped")?;
    }
    Ok(())
}

/// Ids of runs named on the command line, each once; every one must have a record.
pub(crate) fn recorded(store: &Store, runs: &[String]) -> anyhow::Result<Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    for run in runs {
        let row = side::resolve(store, run)?;
        if row.state.is_none() {
            return Err(Stop::Usage.error(format!(
                "run {} has no record, it is {}: see `sealbench results show {0}`",
                row.id,
                Unfinished::of(&row).state()
            )));
        }
        if !ids.contains(&row.id) {
            ids.push(row.id);
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;
    use crate::store::{RunStart, sample};
    use crate::trial::status::RunStatus;
    use clap::Parser;
    use std::fs;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        results: ResultsArgs,
    }

    fn results(home: &Path, words: &[&str]) -> anyhow::Result<String> {
        let args = Cli::try_parse_from([&["results"], words].concat())?.results;
        let mut out = Vec::new();
        run_in(home, args, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    /// A store with a finished run of 8 o'clock and a dead one of 9, whose directory is returned.
    fn home() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        store.finish(&sample::record("run-a")).unwrap();
        let run_dir = home.path().join("dir-b");
        fs::create_dir(&run_dir).unwrap();
        let start = RunStart {
            id: "run-b".to_string(),
            started_at: "2026-11-24T09:00:00Z".to_string(),
            run_dir: run_dir.clone(),
            command: vec!["sealbench".to_string(), "run".to_string()],
            pid: 1,
        };
        store.begin(&start).unwrap();
        let status = RunStatus {
            run: "run-b".to_string(),
            pid: 1,
            pid_start: u64::MAX,
            ended: false,
            at: None,
            phases_done: 0,
            phases_total: 4,
            updated_at: "2026-11-24T09:00:01Z".to_string(),
        };
        status.write(&run_dir).unwrap();
        (home, run_dir)
    }

    #[test]
    fn list_shows_the_newest_run_first_and_what_became_of_it() {
        let (home, _) = home();
        let text = results(home.path(), &["list"]).unwrap();
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("run-")).collect();
        assert!(rows[0].contains("run-b") && rows[0].contains("dead"), "{text}");
        for part in ["run-a", "2026-11-24 08:19:32", "complete", "8MiB", "p1,p2,p4", "reference", "3 min 18 s"] {
            assert!(rows[1].contains(part), "{part} in {text}");
        }
        let text = results(home.path(), &["list", "--limit", "1"]).unwrap();
        assert!(!text.contains("run-a") && text.contains("1 of 2 runs"), "{text}");
        let empty = tempfile::tempdir().unwrap();
        assert!(results(empty.path(), &["list"]).unwrap().contains("no runs yet"));
    }

    #[test]
    fn show_takes_an_id_a_prefix_last_or_a_directory() {
        let (home, run_dir) = home();
        let text = results(home.path(), &["show", "run-a"]).unwrap();
        assert!(text.contains("comm_r") && text.contains("imported "), "{text}");
        for word in ["last", "run-b", run_dir.to_str().unwrap()] {
            let text = results(home.path(), &["show", word]).unwrap();
            assert!(text.contains("dead: process 1 is gone") && text.contains("--resume --run-dir"), "{word}: {text}");
        }
        for (word, part) in [("run", "run-a, run-b"), ("x", "results list"), ("/nowhere/x", "status.json")] {
            let error = results(home.path(), &["show", word]).unwrap_err();
            assert!(exit_code(&error) == 2 && error.to_string().contains(part), "{error}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(exit_code(&results(empty.path(), &["show", "last"]).unwrap_err()), 2);
    }

    #[test]
    fn show_json_is_the_record() {
        let (home, _) = home();
        let document: serde_json::Value =
            serde_json::from_str(&results(home.path(), &["show", "run-a", "--json"]).unwrap()).unwrap();
        assert_eq!(document, serde_json::to_value(sample::record("run-a")).unwrap());
        assert!(results(home.path(), &["show", "run-b", "--json"]).unwrap_err().to_string().contains("no record"));
    }

    #[test]
    fn export_writes_files_and_names_a_run_without_record() {
        let (home, _) = home();
        let file = home.path().join("out.csv");
        let all = results(home.path(), &["export", "--format", "csv"]).unwrap();
        results(home.path(), &["export", "--format", "csv", "--out", file.to_str().unwrap(), "run-a", "run-a"])
            .unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), all);
        assert!(results(home.path(), &["export", "--format", "md"]).unwrap().contains("| p4 | reference |"));
        let error = results(home.path(), &["export", "--format", "json", "last"]).unwrap_err();
        assert!(error.to_string().contains("run-b has no record, it is dead"), "{error}");
    }

    #[test]
    fn a_bundle_goes_from_one_home_to_another() {
        let (home, _) = home();
        let file = home.path().join("b.tar.zst");
        let file = file.to_str().unwrap();
        results(home.path(), &["bundle", "run-a", "--out", file]).unwrap();
        assert_eq!(exit_code(&results(home.path(), &["bundle", "run-a", "--out", file]).unwrap_err()), 2);
        results(home.path(), &["bundle", "run-a", "--out", file, "--force"]).unwrap();
        let other = tempfile::tempdir().unwrap();
        assert_eq!(results(other.path(), &["import", file]).unwrap(), "run-a imported\n");
        assert_eq!(results(other.path(), &["import", file]).unwrap(), "run-a is already in the store: skipped\n");
        assert!(results(other.path(), &["show", "last"]).unwrap().contains("run-a"));
    }

    #[test]
    fn a_reader_that_went_away_is_an_io_error_and_no_panic() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(ErrorKind::BrokenPipe.into())
            }
        }
        let (home, _) = home();
        for words in [&["results", "list"][..], &["results", "show"], &["results", "export", "--format", "json"]] {
            let args = Cli::try_parse_from(words).unwrap().results;
            let error = run_in(home.path(), args, &mut Closed).unwrap_err();
            assert!(is_closed_pipe(&error), "{error:#}");
        }
    }
}
