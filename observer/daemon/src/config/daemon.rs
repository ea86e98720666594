//! Reads `observer.toml`: where the daemon keeps its state and listens, and how much it logs.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::section::Document;

/// Settings of the daemon itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DaemonConfig {
    /// Where the SQLite file lives.
    pub(crate) state_directory: PathBuf,
    /// The API's Unix socket.
    pub(crate) socket: PathBuf,
    /// Group that may use the socket; the daemon's own if none.
    pub(crate) group: Option<String>,
    /// Filter of the log, like `info` or `ha_observer=debug`.
    pub(crate) log: String,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        Self {
            state_directory: "/var/lib/ha-observer".into(),
            socket: super::DEFAULT_SOCKET.into(),
            group: None,
            log: "info".to_owned(),
        }
    }
}

/// Reads the daemon's file. All that is wrong in it is returned, not only the first finding.
pub(crate) fn read(file: &Path, text: &str) -> Result<DaemonConfig, Vec<Finding>> {
    let (document, table) = Document::parse(file, text);
    let shipped = DaemonConfig::default();
    let config = {
        let root = document.root(&table);
        let path = |key, default: PathBuf| match root.text(key) {
            Some(text) if !text.starts_with('/') => {
                root.wrong(key, &format!("\"{text}\" is no absolute path"), "start it with /");
                default
            }
            Some(text) => PathBuf::from(text),
            None => default,
        };
        let config = DaemonConfig {
            state_directory: path("state_directory", shipped.state_directory),
            socket: path("socket", shipped.socket),
            group: root.text("group"),
            log: root.text("log").unwrap_or(shipped.log),
        };
        if config.log.parse::<tracing_subscriber::EnvFilter>().is_err() {
            root.wrong("log", "is no log filter", "use error, warn, info, debug or trace");
        }
        root.finish();
        config
    };
    let findings = document.into_findings();
    if findings.is_empty() { Ok(config) } else { Err(findings) }
}
