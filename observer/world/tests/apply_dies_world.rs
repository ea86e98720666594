//! Changes of a real HAProxy's file whose disk fills, or whose script is killed, at any place: the
//! file is one of the two, whole, users are served, and the next change comes through.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use observer_world::pair_world::{Applied, NewFile, PairWorld};
use support::pair::{behind, name, with_config};
use support::proxy::{Haproxy, NODE_A};
use support::sshd::Sshd;
use support::{descendants, signal, wait_until};

const SOON: Duration = Duration::from_secs(10);
/// How many times a script is killed.
const ROUNDS: u32 = 14;
/// What a small file system gives out at once.
const PAGE: u64 = 4096;

async fn apply(world: &PairWorld, before: &[u8], after: &[u8]) -> Applied {
    let file = NewFile {
        proxy: "proxy".into(),
        before: before.to_vec(),
        after: after.to_vec(),
        master: name("node-a"),
    };
    world.apply(&file, world.plans_acted(), &|_| {}).await
}

#[track_caller]
fn assert_served(haproxy: &Haproxy) {
    wait_until("users are served", SOON, || {
        haproxy.visit().is_some_and(|(_, node)| node == NODE_A)
    });
}

/// A small file system at a folder, which goes with this.
struct Small(PathBuf);

impl Small {
    fn mount(folder: PathBuf, options: &str) -> Self {
        fs::create_dir(&folder).unwrap();
        let words = ["-t", "tmpfs", "-o", options, "tmpfs"];
        assert!(Command::new("mount").args(words).arg(&folder).status().unwrap().success());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    /// Fills it but for so many pages.
    fn leave(&self, pages: u64) {
        let filler = self.0.join("filler");
        fs::write(&filler, vec![b'x'; 1 << 20]).unwrap_err();
        let full = fs::metadata(&filler).unwrap().len();
        let file = fs::OpenOptions::new().write(true).open(&filler).unwrap();
        file.set_len(full - pages * PAGE).unwrap();
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A refused change left nothing; what it said names the command that had no room.
fn refused_for_want_of_room(small: &Small, applied: &Applied, before: &[u8]) -> String {
    let Applied::Refused(why) = applied else { panic!("{applied:?}") };
    assert!(why.contains("No space left on device"), "{why}");
    assert_eq!(fs::read(small.0.join("haproxy.cfg")).unwrap(), before, "{why}");
    assert!(!small.names().contains(".haproxy.cfg.ha-observer"), "{why}");
    let command = why.split('`').nth(1).unwrap_or_else(|| panic!("no command in {why}"));
    let program = command.split_whitespace().find(|word| word.starts_with("/usr/bin/")).unwrap();
    let made = [".haproxy.cfg.ha-observer.last", ".haproxy.cfg.ha-observer"];
    let made = made.into_iter().find(|name| command.contains(name)).unwrap();
    format!("{program} {made}")
}

/// The disk is full at the first write, at the second, … until there is room for all of them; and
/// the same for a file system that has bytes and no room for another name.
#[tokio::test]
async fn a_disk_that_fills_at_any_write_leaves_the_old_file() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let mut stopped_at = BTreeSet::new();
    let small = Small::mount(haproxy.path("small"), "size=96k");
    let config = small.0.join("haproxy.cfg");
    fs::copy(haproxy.config(), &config).unwrap();
    let world = with_config(&sshd, &haproxy, &config);
    let before = fs::read(&config).unwrap();
    let after = [&before[..], "# long\n".repeat(1500).as_bytes()].concat();
    let mut pages = 0;
    loop {
        small.leave(pages);
        let applied = apply(&world, &before, &after).await;
        fs::remove_file(small.0.join("filler")).unwrap();
        if fs::read(&config).unwrap() == after {
            assert!(matches!(&applied, Applied::Loaded(_)), "{applied:?}");
            break;
        }
        stopped_at.insert(refused_for_want_of_room(&small, &applied, &before));
        pages += 1;
        assert!(pages < 20, "{stopped_at:?}");
    }
    assert_served(&haproxy);
    drop(small);

    // The folder, the file and the filler are three names of each limit.
    for names in 3..10 {
        let small =
            Small::mount(haproxy.path(&format!("few-{names}")), &format!("nr_inodes={names}"));
        let config = small.0.join("haproxy.cfg");
        fs::copy(haproxy.config(), &config).unwrap();
        fs::write(small.0.join("filler"), "").unwrap();
        let world = with_config(&sshd, &haproxy, &config);
        let before = fs::read(&config).unwrap();
        let applied = apply(&world, &before, &after).await;
        if fs::read(&config).unwrap() == after {
            assert!(matches!(&applied, Applied::Loaded(_)), "{applied:?}");
            break;
        }
        stopped_at.insert(refused_for_want_of_room(&small, &applied, &before));
        assert!(names < 9, "{stopped_at:?}");
    }
    assert_served(&haproxy);
    let writes = [
        "/usr/bin/cp .haproxy.cfg.ha-observer",
        "/usr/bin/cp .haproxy.cfg.ha-observer.last",
        "/usr/bin/dd .haproxy.cfg.ha-observer",
    ];
    assert_eq!(stopped_at, writes.map(str::to_owned).into(), "each write was met");
}

/// Whom the death takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dies {
    /// The script's shell alone: what it has called goes on by itself.
    Shell,
    /// The script with all that it has called.
    All,
}

/// The shells that run the script, and what they have called.
fn scripts(sshd: &Sshd) -> Vec<i32> {
    let is_script = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.windows(9).any(|window| window == b"do_shape(")
    };
    descendants(sshd.pid()).into_iter().filter(is_script).collect()
}

/// Waits until a script runs; returns since when.
async fn appears(sshd: &Sshd) -> Instant {
    let asked = Instant::now();
    while scripts(sshd).is_empty() && asked.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Instant::now()
}

/// The script that puts the file is killed a little later in each round, from before its first
/// command to after its last one. Nothing is half done, and no lock is left that would keep the
/// next change away.
#[tokio::test]
async fn a_script_killed_at_any_moment_leaves_a_whole_file() {
    let (sshd, haproxy) = (Sshd::start(), Haproxy::start());
    let world = behind(&sshd, &haproxy);
    let (mut killed, mut left_old, mut left_new) = (0, 0, 0);
    // How long it takes when nobody kills it.
    let before = fs::read(haproxy.config()).unwrap();
    let after = [&before[..], b"# undisturbed\n"].concat();
    let (applied, takes) = tokio::join!(apply(&world, &before, &after), async {
        let began = appears(&sshd).await;
        while !scripts(&sshd).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        began.elapsed()
    });
    assert!(matches!(&applied, Applied::Loaded(_)), "{applied:?}");
    for round in 0..ROUNDS {
        let dies = if round % 2 == 0 { Dies::Shell } else { Dies::All };
        let before = fs::read(haproxy.config()).unwrap();
        let after = [&before[..], format!("# round {round}\n").as_bytes()].concat();
        let kill = async {
            appears(&sshd).await;
            tokio::time::sleep(takes * round / ROUNDS).await;
            let shells = scripts(&sshd);
            for &shell in &shells {
                let called = descendants(shell);
                signal(shell, Signal::SIGKILL);
                if dies == Dies::All {
                    called.into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
                }
            }
            !shells.is_empty()
        };
        let (applied, met) = tokio::join!(apply(&world, &before, &after), kill);
        killed += u32::from(met);
        // What a killed shell has called may still be at work.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = fs::read(haproxy.config()).unwrap();
        assert!(now == before || now == after, "round {round}: {applied:?}");
        if matches!(applied, Applied::Refused(_)) {
            assert_eq!(now, before, "round {round}: nothing was changed: {applied:?}");
        }
        assert_served(&haproxy);
        if matches!(applied, Applied::Loaded(_)) {
            assert_eq!(now, after, "round {round}");
            continue;
        }
        left_old += u32::from(now == before);
        left_new += u32::from(now == after);
        let next = [&now[..], format!("# after round {round}\n").as_bytes()].concat();
        let applied = apply(&world, &now, &next).await;
        assert!(matches!(&applied, Applied::Loaded(_)), "round {round}: {applied:?}");
        assert!(!haproxy.path(".haproxy.cfg.ha-observer").exists(), "round {round}");
    }
    println!("{killed} killed: {left_old} left the old file, {left_new} the new one");
    assert!(killed >= ROUNDS / 2 && left_old > 0, "{killed} killed, {left_old} left the old file");
}
