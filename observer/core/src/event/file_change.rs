//! What became of an order to change the proxies' files.

use serde::{Deserialize, Serialize};

use super::Severity;
use crate::words::{Epoch, ProxyName};

/// What became of an order to change a proxy's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileBecame {
    /// HAProxy runs with the new content.
    Loaded,
    /// Nothing was changed.
    Refused,
    /// The new content did not stand: the old one is back and loaded.
    RolledBack,
    /// What the file and the process are now is not known, or not put right.
    Unsettled,
}

/// One proxy's part of an order to change the proxies' files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileChange {
    /// The proxy.
    pub proxy: ProxyName,
    /// Number of the content in the proxy's history, where one was begun.
    pub version: Option<u64>,
    /// What became of it.
    pub became: FileBecame,
    /// The pair's epoch.
    pub epoch: Epoch,
    /// What was ordered, and why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// What was seen.
    pub note: String,
}

impl FileChange {
    pub(super) fn text(&self) -> String {
        let FileChange { proxy, reason, by, note, .. } = self;
        let became = match self.became {
            FileBecame::Loaded => "changed and loaded",
            FileBecame::Refused => "not changed",
            FileBecame::RolledBack => "taken back",
            FileBecame::Unsettled => "unsettled",
        };
        let version = self.version.map_or(String::new(), |number| format!(" (version {number})"));
        format!("haproxy.cfg of {proxy}: {became}{version}, {reason}, by {by}: {note}")
    }

    pub(super) fn severity(&self) -> Severity {
        match self.became {
            FileBecame::Loaded => Severity::Info,
            FileBecame::Refused | FileBecame::RolledBack => Severity::Warning,
            FileBecame::Unsettled => Severity::Severe,
        }
    }
}
