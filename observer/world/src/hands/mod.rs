//! Performs effects and looks for their proofs.

use std::time::Duration;

use observer_core::drive::{Answer, Order, Reply};
use observer_core::plan::{Effect, Proof};
use observer_core::words::Epoch;

use crate::access::CommandLine;
use crate::pair_world::Inner;

pub(crate) async fn perform(_world: &Inner, order: &Order, _deadline: Duration) -> Reply {
    Reply::Refused(format!("{}: this effect is not there yet", order.effect))
}

pub(crate) async fn prove(
    _world: &Inner,
    proof: &Proof,
    _epoch: Epoch,
    _deadline: Duration,
) -> Answer {
    Answer::Unknown(format!("{proof}: this proof is not there yet"))
}

pub(crate) fn describe(_world: &Inner, _effect: &Effect) -> Vec<CommandLine> {
    Vec::new()
}
