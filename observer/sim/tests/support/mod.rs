//! What several tests of the simulator need.

use observer_core::drive::Order;
use observer_core::journal::Way;
use observer_core::plan::Effect;
use observer_core::words::{Epoch, PlanId};

/// An effect ordered by the first step of the first plan, to show the checkers.
pub(crate) fn ordered(epoch: u64, effect: Effect) -> Order {
    Order {
        plan: PlanId(1),
        step: 0,
        way: Way::Forward,
        epoch: Epoch(epoch),
        effect,
        deadline_ms: 1_000,
    }
}
