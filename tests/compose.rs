//! Compose files: the notes' own are read and judged, what is written follows the public schema and means what it was made from.

#[path = "support/absent.rs"]
mod absent;
#[path = "support/docker_compose.rs"]
mod docker_compose;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sealbench::error::exit_code;
use sealbench::host::{NumaNode, Topology};
use sealbench::scale::compose::{Mount, Old, Service, Source, compose, judge, read};
use serde_json::Value;

const SCHEMA: &str = include_str!("data/compose/compose-spec.json");

fn notes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/compose/p2-46cpu.yml")
}

/// A machine without SMT: L3 groups and NUMA nodes of so many cores.
fn machine(cores: usize, l3: usize, node: usize) -> Topology {
    let all: Vec<usize> = (0..cores).collect();
    let cut = |size: usize| all.chunks(size).map(<[usize]>::to_vec).collect::<Vec<_>>();
    let nodes = cut(node).into_iter().enumerate();
    let nodes = nodes.map(|(id, cores)| NumaNode { id, cores, memory_bytes: None }).collect();
    Topology { core_groups: Some(cut(1)), l3_groups: Some(cut(l3)), numa_nodes: Some(nodes), ..Topology::default() }
}

/// Text as a file that is read.
fn read_text(text: &str) -> anyhow::Result<Old> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("old.yml");
    fs::write(&file, text).unwrap();
    read(&file)
}

fn codes(services: &[Service], topology: &Topology) -> Vec<String> {
    judge(services, topology).into_iter().map(|finding| finding.code).collect()
}

#[test]
fn the_notes_services_are_taken_over() {
    let old = read(&notes()).unwrap();
    assert_eq!(old.findings, []);
    let [first, second] = old.services.as_slice() else { panic!("two services") };
    assert_eq!((first.name.as_str(), second.name.as_str(), first.image.as_deref()), ("bench1", "bench2", Some("test")));
    assert_eq!((first.cpus.clone(), second.cpus.clone()), (Some((0..46).collect()), Some((46..96).collect())));
    assert_eq!(first.command, ["tail", "-f", "/dev/null"]);
    assert!(first.privileged && first.network_mode.as_deref() == Some("host"));
    let places: Vec<(&Source, &str)> =
        first.mounts.iter().map(|mount| (&mount.source, mount.target.as_str())).collect();
    let same = |path: &str| Source::Bind(path.to_string());
    let parameters = "/var/tmp/filecoin-proof-parameters/";
    assert_eq!(
        places,
        [
            (&same("/etc/localtime"), "/etc/localtime"),
            (&same("/mnt/storage/"), "/mnt/storage/"),
            (&same(parameters), parameters),
            (&same("/root/worker/"), "/root/worker/"),
        ]
    );
}

#[test]
fn the_notes_services_are_judged() {
    let services = read(&notes()).unwrap().services;
    let each = ["privileged", "network-host", "tmpdir-not-mounted"];
    let epyc = machine(96, 4, 48);
    let found = judge(&services, &epyc);
    let of = |name: &str| -> Vec<&str> {
        let own = found.iter().filter(|finding| finding.text.starts_with(&format!("service '{name}'")));
        own.map(|finding| finding.code.as_str()).collect()
    };
    // 46 cores are eleven groups of four and a half; 50 cores from 46 on are more than a node.
    let split = [&["cpuset-splits-l3"], &each[..]].concat();
    assert_eq!((of("bench1"), of("bench2"), found.len()), (split.clone(), split, 8));
    let storage = found.iter().find(|finding| finding.code == "tmpdir-not-mounted").unwrap();
    assert!(
        storage.text.contains("/tmp and /var/tmp are on no mount") && storage.text.contains("32 GiB"),
        "{}",
        storage.text
    );
    let small = judge(&services, &machine(64, 4, 64));
    let outside = small.iter().find(|finding| finding.code == "cpuset-outside").unwrap();
    assert!(outside.text.contains("no CPU 64-95 of its cpuset 46-95"), "{}", outside.text);
}

#[test]
fn cores_temporary_directories_and_networks() {
    let service = |name: &str, cpus: Option<Vec<usize>>| Service {
        name: name.into(),
        cpus,
        mounts: vec![Mount { source: Source::Bind("/mnt/a".into()), target: "/data".into(), read_only: false }],
        environment: vec![("TMPDIR".into(), "/data/tmp".into())],
        ..Service::default()
    };
    let of = |services: &[Service]| codes(services, &machine(16, 8, 16));
    let [a, b] = [service("a", Some((0..8).collect())), service("b", Some((8..16).collect()))];
    assert_eq!(of(&[a.clone(), b.clone()]), [""; 0]);
    assert_eq!(of(&[a.clone(), service("b", Some((7..16).collect()))]), ["cpuset-shared", "cpuset-splits-l3"]);
    assert_eq!(of(&[a.clone(), service("b", None)]), ["no-cpuset"]);
    let mut siblings = machine(4, 4, 4);
    siblings.core_groups = Some(vec![vec![0, 2], vec![1, 3]]);
    let shared = judge(&[service("a", Some(vec![0])), service("b", Some(vec![2]))], &siblings);
    assert!(
        shared[0].code == "cpuset-shared" && shared[0].text.contains("'a' and 'b' share the cores of CPUs 0,2"),
        "{shared:?}"
    );
    let with = |change: fn(&mut Service)| {
        let mut service = a.clone();
        change(&mut service);
        of(&[service])
    };
    assert_eq!(with(|service| service.environment.clear()), ["tmpdir-not-mounted"]);
    assert_eq!(with(|service| service.environment[0].1 = "/data2".into()), ["tmpdir-not-mounted"]);
    assert_eq!(with(|service| service.mounts[0].read_only = true), ["tmpdir-not-mounted"]);
    assert_eq!(with(|service| service.environment[0].1 = "./".into()), ["tmpdir-not-mounted"]);
    let here =
        |service: &mut Service| (service.environment[0].1, service.working_dir) = ("./".into(), Some("/data/x".into()));
    assert_eq!(with(here), [""; 0]);
    assert_eq!(with(|service| service.mounts[0].source = Source::Tmpfs), ["tmpdir-in-memory"]);
}

#[test]
fn files_that_are_none_are_refused_with_every_place() {
    let refused = |text: &str| {
        let error = read_text(text).unwrap_err();
        assert_eq!(exit_code(&error), 2, "{error}");
        error.to_string()
    };
    let notes = fs::read_to_string(notes()).unwrap();
    let broken = notes.replacen("    bench2:", "\u{a0}\u{a0}\u{a0} bench2:", 1).replacen(
        "image: test",
        "image: te\u{200b}st",
        1,
    );
    let said = refused(&broken);
    for place in ["old.yml: 4 characters", "line 4 column 18: U+200B", "column 1: 3 x U+00A0"] {
        assert!(said.contains(place), "{said}");
    }
    assert!(refused(&"# padding\n".repeat(1_000_000)).contains("larger than 1 MiB"));
    for text in ["", "a: 1\n", "services:\n", "services: []\n", "services: {}\n", "- services\n"] {
        assert!(refused(text).contains("it has no services"), "{text}");
    }
    assert!(refused("services: {a: x}\n").contains("service 'a' has no keys"));
    let many: String = (0..300).map(|n| format!("  s{n}: {{image: x}}\n")).collect();
    assert!(refused(&format!("services:\n{many}")).contains("300 services are more than 256"));
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("x.yml"), b"services:\n  a: \xff\n").unwrap();
    let error = read(&home.path().join("x.yml")).unwrap_err();
    assert!(exit_code(&error) == 2 && error.to_string().contains("line 2 column 6"), "{error}");
    for path in [home.path().join("none.yml"), home.path().to_path_buf()] {
        assert_eq!(exit_code(&read(&path).unwrap_err()), 2);
    }
}

const HOSTILE: &str = "it's a $(touch pwned) \"${HOME}\" `x`: # \u{202e}\u{a0}\n- &a *b !!c | > % @";

/// A service that has everything.
fn full(word: &str) -> Service {
    let path = |text: &str| format!("/{text}");
    let mount = |source, target: &str, read_only| Mount { source, target: path(target), read_only };
    Service {
        name: "p1-0".into(),
        image: Some("sealbench:1".into()),
        command: vec!["worker".into(), word.into(), String::new()],
        cpus: Some(vec![0, 1, 8]),
        cpus_unclear: false,
        mems: Some(vec![0]),
        memory_bytes: Some(80 << 30),
        mounts: vec![
            mount(Source::Bind(path(word)), "sectors", false),
            mount(Source::Bind("/params".into()), word, true),
            mount(Source::Tmpfs, "scratch", false),
            mount(Source::Volume(Some("data".into())), "data", false),
        ],
        environment: vec![("TMPDIR".into(), "/sectors".into()), ("WORD".into(), word.into())],
        labels: vec![("sealbench".into(), word.into())],
        user: Some("1000:1000".into()),
        working_dir: Some("/sectors".into()),
        capabilities: vec!["IPC_LOCK".into(), "SYS_NICE".into()],
        locks_memory: true,
        privileged: false,
        network_mode: Some("none".into()),
    }
}

fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn what_is_written_follows_the_public_schema_and_is_confined() {
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let old = read(&notes()).unwrap().services;
    for services in [vec![full("x"), Service { name: "p2".into(), ..full(HOSTILE) }], old, Vec::new()] {
        let document = parsed(&compose(&services));
        let errors: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        for service in document["services"].as_object().unwrap().values() {
            let expected =
                [("network_mode", "none".into()), ("read_only", true.into()), ("cap_drop", serde_json::json!(["ALL"]))];
            for (key, value) in expected {
                assert_eq!(service[key], value, "{key}");
            }
            assert_eq!(service.get("privileged"), None);
        }
    }
    let text = compose(&[full("x")]);
    assert!(text.contains("    # Compose has no key for memory nodes: docker run has --cpuset-mems 0.\n"), "{text}");
    let one = &parsed(&text)["services"]["p1-0"];
    assert_eq!(
        (&one["cpuset"], &one["mem_limit"], &one["ulimits"]["memlock"]),
        (&"0-1,8".into(), &(80u64 << 30).into(), &(-1).into())
    );
    assert_eq!((&one["command"], &one["user"]), (&serde_json::json!(["worker", "x", ""]), &"1000:1000".into()));
}

#[test]
fn docker_compose_reads_the_same_words() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("compose.yaml"), compose(&[full(HOSTILE)])).unwrap();
    let Some(output) = docker_compose::config(home.path()) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = parsed(&String::from_utf8(output.stdout).unwrap());
    let service = &shown["services"]["p1-0"];
    // What Compose prints can be read by Compose again, so it doubles the dollars too.
    let word = |value: &Value| value.as_str().unwrap().replace("$$", "$");
    assert_eq!(word(&service["command"][1]), HOSTILE);
    assert_eq!(word(&service["environment"]["WORD"]), HOSTILE);
    assert_eq!(word(&service["labels"]["sealbench"]), HOSTILE);
    assert_eq!(service["cpuset"], "0-1,8");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_back(word in any::<String>(), name in any::<String>()) {
        round_trip(&word, &name);
    }
}

/// Any words, as what they are in a service, come back from the file that is written.
fn round_trip(word: &str, name: &str) {
    let mut service = Service { name: name.to_string(), ..full(word) };
    service.environment.push((format!("X{name}"), word.to_string()));
    let again = read_text(&compose(std::slice::from_ref(&service))).unwrap();
    // A comment alone says the memory nodes.
    let expected = Service { mems: None, ..service };
    assert_eq!((again.services.as_slice(), again.findings.len()), (&[expected][..], 0));
}

#[test]
fn words_that_mean_something_to_yaml_are_read_back() {
    for word in [
        "<<",
        "null",
        "~",
        "",
        "true",
        "y",
        "0x1f",
        "1e3",
        "- a",
        "&a",
        "*a",
        "!!str",
        "${A:-b}",
        "$$",
        "2001-01-01",
        "\u{feff}",
    ] {
        round_trip(word, word);
    }
}
