//! One stage of an upgrade. Each may be done twice: what is so already is found so.

use std::time::{Duration, Instant};

use observer_core::draft::Services;
use observer_core::journal::Keeper;
use observer_core::judge::{Cause, Verdict};
use observer_core::upgrade::{Next, Stage, Upgrade};
use observer_core::words::{HostName, human_ms};

use super::super::{Desk, Exit, Failure, act};
use super::command::{self, Turn};
use crate::api::types::{Accepted, MaintenanceEnd, MaintenanceRequest};
use crate::report::view::PairStatus;

/// How long after a look at what is waited for the next one comes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Does what is next; why it failed, if it did.
pub(super) async fn carry_out(
    desk: &Desk,
    turn: &Turn,
    upgrade: &Upgrade,
    next: &Next,
) -> Result<(), String> {
    let host = &next.host;
    match next.stage {
        Stage::Switchover => switch_over(desk, upgrade).await,
        Stage::Maintain => maintain(desk, upgrade, host).await,
        Stage::Stop => services(desk, upgrade, host, Services::Stop).await,
        Stage::Command => {
            command::run(turn, &upgrade.command, upgrade, host, upgrade.command_limit_ms).await
        }
        Stage::Start => services(desk, upgrade, host, Services::Start).await,
        Stage::Ready => ready(turn, upgrade, host).await,
        Stage::Finish => finish(desk, upgrade, host).await,
    }
}

/// Puts a host that was being upgraded to work again.
pub(super) async fn put_back(
    desk: &Desk,
    turn: &Turn,
    upgrade: &Upgrade,
    host: &HostName,
) -> Result<(), String> {
    if !upgrade.back.is_empty() {
        services(desk, upgrade, host, Services::Stop).await?;
        command::run(turn, &upgrade.back, upgrade, host, upgrade.command_limit_ms).await?;
    }
    services(desk, upgrade, host, Services::Start).await?;
    finish(desk, upgrade, host).await
}

/// What a plan that was followed comes to.
fn ended(followed: Result<Exit, Failure>) -> Result<(), String> {
    match followed {
        Ok(Exit::Ok) => Ok(()),
        Ok(Exit::Undone) => Err("its plan was taken back, see the events above".to_owned()),
        Ok(_) => Err("its plan is left to the daemon".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// What came of one try.
enum Tried {
    /// It is over, well or not.
    Over(Result<(), String>),
    /// It cannot be done yet, and why.
    NotYet(String),
}

/// Tries again until it is over, for as long as things may take to be ready; in vain, it is the
/// last reason.
async fn patiently(upgrade: &Upgrade, attempt: impl AsyncFn() -> Tried) -> Result<(), String> {
    let until = Instant::now() + Duration::from_millis(upgrade.ready_limit_ms);
    loop {
        match attempt().await {
            Tried::Over(result) => return result,
            Tried::NotYet(why) if Instant::now() >= until => return Err(why),
            Tried::NotYet(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// An order that was refused changed nothing, and may be given again.
fn tried(followed: Result<Exit, Failure>) -> Tried {
    match followed {
        Err(why) if why.exit() == Exit::Refused => Tried::NotYet(why.to_string()),
        followed => Tried::Over(ended(followed)),
    }
}

/// Orders a switchover once the checks let it: right after a host came back they may not yet, and
/// what lets it in the forecast may stand in the way for a moment when it is ordered.
async fn switch_over(desk: &Desk, upgrade: &Upgrade) -> Result<(), String> {
    let attempt = async || match act::refusal(desk, "switchover").await {
        Ok(None) => tried(act::order(desk, "switchover", reason(upgrade)).await),
        Ok(Some(why)) => Tried::NotYet(why),
        Err(why) => Tried::NotYet(why.to_string()),
    };
    patiently(upgrade, attempt).await
}

async fn services(
    desk: &Desk,
    upgrade: &Upgrade,
    host: &HostName,
    wanted: Services,
) -> Result<(), String> {
    let plan_open = format!("[{}]", Cause::PlanOpen.name());
    let attempt = async || match act::services(desk, host, wanted, reason(upgrade)).await {
        // A small repair, such as that of the host's monitor file, which its maintenance asked for.
        Err(why) if why.to_string().contains(&plan_open) => Tried::NotYet(why.to_string()),
        followed => Tried::Over(ended(followed)),
    };
    patiently(upgrade, attempt).await
}

/// What its orders are for, as the events tell it.
fn reason(upgrade: &Upgrade) -> String {
    format!("upgrade {}", upgrade.name.trim())
}

async fn maintain(desk: &Desk, upgrade: &Upgrade, host: &HostName) -> Result<(), String> {
    let say = |why: super::super::ClientError| why.to_string();
    let path = desk.path("maintenance").await.map_err(|why| why.to_string())?;
    let reason = reason(upgrade);
    let request =
        MaintenanceRequest { host: host.clone(), reason, until: None, keeper: Keeper::Upgrade };
    let _: Accepted = desk.client.post(&path, &request).await.map_err(say)?;
    Ok(())
}

/// Asks the operator's own command until it succeeds.
async fn ready(turn: &Turn, upgrade: &Upgrade, host: &HostName) -> Result<(), String> {
    let limit_ms = upgrade.ready_limit_ms;
    let until = Instant::now() + Duration::from_millis(limit_ms);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(limit_ms);
        let Err(why) = command::run(turn, &upgrade.ready, upgrade, host, left_ms).await else {
            return Ok(());
        };
        if until.saturating_duration_since(Instant::now()) <= LOOK_EVERY {
            return Err(format!("not ready within {}: {why}", human_ms(limit_ms)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether nothing is wrong, and balancers send users to the host again if they are to.
fn is_in_order(status: &PairStatus, host: &HostName) -> bool {
    let returns = status.hosts.iter().any(|one| one.name == *host && one.returning);
    status.verdict == Some(Verdict::Steady) && status.plan.is_none() && !returns
}

fn is_drained(status: &PairStatus, host: &HostName) -> bool {
    status.hosts.iter().any(|one| one.name == *host && one.drain.is_some())
}

/// Makes the host a candidate again, and waits until the pair is in order with it.
async fn finish(desk: &Desk, upgrade: &Upgrade, host: &HostName) -> Result<(), String> {
    let say = |why: Failure| why.to_string();
    let status = desk.pair_status().await.map_err(say)?;
    if status.hosts.iter().any(|one| one.name == *host && one.maintenance.is_some()) {
        // Of another's the daemon says whose it is, and it stays.
        let path = desk.path("maintenance/end").await.map_err(say)?;
        let request = MaintenanceEnd { host: host.clone(), keeper: Keeper::Upgrade };
        let ended = desk.client.post(&path, &request).await;
        let _: Accepted = ended.map_err(|why| why.to_string())?;
    }
    let attempt = async || match desk.pair_status().await {
        Err(why) => Tried::Over(Err(say(why))),
        Ok(status) if is_in_order(&status, host) => Tried::Over(Ok(())),
        // It would be waited for in vain: a person ends it.
        Ok(status) if is_drained(&status, host) => {
            Tried::Over(Err(format!("{host} is drained: `ha-observer undrain {host}`, then go on")))
        }
        Ok(status) => {
            let (limit, why) = (human_ms(upgrade.ready_limit_ms), status.sentence);
            Tried::NotYet(format!("the pair is not in order within {limit}: {why}"))
        }
    };
    patiently(upgrade, attempt).await
}
