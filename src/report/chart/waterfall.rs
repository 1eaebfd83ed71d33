//! Spans of time below each other, on one axis.

use maud::{Markup, html};

use super::axis::{self, Scale};
use super::text::{Anchor, Face, Label, width};
use super::{Heading, MARGIN, WIDTH, line, rect, x_title};

/// A stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// When it began, seconds.
    pub start_s: f64,
    /// How long it took, seconds.
    pub length_s: f64,
}

/// A row of the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name, left of it.
    pub name: String,
    /// Its time, right of it.
    pub time: String,
    /// Its share of something, right of the time; may be empty.
    pub share: String,
    /// What is drawn.
    pub stretches: Vec<Stretch>,
    /// Drawn less prominent: it does not count, or is what no other row covers.
    pub aside: bool,
}

/// A waterfall.
#[derive(Clone, Debug, PartialEq)]
pub struct Waterfall {
    /// What it is called.
    pub heading: Heading,
    /// What the axis measures, without the unit.
    pub x_title: String,
    /// The rows from top to bottom.
    pub rows: Vec<Row>,
}

const ROW: f64 = 22.0;
const BAR: f64 = 14.0;

impl Waterfall {
    /// The chart.
    pub fn draw(&self) -> Markup {
        let room = |texts: &mut dyn Iterator<Item = &String>, most| {
            texts.map(|t| width(t, Face::Plain)).fold(0.0, f64::max).min(most) + 1.0
        };
        let names = room(&mut self.rows.iter().map(|row| &row.name), 150.0);
        let times = room(&mut self.rows.iter().map(|row| &row.time), 90.0);
        let shares = room(&mut self.rows.iter().map(|row| &row.share), 90.0);
        let figures = times + if shares > 1.0 { shares + 8.0 } else { 0.0 };
        let (left, right) = (MARGIN + names + 8.0, WIDTH - MARGIN - figures - 8.0);
        let top = self.heading.bottom() + 6.0;
        let bottom = top + ROW * self.rows.len() as f64 + 4.0;
        let (unit, seconds) = self.unit();
        let scale = self.scale(seconds, left, right);
        let body = html! {
            (axis::bottom(&scale.ticks(6), &scale, top, bottom))
            (line("axis", (scale.of(0.0), top), (scale.of(0.0), bottom)))
            @for (n, row) in self.rows.iter().enumerate() {
                @let y = top + ROW * n as f64 + 2.0;
                (Label::new(left - 8.0, y + 12.0, Face::Plain, names).anchor(Anchor::End).draw(&row.name))
                (bars(row, y + (ROW - BAR) / 2.0 - 2.0, &scale, seconds))
                (Label::new(right + 8.0 + times, y + 12.0, Face::Plain, times).anchor(Anchor::End).draw(&row.time))
                (Label::new(WIDTH - MARGIN, y + 12.0, Face::Quiet, shares).anchor(Anchor::End).draw(&row.share))
            }
            (x_title(&format!("{}, {unit}", self.x_title), left, right, bottom + 34.0))
        };
        self.heading.around(WIDTH, bottom + 44.0, body)
    }

    fn ends(&self) -> (f64, f64) {
        let stretches = || self.rows.iter().flat_map(|row| &row.stretches);
        let start = stretches().map(|s| s.start_s).fold(0.0, f64::min);
        (start, stretches().map(|s| s.start_s + s.length_s).fold(0.0, f64::max))
    }

    /// The axis' unit and its seconds: one in which the figures are neither tiny nor huge.
    fn unit(&self) -> (&'static str, f64) {
        let (start, end) = self.ends();
        match (end - start).abs() {
            length if length < 0.2 => ("ms", 1e-3),
            length if length < 300.0 => ("s", 1.0),
            length if length < 3.0 * 3600.0 => ("min", 60.0),
            _ => ("h", 3600.0),
        }
    }

    fn scale(&self, seconds: f64, left: f64, right: f64) -> Scale {
        let (start, end) = self.ends();
        Scale::new(start / seconds, end / seconds, left, right)
    }
}

/// The stretches of a row, touching ones told apart by a gap where there is room for it.
fn bars(row: &Row, y: f64, scale: &Scale, seconds: f64) -> Markup {
    let class = if row.aside { "aside" } else { "span" };
    html! {
        @for stretch in &row.stretches {
            @let (from, to) = (scale.of(stretch.start_s / seconds), scale.of((stretch.start_s + stretch.length_s) / seconds));
            @let gap = if row.stretches.len() > 1 && to - from > 3.0 { 1.0 } else { 0.0 };
            (rect(class, from, y, to - from - gap, BAR))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(name: &str, stretches: &[(f64, f64)], aside: bool) -> Row {
        let stretches = stretches.iter().map(|&(start_s, length_s)| Stretch { start_s, length_s }).collect();
        Row { name: name.into(), time: "8.10 s".into(), share: "65.3 %".into(), stretches, aside }
    }

    fn chart(rows: Vec<Row>) -> Waterfall {
        Waterfall { heading: Heading { title: "p4".into(), ..Heading::default() }, x_title: "time".into(), rows }
    }

    #[test]
    fn what_comes_before_the_clock_lies_left_of_zero() {
        let chart = chart(vec![row("params", &[(-5.0, 5.0)], true), row("msm", &[(0.0, 10.0), (10.0, 10.0)], false)]);
        assert_eq!(chart.ends(), (-5.0, 20.0));
        let svg = chart.draw().into_string();
        assert_eq!((svg.matches("class=\"aside\"").count(), svg.matches("class=\"span\"").count()), (1, 2));
        for part in [">params<", ">time, s<", ">-5<", ">20<"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
    }

    #[test]
    fn the_unit_follows_the_length() {
        let unit = |length| chart(vec![row("a", &[(0.0, length)], false)]).unit().0;
        assert_eq!([0.03, 12.0, 1800.0, 36000.0].map(unit), ["ms", "s", "min", "h"]);
    }

    proptest! {
        #[test]
        fn any_times_make_a_chart(times in prop::collection::vec((any::<f64>(), any::<f64>()), 0..6)) {
            let svg = chart(vec![row("a", &times, false)]).draw().into_string();
            prop_assert!(!svg.contains("NaN\"") && !svg.contains("\"inf"));
        }
    }
}
