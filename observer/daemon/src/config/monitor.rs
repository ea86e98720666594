//! Reads `[monitor_file]`: the file by which balancers that are not ours are told where users go.

use observer_core::policy::{MonitorSpec, UsersGo};
use observer_core::sighting::Says;
use observer_world::access::MountPoint;

use super::access::{HostAccess, MonitorAccess};
use super::pair::{Layered, absolute};
use super::section::Section;
use super::units;

const MEANS: &[(&str, Says)] = &[("in", Says::In), ("out", Says::Out)];
const USERS: &[(&str, UsersGo)] =
    &[("master", UsersGo::Master), ("every-host", UsersGo::EveryHost)];

/// How long balancers are given where nobody says otherwise, in milliseconds: most check every
/// two seconds, and believe the second answer.
const SETTLE_MS: u64 = 5_000;
/// The longest that a switchover may wait for them, in milliseconds.
const SETTLE_MAX_MS: u64 = 60_000;

/// What holds for the pair; none where the table is not there.
pub(super) fn spec(shared: &Section<'_, '_>, any_host: bool) -> Option<MonitorSpec> {
    if !shared.is_present() && !any_host {
        return None;
    }
    let users = shared.choice("users", USERS, UsersGo::Master);
    let settle_ms = shared.time_ms("settle", SETTLE_MS, 0);
    if settle_ms > SETTLE_MAX_MS {
        let problem = format!("{} is too long to wait", units::write_time(settle_ms));
        shared.wrong("settle", &problem, "use \"1min\" or less: how long a balancer takes");
    }
    Some(MonitorSpec { users, settle_ms })
}

/// Refuses a file on a shared mount: it would be one for all hosts, and a storage that hangs would
/// hang each look at a machine along with it.
pub(super) fn check_own_disk(
    hosts: &[HostAccess],
    mounts: &[MountPoint],
    tables: &[Section<'_, '_>],
) {
    for (mount, table) in mounts.iter().zip(tables).filter(|(mount, _)| !mount.spec.path.is_empty())
    {
        let is_there = |own: &&MonitorAccess| own.path.starts_with(&mount.spec.path);
        let mut files = hosts.iter().filter_map(|host| host.monitor.as_ref());
        if let Some(file) = files.find(is_there) {
            let problem =
                format!("the monitor file {} lies on this shared mount", file.path.display());
            let fix = "give [monitor_file] a path on each host's own disk, like /etc/desk/serve: \
                       each host says for itself";
            table.wrong("path", &problem, fix);
        }
    }
}

/// One host's file: its own keys over the shared ones.
pub(super) fn file(
    own: &Section<'_, '_>,
    shared: &Section<'_, '_>,
    port: Option<u16>,
) -> Option<MonitorAccess> {
    if !own.is_present() && !shared.is_present() {
        return None;
    }
    let layers = Layered { own, shared };
    let path = absolute(layers.section("path"), "path", None);
    if path.is_none() && !layers.section("path").has("path") {
        let fix = "write the file that the balancer checks, like path = \"/etc/desk/serve\"";
        layers.section("path").wrong("path", "is missing", fix);
    }
    // What is there as a folder never says anything else, and root would write into it.
    if layers.text("path").is_some_and(|text| text.starts_with('/') && text.ends_with('/')) {
        let fix = "name a file in it, like path = \"/etc/desk/serve\"";
        layers.section("path").wrong("path", "is a folder", fix);
    }
    if !layers.section("means").has("means") {
        let fix = "use one of: in (the file is there: send users here), out";
        layers.section("means").wrong("means", "is missing", fix);
    }
    let port = layers.section("port").number("port", port.unwrap_or(8_080).into(), 1..=65_535);
    let user = layers.text("user").unwrap_or_else(|| "root".to_owned());
    let means = layers.section("means").choice("means", MEANS, Says::In);
    own.finish();
    Some(MonitorAccess { path: path.unwrap_or_default(), means, user, port: port as u16 })
}
