//! What an edit would make of a server that HAProxy then refuses, though each line reads well.
//!
//! Only what depends on other lines is looked for here, after the edit: a health check without a
//! port, a check beside `track`, a tracked server without one.

use crate::server::Server;
use crate::view::{Section, View};

/// Why HAProxy would refuse the file for what a server has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Health checks need a port, and none is given.
    #[error("it would be checked, and neither its address nor `port` says at which port")]
    CheckWithoutPort,
    /// A server that follows another's health checks cannot have its own.
    #[error("it would be checked, and it tracks the checks of another server")]
    CheckWhileTracking,
    /// Another server follows its health checks.
    #[error("it would not be checked any more, and another server tracks its checks")]
    TrackedWithoutCheck,
    /// The backend speaks FastCGI, and HAProxy wants a server for that.
    #[error("it is the last server of a backend that uses an FastCGI application")]
    LastOfApplication,
}

/// What is wrong with a server as it stands in the view.
pub(crate) fn of_server<'a>(
    view: &View<'a>,
    section: &Section<'a>,
    server: &Server<'a>,
) -> Option<Conflict> {
    let on = |flag: &str, off: &str| {
        let found = view.server_setting(section, server, &[flag, off]);
        found.is_some_and(|found| found.keyword == flag)
    };
    let has = |keyword: &str| view.server_setting(section, server, &[keyword]).is_some();
    let checked = on("check", "no-check");
    let address = server.address();
    // `+10` is relative to the port that the client used, which a check has none of.
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let own_port = address.port.is_some_and(|port| !port.starts_with('+') && is_port(port));
    let needs_port = address.host.is_some() && !own_port;
    if checked && has("track") {
        Some(Conflict::CheckWhileTracking)
    } else if checked && needs_port && !has("port") && !has("addr") {
        Some(Conflict::CheckWithoutPort)
    } else if !checked && !on("agent-check", "no-agent-check") && is_tracked(view, section, server)
    {
        Some(Conflict::TrackedWithoutCheck)
    } else {
        None
    }
}

/// What removing a server would break beside the lines that name it.
pub(crate) fn of_removal(view: &View<'_>, section: &Section<'_>) -> Option<Conflict> {
    let is_last = section.servers.len() == 1;
    let uses_application = !view.statements(section, "use-fcgi-app").is_empty();
    (is_last && uses_application).then_some(Conflict::LastOfApplication)
}

/// Whether another server follows the health checks of this one.
fn is_tracked(view: &View<'_>, section: &Section<'_>, server: &Server<'_>) -> bool {
    tracking_line(view, section, &server.name).is_some()
}

/// The line of a server that tracks the one of this name.
pub(crate) fn tracking_line(view: &View<'_>, section: &Section<'_>, name: &str) -> Option<usize> {
    let full = format!("{}/{name}", section.name);
    view.backends().find_map(|other| {
        let names = |value: &str| value == full || (other.line == section.line && value == name);
        let is_it = |found: &&Server<'_>| found.value("track").is_some_and(|v| names(&v));
        other.servers.iter().find(is_it).map(|found| found.line)
    })
}
