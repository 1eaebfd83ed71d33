//! Which record of an element counts, and what may go wrong between a node and the store: elements run by hand, and commands in place of
//! Slurm's that say what a test wants.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Ended, Home, read_json, signal, wait_for, words};
use sealbench::scale::slurm::delivery::Delivery;
use sealbench::trial::record::Record;
use serde_json::{Value, json};

/// The number of the submission's job.
const JOB: &str = "5";

/// A submission whose scripts are written, in the directory `shared` of a home.
struct Submitted {
    home: Home,
    id: String,
}

impl Submitted {
    /// So many elements of one trial of the mock engine, each of which takes a while.
    fn new(elements: u32, takes_s: f64, words: &str) -> Submitted {
        let home = Home::new();
        sweep(&home, elements, takes_s);
        for dir in ["bin", "tmp"] {
            fs::create_dir(home.path(dir)).unwrap();
        }
        let line = format!(
            "scale slurm sweep.toml --mock mock.json --trials-per-element 1 --scratch tmp --program /p --emit shared {words}"
        );
        home.run(&common::words(&line)).success();
        let id = read_json(&home.path("shared/submission.json"))["id"].as_str().unwrap().to_string();
        Submitted { home, id }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path("shared").join(name)
    }

    /// What Slurm starts, for a time other than the first.
    fn payload(&self, index: u32, restart: u32) -> Command {
        let shared = self.home.path("shared");
        let own = ["--into", shared.to_str().unwrap(), "--submission", &self.id];
        let mut command = self.home.command(&[&words("scale element --array 0")[..], &own].concat());
        command.env("SLURM_ARRAY_JOB_ID", JOB).env("SLURM_ARRAY_TASK_ID", index.to_string());
        command.env("SLURMD_NODENAME", format!("n{restart}"));
        if restart > 0 {
            command.env("SLURM_RESTART_COUNT", restart.to_string());
        }
        command
    }

    /// Runs an element to its end; the file that it delivered.
    fn deliver(&self, index: u32, restart: u32) -> PathBuf {
        Ended::from(self.payload(index, restart).output().unwrap()).success();
        let start = format!("0-{index}.{JOB}_{index}.{restart}.");
        files(&self.path("records")).into_iter().find(|path| name(path).starts_with(&start)).unwrap()
    }

    /// What squeue says from now on: each element's state, reason and restarts.
    fn queue(&self, jobs: &[(&str, &str, u32)]) {
        let jobs: Vec<Value> = jobs.iter().enumerate().map(|job| self.job(job)).collect();
        self.answer(&json!({"jobs": jobs}));
    }

    fn job(&self, (index, (state, reason, restart)): (usize, &(&str, &str, u32))) -> Value {
        json!({"name": format!("sealbench-{}-0", self.id), "job_id": 5, "array_task_id": index, "job_state": state,
               "state_reason": reason, "nodes": if *state == "PENDING" { "" } else { "n0" }, "restart_cnt": restart})
    }

    /// What squeue prints from now on.
    fn answer(&self, document: &Value) {
        let file = self.home.path("queue.json");
        fs::write(self.home.path("queue.new"), document.to_string()).unwrap();
        fs::rename(self.home.path("queue.new"), &file).unwrap();
        self.stand_in("squeue", &format!("cat '{}'", file.display()));
    }

    /// A script in place of one of Slurm's commands.
    fn stand_in(&self, program: &str, script: &str) {
        stand_in(&self.home, program, script);
    }

    fn command(&self, line: &str) -> Command {
        with_stand_ins(&self.home, line)
    }

    fn collect(&self, line: &str) -> Ended {
        Ended::from(self.command(&format!("scale slurm --collect shared {line}")).output().unwrap())
    }

    /// In the background, its stdout and stderr in files.
    fn spawn(&self, line: &str) -> Child {
        spawn(&self.home, self.command(line))
    }

    /// Delivers a record like this one after a change, with a digest of its own.
    fn forge(&self, like: &Path, file: &str, change: impl FnOnce(&mut Value)) {
        let mut document = read_json(like)["record"].clone();
        change(&mut document);
        let record: Record = serde_json::from_value(document).unwrap();
        let delivery = Delivery::new(&self.id, record.cluster.clone().unwrap(), Some(record), None);
        fs::write(self.path("records").join(file), serde_json::to_vec(&delivery).unwrap()).unwrap();
    }

    /// How often each collected record's element had been started before.
    fn restarts(&self) -> Vec<u64> {
        self.store().iter().map(|record| record["cluster"]["restart"].as_u64().unwrap()).collect()
    }

    fn store(&self) -> Vec<Value> {
        store(&self.home)
    }
}

fn sweep(home: &Home, elements: u32, takes_s: f64) {
    let file = format!(
        "twins = false\n[[grid]]\nsector_size = '2KiB'\nengines = ['mock']\nlayouts = ['1x1']\nrepeats = {elements}\nmax_repeats = {elements}\n"
    );
    fs::write(home.path("sweep.toml"), file).unwrap();
    fs::write(home.path("mock.json"), json!({"phases": {"p1": {"takes_s": takes_s}}}).to_string()).unwrap();
}

fn stand_in(home: &Home, program: &str, script: &str) {
    let path = home.path("bin").join(program);
    fs::write(home.path("script"), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(home.path("script"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(home.path("script"), path).unwrap();
}

fn with_stand_ins(home: &Home, line: &str) -> Command {
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = home.command(&words(line));
    command.env("PATH", path);
    command
}

fn spawn(home: &Home, mut command: Command) -> Child {
    let file = |name: &str| fs::File::create(home.path(name)).unwrap();
    command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap()
}

fn store(home: &Home) -> Vec<Value> {
    let exported = home.run(&words("results export --format json")).success();
    serde_json::from_str(&exported.stdout).unwrap()
}

fn said(home: &Home, file: &str) -> String {
    fs::read_to_string(home.path(file)).unwrap_or_default()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_string()
}

#[test]
fn an_orphans_record_is_not_chosen_before_its_twins_shows() {
    let submitted = Submitted::new(1, 0.0, "--exclusive");
    submitted.deliver(0, 0);
    let twin = submitted.deliver(0, 1);
    fs::rename(&twin, submitted.home.path("late")).unwrap();
    submitted.queue(&[("COMPLETED", "None", 1)]);
    let mut collecting = submitted.spawn("scale slurm --collect shared --settle 60 --wait");
    wait_for("patience", || said(&submitted.home, "stderr").contains("waiting for what 1 elements that are over"));
    // Who loses patience chooses nothing.
    signal(collecting.id(), 2);
    assert_eq!(collecting.wait().unwrap().code(), Some(130), "{}", said(&submitted.home, "stderr"));
    assert!(said(&submitted.home, "stdout").contains("not settled: 0-0"));
    // Half of the twin's record is not it.
    let text = fs::read(submitted.home.path("late")).unwrap();
    fs::write(&twin, &text[..text.len() / 2]).unwrap();
    let mut collecting = submitted.spawn("scale slurm --collect shared --settle 60");
    std::thread::sleep(Duration::from_secs(2));
    assert!(collecting.try_wait().unwrap().is_none(), "{}", said(&submitted.home, "stdout"));
    assert_eq!(files(&submitted.path("chosen")), Vec::<PathBuf>::new());
    fs::rename(submitted.home.path("late"), &twin).unwrap();
    assert_eq!(collecting.wait().unwrap().code(), Some(0), "{}", said(&submitted.home, "stderr"));
    assert_eq!(submitted.restarts(), [1]);
    assert!(said(&submitted.home, "stdout").contains("duplicate: 0-0.5_0.0."));
}

#[test]
fn an_orphans_record_counts_when_its_twins_never_comes() {
    let submitted = Submitted::new(1, 0.0, "--exclusive");
    submitted.deliver(0, 0);
    fs::remove_file(submitted.deliver(0, 1)).unwrap();
    // Slurm has forgotten the job: the twin's mark tells of it.
    submitted.queue(&[]);
    let mut collecting = submitted.spawn("scale slurm --collect shared --settle 3");
    std::thread::sleep(Duration::from_secs(1));
    assert!(collecting.try_wait().unwrap().is_none(), "{}", said(&submitted.home, "stdout"));
    assert_eq!(collecting.wait().unwrap().code(), Some(0));
    assert_eq!(submitted.restarts(), [0]);
    // What comes later changes nothing, here or elsewhere.
    submitted.deliver(0, 1);
    let again = submitted.collect("").success();
    assert!(again.stdout.contains("1 of 1 elements collected, 0 of them new"), "{}", again.stdout);
    assert_eq!(submitted.restarts(), [0]);
}

#[test]
fn a_choice_is_checked_before_it_counts_and_the_store_remembers_its_own() {
    let submitted = Submitted::new(2, 0.0, "--exclusive");
    let delivered = [0, 1].map(|index| submitted.deliver(index, 0));
    submitted.queue(&[("COMPLETED", "None", 0), ("COMPLETED", "None", 0)]);
    submitted.collect("").success();
    let chosen = submitted.path("chosen/0-0.json");
    let other = fs::read(submitted.path("chosen/0-1.json")).unwrap();
    // Another element's record, what is in the store and of no sweep, and nonsense.
    let stray = read_json(&delivered[1])["record"].clone();
    submitted.home.run(&words("run --phases p1 --sector-size 2KiB --json stray.json")).success();
    let own = json!({"file": "x", "run": read_json(&submitted.home.path("stray.json"))["id"]}).to_string();
    for choice in [other, own.into_bytes(), b"{}".to_vec()] {
        fs::write(&chosen, choice).unwrap();
        let ended = submitted.collect("").fails(1, &["1 of 2 elements have no valid record"]);
        assert!(ended.stdout.contains("0-0.json to choose anew"), "{}", ended.stdout);
        assert!(ended.stdout.contains("1 of 2 elements collected, 0 of them new"), "{}", ended.stdout);
    }
    // Chosen anew, a record that the store has goes before one of a later start, and before none.
    fs::remove_file(&chosen).unwrap();
    submitted.deliver(0, 1);
    fs::remove_file(&delivered[0]).unwrap();
    let ended = submitted.collect("").success();
    assert!(ended.stdout.contains("2 of 2 elements collected, 0 of them new"), "{}", ended.stdout);
    let of_sweep = submitted.store().into_iter().filter(|record| record["sweep"] != Value::Null).count();
    assert_eq!((of_sweep, stray["cluster"]["element"].as_str()), (2, Some("0-1")));
}

#[test]
fn another_stores_choice_does_not_double_an_element_here() {
    let submitted = Submitted::new(1, 0.0, "--exclusive");
    submitted.deliver(0, 0);
    submitted.queue(&[]);
    submitted.collect("").success();
    let twin = submitted.deliver(0, 1);
    let choice = json!({"file": name(&twin), "run": read_json(&twin)["record"]["id"]});
    fs::write(submitted.path("chosen/0-0.json"), choice.to_string()).unwrap();
    let ended = submitted.collect("").fails(1, &["1 of 1 elements have no valid record"]);
    assert!(ended.stdout.contains("was chosen, and the store here has run"), "{}", ended.stdout);
    assert_eq!(submitted.restarts(), [0]);
}

#[test]
fn a_record_that_is_not_what_its_point_asked_for_does_not_count() {
    let submitted = Submitted::new(1, 0.0, "--exclusive");
    let delivered = submitted.deliver(0, 0);
    let record = read_json(&delivered)["record"].clone();
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 14] = [
        ("other sector", |r| r["spec"]["resolved"]["shape"]["layers"] = 11.into()),
        ("other engines", |r| r["spec"]["resolved"]["engines"] = json!(["native"])),
        ("other phases", |r| r["spec"]["resolved"]["phases"] = json!(["p2"])),
        ("other repeats", |r| r["spec"]["resolved"]["repeats"] = 3.into()),
        ("other instances", |r| r["spec"]["resolved"]["instances"] = json!([])),
        ("other cores and threads", |r| r["spec"]["resolved"]["instances"][0]["cores"] = json!([0, 1])),
        ("other cores and threads", |r| r["spec"]["resolved"]["instances"][0]["threads"] = 7.into()),
        ("another seed", |r| r["seed"] = json!(format!("{}ff", &r["seed"].as_str().unwrap()[2..]))),
        ("it has 2 samples", |r| r["aggregates"] = json!([r["aggregates"][0], r["aggregates"][0]])),
        ("it has 1 samples", |r| r["aggregates"][0]["repeat"] = 1.into()),
        ("not of all instances", |r| r["aggregates"][0]["completed"] = 0.into()),
        ("whose rate is none", |r| r["aggregates"][0]["gib_per_h"] = 0.0.into()),
        ("it has 0 phases", |r| r["phases"] = json!([])),
        ("a phase that was not measured", |r| r["phases"][0]["origin"] = "estimated".into()),
    ];
    for (number, (_, change)) in changes.iter().enumerate() {
        submitted.forge(&delivered, &format!("0-0.{JOB}_0.0.{number:08x}.json"), change);
    }
    submitted.forge(&delivered, "0-0.5_0.0.ffffffff.json", |r| r["cluster"]["constraint"] = "other".into());
    fs::rename(&delivered, submitted.home.path("good")).unwrap();
    submitted.queue(&[("COMPLETED", "None", 0)]);
    let ended = submitted.collect("").fails(1, &["1 of 1 elements have no valid record"]);
    for (number, (part, _)) in changes.iter().enumerate() {
        let line = format!("{number:08x}.json: ");
        let why = ended.stdout.split(&line).nth(1).unwrap();
        assert!(why.split(';').next().unwrap().contains(part), "{part}: {why}");
    }
    assert!(ended.stdout.contains("ffffffff.json: its record is of another element"), "{}", ended.stdout);
    fs::rename(submitted.home.path("good"), &delivered).unwrap();
    submitted.collect("").success();
    assert_eq!(submitted.store()[0], record);
}

#[test]
fn what_is_wrong_with_one_element_is_no_other_elements_affair() {
    let submitted = Submitted::new(3, 0.0, "--exclusive");
    let delivered = [0, 1].map(|index| submitted.deliver(index, 0));
    submitted.queue(&[("COMPLETED", "None", 0), ("COMPLETED", "None", 0), ("FAILED", "None", 0)]);
    let others = read_json(&delivered[1])["record"]["id"].clone();
    // Element 0 claims the id of another one's run, which the store has already.
    fs::rename(&delivered[0], submitted.home.path("away")).unwrap();
    submitted.collect("--settle 0").fails(1, &["2 of 3 elements"]);
    submitted.forge(&submitted.home.path("away"), "0-0.5_0.0.00000000.json", |r| r["id"] = others);
    submitted.deliver(2, 0);
    let ended = submitted.collect("--settle 0").fails(1, &["1 of 3 elements have no valid record"]);
    assert!(ended.stdout.contains("2 of 3 elements collected, 1 of them new"), "{}", ended.stdout);
    assert!(ended.stdout.contains("the store here has another record of run"), "{}", ended.stdout);
    assert!(!submitted.path("chosen/0-0.json").exists(), "what was refused is not chosen");
}

#[test]
fn without_an_answer_what_is_there_is_collected_and_the_rest_is_unknown() {
    let submitted = Submitted::new(3, 0.0, "--exclusive");
    submitted.deliver(0, 0);
    fs::remove_file(submitted.deliver(1, 0)).unwrap();
    submitted.stand_in("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1");
    let ended = submitted.collect("").fails(1, &["2 of 3 elements are not over yet, and 0 have no valid record"]);
    assert!(ended.stderr.contains("slurmctld does not answer: see scontrol ping; what is there is collected"));
    assert!(
        ended.stdout.contains("not over: 2 of an unknown state: ask again where Slurm answers"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("1 of 3 elements collected, 1 of them new"), "{}", ended.stdout);
}

#[test]
fn a_record_that_came_by_another_way_counts() {
    let submitted = Submitted::new(1, 0.0, "--exclusive");
    let delivered = submitted.deliver(0, 0);
    let record = read_json(&delivered)["record"].clone();
    fs::remove_file(delivered).unwrap();
    submitted.queue(&[("COMPLETED", "None", 0)]);
    submitted.collect("--settle 0").fails(1, &["1 of 1 elements have no valid record"]);
    // The node's own store has it.
    let home = files(&submitted.home.path("tmp")).into_iter().find(|path| name(path).starts_with("sealbench-home-"));
    let bundle = submitted.home.path("bundle.tar.zst");
    let pack = ["results", "bundle", record["id"].as_str().unwrap(), "--out", bundle.to_str().unwrap()];
    let packed = submitted.home.command(&pack).env("SEALBENCH_HOME", home.unwrap()).output().unwrap();
    Ended::from(packed).success();
    submitted.home.run(&["results", "import", bundle.to_str().unwrap()]).success();
    let ended = submitted.collect("--settle 0").success();
    assert!(ended.stdout.contains("1 of 1 elements collected, 0 of them new"), "{}", ended.stdout);
    assert_eq!(submitted.store(), [record]);
}

#[test]
fn two_elements_with_one_runs_id_are_not_both_chosen() {
    let submitted = Submitted::new(2, 0.0, "--exclusive");
    let delivered = [0, 1].map(|index| submitted.deliver(index, 0));
    submitted.queue(&[]);
    let first = read_json(&delivered[0])["record"]["id"].clone();
    submitted.forge(&delivered[1], &name(&delivered[1]), |r| r["id"] = first);
    let ended = submitted.collect("").fails(1, &["1 of 2 elements have no valid record"]);
    assert!(ended.stdout.contains("its record has the id of element 0-0's run"), "{}", ended.stdout);
    assert!(!submitted.path("chosen/0-1.json").exists());
}

#[test]
fn what_the_engine_measures_is_what_its_point_asked_for() {
    let grids = [
        "threads = [1, 2]\npages = ['thp', '4KiB']\nparents = 'compute'\nkernels = ['auto', 'sha256=portable']",
        "sectors = [1, 2]\nparents = 'cache'\nshare_cores = true",
        "phases = ['p2']\nkernels = ['poseidon=portable']\nio = 'cached'",
    ];
    let grid = |text: &str| format!("[[grid]]\nsector_size = '2KiB'\nlayouts = ['1x1']\nrepeats = 2\n{text}\n");
    let home = Home::new();
    fs::write(home.path("sweep.toml"), grids.map(grid).concat()).unwrap();
    let line = "scale slurm sweep.toml --scratch tmp --program /p --exclusive --emit shared";
    home.run(&words(line)).success();
    let submission = read_json(&home.path("shared/submission.json"));
    let submitted = Submitted { id: submission["id"].as_str().unwrap().to_string(), home };
    fs::create_dir(submitted.home.path("bin")).unwrap();
    let arrays = submission["arrays"].as_array().unwrap();
    assert_eq!(arrays.len(), 1);
    let elements = arrays[0]["elements"].as_array().unwrap().len();
    (0..elements as u32).for_each(|index| drop(submitted.deliver(index, 0)));
    submitted.queue(&[]);
    let ended = submitted.collect("").success();
    assert!(ended.stdout.contains(&format!("{elements} of {elements} elements collected")), "{}", ended.stdout);
}

#[test]
fn choices_that_cannot_be_written_lose_no_record() {
    let submitted = Submitted::new(2, 0.0, "--exclusive");
    (0..2).for_each(|index| drop(submitted.deliver(index, 0)));
    submitted.queue(&[]);
    fs::remove_dir(submitted.path("chosen")).unwrap();
    let ended = submitted.collect("").success();
    assert!(ended.stdout.contains("2 of 2 elements collected, 2 of them new"), "{}", ended.stdout);
    assert!(ended.stdout.contains("these choices are in this store only: cannot write"), "{}", ended.stdout);
    // A later start's record does not take the place of what the store has.
    submitted.deliver(0, 1);
    let ended = submitted.collect("").success();
    assert!(ended.stdout.contains("2 of 2 elements collected, 0 of them new"), "{}", ended.stdout);
    assert_eq!(submitted.restarts(), [0, 0]);
}

#[test]
fn a_delivery_waits_for_a_shared_directory_that_comes_back() {
    let submitted = Submitted::new(1, 1.0, "--exclusive");
    let running = spawn(&submitted.home, submitted.payload(0, 0));
    wait_for("the mark", || files(&submitted.path("started")).iter().any(|path| name(path).ends_with(".json")));
    fs::rename(submitted.path("records"), submitted.path("away")).unwrap();
    wait_for("a failure", || said(&submitted.home, "stderr").contains("; trying again in 1 s"));
    fs::rename(submitted.path("away"), submitted.path("records")).unwrap();
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(0), "{}", said(&submitted.home, "stderr"));
    assert_eq!(files(&submitted.path("records")).len(), 1);
    submitted.queue(&[]);
    submitted.collect("").success();
}

#[test]
fn pipes_and_links_are_neither_waited_for_nor_followed() {
    let submitted = Submitted::new(1, 0.0, "--exclusive");
    let delivered = submitted.deliver(0, 0);
    submitted.queue(&[]);
    let pipe = |path: PathBuf| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    pipe(submitted.path("records/0-0.5_0.0.00000001.json"));
    std::os::unix::fs::symlink(&delivered, submitted.path("records/0-0.5_0.0.00000002.json")).unwrap();
    let ended = submitted.collect("").success();
    for part in
        ["00000001.json: it cannot be read: it is no plain file", "00000002.json: it cannot be read: it is a link"]
    {
        assert!(ended.stdout.contains(part), "{part} in {}", ended.stdout);
    }
    fs::remove_file(submitted.path("submission.json")).unwrap();
    pipe(submitted.path("submission.json"));
    submitted.collect("").fails(2, &["submission.json cannot be read: it is no plain file"]);
}

#[test]
fn a_job_that_is_not_bound_to_its_cores_is_no_measurement() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return;
    }
    let submitted = Submitted::new(1, 0.0, "");
    let ended = Ended::from(submitted.payload(0, 0).output().unwrap());
    ended.fails(3, &["the cluster does not bind jobs to their cores: this one asked for 1", "n0", "--exclusive"]);
    submitted.queue(&[("FAILED", "NonZeroExitCode", 0)]);
    let ended = submitted.collect("").fails(1, &["1 of 1 elements have no valid record"]);
    assert!(ended.stdout.contains("the cluster does not bind jobs"), "{}", ended.stdout);
}

#[test]
fn elements_that_slurm_has_forgotten_are_not_taken_for_those_that_still_wait() {
    let submitted = Submitted::new(3, 0.0, "--exclusive");
    submitted.deliver(0, 0);
    for tasks in ["1-2", "1,..."] {
        let mut rest = submitted.job((0, &("PENDING", "Resources", 0)));
        (rest["array_task_id"], rest["array_task_string"]) = (Value::Null, tasks.into());
        submitted.answer(&json!({"jobs": [rest]}));
        let ended = submitted.collect("--settle 0");
        assert!(ended.stdout.contains("1 of 3 elements collected"), "{tasks}: {}", ended.stdout);
    }
    assert_eq!(submitted.restarts(), [0]);
}

#[test]
fn one_that_is_held_takes_nobody_along() {
    let submitted = Submitted::new(2, 0.0, "--exclusive");
    submitted.queue(&[("PENDING", "JobHeldAdmin", 0), ("PENDING", "Priority", 0)]);
    submitted.stand_in("scancel", &format!("echo \"$@\" >> '{}'", submitted.home.path("cancelled").display()));
    let waiting = submitted.spawn("scale slurm --collect shared --wait --poll 0.1 --give-up-after 0 --settle 0");
    wait_for("progress", || said(&submitted.home, "stderr").contains("1 JobHeldAdmin; 1 Priority"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!submitted.home.path("cancelled").exists());
    // When the others are done, the one that is held is given up.
    submitted.deliver(1, 0);
    submitted.queue(&[("PENDING", "JobHeldAdmin", 0), ("COMPLETED", "None", 0)]);
    wait_for("giving up", || submitted.home.path("cancelled").exists());
    submitted.queue(&[("CANCELLED", "None", 0), ("COMPLETED", "None", 0)]);
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(1), "{}", said(&submitted.home, "stderr"));
}

#[test]
fn nothing_is_submitted_that_could_not_be_watched() {
    let home = submitting("");
    stand_in(&home, "squeue", "echo 'JOBID PARTITION'");
    let ended = Ended::from(with_stand_ins(&home, SUBMIT).output().unwrap());
    ended.fails(1, &["squeue --json printed no JSON", "21.08"]);
    assert!(!home.path("sbatched").exists());
}

#[test]
fn progress_says_why_elements_wait_and_a_busy_cluster_is_not_given_up() {
    let submitted = Submitted::new(2, 0.0, "--exclusive");
    let busy = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions";
    submitted.queue(&[("PENDING", busy, 0), ("PENDING", "Resources", 0)]);
    submitted.stand_in("scancel", &format!("echo \"$@\" >> '{}'", submitted.home.path("cancelled").display()));
    let waiting = submitted.spawn("scale slurm --collect shared --wait --poll 0.1 --give-up-after 0 --settle 0");
    let line = format!("[0/2] 0 running, 2 waiting (1 {busy}; 1 Resources)");
    wait_for("progress", || said(&submitted.home, "stderr").contains(&line));
    std::thread::sleep(Duration::from_millis(500));
    (0..2).for_each(|index| drop(submitted.deliver(index, 0)));
    submitted.queue(&[("COMPLETED", "None", 0), ("COMPLETED", "None", 0)]);
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(0), "{}", said(&submitted.home, "stderr"));
    assert!(!submitted.home.path("cancelled").exists());
}

/// A home with a sweep of two constraints, an sbatch that notes its words and settings and takes a while, and a scancel that notes its words.
fn submitting(scancel: &str) -> Home {
    let home = Home::new();
    sweep(&home, 1, 0.0);
    fs::create_dir(home.path("bin")).unwrap();
    let at = |name: &str| home.path(name).display().to_string();
    stand_in(&home, "sbatch", &format!("env > '{}'; echo \"$@\" >> '{}'; sleep 1; echo 7", at("env"), at("sbatched")));
    stand_in(&home, "scancel", &format!("echo \"$@\" >> '{}'; {scancel}", at("cancelled")));
    stand_in(&home, "squeue", "echo '{\"jobs\": []}'");
    home
}

const SUBMIT: &str = "scale slurm sweep.toml --mock mock.json --program /p --into shared --constraint a,b,c";

#[test]
fn a_signal_between_two_arrays_cancels_what_was_submitted() {
    let home = submitting("case $* in *-0) echo 'scancel: error: no' >&2; exit 1;; esac");
    let running = spawn(&home, with_stand_ins(&home, SUBMIT));
    wait_for("the second array", || said(&home, "sbatched").lines().count() == 2);
    // To all of the terminal's processes, more than once, as people do.
    for _ in 0..2 {
        signal(running.id(), 2);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(130), "{}", said(&home, "stderr"));
    let id = read_json(&home.path("shared/submission.json"))["id"].as_str().unwrap().to_string();
    let named = |array: u32| format!("--name=sealbench-{id}-{array}");
    let cancelled = said(&home, "cancelled");
    assert!(cancelled.contains(&named(0)) && cancelled.contains(&named(1)), "{cancelled}");
    assert_eq!(said(&home, "sbatched").lines().count(), 2, "the third one is not submitted");
    let error = said(&home, "stderr");
    assert!(error.contains(&format!("when Slurm answers, scancel {}", named(0))), "{error}");
    assert!(!error.contains(&format!("scancel {}", named(1))), "{error}");
}

#[test]
fn interrupting_cancels_every_array_though_one_cannot_be() {
    let home = submitting("case $* in *-1) exit 1;; esac");
    let at = home.path("queue");
    let answer = |jobs: &[Value]| {
        fs::write(home.path("queue.new"), json!({"jobs": jobs}).to_string()).unwrap();
        fs::rename(home.path("queue.new"), &at).unwrap();
    };
    answer(&[]);
    stand_in(&home, "squeue", &format!("cat '{}'", at.display()));
    let running = spawn(&home, with_stand_ins(&home, &format!("{SUBMIT} --poll 0.1")));
    wait_for("the submission", || home.path("shared/submission.json").exists());
    let id = read_json(&home.path("shared/submission.json"))["id"].as_str().unwrap().to_string();
    let job = json!({"name": format!("sealbench-{id}-1"), "job_id": 7, "array_task_id": 0, "job_state": "RUNNING"});
    answer(&[job]);
    wait_for("progress", || said(&home, "stderr").contains("1 running"));
    signal(running.id(), 2);
    wait_for("the arrays", || said(&home, "cancelled").lines().count() >= 4);
    answer(&[]);
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(130), "{}", said(&home, "stderr"));
    let cancelled = said(&home, "cancelled");
    let first: Vec<&str> = cancelled.lines().take(4).filter_map(|line| line.rsplit('-').next()).collect();
    assert_eq!(first, ["0", "1", "2", "1"], "all of them, and that one again");
}

#[test]
fn sbatch_gets_the_users_options_and_none_of_the_settings_around_it() {
    let home = submitting("true");
    let settings = [("SBATCH_WAIT", "1"), ("SLURM_RESTART_COUNT", "4"), ("SLURM_JOB_ID", "3"), ("SLURM_CONF", "/c")];
    let submit = |words: &str| {
        let mut command = with_stand_ins(&home, &format!("{SUBMIT} --detach {words}"));
        Ended::from(command.envs(settings).stdin(Stdio::null()).output().unwrap())
    };
    for words in ["-- lab", "-- --account lab", "-- -A", "-- --array=0-9", "-- --wra=id"] {
        submit(words).fails(2, &["after --"]);
    }
    assert!(!home.path("sbatched").exists() && !home.path("shared").exists());
    submit("-- --account=lab --mem=1G").success();
    let given = said(&home, "sbatched");
    assert!(given.lines().all(|line| line.contains(" --account=lab --mem=1G -- /")), "{given}");
    let env = said(&home, "env");
    assert!(env.contains("SLURM_CONF=/c"), "{env}");
    assert!(!["SBATCH_WAIT", "SLURM_RESTART_COUNT", "SLURM_JOB_ID"].iter().any(|name| env.contains(name)), "{env}");
}
