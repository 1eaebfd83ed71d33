//! A grid of rates, the darker (in dark, the lighter) the better.

use maud::{Markup, html};

use super::text::{Anchor, Face, Label, width};
use super::{Heading, Key, MARGIN, WIDTH, legend, line, rect};
use crate::report::units;

/// A cell of the grid.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// What was measured there.
    Rate {
        /// The rate.
        rate: f64,
        /// Anything else to tell of it, for who points at the cell.
        note: String,
    },
    /// The machine has room for it, but it was not measured.
    NotMeasured,
    /// The machine has no room for it.
    DoesNotFit,
}

impl Cell {
    fn rate(&self) -> Option<f64> {
        match self {
            Cell::Rate { rate, .. } if rate.is_finite() => Some(*rate),
            _ => None,
        }
    }
}

/// A heat-map.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// What it is called.
    pub heading: Heading,
    /// What the columns stand for.
    pub x_title: String,
    /// What the rows stand for.
    pub y_title: String,
    /// The unit of the rates.
    pub unit: String,
    /// The columns, from left to right.
    pub columns: Vec<String>,
    /// The rows from top to bottom, each with a cell for every column.
    pub rows: Vec<(String, Vec<Cell>)>,
}

/// Shades from the lowest to the highest rate.
const SHADES: usize = 7;
const ROW: f64 = 32.0;
/// Space between cells.
const GAP: f64 = 2.0;
/// A chart of many columns grows to this width; then its columns narrow.
const WIDEST: f64 = 1000.0;

impl HeatMap {
    /// The chart.
    pub fn draw(&self) -> Markup {
        let rates = || self.rows.iter().flat_map(|(_, cells)| cells).filter_map(Cell::rate);
        let (low, high) = (rates().fold(f64::INFINITY, f64::min), rates().fold(f64::NEG_INFINITY, f64::max));
        let names = self.rows.iter().map(|(name, _)| width(name, Face::Plain)).fold(24.0, f64::max).min(140.0);
        let left = MARGIN + names + 8.0;
        let figures = rates().map(|rate| width(&units::rate(rate), Face::Cell)).fold(30.0, f64::max) + 8.0;
        let columns = self.columns.len().max(1) as f64;
        let total = (left + columns * figures + MARGIN).clamp(WIDTH, WIDEST);
        let cell = ((total - left - MARGIN) / columns).min(116.0);
        let (legend, legend_height) = legend(&self.keys(low, high), total, self.heading.bottom());
        let top = self.heading.bottom() + legend_height + 26.0;
        let bottom = top + ROW * self.rows.len() as f64;
        let body = html! {
            (legend)
            (Label::new(MARGIN, top - 10.0, Face::Quiet, total - 2.0 * MARGIN).draw(&self.y_title))
            @for (row, (name, cells)) in self.rows.iter().enumerate() {
                @let y = top + ROW * row as f64;
                (Label::new(left - 8.0, y + ROW / 2.0 + 4.0, Face::Plain, names).anchor(Anchor::End).draw(name))
                @for (column, content) in cells.iter().enumerate() {
                    g {
                        title { (text_of(content, name, self.columns.get(column), &self.unit)) }
                        (draw(content, (left + cell * column as f64, y), cell, (low, high)))
                    }
                }
            }
            (self.column_names(left, cell, bottom))
            (super::x_title(&self.x_title, left, left + cell * columns, bottom + 38.0))
        };
        self.heading.around(total, bottom + 48.0, body)
    }

    /// The names below the columns; of narrow columns only every second, third, …
    fn column_names(&self, left: f64, cell: f64, bottom: f64) -> Markup {
        let widest = self.columns.iter().map(|name| width(name, Face::Plain)).fold(0.0, f64::max).min(90.0);
        let every = ((widest + 6.0) / cell).ceil().max(1.0) as usize;
        html! {
            @for (column, name) in self.columns.iter().enumerate().step_by(every) {
                @let middle = left + cell * (column as f64 + 0.5);
                (Label::new(middle, bottom + 18.0, Face::Plain, widest + 1.0).anchor(Anchor::Middle).draw(name))
            }
        }
    }

    fn keys(&self, low: f64, high: f64) -> Vec<Key> {
        let any = |wanted: fn(&Cell) -> bool| self.rows.iter().flat_map(|(_, cells)| cells).any(wanted);
        let mut keys = Vec::new();
        if low.is_finite() {
            let words = match low == high {
                true => format!("{} {}", units::rate(low), self.unit),
                false => format!("{} to {} {}", units::rate(low), units::rate(high), self.unit),
            };
            keys.push(Key { mark: shades(), words });
            keys.push(Key { mark: rect("best", 2.0, 1.0, 18.0, 10.0), words: "the best".to_string() });
        }
        if any(|cell| *cell == Cell::NotMeasured) {
            let mark = rect("unmeasured", 2.0, 1.0, 18.0, 10.0);
            keys.push(Key { mark, words: "not measured".to_string() });
        }
        if any(|cell| *cell == Cell::DoesNotFit) {
            let mark = html! { (rect("misfit", 2.0, 1.0, 18.0, 10.0)) (line("cross", (2.0, 11.0), (20.0, 1.0))) };
            keys.push(Key { mark, words: "does not fit the machine".to_string() });
        }
        keys
    }
}

/// The shades side by side.
fn shades() -> Markup {
    let step = 22.0 / SHADES as f64;
    html! { @for shade in 0..SHADES { (rect(&format!("heat h{shade}"), step * shade as f64, 1.0, step, 10.0)) } }
}

/// A cell with its upper left corner.
fn draw(cell: &Cell, (x, y): (f64, f64), width: f64, (low, high): (f64, f64)) -> Markup {
    let (w, h) = (width - GAP, ROW - GAP);
    match cell.rate() {
        Some(rate) => {
            let shade = shade(rate, low, high);
            let figure = units::rate(rate);
            html! {
                (rect(&format!("heat h{shade}"), x, y, w, h))
                @if rate == high { (rect("best", x + 1.0, y + 1.0, w - 2.0, h - 2.0)) }
                @if super::text::width(&figure, Face::Cell) <= w {
                    g class=(format!("on{shade}")) {
                        (Label::new(x + w / 2.0, y + h / 2.0 + 4.0, Face::Cell, w).anchor(Anchor::Middle).draw(&figure))
                    }
                }
            }
        }
        None if *cell == Cell::DoesNotFit => {
            html! { (rect("misfit", x, y, w, h)) (line("cross", (x, y + h), (x + w, y))) }
        }
        None => rect("unmeasured", x + 0.5, y + 0.5, w - 1.0, h - 1.0),
    }
}

/// The shade of a rate, 0 to `SHADES` - 1.
fn shade(rate: f64, low: f64, high: f64) -> usize {
    let share = (rate / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    // One value alone is the best there is.
    if share.is_nan() { SHADES - 1 } else { ((share * SHADES as f64) as usize).min(SHADES - 1) }
}

fn text_of(cell: &Cell, row: &str, column: Option<&String>, unit: &str) -> String {
    let what = match cell {
        Cell::Rate { rate, note } if note.is_empty() => format!("{} {unit}", units::rate(*rate)),
        Cell::Rate { rate, note } => format!("{} {unit}, {note}", units::rate(*rate)),
        Cell::NotMeasured => "not measured".to_string(),
        Cell::DoesNotFit => "does not fit the machine".to_string(),
    };
    super::text::clean(&format!("{row} x {}: {what}", column.map_or("", String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(rows: Vec<(String, Vec<Cell>)>) -> HeatMap {
        let columns = rows.first().map_or(0, |(_, cells)| cells.len());
        HeatMap {
            heading: Heading { title: "p2 native".into(), ..Heading::default() },
            x_title: "instances".into(),
            y_title: "cores per instance".into(),
            unit: "GiB/h".into(),
            columns: (1..=columns).map(|n| n.to_string()).collect(),
            rows,
        }
    }

    fn rate(rate: f64) -> Cell {
        Cell::Rate { rate, note: String::new() }
    }

    #[test]
    fn shades_go_from_the_lowest_to_the_highest_rate() {
        assert_eq!([0.0, 1.0, 3.5, 6.9, 7.0].map(|value| shade(value, 0.0, 7.0)), [0, 1, 3, 6, 6]);
        assert_eq!(shade(5.0, 5.0, 5.0), 6);
    }

    #[test]
    fn missing_cells_say_why() {
        let svg = map(vec![
            ("1".into(), vec![rate(41.2), Cell::Rate { rate: 80.0, note: "best of 2".into() }]),
            ("2".into(), vec![Cell::NotMeasured, Cell::DoesNotFit]),
        ])
        .draw()
        .into_string();
        for part in [
            "<title>1 x 2: 80.0 GiB/h, best of 2</title>",
            "<title>2 x 1: not measured</title>",
            "<title>2 x 2: does not fit the machine</title>",
            ">41.2 to 80.0 GiB/h<",
            ">cores per instance<",
            ">instances<",
        ] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        // The best cell and the legend's.
        assert_eq!(svg.matches("class=\"best\"").count(), 2);
    }

    #[test]
    fn figures_that_do_not_fit_their_cell_are_told_in_its_title_only() {
        let svg = map(vec![("1".into(), vec![rate(12345.0); 60])]).draw().into_string();
        assert_eq!((svg.matches("<title>1 x ").count(), svg.matches(">12345<").count()), (60, 0));
        assert!(svg.contains("viewBox=\"0 0 1000 "), "{svg}");
    }

    proptest! {
        #[test]
        fn any_rates_make_a_map(rates in prop::collection::vec(any::<f64>(), 0..20)) {
            let svg = map(vec![("1".into(), rates.into_iter().map(rate).collect())]).draw().into_string();
            prop_assert!(!svg.contains("NaN\"") && !svg.contains("\"inf"));
        }
    }
}
