//! A service that must run on the master and nowhere else, on real machines: one that a person
//! starts beside it is stopped there, one that dies is started again, and one that a person stops
//! is told and left alone. Users notice nothing of either.

use std::time::Duration;

use tests::lab::{POSTGRES_UNIT, Result, SCHEDULER_UNIT, wait_for};
use tests::stage::{Promise, Stage, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(240);
const DROP_IN: &str = "/etc/systemd/system/desk-scheduler.service.d/stubborn.conf";
const STUBBORN: &str = "[Service]\nExecStart=\nExecStart=/usr/bin/sleep infinity\n";

/// Then a person stops it on the master, too: nobody starts it against that person's will.
#[test]
fn one_that_is_started_beside_the_master_is_stopped() -> Result<()> {
    let stage = Stage::standard()?;
    let (master, slave) = (stage.lab.machine("node-a"), stage.lab.machine("node-b"));
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    stage.wait_scheduler("node-a", &["node-b"])?;

    // The lab's own scheduler ends at its first refusal. Others go on, and do everything twice.
    slave.put_file(DROP_IN, STUBBORN.as_bytes(), 0o644, "root:root")?;
    slave.run(&["systemctl", "daemon-reload"])?;
    slave.run(&["systemctl", "start", SCHEDULER_UNIT])?;
    stage.wait_repaired("U4")?;
    stage.wait_scheduler("node-a", &["node-b"])?;

    master.run(&["systemctl", "stop", SCHEDULER_UNIT])?;
    stage.wait_cause("singleton-strayed", SOON)?;
    let why = stage.ask(&["why"])?.success()?;
    assert!(why.contains("desk-scheduler was stopped on node-a, the master"), "{why}");
    stage.stays_master("node-a", Duration::from_secs(8))?;
    let state = master.exec(&["systemctl", "is-active", SCHEDULER_UNIT])?.stdout;
    assert_eq!(state.trim(), "inactive", "what a person stopped stays stopped");
    master.run(&["systemctl", "start", SCHEDULER_UNIT])?;
    stage.wait_protected()?;

    let booked = stage.finish(users, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    Ok(())
}

/// Debian's own tool, an upgrade of a package or a person has a boot start units that the observer
/// starts by role: the slave's database, and a copy of the scheduler. They are disabled, what runs
/// goes on, and a boot starts neither.
#[test]
fn one_that_a_boot_would_start_is_disabled() -> Result<()> {
    let stage = Stage::standard()?;
    let slave = stage.lab.machine("node-b");
    let started = "/etc/postgresql/15/main/start.conf";
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    let at_boot = |unit: &str| -> Result<String> {
        Ok(slave.exec(&["systemctl", "is-enabled", unit])?.stdout.trim().to_owned())
    };

    slave.run(&["sed", "-i", "s/^manual/auto/", started])?;
    slave.run(&["systemctl", "daemon-reload"])?;
    assert_eq!(at_boot(POSTGRES_UNIT)?, "enabled-runtime");
    stage.wait_repaired("U7")?;
    assert_eq!(at_boot(POSTGRES_UNIT)?, "disabled");
    slave.run(&["mkdir", "-p", "/etc/systemd/system/multi-user.target.wants"])?;
    let drop_in = "/etc/systemd/system/desk-scheduler.service.d/install.conf";
    slave.put_file(drop_in, b"[Install]\nWantedBy=multi-user.target\n", 0o644, "root:root")?;
    slave.run(&["systemctl", "enable", SCHEDULER_UNIT])?;
    assert_eq!(at_boot(SCHEDULER_UNIT)?, "enabled");
    wait_for("the scheduler to be disabled", SOON, || {
        let state = at_boot(SCHEDULER_UNIT).map_err(|error| error.to_string())?;
        if state == "disabled" { Ok(()) } else { Err(state) }
    })?;
    stage.wait_protected()?;

    slave.power_loss()?;
    slave.power_on()?;
    stage.wait_protected()?;
    stage.wait_scheduler("node-a", &["node-b"])?;
    let booked = stage.finish(users, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    Ok(())
}

/// It does not start itself, and nobody's health shows that it is gone.
#[test]
fn one_that_dies_is_started_again() -> Result<()> {
    let stage = Stage::standard()?;
    stage.wait_scheduler("node-a", &["node-b"])?;
    let master = stage.lab.machine("node-a");
    master.run(&["systemctl", "kill", "--signal=SIGKILL", SCHEDULER_UNIT])?;
    stage.wait_repaired("U4")?;
    stage.wait_scheduler("node-a", &["node-b"])?;
    let events = stage.events()?;
    assert_eq!(events.plans(), 1, "{}", texts(&events));
    Ok(())
}
