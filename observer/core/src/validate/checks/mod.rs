//! The table of checks, in the order in which they are shown. Each row stands in the file of its
//! subject, beside the function that examines it.
//!
//! It prints itself (`ha-observer validate --list`) and is documented in `RUNBOOK.md`.

mod activity;
mod application;
mod bouncer;
mod contents;
mod external;
mod files;
mod lease;
mod machine;
mod mounts;
mod observer;
mod parity;
mod power;
mod proxy;
mod proxy_files;
mod replication;
mod settings;
mod takeover;

use super::{Check, Readiness};
use crate::policy::PairSpec;

/// Every check.
pub const CHECKS: &[Check] = &[
    observer::OBSERVER_FREE,
    observer::OBSERVER_ACTS,
    observer::SLAVE_FREE,
    power::POWER_FENCE,
    power::POWER_FENCE_BESIDE,
    machine::HOST_REACHABLE,
    machine::HOST_RIGHTS,
    machine::STARTS_AT_BOOT,
    machine::REMOVE_IPC,
    machine::HOST_CLOCK,
    machine::DISK_ROOM,
    machine::DISK_TIME,
    machine::C_LIBRARY,
    machine::REJOIN_PROGRAMS,
    lease::GUARD,
    lease::LEASE,
    replication::DATABASE_ROLE,
    replication::SAME_CLUSTER,
    replication::TIMELINE,
    replication::STREAMING,
    replication::SLOT,
    replication::LAG_RECEIVED,
    replication::LAG_REPLAYED,
    replication::REPLAY_PAUSED,
    replication::APPLY_DELAY,
    takeover::REVERSE_LOGIN,
    takeover::WALSENDER_ROOM,
    takeover::SLOT_ROOM,
    takeover::REWIND,
    takeover::SYNCHRONOUS_NAMES,
    takeover::READ_ONLY,
    settings::DATABASE_RIGHTS,
    settings::SETTINGS_OF_SLAVE,
    settings::SETTINGS_OF_MASTER,
    settings::WAL_LEVEL,
    settings::DATABASE_VERSION,
    contents::EXTENSIONS,
    contents::UNLOGGED,
    contents::SEQUENCES,
    contents::LOGICAL_SLOTS,
    activity::LONG_TRANSACTION,
    contents::PREPARED_TRANSACTION,
    activity::BASE_BACKUP,
    activity::ARCHIVING,
    external::DATABASE_REACHED,
    application::APPLICATION,
    application::APPLICATION_THROUGH_PROXY,
    application::SERVICES,
    application::SERVICE_READY,
    application::SINGLETONS,
    parity::PARITY_SEVERE,
    parity::PARITY,
    files::FILES_CURRENT,
    files::FILES_LAST_PASS,
    files::FILES_IN_TIME,
    files::FILES_ON_MASTER,
    files::FILES_IN_DATABASE,
    mounts::MOUNT_PRESENT,
    mounts::MOUNT_SOURCE,
    mounts::MOUNT_USABLE,
    mounts::MOUNT_SHARED,
    mounts::MOUNT_ROOM,
    mounts::MOUNT_REST,
    proxy::PROXY_ANSWERS,
    proxy::PROXY_USERS,
    proxy::PROXY_DATABASE,
    proxy::PROXY_FILE,
    proxy_files::PROXY_FILES,
    proxy::PROXY_CHECK,
    proxy::PROXY_RIGHTS,
    proxy::WAITING_ROOM,
    proxy::PROXY_ERRORS,
    proxy::PROXY_WARNINGS,
    proxy::PROXY_AT_BOOT,
    proxy::PROXY_CLOCK,
    bouncer::BOUNCER_ADMIN,
    bouncer::BOUNCER_PAUSED,
    bouncer::BOUNCER_LEADS_PAST,
    bouncer::BOUNCER_WAIT,
    bouncer::BOUNCER_LOGIN_RETRY,
    bouncer::BOUNCER_POOL_MODE,
    bouncer::BOUNCER_DATABASES,
];

/// Checks of the database on the hosts: there is nothing to check where it is external.
const OF_OWN_DATABASE: &[&str] = &[
    lease::GUARD.id,
    machine::REMOVE_IPC.id,
    machine::DISK_ROOM.id,
    machine::DISK_TIME.id,
    machine::C_LIBRARY.id,
    machine::REJOIN_PROGRAMS.id,
    replication::DATABASE_ROLE.id,
    replication::SAME_CLUSTER.id,
    replication::TIMELINE.id,
    replication::STREAMING.id,
    replication::SLOT.id,
    replication::LAG_RECEIVED.id,
    replication::LAG_REPLAYED.id,
    replication::REPLAY_PAUSED.id,
    replication::APPLY_DELAY.id,
    takeover::REVERSE_LOGIN.id,
    takeover::WALSENDER_ROOM.id,
    takeover::SLOT_ROOM.id,
    takeover::REWIND.id,
    takeover::SYNCHRONOUS_NAMES.id,
    takeover::READ_ONLY.id,
    settings::DATABASE_RIGHTS.id,
    settings::SETTINGS_OF_SLAVE.id,
    settings::SETTINGS_OF_MASTER.id,
    settings::WAL_LEVEL.id,
    settings::DATABASE_VERSION.id,
    contents::EXTENSIONS.id,
    contents::UNLOGGED.id,
    contents::SEQUENCES.id,
    contents::LOGICAL_SLOTS.id,
    activity::LONG_TRANSACTION.id,
    contents::PREPARED_TRANSACTION.id,
    activity::BASE_BACKUP.id,
    activity::ARCHIVING.id,
    proxy::PROXY_DATABASE.id,
];

/// Whether there is nothing to check of this in a pair.
pub(super) fn is_beside_the_point(check: &Check, spec: &PairSpec) -> bool {
    spec.has_external_database() && OF_OWN_DATABASE.contains(&check.id)
}

const ALL: &[Readiness] = &[Readiness::Switchover, Readiness::Failover, Readiness::SwitchBack];
/// What matters while both hosts answer: a planned change, there or back.
const PLANNED: &[Readiness] = &[Readiness::Switchover, Readiness::SwitchBack];
/// What matters for today's slave to take over.
const TAKEOVER: &[Readiness] = &[Readiness::Switchover, Readiness::Failover];
const SWITCHOVER: &[Readiness] = &[Readiness::Switchover];
const FAILOVER: &[Readiness] = &[Readiness::Failover];
/// What matters after the old master died or was replaced, and for the way back.
const RETURN: &[Readiness] = &[Readiness::Failover, Readiness::SwitchBack];
