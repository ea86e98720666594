//! From a durable record to the event that tells of it.
//!
//! A record is durable before its event is: an observer that dies in between has done what nobody
//! was told. Its next life finds such records here and tells them. Nothing else is derived.

use crate::event::{Event, EventKind};
use crate::journal::{Mark, Memory, Record, Way};
use crate::plan::{Plan, Undo};
use crate::words::{At, HostName, PairName, PlanId};

/// The event that tells of `record`; `plan` is the one open before it, `master` the master.
/// None for a record whose plan or master is not known, which no journal of ours holds.
pub(crate) fn told_by(
    record: &Record,
    plan: Option<&Plan>,
    master: Option<&HostName>,
) -> Option<EventKind> {
    Some(match record {
        Record::Adopted { master, epoch, .. } => {
            EventKind::Adopted { master: master.clone(), epoch: *epoch }
        }
        Record::PlanOpened { plan, at } => EventKind::PlanOpened {
            plan: plan.id,
            goal: plan.goal,
            rule: plan.rule.clone(),
            asker: plan.asker,
            ordered: plan.ordered.clone(),
            decided_ms: at.since(plan.trouble_since),
            promise: plan.promise,
            master: plan.master.clone(),
            next_master: plan.next_master.clone(),
        },
        Record::Step { plan: id, step, way, mark, .. } => step_event(plan?, *id, *step, *way, mark),
        Record::TurnedBack { plan, why, .. } => {
            EventKind::TurnedBack { plan: *plan, why: why.clone() }
        }
        Record::PlanClosed { plan: id, outcome, at } => EventKind::PlanClosed {
            plan: *id,
            goal: plan?.goal,
            outcome: outcome.clone(),
            took_ms: at.since(plan?.drafted_at),
            since_trouble_ms: at.since(plan?.trouble_since),
        },
        Record::Paused { pause, .. } => EventKind::Paused {
            by: pause.by.clone(),
            reason: pause.reason.clone(),
            until: pause.until,
        },
        Record::UpgradeBegan { upgrade, .. } => EventKind::UpgradeBegan {
            by: upgrade.by.clone(),
            name: upgrade.name.clone(),
            hosts: upgrade.hosts.clone(),
        },
        Record::UpgradeMarked { next, failed, .. } => EventKind::UpgradeStage {
            host: next.host.clone(),
            stage: next.stage,
            failed: failed.clone(),
        },
        Record::UpgradeEnded { by, finished, .. } => {
            EventKind::UpgradeEnded { by: by.clone(), finished: *finished }
        }
        Record::MaintenanceBegan { .. }
        | Record::MaintenanceEnded { .. }
        | Record::DrainBegan { .. }
        | Record::DrainSettled { .. }
        | Record::DrainEnded { .. }
        | Record::UsersReturned { .. }
        | Record::HostForgotten { .. }
        | Record::HostReturned { .. } => told_of_host(record)?,
        Record::Scheduled { schedule, .. } => {
            EventKind::Scheduled { by: schedule.by.clone(), due: schedule.due }
        }
        Record::ScheduleEnded { why, .. } => EventKind::ScheduleEnded { why: why.clone() },
        Record::Resumed { by, .. } => EventKind::Resumed { by: by.clone() },
        Record::Acknowledged { by, .. } => EventKind::Acknowledged { by: by.clone() },
        Record::EpochSeen { epoch, .. } => EventKind::EpochSeen { epoch: *epoch },
        Record::ProtectedAgain { .. } => EventKind::ProtectedAgain { master: master?.clone() },
    })
}

/// The event of a host in maintenance, or drained.
fn told_of_host(record: &Record) -> Option<EventKind> {
    Some(match record {
        Record::MaintenanceBegan { host, order, .. } => EventKind::MaintenanceBegan {
            host: host.clone(),
            by: order.by.clone(),
            reason: order.reason.clone(),
            until: order.until,
        },
        Record::MaintenanceEnded { host, by, .. } => {
            EventKind::MaintenanceEnded { host: host.clone(), by: by.clone() }
        }
        Record::DrainBegan { host, order, .. } => EventKind::DrainBegan {
            host: host.clone(),
            by: order.by.clone(),
            reason: order.reason.clone(),
            until: order.until,
        },
        Record::DrainSettled { host, left, .. } => {
            EventKind::DrainSettled { host: host.clone(), left: *left }
        }
        Record::DrainEnded { host, by, .. } => {
            EventKind::DrainEnded { host: host.clone(), by: by.clone() }
        }
        Record::UsersReturned { host, .. } => EventKind::UsersReturned { host: host.clone() },
        Record::HostForgotten { host, forgotten, .. } => EventKind::HostForgotten {
            host: host.clone(),
            by: forgotten.by.clone(),
            reason: forgotten.reason.clone(),
        },
        Record::HostReturned { host, .. } => EventKind::HostReturned { host: host.clone() },
        _ => return None,
    })
}

fn step_event(plan: &Plan, id: PlanId, step: usize, way: Way, mark: &Mark) -> EventKind {
    let name = plan.steps[step].name.clone();
    match mark {
        Mark::Ordered { attempt } => {
            let effect = match (&plan.steps[step].undo, way) {
                (Undo::By { effect, .. }, Way::Back) => effect,
                _ => &plan.steps[step].effect,
            };
            let what = effect.to_string();
            EventKind::StepOrdered { plan: id, step, way, what, attempt: *attempt }
        }
        Mark::Proven { evidence, took_ms } => EventKind::StepProven {
            plan: id,
            step,
            name,
            way,
            evidence: evidence.clone(),
            took_ms: *took_ms,
        },
        Mark::Skipped { why } => EventKind::StepSkipped { plan: id, step, name, why: why.clone() },
    }
}

/// What the journal's last records did and `told`, the newest events, do not tell; oldest first.
///
/// Events follow their records in order, so that only the end of the journal can be untold: the
/// search stops at the first record that was told.
pub fn untold(pair: &PairName, records: &[Record], told: &[Event]) -> Vec<Event> {
    let mut memory = Memory::default();
    let mut all = Vec::new();
    for record in records {
        let plan = memory.open.as_ref().map(|open| &open.plan);
        let kind = told_by(record, plan, memory.master.as_ref());
        all.extend(kind.map(|kind| Event { at: recorded_at(record), pair: pair.clone(), kind }));
        memory.apply(record);
    }
    let is_told =
        |event: &Event| told.iter().any(|told| told.kind == event.kind && told.at >= event.at);
    let after = all.iter().rposition(is_told).map_or(0, |last| last + 1);
    let mut untold = all.split_off(after);
    // What is older than the oldest event that was looked at may well have been told.
    untold.retain(|event| told.first().is_none_or(|oldest| event.at >= oldest.at));
    untold
}

fn recorded_at(record: &Record) -> At {
    match record {
        Record::Adopted { at, .. }
        | Record::PlanOpened { at, .. }
        | Record::Step { at, .. }
        | Record::TurnedBack { at, .. }
        | Record::PlanClosed { at, .. }
        | Record::Paused { at, .. }
        | Record::UpgradeBegan { at, .. }
        | Record::UpgradeMarked { at, .. }
        | Record::UpgradeEnded { at, .. }
        | Record::MaintenanceBegan { at, .. }
        | Record::MaintenanceEnded { at, .. }
        | Record::DrainBegan { at, .. }
        | Record::DrainSettled { at, .. }
        | Record::DrainEnded { at, .. }
        | Record::UsersReturned { at, .. }
        | Record::HostForgotten { at, .. }
        | Record::HostReturned { at, .. }
        | Record::Scheduled { at, .. }
        | Record::ScheduleEnded { at, .. }
        | Record::Resumed { at, .. }
        | Record::Acknowledged { at, .. }
        | Record::EpochSeen { at, .. }
        | Record::ProtectedAgain { at } => *at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Epoch;

    fn adopted(at: u64, epoch: u64) -> Record {
        Record::Adopted { at: At(at), master: "node-a".into(), epoch: Epoch(epoch) }
    }

    fn told(record: &Record, at: u64) -> Event {
        let kind = told_by(record, None, None).unwrap();
        Event { at: At(at), pair: "desk".into(), kind }
    }

    #[test]
    fn only_what_came_after_the_last_told_record_is_untold() {
        let (first, second, third) = (adopted(1, 1), adopted(5, 2), adopted(9, 3));
        let told_so_far = [told(&first, 2), told(&second, 6)];
        let records = [first, second, third.clone()];
        let found = untold(&"desk".into(), &records, &told_so_far);
        assert_eq!(found, [told(&third, 9)]);
        assert_eq!(untold(&"desk".into(), &records[..2], &told_so_far), []);
    }

    #[test]
    fn an_older_event_of_the_same_words_tells_nothing_of_a_later_record() {
        let by = "ops".to_owned();
        let resumed = |at| Record::Resumed { at: At(at), by: by.clone() };
        let records = [resumed(3), resumed(8)];
        let found = untold(&"desk".into(), &records, &[told(&records[0], 3)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at, At(8));
    }
}
