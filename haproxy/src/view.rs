//! What the lines of a document mean: sections, servers, binds, and where settings come from.
//!
//! It reads what HAProxy 2.4 to 3.x would read and never guesses: a line that it does not know
//! stays a line, a condition is not evaluated, a variable is not expanded.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::document::Document;
use crate::reader::{self, first_word};
use crate::section::SectionKind;
use crate::server::Server;
use crate::server_keyword::{self, Keyword};
use crate::word::{self, Word};

/// The meaning of one document; it borrows from it.
#[derive(Debug, Clone)]
pub struct View<'a> {
    pub(crate) document: &'a Document,
    pub(crate) sections: Vec<Section<'a>>,
    /// Lines from an outermost `.if` to its `.endif`, in order.
    pub(crate) conditional: Vec<RangeInclusive<usize>>,
}

/// One section of the file.
#[derive(Debug, Clone)]
pub struct Section<'a> {
    /// What it is for.
    pub kind: SectionKind,
    /// The word that opens it, as HAProxy would see it.
    pub keyword: Cow<'a, str>,
    /// The name behind the keyword; empty where there is none.
    pub name: Cow<'a, str>,
    /// Number of its first line, counted from 1.
    pub line: usize,
    /// Number of its last line, trailing comments and blank lines included.
    pub last_line: usize,
    /// Whether its first line stands inside `.if` … `.endif`.
    pub conditional: bool,
    /// Its servers, in order (`backend` and `listen` only).
    pub servers: Vec<Server<'a>>,
    /// Its `bind` lines, in order.
    pub binds: Vec<Bind<'a>>,
    /// Index in [`View::sections`] of the `defaults` section it inherits from.
    pub defaults: Option<usize>,
    pub(crate) default_servers: Vec<DefaultServer<'a>>,
}

/// One `bind` line.
#[derive(Debug, Clone)]
pub struct Bind<'a> {
    /// Line number, counted from 1.
    pub line: usize,
    /// The addresses as written, separated by commas.
    pub address: Cow<'a, str>,
    /// The words behind the address.
    pub words: Vec<Word<'a>>,
}

/// One setting in force, with where it comes from.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// Line number, counted from 1.
    pub line: usize,
    /// Whether the line begins with `no`.
    pub negated: bool,
    /// Whether the line counts only when a condition holds.
    pub conditional: bool,
    /// The words behind the setting's name.
    pub values: Vec<Word<'a>>,
    /// Whether it stands in the section itself and not in its `defaults`.
    pub own: bool,
}

/// One keyword in force on a server, with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSetting {
    /// Line number of the `server` or `default-server` line, counted from 1.
    pub line: usize,
    /// The keyword as written, so that `check` can be told from `no-check`.
    pub keyword: String,
    /// Its first value.
    pub value: Option<String>,
}

/// One `default-server` line.
#[derive(Debug, Clone)]
pub(crate) struct DefaultServer<'a> {
    pub(crate) line: usize,
    pub(crate) words: Vec<Word<'a>>,
}

impl<'a> View<'a> {
    pub(crate) fn of(document: &'a Document) -> View<'a> {
        reader::read(document)
    }

    /// The document it was read from.
    pub fn document(&self) -> &'a Document {
        self.document
    }

    /// All sections in file order.
    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// The proxies: `frontend`, `backend` and `listen` sections.
    pub fn proxies(&self) -> impl Iterator<Item = &Section<'a>> {
        self.sections.iter().filter(|section| section.kind.is_proxy())
    }

    /// The sections whose servers get traffic: `backend` and `listen`.
    pub fn backends(&self) -> impl Iterator<Item = &Section<'a>> {
        self.sections.iter().filter(|section| section.kind.has_servers())
    }

    /// The `defaults` section that `section` inherits from.
    pub fn defaults_of(&self, section: &Section<'a>) -> Option<&Section<'a>> {
        section.defaults.map(|index| &self.sections[index])
    }

    /// Whether the line stands inside `.if` … `.endif`.
    pub fn is_conditional(&self, line: usize) -> bool {
        let after = self.conditional.partition_point(|range| *range.end() < line);
        self.conditional.get(after).is_some_and(|range| range.contains(&line))
    }

    /// All lines of a section that begin with `name`, `no` before it or not; several words are
    /// given separated by one space, as in `"option redispatch"`.
    pub fn statements(&self, section: &Section<'a>, name: &str) -> Vec<Setting<'a>> {
        let wanted: Vec<&str> = name.split(' ').collect();
        let mut found = Vec::new();
        for number in section.line + 1..=section.last_line {
            let content = self.document.lines()[number - 1].content();
            let Some(first) = first_word(content) else { continue };
            if *first != *wanted[0].as_bytes() && &*first != b"no" {
                continue;
            }
            let mut words = word::split(content).list;
            let negated = words.first().is_some_and(|word| word.is("no"));
            if negated {
                words.remove(0);
            }
            let met = words.len() >= wanted.len()
                && wanted.iter().zip(&words).all(|(wanted, word)| word.is(wanted));
            if met {
                let values = words.split_off(wanted.len());
                let conditional = self.is_conditional(number);
                found.push(Setting { line: number, negated, conditional, values, own: true });
            }
        }
        found
    }

    /// The setting in force in a section: its own last one, else that of its `defaults`, and so
    /// on upwards. `no option …` is an answer; that nothing is said is none.
    pub fn setting(&self, section: &Section<'a>, name: &str) -> Option<Setting<'a>> {
        let mut place = Some(section);
        let mut steps = 0;
        while let Some(current) = place {
            if let Some(mut setting) = self.statements(current, name).pop() {
                setting.own = steps == 0;
                return Some(setting);
            }
            steps += 1;
            place = self.defaults_of(current);
        }
        None
    }

    /// Like [`View::setting`], but only what is surely on: not negated, and in no condition.
    pub fn setting_on(&self, section: &Section<'a>, name: &str) -> Option<Setting<'a>> {
        self.setting(section, name).filter(|setting| !setting.negated && !setting.conditional)
    }

    /// The last of `keywords` that is in force on a server: its own line first, then the
    /// `default-server` lines before it, then those of the `defaults` sections.
    pub fn server_setting(
        &self,
        section: &Section<'a>,
        server: &Server<'a>,
        keywords: &[&str],
    ) -> Option<ServerSetting> {
        let pick = |line: usize, list: &[Keyword<'a>]| {
            let is_wanted =
                |keyword: &&Keyword<'a>| keywords.iter().any(|name| keyword.word.is(name));
            list.iter().rev().find(is_wanted).map(|keyword| ServerSetting {
                line,
                keyword: keyword.word.to_text(),
                value: keyword.values.first().map(Word::to_text),
            })
        };
        let mut found = pick(server.line, &server.keywords());
        let mut place = Some(section);
        while let (None, Some(current)) = (&found, place) {
            // A `defaults` section stands before the server as a whole, so one test serves both.
            let before = current.default_servers.iter().filter(|line| line.line < server.line);
            found = before
                .rev()
                .find_map(|line| pick(line.line, &server_keyword::keywords(&line.words[1..])));
            place = self.defaults_of(current);
        }
        found
    }
}
