//! How a plan that an earlier life of the observer left open is taken up.

use super::Drive;
use crate::journal::{Mark, OpenPlan, Way};
use crate::lint::ArmedPlan;
use crate::plan::{Effect, Goal, Proof, Sessions};
use crate::words::At;

impl Drive {
    /// Takes up a plan that an earlier life of the observer left open.
    pub fn resume(armed: ArmedPlan, open: &OpenPlan, now: At) -> Self {
        let mut drive = Self::begin(armed);
        let undone = |step: usize| {
            matches!(
                open.marks.get(&(step, Way::Back)),
                Some(Mark::Proven { .. } | Mark::Skipped { .. })
            )
        };
        for step in 0..drive.touched.len() {
            drive.touched[step] = open.marks.contains_key(&(step, Way::Forward));
        }
        drive.look_first.clone_from(&drive.touched);
        for (step, look) in drive.armed.plan().steps.iter().zip(&mut drive.look_first) {
            // Whether its sessions were ended, a later life cannot see: it is ordered again.
            let ends = Sessions::End;
            *look &= !matches!(step.effect, Effect::TakeOut { sessions, .. } if sessions == ends);
        }
        let pivot = drive.plan().pivot();
        let seen = |mark: &Mark| matches!(mark, Mark::Proven { .. });
        let pivot_mark = pivot.and_then(|pivot| open.marks.get(&(pivot, Way::Forward)));
        drive.promotion_seen = pivot_mark.is_some_and(seen);
        drive.may_withdraw = !drive.promotion_seen;
        if let (Some(pivot), true) = (pivot, open.turned_back.is_some()) {
            // Nobody turns back past a pivot: it was never ordered, refused, or withdrawn.
            drive.touched[pivot] = false;
        }
        drive.promoted_perhaps = pivot.is_some_and(|pivot| drive.touched[pivot]);
        drive.turned_back = open.turned_back.clone();
        drive.turn = open.turn;
        drive.began_at = now;
        if open.turned_back.is_some() {
            drive.way = Way::Back;
            for step in (0..drive.touched.len()).filter(|step| undone(*step)) {
                drive.touched[step] = false;
            }
            drive.look_first.fill(false);
            drive.enter_back(drive.touched.len());
        } else if matches!(drive.plan().goal, Goal::Repair(_)) && open.is_through() {
            // Only its closing was not recorded. What may have broken since is another matter.
            drive.cursor = drive.touched.len();
        }
        drive
    }

    /// Goes on in the middle of a repair of the slave, where repeating what came before would do
    /// harm: at the proof that it streams, if it is `well`, which stopping it would end; else at
    /// the rewind or clone that was ordered last, which may still run beside whatever is done.
    pub fn go_on_in_the_middle(&mut self, well: bool) {
        let Goal::Repair(_) = self.plan().goal else { return };
        if self.is_done() {
            return;
        }
        let steps = &self.plan().steps;
        let is_job = |step: &usize| {
            matches!(steps[*step].effect, Effect::Rewind { .. } | Effect::Clone { .. })
        };
        let middle = match well {
            true => steps.iter().position(|step| matches!(step.proof, Proof::Streams { .. })),
            false => self.touched.iter().rposition(|touched| *touched).filter(is_job),
        };
        if let Some(step) = middle {
            self.cursor = step;
            self.look_first[step] = true;
        }
    }
}
