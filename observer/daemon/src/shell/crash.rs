//! A hook for crash tests: ends the process at a named place, as a power cut would.
//!
//! Only honoured with `HA_OBSERVER_CRASH_AT` set, and said loudly at the start. `record:N` ends it
//! right after the Nth journal record of this life was durable; `effect:N` right after the Nth
//! effect was performed and before anybody is told of its reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Name of the environment variable.
pub(crate) const VARIABLE: &str = "HA_OBSERVER_CRASH_AT";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Record(u64),
    Effect(u64),
}

/// Where to crash, if anywhere. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrashPoint {
    place: Option<Place>,
    records: Arc<AtomicU64>,
    effects: Arc<AtomicU64>,
}

impl CrashPoint {
    /// Reads the variable's value; an unreadable one is an error, lest a test pass by accident.
    pub(crate) fn parse(value: Option<&str>) -> Result<Self, String> {
        let Some(value) = value else { return Ok(Self::default()) };
        let place = value.split_once(':').and_then(|(kind, number)| {
            let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
            match kind {
                "record" => Some(Place::Record(number)),
                "effect" => Some(Place::Effect(number)),
                _ => None,
            }
        });
        let place = place.ok_or_else(|| {
            format!("{VARIABLE}={value} cannot be read; write record:N or effect:N")
        })?;
        tracing::error!("{VARIABLE}={value}: this daemon will crash on purpose; for tests only");
        Ok(Self { place: Some(place), ..Self::default() })
    }

    /// A record is durable.
    pub(crate) fn recorded(&self) {
        let count = self.records.fetch_add(1, Ordering::SeqCst) + 1;
        if self.place == Some(Place::Record(count)) {
            std::process::abort();
        }
    }

    /// An effect was performed.
    pub(crate) fn performed(&self) {
        let count = self.effects.fetch_add(1, Ordering::SeqCst) + 1;
        if self.place == Some(Place::Effect(count)) {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_anything_else_is_an_error() {
        assert_eq!(CrashPoint::parse(None).unwrap().place, None);
        assert_eq!(CrashPoint::parse(Some("record:3")).unwrap().place, Some(Place::Record(3)));
        assert_eq!(CrashPoint::parse(Some("effect:1")).unwrap().place, Some(Place::Effect(1)));
        for wrong in ["", "record", "record:0", "step:1", "effect:x"] {
            assert!(CrashPoint::parse(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
