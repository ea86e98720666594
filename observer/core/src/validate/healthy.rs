//! A pair on which nothing is amiss, for tests to break.

use std::collections::BTreeMap;

use super::*;
use crate::digest::Age;
use crate::files::verify::{By, NamedPaths, Tally, Verification, Verified};
use crate::files::{CleanPass, PassKind};
use crate::mounts::{
    MountAccess, MountReport, MountRoom, MountSource, MountSpec, MountSurvey, MountUse, Token,
};
use crate::parity::{Found, Item, ItemReading, Mending, Print, Secrecy};
use crate::policy::{
    FenceGrade, FileSetSpec, Naming, Placement, Policy, PowerFence, Probed, ReadinessSpec,
    ServiceSpec, UserWait, UsersGo, WhenUndone,
};
use crate::sighting::{Admission, CheckResult, FileServer, LeaseSeen, ServerReport, UnitState};
use crate::words::{Epoch, MountName};

pub(super) fn spec() -> PairSpec {
    let service = |name: &str, placement| ServiceSpec {
        name: name.into(),
        unit: format!("{name}.service"),
        placement,
        probed: Probed::Unit,
        readiness: (placement == Placement::Master).then_some(ReadinessSpec { deadline_ms: 2_000 }),
        users: UserWait::GoOn,
        start_deadline_ms: 1_000,
        stop_deadline_ms: None,
    };
    PairSpec {
        name: "desk".into(),
        hosts: vec!["node-a".into(), "node-b".into()],
        proxies: vec!["proxy".into()],
        store: crate::policy::Store::OnHosts,
        sharing: Vec::new(),
        bouncers: vec!["bouncer".into()],
        monitor: None,
        files: vec![FileSetSpec {
            name: "attachments".into(),
            every_ms: 10_000,
            stale_after_ms: 120_000,
            near_deadline_ms: 600_000,
            last_deadline_ms: 15_000,
            verify_percent: 5,
            named: Naming::ByQuery,
            must_exist: vec!["licence.lic".to_owned()],
        }],
        mounts: vec![mount("keys", Severity::Severe), mount("reports", Severity::Warning)],
        services: vec![
            service("desk", Placement::All),
            service("desk-scheduler", Placement::Master),
        ],
        policy: Policy {
            fence: FenceGrade::PoweredOff,
            power_fence: Some(PowerFence {
                deadline_ms: 30_000,
                when_undone: WhenUndone::StaysOff,
            }),
            ..Policy::default()
        },
    }
}

fn mount(name: &str, severity: Severity) -> MountSpec {
    MountSpec {
        name: name.into(),
        path: format!("/srv/{name}"),
        source: None,
        access: MountAccess::ReadWrite,
        low_bytes: 512 << 20,
        low_ms: 600_000,
        every_ms: 10_000,
        deadline_ms: 2_000,
        severity,
    }
}

/// What a host's mounts show, and that it sees what the other has written.
fn mounts(other: &str) -> BTreeMap<MountName, Datum<MountSurvey>> {
    let survey = || MountSurvey {
        report: MountReport {
            source: Some(MountSource { name: "storage:/desk".to_owned(), kind: "nfs4".to_owned() }),
            used: MountUse::Works,
            room: Some(MountRoom {
                size_bytes: 100 << 30,
                free_bytes: 60 << 30,
                inodes: 1_000_000,
                free_inodes: 900_000,
            }),
        },
        tokens: Some(vec![(other.into(), Token::Seen)]),
    };
    BTreeMap::from([("keys".into(), Ok(survey())), ("reports".into(), Ok(survey()))])
}

pub(super) fn roles() -> Roles {
    Roles::of(&spec(), &"node-a".into())
}

pub(super) fn observer() -> ObserverState {
    ObserverState {
        candidate: None,
        plan: None,
        paused: None,
        maintenance: Vec::new(),
        drained: Vec::new(),
        unacknowledged: None,
        journal: Journal::Writable,
        files: FilesState {
            now: At(100_000),
            standings: vec![standing()],
            verified: BTreeMap::from([("attachments".into(), verified())]),
        },
    }
}

fn standing() -> FileStanding {
    FileStanding {
        set: "attachments".into(),
        host: "node-b".into(),
        clean: Some((At(96_000), pass())),
        unsynced_ms: Some(4_000),
        running: None,
        trouble: None,
        age: Age::Fresh,
    }
}

fn pass() -> CleanPass {
    CleanPass {
        kind: PassKind::Routine,
        epoch: Epoch(1),
        began_ms_ago: 4_000,
        took_ms: 900,
        files: 0,
        bytes: 0,
        deleted: 0,
        total: 7,
    }
}

/// A verification that asked the database a minute ago and found nothing amiss.
fn verified() -> LastVerified {
    let result = Verification {
        set: "attachments".into(),
        master: "node-a".into(),
        slave: "node-b".into(),
        by: By::Content,
        took_ms: 900,
        entries: 7,
        bytes: 70,
        hashed_files: 6,
        hashed_bytes: 70,
        looked_twice: 0,
        tally: Tally { same: 7, ..Tally::default() },
        database: Some(NamedPaths { named: 6, ..NamedPaths::default() }),
    };
    let mut last = LastVerified::default();
    last.take(&Verified { at: At(40_000), by: "jo".to_owned(), result });
    last
}

pub(super) fn survey() -> Survey {
    Survey {
        hosts: BTreeMap::from([("node-a".into(), master()), ("node-b".into(), slave())]),
        proxies: BTreeMap::from([("proxy".into(), proxy())]),
        bouncers: BTreeMap::from([("bouncer".into(), Ok(Some(bouncer())))]),
        parity: vec![reading("password", Severity::Severe), reading("locale", Severity::Warning)],
        took_ms: 300,
    }
}

/// An item that is the same on both hosts.
fn reading(name: &str, severity: Severity) -> ItemReading {
    let item = Item {
        name: name.to_owned(),
        what: format!("key {name} of /opt/desk/desk.properties"),
        severity,
        secrecy: Secrecy::Secret,
        same_as: None,
        mending: Mending::Copy,
    };
    let found = || Ok(Found::Value { print: Print("7".to_owned()), shown: None });
    let hosts = BTreeMap::from([("node-a".into(), found()), ("node-b".into(), found())]);
    ItemReading { item, hosts }
}

const CLOCK: ClockSurvey = ClockSurvey { ahead_ms: 3, doubt_ms: 2 };
const LSN: u64 = 5 << 30;

fn machine(scheduler: UnitState) -> MachineSurvey {
    let unit = |unit: &str, state| UnitSurvey {
        unit: unit.to_owned(),
        state: Some(state),
        at_boot: "disabled".to_owned(),
    };
    MachineSurvey {
        database_unit: Some(unit("postgresql@15-main.service", UnitState::Active)),
        service_units: vec![
            unit("desk.service", UnitState::Active),
            unit("desk-scheduler.service", scheduler),
        ],
        rights: CommandRights { asked: 17, refused: Vec::new() },
        c_library: Ok("glibc 2.36".to_owned()),
        remove_ipc: Ok(IpcRemoval::Never),
        database_owner: Ok(102),
        disk: Ok(DiskSurvey { place: "/".to_owned(), size_bytes: 100 << 30, free_bytes: 60 << 30 }),
        missing_programs: Vec::new(),
        guard: Ok(GuardSurvey::InPlace),
        lease: LeaseSeen::None,
        renewers: None,
    }
}

fn primary() -> DatabaseSurvey {
    let settings = [
        ("max_connections", "100"),
        ("max_worker_processes", "8"),
        ("max_wal_senders", "10"),
        ("max_prepared_transactions", "0"),
        ("max_locks_per_transaction", "64"),
        ("max_replication_slots", "10"),
        ("wal_level", "replica"),
        ("wal_log_hints", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "off"),
        ("primary_slot_name", "node_b"),
        ("recovery_min_apply_delay", "0"),
        ("synchronous_standby_names", ""),
        ("default_transaction_read_only", "off"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    DatabaseSurvey {
        in_recovery: false,
        version: 150_018,
        system_identifier: "7".to_owned(),
        timeline: 4,
        settings: settings.map(owned).into(),
        lsn: LSN,
        replayed_lsn: LSN,
        replay_paused: false,
        walreceiver: None,
        walsenders: Vec::new(),
        slots: Vec::new(),
        replication_user: None,
        missing_rights: Vec::new(),
        open_transactions: Vec::new(),
        prepared_transactions: 0,
        base_backups: 0,
        archiving: None,
        wal_bytes_per_second: Some(1_000.0),
        available_extensions: vec!["plpgsql 1.0".to_owned(), "hstore 1.8".to_owned()],
        databases: vec!["desk".to_owned()],
    }
}

fn master() -> HostSurvey {
    let slot = SlotSurvey {
        name: "node_b".to_owned(),
        kind: "physical".to_owned(),
        active: true,
        wal_status: Some("reserved".to_owned()),
    };
    let walsender = WalsenderSurvey {
        name: "node-b".to_owned(),
        state: Some("streaming".to_owned()),
        flush_lag_ms: Some(1),
        replay_lag_ms: Some(2),
    };
    let contents = DatabaseContents {
        database: "desk".to_owned(),
        extensions: Ok(vec!["plpgsql 1.0".to_owned()]),
        unlogged: Ok(Vec::new()),
        nearly_used_up: Ok(Vec::new()),
        unread_sequences: 0,
    };
    let database = DatabaseSurvey { slots: vec![slot], walsenders: vec![walsender], ..primary() };
    HostSurvey {
        machine: Ok(machine(UnitState::Active)),
        clock: Ok(CLOCK),
        database: Ok(database),
        contents: Ok(vec![contents]),
        replication_logins: BTreeMap::new(),
        external: None,
        application: Some(Ok(Health::Well)),
        services: BTreeMap::from([(
            "desk-scheduler".into(),
            Ok(ServiceAnswer::Ready("status 200".to_owned())),
        )]),
        mounts: mounts("node-b"),
        power: Some(Ok(Power::On)),
    }
}

fn slave() -> HostSurvey {
    let walreceiver =
        WalreceiverSurvey { status: "streaming".to_owned(), slot: Some("node_b".to_owned()) };
    let replication_user = Some("replicator".to_owned());
    let database = DatabaseSurvey {
        in_recovery: true,
        walreceiver: Some(walreceiver),
        replication_user,
        ..primary()
    };
    HostSurvey {
        machine: Ok(machine(UnitState::Stopped)),
        clock: Ok(CLOCK),
        database: Ok(database),
        contents: Ok(Vec::new()),
        replication_logins: BTreeMap::from([("node-a".into(), Ok(ReplicationLogin::AsksPassword))]),
        external: None,
        application: Some(Ok(Health::Ill("status 503".to_owned()))),
        services: BTreeMap::new(),
        mounts: mounts("node-a"),
        power: Some(Ok(Power::On)),
    }
}

/// `global` and `defaults` in one file, the pair in another.
fn proxy_files() -> ProxyFiles {
    let files = ["/etc/haproxy/base.cfg", "/etc/haproxy/desk.cfg"].map(str::to_owned).to_vec();
    let sources =
        Sources { named: files.clone(), opened: files.clone(), directory: None, local_peer: None };
    let place = |server: &str, line| {
        let (server, file) = (server.to_owned(), files[1].clone());
        ServerPlace { server, file, line }
    };
    ProxyFiles {
        unit: "haproxy.service".to_owned(),
        runs: Some(sources.clone()),
        starts: Some(sources.clone()),
        checked: sources,
        changed: files[1].clone(),
        servers: vec![place("desk/node-a", 7), place("desk/node-b", 8)],
        turned_elsewhere: Vec::new(),
        variables: Vec::new(),
        obstacle: None,
    }
}

fn proxy() -> ProxySurvey {
    let hosts = [("node-a", Admission::LetIn), ("node-b", Admission::TakenOut)];
    let running = |(host, admission): (&str, Admission)| ServerReport {
        backend: "desk".to_owned(),
        server: host.to_owned(),
        host: host.into(),
        users: UsersGo::Master,
        admission,
        check: CheckResult::Well,
        sessions: 2,
    };
    let written = |(host, admission): (&str, Admission)| FileServer {
        backend: "desk".to_owned(),
        server: host.to_owned(),
        host: host.into(),
        users: UsersGo::Master,
        admission,
    };
    ProxySurvey {
        running: Ok(hosts.map(running).to_vec()),
        file: Ok(hosts.map(written).to_vec()),
        files: Ok(proxy_files()),
        findings: Ok(Vec::new()),
        check: Ok(FileCheck::Passes),
        rights: Ok(CommandRights { asked: 13, refused: Vec::new() }),
        at_boot: Ok("enabled".to_owned()),
        clock: Ok(CLOCK),
        application: vec![("127.0.0.1:80".to_owned(), Ok(Health::Well))],
    }
}

fn bouncer() -> BouncerSurvey {
    let settings = [
        ("admin_users", "postgres, ha-observer"),
        ("query_wait_timeout", "120"),
        ("server_login_retry", "1"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let database = BouncerDatabase {
        name: "desk".to_owned(),
        paused: false,
        pool_mode: "transaction".to_owned(),
        past_proxies: None,
    };
    BouncerSurvey {
        version: "PgBouncer 1.18.0".to_owned(),
        settings: settings.map(owned).into(),
        user: "ha-observer".to_owned(),
        databases: vec![database],
        missing: Vec::new(),
    }
}
