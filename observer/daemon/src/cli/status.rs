//! `status`: one line that says whether we are protected; then who is what, and what is next.

use std::collections::BTreeSet;

use observer_core::digest::MountState;
use observer_core::facts::Journal;
use observer_core::journal::{Keeper, Way};
use observer_core::policy::Mode;
use observer_core::words::{At, HostName, human_bytes, human_ms};

use super::output::{Look, Tone, one_line, print, wrap};
use super::{Desk, Exit, Failure, print_json, when};
use crate::report::date_time;
use crate::report::members::{BouncerStatus, HostStatus, ProxyStatus, Role};
use crate::report::parity::ParityStatus;
use crate::report::view::{PairStatus, PlanStatus, UpgradeStatus};

pub(super) async fn show(desk: &Desk) -> Result<Exit, Failure> {
    let mut report = desk.status().await?;
    if let Some(name) = &desk.common.pair {
        let known: Vec<String> = report.pairs.iter().map(|pair| pair.pair.to_string()).collect();
        report.pairs.retain(|pair| pair.pair.as_str() == name);
        if report.pairs.is_empty() {
            let known = known.join(", ");
            return Err(Failure::Usage(format!(
                "no pair is called \"{name}\"\n  fix: use one of: {known}"
            )));
        }
    }
    if desk.is_json() {
        print_json(&report);
    } else {
        let look = Look::of_stdout();
        let texts: Vec<String> = report.pairs.iter().map(|pair| text(pair, look)).collect();
        print(&texts.join("\n"));
    }
    let all = report.pairs.iter().all(|pair| pair.protected);
    Ok(if all { Exit::Ok } else { Exit::Unprotected })
}

/// One pair as a person reads it.
pub(super) fn text(status: &PairStatus, look: Look) -> String {
    let mut text = first_line(status, look);
    let hosts: Vec<Vec<String>> = status.hosts.iter().map(host).collect();
    text.push_str(
        &look.table(&["HOST", "ROLE", "MACHINE", "DATABASE", "LAG", "APPLICATION"], &hosts),
    );
    let proxies: Vec<Vec<String>> = status.proxies.iter().map(proxy).collect();
    text.push_str(
        &look.table(&["PROXY", "STATE", "USERS GO TO", "ITS FILE SAYS", "SESSIONS"], &proxies),
    );
    if !status.bouncers.is_empty() {
        let bouncers: Vec<Vec<String>> = status.bouncers.iter().map(bouncer).collect();
        text.push_str(&look.table(&["PGBOUNCER", "STATE", "CONNECTIONS"], &bouncers));
    }
    if !status.files.is_empty() {
        text.push_str(&super::files::table(&status.files, look));
    }
    let mut lines = Vec::new();
    if let Some(plan) = &status.plan {
        lines.extend(plan_lines(plan, status.at, look));
    }
    lines.extend(standing_lines(status, look));
    lines.push(format!("next: {}", one_line(&status.next)));
    if !status.protected {
        lines.push(format!("you can: {}", status.advice));
    }
    for line in lines {
        text.push_str(&format!("{}\n", wrap(&line, 2, look)));
    }
    text
}

/// What stands until somebody changes it.
fn standing_lines(status: &PairStatus, look: Look) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(pause) = &status.pause {
        let until = pause.until.map_or_else(
            || "until `ha-observer resume`".to_owned(),
            |until| format!("until {}", date_time(until)),
        );
        let line = format!("paused by {}, {until}: {}", pause.by, one_line(&pause.reason));
        lines.push(look.paint(Tone::Warn, &line));
    }
    if let Some(UpgradeStatus { upgrade, next, failed }) = &status.upgrade {
        let next = next.as_ref().map_or_else(
            || "every host is finished".to_owned(),
            |next| format!("next {}: {}", next.host, next.stage.text()),
        );
        let failed = failed.as_deref().map_or_else(String::new, |why| {
            format!("; it stopped: {}; `ha-observer upgrade resume` or `back`", one_line(why))
        });
        let line = format!("upgrade {} by {}, {next}{failed}", one_line(&upgrade.name), upgrade.by);
        lines.push(look.paint(Tone::Warn, &line));
    }
    for unready in status.hosts.iter().flat_map(|host| &host.unready) {
        let since = human_ms(status.at.since(unready.since));
        lines.push(look.paint(Tone::Warn, &one_line(&format!("{unready} (for {since})"))));
    }
    lines.extend(host_lines(status, look));
    lines.extend(mount_lines(status, look));
    if let Some(schedule) = &status.schedule {
        let (due, ahead) = (date_time(schedule.due), when::ahead(schedule.due, status.at));
        let line = format!(
            "switchover scheduled by {} for {due} ({ahead}); `ha-observer switchover --cancel` \
             cancels it",
            schedule.by
        );
        lines.push(look.paint(Tone::Warn, &line));
    }
    if let Some(lease) = &status.lease {
        lines.push(format!("lease: a master whom nobody reaches stops itself after {lease}"));
    }
    if let Some(line) = status.parity.as_ref().and_then(parity) {
        lines.push(look.paint(Tone::Warn, &line));
    }
    if let Some(partial) = &status.partial {
        lines.push(look.paint(Tone::Warn, &one_line(&partial.sentence())));
    }
    match status.mode {
        Mode::Auto => {}
        Mode::ObserveOnly => lines.push("mode: observe-only, it never acts by itself".to_owned()),
        Mode::Off => lines.push("mode: off, it only shows what it sees".to_owned()),
    }
    if status.journal == Journal::Failing {
        let line = "the journal cannot be written: nothing will be ordered";
        lines.push(look.paint(Tone::Bad, line));
    }
    if let Some(plan) = status.unacknowledged {
        lines.push(format!(
            "plan {plan} changed the master by itself; the next automatic change waits for the \
             pair to be protected again, or for `ha-observer ack`"
        ));
    }
    lines
}

/// Hosts that are in maintenance, drained, or waited for.
fn host_lines(status: &PairStatus, look: Look) -> Vec<String> {
    let left_out = status.forgotten.iter().map(|one| one_line(&one.sentence()));
    let mut lines: Vec<String> = left_out.map(|line| look.paint(Tone::Warn, &line)).collect();
    for host in &status.hosts {
        let Some(kept) = &host.maintenance else { continue };
        let end = match kept.keeper {
            Keeper::Person => format!("`ha-observer maintenance {} --end` ends it", host.name),
            Keeper::Upgrade => "the upgrade ends it".to_owned(),
        };
        let line = format!("{}; {end}", one_line(&kept.sentence(&host.name)));
        lines.push(look.paint(Tone::Warn, &line));
    }
    for host in &status.hosts {
        if let Some(drain) = &host.drain {
            let end = format!("`ha-observer undrain {}` ends it", host.name);
            let line = format!("{}; {end}", one_line(&drain.sentence(&host.name)));
            lines.push(look.paint(Tone::Warn, &line));
        }
        if let (None, Some(owed)) = (&host.drain, host.monitor_owed) {
            let line = format!(
                "{}: its monitor file is to say {owed}, and does not; `ha-observer events` shows \
                 what was tried",
                host.name
            );
            lines.push(look.paint(Tone::Warn, &line));
        } else if host.returning {
            let when = match host.maintenance {
                Some(_) => "after its maintenance, once it is well",
                None => "once it is well",
            };
            let line = format!("{}: users are sent there {when}", host.name);
            lines.push(look.paint(Tone::Warn, &line));
        } else if host.serves_nobody {
            let line = format!(
                "{}: its application is not well, so that no users go there; its own log says why",
                host.name
            );
            lines.push(look.paint(Tone::Warn, &line));
        }
    }
    lines
}

/// The mounts that are amiss, a line each; one line where all are well.
fn mount_lines(status: &PairStatus, look: Look) -> Vec<String> {
    let mounts = &status.mounts;
    let amiss: Vec<String> = mounts
        .iter()
        .filter(|one| one.state.is_amiss())
        .map(|one| {
            let since = one.since.map(|since| human_ms(status.at.since(since)));
            let since = since.map_or_else(String::new, |since| format!(" (for {since})"));
            look.paint(Tone::Warn, &one_line(&format!("{one}{since}")))
        })
        .collect();
    let seen = mounts.iter().filter(|one| one.state == MountState::Well).count();
    match (mounts.is_empty(), amiss.is_empty(), seen == mounts.len()) {
        (true, ..) => Vec::new(),
        (false, false, _) => amiss,
        (false, true, true) => {
            let names: BTreeSet<&str> = mounts.iter().map(|one| one.mount.as_str()).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            vec![format!("shared mounts: {names}: well on every host")]
        }
        (false, true, false) => {
            vec![format!("shared mounts: {seen} of {} are seen to be well", mounts.len())]
        }
    }
}

/// What is not alike on the hosts, or could not be compared.
fn parity(parity: &ParityStatus) -> Option<String> {
    let ParityStatus { items, broken, unread, .. } = parity;
    let (count, names, what) = match (broken.is_empty(), unread.is_empty()) {
        (false, _) => (broken.len(), broken, "not alike on the hosts"),
        (true, false) => (unread.len(), unread, "not compared"),
        (true, true) => return None,
    };
    let names = one_line(&names.join(", "));
    Some(format!("parity: {count} of {items} items {what}: {names}; see `ha-observer parity`"))
}

fn first_line(status: &PairStatus, look: Look) -> String {
    let word = match status.protected {
        true => look.paint(Tone::Good, "PROTECTED"),
        false => look.paint(Tone::Bad, "NOT PROTECTED"),
    };
    let rule = status.rule.as_ref().map_or_else(String::new, |rule| format!(" {rule}"));
    let cause = look.paint(Tone::Faint, &format!("[{}{rule}]", status.cause.name()));
    let line = format!("{word}  {}: {} {cause}", status.pair, status.sentence);
    format!("{}\n", wrap(&line, 2, look))
}

fn host(host: &HostStatus) -> Vec<String> {
    let role = match host.role {
        Role::Master => "master",
        Role::Slave => "slave",
        Role::OldMaster => "old master",
        Role::NewMaster => "new master",
        Role::StraySecondMaster => "SECOND MASTER",
        Role::Unknown => "unknown",
    };
    vec![
        host.name.to_string(),
        role.to_owned(),
        one_line(&host.machine),
        one_line(&host.database),
        host.lag_bytes.map_or_else(|| "-".to_owned(), human_bytes),
        host.application.as_deref().map_or_else(|| "-".to_owned(), one_line),
    ]
}

fn proxy(proxy: &ProxyStatus) -> Vec<String> {
    let names = |hosts: &[HostName]| {
        let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
        if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
    };
    let read = |hosts: Option<&[HostName]>| hosts.map_or_else(|| "not read".to_owned(), names);
    let shares = proxy.shares.as_ref();
    // Where every backend is shared, nobody is to be let in elsewhere.
    let all_shared = shares.is_some_and(|shares| !shares.lets_in.is_empty())
        && proxy.lets_in.is_empty()
        && proxy.file_lets_in.as_ref().is_some_and(Vec::is_empty);
    let with = |own: String, shared: Option<String>| match shared {
        Some(shared) if all_shared => format!("shared: {shared}"),
        Some(shared) => format!("{own}; shared: {shared}"),
        None => own,
    };
    vec![
        proxy.name.to_string(),
        one_line(&proxy.state),
        with(names(&proxy.lets_in), shares.map(|shares| names(&shares.lets_in))),
        with(
            read(proxy.file_lets_in.as_deref()),
            shares.map(|shares| read(shares.file_lets_in.as_deref())),
        ),
        proxy.sessions.to_string(),
    ]
}

fn bouncer(bouncer: &BouncerStatus) -> Vec<String> {
    let connections = bouncer.connections.map_or_else(|| "-".to_owned(), |count| count.to_string());
    vec![bouncer.name.to_string(), one_line(&bouncer.state), connections]
}

fn plan_lines(plan: &PlanStatus, now: At, look: Look) -> Vec<String> {
    let PlanStatus { plan: id, goal, rule, step, steps, what, way, waiting_for, .. } = plan;
    let way = match (way, plan.past_pivot) {
        (Way::Back, _) => "being taken back",
        (Way::Forward, true) => "past its pivot, only forward",
        (Way::Forward, false) if plan.can_be_aborted => "`ha-observer abort` takes it back",
        (Way::Forward, false) => "can still be taken back",
    };
    let head = format!("plan {id}: {goal} [{rule}], step {step} of {steps}, {way}");
    let since = human_ms(now.since(plan.step_since));
    vec![
        look.paint(Tone::Strong, &head),
        format!("  doing: {} (for {since})", one_line(what)),
        format!("  waits for: {}", one_line(waiting_for)),
    ]
}
