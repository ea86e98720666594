//! Surveys a pair for a validation: everything of all hosts and proxies at about the same time.
//!
//! It changes nothing and judges nothing. Whatever does not answer within the deadline is in the
//! survey with the reason; a survey is never missing.

mod bouncer;
mod host;
mod mounts;
mod proxy;
pub(crate) mod proxy_files;
mod script;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use observer_core::sighting::{Seen, Silent};
use observer_core::validate::{ClockSurvey, Datum, Health, HostSurvey, Roles, Survey, Unread};
use observer_core::words::HostName;
use tokio::time::Instant;

use crate::pair_world::PairWorld;
use crate::parity;
use crate::ssh::{Command, Ssh};
use crate::text::shown;

impl PairWorld {
    /// Reads everything that a validation wants to know, read-only, within `deadline` from when its
    /// turn has come: two at once would take more sessions than sshd gives, and each other's tokens
    /// from the shared mounts.
    pub async fn survey(&self, roles: &Roles, deadline: Duration) -> Survey {
        let world = self.inner();
        let _turn = world.surveying.lock().await;
        let began = Instant::now();
        let until = began + deadline;
        let hosts = join_all(world.hosts.iter().map(async |(name, host)| {
            (name.clone(), host::survey(world, host, roles, until).await)
        }));
        let proxies =
            join_all(world.proxies.iter().map(async |(name, proxy)| {
                (name.clone(), proxy::survey(world, proxy, until).await)
            }));
        let bouncers = join_all(world.bouncers.iter().map(async |(name, bouncer)| {
            (name.clone(), in_time(until, bouncer::survey(world, bouncer, until)).await)
        }));
        let parity = parity::read(world, until);
        let mounts = mounts::survey(world);
        let (hosts, proxies, bouncers, parity, mut mounts) =
            tokio::join!(hosts, proxies, bouncers, parity, mounts);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut hosts: BTreeMap<HostName, HostSurvey> = hosts.into_iter().collect();
        for (name, host) in &mut hosts {
            host.mounts = mounts.remove(name).unwrap_or_default();
        }
        let proxies = proxies.into_iter().collect();
        let bouncers = bouncers.into_iter().collect();
        Survey { hosts, proxies, bouncers, parity, took_ms }
    }
}

/// What is left of the time.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// A datum that must come before the deadline, or is not read.
async fn in_time<T>(until: Instant, reading: impl Future<Output = Datum<T>>) -> Datum<T> {
    let late = |_| Err(Unread("no answer in time".to_owned()));
    tokio::time::timeout_at(until, reading).await.unwrap_or_else(late)
}

/// A machine's clock beside ours: it is asked in the middle of the question, give or take half.
async fn clock(ssh: &Ssh, until: Instant) -> Datum<ClockSurvey> {
    // The connection may have to be made first, which is no part of the question.
    ssh.connect(left(until)).await.map_err(|error| Unread(error.to_string()))?;
    let (asked, began) = (unix_ms(), Instant::now());
    let command = Command::new("date").arg("+%s%3N");
    let output = ssh.exec(&command, "", left(until), 4096).await;
    let output = output.map_err(|error| Unread(error.to_string()))?;
    let took = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
    // A login shell that prints comes first.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let there = text.lines().last().and_then(|line| line.trim().parse::<i64>().ok());
    let there = there.ok_or_else(|| Unread(format!("`date` says {}", shown(text.as_bytes()))))?;
    Ok(ClockSurvey {
        ahead_ms: there.saturating_sub(asked.saturating_add(took / 2)),
        doubt_ms: took.unsigned_abs().div_ceil(2),
    })
}

fn unix_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// An application's answer.
fn health(seen: Result<Seen, Silent>) -> Datum<Health> {
    match seen {
        Ok(Seen::ApplicationWell) => Ok(Health::Well),
        Ok(Seen::ApplicationIll(what)) => Ok(Health::Ill(what)),
        Ok(Seen::Refused) => Ok(Health::Refused),
        Ok(other) => Err(Unread(format!("{other:?} is no answer of an application"))),
        Err(silent) => Err(unread(&silent)),
    }
}

fn unread(silent: &Silent) -> Unread {
    Unread(silent.to_string())
}
