//! Looks at a shared mount: what the watch on the host says of it.
//!
//! The watch touches nothing that could hang. That a probe hangs is an answer, and a definite one.

use std::time::Duration;

use observer_core::mounts::{MountReport, MountRoom, MountSource, MountUse};
use observer_core::sighting::{Seen, Silent};
use observer_core::words::MountName;
use tokio::time::{Instant, timeout_at};

use super::silence;
use crate::commands::{MountCommands, Try};
use crate::pair_world::Host;
use crate::sudo::obstacle;
use crate::text::shown;

/// A few lines, and the words of what failed.
const OUTPUT_MAX: usize = 64 * 1024;
/// How many mounts of a host are tried at one time.
pub(crate) const WATCHES: usize = 4;

pub(super) async fn look(
    host: &Host,
    mount: &MountName,
    deadline: Duration,
) -> Result<Seen, Silent> {
    let known = host.commands.mounts.iter().find(|known| known.mount == *mount);
    let none = || Silent::Denied(format!("{mount} is no mount of the pair"));
    probe(host, known.ok_or_else(none)?, deadline).await.map(Seen::Mount)
}

/// Tries everything that the service needs of a mount.
pub(crate) async fn probe(
    host: &Host,
    mount: &MountCommands,
    deadline: Duration,
) -> Result<MountReport, Silent> {
    let said = watch(host, mount, Try::Probe, "", deadline).await?;
    report(&said, mount)
}

/// Runs one command under watch, and gives what stands between the watch's own marks. A few at a
/// time: sshd gives a connection ten sessions, and plans need theirs.
pub(crate) async fn watch(
    host: &Host,
    mount: &MountCommands,
    tried: Try,
    words: &str,
    deadline: Duration,
) -> Result<String, Silent> {
    let until = Instant::now() + deadline;
    let turn = timeout_at(until, host.watching.acquire()).await.map_err(|_| Silent::Timeout)?;
    let _turn = turn.expect("nobody closes it");
    let left = until.saturating_duration_since(Instant::now());
    let output = host.ssh.exec(&mount.watch(tried, words), "", left, OUTPUT_MAX).await;
    let output = output.map_err(silence::of_command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let body = text.split_once("=== ha-observer mount\n");
    let body = body.and_then(|(_, rest)| rest.rsplit_once("=== ha-observer end\n"));
    if let Some((body, _)) = body {
        // sudo's own refusal stands where the probe's words would.
        return refused(host, body).map_or_else(|| Ok(body.to_owned()), Err);
    }
    let said = [&output.stdout[..], &output.stderr].concat();
    Err(refused(host, &String::from_utf8_lossy(&said))
        .unwrap_or_else(|| Silent::Garbage(shown(&said))))
}

fn refused(host: &Host, said: &str) -> Option<Silent> {
    if said.lines().any(|line| line.starts_with("step ")) {
        return None;
    }
    let access = &host.access;
    let found = obstacle(said.as_bytes(), access.name.as_str(), &access.ssh.user)?;
    Some(Silent::Denied(found.advice))
}

fn report(said: &str, mount: &MountCommands) -> Result<MountReport, Silent> {
    let lines: Vec<&str> = said.lines().collect();
    if lines.contains(&"absent") {
        return Ok(MountReport { source: None, used: MountUse::NotMounted, room: None });
    }
    let garbage = || Silent::Garbage(shown(said.as_bytes()));
    // After the probe it is told once more: what mounts itself was mounted by it.
    let source = lines.iter().rev().find_map(|line| source(line.strip_prefix("mount ")?));
    let step = lines.iter().rev().find_map(|line| line.strip_prefix("step ")?.parse().ok());
    let room = lines.iter().find_map(|line| room(line.strip_prefix("room ")?));
    let hung = lines.iter().find_map(|line| line.strip_prefix("hung ")?.parse::<u64>().ok());
    let code = lines.iter().find_map(|line| line.strip_prefix("ended "));
    let used = match (hung, code) {
        (Some(seconds), _) => {
            MountUse::Hangs { step, for_ms: (seconds * 1_000).max(mount.deadline_ms()) }
        }
        (None, Some("0")) if lines.contains(&"done") => MountUse::Works,
        (None, Some(code)) => {
            MountUse::Fails { step: step.ok_or_else(garbage)?, why: words(&lines, code) }
        }
        (None, None) => return Err(garbage()),
    };
    Ok(MountReport { source: Some(source.ok_or_else(garbage)?), used, room })
}

/// What was said after the last step, without the name of the program that said it.
fn words(lines: &[&str], code: &str) -> String {
    let from = lines.iter().rposition(|line| line.starts_with("step ")).map_or(0, |at| at + 1);
    let own = |line: &&&str| !["mount ", "ended ", "room "].iter().any(|key| line.starts_with(key));
    let said: Vec<&str> = lines[from..].iter().filter(own).copied().collect();
    match said.first() {
        Some(line) => {
            let why = line.rsplit_once(": ").map_or(*line, |(_, why)| why);
            shown(why.as_bytes())
        }
        None => format!("exit code {code}"),
    }
}

/// A line of `/proc/self/mountinfo`: `ID PARENT DEVICE ROOT PLACE OPTIONS … - KIND SOURCE OPTIONS`.
fn source(line: &str) -> Option<MountSource> {
    let (head, tail) = line.split_once(" - ")?;
    let root = head.split(' ').nth(3)?;
    let mut tail = tail.split(' ');
    let (kind, source) = (tail.next()?, plain(tail.next()?));
    let name = match root {
        "/" => source,
        part => format!("{source}[{}]", plain(part)),
    };
    Some(MountSource { name: shown(name.as_bytes()), kind: shown(kind.as_bytes()) })
}

/// Takes the kernel's octal escapes back.
fn plain(word: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\043", "#")];
    let text = escapes.iter().fold(word.to_owned(), |text, (from, to)| text.replace(from, to));
    text.replace("\\134", "\\")
}

/// `UNIT BLOCKS FREE INODES FREE-INODES`, as `stat -f` prints them.
fn room(line: &str) -> Option<MountRoom> {
    let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let [unit, blocks, free, inodes, free_inodes] = numbers[..] else { return None };
    Some(MountRoom {
        size_bytes: unit.saturating_mul(blocks),
        free_bytes: unit.saturating_mul(free),
        inodes,
        free_inodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_as_the_kernel_writes_it() {
        let read = |line| source(line).map(|source| (source.name, source.kind));
        let nfs = "41 28 0:52 / /srv/desk rw,relatime shared:19 - nfs4 storage:/export/desk rw";
        assert_eq!(read(nfs), Some(("storage:/export/desk".to_owned(), "nfs4".to_owned())));
        let bound = "41 28 0:52 /part /srv/a\\040b rw - ext4 /dev/sd\\134a\\0401 rw";
        assert_eq!(read(bound), Some(("/dev/sd\\a 1[/part]".to_owned(), "ext4".to_owned())));
        assert_eq!(read("41 28 0:52"), None);
    }

    #[test]
    fn the_first_words_after_the_last_step_say_why() {
        let said = ["step write", "dd: failed to open './x': No space left on device", "ended 1"];
        assert_eq!(words(&said, "1"), "No space left on device");
        assert_eq!(words(&["step lock", "ended 1"], "1"), "exit code 1");
        assert_eq!(words(&["step read", "it reads other than was written"], "1"), said_other());
    }

    fn said_other() -> &'static str {
        "it reads other than was written"
    }

    #[test]
    fn room_is_counted_in_bytes() {
        let room = room("4096 100 25 0 0").unwrap();
        assert_eq!((room.size_bytes, room.free_bytes, room.inodes), (409_600, 102_400, 0));
        assert!(super::room("4096 100 -1 0 0").is_none());
    }
}
