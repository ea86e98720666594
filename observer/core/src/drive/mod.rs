//! Carries out one armed plan: a machine that says what to do next and is told what came of it.
//!
//! It does nothing itself and keeps no clock. Per step:
//!
//! ```text
//!   record "ordered" ─durable─► perform ─reply or none─► look for the proof ─shown─► record
//!         ▲                                                     │ not yet           "proven"
//!         └───────── reply lost or refused: order again ◄───────┤
//!                                                               ▼ deadline
//!                 give up → undo in reverse · go on → record "skipped" · insist → again
//! ```
//!
//! The order rule: an effect is handed out only after its record was reported durable.
//!
//! A plan taken up by a later life of the observer is walked again from its first step, looking
//! first: what is still so is passed, what is not is ordered again. The world went on while nobody
//! looked, and a fence that stood then may have fallen since. For the same reason a pivot that did
//! not succeed is not simply ordered again: the plan is walked again up to it.

mod failing;
mod minds;
mod resume;
mod talk;

use crate::journal::{Mark, Outcome, Record, Turn, Way};
use crate::lint::ArmedPlan;
use crate::plan::{Effect, First, LostReply, Plan, Proof, Step, Undo};
use crate::words::{At, human_ms};

pub use talk::{Answer, Order, Reply, Want};

/// Shortest and longest pause between two looks at a proof that does not show yet. A look costs a
/// round trip of a few milliseconds; a promotion takes about a hundred, a clone may take hours.
const LOOK_AGAIN_MS: u64 = 20;
const LOOK_AGAIN_MAX_MS: u64 = 2_000;
/// The pause is this part of what was waited already, so that it costs little of either kind.
const LOOK_AGAIN_PART: u64 = 20;
/// How long a proof may fail to show after a lost reply before the effect is ordered again.
const LOST_REPLY_MS: u64 = 1_000;
/// Orders in vain after which they become rarer.
const MANY_TRIES: u32 = 10;
/// Pause before a refused effect is ordered again.
const REFUSED_MS: u64 = 250;
/// Pause before a step that must succeed is tried again after its deadline.
const INSIST_MS: u64 = 1_000;
/// How long a step before the pivot is tried when the plan is walked again past its pivot: users
/// wait, and it is not needed any more unless it is a fence, which is insisted on anyway.
const PASSING_MS: u64 = 2_000;
/// How long one order may take: what takes longer is only set going by it.
const ORDER_MAX_MS: u64 = 120_000;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    /// At a step's beginning.
    Begin,
    /// A record is on its way to the disk.
    Recording(Then),
    /// An effect is on its way.
    Performing,
    /// The proof is to be looked for, not before this moment.
    LookAt(At),
    /// A look is on its way.
    Looking,
    /// The effect is to be ordered again, not before this moment.
    OrderAgainAt(At),
    /// The turning back is to be recorded again, not before this moment.
    TurnAt(At),
    /// Everything is recorded.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Perform,
    NextStep,
    TurnBack,
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LastReply {
    None,
    Did,
    Refused,
    Lost,
    /// Ordered by an earlier life.
    FromBefore,
}

/// One plan being carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drive {
    armed: ArmedPlan,
    way: Way,
    cursor: usize,
    stage: Stage,
    /// Steps that were ordered or looked at, whose undo is due when the plan turns back.
    touched: Vec<bool>,
    /// Steps that an earlier life has ordered: they are looked at before they are ordered again.
    look_first: Vec<bool>,
    /// True once a promotion was ordered and not certainly refused: it may have happened.
    promoted_perhaps: bool,
    /// Times the pivot was ordered and did not succeed, and when that began.
    pivot_tries: u32,
    pivot_since: Option<At>,
    /// True while a promotion that did not come through is being withdrawn.
    withdrawing: bool,
    /// False once a promotion was seen, or could not be withdrawn: it is not tried again.
    may_withdraw: bool,
    /// True once the promotion was seen.
    promotion_seen: bool,
    /// Since when users are held.
    held_since: Option<At>,
    attempt: u32,
    began_at: At,
    ordered_at: At,
    last_reply: LastReply,
    why: String,
    turned_back: Option<String>,
    turn: Turn,
    stuck: Vec<Want>,
}

impl Drive {
    /// Begins a plan whose opening record is durable.
    pub fn begin(armed: ArmedPlan) -> Self {
        let touched = vec![false; armed.plan().steps.len()];
        Self {
            armed,
            way: Way::Forward,
            cursor: 0,
            stage: Stage::Begin,
            look_first: vec![false; touched.len()],
            touched,
            promoted_perhaps: false,
            pivot_tries: 0,
            pivot_since: None,
            withdrawing: false,
            may_withdraw: true,
            promotion_seen: false,
            held_since: None,
            attempt: 0,
            began_at: At::default(),
            ordered_at: At::default(),
            last_reply: LastReply::None,
            why: String::new(),
            turned_back: None,
            turn: Turn::default(),
            stuck: Vec::new(),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        self.armed.plan()
    }

    /// Index of the step it is at, and the direction.
    pub fn position(&self) -> (usize, Way) {
        (self.cursor, self.way)
    }

    /// When the step it is at began.
    pub fn since(&self) -> At {
        self.began_at
    }

    /// Why the current step has not been proven yet, in the last look's words.
    pub fn waiting_for(&self) -> &str {
        &self.why
    }

    /// True between two steps: nothing is on its way, and stopping here leaves nothing half done.
    pub fn is_between_steps(&self) -> bool {
        self.stage == Stage::Begin || self.stage == Stage::Over
    }

    /// True once the pivot may have happened: from there the plan only goes forward. A pivot that
    /// was certainly refused has not happened.
    pub fn is_past_pivot(&self) -> bool {
        self.promoted_perhaps
    }

    /// True once the closing record is durable.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// What to do next; none while an answer is awaited or nothing is due.
    pub fn next(&mut self, now: At) -> Option<Want> {
        if let Some(stuck) = self.stuck.pop() {
            return Some(stuck);
        }
        match &self.stage {
            Stage::Begin if self.is_held_too_long(now) => {
                let held = human_ms(self.held_ms(now));
                self.turned_back = Some(format!("users were held for {held}"));
                Some(self.record_turn(now))
            }
            Stage::Begin => Some(self.begin_step(now)),
            Stage::OrderAgainAt(at) if *at <= now => {
                let pivot = self.plan().pivot() == Some(self.cursor);
                let walked = self.last_reply == LastReply::FromBefore;
                if self.way == Way::Forward && pivot && !walked {
                    return Some(self.walk_again(now));
                }
                if self.way == Way::Forward && *self.effect() == Effect::Look {
                    return Some(self.return_to_pivot(now));
                }
                Some(self.order(now))
            }
            Stage::TurnAt(at) if *at <= now => Some(self.record_turn(now)),
            Stage::LookAt(at) if *at <= now => {
                self.stage = Stage::Looking;
                Some(self.prove())
            }
            _ => None,
        }
    }

    /// When `next` has something to say without any answer coming in.
    pub fn wakes_at(&self) -> Option<At> {
        match &self.stage {
            Stage::OrderAgainAt(at) | Stage::LookAt(at) | Stage::TurnAt(at) => Some(*at),
            Stage::Begin => Some(At(0)),
            _ => None,
        }
    }

    /// The last record is durable. Returns the effect it was for, if it was for one.
    pub fn recorded(&mut self, now: At) -> Option<Want> {
        let Stage::Recording(then) = self.stage else { return None };
        match then {
            Then::Perform => {
                self.stage = Stage::Performing;
                self.ordered_at = now;
                let plan = self.plan();
                return Some(Want::Perform(Order {
                    plan: plan.id,
                    step: self.cursor,
                    way: self.way,
                    epoch: plan.epoch,
                    effect: self.effect().clone(),
                    deadline_ms: self.step().deadline_ms.min(ORDER_MAX_MS),
                }));
            }
            Then::NextStep => self.advance(),
            Then::TurnBack => {
                self.way = Way::Back;
                // A plan that is walked again may turn back before steps that were done long ago.
                self.enter_back(self.touched.len());
            }
            Then::End => self.stage = Stage::Over,
        }
        None
    }

    /// The record could not be written: it is wanted again.
    pub fn not_recorded(&mut self, now: At) {
        match self.stage {
            Stage::Recording(Then::Perform) => {
                self.attempt -= 1;
                self.stage = Stage::OrderAgainAt(now.plus(INSIST_MS));
            }
            Stage::Recording(Then::NextStep) => self.stage = Stage::LookAt(now.plus(INSIST_MS)),
            // Given up is given up: nothing but this record may follow, whatever shows meanwhile.
            Stage::Recording(Then::TurnBack) => self.stage = Stage::TurnAt(now.plus(INSIST_MS)),
            Stage::Recording(Then::End) => self.stage = Stage::Begin,
            _ => {}
        }
    }

    /// What came of the effect.
    pub fn replied(&mut self, reply: Reply, now: At) {
        if self.stage != Stage::Performing {
            return;
        }
        self.last_reply = match reply {
            Reply::Did => LastReply::Did,
            Reply::NoReply => LastReply::Lost,
            Reply::Refused(why) => {
                self.why = why;
                LastReply::Refused
            }
        };
        if self.effect().is_pivot() {
            self.promoted_perhaps |= self.last_reply != LastReply::Refused;
        }
        self.stage = Stage::LookAt(now);
    }

    /// What the look for the proof showed.
    pub fn looked(&mut self, answer: Answer, now: At) -> Option<Want> {
        if self.stage != Stage::Looking {
            return None;
        }
        // Only what was certainly ordered can have ended in vain.
        let in_vain = self.last_reply == LastReply::Did || matches!(answer, Answer::Never(_));
        match answer {
            Answer::Shown(_) if self.withdrawing => Some(self.withdrawn(now)),
            Answer::Failed(why) | Answer::Never(why) if self.withdrawing => {
                self.why = why;
                Some(self.not_withdrawn(now))
            }
            Answer::Shown(evidence) => {
                let pivot = self.way == Way::Forward && self.plan().pivot() == Some(self.cursor);
                self.may_withdraw &= !pivot;
                self.promotion_seen |= pivot;
                let took_ms = now.since(self.began_at);
                self.stage = Stage::Recording(Then::NextStep);
                Some(Want::Record(self.mark(Mark::Proven { evidence, took_ms }, now)))
            }
            Answer::Failed(why) | Answer::Never(why) if in_vain => {
                self.promotion_seen |= self.withdrawing;
                self.why = why;
                self.fail(now)
            }
            Answer::NotYet(why)
            | Answer::Unknown(why)
            | Answer::Failed(why)
            | Answer::Never(why) => {
                // A refusal says more than the missing proof that follows from it.
                if self.last_reply != LastReply::Refused {
                    self.why = why;
                }
                self.not_shown(now)
            }
        }
    }

    fn begin_step(&mut self, now: At) -> Want {
        if self.is_done() {
            self.stage = Stage::Recording(Then::End);
            let outcome = match &self.turned_back {
                None => Outcome::Done,
                Some(why) => Outcome::Undone { why: why.clone() },
            };
            return Want::Record(Record::PlanClosed { at: now, plan: self.plan().id, outcome });
        }
        if self.is_settled_by_the_pivot() {
            self.cursor += 1;
            return self.begin_step(now);
        }
        self.began_at = now;
        self.ordered_at = now;
        self.attempt = 0;
        if self.way == Way::Forward && self.plan().pivot() == Some(self.cursor) {
            // However often the plan is walked up to it, the pivot has one deadline.
            self.attempt = self.pivot_tries;
            self.began_at = *self.pivot_since.get_or_insert(now);
        }
        self.why.clear();
        self.last_reply = LastReply::None;
        let look = std::mem::take(&mut self.look_first[self.cursor]);
        let look = look || self.step().first == First::Look;
        let holds = self.step().proof.holds_users();
        if self.way == Way::Forward && holds && self.plan().hold_limit_ms.is_some() {
            self.held_since.get_or_insert(now);
        }
        if self.way == Way::Forward && look {
            self.touched[self.cursor] = true;
            self.last_reply = LastReply::FromBefore;
            self.stage = Stage::Looking;
            return self.prove();
        }
        self.order(now)
    }

    /// True for a step that waited for the slave to hold what the master has, once the pivot was
    /// ordered: it was shown then, and a primary can not show it any more. Nor is a PgBouncer
    /// paused any more for a master that is gone: who goes on meanwhile waits at the proxy.
    fn is_settled_by_the_pivot(&self) -> bool {
        let before = self.plan().pivot().is_some_and(|pivot| self.cursor < pivot);
        (self.way == Way::Forward && self.is_past_pivot())
            && before
            && matches!(
                self.step().proof,
                Proof::ReplayedShutdown { .. }
                    | Proof::ReplayedAll { .. }
                    | Proof::LossWithin { .. }
                    | Proof::LagWithin { .. }
                    | Proof::UnitSettled { .. }
                    | Proof::PassClean { .. }
                    | Proof::BouncerPaused { .. }
                    | Proof::BouncerRuns { .. }
            )
    }

    /// Goes back to the first step: what is still so is passed, what is not is ordered again.
    fn walk_again(&mut self, now: At) -> Want {
        self.look_first.clone_from(&self.touched);
        self.look_first[self.cursor] = self.promoted_perhaps;
        self.pivot_tries += 1;
        self.cursor = 0;
        self.begin_step(now)
    }

    /// A look past the pivot that shows nothing has no effect to order again: what it waits for is
    /// the pivot's own work, as when the new master's database died right after its promotion.
    fn return_to_pivot(&mut self, now: At) -> Want {
        if let Some(pivot) = self.plan().pivot().filter(|pivot| *pivot < self.cursor) {
            self.look_first[pivot..=self.cursor].fill(true);
            self.pivot_since = None;
            self.cursor = pivot;
        }
        self.begin_step(now)
    }

    fn prove(&self) -> Want {
        let plan = self.plan();
        let proof = self.proof().clone();
        let deadline_ms = talk::look_deadline_ms(&proof);
        Want::Prove { proof, epoch: plan.epoch, deadline_ms }
    }

    fn order(&mut self, now: At) -> Want {
        if self.way == Way::Forward {
            self.touched[self.cursor] = true;
        }
        if *self.effect() == Effect::Look {
            self.last_reply = LastReply::Did;
            self.stage = Stage::Looking;
            return self.prove();
        }
        self.attempt += 1;
        self.stage = Stage::Recording(Then::Perform);
        Want::Record(self.mark(Mark::Ordered { attempt: self.attempt }, now))
    }

    fn not_shown(&mut self, now: At) -> Option<Want> {
        if now.since(self.began_at) >= self.deadline_ms() || self.is_held_too_long(now) {
            return self.fail(now);
        }
        let again = self.step().lost_reply == LostReply::Repeat;
        let waited = now.since(self.ordered_at);
        self.stage = match self.last_reply {
            LastReply::Refused if again => Stage::OrderAgainAt(now.plus(self.refused_ms())),
            LastReply::FromBefore if *self.effect() == Effect::Look => {
                Stage::LookAt(now.plus(self.pause_ms(now)))
            }
            LastReply::FromBefore => Stage::OrderAgainAt(now),
            LastReply::Lost if again && waited >= self.patience_ms() => Stage::OrderAgainAt(now),
            _ => Stage::LookAt(now.plus(self.pause_ms(now))),
        };
        None
    }

    fn pause_ms(&self, now: At) -> u64 {
        let waited = now.since(self.began_at);
        (waited / LOOK_AGAIN_PART).clamp(LOOK_AGAIN_MS, LOOK_AGAIN_MAX_MS)
    }

    /// How long a lost reply is waited for: longer once it was lost again and again, so that a host
    /// that is away for a night does not fill the journal.
    fn patience_ms(&self) -> u64 {
        if self.attempt < MANY_TRIES { LOST_REPLY_MS } else { 10 * LOST_REPLY_MS }
    }

    /// What was refused many times will not be otherwise in a moment, and each order is a record.
    fn refused_ms(&self) -> u64 {
        if self.attempt < MANY_TRIES { REFUSED_MS } else { 4 * REFUSED_MS }
    }

    fn held_ms(&self, now: At) -> u64 {
        self.held_since.map_or(0, |since| now.since(since))
    }

    /// True once users, who could go on with the old master, were held for as long as they may be.
    fn is_held_too_long(&self, now: At) -> bool {
        let before = self.way == Way::Forward && !self.is_past_pivot();
        let limit = self.plan().hold_limit_ms;
        before && limit.is_some_and(|limit| self.held_ms(now) >= limit)
    }

    /// The step's deadline; short for a step before the pivot that is only walked past again.
    fn deadline_ms(&self) -> u64 {
        let before = self.plan().pivot().is_some_and(|pivot| self.cursor < pivot);
        let given = self.step().deadline_ms;
        if before && self.is_past_pivot() { given.min(PASSING_MS) } else { given }
    }

    fn advance(&mut self) {
        match self.way {
            Way::Forward => {
                self.cursor += 1;
                self.stage = Stage::Begin;
            }
            Way::Back => {
                self.touched[self.cursor] = false;
                self.enter_back(self.cursor);
            }
        }
    }

    /// Goes to the last touched step at or before `from` that has something to undo.
    fn enter_back(&mut self, from: usize) {
        let due = |step: &usize| {
            self.touched[*step] && matches!(self.plan().steps[*step].undo, Undo::By { .. })
        };
        match (0..=from.min(self.touched.len().saturating_sub(1))).rev().find(due) {
            Some(step) => self.cursor = step,
            None => self.clear_touched(),
        }
        self.stage = Stage::Begin;
    }

    fn clear_touched(&mut self) {
        self.touched.fill(false);
    }

    /// True once every step was gone through, as planned or back.
    pub fn is_done(&self) -> bool {
        match self.way {
            Way::Forward => self.cursor >= self.plan().steps.len(),
            Way::Back => !self.touched.iter().any(|touched| *touched),
        }
    }

    fn mark(&self, mark: Mark, now: At) -> Record {
        let plan = self.plan().id;
        Record::Step { at: now, plan, step: self.cursor, way: self.way, mark }
    }

    fn step(&self) -> &Step {
        &self.plan().steps[self.cursor]
    }

    fn effect(&self) -> &Effect {
        match (self.way, &self.step().undo) {
            (Way::Back, Undo::By { effect, .. }) => effect,
            _ => &self.step().effect,
        }
    }

    fn proof(&self) -> &Proof {
        match (self.way, &self.step().undo) {
            (Way::Back, Undo::By { proof, .. }) => proof,
            _ => &self.step().proof,
        }
    }
}
