//! What plans leave in memory about services.

use std::collections::BTreeMap;

use crate::journal::{Mark, Memory, Way};
use crate::judge::Repair;
use crate::plan::{Effect, Plan};
use crate::words::At;

/// A service that was put where it belongs, or was to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tried {
    /// When that was over.
    pub at: At,
    /// Whether it was seen there.
    pub helped: bool,
}

/// The repairs that a person may have tried again.
pub(crate) const AGAIN: [Repair; 6] = [
    Repair::StartSlave,
    Repair::ResumeReplication,
    Repair::Rejoin,
    Repair::SetLease,
    Repair::PlaceSingletons,
    Repair::DisableAtBoot,
];

impl Memory {
    /// True if something was tried lately that is not tried again before a person says so, or
    /// before its window is over.
    pub(crate) fn has_tried(&self) -> bool {
        !self.placed.is_empty() || AGAIN.iter().any(|repair| self.repairs.contains_key(repair))
    }

    /// Takes note of what a step does to a service. One that it only looked for, and found stopped,
    /// was stopped by somebody else.
    pub(crate) fn note_service(&mut self, effect: Option<Effect>, mark: &Mark) {
        match (effect, mark) {
            (Some(Effect::StopService { host, service }), Mark::Ordered { .. })
            | (Some(Effect::StartService { host, service }), Mark::Skipped { .. }) => {
                self.left_services.insert((host, service));
            }
            (
                Some(
                    Effect::StartService { host, service }
                    | Effect::RestartService { host, service },
                ),
                Mark::Proven { .. },
            ) => {
                self.left_services.remove(&(host, service));
            }
            _ => {}
        }
    }

    /// Takes note of what a repair of singletons tried, which is not tried again soon.
    pub(crate) fn note_placed(
        &mut self,
        plan: &Plan,
        marks: &BTreeMap<(usize, Way), Mark>,
        at: At,
    ) {
        let is_proven =
            |index: usize| matches!(marks.get(&(index, Way::Forward)), Some(Mark::Proven { .. }));
        let tried = |index| Tried { at, helped: is_proven(index) };
        let steps = plan.steps.iter().enumerate();
        self.placed.extend(steps.filter_map(|(index, step)| match &step.effect {
            // A copy that was stopped and runs again, as after a boot, does its work twice again.
            Effect::StopService { .. } if is_proven(index) => None,
            Effect::StartService { host, service } | Effect::StopService { host, service } => {
                Some(((host.clone(), service.clone()), tried(index)))
            }
            _ => None,
        }));
    }
}
