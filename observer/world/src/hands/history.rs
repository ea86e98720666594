//! Proofs of a rejoin: what was kept, whose history a stopped database is part of, and how a clone
//! goes.
//!
//! It changes nothing. Two databases of one history never wrote on the same timeline after the
//! point where one of them left it.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::words::{Timeline, human_progress};
use tokio::time::Instant;

use super::Fault;
use super::job::{Job, look, was_ordered};
use super::proofs::not_yet;
use super::run::Machine;
use super::slave_proofs::{control, streams};
use crate::eyes::machine;
use crate::pair_world::{Host, Inner};
use crate::postgres::Failure;
use crate::postgres::control::{Control, left_at};
use crate::ssh::Ending;
use crate::text::shown;

/// Whether what only `host` has is kept; or it has nothing of its own. What stays in doubt is kept.
pub(super) async fn kept(
    host: &Host,
    source: Option<&Host>,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let own = match source {
        Some(source) => of_its_own(host, source, left()).await?,
        None => None,
    };
    if let Some(Ok(nothing)) = own {
        return Ok(Answer::Shown(format!("it has nothing of its own: {nothing}")));
    }
    let keep = &host.commands.standby.keep;
    let output = Machine::host(host).try_run(&keep.compare, "", left()).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut sums = text.lines().filter_map(|line| line.split(' ').next());
    let what = own.and_then(Result::err).map_or_else(String::new, |what| format!("{what}; "));
    let folder = &keep.folder;
    Ok(match (sums.next(), sums.next()) {
        (Some(now), Some(kept)) if now == kept => {
            Answer::Shown(format!("{what}its log, settings and control file are in {folder}"))
        }
        (Some(_), _) => Answer::NotYet(format!("{what}not in {folder}")),
        (None, _) => Answer::Unknown(shown(&output.stderr)),
    })
}

/// Why a stopped database has nothing that `source` has not, or what it has; none while that cannot
/// be told.
async fn of_its_own(
    host: &Host,
    source: &Host,
    deadline: Duration,
) -> Result<Option<Result<String, String>>, Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    if !matches!(host.database.knock(left()).await, Err(Failure::NotRunning(_))) {
        return Ok(None);
    }
    let (own, of_source) = tokio::join!(control(host, left()), source.database.look(left()));
    let Ok(of_source) = of_source else { return Ok(None) };
    let (of_own, histories_of_source) =
        tokio::join!(histories(host, left()), histories(source, left()));
    let timeline = Timeline(of_source.timeline);
    Ok(Some(within(&own?, timeline, &of_own?, &histories_of_source?)))
}

/// Whether `host` streams from `source`; never, if it is stopped with what its source has not.
pub(super) async fn streams_if_it_can(
    world: &Inner,
    host: &Host,
    source: &Host,
    deadline: Duration,
) -> Answer {
    let until = Instant::now() + deadline;
    let answer = streams(world, host, source, deadline).await;
    if matches!(answer, Answer::Shown(_) | Answer::Failed(_)) {
        return answer;
    }
    let left = || until.saturating_duration_since(Instant::now());
    let Ok(Some(Err(why))) = of_its_own(host, source, left()).await else { return answer };
    // What was rewound looks so until it has run.
    match on_history_of(host, source, left()).await {
        Ok(Answer::Shown(_)) => answer,
        _ => Answer::Never(why),
    }
}

/// Refuses to start a standby that was shut down as a primary on the very timeline of a primary
/// that runs. PostgreSQL and `pg_rewind` go by timelines: they would take what it wrote for what
/// the other wrote, and its data would differ for ever without a word. It can only be cloned.
pub(super) async fn refuse_what_wrote_beside(
    world: &Inner,
    host: &Host,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    if machine::tombstone(host, left()).await != Ok(true) {
        return Ok(());
    }
    // What cannot be read is told by the start itself.
    let own = match control(host, left()).await {
        Ok(own) if own.was_shut_down() => own,
        _ => return Ok(()),
    };
    for other in world.hosts.values().filter(|other| other.access.name != host.access.name) {
        let Ok(seen) = other.database.look(left()).await else { continue };
        if !seen.in_recovery && Timeline(seen.timeline) == own.timeline {
            return Err(Fault::Refused(format!(
                "it was shut down as a primary on timeline {}, which is {}'s: its data may \
                 differ, and it can only be cloned, by `rejoin`",
                own.timeline.0, other.access.name
            )));
        }
    }
    Ok(())
}

pub(super) async fn on_history_of(
    host: &Host,
    source: &Host,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let job = &host.commands.standby.rewinding;
    let said = look(host, job, left()).await?;
    if let Job::Running(words) = &said {
        return Ok(Answer::NotYet(format!("running: {words}")));
    }
    match host.database.knock(left()).await {
        Err(Failure::NotRunning(_)) => {}
        Err(failure) => return Ok(not_yet(&failure)),
        Ok(_) => return Ok(Answer::NotYet("its database runs".to_owned())),
    }
    let (own, of_source) = tokio::join!(control(host, left()), source.database.look(left()));
    let (own, of_source) = match (own?, of_source) {
        (own, Ok(of_source)) => (own, of_source),
        (_, Err(failure)) => return Ok(not_yet(&failure)),
    };
    let timeline = Timeline(of_source.timeline);
    let (of_own, of_source) = tokio::join!(histories(host, left()), histories(source, left()));
    let why = match within(&own, timeline, &of_own?, &of_source?) {
        Ok(seen) => return Ok(Answer::Shown(seen)),
        Err(why) => why,
    };
    Ok(match said {
        Job::Failed(error) => Answer::Failed(error),
        Job::Succeeded(ended) => match rewound(host, &own, timeline, ended, left()).await {
            true => Answer::Shown(format!("rewound to timeline {}", timeline.0)),
            // It goes by the numbers of timelines, and may have found nothing to do.
            false if own.state != IN_RECOVERY => Answer::Failed(format!("not rewound: {why}")),
            false => Answer::NotYet(why),
        },
        _ if was_ordered(host, job) => Answer::Failed(format!("{} is no longer running", job.unit)),
        _ => Answer::NotYet(why),
    })
}

/// The state of a standby that was not shut down, and of what was rewound.
const IN_RECOVERY: &str = "in archive recovery";

/// Whether all that a stopped database holds was written before its timeline was left.
fn within(
    own: &Control,
    source: Timeline,
    of_own: &str,
    of_source: &str,
) -> Result<String, String> {
    let (reached, on) = match () {
        () if own.was_shut_down() => (own.checkpoint, own.timeline),
        // A standby writes nothing of its own: it holds what it has received.
        () if is_standby(own) => (own.checkpoint.max(own.pages_up_to), own.timeline),
        () => return Err(format!("its control file says \"{}\"", own.state)),
    };
    if on == source {
        if left_at(of_own, on) != left_at(of_source, on) {
            return Err(format!("its timeline {} is another than its source's", on.0));
        }
        let standby = is_standby(own);
        let told = format!("on timeline {} as its source", on.0);
        return if standby { Ok(told) } else { Err(format!("it wrote {told}")) };
    }
    let left = left_at(of_source, source).into_iter().find(|(timeline, _)| *timeline == on);
    match left {
        // A checkpoint that begins before that point ends before it, or at it.
        Some((_, left)) if reached < left || is_standby(own) && reached == left => {
            Ok(format!("shut down at {reached}; timeline {} was left at {left}", on.0))
        }
        Some((_, left)) => {
            Err(format!("it wrote up to {reached}; timeline {} was left at {left}", on.0))
        }
        None => Err(format!("timeline {} is not in the history of its source", on.0)),
    }
}

/// Whether it was a standby to the end, in whatever way that came.
fn is_standby(own: &Control) -> bool {
    own.was_shut_down_in_recovery() || own.state == IN_RECOVERY
}

/// Whether the unit's success is still how things are: no server was started on it since.
async fn rewound(
    host: &Host,
    own: &Control,
    source: Timeline,
    ended: Option<u64>,
    deadline: Duration,
) -> bool {
    if own.state != IN_RECOVERY || own.timeline != source {
        return false;
    }
    let Some(ended) = ended else { return false };
    let (tombstone, start) = tokio::join!(
        machine::tombstone(host, deadline),
        Machine::host(host).try_run(&host.commands.see_last_start, "", deadline)
    );
    let Ok(start) = start else { return false };
    let text = String::from_utf8_lossy(&start.stdout);
    let started = text.lines().last().and_then(|line| line.trim().parse::<u64>().ok());
    // A rewind takes the file away that each start writes.
    let before = match started {
        Some(started) => started < ended,
        None => start.ending == Ending::Exited(1),
    };
    before && tombstone == Ok(true)
}

async fn histories(source: &Host, deadline: Duration) -> Result<String, Fault> {
    let command = &source.commands.standby.histories;
    let output = Machine::host(source).try_run(command, "", deadline).await?;
    match output.ending {
        // One that has never left its first timeline has no such file.
        Ending::Exited(0 | 1) if output.stderr.is_empty() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        _ => Err(Machine::host(source).failed(command, &output)),
    }
}

pub(super) async fn cloned(
    world: &Inner,
    host: &Host,
    upstream: &Host,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let job = &host.commands.standby.cloning;
    let said = look(host, job, left()).await?;
    if let Job::Running(words) = said {
        // Whatever streams now is about to be replaced.
        return Ok(Answer::NotYet(progress(upstream, left()).await.unwrap_or(words)));
    }
    let answer = streams(world, host, upstream, left()).await;
    if matches!(answer, Answer::Shown(_)) {
        return Ok(answer);
    }
    Ok(match said {
        Job::Running(words) => Answer::NotYet(words),
        Job::Failed(error) => Answer::Failed(error),
        Job::Gone if was_ordered(host, job) => {
            Answer::Failed(format!("{} is no longer running", job.unit))
        }
        Job::Succeeded(_) | Job::Gone => answer,
    })
}

async fn progress(upstream: &Host, deadline: Duration) -> Option<String> {
    let backup = upstream.database.backup_progress(deadline).await.ok()??;
    Some(human_progress(backup.sent, backup.total, backup.running_ms))
}

#[cfg(test)]
mod tests {
    use observer_core::words::Lsn;

    use super::*;

    fn control(state: &str, checkpoint: u64, timeline: u32) -> Control {
        Control {
            state: state.to_owned(),
            checkpoint: Lsn(checkpoint),
            timeline: Timeline(timeline),
            pages_up_to: Lsn(0),
        }
    }

    const HISTORY: &str = "/d/pg_wal/00000002.history:1\t0/3000000\treason\n";

    #[track_caller]
    fn check(state: &str, checkpoint: u64, timeline: u32, holds: Result<(), ()>) {
        let control = control(state, checkpoint, timeline);
        let found = within(&control, Timeline(2), HISTORY, HISTORY);
        assert_eq!(found.as_ref().map(drop).map_err(drop), holds, "{found:?}");
    }

    #[test]
    fn a_timeline_of_the_same_number_may_be_another() {
        let own = control("shut down in recovery", 0x400_0000, 2);
        let other = HISTORY.replace("0/3000000", "0/2800000");
        assert!(within(&own, Timeline(2), HISTORY, HISTORY).is_ok());
        assert!(within(&own, Timeline(2), &other, HISTORY).is_err());
    }

    #[test]
    fn only_what_was_shut_down_before_the_parting_is_of_the_history() {
        check("shut down", 0x2ff_ff88, 1, Ok(()));
        check("shut down", 0x300_0000, 1, Err(()));
        check("shut down", 0x300_0028, 1, Err(()));
        check("in production", 0x2ff_ff88, 1, Err(()));
        check("shut down", 0x2ff_ff88, 2, Err(()));
        check("shut down in recovery", 0x2ff_ff88, 2, Ok(()));
        check("shut down in recovery", 0x400_0000, 1, Err(()));
        check("shut down", 0x2ff_ff88, 3, Err(()));
    }
}
