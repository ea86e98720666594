//! `pause`, `resume`, `ack`, `abort`: small orders that are in force, or taken, when the verb
//! returns.

use observer_core::journal::Keeper;
use observer_core::words::{At, HostName};

use super::args::MaintenanceArgs;
use super::output::{one_line, print};
use super::{Desk, Exit, Failure, print_json};
use crate::api::types::{
    Accepted, ForgetRequest, GiveUpRequest, MaintenanceEnd, MaintenanceRequest, PAUSE_MAX_MS,
    PauseRequest, SkipStepRequest,
};
use crate::report::date_time;
use crate::report::view::PairStatus;

pub(super) async fn pause(
    desk: &Desk,
    reason: String,
    for_ms: Option<u64>,
) -> Result<Exit, Failure> {
    check_length(for_ms)?;
    let path = desk.path("pause").await?;
    let (pair, status) = (desk.pair().await?, desk.status().await?);
    let earlier = status.pairs.iter().find(|status| status.pair.as_str() == pair);
    let earlier =
        earlier.and_then(|status| status.pause.as_ref()).map_or_else(String::new, |pause| {
            format!("; this replaces the pause by {} ({})", pause.by, one_line(&pause.reason))
        });
    let until = for_ms.map(|ms| status.at.plus(ms));
    let accepted: Accepted = desk.client.post(&path, &PauseRequest { reason, until }).await?;
    let until = until.map_or_else(
        || "until `ha-observer resume`".to_owned(),
        |at: At| format!("until {}", date_time(at)),
    );
    done(desk, &accepted, &format!("paused {until}; it watches and acts on nothing{earlier}"))
}

/// Refuses a time by itself that nobody can have meant.
pub(super) fn check_length(for_ms: Option<u64>) -> Result<(), Failure> {
    if let Some(ms) = for_ms
        && !(1..=PAUSE_MAX_MS).contains(&ms)
    {
        return Err(Failure::Usage(
            "--for takes a time of more than 0 and at most 30d\n  fix: give one like 2h, or leave \
             it out: then it lasts until somebody ends it"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Takes a host out of candidacy, or back into it.
pub(super) async fn maintenance(desk: &Desk, args: MaintenanceArgs) -> Result<Exit, Failure> {
    let MaintenanceArgs { host, reason, for_ms, end } = args;
    if end {
        let path = desk.path("maintenance/end").await?;
        let request = MaintenanceEnd { host: HostName::new(&host), keeper: Keeper::Person };
        let accepted: Accepted = desk.client.post(&path, &request).await?;
        let status = desk.pair_status().await?;
        let line = status.hosts.iter().find(|one| one.name.as_str() == host);
        let text = match line.and_then(|line| line.drain.as_ref()) {
            Some(_) => format!(
                "{host} is repaired again; `ha-observer undrain {host}` lets it be promoted"
            ),
            None => format!("{host} may be promoted and repaired again"),
        };
        return done(desk, &accepted, &text);
    }
    check_length(for_ms)?;
    let path = desk.path("maintenance").await?;
    let status = desk.pair_status().await?;
    let earlier = status.hosts.iter().find(|one| one.name.as_str() == host);
    let earlier =
        earlier.and_then(|one| one.maintenance.as_ref()).map_or_else(String::new, |kept| {
            format!("; this replaces the one by {} ({})", kept.by, one_line(&kept.reason))
        });
    let until = for_ms.map(|ms| status.at.plus(ms));
    let reason = reason.unwrap_or_default();
    let request =
        MaintenanceRequest { host: HostName::new(&host), reason, until, keeper: Keeper::Person };
    let accepted: Accepted = desk.client.post(&path, &request).await?;
    let until = until.map_or_else(
        || format!("until `ha-observer maintenance {host} --end`"),
        |at: At| format!("until {}", date_time(at)),
    );
    let text = format!("{host} is in maintenance {until}: it is left alone{earlier}");
    done(desk, &accepted, &text)
}

/// Leaves a dead host out of the pair.
pub(super) async fn forget(desk: &Desk, host: &str, reason: String) -> Result<Exit, Failure> {
    // Right after a plan everything is looked at anew.
    desk.looked_at().await?;
    let path = desk.path("forget").await?;
    let request = ForgetRequest { host: HostName::new(host), reason };
    let accepted: Accepted = desk.client.post(&path, &request).await?;
    done(desk, &accepted, &format!("{host} is left out until it answers again"))
}

pub(super) async fn resume(desk: &Desk) -> Result<Exit, Failure> {
    let accepted: Accepted = desk.client.post(&desk.path("resume").await?, &()).await?;
    done(desk, &accepted, "resumed")
}

pub(super) async fn acknowledge(desk: &Desk) -> Result<Exit, Failure> {
    let before = desk.looked_at().await?;
    let accepted: Accepted = desk.client.post(&desk.path("ack").await?, &()).await?;
    let now = desk.looked_at().await?;
    let text = format!("{}\nnext: {}", acknowledged(&before, &now), one_line(&now.next));
    done(desk, &accepted, &text)
}

/// What it was that a person has seen, and what it allows.
fn acknowledged(before: &PairStatus, now: &PairStatus) -> String {
    match (&now.master, before.unacknowledged, &before.plan) {
        (Some(master), ..) if now.epoch != before.epoch => {
            format!("{master} is accepted as the master (epoch {})", now.epoch)
        }
        (_, _, Some(plan)) if now.plan.as_ref().map(|open| open.plan) != Some(plan.plan) => {
            format!("plan {} ({}) is closed as it stands", plan.plan, plan.goal)
        }
        (_, Some(plan), _) => format!(
            "the change of master by plan {plan} is acknowledged: the next automatic one is allowed"
        ),
        _ => {
            "what failed last is acknowledged: what was tried in vain may be tried again".to_owned()
        }
    }
}

/// Takes the open plan back, passes the step it is stuck at, or gives up the host it promotes.
pub(super) async fn abort(
    desk: &Desk,
    lost: Option<String>,
    reason: Option<String>,
) -> Result<Exit, Failure> {
    match (lost, reason) {
        (Some(host), Some(reason)) => {
            let text = format!(
                "{host} is given up and the plan is taken back; `ha-observer events -f` shows it. \
                 Should {host} come back, it is kept out: make it a slave with `rejoin`"
            );
            let request = GiveUpRequest { host: HostName::new(&host), reason };
            let accepted = desk.client.post(&desk.path("give-up").await?, &request).await?;
            done(desk, &accepted, &text)
        }
        (_, None) => {
            let accepted = desk.client.post(&desk.path("abort").await?, &()).await?;
            let text = "the plan is being taken back; `ha-observer events -f` shows it";
            done(desk, &accepted, text)
        }
        (None, Some(reason)) => {
            let path = desk.path("skip-step").await?;
            let accepted = desk.client.post(&path, &SkipStepRequest { reason }).await?;
            let text = "the step is left out; `ha-observer events -f` shows what follows";
            done(desk, &accepted, text)
        }
    }
}

/// Cancels the switchover that waits for its time.
pub(super) async fn cancel(desk: &Desk) -> Result<Exit, Failure> {
    let accepted = desk.client.post(&desk.path("unschedule").await?, &()).await?;
    done(desk, &accepted, "cancelled: no switchover is scheduled any more")
}

pub(super) fn done(desk: &Desk, accepted: &Accepted, text: &str) -> Result<Exit, Failure> {
    if desk.is_json() {
        print_json(accepted);
    } else {
        print(&format!("{text}\n"));
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use observer_core::pair::Pair;
    use observer_core::words::{At, Epoch, PlanId};

    use super::*;
    use crate::report::view::PairView;
    use crate::shell::scripted::spec;

    #[test]
    fn an_acknowledgement_says_of_what() {
        let nothing = PairView::of(&Pair::new(spec(), &[], At(1)), At(1)).status;
        let failed = acknowledged(&nothing, &nothing);
        assert!(failed.starts_with("what failed last is acknowledged"), "{failed}");
        let moved = PairStatus { unacknowledged: Some(PlanId(3)), ..nothing.clone() };
        let allowed = acknowledged(&moved, &nothing);
        assert!(allowed.starts_with("the change of master by plan 3 is acknowledged"), "{allowed}");
        let master = Some("node-b".into());
        let adopted = PairStatus { epoch: Epoch(4), master, ..nothing.clone() };
        let accepted = acknowledged(&nothing, &adopted);
        assert_eq!(accepted, "node-b is accepted as the master (epoch 4)");
    }
}
