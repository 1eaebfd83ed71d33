//! How near each phase's dominating span came to what the machine can do at most.

use super::Figures;
use crate::measure::stats::median;
use crate::report::chart::Heading;
use crate::report::chart::bars::{Bar, Bars};
use crate::report::document::{Block, Chart, Table};
use crate::report::group::Group;
use crate::report::table::Align::{Left, Right};
use crate::report::units;
use crate::trial::record::{Limit, Origin};

/// Bars of one chart.
const BARS: usize = 20;

/// What a group reached of a limit.
struct Reached<'g, 'a> {
    group: &'g Group<'a>,
    limit: &'a Limit,
    /// Of the limit, 1 at most unless the clock rose after the limit was measured.
    share: f64,
    /// The lowest and highest of several samples.
    range: Option<(f64, f64)>,
}

pub fn blocks(figures: &Figures) -> Vec<Block> {
    let reached: Vec<Reached> = figures.groups.iter().filter_map(of).collect();
    let charts: Vec<Chart> = reached.chunks(BARS).map(chart).collect();
    (!charts.is_empty()).then_some(Block::Charts(charts)).into_iter().collect()
}

fn of<'g, 'a>(group: &'g Group<'a>) -> Option<Reached<'g, 'a>> {
    let limit = group.typical().phase.limit.as_ref()?;
    let shares: Vec<f64> = group
        .samples
        .iter()
        .filter_map(|sample| sample.phase.limit.as_ref())
        .filter(|found| found.ratio > 0.0 && (&found.name, &found.span) == (&limit.name, &limit.span))
        .map(|found| 1.0 / found.ratio)
        .collect();
    let ends = shares.iter().fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), s| (low.min(*s), high.max(*s)));
    Some(Reached { group, limit, share: median(&shares)?, range: (shares.len() > 1).then_some(ends) })
}

fn chart(reached: &[Reached]) -> Chart {
    let title = "How near the dominating span came to its physical limit";
    let bar = |reached: &Reached| Bar {
        name: format!("{}: {}", reached.group.name, reached.limit.span),
        figure: units::percent(reached.share),
        value: reached.share * 100.0,
        interval: None,
        hollow: reached.group.origin() != Origin::Measured,
    };
    let best = reached.iter().max_by(|a, b| a.share.total_cmp(&b.share));
    let description = best.map_or_else(String::new, |best| {
        format!("The nearest is {} with {} of {}.", best.group.name, units::percent(best.share), best.limit.name)
    });
    let heading = Heading { title: title.to_string(), subtitle: String::new(), description };
    let chart = Bars {
        heading,
        x_title: "time that the limit allows / time taken, %".to_string(),
        mark: Some((100.0, "the limit, measured on the same machine".to_string())),
        bars: reached.iter().map(bar).collect(),
    };
    Chart { svg: chart.draw(), data: table(title, reached) }
}

fn table(title: &str, reached: &[Reached]) -> Table {
    let mut columns = vec![("what", Left), ("span", Left), ("limit", Left), ("kernels", Left), ("reached", Right)];
    columns.extend([("least to most", Right), ("limit allows", Right), ("other limits", Left)]);
    let mut table = Table::new(title, columns);
    for Reached { group, limit, share, range } in reached {
        let phase = group.typical().phase;
        let kernels: Vec<String> =
            phase.kernel.iter().map(|(primitive, kernel)| format!("{primitive}={kernel}")).collect();
        let others: Vec<String> = phase
            .other_limits
            .iter()
            .map(|other| format!("{} {}", units::percent(1.0 / other.ratio), other.name))
            .collect();
        let range = range.map(|(low, high)| format!("{} to {}", units::percent(low), units::percent(high)));
        let cells = [
            group.name.clone(),
            limit.span.clone(),
            limit.name.clone(),
            kernels.join(", "),
            units::percent(*share),
            range.unwrap_or_default(),
            units::duration(limit.seconds),
            others.join(", "),
        ];
        table.row(cells.map(Into::into));
    }
    table
}
