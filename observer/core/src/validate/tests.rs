//! Every check, passing on a healthy pair and failing on the one thing that breaks it.
//!
//! The breakages are data: each names the check that must find it, and no other severe check may.
//! A check without a breakage fails the test, and so does one that a silent machine leaves passed.

use std::collections::BTreeSet;

use super::healthy::{observer, roles, spec, survey};
use super::*;
use crate::digest::Age;
use crate::files::verify::{Class, Finding, NamedPaths};
use crate::files::{CleanPass, PassTrouble};
use crate::mounts::{MountReport, MountStep, MountSurvey, MountUse, Token};
use crate::parity::{Found, Print};
use crate::policy::{Durability, FenceGrade};
use crate::sighting::{Admission, LeaseSeen, UnitState};

#[path = "external_tests.rs"]
mod external;
#[path = "fence_tests.rs"]
mod fence;
#[path = "files_tests.rs"]
mod of_files;

fn report(survey: &Survey, observer: &ObserverState) -> ValidationReport {
    let (spec, roles) = (spec(), roles());
    validate(&Inputs { spec: &spec, roles: &roles, survey, observer })
}

fn amiss(report: &ValidationReport) -> BTreeSet<String> {
    report.checks.iter().filter(|check| check.is_amiss()).map(|check| check.id.clone()).collect()
}

type Break = fn(&mut Survey, &mut ObserverState);

fn machine<'a>(survey: &'a mut Survey, host: &str) -> &'a mut MachineSurvey {
    survey.hosts.get_mut(&host.into()).unwrap().machine.as_mut().unwrap()
}

fn database<'a>(survey: &'a mut Survey, host: &str) -> &'a mut DatabaseSurvey {
    survey.hosts.get_mut(&host.into()).unwrap().database.as_mut().unwrap()
}

fn contents(survey: &mut Survey) -> &mut DatabaseContents {
    let host = survey.hosts.get_mut(&"node-a".into()).unwrap();
    &mut host.contents.as_mut().unwrap()[0]
}

fn proxy(survey: &mut Survey) -> &mut ProxySurvey {
    survey.proxies.get_mut(&"proxy".into()).unwrap()
}

fn proxy_files(survey: &mut Survey) -> &mut ProxyFiles {
    proxy(survey).files.as_mut().unwrap()
}

fn ask_for(survey: &mut Survey, set_by: SetBy) {
    let (name, file) = ("DESK_PORT".to_owned(), "/etc/haproxy/desk.cfg".to_owned());
    proxy_files(survey).variables.push(MissingVariable { name, file, line: 2, set_by });
}

fn set(survey: &mut Survey, host: &str, name: &str, value: &str) {
    database(survey, host).settings.insert(name.to_owned(), value.to_owned());
}

fn refuse(rights: &mut CommandRights) {
    let (line, said) = ("/usr/bin/rm -f x".to_owned(), "a password is required".to_owned());
    rights.refused.push(RefusedCommand { line, said });
}

fn find(survey: &mut Survey, about: LintSubject, weight: LintWeight) {
    let (rule, text, fix) = ("X01".to_owned(), "line 7: it".to_owned(), "mend it".to_owned());
    proxy(survey).findings.as_mut().unwrap().push(LintFinding { rule, weight, about, text, fix });
}

const OF_THE_OBSERVER_AND_MACHINES: &[(&str, Break)] = &[
    ("observer-free", |_, observer| observer.plan = Some(PlanId(7))),
    ("observer-free", |_, observer| observer.journal = Journal::Failing),
    ("observer-free", |_, observer| observer.paused = Some("upgrade".to_owned())),
    ("observer-acts", |_, observer| observer.unacknowledged = Some(PlanId(6))),
    ("slave-free", |_, observer| {
        observer.maintenance.push(("node-b".into(), "new memory, jo".to_owned()));
    }),
    ("slave-free", |_, observer| {
        observer.drained.push(("node-b".into(), "a new kernel, jo".to_owned()));
    }),
    ("power-fence", |survey, _| {
        let why = Unread("ended with 1: login denied".to_owned());
        survey.hosts.get_mut(&"node-b".into()).unwrap().power = Some(Err(why));
    }),
    ("host-sudo", |survey, _| refuse(&mut machine(survey, "node-b").rights)),
    ("starts-at-boot", |survey, _| {
        machine(survey, "node-b").service_units[0].at_boot = "enabled".to_owned();
    }),
    ("remove-ipc", |survey, _| {
        machine(survey, "node-b").database_owner = Ok(1_001);
        machine(survey, "node-b").remove_ipc = Ok(IpcRemoval::AtLogout);
    }),
    ("host-clock", |survey, _| {
        let clock = ClockSurvey { ahead_ms: -60_000, doubt_ms: 2 };
        survey.hosts.get_mut(&"node-b".into()).unwrap().clock = Ok(clock);
    }),
    ("disk-room", |survey, _| {
        machine(survey, "node-b").disk.as_mut().unwrap().free_bytes = 3 << 20;
        // Who writes nothing does not fill it any further.
        database(survey, "node-a").wal_bytes_per_second = Some(0.0);
    }),
    ("disk-time", |survey, _| {
        database(survey, "node-a").wal_bytes_per_second = Some(2_000_000.0);
    }),
    ("c-library", |survey, _| {
        machine(survey, "node-b").c_library = Ok("glibc 2.41".to_owned());
    }),
    ("rejoin-programs", |survey, _| {
        machine(survey, "node-a").missing_programs.push("pg_rewind".to_owned());
    }),
    ("guard", |survey, _| machine(survey, "node-b").guard = Ok(GuardSurvey::Missing)),
    ("guard", |survey, _| machine(survey, "node-a").guard = Ok(GuardSurvey::Differs)),
    ("guard", |survey, _| machine(survey, "node-a").guard = Ok(GuardSurvey::NotRead)),
    ("lease", |survey, _| machine(survey, "node-a").lease = LeaseSeen::Other),
    ("services", |survey, _| {
        machine(survey, "node-b").service_units[0].state = Some(UnitState::Failed);
    }),
    ("services", |survey, _| machine(survey, "node-b").service_units[1].state = None),
    ("singletons", |survey, _| {
        machine(survey, "node-b").service_units[1].state = Some(UnitState::Active);
    }),
];

/// An item of parity that node-b has otherwise.
fn differ(survey: &mut Survey, item: usize) {
    let found = Found::Value { print: Print("8".to_owned()), shown: None };
    survey.parity[item].hosts.insert("node-b".into(), Ok(found));
}

fn last(observer: &mut ObserverState) -> &mut LastVerified {
    observer.files.verified.get_mut(&"attachments".into()).unwrap()
}

fn named(observer: &mut ObserverState) -> &mut NamedPaths {
    last(observer).database.as_mut().unwrap().result.database.as_mut().unwrap()
}

fn pass(observer: &mut ObserverState) -> &mut CleanPass {
    &mut observer.files.standings[0].clean.as_mut().unwrap().1
}

const OF_FILES: &[(&str, Break)] = &[
    ("files-current", |_, observer| observer.files.standings[0].age = Age::Stale),
    ("files-current", |_, observer| {
        observer.files.standings[0].trouble = Some(PassTrouble::Failed("no route".to_owned()));
    }),
    ("files-current", |_, observer| {
        let finding = || Finding { path: "a".to_owned(), what: "content".to_owned() };
        let tally = &mut last(observer).last.as_mut().unwrap().result.tally;
        tally.add(Class::Differs, 1, finding);
    }),
    ("files-last-pass", |_, observer| pass(observer).took_ms = 16_000),
    ("files-in-time", |_, observer| {
        (pass(observer).took_ms, pass(observer).files) = (61_000, 1);
    }),
    ("files-on-master", |_, observer| {
        let files = vec!["licence.lic".to_owned()];
        observer.files.standings[0].trouble = Some(PassTrouble::Missing { files });
    }),
    ("files-in-database", |_, observer| named(observer).missing_on_slave = 1),
    ("files-in-database", |_, observer| last(observer).database = None),
    ("files-in-database", |_, observer| {
        observer.files.now = At(8 * 86_400_000);
    }),
];

const OF_PARITY: &[(&str, Break)] = &[
    ("parity-severe", |survey, _| differ(survey, 0)),
    ("parity-severe", |survey, _| {
        let missing = Found::Missing("no such key".to_owned());
        survey.parity[0].hosts.insert("node-b".into(), Ok(missing));
    }),
    ("parity", |survey, _| differ(survey, 1)),
];

const OF_THE_DATABASE: &[(&str, Break)] = &[
    ("database-role", |survey, _| database(survey, "node-b").in_recovery = false),
    ("same-cluster", |survey, _| {
        database(survey, "node-b").system_identifier = "8".to_owned();
    }),
    ("timeline", |survey, _| database(survey, "node-b").timeline = 1),
    ("streaming", |survey, _| database(survey, "node-b").walreceiver = None),
    ("slot", |survey, _| database(survey, "node-a").slots.clear()),
    ("slot", |survey, _| database(survey, "node-a").slots[0].active = false),
    ("slot", |survey, _| set(survey, "node-b", "primary_slot_name", "")),
    ("slot", |survey, _| {
        database(survey, "node-a").slots[0].wal_status = Some("lost".to_owned());
    }),
    ("lag-received", |survey, _| database(survey, "node-a").lsn += 1 << 30),
    ("lag-received", |survey, _| {
        database(survey, "node-a").walsenders[0].flush_lag_ms = Some(60_000);
    }),
    ("lag-replayed", |survey, _| database(survey, "node-b").replayed_lsn -= 64 << 20),
    ("replay-paused", |survey, _| database(survey, "node-b").replay_paused = true),
    ("apply-delay", |survey, _| set(survey, "node-b", "recovery_min_apply_delay", "60000")),
    ("reverse-login", |survey, _| {
        let words = "no pg_hba.conf entry".to_owned();
        let login = Ok(ReplicationLogin::Refused(words));
        let host = survey.hosts.get_mut(&"node-b".into()).unwrap();
        host.replication_logins.insert("node-a".into(), login);
    }),
    ("reverse-login", |survey, _| {
        let host = survey.hosts.get_mut(&"node-b".into()).unwrap();
        host.replication_logins.insert("node-a".into(), Ok(ReplicationLogin::NobodyListens));
    }),
    ("walsender-room", |survey, _| {
        set(survey, "node-a", "max_wal_senders", "0");
        set(survey, "node-b", "max_wal_senders", "0");
    }),
    ("slot-room", |survey, _| set(survey, "node-b", "max_replication_slots", "0")),
    ("rewind", |survey, _| set(survey, "node-a", "wal_log_hints", "off")),
    ("synchronous-names", |survey, _| {
        set(survey, "node-b", "synchronous_standby_names", "node-b");
    }),
    ("read-only", |survey, _| set(survey, "node-b", "default_transaction_read_only", "on")),
    ("database-rights", |survey, _| {
        database(survey, "node-b").missing_rights.push("grant pg_monitor to x".to_owned());
    }),
    ("settings-of-slave", |survey, _| set(survey, "node-b", "max_connections", "50")),
    ("settings-of-master", |survey, _| set(survey, "node-b", "max_connections", "150")),
    ("wal-level", |survey, _| set(survey, "node-b", "wal_level", "logical")),
    ("database-version", |survey, _| database(survey, "node-b").version = 150_003),
    ("extensions", |survey, _| {
        contents(survey).extensions.as_mut().unwrap().push("postgis 3.4".to_owned());
    }),
    ("sequences", |survey, _| {
        contents(survey).nearly_used_up.as_mut().unwrap().push("public.ids".to_owned());
    }),
    ("unlogged", |survey, _| {
        contents(survey).unlogged.as_mut().unwrap().push("public.sessions".to_owned());
    }),
    ("logical-slots", |survey, _| {
        let (name, kind) = ("feed".to_owned(), "logical".to_owned());
        let slot = SlotSurvey { name, kind, active: true, wal_status: None };
        database(survey, "node-a").slots.push(slot);
    }),
    ("long-transaction", |survey, _| {
        let (user, state) = ("desk".to_owned(), "idle in transaction".to_owned());
        let open = TransactionSurvey { pid: 42, user, state, age_s: 90 };
        database(survey, "node-a").open_transactions.push(open);
    }),
    ("prepared-transaction", |survey, _| {
        database(survey, "node-a").prepared_transactions = 1;
    }),
    ("base-backup", |survey, _| database(survey, "node-a").base_backups = 1),
    ("archiving", |survey, _| {
        let archiving = ArchivingSurvey { last_failed: true, waiting_files: Some(3) };
        database(survey, "node-a").archiving = Some(archiving);
    }),
    ("archiving", |survey, _| {
        let archiving = ArchivingSurvey { last_failed: false, waiting_files: Some(900) };
        database(survey, "node-a").archiving = Some(archiving);
    }),
];

const OF_THE_APPLICATION_AND_PROXIES: &[(&str, Break)] = &[
    ("application", |survey, _| {
        let host = survey.hosts.get_mut(&"node-a".into()).unwrap();
        host.application = Some(Ok(Health::Ill("status 500".to_owned())));
    }),
    ("service-ready", |survey, _| {
        let host = survey.hosts.get_mut(&"node-a".into()).unwrap();
        let seen = "exit code 3: queue is closed".to_owned();
        host.services.insert("desk-scheduler".into(), Ok(ServiceAnswer::NotReady(seen)));
    }),
    ("application-through-proxy", |survey, _| {
        proxy(survey).application[0].1 = Ok(Health::Refused);
    }),
    ("proxy-answers", |survey, _| {
        proxy(survey).running = Ok(Vec::new());
        proxy(survey).file = Ok(Vec::new());
    }),
    ("proxy-users", |survey, _| {
        proxy(survey).running.as_mut().unwrap()[1].admission = Admission::LetIn;
        proxy(survey).file.as_mut().unwrap()[1].admission = Admission::LetIn;
    }),
    ("proxy-file", |survey, _| {
        proxy(survey).file.as_mut().unwrap()[1].admission = Admission::LetIn;
    }),
    ("proxy-files", |survey, _| {
        proxy_files(survey).checked.opened.truncate(1);
    }),
    ("proxy-files", |survey, _| proxy_files(survey).starts.as_mut().unwrap().opened.reverse()),
    ("proxy-files", |survey, _| {
        proxy_files(survey).servers[0].file = "/etc/haproxy/base.cfg".to_owned();
    }),
    ("proxy-files", |survey, _| proxy_files(survey).changed = "/etc/haproxy/old.cfg".to_owned()),
    ("proxy-files", |survey, _| {
        let place = proxy_files(survey).servers[0].clone();
        proxy_files(survey).turned_elsewhere.push(place);
    }),
    ("proxy-files", |survey, _| ask_for(survey, SetBy::Unit)),
    ("proxy-files", |survey, _| {
        proxy_files(survey).obstacle = Some("it is a symbolic link".to_owned());
    }),
    ("proxy-check", |survey, _| {
        proxy(survey).check = Ok(FileCheck::Rejected("unknown keyword".to_owned()));
    }),
    ("proxy-sudo", |survey, _| refuse(proxy(survey).rights.as_mut().unwrap())),
    ("waiting-room", |survey, _| find(survey, LintSubject::WaitingRoom, LintWeight::Error)),
    ("proxy-errors", |survey, _| find(survey, LintSubject::Rest, LintWeight::Error)),
    ("proxy-warnings", |survey, _| find(survey, LintSubject::Rest, LintWeight::Warning)),
    ("proxy-at-boot", |survey, _| proxy(survey).at_boot = Ok("disabled".to_owned())),
    ("proxy-clock", |survey, _| {
        proxy(survey).clock = Ok(ClockSurvey { ahead_ms: 5_000, doubt_ms: 2 });
    }),
];

fn bouncer(survey: &mut Survey) -> &mut BouncerSurvey {
    let found = survey.bouncers.get_mut(&"bouncer".into()).unwrap();
    found.as_mut().unwrap().as_mut().unwrap()
}

fn configure(survey: &mut Survey, name: &str, value: &str) {
    bouncer(survey).settings.insert(name.to_owned(), value.to_owned());
}

const OF_THE_BOUNCERS: &[(&str, Break)] = &[
    ("bouncer-admin", |survey, _| configure(survey, "admin_users", "postgres")),
    ("bouncer-paused", |survey, _| bouncer(survey).databases[0].paused = true),
    ("bouncer-leads-past", |survey, _| {
        bouncer(survey).databases[0].past_proxies = Some("node-a".into());
    }),
    // The shipped hold_limit is 30 s.
    ("bouncer-wait", |survey, _| configure(survey, "query_wait_timeout", "30")),
    // PgBouncer's own default.
    ("bouncer-login-retry", |survey, _| configure(survey, "server_login_retry", "15")),
    ("bouncer-pool-mode", |survey, _| {
        bouncer(survey).databases[0].pool_mode = "session".to_owned();
    }),
    ("bouncer-databases", |survey, _| bouncer(survey).missing.push("desc".to_owned())),
];

fn mount<'a>(survey: &'a mut Survey, host: &str, mount: &str) -> &'a mut MountSurvey {
    let host = survey.hosts.get_mut(&host.into()).unwrap();
    host.mounts.get_mut(&mount.into()).unwrap().as_mut().unwrap()
}

const OF_MOUNTS: &[(&str, Break)] = &[
    ("mount-present", |survey, _| {
        let report = NOT_MOUNTED;
        *mount(survey, "node-b", "keys") = MountSurvey { report, tokens: None };
    }),
    ("mount-source", |survey, _| {
        let source = &mut mount(survey, "node-b", "keys").report.source;
        source.as_mut().unwrap().name = "storage:/old".to_owned();
    }),
    ("mount-usable", |survey, _| {
        let why = "Read-only file system".to_owned();
        let fails = MountUse::Fails { step: MountStep::Write, why };
        mount(survey, "node-b", "keys").report.used = fails;
    }),
    ("mount-usable", |survey, _| {
        let hangs = MountUse::Hangs { step: Some(MountStep::Lock), for_ms: 9_000 };
        mount(survey, "node-b", "keys").report.used = hangs;
    }),
    ("mount-shared", |survey, _| {
        let tokens = vec![("node-a".into(), Token::NotSeen)];
        mount(survey, "node-b", "keys").tokens = Some(tokens);
    }),
    ("mount-room", |survey, _| {
        mount(survey, "node-b", "keys").report.room.as_mut().unwrap().free_bytes = 1 << 20;
    }),
    ("mount-room", |survey, _| {
        mount(survey, "node-b", "reports").report.room.as_mut().unwrap().free_inodes = 9;
    }),
    ("mount-rest", |survey, _| mount(survey, "node-a", "keys").report = NOT_MOUNTED),
    ("mount-rest", |survey, _| {
        let hangs = MountUse::Hangs { step: None, for_ms: 9_000 };
        mount(survey, "node-b", "reports").report.used = hangs;
    }),
];

const NOT_MOUNTED: MountReport =
    MountReport { source: None, used: MountUse::NotMounted, room: None };

fn breakages() -> impl Iterator<Item = &'static (&'static str, Break)> {
    let all = [
        OF_THE_OBSERVER_AND_MACHINES,
        OF_PARITY,
        OF_FILES,
        OF_MOUNTS,
        OF_THE_DATABASE,
        OF_THE_APPLICATION_AND_PROXIES,
        OF_THE_BOUNCERS,
    ];
    all.into_iter().flatten()
}

#[test]
fn a_healthy_pair_is_ready_for_everything_and_no_check_is_amiss() {
    let report = report(&survey(), &observer());
    assert_eq!(amiss(&report), BTreeSet::new());
    for verdict in &report.readiness {
        assert!(verdict.is_ready(Strictness::Warnings), "{verdict:?}");
        assert_eq!(report.refuses(verdict.readiness), Vec::<&CheckReport>::new());
    }
}

/// Each breakage is found by its check and by no other, stands against exactly what the table
/// says, and comes with evidence and a fix.
#[test]
fn every_breakage_is_found_by_its_check_alone() {
    for (id, breaks) in breakages() {
        let (mut survey, mut observer) = (survey(), observer());
        breaks(&mut survey, &mut observer);
        let report = report(&survey, &observer);
        assert_eq!(amiss(&report), BTreeSet::from([(*id).to_owned()]));
        let check = CHECKS.iter().find(|check| check.id == *id).expect("it is in the table");
        for verdict in &report.readiness {
            let against = check.readies.contains(&verdict.readiness);
            let severe = check.severity == Severity::Severe;
            assert_eq!(verdict.ready, !(against && severe), "{id}: {verdict:?}");
            assert_eq!(verdict.is_ready(Strictness::Warnings), !against, "{id}: {verdict:?}");
            assert_eq!(report.refuses(verdict.readiness).is_empty(), verdict.ready, "{id}");
        }
        let found = report.graded(Grade::Failed).next().expect("it failed");
        assert!(!found.evidence.is_empty() && found.fix.is_some(), "{found:?}");
    }
}

#[test]
fn every_check_has_a_breakage() {
    let broken: BTreeSet<&str> = breakages().map(|(id, _)| *id).collect();
    // One never fails: a machine that does not answer is unknown, which the next test shows. The
    // others belong to another grade of the fence, or another kind of pair, and have tests of their
    // own.
    let never = BTreeSet::from([
        "host-reachable",
        "power-fence-beside",
        "proxy-database",
        "database-reached",
    ]);
    for check in CHECKS {
        let either = broken.contains(check.id) != never.contains(check.id);
        assert!(either, "{} is not broken by any test", check.id);
    }
}

/// Unknown is not absent: what a silent machine leaves unread is never taken for passed, and it
/// stands against a switchover.
#[test]
fn a_silent_machine_makes_its_checks_unknown() {
    let silent = || Unread("no answer in time".to_owned());
    let mut survey = survey();
    let slave = survey.hosts.get_mut(&"node-b".into()).unwrap();
    slave.machine = Err(silent());
    slave.clock = Err(silent());
    slave.database = Err(silent());
    slave.replication_logins.clear();
    slave.mounts.clear();
    let report = report(&survey, &observer());
    // What people have ordered of it is the journal's, and known whatever it answers.
    let checks = report.checks.iter().filter(|check| check.subject == "node-b");
    for check in
        checks.filter(|check| !["slave-free", "database-reached"].contains(&check.id.as_str()))
    {
        assert_eq!(check.grade, Grade::Unknown, "{check:?}");
    }
    for readiness in Readiness::iter() {
        assert!(!report.refuses(readiness).is_empty(), "{readiness:?}");
    }
    let switchover = report.readiness[0];
    assert_eq!((switchover.ready, switchover.failed), (false, 0));
}

#[test]
fn a_database_that_was_not_read_keeps_its_extensions_unknown() {
    let mut survey = survey();
    contents(&mut survey).extensions = Err(Unread("login refused".to_owned()));
    let report = report(&survey, &observer());
    assert_eq!(amiss(&report), BTreeSet::from(["extensions".to_owned()]));
    assert!(!report.readiness[0].ready);
}

/// Nobody comes through a PgBouncer that does not run; one that cannot be asked is not taken for
/// one that can be paused; and a client without a limit waits for as long as it takes.
#[test]
fn a_pgbouncer_that_is_not_there_is_told_from_one_that_does_not_answer() {
    let with = |seen: Datum<Option<BouncerSurvey>>| {
        let mut survey = survey();
        survey.bouncers.insert("bouncer".into(), seen);
        report(&survey, &observer())
    };
    assert_eq!(amiss(&with(Ok(None))), BTreeSet::new());
    let silent = with(Err(Unread("no answer in time".to_owned())));
    assert!(!silent.readiness[0].ready && silent.readiness[0].failed == 0);
    let mut endless = survey();
    configure(&mut endless, "query_wait_timeout", "0");
    assert_eq!(amiss(&report(&endless, &observer())), BTreeSet::new());
}

#[test]
fn shared_memory_of_a_system_account_is_safe_whatever_logind_does() {
    let mut survey = survey();
    machine(&mut survey, "node-b").remove_ipc = Ok(IpcRemoval::AtLogout);
    assert_eq!(amiss(&report(&survey, &observer())), BTreeSet::new());
    machine(&mut survey, "node-b").remove_ipc = Err(Unread("no logind".to_owned()));
    assert_eq!(amiss(&report(&survey, &observer())), BTreeSet::new());
}

#[test]
fn ids_are_unique_plain_words_and_every_row_is_documented() {
    let mut ids = BTreeSet::new();
    for check in CHECKS {
        assert!(ids.insert(check.id), "{} is there twice", check.id);
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(check.id.chars().all(plain), "{}", check.id);
        assert!(!check.readies.is_empty(), "{} stands against nothing", check.id);
        for text in [check.title, check.why, check.fix] {
            assert!(!text.is_empty(), "{} is not documented", check.id);
        }
    }
}

/// A slave that was master while commits waited still says so; plans empty it before they promote.
#[test]
fn what_plans_set_themselves_is_amiss_only_where_no_plan_empties_it() {
    let amiss_with = |names: &str, durability| {
        let (mut survey, mut spec, roles) = (survey(), spec(), roles());
        set(&mut survey, "node-b", "synchronous_standby_names", names);
        spec.policy.durability = durability;
        let observer = observer();
        amiss(&validate(&Inputs {
            spec: &spec,
            roles: &roles,
            survey: &survey,
            observer: &observer,
        }))
    };
    let found = BTreeSet::from(["synchronous-names".to_owned()]);
    assert_eq!(amiss_with("\"node-a\"", Durability::Sync), BTreeSet::new());
    assert_eq!(amiss_with("\"node-a\"", Durability::Async), found);
    assert_eq!(amiss_with("\"backup\"", Durability::Sync), found);
    assert_eq!(amiss_with("ANY 1 (\"node-a\", backup)", Durability::Sync), found);
}

/// Each difference is told with its place and with what to write.
#[test]
fn what_haproxy_loads_is_told_with_place_and_fix() {
    let said = |change: fn(&mut Survey)| {
        let mut survey = survey();
        change(&mut survey);
        let report = report(&survey, &observer());
        let check = report.checks.iter().find(|check| check.id == "proxy-files").unwrap();
        format!("{}\n{}", check.evidence, check.fix.clone().unwrap_or_default())
    };
    let holds = |text: String, parts: &[&str]| {
        parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
    };
    let one = |survey: &mut Survey| proxy_files(survey).checked.opened.truncate(1);
    let list = "files = [\"/etc/haproxy/base.cfg\", \"/etc/haproxy/desk.cfg\"]";
    holds(said(one), &["loads /etc/haproxy/base.cfg, /etc/haproxy/desk.cfg", list]);
    let other = |survey: &mut Survey| {
        proxy_files(survey).checked.opened = vec!["/x.cfg".to_owned()];
        proxy_files(survey).changed = "/x.cfg".to_owned();
    };
    holds(said(other), &[list, "and `config = \"/etc/haproxy/desk.cfg\"`"]);
    let two = |survey: &mut Survey| {
        proxy_files(survey).servers[1].file = "/etc/haproxy/other.cfg".to_owned();
    };
    holds(said(two), &["/etc/haproxy/desk.cfg line 7", "/etc/haproxy/other.cfg line 8"]);
    let elsewhere = |survey: &mut Survey| proxy_files(survey).changed = "/x.cfg".to_owned();
    holds(said(elsewhere), &["config = \"/etc/haproxy/desk.cfg\"", "/x.cfg is changed"]);
    let variable = |survey: &mut Survey| ask_for(survey, SetBy::File("/etc/default/x".to_owned()));
    let place = "/etc/haproxy/desk.cfg line 2 asks for the variable DESK_PORT";
    holds(said(variable), &[place, "environment_file = \"/etc/default/x\""]);
    holds(said(|survey| ask_for(survey, SetBy::Unit)), &[place, "Environment= of haproxy.service"]);
    let only = |survey: &mut Survey| ask_for(survey, SetBy::CheckOnly("/etc/x".to_owned()));
    holds(said(only), &[place, "EnvironmentFile=/etc/x"]);
    let hidden = |survey: &mut Survey| {
        (proxy_files(survey).runs, proxy_files(survey).starts) = (None, None);
    };
    holds(said(hidden), &["by the pair's file alone"]);
}
