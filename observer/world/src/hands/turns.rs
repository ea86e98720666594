//! Whose turn it is at a proxy: plans go first, and a change of its file that ends in a reload
//! gives way.
//!
//! A reload brings up a worker that knows only the file. Were one ordered after a plan has begun to
//! tell the running worker who is let in, what the plan has proven would be undone behind its back.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// The turns at one proxy.
#[derive(Default)]
pub(crate) struct Turns {
    plans: AtomicU64,
    change: Mutex<()>,
}

impl Turns {
    /// A plan begins to act here: a change that has not ordered its reload yet orders none.
    pub(super) fn plan_acts(&self) {
        self.plans.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits for the end of a change; says whether one was under way.
    pub(super) async fn wait(&self) -> bool {
        if self.change.try_lock().is_ok() {
            return false;
        }
        drop(self.change.lock().await);
        true
    }

    /// Whether a change is under way.
    pub(super) fn is_changing(&self) -> bool {
        self.change.try_lock().is_err()
    }

    /// How often plans have acted here.
    pub(crate) fn plans(&self) -> u64 {
        self.plans.load(Ordering::SeqCst)
    }

    /// The turn of a change; none while another one has it.
    pub(super) fn take(&self) -> Option<MutexGuard<'_, ()>> {
        self.change.try_lock().ok()
    }
}
