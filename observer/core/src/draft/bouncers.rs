//! The steps at PgBouncers: sessions that last wait there while the master changes.
//!
//! A pause outlives whoever asked for it, so that each has its resume twice: as its undo, and after
//! the pivot.

use crate::plan::{Effect, First, LostReply, OnFailure, Proof, Step, Undo};
use crate::policy::PairSpec;
use crate::words::BouncerName;

/// How long an answer from the admin console may take, in milliseconds: it takes one or two.
const ANSWER_MS: u64 = 2_000;

/// Finds out that a PgBouncer can not be spoken to before anybody has to wait.
///
/// It bears the undo of the pause that comes after the users are held. Plans are taken back in
/// reverse: so users are let in first, and what the PgBouncer opens then finds a server at once.
/// One whose first try finds none waits for its `server_login_retry`, fifteen seconds.
pub(super) fn answers(bouncer: &BouncerName) -> Step {
    Step {
        name: format!("{bouncer} answers"),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::BouncerRuns { bouncer: bouncer.clone() },
        lost_reply: LostReply::LookOnly,
        undo: Undo::By {
            effect: Effect::ResumeBouncer { bouncer: bouncer.clone() },
            proof: Proof::BouncerRuns { bouncer: bouncer.clone() },
        },
        on_failure: OnFailure::GiveUp,
        deadline_ms: ANSWER_MS,
    }
}

/// Lets sessions wait once their transactions have ended: they notice nothing of the new master
/// but the time. A transaction that does not end is nobody's to break off, so that the plan is
/// given up.
pub(super) fn pause(spec: &PairSpec, bouncer: &BouncerName) -> Step {
    Step {
        name: format!("pause {bouncer}"),
        first: First::Order,
        effect: Effect::PauseBouncer { bouncer: bouncer.clone() },
        proof: Proof::BouncerPaused { bouncer: bouncer.clone() },
        lost_reply: LostReply::Repeat,
        // It is that of the step that found it answering.
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: spec.policy.drain_deadline_ms,
    }
}

/// Lets sessions go on. One that can not be reached must not hold up the others: what is owed is
/// found as paused and repaired.
pub(super) fn resume(bouncer: &BouncerName) -> Step {
    Step {
        name: format!("resume {bouncer}"),
        first: First::Order,
        effect: Effect::ResumeBouncer { bouncer: bouncer.clone() },
        proof: Proof::BouncerRuns { bouncer: bouncer.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::GoOn,
        deadline_ms: ANSWER_MS,
    }
}

/// Resumes each PgBouncer that is found paused.
pub(super) fn resume_paused(spec: &PairSpec) -> impl Iterator<Item = Step> {
    spec.bouncers.iter().map(|bouncer| Step { first: First::Look, ..resume(bouncer) })
}
