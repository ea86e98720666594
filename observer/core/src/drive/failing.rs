//! What a drive does about a step that did not succeed by its deadline.
//!
//! It says in which direction the plan goes from there, and nothing else.

use super::{Drive, INSIST_MS, LastReply, Stage, Then, Want};
use crate::journal::{Mark, Way};
use crate::plan::{Effect, OnFailure, Proof, Undo};
use crate::policy::FenceGrade;
use crate::words::At;

impl Drive {
    pub(super) fn fail(&mut self, now: At) -> Option<Want> {
        if self.withdrawing {
            return Some(self.not_withdrawn(now));
        }
        let why = format!("{}: {}", self.step().name, self.why);
        match self.on_failure() {
            OnFailure::Insist if self.can_withdraw() => {
                self.turned_back = Some(why);
                Some(self.withdraw(now))
            }
            OnFailure::GiveUp => {
                self.turned_back = Some(why);
                Some(self.record_turn(now))
            }
            OnFailure::GoOn => {
                self.stage = Stage::Recording(Then::NextStep);
                let why = self.why.clone();
                Some(Want::Record(self.mark(Mark::Skipped { why }, now)))
            }
            OnFailure::Insist => {
                self.stuck.push(Want::SayStuck { step: self.cursor, why: self.why.clone() });
                self.began_at = now;
                self.pivot_since = None;
                self.stage = Stage::OrderAgainAt(now.plus(INSIST_MS));
                None
            }
        }
    }

    /// True at a pivot that has an undo: what it is may still be found out for certain.
    fn can_withdraw(&self) -> bool {
        let pivot = self.way == Way::Forward && self.plan().pivot() == Some(self.cursor);
        pivot && self.may_withdraw && matches!(self.step().undo, Undo::By { .. })
    }

    /// Orders the undo of a pivot that did not show. Whether the plan is taken back is decided by
    /// its proof: until then it goes neither way.
    fn withdraw(&mut self, now: At) -> Want {
        self.withdrawing = true;
        self.way = Way::Back;
        self.began_at = now;
        self.ordered_at = now;
        self.attempt = 0;
        self.last_reply = LastReply::None;
        self.order(now)
    }

    /// The pivot has not happened, and cannot any more.
    pub(super) fn withdrawn(&mut self, now: At) -> Want {
        self.withdrawing = false;
        self.promoted_perhaps = false;
        self.touched[self.cursor] = false;
        self.record_turn(now)
    }

    /// It has happened, or that cannot be told: forward.
    pub(super) fn not_withdrawn(&mut self, now: At) -> Want {
        self.withdrawing = false;
        self.may_withdraw = false;
        self.way = Way::Forward;
        self.turned_back = None;
        self.stuck.push(Want::SayStuck { step: self.cursor, why: self.why.clone() });
        self.pivot_since = None;
        self.walk_again(now)
    }

    /// Why the plan is taken back, and what stays as it has become: a person must see to that.
    pub(super) fn with_what_stays(&self, why: String) -> String {
        let steps = self.plan().steps.iter().zip(&self.touched);
        let mut stays = steps.filter_map(|(step, touched)| match (&step.effect, &step.undo) {
            (Effect::PowerOff { host }, Undo::NothingToUndo) if *touched => Some(host),
            _ => None,
        });
        let Some(host) = stays.next() else { return why };
        let note = format!("; {host} was ordered off and is not switched on again by itself");
        if why.ends_with(&note) { why } else { why + &note }
    }

    /// True at a fence on the way to the pivot, or walked past again after it.
    pub fn is_at_a_fence(&self) -> bool {
        let ahead = self.plan().pivot().is_some_and(|pivot| self.cursor < pivot);
        let fence = match self.proof() {
            Proof::IsOut { .. } | Proof::PoweredOff { .. } => true,
            Proof::DatabaseStopped { .. } => self.plan().fence == FenceGrade::Stopped,
            _ => false,
        };
        self.way == Way::Forward && ahead && fence
    }

    /// What failing means on the way the plan is going.
    pub(super) fn on_failure(&self) -> OnFailure {
        if self.way == Way::Forward {
            let past = self.is_past_pivot();
            let pivot = self.plan().pivot() == Some(self.cursor);
            return match (self.step().on_failure, self.proof()) {
                // Refused every time: it has not happened, so there is a way back.
                (OnFailure::Insist, _) if pivot && !past => OnFailure::GiveUp,
                // A plan taken up past its pivot walks its first steps again, and there is no
                // way back any more: a fence is still insisted on, the rest is passed.
                (OnFailure::GiveUp, Proof::IsOut { .. } | Proof::PoweredOff { .. }) if past => {
                    OnFailure::Insist
                }
                (OnFailure::GiveUp, Proof::DatabaseStopped { .. })
                    if past && self.plan().fence == FenceGrade::Stopped =>
                {
                    OnFailure::Insist
                }
                (OnFailure::GiveUp, _) if past => OnFailure::GoOn,
                (on_failure, _) => on_failure,
            };
        }
        // Whatever cannot be taken back because its host or proxy is gone must not keep the rest
        // from it, nor the judge from acting on what has become of the pair: a drifted proxy, a
        // database that is down and a tombstone on the journal's own master are repaired, and a
        // master that died meanwhile is failed over.
        OnFailure::GoOn
    }
}
