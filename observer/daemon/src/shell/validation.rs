//! Runs a validation: surveys the pair now, beside the pair's own task, and lets the core judge.
//!
//! It decides nothing and changes nothing. A verb that is about to open a plan runs it first and
//! heeds `ValidationReport::refuses`.

use std::time::Duration;

use observer_core::judge::Cause;
use observer_core::pair::{Pair, Refusal};
use observer_core::policy::PairSpec;
use observer_core::validate::{
    FilesState, Inputs, ObserverState, Roles, ValidationReport, validate,
};
use observer_core::words::At;

use super::world::World;

/// How long the survey may take. On a local network it takes a third of a second; what has not
/// answered by then is told as unknown.
const DEADLINE: Duration = Duration::from_millis(2_800);

/// What a validation starts from: the pair as its task knows it at one moment.
pub(crate) struct Asked {
    spec: PairSpec,
    roles: Roles,
    observer: ObserverState,
}

impl Asked {
    /// Takes from `pair` what its machines do not know. Refused while no master is known: there
    /// are no roles to validate.
    pub(crate) fn of(pair: &Pair, now: At) -> Result<Self, Refusal> {
        let (spec, memory) = (pair.spec().clone(), pair.memory());
        let master = memory.master.as_ref().ok_or(Refusal::Cause(Cause::NoMaster))?;
        let open = memory.open.as_ref().map(|open| open.plan.id);
        let observer = ObserverState {
            plan: pair.drive().map(|drive| drive.plan().id).or(open),
            paused: memory.pause.as_ref().map(|pause| format!("{} ({})", pause.reason, pause.by)),
            candidate: pair.latest().and_then(|(digest, _)| digest.candidate.clone()),
            maintenance: memory
                .maintenance
                .iter()
                .map(|(host, order)| (host.clone(), format!("{}, {}", order.reason, order.by)))
                .collect(),
            drained: memory
                .drained
                .iter()
                .map(|(host, one)| {
                    (host.clone(), format!("{}, {}", one.order.reason, one.order.by))
                })
                .collect(),
            unacknowledged: memory.unacknowledged,
            journal: pair.journal(),
            files: FilesState {
                now,
                standings: pair.latest().map_or_else(Vec::new, |(digest, _)| digest.files.clone()),
                verified: pair.verified().clone(),
            },
        };
        Ok(Self { roles: Roles::of(&spec, master), spec, observer })
    }
}

/// Surveys and judges; takes no longer than the deadline.
pub(crate) async fn run<W: World>(asked: Asked, world: &W) -> ValidationReport {
    let Asked { spec, roles, observer } = asked;
    let survey = world.survey(&roles, DEADLINE).await.of_the_present(&spec);
    let inputs = Inputs { spec: &spec, roles: &roles, survey: &survey, observer: &observer };
    validate(&inputs)
}
