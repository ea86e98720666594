//! Edits of server lines: each changes the words it must and no other byte of the file.
//!
//! A list of edits is applied whole or not at all. What the result of an edit would be must be
//! known from the file alone; otherwise it is refused with the line and the reason.

use crate::conflict;
use crate::document::{Document, Line};
use crate::line_edit;
use crate::refusal::{Reason, Refusal};
use crate::server::{Address, Server, State, Unclear};
use crate::server_line::{Failure, ServerLine, quoted};
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
    /// Give it another address, port included, as one word.
    SetAddress(String),
    /// Give it another port.
    SetPort(u16),
    /// Set a keyword: a flag such as `backup` or `check`, or one with a value such as `weight`.
    SetKeyword(String, Option<String>),
    /// Take a keyword out wherever it stands on the line.
    RemoveKeyword(String),
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
                self.restore_all(kept);
                return Err(Refusal::at(place.line, reason));
            }
        }
        if let Some(refusal) = self.conflict(&places, edits, &kept) {
            self.restore_all(kept);
            return Err(refusal);
        }
        // The first copy of a line is the oldest, so it alone tells whether the line differs.
        kept.sort_by_key(|(number, _)| *number);
        kept.dedup_by_key(|(number, _)| *number);
        let changed = kept.iter().any(|(number, line)| self.lines()[number - 1] != *line);
        Ok(if changed { Outcome::Changed } else { Outcome::Unchanged })
    }

    fn restore_all(&mut self, kept: Vec<(usize, Line)>) {
        for (number, line) in kept.into_iter().rev() {
            self.restore(number, line);
        }
    }

    /// What HAProxy would refuse of the servers that are different now. Whether a server takes
    /// traffic is never part of that, so a turn of the pair does not pay for the look.
    fn conflict(
        &self,
        places: &[Place],
        edits: &[ServerEdit],
        kept: &[(usize, Line)],
    ) -> Option<Refusal> {
        let switches =
            |edit: &ServerEdit| matches!(edit.change, ServerChange::Enable | ServerChange::Disable);
        if edits.iter().all(switches) {
            return None;
        }
        let view = self.view();
        let changed = |line: usize| {
            kept.iter().any(|(number, old)| *number == line && self.lines()[line - 1] != *old)
        };
        places.iter().filter(|place| changed(place.line)).find_map(|place| {
            let (section, server) = find_server(&view, &place.backend, &place.server).ok()?;
            let conflict = conflict::of_server(&view, section, server)?;
            let (backend, server) = (place.backend.clone(), place.server.clone());
            Some(Refusal::at(place.line, Reason::Conflict { backend, server, conflict }))
        })
    }

    fn edit_server(&mut self, place: &Place, change: &ServerChange) -> Result<(), Reason> {
        let keywords_from = place.keywords_from;
        let mut line = ServerLine { document: self, number: place.line, keywords_from };
        let done = match change {
            ServerChange::Enable => place.switch(&mut line, State::Enabled).map_err(Failure::from),
            ServerChange::Disable => {
                place.switch(&mut line, State::Disabled).map_err(Failure::from)
            }
            ServerChange::SetAddress(address) => set_address(&mut line, address),
            ServerChange::SetPort(port) => set_port(&mut line, *port),
            ServerChange::SetKeyword(name, value) => line.set(name, value.as_deref()),
            ServerChange::RemoveKeyword(name) => line.remove(name).map_err(Failure::from),
        };
        done.map_err(|failure| match failure {
            Failure::Unclear(unclear) => place.unsafe_because(unclear),
            Failure::Reason(reason) => reason,
        })
    }
}

fn set_address(line: &mut ServerLine<'_>, address: &str) -> Result<(), Failure> {
    let at = line.keywords_from - 1;
    let words = line.document.lines()[line.number - 1].words().list;
    let word = &words[at];
    if word.variable || word.text.contains(&b'$') {
        return Err(Failure::Unclear(Unclear::Variable));
    }
    if *word.text != *address.as_bytes() {
        let with = quoted(address).map_err(Failure::Reason)?;
        line_edit::replace(line.document, line.number, at, with.as_bytes());
    }
    Ok(())
}

fn set_port(line: &mut ServerLine<'_>, port: u16) -> Result<(), Failure> {
    let words = line.document.lines()[line.number - 1].words().list;
    let address = Address::of(&words[line.keywords_from - 1]);
    if address.variable {
        return Err(Failure::Unclear(Unclear::Variable));
    }
    let Some(_) = address.host else {
        let reason = Reason::BadWord(format!("{} with port {port}", address.text));
        return Err(Failure::Reason(reason));
    };
    let text = &address.text;
    let bare = match address.port {
        Some(old) => &text[..text.len() - old.len() - 1],
        None => text,
    };
    let wanted = format!("{bare}:{port}");
    set_address(line, &wanted)
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
        } else if server.words().iter().any(|word| word.text.is_empty()) {
            Unclear::EmptyWord
        } else if server.words().iter().any(|word| ends_in_backslash(line.content(), word.end)) {
            Unclear::Backslash
        } else {
            return Ok(place);
        };
        Err(Refusal::at(server.line, place.unsafe_because(unclear)))
    }

    fn switch(&self, line: &mut ServerLine<'_>, wanted: State) -> Result<(), Unclear> {
        let (keep, drop) = match wanted {
            State::Enabled => ("enabled", "disabled"),
            _ => ("disabled", "enabled"),
        };
        line.uses(keep)?;
        line.remove(drop)?;
        // An inherited state that is not known is not the wanted one: the line then says it.
        if self.inherited != wanted && line.uses(keep)?.is_empty() {
            line.append(keep, keep)?;
        }
        Ok(())
    }

    fn unsafe_because(&self, unclear: Unclear) -> Reason {
        let (backend, server) = (self.backend.clone(), self.server.clone());
        Reason::Unsafe { backend, server, unclear }
    }
}

/// Whether the word that ends here ends in a backslash that escapes nothing.
fn ends_in_backslash(content: &[u8], end: usize) -> bool {
    content[..end].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
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
