//! `PLAN.toml`: what a rolling upgrade does about each host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use observer_core::words::HostName;
use serde::{Deserialize, Deserializer};

use super::super::Failure;
use crate::api::types::UpgradeRequest;

/// How long a command may take where the file does not say it, in milliseconds.
const COMMAND_LIMIT_MS: u64 = 1_800_000;
/// How long a host may take to be ready, in milliseconds.
const READY_LIMIT_MS: u64 = 300_000;

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    name: String,
    command: Vec<String>,
    #[serde(default)]
    back: Vec<String>,
    #[serde(default)]
    ready: Vec<String>,
    #[serde(default)]
    hosts: Vec<HostName>,
    #[serde(default, deserialize_with = "time")]
    command_limit: Option<u64>,
    #[serde(default, deserialize_with = "time")]
    ready_limit: Option<u64>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    host: BTreeMap<HostName, PerHost>,
}

/// What one host has of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PerHost {
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(from)?;
    crate::config::time_ms(&text).map(Some).map_err(serde::de::Error::custom)
}

/// A file that was read.
pub(super) struct Plan {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it says.
    pub(super) text: String,
    /// What it asks for.
    pub(super) request: UpgradeRequest,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Plan, Failure> {
    let text = std::fs::read_to_string(path).map_err(|why| {
        let file = path.display();
        Failure::Usage(format!("{file} cannot be read: {why}\n  fix: name a file that exists"))
    })?;
    let request = parse(&text);
    let request = request.map_err(|why| Failure::Usage(format!("{}: {why}", path.display())))?;
    Ok(Plan { path: path.to_owned(), text, request })
}

pub(super) fn parse(text: &str) -> Result<UpgradeRequest, String> {
    if let Err(why) = toml::from_str::<toml::Table>(text)
        && let Some(span) = why.span()
    {
        let index = text.get(..span.start).unwrap_or(text).matches('\n').count();
        let line = text.lines().nth(index).unwrap_or_default();
        if let Some((problem, fix)) = crate::config::plain(line, why.message()) {
            return Err(format!("line {}: {problem}\n  fix: {fix}", index + 1));
        }
    }
    let file: PlanFile = toml::from_str(text).map_err(|why| {
        format!("{why}  fix: see the README's part on rolling upgrades for a whole file")
    })?;
    if file.name.trim().is_empty() {
        return Err("`name` is empty\n  fix: name what is upgraded, like \"desk 4.2\"".to_owned());
    }
    if file.command.is_empty() {
        return Err("`command` is empty\n  fix: list its words: [\"/root/upgrade\"]".to_owned());
    }
    let environments = file.host.into_iter().map(|(host, of)| (host, of.environment));
    Ok(UpgradeRequest {
        name: file.name,
        hosts: file.hosts,
        command: file.command,
        back: file.back,
        ready: file.ready,
        environment: file.environment,
        host_environment: environments.collect(),
        command_limit_ms: file.command_limit.unwrap_or(COMMAND_LIMIT_MS),
        ready_limit_ms: file.ready_limit.unwrap_or(READY_LIMIT_MS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_is_read() {
        let text = r#"
            name = "desk 4.2"
            command = ["/root/upgrade-desk", "--release"]
            ready_limit = "2min"
            [environment]
            RELEASE = "4.2"
            [host.node-b.environment]
            SIDE = "b"
        "#;
        let plan = parse(text).unwrap();
        assert_eq!(plan.command, ["/root/upgrade-desk", "--release"]);
        assert_eq!((plan.command_limit_ms, plan.ready_limit_ms), (1_800_000, 120_000));
        assert_eq!(plan.host_environment[&HostName::new("node-b")]["SIDE"], "b");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_fix() {
        for text in [
            "name = \"x\"\ncommand = []",
            "name = \"\"\ncommand = [\"x\"]",
            "name = \"x\"\ncommand = [\"x\"]\ncomand_limit = \"1s\"",
            "name = \"x\"\ncommand = [\"x\"]\nready_limit = \"5\"",
            "name = \"x\"\ncommand = [\"x\"]\nready_limit = 5min",
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains("fix:"), "{why}");
        }
    }
}
