//! The proxies: what runs, what the file says, and whether it may be rewritten and loaded.

use std::collections::BTreeSet;

use super::machine::{clock, refused};
use super::{ALL, FAILOVER, PLANNED};
use crate::policy::{FenceGrade, UsersGo};
use crate::sighting::Admission;
use crate::validate::{
    Check, Examine, Examined, FileCheck, Inputs, LintFinding, LintSubject, LintWeight, Outcome,
    ProxySurvey, Severity, Unread,
};
use crate::words::{HostName, ProxyName};

/// Findings that one line of evidence holds.
const FINDINGS_MAX: usize = 3;

pub(super) fn read<'a, T>(
    inputs: &Inputs<'a>,
    proxy: &ProxyName,
    pick: fn(&'a ProxySurvey) -> Result<&'a T, &'a Unread>,
) -> Result<&'a T, Unread> {
    pick(inputs.proxy(proxy)?).map_err(|why| Unread(format!("{proxy}: {}", why.0)))
}

pub(super) const PROXY_ANSWERS: Check = Check {
    id: "proxy-answers",
    title: "HAProxy runs and its runtime socket answers",
    severity: Severity::Severe,
    readies: ALL,
    why: "users are moved by commands to the runtime socket of every proxy",
    after: "",
    fix: "see `ha-observer status`; check SSH, `systemctl status haproxy` and the socket's rights",
    examine: Examine::Proxies(answers),
};

fn answers(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    let running = read(inputs, proxy, |survey| survey.running.as_ref())?;
    if running.is_empty() {
        return Outcome::failed(format!("no server of {proxy} leads to a host of the pair"));
    }
    Outcome::passed(format!("{} servers of the pair", running.len()))
}

pub(super) const PROXY_USERS: Check = Check {
    id: "proxy-users",
    title: "the proxy lets users in to the master and to nobody else",
    severity: Severity::Severe,
    readies: ALL,
    why: "users on another host than the master read old data, or write to nowhere",
    after: "users are split between two hosts",
    fix: "`echo 'set server BACKEND/SERVER state maint' | socat - SOCKET` for each stray one",
    examine: Examine::Proxies(users),
};

fn users(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    let running = read(inputs, proxy, |survey| survey.running.as_ref())?;
    let of_master = running.iter().filter(|row| row.users == UsersGo::Master);
    let rows = of_master.map(|row| (&row.host, row.admission, &row.backend, &row.server));
    only_the_master(inputs, rows)
}

/// Whether exactly the master's servers are let in.
fn only_the_master<'a>(
    inputs: &Inputs<'_>,
    rows: impl Iterator<Item = (&'a HostName, Admission, &'a String, &'a String)>,
) -> Examined {
    let master = &inputs.roles.master;
    // Where users may go to every host, who is let in follows from what people order, too.
    let mut wrong = Vec::new();
    let mut right = 0;
    for (host, admission, backend, server) in rows {
        match (host == master, admission) {
            (true, Admission::LetIn) | (false, Admission::TakenOut) => right += 1,
            (true, _) => wrong.push(format!("{backend}/{server} of the master is out")),
            (false, _) => wrong.push(format!("{backend}/{server} lets users in to {host}")),
        }
    }
    if wrong.is_empty() {
        return Outcome::passed(format!("{right} servers as they should be"));
    }
    Outcome::failed(wrong.join(", "))
}

pub(super) const PROXY_DATABASE: Check = Check {
    id: "proxy-database",
    title: "an application on every host reaches the database where the old master can be fenced",
    severity: Severity::Warning,
    readies: FAILOVER,
    why: "the application on the slave works for users in the master's database; one that it \
          connects to itself goes on there, where only the observer has lost that host",
    after: "what is written through the slave's application into the old master may be lost",
    fix: "let the application connect to a backend of the proxies that leads to the master alone, \
          or write `fence = \"stopped\"` under [policy]",
    examine: Examine::Proxies(database),
};

fn database(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    let running = read(inputs, proxy, |survey| survey.running.as_ref())?;
    let leads = |users: UsersGo| running.iter().find(|row| row.users == users);
    let Some(shared) = leads(UsersGo::EveryHost) else {
        return Outcome::skipped("no backend leads users to every host");
    };
    match (leads(UsersGo::Master), inputs.spec.policy.fence) {
        (Some(row), _) => Outcome::passed(format!("backend {} leads to the master", row.backend)),
        (None, FenceGrade::ProxiedOff) => Outcome::failed(format!(
            "users of backend {} go to every host, and no backend leads to the master alone",
            shared.backend
        )),
        (None, FenceGrade::Stopped | FenceGrade::PoweredOff) => {
            Outcome::passed("an old master is stopped before another one is promoted")
        }
    }
}

pub(super) const PROXY_FILE: Check = Check {
    id: "proxy-file",
    title: "haproxy.cfg says what runs",
    severity: Severity::Severe,
    readies: ALL,
    why: "a HAProxy that restarts does what its file says",
    after: "after a restart users are sent to the wrong host",
    fix: "make the server lines of the pair say what runs: `disabled` on all but the master's",
    examine: Examine::Proxies(file),
};

fn file(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    let file = read(inputs, proxy, |survey| survey.file.as_ref())?;
    let running = read(inputs, proxy, |survey| survey.running.as_ref())?;
    let written: BTreeSet<(&str, &str, &HostName, bool)> = file
        .iter()
        .map(|row| {
            let admitted = row.admission == Admission::LetIn;
            (row.backend.as_str(), row.server.as_str(), &row.host, admitted)
        })
        .collect();
    let run: BTreeSet<(&str, &str, &HostName, bool)> = running
        .iter()
        .map(|row| {
            let admitted = row.admission == Admission::LetIn;
            (row.backend.as_str(), row.server.as_str(), &row.host, admitted)
        })
        .collect();
    let shown = |row: &(&str, &str, &HostName, bool)| {
        let (backend, server, host, admitted) = row;
        format!("{backend}/{server} ({host}, {})", if *admitted { "in" } else { "out" })
    };
    let only_written: Vec<String> = written.difference(&run).map(shown).collect();
    let only_run: Vec<String> = run.difference(&written).map(shown).collect();
    if only_written.is_empty() && only_run.is_empty() {
        return Outcome::passed(format!("{} servers alike", written.len()));
    }
    let list = |rows: Vec<String>| {
        if rows.is_empty() { "nothing".to_owned() } else { rows.join(", ") }
    };
    Outcome::failed(format!(
        "only in the file: {}; only running: {}",
        list(only_written),
        list(only_run)
    ))
}

pub(super) const PROXY_CHECK: Check = Check {
    id: "proxy-check",
    title: "HAProxy accepts its file",
    severity: Severity::Severe,
    readies: ALL,
    why: "a file that HAProxy rejects cannot be rewritten, and a restart fails on it",
    after: "the next reload fails, and a restart leaves users without a proxy",
    fix: "mend the line that `haproxy -c` names, with every file behind its own `-f`",
    examine: Examine::Proxies(accepted),
};

fn accepted(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    match read(inputs, proxy, |survey| survey.check.as_ref())? {
        FileCheck::Passes => Outcome::passed("`haproxy -c` passes"),
        FileCheck::Rejected(words) => Outcome::failed_with_fix(
            format!("`haproxy -c` rejects it: {words}"),
            format!("mend the line it names on {proxy}, then `haproxy -c -f` the file again"),
        ),
    }
}

pub(super) const PROXY_RIGHTS: Check = Check {
    id: "proxy-sudo",
    title: "sudo allows every command the observer needs on the proxy",
    severity: Severity::Severe,
    readies: ALL,
    why: "the file is rewritten, checked, put in place and loaded by these commands",
    after: "",
    fix: "install what `ha-observer config sudoers PROXY` prints as /etc/sudoers.d/ha-observer",
    examine: Examine::Proxies(rights),
};

fn rights(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    refused(read(inputs, proxy, |survey| survey.rights.as_ref())?, proxy.as_str())
}

fn findings(inputs: &Inputs<'_>, proxy: &ProxyName, wanted: fn(&LintFinding) -> bool) -> Examined {
    let all = read(inputs, proxy, |survey| survey.findings.as_ref())?;
    let found: Vec<&LintFinding> = all.iter().filter(|finding| wanted(finding)).collect();
    let Some(first) = found.first() else {
        return Outcome::passed("nothing found");
    };
    let shown: Vec<String> = found.iter().take(FINDINGS_MAX).map(|one| one.text.clone()).collect();
    let more = found.len().saturating_sub(FINDINGS_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let fix = format!("on {proxy}: {} ({})", first.fix, first.rule);
    Outcome::failed_with_fix(format!("{}{more}", shown.join("; ")), fix)
}

pub(super) const WAITING_ROOM: Check = Check {
    id: "waiting-room",
    title: "requests wait while no host is let in",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "without a waiting room every request in the gap of a switch fails",
    after: "requests in the gap have failed",
    fix: "add a waiting room to each backend of the pair",
    examine: Examine::Proxies(waiting_room),
};

fn waiting_room(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    findings(inputs, proxy, |finding| {
        finding.about == LintSubject::WaitingRoom && finding.weight == LintWeight::Error
    })
}

pub(super) const PROXY_ERRORS: Check = Check {
    id: "proxy-errors",
    title: "nothing in haproxy.cfg keeps a change of master from working",
    severity: Severity::Severe,
    readies: ALL,
    why: "these settings make a change impossible, lose data or harm users",
    after: "see the finding",
    fix: "mend the line that is named",
    examine: Examine::Proxies(errors),
};

fn errors(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    findings(inputs, proxy, |finding| {
        finding.about == LintSubject::Rest && finding.weight == LintWeight::Error
    })
}

pub(super) const PROXY_WARNINGS: Check = Check {
    id: "proxy-warnings",
    title: "nothing in haproxy.cfg makes a change of master worse than it need be",
    severity: Severity::Warning,
    readies: ALL,
    why: "with these settings some requests fail, or take longer",
    after: "some requests have failed, or took long",
    fix: "mend the line that is named",
    examine: Examine::Proxies(warnings),
};

fn warnings(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    findings(inputs, proxy, |finding| finding.weight == LintWeight::Warning)
}

pub(super) const PROXY_AT_BOOT: Check = Check {
    id: "proxy-at-boot",
    title: "HAProxy starts at boot",
    severity: Severity::Warning,
    readies: ALL,
    why: "nobody else starts it",
    after: "a proxy that reboots stays away",
    fix: "`systemctl enable haproxy` on the proxy",
    examine: Examine::Proxies(at_boot),
};

fn at_boot(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    let state = read(inputs, proxy, |survey| survey.at_boot.as_ref())?;
    match state.as_str() {
        "enabled" => Outcome::passed("enabled"),
        other => Outcome::failed(format!("its unit is {other}")),
    }
}

pub(super) const PROXY_CLOCK: Check = Check {
    id: "proxy-clock",
    title: "the proxy's clock agrees with the observer's",
    severity: Severity::Warning,
    readies: ALL,
    why: "its log is read beside the observer's events",
    after: "nobody can tell from the logs what came first",
    fix: "let chrony or systemd-timesyncd set the clock: `timedatectl` shows its state",
    examine: Examine::Proxies(proxy_clock),
};

fn proxy_clock(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    clock(read(inputs, proxy, |survey| survey.clock.as_ref())?)
}
