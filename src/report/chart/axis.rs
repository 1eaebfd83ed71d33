//! Axes: round numbers to mark, and where a value lies.

use maud::{Markup, html};

use super::line;
use super::text::{Anchor, Face, Label, width};

/// A linear map from values to coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The values at the two ends, the lower first.
    pub values: (f64, f64),
    /// The coordinates of these.
    pub at: (f64, f64),
}

impl Scale {
    /// A map that has a positive length whatever the values are.
    pub fn new(low: f64, high: f64, from: f64, to: f64) -> Scale {
        let low = if low.is_finite() { low } else { 0.0 };
        let high = if high.is_finite() && high > low { high } else { low + low.abs().max(1.0) };
        Scale { values: (low, high), at: (from, to) }
    }

    /// Where a value lies; values beyond the ends lie at them.
    pub fn of(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        // Halves, because the whole distance between two figures may be more than a figure can be.
        let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self.at.0 + share * (self.at.1 - self.at.0)
    }

    /// Round numbers between the ends, about `count` of them, with their texts.
    pub fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let (low, high) = self.values;
        let step = step((high / 2.0 - low / 2.0) * 2.0 / count as f64);
        if !step.is_finite() || step <= 0.0 || (low / step).abs().max((high / step).abs()) > 1e9 {
            return vec![(low, short(low)), (high, short(high))];
        }
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        let text = |value: f64| {
            // Not "-0".
            let text = format!("{:.*}", decimals, value + 0.0);
            if value.abs() >= 1e7 { short(value) } else { text }
        };
        (first..=last).map(|n| (n as f64 * step, text(n as f64 * step))).collect()
    }
}

/// 1, 2 or 5 times a power of ten, at least as large as this.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least * 0.999).unwrap_or(least)
}

fn short(value: f64) -> String {
    if value == 0.0 { "0".to_string() } else { format!("{value:.1e}") }
}

/// A vertical axis at the left edge: lines across the plot and their figures to the left of it.
pub fn left(scale: &Scale, left: f64, right: f64, room: f64) -> Markup {
    html! {
        @for (value, text) in scale.ticks(5) {
            @let y = scale.of(value);
            (line("grid", (left, y), (right, y)))
            (Label::new(left - 6.0, y + 4.0, Face::Tick, room).anchor(Anchor::End).draw(&text))
        }
    }
}

/// A horizontal axis at the bottom: lines up the plot and their figures below it, those left out that would touch the one before.
pub fn bottom(ticks: &[(f64, String)], scale: &Scale, top: f64, bottom: f64) -> Markup {
    let mut free = f64::NEG_INFINITY;
    let mut shown = Vec::new();
    for (value, text) in ticks {
        let (x, half) = (scale.of(*value), width(text, Face::Tick) / 2.0);
        let fits = x - half >= free;
        if fits {
            free = x + half + 6.0;
        }
        shown.push((x, fits.then_some((text, 2.0 * half + 1.0))));
    }
    html! {
        @for (x, text) in shown {
            (line("grid", (x, top), (x, bottom)))
            @if let Some((text, room)) = text {
                (Label::new(x, bottom + 15.0, Face::Tick, room).anchor(Anchor::Middle).draw(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(low: f64, high: f64) -> Vec<String> {
        Scale::new(low, high, 0.0, 1.0).ticks(5).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_numbers_with_the_same_decimals() {
        assert_eq!(texts(0.0, 100.0), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(texts(0.0, 0.23), ["0.00", "0.05", "0.10", "0.15", "0.20"]);
        assert_eq!(texts(-3.0, 4.0), ["-2", "0", "2", "4"]);
        assert_eq!(texts(0.0, 2e8), ["0", "5.0e7", "1.0e8", "1.5e8", "2.0e8"]);
    }

    #[test]
    fn an_axis_of_one_value_has_a_length() {
        let scale = Scale::new(5.0, 5.0, 0.0, 100.0);
        assert_eq!((scale.values, scale.of(5.0), scale.of(10.0), scale.of(99.0)), ((5.0, 10.0), 0.0, 100.0, 100.0));
    }

    #[test]
    fn figures_that_would_touch_are_left_out_and_their_lines_stay() {
        let ticks: Vec<(f64, String)> = (0..100).map(|n| (f64::from(n), n.to_string())).collect();
        let drawn = bottom(&ticks, &Scale::new(0.0, 99.0, 0.0, 200.0), 0.0, 10.0).into_string();
        assert_eq!(drawn.matches("<line").count(), 100);
        assert!((5..15).contains(&drawn.matches("<text").count()), "{drawn}");
    }

    proptest! {
        #[test]
        fn every_value_lies_between_the_ends(low in any::<f64>(), high in any::<f64>(), value in any::<f64>()) {
            let scale = Scale::new(low, high, 10.0, 90.0);
            prop_assert!((10.0..=90.0).contains(&scale.of(value)));
            let ticks = scale.ticks(5);
            prop_assert!(ticks.len() <= 12 && ticks.iter().all(|(_, text)| text.len() <= 24), "{:?}", ticks);
        }
    }
}
