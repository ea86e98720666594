//! The configuration: what is allowed and where things are, read from TOML files.
//!
//! It does not say who is master, and holds no secret: keys are named by path. A directory with
//! one wrong file is rejected whole, with everything that is wrong in all of them.

pub(crate) mod access;
mod address;
mod daemon;
mod external;
mod fence;
mod files;
mod finding;
mod monitor;
mod mount;
mod pair;
mod parity;
mod plain;
mod policy;
mod readiness;
mod section;
mod single_files;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use access::PairAccess;
pub(crate) use daemon::DaemonConfig;
pub(crate) use finding::{Finding, Findings, Weight};
pub(crate) use pair::Reach;
pub(crate) use plain::plain;
pub(crate) use section::nearest;
pub(crate) use units::time_ms;

/// Where the files are unless the command line says otherwise.
pub(crate) const DEFAULT_DIRECTORY: &str = "/etc/ha-observer";
/// Where the daemon listens unless its file says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/ha-observer/ha-observer.sock";
/// The commented default file of the daemon.
pub(crate) const OBSERVER_TOML: &str = include_str!("defaults/observer.toml");
/// The commented default file of a pair.
pub(crate) const PAIR_TOML: &str = include_str!("defaults/pair.toml");

/// Everything that was read.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The daemon's own settings.
    pub(crate) daemon: DaemonConfig,
    /// The pairs, by their file's name.
    pub(crate) pairs: Vec<PairAccess>,
    /// What is odd in them, and works all the same.
    pub(crate) odd: Vec<Finding>,
}

/// Reads `observer.toml` (its absence means the shipped settings) and every `pairs/*.toml`.
pub(crate) fn load(directory: &Path, reach: Reach) -> Result<Config, Findings> {
    let (mut findings, mut odd) = (Vec::new(), Vec::new());
    let daemon = load_daemon(directory).unwrap_or_else(|found| {
        findings.extend(found);
        DaemonConfig::default()
    });
    let mut pairs: Vec<PairAccess> = Vec::new();
    let mut files_by_name: BTreeMap<String, PathBuf> = BTreeMap::new();
    match pair_files(&directory.join("pairs")) {
        Ok(files) => {
            for file in files {
                let read = read_text(&file).and_then(|text| pair::read(&file, &text, reach));
                match read {
                    Ok((access, oddities)) => {
                        odd.extend(oddities);
                        let name = access.spec.name.to_string();
                        if let Some(other) = files_by_name.insert(name.clone(), file.clone()) {
                            findings.push(same_name(&file, &name, &other));
                        }
                        pairs.push(access);
                    }
                    Err(found) => findings.extend(found),
                }
            }
        }
        Err(finding) => findings.push(finding),
    }
    if findings.is_empty() { Ok(Config { daemon, pairs, odd }) } else { Err(Findings(findings)) }
}

fn load_daemon(directory: &Path) -> Result<DaemonConfig, Vec<Finding>> {
    let file = directory.join("observer.toml");
    match std::fs::read_to_string(&file) {
        Ok(text) => daemon::read(&file, &text),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(DaemonConfig::default()),
        Err(why) => Err(vec![unreadable(&file, &why)]),
    }
}

fn pair_files(directory: &Path) -> Result<Vec<PathBuf>, Finding> {
    let entries = std::fs::read_dir(directory).map_err(|why| Finding {
        fix: format!(
            "mkdir -p {0}; ha-observer config --default pair > {0}/NAME.toml",
            directory.display()
        ),
        ..unreadable(directory, &why)
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|why| unreadable(directory, &why))?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if !hidden && file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Finding {
            file: directory.to_owned(),
            line: None,
            key: String::new(),
            problem: "no pair is configured".to_owned(),
            fix: format!(
                "ha-observer config --default pair > {}/NAME.toml, then fill it in",
                directory.display()
            ),
            weight: Weight::Wrong,
        });
    }
    Ok(files)
}

fn read_text(file: &Path) -> Result<String, Vec<Finding>> {
    std::fs::read_to_string(file).map_err(|why| vec![unreadable(file, &why)])
}

fn unreadable(file: &Path, why: &std::io::Error) -> Finding {
    Finding {
        file: file.to_owned(),
        line: None,
        key: String::new(),
        problem: format!("cannot be read: {why}"),
        fix: "it must exist and be readable by the user ha-observer".to_owned(),
        weight: Weight::Wrong,
    }
}

fn same_name(file: &Path, name: &str, other: &Path) -> Finding {
    Finding {
        file: file.to_owned(),
        line: None,
        key: "pair.name".to_owned(),
        problem: format!("{} is called \"{name}\", too", other.display()),
        fix: "give each pair its own name".to_owned(),
        weight: Weight::Wrong,
    }
}

#[cfg(test)]
mod tests;
