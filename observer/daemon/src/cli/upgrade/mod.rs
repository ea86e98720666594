//! `upgrade`: a rolling upgrade, one host after the other, the master last.
//!
//! What is next is the daemon's word, from its journal; this carries it out, stage by stage, and
//! marks it. Killed anywhere, it is taken up by `upgrade resume` at the stage it was at.

mod check;
mod command;
mod file;
mod stages;

use observer_core::journal::Keeper;
use observer_core::upgrade::{Next, Stage, in_order};
use serde_json::json;

use self::command::Turn;
use self::file::Plan;
use super::args::{UpgradeArgs, UpgradeVerb};
use super::output::{one_line, print, say};
use super::{Desk, Exit, Failure, act, print_json};
use crate::api::types::{Accepted, UpgradeMark};
use crate::report::members::HostStatus;
use crate::report::view::{PairStatus, UpgradeStatus};

pub(super) async fn carry_out(desk: &Desk, args: UpgradeArgs) -> Result<Exit, Failure> {
    match args.verb {
        UpgradeVerb::Check { plan } => check(desk, &file::read(&plan)?).await,
        UpgradeVerb::Run { plan, dry_run: true, .. } => check(desk, &file::read(&plan)?).await,
        UpgradeVerb::Run { plan, yes, .. } => begin(desk, file::read(&plan)?, yes).await,
        UpgradeVerb::Resume { yes } => resume(desk, yes).await,
        UpgradeVerb::Back { yes } => back(desk, yes).await,
    }
}

/// Shows the steps, as they would be taken now.
async fn check(desk: &Desk, plan: &Plan) -> Result<Exit, Failure> {
    let status = desk.pair_status().await?;
    let request = &plan.request;
    let findings = check::findings(plan, &status);
    let all = status.hosts.iter().map(|host| host.name.clone());
    let hosts = in_order(request.hosts.clone(), all, status.master.as_ref());
    if desk.is_json() {
        print_json(&json!({
            "name": request.name,
            "hosts": hosts,
            "command": request.command,
            "findings": findings,
        }));
        return Ok(if findings.is_empty() { Exit::Ok } else { Exit::Refused });
    }
    print(&format!("upgrade {}, one host after the other\n", one_line(&request.name)));
    for host in &hosts {
        print(&format!("{host}\n"));
        for stage in Stage::of_host(Some(host) == status.master.as_ref()) {
            let what = match stage {
                Stage::Command => format!(": {}", one_line(&request.command.join(" "))),
                Stage::Ready if !request.ready.is_empty() => {
                    format!(": {}", one_line(&request.ready.join(" ")))
                }
                _ => String::new(),
            };
            print(&format!("  {}{what}\n", stage.text()));
        }
    }
    match findings.as_slice() {
        [] => Ok(Exit::Ok),
        found => Err(Failure::Refused(format!("it would not be begun:\n  {}", found.join("\n  ")))),
    }
}

async fn begin(desk: &Desk, plan: Plan, yes: bool) -> Result<Exit, Failure> {
    if check(desk, &plan).await? != Exit::Ok {
        return Ok(Exit::Refused);
    }
    let request = plan.request;
    let pair = desk.pair().await?;
    if !yes {
        act::confirm_pair(&pair)?;
    }
    let turn = Turn::take(&pair).map_err(Failure::Refused)?;
    let _: Accepted = desk.client.post(&desk.path("upgrade").await?, &request).await?;
    go_on(desk, &turn).await
}

async fn resume(desk: &Desk, yes: bool) -> Result<Exit, Failure> {
    let (status, pair) = (desk.pair_status().await?, desk.pair().await?);
    let upgrade = open(&status)?;
    if let Some(next) = &upgrade.next {
        let name = one_line(&upgrade.upgrade.name);
        say(&format!("upgrade {name} goes on with {}: {}", next.host, next.stage.text()));
    }
    if !yes {
        act::confirm_pair(&pair)?;
    }
    let turn = Turn::take(&pair).map_err(Failure::Refused)?;
    go_on(desk, &turn).await
}

/// Does what is next until nothing is, or something fails.
async fn go_on(desk: &Desk, turn: &Turn) -> Result<Exit, Failure> {
    loop {
        let status = desk.pair_status().await?;
        let upgrade = open(&status)?;
        let Some(next) = &upgrade.next else {
            let _: Accepted = desk.client.post(&desk.path("upgrade/end").await?, &()).await?;
            say("the upgrade is done on every host; nobody is moved back by it");
            return Ok(Exit::Ok);
        };
        say(&format!("── {}: {}", next.host, next.stage.text()));
        let failed = stages::carry_out(desk, turn, &upgrade.upgrade, next).await.err();
        let marked = mark(desk, next, failed.clone()).await;
        if let Some(why) = failed {
            // Unmarked, it is still what is next.
            return Err(stopped(upgrade, next, &why));
        }
        marked?;
    }
}

async fn mark(desk: &Desk, next: &Next, failed: Option<String>) -> Result<(), Failure> {
    let body = UpgradeMark { next: next.clone(), failed };
    let _: Accepted = desk.client.post(&desk.path("upgrade/mark").await?, &body).await?;
    Ok(())
}

/// What stands, and the exact ways on.
fn stopped(upgrade: &UpgradeStatus, next: &Next, why: &str) -> Failure {
    let Next { host, stage } = next;
    let back = if upgrade.upgrade.back.is_empty() {
        "its release is yours to take back first: the plan has no `back` command"
    } else {
        "runs the plan's `back` command"
    };
    Failure::Stopped(format!(
        "the upgrade of {host} stopped at: {}: {why}\n  users are served by the master, which was \
         not touched by this\n  fix: mend it, then `ha-observer upgrade resume` goes on here; \
         `ha-observer upgrade back` gives it up: {host} is put to work again ({back})",
        stage.text()
    ))
}

/// Gives the upgrade up: the host it is at is put to work again. Hosts that were finished stay so.
async fn back(desk: &Desk, yes: bool) -> Result<Exit, Failure> {
    let (status, pair) = (desk.pair_status().await?, desk.pair().await?);
    let UpgradeStatus { upgrade, next, .. } = open(&status)?;
    if !yes {
        act::confirm_pair(&pair)?;
    }
    let turn = Turn::take(&pair).map_err(Failure::Refused)?;
    let at = next.as_ref().map(|next| &next.host);
    let own = |host: &HostStatus| {
        host.maintenance.as_ref().is_some_and(|kept| kept.keeper == Keeper::Upgrade)
    };
    let kept = status.hosts.iter().find(|host| Some(&host.name) == at && own(host));
    if let Some(host) = kept {
        stages::put_back(desk, &turn, upgrade, &host.name).await.map_err(|why| {
            Failure::Stopped(format!(
                "{} cannot be put to work again: {why}\n  fix: mend it, then `ha-observer upgrade \
                 back` again",
                host.name
            ))
        })?;
    }
    let _: Accepted = desk.client.post(&desk.path("upgrade/end").await?, &()).await?;
    say("the upgrade is given up; hosts that were finished keep what they have");
    Ok(Exit::Ok)
}

fn open(status: &PairStatus) -> Result<&UpgradeStatus, Failure> {
    status.upgrade.as_ref().ok_or_else(|| {
        let why = "no upgrade is open\n  fix: `ha-observer upgrade run PLAN.toml` begins one";
        Failure::Refused(why.to_owned())
    })
}
