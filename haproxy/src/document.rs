//! The lossless document: the lines of one haproxy.cfg, byte for byte.
//!
//! It accepts anything and judges nothing: what the lines mean is the business of [`View`], what
//! may be changed that of the edits.

use std::fmt;
use std::ops::Range;

use crate::view::View;
use crate::word::{self, Words};

/// One configuration file. Printing it gives back exactly the bytes that were parsed, and after
/// an edit every line that was not edited.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Document {
    lines: Vec<Line>,
}

/// One line with its ending.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    bytes: Box<[u8]>,
    /// Which of several joined files it belongs to.
    file: u32,
}

impl Document {
    /// Reads any bytes. It cannot fail: a line that HAProxy would refuse is kept as it is.
    pub fn parse(bytes: &[u8]) -> Document {
        let lines = bytes
            .split_inclusive(|&byte| byte == b'\n')
            .map(|line| Line { bytes: line.into(), file: 0 })
            .collect();
        Document { lines }
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.lines.iter().map(|line| line.bytes.len()).sum());
        for line in &self.lines {
            bytes.extend_from_slice(&line.bytes);
        }
        bytes
    }

    /// Joins the files of one service in load order, so that a `defaults` of one counts for the
    /// next as it does for HAProxy. Edits of the whole come apart again with [`Document::split`].
    pub fn join(files: &[Document]) -> Document {
        let mut lines = Vec::with_capacity(files.iter().map(|file| file.lines.len()).sum());
        for (index, file) in files.iter().enumerate() {
            let index = u32::try_from(index).expect("a service has few files");
            lines.extend(file.lines.iter().cloned().map(|line| Line { file: index, ..line }));
        }
        Document { lines }
    }

    /// Takes a joined document apart into its `count` files, some of which may be empty.
    pub fn split(&self, count: usize) -> Vec<Document> {
        let mut files = vec![Document::default(); count];
        for line in &self.lines {
            if let Some(file) = files.get_mut(line.file as usize) {
                file.lines.push(Line { file: 0, ..line.clone() });
            }
        }
        files
    }

    /// Where a line of a joined document stands: the index of its file and its number there.
    pub fn place(&self, number: usize) -> Option<(usize, usize)> {
        let file = self.line(number)?.file;
        let before = self.lines[..number].partition_point(|line| line.file < file);
        Some((file as usize, number - before))
    }

    /// First and last line of each file that has lines, in order.
    pub(crate) fn files(&self) -> Vec<(usize, usize)> {
        let mut first = 1;
        let runs = self.lines.chunk_by(|line, next| line.file == next.file);
        let borders = |run: &[Line]| {
            let border = (first, first + run.len() - 1);
            first += run.len();
            border
        };
        runs.map(borders).collect()
    }

    /// What the lines mean: sections, servers, binds and the settings in force.
    pub fn view(&self) -> View<'_> {
        View::of(self)
    }

    /// All lines in order; the first one is line 1 wherever a line number is given.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The line with this number, counted from 1.
    pub fn line(&self, number: usize) -> Option<&Line> {
        self.lines.get(number.checked_sub(1)?)
    }

    /// Replaces bytes of the line with this number, which must exist.
    pub(crate) fn splice(&mut self, number: usize, range: Range<usize>, with: &[u8]) {
        let line = &mut self.lines[number - 1];
        let mut bytes = Vec::with_capacity(line.bytes.len() - range.len() + with.len());
        bytes.extend_from_slice(&line.bytes[..range.start]);
        bytes.extend_from_slice(with);
        bytes.extend_from_slice(&line.bytes[range.end..]);
        line.bytes = bytes.into();
    }

    /// Puts an earlier copy of a line back.
    pub(crate) fn restore(&mut self, number: usize, line: Line) {
        self.lines[number - 1] = line;
    }

    /// Inserts lines, given without endings, behind line `after` (0: at the top). They end as
    /// their neighbour does; a neighbour without an ending is given one, as HAProxy demands.
    pub(crate) fn insert(&mut self, after: usize, texts: &[Vec<u8>]) {
        let near = after.saturating_sub(1);
        if !texts.is_empty() && after > 0 && self.lines[near].ending().is_empty() {
            let end = self.lines[near].bytes.len();
            self.splice(after, end..end, b"\n");
        }
        // After that, because a last line cut off behind its `\r` is whole only now.
        let ending: &[u8] = match self.lines.get(near).map(Line::ending) {
            Some(b"\r\n") => b"\r\n",
            _ => b"\n",
        };
        let file = self.lines.get(near).map_or(0, |line| line.file);
        let new = texts.iter().map(|text| Line { bytes: [text, ending].concat().into(), file });
        drop(self.lines.splice(after..after, new.collect::<Vec<_>>()));
    }

    /// Removes the lines with these numbers, counted from 1.
    pub(crate) fn remove(&mut self, numbers: Range<usize>) {
        drop(self.lines.drain(numbers.start - 1..numbers.end - 1));
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.lines).finish()
    }
}

impl Line {
    /// The line as it stands in the file, ending included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The line without its ending.
    pub fn content(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - self.ending().len()]
    }

    /// `\r\n`, `\n`, or nothing on a last line that was cut off.
    pub fn ending(&self) -> &[u8] {
        let bytes = &self.bytes;
        let length = if bytes.ends_with(b"\r\n") { 2 } else { usize::from(bytes.ends_with(b"\n")) };
        &bytes[bytes.len() - length..]
    }

    /// The words of the line.
    pub fn words(&self) -> Words<'_> {
        word::split(self.content())
    }

    /// The white space before the first word.
    pub fn indent(&self) -> &[u8] {
        let content = self.content();
        let end = content.iter().position(|&byte| !word::is_space(byte)).unwrap_or(content.len());
        &content[..end]
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.bytes.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_kept_per_line() {
        let bytes = b"a\r\n\n\tb \r c\nlast";
        let document = Document::parse(bytes);
        assert_eq!(document.to_bytes(), bytes);
        let endings: Vec<&[u8]> = document.lines().iter().map(Line::ending).collect();
        assert_eq!(endings, [b"\r\n".as_slice(), b"\n", b"\n", b""]);
        assert_eq!(document.line(3).map(Line::indent), Some(b"\t".as_slice()));
        assert!(document.line(0).is_none() && document.line(5).is_none());
    }

    #[test]
    fn inserted_lines_end_as_their_neighbour() {
        let mut document = Document::parse(b"a\r\nb");
        document.insert(1, &[b"x".to_vec()]);
        document.insert(3, &[b"y".to_vec()]);
        assert_eq!(document.to_bytes(), b"a\r\nx\r\nb\ny\n");
        document.remove(2..4);
        assert_eq!(document.to_bytes(), b"a\r\ny\n");
    }
}
