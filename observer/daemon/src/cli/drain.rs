//! `drain` and `undrain`: orders that are followed until nobody is left, or users may come again.

use std::time::{Duration, Instant};

use observer_core::journal::Keeper;
use observer_core::policy::Mode;
use observer_core::sighting::Says;
use observer_core::words::{At, HostName, human_ms};

use super::args::{DrainArgs, UndrainArgs};
use super::client::ClientError;
use super::orders::check_length;
use super::output::print;
use super::{Desk, Exit, Failure, print_json};
use crate::api::types::{Accepted, DrainRequest, UndrainRequest};
use crate::report::members::HostStatus;
use crate::report::view::PairStatus;

/// How often the count is read.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How much longer than the limit an answer may take: the daemon tells it within a round.
const GRACE: Duration = Duration::from_secs(15);

/// Keeps users away from a host, and waits until nobody is left there.
pub(super) async fn begin(desk: &Desk, args: DrainArgs) -> Result<Exit, Failure> {
    let DrainArgs { host, reason, for_ms, limit_ms } = args;
    check_length(for_ms)?;
    let path = desk.path("drain").await?;
    let status = desk.pair_status().await?;
    let until = for_ms.map(|ms| status.at.plus(ms));
    let host = HostName::new(&host);
    let request = DrainRequest { host: host.clone(), reason, until, limit_ms };
    let _: Accepted = desk.client.post(&path, &request).await?;
    say(desk, &format!("{host} is being drained; Ctrl-C leaves it to the daemon"));
    let mut told = String::new();
    let patience = Duration::from_millis(limit_ms) + GRACE;
    let last = follow(desk, &host, patience, |now, at| {
        let Some(drain) = &now.drain else {
            return Some(Outcome { exit: Exit::NotSettled, text: format!("{host}: undrained") });
        };
        if let Some(settled) = drain.settled {
            return Some(match settled.left {
                Some(0) => {
                    let text = format!("{host} is drained: nobody is left there");
                    Outcome { exit: Exit::Ok, text }
                }
                _ => Outcome { exit: Exit::NotSettled, text: drain.sentence(&host) },
            });
        }
        let line = progress(now, drain.since, at);
        let count = drain.progress();
        if told != count {
            say(desk, &line);
            told = count;
        }
        None
    });
    end(desk, &host, last.await?).await
}

/// Lets users come to a host again, and waits until it is well.
pub(super) async fn finish(desk: &Desk, args: UndrainArgs) -> Result<Exit, Failure> {
    let UndrainArgs { host, limit_ms } = args;
    let host = HostName::new(&host);
    let path = desk.path("undrain").await?;
    let _: Accepted = desk.client.post(&path, &UndrainRequest { host: host.clone() }).await?;
    let status = desk.pair_status().await?;
    if let Some(why) = what_waits(&status, &host) {
        let text = format!("{host} is not drained any more; users are sent there after {why}");
        return end(desk, &host, Outcome { exit: Exit::NotSettled, text }).await;
    }
    say(desk, &format!("users may come to {host} again, once its application is well"));
    let last = follow(desk, &host, Duration::from_millis(limit_ms), |now, _| {
        let text = format!("{host} is undrained: its application is well, and users are let in");
        (!now.returning).then_some(Outcome { exit: Exit::Ok, text })
    });
    end(desk, &host, last.await?).await
}

/// What keeps users away from a host beside its drain: a person ends it, and nobody waits here.
fn what_waits(status: &PairStatus, host: &HostName) -> Option<String> {
    let line = status.hosts.iter().find(|one| one.name == *host);
    let kept = line.and_then(|line| line.maintenance.as_ref());
    match (kept.map(|kept| kept.keeper), &status.pause, status.mode) {
        (Some(Keeper::Person), ..) => {
            Some(format!("its maintenance: `ha-observer maintenance {host} --end`"))
        }
        (Some(Keeper::Upgrade), ..) => Some("its upgrade: `ha-observer upgrade resume`".to_owned()),
        (None, Some(_), _) => Some("the pause: `ha-observer resume`".to_owned()),
        (None, None, Mode::Auto) => None,
        (None, None, _) => Some("`mode = \"auto\"` stands in the pair's file again".to_owned()),
    }
}

struct Outcome {
    exit: Exit,
    text: String,
}

/// Reads how the host stands until `is_over` says so, or the patience is over. A daemon that is
/// started anew meanwhile goes on with what it has in its journal.
async fn follow(
    desk: &Desk,
    host: &HostName,
    patience: Duration,
    mut is_over: impl FnMut(&HostStatus, At) -> Option<Outcome>,
) -> Result<Outcome, Failure> {
    let until = Instant::now() + patience;
    let mut owed = None;
    loop {
        match desk.pair_status().await {
            Ok(status) => {
                let line = status.hosts.iter().find(|one| one.name == *host);
                owed = line.and_then(|line| line.monitor_owed);
                if let Some(outcome) = line.and_then(|line| is_over(line, status.at)) {
                    return Ok(outcome);
                }
            }
            Err(Failure::Client(ClientError::NotRunning(_) | ClientError::Gone(_))) => {}
            Err(failure) => return Err(failure),
        }
        if Instant::now() >= until {
            let text = format!("{host}: not within the limit; {}", see_why(owed));
            return Ok(Outcome { exit: Exit::NotSettled, text });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn see_why(owed: Option<Says>) -> String {
    match owed {
        Some(owed) => format!(
            "its monitor file does not say {owed} yet; `ha-observer events` shows what was tried"
        ),
        None => "`ha-observer status` shows why".to_owned(),
    }
}

async fn end(desk: &Desk, host: &HostName, outcome: Outcome) -> Result<Exit, Failure> {
    if desk.is_json() {
        let status = desk.pair_status().await?;
        print_json(&status.hosts.iter().find(|one| one.name == *host));
    } else {
        print(&format!("{}\n", outcome.text));
    }
    Ok(outcome.exit)
}

fn progress(now: &HostStatus, since: At, at: At) -> String {
    let count = now.drain.as_ref().map_or_else(String::new, |drain| drain.progress());
    format!("  {count} ({})", human_ms(at.since(since)))
}

fn say(desk: &Desk, line: &str) {
    if !desk.is_json() {
        print(&format!("{line}\n"));
    }
}
