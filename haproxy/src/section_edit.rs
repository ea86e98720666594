//! Edits that add, replace or remove whole lines: servers, statements of a section, and blocks
//! that a program manages between two marker comments.

use std::ops::Range;

use crate::conflict;
use crate::document::Document;
use crate::edit::{Outcome, find_server};
use crate::refusal::{Reason, Refusal};
use crate::server::Unclear;
use crate::server_line::quoted;
use crate::view::{Section, View};
use crate::word::{self, Word};

/// A server to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    /// Its name.
    pub name: String,
    /// Its address, port included, as one word.
    pub address: String,
    /// Its keywords and their values, one word each.
    pub keywords: Vec<String>,
}

impl Document {
    /// Adds a server behind the last one of a backend, aligned with it. A server that is there
    /// with the very same words is left alone; one with other words is a refusal.
    pub fn add_server(&mut self, backend: &str, server: &NewServer) -> Result<Outcome, Refusal> {
        let view = self.view();
        let section = find_backend(&view, backend)?;
        let words = server_words(server).map_err(Refusal::anywhere)?;
        if let Some(existing) = section.servers.iter().find(|found| found.name == server.name) {
            let same = existing.words().iter().map(Word::to_text).eq(plain_words(server));
            let (backend, server) = (backend.to_owned(), server.name.clone());
            let reason = Reason::ServerExists { backend, server };
            return if same {
                Ok(Outcome::Unchanged)
            } else {
                Err(Refusal::at(existing.line, reason))
            };
        }
        let last = section.servers.last();
        let after = last.map_or_else(|| last_statement(&view, section), |server| server.line);
        if section.conditional || view.is_conditional(after) {
            let (backend, server) = (backend.to_owned(), server.name.clone());
            let unclear = Unclear::Conditional;
            return Err(Refusal::at(after, Reason::Unsafe { backend, server, unclear }));
        }
        let neighbour = last.filter(|server| server.template.is_none()).map(|server| server.line);
        let text = match neighbour {
            Some(number) => aligned_with(self.lines()[number - 1].content(), &words),
            None => [&indent_of(&view, section), words.join(" ").as_bytes()].concat(),
        };
        self.insert(after, &[text]);
        Ok(Outcome::Changed)
    }

    /// Removes a server. Refused while another line names it (`track`, `use-server`), and where
    /// HAProxy would not accept the backend without it.
    pub fn remove_server(&mut self, backend: &str, server: &str) -> Result<Outcome, Refusal> {
        let view = self.view();
        let (section, found) = match find_server(&view, backend, server) {
            Ok(found) => found,
            Err(Refusal { reason: Reason::NoSuchServer { .. }, .. }) => {
                return Ok(Outcome::Unchanged);
            }
            Err(refusal) => return Err(refusal),
        };
        let unclear = match &found.template {
            Some(_) => Some(Unclear::Template),
            None if found.conditional => Some(Unclear::Conditional),
            None => None,
        };
        if let Some(unclear) = unclear {
            let (backend, server) = (backend.to_owned(), server.to_owned());
            return Err(Refusal::at(found.line, Reason::Unsafe { backend, server, unclear }));
        }
        if let Some(by) = named_by(&view, section, server) {
            let (backend, server) = (backend.to_owned(), server.to_owned());
            return Err(Refusal::at(by, Reason::StillNamed { backend, server }));
        }
        if let Some(conflict) = conflict::of_removal(&view, section) {
            let (backend, server) = (backend.to_owned(), server.to_owned());
            return Err(Refusal::at(found.line, Reason::Conflict { backend, server, conflict }));
        }
        let line = found.line;
        self.remove(line..line + 1);
        Ok(Outcome::Changed)
    }

    /// Makes the lines between two marker comments at the end of the file say exactly `lines`,
    /// the markers included in the change when they are not there yet. No lines: no block.
    pub fn set_managed_block(&mut self, name: &str, lines: &[&str]) -> Result<Outcome, Refusal> {
        let bad = |text: &str| text.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | 0));
        if let Some(text) = lines.iter().chain([&name]).find(|text| bad(text)) {
            return Err(Refusal::anywhere(Reason::BadWord((*text).to_owned())));
        }
        let before = self.clone();
        let (begin, end) = (format!("# begin managed: {name}"), format!("# end managed: {name}"));
        let mut block = Vec::with_capacity(lines.len() + 2);
        if !lines.is_empty() {
            block.push(begin.clone().into_bytes());
            block.extend(lines.iter().map(|line| line.as_bytes().to_vec()));
            block.push(end.clone().into_bytes());
        }
        let after = match self.block(name, &begin, &end)? {
            Some(range) => {
                self.remove(range.clone());
                range.start - 1
            }
            None => self.lines().len(),
        };
        self.insert(after, &block);
        Ok(if *self == before { Outcome::Unchanged } else { Outcome::Changed })
    }

    /// The line numbers of a managed block, markers included.
    fn block(&self, name: &str, begin: &str, end: &str) -> Result<Option<Range<usize>>, Refusal> {
        let numbers = |marker: &str| -> Vec<usize> {
            let is_it = |content: &[u8]| content.trim_ascii() == marker.as_bytes();
            let lines = self.lines().iter().enumerate();
            lines.filter(|(_, line)| is_it(line.content())).map(|(at, _)| at + 1).collect()
        };
        match (&numbers(begin)[..], &numbers(end)[..]) {
            ([], []) => Ok(None),
            (&[first], &[last]) if first < last => Ok(Some(first..last + 1)),
            (begins, ends) => {
                let line = begins.iter().chain(ends).copied().min();
                Err(Refusal { line, reason: Reason::BrokenBlock(name.to_owned()) })
            }
        }
    }

    /// Makes a section say `name value…` once, as in `"option redispatch"` and `"1"`: its own
    /// last such line is rewritten, or a line is added. Answers whether that was possible: a line
    /// in a condition is left alone.
    pub(crate) fn set_statement(&mut self, section_line: usize, name: &str, value: &str) -> bool {
        let view = self.view();
        let section = view.sections().iter().find(|section| section.line == section_line);
        let section = section.expect("the caller found the section in this very file");
        let text = format!("{name} {value}");
        let text = text.trim_end();
        match view.statements(section, name).pop() {
            Some(found) if found.conditional => return false,
            Some(found) => {
                let (line, words) = (found.line, self.lines()[found.line - 1].words().list);
                let (start, end) = (words[0].start, words[words.len() - 1].end);
                self.splice(line, start..end, text.as_bytes());
            }
            None => {
                let after = last_statement(&view, section);
                if section.conditional || view.is_conditional(after) {
                    return false;
                }
                let line = [&indent_of(&view, section), text.as_bytes()].concat();
                self.insert(after, &[line]);
            }
        }
        true
    }
}

fn find_backend<'v, 'a>(view: &'v View<'a>, backend: &str) -> Result<&'v Section<'a>, Refusal> {
    let mut found = view.backends().filter(|section| section.name == backend);
    match (found.next(), found.next()) {
        (Some(section), None) => Ok(section),
        (None, _) => Err(Refusal::anywhere(Reason::NoSuchBackend(backend.to_owned()))),
        (Some(_), Some(second)) => {
            Err(Refusal::at(second.line, Reason::AmbiguousBackend(backend.to_owned())))
        }
    }
}

fn plain_words(server: &NewServer) -> impl Iterator<Item = String> {
    let start = ["server".to_owned(), server.name.clone(), server.address.clone()];
    start.into_iter().chain(server.keywords.iter().cloned())
}

fn server_words(server: &NewServer) -> Result<Vec<String>, Reason> {
    plain_words(server).map(|word| quoted(&word)).collect()
}

/// Writes words in the columns of a neighbouring server line, as far as they fit.
fn aligned_with(neighbour: &[u8], words: &[String]) -> Vec<u8> {
    let theirs = word::split(neighbour).list;
    let mut text = neighbour[..theirs[0].start].to_vec();
    let has_tab = neighbour[theirs[0].start..].contains(&b'\t');
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            text.push(b' ');
            let column = theirs.get(index).map_or(0, |word| word.start);
            // Keywords differ from line to line, so only name and address stand in columns.
            if index < 4 && !has_tab && column > text.len() {
                text.resize(column, b' ');
            }
        }
        text.extend_from_slice(word.as_bytes());
    }
    text
}

/// The last line of a section that is neither blank nor a comment.
pub(crate) fn last_statement(view: &View<'_>, section: &Section<'_>) -> usize {
    let lines = view.document().lines();
    let says = |number: &usize| !lines[number - 1].words().list.is_empty();
    (section.line..=section.last_line).rev().find(says).unwrap_or(section.line)
}

/// The white space before the statements of a section, or four spaces.
fn indent_of(view: &View<'_>, section: &Section<'_>) -> Vec<u8> {
    let lines = view.document().lines();
    let mut inside = section.line + 1..=section.last_line;
    match inside.find(|number| !lines[number - 1].words().list.is_empty()) {
        Some(number) => lines[number - 1].indent().to_vec(),
        None => b"    ".to_vec(),
    }
}

/// The first line that names a server of the section.
fn named_by(view: &View<'_>, section: &Section<'_>, server: &str) -> Option<usize> {
    conflict::tracking_line(view, section, server).or_else(|| {
        let uses = view.statements(section, "use-server");
        let names = |values: &[Word<'_>]| values.first().is_some_and(|word| word.is(server));
        uses.iter().find(|found| names(&found.values)).map(|found| found.line)
    })
}
