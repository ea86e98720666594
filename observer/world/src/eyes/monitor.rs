//! Looks at a host's monitor file, and at who has a session at its application's port.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use observer_core::sighting::{Says, Seen, Silent};

use super::silence;
use crate::commands::MonitorCommands;
use crate::pair_world::{Host, Inner};
use crate::ssh::Ending;
use crate::text::shown;

/// Thousands of sessions, a hundred bytes each.
const OUTPUT_MAX: usize = 4 * 1024 * 1024;

/// What the file says, asked by the command that its owner's rights are taken for.
pub(crate) async fn says(
    host: &Host,
    own: &MonitorCommands,
    deadline: Duration,
) -> Result<Says, String> {
    let output = host.ssh.exec(&own.see.command(), "", deadline, 4096).await;
    let output = output.map_err(|error| error.to_string())?;
    let said = shown(&output.stderr);
    match output.ending {
        Ending::Exited(0) => Ok(own.says(true)),
        // sudo that refuses exits alike, but never without a word.
        Ending::Exited(1) if said.is_empty() => Ok(own.says(false)),
        _ => Err(said),
    }
}

/// How many sessions others than our proxies have at the application's port. Neither are those
/// counted that the observer and the hosts open to look.
pub(crate) async fn sessions(
    world: &Inner,
    host: &Host,
    deadline: Duration,
) -> Result<Seen, Silent> {
    let Some(own) = &host.commands.monitor else {
        return Err(Silent::Denied("the host has no monitor file".to_owned()));
    };
    let ours = ours(world).await;
    let output = host.ssh.exec(&own.sessions(), "", deadline, OUTPUT_MAX).await;
    let output = output.map_err(silence::of_command)?;
    if !output.succeeded() {
        return Err(Silent::Denied(format!("ss (iproute2): {}", shown(&output.stderr))));
    }
    match count(&String::from_utf8_lossy(&output.stdout), &ours) {
        Some(count) => Ok(Seen::Sessions(count)),
        None => Err(Silent::Garbage(shown(&output.stdout))),
    }
}

/// The addresses of the pair's own machines. One that cannot be told counts as somebody else's: a
/// drain then waits for it, and says so.
async fn ours(world: &Inner) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    for name in names(world) {
        match name.parse::<IpAddr>() {
            Ok(address) => {
                found.insert(address.to_canonical());
            }
            Err(_) => {
                let Ok(addresses) = tokio::net::lookup_host(format!("{name}:0")).await else {
                    continue;
                };
                found.extend(addresses.map(|one| one.ip().to_canonical()));
            }
        }
    }
    found
}

/// Under which names and addresses the pair's machines are known.
fn names(world: &Inner) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for host in world.hosts.values() {
        names.insert(host.access.ssh.address.clone());
        names.extend(host.access.application.as_ref().map(|probe| probe.address.clone()));
    }
    names.extend(world.proxies.values().map(|proxy| proxy.access.ssh.address.clone()));
    names
}

/// Counts the lines of `ss` whose peer is nobody of `ours`.
fn count(text: &str, ours: &BTreeSet<IpAddr>) -> Option<u64> {
    let (_, rest) = text.rsplit_once("=== ha-observer sessions\n")?;
    let (rest, _) = rest.split_once("=== ha-observer end")?;
    let mut lines = rest.lines();
    // Client's address, its port, and the same of the server.
    let observer = lines.next()?.split_whitespace().next().and_then(address);
    let mut count = 0;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let (peer, _) = line.split_whitespace().nth(3)?.rsplit_once(':')?;
        let peer = address(peer)?;
        if !peer.is_loopback() && Some(peer) != observer && !ours.contains(&peer) {
            count += 1;
        }
    }
    Some(count)
}

/// An address as `ss` and sshd print it: in brackets or not, with the name of a link behind it.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_start_matches('[').trim_end_matches(']');
    let text = text.split('%').next().unwrap_or(text);
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Debian 12 prints it: without the state, since it was asked for.
    const PRINTED: &str = "Welcome!\n=== ha-observer sessions\n\
        10.80.0.10 51234 10.80.0.12 22\n\
        0      0         10.80.0.12:8080      10.80.0.30:41000 \n\
        0      0      [::ffff:10.80.0.12]:8080 [::ffff:10.80.0.20]:41001 \n\
        0      0         10.80.0.12:8080      10.80.0.10:41002 \n\
        0      0         127.0.0.1:8080       127.0.0.1:41003 \n\
        0      0      [fe80::2%eth0]:8080     [fe80::9%eth0]:41004 \n\
        === ha-observer end\n";

    #[test]
    fn only_sessions_of_others_count() {
        let ours = BTreeSet::from(["10.80.0.20".parse().unwrap()]);
        assert_eq!(count(PRINTED, &ours), Some(2));
        assert_eq!(count(PRINTED, &BTreeSet::new()), Some(3));
    }

    #[test]
    fn what_cannot_be_read_is_no_empty_host() {
        let none = BTreeSet::new();
        assert_eq!(count("", &none), None);
        assert_eq!(count("=== ha-observer sessions\n\n=== ha-observer end\n", &none), Some(0));
        assert_eq!(count(&PRINTED.replace("10.80.0.30:41000", "?"), &none), None);
        let cut = PRINTED.split("[fe80::2").next().unwrap();
        assert_eq!(count(cut, &none), None);
    }
}
