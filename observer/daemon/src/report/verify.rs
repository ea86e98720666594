//! How a comparison of a file set stands, as the API says it.

use observer_core::files::verify::{Progress, Verification};
use serde::{Deserialize, Serialize};

/// How one comparison stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub(crate) enum Comparison {
    /// It runs.
    Running {
        /// How far it is.
        progress: Progress,
    },
    /// It is over.
    Done {
        /// What came of it.
        result: Box<Verification>,
    },
    /// It could not be made.
    Failed {
        /// Why, and behind `fix:` on a line of its own what to do.
        why: String,
    },
    /// No comparison of this number is known: the daemon was restarted, or another one came.
    Unknown,
}
