//! What can go wrong while building, booting or breaking the lab.
//!
//! A command that ran and said no is data ([`super::Output`]) unless its caller asked for success.

use std::io;
use std::time::Duration;

/// A failure of the lab itself; scenarios end on any of these.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Something that the lab needs is not there, and what puts it there.
    #[error("{what}; {fix}")]
    Missing {
        /// What is absent.
        what: String,
        /// The command that mends it.
        fix: String,
    },
    /// The operating system refused.
    #[error("could not {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// A command ended, and not with success.
    #[error("`{command}` ended with {status}: {stderr}")]
    Failed {
        /// The command line, for reading only.
        command: String,
        /// How it ended.
        status: String,
        /// What it wrote to its standard error, or else to its output.
        stderr: String,
    },
    /// A command did not end in time and was killed.
    #[error("`{command}` did not end within {limit:?}")]
    Late {
        /// The command line, for reading only.
        command: String,
        /// The time it had.
        limit: Duration,
    },
    /// A state of the world did not come about in time.
    #[error("waited {limit:?} for {what}; last seen: {last}")]
    Waited {
        /// What was waited for.
        what: String,
        /// The time it had.
        limit: Duration,
        /// What there was instead.
        last: String,
    },
    /// The machine is off, so nothing can be done inside it.
    #[error("{host} is powered off")]
    PoweredOff {
        /// The host's name.
        host: String,
    },
}

/// The result of anything that the lab does.
pub type Result<T> = std::result::Result<T, LabError>;

/// Says what was being done when the operating system refused.
pub(crate) trait Doing<T> {
    /// Wraps the error with `doing`, a phrase that reads after "could not".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| LabError::Io { doing: doing(), source })
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| LabError::Io { doing: doing(), source: errno.into() })
    }
}
