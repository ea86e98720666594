//! What others may ask of a drive in its middle: to be taken back, or to pass a step.

use super::{Drive, Stage, Then, Want};
use crate::journal::{Mark, Record, Turn, Way};
use crate::words::At;

impl Drive {
    /// Asks for the plan to be taken back. Refused past the pivot and when it is going back.
    pub fn turn_back(&mut self, why: &str, turn: Turn, now: At) -> Option<Want> {
        let idle = matches!(self.stage, Stage::Begin | Stage::LookAt(_) | Stage::OrderAgainAt(_));
        if self.is_past_pivot() || self.way == Way::Back || !idle {
            return None;
        }
        self.turned_back = Some(why.to_owned());
        self.turn = turn;
        Some(self.record_turn(now))
    }

    /// Takes a plan back whose promotion was ordered and never seen: a person says that the host
    /// which was to be promoted is gone for good. Refused once a promotion was seen, and while an
    /// answer is awaited.
    pub fn abandon(&mut self, why: &str, now: At) -> Option<Want> {
        let idle = matches!(self.stage, Stage::Begin | Stage::LookAt(_) | Stage::OrderAgainAt(_));
        if !self.is_unseen_promotion() || !idle {
            return None;
        }
        if let Some(pivot) = self.plan().pivot() {
            self.touched[pivot] = false;
        }
        self.withdrawing = false;
        self.promoted_perhaps = false;
        self.way = Way::Back;
        self.turned_back = Some(why.to_owned());
        self.turn = Turn::HeirLost;
        Some(self.record_turn(now))
    }

    /// True while a promotion was ordered, may have happened, and was never seen.
    pub fn is_unseen_promotion(&self) -> bool {
        let pivot = self.plan().pivot();
        let at = pivot.is_some_and(|pivot| self.cursor <= pivot);
        self.promoted_perhaps && !self.promotion_seen && at
    }

    /// Passes the step it waits at: it is not needed any more, or a person says so. Refused while
    /// an answer is awaited, and at the pivot, which nobody can pass.
    pub fn pass(&mut self, why: &str, now: At) -> Option<Want> {
        let waits = matches!(self.stage, Stage::LookAt(_) | Stage::OrderAgainAt(_));
        let pivot = self.way == Way::Forward && self.plan().pivot() == Some(self.cursor);
        if !waits || pivot || self.withdrawing {
            return None;
        }
        self.stage = Stage::Recording(Then::NextStep);
        Some(Want::Record(self.mark(Mark::Skipped { why: why.to_owned() }, now)))
    }

    pub(super) fn record_turn(&mut self, now: At) -> Want {
        self.stage = Stage::Recording(Then::TurnBack);
        let why = self.with_what_stays(self.turned_back.clone().unwrap_or_default());
        self.turned_back = Some(why.clone());
        Want::Record(Record::TurnedBack { at: now, plan: self.plan().id, why, turn: self.turn })
    }
}
