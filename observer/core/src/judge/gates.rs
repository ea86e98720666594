//! The gates: whether what is right may be done now.
//!
//! Same form as the verdict table: disjoint, complete, walked by a test.

use super::cause::Cause;
use crate::facts::{Act, Asker, GateFacts, Journal, Past, Pause, Standing, Work};

/// One row of the gates.
#[derive(Debug)]
pub struct Gate {
    /// Stable name of the row.
    pub id: &'static str,
    /// The combinations it answers.
    pub when: GateWhen,
    /// The cause that bars the way; none where the way is open.
    pub bars: Option<Cause>,
    /// Why, as a fragment that reads after "because".
    pub why: &'static str,
}

/// A pattern over gate facts; an empty list admits every value.
#[derive(Debug)]
pub struct GateWhen {
    /// Admitted values of [`GateFacts::act`].
    pub act: &'static [Act],
    /// Admitted values of [`GateFacts::asker`].
    pub asker: &'static [Asker],
    /// Admitted values of [`GateFacts::standing`].
    pub standing: &'static [Standing],
    /// Admitted values of [`GateFacts::pause`].
    pub pause: &'static [Pause],
    /// Admitted values of [`GateFacts::work`].
    pub work: &'static [Work],
    /// Admitted values of [`GateFacts::past`].
    pub past: &'static [Past],
    /// Admitted values of [`GateFacts::journal`].
    pub journal: &'static [Journal],
}

impl GateWhen {
    /// True if this pattern admits `facts`.
    pub fn admits(&self, facts: &GateFacts) -> bool {
        fn one_of<T: PartialEq>(admitted: &[T], value: &T) -> bool {
            admitted.is_empty() || admitted.contains(value)
        }
        one_of(self.act, &facts.act)
            && one_of(self.asker, &facts.asker)
            && one_of(self.standing, &facts.standing)
            && one_of(self.pause, &facts.pause)
            && one_of(self.work, &facts.work)
            && one_of(self.past, &facts.past)
            && one_of(self.journal, &facts.journal)
    }
}

const ANY: GateWhen = GateWhen {
    act: &[],
    asker: &[],
    standing: &[],
    pause: &[],
    work: &[],
    past: &[],
    journal: &[],
};
const ACTING: GateWhen = GateWhen { act: &[Act::Repair, Act::ChangeMaster], ..ANY };
const RECORDED: GateWhen = GateWhen { journal: &[Journal::Writable], ..ACTING };
const IDLE: GateWhen = GateWhen { work: &[Work::Idle], ..RECORDED };
const RUNNING: GateWhen = GateWhen { pause: &[Pause::Running], ..IDLE };
const BY_ITSELF: GateWhen = GateWhen { asker: &[Asker::Observer], ..RUNNING };
const AUTO: GateWhen = GateWhen { standing: &[Standing::Auto], ..BY_ITSELF };

/// The gates. A change of master by a person's order passes where the observer's own would be
/// barred by mode or by what happened lately; pause, an open plan and a failing journal bar both.
pub const GATES: &[Gate] = &[
    Gate {
        id: "G0",
        when: GateWhen { act: &[Act::Nothing], ..ANY },
        bars: None,
        why: "nothing is to be done",
    },
    Gate {
        id: "G1",
        when: GateWhen { journal: &[Journal::Failing], ..ACTING },
        bars: Some(Cause::JournalFailing),
        why: "what cannot be recorded is not ordered",
    },
    Gate {
        id: "G2",
        when: GateWhen { work: &[Work::PlanOpen], ..RECORDED },
        bars: Some(Cause::PlanOpen),
        why: "a second plan is never started over an open one",
    },
    Gate {
        id: "G3",
        when: GateWhen { pause: &[Pause::Paused], ..IDLE },
        bars: Some(Cause::Paused),
        why: "pause is absolute",
    },
    Gate {
        id: "G4",
        when: GateWhen { asker: &[Asker::Operator], ..RUNNING },
        bars: None,
        why: "a person ordered it",
    },
    Gate {
        id: "G5",
        when: GateWhen { standing: &[Standing::Off, Standing::ObserveOnly], ..BY_ITSELF },
        bars: Some(Cause::ObserveOnly),
        why: "the mode allows watching only",
    },
    Gate {
        id: "G6",
        when: GateWhen { past: &[Past::JustFailed], ..AUTO },
        bars: Some(Cause::JustFailed),
        why: "a plan failed a moment ago and is not repeated at once, but after 15 s",
    },
    Gate {
        id: "G7",
        when: GateWhen { act: &[Act::ChangeMaster], past: &[Past::Unacknowledged], ..AUTO },
        bars: Some(Cause::Flapping),
        why: "the master changed lately, the pair was not protected since, and nobody said go on",
    },
    Gate {
        id: "G8",
        when: GateWhen { act: &[Act::Repair], past: &[Past::Unacknowledged], ..AUTO },
        bars: None,
        why: "a repair moves no role",
    },
    Gate {
        id: "G9",
        when: GateWhen { past: &[Past::Calm], ..AUTO },
        bars: None,
        why: "the mode is auto and nothing stands against it",
    },
];

/// Picks the one gate that admits `facts`. Total, like `judge`.
pub fn gate(facts: &GateFacts) -> &'static Gate {
    GATES.iter().find(|gate| gate.when.admits(facts)).expect("the gates cover every combination")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_meets_exactly_one_gate() {
        for facts in GateFacts::all() {
            let met: Vec<&str> =
                GATES.iter().filter(|gate| gate.when.admits(&facts)).map(|gate| gate.id).collect();
            assert_eq!(met.len(), 1, "{facts:?} meets {met:?}");
        }
    }

    /// Safety rules 3, 9 and 12 as a property of the gates.
    #[test]
    fn nothing_passes_pause_an_open_plan_or_a_failing_journal() {
        for facts in GateFacts::all().filter(|facts| facts.act != Act::Nothing) {
            let stands_against = facts.pause == Pause::Paused
                || facts.work == Work::PlanOpen
                || facts.journal == Journal::Failing;
            if stands_against {
                assert!(gate(&facts).bars.is_some(), "{facts:?} passes");
            }
        }
    }
}
