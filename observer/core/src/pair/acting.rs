//! The part of a pair's machine that opens plans and carries them out.

use super::work::{Ticket, Work, Writing};
use super::{Pair, Refusal, Ruling, promotion::is_needless};
use crate::draft::{self, Brief, LossOverride};
use crate::drive::{Answer, Drive, Reply, Want};
use crate::event::EventKind;
use crate::facts::{Asker, Facts, Journal, Master, Roles, Sight, Slave};
use crate::journal::{OpenPlan, Record, Turn, Way};
use crate::judge::{Repair, Verdict};
use crate::lint::{ArmedPlan, lint};
use crate::plan::{Effect, Goal, Plan, Step, Undo};
use crate::policy::Mode;
use crate::sighting::{Class, Look};
use crate::telling::told_by;
use crate::words::{At, Epoch};

impl Pair {
    /// Drafts and opens the plan a ruling asks for.
    pub(super) fn act_on(&mut self, ruling: Ruling, now: At) {
        // What is on its way to the journal may change what the plan must carry.
        if !self.writing.is_empty() {
            return;
        }
        let Some((digest, _)) = &self.latest else { return };
        let brief = Brief {
            spec: &self.spec,
            memory: &self.memory,
            digest,
            rule: ruling.rule.id,
            asker: Asker::Observer,
            now,
        };
        let drafted = match ruling.rule.verdict {
            Verdict::FailOver => draft::fail_over(brief, LossOverride::None),
            Verdict::SwitchOver => draft::switch_over(brief),
            Verdict::Repair(repair) => draft::repair(brief, repair),
            Verdict::Steady | Verdict::Suspect | Verdict::Hold => return,
        };
        match drafted {
            Ok(plan) => self.open(plan, now),
            Err(why) => self.no_plan(ruling.rule.id, &why.to_string(), now),
        }
    }

    /// Lints a plan and asks for its opening record.
    pub(super) fn open(&mut self, plan: Plan, now: At) {
        let rule = plan.rule.clone();
        match lint(plan.clone(), &self.spec, self.memory.epoch) {
            Ok(_) => {
                let record = Record::PlanOpened { at: now, plan: Box::new(plan.clone()) };
                self.write(Writing::Opening(Box::new(plan), record));
            }
            Err(findings) => {
                let why: Vec<String> = findings.iter().map(ToString::to_string).collect();
                self.no_plan(&rule, &why.join("; "), now);
            }
        }
    }

    fn no_plan(&mut self, rule: &str, why: &str, now: At) {
        let kind = EventKind::NoPlan { rule: rule.to_owned(), why: why.to_owned() };
        // Once per verdict: the ruling is asked again with every answer that comes in.
        if self.told_no_plan.as_ref() != Some(&kind) {
            self.told_no_plan = Some(kind.clone());
            self.tell(kind, now);
        }
    }

    pub(super) fn is_opening(&self) -> bool {
        self.writing.values().any(|writing| matches!(writing, Writing::Opening(..)))
    }

    /// True while a plan is open, about to be, or not closed yet.
    pub(super) fn has_plan(&self) -> bool {
        self.is_plan_open() || self.is_opening()
    }

    /// Learns the master at first sight.
    pub(super) fn adopt(&mut self, now: At) {
        let Some((digest, _)) = &self.latest else { return };
        let Some(host) = digest.adoptable.clone() else { return };
        if self.memory.master.is_some() || !self.writing.is_empty() {
            return;
        }
        let epoch = self.memory.epoch.next();
        self.write(Writing::Memory(Record::Adopted { at: now, master: host, epoch }));
    }

    /// Takes note that the pair is protected again after a change of master. Not before the plan
    /// that makes it so has ended: a failover would have to wait for that.
    pub(super) fn note_protection(&mut self, now: At) {
        let Some((_, ruling)) = &self.latest else { return };
        if self.has_plan() {
            return;
        }
        let owed = self.memory.unacknowledged.is_some() || !self.memory.replaced.is_empty();
        if owed && ruling.rule.verdict == Verdict::Steady && self.writing.is_empty() {
            self.write(Writing::Memory(Record::ProtectedAgain { at: now }));
        }
    }

    /// Lets the open plan go on as far as it can without an answer.
    pub(super) fn proceed(&mut self, now: At) {
        self.take_up_open_plan(now);
        self.tell_late_abort(now);
        if self.is_frozen() {
            return;
        }
        if self.give_up.is_some() && !self.is_heir_silent() {
            self.give_up = None;
        }
        while let Some(drive) = &mut self.drive {
            if self.stopping && drive.is_between_steps() {
                return;
            }
            let given_up = self.give_up.as_deref().and_then(|why| drive.abandon(why, now));
            if given_up.is_some() {
                self.give_up = None;
            }
            let changed =
                given_up.or_else(|| changed_mind(drive, &mut self.turn_back, &mut self.pass, now));
            match changed.or_else(|| drive.next(now)) {
                Some(want) => self.carry_out(want, now),
                None => return,
            }
        }
    }

    /// Somebody was promised that the plan is taken back, and the pivot, which was on its way
    /// already, came first: they are told that it goes forward.
    fn tell_late_abort(&mut self, now: At) {
        if !self.drive.as_ref().is_some_and(Drive::is_past_pivot) {
            return;
        }
        if let Some(by) = self.aborted_by.take() {
            let (order, why) = ("abort".to_owned(), Refusal::PastPivot.to_string());
            self.tell(EventKind::OrderRefused { order, by, why }, now);
        }
    }

    /// True while another host than the plan's master is a primary, by other hands than ours: a
    /// plan that has not promoted anybody must then do nothing more, neither forward nor back,
    /// for its undo would make a second master of the old one. A person's `ack` closes it.
    pub(super) fn is_frozen(&self) -> bool {
        let (Some(drive), Some((digest, _))) = (&self.drive, &self.latest) else { return false };
        let moved = matches!(digest.facts.roles, Roles::Two | Roles::Moved | Roles::Stale);
        drive.plan().goal.changes_master() && !drive.is_past_pivot() && moved
    }

    /// Holds the open plan against what is seen now: one that has lost its sense is taken back
    /// before its steps run into their deadlines, while users wait.
    pub(super) fn reconsider(&mut self) {
        let (Some(drive), Some((digest, ruling))) = (&self.drive, &self.latest) else { return };
        let (step, way) = drive.position();
        let gone = digest.facts.master == Master::HostGone;
        if way == Way::Back {
            let Some(step_now) = drive.plan().steps.get(step) else { return };
            let parts = step_now.touches(&drive.plan().master) || self.is_out_of_sight(step_now);
            if gone && parts {
                self.pass = Some((step, "the master is gone".to_owned()));
            }
            return;
        }
        if drive.is_past_pivot() {
            let step_now = drive.plan().steps.get(step);
            let owed = drive.plan().pivot().is_some_and(|pivot| step > pivot)
                && step_now.and_then(|step| step.effect.on_host()) == Some(&drive.plan().master);
            // Users are served. A plan that stayed open until each of its last steps has waited in
            // vain would keep help from the new master; the old one is seen to once it is back.
            if drive.plan().goal.changes_master() && gone && owed {
                self.pass = Some((step, "the old master is gone".to_owned()));
            }
            return;
        }
        if self.turn_back.is_some() {
            return;
        }
        let why = match drive.plan().goal {
            // Its opening may have been long on its way to a slow disk.
            Goal::FailOver | Goal::SwitchOver if is_needless(drive, digest.facts.master) => {
                Some("the master is well again")
            }
            Goal::SwitchOver if gone => Some("the master is gone"),
            Goal::SwitchOver if matches!(digest.facts.slave, Slave::Down | Slave::Silent) => {
                Some("the slave is gone")
            }
            Goal::StopServices
            | Goal::StartServices
            | Goal::Repair(
                Repair::StartSlave
                | Repair::ResumeReplication
                | Repair::Rejoin
                | Repair::SetLease
                | Repair::PlaceSingletons
                | Repair::DisableAtBoot,
            ) => match ruling.rule.verdict {
                Verdict::FailOver
                | Verdict::SwitchOver
                | Verdict::Repair(
                    Repair::StartDatabase | Repair::RestartApplication | Repair::DropSynchrony,
                ) => Some("the master needs help"),
                Verdict::Repair(Repair::StopStaleMaster) => {
                    Some("a replaced master accepts writes")
                }
                _ => None,
            },
            _ => None,
        };
        self.turn_back = why.map(|why| (why.to_owned(), Turn::Overtaken));
    }

    /// True for the undo at a PgBouncer that does not answer: it may be on the machine that died.
    /// Should it be back and still paused, that is found and repaired.
    fn is_out_of_sight(&self, step: &Step) -> bool {
        let Undo::By { effect: Effect::ResumeBouncer { bouncer }, .. } = &step.undo else {
            return false;
        };
        let entry = self.snapshot.get(&Look::Bouncer(bouncer.clone()));
        entry.is_some_and(|entry| entry.class == Class::Silent)
    }

    /// Continues, or takes back, a plan that an earlier life left open. The world is looked at
    /// first: no decision is made until every look was answered once.
    fn take_up_open_plan(&mut self, now: At) {
        if self.drive.is_some() || self.stopping {
            return;
        }
        let (Some(open), Some((digest, ruling))) = (&self.memory.open, &self.latest) else {
            return;
        };
        let open = open.clone();
        let present = Present {
            facts: digest.facts,
            verdict: ruling.rule.verdict,
            mode: self.spec.policy.mode,
            waited_ms: now.since(self.started_at),
        };
        let passes = lint(open.plan.clone(), &self.spec, self.memory.epoch).is_ok();
        // It passed when it was opened, which is why it may be taken back, or finished past its
        // pivot, whatever the configuration says by now.
        let mut drive = Drive::resume(ArmedPlan::of_the_journal(open.plan.clone()), &open, now);
        let Some((mut way, mut why)) = resume_way(&open, &drive, present) else { return };
        if way == Way::Forward && !drive.is_past_pivot() && !passes {
            (way, why) = (Way::Back, "it would not pass the lint any more");
        }
        if way == Way::Forward {
            drive.go_on_in_the_middle(is_well(present.facts.slave));
        }
        let plan = open.plan.id;
        self.tell(EventKind::PlanResumed { plan, way, why: why.to_owned() }, now);
        let turn = if way == Way::Back { drive.turn_back(why, Turn::Overtaken, now) } else { None };
        self.drive = Some(drive);
        if let Some(want) = turn {
            self.carry_out(want, now);
        }
    }

    fn carry_out(&mut self, want: Want, now: At) {
        match want {
            Want::Record(record) => self.write(Writing::Drive(record)),
            Want::Perform(order) => {
                let ticket = self.ticket();
                self.doing = Some(ticket);
                self.outbox.push_back(Work::Perform { ticket, order });
            }
            Want::Prove { proof, epoch, deadline_ms } => {
                let ticket = self.ticket();
                self.doing = Some(ticket);
                self.outbox.push_back(Work::Prove { ticket, proof, epoch, deadline_ms });
            }
            Want::SayStuck { step, why } => {
                let Some(drive) = &self.drive else { return };
                let plan = drive.plan().id;
                let name = drive.plan().steps[step].name.clone();
                self.tell(EventKind::Stuck { plan, step, name, why }, now);
            }
        }
    }

    pub(super) fn write(&mut self, writing: Writing) {
        let ticket = self.ticket();
        let record = writing.record().clone();
        self.writing.insert(ticket, writing);
        self.outbox.push_back(Work::Record { ticket, record });
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    pub(super) fn on_recorded(&mut self, ticket: Ticket, now: At) {
        let Some(writing) = self.writing.remove(&ticket) else { return };
        self.tell_record(writing.record(), now);
        self.memory.apply(writing.record());
        match writing {
            Writing::Opening(plan, _) => {
                // It passed before its opening was asked for.
                self.drive = Some(Drive::begin(ArmedPlan::of_the_journal(*plan)));
            }
            Writing::Drive(_) => {
                let want = self.drive.as_mut().and_then(|drive| drive.recorded(now));
                if let Some(want) = want {
                    self.carry_out(want, now);
                }
                if self.drive.as_ref().is_some_and(Drive::is_over) {
                    self.end_drive();
                }
            }
            Writing::Memory(record) => match record {
                Record::Adopted { .. } => self.roles_changed(),
                Record::DrainBegan { .. }
                | Record::DrainEnded { .. }
                | Record::HostForgotten { .. }
                | Record::HostReturned { .. } => {
                    self.spec = self.memory.present(&self.configured);
                    self.looks = self.looks_now();
                    self.snapshot.retain(&self.looks);
                    self.pace.hurry();
                }
                _ => {}
            },
        }
        self.rejudge(now);
    }

    pub(super) fn end_drive(&mut self) {
        self.drive = None;
        self.doing = None;
        self.told = None;
        self.turn_back = None;
        self.give_up = None;
        self.aborted_by = None;
        self.pass = None;
        self.roles_changed();
    }

    /// Looks that are no longer asked are forgotten, and everything is looked at afresh before
    /// the next judgement: the world has just been changed.
    fn roles_changed(&mut self) {
        self.looks = self.looks_now();
        self.snapshot.retain(&self.looks);
        self.unanswered = self.needed_first();
        // The judgement of the world before the change, beside the memory of after it, would be
        // of a world that never was.
        self.latest = None;
        self.pace.hurry();
    }

    pub(super) fn on_not_recorded(&mut self, ticket: Ticket, why: &str, now: At) {
        let Some(writing) = self.writing.remove(&ticket) else { return };
        self.on_journal_tested(Err(why.to_owned()), now);
        if let (Writing::Drive(_), Some(drive)) = (writing, &mut self.drive) {
            drive.not_recorded(now);
        }
    }

    pub(super) fn on_replied(&mut self, ticket: Ticket, reply: Reply, now: At) {
        if self.doing != Some(ticket) {
            return;
        }
        if let Some(drive) = &mut self.drive {
            drive.replied(reply, now);
        }
    }

    pub(super) fn on_looked(&mut self, ticket: Ticket, answer: Answer, now: At) {
        if self.doing != Some(ticket) {
            return;
        }
        let want = self.drive.as_mut().and_then(|drive| drive.looked(answer, now));
        if let Some(want) = want {
            self.carry_out(want, now);
        }
    }

    pub(super) fn on_journal_tested(&mut self, result: Result<(), String>, now: At) {
        match (result, self.journal) {
            (Ok(()), Journal::Failing) => {
                self.journal = Journal::Writable;
                self.tell(EventKind::JournalWritable, now);
            }
            (Err(why), Journal::Writable) => {
                self.journal = Journal::Failing;
                self.tell(EventKind::JournalFailing { why }, now);
            }
            _ => {}
        }
    }

    pub(super) fn on_stop(&mut self, now: At) {
        if !self.stopping {
            self.stopping = true;
            self.tell(EventKind::Stopping { open_plan: self.open_plan_id() }, now);
        }
    }

    /// Goes on from the newest epoch the hosts carry: with an older one every order would be
    /// refused. While a plan is open the newest is its own.
    pub(super) fn on_epoch_seen(&mut self, epoch: Epoch, now: At) {
        let idle = self.drive.is_none() && self.memory.open.is_none() && self.writing.is_empty();
        if idle && epoch > self.memory.epoch {
            self.write(Writing::Memory(Record::EpochSeen { at: now, epoch }));
        }
    }

    pub(super) fn expire_pause(&mut self, now: At) {
        let ended = self.memory.pause.as_ref().and_then(|pause| pause.until);
        if ended.is_some_and(|until| until <= now) && self.writing.is_empty() {
            let by = "the observer (the pause expired)".to_owned();
            self.write(Writing::Memory(Record::Resumed { at: now, by }));
        }
    }

    /// Turns a durable record into the event that tells of it.
    fn tell_record(&mut self, record: &Record, now: At) {
        let plan = self.drive.as_ref().map(Drive::plan);
        if let Some(kind) = told_by(record, plan, self.memory.master.as_ref()) {
            self.tell(kind, now);
        }
    }
}

/// What a change of mind asks of the drive, as soon as it can be asked.
fn changed_mind(
    drive: &mut Drive,
    turn_back: &mut Option<(String, Turn)>,
    pass: &mut Option<(usize, String)>,
    now: At,
) -> Option<Want> {
    if let Some((why, turn)) = turn_back {
        let turned = drive.turn_back(why, *turn, now);
        let settled = turned.is_some() || drive.is_past_pivot() || drive.position().1 == Way::Back;
        if settled {
            *turn_back = None;
        }
        if turned.is_some() {
            return turned;
        }
    }
    if let Some((step, why)) = pass {
        let passed = if drive.position().0 == *step { drive.pass(why, now) } else { None };
        if passed.is_some() || drive.position().0 != *step {
            *pass = None;
        }
        return passed;
    }
    None
}

/// The present, as far as it decides what becomes of a plan left open.
#[derive(Clone, Copy)]
struct Present {
    facts: Facts,
    verdict: Verdict,
    mode: Mode,
    waited_ms: u64,
}

/// How long a suspicion may last before a plan left open is taken back, in milliseconds.
const SUSPECT_MS: u64 = 30_000;

/// How long the world may take to show again what a repair of the slave was for, in milliseconds:
/// what is down or does not stream is told only after a second look.
const SETTLE_MS: u64 = 5_000;

/// The slave's conditions in which a repair of it, once begun, goes on.
fn slave_troubles(repair: Repair) -> Option<&'static [Slave]> {
    match repair {
        Repair::StartSlave => Some(&[Slave::Down, Slave::Startable]),
        Repair::ResumeReplication => Some(&[Slave::NotStreaming, Slave::Resumable]),
        Repair::Rejoin => Some(&[
            Slave::Down,
            Slave::Startable,
            Slave::NotStreaming,
            Slave::Resumable,
            Slave::Rejoinable,
            Slave::Diverged,
        ]),
        _ => None,
    }
}

fn is_well(slave: Slave) -> bool {
    matches!(slave, Slave::Ready | Slave::Lagging)
}

/// Whether a plan left open goes on or is taken back; none while it cannot be told yet.
///
/// The world is believed, not the journal. Past the pivot there is only forward. Before it the plan
/// goes on only if what is seen now would ask for it again; else it is taken back, which for a
/// repair means that it is closed.
fn resume_way(open: &OpenPlan, drive: &Drive, present: Present) -> Option<(Way, &'static str)> {
    if drive.is_past_pivot() {
        return Some((Way::Forward, "it is past its pivot"));
    }
    let Present { facts, verdict, mode, waited_ms } = present;
    if facts.sight != Sight::Clear {
        return None;
    }
    let moved = matches!(facts.roles, Roles::Two | Roles::Moved | Roles::Stale);
    if open.plan.goal.changes_master() && moved {
        // Somebody made another host the master meanwhile: either way would make two of them.
        return None;
    }
    if open.turned_back.is_some() {
        return Some((Way::Back, "it was being taken back"));
    }
    if drive.is_done() {
        return Some((Way::Forward, "each of its steps was done"));
    }
    if facts.master == Master::Suspect && waited_ms < SUSPECT_MS {
        return None;
    }
    if open.plan.goal == Goal::SwitchOver {
        // Users wait since an earlier life: the quickest way to serve them is the way back.
        return Some((Way::Back, "a switchover found unfinished before its pivot is taken back"));
    }
    let by_person = open.plan.asker == Asker::Operator;
    if !by_person && mode != Mode::Auto {
        return Some((Way::Back, "the mode no longer allows it"));
    }
    if let Goal::Repair(repair) = open.plan.goal
        && let Some(troubles) = slave_troubles(repair)
    {
        let allowed = draft::slave_repair_allowed(&facts).is_ok();
        return if troubles.contains(&facts.slave) && allowed {
            Some((Way::Forward, "its reason still holds"))
        } else if waited_ms < SETTLE_MS {
            None
        } else if is_well(facts.slave) && allowed {
            // Taken back it would lose its slot, and what runs beside it would never be started.
            Some((Way::Forward, "the slave is well: what is left of it is done"))
        } else {
            Some((Way::Back, "what is seen now no longer asks for it"))
        };
    }
    let wanted = match open.plan.goal {
        // What is lost is measured by a step of its own.
        Goal::FailOver if by_person => {
            facts.master != Master::Healthy
                && draft::order_allowed(&facts, LossOverride::Accepted).is_ok()
        }
        Goal::FailOver => verdict == Verdict::FailOver,
        Goal::SwitchOver => false,
        // A person ordered it, about a host that nothing else is done about.
        Goal::StopServices | Goal::StartServices => facts.roles == Roles::One,
        // Its last steps start what went down with the database.
        Goal::Repair(Repair::StartDatabase) if facts.roles == Roles::One => {
            verdict == Verdict::Repair(Repair::StartDatabase) || facts.master == Master::Healthy
        }
        Goal::Repair(repair) => verdict == Verdict::Repair(repair),
    };
    Some(if wanted {
        (Way::Forward, "its reason still holds")
    } else {
        (Way::Back, "what is seen now no longer asks for it")
    })
}
