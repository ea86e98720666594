//! Edits of server lines: each changes the words it must and no other byte of the file.
//!
//! A list of edits is applied whole or not at all. What the result of an edit would be must be
//! known from the file alone; otherwise it is refused with the line and the reason.

use crate::document::Document;
use crate::line_edit;
use crate::refusal::{Reason, Refusal};
use crate::server::{self, Server, State, Unclear};
use crate::server_keyword;
use crate::view::{Section, View};

/// What an edit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// At least one line is different now.
    Changed,
    /// The file already said it.
    Unchanged,
}

/// One change of one server line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerEdit {
    /// Name of the `backend` or `listen` section.
    pub backend: String,
    /// Name of the server in it.
    pub server: String,
    /// What to change.
    pub change: ServerChange,
}

/// What to change about a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerChange {
    /// Let it take traffic: no `disabled`, and `enabled` where `default-server` says `disabled`.
    Enable,
    /// Keep traffic off it: `disabled`.
    Disable,
}

impl Document {
    /// Lets a server take traffic.
    pub fn set_server_enabled(&mut self, backend: &str, server: &str) -> Result<Outcome, Refusal> {
        self.edit_servers(&[ServerEdit::new(backend, server, ServerChange::Enable)])
    }

    /// Keeps traffic off a server.
    pub fn set_server_disabled(&mut self, backend: &str, server: &str) -> Result<Outcome, Refusal> {
        self.edit_servers(&[ServerEdit::new(backend, server, ServerChange::Disable)])
    }

    /// Applies edits in order, all of them or, if one is refused, none.
    pub fn edit_servers(&mut self, edits: &[ServerEdit]) -> Result<Outcome, Refusal> {
        let view = self.view();
        let places: Vec<Place> =
            edits.iter().map(|edit| Place::find(&view, edit)).collect::<Result<_, _>>()?;
        drop(view);
        let mut kept = Vec::with_capacity(places.len());
        for (place, edit) in places.iter().zip(edits) {
            kept.push((place.line, self.lines()[place.line - 1].clone()));
            if let Err(reason) = self.edit_server(place, &edit.change) {
                for (number, line) in kept.into_iter().rev() {
                    self.restore(number, line);
                }
                return Err(Refusal::at(place.line, reason));
            }
        }
        // The first copy of a line is the oldest, so it alone tells whether the line differs.
        kept.sort_by_key(|(number, _)| *number);
        kept.dedup_by_key(|(number, _)| *number);
        let changed = kept.iter().any(|(number, line)| self.lines()[number - 1] != *line);
        Ok(if changed { Outcome::Changed } else { Outcome::Unchanged })
    }

    fn edit_server(&mut self, place: &Place, change: &ServerChange) -> Result<(), Reason> {
        match change {
            ServerChange::Enable => self.switch_server(place, State::Enabled),
            ServerChange::Disable => self.switch_server(place, State::Disabled),
        }
    }

    fn switch_server(&mut self, place: &Place, wanted: State) -> Result<(), Reason> {
        let (keep, drop) = match wanted {
            State::Enabled => ("enabled", "disabled"),
            _ => ("disabled", "enabled"),
        };
        let unsafe_because = |unclear| place.unsafe_because(unclear);
        let says = |document: &Document| -> Result<Option<State>, Reason> {
            let words = document.lines()[place.line - 1].words().list;
            let keywords = server_keyword::keywords(&words[place.keywords_from..]);
            server::switch(&keywords).map_err(unsafe_because)
        };
        says(self)?;
        self.remove_keyword(place, drop);
        // An inherited state that is not known is not the wanted one: the line then says it.
        if says(self)?.unwrap_or(place.inherited) == wanted {
            return Ok(());
        }
        let before = self.lines()[place.line - 1].clone();
        let last = before.words().list.len() - 1;
        line_edit::insert_behind(self, place.line, last, keep.as_bytes());
        // Behind an unknown keyword, or one without its value, the word would be taken for a
        // value. Directly behind the address it never is.
        if says(self) != Ok(Some(wanted)) {
            self.restore(place.line, before);
            line_edit::insert_behind(self, place.line, place.keywords_from - 1, keep.as_bytes());
        }
        Ok(())
    }

    /// Takes every use of a keyword out of a server line, its values with it.
    fn remove_keyword(&mut self, place: &Place, name: &str) {
        loop {
            let words = self.lines()[place.line - 1].words().list;
            let keywords = server_keyword::keywords(&words[place.keywords_from..]);
            let mut at = place.keywords_from;
            let mut found = None;
            for keyword in &keywords {
                let next = at + 1 + keyword.values.len();
                if keyword.known && keyword.word.is(name) {
                    found = Some(at..next);
                    break;
                }
                at = next;
            }
            match found {
                Some(range) => line_edit::remove(self, place.line, range),
                None => return,
            }
        }
    }
}

impl ServerEdit {
    /// An edit of one server.
    pub fn new(
        backend: impl Into<String>,
        server: impl Into<String>,
        change: ServerChange,
    ) -> ServerEdit {
        ServerEdit { backend: backend.into(), server: server.into(), change }
    }
}

/// A server line that may be edited, and what counts for it from elsewhere.
pub(crate) struct Place {
    backend: String,
    server: String,
    line: usize,
    /// Index of the first keyword among the words of the line.
    keywords_from: usize,
    inherited: State,
}

impl Place {
    fn find(view: &View<'_>, edit: &ServerEdit) -> Result<Place, Refusal> {
        let (_, server) = find_server(view, &edit.backend, &edit.server)?;
        let place = Place {
            backend: edit.backend.clone(),
            server: edit.server.clone(),
            line: server.line,
            keywords_from: server.address_index() + 1,
            inherited: server.inherited,
        };
        let line = &view.document().lines()[server.line - 1];
        let unclear = if server.conditional {
            Unclear::Conditional
        } else if server.template.is_some() {
            Unclear::Template
        } else if let Some(fault) = line.words().fault {
            Unclear::Fault(fault)
        } else if server.words.iter().any(|word| word.text.is_empty()) {
            Unclear::EmptyWord
        } else {
            return Ok(place);
        };
        Err(Refusal::at(server.line, place.unsafe_because(unclear)))
    }

    fn unsafe_because(&self, unclear: Unclear) -> Reason {
        let (backend, server) = (self.backend.clone(), self.server.clone());
        Reason::Unsafe { backend, server, unclear }
    }
}

/// Finds the one server of that name in the backend of that name.
pub(crate) fn find_server<'v, 'a>(
    view: &'v View<'a>,
    backend: &str,
    server: &str,
) -> Result<(&'v Section<'a>, &'v Server<'a>), Refusal> {
    let mut backends = view.backends().filter(|section| section.name == backend).peekable();
    if backends.peek().is_none() {
        return Err(Refusal::anywhere(Reason::NoSuchBackend(backend.to_owned())));
    }
    let mut found = backends.flat_map(|section| {
        section
            .servers
            .iter()
            .filter(|found| answers_to(found, server))
            .map(move |found| (section, found))
    });
    let names = || (backend.to_owned(), server.to_owned());
    let Some(first) = found.next() else {
        let (backend, server) = names();
        return Err(Refusal::anywhere(Reason::NoSuchServer { backend, server }));
    };
    match found.next() {
        Some((_, second)) => {
            let (backend, server) = names();
            Err(Refusal::at(second.line, Reason::Ambiguous { backend, server }))
        }
        None => Ok(first),
    }
}

/// Whether the line makes a server of that name; a template makes its prefix with numbers.
fn answers_to(found: &Server<'_>, name: &str) -> bool {
    match &found.template {
        None => found.name == name,
        Some(_) => name
            .strip_prefix(&*found.name)
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())),
    }
}
