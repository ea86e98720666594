//! A server of a backend as its line says it: name, address, keywords, and whether it is in use.
//!
//! Runtime state is not known here; see [`crate::runtime`] for what HAProxy says about itself.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::server_keyword::{self, Keyword};
use crate::word::{Word, Words};

/// Whether the file lets a server take traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// HAProxy will use the server when it starts.
    Enabled,
    /// HAProxy starts with the server in maintenance.
    Disabled,
    /// The file alone does not tell.
    Unclear(Unclear),
}

/// Why a file does not tell, or why a line of it cannot be edited safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// The line, or one that it inherits from, counts only when a condition holds.
    #[error("it stands inside .if/.endif, and which branch counts is not known here")]
    Conditional,
    /// The line is a `server-template`: one line for several servers.
    #[error("it makes several servers from one server-template line; use the runtime API")]
    Template,
    /// An environment variable stands where a keyword could come out of it.
    #[error("it has an environment variable, whose value is not known here")]
    Variable,
    /// An unknown keyword stands before the word, so the word may be its value.
    #[error("it has a keyword this program does not know, and what follows may be its value")]
    UnknownKeyword,
    /// An empty word, behind which HAProxy reads nothing.
    #[error("it has an empty word, and HAProxy ignores what stands behind that")]
    EmptyWord,
    /// A word ends in a backslash, which would take the blank behind it into the word.
    #[error("it has a word that ends in a backslash, which would join what is written behind it")]
    Backslash,
    /// The line cannot be split into words.
    #[error("HAProxy could not read the line: {0}")]
    Fault(crate::word::Fault),
}

/// One `server` line, or one `server-template` line.
#[derive(Debug, Clone)]
pub struct Server<'a> {
    /// The name; for a template the common prefix of its names.
    pub name: Cow<'a, str>,
    /// Line number, counted from 1.
    pub line: usize,
    /// Whether the line or its section stands inside `.if` … `.endif`.
    pub conditional: bool,
    /// The count or range of a `server-template` line, as written.
    pub template: Option<Cow<'a, str>>,
    pub(crate) address: Word<'a>,
    pub(crate) content: &'a [u8],
    pub(crate) inherited: State,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'a> {
    /// The address as the line has it, decoded.
    pub text: Cow<'a, str>,
    /// IP address or name without port and prefix; none for sockets and descriptors, and none
    /// where an environment variable stands in it.
    pub host: Option<&'a str>,
    /// The port as written, which may be empty, absolute or relative (`+1`).
    pub port: Option<&'a str>,
    /// Whether an environment variable stands in the address.
    pub variable: bool,
}

impl<'a> Server<'a> {
    /// The address of the line.
    pub fn address(&self) -> Address<'_> {
        Address::of(&self.address)
    }

    /// The keywords behind the address, in order.
    pub fn keywords(&self) -> Vec<Keyword<'a>> {
        server_keyword::keywords(&self.words()[self.address_index() + 1..])
    }

    /// The last value that the line itself gives `keyword`.
    pub fn value(&self, keyword: &str) -> Option<String> {
        let keywords = self.keywords();
        let found = keywords.iter().rev().find(|found| found.word.is(keyword))?;
        found.values.first().map(Word::to_text)
    }

    /// Whether the file lets the server take traffic, `default-server` included.
    pub fn state(&self) -> State {
        if self.conditional {
            return State::Unclear(Unclear::Conditional);
        }
        if let Some(fault) = self.split().fault {
            return State::Unclear(Unclear::Fault(fault));
        }
        match switch(&self.keywords()) {
            Err(unclear) => State::Unclear(unclear),
            Ok(Some(state)) => state,
            Ok(None) => self.inherited,
        }
    }

    /// The words of the line from its first one on. They are split anew each time: of most
    /// servers of a large file nobody asks more than name and address.
    pub fn words(&self) -> Vec<Word<'a>> {
        self.split().list
    }

    fn split(&self) -> Words<'a> {
        crate::word::split(self.content)
    }

    pub(crate) fn address_index(&self) -> usize {
        if self.template.is_some() { 3 } else { 2 }
    }
}

/// What `enabled` and `disabled` among the keywords say; the last one counts.
pub(crate) fn switch(keywords: &[Keyword<'_>]) -> Result<Option<State>, Unclear> {
    let mut state = None;
    for (index, keyword) in keywords.iter().enumerate() {
        if keyword.may_hide_keywords() {
            return Err(Unclear::Variable);
        }
        let said = match &*keyword.word.text {
            b"enabled" => State::Enabled,
            b"disabled" => State::Disabled,
            _ => continue,
        };
        let before = index.checked_sub(1).map(|before| &keywords[before]);
        if before.is_some_and(|before| !before.known && before.values.is_empty()) {
            return Err(Unclear::UnknownKeyword);
        }
        state = Some(said);
    }
    Ok(state)
}

impl<'a> Address<'a> {
    /// Takes an address word apart as HAProxy does: the last colon outside brackets is the port's.
    pub(crate) fn of(word: &'a Word<'_>) -> Address<'a> {
        let text = String::from_utf8_lossy(&word.text);
        // HAProxy expands variables in addresses even where quotes would forbid it elsewhere.
        let variable = word.variable || word.text.contains(&b'$');
        let Ok(plain) = std::str::from_utf8(&word.text) else {
            return Address { text, host: None, port: None, variable };
        };
        let (host, port) = if variable { (None, None) } else { split_address(plain) };
        Address { text, host, port, variable }
    }

    /// Whether the address is that of `host`, an IP address or a name. IP addresses are compared
    /// as addresses, names without regard to case.
    pub fn is_host(&self, host: &str) -> bool {
        let Some(own) = self.host else { return false };
        match (own.parse::<IpAddr>(), host.parse::<IpAddr>()) {
            (Ok(own), Ok(host)) => own == host,
            (Err(_), Err(_)) => own.eq_ignore_ascii_case(host),
            _ => false,
        }
    }
}

fn split_address(text: &str) -> (Option<&str>, Option<&str>) {
    const SOCKETS: [&str; 8] = ["unix", "abns", "abnsz", "fd", "sockpair", "rhttp", "rev", "acc"];
    let rest = match text.split_once('@') {
        Some((prefix, _)) if SOCKETS.contains(&prefix) => return (None, None),
        Some((_, rest)) => rest,
        None => text,
    };
    if rest.starts_with('/') {
        return (None, None);
    }
    let bracket = rest.find(']').map_or(0, |at| at + 1);
    let (host, port) = match rest[bracket..].rfind(':') {
        Some(colon) => (&rest[..bracket + colon], Some(&rest[bracket + colon + 1..])),
        None => (rest, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (Some(host).filter(|host| !host.is_empty()), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, host, port) in [
            ("10.0.0.1:8080", Some("10.0.0.1"), Some("8080")),
            ("10.0.0.1", Some("10.0.0.1"), None),
            ("ipv4@db:5432", Some("db"), Some("5432")),
            ("[::1]:80", Some("::1"), Some("80")),
            ("[::1]", Some("::1"), None),
            ("2001:db8::1:80", Some("2001:db8::1"), Some("80")),
            ("10.0.0.1:+1", Some("10.0.0.1"), Some("+1")),
            (":80", None, Some("80")),
            ("/run/app.sock", None, None),
            ("unix@/run/app.sock", None, None),
            ("abns@app", None, None),
        ] {
            assert_eq!(split_address(text), (host, port), "{text}");
        }
    }

    #[test]
    fn hosts_are_compared_as_what_they_are() {
        let word = |text: &'static str| crate::word::split(text.as_bytes()).list.remove(0);
        let is = |text, host| Address::of(&word(text)).is_host(host);
        assert!(is("[2001:DB8:0::1]:80", "2001:db8::1"));
        assert!(is("Db.example:80", "db.EXAMPLE"));
        assert!(!is("10.0.0.10:80", "10.0.0.1"));
        assert!(!is("'${A}'", "a"));
    }
}
