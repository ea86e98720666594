//! Changes inside one line that keep the author's spacing.
//!
//! A trailing comment stays in its column where a neighbouring line shows that the column was
//! meant; elsewhere the space before it stays as wide as it was.

use std::ops::Range;

use crate::document::{Document, Line};
use crate::word::{Word, Words};

/// Puts a word behind the word with this index.
pub(crate) fn insert_behind(document: &mut Document, number: usize, behind: usize, word: &[u8]) {
    let end = document.lines()[number - 1].words().list[behind].end;
    change(document, number, end..end, &[b" ", word].concat());
}

/// Takes words out, with the space before them.
pub(crate) fn remove(document: &mut Document, number: usize, words: Range<usize>) {
    let list = document.lines()[number - 1].words().list;
    let start = list[words.start - 1].end;
    let end = list[words.end - 1].end;
    change(document, number, start..end, b"");
}

/// Writes another word in the place of one.
pub(crate) fn replace(document: &mut Document, number: usize, word: usize, with: &[u8]) {
    let list = document.lines()[number - 1].words().list;
    let Word { start, end, .. } = list[word];
    change(document, number, start..end, with);
}

fn change(document: &mut Document, number: usize, range: Range<usize>, with: &[u8]) {
    let meant = comment_column_is_meant(document, number);
    let before = document.lines()[number - 1].words().comment;
    document.splice(number, range, with);
    let (true, Some(before)) = (meant, before) else { return };
    let line = &document.lines()[number - 1];
    let Some(now) = line.words().comment else { return };
    if now < before {
        document.splice(number, now..now, &vec![b' '; before - now]);
    } else {
        let gap = line.content()[..now].iter().rev().take_while(|&&byte| byte == b' ').count();
        let shift = now - before;
        // One space must be left, or the comment would become part of the word.
        if gap > shift {
            document.splice(number, now - shift..now, b"");
        }
    }
}

/// Whether the line above or below has its comment in the same column.
fn comment_column_is_meant(document: &Document, number: usize) -> bool {
    let Some(own) = column(&document.lines()[number - 1]) else { return false };
    let near = [document.line(number - 1), document.line(number + 1)];
    near.into_iter().flatten().any(|line| column(line) == Some(own))
}

/// The indent and the offset of a trailing comment. Behind a tab, offsets are not columns.
fn column(line: &Line) -> Option<(&[u8], usize)> {
    let Words { list, comment, fault } = line.words();
    let comment = comment?;
    let indent = line.indent();
    let has_tab = line.content()[indent.len()..comment].contains(&b'\t');
    (!list.is_empty() && fault.is_none() && !has_tab).then_some((indent, comment))
}
