//! What lies in the databases and does not survive a change of master by itself.

use super::{SWITCHOVER, TAKEOVER};
use crate::validate::{
    Check, DatabaseContents, Datum, Examine, Examined, Inputs, Outcome, Severity, Unread, about,
};
use crate::words::HostName;

/// Names that one line of evidence holds.
const NAMES_MAX: usize = 5;

/// The whole of something from every database, as `database: item`; unknown if one was not read.
fn of_all(
    inputs: &Inputs<'_>,
    pick: fn(&DatabaseContents) -> &Datum<Vec<String>>,
) -> Result<Vec<(String, String)>, Unread> {
    let master = &inputs.roles.master;
    let mut found = Vec::new();
    for contents in about(master, inputs.host(master)?.contents.as_ref())? {
        let database = &contents.database;
        let items = pick(contents).as_ref();
        let items = items.map_err(|why| Unread(format!("database {database}: {}", why.0)))?;
        found.extend(items.iter().map(|item| (database.clone(), item.clone())));
    }
    Ok(found)
}

/// Each with the database that it lies in.
fn in_databases(found: &[(String, String)]) -> Vec<String> {
    found.iter().map(|(database, name)| format!("{name} (database {database})")).collect()
}

fn listed(items: &[String]) -> String {
    let shown = items[..items.len().min(NAMES_MAX)].join(", ");
    match items.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

pub(super) const EXTENSIONS: Check = Check {
    id: "extensions",
    title: "every created extension is installed on the slave's disk",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "an extension's catalog entries are replicated, its files are not",
    after: "queries that use the extension fail",
    fix: "install the extension's package on the slave, in the master's version",
    examine: Examine::Slaves(extensions),
};

fn extensions(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let created = of_all(inputs, |contents| &contents.extensions)?;
    let available = &inputs.database(slave)?.available_extensions;
    let mut missing: Vec<String> = created
        .iter()
        .filter(|(_, extension)| !available.contains(extension))
        .map(|(database, extension)| format!("{extension} (database {database})"))
        .collect();
    missing.sort();
    if missing.is_empty() {
        return Outcome::passed(format!("{} created, all installed on {slave}", created.len()));
    }
    let evidence = format!("not on {slave}'s disk: {}", listed(&missing));
    Outcome::failed_with_fix(evidence, format!("install them on {slave}, in these versions"))
}

pub(super) const UNLOGGED: Check = Check {
    id: "unlogged",
    title: "no table is unlogged",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "unlogged tables are not replicated",
    after: "these tables are empty on the new master",
    fix: "`alter table NAME set logged`, or be sure that nobody misses the rows",
    examine: Examine::Master(unlogged),
};

fn unlogged(inputs: &Inputs<'_>, _: &HostName) -> Examined {
    let found = of_all(inputs, |contents| &contents.unlogged)?;
    if found.is_empty() {
        return Outcome::passed("none is");
    }
    Outcome::failed(listed(&in_databases(&found)))
}

pub(super) const SEQUENCES: Check = Check {
    id: "sequences",
    title: "no sequence has used up nearly all of its numbers",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "the log runs up to 32 numbers ahead of a sequence, and its cache may run further",
    after: "numbers jump ahead at a failover, and one that ends soon ends sooner",
    fix: "`alter sequence NAME as bigint`, or give it a larger maxvalue",
    examine: Examine::Master(sequences),
};

fn sequences(inputs: &Inputs<'_>, master: &HostName) -> Examined {
    let found = of_all(inputs, |contents| &contents.nearly_used_up)?;
    let all = about(master, inputs.host(master)?.contents.as_ref())?;
    let unread: u64 = all.iter().map(|contents| contents.unread_sequences).sum();
    if found.is_empty() && unread > 0 {
        // What a role may do in the application's schemas is for a person to say.
        return Outcome::skipped(format!(
            "the observer's role may not look at {unread} of them: `grant select on all sequences \
             in schema NAME to` it, where that is wanted"
        ));
    }
    if found.is_empty() {
        return Outcome::passed("none has");
    }
    Outcome::failed(listed(&in_databases(&found)))
}

pub(super) const LOGICAL_SLOTS: Check = Check {
    id: "logical-slots",
    title: "no logical replication slot would be lost",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "a logical slot lives on one server, and does not move with the role",
    after: "its subscriber stops, or misses what is written until it has a new slot",
    fix: "end the subscription before, and create the slot anew on the new master",
    examine: Examine::Slaves(logical_slots),
};

fn logical_slots(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let on_slave = &inputs.database(slave)?.slots;
    let logical = inputs.database(&inputs.roles.master)?.slots.iter();
    let lost: Vec<String> = logical
        .filter(|slot| slot.kind == "logical")
        .filter(|slot| !on_slave.iter().any(|copy| copy.name == slot.name))
        .map(|slot| slot.name.clone())
        .collect();
    if lost.is_empty() {
        return Outcome::passed("none is there, or all are on the slave, too");
    }
    Outcome::failed(format!("not on {slave}: {}", listed(&lost)))
}

pub(super) const PREPARED_TRANSACTION: Check = Check {
    id: "prepared-transaction",
    title: "no prepared transaction waits for its end",
    severity: Severity::Warning,
    readies: SWITCHOVER,
    why: "its locks move to the new master with it",
    after: "rows stay locked on the new master until somebody ends it",
    fix: "`select gid, prepared, owner from pg_prepared_xacts`, then commit or roll back each",
    examine: Examine::Master(prepared),
};

fn prepared(inputs: &Inputs<'_>, master: &HostName) -> Examined {
    match inputs.database(master)?.prepared_transactions {
        0 => Outcome::passed("none does"),
        count => Outcome::failed(format!("{count} prepared transactions wait on {master}")),
    }
}
