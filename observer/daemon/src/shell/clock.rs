//! The only clock: milliseconds since the Unix epoch that never run backwards.
//!
//! It follows the monotonic clock from the moment of the start, so a correction of the wall clock
//! moves no deadline. It starts no earlier than the newest record of the journal, for the same
//! reason across restarts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use observer_core::words::At;
use tokio::time::Instant;

/// The clock. Copies show the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started_at: At,
    started: Instant,
}

impl Clock {
    /// Starts the clock at the wall's time, but not before `newest`.
    pub(crate) fn start(newest: At) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = At(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Self { started_at: wall.max(newest), started: Instant::now() }
    }

    /// Now.
    pub(crate) fn now(&self) -> At {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_at.plus(elapsed)
    }

    /// The instant at which this clock shows `at`.
    pub(crate) fn instant(&self, at: At) -> Instant {
        self.started + Duration::from_millis(at.since(self.started_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_starts_before_the_newest_record() {
        let future = At(u64::MAX / 2);
        let clock = Clock::start(future);
        assert!(clock.now() >= future);
        assert!(clock.instant(clock.now()) <= Instant::now() + Duration::from_millis(2));
    }
}
