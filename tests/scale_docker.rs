//! Instances as containers of the engine of this machine: the same sectors, nothing left behind, and every accident a sentence.

mod common;

#[path = "support/absent.rs"]
mod absent;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::MutexGuard;
use std::time::Duration;

use common::docker::{binary, containers, docker, turn, words};
use common::mount::Mount;
use common::{Home, codes, phases, read_json, signal, wait_for};
use serde_json::{Value, json};

/// A turn with the engine, or the notice that there is none.
fn engine() -> Option<MutexGuard<'static, ()>> {
    let turn = turn();
    if turn.is_none() {
        absent::absent("docker", "no container engine answers");
    }
    turn
}

fn script(home: &Home, script: &Value) {
    fs::write(home.path("mock.json"), script.to_string()).unwrap();
}

const MOCK: &str = "--engine mock --mock mock.json --sector-size 2KiB --phases p1 --core-sets 0;1 --without-alone";

#[test]
fn containers_make_the_same_sector_as_processes_and_leave_nothing() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    let line = "--engine native --sector-size 8MiB --phases p1,p2 --instances 2 --cores-per-instance 1 --json c.json --memory 2GiB";
    home.scale(line).success();
    let record = read_json(&home.path("c.json"));
    let processes = home.record(&common::words("run --engine native --sector-size 8MiB --phases p1,p2"));
    for phase in ["p1", "p2"] {
        let outputs: Vec<Value> = phases(&record, phase).into_iter().map(|phase| phase["output"].clone()).collect();
        assert_eq!(outputs, vec![phases(&processes, phase)[0]["output"].clone(); 3], "two side by side and one alone");
    }
    let seen = &record["containers"];
    assert!(seen["engine"].as_str().unwrap().contains(char::is_numeric), "{seen}");
    assert!(seen["image_digest"].as_str().unwrap().starts_with("sha256:"), "{seen}");
    assert_eq!(seen["target_cpu"], "native");
    let instances = seen["instances"].as_array().unwrap();
    let names: Vec<&str> = instances.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["instance-0", "instance-1", "alone-0"]);
    for (one, cpus) in instances.iter().zip([[0], [1], [0]]) {
        assert_eq!((&one["cpus"], &one["memory_max_bytes"]), (&json!(cpus), &json!(2_u64 << 30)));
        assert_eq!(one["id"].as_str().unwrap().len(), 64);
    }
    let flags = record["build"]["rustflags"].to_string();
    assert!(
        flags.contains("crt-static") && !processes["build"]["rustflags"].to_string().contains("crt-static"),
        "{flags}"
    );
    assert!(!codes(&record).contains(&"cpuset-not-honoured"));
    assert_eq!(record["aggregates"].as_array().unwrap().len(), 2);
    assert_eq!(containers(), Vec::<String>::new());
    assert_eq!(
        fs::read_dir(home.path("home/runs"))
            .unwrap()
            .flatten()
            .filter(|run| run.path().join("instance-0").exists())
            .count(),
        0
    );

    let differs = home.run(&["results", "compare", "c.json", "record.json"]).success().stdout;
    assert!(differs.contains("rustflags"), "builds that differ are named: {differs}");
}

#[test]
fn what_the_container_is_allowed_is_the_least() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"takes_s": 60.0}}}));
    let binary = binary();
    let mut run = home.spawn(&words(&binary, MOCK));
    wait_for("two containers", || containers().len() == 2);
    let inspected = docker(&["inspect", &containers()[0]]);
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let host = &inspected[0]["HostConfig"];
    assert_eq!(
        (&host["Privileged"], &host["ReadonlyRootfs"], &host["NetworkMode"]),
        (&json!(false), &json!(true), &json!("none"))
    );
    assert_eq!((&host["CapDrop"], &host["SecurityOpt"]), (&json!(["ALL"]), &json!(["no-new-privileges"])));
    let mounts = host["Mounts"].as_array().unwrap();
    assert!(
        mounts
            .iter()
            .all(|mount| mount["ReadOnly"] == true || mount["Source"].as_str().unwrap().contains("/instance-"))
    );

    // Which container is this?
    wait_for("progress", || home.run(&common::words("scale status")).stdout.contains("p1 mock #0"));
    let lines: Value = serde_json::from_str(&home.run(&common::words("scale status --json")).success().stdout).unwrap();
    let of = |line: &Value, key: &str| line[key].as_str().unwrap().to_string();
    let cores: Vec<String> = lines.as_array().unwrap().iter().map(|line| of(line, "cores")).collect();
    assert_eq!(cores.len(), 2);
    assert!(lines.as_array().unwrap().iter().all(|line| line["pids"].as_array().unwrap().len() == 2), "{lines}");

    // Another run on the same cores is refused, and the first goes on.
    home.run(&words(&binary, MOCK)).fails(3, &["are used by"]);
    assert_eq!(containers().len(), 2);
    // The first lets the span end, the second does not. Two at once would be one.
    signal(run.id(), 2);
    std::thread::sleep(Duration::from_millis(300));
    signal(run.id(), 2);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert_eq!(containers(), Vec::<String>::new());
}

/// A run whose launcher was killed; its containers stand still.
fn killed(home: &Home) -> PathBuf {
    let binary = binary();
    let mut run = home.spawn(&words(&binary, MOCK));
    wait_for("progress", || home.run(&common::words("scale status")).stdout.contains("p1 mock #0"));
    signal(run.id(), 9);
    run.wait().unwrap();
    let running = || docker(&["ps", "--quiet", "--filter", "label=sealbench.run"]).stdout;
    wait_for("the containers to end with their launcher", || running().is_empty());
    assert_eq!(containers().len(), 2, "they stand still, with their labels");
    let dirs: Vec<PathBuf> = fs::read_dir(home.path("home/runs")).unwrap().map(|run| run.unwrap().path()).collect();
    assert_eq!(dirs.len(), 1);
    dirs[0].clone()
}

#[test]
fn a_launcher_that_is_killed_leaves_nothing_running_and_the_next_one_cleans_up() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"takes_s": 30.0}}}));
    let (binary, dir) = (binary(), killed(&home));
    let other = Home::new();
    script(&other, &json!({}));
    let named = [words(&binary, "--resume"), vec!["--run-dir", dir.to_str().unwrap(), "--dry-run"]].concat();
    home.run(&named).success();
    assert_eq!(containers().len(), 2, "a dry run touches nothing");
    let next = other.run(&words(&binary, MOCK)).success();
    assert!(next.stderr.contains("removed 2 containers"), "{}", next.stderr);
    assert_eq!(containers(), Vec::<String>::new());
    assert!(fs::read_dir(home.path("home/runs")).unwrap().flatten().all(|run| !run.path().join("instance-0").exists()));
}

#[test]
fn whoever_goes_on_with_a_killed_run_keeps_its_sectors_and_its_containers_go() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"takes_s": 3.0}}}));
    let (binary, dir) = (binary(), killed(&home));
    let there = dir.to_str().unwrap();
    home.run(&["run", "--resume", "--run-dir", there])
        .fails(2, &["a run of containers", "sealbench scale docker --resume"]);
    // By another way to the same place.
    std::os::unix::fs::symlink(dir.parent().unwrap(), home.path("link")).unwrap();
    let link = home.path("link").join(dir.file_name().unwrap());
    let line = ["--resume", "--json", "r.json", "--run-dir", link.to_str().unwrap()];
    let resumed = home.run(&[words(&binary, ""), line.to_vec()].concat()).success();
    assert!(resumed.stderr.contains("removed 2 containers"), "{}", resumed.stderr);
    let record = read_json(&home.path("r.json"));
    assert_eq!((&record["state"], &record["spec"]["resolved"]["containers"]), (&json!("complete"), &json!(true)));
    assert_eq!(record["containers"]["instances"].as_array().unwrap().len(), 2);
    assert!(dir.join("instance-0/manifest.json").exists());
    assert_eq!(containers(), Vec::<String>::new());

    home.run(&common::words(
        "run --engine mock --mock mock.json --sector-size 2KiB --phases p1 --cores 0 --run-dir plain",
    ))
    .success();
    home.run(&[words(&binary, "--resume"), vec!["--run-dir", "plain"]].concat()).fails(2, &["a run of processes"]);
}

#[test]
fn a_directory_that_the_user_was_told_of_outlives_its_containers() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"dies": 1}}}));
    let binary = binary();
    let failed = home.run(&words(&binary, MOCK)).fails(1, &["1 of 2 instances failed"]);
    assert!(failed.stderr.contains("continue with sealbench scale docker --resume"), "{}", failed.stderr);
    let dir = fs::read_dir(home.path("home/runs")).unwrap().next().unwrap().unwrap().path();
    let run = dir.file_name().unwrap().to_str().unwrap();
    // As an engine that was away when they should have been removed leaves them.
    let place = format!(
        "{} {}",
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim(),
        fs::read_link("/proc/self/ns/pid").unwrap().display()
    );
    let labels = [
        ("run", run.to_string()),
        ("instance", "instance-0".into()),
        ("launcher", "4000000:1".into()),
        ("launcher-place", place),
        ("opened", "1".into()),
        ("cores", "0".into()),
        ("dir", dir.join("instance-0").display().to_string()),
        ("transient", "true".into()),
    ];
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("--label=sealbench.{key}={value}")).collect();
    let images = docker(&["images", "--quiet", "sealbench"]).stdout;
    let image = String::from_utf8(images).unwrap().lines().next().unwrap().to_string();
    let create: Vec<&str> =
        ["create"].into_iter().chain(labels.iter().map(String::as_str)).chain([&*image, "hold"]).collect();
    assert!(docker(&create).status.success());
    script(&home, &json!({}));
    let next = home.run(&words(&binary, MOCK)).success();
    assert!(next.stderr.contains("removed 1 container"), "{}", next.stderr);
    assert!(dir.join("instance-0").exists(), "the run that failed can be continued");
}

#[test]
fn a_container_that_is_removed_from_outside_leaves_the_others_figures() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"samples": [5.0], "takes_s": 4.0}}}));
    let binary = binary();
    let line = format!("{MOCK} --json r.json");
    let mut run = home.spawn(&words(&binary, &line));
    wait_for("progress", || home.run(&common::words("scale status")).stdout.matches("p1 mock #0").count() == 2);
    let second = docker(&["ps", "--quiet", "--filter", "label=sealbench.instance=instance-1"]).stdout;
    assert!(docker(&["kill", String::from_utf8(second).unwrap().trim()]).status.success());
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let record = read_json(&home.path("r.json"));
    let completed = &record["aggregates"][0];
    assert_eq!((&completed["instances"], &completed["completed"]), (&json!(2), &json!(1)));
    let failed = record["validity"]["findings"].as_array().unwrap().iter().find(|one| one["code"] == "instance-failed");
    let text = failed.unwrap()["text"].as_str().unwrap();
    assert!(text.contains("instance 1") && text.contains("stopped from outside"), "{text}");
    assert_eq!(containers(), Vec::<String>::new());
}

#[test]
fn one_that_runs_out_of_memory_is_named_with_its_limit_and_peak() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    let line = "--engine native --sector-size 8MiB --phases p1 --sectors 8 --instances 1 --cores-per-instance 1 --without-alone --memory 48MiB";
    home.scale(line)
        .fails(1, &["container instance-0 ran out of memory", "its limit is 48.0 MiB", "peak was 48", "--memory"]);
    assert_eq!(containers(), Vec::<String>::new());
}

#[test]
fn a_full_disk_under_the_mount_is_a_sentence() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    let Some(disk) = Mount::tmpfs(&home.path("disk"), "size=24m") else {
        return absent::absent("mount", "no right to mount a file system");
    };
    script(&home, &json!({"phases": {"p1": {"takes_s": 3.0}}}));
    let binary = binary();
    let line = format!("{MOCK} --run-dir {}/run", disk.0.display());
    let mut run = home.spawn(&words(&binary, &line));
    wait_for("progress", || home.run(&common::words("scale status")).stdout.matches("p1 mock #0").count() == 2);
    disk.fill();
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let said = fs::read_to_string(home.path("stderr")).unwrap();
    assert!(said.contains("Error:") && said.contains("No space left on device"), "{said}");
    assert_eq!(containers(), Vec::<String>::new());
}

#[test]
fn an_engine_that_is_not_there_or_not_allowed_is_named_with_its_socket() {
    let home = Home::with("DOCKER_HOST", "unix:///nowhere/engine.sock".as_ref());
    let run = |home: &Home| home.run(&common::words("scale docker --image none --phases p1"));
    run(&home).fails(3, &["/nowhere/engine.sock", "start it"]);
    run(&Home::with("DOCKER_HOST", "tcp://host".as_ref())).fails(2, &["DOCKER_HOST", "tcp://host"]);
    run(&Home::with("DOCKER_HOST", "ssh://-oProxyCommand=x".as_ref())).fails(2, &["names no machine"]);

    let Some(_turn) = engine() else { return };
    run(&Home::new()).fails(3, &["has no image none", "--image"]);
    if sealbench::host::sys::user().0 != 0 {
        return absent::absent("root", "another user's view needs root");
    }
    // As a user who is in no group that may use the socket, from a place that user can read.
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = open.path().join("sealbench");
    fs::copy(env!("CARGO_BIN_EXE_sealbench"), &program).unwrap();
    let mut command = std::process::Command::new(&program);
    command.args(common::words("scale docker --image none --phases p1")).uid(65534).gid(65534).current_dir(open.path());
    command.env("SEALBENCH_HOME", open.path().join("home")).env_remove("DOCKER_HOST");
    let ended = common::Ended::from(command.output().unwrap());
    ended.fails(3, &["/var/run/docker.sock", "group docker", "usermod"]);
}

#[test]
fn containers_are_compared_with_processes_of_the_same_binary() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"samples": [10.0, 10.1, 9.9]}}}));
    let said = home.scale(&format!("{MOCK} --against-processes 3 --json cost.json")).success().stdout;
    assert!(said.contains("processes") && said.contains("containers"), "{said}");
    assert!(said.contains("not distinguishable"), "{said}");
    assert!(read_json(&home.path("cost.json")).is_object());
    let rows = home.run(&common::words("results list --limit 20")).success().stdout;
    assert!(rows.matches("complete").count() >= 9, "three arms of three rounds: {rows}");
}

#[test]
fn files_that_are_no_static_program_make_no_image() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    let own = env!("CARGO_BIN_EXE_sealbench");
    home.run(&["scale", "docker", "--binary", own, "--phases", "p1"])
        .fails(2, &["needs shared libraries", "docs/scale.md"]);
    home.run(&["scale", "docker", "--binary", "/dev/null", "--phases", "p1"]).fails(2, &["/dev/null"]);
}

#[test]
fn a_compose_file_of_the_same_instances_is_valid_and_runs() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    let run = home.path("run $(touch pwned) 'x'");
    let binary = binary();
    let options = "--engine native --sector-size 2KiB --phases p1,p2 --core-sets 0;1 --without-alone --memory 1GiB --seed abcd --emit c.yml";
    let line = [words(&binary, options), vec!["--run-dir", run.to_str().unwrap()]].concat();
    home.run(&line).success();
    let text = fs::read_to_string(home.path("c.yml")).unwrap();
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    let schema: Value = serde_json::from_str(include_str!("data/compose/compose-spec.json")).unwrap();
    let errors: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    let services = document["services"].as_object().unwrap();
    let sets: Vec<&Value> = services.values().map(|service| &service["cpuset"]).collect();
    assert_eq!(sets, ["0", "1"]);
    assert!(text.contains("abcd"), "the same sector: {text}");

    let up = std::process::Command::new("docker-compose")
        .args(["--project-name", "sealbench-test", "--file"])
        .arg(home.path("c.yml"))
        .args(["up", "--no-color"])
        .current_dir(home.path("."))
        .output();
    let Ok(up) = up else { return absent::absent("docker-compose", "it is not installed") };
    let said = String::from_utf8_lossy(&up.stdout).into_owned() + &String::from_utf8_lossy(&up.stderr);
    let _ = std::process::Command::new("docker-compose")
        .args(["--project-name", "sealbench-test", "--file"])
        .arg(home.path("c.yml"))
        .arg("down")
        .output();
    for instance in ["instance-0", "instance-1"] {
        let record = fs::read(run.join(instance).join("record.json")).unwrap_or_else(|e| panic!("{e}: {said}"));
        let record: Value = serde_json::from_slice(&record).unwrap();
        assert_eq!((&record["state"], phases(&record, "p2").len()), (&json!("complete"), 1));
    }
    assert!(!home.path("pwned").exists());
}

#[test]
fn a_compose_file_written_by_hand_is_taken_over_with_what_is_wrong_with_it() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    script(&home, &json!({}));
    let storage = home.path("storage");
    fs::create_dir(&storage).unwrap();
    let service = |name: &str, cpus: &str| {
        format!(
            "    {name}:\n        image: test\n        cpuset: '{cpus}'\n        network_mode: \"host\"\n        privileged: true\n        volumes:\n            - /etc/localtime:/etc/localtime\n            - {0}/:{0}/\n        command: tail -f /dev/null\n",
            storage.display()
        )
    };
    let good = format!("version: \"2\"\nservices:\n{}{}", service("bench1", "0"), service("bench2", "1"));
    fs::write(home.path("p1.yml"), &good).unwrap();
    let line =
        "--engine mock --mock mock.json --sector-size 2KiB --phases p1 --without-alone --from p1.yml --json r.json";
    home.scale(line).success();
    let record = read_json(&home.path("r.json"));
    let seen: Vec<&Value> =
        record["containers"]["instances"].as_array().unwrap().iter().map(|one| &one["cpus"]).collect();
    assert_eq!(seen, [&json!([0]), &json!([1])]);
    assert!(codes(&record).iter().any(|code| code.contains("privileged")), "{:?}", codes(&record));
    let runs: Vec<_> = fs::read_dir(storage.join("sealbench/runs")).unwrap().map(|run| run.unwrap().path()).collect();
    assert!(runs[0].join("run.log").exists(), "the sectors were on the mount");
    assert!(!runs[0].join("instance-0").exists(), "and went with the run");

    // A space that is none, and quotes of a word processor.
    let bad = good.replacen("cpuset: '0'", "cpuset:\u{a0}'0'", 1).replacen("'1'", "\u{2018}1\u{2019}", 1);
    fs::write(home.path("p1.yml"), bad).unwrap();
    home.scale(line).fails(2, &["line 5", "U+00A0", "line 14", "U+2018"]);
}

#[test]
fn every_point_of_a_sweep_runs_as_containers() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    script(&home, &json!({"phases": {"p1": {"samples": [10.0]}}}));
    let sweep = "twins = false\n[[grid]]\nsector_size = '2KiB'\nphases = ['p1']\nengines = ['mock']\nlayouts = ['1x1', '2x1']\nrepeats = 1\nmax_repeats = 1\n";
    fs::write(home.path("s.toml"), sweep).unwrap();
    let said = home.scale("s.toml --mock mock.json").success();
    assert!(said.stdout.contains("p1 mock 2x1"), "{}", said.stdout);
    let records = home.run(&common::words("results export --format json")).success().stdout;
    let records: Vec<Value> = serde_json::from_str(&records).unwrap();
    assert_eq!(records.len(), 2);
    let counts: Vec<usize> =
        records.iter().map(|record| record["containers"]["instances"].as_array().unwrap().len()).collect();
    assert!(counts.contains(&1) && counts.contains(&2), "{counts:?}");
    home.run(&common::words("sweep --resume")).fails(2, &["containers", "scale docker --resume-sweep"]);
}

#[test]
fn eight_containers_that_share_cores_start_together() {
    let Some(_turn) = engine() else { return };
    let home = Home::new();
    home.scale("--engine native --sector-size 2KiB --phases p1 --core-sets 0;1;0;1;0;1;0;1 --share-cores --without-alone --json r.json")
        .success();
    let record = read_json(&home.path("r.json"));
    let starts =
        phases(&record, "p1").into_iter().map(|phase| phase["started_at"].as_str().unwrap().parse::<jiff::Timestamp>());
    let starts: Vec<jiff::Timestamp> = starts.collect::<Result<_, _>>().unwrap();
    assert_eq!(starts.len(), 8);
    let apart = starts.iter().max().unwrap().duration_since(*starts.iter().min().unwrap()).as_secs_f64();
    assert!(apart < 1.0, "{apart} s apart");
    assert!(codes(&record).contains(&"cores-shared"));
}
