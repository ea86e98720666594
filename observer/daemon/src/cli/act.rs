//! The verbs that open a plan: shows it, asks for the pair's name, orders, and tells live what
//! comes of it. `failover`, `switchover`, `rejoin` and `repair` differ in what they send.

use std::io::{BufRead, IsTerminal};

use observer_core::draft::Services;
use observer_core::pair::Earlier;
use observer_core::words::{At, HostName};
use serde_json::{Value, json};

use super::args::{FailoverArgs, PlanArgs, SwitchoverArgs};
use super::follow::{Interrupts, follow};
use super::output::{Look, print, say};
use super::{Desk, Exit, Failure, orders, plan, print_json, when};
use crate::api::types::{Accepted, ScheduleRequest};
use crate::report::date_time;
use crate::report::plan::PlanReport;

/// What a verb asks for.
struct Errand {
    /// Where it is ordered.
    path: String,
    /// What is sent, without `dry_run`.
    body: Value,
    dry_run: bool,
    yes: bool,
}

impl Errand {
    async fn plan(&self, desk: &Desk) -> Result<PlanReport, Failure> {
        Ok(desk.client.post(&self.path, &self.body(json!(true))).await?)
    }

    fn body(&self, dry_run: Value) -> Value {
        let mut body = self.body.clone();
        body["dry_run"] = dry_run;
        body
    }
}

pub(super) async fn failover(desk: &Desk, args: FailoverArgs) -> Result<Exit, Failure> {
    let FailoverArgs { dry_run, yes, accept_loss, reason } = args;
    let body = json!({ "accept_loss": accept_loss, "reason": reason });
    run(desk, Errand { path: desk.path("failover").await?, body, dry_run, yes }).await
}

pub(super) async fn switchover(desk: &Desk, args: SwitchoverArgs) -> Result<Exit, Failure> {
    let SwitchoverArgs { plan, at, cancel, replace } = args;
    if cancel {
        return orders::cancel(desk).await;
    }
    let errand = errand(desk, "switchover", &plan).await?;
    match at {
        Some(at) => {
            let earlier = if replace { Earlier::Replaced } else { Earlier::Stands };
            schedule(desk, errand, &at, plan.reason, earlier).await
        }
        None => run(desk, errand).await,
    }
}

/// `rejoin` and `repair`, by their verb.
pub(super) async fn mend(desk: &Desk, verb: &str, args: PlanArgs) -> Result<Exit, Failure> {
    run(desk, errand(desk, verb, &args).await?).await
}

/// `switchover` as a part of something larger that was confirmed.
pub(super) async fn order(desk: &Desk, verb: &str, reason: String) -> Result<Exit, Failure> {
    let args = PlanArgs { dry_run: false, yes: true, reason: Some(reason) };
    run(desk, errand(desk, verb, &args).await?).await
}

/// What would refuse `verb` now.
pub(super) async fn refusal(desk: &Desk, verb: &str) -> Result<Option<String>, Failure> {
    let args = PlanArgs { dry_run: true, yes: true, reason: None };
    let report = errand(desk, verb, &args).await?.plan(desk).await?;
    Ok(plan::refusal(&report))
}

/// Stops or starts the services of a host in maintenance.
pub(super) async fn services(
    desk: &Desk,
    host: &HostName,
    wanted: Services,
    reason: String,
) -> Result<Exit, Failure> {
    let body = json!({ "host": host, "wanted": wanted, "reason": reason });
    let path = desk.path("services").await?;
    run(desk, Errand { path, body, dry_run: false, yes: true }).await
}

async fn errand(desk: &Desk, verb: &str, args: &PlanArgs) -> Result<Errand, Failure> {
    let body = json!({ "reason": args.reason });
    Ok(Errand { path: desk.path(verb).await?, body, dry_run: args.dry_run, yes: args.yes })
}

async fn run(desk: &Desk, errand: Errand) -> Result<Exit, Failure> {
    let report = errand.plan(desk).await?;
    let look = Look::of_stdout();
    if errand.dry_run {
        if desk.is_json() {
            print_json(&report);
        } else {
            print(&plan::text(&report, look));
        }
        return Ok(if report.is_refused() { Exit::Refused } else { Exit::Ok });
    }
    if let Some(why) = plan::refusal(&report) {
        return Err(Failure::Refused(why));
    }
    say(&plan::summary(&report));
    if !errand.yes {
        confirm_pair(&desk.pair().await?)?;
    }
    // From here Ctrl-C is a wish about the plan, not the end of this process.
    let interrupts = Interrupts::catch()?;
    // Asked for before the order: once it is given, a daemon that dies is waited for, and no
    // question on the way to its events may end in "the daemon does not answer".
    let events = desk.path("events").await?;
    let Accepted { after } = desk.client.post(&errand.path, &errand.body(json!(false))).await?;
    follow(desk, &events, after, &report, interrupts, look).await
}

/// Orders a switchover for later. What would refuse it now may be mended until then, so it is only
/// told.
async fn schedule(
    desk: &Desk,
    errand: Errand,
    at: &str,
    reason: Option<String>,
    earlier: Earlier,
) -> Result<Exit, Failure> {
    let status = desk.pair_status().await?;
    let now = status.at;
    let due: At = when::due(at, now).map_err(Failure::Usage)?;
    let pair = desk.pair().await?;
    let now_refused = match errand.plan(desk).await {
        Ok(report) => plan::refusal(&report),
        Err(Failure::Client(super::ClientError::Problem(problem))) => {
            Some(format!("refused: {}", problem.message))
        }
        Err(why) => return Err(why),
    };
    say(&format!("a switchover of pair {pair} at {} ({})", date_time(due), when::ahead(due, now)));
    if let Some(why) = now_refused {
        say(&format!("now it would be {why}"));
    }
    if let Some(waits) = &status.schedule {
        let (by, when) = (&waits.by, date_time(waits.due));
        if earlier == Earlier::Stands {
            return Err(Failure::Refused(format!(
                "a switchover by {by} is scheduled already, for {when}\n  fix: add `--replace` to \
                 put yours in its place, or `ha-observer switchover --cancel`"
            )));
        }
        say(&format!("it replaces the switchover by {by} at {when}"));
    }
    if !errand.yes {
        confirm_pair(&pair)?;
    }
    let path = desk.path("schedule").await?;
    let accepted = desk.client.post(&path, &ScheduleRequest { due, reason, earlier }).await?;
    let text = format!(
        "scheduled for {}; it is checked then, and `ha-observer switchover --cancel` cancels it",
        date_time(due)
    );
    orders::done(desk, &accepted, &text)
}

pub(super) fn confirm_pair(pair: &str) -> Result<(), Failure> {
    confirm(pair, &format!("Type the pair's name ({pair}) to order this"))
}

/// Has a person type `word`, asked for by `please`.
pub(super) fn confirm(word: &str, please: &str) -> Result<(), Failure> {
    let failed = match typed(please).as_deref() {
        Some(typed) if typed == word => return Ok(()),
        Some(_) => {
            format!("that is not \"{word}\": nothing was ordered\n  fix: type the name as shown")
        }
        None => "nobody is there to confirm\n  fix: add --yes".to_owned(),
    };
    Err(Failure::NotConfirmed(failed))
}

/// What a person answers to `please`; none where nobody sits at a terminal.
pub(super) fn typed(please: &str) -> Option<String> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    say(&format!("{please}:"));
    let mut typed = String::new();
    // What cannot be read is no word that was asked for.
    let _ = std::io::stdin().lock().read_line(&mut typed);
    Some(typed.trim().to_owned())
}
