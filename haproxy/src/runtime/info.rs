//! `show info`: the process that answers.

use std::collections::BTreeMap;

use super::answer::{CliError, error_of};

/// The process that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its version.
    pub version: Version,
    /// Its process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Connections it has now, its own command connection included.
    pub connections: u64,
    /// Whether a reload has replaced it and it only finishes what it has.
    pub stopping: bool,
    fields: BTreeMap<String, String>,
}

/// A version of HAProxy; later ones compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number; development versions have 0.
    pub patch: u32,
}

impl Version {
    /// Reads `2.6.12-1+deb12u4`, `3.3-dev1` and the like.
    pub fn parse(text: &str) -> Option<Version> {
        let end = text.find(|char: char| !char.is_ascii_digit() && char != '.');
        let mut numbers = text[..end.unwrap_or(text.len())].split('.').map(str::parse::<u32>);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        let patch = numbers.next().and_then(Result::ok).unwrap_or(0);
        Some(Version { major, minor, patch })
    }

    /// Whether `reload` on the master socket waits and answers with success or failure.
    pub fn reload_answers(self) -> bool {
        (self.major, self.minor) >= (2, 7)
    }

    /// Whether servers can be added and removed without `experimental-mode on`.
    pub fn has_dynamic_servers(self) -> bool {
        (self.major, self.minor) >= (2, 6)
    }
}

impl Info {
    /// Reads the answer to `show info`.
    pub fn parse(answer: &str) -> Result<Info, CliError> {
        let fields: BTreeMap<String, String> = answer
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let number = |name: &str| fields.get(name)?.parse::<u64>().ok();
        let version = fields.get("Version").and_then(|text| Version::parse(text));
        let pid = number("Pid").and_then(|pid| u32::try_from(pid).ok());
        let (Some(version), Some(pid), Some(uptime_s)) = (version, pid, number("Uptime_sec"))
        else {
            return Err(error_of(answer));
        };
        let connections = number("CurrConns").unwrap_or(0);
        let stopping = number("Stopping").unwrap_or(0) > 0;
        Ok(Info { version, pid, uptime_s, connections, stopping, fields })
    }

    /// Any other field by HAProxy's name for it, such as `Maxconn`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_name() {
        let answer = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 7\nUptime_sec: 3\n\
             CurrConns: 2\nStopping: 1\nMaxconn: 99\n\n";
        let info = Info::parse(answer).unwrap();
        assert_eq!((info.pid, info.uptime_s, info.connections, info.stopping), (7, 3, 2, true));
        assert_eq!(info.field("Maxconn"), Some("99"));
        assert!(!info.version.reload_answers() && info.version.has_dynamic_servers());
        assert_eq!(Info::parse("Unknown command\n"), Err(CliError::UnknownCommand));
    }

    #[test]
    fn versions_compare_as_numbers() {
        let version = |text: &str| Version::parse(text).unwrap();
        assert!(version("3.0.11") < version("3.2") && version("2.10") > version("2.6.12"));
        assert_eq!(version("3.3-dev1"), Version { major: 3, minor: 3, patch: 0 });
        assert_eq!(Version::parse("x"), None);
    }
}
