//! The simulated user.

use observer_core::words::{At, HostName};

/// What the simulated user got.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// Rows acknowledged, with the host that took each.
    pub acknowledged: Vec<(At, u64, HostName)>,
    /// Writes that failed or waited.
    pub unserved: u64,
    pub(super) next_row: u64,
    pub(super) last_served: Option<At>,
    pub(super) serving_since: Option<At>,
    pub(super) longest_gap_ms: u64,
}

impl Users {
    /// The longest time between two acknowledged writes, in milliseconds.
    pub fn longest_gap_ms(&self) -> u64 {
        self.longest_gap_ms
    }

    /// Since when writes have been acknowledged without a pause.
    pub fn serving_since(&self) -> Option<At> {
        self.serving_since
    }

    /// When the last write was acknowledged.
    pub fn last_served(&self) -> Option<At> {
        self.last_served
    }
}
