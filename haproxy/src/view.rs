//! What the lines of a document mean: sections, servers, binds, and where settings come from.
//!
//! It reads what HAProxy 2.4 to 3.x would read and never guesses: a line that it does not know
//! stays a line, a condition is not evaluated, a variable is not expanded.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::document::Document;
use crate::section::{self, SectionKind};
use crate::server::{self, Server, State, Unclear};
use crate::server_keyword::{self, Keyword};
use crate::word::{self, Word};

/// The meaning of one document; it borrows from it.
#[derive(Debug, Clone)]
pub struct View<'a> {
    document: &'a Document,
    sections: Vec<Section<'a>>,
    /// Lines from an outermost `.if` to its `.endif`, in order.
    conditional: Vec<RangeInclusive<usize>>,
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
    default_servers: Vec<DefaultServer<'a>>,
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

#[derive(Debug, Clone)]
struct DefaultServer<'a> {
    line: usize,
    words: Vec<Word<'a>>,
}

impl<'a> View<'a> {
    pub(crate) fn of(document: &'a Document) -> View<'a> {
        let mut reader = Reader {
            view: View { document, sections: Vec::new(), conditional: Vec::new() },
            depth: 0,
            indented: false,
            inherited: State::Enabled,
        };
        for (index, line) in document.lines().iter().enumerate() {
            reader.line(index + 1, line.content());
        }
        let count = document.lines().len();
        reader.close(count);
        if reader.depth > 0 {
            reader.end_condition(count);
        }
        reader.view
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

/// The first word of a line, or nothing on a blank or comment line.
fn first_word(content: &[u8]) -> Option<Cow<'_, [u8]>> {
    let start = content.iter().position(|&byte| !word::is_space(byte))?;
    let rest = &content[start..];
    let special = |byte: u8| word::is_space(byte) || matches!(byte, b'"' | b'\'' | b'\\' | b'#');
    let end = rest.iter().position(|&byte| special(byte)).unwrap_or(rest.len());
    match rest.get(end) {
        Some(b'#') if end == 0 => None,
        Some(b'"' | b'\'' | b'\\') => {
            let first = word::split(content).list.into_iter().next()?;
            Some(Cow::Owned(first.text.into_owned()))
        }
        _ => Some(Cow::Borrowed(&rest[..end])),
    }
}

struct Reader<'a> {
    view: View<'a>,
    /// Open `.if`s.
    depth: usize,
    /// Whether the current section has an indented line.
    indented: bool,
    /// What `default-server` says so far in the current section.
    inherited: State,
}

impl<'a> Reader<'a> {
    fn line(&mut self, number: usize, content: &'a [u8]) {
        let Some(first) = first_word(content) else { return };
        match &*first {
            b".if" => return self.begin_condition(number),
            b".endif" => return self.end_condition(number),
            _ => {}
        }
        let at_margin = !content.first().copied().is_some_and(word::is_space);
        let kind = SectionKind::opened_by(&first).or_else(|| {
            let foreign = at_margin && self.indented && !section::is_statement(&first);
            foreign.then_some(SectionKind::Unknown)
        });
        if let Some(kind) = kind {
            return self.open(number, kind, content);
        }
        self.indented |= !at_margin;
        let Some(kind) = self.view.sections.last().map(|section| section.kind) else { return };
        match &*first {
            b"server" | b"server-template" if kind.has_servers() => self.server(number, content),
            b"default-server" if kind.has_servers() || kind == SectionKind::Defaults => {
                self.default_server(number, content);
            }
            b"bind" if kind.is_proxy() => self.bind(number, content),
            _ => {}
        }
    }

    fn begin_condition(&mut self, number: usize) {
        if self.depth == 0 {
            self.view.conditional.push(number..=usize::MAX);
        }
        self.depth += 1;
    }

    fn end_condition(&mut self, number: usize) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(last) = self.view.conditional.last_mut()
            && *last.end() == usize::MAX
        {
            *last = *last.start()..=number;
        }
    }

    fn open(&mut self, number: usize, kind: SectionKind, content: &'a [u8]) {
        self.close(number - 1);
        let mut words = word::split(content).list;
        let from = words.iter().skip(1).position(|word| word.is("from"));
        let from = from.and_then(|at| words.get(at + 2)).map(|word| word.text.clone());
        let from = from.filter(|_| kind == SectionKind::Defaults || kind.is_proxy());
        let named = words.get(1).is_some_and(|word| !word.is("from") || kind.is_proxy());
        let name = if named { text(words.swap_remove(1).text) } else { "".into() };
        let defaults = match from {
            Some(from) => self.defaults_named(&text(from)),
            None if kind.is_proxy() => self.last_defaults(),
            None => None,
        };
        self.inherited = defaults.map_or(State::Enabled, |index| self.switch_of(index));
        self.indented = false;
        self.view.sections.push(Section {
            kind,
            keyword: words.first().map_or("".into(), |word| text(word.text.clone())),
            name,
            line: number,
            last_line: number,
            conditional: self.depth > 0,
            servers: Vec::new(),
            binds: Vec::new(),
            defaults,
            default_servers: Vec::new(),
        });
    }

    fn close(&mut self, last_line: usize) {
        if let Some(section) = self.view.sections.last_mut() {
            section.last_line = last_line;
        }
    }

    fn defaults_named(&self, name: &str) -> Option<usize> {
        let is_it =
            |section: &Section<'_>| section.kind == SectionKind::Defaults && section.name == name;
        self.view.sections.iter().rposition(is_it)
    }

    fn last_defaults(&self) -> Option<usize> {
        self.view.sections.iter().rposition(|section| section.kind == SectionKind::Defaults)
    }

    /// What the `default-server` lines of a finished `defaults` section say.
    fn switch_of(&self, index: usize) -> State {
        let section = &self.view.sections[index];
        let above = section.defaults.map_or(State::Enabled, |above| self.switch_of(above));
        section
            .default_servers
            .iter()
            .fold(above, |state, default| self.after_default(state, default))
    }

    fn after_default(&self, state: State, default: &DefaultServer<'_>) -> State {
        match server::switch(&server_keyword::keywords(&default.words[1..])) {
            Err(unclear) => State::Unclear(unclear),
            Ok(None) => state,
            Ok(Some(_)) if self.view.is_conditional(default.line) => {
                State::Unclear(Unclear::Conditional)
            }
            Ok(Some(said)) => said,
        }
    }

    fn default_server(&mut self, line: usize, content: &'a [u8]) {
        let default = DefaultServer { line, words: word::split(content).list };
        self.inherited = self.after_default(self.inherited, &default);
        let section = self.view.sections.last_mut().expect("the caller found a section");
        section.default_servers.push(default);
    }

    fn bind(&mut self, line: usize, content: &'a [u8]) {
        let mut words = word::split(content).list;
        if words.len() < 2 {
            return;
        }
        let rest = words.split_off(2);
        let address = text(words.swap_remove(1).text);
        let section = self.view.sections.last_mut().expect("the caller found a section");
        section.binds.push(Bind { line, address, words: rest });
    }

    fn server(&mut self, line: usize, content: &'a [u8]) {
        let mut list = word::split_first(content, 4).list;
        let is_template = list.first().is_some_and(|word| word.is("server-template"));
        let address_index = 2 + usize::from(is_template);
        if list.len() <= address_index {
            return;
        }
        let inherited = self.inherited;
        let conditional = self.depth > 0;
        let section = self.view.sections.last_mut().expect("the caller found a section");
        let address = list.swap_remove(address_index);
        section.servers.push(Server {
            name: text(std::mem::take(&mut list[1].text)),
            line,
            conditional: conditional || section.conditional,
            template: is_template.then(|| text(std::mem::take(&mut list[2].text))),
            address,
            content,
            inherited,
        });
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}
