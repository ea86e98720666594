//! The store on a real disk: durable, append-only, refused twice, full, damaged.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use observer_world::store::{
    AuditRecord, EventRecord, JournalRecord, NewVersion, Sample, Store, StoreError, StoreHandle,
    VersionState,
};
use support::run;

fn record(kind: &str) -> JournalRecord {
    JournalRecord {
        pair: "desk".to_owned(),
        at_ms: 1_700_000_000_000,
        epoch: 3,
        plan: "failover-3".to_owned(),
        kind: kind.to_owned(),
        body: r#"{"step":"fence"}"#.to_owned(),
    }
}

fn event(pair: &str, kind: &str) -> EventRecord {
    EventRecord {
        pair: pair.to_owned(),
        at_ms: 5,
        severity: "warning".to_owned(),
        kind: kind.to_owned(),
        rule: Some("F1".to_owned()),
        plan: None,
        step: None,
        host: Some("node-a".to_owned()),
        body: "{}".to_owned(),
    }
}

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("observer.db")
}

#[test]
fn records_come_back_as_they_were_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&file(&dir)).unwrap();
    let first = store.append_journal(&record("plan-opened")).unwrap();
    let second = store.append_journal(&record("step-started")).unwrap();
    assert!(second > first);
    let other = JournalRecord { plan: "repair-3".to_owned(), ..record("plan-opened") };
    store.append_journal(&other).unwrap();
    let journal = store.journal("desk", first, 10).unwrap();
    assert_eq!(journal.len(), 2);
    assert_eq!((journal[0].seq, &journal[0].record), (second, &record("step-started")));
    assert_eq!(store.journal_of_plan("desk", "repair-3").unwrap()[0].record, other);
    assert!(store.journal("wiki", 0, 10).unwrap().is_empty());

    for number in 0..5 {
        store.append_event(&event(if number % 2 == 0 { "desk" } else { "wiki" }, "seen")).unwrap();
    }
    assert_eq!(store.events(Some("desk"), 0, 10).unwrap().len(), 3);
    assert_eq!(store.events(None, 2, 2).unwrap()[0].seq, 3);
    let latest: Vec<u64> =
        store.latest_events(None, 2).unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(latest, [4, 5]);
    assert_eq!(store.latest_events(Some("wiki"), 1).unwrap()[0].record, event("wiki", "seen"));

    let audit = AuditRecord {
        at_ms: 9,
        who: "uid 1000".to_owned(),
        action: "pause".to_owned(),
        pair: Some("desk".to_owned()),
        body: "{}".to_owned(),
    };
    store.append_audit(&audit).unwrap();
    assert_eq!(store.audit(0, 10).unwrap()[0].record, audit);

    let sample = |at_ms| Sample { pair: "desk".into(), name: "lag_ms".into(), at_ms, value: 1.5 };
    store.append_samples(&[sample(10), sample(20), sample(30)]).unwrap();
    assert_eq!(store.forget_samples(20).unwrap(), 1);
    assert_eq!(store.samples("desk", "lag_ms", 30).unwrap(), [sample(30)]);

    store.remember("desk", "pause", "1").unwrap();
    store.remember("desk", "pause", "2").unwrap();
    assert_eq!(store.recall("desk", "pause").unwrap().as_deref(), Some("2"));
    store.forget("desk", "pause").unwrap();
    assert_eq!(store.recall("desk", "pause").unwrap(), None);
}

/// The image of the files right after the call, as a power loss would leave it, holds the record.
#[test]
fn a_record_is_in_the_files_when_the_call_returns() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(&file(&dir)).unwrap();
    for number in 0..20 {
        store.append_journal(&record(&format!("step-{number}"))).unwrap();
        for suffix in ["", "-wal"] {
            let name = format!("observer.db{suffix}");
            fs::copy(dir.path().join(&name), image.path().join(&name)).unwrap();
        }
        let copy = Store::open(&file(&image)).unwrap();
        let journal = copy.journal("desk", 0, 100).unwrap();
        assert_eq!(journal.last().unwrap().record.kind, format!("step-{number}"));
    }
}

#[test]
fn a_reopened_store_still_has_everything_and_is_private() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(&dir), "").unwrap();
    fs::set_permissions(file(&dir), fs::Permissions::from_mode(0o644)).unwrap();
    for expected in 1..4 {
        let store = Store::open(&file(&dir)).unwrap();
        store.append_journal(&record("opened")).unwrap();
        store.can_write().unwrap();
        assert_eq!(store.journal("desk", 0, 10).unwrap().len(), expected);
        for entry in fs::read_dir(dir.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}

#[test]
fn history_cannot_be_rewritten_and_bad_records_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&file(&dir)).unwrap();
    store.append_journal(&record("opened")).unwrap();
    let bad = JournalRecord { body: "no json".to_owned(), ..record("x") };
    let error = store.append_journal(&bad).unwrap_err();
    assert!(matches!(error, StoreError::BadRecord { .. }), "{error}");
    assert!(!error.forbids_plans());
    let bad = JournalRecord { epoch: u64::MAX, ..record("x") };
    assert!(matches!(store.append_journal(&bad), Err(StoreError::BadRecord { .. })));
    drop(store);
    let raw = rusqlite::Connection::open(file(&dir)).unwrap();
    for sql in ["delete from journal", "update journal set epoch = 9"] {
        let error = raw.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
}

#[test]
fn a_second_daemon_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(&file(&dir)).unwrap();
    let error = Store::open(&file(&dir)).err().unwrap();
    assert_eq!(error, StoreError::InUse { path: file(&dir) });
    drop(first);
    Store::open(&file(&dir)).unwrap();
}

/// Opens a file that cannot be a store, and insists that its bytes stay.
#[track_caller]
fn check_left_alone(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    let error = Store::open(path).err().expect("a damaged store is not opened");
    let text = error.to_string();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{text}");
    assert!(text.contains(path.to_str().unwrap()) && text.contains("move it away"), "{text}");
    assert!(fs::read(path).unwrap() == bytes, "the file was changed");
}

#[test]
fn a_damaged_store_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir);
    check_left_alone(&path, &b"this is no database, but a letter. ".repeat(200));
    fs::remove_file(&path).unwrap();
    let store = Store::open(&path).unwrap();
    for _ in 0..500 {
        store.append_journal(&record("a record of some length to fill pages")).unwrap();
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let mut torn = whole.clone();
    // One that is used: most pages are free, set aside for plans.
    let words = b"a record of some length";
    let holds = |page: &[u8]| page.windows(words.len()).any(|text| text == words);
    torn.chunks_mut(4096).find(|page| holds(page)).unwrap().fill(0xff);
    check_left_alone(&path, &torn);
    check_left_alone(&path, &whole[..whole.len() / 2]);
    fs::write(&path, &whole).unwrap();
    assert_eq!(Store::open(&path).unwrap().journal("desk", 0, 1000).unwrap().len(), 500);
}

#[test]
fn foreign_and_newer_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("foreign.db");
    let raw = rusqlite::Connection::open(&foreign).unwrap();
    raw.execute_batch("create table users (name text)").unwrap();
    drop(raw);
    assert!(matches!(Store::open(&foreign).err(), Some(StoreError::Corrupt { .. })));

    drop(Store::open(&file(&dir)).unwrap());
    let raw = rusqlite::Connection::open(file(&dir)).unwrap();
    raw.pragma_update(None, "user_version", 1000).unwrap();
    drop(raw);
    let error = Store::open(&file(&dir)).err().unwrap();
    assert!(matches!(error, StoreError::TooNew { found: 1000, .. }), "{error}");
    let nowhere = Store::open(Path::new("/proc/nowhere/observer.db")).err().unwrap();
    assert!(matches!(nowhere, StoreError::Unusable { .. }), "{nowhere}");
}

/// A small disk in a mount namespace of its own: full is said at once, while the records of a plan
/// under way still find their reserve, and what was kept stays readable when that is used up.
#[test]
fn a_full_disk_is_recognised_and_gets_over_it() {
    let test = std::thread::spawn(|| {
        let dir = tempfile::tempdir().unwrap();
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("these tests need root");
        run(std::process::Command::new("mount").args(["--make-rprivate", "/"]));
        let mut mount = std::process::Command::new("mount");
        run(mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(dir.path()));
        let store = Store::open(&file(&dir)).unwrap();
        store.append_journal(&record("before")).unwrap();
        store.can_write().unwrap();
        let _ = fs::write(dir.path().join("ballast"), vec![0; 32_000_000]);

        let full = StoreError::DiskFull { path: file(&dir) };
        assert!(full.forbids_plans());
        assert_eq!(store.can_write().unwrap_err(), full);
        for number in 0..1_500 {
            store.append_journal(&record("a plan's")).unwrap_or_else(|e| panic!("{number}: {e}"));
        }
        let body = format!(r#"{{"x":"{}"}}"#, "y".repeat(1_000_000));
        let large = JournalRecord { body, ..record("large") };
        let refused = (0..20).find_map(|_| store.append_journal(&large).err());
        assert_eq!(refused, Some(full.clone()));
        let kept = store.journal("desk", 0, 10_000).unwrap().len();
        assert!(kept > 1_500, "{kept}");

        fs::remove_file(dir.path().join("ballast")).unwrap();
        store.can_write().unwrap();
        store.append_journal(&large).unwrap();
        assert_eq!(store.journal("desk", 0, 10_000).unwrap().len(), kept + 1);
        drop(store);
        run(std::process::Command::new("umount").arg(dir.path()));
    });
    if let Err(panic) = test.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Starting again and again takes no more room.
#[test]
fn the_reserve_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let size = || fs::metadata(file(&dir)).unwrap().len();
    drop(Store::open(&file(&dir)).unwrap());
    let first = size();
    assert!(first > 4_000_000, "{first}");
    drop(Store::open(&file(&dir)).unwrap());
    assert_eq!(size(), first);
}

#[tokio::test]
async fn async_callers_are_served_in_order_and_learn_of_failures() {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreHandle::open(&file(&dir)).await.unwrap();
    assert!(matches!(StoreHandle::open(&file(&dir)).await, Err(StoreError::InUse { .. })));
    let writers: Vec<_> = (0..20)
        .map(|_| store.clone())
        .map(|store| tokio::spawn(async move { store.append_journal(record("x")).await.unwrap() }))
        .collect();
    let mut numbers = Vec::new();
    for writer in writers {
        numbers.push(writer.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<u64>>());
    store.can_write().await.unwrap();
    let kept = store.call(|store| store.journal("desk", 0, 100)).await.unwrap();
    assert_eq!(kept.len(), 20);
    let bad = EventRecord { body: String::new(), ..event("desk", "x") };
    assert!(matches!(store.append_event(bad).await, Err(StoreError::BadRecord { .. })));
}

fn version(before: &str, after: &str, state: VersionState) -> NewVersion {
    NewVersion {
        pair: "desk".to_owned(),
        proxy: "proxy".to_owned(),
        file: "/etc/haproxy/haproxy.cfg".to_owned(),
        at_ms: 7,
        epoch: 3,
        before: before.into(),
        after: after.into(),
        reason: "a test".to_owned(),
        by: "root (uid 0)".to_owned(),
        state,
    }
}

#[test]
fn versions_are_numbered_kept_and_forgotten_at_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s.sqlite")).unwrap();
    let first = store.keep_version(&version("a", "b", VersionState::Ordered)).unwrap();
    assert_eq!(first, 2, "what stood there before is the first");
    store.settle_version("desk", "proxy", 2, VersionState::Loaded, "seen").unwrap();
    let written = version("b", "c", VersionState::Written);
    assert_eq!(store.keep_version(&written).unwrap(), 3, "nobody changed it meanwhile");
    // It did not stand, so the next one is not written over it.
    store.keep_version(&version("c", "d", VersionState::Ordered)).unwrap();
    store.settle_version("desk", "proxy", 4, VersionState::RolledBack, "no").unwrap();
    assert_eq!(store.keep_version(&version("c", "e", VersionState::Written)).unwrap(), 5);
    let all = store.versions("desk", "proxy").unwrap();
    let told: Vec<(u64, &str, &[u8])> =
        all.iter().map(|v| (v.number, v.state.name(), v.content.as_slice())).collect();
    let expected: [(u64, &str, &[u8]); 5] = [
        (5, "written", b"e"),
        (4, "rolled-back", b"d"),
        (3, "written", b"c"),
        (2, "loaded", b"b"),
        (1, "found", b"a"),
    ];
    assert_eq!(told, expected);
    assert_eq!((all[3].note.as_str(), all[3].epoch), ("seen", 3));

    for number in 6..30 {
        let edited = version(&format!("by hand {number}"), "e", VersionState::Written);
        store.keep_version(&edited).unwrap();
    }
    let all = store.versions("desk", "proxy").unwrap();
    assert_eq!((all.len(), all[0].number), (20, 53));
    assert_eq!(store.version("desk", "proxy", 5).unwrap(), None);
    assert_eq!(store.versions("desk", "other").unwrap(), []);
}
