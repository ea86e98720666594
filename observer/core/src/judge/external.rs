//! The rows of the verdict table about pairs whose database is external: nothing of it is lost by a
//! change of master, which moves the singletons, and nothing is gained by one when it is the
//! database that is away.

use super::cause::Cause;
use super::rules::{Rule, Verdict, When};
use super::worlds::{NO_HEIR, ONE, SAFE, SWITCHABLE, UNFENCEABLE, USABLE};
use crate::facts::{Master, Upkeep};

pub(super) const EXTERNAL: &[Rule] = &[
    Rule {
        id: "E1",
        when: When { master: &[Master::HostDown], ..SAFE },
        cause: Cause::MasterHostDead,
        verdict: Verdict::FailOver,
        why: "the master has been going down for longer than its grace",
    },
    Rule {
        id: "E2",
        when: When { master: &[Master::CutFromDatabase], upkeep: USABLE, ..SWITCHABLE },
        cause: Cause::MasterCutFromDatabase,
        verdict: Verdict::SwitchOver,
        why: "the master does not reach the external database, and a slave does",
    },
    Rule {
        id: "E3",
        when: When { master: &[Master::CutFromDatabase], ..NO_HEIR },
        cause: Cause::MasterCutFromDatabase,
        verdict: Verdict::Hold,
        why: "the master does not reach the external database, and no slave is ready",
    },
    Rule {
        id: "E4",
        when: When { master: &[Master::CutFromDatabase], ..UNFENCEABLE },
        cause: Cause::CannotFence,
        verdict: Verdict::Hold,
        why: "the master does not reach the external database, and cannot be kept from users",
    },
    Rule {
        id: "E5",
        when: When {
            master: &[Master::CutFromDatabase],
            upkeep: &[Upkeep::StorageUnwell],
            ..SWITCHABLE
        },
        cause: Cause::StorageUnwell,
        verdict: Verdict::Hold,
        why: "the master does not reach the external database, and the slave cannot use a mount",
    },
    // Moving anything would help nobody, and restarting what waits for it neither.
    Rule {
        id: "E6",
        when: When { master: &[Master::DatabaseAway], ..ONE },
        cause: Cause::ExternalDatabaseAway,
        verdict: Verdict::Hold,
        why: "no host reaches the external database",
    },
];
