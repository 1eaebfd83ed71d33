//! JSON reports, also in the middle of a log: benchy's of every generation and lotus-bench's.
//!
//! A phase that was skipped is 0 in both; such a phase is absent here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lotus_text::lotus_commit2;
use super::run::{Findings, Format, Machine, PhaseTime, Run};
use crate::phase::Phase;
use crate::trial::record::{Finding, Severity};

/// The longest report, bytes. Real ones have a few thousand.
const MAX_REPORT: usize = 1 << 20;

/// How reports begin that do not begin their line.
const OPENINGS: [&str; 4] = ["{\"git\"", "{\"inputs\"", "{\"EnvVar\"", "{\"SectorSize\""];

/// Finds balanced objects in the lines of a log and reads those that are reports.
#[derive(Debug, Default)]
pub struct JsonReports {
    /// The object so far; empty outside of one.
    text: String,
    begins: u64,
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl JsonReports {
    /// Takes a line.
    pub fn line(&mut self, number: u64, text: &str, only: Option<Format>, found: &mut Findings) {
        // Only a new object begins in the first column: what was open is not one.
        if text.starts_with('{') {
            self.cut_off(found);
        }
        let mut rest = text;
        loop {
            if self.text.is_empty() {
                let Some(at) = opening(rest) else { return };
                rest = &rest[at..];
                self.begins = number;
            }
            match self.take(rest) {
                Some(end) => {
                    let object = std::mem::take(&mut self.text);
                    self.forget();
                    self.report(&object, (self.begins, number), only, found);
                    rest = &rest[end..];
                }
                None => break,
            }
        }
        if self.text.len() > MAX_REPORT {
            self.cut_off(found);
        }
    }

    /// The end of the file.
    pub fn end(mut self, found: &mut Findings) {
        self.cut_off(found);
    }

    /// Gives up an object that has no end, and names it if it is the beginning of a report.
    fn cut_off(&mut self, found: &mut Findings) {
        if is_report(&self.text) || begins_report(&self.text) {
            found.problem(self.begins, "a JSON report begins here and does not end: it is cut off".to_string());
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.text.clear();
        (self.depth, self.in_string, self.escaped) = (0, false, false);
    }

    /// Takes text up to the end of the object: where that is, if it is in the text.
    fn take(&mut self, text: &str) -> Option<usize> {
        for (at, byte) in text.bytes().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' => self.depth += 1,
                b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.text.push_str(&text[..=at]);
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        self.text.push_str(text);
        self.text.push('\n');
        None
    }

    fn report(&self, object: &str, lines: (u64, u64), only: Option<Format>, found: &mut Findings) {
        if !is_report(object) {
            return;
        }
        let value: Value = match serde_json::from_str(object) {
            Ok(value) => value,
            Err(error) => {
                found.problem(lines.0, format!("what looks like a JSON report is damaged: {error}"));
                return;
            }
        };
        let wants = |format| only.is_none_or(|only| only == format);
        if value.get("SealingResults").is_some() && wants(Format::LotusJson) {
            found.recognised += 1;
            lotus(&value, lines, found);
        } else if wants(Format::BenchyJson)
            && let Some((inputs, outputs)) = parts(&value)
        {
            found.recognised += 1;
            benchy(&value, &inputs, &outputs, lines, found);
        }
    }
}

fn opening(text: &str) -> Option<usize> {
    let indent = text.len() - text.trim_start().len();
    if text[indent..].starts_with('{') {
        return Some(indent);
    }
    if !text.contains("{\"") {
        return None;
    }
    OPENINGS.iter().filter_map(|opening| text.find(opening)).min()
}

fn is_report(text: &str) -> bool {
    (text.contains("\"inputs\"") && text.contains("\"outputs\"")) || text.contains("\"SealingResults\"")
}

/// Whether a text begins as reports do, however it is indented.
fn begins_report(text: &str) -> bool {
    let start: String = text.chars().filter(|c| !c.is_whitespace()).take(20).collect();
    OPENINGS.iter().any(|opening| start.starts_with(opening))
}

/// A report's values by name, whatever way of writing names its generation has: `replicationTimeMs`, `replication-time-ms` and
/// `replication_time_ms` are one.
type Fields<'a> = BTreeMap<String, &'a Value>;

fn fields(value: &Value) -> Option<Fields<'_>> {
    Some(value.as_object()?.iter().map(|(name, value)| (snake(name), value)).collect())
}

fn snake(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        match c {
            '-' => words.push('_'),
            c if c.is_ascii_uppercase() => {
                words.push('_');
                words.push(c.to_ascii_lowercase());
            }
            c => words.push(c),
        }
    }
    words
}

/// The inputs and outputs of a benchy report.
fn parts(value: &Value) -> Option<(Fields<'_>, Fields<'_>)> {
    let body = value.get("benchmarks").unwrap_or(value);
    Some((fields(body.get("inputs")?)?, fields(body.get("outputs")?)?))
}

/// A figure that is there and not 0.
fn figure(fields: &Fields<'_>, name: &str) -> Option<f64> {
    fields.get(name)?.as_f64().filter(|&figure| figure > 0.0)
}

/// Wall and CPU time of a step that benchy measured in milliseconds, seconds.
fn step(outputs: &Fields<'_>, name: &str) -> Option<(f64, Option<f64>)> {
    let seconds = |kind: &str| figure(outputs, &format!("{name}_{kind}_time_ms")).map(|ms| ms / 1e3);
    Some((seconds("wall")?, seconds("cpu")))
}

fn benchy(value: &Value, inputs: &Fields<'_>, outputs: &Fields<'_>, lines: (u64, u64), found: &mut Findings) {
    let mut run = Run { precision_ns: 1e6, ..Run::new(Format::BenchyJson) };
    run.sector_bytes =
        ["sector_size", "sector_size_bytes", "data_size"].iter().find_map(|name| size(inputs.get(*name)?));
    let small = |names: [&str; 2]| names.iter().find_map(|name| u32::try_from(inputs.get(*name)?.as_u64()?).ok());
    run.layers = small(["stacked_layers", "layers"]);
    run.partitions = small(["porep_partitions", "partitions"]);
    run.revision = value.get("git").and_then(|git| git.get("hash")?.as_str()).map(str::to_string);
    run.machine = value.get("system").and_then(fields).map(|system| Box::new(machine(&system)));
    let mut add = |run: &mut Run, phase, (wall_s, cpu_s): (f64, Option<f64>)| {
        run.phases.push(PhaseTime { phase, begun: None, wall_s, cpu_s, repeat: 0, lines });
    };
    if outputs.contains_key("replication_wall_time_ms") || outputs.contains_key("replication_time_ms") {
        stacked(&mut run, outputs, &mut add);
    } else if outputs.contains_key("porep_proof_gen_wall_time_ms") {
        prodbench(&mut run, inputs, outputs, &mut add);
    } else {
        let names = ["seal_pre_commit_phase1", "seal_pre_commit_phase2", "seal_commit_phase1", "seal_commit_phase2"];
        for (phase, name) in Phase::ALL.into_iter().zip(names) {
            if let Some(took) = step(outputs, name) {
                add(&mut run, phase, took);
            }
        }
        if run.phases.iter().any(|done| done.phase == Phase::P4) {
            let text = "benchy's seal_commit_phase2 includes reading the parameters and verifying the proof";
            run.findings.push(Finding::new("params-included", Severity::Warning, text));
        }
    }
    if run.phases.is_empty() {
        found.note(lines.0, "the report has no time of a sealing phase: nothing to import".to_string());
        return;
    }
    // The process's peak: of a phase only if it ran alone.
    if run.phases.len() == 1 {
        run.max_rss_bytes = figure(outputs, "max_resident_set_size_kb").map(|kib| (kib * 1024.0) as u64);
    }
    found.run(run);
}

type Add<'a> = &'a mut dyn FnMut(&mut Run, Phase, (f64, Option<f64>));

/// `benchy zigzag` and `benchy stacked` of 2019 and 2020.
fn stacked(run: &mut Run, outputs: &Fields<'_>, add: Add<'_>) {
    let micro = |kind: &str| figure(outputs, &format!("vanilla_proving_{kind}_time_us")).map(|us| us / 1e6);
    let total = step(outputs, "total_proving");
    if let Some(vanilla_s) = micro("wall") {
        add(run, Phase::C1, (vanilla_s, micro("cpu")));
    }
    // The total is the vanilla proofs and, if it was asked for, the circuit's.
    let rest = |total: Option<f64>, part: Option<f64>| Some(total? - part.unwrap_or(0.0)).filter(|&rest| rest > 0.01);
    if let Some(circuit_s) = rest(total.map(|total| total.0), micro("wall")) {
        add(run, Phase::P4, (circuit_s, rest(total.and_then(|total| total.1), micro("cpu"))));
    }
    let replication = step(outputs, "replication").map_or_else(String::new, |(wall_s, _)| {
        format!("; replication, which is p1 and p2 in one, took {wall_s} s and is not a phase here")
    });
    let text = format!(
        "benchy's zigzag and stacked prove another circuit than today's: compare them only with themselves{replication}"
    );
    run.findings.push(Finding::new("old-proof", Severity::Warning, text));
}

/// `benchy prodbench`, which measures parts of p1 and p2, and c1 with p4.
fn prodbench(run: &mut Run, inputs: &Fields<'_>, outputs: &Fields<'_>, add: Add<'_>) {
    let sum = |names: &[&str]| {
        let parts: Vec<(f64, Option<f64>)> = names.iter().filter_map(|name| step(outputs, name)).collect();
        let wall_s: f64 = parts.iter().map(|part| part.0).sum();
        (wall_s > 0.0).then(|| (wall_s, parts.iter().map(|part| part.1).sum()))
    };
    let parts = [
        (Phase::P1, vec!["comm_d", "encode_window_time_all"]),
        (Phase::P2, vec!["generate_tree_c", "encoding", "tree_r_last"]),
    ];
    for (phase, names) in parts {
        if let Some(took) = sum(&names) {
            add(run, phase, took);
            let text = format!(
                "{phase} is the sum of the parts that prodbench measures ({}), not all of it",
                names.join(", ")
            );
            run.findings.push(Finding::new("parts-only", Severity::Warning, text));
        }
    }
    if let Some((wall_s, cpu_s)) = step(outputs, "porep_proof_gen") {
        let sectors = figure(inputs, "num_sectors").unwrap_or(1.0);
        add(run, Phase::P4, (wall_s / sectors, cpu_s.map(|cpu_s| cpu_s / sectors)));
        let text =
            "prodbench's proof includes c1, reading the parameters and verifying; of several sectors it is the mean";
        run.findings.push(Finding::new("c1-included", Severity::Warning, text));
    }
}

/// A sector size: bytes, or a text like "32GiB" or "1KiB".
fn size(value: &Value) -> Option<u64> {
    if let Some(bytes) = value.as_u64() {
        return Some(bytes);
    }
    let text = value.as_str()?.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

fn machine(system: &Fields<'_>) -> Machine {
    let number = |name: &str| system.get(name)?.as_u64();
    let small = |name: &str| u32::try_from(number(name)?).ok();
    let text = |name: &str| system.get(name)?.as_str().map(str::to_string);
    // Named _hz, written in MHz.
    let mhz = |name: &str| number(name).map(|speed| if speed > 100_000 { speed / 1_000_000 } else { speed } as u32);
    Machine {
        cpu: text("processor"),
        base_mhz: mhz("processor_base_frequency_hz"),
        max_mhz: mhz("processor_max_frequency_hz"),
        cores: small("processor_cores_physical"),
        threads: small("processor_cores_logical"),
        memory_bytes: number("memory_total_bytes"),
        kernel: text("release"),
    }
}

/// `lotus-bench sealing --json-out`: durations are Go's, whole nanoseconds.
fn lotus(value: &Value, lines: (u64, u64), found: &mut Findings) {
    let mut run = Run::new(Format::LotusJson);
    run.sector_bytes = value.get("SectorSize").and_then(size);
    let results = value.get("SealingResults").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (repeat, result) in results.iter().enumerate() {
        let nanoseconds = |name: &str| result.get(name)?.as_i64().filter(|&ns| ns > 0).map(|ns| ns as f64 / 1e9);
        for (phase, name) in Phase::ALL.into_iter().zip(["PreCommit1", "PreCommit2", "Commit1", "Commit2"]) {
            if let Some(wall_s) = nanoseconds(name) {
                let repeat = repeat as u32;
                run.phases.push(PhaseTime { phase, begun: None, wall_s, cpu_s: None, repeat, lines });
            }
        }
        if nanoseconds("PreCommit").or(nanoseconds("Commit")).is_some() {
            found.note(lines.0, "PreCommit and Commit are two phases in one time each: left out".to_string());
        }
    }
    if run.phases.iter().any(|done| done.phase == Phase::P4) {
        run.findings.push(lotus_commit2());
    }
    if results.is_empty() {
        found.note(lines.0, "SealingResults is empty: nothing to import".to_string());
    }
    found.run(run);
}

#[cfg(test)]
mod tests {
    use super::super::scan::tests::scan;
    use super::*;

    fn times(run: &Run) -> Vec<(Phase, f64, Option<f64>)> {
        run.phases.iter().map(|p| (p.phase, p.wall_s, p.cpu_s)).collect()
    }

    #[test]
    fn a_skipped_phase_is_absent() {
        let text = r#"{"git":{"hash":"abc","date":"2023-10-01T00:00:00Z"},"system":{"processor":"AMD EPYC 7742","processor-base-frequency-hz":2250,
            "processor-cores-logical":128,"memory-total-bytes":1000},"benchmarks":{"inputs":{"sector-size":34359738368},"outputs":{
            "seal-pre-commit-phase1-cpu-time-ms":0,"seal-pre-commit-phase1-wall-time-ms":0,"seal-pre-commit-phase2-cpu-time-ms":9000,
            "seal-pre-commit-phase2-wall-time-ms":1500,"seal-commit-phase1-wall-time-ms":0,"seal-commit-phase2-wall-time-ms":0,
            "max-resident-set-size-kb":100}}}"#;
        let found = scan(text.as_bytes());
        let run = &found.runs[0];
        assert_eq!(times(run), [(Phase::P2, 1.5, Some(9.0))]);
        assert_eq!((run.sector_bytes, run.max_rss_bytes), (Some(32 << 30), Some(102_400)));
        let machine = run.machine.as_ref().unwrap();
        assert_eq!(
            (machine.cpu.as_deref(), machine.base_mhz, machine.threads),
            (Some("AMD EPYC 7742"), Some(2250), Some(128))
        );
        assert_eq!(run.revision.as_deref(), Some("abc"));
    }

    #[test]
    fn the_first_generations_have_no_phases_1_and_2_of_their_own() {
        for outputs in [
            r#""replicationWallTimeMs":4318,"totalProvingWallTimeMs":7000,"vanillaProvingWallTimeUs":2000000"#,
            r#""replication-wall-time-ms":4318,"total-proving-wall-time-ms":7000,"vanilla-proving-wall-time-us":2000000"#,
        ] {
            let text =
                format!(r#"{{"inputs":{{"dataSize":1048576,"layers":10,"partitions":1}},"outputs":{{{outputs}}}}}"#);
            let found = scan(text.as_bytes());
            let run = &found.runs[0];
            assert_eq!(times(run), [(Phase::C1, 2.0, None), (Phase::P4, 5.0, None)]);
            assert_eq!((run.sector_bytes, run.layers), (Some(1 << 20), Some(10)));
            assert!(run.findings[0].code == "old-proof" && run.findings[0].text.contains("4.318 s"));
        }
    }

    #[test]
    fn prodbench_says_what_its_sums_leave_out_and_include() {
        let text = r#"{"benchmarks":{"inputs":{"sector_size":"8MiB","stacked_layers":4,"num_sectors":2},"outputs":{"comm_d_wall_time_ms":0,
            "encode_window_time_all_wall_time_ms":4000,"generate_tree_c_wall_time_ms":6,"tree_r_last_wall_time_ms":6,
            "encoding_wall_time_ms":0,"porep_proof_gen_cpu_time_ms":400,"porep_proof_gen_wall_time_ms":200}}}"#;
        let found = scan(text.as_bytes());
        assert_eq!(
            times(&found.runs[0]),
            [(Phase::P1, 4.0, None), (Phase::P2, 0.012, None), (Phase::P4, 0.1, Some(0.2))]
        );
        assert_eq!(found.runs[0].sector_bytes, Some(8 << 20));
        let codes: Vec<&str> = found.runs[0].findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, ["parts-only", "parts-only", "c1-included"]);
    }

    #[test]
    fn lotus_has_nanoseconds_and_one_entry_per_sector() {
        let text = r#"{"SectorSize":536870912,"SectorNumber":2,"SealingResults":[{"AddPiece":1,"PreCommit1":23512164789,"PreCommit2":0,
            "Commit1":18391743,"Commit2":0},{"PreCommit1":24000000000}]}"#;
        let found = scan(text.as_bytes());
        let phases = &found.runs[0].phases;
        assert_eq!((phases[0].wall_s, phases[1].wall_s, phases[2].wall_s), (23.512164789, 0.018391743, 24.0));
        assert_eq!(phases.iter().map(|p| p.repeat).collect::<Vec<_>>(), [0, 0, 1]);
    }

    #[test]
    fn reports_are_found_between_the_lines_of_a_log() {
        let report = r#"{"inputs":{"sector-size":2048},"outputs":{"seal-commit-phase1-wall-time-ms":7}}"#;
        let other = report.replace(":7}", ":8}");
        let text = format!(
            "{{ no object\n2026-01-02T03:04:05 INFO x > {{\"a\": 1}}\n{{\"a\": \"}}{{\"}}\n{report}2026-01-02T03:04:05 INFO y\nlog: {other}\n"
        );
        let found = scan(text.as_bytes());
        assert_eq!((found.runs.len(), found.problems.len()), (2, 0), "{found:?}");
        let cut = scan(&text.as_bytes()[..text.len() - 5]);
        assert_eq!((cut.runs.len(), cut.problems[0].line), (1, 5));
        let damaged = scan(text.replace("2048", "20x48").as_bytes());
        assert_eq!((damaged.runs.len(), damaged.problems.len()), (0, 2));
    }

    #[test]
    fn a_report_that_is_cut_off_is_named_whatever_follows() {
        let report = r#"{"inputs":{"sector-size":2048},"outputs":{"seal-commit-phase1-wall-time-ms":7}}"#;
        let noise = "2026-01-02T03:04:05 INFO x > {\"a\": 1}\n".repeat(MAX_REPORT / 20);
        for cut in [report.len() - 5, 30] {
            for between in ["", &noise] {
                let text = format!("x\n{}\n{between}{report}\n", &report[..cut]);
                let found = scan(text.as_bytes());
                let problems: Vec<(u64, bool)> =
                    found.problems.iter().map(|problem| (problem.line, problem.text.contains("cut off"))).collect();
                assert_eq!((problems, found.runs.len()), (vec![(2, true)], 1), "{cut} {}", between.len());
            }
        }
        assert_eq!(scan(b"{ no object\n{\"a\": {\n" as &[u8]).problems, []);
    }
}
