//! What one pair shows at one moment: published by its task, read by everybody else.
//!
//! `status` reads this and never waits for the pair itself.

use std::collections::BTreeMap;

use observer_core::digest::{FileStanding, MountStanding};
use observer_core::drive::Drive;
use observer_core::facts::{Act, Asker, Facts, GateFacts, Journal, Lease};
use observer_core::files::verify::LastVerified;
use observer_core::journal::{OpenPlan, Way};
use observer_core::judge::{Cause, Gate, Rule, Verdict};
use observer_core::pair::Pair;
use observer_core::plan::{Effect, Undo};
use observer_core::policy::{Mode, Store};
use observer_core::upgrade::{Next, Upgrade};
use observer_core::words::{At, Epoch, FileSetName, HostName, PairName, PlanId, human_ms};
use serde::{Deserialize, Serialize};

use super::members::{self, BouncerStatus, ForgottenStatus, HostStatus, ProxyStatus};
use super::parity::ParityStatus;
use super::partial::PartialChange;

/// The answer to `status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct StatusReport {
    /// Version of the daemon.
    pub(crate) version: String,
    /// The daemon's clock, in milliseconds since the Unix epoch.
    pub(crate) at: At,
    /// Every pair, by name.
    pub(crate) pairs: Vec<PairStatus>,
}

/// One pair's part of `status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PairStatus {
    /// Its name.
    pub(crate) pair: PairName,
    /// When this was so.
    pub(crate) at: At,
    /// True if a failover now would succeed within the loss budget.
    pub(crate) protected: bool,
    /// The cause if not.
    pub(crate) cause: Cause,
    /// Why, in a sentence.
    pub(crate) sentence: String,
    /// Row of the verdict table; none until everything was looked at once, and while an open plan's
    /// own promotion is all that it would name.
    pub(crate) rule: Option<String>,
    /// What the judge says; none where `rule` is.
    pub(crate) verdict: Option<Verdict>,
    /// The master by the journal.
    pub(crate) master: Option<HostName>,
    /// The current epoch.
    pub(crate) epoch: Epoch,
    /// The mode the policy sets.
    pub(crate) mode: Mode,
    /// Every host.
    pub(crate) hosts: Vec<HostStatus>,
    /// The hosts that are left out of the pair until they answer.
    #[serde(default)]
    pub(crate) forgotten: Vec<ForgottenStatus>,
    /// Every proxy.
    pub(crate) proxies: Vec<ProxyStatus>,
    /// The master's lease, in words; none where the policy asks for none.
    #[serde(default)]
    pub(crate) lease: Option<String>,
    /// Every PgBouncer.
    #[serde(default)]
    pub(crate) bouncers: Vec<BouncerStatus>,
    /// Every file set, as the slave has it.
    #[serde(default)]
    pub(crate) files: Vec<FileStanding>,
    /// Every shared mount on every host.
    #[serde(default)]
    pub(crate) mounts: Vec<MountStanding>,
    /// What the last verifications of each file set said.
    #[serde(default)]
    pub(crate) verified: BTreeMap<FileSetName, LastVerified>,
    /// What must be alike on the hosts; none where nothing is declared, or was compared yet.
    #[serde(default)]
    pub(crate) parity: Option<ParityStatus>,
    /// A change of the proxies' files that only some of them have.
    #[serde(default)]
    pub(crate) partial: Option<PartialChange>,
    /// What a failover now would lose, in words.
    pub(crate) loss: Option<String>,
    /// The plan that is open.
    pub(crate) plan: Option<PlanStatus>,
    /// The pause in force.
    pub(crate) pause: Option<PauseStatus>,
    /// The rolling upgrade that is not over.
    #[serde(default)]
    pub(crate) upgrade: Option<UpgradeStatus>,
    /// The switchover that waits for its time.
    pub(crate) schedule: Option<ScheduleStatus>,
    /// An automatic change of master that nobody has acknowledged.
    pub(crate) unacknowledged: Option<PlanId>,
    /// Whether the journal can be written.
    pub(crate) journal: Journal,
    /// What will happen next, in a sentence.
    pub(crate) next: String,
    /// What a person can do, in a sentence.
    pub(crate) advice: String,
}

/// An open plan and the step it is at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PlanStatus {
    /// Its number.
    pub(crate) plan: PlanId,
    /// What it is for, in words.
    pub(crate) goal: String,
    /// The rule or verb that asked for it.
    pub(crate) rule: String,
    /// When it was drafted.
    pub(crate) drafted_at: At,
    /// The step it is at, counted from 1.
    pub(crate) step: usize,
    /// How many there are.
    pub(crate) steps: usize,
    /// The step's name.
    pub(crate) name: String,
    /// What it does, in words.
    pub(crate) what: String,
    /// Forward, or being taken back.
    pub(crate) way: Way,
    /// What it waits for, in words.
    pub(crate) waiting_for: String,
    /// Why that does not show yet, in the last look's words; empty before the first.
    pub(crate) seen: String,
    /// When the step began.
    pub(crate) step_since: At,
    /// True once it can only go forward.
    pub(crate) past_pivot: bool,
    /// True while `abort` would take it back.
    pub(crate) can_be_aborted: bool,
    /// The host that it has promoted, until it is closed and the journal names that the master.
    #[serde(default)]
    pub(crate) promoted: Option<HostName>,
}

/// A rolling upgrade that is not over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct UpgradeStatus {
    /// What was ordered.
    pub(crate) upgrade: Upgrade,
    /// What is next; none once every host is finished.
    pub(crate) next: Option<Next>,
    /// Why it stopped, if it did.
    pub(crate) failed: Option<String>,
}

/// A switchover ordered for later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ScheduleStatus {
    /// Who.
    pub(crate) by: String,
    /// When it is due.
    pub(crate) due: At,
}

/// A pause in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PauseStatus {
    /// Who.
    pub(crate) by: String,
    /// Why.
    pub(crate) reason: String,
    /// When it ends by itself.
    pub(crate) until: Option<At>,
}

/// What `why` is computed from, when somebody asks.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    pub(crate) facts: Facts,
    /// Where the database is, which says what can be.
    pub(crate) store: Store,
    pub(crate) rule: &'static Rule,
    pub(crate) gate: &'static Gate,
    pub(crate) evidence: Vec<String>,
    /// The gates' input for a repair and for a change of master by the observer itself.
    pub(crate) repair: GateFacts,
    pub(crate) change: GateFacts,
}

/// Everything a pair publishes.
#[derive(Clone, Debug)]
pub(crate) struct PairView {
    /// For `status`.
    pub(crate) status: PairStatus,
    /// For `why`; none until everything was looked at once.
    pub(crate) basis: Option<Basis>,
    /// True while an order that opens a plan would be judged, and not put off.
    pub(crate) takes_orders: bool,
    /// What this pair has to say of a cause beyond the table.
    pub(crate) particular: Vec<(Cause, String)>,
}

impl PairView {
    /// What `pair` shows at `now`.
    pub(crate) fn of(pair: &Pair, now: At) -> Self {
        let basis = pair.latest().map(|(digest, ruling)| Basis {
            store: pair.spec().store,
            facts: digest.facts,
            rule: ruling.rule,
            gate: ruling.gate,
            evidence: pair.evidence(now),
            repair: pair.gate_facts(Act::Repair, Asker::Observer, now),
            change: pair.gate_facts(Act::ChangeMaster, Asker::Observer, now),
        });
        let takes_orders = pair.takes_orders();
        let particular = pair.particular_advice();
        Self { status: status(pair, basis.as_ref(), now), basis, takes_orders, particular }
    }

    /// What a person can do about `cause` in this pair.
    pub(crate) fn advice(&self, cause: Cause) -> String {
        let own = self.particular.iter().find(|(known, _)| *known == cause);
        own.map_or_else(|| cause.advice().to_owned(), |(_, advice)| advice.clone())
    }
}

fn status(pair: &Pair, basis: Option<&Basis>, now: At) -> PairStatus {
    let protection = pair.protection();
    let memory = pair.memory();
    let plan = open_plan(pair, now);
    let judged = basis.filter(|basis| !pair.is_about_own_promotion(basis.rule));
    PairStatus {
        pair: pair.spec().name.clone(),
        at: now,
        protected: protection.protected,
        cause: protection.cause,
        sentence: protection.sentence,
        rule: judged.map(|basis| basis.rule.id.to_owned()),
        verdict: judged.map(|basis| basis.rule.verdict),
        master: memory.master.clone(),
        epoch: memory.epoch,
        mode: pair.spec().policy.mode,
        hosts: members::hosts(pair),
        forgotten: ForgottenStatus::all(pair),
        proxies: members::proxies(pair),
        lease: lease(pair, basis),
        bouncers: members::bouncers(pair),
        files: pair.latest().map(|(digest, _)| digest.files.clone()).unwrap_or_default(),
        mounts: pair.latest().map(|(digest, _)| digest.mounts.clone()).unwrap_or_default(),
        verified: pair.verified().clone(),
        parity: None,
        partial: None,
        loss: pair.latest().map(|(digest, _)| digest.loss.text()),
        next: next(pair, basis, plan.as_ref(), now),
        plan,
        pause: memory.pause.as_ref().map(|pause| PauseStatus {
            by: pause.by.clone(),
            reason: pause.reason.clone(),
            until: pause.until,
        }),
        upgrade: memory.upgrade.as_ref().map(|progress| UpgradeStatus {
            upgrade: progress.upgrade.clone(),
            next: pair.upgrade_next(),
            failed: progress.failed.as_ref().map(|(_, why)| why.clone()),
        }),
        schedule: memory
            .schedule
            .as_ref()
            .map(|schedule| ScheduleStatus { by: schedule.by.clone(), due: schedule.due }),
        unacknowledged: memory.unacknowledged,
        journal: pair.journal(),
        advice: pair.advice(protection.cause),
    }
}

fn lease(pair: &Pair, basis: Option<&Basis>) -> Option<String> {
    let length = human_ms(pair.spec().policy.lease_ms?);
    let word = match basis.map(|basis| basis.facts.lease) {
        None => "not judged yet",
        Some(Lease::AsAsked) => "as asked",
        Some(Lease::Owed) => "about to be set",
        Some(Lease::Amiss) => "not as asked, and setting it did not help",
    };
    Some(format!("{length}, {word}"))
}

fn open_plan(pair: &Pair, now: At) -> Option<PlanStatus> {
    let plan = match (pair.drive(), &pair.memory().open) {
        (Some(drive), _) => driven(drive),
        (None, Some(open)) => left_open(open, now),
        (None, None) => return None,
    };
    Some(PlanStatus { promoted: pair.promoted_by_plan().cloned(), ..plan })
}

fn driven(drive: &Drive) -> PlanStatus {
    let plan = drive.plan();
    let (index, way) = drive.position();
    let last = plan.steps.len().saturating_sub(1);
    let step = &plan.steps[index.min(last)];
    let (effect, proof) = match (&step.undo, way) {
        (Undo::By { effect, proof }, Way::Back) => (effect, proof),
        _ => (&step.effect, &step.proof),
    };
    let seen = drive.waiting_for();
    let waiting_for =
        if seen.is_empty() { proof.to_string() } else { format!("{proof} (now: {seen})") };
    PlanStatus {
        plan: plan.id,
        goal: plan.goal.to_string(),
        rule: plan.rule.clone(),
        drafted_at: plan.drafted_at,
        step: index.min(last) + 1,
        steps: plan.steps.len(),
        name: step.name.clone(),
        what: if *effect == Effect::Look { proof.to_string() } else { effect.to_string() },
        way,
        waiting_for,
        seen: seen.to_owned(),
        step_since: drive.since(),
        past_pivot: drive.is_past_pivot(),
        can_be_aborted: way == Way::Forward && !drive.is_past_pivot(),
        promoted: None,
    }
}

/// A plan that an earlier life left open and that was not taken up yet.
fn left_open(open: &OpenPlan, now: At) -> PlanStatus {
    let way = if open.turned_back.is_some() { Way::Back } else { Way::Forward };
    let marked = open.marks.keys().filter(|(_, of)| *of == Way::Forward).map(|(step, _)| *step);
    let index = marked.max().unwrap_or(0).min(open.plan.steps.len().saturating_sub(1));
    let step = &open.plan.steps[index];
    PlanStatus {
        plan: open.plan.id,
        goal: open.plan.goal.to_string(),
        rule: open.plan.rule.clone(),
        drafted_at: open.plan.drafted_at,
        step: index + 1,
        steps: open.plan.steps.len(),
        name: step.name.clone(),
        what: step.effect.to_string(),
        way,
        waiting_for: "everything to be looked at once since the start".to_owned(),
        seen: String::new(),
        step_since: now,
        past_pivot: open.is_past_pivot(),
        // Nobody carries it out yet.
        can_be_aborted: false,
        promoted: None,
    }
}

fn next(pair: &Pair, basis: Option<&Basis>, plan: Option<&PlanStatus>, now: At) -> String {
    let spec = pair.spec();
    if let Some(plan) = plan {
        let way = if plan.way == Way::Forward { "goes on" } else { "is taken back" };
        return format!("plan {} {way}: {}", plan.plan, plan.name);
    }
    let Some(Basis { rule, gate, .. }) = basis else {
        return "it looks at everything once before it judges".to_owned();
    };
    let pace = |ms| format!("it looks again every {}", human_ms(ms));
    match (rule.verdict, gate.bars) {
        (Verdict::Steady, _) => format!("nothing; {}", pace(spec.policy.interval_ms)),
        (Verdict::Suspect, _) => {
            format!("{} and does not act on doubt", pace(spec.policy.suspect_interval_ms))
        }
        (Verdict::Hold, _) => "nothing by itself: it holds until this changes".to_owned(),
        (verdict, None) => format!("about to act: {}", verdict.text()),
        (verdict, Some(Cause::JustFailed)) => {
            let again = pair.tries_again_at().map_or_else(
                || "soon".to_owned(),
                |at| format!("in {}", human_ms(at.since(now).div_ceil(1_000) * 1_000)),
            );
            let what = verdict.text();
            format!("it tries again {again} ({what}): what just failed is not repeated at once")
        }
        (verdict, Some(_)) => format!("it would act ({}), but {}", verdict.text(), gate.why),
    }
}
