//! The observer itself: whether it is free to carry out a plan, and would do so by itself.

use super::{ALL, FAILOVER, TAKEOVER};
use crate::facts::Journal;
use crate::validate::{Check, Examine, Examined, Inputs, Outcome, Severity};
use crate::words::HostName;

pub(super) const OBSERVER_FREE: Check = Check {
    id: "observer-free",
    title: "the observer can open a plan",
    severity: Severity::Severe,
    readies: ALL,
    why: "one plan at a time, none in a pause, and nothing is ordered that is not on disk first",
    after: "",
    fix: "wait for the open plan or end the pause (`ha-observer status`), or make room for the \
          journal",
    examine: Examine::Pair(free),
};

fn free(inputs: &Inputs<'_>) -> Examined {
    let observer = inputs.observer;
    if observer.journal == Journal::Failing {
        let fix = "make room on the observer's disk; see `journalctl -u ha-observer`";
        return Outcome::failed_with_fix("the observer's journal cannot be written", fix);
    }
    if let Some(pause) = &observer.paused {
        let fix = "`ha-observer resume`, once the work is done";
        return Outcome::failed_with_fix(format!("it is paused: {pause}"), fix);
    }
    match observer.plan {
        Some(plan) => Outcome::failed(format!("plan {plan} is open")),
        None => Outcome::passed("no plan is open, no pause, and the journal can be written"),
    }
}

pub(super) const OBSERVER_ACTS: Check = Check {
    id: "observer-acts",
    title: "the observer would fail over by itself",
    severity: Severity::Severe,
    readies: FAILOVER,
    why: "only watching, or waiting for an acknowledgement, it lets a dead master lie",
    after: "",
    fix: "end what holds it: see `ha-observer why`",
    examine: Examine::Pair(acts),
};

fn acts(inputs: &Inputs<'_>) -> Examined {
    let observer = inputs.observer;
    if !inputs.is_auto() {
        let fix = "set mode = \"auto\" in the pair's file and reload ha-observer";
        return Outcome::failed_with_fix("its mode is not auto: it acts on nothing", fix);
    }
    match observer.unacknowledged {
        Some(plan) => Outcome::failed_with_fix(
            format!("plan {plan} changed the master, and nobody acknowledged it"),
            "look at `ha-observer incident`, then `ha-observer ack`",
        ),
        None => Outcome::passed("its mode is auto and nothing holds it"),
    }
}

pub(super) const SLAVE_FREE: Check = Check {
    id: "slave-free",
    title: "no person keeps the slave from taking over",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "a host in maintenance, or drained, is not promoted: somebody works on it, or is about to",
    after: "",
    fix: "end it once the work is done: `ha-observer status` says how",
    examine: Examine::Slaves(is_free),
};

fn is_free(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let kept = |kept: &[(HostName, String)]| {
        kept.iter().find(|(other, _)| other == host).map(|(_, why)| why.clone())
    };
    if let Some(why) = kept(&inputs.observer.maintenance) {
        let fix = format!("`ha-observer maintenance {host} --end`, once the work is done");
        return Outcome::failed_with_fix(format!("in maintenance ({why})"), fix);
    }
    match kept(&inputs.observer.drained) {
        Some(why) => Outcome::failed_with_fix(
            format!("drained ({why})"),
            format!("`ha-observer undrain {host}`, once the work is done"),
        ),
        None => Outcome::passed("neither in maintenance nor drained"),
    }
}
