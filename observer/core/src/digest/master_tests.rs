//! What is believed of a master whose application is gone.

use super::*;
use crate::journal::Memory;
use crate::ledger::Snapshot;
use crate::policy::{PairSpec, Placement, Policy, ServiceSpec, UserWait};
use crate::sighting::{DatabaseReport, LeaseSeen, Sighting, Synchrony, UnitReport};
use crate::words::{Lsn, Timeline};

fn spec() -> PairSpec {
    PairSpec {
        name: "desk".into(),
        hosts: vec!["node-a".into(), "node-b".into()],
        proxies: Vec::new(),
        store: crate::policy::Store::OnHosts,
        sharing: Vec::new(),
        bouncers: Vec::new(),
        mounts: Vec::new(),
        services: vec![ServiceSpec {
            name: "desk".into(),
            unit: "desk.service".to_owned(),
            placement: Placement::All,
            probed: Probed::Health,
            readiness: None,
            users: UserWait::Wait,
            start_deadline_ms: 1_000,
            stop_deadline_ms: None,
        }],
        files: Vec::new(),
        monitor: None,
        policy: Policy::default(),
    }
}

fn machine(desk: UnitState) -> Seen {
    let unit = |unit: &str, state| UnitReport {
        unit: unit.to_owned(),
        state,
        loops: false,
        at_boot: false,
    };
    let units = vec![unit(DATABASE_UNIT, UnitState::Active), unit("desk.service", desk)];
    let (system, lease) = (SystemState::Running, LeaseSeen::None);
    Seen::Machine(MachineReport { system, units, tombstone: false, lease, monitor: None })
}

fn database() -> Seen {
    Seen::Database(DatabaseReport {
        in_recovery: false,
        timeline: Timeline(1),
        system_id: 7,
        lsn: Lsn(9),
        replayed: Lsn(9),
        replay_paused: false,
        walreceiver: None,
        synchrony: Synchrony::default(),
        history: None,
    })
}

/// The application refuses from 9.0 s on; `asked` says when systemd was asked, and what of desk.
fn condition(asked: &[(u64, UnitState)]) -> Master {
    let mut snapshot = Snapshot::default();
    let host = || HostName::new("node-a");
    let mut see = |look, at, seen| {
        let (asked_at, at) = (At(at), At(at + 1));
        snapshot.take(Sighting { look, asked_at, at, seen: Ok(seen) });
    };
    for at in [1_000, 9_100] {
        see(Look::Database(host()), at, database());
        see(Look::Write(host()), at, Seen::Written { latency_ms: 1 });
    }
    for (at, desk) in asked {
        see(Look::Machine(host()), *at, machine(*desk));
    }
    let application = || Look::Application { host: host(), from: Vantage::Observer };
    see(application(), 8_000, Seen::ApplicationWell);
    see(application(), 9_000, Seen::Refused);
    see(application(), 9_100, Seen::Refused);
    let (spec, memory) = (spec(), Memory::default());
    let inputs = Inputs { snapshot: &snapshot, spec: &spec, memory: &memory, now: At(9_200) };
    assess(inputs, &host(), None).condition
}

/// A person stops the application a moment after systemd was asked. Restarting it would be against
/// that person's will, so systemd is asked once more first.
#[test]
fn what_systemd_said_before_the_application_was_gone_is_not_believed() {
    assert_eq!(condition(&[(8_500, UnitState::Active)]), Master::Suspect);
    let stopped = [(8_500, UnitState::Active), (9_150, UnitState::Stopped)];
    assert_eq!(condition(&stopped), Master::StoppedOnPurpose);
    let failed = [(8_500, UnitState::Active), (9_150, UnitState::Failed)];
    assert_eq!(condition(&failed), Master::ApplicationCrashed);
}
