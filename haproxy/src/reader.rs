//! Reading a document line by line into a view: the only place that knows where sections begin.

use std::borrow::Cow;

use crate::document::Document;
use crate::section::{self, SectionKind};
use crate::server::{self, Server, State, Unclear};
use crate::server_keyword;
use crate::view::{Bind, DefaultServer, Section, View};
use crate::word;

/// Reads the whole document once.
pub(crate) fn read(document: &Document) -> View<'_> {
    let mut reader = Reader {
        view: View { document, sections: Vec::new(), conditional: Vec::new() },
        depth: 0,
        defaults: Vec::new(),
        file_first: 1,
        indented: false,
        inherited: State::Enabled,
    };
    for (first, last) in document.files() {
        (reader.file_first, reader.indented) = (first, false);
        for (index, line) in document.lines()[first - 1..last].iter().enumerate() {
            reader.line(first + index, line.content());
        }
        // A file ends what it has begun: neither a section nor a condition goes on in the next.
        reader.close(last);
        if reader.depth > 0 {
            reader.depth = 1;
            reader.end_condition(last);
        }
    }
    reader.view
}

/// The first word of a line, or nothing on a blank or comment line.
pub(crate) fn first_word(content: &[u8]) -> Option<Cow<'_, [u8]>> {
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
    /// Indices of the `defaults` sections so far: there are few, and each proxy looks for one.
    defaults: Vec<usize>,
    /// First line of the current file.
    file_first: usize,
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
        let Some(kind) = self.current().map(|section| section.kind) else { return };
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
            None if kind.is_proxy() => self.defaults.last().copied(),
            None => None,
        };
        self.inherited = defaults.map_or(State::Enabled, |index| self.switch_of(index));
        self.indented = false;
        if kind == SectionKind::Defaults {
            self.defaults.push(self.view.sections.len());
        }
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

    /// The section that is open: what stands before the first one of a file belongs to none.
    fn current(&mut self) -> Option<&mut Section<'a>> {
        let first = self.file_first;
        self.view.sections.last_mut().filter(|section| section.line >= first)
    }

    fn close(&mut self, last_line: usize) {
        if let Some(section) = self.current() {
            section.last_line = last_line;
        }
    }

    fn defaults_named(&self, name: &str) -> Option<usize> {
        self.defaults.iter().rev().copied().find(|index| self.view.sections[*index].name == name)
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
