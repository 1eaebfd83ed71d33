//! How a rate grows with something: measured points with their intervals, a fitted curve, the ideal line and a bound.

use maud::{Markup, html};

use super::axis::{self, Scale};
use super::text::{Face, Label, width};
use super::{Heading, Key, MARGIN, WIDTH, legend, line, polyline, px, x_title};

/// A measured point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Along the x axis.
    pub x: f64,
    /// Its height.
    pub y: f64,
    /// The interval of confidence of the height.
    pub interval: Option<(f64, f64)>,
}

/// A line with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is, in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A fitted curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The model, e.g. "Amdahl".
    pub name: String,
    /// Its coefficients as they are to be read, e.g. "parallel 98.1 %".
    pub coefficients: Vec<String>,
    /// Points of the curve, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A chart of one curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is called.
    pub heading: Heading,
    /// What the x axis measures, with its unit.
    pub x_title: String,
    /// What the y axis measures, with its unit.
    pub y_title: String,
    /// What the points are, in the legend.
    pub measured: String,
    /// The points, from left to right.
    pub points: Vec<Point>,
    /// The curve fitted to them.
    pub fit: Option<Fit>,
    /// What perfect scaling would be.
    pub ideal: Option<Line>,
    /// What cannot be exceeded.
    pub bound: Option<Line>,
}

/// Height of the plot.
const PLOT: f64 = 210.0;

/// A bound or ideal may stretch the y axis to this many times what was measured; what lies higher is cut.
const STRETCH: f64 = 1.5;

impl Curve {
    /// The chart.
    pub fn draw(&self) -> Markup {
        let (legend, legend_height) = legend(&self.keys(), WIDTH, self.heading.bottom());
        let top = self.heading.bottom() + legend_height + 24.0;
        let bottom = top + PLOT;
        let y = Scale::new(0.0, self.highest(), bottom, top);
        let room = y.ticks(5).iter().map(|(_, text)| width(text, Face::Tick)).fold(20.0, f64::max);
        let (left, right) = (MARGIN + room + 8.0, WIDTH - MARGIN - 10.0);
        let x = self.x_scale(left + 12.0, right);
        let at = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            below(points, y.values.1).into_iter().map(|(px, py)| (x.of(px), y.of(py))).collect()
        };
        let ticks: Vec<(f64, String)> = self.points.iter().map(|p| (p.x, p.x.to_string())).collect();
        let body = html! {
            (legend)
            (Label::new(MARGIN, top - 10.0, Face::Quiet, WIDTH - 2.0 * MARGIN).draw(&self.y_title))
            (axis::left(&y, left, right, room))
            (axis::bottom(&ticks, &x, top, bottom))
            (line("axis", (left, bottom), (right, bottom)))
            (x_title(&self.x_title, left, right, bottom + 36.0))
            @if let Some(ideal) = &self.ideal { (polyline("ideal", &at(&ideal.points))) }
            @if let Some(bound) = &self.bound { (polyline("bound", &at(&bound.points))) }
            @if let Some(fit) = &self.fit { (polyline("fit", &at(&fit.points))) }
            @for point in &self.points { (mark(point, &x, &y)) }
        };
        self.heading.around(WIDTH, bottom + 46.0, body)
    }

    fn x_scale(&self, from: f64, to: f64) -> Scale {
        let xs = || self.points.iter().map(|point| point.x);
        Scale::new(xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max), from, to)
    }

    /// The top of the y axis.
    fn highest(&self) -> f64 {
        let of_points = self.points.iter().flat_map(|point| [point.y, point.interval.map_or(0.0, |(_, high)| high)]);
        let of_lines = |line: &[(f64, f64)]| line.iter().map(|(_, y)| *y).fold(0.0, f64::max);
        let fit = self.fit.as_ref().map_or(0.0, |fit| of_lines(&fit.points));
        let measured = of_points.fold(fit, f64::max);
        let others = [&self.ideal, &self.bound].into_iter().flatten().map(|line| of_lines(&line.points));
        others.filter(|high| *high <= measured * STRETCH).fold(measured, f64::max) * 1.05
    }

    fn keys(&self) -> Vec<Key> {
        let stroke = |class| line(class, (0.0, 6.0), (22.0, 6.0));
        let mut keys =
            vec![Key { mark: html! { circle class="point" cx="11" cy="6" r="4" {} }, words: self.measured.clone() }];
        if let Some(fit) = &self.fit {
            let words = [std::slice::from_ref(&fit.name), fit.coefficients.as_slice()].concat();
            keys.push(Key { mark: stroke("fit"), words: words.join(", ") });
        }
        for (class, line) in [("ideal", &self.ideal), ("bound", &self.bound)] {
            keys.extend(line.iter().map(|line| Key { mark: stroke(class), words: line.name.clone() }));
        }
        keys
    }
}

/// A point, its interval, and its figures for who points at it.
fn mark(point: &Point, x: &Scale, y: &Scale) -> Markup {
    let (cx, cy) = (x.of(point.x), y.of(point.y));
    html! {
        @if let Some((low, high)) = point.interval {
            @let (low, high) = (y.of(low), y.of(high));
            (line("interval", (cx, low), (cx, high)))
            (line("interval", (cx - 4.0, low), (cx + 4.0, low)))
            (line("interval", (cx - 4.0, high), (cx + 4.0, high)))
        }
        circle class="point" cx=(px(cx)) cy=(px(cy)) r="4" {
            title { (point.x) ": " (super::super::units::rate(point.y)) }
        }
    }
}

/// The part of a line that is not above a height: from its first point on until it crosses it.
fn below(points: &[(f64, f64)], height: f64) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for &(x, y) in points {
        if y <= height {
            kept.push((x, y));
            continue;
        }
        if let Some(&(x0, y0)) = kept.last() {
            kept.push((x0 + (x - x0) * (height - y0) / (y - y0), height));
        }
        break;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn curve(points: Vec<Point>) -> Curve {
        let ideal = points.iter().map(|p| (p.x, p.x * 10.0)).collect();
        Curve {
            heading: Heading { title: "p2 native".into(), ..Heading::default() },
            x_title: "cores".into(),
            y_title: "GiB/h".into(),
            measured: "measured".into(),
            points,
            fit: None,
            ideal: Some(Line { name: "ideal".into(), points: ideal }),
            bound: None,
        }
    }

    fn point(x: f64, y: f64) -> Point {
        Point { x, y, interval: Some((y * 0.9, y * 1.1)) }
    }

    #[test]
    fn a_line_ends_where_it_leaves_the_plot() {
        assert_eq!(below(&[(0.0, 0.0), (10.0, 20.0), (20.0, 40.0)], 30.0), [(0.0, 0.0), (10.0, 20.0), (15.0, 30.0)]);
        assert_eq!(below(&[(0.0, 50.0), (1.0, 1.0)], 30.0), []);
    }

    #[test]
    fn points_intervals_lines_and_titles_are_drawn() {
        let mut curve = curve(vec![point(1.0, 10.0), point(2.0, 18.0), point(4.0, 30.0)]);
        curve.fit = Some(Fit {
            name: "Amdahl".into(),
            coefficients: vec!["parallel 90 %".into()],
            points: vec![(1.0, 10.0), (4.0, 30.0)],
        });
        let svg = curve.draw().into_string();
        for part in [">GiB/h<", ">cores<", ">Amdahl, parallel 90 %<", ">ideal<", ">measured<", "<title>4: 30.0</title>"]
        {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        // Three points and the legend's; three lines for each interval.
        assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"interval\"").count()), (4, 9));
        assert_eq!(
            (svg.matches("<polyline class=\"ideal\"").count(), svg.matches("<polyline class=\"fit\"").count()),
            (1, 1)
        );
        // Measured up to 33 with its interval; the ideal of 40 is near enough to be seen whole.
        assert!(svg.contains(">40<"), "{svg}");
    }

    #[test]
    fn a_bound_far_away_does_not_flatten_the_curve() {
        let mut curve = curve(vec![point(1.0, 10.0), point(2.0, 18.0)]);
        curve.bound = Some(Line { name: "bound".into(), points: vec![(1.0, 1000.0), (2.0, 2000.0)] });
        assert!(curve.highest() < 25.0, "{}", curve.highest());
        assert!(curve.draw().into_string().contains("<polyline class=\"bound\" points=\"\">"));
    }

    proptest! {
        #[test]
        fn any_figures_make_a_chart(points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..6)) {
            let svg = curve(points.into_iter().map(|(x, y)| point(x, y)).collect()).draw().into_string();
            prop_assert!(!svg.contains("NaN\"") && !svg.contains("\"inf"));
        }
    }
}
