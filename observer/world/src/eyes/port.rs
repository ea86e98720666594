//! Looks over TCP: at a host's port and its application's health, from here or from another host of
//! the pair; and from a host at the external database. What an answer means is the same wherever it
//! starts.

use std::time::Duration;

use observer_core::sighting::{DatabaseBusy, Seen, Silent, Vantage};
use tokio::time::Instant;

use super::silence;
use crate::access::HttpProbe;
use crate::http::{HttpError, HttpQuestion, get};
use crate::pair_world::{Host, Inner};
use crate::postgres::{StartupAnswer, startup_probe};
use crate::ssh::Ssh;
use crate::tcp;
use crate::text::shown;

/// What is kept of an application's answer, for the sentence that says what is wrong.
const BODY_KEPT: usize = 4096;

/// Whether the external database takes a connection from `host`; nothing is sent there.
pub(crate) async fn external(
    world: &Inner,
    host: &Host,
    deadline: Duration,
) -> Result<Seen, Silent> {
    let Some(external) = &world.external else {
        return Err(Silent::Denied("the pair's database is on its hosts".to_owned()));
    };
    match host.ssh.open_tcp(&external.address, external.port, deadline).await {
        Ok(_) => Ok(Seen::PortOpen),
        Err(error) => silence::of_open(error),
    }
}

/// Whether sshd's port of a host that keeps no database takes a connection.
async fn of_sshd(
    world: &Inner,
    host: &Host,
    from: &Vantage,
    deadline: Duration,
) -> Result<Seen, Silent> {
    let (address, port) = (&host.access.ssh.address, host.access.ssh.port);
    match from {
        Vantage::Observer => match tcp::connect(address, port, deadline).await {
            Ok(_) => Ok(Seen::PortOpen),
            Err(error) => silence::of_tcp(error),
        },
        Vantage::Host(other) => {
            let ssh = &world.host(other).ok_or_else(|| unknown(from))?.ssh;
            match ssh.open_tcp(address, port, deadline).await {
                Ok(_) => Ok(Seen::PortOpen),
                Err(error) => silence::of_open(error),
            }
        }
    }
}

pub(super) async fn database(
    world: &Inner,
    host: &Host,
    from: &Vantage,
    deadline: Duration,
) -> Result<Seen, Silent> {
    if world.external.is_some() {
        return of_sshd(world, host, from, deadline).await;
    }
    let until = Instant::now() + deadline;
    let access = &host.access.database;
    let left = || until.saturating_duration_since(Instant::now());
    let (user, database) = (access.user.as_str(), access.database.as_str());
    let answer = match from {
        Vantage::Observer => match tcp::connect(&access.address, access.port, deadline).await {
            Ok(stream) => startup_probe(stream, user, database, left()).await,
            Err(error) => return silence::of_tcp(error),
        },
        Vantage::Host(other) => {
            let ssh = &world.host(other).ok_or_else(|| unknown(from))?.ssh;
            match ssh.open_tcp(&access.address, access.port, deadline).await {
                Ok(stream) => startup_probe(stream, user, database, left()).await,
                Err(error) => return silence::of_open(error),
            }
        }
    };
    match answer {
        StartupAnswer::Accepting => Ok(Seen::PortOpen),
        StartupAnswer::StartingUp | StartupAnswer::Recovering => {
            Ok(Seen::DatabaseBusy(DatabaseBusy::StartingUp))
        }
        StartupAnswer::ShuttingDown => Ok(Seen::DatabaseBusy(DatabaseBusy::ShuttingDown)),
        StartupAnswer::Silent => Err(Silent::Timeout),
        StartupAnswer::HungUp => Err(Silent::Garbage("it hung up without a word".to_owned())),
        StartupAnswer::Garbage(text) => Err(Silent::Garbage(text)),
    }
}

pub(super) async fn application(
    world: &Inner,
    host: &Host,
    from: &Vantage,
    deadline: Duration,
) -> Result<Seen, Silent> {
    let Some(probe) = &host.access.application else {
        return Err(Silent::Denied(format!("{} has no probe configured", host.access.name)));
    };
    match from {
        Vantage::Observer => probe_directly(probe, deadline).await,
        Vantage::Host(other) => {
            let ssh = &world.host(other).ok_or_else(|| unknown(from))?.ssh;
            probe_through(ssh, &probe.address, probe, deadline).await
        }
    }
}

pub(crate) async fn probe_directly(probe: &HttpProbe, deadline: Duration) -> Result<Seen, Silent> {
    let until = Instant::now() + deadline;
    match tcp::connect(&probe.address, probe.port, deadline).await {
        Ok(stream) => {
            let left = until.saturating_duration_since(Instant::now());
            health(get(stream, &question(probe), left).await, probe.status)
        }
        Err(error) => silence::of_tcp(error),
    }
}

/// Probes over a connection that starts where `ssh` leads and goes to `address`.
pub(crate) async fn probe_through(
    ssh: &Ssh,
    address: &str,
    probe: &HttpProbe,
    deadline: Duration,
) -> Result<Seen, Silent> {
    let until = Instant::now() + deadline;
    match ssh.open_tcp(address, probe.port, deadline).await {
        Ok(stream) => {
            let left = until.saturating_duration_since(Instant::now());
            health(get(stream, &question(probe), left).await, probe.status)
        }
        Err(error) => silence::of_open(error),
    }
}

fn question(probe: &HttpProbe) -> HttpQuestion {
    HttpQuestion {
        host: probe.host_header.clone().unwrap_or_else(|| probe.address.clone()),
        path: probe.path.clone(),
        body_limit: BODY_KEPT,
    }
}

fn health(answer: Result<crate::http::HttpAnswer, HttpError>, well: u16) -> Result<Seen, Silent> {
    match answer {
        Ok(answer) if answer.status == well => Ok(Seen::ApplicationWell),
        Ok(answer) => {
            let text = format!("status {}: {}", answer.status, shown(&answer.body));
            Ok(Seen::ApplicationIll(text.trim_end_matches([':', ' ']).to_owned()))
        }
        Err(HttpError::Silent { .. }) => Err(Silent::Timeout),
        // Something accepts connections there and does not do its work.
        Err(error @ (HttpError::HungUp(_) | HttpError::Garbage(_))) => {
            Ok(Seen::ApplicationIll(error.to_string()))
        }
        Err(error @ HttpError::BadQuestion(_)) => Err(Silent::Denied(error.to_string())),
    }
}

fn unknown(from: &Vantage) -> Silent {
    Silent::Denied(format!("{from} is no host of the pair"))
}
