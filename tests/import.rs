//! `sealbench import`, through the program: the notes' sweep, what counts twice and what does not, mistakes, and other tools' reports.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Home, codes, phases, read_json};
use serde_json::Value;

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/logs").join(name).to_str().unwrap().to_string()
}

/// The logs of the notes' p2 sweep, 12 files of which three repeat others.
fn sweep() -> Vec<String> {
    let mut logs: Vec<String> =
        fs::read_dir(data("")).unwrap().map(|entry| entry.unwrap().path()).filter_map(p2).collect();
    logs.sort();
    assert_eq!(logs.len(), 12);
    logs
}

fn p2(path: PathBuf) -> Option<String> {
    let path = path.to_str()?.to_string();
    path.contains("benchy-p2-").then_some(path)
}

fn import(home: &Home, words: &[&str], logs: &[String]) -> common::Ended {
    let logs: Vec<&str> = logs.iter().map(String::as_str).collect();
    home.run(&[&["import"], words, &logs].concat())
}

/// A log of p2 in this home.
fn p2_log(home: &Home, name: &str, from: &str, to: &str) -> String {
    let line = |time: &str, what: &str| format!("thread_id: ThreadId(1) {time} INFO {what}\n");
    let text = line(from, "[filecoin_proofs::api::seal_pledge] seal_pre_commit_phase2_all_zero: start")
        + &line(to, "[benchy::force] p34 disabled");
    fs::write(home.path(name), text).unwrap();
    name.to_string()
}

/// The words of the table's row for p2 on this many cores.
fn rate_row(stdout: &str, cores: &str) -> Vec<String> {
    let rows = stdout.lines().map(|line| line.split_whitespace().map(str::to_string).collect::<Vec<_>>());
    let is_rate = |row: &Vec<String>| row.len() > 5 && row[0] == "p2" && row[1] == "32GiB" && row[2] == cores;
    rows.into_iter().find(is_rate).unwrap_or_else(|| panic!("no rate on {cores} cores in {stdout}"))
}

#[test]
fn the_sweep_of_the_notes_gives_its_rates_and_tells_which_is_none() {
    let home = Home::new();
    let ended = import(&home, &["--cores-from-name", "--json", "records.json"], &sweep()).success();
    for (cores, instances, rate, concurrent) in
        [("23", "4", 1.870, true), ("30", "3", 1.770, true), ("46", "2", 1.925, false)]
    {
        let row = rate_row(&ended.stdout, cores);
        assert_eq!(row[3], instances, "{row:?}");
        assert!((row[4].parse::<f64>().unwrap() - rate).abs() <= 0.001, "{row:?}");
        assert_eq!(!row.contains(&"not".to_string()), concurrent, "{row:?}");
    }
    assert!(ended.stdout.contains("9 runs imported, 0 were there already"), "{}", ended.stdout);
    for copy in ["7742-task-1", "7742-task-2", "cpu30-3"] {
        assert!(
            ended.stderr.lines().any(|line| line.contains(copy) && line.contains("counted once")),
            "{}",
            ended.stderr
        );
    }
    let records = read_json(&home.path("records.json"));
    let mut found: BTreeMap<(String, u64), Vec<bool>> = BTreeMap::new();
    for record in records.as_array().unwrap() {
        let phase = &phases(record, "p2")[0];
        assert_eq!(
            (&phase["origin"], &phase["cpu_s"], &phase["threads"]),
            (&"imported".into(), &Value::Null, &Value::Null)
        );
        assert!(codes(record).contains(&"sector-size-assumed"));
        let key = (
            record["spec"]["settings"]["import.cores"].as_str().unwrap().to_string(),
            phase["concurrent"].as_u64().unwrap(),
        );
        found.entry(key).or_default().push(codes(record).contains(&"not-concurrent"));
    }
    let key = |cores: &str, concurrent| (cores.to_string(), concurrent);
    let expected = [(key("23", 4), vec![false; 4]), (key("30", 3), vec![false; 3]), (key("46", 1), vec![true; 2])]
        .into_iter()
        .collect();
    assert_eq!(found, expected);
    let first = &records[0];
    assert_eq!(phases(first, "p2")[0]["wall_s"], 3975.0, "66.25 minutes on 46 cores");
}

#[test]
fn the_order_of_the_files_does_not_matter() {
    let home = Home::new();
    let mut logs = sweep();
    let one = import(&home, &["--cores-from-name", "--dry-run"], &logs).success();
    logs.reverse();
    let two = import(&home, &["--cores-from-name", "--dry-run"], &logs).success();
    assert_eq!(one.stdout, two.stdout);
    assert!(!home.path("home").exists(), "a dry run leaves nothing");
}

#[test]
fn a_run_is_kept_once_whatever_its_file_is_called() {
    let home = Home::new();
    let log = [data("benchy-p2-23cpu-1.log")];
    import(&home, &["--sector-size", "32GiB"], &log).success();
    let again = import(&home, &[], &log).success();
    assert!(again.stdout.contains("0 runs imported, 1 were there already"), "{}", again.stdout);
    fs::copy(&log[0], home.path("other name.log")).unwrap();
    let copy = import(&home, &["--cores", "23"], &["other name.log".to_string()]).success();
    assert!(copy.stdout.contains("0 runs imported, 1 were there already"), "{}", copy.stdout);
    let list = home.run(&["results", "list"]).success().stdout;
    assert_eq!(list.matches("log-20200719T023520Z").count(), 1, "{list}");
    let shown = home.run(&["results", "show", "last"]).success().stdout;
    assert!(shown.contains("imported") && shown.contains("2 h 11 min"), "{shown}");
    home.run(&["results", "export", "--format", "csv"]).success();
}

#[test]
fn a_log_that_grew_adds_only_what_is_new() {
    let home = Home::new();
    let whole = fs::read_to_string(data("all-phases.log")).unwrap();
    let head: String = whole.lines().take(6).map(|line| format!("{line}\n")).collect();
    fs::write(home.path("run.log"), head).unwrap();
    let log = ["run.log".to_string()];
    let first = import(&home, &[], &log).success();
    assert!(first.stderr.contains("run.log:6: p2 begins here and does not end"), "{}", first.stderr);
    fs::write(home.path("run.log"), whole).unwrap();
    import(&home, &[], &log).success();
    let rows = home.run(&["results", "list"]).success().stdout;
    assert!(rows.contains("interrupted") && rows.contains("p2,c1,p4") && !rows.contains("p1,p2"), "{rows}");
    let again = import(&home, &[], &log).success();
    assert!(again.stdout.contains("0 runs imported, 1 were there already"), "{}", again.stdout);
}

#[test]
fn a_log_with_colours_and_carriage_returns_has_all_four_phases() {
    let home = Home::new();
    import(&home, &["--json", "r.json"], &[data("all-phases.log")]).success();
    let records = read_json(&home.path("r.json"));
    let record = &records[0];
    let wall = |name| phases(record, name)[0]["wall_s"].as_f64().unwrap();
    assert_eq!(["p1", "p2", "c1", "p4"].map(wall), [10315.0, 4538.0, 35.0, 2920.0]);
    let settings = &record["spec"]["settings"];
    assert_eq!(
        (&settings["import.cache_dir"], &settings["import.sealed_file"]),
        (&"./.tmpq1".into(), &"./.tmpq2".into())
    );
    assert!(!codes(record).contains(&"sector-size-assumed") && codes(record).contains(&"params-read"));
}

#[test]
fn mistakes_are_named_by_file_and_line_and_nothing_is_imported() {
    let home = Home::new();
    let good = p2_log(&home, "good.log", "2020-07-18 05:00:00", "2020-07-18 06:00:00");
    let text = fs::read_to_string(home.path(&good)).unwrap();
    let (start, end) = text.split_once('\n').unwrap();
    let header =
        "thread_id: ThreadId(1) 2020-07-18 04:00:00 INFO [benchy::force] using cache dir \"c\", sealed file \"s\"";
    let lost = format!("{header}\n{start}\n{header}\n{text}");
    for (name, text, words) in [
        ("two.log", format!("{start}\n{start}\n{end}"), ["two.log:2", "began in line 1"]),
        ("none.log", format!("x\n{end}"), ["none.log:2", "no phase begins"]),
        ("back.log", text.replace("06:00:00", "04:00:00"), ["back.log:2", "earlier time"]),
        ("time.log", text.replace("2020-07-18 06:00:00", "yesterday"), ["time.log:2", "no time"]),
        ("lost.log", lost, ["lost.log:2", "its end is missing"]),
        ("other.log", "hello\n".to_string(), ["other.log", "no line of it"]),
    ] {
        fs::write(home.path(name), text).unwrap();
        home.run(&["import", "good.log", name]).fails(2, &words).fails(2, &["nothing was imported", "--skip-bad"]);
    }
    assert!(!home.path("home").exists());
    let some = home.run(&["import", "good.log", "two.log", "--skip-bad"]).success();
    assert!(some.stdout.contains("1 runs imported") && some.stderr.contains("two.log:2"), "{}", some.stderr);
    fs::write(home.path("bad.log"), format!("{}\n", end.replace("06:00:00", "yesterday")).repeat(300)).unwrap();
    let many = home.run(&["import", "bad.log"]).fails(2, &["bad.log:1", "(and 299 more, 99 of them above)"]);
    assert!(many.stderr.contains("200 more places where something is wrong are not listed"), "{}", many.stderr);
    home.run(&["import", "nowhere.log"]).fails(2, &["nowhere.log"]);
    home.run(&["import", "."]).fails(2, &["directory"]);
    home.run(&["import"]).fails(2, &[]);
    home.run(&["import", &data("lotus-bench.txt"), "--sector-size", "32GiB"]).fails(2, &["512MiB", "32GiB"]);
    home.run(&["import", &data("lotus-bench.txt"), "--format", "proofs-log"]).fails(2, &["proofs-log"]);
}

#[test]
fn one_run_under_names_that_contradict_each_other_is_a_mistake() {
    let home = Home::new();
    let log = p2_log(&home, "p2-23cpu-1.log", "2020-07-18 05:00:00", "2020-07-18 06:00:00");
    fs::copy(home.path(&log), home.path("p2-30cpu-1.log")).unwrap();
    home.run(&["import", "p2-23cpu-1.log", "p2-30cpu-1.log", "--cores-from-name"]).fails(2, &["30 cores", "23"]);
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let home = Home::new();
    let log = fs::read(data("benchy-p2-30cpu-1.log")).unwrap();
    fs::write(home.path("x.log"), [b"\xff\xfe\x00\n".as_slice(), &log, b"\x80\x1b["].concat()).unwrap();
    home.run(&["import", "x.log"]).success();
}

#[test]
fn instances_that_only_took_turns_or_met_in_part_are_not_concurrent() {
    let home = Home::new();
    let logs = [
        p2_log(&home, "a.log", "2020-07-18 00:00:00", "2020-07-18 01:00:00"),
        p2_log(&home, "b.log", "2020-07-18 00:50:00", "2020-07-18 01:50:00"),
        p2_log(&home, "c.log", "2020-07-18 01:40:00", "2020-07-18 02:40:00"),
    ];
    let ended = import(&home, &["--dry-run", "--cores", "8"], &logs).success();
    assert_eq!(rate_row(&ended.stdout, "8")[9..], ["2", "0", "%", "not", "concurrent"]);
    let two = [
        p2_log(&home, "d.log", "2020-07-18 00:00:00", "2020-07-18 01:00:00"),
        p2_log(&home, "e.log", "2020-07-18 00:10:00", "2020-07-18 01:10:00"),
    ];
    let ended = import(&home, &["--dry-run", "--cores", "8"], &two).success();
    assert!(!ended.stdout.contains("not concurrent") && ended.stdout.contains("83.3 %"), "{}", ended.stdout);
    let told = import(&home, &["--instances", "2", "--json", "one.json", "--dry-run"], &logs[..1]).success();
    assert!(told.stdout.contains("alone"), "{}", told.stdout);
    assert!(codes(&read_json(&home.path("one.json"))[0]).contains(&"not-concurrent"));
}

#[test]
fn one_log_is_one_instance_unless_it_runs_several_at_once() {
    let home = Home::new();
    let p1 = |time: &str, edge: &str, sector: u32| {
        format!(
            "2026-01-02T{time}.000 INFO filecoin_proofs::api::seal > seal_pre_commit_phase1:{edge}: SectorId({sector})\n"
        )
    };
    let row = |log: &str, lines: &[String]| -> Vec<String> {
        fs::write(home.path(log), lines.concat()).unwrap();
        let stdout = home.run(&["import", log, "--dry-run"]).success().stdout;
        let rates = stdout.split("instances").nth(1).unwrap();
        rates.lines().find(|line| line.contains(" p1 ")).unwrap().split_whitespace().map(str::to_string).collect()
    };
    let in_turn = [
        p1("01:00:00", "start", 1),
        p1("02:00:00", "finish", 1),
        p1("02:00:00", "start", 2),
        p1("04:00:00", "finish", 2),
    ];
    assert_eq!(row("turns.log", &in_turn)[2..4], ["1", "0.667"], "the rate of the median time, 1.5 h");
    let at_once = [
        p1("01:00:00", "start", 1),
        p1("01:10:00", "start", 2),
        p1("02:00:00", "finish", 1),
        p1("02:10:00", "finish", 2),
    ];
    assert_eq!(row("at-once.log", &at_once)[2..4], ["2", "2.000"]);
}

#[test]
fn reports_and_worker_logs_become_records() {
    let home = Home::new();
    let logs = ["lotus-worker.log", "benchy-porep.json", "lotus-bench.txt", "lotus-bench.json"].map(data);
    import(&home, &["--json", "r.json", "--host", "epyc"], &logs).success();
    let records = read_json(&home.path("r.json"));
    let of = |format: &str| {
        let is = |record: &&Value| record["spec"]["settings"]["import.format"] == format;
        records.as_array().unwrap().iter().find(is).unwrap_or_else(|| panic!("no {format}"))
    };
    let walls = |format: &str| -> Vec<(String, f64)> {
        let phases = of(format)["phases"].as_array().unwrap();
        phases.iter().map(|p| (p["phase"].as_str().unwrap().to_string(), p["wall_s"].as_f64().unwrap())).collect()
    };
    let named = |list: &[(&str, f64)]| list.iter().map(|(name, wall)| (name.to_string(), *wall)).collect::<Vec<_>>();
    assert_eq!(walls("proofs-log"), named(&[("p1", 12010.5), ("p2", 750.25), ("c1", 1.5), ("p4", 795.75)]));
    assert_eq!(
        walls("benchy-json"),
        named(&[("p1", 12.5), ("p2", 15.25), ("c1", 0.12)]),
        "p4 was skipped: absent, not 0"
    );
    assert_eq!(walls("lotus-text"), named(&[("p1", 23.512164789), ("p2", 11.748902504), ("c1", 0.018391743)]));
    assert_eq!(walls("lotus-json").len(), 8, "two sectors");
    let summary = of("lotus-json")["summary"].as_array().unwrap();
    assert_eq!((summary[0]["n"].as_u64(), summary[0]["median"].as_f64()), (Some(2), Some(23.8)));
    assert_eq!(of("benchy-json")["host"]["cpu"]["model"], "AMD EPYC 7402P 24-Core Processor");
    assert_eq!(of("lotus-text")["started_at"], "2022-04-13T16:37:41.141Z");
    assert_eq!(of("proofs-log")["host"]["hostname"], "epyc");
    assert_eq!(of("proofs-log")["spec"]["resolved"]["identity"]["sector_id"], 31639);
    for record in records.as_array().unwrap() {
        assert!(codes(record).contains(&"imported"));
        assert_eq!(record["validity"]["reportable"], false);
    }
    let again = import(&home, &[], &logs).success();
    assert!(again.stdout.contains("0 runs imported, 4 were there already"), "{}", again.stdout);
}

/// A log of many runs of p2, each an hour long and after the one before.
fn many(runs: u64) -> String {
    let start: jiff::Timestamp = "2020-07-18T00:00:00Z".parse().unwrap();
    let line = |hour: u64, what: &str| {
        let time = start + jiff::SignedDuration::from_hours(hour as i64);
        format!("thread_id: ThreadId(1) {} INFO {what}\n", time.strftime("%Y-%m-%d %H:%M:%S"))
    };
    let run = |number: u64| {
        line(number, "[filecoin_proofs::api::seal_pledge] seal_pre_commit_phase2_all_zero: start")
            + &line(number + 1, "[benchy::force] p34 disabled")
    };
    (0..runs).map(run).collect()
}

#[test]
fn many_runs_of_one_log_take_little_memory() {
    let home = Home::new();
    fs::write(home.path("many.log"), many(40_000)).unwrap();
    let sealbench = env!("CARGO_BIN_EXE_sealbench");
    // Address space in KiB, of which the program itself takes half: all that is known of each run would take more.
    let script = format!("ulimit -v 70000; exec {sealbench} import many.log --dry-run");
    let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(home.path("")).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("40000 runs would be imported"), "{wrong}");
    assert!(said.contains("and 39940 more"), "{said}");
}

#[test]
fn what_many_runs_have_in_common_is_said_once() {
    let home = Home::new();
    fs::write(home.path("a.log"), many(5)).unwrap();
    fs::write(home.path("b.log"), many(5)).unwrap();
    let ended = home.run(&["import", "a.log", "b.log", "--dry-run"]).success();
    assert_eq!(ended.stderr, "b.log: 5 runs that are in a.log too: each counted once\n");
    let size = "thread_id: ThreadId(1) 2020-07-18 00:00:00 INFO [filecoin_proofs::caches] trying for: STACKED[2050]\n";
    fs::write(home.path("c.log"), size.to_string() + &many(3)).unwrap();
    home.run(&["import", "c.log"]).fails(2, &["c.log:2", "2 more runs of it"]);
}

#[test]
fn the_records_file_may_not_be_one_of_the_logs() {
    let home = Home::new();
    let log = p2_log(&home, "run.log", "2020-07-18 05:00:00", "2020-07-18 06:00:00");
    let text = fs::read_to_string(home.path(&log)).unwrap();
    std::os::unix::fs::symlink(home.path(&log), home.path("link.log")).unwrap();
    for named in ["run.log", "link.log"] {
        home.run(&["import", named, "--json", "./run.log"]).fails(2, &["--json ./run.log", "one of the logs"]);
        assert_eq!(fs::read_to_string(home.path(&log)).unwrap(), text);
    }
}

#[test]
fn a_report_of_very_many_sectors_is_read_and_kept_in_moments() {
    let home = Home::new();
    let results: Vec<String> =
        (0..20_000).map(|n| format!("  {{\"PreCommit1\": {}}}", 23_512_164_789u64 + n)).collect();
    let report = format!("{{\n \"SectorSize\": 536870912,\n \"SealingResults\": [\n{}\n ]\n}}\n", results.join(",\n"));
    fs::write(home.path("many.json"), report).unwrap();
    let begun = std::time::Instant::now();
    home.run(&["import", "many.json", "--cores", "8", "--json", "r.json"]).success();
    assert!(begun.elapsed().as_secs() < 120, "it took {:?}", begun.elapsed());
    let summary = &read_json(&home.path("r.json"))[0]["summary"][0];
    assert_eq!(summary["n"], 20_000);
    assert!(summary["ci"]["low"].as_f64() < summary["median"].as_f64(), "{summary}");
}
