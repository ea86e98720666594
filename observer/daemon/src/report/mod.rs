//! Reports: projections of what a pair's machine shows and of its events.
//!
//! Serialisable types that the API sends and the command line reads back, so that JSON and text
//! cannot disagree. Nothing here decides, orders or reads the world.

pub(crate) mod incident;
pub(crate) mod members;
pub(crate) mod parity;
pub(crate) mod partial;
pub(crate) mod plan;
pub(crate) mod proxy;
pub(crate) mod runs;
pub(crate) mod verify;
pub(crate) mod versions;
pub(crate) mod view;
pub(crate) mod why;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use observer_core::event::EventKind;
use observer_core::words::At;

/// A moment as a person reads it, in the time zone of the reader, to the millisecond.
pub(crate) fn clock_time(at: At) -> String {
    local(at, "%H:%M:%S%.3f")
}

/// A moment with its date.
pub(crate) fn date_time(at: At) -> String {
    local(at, "%Y-%m-%d %H:%M:%S %Z")
}

/// An event as a person reads it, with the moments it names in the time zone of the reader.
pub(crate) fn event_text(kind: &EventKind) -> String {
    let text = kind.text();
    match kind {
        EventKind::Paused { until: Some(until), .. } => {
            format!("{text} (until {})", date_time(*until))
        }
        EventKind::MaintenanceBegan { until: Some(until), .. }
        | EventKind::DrainBegan { until: Some(until), .. }
        | EventKind::MaintenanceEnding { until, .. } => {
            format!("{text} (until {})", date_time(*until))
        }
        EventKind::Scheduled { due, .. } => format!("{text} for {}", date_time(*due)),
        _ => text,
    }
}

fn local(at: At, format: &str) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    match Timestamp::from_millisecond(ms) {
        Ok(moment) => moment.to_zoned(TimeZone::system()).strftime(format).to_string(),
        Err(_) => format!("{} ms", at.0),
    }
}

#[cfg(test)]
mod tests;
