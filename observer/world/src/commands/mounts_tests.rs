//! The probes' texts, and the watch itself, played on a mount that every machine has.

use std::fs;
use std::path::Path;
use std::process;
use std::thread;

use super::*;

#[test]
fn the_probes_have_nothing_that_sudo_would_read_as_its_own() {
    for script in [WRITES, READS, LEAVE, SEE, DROP] {
        for forbidden in ['"', '!', '\\', '\n', '#', '\u{60}'] {
            assert!(!script.contains(forbidden), "{forbidden:?} in {script}");
        }
    }
}

#[test]
fn a_path_is_found_as_the_kernel_writes_it() {
    assert_eq!(listed("/srv/desk's files"), "/srv/desk's\\040files");
    assert_eq!(listed("/a\\b #1"), "/a\\134b\\040#1");
}

/// Watches one command at the root, in whose words it answers.
fn watched(locks: &Path, limit: &str, probe: &str) -> String {
    let run = process::Command::new("/bin/sh")
        .args(["-c", WATCH, "sh"])
        .arg(locks)
        .args(["false", "/", "lock", limit, probe, ""])
        .output()
        .unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(said.ends_with("=== ha-observer end\n"), "{said}");
    said
}

/// The names and the text of what is left in the locks' folder.
fn left(locks: &Path) -> (Vec<String>, String) {
    let entries = fs::read_dir(locks).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    let text = names.first().map(|lock| fs::read_to_string(locks.join(lock)).unwrap());
    (names, text.unwrap_or_default())
}

/// The routine look, and those of several validations: each hears its own probe, whoever comes
/// between its probe's end and its reading.
#[test]
fn watches_at_one_mount_read_their_own_answers() {
    let folder = tempfile::tempdir().unwrap();
    let locks = folder.path();
    for _ in 0..5 {
        thread::scope(|scope| {
            for watch in 0..8 {
                scope.spawn(move || {
                    let said = watched(locks, "60.000", &format!("echo this is {watch}"));
                    let heard: Vec<&str> =
                        said.lines().filter(|line| line.starts_with("this is ")).collect();
                    assert_eq!(heard, [format!("this is {watch}")], "{said}");
                    assert!(said.contains("\nended 0\n") && !said.contains("hung"), "{said}");
                });
            }
        });
    }
    // Whoever comes alone leaves its own answer and no other.
    watched(locks, "60.000", "echo alone");
    let (names, text) = left(locks);
    assert_eq!((names.len(), text.matches("began ").count()), (2, 1), "{names:?} {text}");
}

/// A probe that hangs is told as that, by its own watch and by those after it, which begin none;
/// they leave nothing of their own. Once it goes on, so do the others.
#[test]
fn a_watch_over_what_hangs_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (locks, storage) = (folder.path().join("locks"), folder.path().join("storage"));
    fs::create_dir(&locks).unwrap();
    assert!(process::Command::new("mkfifo").arg(&storage).status().unwrap().success());
    let hangs = format!("echo step enter; cat {}", storage.display());
    let said = watched(&locks, "0.100", &hangs);
    assert!(said.contains("step enter\nhung 0\n"), "{said}");
    let before = left(&locks);
    for _ in 0..3 {
        let said = watched(&locks, "0.100", "echo begun beside it");
        assert!(said.contains("step enter\nhung "), "{said}");
    }
    assert_eq!(left(&locks), before, "nothing is begun, and nothing piles up");
    fs::write(&storage, "it answers\n").unwrap();
    let said = watched(&locks, "60.000", "echo after it");
    assert!(said.contains("\nafter it\nended 0\n") && !said.contains("answers"), "{said}");
    assert_eq!(left(&locks).0, before.0);
}
