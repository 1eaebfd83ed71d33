//! `sealbench plan`: the golden cases, what it says, and what it refuses.

mod common;

use std::fs;
use std::process::Command;

use common::{Ended, Home, read_json, words};
use sealbench::host::sys;
use serde_json::Value;

const NOTES: &str = include_str!("../params/scenarios/field-notes-2020.toml");

/// The command on a scenario in this home.
fn run(home: &Home, scenario: &str, flags: &str) -> Ended {
    fs::write(home.path("s.toml"), scenario).unwrap();
    home.run(&words(&format!("plan s.toml {flags}")))
}

/// The plan of a scenario, and what the terminal says.
fn plan(scenario: &str, flags: &str) -> (Value, String) {
    let home = Home::new();
    let ended = run(&home, scenario, &format!("--json p.json {flags}")).success();
    (read_json(&home.path("p.json")), ended.stdout)
}

/// Machines by model, as "41 x 128 cores".
fn machines(purchase: &Value) -> Vec<String> {
    let machines = purchase["machines"].as_array().unwrap();
    machines.iter().map(|m| format!("{} x {}", m["working"], m["sku"].as_str().unwrap())).collect()
}

fn warnings(plan: &Value) -> String {
    plan["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_notes_plan_needs_41_and_28_machines() {
    let (plan, text) = plan(NOTES, "--simulate 60");
    assert_eq!(plan["schema"], "sealbench/plan/1");
    assert_eq!(machines(&plan["purchase"]), ["41 x 128 cores", "28 x 64 cores"]);
    assert_eq!(
        (&plan["purchase"]["proof"]["gap"], &plan["purchase"]["proof"]["is_proven"]),
        (&0.0.into(), &true.into())
    );
    let large = &plan["purchase"]["machines"][0]["layouts"][0];
    assert_eq!(large["machines"], 41);
    assert!((large["layout"]["per_h"][0].as_f64().unwrap() - 1.6).abs() < 1e-9);
    assert_eq!(large["layout"]["bounds"][0], serde_json::json!({"phase": "p1"}));
    for part in
        ["4 x p1 on 8", "1560.38 sectors/day", "proven least number of machines", "592 MiB/s", "the plan comes out"]
    {
        assert!(text.contains(part), "'{part}' in\n{text}");
    }
    let warnings = warnings(&plan);
    assert!(warnings.contains("the typed 120 min disagrees with the imported 128.6 min"), "{warnings}");
    assert_eq!(plan["simulation"]["is_confirmed"], true);
}

#[test]
fn p1_and_p2_one_after_the_other_need_74_machines() {
    let (plan, _) = plan(&NOTES.replace("precommit = \"side by side\"", "precommit = \"in turn\""), "");
    assert_eq!(machines(&plan["purchase"]), ["74 x 128 cores", "28 x 64 cores"]);
}

#[test]
fn a_pebibyte_a_month_has_136_sectors_in_p1_on_10_machines() {
    let scenario = "
        target = '1 PiB per month'
        minimise = 'machines'
        phases = ['p1']
        [[sku]]
        name = 'fifteen p1'
        cores = 32
        memory = '968 GiB'
        [[rate]]
        phase = 'p1'
        cores = 2
        instances = 15
        time = '3 h'
    ";
    let (plan, _) = plan(scenario, "");
    assert_eq!(machines(&plan["purchase"]), ["10 x fifteen p1"]);
    assert!((plan["demand"]["sectors_per_day"].as_f64().unwrap() - 1092.27).abs() < 0.005);
    assert!((plan["in_flight"][0]["sectors"].as_f64().unwrap() - 136.53).abs() < 0.005);
    assert_eq!(plan["purchase"]["machines"][0]["layouts"][0]["layout"]["lanes"][0]["instances"], 15);
}

/// The notes' p2 sweep on 96 cores.
const SWEEP: &str = "
    target = '1.9 sectors per hour'
    minimise = 'machines'
    phases = ['p2']
    [[sku]]
    name = '96 cores'
    cores = 96
    numa_nodes = 2
    memory = '1 TiB'
    [[rate]]
    phase = 'p2'
    cores = 23
    instances = 4
    times = ['130 min 30 s', '133 min 59 s', '131 min 56 s', '118 min 8 s']
    origin = 'imported'
    concurrent = true
    [[rate]]
    phase = 'p2'
    cores = 30
    instances = 3
    times = ['104 min 15 s', '105 min 59 s', '95 min 27 s']
    origin = 'imported'
    concurrent = true
    [[rate]]
    phase = 'p2'
    cores = 46
    instances = 2
    times = ['66 min 15 s', '58 min 50 s']
    origin = 'imported'
    concurrent = false
";

#[test]
fn the_46_core_rate_is_best_and_warned_about() {
    let (best, text) = plan(SWEEP, "");
    let layout = &best["purchase"]["machines"][0]["layouts"][0]["layout"];
    assert!((layout["per_h"][0].as_f64().unwrap() - 1.925).abs() < 0.001 && layout["lanes"][0]["cores"] == 46);
    assert!(text.contains("p2 on 46 cores") && text.contains("not concurrent"), "{text}");
    let other = &best["alternatives"][0];
    assert_eq!((&other["name"], &other["purchase"]["total"]), (&"next best layout".into(), &2.into()));
    assert_eq!(other["remark"], "2 x (4 x p2 on 23 cores)");
    let without = SWEEP.split("[[rate]]").take(3).collect::<Vec<_>>().join("[[rate]]");
    let (other, _) = plan(&without, "");
    let layout = &other["purchase"]["machines"][0]["layouts"][0]["layout"];
    assert!((layout["per_h"][0].as_f64().unwrap() - 1.870).abs() < 0.001, "{layout}");
    assert!(!warnings(&other).contains("not concurrent"));
    // Four instances side by side are one repeat, which says nothing of the spread.
    assert_eq!((&other["rates"][0]["n"], &other["at_bound"]), (&1.into(), &Value::Null));
    assert!(warnings(&other).contains("no interval is known of p2 on 23 cores"), "{}", warnings(&other));
    let thrice = without.replace(
        "'118 min 8 s']",
        "'118 min 8 s',\n'150 min', '150 min', '150 min', '150 min',\n'120 min', '120 min', '120 min', '120 min']",
    );
    let (thrice, _) = plan(&thrice, "");
    let rate = &thrice["rates"][0];
    assert!((rate["interval"]["low"].as_f64().unwrap() - 0.4).abs() < 1e-9 && rate["n"] == 3, "{rate}");
    // At the lower end of the three repeats' range one machine is less sure to do.
    assert_eq!(machines(&thrice["at_bound"]), ["2 x 96 cores"]);
}

#[test]
fn prices_decide_and_the_answer_says_what_else_there_is() {
    let scenario = "
        target = '100 sectors/day'
        phases = ['p1']
        [prices]
        currency = 'EUR'
        [[sku]]
        name = 'small'
        cores = 8
        memory = '300 GiB'
        price = 1300
        owned = 2
        [[sku]]
        name = 'large'
        cores = 32
        memory = '1200 GiB'
        price = 3500
        [[rate]]
        phase = 'p1'
        cores = 2
        time = '4 h'
    ";
    // 100 a day take 17 instances: a large one has 16 and one that is there 4; three more small ones would cost more.
    let (plan, text) = plan(scenario, "");
    assert_eq!(machines(&plan["purchase"]), ["1 x small", "1 x large"]);
    assert_eq!(plan["purchase"]["cost"], 3500.0);
    let names: Vec<&str> =
        plan["alternatives"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["next best: without large", "without small", "only small", "only large", "with what is there"]);
    assert!(text.contains("2.000 sectors/h, 48.0 % of the target"), "{text}");
    let few = scenario.replace("owned = 2", "owned = 2\n        available = 3");
    let (_, text) = self::plan(&few, "");
    assert!(text.contains("the 3 that can be had: 3.000 sectors/h, 72.0 % of the target"), "{text}");
    let (_, text) = self::plan(&scenario.replace("owned = 2", "available = 0"), "");
    assert!(text.contains("none of them can be had"), "{text}");
    let price = &plan["sensitivity"].as_array().unwrap()[1];
    assert_eq!(price["what"], "price of small");
    let (machines_first, _) = self::plan(scenario, "--minimise machines");
    assert_eq!(machines_first["purchase"]["total"], 2);
    assert_eq!(machines_first["purchase"]["proof"]["minimised"], "machines");
}

#[test]
fn shared_storage_that_is_too_slow_is_named_and_refutes_the_plan() {
    let home = Home::new();
    let slow =
        NOTES.replace("holds_parameters = true", "holds_parameters = true\nwrite = \"500 MiB/s\"\nread = \"2 GiB/s\"");
    let ended = run(&home, &slow, "--simulate 30 --json p.json");
    assert!(ended.stdout.contains("the shared storage is the bottleneck: writing takes 592 MiB/s"), "{}", ended.stdout);
    ended.fails(4, &["does not come out", "shared storage"]);
    assert_eq!(read_json(&home.path("p.json"))["simulation"]["is_confirmed"], false);
}

#[test]
fn bad_scenarios_are_refused_with_what_to_do() {
    let home = Home::new();
    for (from, to, code, parts) in [
        ("1 PiB per 21 days", "0 PiB per 21 days", 2, ["s.toml: target", "a target of 0"]),
        ("\"2 TiB\"\nhuge", "\"2 TB\"\nhuge", 2, ["sku 1 '128 cores': memory", "TB is decimal"]),
        ("spares = 0", "spare = 0", 2, ["unknown key 'spare' of [rules]", "did you mean 'spares'?"]),
        ("minimise = \"machines\"", "", 2, ["sku '128 cores' has no price", "minimise something else"]),
        ("availability = 1.0", "availability = 7", 2, ["availability", "out of range"]),
        ("cores = 8\n", "", 2, ["s.toml: rate 1 (p1)", "a rate without cores"]),
        ("memory = \"768 GiB\"", "memory = \"128 GiB\"", 3, ["no model can do p4", "75.0 GiB more would do"]),
        ("p4 = \"elsewhere\"", "p4 = \"same machine\"", 3, ["no model can do p1 + p2 + c1 + p4", "no rate of p4"]),
        ("cores = 64\n", "cores = 64\navailable = 27\n", 3, ["all machines that can be had", "sectors/h"]),
    ] {
        assert!(NOTES.contains(from), "{from}");
        run(&home, &NOTES.replacen(from, to, 1), "").fails(code, &parts);
    }
    let twice = SWEEP
        .replace("cores = 30", "cores = 23")
        .replace("instances = 3", "instances = 4")
        .replace("'95 min 27 s'", "'95 min', '97 min'");
    let outside = NOTES.replacen("cores = 8\n", "cores = 8\ninterval = [\"500 min\", \"501 min\"]\n", 1);
    run(&home, &outside, "").fails(2, &["s.toml: rate 1 (p1)", "500 to 501 min, does not hold its time, 150 min"]);
    run(&home, &twice, "").fails(2, &["p2 on 23 cores", "contradict each other"]);
    home.run(&words("plan nowhere.toml")).fails(2, &["cannot read nowhere.toml"]);
    run(&home, NOTES, "--simulate 0").fails(2, &["cannot simulate 0 days"]);
    run(&home, &format!("{NOTES}\n[[stored]]\nruns = ['nothing']"), "").fails(2, &["nothing"]);
    run(&home, &format!("{NOTES}\n[[stored]]\nsweeps = ['none']"), "").fails(2, &["there is no sweep 'none'"]);
}

#[test]
fn power_and_the_price_of_energy_decide() {
    let scenario = "
        target = '100 sectors/day'
        phases = ['p1']
        [prices]
        kwh = 0
        pue = 1.5
        period = '3 years'
        [[sku]]
        name = 'cheap'
        cores = 8
        memory = '300 GiB'
        price = 1000
        power = '1 kW'
        [[sku]]
        name = 'frugal'
        cores = 8
        memory = '300 GiB'
        price = 3000
        power = '300 W'
        [[rate]]
        phase = 'p1'
        cores = 2
        time = '4 h'
    ";
    let (free, _) = plan(scenario, "");
    assert_eq!((machines(&free["purchase"]), &free["purchase"]["cost"]), (vec!["5 x cheap".into()], &5000.0.into()));
    let priced = scenario.replace("kwh = 0", "kwh = 0.2");
    let (priced, _) = plan(&priced, "");
    assert_eq!(machines(&priced["purchase"]), ["5 x frugal"]);
    // Five machines, and 1.5 kW with half as much again for cooling, through 26,280 hours.
    assert_eq!(priced["purchase"]["cost"], 5.0 * 3000.0 + 1.5 * 1.5 * 26_280.0 * 0.2);
    let (power, text) = plan(scenario, "--minimise power");
    assert_eq!(machines(&power["purchase"]), ["5 x frugal"]);
    let proof = &power["purchase"]["proof"];
    assert_eq!((&proof["minimised"], &proof["value"]), (&"power".into(), &1500.0.into()));
    assert!(text.contains("proven least power") && text.contains("1.5 kW"), "{text}");
}

#[test]
fn where_no_purchase_reaches_the_target_any_more_is_said() {
    let scenario = "
        target = '100 sectors/day'
        minimise = 'machines'
        phases = ['p1']
        [[sku]]
        name = 'few'
        cores = 8
        memory = '300 GiB'
        available = 5
        [[rate]]
        phase = 'p1'
        cores = 2
        time = '4 h'
    ";
    let (plan, text) = plan(scenario, "");
    let rate = &plan["sensitivity"][0];
    // Five machines put out 5 sectors per hour, a fifth more than is asked for.
    assert_eq!(rate["higher"], serde_json::json!(["288.02 min", "no purchase reaches the target"]), "{text}");
    assert_eq!(rate["lower"][1], "4 of few");
}

#[test]
fn numbers_of_machines_and_money_that_are_slips_are_refused() {
    let home = Home::new();
    let scenario = "
        target = '1000000 sectors per hour'
        minimise = 'machines'
        phases = ['p1']
        [prices]
        kwh = 0.2
        [[sku]]
        name = 'slow'
        cores = 2
        memory = '300 GiB'
        price = 1000
        power = '1 kW'
        [[rate]]
        phase = 'p1'
        cores = 2
        time = '100000 h'
    ";
    run(&home, scenario, "").fails(3, &["machines of 'slow', more than 1000000: check target and rates"]);
    run(&home, &scenario.replace("cores = 2\n        memory", "cores = 2\n        available = 9\n        memory"), "")
        .fails(3, &["all machines that can be had put out"]);
    let faster = scenario.replace("'100000 h'", "'59 min'");
    let ended = run(&home, &faster, "--json p.json").success();
    assert!(ended.stdout.contains("983334 machines"), "{}", ended.stdout);
    let dear = faster.replace("kwh = 0.2", "kwh = 1000000").replace("1 kW", "1000 kW");
    run(&home, &dear, "").fails(3, &["machines of 'slow' cost or draw is out of range", "[prices]"]);
    run(&home, &faster, "--simulate 1").fails(2, &["cannot simulate 1 days of 24000000 sectors"]);
}

#[test]
fn rates_come_from_a_sweep_without_its_second_arm() {
    let home = Home::new();
    let cores = sys::allowed_cores().unwrap().len().min(2);
    let layouts = if cores == 2 { "'1x1', '1x2', '2x1'" } else { "'1x1'" };
    let sweep = format!(
        "[[grid]]\nsector_size = '2KiB'\nphases = ['p1']\nengines = ['native']\nlayouts = [{layouts}]\nrepeats = 3\nmax_repeats = 3\n"
    );
    fs::write(home.path("sweep.toml"), sweep).unwrap();
    home.run(&words("sweep sweep.toml --json rankings.json")).success();
    let best = &read_json(&home.path("rankings.json"))[0]["points"][0];
    let shown = home.run(&["results", "show", best["runs"][0].as_str().unwrap(), "--json"]).success();
    let record: Value = serde_json::from_str(&shown.stdout).unwrap();
    let id = record["sweep"]["sweep"].as_str().unwrap();
    let scenario = format!(
        "sector_size = '2 KiB'\ntarget = '1 sectors per hour'\nminimise = 'machines'\nphases = ['p1']\n\
         [[sku]]\nname = 'this'\ncores = {cores}\nmemory = '16 GiB'\n[[stored]]\nsweeps = ['{id}']\n"
    );
    run(&home, &scenario, "--json p.json").success();
    let plan = read_json(&home.path("p.json"));
    // The sweep's best point is the plan's layout, with the same output.
    let layout = &plan["purchase"]["machines"][0]["layouts"][0]["layout"];
    let per_h = [&layout["per_h"][0], &best["sectors_per_h"]].map(|rate| rate.as_f64().unwrap());
    assert!((per_h[0] / per_h[1] - 1.0).abs() < 1e-6, "{layout} and {best}");
    // Three repeats: those of the A/A pair's second arm are not among them.
    let rate = &plan["rates"][0];
    assert_eq!((&rate["n"], &rate["variant"], &rate["origin"]), (&3.into(), &"native".into(), &"measured".into()));
    assert_eq!(rate["source"], best["runs"]);
    let ends = ["low", "high"].map(|end| rate["interval"][end].as_f64().unwrap());
    assert!((ends[0]..=ends[1]).contains(&rate["sectors_per_h"].as_f64().unwrap()), "{rate}");
}

#[test]
fn rates_come_from_the_results_store() {
    let home = Home::new();
    let record =
        home.record(&words("run --engine native --sector-size 2KiB --phases p1 --repeats 3 --cores 0 --threads 1"));
    let id = record["id"].as_str().unwrap();
    let scenario = format!(
        "
        target = '1000 sectors per hour'
        sector_size = '2 KiB'
        minimise = 'machines'
        phases = ['p1']
        [[sku]]
        name = 'this'
        cores = 1
        memory = '16 GiB'
        [[stored]]
        skus = ['this']
        runs = ['{id}']
        "
    );
    run(&home, &scenario, "--json p.json").success();
    let plan = read_json(&home.path("p.json"));
    let rate = &plan["rates"][0];
    assert_eq!((&rate["origin"], &rate["source"][0], &rate["n"]), (&"measured".into(), &id.into(), &3.into()));
    assert!(rate["interval"].is_object() && rate["variant"] == "native");
    run(&home, &scenario.replace("'2 KiB'", "'32 GiB'"), "").fails(2, &[id, "sealed a 2KiB sector"]);
}

#[test]
fn rates_come_from_imported_logs_with_what_ran_side_by_side() {
    let home = Home::new();
    let logs: Vec<String> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/logs"))
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.contains("benchy-p2-23cpu"))
        .collect();
    let words: Vec<&str> = ["import", "--cores-from-name", "--json", "r.json"]
        .into_iter()
        .chain(logs.iter().map(String::as_str))
        .collect();
    home.run(&words).success();
    let records = read_json(&home.path("r.json"));
    let ids: Vec<String> = records.as_array().unwrap().iter().map(|record| record["id"].to_string()).collect();
    assert_eq!(ids.len(), 4);
    let scenario = format!(
        "target = '1 sectors per hour'\nminimise = 'machines'\nphases = ['p2']\n\
         [[sku]]\nname = 'large'\ncores = 96\nmemory = '1 TiB'\n[[stored]]\nruns = [{}]\n",
        ids.join(", ")
    );
    run(&home, &scenario, "--json p.json").success();
    let plan = read_json(&home.path("p.json"));
    let rate = &plan["rates"][0];
    assert_eq!((&rate["cores"], &rate["instances"], &rate["origin"]), (&23.into(), &4.into(), &"imported".into()));
    assert_eq!(rate["concurrent"], true);
    let all = 4.0 * rate["sectors_per_h"].as_f64().unwrap();
    assert!((all - 1.870).abs() < 0.01, "{all}");
}

#[test]
fn a_log_that_is_not_over_and_does_not_say_its_cores_gives_the_rates_of_what_ended() {
    let home = Home::new();
    let whole = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/logs/all-phases.log")).unwrap();
    let head: String = whole.lines().take(6).map(|line| format!("{line}\n")).collect();
    fs::write(home.path("run.log"), head).unwrap();
    home.run(&words("import run.log --json r.json")).success();
    let record = &read_json(&home.path("r.json"))[0];
    assert_eq!(record["state"], "interrupted");
    let id = record["id"].as_str().unwrap();
    let scenario = format!(
        "target = '1 sectors per hour'\nminimise = 'machines'\nphases = ['p1']\n\
         [[sku]]\nname = 'large'\ncores = 96\nmemory = '1 TiB'\n[[stored]]\nruns = ['{id}']\n"
    );
    run(&home, &scenario, "").fails(2, &[id, "how many cores p1 ran", "cores = ... in its [[stored]]"]);
    run(&home, &format!("{scenario}cores = 8\n"), "--json p.json").success();
    let rate = &read_json(&home.path("p.json"))["rates"][0];
    assert_eq!((&rate["phase"], &rate["cores"], &rate["mean_s"]), (&"p1".into(), &8.into(), &10315.0.into()));
    run(&home, &format!("{scenario}cores = 0\n"), "").fails(2, &["stored 1: cores: 0 is out of range"]);
}

/// The command with no more address space than this, in KiB.
fn run_within(home: &Home, kib: u32, line: &str) -> Ended {
    let command = home.command(&words(line));
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -v {kib} && exec \"$0\" \"$@\"")]).arg(command.get_program());
    limited.args(command.get_args()).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.current_dir(home.path("."));
    Ended::from(limited.output().unwrap())
}

#[test]
fn rates_that_make_millions_of_kinds_are_refused_without_the_memory_for_them() {
    let home = Home::new();
    let mut scenario = String::from(
        "target = '1 sectors per hour'\nminimise = 'machines'\nphases = ['p1', 'p2', 'c1', 'p4']\n[[sku]]\nname = 'box'\ncores = 256\n\
         memory = '1 TiB'\n[[rate]]\nphase = 'c1'\ncores = 1\ntime = '1 min'\n",
    );
    for (phase, cores) in ["p1", "p2", "p4"].into_iter().flat_map(|phase| (1..=170).map(move |cores| (phase, cores))) {
        scenario += &format!("[[rate]]\nphase = '{phase}'\ncores = {cores}\ntime = '1 h'\n");
    }
    fs::write(home.path("s.toml"), scenario).unwrap();
    run_within(&home, 1 << 20, "plan s.toml").fails(3, &["sku 'box' can be cut in too many ways: leave out rates"]);
}
