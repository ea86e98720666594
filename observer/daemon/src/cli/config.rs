//! `config`: default files, a check of what is written, and what a machine needs: its
//! sudo rights and the guard.

use std::path::Path;

use observer_world::pair_world::PairWorld;

use super::args::{ConfigAction, ConfigArgs, DefaultFile};
use super::output::print;
use super::{Exit, Failure};
use crate::config::access::PairAccess;
use crate::config::{self, Finding, OBSERVER_TOML, PAIR_TOML, Reach};

pub(super) fn carry_out(args: ConfigArgs, pair: Option<&str>) -> Result<Exit, Failure> {
    match (args.default, args.action) {
        (Some(DefaultFile::Observer), _) => print(OBSERVER_TOML),
        (Some(DefaultFile::Pair), _) => print(PAIR_TOML),
        (None, Some(ConfigAction::Check { config, place })) => {
            check(&place.unwrap_or(config.directory), pair)?;
        }
        (None, Some(ConfigAction::Sudoers { host, config })) => {
            sudoers(&host, &config.directory, pair)?;
        }
        (None, Some(ConfigAction::Guard { host, config })) => {
            guard(&host, &config.directory, pair)?;
        }
        (None, Some(ConfigAction::Files { host, config })) => {
            of_machine(&host, &config.directory, pair, |world| world.files_setup(&host))?;
        }
        (None, None) => {
            let fix = "use --default, check, sudoers, guard or files; `ha-observer config --help`";
            return Err(Failure::Usage(format!("nothing to do\n  fix: {fix}")));
        }
    }
    Ok(Exit::Ok)
}

fn check(directory: &Path, pair: Option<&str>) -> Result<(), Failure> {
    let (pairs, odd) = read(directory, Reach::Files, pair)?;
    for finding in odd {
        print(&format!("{finding}\n"));
    }
    for access in pairs {
        let name = access.spec.name.clone();
        let (hosts, proxies) = (access.hosts.len(), access.proxies.len());
        let bouncers = match access.bouncers.len() {
            0 => String::new(),
            count => format!(", PgBouncers: {count}"),
        };
        PairWorld::connect(access).map_err(|why| Failure::Config(format!("pair {name}: {why}")))?;
        print(&format!(
            "pair {name}: nothing wrong (hosts: {hosts}, proxies: {proxies}{bouncers})\n"
        ));
    }
    Ok(())
}

fn sudoers(machine: &str, directory: &Path, pair: Option<&str>) -> Result<(), Failure> {
    of_machine(machine, directory, pair, |world| world.sudoers(machine))
}

fn guard(host: &str, directory: &Path, pair: Option<&str>) -> Result<(), Failure> {
    of_machine(host, directory, pair, |world| world.guard(host))
}

/// Prints a text that is made for one machine, by the pair that it belongs to.
fn of_machine(
    machine: &str,
    directory: &Path,
    pair: Option<&str>,
    text: impl Fn(&PairWorld) -> Option<String>,
) -> Result<(), Failure> {
    let mut known = Vec::new();
    // The text depends on no file but these: it may be made on another machine.
    for access in pairs(directory, Reach::Text, pair)? {
        let name = access.spec.name.clone();
        known.extend(access.spec.hosts.iter().map(ToString::to_string));
        known.extend(access.spec.proxies.iter().map(ToString::to_string));
        let world = PairWorld::connect(access)
            .map_err(|why| Failure::Config(format!("pair {name}: {why}")))?;
        if let Some(text) = text(&world) {
            print(&text);
            return Ok(());
        }
    }
    if known.iter().any(|name| name == machine) {
        return Err(Failure::Usage(format!(
            "{machine} needs none: it keeps nothing of the pair that this is about\n  fix: leave \
             it out; a guard is for hosts with a database of their own, files are for hosts"
        )));
    }
    let known = known.join(", ");
    Err(Failure::Usage(format!(
        "no host or proxy is called \"{machine}\"\n  fix: use one of: {known}"
    )))
}

/// The configured pairs, or the one that was named.
pub(super) fn pairs(
    directory: &Path,
    reach: Reach,
    pair: Option<&str>,
) -> Result<Vec<PairAccess>, Failure> {
    Ok(read(directory, reach, pair)?.0)
}

/// The same, with what is odd in all of the files.
fn read(
    directory: &Path,
    reach: Reach,
    pair: Option<&str>,
) -> Result<(Vec<PairAccess>, Vec<Finding>), Failure> {
    let config =
        config::load(directory, reach).map_err(|findings| Failure::Config(findings.to_string()))?;
    let Some(name) = pair else { return Ok((config.pairs, config.odd)) };
    let known: Vec<String> =
        config.pairs.iter().map(|access| access.spec.name.to_string()).collect();
    let mut pairs = config.pairs;
    pairs.retain(|access| access.spec.name.as_str() == name);
    if pairs.is_empty() {
        let known = known.join(", ");
        return Err(Failure::Usage(format!(
            "no pair is called \"{name}\"\n  fix: use one of: {known}"
        )));
    }
    Ok((pairs, config.odd))
}
