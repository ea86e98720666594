//! `config`: default files, a check of what is written, and the sudo rights a machine needs.

use std::path::Path;

use observer_world::pair_world::PairWorld;

use super::args::{ConfigAction, ConfigArgs, DefaultFile};
use super::output::print;
use super::{Exit, Failure};
use crate::config::{self, OBSERVER_TOML, PAIR_TOML, Reach};

pub(super) fn carry_out(args: ConfigArgs) -> Result<Exit, Failure> {
    match (args.default, args.action) {
        (Some(DefaultFile::Observer), _) => print(OBSERVER_TOML),
        (Some(DefaultFile::Pair), _) => print(PAIR_TOML),
        (None, Some(ConfigAction::Check { directory })) => check(&directory)?,
        (None, Some(ConfigAction::Sudoers { host, directory })) => sudoers(&host, &directory)?,
        (None, None) => {
            let fix = "use --default, check or sudoers; `ha-observer config --help`";
            return Err(Failure::Usage(format!("nothing to do\n  fix: {fix}")));
        }
    }
    Ok(Exit::Ok)
}

fn check(directory: &Path) -> Result<(), Failure> {
    let config = load(directory, Reach::Files)?;
    for access in config.pairs {
        let name = access.spec.name.clone();
        let (hosts, proxies) = (access.hosts.len(), access.proxies.len());
        PairWorld::connect(access).map_err(|why| Failure::Config(format!("pair {name}: {why}")))?;
        print(&format!("pair {name}: nothing wrong (hosts: {hosts}, proxies: {proxies})\n"));
    }
    Ok(())
}

fn sudoers(machine: &str, directory: &Path) -> Result<(), Failure> {
    // The text depends on no file but these: it may be made on another machine.
    let config = load(directory, Reach::Text)?;
    let mut known = Vec::new();
    for access in config.pairs {
        let name = access.spec.name.clone();
        known.extend(access.spec.hosts.iter().map(ToString::to_string));
        known.extend(access.spec.proxies.iter().map(ToString::to_string));
        let world = PairWorld::connect(access)
            .map_err(|why| Failure::Config(format!("pair {name}: {why}")))?;
        if let Some(text) = world.sudoers(machine) {
            print(&text);
            return Ok(());
        }
    }
    let known = known.join(", ");
    Err(Failure::Usage(format!(
        "no host or proxy is called \"{machine}\"\n  fix: use one of: {known}"
    )))
}

fn load(directory: &Path, reach: Reach) -> Result<config::Config, Failure> {
    config::load(directory, reach).map_err(|findings| Failure::Config(findings.to_string()))
}
