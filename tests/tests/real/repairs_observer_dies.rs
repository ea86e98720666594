//! The observer dies at every boundary of small repairs on real machines: each time they are done,
//! once, and users notice no more of it than of what was harmed.

use std::time::Duration;

use tests::lab::{DESK_UNIT, Machine, POSTGRES_UNIT, Result, SCHEDULER_UNIT, Whom, wait_for};
use tests::stage::{Guard, Hook, ON_RETURN_ASK, Promise, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(900);
const TOMBSTONE: &str = "/var/lib/postgresql/15/main/standby.signal";
/// More places than any of these repairs has.
const PLACES_MAX: u32 = 40;

/// What breaks, and what has to be put right.
#[derive(Debug, Clone, Copy)]
enum Harm {
    /// The slave's database dies.
    Slave,
    /// A proxy lets users in to the slave.
    Proxy,
    /// The service that runs once dies.
    Singleton,
    /// The master's database dies.
    Master,
    /// The master's application dies.
    Application,
    /// A person takes the master's lease away.
    Lease,
    /// A person lets commits wait for nobody.
    Synchrony,
    /// Something has a boot start the slave's database.
    Boot,
}

impl Harm {
    /// What the pair's policy asks for beside the usual.
    fn policy(self) -> Vec<(&'static str, &'static str)> {
        // The same repair is due again in each round.
        let again = ("repair_window", "\"1s\"");
        match self {
            Harm::Lease => vec![again, ("lease", "\"8s\"")],
            Harm::Synchrony => vec![again, ("durability", "\"sync\"")],
            _ => vec![again],
        }
    }

    /// True of what users notice by itself.
    fn is_noticed(self) -> bool {
        matches!(self, Harm::Master | Harm::Application)
    }

    /// Does it.
    fn strike(self, stage: &Stage) -> Result<()> {
        let (master, slave) = (stage.lab.machine("node-a"), stage.lab.machine("node-b"));
        match self {
            Harm::Slave => dies_once_settled(slave, POSTGRES_UNIT),
            Harm::Master => dies_once_settled(master, POSTGRES_UNIT),
            Harm::Application => dies_once_settled(master, DESK_UNIT),
            Harm::Singleton => master.signal_unit(SCHEDULER_UNIT, "KILL", Whom::Main),
            Harm::Proxy => stage.haproxy("set server desk/node-b state ready").map(drop),
            Harm::Lease => master.run(&["systemctl", "stop", "ha-observer-lease.timer"]).map(drop),
            Harm::Synchrony => {
                for sql in
                    ["alter system reset synchronous_standby_names", "select pg_reload_conf()"]
                {
                    master.sql("postgres", sql)?;
                }
                Ok(())
            }
            Harm::Boot => {
                let enable = "sed -i s/^manual/auto/ /etc/postgresql/15/main/start.conf && \
                              systemctl daemon-reload";
                slave.run(&["/bin/sh", "-c", enable]).map(drop)
            }
        }
    }
}

/// A database answers before its unit knows it.
fn dies_once_settled(machine: &Machine, unit: &str) -> Result<()> {
    wait_for("the unit to run", SOON, || {
        let state = machine.exec(&["systemctl", "is-active", unit]);
        let state = state.map_err(|error| error.to_string())?.stdout;
        if state.trim() == "active" { Ok(()) } else { Err(state) }
    })?;
    machine.signal_unit(unit, "KILL", Whom::Main)
}

#[test]
fn killed_while_the_slave_is_started() -> Result<()> {
    killed_everywhere(Harm::Slave, (5, 1))
}

#[test]
fn killed_while_a_proxy_is_corrected() -> Result<()> {
    killed_everywhere(Harm::Proxy, (5, 1))
}

#[test]
fn killed_while_a_singleton_is_started() -> Result<()> {
    killed_everywhere(Harm::Singleton, (3, 1))
}

#[test]
fn killed_while_the_masters_database_is_started() -> Result<()> {
    killed_everywhere(Harm::Master, (5, 1))
}

#[test]
fn killed_while_the_application_is_restarted() -> Result<()> {
    killed_everywhere(Harm::Application, (3, 1))
}

#[test]
fn killed_while_the_lease_is_set() -> Result<()> {
    killed_everywhere(Harm::Lease, (3, 1))
}

#[test]
fn killed_while_commits_are_made_to_wait() -> Result<()> {
    killed_everywhere(Harm::Synchrony, (3, 1))
}

#[test]
fn killed_while_a_unit_is_disabled() -> Result<()> {
    killed_everywhere(Harm::Boot, (3, 1))
}

/// A replaced master is started as one by hand, again and again, with nothing to keep it from that:
/// each time it is stopped, once, and the tombstone stands again. In the end it rejoins.
#[test]
fn killed_while_a_stale_master_is_stopped() -> Result<()> {
    let policy =
        vec![("repair_window", "\"1s\""), ("on_database_crash", "\"fail-over\""), ON_RETURN_ASK];
    let spec = StageSpec { policy, guard: Guard::Missing, ..StageSpec::asking() };
    let stage = Stage::set(&spec)?;
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    dies_once_settled(stage.lab.machine("node-a"), POSTGRES_UNIT)?;
    stage.wait_master("node-b", SOON)?;
    for (kind, least) in [("record", 8), ("effect", 3)] {
        let mut number = 1;
        while one_stale_start(&stage, &format!("{kind}:{number}"))? {
            number += 1;
            assert!(number < PLACES_MAX, "there are more than {PLACES_MAX} places of {kind}");
        }
        assert!(number > least, "only {} places of {kind} were reached", number - 1);
    }
    stage.ask(&["rejoin", "--yes"])?.success()?;
    stage.wait_protected()?;
    stage.assert_in_order("node-b")?;
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    stage.finish(sql, "node-b")?.assert_kept(Promise::LastInFlight);
    Ok(())
}

/// One such start with a crash at `place`; tells whether it was reached.
fn one_stale_start(stage: &Stage, place: &str) -> Result<bool> {
    let old = stage.lab.machine("node-a");
    stage.wait_cause("slave-down", SOON)?;
    let pid = stage.restart_armed(Hook::Crash, place)?;
    stage.wait_cause("slave-down", SOON)?;
    let plans = stage.events()?.plans();

    old.run(&["rm", TOMBSTONE])?;
    // It may be stopped before its start is over, which systemctl then calls a failure.
    old.exec(&["systemctl", "start", POSTGRES_UNIT])?;
    let closed = wait_for("the stale master to be stopped", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let closed = events.of_kind("plan-closed").get(plans).map(|event| (*event).clone());
        closed.ok_or_else(|| texts(&events))
    })?;
    let events = stage.events()?;
    let told = format!("{place}:\n{}", texts(&events));
    // What was done when the observer died is not asked for any more when it is back.
    let outcome = &closed["outcome"];
    let why = outcome["undone"]["why"].as_str().unwrap_or_default();
    assert!(outcome == "done" || why.contains("no longer asks"), "{told}");
    assert_eq!(events.plans(), plans + 1, "one plan: {told}");
    let state = old.exec(&["systemctl", "is-active", POSTGRES_UNIT])?.stdout;
    assert_ne!(state.trim(), "active", "{told}");
    old.run(&["test", "-e", TOMBSTONE])?;
    assert_eq!(stage.timeline("node-b")?, 2, "nobody is promoted: {told}");
    Ok(stage.daemon_pid()? != pid)
}

/// Plays rounds with a crash after the first, second, … record and effect of the repair, until
/// there is none; there must have been `at_least` so many of each.
fn killed_everywhere(harm: Harm, at_least: (u32, u32)) -> Result<()> {
    let stage = Stage::set(&StageSpec { policy: harm.policy(), ..StageSpec::standard() })?;
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    for (kind, least) in [("record", at_least.0), ("effect", at_least.1)] {
        let mut number = 1;
        while one_round(&stage, harm, &format!("{kind}:{number}"))? {
            number += 1;
            assert!(number < PLACES_MAX, "the repair has more than {PLACES_MAX} places of {kind}");
        }
        assert!(number > least, "only {} places of {kind} were reached", number - 1);
    }
    stage.wait_written(&sql, "node-a")?;
    let booked = stage.finish(sql, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    if !harm.is_noticed() {
        booked.assert_unnoticed();
    }
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// One repair with a crash at `place`; tells whether it was reached.
fn one_round(stage: &Stage, harm: Harm, place: &str) -> Result<bool> {
    let pid = stage.arm(Hook::Crash, place)?;
    let plans = stage.events()?.plans();
    harm.strike(stage)?;
    wait_for("the repair", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let ended = events.of_kind("plan-closed").len();
        if ended > plans { Ok(()) } else { Err(texts(&events)) }
    })?;
    stage.wait_protected()?;
    let events = stage.events()?;
    let told = format!("{place}:\n{}", texts(&events));
    assert_eq!(events.plans(), events.of_kind("plan-closed").len(), "{told}");
    stage.assert_in_order("node-a")?;
    if matches!(harm, Harm::Singleton) {
        stage.wait_scheduler("node-a", &["node-b"])?;
    }
    Ok(stage.daemon_pid()? != pid)
}
