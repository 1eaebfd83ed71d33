//! The command line: what is refused, with which exit code, in which sentence.

mod common;

use std::fs;

use common::Home;

#[test]
fn usage_errors_name_the_value_and_what_to_use() {
    let home = Home::new();
    for (words, expected) in [
        (vec!["--sector-size", "7MiB"], vec!["7MiB", "8MiB", "32GiB"]),
        (vec!["--sector-size", "2KiB", "--layers", "3"], vec!["--layers 3", "p1"]),
        (vec!["--phases", "p1,c1"], vec!["contiguous"]),
        (vec!["--phases", "p5"], vec!["p5"]),
        (vec!["--phases", "p2"], vec!["p2", "--run-dir"]),
        (vec!["--seed", "xyz"], vec!["xyz"]),
        (vec!["--cores", "0-"], vec!["0-"]),
        (vec!["--resume"], vec!["--run-dir"]),
        (vec!["--sector-size", "32GiB", "--partitions", "9"], vec!["10"]),
    ] {
        home.run(&[vec!["run"], words].concat()).fails(2, &expected);
    }
}

#[cfg(feature = "reference")]
#[test]
fn what_does_not_fit_the_machine_or_the_shape_is_refused() {
    let home = Home::new();
    for (words, expected) in [
        (vec!["--cores", "4095"], vec!["4095", "allowed"]),
        (vec!["--engine", "native"], vec!["native", "reference"]),
        (vec!["--engine", "both"], vec!["native"]),
        (vec!["--threads", "0"], vec!["--threads 0"]),
        (vec!["--repeats", "0"], vec!["--repeats 0"]),
        (
            vec!["--sector-size", "2KiB", "--partitions", "2", "--p4-partitions-at-once", "3"],
            vec!["at-once 3", "1 to 2"],
        ),
    ] {
        home.run(&[vec!["run"], words].concat()).fails(2, &expected);
    }
    let settings = |name: &str, value: &str| {
        let output =
            home.command(&["run", "--sector-size", "2KiB", "--phases", "p1"]).env(name, value).output().unwrap();
        common::Ended::from(output)
    };
    settings("FIL_PROOFS_ROWS_TO_DISCARD", "two").fails(2, &["FIL_PROOFS_ROWS_TO_DISCARD", "two"]);
    settings("FIL_PROOFS_NO_SUCH_THING", "1").fails(2, &["FIL_PROOFS_NO_SUCH_THING"]);
    home.run(&["run", "--sector-size", "64GiB"]).fails(3, &["GiB", "available"]);
}

/// Everything that a refused run would have made.
#[cfg(feature = "reference")]
#[test]
fn a_refused_run_leaves_nothing_behind() {
    let home = Home::new();
    home.run(&["run", "--sector-size", "64GiB", "--run-dir", "seal"]).fails(3, &["memory"]);
    assert!(!home.path("seal").exists());
    home.run(&["run", "--dry-run", "--sector-size", "2KiB", "--run-dir", "seal"]).success();
    assert!(!home.path("seal").exists());
}

#[test]
fn a_directory_that_is_no_run_directory_is_refused_and_left_alone() {
    let home = Home::new();
    fs::create_dir(home.path("foreign")).unwrap();
    fs::write(home.path("foreign/letter.txt"), "dear").unwrap();
    if cfg!(feature = "reference") {
        home.run(&["run", "--sector-size", "2KiB", "--run-dir", "foreign"]).fails(2, &["foreign", "not empty"]);
        fs::create_dir(home.path("empty")).unwrap();
        home.run(&["run", "--phases", "p2", "--run-dir", "empty"]).fails(2, &["p2"]);
        home.run(&["run", "--resume", "--run-dir", "empty"]).fails(2, &["--resume"]);
    }
    fs::write(home.path("foreign/manifest.json"), "{\"schema\": 3}").unwrap();
    home.run(&["run", "--run-dir", "foreign"]).fails(2, &["manifest.json"]);
    assert_eq!(fs::read_dir(home.path("foreign")).unwrap().count(), 2);
}

/// A rename replaces what is there: a link or a device would be gone.
#[cfg(feature = "reference")]
#[test]
fn the_record_replaces_no_link_and_no_device() {
    let home = Home::new();
    fs::write(home.path("target"), "dear").unwrap();
    std::os::unix::fs::symlink(home.path("target"), home.path("link.json")).unwrap();
    for path in ["link.json", "/dev/null"] {
        home.run(&["run", "--sector-size", "2KiB", "--phases", "p1", "--json", path]).fails(2, &[path]);
    }
    assert_eq!(fs::read_to_string(home.path("target")).unwrap(), "dear");
    home.run(&["run", "--sector-size", "2KiB", "--phases", "p1", "--run-dir", "seal", "--json", "out.json"]).success();
}

#[cfg(feature = "reference")]
#[test]
fn a_directory_is_not_resumed_with_other_settings_nor_through_links() {
    let home = Home::new();
    home.run(&["run", "--sector-size", "2KiB", "--layers", "3", "--phases", "p1", "--run-dir", "seal"]).success();
    for (option, value) in [("--repeats", "5"), ("--pages", "thp"), ("--kernel", "sha256=portable"), ("--sectors", "2")]
    {
        home.run(&["run", "--resume", "--run-dir", "seal", option, value]).fails(2, &[option]);
    }
    home.run(&["run", "--phases", "p2", "--run-dir", "seal"]).fails(2, &["--layers 3"]);
    fs::write(home.path("seal/native-0/p_aux"), "left by a killed run").unwrap();
    home.run(&["run", "--dry-run", "--phases", "p1", "--run-dir", "seal"]).success();
    assert!(home.path("seal/native-0/p_aux").exists(), "a dry run changes nothing");
    fs::rename(home.path("seal/native-0"), home.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(home.path("elsewhere"), home.path("seal/native-0")).unwrap();
    home.run(&["run", "--resume", "--run-dir", "seal"]).fails(2, &["native-0", "link"]);
}

/// What an unfinished p1 left is kept for --resume only in the directory itself.
#[cfg(feature = "reference")]
#[test]
fn a_link_in_place_of_scratch_is_removed_and_what_it_names_stays() {
    let home = Home::new();
    home.run(&["run", "--sector-size", "2KiB", "--phases", "p1,p2", "--run-dir", "seal"]).success();
    let elsewhere = home.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for name in ["whole-layers.json", "keepsake"] {
        fs::write(elsewhere.join(name), "{}").unwrap();
    }
    let link = home.path("seal/native-0/work-p1");
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    home.run(&["run", "--resume", "--run-dir", "seal"]).success();
    assert!(link.symlink_metadata().is_err() && elsewhere.join("keepsake").exists());
}

/// A manifest may come from anywhere.
#[cfg(feature = "reference")]
#[test]
fn a_manifest_with_impossible_figures_or_foreign_paths_is_refused() {
    let home = Home::new();
    home.record(&["run", "--sector-size", "2KiB", "--phases", "p1", "--run-dir", "seal"]);
    let path = home.path("seal/manifest.json");
    let right = common::read_json(&path);
    let cases: [(&str, serde_json::Value); 10] = [
        ("/shape/partitions", 0.into()),
        ("/shape/layers", 4_000_000_000u32.into()),
        ("/sets/native-0/dir", "../elsewhere".into()),
        ("/sets/native-0/phases/p1/files/0/name", "/etc/passwd".into()),
        ("/sets/native-0/sector", 5000.into()),
        ("/spec/repeats", 0.into()),
        ("/spec/sectors", 0.into()),
        ("/spec/sector", 1.into()),
        ("/spec/sectors", 4097.into()),
        ("/spec/p4_partitions_at_once", 0.into()),
    ];
    for (at, value) in cases {
        let mut wrong = right.clone();
        *wrong.pointer_mut(at).unwrap() = value;
        fs::write(&path, wrong.to_string()).unwrap();
        home.run(&["run", "--resume", "--run-dir", "seal"]).fails(2, &["manifest"]);
    }
    fs::write(&path, right.to_string()).unwrap();
    home.run(&["run", "--resume", "--run-dir", "seal"]).success();
}

#[cfg(not(feature = "reference"))]
#[test]
fn without_the_reference_engine_run_says_what_is_missing() {
    Home::new().run(&["run", "--sector-size", "2KiB"]).fails(2, &["reference"]);
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = Home::new().run(&["run", "--help"]).success().stdout;
    assert!(help.contains("Examples:") && help.contains("Exit codes:") && help.contains("--p4-partitions-at-once"));
    assert!(!help.contains("[`") && help.contains("Whichever of the two costs the labels less"), "{help}");
    let all = Home::new().run(&["--help"]).success().stdout;
    assert!(all.contains("The results store") && !all.contains("Arguments of"), "{all}");
}
