//! What must pass before a switchover is opened, by order or by schedule.
//!
//! It changes nothing: it looks, and names what stands in the way.

use observer_core::pair::Refusal;
use observer_core::validate::{CheckReport, Readiness};

use super::validation::{self, Asked};
use super::world::World;

/// Checks that fail, a sentence each.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the pair is not ready for a switchover: {}", .checks.join("; "))]
pub(crate) struct Unready {
    /// The failing checks, each with its evidence.
    pub(crate) checks: Vec<String>,
}

/// Runs the checks that a switchover needs, in the world as it is now. It is awaited beside the
/// pair's task, so that it may take its time; the order is judged again after it.
pub(super) async fn before_switchover<W: World>(
    world: &W,
    asked: Result<Asked, Refusal>,
) -> Result<(), Unready> {
    // Where no master is known the core refuses, and says it better.
    let Ok(asked) = asked else { return Ok(()) };
    let report = validation::run(asked, world).await;
    let refuses = report.refuses(Readiness::Switchover).into_iter();
    let checks: Vec<String> = refuses.map(CheckReport::sentence).collect();
    if checks.is_empty() { Ok(()) } else { Err(Unready { checks }) }
}
