//! All samples of each row as points on one axis, with the median, its interval, and the outliers marked.

use maud::{Markup, html};

use super::axis::{self, Scale};
use super::text::{Anchor, Face, Label, width};
use super::{Heading, Key, MARGIN, WIDTH, legend, line, px, rect, x_title};

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Where it lies.
    pub value: f64,
    /// Far from the others.
    pub outlier: bool,
    /// What it is, for who points at it.
    pub text: String,
}

/// The samples of one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name, left of it.
    pub name: String,
    /// What is told of it, right of it.
    pub figure: String,
    /// The samples in the order in which they were taken.
    pub samples: Vec<Sample>,
    /// Their median.
    pub median: f64,
    /// The median's interval of confidence.
    pub interval: Option<(f64, f64)>,
}

/// A strip plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Strip {
    /// What it is called.
    pub heading: Heading,
    /// What the axis measures, with its unit.
    pub x_title: String,
    /// The rows from top to bottom.
    pub rows: Vec<Row>,
}

const ROW: f64 = 30.0;

impl Strip {
    /// The chart.
    pub fn draw(&self) -> Markup {
        let widest = |text: fn(&Row) -> &String, most: f64| {
            self.rows.iter().map(|row| width(text(row), Face::Plain)).fold(0.0, f64::max).min(most) + 1.0
        };
        let (names, figures) = (widest(|row| &row.name, 170.0), widest(|row| &row.figure, 120.0));
        let (left, right) = (MARGIN + names + 12.0, WIDTH - MARGIN - figures - 12.0);
        let (legend, legend_height) = legend(&self.keys(), WIDTH, self.heading.bottom());
        let top = self.heading.bottom() + legend_height + 8.0;
        let bottom = top + ROW * self.rows.len() as f64;
        let (low, high) = self.ends();
        let scale = Scale::new(low, high, left, right);
        let body = html! {
            (legend)
            (axis::bottom(&scale.ticks(7), &scale, top, bottom))
            (line("axis", (left, bottom), (right, bottom)))
            @for (n, row) in self.rows.iter().enumerate() {
                @let y = top + ROW * (n as f64 + 0.5);
                (Label::new(left - 12.0, y + 4.0, Face::Plain, names).anchor(Anchor::End).draw(&row.name))
                (draw(row, y, &scale))
                (Label::new(right + 12.0, y + 4.0, Face::Quiet, figures).draw(&row.figure))
            }
            (x_title(&self.x_title, left, right, bottom + 34.0))
        };
        self.heading.around(WIDTH, bottom + 44.0, body)
    }

    /// The ends of the axis, a little beyond what is drawn.
    fn ends(&self) -> (f64, f64) {
        let of_row = |row: &Row| {
            let samples = row.samples.iter().map(|sample| sample.value);
            let interval = row.interval.into_iter().flat_map(|(low, high)| [low, high]);
            samples.chain(interval).chain([row.median]).collect::<Vec<_>>()
        };
        let values: Vec<f64> = self.rows.iter().flat_map(of_row).filter(|value| value.is_finite()).collect();
        let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let margin = (high / 2.0 - low / 2.0) * 0.08;
        (low - margin, high + margin)
    }

    fn keys(&self) -> Vec<Key> {
        let key = |mark, words: &str| Key { mark, words: words.to_string() };
        let mut keys = vec![
            key(html! { circle class="sample" cx="11" cy="6" r="3.5" {} }, "a sample"),
            key(line("median", (11.0, 0.0), (11.0, 12.0)), "median"),
        ];
        if self.rows.iter().any(|row| row.interval.is_some()) {
            keys.push(key(rect("band", 2.0, 2.0, 18.0, 8.0), "95 % interval of the median (range if n < 6)"));
        }
        if self.rows.iter().flat_map(|row| &row.samples).any(|sample| sample.outlier) {
            keys.push(key(diamond(11.0, 6.0), "outlier (kept in all figures)"));
        }
        keys
    }
}

fn draw(row: &Row, y: f64, scale: &Scale) -> Markup {
    html! {
        @if let Some((low, high)) = row.interval {
            (rect("band", scale.of(low), y - 8.0, scale.of(high) - scale.of(low), 16.0))
        }
        @for sample in &row.samples {
            @let x = scale.of(sample.value);
            g {
                title { (super::text::clean(&sample.text)) }
                @if sample.outlier { (diamond(x, y)) } @else { circle class="sample" cx=(px(x)) cy=(px(y)) r="3.5" {} }
            }
        }
        (line("median", (scale.of(row.median), y - 11.0), (scale.of(row.median), y + 11.0)))
    }
}

fn diamond(x: f64, y: f64) -> Markup {
    let path = format!("M{} {} l5 5 l-5 5 l-5 -5 z", px(x), px(y - 5.0));
    html! { path class="outlier" d=(path) {} }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strip(values: &[f64]) -> Strip {
        let sample = |value: &f64| Sample { value: *value, outlier: *value > 50.0, text: format!("run {value}") };
        let row = Row {
            name: "p2 native".into(),
            figure: "12.4 s, n = 3".into(),
            samples: values.iter().map(sample).collect(),
            median: values.first().copied().unwrap_or_default(),
            interval: Some((-1.0, 1.0)),
        };
        Strip {
            heading: Heading { title: "spread".into(), ..Heading::default() },
            x_title: "%".into(),
            rows: vec![row],
        }
    }

    #[test]
    fn every_sample_is_drawn_and_outliers_have_another_shape() {
        let svg = strip(&[0.0, 1.0, -2.0, 60.0]).draw().into_string();
        // Three and the legend's; one and the legend's.
        assert_eq!((svg.matches("class=\"sample\"").count(), svg.matches("class=\"outlier\"").count()), (4, 2));
        assert_eq!(svg.matches("class=\"band\"").count(), 2);
        for part in ["<title>run 60</title>", ">12.4 s, n = 3<", ">outlier (kept in all figures)<", ">%<"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert!(!strip(&[0.0]).draw().into_string().contains("outlier"));
    }

    proptest! {
        #[test]
        fn any_samples_make_a_strip(values in prop::collection::vec(any::<f64>(), 0..8)) {
            let svg = strip(&values).draw().into_string();
            prop_assert!(!svg.contains("NaN\"") && !svg.contains("\"inf"));
        }
    }
}
