//! Horizontal bars from zero, with intervals and a line to compare them with.

use maud::{Markup, html};

use super::axis::{self, Scale};
use super::text::{Anchor, Face, Label, width};
use super::{Heading, Key, MARGIN, WIDTH, legend, line, rect, whisker, x_title};

/// A bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its name, left of it.
    pub name: String,
    /// Its figure, right of it.
    pub figure: String,
    /// Its length.
    pub value: f64,
    /// The interval of confidence of the length.
    pub interval: Option<(f64, f64)>,
    /// Not measured here: drawn hollow.
    pub hollow: bool,
}

/// A bar chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What it is called.
    pub heading: Heading,
    /// What the axis measures, with its unit.
    pub x_title: String,
    /// A value to compare with, and what it is.
    pub mark: Option<(f64, String)>,
    /// The bars from top to bottom.
    pub bars: Vec<Bar>,
}

const ROW: f64 = 26.0;
const BAR: f64 = 16.0;

impl Bars {
    /// The chart.
    pub fn draw(&self) -> Markup {
        let widest = |text: fn(&Bar) -> &String, most: f64| {
            self.bars.iter().map(|bar| width(text(bar), Face::Plain)).fold(0.0, f64::max).min(most) + 1.0
        };
        let (names, figures) = (widest(|bar| &bar.name, 210.0), widest(|bar| &bar.figure, 120.0));
        let (left, right) = (MARGIN + names + 8.0, WIDTH - MARGIN - figures - 10.0);
        let (legend, legend_height) = legend(&self.keys(), WIDTH, self.heading.bottom());
        let top = self.heading.bottom() + legend_height + 6.0;
        let bottom = top + ROW * self.bars.len() as f64 + 2.0;
        let scale = Scale::new(0.0, self.longest(), left, right);
        let body = html! {
            (legend)
            (axis::bottom(&scale.ticks(4), &scale, top, bottom))
            @for (n, bar) in self.bars.iter().enumerate() {
                @let y = top + ROW * n as f64 + (ROW - BAR) / 2.0 + 1.0;
                (Label::new(left - 8.0, y + 12.0, Face::Plain, names).anchor(Anchor::End).draw(&bar.name))
                (rect(if bar.hollow { "hollow" } else { "bar" }, left, y, scale.of(bar.value) - left, BAR))
                @if let Some((low, high)) = bar.interval { (whisker(scale.of(low), scale.of(high), y + BAR / 2.0)) }
                (Label::new(right + 10.0, y + 12.0, Face::Quiet, figures).draw(&bar.figure))
            }
            (line("axis", (left, top), (left, bottom)))
            @if let Some((value, _)) = self.mark { (line("mark", (scale.of(value), top), (scale.of(value), bottom))) }
            (x_title(&self.x_title, left, right, bottom + 34.0))
        };
        self.heading.around(WIDTH, bottom + 44.0, body)
    }

    fn longest(&self) -> f64 {
        let of_bar = |bar: &Bar| bar.interval.map_or(bar.value, |(_, high)| high.max(bar.value));
        let mark = self.mark.as_ref().map_or(0.0, |(value, _)| *value);
        self.bars.iter().map(of_bar).filter(|value| value.is_finite()).fold(mark, f64::max) * 1.02
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        if let Some((_, words)) = &self.mark {
            keys.push(Key { mark: line("mark", (11.0, 0.0), (11.0, 12.0)), words: words.clone() });
        }
        if self.bars.iter().any(|bar| bar.interval.is_some()) {
            keys.push(Key { mark: whisker(2.0, 20.0, 6.0), words: "95 % interval (range if n < 6)".to_string() });
        }
        if self.bars.iter().any(|bar| bar.hollow) {
            keys.push(Key { mark: rect("hollow", 2.0, 1.0, 18.0, 10.0), words: "estimated or imported".to_string() });
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bar(name: &str, value: f64, interval: Option<(f64, f64)>) -> Bar {
        Bar { name: name.into(), figure: format!("{value} %"), value, interval, hollow: false }
    }

    fn chart(bars: Vec<Bar>) -> Bars {
        let heading = Heading { title: "limits".into(), ..Heading::default() };
        Bars { heading, x_title: "of the limit, %".into(), mark: Some((100.0, "the limit".into())), bars }
    }

    #[test]
    fn bars_intervals_and_the_mark_are_drawn_to_one_scale() {
        let svg = chart(vec![bar("a", 50.0, None), bar("b", 96.0, Some((90.0, 99.0)))]).draw().into_string();
        assert_eq!((svg.matches("class=\"bar\"").count(), svg.matches("class=\"mark\"").count()), (2, 2));
        for part in
            [">a<", ">96 %<", ">the limit<", ">95 % interval (range if n &lt; 6)<", ">of the limit, %<", ">100<"]
        {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert_eq!(chart(vec![bar("a", 250.0, None)]).longest(), 255.0);
    }

    #[test]
    fn what_was_not_measured_is_hollow_and_the_legend_says_so() {
        let svg = chart(vec![Bar { hollow: true, ..bar("a", 50.0, None) }]).draw().into_string();
        assert_eq!((svg.matches("class=\"hollow\"").count(), svg.matches("class=\"bar\"").count()), (2, 0));
        assert!(svg.contains(">estimated or imported<"), "{svg}");
    }

    proptest! {
        #[test]
        fn any_figures_make_a_chart(values in prop::collection::vec(any::<f64>(), 0..6)) {
            let bars = values.into_iter().map(|value| bar("a", value, Some((value * 0.9, value * 1.1)))).collect();
            let svg = chart(bars).draw().into_string();
            prop_assert!(!svg.contains("NaN\"") && !svg.contains("\"inf"));
        }
    }
}
