//! Checks a plan against the safety rules, knowing nothing of how it was drafted.
//!
//! Only a plan that passes can be opened, and only an opened one carried out: [`ArmedPlan`] has no
//! constructor outside this crate but the lint.

mod external;

use crate::facts::Asker;
use crate::files::PassKind;
use crate::plan::{Effect, Goal, OnFailure, Plan, Proof, Sessions, Step, Undo};
use crate::policy::{FenceGrade, PairSpec, UsersGo};
use crate::sighting::Says;
use crate::words::{Epoch, HostName, ProxyName};

/// A plan that passed the lint, now or before it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArmedPlan(Plan);

impl ArmedPlan {
    /// A plan that was opened: it passed the lint before its opening was recorded.
    pub(crate) fn of_the_journal(plan: Plan) -> Self {
        Self(plan)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

/// Why a plan may not be carried out. Reaching one is a defect of the draft, never of the world.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Finding {
    /// It has no steps.
    #[error("the plan has no steps")]
    Empty,
    /// Its epoch is not the one this goal must carry.
    #[error("the plan carries epoch {found}, and must carry {wanted}")]
    WrongEpoch {
        /// What it carries.
        found: Epoch,
        /// What it must carry.
        wanted: Epoch,
    },
    /// A step may take no time at all.
    #[error("step `{0}` has no deadline")]
    NoDeadline(String),
    /// A repair promotes.
    #[error("a repair must not promote")]
    RepairPromotes,
    /// A change of master has no pivot, or several.
    #[error("a change of master promotes exactly one host, once")]
    PivotCount,
    /// It promotes another host than it says, or the old master.
    #[error("the plan promotes another host than its next master")]
    WrongHeir,
    /// A proxy is not proven to send nothing to the old master before the pivot.
    #[error("the old master is not fenced at {0} before the pivot")]
    Unfenced(String),
    /// A restarted HAProxy would let users in to the old master.
    #[error("haproxy.cfg at {0} is not made to keep the old master out before the pivot")]
    FileLetsIn(String),
    /// The policy asks for a stopped master, and the plan does not prove it.
    #[error("the old master's database is not proven stopped before the pivot")]
    NotStopped,
    /// The policy asks for a master without power, and the plan does not prove it.
    #[error("the old master is not proven powered off right before the pivot")]
    NotPoweredOff,
    /// The power of a host is taken away by another plan than a failover from it.
    #[error("step `{0}` powers off what is not the old master of a failover")]
    PowersOff(String),
    /// What is lost is not measured before the pivot.
    #[error("the loss is not measured before the pivot")]
    LossUnmeasured,
    /// What the slave received is not replayed before the pivot.
    #[error("replay is not proven before the pivot")]
    NotReplayed,
    /// The slave might be promoted without all that the master holds.
    #[error("the slave is not proven to hold all of a master shut down in order before the pivot")]
    NotWhole,
    /// A master that could serve is stopped while users are still sent to it.
    #[error("the master is stopped before users are held at {0}")]
    StoppedBeforeHeld(String),
    /// The master is stopped under sessions that could have waited.
    #[error("the master is stopped before {0} is paused, or that is paused before users are held")]
    StoppedBeforePaused(String),
    /// A PgBouncer would stay paused.
    #[error("{0} is paused and not resumed both as the undo and after the pivot")]
    StaysPaused(String),
    /// A plan that promises its users nothing lets them wait.
    #[error("only a switchover may pause a PgBouncer")]
    PausesForNothing,
    /// The old master could start as one.
    #[error("no tombstone is proven on the old master before the pivot")]
    NoTombstone,
    /// Users could be held longer than they may wait.
    #[error("the plan holds users and has no limit for it")]
    NoHoldLimit,
    /// A step before the pivot cannot be taken back.
    #[error("step `{0}` comes before the pivot and has no undo")]
    NoUndo(String),
    /// A step before the pivot would not give up.
    #[error("step `{0}` comes before the pivot and insists")]
    InsistsTooEarly(String),
    /// A step after the pivot would take the plan back.
    #[error("step `{0}` comes after the pivot and would give up")]
    GivesUpTooLate(String),
    /// The new master is let in before it is proven a primary that writes.
    #[error("the new master is let in before it is proven to write")]
    LetInTooEarly,
    /// A host that is not to be master is let in.
    #[error("step `{0}` lets in a host that is not to be master")]
    LetsInWrongHost(String),
    /// The present master's database is stopped by a repair.
    #[error("a repair must not stop the master's database")]
    RepairStopsMaster,
    /// Users of the master would lose their application.
    #[error("services of the master must not be stopped by order")]
    StopsMastersServices,
    /// A repair makes a slave of the present master.
    #[error("a repair must not make a slave of the master")]
    RepairDemotesMaster,
    /// A lease is set where none is asked for: it would stop what must not stop.
    #[error("step `{0}` sets a lease that the policy does not ask for on this host")]
    LeaseNotAsked(String),
    /// Files would flow from another host than the master, or to it.
    #[error("step `{0}` lets files flow from another host than the master, or to the master")]
    FilesFlowBack(String),
    /// A pass that runs on the heir would go on writing into a master.
    #[error("no pass of files is proven ended on the next master right before the pivot")]
    PassRuns,
    /// The slave might be promoted without files that the master has.
    #[error("the slave is not proven to hold all of files {0} after users are held")]
    FilesNotWhole(String),
    /// A balancer would send users to a host that is not to have them.
    #[error("step `{0}` has balancers send users to a host that must not have them")]
    SendsToWrongHost(String),
    /// The master is stopped under users that a balancer sends there.
    #[error("the master is stopped before its monitor file has sent users away")]
    StoppedBeforeLeft,
    /// Users may go to every host, and go on at the next master while the old one is replaced.
    #[error("users of the next master at {0} are not held before it is promoted")]
    OpenBeside(String),
    /// A host is made the master although it may not be able to serve.
    #[error("the next master is not proven to be up right before the pivot")]
    HeirUnproven,
    /// A service that must run once could run twice.
    #[error("{0} could run on both hosts: it is not proven stopped on the old master")]
    SingletonRuns(String),
    /// A plan is about a database that the hosts do not have.
    #[error("step `{0}` is about a database on the hosts, and that of this pair is external")]
    NoDatabase(String),
    /// A repair that takes nobody's place ends sessions of the master.
    #[error("a repair must not end the master's sessions")]
    RepairEndsSessions,
}

/// Checks `plan` for a pair in `epoch`. All findings are returned, not only the first.
pub fn lint(plan: Plan, spec: &PairSpec, epoch: Epoch) -> Result<ArmedPlan, Vec<Finding>> {
    let mut findings = Vec::new();
    if plan.steps.is_empty() {
        findings.push(Finding::Empty);
    }
    for step in plan.steps.iter().filter(|step| step.deadline_ms == 0) {
        findings.push(Finding::NoDeadline(step.name.clone()));
    }
    for step in &plan.steps {
        let let_in = match &step.effect {
            Effect::LetIn { host, everywhere, .. } => Some((host, everywhere)),
            Effect::Rewrite { master, everywhere, .. } => Some((master, everywhere)),
            _ => None,
        };
        // Until it is a slave, an old master may have what the new one does not know.
        let replaced = plan.goal.changes_master().then_some(&plan.master);
        let wrong = |(host, everywhere): (&HostName, &Vec<HostName>)| {
            *host != plan.next_master || everywhere.iter().any(|host| Some(host) == replaced)
        };
        if let Effect::SetLease { host, length_ms } = &step.effect
            && (*host != plan.next_master || spec.policy.lease_ms != Some(*length_ms))
        {
            findings.push(Finding::LeaseNotAsked(step.name.clone()));
        }
        if let_in.is_some_and(wrong) {
            findings.push(Finding::LetsInWrongHost(step.name.clone()));
        }
    }
    check_files(&plan, &mut findings);
    check_monitors(&plan, spec, &mut findings);
    for step in &plan.steps {
        if let Effect::PowerOff { host } = &step.effect
            && (plan.goal != Goal::FailOver || *host != plan.master)
        {
            findings.push(Finding::PowersOff(step.name.clone()));
        }
    }
    let wanted = if plan.goal.changes_master() { epoch.next() } else { epoch };
    if plan.epoch != wanted {
        findings.push(Finding::WrongEpoch { found: plan.epoch, wanted });
    }
    check_pauses(&plan, &mut findings);
    if spec.has_external_database() {
        let about = plan.steps.iter().filter(|step| is_about_a_database(&step.effect));
        findings.extend(about.map(|step| Finding::NoDatabase(step.name.clone())));
    }
    match plan.goal {
        Goal::FailOver | Goal::SwitchOver if spec.has_external_database() => {
            external::check_change(&plan, spec, &mut findings);
        }
        Goal::FailOver | Goal::SwitchOver => check_change(&plan, spec, &mut findings),
        Goal::StopServices | Goal::StartServices | Goal::Repair(_) => {
            check_repair(&plan, &mut findings);
        }
    }
    if findings.is_empty() { Ok(ArmedPlan(plan)) } else { Err(findings) }
}

fn is_about_a_database(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Promote { .. }
            | Effect::Checkpoint { .. }
            | Effect::StopDatabase { .. }
            | Effect::StartDatabase { .. }
            | Effect::RestartDatabase { .. }
            | Effect::LeaveTombstone { .. }
            | Effect::LiftTombstone { .. }
            | Effect::Follow { .. }
            | Effect::MakeSlot { .. }
            | Effect::DropSlot { .. }
            | Effect::KeepDiverged { .. }
            | Effect::Rewind { .. }
            | Effect::Clone { .. }
            | Effect::Synchronise { .. }
    )
}

/// Files flow from the master to a slave (safety rule 8); after the pivot no plan moves any.
fn check_files(plan: &Plan, findings: &mut Vec<Finding>) {
    let pivot = plan.pivot().unwrap_or(plan.steps.len());
    for (index, step) in plan.steps.iter().enumerate() {
        let Effect::Pass { host, source, .. } = &step.effect else { continue };
        if *source != plan.master || *host == plan.master || index > pivot {
            findings.push(Finding::FilesFlowBack(step.name.clone()));
        }
    }
}

/// A monitor file says *in* on the host that is the master once the plan is done; where users may
/// go to every host, also on others, but never on a master that is about to be replaced.
fn check_monitors(plan: &Plan, spec: &PairSpec, findings: &mut Vec<Finding>) {
    let everywhere = spec.monitor.is_some_and(|one| one.users == UsersGo::EveryHost);
    let pivot = plan.pivot();
    for (index, step) in plan.steps.iter().enumerate() {
        if let Undo::By { effect: Effect::Monitor { host, says: Says::In }, .. } = &step.undo
            && *host != plan.master
        {
            findings.push(Finding::SendsToWrongHost(step.name.clone()));
        }
        let Effect::Monitor { host, says: Says::In } = &step.effect else { continue };
        let replaced = plan.goal.changes_master() && *host == plan.master;
        if replaced || (*host != plan.next_master && !everywhere) {
            findings.push(Finding::SendsToWrongHost(step.name.clone()));
        }
        if pivot.is_some_and(|pivot| index < pivot) {
            findings.push(Finding::LetInTooEarly);
        }
    }
}

/// A pause outlives the observer that ordered it: it must be taken back both ways.
fn check_pauses(plan: &Plan, findings: &mut Vec<Finding>) {
    for (index, step) in plan.steps.iter().enumerate() {
        let Effect::PauseBouncer { bouncer } = &step.effect else { continue };
        if plan.goal != Goal::SwitchOver {
            findings.push(Finding::PausesForNothing);
        }
        let effect = Effect::ResumeBouncer { bouncer: bouncer.clone() };
        let proof = Proof::BouncerRuns { bouncer: bouncer.clone() };
        let resumes = |step: &Step| step.effect == effect && step.proof == proof;
        let after = plan.pivot().map_or(&[][..], |pivot| &plan.steps[pivot + 1..]);
        // An earlier step may bear it: what is taken back later is taken back all the same.
        let undo = Undo::By { effect: effect.clone(), proof: proof.clone() };
        let undone = plan.steps[..=index].iter().any(|step| step.undo == undo);
        if !undone || !after.iter().any(resumes) {
            findings.push(Finding::StaysPaused(bouncer.to_string()));
        }
    }
}

fn check_repair(plan: &Plan, findings: &mut Vec<Finding>) {
    for step in &plan.steps {
        match &step.effect {
            Effect::Promote { .. } | Effect::Appoint { .. } => {
                findings.push(Finding::RepairPromotes);
            }
            Effect::StopDatabase { host, .. } if *host == plan.master => {
                findings.push(Finding::RepairStopsMaster);
            }
            Effect::TakeOut { host, sessions: Sessions::End, .. } if *host == plan.master => {
                findings.push(Finding::RepairEndsSessions);
            }
            Effect::StopService { host, .. }
                if *host == plan.master && plan.goal == Goal::StopServices =>
            {
                findings.push(Finding::StopsMastersServices);
            }
            Effect::LeaveTombstone { host }
            | Effect::Follow { host, .. }
            | Effect::Rewind { host, .. }
            | Effect::Clone { host, .. }
                if *host == plan.master =>
            {
                findings.push(Finding::RepairDemotesMaster);
            }
            _ => {}
        }
    }
}

fn check_change(plan: &Plan, spec: &PairSpec, findings: &mut Vec<Finding>) {
    let promoted: Vec<(usize, &HostName)> = plan
        .steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| match &step.effect {
            Effect::Promote { host } | Effect::Appoint { host } => Some((index, host)),
            _ => None,
        })
        .collect();
    let [(pivot, heir)] = promoted[..] else {
        findings.push(Finding::PivotCount);
        return;
    };
    if *heir != plan.next_master || *heir == plan.master {
        findings.push(Finding::WrongHeir);
    }
    check_before(plan, spec, pivot, findings);
    match plan.goal {
        Goal::SwitchOver => check_nothing_is_lost(plan, spec, pivot, findings),
        _ => check_loss(plan, pivot, findings),
    }
    check_after(plan, pivot, findings);
}

fn check_before(plan: &Plan, spec: &PairSpec, pivot: usize, findings: &mut Vec<Finding>) {
    let before = &plan.steps[..pivot];
    let waits = |step: &Step| {
        matches!(step.proof, Proof::ReplayedAll { .. } | Proof::ReplayedShutdown { .. })
    };
    let last_wait = before.iter().rposition(waits);
    for proxy in &spec.proxies {
        let fence = Proof::IsOut { proxy: proxy.clone(), host: plan.master.clone() };
        let proofs = |step: &&Step| step.proof == fence && step.on_failure == OnFailure::GiveUp;
        let after_waiting =
            before.iter().skip(last_wait.map_or(0, |wait| wait + 1)).any(|step| proofs(&step));
        if !after_waiting {
            findings.push(Finding::Unfenced(proxy.to_string()));
        }
        if spec.sharing.contains(proxy) && !is_held_beside(before, proxy, &plan.next_master) {
            findings.push(Finding::OpenBeside(proxy.to_string()));
        }
        let written = Proof::FileKeepsOut { proxy: proxy.clone(), host: plan.master.clone() };
        if !before.iter().any(|step| step.proof == written) {
            findings.push(Finding::FileLetsIn(proxy.to_string()));
        }
    }
    let stopped = Proof::DatabaseStopped { host: plan.master.clone() };
    let shut_down = Proof::ShutDown { host: plan.master.clone() };
    // A switch that is pressed while the slave replays would make an early proof a stale one.
    let powered_off = Proof::PoweredOff { host: plan.master.clone() };
    let has_no_power = proven(&before[last_wait.map_or(0, |wait| wait + 1)..], &powered_off);
    let must_stop = spec.policy.fence != FenceGrade::ProxiedOff || spec.proxies.is_empty();
    let is_stopped = proven(before, &stopped) || proven(before, &shut_down) || has_no_power;
    if must_stop && !is_stopped {
        findings.push(Finding::NotStopped);
    }
    // A switchover shuts the master down in order and leaves a tombstone, which loses nothing.
    let must_lose_power =
        spec.policy.fence == FenceGrade::PoweredOff && plan.goal == Goal::FailOver;
    if must_lose_power && !has_no_power {
        findings.push(Finding::NotPoweredOff);
    }
    let no_pass = Proof::NoPass { host: plan.next_master.clone() };
    let last_pass = before
        .iter()
        .rposition(|step| matches!(step.effect, Effect::Pass { .. }))
        .map_or(0, |at| at + 1);
    if !spec.files.is_empty() && !proven(&before[last_pass..], &no_pass) {
        findings.push(Finding::PassRuns);
    }
    check_ways(plan, pivot, findings);
}

/// What comes before the pivot can be taken back and lets nobody in; what comes after it goes on.
fn check_ways(plan: &Plan, pivot: usize, findings: &mut Vec<Finding>) {
    for step in &plan.steps[..pivot] {
        if step.undo == Undo::ForwardOnly {
            findings.push(Finding::NoUndo(step.name.clone()));
        }
        if step.on_failure == OnFailure::Insist {
            findings.push(Finding::InsistsTooEarly(step.name.clone()));
        }
        if matches!(step.effect, Effect::LetIn { .. }) {
            findings.push(Finding::LetInTooEarly);
        }
    }
    for step in plan.steps[pivot..].iter().filter(|step| step.on_failure == OnFailure::GiveUp) {
        findings.push(Finding::GivesUpTooLate(step.name.clone()));
    }
}

/// True if nobody is sent to the next master when it is promoted: what is done there until then is
/// done in the old one's database.
fn is_held_beside(before: &[Step], proxy: &ProxyName, heir: &HostName) -> bool {
    let out = Proof::IsOut { proxy: proxy.clone(), host: heir.clone() };
    let waits = |step: &Step| {
        matches!(step.proof, Proof::ReplayedAll { .. } | Proof::ReplayedShutdown { .. })
    };
    let last_wait = before.iter().rposition(waits).map_or(0, |wait| wait + 1);
    proven(&before[last_wait..], &out)
}

/// True if one of `steps` shows `proof` or the plan is given up.
fn proven(steps: &[Step], proof: &Proof) -> bool {
    steps.iter().any(|step| step.on_failure == OnFailure::GiveUp && step.proof == *proof)
}

/// A failover: what may be lost is measured, and what was received is replayed.
fn check_loss(plan: &Plan, pivot: usize, findings: &mut Vec<Finding>) {
    let before = &plan.steps[..pivot];
    let measured = before.iter().any(|step| {
        step.on_failure == OnFailure::GiveUp && matches!(step.proof, Proof::LossWithin { .. })
    });
    // A person may accept any loss; the observer by itself never may.
    if plan.asker == Asker::Observer && !measured {
        findings.push(Finding::LossUnmeasured);
    }
    if !proven(before, &Proof::ReplayedAll { host: plan.next_master.clone() }) {
        findings.push(Finding::NotReplayed);
    }
}

/// A switchover (safety rule 5): users are held first, the master is shut down in order and can not
/// start as one again, and the slave is proven to hold all of it.
fn check_nothing_is_lost(plan: &Plan, spec: &PairSpec, pivot: usize, findings: &mut Vec<Finding>) {
    let before = &plan.steps[..pivot];
    let position = |proof: &Proof| {
        before.iter().position(|step| step.on_failure == OnFailure::GiveUp && step.proof == *proof)
    };
    let (host, master) = (plan.next_master.clone(), plan.master.clone());
    let down = position(&Proof::ShutDown { host: master.clone() });
    let whole = position(&Proof::ReplayedShutdown { host, master: master.clone() });
    let after = down.zip(whole).is_some_and(|(down, whole)| whole > down);
    if !after {
        findings.push(Finding::NotWhole);
    }
    if position(&Proof::TombstoneStands { host: master.clone() }).is_none() {
        findings.push(Finding::NoTombstone);
    }
    let stops = |step: &Step| matches!(step.effect, Effect::StopDatabase { .. });
    let first_stop = before.iter().position(stops).unwrap_or(pivot);
    for proxy in &spec.proxies {
        let held = Proof::Drained { proxy: proxy.clone(), host: master.clone() };
        let held = position(&held);
        let shared = Proof::SharedDrained { proxy: proxy.clone() };
        // Requests that are under way may need what is held with the master.
        let in_order = !spec.sharing.contains(proxy)
            || position(&shared).is_some_and(|shared| held.is_some_and(|held| shared < held));
        if held.is_none_or(|held| held >= first_stop) || !in_order {
            findings.push(Finding::StoppedBeforeHeld(proxy.to_string()));
        }
    }
    if spec.monitor.is_some() {
        let left = position(&Proof::NoSessions { host: master.clone() });
        if left.is_none_or(|left| left >= first_stop) {
            findings.push(Finding::StoppedBeforeLeft);
        }
    }
    let held = |proxy| position(&Proof::Drained { proxy, host: master.clone() });
    let last_held = spec.proxies.iter().cloned().filter_map(held).max();
    for set in &spec.files {
        let clean = Proof::PassClean {
            host: plan.next_master.clone(),
            set: set.name.clone(),
            kind: PassKind::Last,
            epoch: plan.epoch,
        };
        if position(&clean).is_none_or(|clean| Some(clean) < last_held) {
            findings.push(Finding::FilesNotWhole(set.name.to_string()));
        }
    }
    for bouncer in &spec.bouncers {
        let paused = position(&Proof::BouncerPaused { bouncer: bouncer.clone() });
        if paused.is_none_or(|paused| paused >= first_stop || Some(paused) < last_held) {
            findings.push(Finding::StoppedBeforePaused(bouncer.to_string()));
        }
    }
    if plan.hold_limit_ms.is_none() {
        findings.push(Finding::NoHoldLimit);
    }
}

fn check_after(plan: &Plan, pivot: usize, findings: &mut Vec<Finding>) {
    let after = &plan.steps[pivot..];
    let writes = after.iter().position(|step| {
        matches!(&step.proof, Proof::CanWrite { host } if *host == plan.next_master)
            && step.on_failure == OnFailure::Insist
    });
    let admits = |step: &Step| {
        matches!(step.effect, Effect::LetIn { .. } | Effect::Monitor { says: Says::In, .. })
    };
    let admitted = after.iter().position(admits);
    if let Some(admitted) = admitted
        && writes.is_none_or(|writes| writes > admitted)
    {
        findings.push(Finding::LetInTooEarly);
    }
}
