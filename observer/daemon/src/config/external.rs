//! Reads `[database]` of a pair whose database is external, and finds what such a pair has no use
//! of.

use observer_core::policy::{Durability, FenceGrade, Placement, Policy, ServiceSpec, Store};
use observer_world::access::{
    BouncerAccess, DatabaseAccess, ExternalAccess, FileSetAccess, ParityItem, ParitySource,
};

use super::address;
use super::section::Section;

const KINDS: &[(&str, Store)] = &[("postgresql", Store::OnHosts), ("external", Store::External)];

/// Where the database is kept.
pub(super) fn kind(database: &Section<'_, '_>) -> Store {
    database.choice("kind", KINDS, Store::OnHosts)
}

/// Where the hosts reach the database; none where they keep it.
pub(super) fn access(database: &Section<'_, '_>) -> Option<ExternalAccess> {
    if kind(database) == Store::OnHosts {
        return None;
    }
    let address = database
        .required("address", "write the address or name at which the hosts reach the database");
    if !address.is_empty() {
        address::check(database, "address", &address);
    }
    if !database.has("port") {
        database.wrong("port", "is missing", "write the database's TCP port, like port = 1433");
    }
    let port = database.number("port", 1_433, 1..=65_535) as u16;
    Some(ExternalAccess { address, port })
}

/// What stands for the database of a host that keeps none.
pub(super) fn of_host(own: &Section<'_, '_>, address: &str) -> DatabaseAccess {
    if own.is_present() {
        own.amiss(
            "the pair's database is external, so that no host has one of its own",
            "take [host.database] out, or write kind = \"postgresql\" in [database]",
        );
    }
    DatabaseAccess::none(address)
}

/// Finds what only a database on the hosts could make use of.
pub(super) fn check(
    root: &Section<'_, '_>,
    (policy, section): (&Policy, &Section<'_, '_>),
    (services, bouncers): (&[ServiceSpec], &[BouncerAccess]),
    files: &[FileSetAccess],
    parity: &[ParityItem],
) {
    let why = "the pair's database is external";
    if policy.durability == Durability::Sync {
        let problem = format!("{why}: nobody's commits wait for a host");
        section.wrong("durability", &problem, "take the line out");
    }
    if services.is_empty() {
        root.wrong(
            "service",
            &format!("{why}, so that the pair needs at least one service"),
            "write one [[service]] for each unit; placement = \"master\" makes a singleton",
        );
    }
    if !services.is_empty() && services.iter().all(|one| one.placement != Placement::Master) {
        root.odd(
            "service",
            "none is a singleton: a change of master would move nothing",
            "write placement = \"master\" in the [[service]] of what must run once",
        );
    }
    if policy.fence != FenceGrade::ProxiedOff && policy.power_fence.is_none() {
        section.odd(
            "fence",
            "without a power fence nothing takes the place of a host that does not answer, since \
             its singletons may run on",
            "write [fence], or fence = \"proxied-off\"",
        );
    }
    if !bouncers.is_empty() {
        let problem = format!("{why}, and does not move with the master");
        root.wrong("bouncer", &problem, "take [[bouncer]] out");
    }
    if files.iter().any(|set| set.paths.is_some()) {
        let problem = format!("{why}: no query can be asked which paths must exist");
        root.wrong("files", &problem, "take [files.paths] out");
    }
    if parity.iter().any(|item| matches!(item.source, ParitySource::Setting(_))) {
        let problem = format!("{why}: no host has a setting of PostgreSQL");
        root.wrong("parity", &problem, "take the item with `setting` out");
    }
}

#[cfg(test)]
#[path = "external_tests.rs"]
mod tests;
