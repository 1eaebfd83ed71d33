//! Charts as SVG: pure functions from plain values to markup.
//!
//! Every text is a `<text>` that can be selected and keeps to the room it was given, in any font that is no wider than the one the widths
//! come from ([`text`]). Colours are classes: the page's style sheet says what they are in light, in dark and in print. A chart has no ids,
//! so any number of them fits one page.

pub mod axis;
pub mod bars;
pub mod cores;
pub mod curve;
pub mod gantt;
pub mod heat_map;
pub mod strip;
pub mod text;
pub mod waterfall;

use maud::{Markup, html};

use text::{Anchor, Face, Label};

/// Width of a chart, in units that are CSS pixels at its natural size.
pub const WIDTH: f64 = 540.0;

/// Room left free at every edge.
const MARGIN: f64 = 8.0;

/// What a chart is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// What it shows.
    pub title: String,
    /// Of what; a line below the title, may be empty.
    pub subtitle: String,
    /// What it says, in sentences, for who cannot see it.
    pub description: String,
}

impl Heading {
    /// Where the chart proper begins.
    fn bottom(&self) -> f64 {
        if self.subtitle.is_empty() { 34.0 } else { 52.0 }
    }

    /// The whole SVG element around a body of this size.
    fn around(&self, width: f64, height: f64, body: Markup) -> Markup {
        let view = format!("0 0 {} {}", px(width), px(height));
        let line = |y, face, text| Label::new(MARGIN, y, face, width - 2.0 * MARGIN).draw(text);
        html! {
            svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" viewBox=(view) width=(px(width)) height=(px(height)) {
                title { (text::clean(&self.title)) }
                desc { (text::clean(&self.description)) }
                (line(20.0, Face::Title, &self.title))
                @if !self.subtitle.is_empty() { (line(38.0, Face::Quiet, &self.subtitle)) }
                (body)
            }
        }
    }
}

/// A coordinate, to a tenth. What is no number, or beyond any page, becomes the nearest that a renderer takes.
fn px(value: f64) -> String {
    let value = if value.is_nan() { 0.0 } else { value.clamp(-1e5, 1e5) };
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

/// A rectangle with a class; none is thinner than a hair, so that what was measured is seen.
fn rect(class: &str, x: f64, y: f64, width: f64, height: f64) -> Markup {
    let width = if width.is_nan() { 0.5 } else { width.max(0.5) };
    html! { rect class=(class) x=(px(x)) y=(px(y)) width=(px(width)) height=(px(height)) {} }
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> Markup {
    html! { line class=(class) x1=(px(from.0)) y1=(px(from.1)) x2=(px(to.0)) y2=(px(to.1)) {} }
}

fn polyline(class: &str, points: &[(f64, f64)]) -> Markup {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", px(*x), px(*y))).collect();
    html! { polyline class=(class) points=(points.join(" ")) {} }
}

/// A whisker along the x axis with its two ends, and a halo that sets it off from what it lies on.
fn whisker(from: f64, to: f64, y: f64) -> Markup {
    html! {
        (rect("halo", from - 2.0, y - 5.0, to - from + 4.0, 10.0))
        (line("interval", (from, y), (to, y)))
        (line("interval", (from, y - 4.0), (from, y + 4.0)))
        (line("interval", (to, y - 4.0), (to, y + 4.0)))
    }
}

/// One entry of a legend: what is drawn for it, in a box of 22 by 12 whose corner is the origin, and its words.
struct Key {
    mark: Markup,
    words: String,
}

/// Height of a legend line.
const KEY_LINE: f64 = 18.0;

/// A legend in two columns; its markup and its height.
fn legend(keys: &[Key], width: f64, top: f64) -> (Markup, f64) {
    const MARK: f64 = 28.0;
    let column = (width - 2.0 * MARGIN) / 2.0;
    // A single pair of columns holds what fits; words that need more room get a line of their own.
    let (mut x, mut y, mut placed) = (0, 0.0, Vec::new());
    for key in keys {
        let wide = MARK + text::width(&key.words, Face::Tick) > column - 8.0;
        if wide && x == 1 {
            (x, y) = (0, y + KEY_LINE);
        }
        placed.push((key, MARGIN + column * f64::from(x), top + y, if wide { 2.0 * column } else { column - 8.0 }));
        if wide || x == 1 { (x, y) = (0, y + KEY_LINE) } else { x = 1 }
    }
    let markup = html! {
        @for (key, x, y, room) in placed {
            g transform=(format!("translate({} {})", px(x), px(y + 2.0))) { (key.mark) }
            (Label::new(x + MARK, y + 12.0, Face::Tick, room - MARK).draw(&key.words))
        }
    };
    (markup, y + if x == 1 { KEY_LINE } else { 0.0 })
}

/// The title of an x axis, in the middle below it.
fn x_title(words: &str, from: f64, to: f64, y: f64) -> Markup {
    Label::new((from + to) / 2.0, y, Face::Quiet, to - from).anchor(Anchor::Middle).draw(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short_and_finite() {
        for (value, written) in
            [(1.0, "1"), (1.26, "1.3"), (-0.01, "0"), (f64::NAN, "0"), (f64::INFINITY, "100000"), (-1e300, "-100000")]
        {
            assert_eq!(px(value), written);
        }
    }

    #[test]
    fn a_chart_has_a_name_a_description_and_no_foreign_markup() {
        let heading = Heading {
            title: "<script>\"a\" & b".to_string(),
            subtitle: String::new(),
            description: "d\u{202e}\n".to_string(),
        };
        let svg = heading.around(100.0, 50.0, html! {}).into_string();
        assert!(svg.contains("role=\"img\" viewBox=\"0 0 100 50\""), "{svg}");
        assert!(
            svg.contains("<title>&lt;script&gt;&quot;a&quot; &amp; b</title><desc>d\u{fffd}\u{fffd}</desc>"),
            "{svg}"
        );
        assert!(!svg.contains("<script"), "{svg}");
    }

    #[test]
    fn a_legend_gives_long_words_a_line_of_their_own() {
        let keys = |words: &[&str]| {
            let keys: Vec<Key> = words.iter().map(|w| Key { mark: html! {}, words: w.to_string() }).collect();
            legend(&keys, WIDTH, 0.0).1
        };
        let long = "a fit that has a name of many words and three coefficients";
        assert_eq!(keys(&[]), 0.0);
        assert_eq!(keys(&["a", "b"]), KEY_LINE);
        assert_eq!(keys(&["a", long, "b"]), 3.0 * KEY_LINE);
    }
}
