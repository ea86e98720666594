//! When to look at what: at an easy pace while all is well, harder as soon as something is not.
//!
//! Costly looks (a command on the host, a new database connection, the proxy's file) are asked
//! less often while all is well; any doubt makes every look due at once.

use std::collections::BTreeMap;

use crate::judge::{Rule, Verdict};
use crate::ledger::Snapshot;
use crate::policy::{PROBE_MAX_MS, PROBE_WAY_MS, Policy};
use crate::sighting::{Class, Look};
use crate::words::At;

/// How many rounds a costly look is left out while all is well.
const COSTLY_EVERY: u64 = 5;
/// Shortest pause between two looks of one kind: a definite answer is confirmed after this.
const CONFIRM_MS: u64 = 100;

/// Pace and deadline of a look that has its own and was never answered.
const UNKNOWN_PACE: (u64, u64) = (10_000, 60_000);

/// How long a named trouble with the master keeps the pace high.
const TROUBLED_MS: u64 = 30_000;

/// How the pair looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Mood {
    /// Nothing wrong.
    #[default]
    Easy,
    /// Something is.
    Doubtful,
    /// A definite answer waits for its confirmation.
    Confirming,
}

impl Mood {
    /// `trouble_ms` is how long the master has looked wrong, if it does.
    pub(super) fn of(rule: &Rule, snapshot: &Snapshot, trouble_ms: Option<u64>) -> Self {
        let fresh = snapshot
            .entries()
            .any(|(_, entry)| matches!(entry.class, Class::Dead) && entry.streak < 3);
        match rule.verdict {
            _ if fresh => Mood::Confirming,
            Verdict::Suspect => Mood::Doubtful,
            // A trouble that has a name and lasts is watched at the easy pace again.
            _ if trouble_ms.is_some_and(|ms| ms < TROUBLED_MS) => Mood::Doubtful,
            _ => Mood::Easy,
        }
    }
}

/// Whether a query is taking suspiciously long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Late {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    last: Option<At>,
    in_flight: u32,
    /// True if an alarm came since it was last asked.
    hurried: bool,
}

/// When each look was last asked, and how urgent looking is.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    asked: BTreeMap<Look, Asked>,
    /// Looks with a pace and a deadline of their own, in milliseconds.
    own: BTreeMap<Look, (u64, u64)>,
    mood: Mood,
}

impl Pace {
    pub(super) fn set_mood(&mut self, mood: Mood) {
        self.mood = mood;
    }

    /// Gives `look` a pace of its own, and says how long an answer to it may take.
    pub(super) fn own(&mut self, look: Look, every_ms: u64, deadline_ms: u64) {
        self.own.insert(look, (every_ms, deadline_ms));
    }

    /// Makes every look due, once.
    pub(super) fn hurry(&mut self) {
        self.asked.values_mut().for_each(|asked| asked.hurried = true);
    }

    pub(super) fn answered(&mut self, look: &Look) {
        if let Some(asked) = self.asked.get_mut(look) {
            asked.in_flight = asked.in_flight.saturating_sub(1);
        }
    }

    /// Takes note that `look` is asked now.
    pub(super) fn ask(&mut self, look: &Look, now: At) {
        let asked = self.asked.entry(look.clone()).or_default();
        asked.last = Some(now);
        asked.in_flight += 1;
        asked.hurried = false;
    }

    /// When `look` is due; `late` as [`Pace::is_late`] says.
    pub(super) fn due(&self, look: &Look, policy: &Policy, now: At, late: Late) -> At {
        let Some(asked) = self.asked.get(look) else { return now };
        let Some(last) = asked.last else { return now };
        if matches!(look, Look::Mount { .. }) {
            // Until its first answer nothing is known of its pace, and one is on its way.
            let (every_ms, deadline_ms) = self.own.get(look).copied().unwrap_or(UNKNOWN_PACE);
            let on_its_way = asked.in_flight > 0;
            return last.plus(if on_its_way { every_ms.max(deadline_ms) } else { every_ms });
        }
        let mood = if late == Late::Yes { self.mood.max_doubt() } else { self.mood };
        let pause_ms = match mood {
            // A disk fills at its own pace, whatever else is in doubt, and a look at it costs the
            // host a sudo. Files come at theirs.
            // A readiness probe may be any command.
            _ if matches!(look, Look::Disk(_) | Look::Files(_) | Look::Readiness { .. }) => {
                policy.interval_ms * COSTLY_EVERY
            }
            Mood::Easy if is_costly(look) => policy.interval_ms * COSTLY_EVERY,
            Mood::Easy => policy.interval_ms,
            Mood::Doubtful => policy.suspect_interval_ms,
            Mood::Confirming => CONFIRM_MS.min(policy.suspect_interval_ms),
        };
        if matches!(look, Look::Readiness { .. }) && asked.in_flight > 0 {
            // Never two at a time: what hangs on a host must not be asked to hang once more.
            return last.plus((PROBE_MAX_MS + PROBE_WAY_MS).max(pause_ms));
        }
        // What was on its way when the alarm came says nothing of it.
        if asked.hurried && asked.in_flight == 0 {
            return now;
        }
        // Looks overlap under doubt, so that silence is counted at the pace and not at the
        // timeout; never more at a time than it takes to count as silence.
        let most = if mood == Mood::Easy { 1 } else { policy.failures };
        if asked.in_flight >= most {
            return last.plus(policy.timeout_ms.max(pause_ms));
        }
        last.plus(pause_ms)
    }

    /// When the next of `looks` is due.
    pub(super) fn next_due(&self, looks: &[Look], policy: &Policy, now: At) -> At {
        let late = self.is_late(policy, now);
        let next = looks.iter().map(|look| self.due(look, policy, now, late)).min();
        let late_at = self.asked.iter().filter_map(|(look, asked)| {
            let waits = asked.in_flight > 0 && is_pulse(look);
            asked.last.filter(|_| waits).map(|last| last.plus(policy.timeout_ms / 2))
        });
        let late_at = late_at.filter(|at| *at > now).min();
        let next = next.unwrap_or(now.plus(policy.interval_ms));
        late_at.map_or(next, |late_at| next.min(late_at))
    }

    /// A query over an open connection takes milliseconds: one that has taken half its time is a
    /// first sign, and not yet an answer.
    pub(super) fn is_late(&self, policy: &Policy, now: At) -> Late {
        let late = self.asked.iter().any(|(look, asked)| {
            is_pulse(look)
                && asked.in_flight > 0
                && asked.last.is_some_and(|last| now.since(last) >= policy.timeout_ms / 2)
        });
        if late { Late::Yes } else { Late::No }
    }
}

impl Mood {
    fn max_doubt(self) -> Self {
        if self == Mood::Easy { Mood::Doubtful } else { self }
    }
}

/// The look that each round makes at each host, over a connection that is open.
fn is_pulse(look: &Look) -> bool {
    matches!(look, Look::Database(_) | Look::External(_))
}

fn is_costly(look: &Look) -> bool {
    matches!(look, Look::Machine(_) | Look::Port { .. } | Look::ProxyFile(_))
        || matches!(look, Look::Application { from: crate::sighting::Vantage::Host(_), .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hangs on a host must not be asked to hang once more, whatever else is in doubt.
    #[test]
    fn a_mount_is_looked_at_by_one_look_at_a_time() {
        let look = Look::Mount { host: "node-a".into(), mount: "keys".into() };
        let (mut pace, policy) = (Pace::default(), Policy::default());
        let due = |pace: &Pace, at| pace.due(&look, &policy, At(at), Late::Yes);
        assert_eq!(due(&pace, 5), At(5), "at once after the start");
        pace.ask(&look, At(1_000));
        assert!(due(&pace, 2_000) > At(60_000), "the first is on its way");
        pace.own(look.clone(), 10_000, 6_000);
        pace.hurry();
        pace.set_mood(Mood::Doubtful);
        assert_eq!(due(&pace, 2_000), At(11_000), "at its own pace");
        pace.own(look.clone(), 1_000, 6_000);
        assert_eq!(due(&pace, 2_000), At(7_000), "not before it must have been answered");
        pace.answered(&look);
        assert_eq!(due(&pace, 2_000), At(2_000));
    }
}
