//! The observer dies at every boundary of small repairs on real machines: each time they are done,
//! once, and users notice no more of it than of what was harmed.

use std::time::Duration;

use tests::lab::{DESK_UNIT, Machine, POSTGRES_UNIT, Result, SCHEDULER_UNIT, Whom, wait_for};
use tests::stage::{Guard, Hook, ON_RETURN_ASK, Promise, REFUSED, Stage, StageSpec, Told, texts};

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

/// A replaced master is started as one by hand, with nothing to keep it from that: it is stopped,
/// once, and the tombstone stands again. Then it rejoins, and the next round goes the other way.
#[test]
fn killed_while_a_stale_master_is_stopped() -> Result<()> {
    let policy =
        vec![("repair_window", "\"1s\""), ("on_database_crash", "\"fail-over\""), ON_RETURN_ASK];
    let spec = StageSpec { policy, guard: Guard::Missing, ..StageSpec::asking() };
    let stage = Stage::set(&spec)?;
    let (mut master, mut slave) = ("node-a", "node-b");
    for (kind, least) in [("record", 8), ("effect", 3)] {
        for number in 1.. {
            assert!(number < PLACES_MAX, "there are more than {PLACES_MAX} places of {kind}");
            let reached = one_stale_round(&stage, &format!("{kind}:{number}"), master, slave)?;
            (master, slave) = (slave, master);
            if !reached {
                assert!(number > least, "only {} places of {kind} were reached", number - 1);
                break;
            }
        }
    }
    Ok(())
}

/// One such start of `old` with a crash at `place`; tells whether it was reached.
fn one_stale_round(stage: &Stage, place: &str, old: &str, heir: &str) -> Result<bool> {
    let machine = stage.lab.machine(old);
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, old)?;
    dies_once_settled(machine, POSTGRES_UNIT)?;
    stage.wait_master(heir, SOON)?;
    stage.wait_cause("slave-down", SOON)?;
    let timeline = stage.timeline(heir)?;
    let pid = stage.restart_armed(Hook::Crash, place)?;
    stage.wait_cause("slave-down", SOON)?;
    let plans = stage.events()?.plans();

    machine.run(&["rm", TOMBSTONE])?;
    // It may be stopped before its start is over, which systemctl then calls a failure.
    machine.exec(&["systemctl", "start", POSTGRES_UNIT])?;
    let told = || -> Result<String> { Ok(format!("{place}:\n{}", texts(&stage.events()?))) };
    wait_for("the stale master to be stopped", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let closed = events.of_kind("plan-closed");
        let done = closed.get(plans).is_some_and(|event| event["outcome"] == "done");
        if done { Ok(()) } else { Err(texts(&events)) }
    })?;
    let state = machine.exec(&["systemctl", "is-active", POSTGRES_UNIT])?.stdout;
    assert_ne!(state.trim(), "active", "{}", told()?);
    machine.run(&["test", "-e", TOMBSTONE])?;
    assert_eq!(stage.events()?.plans(), plans + 1, "one plan: {}", told()?);
    assert_eq!(stage.timeline(heir)?, timeline, "nobody is promoted: {}", told()?);

    wait_for("the rejoin to be taken", SOON, || {
        let ordered = stage.ask(&["rejoin", "--yes"]).map_err(|error| error.to_string())?;
        let taken = ordered.status.code() != Some(REFUSED);
        if taken { Ok(()) } else { Err(ordered.stderr) }
    })?;
    stage.wait_protected()?;
    stage.assert_in_order(heir)?;
    let booked = stage.finish(sql, heir)?;
    booked.assert_kept(Promise::LastInFlight);
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
