//! `sealbench report`: records as a page for people, or as the same figures in Markdown and CSV.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::results::recorded;
use crate::disk::write_file;
use crate::error::Stop;
use crate::report::{export, html, markdown, sections};
use crate::store::Store;
use crate::trial::record::{Record, SCHEMA};

/// A report holds the records of at most this many runs.
const MOST_RUNS: usize = 2000;

/// A record's file is at most this long, bytes.
const LONGEST_FILE: u64 = 16 << 20;

/// One self-contained HTML file of runs: tables, charts, disclosure, validity
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("target").required(true).multiple(true))]
pub struct ReportArgs {
    /// Write the report to this HTML file
    #[arg(long, value_name = "FILE", group = "target")]
    out: Option<PathBuf>,
    /// Write the same figures as Markdown
    #[arg(long, value_name = "FILE", group = "target")]
    md: Option<PathBuf>,
    /// Write the phases' records as CSV
    #[arg(long, value_name = "FILE", group = "target")]
    csv: Option<PathBuf>,
    /// All runs of this sweep: its id, the start of it, or `last`
    #[arg(long, value_name = "ID")]
    sweep: Option<String>,
    /// The report's title
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
    /// Ids, starts of ids, `last`, run directories or files of records (default: the last run with a record, and all of its sweep)
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
}

/// Writes the files.
pub fn run(args: ReportArgs) -> anyhow::Result<()> {
    run_in(&crate::home::home()?, args)
}

fn run_in(home: &Path, args: ReportArgs) -> anyhow::Result<()> {
    let records = records(&Store::open(home)?, &args)?;
    let title = args.title.unwrap_or_else(|| title(&records));
    let document = sections::document(&title, &records);
    let put = |path: &Option<PathBuf>, content: &dyn Fn(&mut dyn Write) -> anyhow::Result<()>| match path {
        Some(path) => write_file(path, args.force, content),
        None => Ok(()),
    };
    put(&args.out, &|file| Ok(file.write_all(html::render(&document).as_bytes())?))?;
    put(&args.md, &|file| Ok(file.write_all(markdown::render(&document).as_bytes())?))?;
    put(&args.csv, &|file| export::csv_of_records(&records, file))
}

/// What the report is called unless the user says it.
fn title(records: &[Record]) -> String {
    let sweep = |record: &Record| record.sweep.as_ref().map(|run| run.sweep.clone());
    match (records, records.first().and_then(sweep)) {
        ([record], None) => format!("Sealing: run {}", record.id),
        (all, Some(id)) if all.iter().all(|record| sweep(record).as_ref() == Some(&id)) => {
            format!("Sealing: sweep {id}")
        }
        (all, _) => format!("Sealing: {} runs", all.len()),
    }
}

/// The records that the command line names, each once.
fn records(store: &Store, args: &ReportArgs) -> anyhow::Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    let mut add = |record: Record| {
        if records.iter().all(|known| known.id != record.id) {
            records.push(record);
        }
        match records.len() {
            n if n > MOST_RUNS => {
                Err(Stop::Usage.error(format!("more than {MOST_RUNS} runs are too many for a report: name fewer")))
            }
            _ => Ok(()),
        }
    };
    if let Some(sweep) = &args.sweep {
        store.of_sweep(sweep)?.iter().try_for_each(|id| add(store.record(id)?))?;
    }
    for word in &args.runs {
        match file(word, store)? {
            Some(record) => add(record)?,
            None => recorded(store, std::slice::from_ref(word))?.iter().try_for_each(|id| add(store.record(id)?))?,
        }
    }
    if args.sweep.is_none() && args.runs.is_empty() {
        newest(store)?.into_iter().try_for_each(add)?;
    }
    Ok(records)
}

/// The newest run that has a record; if it is part of a sweep, all of that.
fn newest(store: &Store) -> anyhow::Result<Vec<Record>> {
    let id = store.recorded()?.pop();
    let id = id.ok_or_else(|| Stop::Usage.error("there are no runs yet: `sealbench run` makes one"))?;
    let record = store.record(&id)?;
    match &record.sweep {
        None => Ok(vec![record]),
        Some(run) => store.of_sweep(&run.sweep)?.iter().map(|id| store.record(id)).collect(),
    }
}

/// The record in the file that a word names; none if the word names no file, or a run of the store too.
fn file(word: &str, store: &Store) -> anyhow::Result<Option<Record>> {
    let path = Path::new(word);
    if !path.is_file() || (!word.contains('/') && store.find(word)?.is_some()) {
        return Ok(None);
    }
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_string(&mut text));
    read.with_context(|| format!("cannot read {word}"))?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(Stop::Usage.error(format!("{word} has more than {LONGEST_FILE} bytes: it is no record")));
    }
    let bad =
        |why: String| Stop::Usage.error(format!("{word} is not a record that `sealbench run --json` wrote: {why}"));
    let record: Record = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    if record.schema != SCHEMA {
        return Err(bad(format!("its schema is '{}', this sealbench reads {SCHEMA}", record.schema.escape_debug())));
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;
    use crate::store::sample;
    use clap::Parser;
    use std::fs;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        report: ReportArgs,
    }

    /// What `--md` writes, with these words besides.
    fn report(home: &Path, words: &[&str]) -> anyhow::Result<String> {
        let file = home.join("report.md");
        let target = ["report", "--force", "--md", file.to_str().unwrap()];
        run_in(home, Cli::try_parse_from([&target, words].concat())?.report)?;
        Ok(fs::read_to_string(file)?)
    }

    fn swept(id: &str, sweep: &str, started_at: &str) -> Record {
        sample::changed(|r| {
            r["id"] = id.into();
            r["started_at"] = started_at.into();
            r["sweep"] = serde_json::json!({"sweep": sweep, "point": "p", "round": 0, "twin": false});
        })
    }

    #[test]
    fn runs_are_named_as_in_results_or_by_a_file() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        store.finish(&sample::record("run-a")).unwrap();
        let file = home.path().join("foreign.json");
        fs::write(&file, serde_json::to_string(&sample::record("run-f")).unwrap()).unwrap();
        let file = file.to_str().unwrap();
        for words in [&[][..], &["last"], &["run-a"], &["run", "last"]] {
            assert!(report(home.path(), words).unwrap().starts_with("# Sealing: run run-a\n"), "{words:?}");
        }
        assert!(report(home.path(), &[file]).unwrap().starts_with("# Sealing: run run-f\n"));
        assert!(report(home.path(), &[file, "last", file]).unwrap().starts_with("# Sealing: 2 runs\n"));
        assert!(report(home.path(), &["--title", "A_B"]).unwrap().starts_with("# A\\_B\n"));
    }

    #[test]
    fn the_last_run_stands_for_its_sweep() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        for (id, sweep, at) in [
            ("a", "s-1", "2026-01-01T00:00:01Z"),
            ("b", "s-2", "2026-01-01T00:00:02Z"),
            ("c", "s-1", "2026-01-01T00:00:03Z"),
        ] {
            store.finish(&swept(id, sweep, at)).unwrap();
        }
        let last = report(home.path(), &[]).unwrap();
        assert!(last.starts_with("# Sealing: sweep s-1\n") && last.contains("2 runs of 8MiB"), "{last}");
        assert!(report(home.path(), &["--sweep", "s-2"]).unwrap().starts_with("# Sealing: sweep s-2\n"));
        assert!(report(home.path(), &["--sweep", "last"]).unwrap().starts_with("# Sealing: sweep s-1\n"));
        for (word, part) in [("s-", "s-1, s-2"), ("x", "no sweep 'x'")] {
            let error = report(home.path(), &["--sweep", word]).unwrap_err();
            assert!(exit_code(&error) == 2 && error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn what_is_no_record_and_what_is_there_are_usage_errors() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(exit_code(&report(home.path(), &[]).unwrap_err()), 2, "an empty store");
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_string();
        let long = format!("{{\"schema\": \"{}\"}}", "x".repeat(17 << 20));
        let newer = sample::TEXT.replace("record/1", "record/2");
        for (name, text, part) in
            [("a.json", "{}", "missing field"), ("b.json", &newer, "record/2"), ("c.json", &long, "16777216 bytes")]
        {
            fs::write(path(name), text).unwrap();
            let error = report(home.path(), &[&path(name)]).unwrap_err();
            assert!(exit_code(&error) == 2 && error.to_string().contains(part), "{error}");
        }
        fs::write(path("d.json"), sample::TEXT).unwrap();
        let args = Cli::try_parse_from(["report", "--out", &path("a.json"), &path("d.json")]).unwrap().report;
        assert_eq!(exit_code(&run_in(home.path(), args).unwrap_err()), 2, "without --force a file stays");
        assert!(Cli::try_parse_from(["report", "last"]).is_err(), "nothing to write");
    }
}
