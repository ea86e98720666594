//! The rows of the verdict table about what else a failover would need: mounts, files, parity,
//! disks, units that start at boot.

use super::cause::Cause;
use super::rules::{Repair, Rule, Verdict, When};
use super::worlds::{APPLICATIONLESS, IN_ORDER, OPEN};
use crate::facts::Upkeep;

pub(super) const UPKEEP: &[Rule] = &[
    // What hangs for the slave hangs for the master, too, and is mostly why its application died:
    // moving users would help nobody.
    Rule {
        id: "D23",
        when: When { upkeep: &[Upkeep::StorageUnwell], proxies: OPEN, ..APPLICATIONLESS },
        cause: Cause::StorageUnwell,
        verdict: Verdict::Hold,
        why: "the application does not serve, and the slave cannot use a mount that it needs",
    },
    Rule {
        id: "U1",
        when: When { upkeep: &[Upkeep::FilesBehind], ..IN_ORDER },
        cause: Cause::FilesBehind,
        verdict: Verdict::Hold,
        why: "files on the slave are older than the limit",
    },
    Rule {
        id: "U2",
        when: When { upkeep: &[Upkeep::ParityBroken], ..IN_ORDER },
        cause: Cause::ParityBroken,
        verdict: Verdict::Hold,
        why: "the hosts differ in versions, secrets or settings",
    },
    Rule {
        id: "U3",
        when: When { upkeep: &[Upkeep::DiskLow], ..IN_ORDER },
        cause: Cause::DiskLow,
        verdict: Verdict::Hold,
        why: "the database's disk on a host is nearly full, and a full one ends its service",
    },
    Rule {
        id: "U6",
        when: When { upkeep: &[Upkeep::StorageUnwell], ..IN_ORDER },
        cause: Cause::StorageUnwell,
        verdict: Verdict::Hold,
        why: "the slave cannot use a mount that the service needs",
    },
    Rule {
        id: "U7",
        when: When { upkeep: &[Upkeep::Enabled], ..IN_ORDER },
        cause: Cause::StartsAtBoot,
        verdict: Verdict::Repair(Repair::DisableAtBoot),
        why: "a unit would start at boot by itself, and a boot knows no roles",
    },
    Rule {
        id: "U8",
        when: When { upkeep: &[Upkeep::LeftEnabled], ..IN_ORDER },
        cause: Cause::StartsAtBoot,
        verdict: Verdict::Hold,
        why: "a unit would start at boot by itself, and disabling it was not wanted or in vain",
    },
];
