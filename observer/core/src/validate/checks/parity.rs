//! Parity: what is declared to be alike on all hosts is alike. One check for what is declared
//! severe, one for the rest, so that each has one severity.

use super::ALL;
use crate::parity::{Compared, Standing, compare};
use crate::validate::{Check, Examine, Examined, Inputs, Outcome, Severity, Unread};

const FIX: &str = "see `ha-observer parity`; `ha-observer parity fix ITEM` copies an item from the \
    master, or make it alike by hand";

pub(super) const PARITY_SEVERE: Check = Check {
    id: "parity-severe",
    title: "every severe item of parity is alike on all hosts",
    severity: Severity::Severe,
    readies: ALL,
    why: "the operator declared that a change of master fails where these differ",
    after: "the application on the new master may not start, or not reach its database",
    fix: FIX,
    examine: Examine::Pair(severe),
};

pub(super) const PARITY: Check = Check {
    id: "parity",
    title: "every other item of parity is alike on all hosts",
    severity: Severity::Warning,
    readies: ALL,
    why: "the operator declared these to be alike",
    after: "users may get another version or another behaviour",
    fix: FIX,
    examine: Examine::Pair(other),
};

fn severe(inputs: &Inputs<'_>) -> Examined {
    examine(inputs, Severity::Severe)
}

fn other(inputs: &Inputs<'_>) -> Examined {
    examine(inputs, Severity::Warning)
}

fn examine(inputs: &Inputs<'_>, severity: Severity) -> Examined {
    let mut items = compare(&inputs.survey.parity, Some(&inputs.roles.master));
    items.retain(|compared| compared.item.severity == severity);
    if items.is_empty() {
        return Outcome::skipped("none is declared");
    }
    let told = |wanted: fn(Standing) -> bool| {
        let amiss = items.iter().filter(|compared| wanted(compared.standing));
        amiss.filter_map(Compared::sentence).collect::<Vec<_>>().join("; ")
    };
    let broken = told(Standing::is_broken);
    if !broken.is_empty() {
        return Outcome::failed(broken);
    }
    let unread = told(|standing| standing == Standing::Unread);
    if !unread.is_empty() {
        return Err(Unread(unread));
    }
    Outcome::passed(format!("{} items compared", items.len()))
}
