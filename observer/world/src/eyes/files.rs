//! Looks at what the passes of the file sets have left on a host, and which of them run.
//!
//! It needs no rights: a pass leaves what it did where anybody may read it. It starts nothing.

use std::time::Duration;

use observer_core::files::{CleanPass, FileSetReport, PassKind, PassTrouble};
use observer_core::sighting::{Seen, Silent};
use observer_core::words::{Epoch, FileSetName, HostName};

use super::silence;
use crate::commands::{FILES_FOLDER, PassCommands};
use crate::pair_world::{Host, Inner};
use crate::ssh::Command;
use crate::text::shown;

/// A few lines per set.
const OUTPUT_MAX: usize = 256 * 1024;

/// Prints, for each set, the state of its unit and what its last passes left. Of a clean one that
/// is its first line and what rsync counted. It has the time of its beginning, and its last change
/// was to be given its name.
const SCRIPT: &str = r#"
LC_ALL=C; export LC_ALL; cd -- "$1" || exit 1; shift
for set; do
    printf '=== ha-observer set %s\n' "$set"
    systemctl show --property=ActiveState -- "ha-observer-files-$set.service"
    date +Now=%s.%3N
    cd -- "$set" 2>/dev/null || continue
    printf 'Epoch='; head -c 40 epoch 2>/dev/null; echo
    printf 'Order='; head -c 100 order 2>/dev/null; echo
    stat --printf='Clean=%.3Y\nEnded=%.3Z\n' clean 2>/dev/null
    sed -n -e 1p -e '/^Number of /p' -e '/^Total transferred /p' clean 2>/dev/null |
        head -c 8000 | sed 's/^/clean /'
    head -c 200 held 2>/dev/null | sed 's/^/held /'
    head -c 4000 missing 2>/dev/null | sed 's/^/missing /'
    head -c 2000 failed 2>/dev/null | sed 's/^/failed /'
    tail -c 400 out 2>/dev/null | tr '\r' '\n' | sed 's/^/out /'
    cd ..
done
"#;

/// What a host says of one set, with what belongs to which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetState {
    pub(crate) report: FileSetReport,
    /// The newest epoch that was here: older orders are refused.
    pub(crate) epoch: Option<Epoch>,
    /// The order that was given last.
    pub(crate) order: Option<(Epoch, PassKind)>,
    /// The order whose pass ended in vain.
    pub(crate) in_vain: Option<(Epoch, PassKind)>,
}

pub(super) async fn look(world: &Inner, host: &Host, deadline: Duration) -> Result<Seen, Silent> {
    let states = states(host, deadline).await?;
    // Where the database is external, only this tells an observer that has lost its journal which
    // epoch its orders must carry.
    states.iter().filter_map(|state| state.epoch).for_each(|epoch| world.see_epoch(epoch));
    Ok(Seen::Files(states.into_iter().map(|state| state.report).collect()))
}

/// The state of each configured set.
pub(crate) async fn states(host: &Host, deadline: Duration) -> Result<Vec<SetState>, Silent> {
    let sets: Vec<&FileSetName> = host.commands.files.iter().map(|set| &set.set).collect();
    let script = Command::new("/bin/sh").arg("-c").arg(SCRIPT).arg("sh").arg(FILES_FOLDER);
    let script = script.args(sets.iter().map(|set| set.as_str()));
    let output = host.ssh.exec(&script, "", deadline, OUTPUT_MAX).await;
    let output = output.map_err(silence::of_command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text.split("=== ha-observer set ").skip(1);
    let states = parts.by_ref().filter_map(state);
    let states = states.map(|state| known(state, &host.commands.files));
    let states: Vec<SetState> = states.map(|state| named(state, &host.access.name)).collect();
    if states.len() == sets.len() {
        return Ok(states);
    }
    let name = &host.access.name;
    Err(Silent::Denied(format!(
        "{name} is not prepared to fetch files ({}): run what `ha-observer config files {name}` \
         prints there",
        shown(if output.stderr.is_empty() { &output.stdout } else { &output.stderr })
    )))
}

fn state(part: &str) -> Option<SetState> {
    let (name, rest) = part.split_once('\n')?;
    let value = |key: &str| {
        rest.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim)
    };
    let lines = |key: &str| {
        let prefix = format!("{key} ");
        let own = rest.lines().filter_map(move |line| line.strip_prefix(&prefix));
        own.collect::<Vec<&str>>()
    };
    let active = value("ActiveState")?;
    let running = matches!(active, "active" | "activating" | "deactivating" | "reloading");
    let ms = |key: &str| Some((value(key)?.parse::<f64>().ok()? * 1_000.0) as u64);
    let times = || {
        let began = ms("Clean")?;
        Some((ms("Now")?.saturating_sub(began), ms("Ended")?.saturating_sub(began)))
    };
    let clean = lines("clean");
    let clean = times().and_then(|times| self::clean(&clean, times));
    let (held, failed, missing) = (lines("held"), lines("failed"), lines("missing"));
    let (in_vain, trouble) = match (held.first(), failed.split_first()) {
        (Some(line), _) => (order(line), too_many(line)),
        (None, Some((first, words))) => (order(first), Some(failure(words))),
        // Such a pass has not ended in vain: all that the master has is there.
        (None, None) => (None, missing.first().and_then(|line| self::missing(line))),
    };
    Some(SetState {
        report: FileSetReport {
            set: FileSetName::new(name),
            running: running.then(|| progress(&lines("out"))),
            clean,
            trouble,
        },
        epoch: value("Epoch").and_then(|number| number.parse().ok()).map(Epoch),
        order: value("Order").and_then(order),
        in_vain,
    })
}

/// `EPOCH KIND …`.
fn order(line: &str) -> Option<(Epoch, PassKind)> {
    let mut words = line.split_whitespace();
    Some((Epoch(words.next()?.parse().ok()?), PassKind::of_word(words.next()?)?))
}

/// The pass does not know by what name its host goes.
fn named(mut state: SetState, host: &HostName) -> SetState {
    if let Some(PassTrouble::Failed(why)) = &mut state.report.trouble {
        *why = why.replace("on this host", &format!("on {host}"));
    }
    state
}

/// Of what a pass found missing, that which is still declared: what a pass of an earlier
/// configuration left says nothing any more.
fn known(mut state: SetState, sets: &[PassCommands]) -> SetState {
    let report = &mut state.report;
    let set = sets.iter().find(|commands| commands.set == report.set);
    if let Some(PassTrouble::Missing { files }) = &mut report.trouble {
        files.retain(|file| set.is_some_and(|set| set.must_exist.contains(file)));
        if files.is_empty() {
            report.trouble = None;
        }
    }
    state
}

/// `EPOCH KIND`, and below it what rsync says of each run.
fn clean(lines: &[&str], (began_ms_ago, took_ms): (u64, u64)) -> Option<CleanPass> {
    let (first, said) = lines.split_first()?;
    let (epoch, kind) = order(first)?;
    let numbers = |key: &str| -> Vec<u64> {
        let values = said.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        values.filter_map(|value| value.split(' ').next()?.parse().ok()).collect()
    };
    Some(CleanPass {
        kind,
        epoch,
        began_ms_ago,
        took_ms,
        files: numbers("Number of regular files transferred").iter().sum(),
        bytes: numbers("Total transferred file size").iter().sum(),
        deleted: numbers("Number of deleted files").iter().sum(),
        total: numbers("Number of files").last().copied()?,
    })
}

/// `EPOCH KIND DELETIONS OF`.
fn too_many(line: &str) -> Option<PassTrouble> {
    let mut words = line.split_whitespace().skip(2).map(str::parse);
    let (deletions, of) = (words.next()?.ok()?, words.next()?.ok()?);
    Some(PassTrouble::TooManyDeletions { deletions, of })
}

/// `EPOCH KIND NAME…`.
fn missing(line: &str) -> Option<PassTrouble> {
    let files: Vec<String> = line.split_whitespace().skip(2).map(str::to_owned).collect();
    (!files.is_empty()).then_some(PassTrouble::Missing { files })
}

/// rsync's first complaint says what is wrong; its last line only that something is.
fn failure(words: &[&str]) -> PassTrouble {
    let line = words.iter().find(|line| !line.trim().is_empty()).copied();
    let more = words.iter().filter(|line| line.starts_with("rsync: ")).count();
    let line = shown(line.unwrap_or("it ended without a word").as_bytes());
    PassTrouble::Failed(match more {
        0 | 1 => line,
        more => format!("{line} (and {} more)", more - 1),
    })
}

/// The last line of what rsync says of its progress: `BYTES 41% RATE TIME (xfr#1, to-chk=0/6)`.
fn progress(lines: &[&str]) -> String {
    let last = lines.iter().rev().find(|line| line.contains('%'));
    let Some(last) = last else { return "comparing".to_owned() };
    let percent = last.split_whitespace().find(|word| word.ends_with('%')).unwrap_or("");
    let files = last.split_once("-chk=").map_or("", |(_, rest)| rest.trim_end_matches(')'));
    match files.split_once('/') {
        // All are fetched; each is given its name now, which takes a while where there are many.
        Some(("0", of)) => {
            shown(format!("{percent}, {of} compared, being put in place").as_bytes())
        }
        Some((left, of)) => {
            shown(format!("{percent}, {left} of {of} files left to compare").as_bytes())
        }
        None => shown(percent.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = "\
        files\nActiveState=inactive\nNow=1700000010.500\nEpoch=8\n\nOrder=7 routine 0\n\
        Clean=1700000000.250\nEnded=1700000003.500\n\
        clean 7 last\n\
        clean Number of files: 9 (reg: 6, dir: 2, link: 1)\n\
        clean Number of deleted files: 0\n\
        clean Number of regular files transferred: 2\n\
        clean Total transferred file size: 11 bytes\n\
        clean Number of files: 8 (reg: 5, dir: 2, link: 1)\n\
        clean Number of deleted files: 1 (reg: 1)\n\
        clean Number of regular files transferred: 1\n\
        clean Total transferred file size: 4 bytes\n";

    #[test]
    fn a_clean_pass_is_the_sum_of_its_runs() {
        let state = state(CLEAN).unwrap();
        assert_eq!(state.report.running, None);
        let clean = state.report.clean.unwrap();
        assert_eq!((clean.epoch, clean.kind), (Epoch(7), PassKind::Last));
        assert_eq!((clean.files, clean.bytes, clean.deleted, clean.total), (3, 15, 1, 8));
        assert_eq!((clean.began_ms_ago, clean.took_ms), (10_250, 3_250));
        assert_eq!(state.order, Some((Epoch(7), PassKind::Routine)));
        assert_eq!(state.report.trouble, None);
        assert_eq!(state.epoch, Some(Epoch(8)), "of a switchover that was to begin");
    }

    #[test]
    fn what_runs_and_what_went_wrong_is_told_with_its_order() {
        let text = "files\nActiveState=activating\nNow=1\nOrder=8 near 0\nheld 7 routine 50 3\n\
            out   10  41%    0.00kB/s    0:00:00 (xfr#1, to-chk=4/6)\n";
        let held = state(text).unwrap();
        let running = held.report.running.as_deref();
        assert_eq!(running, Some("41%, 4 of 6 files left to compare"));
        assert_eq!(held.epoch, None, "no pass was here yet");
        assert_eq!(held.in_vain, Some((Epoch(7), PassKind::Routine)));
        let expected = PassTrouble::TooManyDeletions { deletions: 50, of: 3 };
        assert_eq!(held.report.trouble, Some(expected));

        let text = "files\nActiveState=failed\nOrder=\nfailed 8 last\n\
            failed rsync: send_files failed to open \"/x\\#033[1m\": Permission denied (13)\n\
            failed rsync error: some files could not be transferred (code 23)\n";
        let failed = state(text).unwrap();
        assert_eq!(failed.report.running, None);
        assert_eq!(failed.in_vain, Some((Epoch(8), PassKind::Last)));
        let words = failed.report.trouble.unwrap().to_string();
        assert!(words.contains("Permission denied"), "{words}");
        assert!(state("files\nsh: systemctl: not found\n").is_none());
    }

    #[test]
    fn progress_is_told_until_the_last_file_has_its_name() {
        let line = |left| format!("  10  41%    0.00kB/s    0:00:00 (xfr#1, to-chk={left}/6)");
        assert_eq!(progress(&[&line(4)]), "41%, 4 of 6 files left to compare");
        assert_eq!(progress(&[&line(4), &line(0)]), "41%, 6 compared, being put in place");
        assert_eq!(progress(&[]), "comparing");
    }

    /// It stands beside a clean pass: all that the master has was brought.
    #[test]
    fn what_the_master_lacks_is_told_beside_the_pass_that_found_it() {
        let state = state(&format!("{CLEAN}missing 7 last licence.lic a.job\n")).unwrap();
        let clean = state.report.clean.unwrap();
        assert_eq!((clean.epoch, clean.kind), (Epoch(7), PassKind::Last));
        assert_eq!(state.in_vain, None);
        let files = ["licence.lic", "a.job"].map(str::to_owned).to_vec();
        assert_eq!(state.report.trouble, Some(PassTrouble::Missing { files }));
        // What is no longer declared is no longer missed.
        assert_eq!(known(state, &[]).report.trouble, None);
    }
}
