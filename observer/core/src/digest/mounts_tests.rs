//! Each way in which a mount can be amiss is named, once it was seen twice.

use super::*;
use crate::journal::Memory;
use crate::ledger::Snapshot;
use crate::mounts::MountSource;
use crate::policy::{PairSpec, Policy};
use crate::sighting::{MachineReport, Sighting, SystemState};

const GIB: u64 = 1 << 30;

fn spec(source: Option<&str>, access: MountAccess) -> PairSpec {
    let mount = MountSpec {
        name: "keys".into(),
        path: "/srv/keys".to_owned(),
        source: source.map(str::to_owned),
        access,
        low_bytes: GIB,
        low_ms: 600_000,
        every_ms: 10_000,
        deadline_ms: 2_000,
        severity: Severity::Severe,
    };
    PairSpec {
        name: "desk".into(),
        hosts: vec!["node-a".into(), "node-b".into()],
        proxies: Vec::new(),
        store: crate::policy::Store::OnHosts,
        sharing: Vec::new(),
        bouncers: Vec::new(),
        files: Vec::new(),
        monitor: None,
        mounts: vec![mount],
        services: Vec::new(),
        policy: Policy::default(),
    }
}

fn report(source: &str, used: MountUse, free_bytes: u64) -> MountReport {
    MountReport {
        source: Some(MountSource { name: source.to_owned(), kind: "nfs4".to_owned() }),
        used,
        room: Some(MountRoom { size_bytes: 100 * GIB, free_bytes, inodes: 0, free_inodes: 0 }),
    }
}

fn well(source: &str) -> MountReport {
    report(source, MountUse::Works, 50 * GIB)
}

fn look(host: &str) -> Look {
    Look::Mount { host: host.into(), mount: "keys".into() }
}

fn take(snapshot: &mut Snapshot, look: Look, at: u64, seen: Result<Seen, Silent>) {
    snapshot.take(Sighting { look, asked_at: At(at), at: At(at), seen });
}

fn of(snapshot: &Snapshot, spec: &PairSpec) -> Vec<MountStanding> {
    let memory = Memory::default();
    let inputs = Inputs { snapshot, spec, memory: &memory, now: At(0) };
    standings(inputs, Some(&"node-a".into()))
}

/// What is said of node-b's mount after these looks at it, five seconds apart, beside a good
/// master.
#[track_caller]
fn check(spec: &PairSpec, looks: &[MountReport], said: &str) {
    let mut snapshot = Snapshot::default();
    take(&mut snapshot, look("node-a"), 1, Ok(Seen::Mount(well("storage:/keys"))));
    for (index, report) in looks.iter().enumerate() {
        let at = 100_000 + 5_000 * index as u64;
        take(&mut snapshot, look("node-b"), at, Ok(Seen::Mount(report.clone())));
    }
    let standings = of(&snapshot, spec);
    let all: Vec<String> = told(&standings).collect();
    let wanted = if said.is_empty() { Vec::new() } else { vec![said.to_owned()] };
    assert_eq!(all, wanted, "{standings:?}");
    assert_eq!(is_unwell(&standings, Some(&"node-b".into())), !said.is_empty());
    assert!(!is_unwell(&standings, Some(&"node-a".into())));
    assert!(!is_unwell(&standings, None));
}

#[test]
fn what_is_amiss_is_named_after_a_second_look() {
    let spec = spec(None, MountAccess::ReadWrite);
    let twice = |report: MountReport| vec![report.clone(), report];
    check(&spec, &[], "");
    check(&spec, &[well("storage:/keys")], "");
    let absent = MountReport { source: None, used: MountUse::NotMounted, room: None };
    check(&spec, std::slice::from_ref(&absent), "");
    check(&spec, &twice(absent.clone()), "mount keys (/srv/keys) on node-b is not mounted");
    check(&spec, &[absent.clone(), well("storage:/keys")], "");
    let why = "Read-only file system".to_owned();
    let fails = MountUse::Fails { step: MountStep::Write, why };
    let words = "mount keys (/srv/keys) on node-b cannot be used: writing fails: Read-only file \
                 system";
    check(&spec, &twice(report("storage:/keys", fails.clone(), GIB)), words);
    let words = "mount keys (/srv/keys) on node-b is low: 0 B of 100.0 GiB free; writing fails: \
                 Read-only file system";
    check(&spec, &twice(report("storage:/keys", fails.clone(), 0)), words);
    let hangs = MountUse::Hangs { step: Some(MountStep::Rename), for_ms: 9_000 };
    let words = "mount keys (/srv/keys) on node-b hangs while renaming";
    check(&spec, &twice(report("storage:/keys", hangs, GIB)), words);
    // Why it is refused is that it is another one.
    let words = "mount keys (/srv/keys) on node-b is other:/keys, and on node-a it is \
                 storage:/keys";
    check(&spec, &twice(report("other:/keys", fails, GIB)), words);
    check(&spec, &[well("other:/keys")], words);
    let low = report("storage:/keys", MountUse::Works, GIB / 2);
    let words = "mount keys (/srv/keys) on node-b is low: 512.0 MiB of 100.0 GiB free";
    check(&spec, std::slice::from_ref(&low), words);
    check(&self::spec(None, MountAccess::ReadOnly), &[low], "");
}

#[test]
fn a_source_that_is_configured_is_held_against_every_host() {
    let spec = spec(Some("storage:/new"), MountAccess::ReadWrite);
    let mut snapshot = Snapshot::default();
    for host in ["node-a", "node-b"] {
        take(&mut snapshot, look(host), 1, Ok(Seen::Mount(well("storage:/keys"))));
    }
    let said: Vec<String> = told(&of(&snapshot, &spec)).collect();
    let of_host = |host| {
        format!("mount keys (/srv/keys) on {host} is storage:/keys, and must be storage:/new")
    };
    assert_eq!(said, [of_host("node-a"), of_host("node-b")]);
}

/// The host knows since when its probe hangs, also across a restart of the observer.
#[test]
fn a_hung_mount_is_told_with_since_when_it_hangs() {
    let spec = spec(None, MountAccess::ReadWrite);
    let mut snapshot = Snapshot::default();
    let hang = |snapshot: &mut Snapshot, at, for_ms| {
        let report = report("storage:/keys", MountUse::Hangs { step: None, for_ms }, GIB);
        take(snapshot, look("node-b"), at, Ok(Seen::Mount(report)));
    };
    hang(&mut snapshot, 90_000, 2_000);
    assert_eq!(of(&snapshot, &spec).pop().unwrap().state, MountState::Doubted, "late once");
    let mut snapshot = Snapshot::default();
    hang(&mut snapshot, 101_000, 60_000);
    let standing = of(&snapshot, &spec).pop().unwrap();
    assert_eq!(standing.state, MountState::Hung { step: None });
    assert_eq!(standing.since, Some(At(41_000)));
}

#[test]
fn a_mount_that_fills_fast_is_low_before_it_is_full() {
    let spec = spec(None, MountAccess::ReadWrite);
    let filling: Vec<MountReport> =
        (0..=30).map(|look| report("storage:/keys", MountUse::Works, (50 - look) * GIB)).collect();
    check(
        &spec,
        &filling,
        "mount keys (/srv/keys) on node-b is low: 20.0 GiB of 100.0 GiB free, full in 100.0 s",
    );
}

#[test]
fn few_inodes_are_little_room_and_a_small_file_system_has_few() {
    let room =
        |inodes, free_inodes| MountRoom { size_bytes: 1, free_bytes: 1, inodes, free_inodes };
    assert!(has_few_inodes(&room(1_000_000, 999)));
    assert!(!has_few_inodes(&room(1_000_000, 1_000)));
    assert!(!has_few_inodes(&room(1_200, 900)), "a small one is not low from the start");
    assert!(has_few_inodes(&room(1_200, 59)));
    assert!(!has_few_inodes(&room(0, 0)), "some count none");
}

/// Silence of the mount alone is told where the host answers otherwise; a silent host says nothing.
#[test]
fn a_mount_that_is_not_shown_by_a_host_that_answers_is_amiss() {
    let spec = spec(None, MountAccess::ReadWrite);
    let mut snapshot = Snapshot::default();
    let machine = |snapshot: &mut Snapshot, host: &str, at| {
        let report = MachineReport {
            system: SystemState::Running,
            units: Vec::new(),
            tombstone: false,
            lease: crate::sighting::LeaseSeen::None,
            monitor: None,
        };
        take(snapshot, Look::Machine(host.into()), at, Ok(Seen::Machine(report)));
    };
    let denied = || Err(Silent::Denied("sudo asks for a password".to_owned()));
    machine(&mut snapshot, "node-a", 1);
    for at in 1..=3 {
        take(&mut snapshot, look("node-b"), at, denied());
    }
    assert_eq!(told(&of(&snapshot, &spec)).count(), 0, "its host was not seen");
    machine(&mut snapshot, "node-b", 4);
    let said: Vec<String> = told(&of(&snapshot, &spec)).collect();
    let words = "mount keys (/srv/keys) on node-b cannot be looked at: denied: sudo asks for a \
                 password";
    assert_eq!(said, [words]);
}
