//! Small bar charts for the terminal: block characters, without colour, the same on a terminal and in a pipe.

/// A bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its name, left of it.
    pub name: String,
    /// Its length.
    pub value: f64,
    /// The interval of confidence of the length.
    pub interval: Option<(f64, f64)>,
    /// Its figure, right of it.
    pub figure: String,
}

/// A full cell, and by how many eighths of one a bar is longer.
const FULL: &str = "█";
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// The part of a bar that its interval makes uncertain, and the interval beyond the bar.
const LIKELY: &str = "▓";
const POSSIBLE: &str = "░";

/// Columns that a bar gets at least, however long the names are.
const LEAST: usize = 10;

/// One line per bar, at most `columns` wide: name, bar, figure. The longest bar, or interval, fills the room for bars.
///
/// A bar with an interval is `█` up to its lower end, `▓` up to the value and `░` up to its upper end.
pub fn bars(bars: &[Bar], columns: usize) -> String {
    let figures = bars.iter().map(|bar| wide(&bar.figure)).max().unwrap_or_default().min(columns / 3);
    let names = bars.iter().map(|bar| wide(&bar.name)).max().unwrap_or_default();
    let names = names.min(columns.saturating_sub(figures + LEAST + 3));
    let room = columns.saturating_sub(names + figures + 3);
    let ends = |bar: &Bar| bar.interval.map_or(bar.value, |(_, high)| high.max(bar.value));
    let longest = bars.iter().map(ends).filter(|end| end.is_finite()).fold(0.0, f64::max);
    let line = |bar: &Bar| {
        let (drawn, cells) = drawn(bar, longest, room);
        let gap = " ".repeat(room - cells + 1);
        let line = format!(" {} {drawn}{gap}{}", fitted(&bar.name, names), fitted(&bar.figure, figures));
        format!("{}\n", line.trim_end())
    };
    bars.iter().map(line).collect()
}

/// The bar and how many cells it takes.
fn drawn(bar: &Bar, longest: f64, room: usize) -> (String, usize) {
    let cells = |value: f64| {
        let share = value / longest;
        if share.is_finite() { share.clamp(0.0, 1.0) * room as f64 } else { 0.0 }
    };
    let Some((low, high)) = bar.interval else {
        let eighths = (cells(bar.value) * 8.0).round() as usize;
        let (whole, rest) = (eighths / 8, eighths % 8);
        return (FULL.repeat(whole) + EIGHTHS[rest], whole + usize::from(rest > 0));
    };
    let value = cells(bar.value).round() as usize;
    let (low, high) = ((cells(low).round() as usize).min(value), (cells(high).round() as usize).max(value));
    (FULL.repeat(low) + &LIKELY.repeat(value - low) + &POSSIBLE.repeat(high - value), high)
}

/// The text in exactly this many columns; one that is longer ends in an ellipsis.
fn fitted(text: &str, columns: usize) -> String {
    let text = super::table::one_line(text);
    if wide(&text) <= columns {
        return format!("{text}{}", " ".repeat(columns - wide(&text)));
    }
    let mut short = String::new();
    for c in text.chars() {
        if wide(&short) + cells(c) + 1 > columns {
            break;
        }
        short.push(c);
    }
    short.push('…');
    format!("{short}{}", " ".repeat(columns.saturating_sub(wide(&short))))
}

/// Columns that a text takes at most.
fn wide(text: &str) -> usize {
    text.chars().map(cells).sum()
}

/// Characters of East Asia, symbols beyond the first plane and whatever else a terminal may draw two columns wide count as two.
fn cells(c: char) -> usize {
    if matches!(c, '\u{1100}'..='\u{115f}' | '\u{231a}'..='\u{24ff}' | '\u{25a0}'..='\u{2b55}' | '\u{2e80}'..='\u{ffdc}' | '\u{10000}'..)
    {
        2
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bar(name: &str, value: f64, interval: Option<(f64, f64)>, figure: &str) -> Bar {
        Bar { name: name.into(), value, interval, figure: figure.into() }
    }

    #[test]
    fn bars_are_as_long_as_their_values_to_an_eighth_of_a_cell() {
        let text = bars(
            &[
                bar("tree_d", 2.0, None, "2.00 s"),
                bar("label", 8.0, None, "8.00 s"),
                bar("write", 4.25, None, "4.25 s"),
                bar("copy", 0.0, None, "0 s"),
            ],
            31,
        );
        let expected = [
            " tree_d ████             2.00 s",
            " label  ████████████████ 8.00 s",
            " write  ████████▌        4.25 s",
            " copy                    0 s",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_interval_is_shaded_on_both_sides_of_the_value() {
        let text = bars(
            &[bar("1x2", 10.0, Some((8.0, 13.0)), "10.0 GiB/h"), bar("2x1", 16.0, Some((15.0, 20.0)), "16.0 GiB/h")],
            36,
        );
        let expected = [" 1x2 ████████▓▓░░░        10.0 GiB/h", " 2x1 ███████████████▓░░░░ 16.0 GiB/h"];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn long_and_foreign_names_stay_within_the_width() {
        let text = bars(&[bar(&"name".repeat(20), 1.0, None, "1 s"), bar("漢字\u{1b}[2J", 1.0, None, "1 s")], 40);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], " namenamenamenamenamenam… ██████████ 1 s");
        assert_eq!(lines[1], " 漢字\u{fffd}[2J                 ██████████ 1 s");
        assert_eq!(bars(&[], 100), "");
    }

    proptest! {
        #[test]
        fn any_bars_are_drawn_within_the_width(
            values in prop::collection::vec((any::<f64>(), any::<f64>(), "\\PC{0,30}"), 0..6),
            columns in 40usize..120,
        ) {
            let drawn: Vec<Bar> = values.iter().map(|(value, high, name)| bar(name, *value, Some((*value, *high)), name)).collect();
            let text = bars(&drawn, columns);
            prop_assert_eq!(text.lines().count(), drawn.len());
            prop_assert!(text.lines().all(|line| wide(line) <= columns), "{}", text);
        }
    }
}
