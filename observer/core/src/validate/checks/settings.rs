//! Settings, versions and rights that must agree between the hosts.

use super::{ALL, PLANNED, TAKEOVER};
use crate::validate::{
    Check, DatabaseSurvey, Examine, Examined, Inputs, Outcome, Severity, Unread,
};
use crate::words::HostName;

/// Settings that a standby refuses to run with if they are lower than its primary's.
const NOT_LOWER: [&str; 5] = [
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

pub(super) const DATABASE_RIGHTS: Check = Check {
    id: "database-rights",
    title: "the observer's role may do all it has to",
    severity: Severity::Severe,
    readies: ALL,
    why: "a right that is missing is found out in the middle of a plan",
    after: "",
    fix: "grant it on the master: rights are replicated",
    examine: Examine::Hosts(rights),
};

fn rights(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let missing = &inputs.database(host)?.missing_rights;
    if missing.is_empty() {
        return Outcome::passed("it may");
    }
    let fix = format!(
        "on {}, in the observer's database: {}",
        inputs.roles.master,
        missing.iter().map(|right| format!("`{right}`")).collect::<Vec<_>>().join("; ")
    );
    Outcome::failed_with_fix(format!("not granted: {}", missing.join("; ")), fix)
}

pub(super) const SETTINGS_OF_SLAVE: Check = Check {
    id: "settings-of-slave",
    title: "no limit of the slave is lower than the master's",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "a standby with a lower limit pauses its replay, or does not start",
    after: "the new master takes fewer connections than users are used to",
    fix: "give both hosts the same values (a restart)",
    examine: Examine::Slaves(of_slave),
};

fn of_slave(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    not_lower(inputs, slave, &inputs.roles.master)
}

pub(super) const SETTINGS_OF_MASTER: Check = Check {
    id: "settings-of-master",
    title: "no limit of the master is lower than the slave's",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "as a standby of the new master, the old one would not start",
    after: "the old master refuses to start as a slave",
    fix: "give both hosts the same values (a restart)",
    examine: Examine::Slaves(of_master),
};

fn of_master(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    not_lower(inputs, &inputs.roles.master, slave)
}

/// Whether each limit of `host` is at least that of `other`.
fn not_lower(inputs: &Inputs<'_>, host: &HostName, other: &HostName) -> Examined {
    let (own, others) = (inputs.database(host)?, inputs.database(other)?);
    let mut lower = Vec::new();
    for name in NOT_LOWER {
        let (value, least) = (limit(own, host, name)?, limit(others, other, name)?);
        if value < least {
            lower.push((name, least, format!("{name} = {value} on {host}, {least} on {other}")));
        }
    }
    let Some((name, least, _)) = lower.first() else {
        return Outcome::passed(format!("{} limits compared", NOT_LOWER.len()));
    };
    let fix = format!("on {host}: `alter system set {name} = {least}`, and restart PostgreSQL");
    let evidence: Vec<String> = lower.iter().map(|(_, _, text)| text.clone()).collect();
    Outcome::failed_with_fix(evidence.join("; "), fix)
}

fn limit(database: &DatabaseSurvey, host: &HostName, name: &str) -> Result<u64, Unread> {
    let text = database.settings.get(name);
    let value = text.and_then(|text| text.parse().ok());
    value.ok_or_else(|| Unread(format!("{host} does not show {name}")))
}

pub(super) const WAL_LEVEL: Check = Check {
    id: "wal-level",
    title: "every host writes a log that can be replicated, and the same",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "with wal_level minimal nobody can follow; a lower one drops logical subscribers",
    after: "the old master, or a subscriber, cannot follow",
    fix: "set wal_level = replica (or logical) alike on all hosts (a restart)",
    examine: Examine::Slaves(wal_level),
};

fn wal_level(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let master = &inputs.roles.master;
    let level = |host: &HostName| {
        let level = inputs.database(host)?.settings.get("wal_level");
        level.ok_or_else(|| Unread(format!("{host} does not show wal_level")))
    };
    let (one, other) = (level(master)?, level(slave)?);
    if one == other && one != "minimal" {
        return Outcome::passed(format!("wal_level = {one}"));
    }
    Outcome::failed(format!("wal_level = {one} on {master}, {other} on {slave}"))
}

pub(super) const DATABASE_VERSION: Check = Check {
    id: "database-version",
    title: "both hosts run the same PostgreSQL",
    severity: Severity::Warning,
    readies: ALL,
    why: "minor versions may differ for an upgrade, and not for good",
    after: "users get another version with its own faults",
    fix: "upgrade the older one: slaves first",
    examine: Examine::Slaves(version),
};

fn version(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let master = &inputs.roles.master;
    let (one, other) = (inputs.database(master)?.version, inputs.database(slave)?.version);
    let shown = |version: u32| format!("{}.{}", version / 10_000, version % 10_000);
    let (one_shown, other_shown) = (shown(one), shown(other));
    if one == other {
        return Outcome::passed(one_shown);
    }
    Outcome::failed(format!("{one_shown} on {master}, {other_shown} on {slave}"))
}
