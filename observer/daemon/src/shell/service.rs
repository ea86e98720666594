//! What the daemon tells systemd: ready, how it is, that it lives, that it stops.
//!
//! Without a service manager all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// How often systemd wants a sign of life, halved so that one may be late; none if it wants none.
pub(super) fn watchdog_pace() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// The daemon is up.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The daemon lives, and this is its one line.
pub(super) fn alive(status: &str) {
    tell(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub(super) fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The configuration is read anew.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(why) => tracing::debug!(%why, "no monotonic clock for the service manager"),
    }
}

/// The daemon ends.
pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        tracing::debug!(%why, "the service manager does not listen");
    }
}
