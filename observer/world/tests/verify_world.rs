//! Two real trees compared by the real tools through real sshds: names that break scripts, ten
//! thousand files, one that changes meanwhile, what cannot be read, and what a database names.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use observer_core::files::verify::{
    By, Class, Database, Progress, Purpose, Verification, VerifyOrder,
};
use observer_world::access::{FileSetAccess, HostAccess, PathsQuery};
use observer_world::pair_world::PairWorld;
use support::cluster::Cluster;
use support::pair::{host, host_of, name, with_files};
use support::sshd::Sshd;
use tempfile::TempDir;
use tokio::sync::watch;

/// What stands in for sudo: becomes the account, and shows another folder in the set's place.
const SUDO: &str = "#!/bin/sh\nuser=root\nwhile test \"$1\" != --; do if test \"$1\" = -u; then \
    user=$2; shift; fi; shift; done; shift\n\
    exec unshare -m sh -c 'mount --bind \"$0\" \"$1\" && user=$2 && shift 2 && \
    exec setpriv --reuid=\"$user\" --regid=nogroup --clear-groups \"$@\"' \
    OWN SET \"$user\" \"$@\"\n";

/// Two machines with a tree each, which both have in the same place.
struct Trees {
    dir: TempDir,
    sshds: [Sshd; 2],
}

impl Trees {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let sshds = ["a", "b"].map(|which| {
            let programs = dir.path().join(format!("programs-{which}"));
            fs::create_dir(&programs).unwrap();
            let own = dir.path().join(which);
            fs::create_dir_all(&own).unwrap();
            let set = dir.path().join("set");
            fs::create_dir_all(&set).unwrap();
            let script = SUDO.replace("OWN", own.to_str().unwrap());
            let sudo = programs.join("sudo");
            fs::write(&sudo, script.replace("SET", set.to_str().unwrap())).unwrap();
            fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).unwrap();
            let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
            Sshd::start_with(&format!("SetEnv \"{path}\""))
        });
        Self { dir, sshds }
    }

    fn a(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join("a").join(Path::new(path.as_ref()))
    }

    fn b(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join("b").join(Path::new(path.as_ref()))
    }

    /// What a pass would do.
    fn copy(&self) {
        let (from, to) = (format!("{}/", self.a("").display()), self.b("").display().to_string());
        let mut rsync = std::process::Command::new("rsync");
        support::run(
            rsync.args(["-aHAXS", "--numeric-ids", "--delete", "--exclude=*.tmp"]).args([from, to]),
        );
    }

    fn set(&self) -> FileSetAccess {
        FileSetAccess {
            name: "files".into(),
            path: self.dir.path().join("set"),
            single: None,
            user: "root".to_owned(),
            exclude: vec!["*.tmp".to_owned()],
            retention_ms: 60_000,
            max_deletes: 10,
            max_deletes_percent: 10,
            rate_limit_bytes: 0,
            verify_limit_ms: 120_000,
            paths: None,
        }
    }

    fn hosts(&self) -> [HostAccess; 2] {
        let [a, b] = &self.sshds;
        [host(a, "node-a", "127.0.0.1"), host(b, "node-b", "127.0.0.1")]
    }

    fn world(&self) -> PairWorld {
        with_files(self.hosts(), self.set())
    }
}

async fn ask(world: &PairWorld, purpose: Purpose) -> Result<Verification, String> {
    let (master, slave) = (name("node-a"), name("node-b"));
    let order = VerifyOrder { set: "files".into(), master, slave, purpose };
    world.verify_files(&order, &watch::Sender::new(Progress::default())).await
}

async fn verify(world: &PairWorld, by: By) -> Verification {
    ask(world, Purpose::Verify { by, database: Database::Left }).await.unwrap()
}

async fn diff(world: &PairWorld, below: &[u8]) -> Verification {
    ask(world, Purpose::Diff { below: below.to_vec() }).await.unwrap()
}

/// What was found of a class, as `PATH: WHAT`.
fn found(result: &Verification, class: Class) -> Vec<String> {
    let examples = result.tally.examples.get(&class).into_iter().flatten();
    let found: Vec<String> = examples.map(|one| format!("{}: {}", one.path, one.what)).collect();
    assert_eq!(result.tally.count(class), found.len() as u64, "{result:?}");
    found
}

#[track_caller]
fn whole(result: &Verification, entries: u64) {
    assert!(result.is_whole(), "{result:#?}");
    assert_eq!((result.entries, result.tally.same), (entries, entries), "{result:#?}");
}

const HOSTILE: [&[u8]; 11] = [
    b"with blank",
    b"with\nnewline",
    b"quotes ' \" `x` $HOME",
    b"not-utf8-\xff\xfe",
    b"-rf",
    b"-",
    b" ",
    b"*",
    b"back\\slash",
    b"deep er/\nfile",
    b"deep er/-",
];

#[tokio::test]
async fn any_name_is_compared_and_what_differs_is_found() {
    let trees = Trees::new();
    fs::create_dir(trees.a("deep er")).unwrap();
    for (number, name) in HOSTILE.iter().enumerate() {
        fs::write(trees.a(OsStr::from_bytes(name)), format!("content {number}")).unwrap();
    }
    symlink("/etc//passwd\n", trees.a("out")).unwrap();
    fs::write(trees.a("left.tmp"), "x").unwrap();
    trees.copy();
    let world = trees.world();
    let entries = HOSTILE.len() as u64 + 3;
    let result = verify(&world, By::Content).await;
    whole(&result, entries);
    assert_eq!((result.hashed_files, result.looked_twice), (11, 0));
    whole(&verify(&world, By::Metadata).await, entries);
    let sample = verify(&world, By::Sample { percent: 50, seed: 3 }).await;
    whole(&sample, entries);
    assert!((1..11).contains(&sample.hashed_files), "{sample:?}");

    // One byte, with the size and the time as they were.
    let flipped = trees.b(OsStr::from_bytes(b"not-utf8-\xff\xfe"));
    let time = fs::metadata(&flipped).unwrap().modified().unwrap();
    fs::write(&flipped, "cOntent 3").unwrap();
    fs::File::options().write(true).open(&flipped).unwrap().set_modified(time).unwrap();
    whole(&verify(&world, By::Metadata).await, entries);
    let result = verify(&world, By::Content).await;
    assert_eq!(found(&result, Class::Differs), ["not-utf8-\\xff\\xfe: content"]);
    assert_eq!((result.tally.same, result.is_whole()), (entries - 1, false));

    fs::remove_file(trees.b("with blank")).unwrap();
    fs::write(trees.b("ext\nra"), "x").unwrap();
    fs::set_permissions(trees.b("*"), fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(trees.b("-"), Some(1), Some(1)).unwrap();
    fs::remove_file(trees.b("out")).unwrap();
    symlink("elsewhere", trees.b("out")).unwrap();
    fs::write(trees.b("-rf"), "longer than it was").unwrap();
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(trees.b("-rf")).unwrap().set_modified(long_ago).unwrap();
    let expected = ["*: mode", "-: owner", "-rf: size, time", "out: target"];
    for result in [verify(&world, By::Metadata).await, diff(&world, b"").await] {
        assert_eq!(found(&result, Class::Differs), expected);
        assert_eq!(found(&result, Class::Missing), ["with blank: missing"]);
        assert_eq!(found(&result, Class::Extra), ["ext\\nra: extra"]);
        assert_eq!(result.tally.same, entries - 5);
    }
    let one = diff(&world, b"-rf").await;
    let state = &found(&one, Class::Differs)[0];
    assert!(
        state.contains("node-a: file, 9 bytes") && state.contains("node-b: file, 18"),
        "{state}"
    );
    whole(&diff(&world, b"deep er").await, 3);
    let none = ask(&world, Purpose::Diff { below: b"gone".to_vec() }).await.unwrap_err();
    assert!(none.contains("neither host has gone"), "{none}");
}

/// More than any buffer between the two ends holds, and with a rate.
#[tokio::test]
async fn ten_thousand_files_are_compared_as_they_come() {
    let trees = Trees::new();
    for folder in 0..100 {
        let folder = trees.a(format!("folder-{folder}"));
        fs::create_dir(&folder).unwrap();
        for file in 0..100 {
            fs::write(folder.join(format!("a file with a rather long name {file}")), "x").unwrap();
        }
    }
    trees.copy();
    let world = trees.world();
    whole(&verify(&world, By::Metadata).await, 10_101);
    let result = verify(&world, By::Content).await;
    whole(&result, 10_101);
    assert_eq!((result.hashed_files, result.hashed_bytes), (10_000, 10_000));

    fs::remove_dir_all(trees.b("folder-7")).unwrap();
    let result = verify(&world, By::Metadata).await;
    assert_eq!(result.tally.count(Class::Missing), 101);
    assert_eq!(result.tally.examples[&Class::Missing].len(), 20);

    let slowly = FileSetAccess { rate_limit_bytes: 200, ..trees.set() };
    let world = with_files(trees.hosts(), slowly);
    let began = std::time::Instant::now();
    let result = verify(&world, By::Sample { percent: 2, seed: 7 }).await;
    let least = Duration::from_secs_f64(result.hashed_bytes as f64 / 200.0);
    assert!(result.hashed_files > 100 && began.elapsed() >= least, "{result:?}");
}

/// The master's file is never what the slave has, and another at every look.
#[tokio::test]
async fn what_changes_meanwhile_is_called_changing() {
    let trees = Trees::new();
    fs::write(trees.a("quiet"), "x").unwrap();
    fs::write(trees.a("busy"), "x").unwrap();
    trees.copy();
    let (busy, stop) = (trees.a("busy"), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let writer = std::thread::spawn(move || {
        for number in 0.. {
            fs::write(&busy, format!("{number}")).unwrap();
            std::thread::sleep(Duration::from_millis(1));
            if stopped.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    let world = trees.world();
    for by in [By::Metadata, By::Content] {
        let result = verify(&world, by).await;
        assert_eq!(found(&result, Class::Changing), ["busy: "]);
        assert!(result.is_whole() && result.tally.same == 2, "{result:?}");
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    // Once it is quiet it is a difference like any other. Its last write may be of the very second
    // of the copy.
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let last = fs::OpenOptions::new().write(true).open(trees.a("busy")).unwrap();
    last.set_modified(long_ago).unwrap();
    let result = verify(&world, By::Metadata).await;
    assert_eq!(found(&result, Class::Differs), ["busy: size, time"]);
}

/// By an account that may not read everything: what cannot be told is not called missing.
#[tokio::test]
async fn what_cannot_be_read_is_told_as_that() {
    let trees = Trees::new();
    fs::create_dir(trees.a("shut")).unwrap();
    fs::write(trees.a("shut/.hidden"), "x").unwrap();
    fs::write(trees.a("shut/inside"), "x").unwrap();
    fs::write(trees.a("locked"), "x").unwrap();
    fs::write(trees.a("open"), "x").unwrap();
    trees.copy();
    fs::set_permissions(trees.a("locked"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(trees.a("shut"), fs::Permissions::from_mode(0o700)).unwrap();
    let world =
        with_files(trees.hosts(), FileSetAccess { user: "nobody".to_owned(), ..trees.set() });
    let result = verify(&world, By::Content).await;
    assert_eq!(
        found(&result, Class::Unreadable),
        [
            "locked: on the master",
            "shut/.hidden: in a folder that cannot be read",
            "shut: on the master",
            "shut/inside: in a folder that cannot be read",
        ]
    );
    assert!(!result.is_whole());
    assert_eq!((result.tally.same, result.tally.counts.len()), (2, 1), "{result:?}");
}

#[tokio::test]
async fn a_machine_that_cannot_be_asked_is_told_and_not_taken_for_empty() {
    let mut trees = Trees::new();
    fs::write(trees.a("file"), "x").unwrap();
    trees.copy();
    let world = trees.world();
    let broken = trees.dir.path().join("programs-b/sudo");
    fs::write(&broken, "#!/bin/sh\necho sudo: a password is required >&2\nexit 1\n").unwrap();
    let purpose = || Purpose::Verify { by: By::Metadata, database: Database::Left };
    let why = ask(&world, purpose()).await.unwrap_err();
    assert!(why.contains("node-b") && why.contains("config sudoers node-b"), "{why}");
    // A list that ends in the middle is no list.
    let cut = "#!/bin/sh\nprintf 'ha-observer-begins\\0//d/755/0/0/1/1.0/r/\\0'\nexit 0\n";
    fs::write(&broken, cut).unwrap();
    let why = ask(&world, purpose()).await.unwrap_err();
    assert!(why.contains("node-b: its list is not whole"), "{why}");
    trees.sshds[1].stop();
    let why = ask(&world, purpose()).await.unwrap_err();
    assert!(why.contains("node-b: "), "{why}");
}

#[tokio::test]
async fn what_a_database_names_is_looked_for_on_both_hosts() {
    let trees = Trees::new();
    fs::create_dir(trees.a("2026")).unwrap();
    for path in ["2026/both", "2026/ä b", "only-master", "unnamed"] {
        fs::write(trees.a(path), "x").unwrap();
    }
    trees.copy();
    fs::remove_file(trees.b("only-master")).unwrap();
    let cluster = Cluster::start();
    cluster.sql("create table public.attachments (path text)");
    cluster.sql("grant select on public.attachments to ha_observer");
    cluster.sql(
        "insert into public.attachments values ('2026/both'), ('/2026//both'), ('./2026/ä b'), \
         ('only-master'), ('2026/gone'), (E'new\\nline'), (null), ('')",
    );
    let [a, b] = &trees.sshds;
    let hosts = || [host_of(a, "node-a", &cluster), host(b, "node-b", "127.0.0.1")];
    let query = |sql: &str| {
        let paths = PathsQuery { database: "ha_observer".to_owned(), sql: sql.to_owned() };
        with_files(hosts(), FileSetAccess { paths: Some(paths), ..trees.set() })
    };
    let purpose = || Purpose::Verify { by: By::Metadata, database: Database::Asked };
    let result = ask(&query("select path from public.attachments;"), purpose()).await.unwrap();
    let named = result.database.clone().unwrap();
    let counts = (named.named, named.missing_on_master, named.missing_on_slave);
    assert_eq!(counts, (5, 2, 3), "{named:?}");
    let examples: Vec<String> =
        named.examples.iter().map(|one| format!("{} {}", one.path, one.what)).collect();
    let expected =
        ["2026/gone on neither host", "new\\nline on neither host", "only-master not on the slave"];
    assert_eq!(examples, expected);
    assert!(!result.is_whole());

    let there = "select path from public.attachments where path like '%2026%' and path !~ 'gone'";
    let result = ask(&query(there), purpose()).await.unwrap();
    assert_eq!(result.database.map(|named| (named.named, named.all_there())), Some((2, true)));

    // It cannot write, and its mistakes are told.
    let writes = "delete from public.attachments returning path";
    let why = ask(&query(writes), purpose()).await.unwrap_err();
    assert!(why.contains("`paths_query` in database ha_observer"), "{why}");
    assert_eq!(cluster.sql("select count(*) from public.attachments"), "8");
    let why = ask(&query("select path from attachments"), purpose()).await.unwrap_err();
    assert!(why.contains("name tables with their schema"), "{why}");
    let why = ask(&trees.world(), purpose()).await.unwrap_err();
    assert!(why.contains("files files has no query"), "{why}");
}
