//! Characters that look like others: a no-break space in an indentation, a curly quote, a full-width colon. YAML rejects them in words that
//! name another line, or takes them as a part of a name.

use std::fmt;

/// Most places that the sentence has; the value has all.
const MAX_SHOWN: usize = 200;

/// One or several of the same character in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The line, from 1.
    pub line: usize,
    /// The column of the first, in characters, from 1.
    pub column: usize,
    /// How many there are in a row.
    pub count: usize,
    /// The character.
    pub character: char,
    /// What is wrong with it there.
    pub why: &'static str,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}: ", self.line, self.column)?;
        if self.count > 1 {
            write!(f, "{} x ", self.count)?;
        }
        write!(f, "U+{:04X} ({})", u32::from(self.character), self.why)
    }
}

/// The error of the YAML parser, which names the first place alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parser {
    /// The line, from 1; 0 if it has none.
    pub line: u64,
    /// The column, from 1; 0 if it has none.
    pub column: u64,
    /// What it says.
    pub text: String,
}

/// Why a text is no Compose file: all of its characters that are not what they look like, and the parser's error.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Malformed {
    /// In order.
    pub rejected: Vec<Rejected>,
    /// None if YAML takes the text, with another meaning than it seems to have.
    pub parser: Option<Parser>,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.rejected.iter().map(|one| one.count).sum();
        if all > 0 {
            let characters = if all == 1 { "character is" } else { "characters are" };
            write!(
                f,
                "{all} {characters} not what they look like: type them anew, or write them as \\uXXXX in double quotes if they are meant"
            )?;
        }
        for one in self.rejected.iter().take(MAX_SHOWN) {
            write!(f, "; {one}")?;
        }
        if self.rejected.len() > MAX_SHOWN {
            write!(f, "; and {} places more", self.rejected.len() - MAX_SHOWN)?;
        }
        if let Some(parser) = &self.parser {
            let start = if all > 0 { "; " } else { "" };
            write!(f, "{start}YAML says: line {} column {}: {}", parser.line, parser.column, parser.text)?;
        }
        Ok(())
    }
}

/// Every character that YAML rejects or takes for another thing than it looks like, in order. Comments may hold any that can be printed.
pub fn check(text: &str) -> Vec<Rejected> {
    let mut scan = Scan::default();
    // A byte order mark is allowed where the text begins.
    for (number, line) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).split('\n')) {
        scan.line(number, line.strip_suffix('\r').unwrap_or(line));
    }
    scan.found
}

/// Where in the text a line begins.
#[derive(Debug, Default)]
struct Scan {
    found: Vec<Rejected>,
    /// The quote that is open.
    quote: Option<char>,
    /// The indentation of the key whose block of literal lines runs.
    block: Option<usize>,
    /// Open brackets.
    flow: usize,
}

/// What comes next in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Spaces before the first word.
    Indent,
    /// A scalar, a key or a list's hyphen may begin.
    Start,
    /// Within a word that is not quoted.
    Plain,
    /// The same, of which the beginning was a quote that is none.
    Curly,
}

impl Scan {
    fn line(&mut self, number: usize, line: &str) {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        if self.block.is_some_and(|indent| spaces <= indent && !line.trim().is_empty()) {
            self.block = None;
        }
        let is_literal = self.block.is_some();
        let mut at = if is_literal || self.quote.is_some() { At::Plain } else { At::Indent };
        let mut before = ' ';
        let mut has_key = false;
        let mut characters = line.chars().zip(1..).peekable();
        while let Some((c, column)) = characters.next() {
            let next = characters.peek().map_or(' ', |(next, _)| *next);
            if !is_literal && self.quote.is_none() && c == '#' && before == ' ' {
                self.comment(number, line, column);
                break;
            }
            if let Some(why) = unseen(c).or_else(|| self.misleading(c, next, at, has_key)) {
                self.reject(number, column, c, why);
                // A sign in another's clothes is read on as what it looks like.
                at = if is_curly(c) && matches!(at, At::Start | At::Indent) { At::Curly } else { at };
            } else if let Some(quote) = self.quote {
                if self.is_pair(quote, c, next) {
                    characters.next();
                }
            } else if !is_literal {
                has_key |= c == ':' && matches!(next, ' ' | '\t');
                at = self.plain(c, next, at);
            }
            before = if c == '\t' { ' ' } else { c };
        }
        if !is_literal && self.quote.is_none() && self.flow == 0 && begins_block(line) {
            self.block = Some(spaces);
        }
    }

    /// A character within quotes: whether it stands for one thing together with the next, which then ends no quote.
    fn is_pair(&mut self, quote: char, c: char, next: char) -> bool {
        let is_pair = match quote {
            '"' => c == '\\' && matches!(next, '"' | '\\'),
            _ => c == quote && next == quote,
        };
        if c == quote && !is_pair {
            self.quote = None;
        }
        is_pair
    }

    /// A character outside of quotes: what may come after it.
    fn plain(&mut self, c: char, next: char, at: At) -> At {
        let begins = matches!(at, At::Indent | At::Start);
        let ends = matches!(next, ' ' | '\t');
        match c {
            ' ' | '\t' => at,
            ':' if ends || (self.flow > 0 && at == At::Plain) => At::Start,
            '-' | '?' if begins && ends => At::Start,
            '"' | '\'' if begins => {
                self.quote = Some(c);
                At::Plain
            }
            '[' | '{' if begins => {
                self.flow += 1;
                At::Start
            }
            ',' if self.flow > 0 => At::Start,
            ']' | '}' if self.flow > 0 => {
                self.flow -= 1;
                At::Plain
            }
            _ if at == At::Curly => At::Curly,
            _ => At::Plain,
        }
    }

    /// What a character looks like that it is not, outside of quotes and literal lines.
    fn misleading(&self, c: char, next: char, at: At, has_key: bool) -> Option<&'static str> {
        if self.block.is_some() || self.quote.is_some() {
            return None;
        }
        let begins = matches!(at, At::Indent | At::Start);
        match c {
            '\t' if at == At::Indent => Some("tab as indentation: YAML wants spaces"),
            _ if is_curly(c) && (begins || at == At::Curly) => Some("curly quotation mark: it quotes nothing"),
            '\u{ff1a}' if !has_key => Some("full-width colon: it ends no key"),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' if begins && next == ' ' => {
                Some("dash: it begins no list item")
            }
            '\u{ff0c}' | '\u{3001}' if self.flow > 0 => Some("full-width comma: it separates nothing"),
            '\u{ff3b}' | '\u{ff3d}' | '\u{ff5b}' | '\u{ff5d}' | '\u{3010}' | '\u{3011}' if begins || self.flow > 0 => {
                Some("full-width bracket: it begins no list")
            }
            '\u{ff03}' if begins => Some("full-width number sign: it begins no comment"),
            _ => None,
        }
    }

    /// A comment may hold everything that can be printed.
    fn comment(&mut self, number: usize, line: &str, from: usize) {
        for (c, column) in line.chars().zip(1..).skip(from) {
            if let Some(why) = forbidden(c) {
                self.reject(number, column, c, why);
            }
        }
    }

    fn reject(&mut self, line: usize, column: usize, character: char, why: &'static str) {
        if let Some(last) = self.found.last_mut()
            && (last.line, last.column + last.count, last.character) == (line, column, character)
        {
            last.count += 1;
            return;
        }
        self.found.push(Rejected { line, column, count: 1, character, why });
    }
}

/// What YAML does not allow anywhere.
fn forbidden(c: char) -> Option<&'static str> {
    match c {
        '\t' | '\u{85}' => None,
        '\r' => Some("carriage return within a line"),
        '\u{feff}' => Some("byte order mark within the text"),
        c if c.is_control() => Some("control character"),
        '\u{fffe}' | '\u{ffff}' => Some("no character"),
        _ => None,
    }
}

/// What nobody sees, or sees as a plain space.
fn unseen(c: char) -> Option<&'static str> {
    forbidden(c).or(match c {
        '\u{a0}' | '\u{202f}' => Some("no-break space: it is no space for YAML"),
        '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => {
            Some("wide or narrow space: it is no space for YAML")
        }
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{3164}' => {
            Some("invisible character: it becomes a part of the word")
        }
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some("invisible character that changes the direction of the text")
        }
        '\u{85}' | '\u{2028}' | '\u{2029}' => Some("line break that is none for YAML 1.2"),
        _ => None,
    })
}

fn is_curly(c: char) -> bool {
    matches!(c, '\u{2018}'..='\u{201f}' | '\u{ff02}' | '\u{ff07}' | '\u{300c}'..='\u{300f}')
}

/// Whether literal lines follow: the line ends with `|` or `>`, perhaps with signs for their ends and indentation.
fn begins_block(line: &str) -> bool {
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let mark = line.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
    let is_after = |before: &str| before.ends_with([':', '-']) || before.contains(": !");
    mark.strip_suffix(['|', '>']).is_some_and(|before| before.ends_with(' ') && is_after(before.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOTES: &str = include_str!("../../../tests/data/compose/p2-46cpu.yml");

    /// Line, column, number and code point of what is found.
    fn found(text: &str) -> Vec<(usize, usize, usize, u32)> {
        check(text).iter().map(|one| (one.line, one.column, one.count, u32::from(one.character))).collect()
    }

    #[test]
    fn the_notes_file_has_none_and_each_kind_is_found_in_it() {
        assert_eq!(found(NOTES), []);
        assert_eq!(found(&NOTES.replace('\n', "\r\n")), []);
        assert_eq!(found(&format!("\u{feff}{NOTES}")), [], "a byte order mark may begin a file");
        // Line 4 is the first service's image.
        for (put, expected) in [
            ("\u{a0}\u{a0}      image: test", vec![(4, 1, 2, 0xa0)]),
            ("    \t   image: test", vec![(4, 5, 1, 0x9)]),
            ("        im\u{200b}age: test", vec![(4, 11, 1, 0x200b)]),
            ("        image: te\u{feff}st", vec![(4, 18, 1, 0xfeff)]),
            ("        image:\u{3000}test", vec![(4, 15, 1, 0x3000)]),
            ("        image\u{ff1a} test", vec![(4, 14, 1, 0xff1a)]),
            ("        image: \u{201c}test\u{201d}", vec![(4, 16, 1, 0x201c), (4, 21, 1, 0x201d)]),
            ("        image: te\u{7}st", vec![(4, 18, 1, 0x7)]),
            ("        image: te\u{202e}st", vec![(4, 18, 1, 0x202e)]),
            ("        image: te\rst", vec![(4, 18, 1, 0xd)]),
            ("        \u{2013} image", vec![(4, 9, 1, 0x2013)]),
            ("        image: [a\u{ff0c}b]", vec![(4, 18, 1, 0xff0c)]),
            ("        image: \"a\u{a0}b\"", vec![(4, 18, 1, 0xa0)]),
            ("        image: test # \u{feff}", vec![(4, 23, 1, 0xfeff)]),
        ] {
            assert_eq!(found(&NOTES.replacen("        image: test", put, 1)), expected, "{put:?}");
        }
    }

    #[test]
    fn all_of_several_are_named_with_their_places() {
        let text = "services:\n\u{a0} a:\n\timage: \u{2018}x\u{2019}\n    command: te\u{200b}st\n";
        assert_eq!(
            found(text),
            [(2, 1, 1, 0xa0), (3, 1, 1, 9), (3, 9, 1, 0x2018), (3, 11, 1, 0x2019), (4, 16, 1, 0x200b)]
        );
        let shown = Malformed { rejected: check(text), parser: None }.to_string();
        assert!(shown.starts_with("5 characters are not what they look like"), "{shown}");
        for place in ["line 2 column 1: U+00A0 (no-break space", "line 4 column 16: U+200B (invisible"] {
            assert!(shown.contains(place), "{shown}");
        }
    }

    #[test]
    fn what_is_meant_is_left_alone() {
        for text in [
            "title: \u{673a}\u{5668}\u{ff1a}\u{4e00} # \u{201c}\u{a0}\u{3000}\u{2013} \u{ff0c}\n",
            "a: \"\u{201c}x\u{201d}\u{ff1a} \\\" # no comment\"\nb: 'it''s \u{2018}x\u{2019}'\n",
            "a: Bob\u{2019}s\nb: x \u{2013} y\nc:\tx\n",
            "a: |\n  \ttab\n  \u{201c}x\u{201d} \"\n  # no comment\nb: \"x\"\n",
            "- >-\n  it's\n- [a, 'b', {c: \"d\"}]\n",
            "a: \"first\n  \t second\"\n",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
        assert_eq!(found("a: |\n  x\nb: \u{201c}x\n"), [(3, 4, 1, 0x201c)], "literal lines end");
        assert_eq!(found("a: 'x\n  y'\nb: \u{201c}x\n"), [(3, 4, 1, 0x201c)], "a quote ends");
    }

    proptest! {
        #[test]
        fn every_unseen_character_is_found_where_it_is(line in 0usize..26, column in 0usize..60, which in 0usize..5) {
            let character = ['\u{200b}', '\u{a0}', '\u{feff}', '\u{1}', '\u{2066}'][which];
            let mut lines: Vec<Vec<char>> = NOTES.lines().map(|line| line.chars().collect()).collect();
            let line = line % lines.len();
            let column = column.min(lines[line].len());
            // The very first place is that of a byte order mark.
            prop_assume!((line, column) != (0, 0));
            lines[line].insert(column, character);
            let text: Vec<String> = lines.into_iter().map(|line| line.into_iter().collect()).collect();
            prop_assert_eq!(found(&text.join("\n")), [(line + 1, column + 1, 1, u32::from(character))]);
        }

        #[test]
        fn no_text_makes_a_panic(text in any::<String>(), other in "[\\-:#|>\"' \t\r\n\\[\\]{},a\u{a0}\u{201c}]{0,80}") {
            let _ = (check(&text), check(&other));
        }
    }
}
