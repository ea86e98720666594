//! `why` and the incident report, from worlds and events written by hand.

use observer_core::event::{Event, EventKind};
use observer_core::facts::{
    Act, Asker, Commits, Facts, Fence, GateFacts, Journal, Lease, Loss, Master, Past, Pause,
    Proxies, Roles, Sight, Singletons, Slave, Standing, Upkeep, Work,
};
use observer_core::journal::{Outcome, Way};
use observer_core::judge::{Cause, Verdict, gate, judge};
use observer_core::pair::Pair;
use observer_core::plan::{Goal, Ordered, Promise};
use observer_core::words::{At, PlanId};

use super::incident::Incident;
use super::view::{Basis, PairView};
use super::why::WhyReport;
use crate::shell::archive::StoredEvent;
use crate::shell::scripted::spec;

const WELL: Facts = Facts {
    sight: Sight::Clear,
    roles: Roles::One,
    master: Master::Healthy,
    slave: Slave::Ready,
    loss: Loss::WithinBudget,
    proxies: Proxies::True,
    fence: Fence::Possible,
    commits: Commits::AsAsked,
    lease: Lease::AsAsked,
    singletons: Singletons::Once,
    upkeep: Upkeep::Good,
};

const FREE: GateFacts = GateFacts {
    act: Act::ChangeMaster,
    asker: Asker::Observer,
    standing: Standing::Auto,
    pause: Pause::Running,
    work: Work::Idle,
    past: Past::Calm,
    journal: Journal::Writable,
};

fn why(facts: Facts, gates: GateFacts) -> WhyReport {
    let rule = judge(&facts);
    let change = GateFacts { act: Act::ChangeMaster, ..gates };
    let repair = GateFacts { act: Act::Repair, ..gates };
    let act = rule.verdict.act();
    let basis = Basis {
        store: observer_core::policy::Store::OnHosts,
        facts,
        rule,
        gate: gate(&GateFacts { act, ..gates }),
        evidence: vec!["node-a: no answer in time".to_owned()],
        repair,
        change,
    };
    let status = PairView::of(&Pair::new(spec(), &[], At(1)), At(1)).status;
    WhyReport::of(&PairView {
        status,
        basis: Some(basis),
        takes_orders: true,
        particular: Vec::new(),
    })
}

fn near(report: &WhyReport) -> Vec<String> {
    let worlds = &report.ruling.as_ref().unwrap().nearest;
    let changes = |world: &super::why::NearWorld| {
        let changes: Vec<String> =
            world.changes.iter().map(|change| format!("{}={}", change.fact, change.to)).collect();
        format!("{} → {}", changes.join("+"), world.rule)
    };
    worlds.iter().map(changes).collect()
}

#[test]
fn a_steady_pair_names_each_single_fact_that_would_make_it_act() {
    let near = near(&why(WELL, FREE));
    for expected in ["master=host-gone → F1", "master=database-dead → F2", "proxies=drifted → P1"]
    {
        assert!(near.iter().any(|world| world == expected), "{expected} in {near:?}");
    }
    assert!(near.iter().all(|world| !world.contains('+')), "one fact is enough: {near:?}");
}

/// Every world that `why` names is judged by the core, so it must act where this one does not.
#[test]
fn every_near_world_has_another_act() {
    for facts in Facts::all().step_by(1_999) {
        let report = why(facts, FREE);
        let ruling = report.ruling.unwrap();
        assert!(!ruling.nearest.is_empty(), "{facts:?}");
        for world in ruling.nearest {
            assert_ne!(world.verdict.act(), ruling.verdict.act(), "{facts:?}");
        }
    }
}

#[test]
fn a_dead_master_with_a_lagging_loss_names_the_loss_as_what_stands_between() {
    let facts = Facts { master: Master::HostGone, loss: Loss::OverBudget, ..WELL };
    let near = near(&why(facts, FREE));
    assert!(near.contains(&"loss=within-budget → F1".to_owned()), "{near:?}");
}

#[test]
fn a_closed_gate_is_named_with_what_closes_it() {
    let facts = Facts { master: Master::HostGone, ..WELL };
    let report = why(facts, GateFacts { pause: Pause::Paused, ..FREE });
    assert!(report.paragraph.contains("Gate G3 is closed by paused"), "{}", report.paragraph);
    let steady = why(WELL, GateFacts { pause: Pause::Paused, ..FREE });
    let world = &steady.ruling.unwrap().nearest[0];
    assert_eq!(world.barred, Some(Cause::Paused));
}

fn events(kinds: Vec<(u64, EventKind)>) -> Vec<StoredEvent> {
    let number = |(index, (at, kind)): (usize, (u64, EventKind))| StoredEvent {
        seq: index as u64 + 1,
        event: Event { at: At(at), pair: "desk".into(), kind },
    };
    kinds.into_iter().enumerate().map(number).collect()
}

fn verdict(rule: &str, cause: Cause, verdict: Verdict) -> EventKind {
    EventKind::VerdictChanged {
        rule: rule.to_owned(),
        cause,
        verdict,
        why: "as seen".to_owned(),
        barred: None,
        evidence: vec!["node-a over SSH: no answer in time".to_owned()],
    }
}

fn proven(step: usize, name: &str) -> EventKind {
    EventKind::StepProven {
        plan: PlanId(4),
        step,
        name: name.to_owned(),
        way: Way::Forward,
        evidence: format!("{name} seen"),
        took_ms: 10,
    }
}

fn failover() -> Vec<StoredEvent> {
    events(vec![
        (500, verdict("S1", Cause::Steady, Verdict::Steady)),
        (10_250, verdict("D7", Cause::MasterSuspect, Verdict::Suspect)),
        (10_900, verdict("F1", Cause::MasterHostDead, Verdict::FailOver)),
        (
            10_900,
            EventKind::PlanOpened {
                plan: PlanId(4),
                goal: Goal::FailOver,
                rule: "F1".to_owned(),
                asker: Asker::Observer,
                ordered: None,
                decided_ms: 900,
                promise: Promise::OnBoth,
                master: "node-a".into(),
                next_master: "node-b".into(),
            },
        ),
        (10_950, proven(0, "fence at proxy")),
        (10_960, proven(1, "measure loss")),
        (10_970, proven(2, "replay")),
        (11_100, proven(3, "promote")),
        (11_110, proven(4, "first write")),
        (11_150, proven(5, "let in at proxy")),
        (11_300, proven(6, "rewrite haproxy.cfg at proxy")),
        (
            11_310,
            EventKind::PlanClosed {
                plan: PlanId(4),
                goal: Goal::FailOver,
                outcome: Outcome::Done,
                took_ms: 410,
                since_trouble_ms: 1_310,
            },
        ),
        (99_000, verdict("S3", Cause::SlaveSilent, Verdict::Hold)),
    ])
}

#[test]
fn an_incident_splits_the_outage_into_its_phases() {
    let incident = Incident::of(&failover(), None).unwrap();
    let phases: Vec<(&str, u64, u64)> = incident
        .phases
        .iter()
        .map(|phase| (phase.name.as_str(), phase.took_ms, phase.until_ms))
        .collect();
    assert_eq!(
        phases,
        [
            ("detect", 250, 250),
            ("confirm", 650, 900),
            ("fence", 50, 950),
            ("replay", 20, 970),
            ("promote", 130, 1_100),
            ("first-write", 10, 1_110),
            ("proxy", 40, 1_150),
            ("file", 150, 1_300),
        ]
    );
    assert_eq!(incident.timeline.first().unwrap().at, At(10_250), "not what was before");
    assert_eq!(incident.timeline.last().unwrap().at, At(11_310), "nor long after");
    let text = incident.markdown();
    assert!(text.starts_with("# Incident: failover of pair desk, from node-a to node-b\n"));
    assert!(text.contains("- from the first sign to the end of the plan: 1.3 s\n"));
    let promise = "- acknowledged commits were on the slave's disk, too: none of them is lost\n";
    assert!(text.contains(promise), "{text}");
    assert!(text.contains("| promote | 130 ms | 1.1 s |\n"));
}

#[test]
fn an_incident_of_a_plan_that_is_not_there_is_none() {
    assert_eq!(Incident::of(&failover(), Some(PlanId(9))), None);
    assert_eq!(Incident::of(&[], None), None);
}

/// A rejoin follows a failover by itself: whoever asks what happened asks about the failover.
#[test]
fn an_incident_is_the_newest_change_of_master_and_names_what_followed() {
    let rejoin = |ordered| EventKind::PlanOpened {
        plan: PlanId(5),
        goal: Goal::Repair(observer_core::judge::Repair::Rejoin),
        rule: "operator".to_owned(),
        asker: Asker::Operator,
        ordered,
        decided_ms: 0,
        promise: Promise::OnMaster,
        master: "node-b".into(),
        next_master: "node-b".into(),
    };
    let mut all = failover();
    let reason = Some("disk replaced".to_owned());
    all.push(StoredEvent {
        seq: 100,
        event: Event {
            at: At(200_000),
            pair: "desk".into(),
            kind: rejoin(Some(Ordered { by: "jo".to_owned(), reason })),
        },
    });
    let newest = Incident::of(&all, None).unwrap();
    assert_eq!((newest.plan, newest.later.len()), (PlanId(4), 1));
    let text = newest.markdown();
    assert!(text.ends_with("Plans since then: `ha-observer incident 5` (rejoin)\n"), "{text}");

    let named = Incident::of(&all, Some(PlanId(5))).unwrap().markdown();
    assert!(named.contains("- plan 5, ordered by jo: disk replaced\n"), "{named}");
    let told = all.last().unwrap().event.kind.text();
    assert_eq!(told, "plan 5: rejoin, on node-b, ordered by jo: disk replaced");
    let only = all.split_off(all.len() - 1);
    assert_eq!(Incident::of(&only, None).unwrap().plan, PlanId(5), "no master was changed");
}
