//! Keywords of one server line: finding, setting and removing them without touching the others.
//!
//! Every function looks at the line afresh, so edits of one line can follow each other.

use std::ops::Range;

use crate::document::Document;
use crate::line_edit;
use crate::refusal::Reason;
use crate::server::Unclear;
use crate::server_keyword::{self, Shape};

/// One server line of a document that is being edited.
pub(crate) struct ServerLine<'d> {
    pub(crate) document: &'d mut Document,
    pub(crate) number: usize,
    /// Index of the first keyword among the words of the line.
    pub(crate) keywords_from: usize,
}

impl ServerLine<'_> {
    /// The word ranges of every use of a keyword, values included.
    pub(crate) fn uses(&self, name: &str) -> Result<Vec<Range<usize>>, Unclear> {
        let words = self.document.lines()[self.number - 1].words().list;
        let keywords = server_keyword::keywords(&words[self.keywords_from..]);
        let mut at = self.keywords_from;
        let mut open = false;
        let mut found = Vec::new();
        for keyword in &keywords {
            if keyword.may_hide_keywords() {
                return Err(Unclear::Variable);
            }
            let next = at + 1 + keyword.values.len();
            if keyword.known && keyword.word.is(name) {
                if open {
                    return Err(Unclear::UnknownKeyword);
                }
                found.push(at..next);
            }
            open = !keyword.known && keyword.values.is_empty();
            at = next;
        }
        Ok(found)
    }

    /// Takes every use of a keyword out.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Unclear> {
        while let Some(range) = self.uses(name)?.pop() {
            line_edit::remove(self.document, self.number, range);
        }
        Ok(())
    }

    /// Sets a keyword: a flag without, any other with its value. Its opposite (`no-check` for
    /// `check`) goes.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Failure> {
        let fits = matches!(
            (server_keyword::shape(name), value),
            (Some(Shape::Flag), None) | (Some(Shape::Valued), Some(_))
        );
        if !fits {
            return Err(Failure::Reason(Reason::BadKeyword(name.to_owned())));
        }
        let value = value.map(quoted).transpose().map_err(Failure::Reason)?;
        if let Some(opposite) = server_keyword::opposite(name) {
            self.remove(&opposite)?;
        }
        let text = match (&value, self.uses(name)?.pop()) {
            (Some(value), Some(range)) => {
                let word = range.start + 1;
                if range.end <= word {
                    return Err(Failure::Unclear(Unclear::UnknownKeyword));
                }
                let same = {
                    let words = self.document.lines()[self.number - 1].words().list;
                    let wanted = crate::word::split(value.as_bytes()).list;
                    words[word].variable == wanted[0].variable && words[word].text == wanted[0].text
                };
                if !same {
                    line_edit::replace(self.document, self.number, word, value.as_bytes());
                }
                return Ok(());
            }
            (None, Some(_)) => return Ok(()),
            (Some(value), None) => format!("{name} {value}"),
            (None, None) => name.to_owned(),
        };
        self.append(name, &text)?;
        Ok(())
    }

    /// Puts a keyword that the line does not have at its end.
    pub(crate) fn append(&mut self, name: &str, text: &str) -> Result<(), Unclear> {
        let before = self.document.lines()[self.number - 1].clone();
        let last = before.words().list.len() - 1;
        line_edit::insert_behind(self.document, self.number, last, text.as_bytes());
        // Behind an unknown keyword, or one without its value, the word would be taken for a
        // value. Directly behind the address it never is.
        if !self.uses(name).is_ok_and(|uses| !uses.is_empty()) {
            self.document.restore(self.number, before);
            let address = self.keywords_from - 1;
            line_edit::insert_behind(self.document, self.number, address, text.as_bytes());
        }
        Ok(())
    }
}

/// Why a keyword could not be set.
pub(crate) enum Failure {
    /// What the line is now cannot be told.
    Unclear(Unclear),
    /// What was asked for makes no sense.
    Reason(Reason),
}

impl From<Unclear> for Failure {
    fn from(unclear: Unclear) -> Failure {
        Failure::Unclear(unclear)
    }
}

/// Writes a text as one word of a line. Variables are not expanded in it.
pub(crate) fn quoted(text: &str) -> Result<String, Reason> {
    let plain = |byte: u8| byte > b' ' && byte != 0x7f && !b"\"'\\#$".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else if !text.is_empty() && text.bytes().all(|byte| byte >= b' ' && byte != b'\'') {
        Ok(format!("'{text}'"))
    } else {
        Err(Reason::BadWord(text.to_owned()))
    }
}
