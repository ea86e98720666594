//! What a drive and its surroundings tell one another.

use crate::journal::{Record, Way};
use crate::plan::{Effect, Proof};
use crate::policy::{PROBE_MAX_MS, PROBE_WAY_MS};
use crate::words::{Epoch, PlanId};

/// An effect to be performed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// The plan.
    pub plan: PlanId,
    /// Index of the step.
    pub step: usize,
    /// Forward or undo.
    pub way: Way,
    /// The epoch it carries; older than what the world knows, it is refused.
    pub epoch: Epoch,
    /// What to do.
    pub effect: Effect,
    /// How long it may take, in milliseconds.
    pub deadline_ms: u64,
}

/// What came of an effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It says it was done. A claim.
    Did,
    /// It was certainly not done.
    Refused(String),
    /// Nobody knows.
    NoReply,
}

/// What a look for a proof showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is so; this was seen.
    Shown(String),
    /// It is not so, or not yet.
    NotYet(String),
    /// It could not be seen.
    Unknown(String),
    /// What was ordered has ended without it: waiting longer is in vain.
    Failed(String),
    /// Nothing that the step orders can make it so, and it is not ordered.
    Never(String),
}

/// What the drive wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Want {
    /// Make this record durable, then say `recorded`.
    Record(Record),
    /// Perform this effect, then say `replied`.
    Perform(Order),
    /// Look for this proof, then say `looked`.
    Prove {
        /// What to look for.
        proof: Proof,
        /// The epoch a written row must carry.
        epoch: Epoch,
        /// How long the look may take, in milliseconds.
        deadline_ms: u64,
    },
    /// Tell that a step cannot be done and will be tried on.
    SayStuck {
        /// Index of the step.
        step: usize,
        /// Why.
        why: String,
    },
}

/// How long one look at a proof may take, in milliseconds. A power switch is given more: management
/// controllers answer after seconds when they are busy. So is a readiness probe, which has a
/// deadline of its own.
pub(super) fn look_deadline_ms(proof: &Proof) -> u64 {
    match proof {
        Proof::PoweredOff { .. } | Proof::PoweredOn { .. } => 10_000,
        Proof::ServiceReady { .. } => PROBE_MAX_MS + PROBE_WAY_MS,
        _ => 2_000,
    }
}
