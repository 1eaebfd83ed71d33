//! A worker started by hand, as a container would start it: one trial on stdin, one report on stdout.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use sealbench::phase::{Engine, Phase, settings};
use sealbench::sector::{Identity, Seed, Shape, data};
use sealbench::trial::job::{Report, Task, Trial};
use sealbench::trial::spec::Native;

use super::Home;

/// A trial of one phase in `dir`, on the first allowed core.
pub fn trial(phase: Phase, dir: &Path, shape: Shape, identity: Identity) -> Trial {
    Trial {
        task: Task::Phase {
            phase,
            engine: Engine::Reference,
            dir: dir.to_path_buf(),
            proving: None,
            sectors: 1,
            native: Native::default(),
            parents: None,
            act: None,
        },
        shape,
        identity,
        cores: vec![sealbench::host::sys::allowed_cores().unwrap()[0]],
        threads: 1,
        settings: settings::resolve(&BTreeMap::new(), 1).unwrap(),
        tethered: false,
        gated: false,
    }
}

/// Runs a trial and returns its report with the exit code.
pub fn report(home: &Home, trial: &Trial, dir: &Path) -> (Report, i32) {
    let mut child = home
        .command(&["worker"])
        .envs(&trial.settings)
        .env("FIL_PROOFS_PARENT_CACHE", home.path("parents"))
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", serde_json::to_string(trial).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    (report, output.status.code().unwrap())
}

/// What `benchy porep --preserve-cache` leaves after its p1: its files, its names, its fixed identity.
pub fn benchy_directory(home: &Home, dir: &Path) {
    let shape = Shape::network("2KiB".parse().unwrap());
    fs::create_dir_all(dir).unwrap();
    fs::create_dir_all(home.path("parents")).unwrap();
    let comm_d = data::write(&dir.join("staged-file"), shape.sector_size, &Seed([3; 32])).unwrap();
    let pieces = serde_json::json!([{ "commitment": comm_d, "size": 2032 }]);
    fs::write(dir.join("piece-infos-file"), pieces.to_string()).unwrap();
    let (report, code) = report(home, &trial(Phase::P1, dir, shape, Identity::benchy()), dir);
    assert!(matches!(report, Report::Done(_)) && code == 0, "{report:?}");
}
