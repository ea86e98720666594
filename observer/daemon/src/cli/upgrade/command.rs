//! The operator's own commands: run here, as who runs the verb, with their output as it comes.
//!
//! The observer's daemon never runs them: whoever may talk to it could else run anything with its
//! rights.

use std::fs::{File, OpenOptions};
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use observer_core::upgrade::Upgrade;
use observer_core::words::{HostName, human_ms};
use tokio::process::Command;

/// Held while an upgrade of a pair is carried out, and by a command whose verb was killed.
pub(super) struct Turn(Flock<File>);

impl Turn {
    /// Takes the turn, unless somebody has it.
    pub(super) fn take(pair: &str) -> Result<Self, String> {
        let path = format!("/run/lock/ha-observer-upgrade-{}.lock", pair.replace('/', "-"));
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|why| {
            format!("{path} cannot be opened: {why}\n  fix: run it as root, or remove the file")
        })?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self(lock)),
            Err(_) => Err(format!(
                "another run is at it, or the command of a killed one still runs\n  fix: wait for \
                 it, or end it: `fuser {path}` shows which process it is"
            )),
        }
    }
}

/// Runs `words` for one host, and says why it failed.
pub(super) async fn run(
    turn: &Turn,
    words: &[String],
    upgrade: &Upgrade,
    host: &HostName,
    limit_ms: u64,
) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    // A command that outlives this process keeps the lock by its standard input, which is empty.
    let stdin = turn.0.try_clone().map_err(|why| format!("no standard input for it: {why}"))?;
    let mut command = Command::new(program);
    command.args(arguments).envs(&upgrade.environment);
    command.envs(upgrade.host_environment.get(host).into_iter().flatten());
    command.env("HA_OBSERVER_HOST", host.as_str()).env("HA_OBSERVER_UPGRADE", &upgrade.name);
    command.stdin(Stdio::from(stdin));
    let mut child = command.spawn().map_err(|why| format!("{program} cannot be run: {why}"))?;
    match tokio::time::timeout(Duration::from_millis(limit_ms), child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
        Ok(Err(why)) => Err(format!("{program} cannot be waited for: {why}")),
        Err(_) => {
            // One that is gone already needs no end.
            let _ = child.kill().await;
            Err(format!("{program} did not end within {} and was killed", human_ms(limit_ms)))
        }
    }
}
