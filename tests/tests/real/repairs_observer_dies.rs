//! The observer dies at every boundary of small repairs on real machines: each time they are done,
//! once, and users notice nothing.

use std::time::Duration;

use tests::lab::{POSTGRES_UNIT, Result, SCHEDULER_UNIT, Whom, wait_for};
use tests::stage::{Hook, Promise, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(900);
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

/// Plays rounds with a crash after the first, second, … record and effect of the repair, until
/// there is none; there must have been `at_least` so many of each.
fn killed_everywhere(harm: Harm, at_least: (u32, u32)) -> Result<()> {
    // The same repair is due again in each round.
    let policy = vec![("repair_window", "\"1s\"")];
    let stage = Stage::set(&StageSpec { policy, ..StageSpec::standard() })?;
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
    booked.assert_unnoticed();
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// One repair with a crash at `place`; tells whether it was reached.
fn one_round(stage: &Stage, harm: Harm, place: &str) -> Result<bool> {
    let pid = stage.arm(Hook::Crash, place)?;
    let plans = stage.events()?.plans();
    match harm {
        Harm::Slave => {
            let slave = stage.lab.machine("node-b");
            // It answers before its unit knows it.
            wait_for("the slave's unit", SOON, || {
                let words = ["systemctl", "is-active", POSTGRES_UNIT];
                let state = slave.exec(&words).map_err(|error| error.to_string())?.stdout;
                if state.trim() == "active" { Ok(()) } else { Err(state) }
            })?;
            slave.signal_unit(POSTGRES_UNIT, "KILL", Whom::Main)?;
        }
        Harm::Proxy => drop(stage.haproxy("set server desk/node-b state ready")?),
        Harm::Singleton => {
            stage.lab.machine("node-a").signal_unit(SCHEDULER_UNIT, "KILL", Whom::Main)?;
        }
    }
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
