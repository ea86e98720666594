//! Reads the `[policy]` and `[[service]]` tables of a pair.
//!
//! The shipped numbers live in `Policy::default`; the commented default file shows the same ones,
//! which a test proves.

use std::collections::BTreeSet;

use observer_core::policy::{
    Durability, FenceGrade, Mode, OnCleanShutdown, OnDatabaseCrash, OnDrift, OnEnabled, OnReturn,
    OnSlaveLost, Placement, Policy, Probed, ReadinessSpec, ServiceSpec, UserWait,
};
use observer_core::words::ServiceName;

use super::access::ReadinessProbe;
use super::readiness;
use super::section::Section;
use super::units;

const MODES: &[(&str, Mode)] =
    &[("auto", Mode::Auto), ("observe-only", Mode::ObserveOnly), ("off", Mode::Off)];
const FENCES: &[(&str, FenceGrade)] = &[
    ("proxied-off", FenceGrade::ProxiedOff),
    ("stopped", FenceGrade::Stopped),
    ("powered-off", FenceGrade::PoweredOff),
];
const ON_CRASH: &[(&str, OnDatabaseCrash)] =
    &[("start", OnDatabaseCrash::Start), ("fail-over", OnDatabaseCrash::FailOver)];
const ON_SHUTDOWN: &[(&str, OnCleanShutdown)] =
    &[("ask", OnCleanShutdown::Ask), ("fail-over", OnCleanShutdown::FailOver)];
const ON_DRIFT: &[(&str, OnDrift)] = &[("repair", OnDrift::Repair), ("show", OnDrift::Show)];
const ON_ENABLED: &[(&str, OnEnabled)] =
    &[("disable", OnEnabled::Disable), ("show", OnEnabled::Show), ("leave", OnEnabled::Leave)];
const ON_RETURN: &[(&str, OnReturn)] = &[("rejoin", OnReturn::Rejoin), ("ask", OnReturn::Ask)];
const DURABILITIES: &[(&str, Durability)] =
    &[("async", Durability::Async), ("sync", Durability::Sync)];
const ON_LOST: &[(&str, OnSlaveLost)] =
    &[("async", OnSlaveLost::Async), ("wait", OnSlaveLost::Wait)];
const PLACEMENTS: &[(&str, Placement)] =
    &[("all", Placement::All), ("master", Placement::Master), ("slave", Placement::Slave)];
const WAITS: &[(&str, UserWait)] = &[("wait", UserWait::Wait), ("go-on", UserWait::GoOn)];
const PROBES: &[(&str, Probed)] = &[("health", Probed::Health), ("unit", Probed::Unit)];

/// Shortest pace that makes sense: a look over SSH takes 1 to 5 ms, a loaded one tens.
const SHORTEST_MS: u64 = 50;

/// Reads `[policy]`; what is missing has its shipped value.
pub(super) fn read(section: &Section<'_, '_>) -> Policy {
    let shipped = Policy::default();
    let time = |key, default| section.time_ms(key, default, 1);
    let policy = Policy {
        mode: section.choice("mode", MODES, shipped.mode),
        interval_ms: section.time_ms("interval", shipped.interval_ms, SHORTEST_MS),
        suspect_interval_ms: section.time_ms(
            "suspect_interval",
            shipped.suspect_interval_ms,
            SHORTEST_MS,
        ),
        timeout_ms: section.time_ms("timeout", shipped.timeout_ms, SHORTEST_MS),
        failures: section.number("failures", shipped.failures.into(), 1..=100) as u32,
        detection_ms: section.time_ms("detection_timeout", shipped.detection_ms, 0),
        restart_grace_ms: time("restart_grace", shipped.restart_grace_ms),
        on_database_crash: section.choice("on_database_crash", ON_CRASH, shipped.on_database_crash),
        database_start_deadline_ms: time(
            "database_start_deadline",
            shipped.database_start_deadline_ms,
        ),
        on_clean_shutdown: section.choice(
            "on_clean_shutdown",
            ON_SHUTDOWN,
            shipped.on_clean_shutdown,
        ),
        clean_shutdown_grace_ms: time("clean_shutdown_grace", shipped.clean_shutdown_grace_ms),
        cannot_write_grace_ms: time("cannot_write_grace", shipped.cannot_write_grace_ms),
        disk_low_bytes: section.size_bytes("disk_low", shipped.disk_low_bytes),
        disk_low_ms: section.time_ms("disk_low_time", shipped.disk_low_ms, 0),
        durability: section.choice("durability", DURABILITIES, shipped.durability),
        on_slave_lost: section.choice("on_slave_lost", ON_LOST, shipped.on_slave_lost),
        sync_patience_ms: time("sync_patience", shipped.sync_patience_ms),
        on_return: section.choice("on_return", ON_RETURN, shipped.on_return),
        on_drift: section.choice("on_drift", ON_DRIFT, shipped.on_drift),
        on_enabled: section.choice("on_enabled", ON_ENABLED, shipped.on_enabled),
        lease_ms: lease(section),
        parity_interval_ms: section.time_ms(
            "parity_interval",
            shipped.parity_interval_ms,
            PARITY_INTERVAL_MIN_MS,
        ),
        repair_window_ms: time("repair_window", shipped.repair_window_ms),
        fence: section.choice("fence", FENCES, shipped.fence),
        power_fence: shipped.power_fence,
        loss_budget_bytes: section.size_bytes("loss_budget", shipped.loss_budget_bytes),
        loss_budget_ms: section.time_ms("loss_budget_time", shipped.loss_budget_ms, 0),
        loss_budget_files_ms: section.time_ms("loss_budget_files", shipped.loss_budget_files_ms, 0),
        lag_limit_bytes: section.size_bytes("lag_limit", shipped.lag_limit_bytes),
        walreceiver_fresh_ms: time("walreceiver_fresh", shipped.walreceiver_fresh_ms),
        replay_deadline_ms: time("replay_deadline", shipped.replay_deadline_ms),
        promote_deadline_ms: time("promote_deadline", shipped.promote_deadline_ms),
        proxy_deadline_ms: time("proxy_deadline", shipped.proxy_deadline_ms),
        drain_deadline_ms: time("drain_deadline", shipped.drain_deadline_ms),
        hold_limit_ms: time("hold_limit", shipped.hold_limit_ms),
        stop_deadline_ms: time("stop_deadline", shipped.stop_deadline_ms),
        rewind_deadline_ms: time("rewind_deadline", shipped.rewind_deadline_ms),
        clone_deadline_ms: time("clone_deadline", shipped.clone_deadline_ms),
    };
    if policy.suspect_interval_ms > policy.interval_ms {
        section.wrong(
            "suspect_interval",
            "is longer than interval, so doubt would look more slowly than calm",
            "make it at most as long as interval",
        );
    }
    check_hold(section, &policy);
    section.finish();
    policy
}

/// How long the waiting room that is shipped keeps a request: `timeout queue`, and `retries` times
/// `timeout connect`.
const WAITING_ROOM_MS: u64 = 60_000;

/// Notes what users would not wait for: the times of a switchover against one another.
fn check_hold(section: &Section<'_, '_>, policy: &Policy) {
    let hold = units::write_time(policy.hold_limit_ms);
    if policy.hold_limit_ms >= WAITING_ROOM_MS {
        section.odd(
            "hold_limit",
            &format!(
                "{hold} is not shorter than the 60s for which the usual waiting room keeps a \
                 request: users would see errors before the switchover is taken back"
            ),
            "use \"30s\" to \"50s\", or make `timeout queue`, and `retries` times `timeout \
             connect`, longer at every proxy",
        );
    }
    if policy.drain_deadline_ms >= policy.hold_limit_ms {
        let drain = units::write_time(policy.drain_deadline_ms);
        section.odd(
            "drain_deadline",
            &format!("{drain} is not shorter than hold_limit ({hold}), which would end it first"),
            "make it a third of hold_limit: the database's stop takes its time, too",
        );
    }
}

/// The shortest pace of comparing: it reads files on every host.
const PARITY_INTERVAL_MIN_MS: u64 = 5_000;
/// The shortest lease: a few checks a second apart must fall into it.
const LEASE_MIN_MS: u64 = 6_000;
/// The longest: a master that goes on alone for longer has no use of one.
const LEASE_MAX_MS: u64 = 600_000;

/// Reads how long a master goes on whom nobody reaches: a time, or `off`.
fn lease(section: &Section<'_, '_>) -> Option<u64> {
    let length_ms = section.time_or_off("lease")?;
    let allowed = LEASE_MIN_MS..=LEASE_MAX_MS;
    if !allowed.contains(&length_ms) {
        let problem = format!("{} is no length for a lease", units::write_time(length_ms));
        section.wrong("lease", &problem, "use \"off\", or a time from \"6s\" to \"10min\"");
    }
    Some(length_ms)
}

/// Notes services whose stop would keep users waiting until everything is taken back.
pub(super) fn check_stops(sections: &[Section<'_, '_>], services: &[ServiceSpec], policy: &Policy) {
    for (section, service) in sections.iter().zip(services) {
        let held = service.users == UserWait::Wait && service.placement == Placement::Master;
        if held && service.stop_deadline_ms.is_some_and(|ms| ms >= policy.hold_limit_ms) {
            let hold = units::write_time(policy.hold_limit_ms);
            section.odd(
                "stop_deadline",
                &format!(
                    "users are held while it stops, and hold_limit ({hold}) would end it first"
                ),
                "make it a third of hold_limit, or write users = \"go-on\"",
            );
        }
    }
}

/// Reads every `[[service]]`, in start order, and the probes that some of them have.
pub(super) fn services(sections: &[Section<'_, '_>]) -> (Vec<ServiceSpec>, Vec<ReadinessProbe>) {
    let mut names = BTreeSet::new();
    let (mut services, mut probes) = (Vec::new(), Vec::new());
    for section in sections {
        let name = section.required("name", "name the service, like name = \"desk\"");
        let unit = section.required("unit", "name its systemd unit, like unit = \"desk.service\"");
        if !name.is_empty() && !names.insert(name.clone()) {
            section.wrong(
                "name",
                &format!("another service is called \"{name}\""),
                "give each service its own name",
            );
        }
        if !unit.is_empty() && !is_unit(&unit) {
            section.wrong(
                "unit",
                &format!("\"{unit}\" is no unit's name"),
                "write it as `systemctl` shows it, like desk.service",
            );
        }
        let probe = readiness::probe(&section.table("probe"), &name);
        let probed = section.choice("probed", PROBES, Probed::Unit);
        let users = if probed == Probed::Health { UserWait::Wait } else { UserWait::GoOn };
        let start_deadline_ms = section.time_ms("start_deadline", 30_000, 1);
        if probe.as_ref().is_some_and(|probe| probe.deadline_ms > start_deadline_ms) {
            section.odd(
                "start_deadline",
                "is shorter than one answer of the probe may take (`deadline`)",
                "make it several times as long: the probe is asked until it is satisfied",
            );
        }
        let stop_deadline = section.has("stop_deadline");
        let stop_deadline_ms = section.time_ms("stop_deadline", 0, 0);
        services.push(ServiceSpec {
            name: ServiceName::new(&name),
            unit,
            placement: section.choice("placement", PLACEMENTS, Placement::All),
            probed,
            readiness: probe.as_ref().map(|probe| ReadinessSpec { deadline_ms: probe.deadline_ms }),
            users: section.choice("users", WAITS, users),
            start_deadline_ms,
            stop_deadline_ms: stop_deadline.then_some(stop_deadline_ms),
        });
        probes.extend(probe);
        section.finish();
    }
    (services, probes)
}

/// A name that systemd takes, with its suffix: it is passed on as one argument.
pub(super) fn is_unit(unit: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let (stem, suffix) = unit.rsplit_once('.').unwrap_or((unit, ""));
    !stem.is_empty() && !stem.starts_with('-') && unit.chars().all(plain) && suffix == "service"
}
