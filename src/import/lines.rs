//! A log, line by line, in bounded memory: whatever its size, its line lengths and its bytes.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};

/// Longest line that is read, bytes; the rest of a longer one is skipped. No line that an import takes anything from is near it.
const MAX_LINE: usize = 256 << 10;

/// How much of a file is read at once.
const BUFFER: usize = 256 << 10;

/// Reads lines and counts them.
pub struct Lines<R> {
    inner: BufReader<R>,
    bytes: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    /// The lines of a reader.
    pub fn new(inner: R) -> Lines<R> {
        Lines { inner: BufReader::with_capacity(BUFFER, inner), bytes: Vec::new(), number: 0 }
    }

    /// The next line and its number, from 1, without its end (LF or CRLF) and without colours. Bytes that are no UTF-8 are replaced.
    pub fn next(&mut self) -> std::io::Result<Option<(u64, Cow<'_, str>)>> {
        self.bytes.clear();
        let whole = (&mut self.inner).take(MAX_LINE as u64).read_until(b'\n', &mut self.bytes)?;
        if whole == 0 {
            return Ok(None);
        }
        if self.bytes.last() != Some(&b'\n') {
            self.inner.skip_until(b'\n')?;
        }
        self.number += 1;
        let mut line = self.bytes.as_slice();
        line = line.strip_suffix(b"\n").unwrap_or(line);
        line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = String::from_utf8_lossy(line);
        Ok(Some((self.number, if is_coloured(line) { Cow::Owned(without_colours(&text)) } else { text })))
    }
}

/// An escape character, or what `cat -v` and some terminals' logs make of it.
fn is_coloured(line: &[u8]) -> bool {
    line.contains(&0x1b) || (line.contains(&b'^') && line.windows(3).any(|three| three == b"^[["))
}

/// The text without terminal control sequences (ECMA-48 CSI), also where the escape character is written `^[`.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, mark)) = [rest.find("\x1b["), rest.find("^[[")].into_iter().zip([2, 3]).fold(None, first) {
        plain.push_str(&rest[..at]);
        let sequence = rest[at + mark..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ';' || c == '?');
        // The final character of the sequence.
        let mut end = sequence.chars();
        end.next();
        rest = end.as_str();
    }
    plain.push_str(rest);
    plain
}

/// The earlier of two finds.
fn first(found: Option<(usize, usize)>, next: (Option<usize>, usize)) -> Option<(usize, usize)> {
    match (found, next.0) {
        (Some(found), Some(at)) if at < found.0 => Some((at, next.1)),
        (None, Some(at)) => Some((at, next.1)),
        (found, _) => found,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives its bytes in pieces of these lengths, over and over.
    pub struct Pieces<'a> {
        pub bytes: &'a [u8],
        pub lengths: Vec<usize>,
        pub turn: usize,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let length = self.lengths[self.turn % self.lengths.len()].min(out.len()).min(self.bytes.len());
            self.turn += 1;
            out[..length].copy_from_slice(&self.bytes[..length]);
            self.bytes = &self.bytes[length..];
            Ok(length)
        }
    }

    fn lines(reader: impl Read) -> Vec<(u64, String)> {
        let mut lines = Lines::new(reader);
        let mut all = Vec::new();
        while let Some((number, text)) = lines.next().unwrap() {
            all.push((number, text.into_owned()));
        }
        all
    }

    #[test]
    fn ends_of_lines_and_colours_are_taken_off() {
        let text = b"one\r\n\x1b[32m INFO\x1b[0m two\n^[[38;5;7mDEBUG^[[0m three\n\n\xff four \x1b[";
        let texts: Vec<String> = lines(&text[..]).into_iter().map(|line| line.1).collect();
        assert_eq!(texts, ["one", " INFO two", "DEBUG three", "", "\u{fffd} four "]);
    }

    #[test]
    fn the_rest_of_an_overlong_line_is_skipped_and_the_next_one_has_its_number() {
        let mut text = vec![b'x'; 3 * MAX_LINE];
        text.extend_from_slice(b"\nnext\n");
        let lines = lines(text.as_slice());
        assert_eq!((lines.len(), lines[0].1.len()), (2, MAX_LINE));
        assert_eq!(lines[1], (2, "next".to_string()));
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_give_the_same_lines(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0x1b), Just(b'['), any::<u8>()], 0..200),
            lengths in proptest::collection::vec(1usize..9, 1..6),
        ) {
            prop_assert_eq!(lines(bytes.as_slice()), lines(Pieces { bytes: &bytes, lengths, turn: 0 }));
        }
    }
}
