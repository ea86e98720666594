//! A person's orders and questions to one pair, answered by the pair's own task.
//!
//! Who may ask is the API's concern; whether an order is allowed is the core's.

use std::time::Duration;

use observer_core::facts::Master;
use observer_core::files::Deletions;
use observer_core::judge::Cause;
use observer_core::pair::{OperatorOrder, Pair, Refusal, Wish};
use observer_core::validate::ValidationReport;
use observer_core::words::{At, FileSetName, HostName, ProxyName};
use observer_world::pair_world::{Applied, NewFile};
use observer_world::power::PowerAnswer;
use tokio::sync::oneshot;

use super::files::{FilesAllowed, ReadFile};
use super::parity::{CopyOrder, FixReply};
use super::readiness::Unready;
use super::validation::{self, Asked};
use super::verify::{CompareOrder, NotCompared};
use super::world::World;
use crate::report::parity::ParityReport;
use crate::report::partial::CarriedOut;
use crate::report::plan::PlanReport;
use crate::report::verify::Comparison;

/// How long a power fence may take to say whether a host has power.
const FENCE_DEADLINE: Duration = Duration::from_secs(8);

/// What a person asks of a pair.
#[derive(Debug)]
pub(crate) enum Ask {
    /// An order; accepted once its record is asked for.
    Order(OperatorOrder, oneshot::Sender<Result<(), NotOrdered>>),
    /// The plan that such an order would carry out if it were given now.
    DryRun(Wish, oneshot::Sender<Result<PlanReport, Refusal>>),
    /// Whether the pair is ready for a change of master; the machines are asked anew.
    Validate(oneshot::Sender<Result<ValidationReport, Refusal>>),
    /// What must be alike on the hosts, compared now.
    Parity(oneshot::Sender<ParityReport>),
    /// Begin a pass of a file set as soon as one can be begun.
    Pass(FileSetName, Deletions, oneshot::Sender<Result<(), Refusal>>),
    /// Copy an item of parity, or say what that would change.
    Fix(CopyOrder, FixReply),
    /// Compare a slave's copy of a file set with the master's; answered once it has begun.
    Verify(CompareOrder, oneshot::Sender<Result<u64, NotCompared>>),
    /// How the comparison of this number stands.
    Verification(u64, oneshot::Sender<Comparison>),
    /// What the power fence says of each host; nothing is switched.
    TestFence(oneshot::Sender<Vec<(HostName, PowerAnswer)>>),
    /// What is in these proxies' files now.
    ReadFiles(Vec<ProxyName>, oneshot::Sender<Vec<ReadFile>>),
    /// Whether a proxy's file may be changed and loaded now.
    MayChangeFiles(oneshot::Sender<Result<FilesAllowed, Refusal>>),
    /// Checks new contents, without touching a file; what stands against them.
    Prepare(Vec<NewFile>, oneshot::Sender<Vec<(ProxyName, String)>>),
    /// Changes one file, loads and proves it, or takes it back.
    Apply(NewFile, FilesAllowed, oneshot::Sender<Applied>),
    /// An order is done at some proxies and goes on: what is partly done is kept for a later life.
    UnderWay(Box<CarriedOut>, oneshot::Sender<()>),
    /// An order was carried out, as far as it went: it is told, and what is partly done is kept.
    CarriedOut(Box<CarriedOut>, oneshot::Sender<()>),
    /// The file of this proxy is not the one any more that a partly done change was drawn for.
    Outdated(ProxyName),
}

/// What an ask rests on, and waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Awaits {
    /// Nothing: it is taken whatever is known.
    Nothing,
    /// Everything was looked at once since the start, or since the last plan.
    Look,
    /// The same, and nothing is on its way to the journal that would put an order off.
    Calm,
}

impl Ask {
    /// What it waits for before it is asked.
    pub(crate) fn awaits(&self) -> Awaits {
        match self {
            Ask::Order(order, _) => match order {
                OperatorOrder::FailOver { .. }
                | OperatorOrder::SwitchOver(_)
                | OperatorOrder::Rejoin(_)
                | OperatorOrder::Repair(_)
                | OperatorOrder::Services { .. }
                | OperatorOrder::BeginUpgrade(_) => Awaits::Calm,
                // A plan that an earlier life left open is carried out only once all was seen.
                OperatorOrder::Abort { .. }
                | OperatorOrder::GiveUpHeir { .. }
                | OperatorOrder::SkipStep { .. }
                | OperatorOrder::Acknowledge { .. } => Awaits::Look,
                _ => Awaits::Nothing,
            },
            Ask::DryRun(..)
            | Ask::Pass(..)
            | Ask::Fix(..)
            | Ask::Verify(..)
            | Ask::MayChangeFiles(_) => Awaits::Look,
            _ => Awaits::Nothing,
        }
    }
}

/// Why an order is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotOrdered {
    /// By the core.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// By the checks that come first.
    #[error(transparent)]
    Unready(#[from] Unready),
}

/// Answers what needs no check first, and is not about a proxy's file. An asker that no longer
/// listens changes nothing.
pub(super) fn answer<W: World>(pair: &mut Pair, world: &W, ask: Ask, now: At) {
    match ask {
        Ask::Order(order, reply) => {
            let _ = reply.send(pair.order(order, now).map_err(NotOrdered::from));
        }
        Ask::DryRun(wish, reply) => {
            let _ = reply.send(dry_run(pair, world, wish, now));
        }
        Ask::Pass(set, deletions, reply) => {
            let _ = reply.send(pair.want_pass(&set, deletions, now));
        }
        // Answered by the task itself, which keeps what was compared.
        Ask::Parity(_) | Ask::Fix(..) | Ask::Verify(..) | Ask::Verification(..) => {}
        Ask::TestFence(reply) => {
            let world = world.clone();
            tokio::task::spawn_local(async move {
                let _ = reply.send(world.ask_power(FENCE_DEADLINE).await);
            });
        }
        // The task keeps the account of what it does with files.
        Ask::ReadFiles(..) | Ask::MayChangeFiles(_) | Ask::Prepare(..) | Ask::Apply(..) => {}
        Ask::UnderWay(..) | Ask::CarriedOut(..) | Ask::Outdated(_) => {}
        Ask::Validate(reply) => {
            let (asked, world) = (Asked::of(pair, now), world.clone());
            // The machines take their time: the pair goes on with its work meanwhile.
            tokio::task::spawn_local(async move {
                let report = match asked {
                    Ok(asked) => Ok(validation::run(asked, &world).await),
                    Err(why) => Err(why),
                };
                let _ = reply.send(report);
            });
        }
    }
}

/// The plan that such an order would carry out now.
pub(super) fn dry_run<W: World>(
    pair: &Pair,
    world: &W,
    wish: Wish,
    now: At,
) -> Result<PlanReport, Refusal> {
    let is_failover = matches!(wish, Wish::FailOver(_));
    let run = pair.dry_run(wish, now)?;
    let loss = pair.latest().map(|(digest, _)| digest.loss.text());
    let mut report = PlanReport::of(&run, loss, |effect| world.describe(effect));
    let serves = pair.latest().is_some_and(|(digest, _)| digest.facts.master == Master::Healthy);
    report.advise(|cause| match cause {
        // Whoever moves users off a master that serves has time to lose nothing.
        Cause::LossOverBudget
        | Cause::LossUnknown
        | Cause::NoCandidate
        | Cause::SlaveNotPromotable
        | Cause::CannotFence
            if serves && is_failover =>
        {
            format!(
                "the master serves: `ha-observer switchover` moves users and loses nothing, once \
                 the slave can take over. {}",
                pair.advice(cause)
            )
        }
        cause => pair.advice(cause),
    });
    if let Some((digest, ruling)) = pair.latest() {
        report.refused_for(ruling.rule.cause, &digest.remarks);
    }
    Ok(report)
}
