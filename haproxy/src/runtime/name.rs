//! Names and words that can be put on a command line without becoming a second command.

use std::fmt;

/// Longest name or word accepted, in bytes; HAProxy's own line limit is 16 KiB.
const LENGTH_MAX: usize = 255;

/// A name or word that HAProxy's command line could misread.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a safe {what} for HAProxy's command line", text.escape_debug())]
pub struct BadName {
    text: String,
    what: &'static str,
}

/// The name of a proxy or server: letters, digits, `-`, `_`, `.` and `:`, as HAProxy demands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Checks a name.
    pub fn new(text: impl Into<String>) -> Result<Name, BadName> {
        let text = text.into();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        check(text, "name", allowed).map(Name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A server by backend and name, written `backend/server`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName {
    /// The backend.
    pub backend: Name,
    /// The server in it.
    pub server: Name,
}

impl ServerName {
    /// Checks both names.
    pub fn new(
        backend: impl Into<String>,
        server: impl Into<String>,
    ) -> Result<ServerName, BadName> {
        Ok(ServerName { backend: Name::new(backend)?, server: Name::new(server)? })
    }
}

/// One argument, such as an address or a keyword: no space, quote, semicolon or backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Checks an argument.
    pub fn new(text: impl Into<String>) -> Result<Token, BadName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@[],=+%".contains(&byte);
        check(text.into(), "argument", allowed).map(Token)
    }
}

fn check(text: String, what: &'static str, allowed: fn(u8) -> bool) -> Result<String, BadName> {
    let fits = !text.is_empty() && text.len() <= LENGTH_MAX;
    if fits && text.bytes().all(allowed) { Ok(text) } else { Err(BadName { text, what }) }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.server)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ends_a_command_passes() {
        for text in ["", "a;b", "a b", "a\nb", "a\\", "a/b", "\"a\"", "é", &"x".repeat(256)] {
            assert!(Name::new(text).is_err(), "{text:?}");
        }
        for text in ["", "a;b", "a b", "a\nb", "a\\", "'a'", "<<"] {
            assert!(Token::new(text).is_err(), "{text:?}");
        }
        assert!(Name::new("node-a.example:1").is_ok());
        assert!(Token::new("[::1]:80").is_ok() && Token::new("unix@/run/x.sock").is_ok());
    }
}
