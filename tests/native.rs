//! Sealing with the native engine, through the program, compared with the reference on the same input.

#![cfg(feature = "reference")]

#[path = "support/absent.rs"]
mod absent;
mod common;

use std::fs;
use std::path::Path;

use common::mount::Mount;
use common::worker::{report, trial};
use common::{Home, codes, corrupt, phase, phases, signal, wait_for, worker_pid};
use sealbench::phase::native::kernels;
use sealbench::phase::{Engine, Phase};
use sealbench::sector::{Identity, Shape};
use sealbench::trial::job::{Report, Task};
use serde_json::{Value, json};

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// Phases of both engines on one input must give the same commitments, digests and files.
fn same(home: &Home, run: &[&str]) -> Value {
    let record = home.record(&[&["run", "--engine", "both", "--run-dir", "both"], run].concat());
    for name in ["p1", "p2"].into_iter().filter(|name| !phases(&record, name).is_empty()) {
        let [native, reference] = phases(&record, name).try_into().unwrap();
        assert_eq!((&native["engine"], &reference["engine"]), (&json!("native"), &json!("reference")));
        assert_eq!(native["verified"], json!({"against": "reference", "ok": true}), "{run:?}: {record}");
        assert_eq!(native["output"], reference["output"], "{run:?}");
    }
    let mut compared = 0;
    for file in fs::read_dir(home.path("both/reference-0")).unwrap() {
        let name = file.unwrap().file_name();
        // These two hold the path of the directory they were made in.
        if name != "precommit-phase1-output" && name != "t_aux" {
            let of = |set: &str| fs::read(home.path("both").join(set).join(&name)).unwrap();
            assert!(of("native-0") == of("reference-0"), "{run:?}: {name:?} differs");
            compared += 1;
        }
    }
    assert!(compared >= 3, "{run:?}");
    record
}

/// p1 of both engines.
fn same_p1(home: &Home, run: &[&str]) -> Value {
    same(home, &[&["--phases", "p1"], run].concat())
}

#[test]
fn labels_and_trees_are_the_references_for_every_small_size_and_many_seeds() {
    for size in ["2KiB", "4KiB", "16KiB", "32KiB"] {
        for seed in ["01", "02", "ff00"] {
            same_p1(&Home::new(), &["--sector-size", size, "--seed", seed]);
        }
        same_p1(&Home::new(), &["--sector-size", size, "--layers", "11"]);
    }
}

#[test]
fn labels_of_a_sector_with_many_windows_are_the_references_by_every_kernel() {
    for kernel in kernels::all().iter().filter(|kernel| kernel.primitive == "sha256") {
        let forced = format!("sha256={}", kernel.name);
        if !kernel.runs {
            absent::absent(&format!("p1 with {forced}"), "the CPU lacks the instructions");
        } else if Streams::of(kernel.name) == 1 {
            let record = same_p1(&Home::new(), &["--sector-size", "8MiB", "--kernel", &forced]);
            assert_eq!(phase(&record, "p1")["kernel"]["sha256"], kernel.name);
        }
    }
}

/// Streams of a kernel, from its name.
struct Streams;

impl Streams {
    fn of(kernel: &str) -> u32 {
        kernel.rsplit_once("-x").map_or(1, |(_, streams)| streams.parse().unwrap())
    }
}

#[test]
fn a_batch_gives_what_single_runs_give_by_every_kernel() {
    for kernel in kernels::all().iter().filter(|kernel| kernel.primitive == "sha256" && kernel.runs) {
        let streams = Streams::of(kernel.name);
        let (forced, sectors) = (format!("sha256={}", kernel.name), streams.to_string());
        let home = Home::new();
        let batch = ["run", "--phases", "p1", "--engine", "native", "--sector-size", "16KiB", "--cores", &first_core()];
        let batch = [&batch[..], &["--kernel", &forced, "--sectors", &sectors, "--run-dir", "seal"]].concat();
        let record = home.record(&batch);
        assert_eq!(phase(&record, "p1")["sectors"], streams);
        assert_eq!(phase(&record, "p1")["verified"], json!({"against": "verifier", "ok": true}));
        // The reference's c1 opens labels of the first and the last sector, each with its own replica id.
        for sector in [0, streams - 1] {
            let sector = sector.to_string();
            let c1 = home.record(&["run", "--phases", "p2,c1", "--run-dir", "seal", "--sector", &sector]);
            assert_eq!(phase(&c1, "c1")["verified"]["ok"], true, "{forced}, sector {sector}");
        }
    }
}

fn first_core() -> String {
    sealbench::host::sys::allowed_cores().unwrap()[0].to_string()
}

#[test]
fn a_batch_is_divided_over_cores_and_kernels() {
    let home = Home::new();
    let record =
        home.record(&["run", "--phases", "p1", "--engine", "native", "--sector-size", "8MiB", "--sectors", "5"]);
    let p1 = phase(&record, "p1");
    assert_eq!(p1["work"]["count"], 5 * 2 * (8 << 20) / 32);
    assert_eq!(p1["output"]["digest"].as_str().unwrap().split(';').count(), 5);
    let digests: std::collections::BTreeSet<&str> = p1["output"]["digest"].as_str().unwrap().split(';').collect();
    assert_eq!(digests.len(), 5, "every sector has labels of its own");
    assert!(!p1["calibration"].as_array().unwrap().is_empty());
    assert!(p1["limit"]["ratio"].as_f64().unwrap() > 0.9, "{}", p1["limit"]);
}

#[test]
fn where_no_engine_is_named_each_phase_runs_on_the_best_there_is() {
    let home = Home::new();
    let record = home.record(&["run", "--sector-size", "2KiB", "--phases", "p1,p2,c1"]);
    assert!(codes(&record).contains(&"engine-chosen"));
    assert_eq!(phase(&record, "p1")["engine"], "native");
    assert_eq!(phase(&record, "c1")["engine"], "reference");
    for name in ["p1", "p2", "c1"] {
        assert_eq!(phase(&record, name)["verified"]["ok"], true, "{name}");
    }
}

#[test]
fn parents_from_the_cache_give_the_same_labels() {
    let home = Home::new();
    let run = |parents: &str| {
        home.record(&["run", "--sector-size", "8MiB", "--phases", "p1", "--engine", "native", "--parents", parents])
    };
    let (computed, cached) = (run("compute"), run("cache"));
    assert_eq!(phase(&computed, "p1")["output"], phase(&cached, "p1")["output"]);
    assert_ne!(phase(&computed, "p1")["variant"], phase(&cached, "p1")["variant"]);
}

#[test]
fn a_p1_killed_in_a_layer_goes_on_after_the_last_whole_one() {
    let home = Home::new();
    let words = ["run", "--sector-size", "16MiB", "--layers", "9", "--phases", "p1", "--engine", "native"];
    let whole = home.record(&words);
    for (name, stop) in [("killed", SIGKILL), ("interrupted", SIGINT)] {
        let mut child = home.spawn(&[&words[..], &["--run-dir", name]].concat());
        let layer = home.path(name).join("native-0/work-p1/sc-02-data-layer-4.dat");
        wait_for("the fourth layer", || layer.exists());
        signal(if stop == SIGKILL { worker_pid(&home.path(name)).unwrap() } else { child.id() }, stop);
        child.wait().unwrap();
        // A layer that was damaged since is found by its digest, and labelled again.
        if stop == SIGKILL {
            corrupt(&home.path(name).join("native-0/work-p1/sc-02-data-layer-3.dat"), 77);
        }
        let resumed = home.record(&["run", "--resume", "--run-dir", name]);
        let (resumed_p1, whole_p1) = (phase(&resumed, "p1"), phase(&whole, "p1"));
        assert_eq!(resumed_p1["output"], whole_p1["output"], "{name}");
        assert!(codes(&resumed).contains(&"resumed-layers"), "{name}: {:?}", codes(&resumed));
        assert!(resumed_p1["work"]["count"].as_u64() < whole_p1["work"]["count"].as_u64());
    }
}

#[test]
fn a_layer_cut_short_is_not_resumed_from() {
    let home = Home::new();
    let words = ["run", "--sector-size", "16MiB", "--layers", "9", "--phases", "p1", "--engine", "native"];
    let mut child = home.spawn(&[&words[..], &["--run-dir", "seal"]].concat());
    let work = home.path("seal/native-0/work-p1");
    wait_for("the third layer", || work.join("sc-02-data-layer-3.dat").exists());
    signal(child.id(), SIGKILL);
    child.wait().unwrap();
    fs::OpenOptions::new().write(true).open(work.join("sc-02-data-layer-1.dat")).unwrap().set_len(100).unwrap();
    let resumed = home.record(&["run", "--resume", "--run-dir", "seal"]);
    assert!(!codes(&resumed).contains(&"resumed-layers"));
    assert_eq!(phase(&resumed, "p1")["verified"]["ok"], true);
}

#[test]
fn trees_and_replica_are_the_references_for_every_small_size() {
    for size in ["2KiB", "4KiB", "16KiB", "32KiB", "8MiB"] {
        same(&Home::new(), &["--sector-size", size, "--phases", "p1,p2"]);
    }
    for size in ["2KiB", "4KiB", "32KiB"] {
        same(&Home::new(), &["--sector-size", size, "--phases", "p1,p2", "--layers", "11", "--seed", "ab"]);
    }
}

#[test]
fn trees_are_the_references_by_every_kernel_whatever_rows_are_discarded() {
    for kernel in kernels::all().iter().filter(|kernel| kernel.primitive == "poseidon") {
        let forced = format!("poseidon={}", kernel.name);
        if !kernel.runs {
            absent::absent(&format!("p2 with {forced}"), "the CPU lacks the instructions");
            continue;
        }
        for rows in ["0", "1", "2", "7"] {
            let home = Home::with("FIL_PROOFS_ROWS_TO_DISCARD", Path::new(rows));
            let record = same(&home, &["--sector-size", "16KiB", "--phases", "p1,p2", "--kernel", &forced]);
            assert_eq!(phase(&record, "p2")["kernel"]["poseidon"], kernel.name);
        }
        let record = same(&Home::new(), &["--sector-size", "8MiB", "--phases", "p1,p2", "--kernel", &forced]);
        let p2 = phase(&record, "p2");
        assert!(p2["max_rss_bytes"].as_u64() <= p2["estimated_rss_bytes"].as_u64(), "{p2}");
        let wall = p2["wall_s"].as_f64().unwrap();
        let spans: f64 = p2["spans"].as_array().unwrap().iter().map(|span| span["wall_s"].as_f64().unwrap()).sum();
        assert!(spans <= 1.02 * wall && spans > 0.9 * wall, "spans {spans} of {wall}: {p2}");
    }
}

#[test]
fn direct_reads_give_the_same_trees() {
    let home = Home::new();
    let run = |io| ["run", "--sector-size", "8MiB", "--phases", "p1,p2", "--engine", "native", "--io", io];
    let (cached, direct) = (home.record(&run("cached")), home.record(&run("direct")));
    assert_eq!(phase(&cached, "p2")["output"], phase(&direct, "p2")["output"]);
    assert!(phase(&direct, "p2")["variant"].as_str().unwrap().contains("direct"));
    home.run(&["run", "--sector-size", "2KiB", "--phases", "p1,p2", "--engine", "native", "--io", "direct"])
        .fails(2, &["--io direct", "8MiB"]);
}

#[test]
fn a_batch_is_sealed_to_the_replicas_of_single_runs() {
    let home = Home::new();
    let words = ["run", "--phases", "p1,p2", "--engine", "native", "--sector-size", "4KiB", "--sectors", "3"];
    let batch = home.record(&[&words[..], &["--run-dir", "batch"]].concat());
    let comm_r: Vec<&str> = phase(&batch, "p2")["output"]["comm_r"].as_str().unwrap().split(';').collect();
    assert_eq!(comm_r.len(), 3);
    for (sector, expected) in ["0", "1", "2"].into_iter().zip(comm_r) {
        // The reference seals the same sector from the batch's labels, and its verifier opens the native trees.
        let reference =
            home.record(&["run", "--phases", "p2", "--engine", "reference", "--run-dir", "batch", "--sector", sector]);
        assert_eq!(phase(&reference, "p2")["output"]["comm_r"], expected, "sector {sector}");
        let c1 = home.record(&["run", "--phases", "c1", "--run-dir", "batch", "--sector", sector]);
        assert_eq!(phase(&c1, "c1")["verified"]["ok"], true, "sector {sector}");
    }
}

#[test]
fn a_p2_that_is_killed_or_fills_the_disk_starts_again() {
    let home = Home::new();
    let words = ["run", "--sector-size", "16MiB", "--phases", "p1,p2", "--engine", "native"];
    let whole = home.record(&words);
    home.record(&["run", "--sector-size", "16MiB", "--phases", "p1", "--engine", "native", "--run-dir", "killed"]);
    let p2 = ["run", "--phases", "p2", "--engine", "native", "--run-dir", "killed"];
    let work = home.path("killed/native-0/work-p2");
    for file in ["sc-02-data-tree-c-0.dat", "sc-02-data-tree-r-last-1.dat", "sealed-file"] {
        let mut run = home.spawn(&p2);
        wait_for(file, || fs::metadata(work.join(file)).is_ok_and(|found| found.len() > 0));
        signal(run.id(), SIGKILL);
        run.wait().unwrap();
        assert!(!home.path("killed/native-0").join(file).exists(), "nothing half-made has a final name");
    }
    let resumed = home.record(&["run", "--resume", "--run-dir", "killed"]);
    assert_eq!(phase(&resumed, "p2")["output"], phase(&whole, "p2")["output"]);

    let Some(mount) = Mount::tmpfs(&home.path("small"), "size=130m") else {
        return absent::absent("mount-tmpfs", "mounting a tmpfs needs root");
    };
    let dir = mount.0.join("seal");
    let dir = dir.to_str().unwrap();
    home.record(&["run", "--sector-size", "16MiB", "--phases", "p1", "--engine", "native", "--run-dir", dir]);
    let mut run = home.spawn(&["run", "--phases", "p2", "--engine", "native", "--run-dir", dir]);
    wait_for("tree_c", || mount.0.join("seal/native-0/work-p2/sc-02-data-tree-c-0.dat").exists());
    let hog = mount.fill();
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let said = fs::read_to_string(home.path("stderr")).unwrap();
    assert!(said.contains("p2 of native #0 failed") && said.contains("No space left"), "{said}");
    fs::remove_file(hog).unwrap();
    let resumed = home.record(&["run", "--resume", "--run-dir", dir]);
    assert_eq!(phase(&resumed, "p2")["output"], phase(&whole, "p2")["output"]);
}

#[test]
fn a_disk_that_fills_up_while_layers_are_written_is_named_and_the_run_resumes() {
    let home = Home::new();
    let Some(mount) = Mount::tmpfs(&home.path("small"), "size=260m") else {
        return absent::absent("mount-tmpfs", "mounting a tmpfs needs root");
    };
    let dir = mount.0.join("seal");
    let words = ["run", "--sector-size", "16MiB", "--layers", "7", "--phases", "p1", "--engine", "native"];
    let mut run = home.spawn(&[&words[..], &["--run-dir", dir.to_str().unwrap()]].concat());
    wait_for("the second layer", || dir.join("native-0/work-p1/sc-02-data-layer-2.dat").exists());
    let hog = mount.fill();
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let said = fs::read_to_string(home.path("stderr")).unwrap();
    assert!(said.contains("p1 of native #0 failed") && said.contains("No space left"), "{said}");
    fs::remove_file(hog).unwrap();
    let resumed = home.record(&["run", "--resume", "--run-dir", dir.to_str().unwrap()]);
    assert!(codes(&resumed).contains(&"resumed-layers"));
    assert_eq!(phase(&resumed, "p1")["output"], phase(&home.record(&words), "p1")["output"]);
}

/// What the program itself checks before a phase is left out here: the phase alone must name a damaged file, and a flipped bit must not
/// pass for the right commitment.
#[test]
fn p2_names_layers_that_are_missing_short_or_no_field_elements() {
    let home = Home::new();
    home.record(&["run", "--sector-size", "2KiB", "--phases", "p1", "--engine", "native", "--run-dir", "seal"]);
    let shape = Shape::network("2KiB".parse().unwrap());
    let p2 = |spoil: &dyn Fn(&Path)| {
        let dir = home.path("work");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        for from in ["seal/native-0", "seal/data"] {
            for file in fs::read_dir(home.path(from)).unwrap().map(Result::unwrap).filter(|file| file.path().is_file())
            {
                fs::copy(file.path(), dir.join(file.file_name())).unwrap();
            }
        }
        spoil(&dir);
        let mut trial = trial(Phase::P2, &dir, shape, Identity::from_seed(&"5ea1".parse().unwrap()));
        let Task::Phase { engine, .. } = &mut trial.task else { panic!("a phase") };
        *engine = Engine::Native;
        report(&home, &trial, &dir).0
    };
    let layer = |dir: &Path| dir.join("sc-02-data-layer-2.dat");
    let message = |report| match report {
        Report::Failed { message, code: 1 } => message,
        other => panic!("{other:?}"),
    };
    let missing = message(p2(&|dir| fs::remove_file(layer(dir)).unwrap()));
    assert!(missing.contains("sc-02-data-layer-2.dat"), "{missing}");
    let short = message(p2(&|dir| fs::OpenOptions::new().write(true).open(layer(dir)).unwrap().set_len(2047).unwrap()));
    assert!(short.contains("sc-02-data-layer-2.dat") && short.contains("2047 bytes"), "{short}");
    let foreign = message(p2(&|dir| {
        let mut bytes = fs::read(layer(dir)).unwrap();
        bytes[5 * 32..6 * 32].fill(0xff);
        fs::write(layer(dir), bytes).unwrap();
    }));
    assert!(foreign.contains("node 5 of layer 2"), "{foreign}");
    let comm_r = |report| match report {
        Report::Done(measured) => measured.outcome.output.comm_r.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_ne!(comm_r(p2(&|dir| corrupt(&layer(dir), 77))), comm_r(p2(&|_| ())));
}

#[test]
fn what_the_native_engine_lacks_is_a_usage_error() {
    let home = Home::new();
    home.run(&["run", "--engine", "native", "--phases", "c1", "--sector-size", "2KiB"]).fails(2, &["c1"]);
    home.run(&["run", "--engine", "native", "--sector-size", "2KiB"]).fails(2, &["native", "--phases"]);
    home.run(&["run", "--phases", "p1", "--kernel", "sha256=md5"]).fails(2, &["md5", "portable"]);
    home.run(&["run", "--phases", "p1", "--kernel", "aes=portable"]).fails(2, &["aes", "sha256"]);
    home.run(&["run", "--phases", "p1", "--kernel", "portable"]).fails(2, &["sha256=sha-ni-x1"]);
    home.run(&["run", "--phases", "p1", "--sector", "1"]).fails(2, &["--sector", "--run-dir"]);
    home.run(&["run", "--phases", "p1,p2,c1", "--sectors", "2"]).fails(2, &["one sector at a time"]);
    for kernel in kernels::all().iter().filter(|kernel| !kernel.runs) {
        let forced = format!("{}={}", kernel.primitive, kernel.name);
        home.run(&["run", "--phases", "p1", "--kernel", &forced]).fails(2, &["this CPU lacks", "portable"]);
    }
}

/// Reserved huge pages are asked for and not there: refused where they were demanded, else a finding where base pages were left.
#[test]
fn pages_that_the_host_lacks_are_refused_only_if_demanded() {
    let home = Home::new();
    let run = |pages| ["run", "--sector-size", "8MiB", "--phases", "p1", "--engine", "native", "--pages", pages];
    if fs::read_to_string("/proc/sys/vm/nr_hugepages").unwrap().trim() == "0" {
        home.run(&run("2MiB")).fails(3, &["2MiB", "nr_hugepages"]);
    } else {
        absent::absent("a host without reserved huge pages", "this one has some");
    }
    let base = home.record(&run("4KiB"));
    assert_eq!(phase(&base, "p1")["pages"], "4KiB");
    let auto = home.record(&run("auto"));
    assert_eq!(phase(&auto, "p1")["output"], phase(&base, "p1")["output"]);
}

#[test]
fn a_forced_kernel_must_find_its_streams_on_every_core() {
    let Some(kernel) = kernels::all().into_iter().find(|kernel| kernel.runs && Streams::of(kernel.name) > 1) else {
        return absent::absent("a kernel of several streams", "the CPU has none");
    };
    let forced = format!("sha256={}", kernel.name);
    let home = Home::new();
    let words = ["run", "--sector-size", "2KiB", "--phases", "p1", "--engine", "native", "--kernel", &forced];
    home.run(&words).fails(2, &[kernel.name, "--sectors"]);
}
