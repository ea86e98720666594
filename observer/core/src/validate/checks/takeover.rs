//! What the slave needs as the new master, and the old master as its slave.

use super::{ALL, PLANNED, RETURN, TAKEOVER};
use crate::policy::Durability;
use crate::validate::{
    Check, DatabaseSurvey, Examine, Examined, Inputs, Outcome, ReplicationLogin, Severity, Unread,
};
use crate::words::HostName;

pub(super) const REVERSE_LOGIN: Check = Check {
    id: "reverse-login",
    title: "the master's host may replicate from the slave",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "after the change the old master has to follow the new one",
    after: "the pair is left without a slave: the next failure is an outage",
    fix: "give the slave the master's listen_addresses and pg_hba.conf, and reload",
    examine: Examine::Slaves(reverse_login),
};

fn reverse_login(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let master = &inputs.roles.master;
    let login = inputs.host(slave)?.replication_logins.get(master);
    let login = login.ok_or_else(|| Unread(format!("no login from {master} was tried")))?;
    let login = login.as_ref().map_err(|why| Unread(format!("from {master}: {}", why.0)))?;
    let fix = |what: &str| format!("on {slave}: {what}");
    match login {
        ReplicationLogin::LetIn => Outcome::passed(format!("{slave} lets {master} in")),
        // The role and its password are replicated; the file with the password is not ours to read.
        ReplicationLogin::AsksPassword => Outcome::passed(format!(
            "{slave} takes replication from {master} and asks for the password"
        )),
        ReplicationLogin::Refused(words) => Outcome::failed_with_fix(
            format!("{slave} refuses a replication login from {master}: {words}"),
            fix(
                "add `host replication ROLE MASTER-ADDRESS/32 scram-sha-256` to pg_hba.conf, then \
                 `select pg_reload_conf()`",
            ),
        ),
        ReplicationLogin::NobodyListens => Outcome::failed_with_fix(
            format!("from {master} nobody listens at {slave}'s database port"),
            fix("set listen_addresses so that the other host reaches it, and restart PostgreSQL"),
        ),
    }
}

/// A setting that is a number.
fn number(database: &DatabaseSurvey, name: &str) -> Result<u64, Unread> {
    let text = database.settings.get(name);
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| Unread(format!("{name} is not shown")))
}

pub(super) const WALSENDER_ROOM: Check = Check {
    id: "walsender-room",
    title: "the slave can serve every other host as master",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "each slave and each base backup takes one of max_wal_senders",
    after: "the old master cannot follow",
    fix: "raise max_wal_senders on the slave (a restart)",
    examine: Examine::Slaves(walsender_room),
};

fn walsender_room(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let database = inputs.database(slave)?;
    room(inputs, number(database, "max_wal_senders")?, database.walsenders.len(), "walsenders")
}

pub(super) const SLOT_ROOM: Check = Check {
    id: "slot-room",
    title: "the slave has a free replication slot for every other host",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "each slave needs a slot, or falls off when it is away for a while",
    after: "the old master cannot be given a slot",
    fix: "raise max_replication_slots on the slave (a restart), or drop slots nobody uses",
    examine: Examine::Slaves(slot_room),
};

fn slot_room(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let database = inputs.database(slave)?;
    room(inputs, number(database, "max_replication_slots")?, database.slots.len(), "slots")
}

fn room(inputs: &Inputs<'_>, limit: u64, used: usize, what: &str) -> Examined {
    let needed = inputs.roles.slaves.len() as u64;
    let free = limit.saturating_sub(used as u64);
    let evidence = format!("{free} of {limit} {what} are free, {needed} needed");
    if free >= needed { Outcome::passed(evidence) } else { Outcome::failed(evidence) }
}

pub(super) const REWIND: Check = Check {
    id: "rewind",
    title: "a replaced master can be rewound",
    severity: Severity::Warning,
    readies: RETURN,
    why: "pg_rewind needs checksums or wal_log_hints, and full_page_writes",
    after: "the old master must be cloned anew, which takes as long as copying the database",
    fix: "set wal_log_hints = on (a restart) and full_page_writes = on",
    examine: Examine::Hosts(rewind),
};

fn rewind(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let settings = &inputs.database(host)?.settings;
    let is_on = |name: &str| settings.get(name).is_some_and(|value| value == "on");
    let shown = |name: &str| format!("{name} = {}", settings.get(name).map_or("?", String::as_str));
    let all = ["data_checksums", "wal_log_hints", "full_page_writes"].map(shown).join(", ");
    let hints = is_on("data_checksums") || is_on("wal_log_hints");
    if hints && is_on("full_page_writes") { Outcome::passed(all) } else { Outcome::failed(all) }
}

pub(super) const SYNCHRONOUS_NAMES: Check = Check {
    id: "synchronous-names",
    title: "the slave as master would not wait for a standby that is not there",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "with synchronous_standby_names set, every commit waits for such a standby",
    after: "every commit hangs until the old master follows under that name",
    fix: "empty synchronous_standby_names on the slave, or make sure the old master follows soon",
    examine: Examine::Slaves(synchronous_names),
};

fn synchronous_names(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let names = inputs.database(slave)?.settings.get("synchronous_standby_names");
    let shown = |names: &str| format!("synchronous_standby_names = {names}");
    // What our own plans have set there, while it was master, they empty before they promote it.
    let of_plans = |names: &str| {
        inputs.spec.policy.durability == Durability::Sync
            && inputs.spec.hosts.iter().any(|host| names == format!("\"{host}\""))
    };
    match names.map(String::as_str) {
        None | Some("") => Outcome::passed("it would wait for none"),
        Some(names) if of_plans(names) => {
            Outcome::passed(format!("{}, which is emptied before it is promoted", shown(names)))
        }
        Some(names) => Outcome::failed(shown(names)),
    }
}

pub(super) const READ_ONLY: Check = Check {
    id: "read-only",
    title: "the slave would take writes once it is promoted",
    severity: Severity::Severe,
    readies: ALL,
    why: "default_transaction_read_only makes every session of a primary read-only",
    after: "users cannot write",
    fix: "set default_transaction_read_only = off and reload",
    examine: Examine::Slaves(read_only),
};

fn read_only(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let setting = inputs.database(slave)?.settings.get("default_transaction_read_only");
    match setting.map(String::as_str) {
        Some("on") => Outcome::failed("default_transaction_read_only = on"),
        _ => Outcome::passed("default_transaction_read_only = off"),
    }
}
