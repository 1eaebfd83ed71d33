//! Reports: what the command writes, and how it looks in a real browser.

#[path = "support/absent.rs"]
mod absent;
#[path = "support/browser.rs"]
mod browser;
mod common;

use std::fs;
use std::path::PathBuf;

use browser::{Browser, Scheme};
use common::Home;
use serde_json::{Value, json};

const SAMPLE: &str = include_str!("data/record.json");

/// Names that break what is not escaped, not measured or not bounded.
const HOSTILE: [&str; 6] = [
    "<script>document.title='x'</script>",
    "\"'><img src=x onerror=alert(1)>&amp;",
    "\u{202e}txet desrever \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627}",
    "an-unbreakable-name-that-goes-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW \u{fdfd}\u{fdfd}\u{fdfd}\u{1242b}",
    "\u{6f22}\u{5b57}\u{4eee}\u{540d} \u{1f980}\u{200b}\u{0}\u{1b}[2J",
];

fn record(id: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut record: Value = serde_json::from_str(SAMPLE).unwrap();
    record["id"] = id.into();
    change(&mut record);
    record
}

/// A run with repeats, one of them far from the others, and intervals.
fn repeated() -> Value {
    record("repeated", |r| {
        let phases = r["phases"].as_array().unwrap().clone();
        let again = |repeat: usize| {
            let factor = [1.0, 1.01, 0.98, 1.02, 1.4, 0.99, 1.0][repeat];
            phases.iter().map(move |phase| {
                let mut phase = phase.clone();
                phase["repeat"] = repeat.into();
                phase["wall_s"] = (phase["wall_s"].as_f64().unwrap() * factor).into();
                phase
            })
        };
        r["phases"] = (0..7).flat_map(again).collect();
        for summary in r["summary"].as_array_mut().unwrap() {
            let median = summary["median"].as_f64().unwrap();
            summary["n"] = 7.into();
            summary["ci"] = json!({"low": median * 0.98, "high": median * 1.02});
        }
        r["validity"]["rules"] = json!(["steal", "swap", "counters-unavailable"]);
    })
}

/// Runs of a sweep over cores and instances, three of each point, on a machine of 16 threads.
fn sweep() -> Vec<Value> {
    let grid = [1, 2, 3, 4, 6, 8, 12, 16].map(|cores| [1, 2, 3, 4, 8, 16].map(|instances| (cores, instances)));
    let points = grid
        .into_iter()
        .flatten()
        .filter(|(cores, instances)| cores * instances <= 16 && (*cores, *instances) != (2, 3));
    let point = |(cores, instances): (usize, usize)| (0..3).map(move |round| swept(cores, instances, round, false));
    points.flat_map(point).chain((0..3).map(|round| swept(2, 1, round, true))).collect()
}

fn swept(cores: usize, instances: usize, round: usize, twin: bool) -> Value {
    record(&format!("sweep-{cores}x{instances}-{round}{}", if twin { "-twin" } else { "" }), |r| {
        let wall = 12.0 * (0.1 + 0.9 / cores as f64) * (1.0 + 0.05 * instances as f64) * (1.0 + 0.01 * round as f64);
        let phase = r["phases"][1].clone();
        let instance = |n: usize| {
            let mut phase = phase.clone();
            phase["instance"] = n.into();
            phase["concurrent"] = instances.into();
            phase["cores"] = (n * cores..(n + 1) * cores).collect();
            phase["threads"] = cores.into();
            phase["wall_s"] = wall.into();
            phase["limit"] =
                json!({"name": "poseidon multiplications", "span": "columns", "seconds": 4.0, "ratio": 1.4});
            phase
        };
        r["phases"] = (0..instances).map(instance).collect();
        let rate = instances as f64 * 28.125 / wall;
        r["aggregates"] = json!([{"phase": "p2", "engine": "reference", "repeat": 0, "instances": instances, "completed": instances,
            "window_s": wall, "overlap": 1.0, "sectors_per_h": rate * 128.0, "gib_per_h": rate, "slow_down": null}]);
        r["summary"] = json!([]);
        r["sweep"] = json!({"sweep": "sweep-1", "point": format!("p2 reference {instances}x{cores}"), "round": round, "twin": twin});
    })
}

/// A run on a machine and in words that nobody would choose.
fn hostile(n: usize) -> Value {
    let evil = HOSTILE[n];
    record(&format!("hostile-{n}"), |r| {
        for pointer in [
            "/host/hostname",
            "/host/cpu/model",
            "/host/kernel/release",
            "/phases/0/variant",
            "/phases/1/pages",
            "/spec/given/1",
        ] {
            *r.pointer_mut(pointer).unwrap() = evil.into();
        }
        for pointer in ["/phases/0/limit/name", "/phases/0/limit/span", "/phases/1/verified/against"] {
            *r.pointer_mut(pointer).unwrap() = evil.into();
        }
        r["phases"][0]["kernel"] = json!({evil: evil});
        let spans = (0..40).map(|span| json!({"name": format!("{evil}-{span}"), "wall_s": 0.005, "cpu_s": 0.1, "note": evil, "parts": vec![0.001; 5]}));
        r["phases"][0]["spans"] = spans.collect();
        r["phases"][1]["wall_s"] = [1e-9, 1e6, 0.0, 1e5, 12.0, 1.0][n].into();
        r["phases"][2]["origin"] = ["estimated", "imported"][n % 2].into();
        r["validity"]["findings"][0] = json!({"code": evil, "severity": "error", "text": evil.repeat(5)});
        r["spec"]["settings"][evil] = evil.into();
        r["sweep"] = json!({"sweep": evil, "point": evil, "round": 0, "twin": false});
    })
}

/// Writes the records to files of a home and the report on them; returns its path.
fn report(home: &Home, name: &str, title: &str, records: &[Value]) -> PathBuf {
    let page = home.path(&format!("{name}.html"));
    let files = records.iter().enumerate().map(|(n, record)| {
        let file = home.path(&format!("{name}-{n}.json"));
        fs::write(&file, record.to_string()).unwrap();
        file.to_str().unwrap().to_string()
    });
    let files: Vec<String> = files.collect();
    let mut words = vec!["report", "--out", page.to_str().unwrap(), "--title", title];
    words.extend(files.iter().map(String::as_str));
    home.run(&words).success();
    page
}

/// The page of a plan whose models and mounts have such names.
fn plan(home: &Home, name: &str, words: &str) -> PathBuf {
    // TOML reads a text as JSON writes it.
    let quoted = Value::from(words).to_string();
    let scenario = include_str!("../params/scenarios/field-notes-2020.toml")
        .replace("\"128 cores\"", &quoted)
        .replace("count = 4", &format!("count = 4\nmount = {quoted}"))
        .replace("\"notes: 77 min\"", &quoted);
    assert!(scenario.matches(&quoted).count() >= 6);
    let (file, page) = (home.path(&format!("{name}.toml")), home.path(&format!("{name}.html")));
    fs::write(&file, scenario).unwrap();
    let words = ["plan", file.to_str().unwrap(), "--simulate", "5", "--html", page.to_str().unwrap()];
    home.run(&words).success();
    page
}

/// The reports that the browser is shown.
fn reports(home: &Home) -> [PathBuf; 6] {
    let hostiles: Vec<Value> = (0..HOSTILE.len()).map(hostile).collect();
    [
        report(home, "repeated", "A run", &[repeated()]),
        report(home, "sweep", "A sweep", &sweep()),
        report(home, "hostile", &HOSTILE.join(" ").replace('\0', ""), &hostiles),
        plan(home, "plan", "128 cores"),
        plan(home, "hostile-plan", HOSTILE[0]),
        plan(home, "long-plan", &HOSTILE[3][..100]),
    ]
}

#[test]
fn a_report_looks_right_in_a_browser() {
    let home = Home::new();
    let Some(browser) = Browser::find() else {
        return absent::absent("report in a browser", "there is no chromium");
    };
    browser.sees_what_is_wrong();
    for page in reports(&home) {
        for width in [1200, 700] {
            browser.check_layout(&page, width);
        }
        browser.check_console(&page);
        let (light, dark) = (browser.picture(&page, Scheme::Light), browser.picture(&page, Scheme::Dark));
        assert!(light.colours > 20 && dark.colours > 20, "{light:?} {dark:?}");
        assert!(light.brightness > 0.8 && dark.brightness < 0.25, "{light:?} {dark:?}");
    }
}

#[test]
fn a_page_asks_nothing_of_the_network_and_forbids_scripts() {
    let home = Home::new();
    for page in reports(&home) {
        let text = fs::read_to_string(page).unwrap();
        let policy =
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline';";
        assert!(text.contains(policy));
        let tags: Vec<&str> = text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
        for foreign in ["script", "img", "link", "iframe", "object", "embed", "base", "form"] {
            assert!(!tags.iter().any(|tag| tag.split(' ').next() == Some(foreign)), "{foreign}");
        }
        for foreign in [" src=", " on", " style=", "javascript:"] {
            assert!(!tags.iter().any(|tag| tag.contains(foreign)), "{foreign}");
        }
        let style = text.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert!(!style.contains("url(") && !style.contains("@import"));
        let attributes = text.split("=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let addresses: Vec<&str> = attributes.filter(|value| value.contains("://")).collect();
        assert!(addresses.iter().all(|address| *address == "http://www.w3.org/2000/svg"), "{addresses:?}");
    }
}

#[test]
fn markdown_and_csv_have_the_figures_of_the_page() {
    let home = Home::new();
    let page = report(&home, "sweep", "A sweep", &sweep());
    let files: Vec<String> = (0..sweep().len()).map(|n| format!("sweep-{n}.json")).collect();
    let words = ["report", "--md", "r.md", "--csv", "r.csv"];
    home.run(&words.into_iter().chain(files.iter().map(String::as_str)).collect::<Vec<_>>()).success();
    let (html, md) = (fs::read_to_string(page).unwrap(), fs::read_to_string(home.path("r.md")).unwrap());
    // 16 instances of one core: 16 x 28.125 GiB/h / (12 s x 1.8 x 1.01).
    for part in ["20.6", "does not fit", "not measured"] {
        assert!(html.contains(part) && md.contains(part), "{part}");
    }
    assert!(md.contains("| 1 | 2.21 | 4.22 | 6.05 |"));
    assert!(md.contains("## Sweep") && md.contains("## Scaling over cores") && md.contains("A/A pair"));
    let csv = fs::read_to_string(home.path("r.csv")).unwrap();
    let phases: usize = sweep().iter().map(|record| record["phases"].as_array().unwrap().len()).sum();
    assert_eq!(csv.lines().count(), 1 + phases);
}

#[test]
fn the_last_run_is_reported_unless_others_are_named() {
    let home = Home::new();
    home.run(&["report", "--out", "r.html"]).fails(2, &["no runs yet"]);
    let script = json!({"phases": {"p1": {"samples": [10.0, 10.5, 10.2]}, "p2": {"samples": [4.0]}}});
    fs::write(home.path("mock.json"), script.to_string()).unwrap();
    let run = ["run", "--engine", "mock", "--mock", "mock.json", "--sector-size", "2KiB", "--phases", "p1,p2"];
    home.run(&[&run[..], &["--repeats", "3"]].concat()).success();
    home.run(&["report", "--out", "r.html", "--md", "r.md"]).success();
    let text = fs::read_to_string(home.path("r.md")).unwrap();
    assert!(text.contains("| p1 mock | 3 | 10.2 s | 10.0 s | 10.5 s | 0.200 s |"), "{text}");
    assert!(text.contains("**Not reportable.** Errors: mock-engine"), "{text}");
    home.run(&["report", "--out", "r.html"]).fails(2, &["r.html", "--force"]);
    home.run(&["report", "--out", "r.html", "--force", "last"]).success();
}
