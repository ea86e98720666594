//! Surveys one PgBouncer: its version, its settings, and where its databases lead.

use observer_core::validate::{BouncerDatabase, BouncerSurvey, Datum, Unread};
use observer_core::words::HostName;
use tokio::time::Instant;

use super::left;
use crate::eyes::bouncer::{databases, words};
use crate::pair_world::{Bouncer, Inner};
use crate::postgres::Failure;
use crate::text::shown;

/// None where it is definitely not running.
pub(super) async fn survey(
    world: &Inner,
    bouncer: &Bouncer,
    until: Instant,
) -> Datum<Option<BouncerSurvey>> {
    match read(world, bouncer, until).await {
        Ok(survey) => Ok(Some(survey)),
        Err(Failure::NotRunning(_)) => Ok(None),
        Err(failure) => Err(Unread(words(bouncer, &failure))),
    }
}

async fn read(world: &Inner, bouncer: &Bouncer, until: Instant) -> Result<BouncerSurvey, Failure> {
    let console = &bouncer.console;
    let version = console.version(left(until)).await?;
    let settings = console.settings(left(until)).await?;
    let pooled = databases(bouncer, left(until)).await?;
    let usual = settings.get("pool_mode").cloned().unwrap_or_default();
    let wanted = &bouncer.access.databases;
    let there = |name: &String| pooled.iter().any(|database| database.name == *name);
    let missing = wanted.iter().filter(|name| !there(name)).cloned().collect();
    let databases = pooled.iter().map(|database| BouncerDatabase {
        name: shown(database.name.as_bytes()),
        paused: database.paused,
        pool_mode: database.pool_mode.clone().unwrap_or_else(|| usual.clone()),
        past_proxies: host_at(world, &database.host),
    });
    Ok(BouncerSurvey {
        version: shown(version.as_bytes()),
        user: bouncer.access.user.clone(),
        databases: databases.collect(),
        missing,
        settings: settings.into_iter().filter(|(name, _)| TOLD.contains(&name.as_str())).collect(),
    })
}

/// The settings that a check reads; no other leaves this function.
const TOLD: &[&str] = &["admin_users", "pool_mode", "query_wait_timeout"];

/// The host of the pair at `address`, unless a proxy is there, too.
fn host_at(world: &Inner, address: &str) -> Option<HostName> {
    if world.proxies.values().any(|proxy| proxy.access.ssh.address == address) {
        return None;
    }
    let at = |host: &&crate::pair_world::Host| {
        host.access.database.address == address || host.access.ssh.address == address
    };
    world.hosts.values().find(at).map(|host| host.access.name.clone())
}
