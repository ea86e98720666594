//! Surveys one host: its machine, its clock, its database and what lies in it, its application.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use observer_core::digest::DATABASE_UNIT;
use observer_core::policy::PROBE_WAY_MS;
use observer_core::sighting::{MachineReport, Seen};
use observer_core::validate::{
    DatabaseContents, DatabaseSurvey, Datum, HostSurvey, MachineSurvey, Power, Reached,
    ReplicationLogin, Roles, ServiceAnswer, UnitSurvey, Unread,
};
use observer_core::words::{HostName, ServiceName};
use tokio::time::Instant;

use super::script::{Answers, DatabaseQuestions, Questions};
use super::{clock, health, in_time, left, unread};
use crate::commands::GUARD_FILE;
use crate::eyes::{machine, port, readiness, silence};
use crate::hands::hash;
use crate::pair_world::{Host, Inner};
use crate::postgres::{Failure, replication_login};
use crate::power::has_power;
use crate::ssh::Command;
use crate::text::shown;

/// How much longer than everything else a power fence may take: management controllers are slow.
const POWER_MORE: Duration = Duration::from_secs(4);

pub(super) async fn survey(
    world: &Inner,
    host: &Host,
    roles: &Roles,
    until: Instant,
) -> HostSurvey {
    let (machine, clock, database, external, application, services, power) = tokio::join!(
        in_time(until, machine_of(world, host, until)),
        in_time(until, clock(&host.ssh, until)),
        database(world, host, roles, until),
        external(world, host, until),
        application(host, until),
        services(world, host, roles, until),
        power(host, until),
    );
    let (database, contents, replication_logins) = database;
    HostSurvey {
        machine,
        clock,
        database,
        contents,
        replication_logins,
        external,
        application,
        services,
        // They are surveyed of all hosts together.
        mounts: BTreeMap::new(),
        power,
    }
}

async fn machine_of(world: &Inner, host: &Host, until: Instant) -> Datum<MachineSurvey> {
    let access = &host.access.database;
    let own = world.external.is_none();
    let mut units: Vec<&str> = own.then_some(access.unit.as_str()).into_iter().collect();
    units.extend(world.spec.services.iter().map(|service| service.unit.as_str()));
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let database = DatabaseQuestions {
        data: path(&access.data_directory),
        see_disk: &host.commands.see_disk,
        see_owner: &host.commands.see_owner,
        bin: access.bin_directory.as_deref().map(path).unwrap_or_default(),
        guard: format!("/etc/systemd/system/{}.d/{GUARD_FILE}", access.unit),
        guard_hash: hash(host.guard.as_bytes()),
    };
    let commands = host.commands.all();
    let questions = Questions { database: own.then_some(database), units, commands };
    let (answers, states, renewers) = tokio::join!(
        questions.ask(&host.ssh, left(until)),
        machine::units(world, host, left(until)),
        renewers(host, until),
    );
    let states = states.map_err(|silent| unread(&silent))?;
    Ok(MachineSurvey { renewers, ..joined(world, host, answers?, &states) })
}

fn joined(world: &Inner, host: &Host, answers: Answers, states: &MachineReport) -> MachineSurvey {
    let mut at_boot = answers.at_boot.into_iter();
    let mut unit = |unit: &str, known_as: &str| UnitSurvey {
        unit: unit.to_owned(),
        state: states.unit(known_as).map(|report| report.state),
        at_boot: at_boot.next().unwrap_or_default(),
    };
    let own = world.external.is_none();
    let database_unit = own.then(|| unit(&host.access.database.unit, DATABASE_UNIT));
    let services = world.spec.services.iter();
    MachineSurvey {
        database_unit,
        service_units: services.map(|service| unit(&service.unit, &service.unit)).collect(),
        rights: answers.rights,
        c_library: answers.c_library,
        remove_ipc: answers.remove_ipc,
        database_owner: answers.owner,
        disk: answers.disk,
        missing_programs: answers.missing_programs,
        guard: answers.guard,
        lease: states.lease,
        renewers: None,
    }
}

/// How many ports of other machines answer this one, where the policy asks for a lease.
async fn renewers(host: &Host, until: Instant) -> Option<Datum<usize>> {
    let set = host.commands.lease.set.as_ref()?;
    let output = host.ssh.exec(&set.ask(), "", left(until), 4096).await;
    let count = |output: crate::ssh::ExecOutput| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| *line == "answered").count()
    };
    Some(output.map(count).map_err(|error| Unread(error.to_string())))
}

/// Whether the external database takes a connection from the host; none where there is no such.
async fn external(world: &Inner, host: &Host, until: Instant) -> Option<Datum<Reached>> {
    world.external.as_ref()?;
    let asking = async {
        match port::external(world, host, left(until)).await {
            Ok(Seen::PortOpen) => Ok(Reached::Connects),
            Ok(_) => Ok(Reached::Refused),
            Err(silent) => Err(unread(&silent)),
        }
    };
    Some(in_time(until, asking).await)
}

type Logins = BTreeMap<HostName, Datum<ReplicationLogin>>;
type OfDatabase = (Datum<DatabaseSurvey>, Datum<Vec<DatabaseContents>>, Logins);

/// The database first: it names its databases, and the role that a standby logs in as.
async fn database(world: &Inner, host: &Host, roles: &Roles, until: Instant) -> OfDatabase {
    if world.external.is_some() {
        let none = || Unread("the database of this pair is external".to_owned());
        return (Err(none()), Err(none()), BTreeMap::new());
    }
    let asking = async { host.database.survey(left(until)).await.map_err(|why| failed(&why)) };
    let database = in_time(until, asking).await;
    let is_master = roles.master == host.access.name;
    let contents = async {
        match &database {
            Ok(database) if is_master => Ok(contents(host, &database.databases, until).await),
            Ok(_) => Ok(Vec::new()),
            Err(why) => Err(why.clone()),
        }
    };
    let (contents, logins) = tokio::join!(contents, logins(world, host, &database, until));
    (database, contents, logins)
}

async fn contents(host: &Host, databases: &[String], until: Instant) -> Vec<DatabaseContents> {
    let one = async |name: &String| {
        let asking = host.database.contents(name, left(until));
        let found = in_time(until, async { asking.await.map_err(|why| failed(&why)) }).await;
        found.unwrap_or_else(|why| DatabaseContents {
            database: name.clone(),
            extensions: Err(why.clone()),
            unlogged: Err(why.clone()),
            nearly_used_up: Err(why),
            unread_sequences: 0,
        })
    };
    join_all(databases.iter().map(one)).await
}

/// A replication login from each other host, as the role that this host's own standby uses: the
/// roles of one cluster are the same on all its copies.
async fn logins(
    world: &Inner,
    host: &Host,
    database: &Datum<DatabaseSurvey>,
    until: Instant,
) -> Logins {
    let user = match database {
        Ok(database) => database
            .replication_user
            .clone()
            .ok_or_else(|| Unread("its primary_conninfo names no user to try it with".to_owned())),
        Err(why) => Err(why.clone()),
    };
    let others = world.hosts.iter().filter(|(name, _)| **name != host.access.name);
    let from = async |(name, other): (&HostName, &Host)| {
        let login = match &user {
            Ok(user) => in_time(until, login(host, other, user, until)).await,
            Err(why) => Err(why.clone()),
        };
        (name.clone(), login)
    };
    join_all(others.map(from)).await.into_iter().collect()
}

async fn login(host: &Host, other: &Host, user: &str, until: Instant) -> Datum<ReplicationLogin> {
    let access = &host.access.database;
    match other.ssh.open_tcp(&access.address, access.port, left(until)).await {
        Ok(stream) => {
            let answer = replication_login(stream, user, left(until)).await.map_err(Unread)?;
            match answer {
                ReplicationLogin::Refused(words) if wants_encryption(&words) => {
                    encrypted_login(host, other, user, until).await
                }
                answer => Ok(answer),
            }
        }
        Err(error) => match silence::of_open(error) {
            Ok(Seen::Refused) => Ok(ReplicationLogin::NobodyListens),
            Ok(other) => Err(Unread(shown(format!("{other:?}").as_bytes()))),
            Err(silent) => Err(unread(&silent)),
        },
    }
}

/// Whether a refusal says that no line of pg_hba.conf takes an unencrypted connection: with TLS
/// there may be one.
fn wants_encryption(words: &str) -> bool {
    ["no encryption", "SSL off"].iter().any(|hint| words.contains(hint))
}

/// The same login over TLS, by the host's own client, which knows how. No password is given.
async fn encrypted_login(
    host: &Host,
    other: &Host,
    user: &str,
    until: Instant,
) -> Datum<ReplicationLogin> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !user.chars().all(plain) {
        return Err(Unread("the replication role's name is no plain word".to_owned()));
    }
    let access = &host.access.database;
    let target = format!(
        "host={} port={} user={user} replication=true sslmode=require connect_timeout=2",
        access.address, access.port
    );
    let client = Command::new("/usr/bin/env").args(["LC_ALL=C", "psql", "-X", "-w", "-d"]);
    let command = client.arg(target).args(["-c", "IDENTIFY_SYSTEM"]);
    let output = other.ssh.exec(&command, "", left(until), 64 * 1024).await;
    let output = output.map_err(|error| Unread(error.to_string()))?;
    let said = shown(&output.stderr);
    if output.succeeded() {
        Ok(ReplicationLogin::LetIn)
    } else if said.contains("no password supplied") {
        Ok(ReplicationLogin::AsksPassword)
    } else if said.contains("FATAL") {
        Ok(ReplicationLogin::Refused(said))
    } else {
        Err(Unread(said))
    }
}

async fn application(
    host: &Host,
    until: Instant,
) -> Option<Datum<observer_core::validate::Health>> {
    let probe = host.access.application.as_ref()?;
    let asking = async { health(port::probe_directly(probe, left(until)).await) };
    Some(in_time(until, asking).await)
}

/// What the services answer that must be ready there and have a probe of their own. It may take
/// longer than all else, and keeps nothing else waiting but the report.
async fn services(
    world: &Inner,
    host: &Host,
    roles: &Roles,
    until: Instant,
) -> BTreeMap<ServiceName, Datum<ServiceAnswer>> {
    let asked = world.spec.probed_on(&host.access.name, &roles.master).map(async |service| {
        let deadline_ms = service.readiness.map_or(0, |probe| probe.deadline_ms);
        let own = Instant::now() + Duration::from_millis(deadline_ms + PROBE_WAY_MS);
        let asking = async {
            readiness::ask(world, host, &service.name).await.map_err(|silent| unread(&silent))
        };
        (service.name.clone(), in_time(until.max(own), asking).await)
    });
    join_all(asked).await.into_iter().collect()
}

/// What the power fence says of the host; none where there is no power fence.
async fn power(host: &Host, until: Instant) -> Option<Datum<Power>> {
    host.access.power.as_ref()?;
    let until = until + POWER_MORE;
    let asked = has_power(host, left(until)).await;
    Some(asked.map_err(|why| Unread(why.to_string())))
}

fn failed(why: &Failure) -> Unread {
    Unread(why.to_string())
}
