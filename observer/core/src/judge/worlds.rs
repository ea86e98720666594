//! Sets of worlds that the rows of the verdict table have in common, each narrower than the one it
//! is made from.

use super::rules::When;
use crate::facts::{
    Commits, Fence, Lease, Loss, Master, Proxies, Roles, Sight, Singletons, Slave, Upkeep,
};

pub(super) const ANY: When = When {
    sight: &[],
    roles: &[],
    master: &[],
    slave: &[],
    loss: &[],
    proxies: &[],
    fence: &[],
    commits: &[],
    lease: &[],
    singletons: &[],
    upkeep: &[],
};

/// Any world in which our eyes are good.
pub(super) const SEEING: When = When { sight: &[Sight::Clear], ..ANY };
/// Any world with exactly the master the journal knows.
pub(super) const ONE: When = When { roles: &[Roles::One], ..SEEING };
/// Proxies to which no paused PgBouncer leads: what stands still behind one may only wait for it.
pub(super) const OPEN: &[Proxies] = &[
    Proxies::True,
    Proxies::Drifted,
    Proxies::LeftDrifted,
    Proxies::Stopped,
    Proxies::CutFromMaster,
    Proxies::Unreachable,
];
/// Any world with a healthy master, seen from its users' side.
pub(super) const SERVING: When = When { master: &[Master::Healthy], ..ONE };
/// Any such world in which nothing is to be done about the lease.
pub(super) const LEASED: When = When { lease: &[Lease::AsAsked, Lease::Amiss], ..SERVING };
/// Any such world in which nothing is to be done about the singletons.
pub(super) const PLACED: When =
    When { singletons: &[Singletons::Once, Singletons::Amiss], ..LEASED };
/// Any such world in which commits are not held up against the policy.
pub(super) const UNBLOCKED: When =
    When { commits: &[Commits::AsAsked, Commits::Owed, Commits::Waiting], ..PLACED };
/// Any such world in which commits are not held up.
pub(super) const WELL: When = When { commits: &[Commits::AsAsked, Commits::Owed], ..PLACED };
/// Any world with a healthy master and a slave that could be put right.
pub(super) const MENDABLE: When =
    When { slave: &[Slave::Startable, Slave::Resumable, Slave::Rejoinable], ..PLACED };
/// Any world with a healthy master, and a slave, proxies and commits as they should be.
pub(super) const WHOLE: When = When {
    slave: &[Slave::Ready],
    proxies: &[Proxies::True],
    commits: &[Commits::AsAsked],
    singletons: &[Singletons::Once, Singletons::Amiss],
    ..SERVING
};
/// Any such world in which nothing else is to be put right first.
pub(super) const IN_ORDER: When =
    When { lease: &[Lease::AsAsked], singletons: &[Singletons::Once], ..WHOLE };
/// Any world with a slave that can be promoted, a master that can be kept from users, and no more
/// lost by it than the operator accepts.
pub(super) const SAFE: When =
    When { slave: &[Slave::Ready], fence: &[Fence::Possible], loss: &[Loss::WithinBudget], ..ONE };
/// Any world in which the master does not serve, and only a change of master could help.
pub(super) const LETHAL: When =
    When { master: &[Master::HostGone, Master::HostDown, Master::DatabaseHung], ..ONE };
/// Such a world with a slave to promote.
pub(super) const HEIR: When = When { slave: &[Slave::Ready], ..LETHAL };
/// Such a world in which the old master can be kept from users, too.
pub(super) const FENCEABLE: When = When { fence: &[Fence::Possible], ..HEIR };
/// Any world with a slave to promote and a master that can be kept from users.
pub(super) const SWITCHABLE: When =
    When { slave: &[Slave::Ready], fence: &[Fence::Possible], ..ONE };
/// Any such world in which the application on the master is dead.
pub(super) const APPLICATIONLESS: When = When { master: &[Master::ApplicationDead], ..SWITCHABLE };
/// Whatever else is to be mended: the slave can use the mounts that the service needs.
pub(super) const USABLE: &[Upkeep] = &[
    Upkeep::Good,
    Upkeep::FilesBehind,
    Upkeep::ParityBroken,
    Upkeep::DiskLow,
    Upkeep::Enabled,
    Upkeep::LeftEnabled,
];
/// Any world with a slave to promote beside a master that cannot be kept from users.
pub(super) const UNFENCEABLE: When =
    When { slave: &[Slave::Ready], fence: &[Fence::Impossible], ..ONE };
/// Any world without a slave that could be promoted.
pub(super) const NO_HEIR: When = When {
    slave: &[
        Slave::Down,
        Slave::Startable,
        Slave::Silent,
        Slave::Diverged,
        Slave::NotPromotable,
        Slave::NotStreaming,
        Slave::Resumable,
        Slave::Rejoinable,
        Slave::CutOff,
        Slave::Lagging,
        Slave::InMaintenance,
    ],
    ..ONE
};
/// Any world with a slave to promote that would lose more than may be lost, as far as is known.
pub(super) const COSTLY: When = When { loss: &[Loss::OverBudget, Loss::Unknown], ..SWITCHABLE };
/// Any world in which the database is dead on a living host, and starting it has failed before.
pub(super) const DEAD: When = When { master: &[Master::DatabaseDead], ..ONE };
