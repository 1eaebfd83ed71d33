//! The rate of an instance alone over its cores.

use super::{Figures, best, by_key};
use crate::measure::stats::scaling;
use crate::report::chart::Heading;
use crate::report::chart::curve::{Curve, Fit, Line, Point};
use crate::report::document::{Block, Chart, Table};
use crate::report::group::Group;
use crate::report::machines::letter;
use crate::report::statistics::Statistics;
use crate::report::table::Align::{Left, Right};
use crate::report::table::gib_per_hour;
use crate::report::units;

/// Points of a fitted curve between its ends.
const CURVE_STEPS: u32 = 48;

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let alone = figures.groups.iter().filter(|g| g.samples[0].phase.concurrent == 1 && !g.is_twin());
    let key = |g: &Group| (g.machine, g.shape(), g.phase(), g.engine(), g.sectors(), g.origin().name());
    let charts: Vec<Chart> = by_key(alone, key).into_iter().filter_map(|(_, groups)| chart(figures, &groups)).collect();
    (!charts.is_empty()).then_some(Block::Charts(charts)).into_iter().collect()
}

/// The curve through the best group of each number of cores, if there are several numbers.
fn chart(figures: &Figures, groups: &[&Group]) -> Option<Chart> {
    let mut points: Vec<&Group> =
        by_key(groups.iter().copied(), Group::cores).into_iter().filter_map(|(_, groups)| best(&groups)).collect();
    points.sort_by_key(|group| group.cores());
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < 2 {
        return None;
    }
    let subtitle = if figures.machines.len() > 1 {
        format!("{}, machine {}", first.shape(), letter(first.machine))
    } else {
        first.shape().to_string()
    };
    let gain = last.median_rate()? / first.median_rate()?;
    let title = format!("{} {}: GiB/h over cores", first.phase(), first.engine());
    let description = format!(
        "From {} to {} the rate grows from {} to {} GiB/h, to {} times.",
        first.layout(),
        last.layout(),
        first.rate_text(),
        last.rate_text(),
        units::rate(gain)
    );
    let has_intervals = points.iter().any(|group| !group.rate_interval_text().is_empty());
    let curve = Curve {
        heading: Heading { title: title.clone(), subtitle, description },
        x_title: "cores".to_string(),
        y_title: "GiB/h".to_string(),
        measured: format!(
            "{} (median{})",
            first.origin().name(),
            if has_intervals { ", 95 % interval (range if n < 6)" } else { "" }
        ),
        points: points.iter().filter_map(|group| point(group)).collect(),
        fit: fit(&points),
        ideal: ideal(&points),
        bound: bound(&points),
    };
    Some(Chart { svg: curve.draw(), data: table(&title, &points) })
}

fn point(group: &Group) -> Option<Point> {
    let interval = group.rate.as_ref().and_then(Statistics::ends);
    Some(Point { x: group.cores() as f64, y: group.median_rate()?, interval })
}

/// The universal scalability law through the points, or Amdahl's where there are too few for it.
fn fit(points: &[&Group]) -> Option<Fit> {
    let measured: Option<Vec<(f64, f64)>> =
        points.iter().map(|group| Some((group.cores() as f64, group.median_rate()?))).collect();
    let measured = measured?;
    let (name, law, coefficients) = match scaling::usl(&measured) {
        Some(law) => {
            let coefficients = vec![format!("alpha {:.4}", law.alpha), format!("beta {:.4}", law.beta)];
            ("universal scalability law", law, coefficients)
        }
        None => {
            let law = scaling::amdahl(&measured)?;
            let coefficients = vec![format!("alpha {:.4}", law.alpha)];
            ("Amdahl's law", law, coefficients)
        }
    };
    let (first, last) = (measured.first()?.0, measured.last()?.0);
    let at = (0..=CURVE_STEPS).map(|step| first + (last - first) * f64::from(step) / f64::from(CURVE_STEPS));
    Some(Fit {
        name: name.to_string(),
        coefficients: coefficients.into_iter().chain([format!("R2 {:.3}", law.r_squared)]).collect(),
        points: at.map(|cores| (cores, law.rate(cores))).collect(),
    })
}

/// As many times the rate of the fewest cores as there are times more cores.
fn ideal(points: &[&Group]) -> Option<Line> {
    let (first, last) = (points.first()?, points.last()?);
    let per_core = first.median_rate()? / first.cores().max(1) as f64;
    let ends = [first.cores() as f64, last.cores() as f64];
    Some(Line { name: "ideal".to_string(), points: ends.map(|cores| (cores, cores * per_core)).to_vec() })
}

/// The rate if the span with a physical limit were all there is and ran at that limit; none unless every point has the limit.
fn bound(points: &[&Group]) -> Option<Line> {
    let limit = points.first()?.typical().phase.limit.as_ref()?;
    let of = |group: &&Group| {
        let sample = group.typical();
        let seconds = sample.phase.limit.as_ref().filter(|found| found.name == limit.name)?.seconds;
        Some((group.cores() as f64, gib_per_hour(sample.record, sample.phase.sectors, seconds)?))
    };
    let points: Option<Vec<(f64, f64)>> = points.iter().map(of).collect();
    Some(Line { name: format!("limit of {} ({})", limit.span, limit.name), points: points? })
}

fn table(title: &str, points: &[&Group]) -> Table {
    let columns = [("cores", Right), ("GiB/h", Right), ("95 % interval", Right), ("of ideal", Right), ("what", Left)];
    let mut table = Table::new(title, columns);
    let per_core = |group: &Group| group.median_rate().unwrap_or(f64::NAN) / group.cores() as f64;
    for group in points {
        let efficiency = per_core(group) / points.first().map_or(f64::NAN, |first| per_core(first));
        let cells = [group.cores().to_string(), group.rate_text(), group.rate_interval_text()];
        table.row(cells.into_iter().chain([units::percent(efficiency), group.name.clone()]).map(Into::into));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::super::tests::{rows, section};
    use crate::store::sample;
    use serde_json::json;

    #[test]
    fn runs_on_one_and_two_cores_make_a_curve_with_ideal_and_bound() {
        let run = |id: &str, cores: &[usize], wall: f64| {
            sample::changed(|r| {
                r["id"] = id.into();
                r["phases"].as_array_mut().unwrap().truncate(1);
                r["phases"][0]["cores"] = json!(cores);
                r["phases"][0]["threads"] = cores.len().into();
                r["phases"][0]["wall_s"] = wall.into();
            })
        };
        let document = document("t", &[run("a", &[0, 1], 0.5), run("b", &[0], 0.9)]);
        let rows = rows(&document, "scaling");
        assert_eq!(rows[0], ["1", "31.2", "", "100 %", "p1 reference, 1 core"]);
        assert_eq!(rows[1], ["2", "56.2", "", "90.0 %", "p1 reference, 2 cores"]);
        let super::Block::Charts(charts) = &section(&document, "scaling").unwrap().blocks[0] else { panic!() };
        let svg = charts[0].svg.clone().into_string();
        assert!(svg.contains(">ideal<") && svg.contains(">limit of label (sha256 chain)<"), "{svg}");
        assert!(svg.contains("the rate grows from 31.2 to 56.2 GiB/h, to 1.80 times."), "{svg}");
    }

    #[test]
    fn three_numbers_of_cores_are_fitted_by_amdahls_law() {
        // A tenth of the work does not divide: 10 s on one core.
        let run = |cores: usize| {
            sample::changed(|r| {
                r["id"] = format!("on-{cores}").into();
                r["phases"].as_array_mut().unwrap().truncate(1);
                r["phases"][0]["cores"] = json!((0..cores).collect::<Vec<_>>());
                r["phases"][0]["wall_s"] = (1.0 + 9.0 / cores as f64).into();
            })
        };
        let document = document("t", &[run(1), run(2), run(4)]);
        let super::Block::Charts(charts) = &section(&document, "scaling").unwrap().blocks[0] else { panic!() };
        let svg = charts[0].svg.clone().into_string();
        assert!(svg.contains("Amdahl's law, alpha 0.1000, R2 1.000"), "{svg}");
    }
}
