//! A person's orders and questions to one pair, answered by the pair's own task.
//!
//! Who may ask is the API's concern; whether an order is allowed is the core's.

use observer_core::pair::{OperatorOrder, Pair, Refusal, Wish};
use observer_core::words::At;
use tokio::sync::oneshot;

use super::world::World;
use crate::report::plan::PlanReport;

/// What a person asks of a pair.
#[derive(Debug)]
pub(crate) enum Ask {
    /// An order; accepted once its record is asked for.
    Order(OperatorOrder, oneshot::Sender<Result<(), Refusal>>),
    /// The plan that a failover ordered now would carry out.
    DryRun(Wish, oneshot::Sender<Result<PlanReport, Refusal>>),
}

/// Answers. An asker that no longer listens changes nothing.
pub(super) fn answer<W: World>(pair: &mut Pair, world: &W, ask: Ask, now: At) {
    match ask {
        Ask::Order(order, reply) => {
            let _ = reply.send(pair.order(order, now));
        }
        Ask::DryRun(wish, reply) => {
            let report = pair.dry_run(wish, now).map(|run| {
                let loss = pair.latest().map(|(digest, _)| digest.loss.text());
                PlanReport::of(&run, loss, |effect| world.describe(effect))
            });
            let _ = reply.send(report);
        }
    }
}
