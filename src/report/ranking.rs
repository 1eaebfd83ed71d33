//! A sweep's result on a terminal.

use std::fmt::Write;

use super::table::{Align, table};
use super::units;
use crate::sweep::fit::LeftOut;
use crate::sweep::rank::{Ranked, Ranking};
use crate::trial::record::Severity;

/// Cells of a bar.
const BAR: usize = 14;

/// One ranking: its points as a table with bars, and what follows from it.
pub fn ranking(ranking: &Ranking) -> String {
    let columns = [
        ("point", Align::Left),
        ("GiB/h", Align::Right),
        ("95 % interval", Align::Right),
        ("spread", Align::Right),
        ("n", Align::Right),
        ("of the best", Align::Right),
        ("", Align::Left),
    ];
    let rows = table(&columns, ranking.points.iter().map(cells));
    format!("{}\n{rows}{}{}\n{}", ranking.class, spoiled(ranking), conclusion(ranking), reportable(ranking))
}

fn cells(point: &Ranked) -> Vec<String> {
    let share = point.of_best.unwrap_or(0.0);
    vec![
        point.point.clone(),
        point.gib_per_h.map_or_else(|| "-".into(), units::rate),
        point.interval.map_or_else(String::new, |i| units::interval((i.low, i.high), point.samples.len(), units::rate)),
        point.cv.map_or_else(String::new, units::percent),
        point.samples.len().to_string(),
        point.of_best.map_or_else(String::new, units::percent),
        "█".repeat((share * BAR as f64).round() as usize),
    ]
}

/// Samples that something disturbed, and trials that failed.
fn spoiled(ranking: &Ranking) -> String {
    let of = |point: &Ranked| match (point.disturbed, point.failed) {
        (0, 0) => None,
        (disturbed, 0) => {
            Some(format!("{}: {disturbed} of {} samples were disturbed\n", point.point, point.samples.len()))
        }
        (disturbed, failed) => {
            Some(format!("{}: {failed} trials failed, {disturbed} samples were disturbed\n", point.point))
        }
    };
    ranking.points.iter().filter_map(of).collect()
}

/// Whether the best may be reported, and what speaks against it.
fn reportable(ranking: &Ranking) -> String {
    let Some(validity) = ranking.points.first().and_then(|best| best.validity.as_ref()) else { return String::new() };
    if validity.reportable {
        return "reportable: yes\n".into();
    }
    let errors = validity.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let codes: Vec<&str> = errors.map(|finding| finding.code.as_str()).collect();
    format!("reportable: no ({})\n", codes.join(", "))
}

fn conclusion(ranking: &Ranking) -> String {
    let Some(best) = ranking.points.first().filter(|best| best.gib_per_h.is_some()) else {
        return format!("nothing was measured of {}", ranking.class);
    };
    let sectors = best.sectors_per_h.map_or_else(String::new, |rate| format!(", {} sectors/h", units::rate(rate)));
    let mut text = format!("best: {}{sectors}", best.point);
    if let (Some(second), Some(differs)) = (ranking.points.get(1), ranking.is_distinguishable) {
        let p = second
            .p
            .map_or_else(String::new, |p| if p < 0.001 { " (p < 0.001)".into() } else { format!(" (p = {p:.3})") });
        let _ = match differs {
            true => write!(text, "; distinguishable from {}{p}", second.point),
            false => write!(text, "; not distinguishable from {}{p}: measure more, or take either", second.point),
        };
    }
    if let Some(floor) = ranking.noise_floor {
        let _ = write!(text, "; equal points differ by {} here (A/A)", units::percent(floor));
    }
    text
}

/// The points that this machine cannot run, and why.
pub fn left_out(points: &[LeftOut]) -> String {
    points.iter().map(|point| format!("left out: {}: {}\n", point.point, point.why)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::record::{Finding, Interval, Validity};

    fn point(name: &str, rate: f64, of_best: f64) -> Ranked {
        Ranked {
            point: name.into(),
            instances: 1,
            cores: 2,
            samples: vec![rate; 4],
            gib_per_h: Some(rate),
            interval: Some(Interval { low: rate * 0.99, high: rate * 1.01 }),
            sectors_per_h: Some(rate * 128.0),
            cv: Some(0.012),
            of_best: Some(of_best),
            p: Some(0.004),
            disturbed: 0,
            failed: 0,
            runs: Vec::new(),
            validity: None,
        }
    }

    #[test]
    fn the_conclusion_says_what_the_figures_allow() {
        let class = "p2 of 8MiB, 2 layers, 1 partition".to_string();
        let points =
            vec![point("p2 native 2x1", 100.0, 1.0), Ranked { disturbed: 1, ..point("p2 native 1x2", 80.0, 0.8) }];
        let sure = Ranking { class, points, noise_floor: Some(0.004), is_distinguishable: Some(true) };
        let text = ranking(&sure);
        for part in [
            "99.0 to 101",
            "80.0 %",
            "p2 native 1x2: 1 of 4 samples were disturbed",
            "best: p2 native 2x1, 12800 sectors/h; distinguishable from p2 native 1x2 (p = 0.004)",
            "equal points differ by 0.400 % here (A/A)",
        ] {
            assert!(text.contains(part), "'{part}' in\n{text}");
        }
        assert!(text.contains(&"█".repeat(BAR)) && text.contains(&format!(" {}\n", "█".repeat(11))), "{text}");
        let finding = Finding::new("virtual-machine", Severity::Error, "measure on the bare machine");
        let broken = Validity { reportable: false, rules: Vec::new(), findings: vec![finding] };
        let mut judged = sure.clone();
        judged.points[0].validity = Some(broken);
        assert!(ranking(&judged).ends_with("\nreportable: no (virtual-machine)\n"), "{}", ranking(&judged));
        let unsure = ranking(&Ranking { is_distinguishable: Some(false), ..sure.clone() });
        assert!(
            unsure.contains("not distinguishable from p2 native 1x2") && unsure.contains("take either"),
            "{unsure}"
        );
        let nothing = Ranking { points: Vec::new(), ..sure };
        assert!(ranking(&nothing).contains("nothing was measured of p2"));
    }
}
