//! Why an edit was refused. A refused edit has changed nothing.

use crate::conflict::Conflict;
use crate::server::Unclear;

/// A refused edit: the line that stands in the way, where there is one, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Line number, counted from 1.
    pub line: Option<usize>,
    /// What is in the way.
    pub reason: Reason,
}

/// What stands in the way of an edit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The file has no `backend` or `listen` of that name.
    #[error("there is no backend or listen section \"{0}\"")]
    NoSuchBackend(String),
    /// The backend has no server of that name.
    #[error("backend \"{backend}\" has no server \"{server}\"")]
    NoSuchServer {
        /// The backend that was searched.
        backend: String,
        /// The name that was not found.
        server: String,
    },
    /// More than one line answers to the name.
    #[error("server \"{server}\" of backend \"{backend}\" stands in several lines")]
    Ambiguous {
        /// The backend's name.
        backend: String,
        /// The server's name.
        server: String,
    },
    /// The line cannot be changed with a known result.
    #[error("server \"{server}\" of backend \"{backend}\" cannot be edited safely: {unclear}")]
    Unsafe {
        /// The backend's name.
        backend: String,
        /// The server's name.
        server: String,
        /// Why the result would not be known.
        unclear: Unclear,
    },
    /// HAProxy would refuse the file with the change in it.
    #[error("HAProxy would refuse server \"{server}\" of backend \"{backend}\": {conflict}")]
    Conflict {
        /// The backend's name.
        backend: String,
        /// The server's name.
        server: String,
        /// What it would refuse.
        conflict: Conflict,
    },
    /// In a backend of the pair, a server's address cannot be told from the file.
    #[error(
        "the address of server \"{server}\" of backend \"{backend}\" holds an environment \
         variable, so whether it belongs to the pair is not known; name the server explicitly"
    )]
    UnknownAddress {
        /// The backend's name.
        backend: String,
        /// The server's name.
        server: String,
    },
    /// Two hosts of the pair answer to the address of one server.
    #[error(
        "the address of server \"{server}\" of backend \"{backend}\" belongs to two hosts, \
         \"{first}\" and \"{second}\""
    )]
    SharedAddress {
        /// The backend's name.
        backend: String,
        /// The server's name.
        server: String,
        /// One host that has the address.
        first: String,
        /// Another one.
        second: String,
    },
    /// A host that shall receive traffic is not a host of the pair.
    #[error("\"{0}\" is not a host of the pair")]
    UnknownHost(String),
    /// No server of any backend belongs to the pair.
    #[error("no server of this file belongs to the pair")]
    NoMembers,
    /// A backend that all hosts are to share leads to none of them.
    #[error("no server of backend \"{0}\" belongs to the pair")]
    NoMembersIn(String),
    /// A server of that name is already there, on another address.
    #[error("backend \"{backend}\" already has another server \"{server}\"")]
    ServerExists {
        /// The backend's name.
        backend: String,
        /// The server's name.
        server: String,
    },
    /// More than one section has the name.
    #[error("backend \"{0}\" stands in several sections")]
    AmbiguousBackend(String),
    /// Another line names the server that shall go.
    #[error("server \"{server}\" of backend \"{backend}\" is named by this line")]
    StillNamed {
        /// The backend's name.
        backend: String,
        /// The server's name.
        server: String,
    },
    /// A value that cannot be written as one word of a configuration line.
    #[error("\"{0}\" cannot be written as one word of a line")]
    BadWord(String),
    /// A keyword whose values this program does not know how to count.
    #[error("\"{0}\" is not a server keyword that can be edited")]
    BadKeyword(String),
    /// A marker of a managed block is there without its other half, or twice.
    #[error("the managed block \"{0}\" is not whole")]
    BrokenBlock(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.reason),
            None => write!(f, "{}", self.reason),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    pub(crate) fn at(line: usize, reason: Reason) -> Refusal {
        Refusal { line: Some(line), reason }
    }

    pub(crate) fn anywhere(reason: Reason) -> Refusal {
        Refusal { line: None, reason }
    }
}
