//! A service with `placement = "slave"` runs on slaves, and ends on one that becomes the master.

use observer_core::policy::{Placement, Probed, ServiceSpec, Store, UserWait};
use observer_core::words::ServiceName;
use observer_sim::fault::Fault;
use observer_sim::run::{Run, Setup};

fn report() -> ServiceSpec {
    ServiceSpec {
        name: "report".into(),
        unit: "report.service".to_owned(),
        placement: Placement::Slave,
        probed: Probed::Unit,
        readiness: None,
        users: UserWait::GoOn,
        start_deadline_ms: 10_000,
        stop_deadline_ms: None,
    }
}

/// The hosts that have power and on which it runs.
fn on(run: &Run) -> Vec<&str> {
    let service = ServiceName::new("report");
    let machines = run.world.machines.iter();
    let runs = machines.filter(|(_, machine)| machine.is_up() && machine.runs(&service));
    runs.map(|(host, _)| host.as_str()).collect()
}

fn advance(run: &mut Run, ms: u64) {
    run.advance(ms).unwrap_or_else(|broken| panic!("{broken}"));
}

/// A switchover, and then the death of the new master: each time the service leaves the next one.
#[test]
fn it_leaves_a_slave_that_becomes_the_master() {
    for store in [Store::OnHosts, Store::External] {
        let mut setup = Setup::usual(7, 1);
        setup.spec.store = store;
        setup.spec.services.push(report());
        let mut run = Run::new(setup);
        run.schedule(5_000, Fault::OrderSwitchover);
        run.schedule(60_000, Fault::PowerOff("node-b".into()));
        run.schedule(90_000, Fault::PowerOn("node-b".into()));
        advance(&mut run, 4_000);
        assert_eq!(on(&run), ["node-b"], "{store:?}");
        advance(&mut run, 46_000);
        assert_eq!(on(&run), ["node-a"], "{store:?}: after the switchover");
        advance(&mut run, 30_000);
        assert!(on(&run).is_empty(), "{store:?}: no slave is left: {:?}", on(&run));
        advance(&mut run, 120_000);
        assert_eq!(on(&run), ["node-b"], "{store:?}: it is back as a slave");
    }
}
