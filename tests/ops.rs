//! What `sealbench plan --ops` writes: Compose files that validate, scripts that do nothing unasked, and foreign words that stay words.

#[path = "support/absent.rs"]
mod absent;
mod common;
#[path = "support/docker_compose.rs"]
mod docker_compose;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser;
use common::{Home, read_json};
use sealbench::cli::{Cli, run};
use sealbench::error::exit_code;
use sealbench::plan::ops::Target;
use sealbench::plan::planner::{Plan, plan};
use sealbench::plan::scenario::Scenario;
use serde_json::Value;

const NOTES: &str = include_str!("../params/scenarios/field-notes-2020.toml");
const SCHEMA: &str = include_str!("data/compose/compose-spec.json");

/// A model whose name and mount try to be more than words.
const EVIL_NAME: &str = "../../$(touch pwned) `x` \"q\" 'q'\n- ${HOME} #: \u{202e}";
const EVIL_MOUNT: &str = "/mnt/it's a $(touch pwned) \"${HOME}\" `x`: #";

fn planned(text: &str) -> Plan {
    plan(&Scenario::parse(text).unwrap(), Vec::new()).unwrap()
}

fn evil() -> Plan {
    let mut scenario = Scenario::parse(NOTES).unwrap();
    scenario.title = EVIL_NAME.into();
    let known = scenario.skus[0].name.clone();
    scenario.skus[0].name = EVIL_NAME.into();
    for rate in &mut scenario.rates {
        rate.skus.iter_mut().filter(|sku| **sku == known).for_each(|sku| *sku = EVIL_NAME.into());
    }
    for (number, volume) in scenario.skus[0].volumes.iter_mut().enumerate() {
        volume.mount = (number != 3).then(|| EVIL_MOUNT.into());
    }
    plan(&scenario, Vec::new()).unwrap()
}

/// A directory with the files of a plan.
fn written(plan: &Plan) -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("ops");
    Target::new(&dir, false).unwrap().prepare(plan).unwrap().publish().unwrap();
    (home, dir)
}

fn compose(dir: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(dir.join("compose.yaml")).unwrap()).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn source<'a>(service: &'a Value, target: &str) -> &'a str {
    let volumes = service["volumes"].as_array().unwrap();
    volumes.iter().find(|volume| volume["target"] == target).expect("it is mounted")["source"].as_str().unwrap()
}

fn sh(script: &Path, words: &[&str]) -> Output {
    Command::new("sh").arg(script).args(words).current_dir(script.parent().unwrap()).output().unwrap()
}

/// A machine whose memory three p1 and a p2 use up, but for their programs.
const FULL: &str = "
    target = '1 sectors/h'
    minimise = 'machines'
    phases = ['p1', 'p2']
    [[sku]]
    name = 'full'
    cores = 32
    memory = '258 GiB'
    reserved_memory = '0 B'
    [[rate]]
    phase = 'p1'
    cores = 1
    time = '3 h'
    [[rate]]
    phase = 'p2'
    cores = 8
    time = '30 min'
";

#[test]
fn a_container_has_memory_for_its_program_where_the_machine_has_no_more() {
    let limits = |text: &str| {
        let (_home, dir) = written(&planned(text));
        let inside = names(&dir).into_iter().find(|name| name.starts_with("1-")).unwrap();
        let compose = compose(&dir.join(inside));
        let services = compose["services"].as_object().unwrap();
        services.values().map(|service| service["mem_limit"].as_u64().unwrap() >> 20).collect::<Vec<u64>>()
    };
    assert_eq!(limits(FULL), [512, 512, 512, (64 << 10) + 409]);
    // Without room for the programs there is an instance less.
    assert_eq!(limits(&FULL.replace("258 GiB", "257 GiB")).len(), 3);
}

#[test]
fn no_numa_node_reserves_more_huge_pages_than_it_has_memory() {
    let pages = |cores: u32, memory: &str| {
        let text = FULL.replace("cores = 32", &format!("cores = {cores}\nnuma_nodes = 2")).replace("258 GiB", memory);
        let text = text.replace("'0 B'", "'8 GiB'").replace("cores = 1\n", "cores = 4\n");
        let (_home, dir) = written(&planned(&text.replace("cores = 8", "cores = 16").replace("30 min", "40 min")));
        fs::read_to_string(dir.join("1-full/README.md")).unwrap()
    };
    let sheet = pages(64, "768 GiB");
    assert!(sheet.contains("256 on node 0, 256 on node 1"), "{sheet}");
    // The node beside that of p2 has the cores of three p1 and the memory of two.
    let sheet = pages(32, "300 GiB");
    assert!(sheet.contains("46 on node 0, 146 on node 1"), "{sheet}");
}

#[test]
fn the_notes_machines_have_four_groups_and_three_provers() {
    let (_home, dir) = written(&planned(NOTES));
    assert_eq!(names(&dir), [".sealbench-ops", "1-128-cores", "2-64-cores", "README.md"]);
    let large = compose(&dir.join("1-128-cores"));
    let services = large["services"].as_object().unwrap();
    let expected: Vec<String> = (0..4).flat_map(|n| [format!("p1-{n}"), format!("p2-c1-{n}")]).collect();
    assert_eq!(services.keys().cloned().collect::<Vec<_>>(), expected, "side by side, group by group");
    let mut cores = Vec::new();
    for group in 0..4 {
        let (p1, p2) = (&services[&format!("p1-{group}")], &services[&format!("p2-c1-{group}")]);
        assert_eq!(source(p1, "/sectors"), format!("${{VOLUME_{group}:?}}"));
        assert_eq!(source(p1, "/sectors"), source(p2, "/sectors"), "one volume for both");
        assert_eq!(source(p2, "/tmp"), format!("${{VOLUME_{group}:?}}/tmp/p2-c1-{group}"));
        assert_eq!(source(p1, "/dev/hugepages"), "/dev/hugepages-1GiB");
        assert!(p1["command"].as_array().unwrap().contains(&Value::from("1GiB")));
        assert_eq!(p1["cap_add"], serde_json::json!(["IPC_LOCK"]));
        assert_eq!(p2.get("cap_add"), None);
        cores.extend([p1, p2].map(|service| service["cpuset"].as_str().unwrap().to_string()));
    }
    assert_eq!(cores, ["46-53", "0-22", "54-61", "23-45", "110-117", "64-86", "118-125", "87-109"]);
    let small = compose(&dir.join("2-64-cores"));
    let services = small["services"].as_object().unwrap();
    assert_eq!(services.keys().collect::<Vec<_>>(), ["p4-0", "p4-1", "p4-2"]);
    for p4 in services.values() {
        let parameters = p4["volumes"].as_array().unwrap().iter().find(|volume| volume["target"] == "/parameters");
        assert_eq!(parameters.unwrap()["read_only"], true);
        let limit = p4["mem_limit"].as_f64().unwrap() / f64::from(1u32 << 30);
        assert!((195.0..=203.0).contains(&limit), "{limit}");
    }
    let sheet = fs::read_to_string(dir.join("1-128-cores/README.md")).unwrap();
    assert!(sheet.contains("# 128 cores: 41 machines") && sheet.contains("128 on node 0, 128 on node 1"), "{sheet}");
    let map = fs::read_to_string(dir.join("1-128-cores/core-map.txt")).unwrap();
    assert!(map.contains("NUMA node 1\n  cores   64-79   FFFFFFFFFFFFFFFF\n"), "{map}");
}

#[test]
fn every_container_is_confined_and_every_command_is_one_that_sealbench_takes() {
    for plan in [planned(NOTES), planned(&batches()), evil()] {
        let (_home, dir) = written(&plan);
        for model in names(&dir).into_iter().filter(|name| dir.join(name).is_dir()) {
            for (name, service) in compose(&dir.join(model))["services"].as_object().unwrap() {
                assert_eq!(service.get("privileged"), None);
                for (key, value) in
                    [("network_mode", "none"), ("cap_drop", "ALL"), ("security_opt", "no-new-privileges:true")]
                {
                    let found = &service[key];
                    assert!(*found == value || found[0] == value, "{name} {key}: {found}");
                }
                assert_eq!((&service["read_only"], &service["environment"]["TMPDIR"]), (&true.into(), &"/tmp".into()));
                let words = service["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
                // Compose puts the numbers of sectors in.
                let words = words.map(|word| if word.ends_with("_SECTOR:?}") { "0" } else { word });
                let words: Vec<&str> = std::iter::once("sealbench").chain(words).collect();
                Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
            }
        }
    }
}

#[test]
fn compose_files_follow_the_public_schema() {
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for plan in [planned(NOTES), planned(BATCH), planned(&batches()), evil()] {
        let (_home, dir) = written(&plan);
        for model in names(&dir).into_iter().filter(|name| dir.join(name).is_dir()) {
            let document = compose(&dir.join(model));
            let errors: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?}");
        }
    }
}

#[test]
fn docker_compose_takes_the_files_and_reads_the_same_words() {
    for plan in [planned(NOTES), evil()] {
        let (_home, dir) = written(&plan);
        for model in names(&dir).into_iter().filter(|name| dir.join(name).is_dir()) {
            let Some(output) = docker_compose::config(&dir.join(&model)) else { return };
            assert!(output.status.success(), "{model}: {}", String::from_utf8_lossy(&output.stderr));
            let shown: Value = serde_saphyr::from_str(&String::from_utf8(output.stdout).unwrap()).unwrap();
            if plan.scenario.title != EVIL_NAME || !model.starts_with('1') {
                continue;
            }
            // What Compose prints can be read by Compose again, so it doubles the dollars too.
            let single = |text: &str| text.replace("$$", "$");
            assert_eq!(single(source(&shown["services"]["p1-0"], "/sectors")), format!("{EVIL_MOUNT}0"));
            assert_eq!(single(shown["services"]["p1-0"]["labels"]["sealbench.model"].as_str().unwrap()), EVIL_NAME);
        }
    }
}

/// The commands of a machine's containers by name.
fn commands(dir: &Path) -> Vec<(String, Vec<String>)> {
    let document = compose(dir);
    let words = |service: &Value| {
        service["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_string()).collect()
    };
    document["services"].as_object().unwrap().iter().map(|(name, service)| (name.clone(), words(service))).collect()
}

/// The notes with two sectors in each p1.
fn batches() -> String {
    NOTES.replacen("cores = 8\n", "cores = 8\nbatch = 2\n", 1).replace("\"256 GiB\"", "\"512 GiB\"")
}

/// Two sectors that p1 labels together, with p2 and p1 side by side.
const BATCH: &str = "
    sector_size = '2 KiB'
    phases = ['p1', 'p2']
    target = '1 sectors per hour'
    minimise = 'machines'
    [[sku]]
    name = 'box'
    cores = 2
    memory = '16 GiB'
    [[sku.volume]]
    mount = '/mnt/a'
    size = '1 TiB'
    [[rate]]
    phase = 'p1'
    cores = 1
    batch = 2
    time = '1 min'
    [[rate]]
    phase = 'p2'
    cores = 1
    batch = 4
    time = '1 min'
";

#[test]
fn all_sectors_of_a_batch_go_through_p2() {
    let (_dir, dir) = written(&planned(BATCH));
    let home = Home::new();
    let of = commands(&dir.join("1-box"));
    assert_eq!(of.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["p1-0", "p2-0"]);
    for (name, words) in of {
        let mut words: Vec<String> =
            words.iter().map(|word| word.replace("/sectors/${P2_0:?}", "/sectors/${P1_0:?}")).collect();
        if let Some(pages) = words.iter().position(|word| word == "--pages") {
            words.drain(pages..pages + 2);
        }
        let words: Vec<String> = words.iter().map(|word| word.replace("/sectors/${P1_0:?}", "batch")).collect();
        let file = format!("{name}.json");
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--json", &file]).collect();
        home.run(&words).success();
        let phase = &read_json(&home.path(&file))["phases"][0];
        assert_eq!(phase["sectors"], 2, "{name}");
    }
    let record = read_json(&home.path("p2-0.json"));
    assert_eq!(record["phases"][0]["output"]["comm_r"].as_str().unwrap().len(), 2 * 64 + 1, "{record}");
}

#[test]
fn all_sectors_of_a_batch_go_through_c1_and_p4() {
    let (_home, dir) = written(&planned(&batches()));
    let large = dir.join("1-128-cores");
    let services = compose(&large)["services"].clone();
    let of: Vec<(String, String)> =
        commands(&large).into_iter().take(4).map(|(name, words)| (name, words.join(" "))).collect();
    let run = "run --sector-size 32GiB --phases";
    let expected = [
        ("p1-0", format!("{run} p1 --pages 1GiB --sectors 2 --run-dir /sectors/${{P1_0:?}}")),
        ("p2-c1-0", format!("{run} c1 --run-dir /sectors/${{P2_C1_0:?}} --sector 1")),
        ("p2-c1-0-batch", format!("{run} p2 --sectors 2 --run-dir /sectors/${{P2_C1_0:?}}")),
        ("p2-c1-0-sector-0", format!("{run} c1 --run-dir /sectors/${{P2_C1_0:?}} --sector 0")),
    ];
    let mut sorted = of.clone();
    sorted.sort();
    assert_eq!(sorted, expected.map(|(name, words)| (name.to_string(), words)));
    for (name, before) in [("p2-c1-0-sector-0", "p2-c1-0-batch"), ("p2-c1-0", "p2-c1-0-sector-0")] {
        assert_eq!(services[name]["depends_on"][before]["condition"], "service_completed_successfully");
    }
    let proof = commands(&dir.join("2-64-cores")).remove(0).1;
    assert!(proof.contains(&"${P4_0_SECTOR:?}".to_string()), "{proof:?}");
    assert!(fs::read_to_string(dir.join("2-64-cores/.env")).unwrap().contains("\nP4_0_SECTOR=0\n"));
}

#[test]
fn foreign_words_stay_words_and_inside_the_directory() {
    let (home, dir) = written(&evil());
    assert_eq!(names(home.path()), ["ops"]);
    assert_eq!(names(&dir), [".sealbench-ops", "1-touch-pwned-x-q-q-home", "2-64-cores", "README.md"]);
    let model = dir.join("1-touch-pwned-x-q-q-home");
    let services = compose(&model)["services"].clone();
    let literal = |text: &str| text.replace('$', "$$");
    assert_eq!(services["p1-1"]["labels"]["sealbench.model"], literal(EVIL_NAME));
    assert_eq!(source(&services["p1-1"], "/sectors"), literal(&format!("{EVIL_MOUNT}1")));
    assert_eq!(source(&services["p1-3"], "/sectors"), "${VOLUME_3:?}");
    let output = sh(&model.join("mounts.sh"), &["prepare"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "nothing is mounted");
    assert!(said.contains(&format!("not mounted: {EVIL_MOUNT}0\n")), "{said}");
    assert!(!model.join("pwned").exists());
    let sheet = fs::read_to_string(model.join("README.md")).unwrap();
    assert!(!sheet.contains('\u{202e}') && sheet.lines().next().unwrap().ends_with(": 41 machines"), "{sheet}");
}

#[test]
fn scripts_do_nothing_without_a_word() {
    let (_home, dir) = written(&planned(NOTES));
    let script = dir.join("1-128-cores/huge-pages.sh");
    let output = sh(&script, &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.starts_with("Nothing is changed without a word."), "{said}");
    let path = "/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages";
    assert!(said.contains(&format!("write 128 to {path} (now ")), "{said}");
    assert_eq!(sh(&script, &["aply"]).status.code(), Some(2));
    let undo = sh(&script, &["undo"]);
    assert_eq!(undo.status.code(), Some(1));
    assert!(String::from_utf8(undo.stderr).unwrap().contains("nothing to undo"));
    assert!(!dir.join("2-64-cores/huge-pages.sh").exists(), "p4 takes none");
}

#[test]
fn a_directory_with_other_files_is_left_alone() {
    let plan = planned(NOTES);
    let (home, dir) = written(&plan);
    let refused = |path: &Path, force: bool, why: &str| {
        let error = Target::new(path, force).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(&dir, false, "--force");
    fs::write(dir.join("stale"), "").unwrap();
    Target::new(&dir, true).unwrap().prepare(&plan).unwrap().publish().unwrap();
    assert!(!dir.join("stale").exists() && dir.join("1-128-cores/compose.yaml").is_file());
    assert_eq!(names(home.path()), ["ops"], "nothing is left beside it");
    let other = home.path().join("other");
    fs::create_dir(&other).unwrap();
    Target::new(&other, false).unwrap();
    fs::write(other.join("mine"), "").unwrap();
    refused(&other, true, "other files");
    refused(&other.join("mine"), true, "no directory");
    refused(&home.path().join("a/b"), false, "no directory");
    for nameless in [".", "..", "/"] {
        refused(Path::new(nameless), true, "its own name");
    }
    refused(Path::new("/proc"), true, "mounted");
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&dir, &link).unwrap();
    refused(&link, true, "no directory");
}

#[test]
fn mounts_that_cannot_be_are_refused_before_anything_is_written() {
    let home = tempfile::tempdir().unwrap();
    let (dir, json, scenario) =
        (home.path().join("ops"), home.path().join("plan.json"), home.path().join("scenario.toml"));
    let further = "size = \"2 TiB\"\n[[sku.volume]]\nmount = \"/mnt//a1/\"\n";
    for (mounts, words) in [
        ("count = 4\nmount = \"/mnt/../etc\"\n".to_string(), "mount '/mnt/../etc"),
        (format!("count = 3\nmount = \"/mnt/a\"\n{further}"), "volumes 2 and 4 are both mounted at '/mnt//a1/'"),
    ] {
        fs::write(&scenario, NOTES.replacen("count = 4\n", &mounts, 1)).unwrap();
        let words_of = ["sealbench", "plan", scenario.to_str().unwrap(), "--ops", dir.to_str().unwrap(), "--json"];
        let cli = Cli::try_parse_from(words_of.into_iter().chain(json.to_str())).unwrap();
        let error = run(cli).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(names(home.path()), ["scenario.toml"]);
    }
}
