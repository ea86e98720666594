//! Counts the sessions that a drained host still has: those that balancers of others sent there,
//! and those that proxies of the pair lead to it where users may go to every host.
//!
//! A place that cannot be asked makes the whole count unknown: nobody is told that a host is empty
//! while somebody may be there.

use std::time::Duration;

use observer_core::sighting::{Seen, Silent};

use super::monitor;
use crate::hands::shared_sessions;
use crate::pair_world::{Host, Inner};

pub(super) async fn look(world: &Inner, host: &Host, deadline: Duration) -> Result<Seen, Silent> {
    let until = tokio::time::Instant::now() + deadline;
    let mut count = 0;
    if host.commands.monitor.is_some() {
        match monitor::sessions(world, host, deadline).await? {
            Seen::Sessions(sessions) => count += sessions,
            other => return Ok(other),
        }
    }
    let sharing = world.proxies.values().filter(|proxy| !proxy.access.every_host.is_empty());
    for proxy in sharing {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        count += shared_sessions(world, proxy, &host.access.name, left).await?;
    }
    Ok(Seen::Sessions(count))
}
