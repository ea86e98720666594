//! Shared mounts tried for real on loopback: in a place with a hostile name, refused, absent, and
//! on a file system whose server reads every request and answers none, which nothing can kill.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use observer_core::mounts::{
    MountAccess, MountReport, MountSpec, MountStep, MountSurvey, MountUse, Token,
};
use observer_core::policy::PairSpec;
use observer_core::sighting::{self, Look, Seen};
use observer_core::validate::{Roles, Severity};
use observer_world::access::{MountPoint, PairAccess};
use observer_world::pair_world::PairWorld;
use support::pair::{PATIENCE, host, hosts_alone, spec};
use support::run;
use support::sshd::Sshd;
use tempfile::TempDir;

/// Where the locks are, which all tests share: one runs at a time, and leaves nothing there.
const LOCKS: &str = "/run/ha-observer-mounts";
static ONE: Mutex<()> = Mutex::new(());

/// A place where something is mounted while it lives.
struct Mounted {
    path: PathBuf,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Mounted {
    /// A folder of this name, with nothing on it.
    fn nothing(name: &str) -> Self {
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join(name);
        fs::create_dir(&path).unwrap();
        Self { path, folder, _alone: alone }
    }

    /// A small file system in memory, from `source`.
    fn memory(name: &str, source: &str, options: &str) -> Self {
        let place = Self::nothing(name);
        place.mount(source, options);
        place
    }

    fn mount(&self, source: &str, options: &str) {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, source]).arg(&self.path));
    }

    fn spec(&self) -> MountSpec {
        MountSpec {
            name: "keys".into(),
            path: self.path.to_str().unwrap().to_owned(),
            source: None,
            access: MountAccess::ReadWrite,
            low_bytes: 0,
            low_ms: 0,
            every_ms: 1_000,
            deadline_ms: 1_000,
            severity: Severity::Severe,
        }
    }

    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(&self.path).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // It may not be mounted, or be mounted twice.
        while Command::new("umount").arg("-l").arg(&self.path).output().unwrap().status.success() {}
        let _ = fs::remove_dir_all(LOCKS);
        assert!(self.folder.path().exists());
    }
}

fn world(sshd: &Sshd, mounts: &[MountSpec]) -> PairWorld {
    let spec = PairSpec { proxies: Vec::new(), mounts: mounts.to_vec(), ..spec() };
    let hosts = vec![host(sshd, "node-a", "127.0.0.1"), host(sshd, "node-b", "127.0.0.1")];
    let point = |spec: &MountSpec| MountPoint { spec: spec.clone(), user: "root".to_owned() };
    let mounts = mounts.iter().map(point).collect();
    let access = PairAccess { mounts, ..hosts_alone(spec, hosts) };
    PairWorld::connect(access).unwrap()
}

async fn look(world: &PairWorld, mount: &str) -> MountReport {
    let look = Look::Mount { host: "node-a".into(), mount: mount.into() };
    match world.look(&look, PATIENCE).await {
        Ok(Seen::Mount(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn fails(report: &MountReport, at: MountStep, words: &str) {
    let MountUse::Fails { step, why } = &report.used else { panic!("{report:?}") };
    assert_eq!((*step, why.as_str()), (at, words));
}

const HOSTILE: &str = "it's \"a\"  $(place) #1 * [x] \\040";

#[tokio::test]
async fn a_place_with_a_hostile_name_is_tried_and_left_as_it_was() {
    let sshd = Sshd::start();
    let place = Mounted::memory(HOSTILE, "storage:/it's a share", "size=4m,nr_inodes=500");
    fs::write(place.path.join("theirs"), "x").unwrap();
    fs::write(place.path.join(".ha-observer-node-a.pair.probe"), "old").unwrap();
    let report = look(&world(&sshd, &[place.spec()]), "keys").await;
    assert_eq!(report.used, MountUse::Works);
    let source = report.source.unwrap();
    assert_eq!((source.name.as_str(), source.kind.as_str()), ("storage:/it's a share", "tmpfs"));
    let room = report.room.unwrap();
    assert_eq!((room.size_bytes, room.inodes), (4 << 20, 500));
    assert!(room.free_bytes < 4 << 20 && room.free_inodes < 500, "{room:?}");
    assert_eq!(place.left(), ["theirs"], "an old probe is gone, and the new one, too");
    std::os::unix::fs::symlink("theirs", place.path.join(".ha-observer-node-a.pair.probe"))
        .unwrap();
    assert_eq!(look(&world(&sshd, &[place.spec()]), "keys").await.used, MountUse::Works);
    assert_eq!(fs::read_to_string(place.path.join("theirs")).unwrap(), "x", "no link is followed");
}

#[tokio::test]
async fn what_is_refused_is_named_with_its_step() {
    let sshd = Sshd::start();
    let place = Mounted::nothing("a b");
    let world = world(&sshd, &[place.spec()]);
    let report = look(&world, "keys").await;
    assert_eq!((&report.used, &report.source), (&MountUse::NotMounted, &None));
    assert_eq!(place.left(), [""; 0], "the disk below is not written to");
    place.mount("ro", "ro");
    fails(&look(&world, "keys").await, MountStep::Write, "Read-only file system");
    place.mount("full", "size=64k");
    let _ = File::create(place.path.join("big")).unwrap().write_all(&[7; 1 << 20]);
    let report = look(&world, "keys").await;
    fails(&report, MountStep::Write, "No space left on device");
    assert_eq!(report.room.unwrap().free_bytes, 0);
    assert_eq!(place.left(), ["big"]);
    assert_eq!(report.source.unwrap().name, "full", "the one on top counts");
}

#[tokio::test]
async fn a_part_of_a_file_system_is_named_as_such_and_reading_needs_no_writing() {
    let sshd = Sshd::start();
    let place = Mounted::memory("all", "share", "size=1m");
    let (part, bound) = (place.path.join("part"), place.folder.path().join("bound"));
    fs::create_dir(&part).unwrap();
    fs::create_dir(&bound).unwrap();
    run(Command::new("mount").arg("--bind").args([&part, &bound]));
    run(Command::new("mount").args(["-o", "remount,ro,bind"]).arg(&bound));
    let path = bound.canonicalize().unwrap().to_str().unwrap().to_owned();
    let access = MountAccess::ReadOnly;
    let read = MountSpec { name: "part".into(), path, access, ..place.spec() };
    let report = look(&world(&sshd, &[read]), "part").await;
    run(Command::new("umount").arg(&bound));
    assert_eq!(report.used, MountUse::Works);
    assert_eq!(report.source.unwrap().name, "share[/part]");
}

/// Both hosts are this machine, so that each sees what the other has left.
#[tokio::test]
async fn a_token_of_one_host_is_seen_from_the_other_and_dropped() {
    let sshd = Sshd::start();
    let place = Mounted::memory("it's shared", "share", "size=1m");
    let world = world(&sshd, &[place.spec()]);
    let roles = Roles::of(&spec(), &"node-a".into());
    let survey = world.survey(&roles, Duration::from_millis(500)).await;
    for (host, other) in [("node-a", "node-b"), ("node-b", "node-a")] {
        let found = survey.hosts[&host.into()].mounts[&"keys".into()].clone().unwrap();
        let MountSurvey { report, tokens } = found;
        assert_eq!(report.used, MountUse::Works);
        assert_eq!(tokens, Some(vec![(other.into(), Token::Seen)]));
    }
    assert_eq!(place.left(), [""; 0]);
}

/// A file system whose server reads every request and answers none but the first, until it is
/// dropped.
struct Silent {
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.reader.take().unwrap().join().unwrap();
    }
}

fn serve_nothing(path: &Path) -> Silent {
    let mut options = File::options();
    let options = options.read(true).write(true).custom_flags(nix::libc::O_NONBLOCK);
    let mut server = options.open("/dev/fuse").unwrap();
    let options = "fd=0,rootmode=40000,user_id=0,group_id=0,allow_other";
    let mut mount = Command::new("mount");
    mount.args(["-i", "-t", "fuse", "-o", options, "storage:/hung"]).arg(path);
    run(mount.stdin(server.try_clone().unwrap()));
    let mut request = vec![0; 2 << 20];
    support::wait_until("the kernel's greeting", PATIENCE, || server.read(&mut request).is_ok());
    // A header of 16 bytes with the request's number, then what the kernel wants to know of the
    // server: version 7.31, and how much it takes at once.
    let mut answer = vec![0; 80];
    answer[..4].copy_from_slice(&80u32.to_ne_bytes());
    answer[8..16].copy_from_slice(&request[8..16]);
    answer[16..20].copy_from_slice(&7u32.to_ne_bytes());
    answer[20..24].copy_from_slice(&31u32.to_ne_bytes());
    answer[36..40].copy_from_slice(&(1u32 << 16).to_ne_bytes());
    server.write_all(&answer).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let reader = std::thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            // There is none to read most of the time.
            let _ = server.read(&mut request);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    Silent { stop, reader: Some(reader) }
}

/// The processes that were begun for a probe in `place`.
fn probes(place: &Mounted) -> Vec<i32> {
    let path = place.path.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let pid = name.parse::<i32>().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).into_owned();
        (command.contains(path) && command.contains("ha-observer-node-a")).then_some(pid)
    });
    processes.collect()
}

/// Nothing can kill what hangs, so that there must never be a second; whatever else is looked at on
/// that host answers meanwhile, and another observer's first look knows since when it hangs.
#[tokio::test]
async fn a_mount_that_answers_nothing_hangs_one_probe_and_nobody_else() {
    let sshd = Sshd::start();
    let place = Mounted::nothing("hung");
    let server = serve_nothing(&place.path);
    let good = place.folder.path().canonicalize().unwrap().join("good");
    fs::create_dir(&good).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "good"]).arg(&good));
    let path = good.to_str().unwrap().to_owned();
    let specs = [place.spec(), MountSpec { name: "good".into(), path, ..place.spec() }];
    let world = self::world(&sshd, &specs);

    let first = look(&world, "keys").await;
    assert_eq!(first.used, MountUse::Hangs { step: Some(MountStep::Enter), for_ms: 1_000 });
    assert_eq!(first.source.unwrap().name, "storage:/hung");
    let hanging = probes(&place);
    assert!(!hanging.is_empty());
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    for _ in 0..3 {
        let began = Instant::now();
        let again = look(&world, "keys").await;
        assert!(matches!(again.used, MountUse::Hangs { for_ms: 2_000.., .. }), "{again:?}");
        assert!(began.elapsed() < Duration::from_secs(1), "it is known to hang: no wait");
        assert_eq!(look(&world, "good").await.used, MountUse::Works);
    }
    let after_restart = look(&self::world(&sshd, &specs), "keys").await;
    assert!(matches!(after_restart.used, MountUse::Hangs { for_ms: 2_000.., .. }));
    assert_eq!(probes(&place), hanging, "no second probe beside one that hangs");
    // Somebody kills what can be killed: what cannot still holds the lock.
    hanging.iter().for_each(|pid| support::signal(*pid, Signal::SIGKILL));
    support::wait_until("one is left", PATIENCE, || probes(&place).len() == 1);
    let stuck = probes(&place);
    let again = look(&world, "keys").await;
    assert!(matches!(again.used, MountUse::Hangs { for_ms: 2_000.., .. }), "{again:?}");
    assert_eq!(probes(&place), stuck);
    let survey = world.survey(&Roles::of(&spec(), &"node-a".into()), PATIENCE).await;
    let found = survey.hosts[&"node-a".into()].mounts[&"keys".into()].clone().unwrap();
    assert!(matches!(found.report.used, MountUse::Hangs { .. }) && found.tokens.is_none());

    // The server is gone for good: what hung ends, and the next probe is told so.
    drop(server);
    support::wait_until("the probe has ended", PATIENCE, || probes(&place).is_empty());
    let ended = look(&world, "keys").await;
    assert!(matches!(ended.used, MountUse::Fails { step: MountStep::Enter, .. }), "{ended:?}");
    run(Command::new("umount").arg("-l").arg(&good));
}

#[tokio::test]
async fn an_account_that_may_not_is_told_with_the_fix() {
    let sshd = Sshd::start();
    let place = Mounted::memory("mine", "share", "size=1m,mode=0700");
    let mount = place.spec();
    let spec = PairSpec { proxies: Vec::new(), mounts: vec![mount.clone()], ..spec() };
    let hosts = vec![host(&sshd, "node-a", "127.0.0.1"), host(&sshd, "node-b", "127.0.0.1")];
    let mounts = vec![MountPoint { spec: mount, user: "nobody".to_owned() }];
    let access = PairAccess { mounts, ..hosts_alone(spec, hosts) };
    let report = look(&PairWorld::connect(access).unwrap(), "keys").await;
    let MountUse::Fails { step, why } = &report.used else { panic!("{report:?}") };
    assert_eq!((*step, why.as_str()), (MountStep::Enter, "Permission denied"));
}

#[tokio::test]
async fn a_mount_that_nobody_declared_is_denied() {
    let sshd = Sshd::start();
    let look = Look::Mount { host: "node-a".into(), mount: "other".into() };
    let seen = world(&sshd, &[]).look(&look, PATIENCE).await;
    assert!(matches!(seen, Err(sighting::Silent::Denied(_))), "{seen:?}");
}
