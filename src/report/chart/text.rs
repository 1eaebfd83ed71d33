//! Texts in charts: how wide they are at most, how they are shortened to the room they have, and what is taken out of foreign ones.

use maud::{Markup, html};

use super::px;

/// Advance widths of the printable ASCII characters from the blank on, hundredths of the font size, rounded up: those of DejaVu Sans, one
/// of the widest fonts that the style sheet may end up with.
const ASCII: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 54, 100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 30, 66, 56, 87, 75, 79, 61, 79, 70, 64, 62, 74, 69, 99, 69,
    62, 69, 40, 34, 40, 84, 50, 50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64,
    60, 82, 60, 60, 53, 64, 34, 64, 84,
];

/// The bold face is at most this much wider.
const BOLD: f64 = 1.27;

/// How a text is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The chart's title.
    Title,
    /// Names of rows, figures beside bars.
    Plain,
    /// The same, less prominent: axis titles, remarks.
    Quiet,
    /// Figures at an axis, legends.
    Tick,
    /// A figure inside a coloured cell; the cell's class sets its colour.
    Cell,
}

impl Face {
    /// Font size, CSS pixels.
    pub fn size(self) -> f64 {
        match self {
            Face::Title => 14.0,
            Face::Plain | Face::Quiet => 12.0,
            Face::Tick | Face::Cell => 11.0,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Face::Title => "title",
            Face::Plain => "plain",
            Face::Quiet | Face::Tick => "quiet",
            Face::Cell => "cell",
        }
    }
}

/// Where a text stands in relation to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A place for a text, with the room it has.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    x: f64,
    y: f64,
    face: Face,
    room: f64,
    anchor: Anchor,
}

impl Label {
    /// A text that begins at this point of its base line and is no wider than `room`.
    pub fn new(x: f64, y: f64, face: Face, room: f64) -> Label {
        Label { x, y, face, room, anchor: Anchor::Start }
    }

    /// The same, anchored elsewhere.
    pub fn anchor(self, anchor: Anchor) -> Label {
        Label { anchor, ..self }
    }

    /// The text, if there is one; where it has to be shortened it carries the whole in a `<title>`.
    pub fn draw(self, words: &str) -> Markup {
        if words.is_empty() {
            return html! {};
        }
        let words = clean(words);
        let short = shorten(&words, self.face, self.room);
        let anchor = match self.anchor {
            Anchor::Start => None,
            Anchor::Middle => Some("middle"),
            Anchor::End => Some("end"),
        };
        // A renderer must not make it wider than this file thinks it is, where this file can but guess.
        let length = short.chars().any(is_exotic).then(|| px(width(&short, self.face)));
        html! {
            text class=(self.face.class()) x=(px(self.x)) y=(px(self.y)) font-size=(px(self.face.size()))
                text-anchor=[anchor] textLength=[length.as_ref()] lengthAdjust=[length.as_ref().map(|_| "spacingAndGlyphs")] {
                (short)
                @if short != words { title { (words) } }
            }
        }
    }
}

/// The text without what a browser acts on instead of showing it: control characters, direction overrides, invisible marks.
pub fn clean(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    text.replace(acts, "\u{fffd}")
}

/// The most room a text takes, CSS pixels.
pub fn width(text: &str, face: Face) -> f64 {
    let bold = if face == Face::Title { BOLD } else { 1.0 };
    text.chars().map(advance).sum::<f64>() / 100.0 * face.size() * bold
}

fn advance(c: char) -> f64 {
    match c {
        ' '..='~' => f64::from(ASCII[c as usize - ' ' as usize]),
        '\u{590}'..='\u{5ff}' => 75.0,
        '\u{a0}'..='\u{24f}' | '\u{370}'..='\u{3ff}' | '…' => 100.0,
        _ => 125.0,
    }
}

/// Whether a character's width is a guess: outside the scripts whose widths are bounded in every common font.
fn is_exotic(c: char) -> bool {
    // Latin to Arabic; punctuation; Chinese, Japanese and Korean.
    let bounded =
        matches!(c, ' '..='\u{6ff}' | '\u{2010}'..='\u{2026}' | '\u{3000}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}');
    !bounded && c != '\u{fffd}'
}

/// The text if it fits, else as much of its beginning as fits with an ellipsis.
pub fn shorten(text: &str, face: Face, room: f64) -> String {
    if width(text, face) <= room {
        return text.to_string();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if width(&short, face) + width("…", face) > room {
            short.pop();
            break;
        }
    }
    format!("{}…", short.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn widths_are_those_of_the_font() {
        // 0.28 + 0.98 + 0.32 of 12 pixels.
        assert!((width("im ", Face::Plain) - 18.96).abs() < 1e-9);
        assert!((width("i", Face::Title) - 0.28 * 14.0 * 1.27).abs() < 1e-9);
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis_and_is_told_in_full() {
        assert_eq!(shorten("tree_r_last", Face::Plain, 100.0), "tree_r_last");
        assert_eq!(shorten("tree_r_last", Face::Plain, 46.0), "tree_…");
        let drawn = Label::new(1.0, 2.0, Face::Plain, 46.0).anchor(Anchor::End).draw("tree_r_last").into_string();
        assert_eq!(
            drawn,
            "<text class=\"plain\" x=\"1\" y=\"2\" font-size=\"12\" text-anchor=\"end\">tree_…<title>tree_r_last</title></text>"
        );
    }

    #[test]
    fn foreign_text_is_escaped_and_cannot_turn_the_line_around() {
        let drawn = Label::new(0.0, 0.0, Face::Plain, 500.0).draw("</text><script>\u{202e}x\u{7}").into_string();
        assert!(drawn.contains(">&lt;/text&gt;&lt;script&gt;\u{fffd}x\u{fffd}</text>"), "{drawn}");
        let drawn = Label::new(0.0, 0.0, Face::Plain, 500.0).draw("a\u{fdfd}").into_string();
        assert!(drawn.contains("textLength=\"22.4\" lengthAdjust=\"spacingAndGlyphs\""), "{drawn}");
    }

    proptest! {
        #[test]
        fn a_shortened_text_fits_and_is_the_beginning(text in "\\PC{0,40}", room in 20.0..300.0f64) {
            let short = shorten(&text, Face::Plain, room);
            prop_assert!(width(&short, Face::Plain) <= room);
            prop_assert!(short == text || text.starts_with(short.strip_suffix('…').unwrap()));
        }
    }
}
