//! A sweep on a real Slurm cluster of two nodes: SKUs compared, a node that dies, orphans, duplicates, damage, cancelling, quoting.

mod common;
#[path = "common/slurm.rs"]
mod slurm;
#[path = "support/absent.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use common::{Home, read_json, signal, wait_for, words};
use serde_json::{Value, json};
use slurm::Cluster;

/// A cluster and a home whose commands know it; `None` where none can run.
fn cluster() -> Option<(Cluster, Home)> {
    with_home(Cluster::start())
}

fn with_home(cluster: Result<Cluster, String>) -> Option<(Cluster, Home)> {
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(why) => {
            support::absent("slurm", &why);
            return None;
        }
    };
    let home = Home::with("SLURM_CONF", &cluster.conf());
    fs::create_dir(home.path("tmp")).unwrap();
    Some((cluster, home))
}

/// A sweep of one point of the mock engine with so many samples, each of which takes a while.
fn mock(home: &Home, samples: u32, takes_s: f64) {
    let file = format!(
        "twins = false\n[[grid]]\nsector_size = '2KiB'\nengines = ['mock']\nlayouts = ['1x1']\nrepeats = {samples}\nmax_repeats = {samples}\n"
    );
    fs::write(home.path("sweep.toml"), file).unwrap();
    let script = json!({"phases": {"p1": {"samples": [10.0, 10.1, 9.9], "takes_s": takes_s}}});
    fs::write(home.path("mock.json"), script.to_string()).unwrap();
}

/// The words of a submission: quick questions, the test's own program and scratch directory.
fn submission(home: &Home, line: &str) -> Vec<String> {
    with_program(home, env!("CARGO_BIN_EXE_sealbench"), line)
}

fn with_program(home: &Home, program: &str, line: &str) -> Vec<String> {
    let given = "scale slurm sweep.toml --mock mock.json --poll 0.2 --settle 0 --trials-per-element 1";
    let scratch = home.path("tmp");
    let own = ["--scratch", scratch.to_str().unwrap(), "--program", program];
    [words(given), own.to_vec(), words(line)].concat().into_iter().map(str::to_string).collect()
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// A submission that waits for its jobs, at most as long as the test.
struct Waiting(Child);

impl Waiting {
    fn start(home: &Home, line: &str) -> Waiting {
        Waiting(home.spawn(&strs(&submission(home, line))))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It is over, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What elements have in the scratch directory beside the node's home.
fn scratch(home: &Home) -> Vec<PathBuf> {
    let is_home = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with("sealbench-home-");
    files(&home.path("tmp")).into_iter().filter(|path| !is_home(path)).collect()
}

/// All records of the store.
fn store(home: &Home) -> Vec<Value> {
    let exported = home.run(&words("results export --format json")).success();
    serde_json::from_str(&exported.stdout).unwrap()
}

/// Every round of the sweep has one record in the store.
#[track_caller]
fn assert_once(home: &Home, rounds: u64) {
    let mut found: Vec<u64> = store(home).iter().map(|record| record["sweep"]["round"].as_u64().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, (0..rounds).collect::<Vec<_>>());
}

/// The element of a file in the shared directory, the node that wrote it, and how often it was started before.
fn run_of(path: &Path) -> (String, String, u64) {
    let run = read_json(path)["run"].clone();
    let text = |key: &str| run[key].as_str().unwrap().to_string();
    (text("element"), text("node"), run["restart"].as_u64().unwrap())
}

/// An element that runs on a node: it has started and not delivered.
fn running_on(dir: &Path, node: &str) -> Option<String> {
    let runs = |name: &str| whole(&dir.join(name)).into_iter().map(|path| run_of(&path));
    let delivered: BTreeSet<String> = runs("records").map(|run| run.0).collect();
    runs("started").find(|(element, on, _)| on == node && !delivered.contains(element)).map(|run| run.0)
}

/// The files of a directory that have their final names.
fn whole(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

#[test]
fn a_node_that_dies_in_the_middle_loses_and_doubles_nothing() {
    let Some((cluster, home)) = cluster() else { return };
    mock(&home, 64, 0.3);
    let mut waiting = Waiting::start(&home, "--into shared --constraint any");
    let shared = home.path("shared");
    let [_, dying] = &cluster.nodes;
    wait_for("the middle", || whole(&shared.join("records")).len() >= 24 && running_on(&shared, dying).is_some());
    let lost = running_on(&shared, dying);
    cluster.kill(dying);
    wait_for("the others to go on", || whole(&shared.join("records")).len() >= 30);
    cluster.revive(dying);
    assert_eq!(waiting.0.wait().unwrap().code(), Some(0), "{}", fs::read_to_string(home.path("stderr")).unwrap());
    let said = fs::read_to_string(home.path("stdout")).unwrap();
    assert!(said.contains("64 of 64 elements collected, 64 of them new"), "{said}");
    assert_once(&home, 64);
    let restarted = whole(&shared.join("records")).iter().map(|path| run_of(path)).find(|(.., restart)| *restart > 0);
    assert!(restarted.is_some(), "{lost:?} was started again");
    let again = home.run(&["scale", "slurm", "--collect", shared.to_str().unwrap()]).success();
    assert!(again.stdout.contains("64 of 64 elements collected, 0 of them new"), "{}", again.stdout);
    assert_once(&home, 64);
}

#[test]
fn of_an_orphan_and_its_twin_one_counts_whatever_else_arrives() {
    let Some((cluster, home)) = cluster() else { return };
    mock(&home, 1, 9.0);
    let mut waiting = Waiting::start(&home, "--into shared --constraint any");
    let shared = home.path("shared");
    let nodes = &cluster.nodes;
    let on = || nodes.iter().find(|node| running_on(&shared, node).is_some());
    wait_for("the element", || on().is_some());
    cluster.orphan(on().unwrap());
    assert_eq!(waiting.0.wait().unwrap().code(), Some(0), "{}", fs::read_to_string(home.path("stderr")).unwrap());
    let records = whole(&shared.join("records"));
    let restarts: Vec<u64> = records.iter().map(|path| run_of(path).2).collect();
    assert_eq!(restarts, [0, 1], "both finished");
    let said = fs::read_to_string(home.path("stdout")).unwrap();
    assert!(said.contains("duplicate: 0-0.") && said.contains("of start 0"), "{said}");
    assert_eq!(store(&home)[0]["cluster"]["restart"], 1, "the one that Slurm stood behind");

    // A record that arrives twice, half of one, one of another submission: nothing changes.
    let twin = &records[1];
    fs::copy(twin, shared.join("records/0-0.1_0.7.00000000.json")).unwrap();
    let text = fs::read_to_string(twin).unwrap();
    fs::write(shared.join("records/0-0.1_0.8.00000000.json"), &text[..text.len() / 2]).unwrap();
    let mut foreign: Value = serde_json::from_str(&text).unwrap();
    foreign["submission"] = "another".into();
    fs::write(shared.join("records/0-0.1_0.9.00000000.json"), foreign.to_string()).unwrap();
    let collect = || home.run(&["scale", "slurm", "--collect", shared.to_str().unwrap()]).success().stdout;
    let said = collect();
    for part in [
        "1 of 1 elements collected, 0 of them new",
        "not a record: 0-0.1_0.8.00000000.json: it is damaged or cut off",
        "not a record: 0-0.1_0.9.00000000.json: it is of element 0-0 of submission another",
        "duplicate: 0-0.1_0.7.00000000.json",
    ] {
        assert!(said.contains(part), "'{part}' in\n{said}");
    }
    assert_once(&home, 1);

    // What was collected stays, though its file is damaged since; elsewhere it is an error that says what to do.
    fs::write(twin, text.replace("\"wall_s\":10", "\"wall_s\":11")).unwrap();
    assert!(collect().contains("its record is not the one whose digest it has"));
    assert_once(&home, 1);
    let elsewhere = Home::with("SLURM_CONF", &cluster.conf());
    let ended = elsewhere.run(&["scale", "slurm", "--collect", shared.to_str().unwrap()]);
    assert!(ended.fails(1, &["1 of 1 elements have no valid record"]).stdout.contains("0-0.json to choose anew"));
}

#[test]
fn two_kinds_of_nodes_are_measured_and_compared() {
    let Some((cluster, home)) = cluster() else { return };
    let file = "twins = false\n[[grid]]\nsector_size = '2KiB'\nphases = ['p1', 'p2']\nlayouts = ['1x1']\nrepeats = 3";
    fs::write(home.path("sweep.toml"), file).unwrap();
    let submitted =
        home.run(&words("scale slurm sweep.toml --into shared --constraint sku_a,sku_b --scratch tmp --detach"));
    assert!(submitted.success().stderr.contains("go on with sealbench scale slurm --collect"));
    let early = home.run(&words("scale slurm --collect shared")).fails(1, &["of 4 elements are not over yet"]);
    assert!(early.stdout.contains("not over: "), "{}", early.stdout);
    let ended = home.run(&words("scale slurm --collect shared --wait --poll 0.2 --json verdict.json")).success();
    for part in ["sku_a: p1 of 2KiB", "sku_b: p2 of 2KiB", "the best of each: p1 of 2KiB", "4 of 4 elements collected"]
    {
        assert!(ended.stdout.contains(part), "'{part}' in\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("lost:") && !ended.stdout.contains("duplicate:"), "{}", ended.stdout);
    let verdict = read_json(&home.path("verdict.json"));
    for (sku, node) in [(0, &cluster.nodes[0]), (1, &cluster.nodes[1])] {
        assert_eq!(verdict["skus"][sku]["nodes"], json!([node]));
        let points = verdict["skus"][sku]["rankings"][0]["points"].as_array().unwrap();
        assert_eq!(points[0]["samples"].as_array().unwrap().len(), 3, "{points:?}");
    }
    let across = verdict["across"].as_array().unwrap();
    assert_eq!(across.len(), 2);
    assert_eq!(across[0]["points"].as_array().unwrap().len(), 2);
    // Each node measured on the one core that Slurm had bound the job to.
    for record in store(&home) {
        let cluster = &record["cluster"];
        let core = if cluster["constraint"] == "sku_a" { 0 } else { 1 };
        assert_eq!(cluster["cores"], json!([core]));
        assert_eq!(record["phases"][0]["cores"], json!([core]));
        assert_eq!(record["state"], "complete");
    }
    let sweep = verdict["sweep"].as_str().unwrap();
    home.run(&["report", "--sweep", sweep, "--out", "report.html"]).success();
    let [a, b] = &cluster.nodes.clone().map(|node| format!("sweep={sweep},phase=p1,host={node}"));
    let compared = home.run(&["results", "compare", a, b]).success();
    assert!(compared.stdout.contains("p1"), "{}", compared.stdout);
    assert_eq!(scratch(&home), Vec::<PathBuf>::new(), "no element leaves sectors");
}

#[test]
fn what_slurm_calls_completed_is_not_until_there_is_a_record() {
    let Some((cluster, home)) = cluster() else { return };
    mock(&home, 1, 0.0);
    let with = |program: &str, into: &str| home.run(&strs(&with_program(&home, program, &format!("--into {into}"))));
    let ended = with("/bin/true", "a").fails(1, &["1 of 1 elements have no valid record"]);
    let line = ended.stdout.lines().find(|line| line.starts_with("lost: 0-0 p1 mock 1x1: COMPLETED")).unwrap();
    assert!(line.contains("Slurm says completed") && line.contains("it never saw"), "{line}");
    let ended = with("/nowhere/sealbench", "b").fails(1, &["have no valid record"]);
    assert!(ended.stdout.contains("its program was not found on the node"), "{}", ended.stdout);
    let dies = json!({"phases": {"p1": {"dies": 0}}});
    fs::write(home.path("mock.json"), dies.to_string()).unwrap();
    let ended = home.run(&strs(&submission(&home, "--into c"))).fails(1, &["have no valid record"]);
    let line = ended.stdout.lines().find(|line| line.starts_with("lost: 0-0 p1 mock 1x1: FAILED")).unwrap();
    assert!(line.contains("1 of 1 instances failed") && line.contains("c/logs/0-0.log"), "{line}");
    assert_eq!(store(&home), Vec::<Value>::new());
    mock(&home, 1, 0.0);

    // A node that does not have the directory.
    let [_, other] = &cluster.nodes;
    fs::create_dir(home.path("mine")).unwrap();
    cluster.hide(other, &home.path("mine"));
    let ended = home.run(&strs(&submission(&home, "--into mine/shared --constraint sku_a,sku_b")));
    let ended = ended.fails(1, &["1 of 2 elements have no valid record"]);
    let line = ended.stdout.lines().find(|line| line.starts_with("lost: 1-0")).unwrap();
    assert!(line.contains("is not shared with the node") && line.contains(other.as_str()), "{line}");
    assert_eq!(store(&home).len(), 1, "the other node's result is there");
}

#[test]
fn a_cluster_that_does_not_bind_jobs_measures_whole_nodes_only() {
    let Some((_cluster, home)) = with_home(Cluster::unbound()) else { return };
    mock(&home, 1, 0.0);
    let ended = home.run(&strs(&submission(&home, "--into a"))).fails(1, &["1 of 1 elements have no valid record"]);
    assert!(ended.stdout.contains("does not bind jobs to their cores: this one asked for 1"), "{}", ended.stdout);
    home.run(&strs(&submission(&home, "--into b --exclusive"))).success();
}

#[test]
fn interrupting_cancels_and_a_node_that_is_gone_is_given_up() {
    let Some((cluster, home)) = cluster() else { return };
    mock(&home, 2, 60.0);
    let mut waiting = Waiting::start(&home, "--into first --constraint any");
    wait_for("a start", || !whole(&home.path("first/started")).is_empty());
    let status = home.run(&words("scale status first")).success();
    assert!(status.stdout.contains("RUNNING") && status.stdout.contains(&cluster.nodes[0]), "{}", status.stdout);
    cluster.stop("slurmctld");
    let said = |words: &str| fs::read_to_string(home.path("stderr")).unwrap().contains(words);
    wait_for("silence", || {
        said("slurmctld does not answer, or munged does not run here: see scontrol ping; asking again")
    });
    cluster.control();
    wait_for("an answer", || said("Slurm answers again"));
    signal(waiting.0.id(), 2);
    assert_eq!(waiting.0.wait().unwrap().code(), Some(130));
    let listed = cluster.slurm(&words("squeue -h -r -o %T"));
    assert_eq!(listed, "", "nothing waits or runs");
    wait_for("scratch to go", || scratch(&home).is_empty());

    mock(&home, 1, 0.0);
    let [_, gone] = &cluster.nodes;
    cluster.kill(gone);
    let given = submission(&home, "--into second --constraint sku_a,sku_b --give-up-after 1");
    let ended = home.run(&strs(&given)).fails(1, &["1 of 2 elements have no valid record"]);
    let notice = ended.stderr.lines().find(|line| line.starts_with("array 1 waits for nodes with sku_b")).unwrap();
    assert!(notice.contains(&format!("UnavailableNodes:{gone}")), "{notice}");
    assert!(ended.stdout.contains("lost: 1-0 p1 mock 1x1: CANCELLED"), "{}", ended.stdout);
    assert!(ended.stdout.contains("1 of 2 elements collected"), "{}", ended.stdout);
}

#[test]
fn emitted_scripts_submit_what_is_collected_and_words_stay_words() {
    let Some((cluster, home)) = cluster() else { return };
    mock(&home, 2, 0.0);
    let file = fs::read_to_string(home.path("sweep.toml")).unwrap();
    fs::write(home.path("sweep.toml"), file + "phases = ['p2']\n").unwrap();
    let odd = "it's \"odd\" $(touch PWNED) `touch PWNED`; %a \\\n*";
    let shared = home.path(odd);
    let mut given: Vec<String> = words("scale slurm sweep.toml --mock mock.json --constraint sku_a --exclusive --emit")
        .into_iter()
        .map(str::to_string)
        .collect();
    given.extend([
        shared.to_str().unwrap().to_string(),
        "--scratch".into(),
        home.path("tmp/$(id) 'x'").to_str().unwrap().into(),
    ]);
    given.extend(["--".to_string(), "--comment=a 'b' $(touch PWNED)".to_string()]);
    home.run(&strs(&given)).success();
    assert_eq!(cluster.slurm(&words("squeue -h")), "", "nothing is submitted");
    let collect = ["scale", "slurm", "--collect", shared.to_str().unwrap(), "--poll", "0.2"];
    let early = home.run(&collect).fails(1, &["1 of 1 elements have no valid record"]);
    assert!(early.stdout.contains("it was not submitted"), "{}", early.stdout);
    let submitted = std::process::Command::new("sh")
        .arg(shared.join("submit.sh"))
        .env("SLURM_CONF", cluster.conf())
        // As in a job that was started again.
        .env("SLURM_RESTART_COUNT", "3")
        .current_dir(home.path(""))
        .output()
        .unwrap();
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    let ended = home.run(&[&collect[..], &["--wait"]].concat()).success();
    assert!(ended.stdout.contains("1 of 1 elements collected, 1 of them new"), "{}", ended.stdout);
    let record = &store(&home)[0];
    assert_eq!(record["aggregates"].as_array().unwrap().len(), 2, "both samples are in one element");
    assert_eq!(record["cluster"]["restart"], 0, "the first start is told as that");
    assert!(cluster.slurm(&words("squeue -t all -h -o %k")).contains("a 'b' $(touch PWNED)"));
    assert!(!home.path("PWNED").exists() && !shared.join("PWNED").exists());
    home.run(&strs(&given)).fails(2, &[]);
}

#[test]
fn a_cluster_that_refuses_or_does_not_answer_is_a_sentence() {
    let Some((cluster, home)) = cluster() else { return };
    mock(&home, 1, 0.0);
    let refused = home.run(&strs(&submission(&home, "--into a --constraint sku_a,no_such_sku")));
    refused.fails(3, &["nothing was left submitted: array 1 was not submitted", "no node has a feature"]);
    assert_eq!(cluster.slurm(&words("squeue -h")), "", "the first array is cancelled");
    let more = home.run(&strs(&[submission(&home, "--into b"), vec!["--".into(), "--mem=99T".into()]].concat()));
    more.fails(3, &["array 0 was not submitted", "no node has as many cores and as much memory"]);
    let mut without = home.command(&strs(&submission(&home, "--into c")));
    let ended = common::Ended::from(without.env("PATH", home.path("")).output().unwrap());
    ended.fails(3, &["squeue is not on this machine", "--emit"]);
    let elsewhere = Home::with("SLURM_CONF", &home.path("sweep.toml"));
    mock(&elsewhere, 1, 0.0);
    elsewhere.run(&strs(&submission(&elsewhere, "--into d"))).fails(3, &["knows no cluster"]);
    cluster.stop("munged");
    home.run(&strs(&submission(&home, "--into e"))).fails(3, &["munged does not run here"]);
    cluster.stop("slurmctld");
    home.run(&strs(&submission(&home, "--into f"))).fails(3, &["slurmctld does not answer"]);
    home.run(&words("scale slurm --collect nowhere")).fails(2, &["not the directory of a submission"]);
    home.run(&words("scale slurm sweep.toml --into g --constraint a,b,a")).fails(2, &["'a' is empty or there twice"]);
    home.run(&words("scale slurm sweep.toml --into g --time-factor 0")).fails(2, &["--time-factor"]);
}
