//! The slave's copy: whose it is, whether it follows, and how far behind it is.

use super::{ALL, PLANNED, TAKEOVER};
use crate::validate::{
    Check, DatabaseSurvey, Examine, Examined, Inputs, Outcome, Severity, WalsenderSurvey,
};
use crate::words::{HostName, human_bytes, human_ms};

pub(super) const DATABASE_ROLE: Check = Check {
    id: "database-role",
    title: "the database answers, and is what the host's role says",
    severity: Severity::Severe,
    readies: ALL,
    why: "a change of master begins with one primary and one standby",
    after: "",
    fix: "see `ha-observer why`",
    examine: Examine::Hosts(role),
};

fn role(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let is_standby = inputs.database(host)?.in_recovery;
    let is_master = inputs.roles.master == *host;
    match (is_master, is_standby) {
        (true, false) => Outcome::passed("a primary, as the master's should be"),
        (false, true) => Outcome::passed("a standby, as a slave's should be"),
        (true, true) => {
            Outcome::failed(format!("{host} is the master, and its database a standby"))
        }
        (false, false) => Outcome::failed(format!("{host} is a slave, and its database a primary")),
    }
}

/// The databases of master and slave.
fn both<'a>(
    inputs: &Inputs<'a>,
    slave: &HostName,
) -> Result<(&'a DatabaseSurvey, &'a DatabaseSurvey), crate::validate::Unread> {
    Ok((inputs.database(&inputs.roles.master)?, inputs.database(slave)?))
}

pub(super) const SAME_CLUSTER: Check = Check {
    id: "same-cluster",
    title: "the slave holds a copy of the master's database",
    severity: Severity::Severe,
    readies: ALL,
    why: "the system identifier is equal on all copies of one database",
    after: "users find another database",
    fix: "clone the slave from the master (`pg_basebackup`)",
    examine: Examine::Slaves(same_cluster),
};

fn same_cluster(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let (master, copy) = both(inputs, slave)?;
    let (one, other) = (&master.system_identifier, &copy.system_identifier);
    if one == other {
        return Outcome::passed(format!("system identifier {one}"));
    }
    Outcome::failed(format!("system identifier {one} on the master, {other} on {slave}"))
}

pub(super) const TIMELINE: Check = Check {
    id: "timeline",
    title: "the slave is on the master's timeline",
    severity: Severity::Severe,
    readies: ALL,
    why: "another timeline is another history",
    after: "what the master wrote since the histories parted is lost",
    fix: "rewind the slave (`pg_rewind`) or clone it anew",
    examine: Examine::Slaves(timeline),
};

fn timeline(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let (master, copy) = both(inputs, slave)?;
    if master.timeline == copy.timeline {
        return Outcome::passed(format!("timeline {}", master.timeline));
    }
    let (one, other) = (master.timeline, copy.timeline);
    Outcome::failed(format!("timeline {one} on the master, {other} on {slave}"))
}

pub(super) const STREAMING: Check = Check {
    id: "streaming",
    title: "the slave receives the master's log",
    severity: Severity::Severe,
    readies: ALL,
    why: "only a slave that streams has everything the master has",
    after: "what was not received is lost",
    fix: "read the slave's PostgreSQL log: it says why it cannot connect",
    examine: Examine::Slaves(streaming),
};

fn streaming(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    match &inputs.database(slave)?.walreceiver {
        Some(receiver) if receiver.status == "streaming" => Outcome::passed("it streams"),
        Some(receiver) => Outcome::failed(format!("the walreceiver is {}", receiver.status)),
        None => Outcome::failed(format!("no walreceiver runs on {slave}")),
    }
}

pub(super) const SLOT: Check = Check {
    id: "slot",
    title: "the slave's replication slot is there, in use, and has lost nothing",
    severity: Severity::Severe,
    readies: ALL,
    why: "the slot makes the master keep the log that the slave has not received",
    after: "a slave that was away for a while must be cloned anew",
    fix: "create a slot on the master and name it in primary_slot_name of the slave",
    examine: Examine::Slaves(slot),
};

fn slot(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let (master, copy) = both(inputs, slave)?;
    let name = copy.settings.get("primary_slot_name").filter(|name| !name.is_empty());
    let Some(name) = name else {
        let evidence = format!("{slave} names no slot (primary_slot_name is empty)");
        return Outcome::failed(evidence);
    };
    let Some(slot) = master.slots.iter().find(|slot| slot.name == *name) else {
        let fix = format!(
            "on the master: `select pg_create_physical_replication_slot('{name}')`; if {slave} \
             does not stream then, clone it anew"
        );
        let evidence = format!("the master has no slot {name}, which {slave} asks for");
        return Outcome::failed_with_fix(evidence, fix);
    };
    match (slot.active, slot.wal_status.as_deref()) {
        (_, Some(bad @ ("lost" | "unreserved"))) => {
            Outcome::failed_with_fix(format!("slot {name} is {bad}"), format!("clone {slave} anew"))
        }
        (false, _) => Outcome::failed_with_fix(
            format!("nobody uses slot {name}"),
            format!("see why {slave} does not stream: its PostgreSQL log says"),
        ),
        (true, status) => Outcome::passed(format!("slot {name}, {}", status.unwrap_or("in use"))),
    }
}

pub(super) const LAG_RECEIVED: Check = Check {
    id: "lag-received",
    title: "the slave has received nearly all log",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "what is not received when the master dies is lost",
    after: "users miss what they had been told is safe",
    fix: "wait, or find what slows the slave's network or disk",
    examine: Examine::Slaves(lag_received),
};

fn lag_received(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let (master, copy) = both(inputs, slave)?;
    let time = walsender(inputs, master, slave).and_then(|sender| sender.flush_lag_ms);
    lag(inputs, master.lsn.saturating_sub(copy.lsn), time)
}

pub(super) const LAG_REPLAYED: Check = Check {
    id: "lag-replayed",
    title: "the slave has replayed nearly all it received",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "a promotion waits until everything received is replayed",
    after: "users wait as long as the replay takes",
    fix: "wait, or find what holds the replay: long queries on the slave, a slow disk",
    examine: Examine::Slaves(lag_replayed),
};

fn lag_replayed(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let (master, copy) = both(inputs, slave)?;
    let time = walsender(inputs, master, slave).and_then(|sender| sender.replay_lag_ms);
    lag(inputs, copy.lsn.saturating_sub(copy.replayed_lsn), time)
}

/// The walsender of a slave, told by name; where there is one slave, the only one that streams.
fn walsender<'a>(
    inputs: &Inputs<'_>,
    master: &'a DatabaseSurvey,
    slave: &HostName,
) -> Option<&'a WalsenderSurvey> {
    let mut senders = master.walsenders.iter();
    let named = senders.clone().find(|sender| sender.name == slave.as_str());
    let mut only = || senders.find(|sender| sender.state.as_deref() == Some("streaming"));
    named.or_else(|| if inputs.roles.slaves.len() == 1 { only() } else { None })
}

fn lag(inputs: &Inputs<'_>, bytes: u64, time_ms: Option<u64>) -> Examined {
    let policy = &inputs.spec.policy;
    let time = time_ms.map_or_else(|| "no commit under way".to_owned(), human_ms);
    let evidence = format!("{} behind, {time}", human_bytes(bytes));
    let late = time_ms.is_some_and(|ms| ms > policy.loss_budget_ms);
    if bytes <= policy.lag_limit_bytes && !late {
        return Outcome::passed(evidence);
    }
    let limits = (human_bytes(policy.lag_limit_bytes), human_ms(policy.loss_budget_ms));
    Outcome::failed(format!("{evidence}; the limits are {} and {}", limits.0, limits.1))
}

pub(super) const REPLAY_PAUSED: Check = Check {
    id: "replay-paused",
    title: "nobody paused the replay on the slave",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "a paused slave receives and does not replay: it cannot be promoted",
    after: "the promotion waits for ever",
    fix: "`select pg_wal_replay_resume()` on the slave",
    examine: Examine::Slaves(replay_paused),
};

fn replay_paused(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    if inputs.database(slave)?.replay_paused {
        let fix = format!("on {slave}, as a superuser: `select pg_wal_replay_resume()`");
        return Outcome::failed_with_fix(format!("the replay on {slave} is paused"), fix);
    }
    Outcome::passed("it replays")
}

pub(super) const APPLY_DELAY: Check = Check {
    id: "apply-delay",
    title: "the slave replays without a delay",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "a delayed slave has to replay the whole delay before it can take over",
    after: "users wait as long as the delay",
    fix: "set recovery_min_apply_delay = 0 on the slave and reload",
    examine: Examine::Slaves(apply_delay),
};

fn apply_delay(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let delay = inputs.database(slave)?.settings.get("recovery_min_apply_delay");
    match delay.map(String::as_str) {
        None | Some("0") => Outcome::passed("no delay"),
        Some(delay) => Outcome::failed(format!("recovery_min_apply_delay = {delay} ms")),
    }
}
