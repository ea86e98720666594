//! Words of one configuration line, split and decoded as HAProxy's own reader does it.
//!
//! Nothing here knows what a word means, and environment variables are marked, never expanded:
//! their values belong to the service that runs HAProxy, not to whoever reads the file.

use std::borrow::Cow;

/// One word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a> {
    /// The word as HAProxy sees it: quotes removed, escapes decoded, variables left as written.
    pub text: Cow<'a, [u8]>,
    /// Offset in the line of the first byte of the word as written.
    pub start: usize,
    /// Offset in the line behind the last byte of the word as written.
    pub end: usize,
    /// Whether a `$` that may be expanded stands in the word.
    pub variable: bool,
}

impl Word<'_> {
    /// Whether the decoded word is exactly `text`, with nothing in it left to expand.
    pub fn is(&self, text: &str) -> bool {
        !self.variable && *self.text == *text.as_bytes()
    }

    /// The decoded word for people; bytes that are not UTF-8 become replacement characters.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

/// Why HAProxy would refuse to split a line; the offset is where it would point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A quote that opens at this offset and does not end on its line.
    #[error("unmatched quote at offset {0}")]
    UnmatchedQuote(usize),
    /// A `\x` at this offset that two hexadecimal digits do not follow.
    #[error("invalid hexadecimal escape at offset {0}")]
    InvalidHex(usize),
}

/// All words of one line and what stands behind them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words<'a> {
    /// The words in order; those before a fault are kept.
    pub list: Vec<Word<'a>>,
    /// Offset of the `#` that starts a trailing comment.
    pub comment: Option<usize>,
    /// The first thing HAProxy would refuse.
    pub fault: Option<Fault>,
}

/// Splits the content of one line (its ending may be present).
pub(crate) fn split(line: &[u8]) -> Words<'_> {
    split_first(line, usize::MAX)
}

/// Splits off the first words only; what stands behind them is not looked at.
pub(crate) fn split_first(line: &[u8], count: usize) -> Words<'_> {
    let list = Vec::with_capacity(count.min(8));
    let words = Words { list, comment: None, fault: None };
    let mut splitter = Splitter { line, at: 0, words };
    splitter.run(count);
    splitter.words
}

/// HAProxy's idea of white space: the C locale's.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// A carriage return ends a line wherever it stands, even between quotes; so does a NUL.
fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

struct Splitter<'a> {
    line: &'a [u8],
    at: usize,
    words: Words<'a>,
}

impl<'a> Splitter<'a> {
    fn run(&mut self, count: usize) {
        // Leading white space is the only place where a carriage return does not end the line.
        while self.line.get(self.at).copied().is_some_and(is_space) {
            self.at += 1;
        }
        while let Some(&byte) = self.line.get(self.at) {
            if ends_line(byte) || self.words.list.len() >= count {
                return;
            } else if byte == b'#' {
                self.words.comment = Some(self.at);
                return;
            } else if is_space(byte) {
                self.at += 1;
            } else if let Err(fault) = self.word() {
                self.words.fault = Some(fault);
                return;
            }
        }
    }

    /// Reads the word that starts here. Plain words are borrowed, decoded ones are copied.
    fn word(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let line = self.line;
        let plain =
            |byte: u8| !is_space(byte) && !matches!(byte, b'"' | b'\'' | b'\\' | b'#' | b'$' | 0);
        while line.get(self.at).copied().is_some_and(plain) {
            self.at += 1;
        }
        let at_end =
            line.get(self.at).is_none_or(|&byte| is_space(byte) || byte == b'#' || byte == 0);
        let mut variable = false;
        let text = if at_end {
            Cow::Borrowed(&line[start..self.at])
        } else {
            let mut text = line[start..self.at].to_vec();
            variable = self.decode(&mut text)?;
            Cow::Owned(text)
        };
        self.words.list.push(Word { text, start, end: self.at, variable });
        Ok(())
    }

    /// Decodes from the first special byte of a word to its end; answers whether it may expand.
    fn decode(&mut self, text: &mut Vec<u8>) -> Result<bool, Fault> {
        let mut quote: Option<(u8, usize)> = None;
        let mut variable = false;
        while let Some(&byte) = self.line.get(self.at) {
            let single = matches!(quote, Some((b'\'', _)));
            match (byte, quote) {
                _ if ends_line(byte) => break,
                (b'#', None) => break,
                (_, None) if is_space(byte) => break,
                (b'"' | b'\'', None) => quote = Some((byte, self.at)),
                (b'"' | b'\'', Some((open, _))) if open == byte => quote = None,
                (b'\\', _) if !single => {
                    self.escape(text, quote.is_some())?;
                    continue;
                }
                _ => {
                    variable |= byte == b'$' && !single;
                    text.push(byte);
                }
            }
            self.at += 1;
        }
        match quote {
            Some((_, offset)) => Err(Fault::UnmatchedQuote(offset)),
            None => Ok(variable),
        }
    }

    /// Decodes the escape at the cursor and steps over it. Unknown escapes stay as written.
    fn escape(&mut self, text: &mut Vec<u8>, in_double_quotes: bool) -> Result<(), Fault> {
        let decoded = match self.line.get(self.at + 1).copied() {
            Some(byte @ (b' ' | b'\\' | b'#' | b'\'' | b'"')) => byte,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b'$') if in_double_quotes => b'$',
            Some(b'x') => {
                let digit = |offset: usize| {
                    let byte = self.line.get(self.at + offset).copied()?;
                    char::from(byte).to_digit(16)
                };
                let (Some(high), Some(low)) = (digit(2), digit(3)) else {
                    return Err(Fault::InvalidHex(self.at));
                };
                text.push((high * 16 + low) as u8);
                self.at += 4;
                return Ok(());
            }
            _ => {
                text.push(b'\\');
                self.at += 1;
                return Ok(());
            }
        };
        text.push(decoded);
        self.at += 2;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        split(line.as_bytes()).list.iter().map(Word::to_text).collect()
    }

    /// Each expectation was read off the error messages of HAProxy 2.6.
    #[test]
    fn words_are_decoded_as_haproxy_decodes_them() {
        for (line, word) in [
            (r#"z"a b"c"#, "za bc"),
            (r"z'a b'c", "za bc"),
            (r"z\ b", "z b"),
            (r"z\b", r"z\b"),
            (r"z\#b", "z#b"),
            (r"z\tb", "z\tb"),
            (r#"z\"b"#, "z\"b"),
            (r"z\'b", "z'b"),
            (r"z'\b\'", r"z\b\"),
            (r#""z\$b""#, "z$b"),
            (r"z\$b", r"z\$b"),
            (r"z\x41b", "zAb"),
            (r#""z#b""#, "z#b"),
            ("z#b", "z"),
            (r#""z'q""#, "z'q"),
            (r#""z\#q\ r""#, "z#q r"),
            (r"z\", r"z\"),
            ("zé", "zé"),
        ] {
            assert_eq!(texts(line), [word], "{line}");
        }
    }

    #[test]
    fn faults_name_where_they_start() {
        assert_eq!(split(br#"a "b c"#).fault, Some(Fault::UnmatchedQuote(2)));
        assert_eq!(split(b"a \"b\rc\"").fault, Some(Fault::UnmatchedQuote(2)));
        assert_eq!(split(br"a z\x4g").fault, Some(Fault::InvalidHex(3)));
    }

    #[test]
    fn variables_are_marked_unless_they_cannot_expand() {
        let marked = |line: &str| split(line.as_bytes()).list[0].variable;
        assert!(marked(r#""${A}""#));
        assert!(marked("${A}:80"));
        assert!(!marked("'${A}'"));
        assert!(!marked(r#""\$A""#));
    }

    #[test]
    fn a_carriage_return_and_a_comment_end_the_words() {
        assert_eq!(texts("\r\n"), Vec::<String>::new());
        assert_eq!(texts("a\rb"), ["a"]);
        let words = split(b" a b # c \"");
        assert_eq!((words.list.len(), words.comment, words.fault), (2, Some(5), None));
    }
}
