//! What keeps a master that was cut off, or replaced, from going on alone: the guard and the lease.

use super::{ALL, TAKEOVER};
use crate::sighting::LeaseSeen;
use crate::validate::{Check, Examine, Examined, GuardSurvey, Inputs, Outcome, Severity, about};
use crate::words::{HostName, human_ms};

pub(super) const GUARD: Check = Check {
    id: "guard",
    title: "the database's unit refuses to start a replaced master",
    severity: Severity::Warning,
    readies: ALL,
    why: "somebody may start the old master by hand after a change of master",
    after: "a replaced master that is started by hand takes writes until the observer stops it",
    fix: "install what `ha-observer config guard` prints for it, then `systemctl daemon-reload`",
    examine: Examine::Hosts(guard),
};

fn guard(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let machine = inputs.machine(host)?;
    let Some(unit) = machine.database_unit.as_ref().map(|unit| &unit.unit) else {
        return Outcome::skipped("no database runs there");
    };
    let folder = format!("/etc/systemd/system/{unit}.d");
    let path = format!("{folder}/ha-observer-guard.conf");
    let install = format!(
        "`mkdir -p {folder}` on {host}, `ha-observer config guard {host}` > {path} there (root, \
         mode 0644)"
    );
    match about(host, machine.guard.as_ref())? {
        GuardSurvey::InPlace => Outcome::passed("it is in place, and systemd has read it"),
        GuardSurvey::NotRead => Outcome::failed_with_fix(
            "systemd has not read it",
            format!("`systemctl daemon-reload` on {host}"),
        ),
        GuardSurvey::Differs => Outcome::failed_with_fix(
            "it is not the one for the present configuration",
            format!("{install}, then `systemctl daemon-reload`"),
        ),
        GuardSurvey::Missing => Outcome::failed_with_fix(
            format!("there is no {path}"),
            format!("{install}, then `systemctl daemon-reload`"),
        ),
    }
}

pub(super) const LEASE: Check = Check {
    id: "lease",
    title: "the master's lease runs as asked, and others than the observer renew it",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "a cut-off master goes on alone without it",
    after: "a lease that nobody but the observer can renew cannot be set on the new master",
    fix: "see `ha-observer why`",
    examine: Examine::Hosts(lease),
};

fn lease(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let machine = inputs.machine(host)?;
    let is_master = *host == inputs.roles.master;
    let Some(length_ms) = inputs.spec.policy.lease_ms else {
        return match machine.lease {
            LeaseSeen::None => Outcome::skipped("the policy asks for none"),
            _ => Outcome::failed("one runs, and the policy asks for none"),
        };
    };
    if let Some(renewers) = &machine.renewers
        && *about(host, renewers.as_ref())? == 0
    {
        let fix = format!("let {host} reach sshd of another host or of a proxy");
        return Outcome::failed_with_fix("no other machine answers it", fix);
    }
    let length = human_ms(length_ms);
    match (machine.lease, is_master) {
        (LeaseSeen::AsAsked, true) => Outcome::passed(format!("one of {length} runs")),
        (LeaseSeen::None, false) => Outcome::passed(format!("one of {length} could be set")),
        (LeaseSeen::None, true) => Outcome::failed(format!("none runs, and {length} is asked for")),
        (LeaseSeen::Other, true) => Outcome::failed(format!("another one runs than of {length}")),
        (_, false) => Outcome::failed("one runs, and this is no master"),
    }
}
