//! How long earlier plans of one goal took, and how long users were held by a plan.
//!
//! Computed from stored events alone. A forecast is the median of what was recorded: where nothing
//! was, there is none.

use std::collections::BTreeMap;

use observer_core::event::{Event, EventKind};
use observer_core::journal::{Outcome, Way};
use observer_core::words::{At, HostName, PlanId};
use serde::{Deserialize, Serialize};

/// How many of the newest times a median is made of: machines grow slower, and data larger.
const NEWEST: usize = 7;
/// The steps from which users wait and by which they are served again, by their stable names.
const HOLD: &str = "hold users at ";
const LET_IN: &str = "let in at ";

/// What earlier plans of one goal took, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct EarlierRuns {
    steps: BTreeMap<String, Vec<u64>>,
    whole: Vec<u64>,
    held: Vec<u64>,
}

/// What a whole plan is likely to take.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Forecast {
    /// How many earlier plans of the same goal were carried out to their end.
    pub(crate) runs: usize,
    /// The median of what they took, in milliseconds; none where there is no earlier run.
    pub(crate) whole_ms: Option<u64>,
    /// The median of how long users were held, in milliseconds.
    pub(crate) held_ms: Option<u64>,
}

struct Opened {
    goal: String,
    master: HostName,
    next_master: HostName,
}

impl EarlierRuns {
    /// The earlier plans for `goal`, in the words of a plan's report, among `events`, oldest first.
    pub(crate) fn of(events: &[&Event], goal: &str) -> Self {
        let mut runs = Self::default();
        let mut opened: BTreeMap<PlanId, Opened> = BTreeMap::new();
        for event in events {
            match &event.kind {
                EventKind::PlanOpened { plan, goal: of, master, next_master, .. } => {
                    let (goal, master) = (of.to_string(), master.clone());
                    let next_master = next_master.clone();
                    opened.insert(*plan, Opened { goal, master, next_master });
                }
                EventKind::StepProven { plan, name, way: Way::Forward, took_ms, .. } => {
                    let Some(run) = opened.get(plan).filter(|run| run.goal == goal) else {
                        continue;
                    };
                    let place = place(name, &run.master, &run.next_master);
                    runs.steps.entry(name.clone()).or_default().push(*took_ms);
                    if place != *name {
                        runs.steps.entry(place).or_default().push(*took_ms);
                    }
                }
                EventKind::PlanClosed { plan, outcome: Outcome::Done, took_ms, .. }
                    if opened.get(plan).is_some_and(|run| run.goal == goal) =>
                {
                    runs.whole.push(*took_ms);
                    runs.held.extend(held_ms(events.iter().copied(), *plan));
                }
                _ => {}
            }
        }
        runs
    }

    /// What a step of this name usually takes; where it has never run, what it took with the roles
    /// the other way round.
    pub(crate) fn usual_ms(
        &self,
        step: &str,
        master: &HostName,
        next_master: &HostName,
    ) -> Option<u64> {
        let times = self.steps.get(step);
        times.or_else(|| self.steps.get(&place(step, master, next_master))).and_then(|t| median(t))
    }

    /// What the whole plan is likely to take.
    pub(crate) fn forecast(&self) -> Forecast {
        Forecast {
            runs: self.whole.len(),
            whole_ms: median(&self.whole),
            held_ms: median(&self.held),
        }
    }
}

/// A step's name with the hosts by their roles.
fn place(name: &str, master: &HostName, next_master: &HostName) -> String {
    let word = |word: &str| match word {
        word if word == master.as_str() => "{master}".to_owned(),
        word if word == next_master.as_str() => "{next-master}".to_owned(),
        word => word.to_owned(),
    };
    name.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn median(times: &[u64]) -> Option<u64> {
    let mut newest = times[times.len().saturating_sub(NEWEST)..].to_vec();
    newest.sort_unstable();
    newest.get(newest.len() / 2).copied()
}

/// True for a step from which users wait.
pub(crate) fn holds_users(step: &str) -> bool {
    step.starts_with(HOLD)
}

/// How long users were held by `plan`: from the order of its first holding step to the proof that
/// they are let in to the new master, or to the old one again. None if it held nobody, or as long
/// as they are held.
pub(crate) fn held_ms<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    plan: PlanId,
) -> Option<u64> {
    let mut ordered: BTreeMap<usize, At> = BTreeMap::new();
    let (mut from, mut until): (Option<At>, Option<At>) = (None, None);
    for event in events {
        match &event.kind {
            EventKind::StepOrdered { plan: of, step, way: Way::Forward, .. } if *of == plan => {
                ordered.entry(*step).or_insert(event.at);
            }
            EventKind::StepProven { plan: of, step, name, way, .. } if *of == plan => {
                if holds_users(name) {
                    let began = ordered.get(step).copied();
                    from = from.into_iter().chain(began).min();
                }
                let served = match way {
                    Way::Forward => name.starts_with(LET_IN),
                    Way::Back => holds_users(name),
                };
                if served {
                    until = Some(event.at);
                }
            }
            _ => {}
        }
    }
    Some(until?.since(from?))
}

#[cfg(test)]
mod tests {
    use observer_core::facts::Asker;
    use observer_core::plan::{Goal, Promise};

    use super::*;

    fn event(at: u64, kind: EventKind) -> Event {
        Event { at: At(at), pair: "desk".into(), kind }
    }

    fn proven(plan: u64, step: usize, name: &str, way: Way, took_ms: u64) -> EventKind {
        let (plan, name, evidence) = (PlanId(plan), name.to_owned(), "seen".to_owned());
        EventKind::StepProven { plan, step, name, way, evidence, took_ms }
    }

    /// A switchover of three steps, in which users are held for `held` milliseconds.
    fn switchover(plan: u64, from: &str, to: &str, held: u64) -> Vec<Event> {
        let at = plan * 100_000;
        let id = PlanId(plan);
        let slave = format!("start {from} as slave");
        vec![
            event(
                at,
                EventKind::PlanOpened {
                    plan: id,
                    goal: Goal::SwitchOver,
                    rule: "operator".to_owned(),
                    asker: Asker::Operator,
                    ordered: None,
                    decided_ms: 0,
                    promise: Promise::OnMaster,
                    master: from.into(),
                    next_master: to.into(),
                },
            ),
            event(
                at + 10,
                EventKind::StepOrdered {
                    plan: id,
                    step: 0,
                    way: Way::Forward,
                    what: String::new(),
                    attempt: 1,
                },
            ),
            event(at + 50, proven(plan, 0, "hold users at proxy", Way::Forward, 40)),
            event(at + 10 + held, proven(plan, 1, "let in at proxy", Way::Forward, 9)),
            event(at + 20 + held, proven(plan, 2, &slave, Way::Forward, 100 * plan)),
            event(
                at + 30 + held,
                EventKind::PlanClosed {
                    plan: id,
                    goal: Goal::SwitchOver,
                    outcome: Outcome::Done,
                    took_ms: held + 30,
                    since_trouble_ms: held + 30,
                },
            ),
        ]
    }

    #[test]
    fn the_median_of_the_newest_runs_is_the_forecast() {
        let mut events = switchover(1, "node-a", "node-b", 900);
        events.extend(switchover(2, "node-b", "node-a", 500));
        events.extend(switchover(3, "node-a", "node-b", 600));
        let events: Vec<&Event> = events.iter().collect();
        let runs = EarlierRuns::of(&events, "switchover");
        let forecast = runs.forecast();
        assert_eq!((forecast.runs, forecast.held_ms, forecast.whole_ms), (3, Some(600), Some(630)));
        let usual =
            |step, master: &str, next: &str| runs.usual_ms(step, &master.into(), &next.into());
        assert_eq!(usual("start node-b as slave", "node-b", "node-a"), Some(200));
        assert_eq!(usual("start node-a as slave", "node-a", "node-b"), Some(300));
        assert_eq!(usual("start node-c as slave", "node-c", "node-a"), Some(200), "by its place");
        assert_eq!(usual("promote", "node-a", "node-b"), None, "no earlier run");
        assert_eq!(EarlierRuns::of(&events, "rejoin"), EarlierRuns::default());
    }

    /// A hold that is taken back before it was proven held users all the same.
    #[test]
    fn users_of_an_undone_plan_were_held_until_they_were_let_in_again() {
        let mut events = switchover(1, "node-a", "node-b", 900);
        events.truncate(2);
        assert_eq!(held_ms(&events, PlanId(1)), None, "they still are");
        events.push(event(104_010, proven(1, 0, "hold users at proxy", Way::Back, 5)));
        assert_eq!(held_ms(&events, PlanId(1)), Some(4_000));
        assert_eq!(held_ms(&events, PlanId(2)), None);
    }
}
