//! One pair's whole machine: takes in what was seen and what came of what was ordered, and says
//! what to look at, record, perform and tell.
//!
//! It joins the stages and holds no decision of its own. The daemon's shell and the simulator both
//! drive exactly this, so what the simulator shows is what the daemon does.
//!
//! The caller's duties: hand in every input with a time that never runs backwards; take all work
//! out after every input; carry out `Record` before anything that follows it is asked for (the
//! machine itself never asks for an effect before its record was reported durable).

mod absences;
mod acting;
mod advice;
mod drain;
mod files;
mod forget;
mod looks;
mod maintenance;
mod mounts;
mod orders;
mod pace;
mod passes;
mod promotion;
mod readiness;
mod refusal;
mod reloads;
mod upgrade;
mod verified;
mod work;

pub use orders::{DryRun, Earlier, OperatorOrder, Wish};
pub use refusal::Refusal;
pub use work::{Input, Ticket, Work};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use crate::digest::{Digest, digest, evidence};
use crate::drive::Drive;
use crate::event::{Event, EventKind};
use crate::facts::{Act, Asker, GateFacts, Journal, Past, Pause, Standing, Work as WorkFact};
use crate::files::Deletions;
use crate::files::verify::LastVerified;
use crate::journal::{Memory, Record, Turn};
use crate::judge::{Cause, Gate, Repair, Rule, Verdict, gate, judge};
use crate::ledger::Snapshot;
use crate::plan::Goal;
use crate::plan::Proof;
use crate::policy::{Mode, PairSpec};
use crate::sighting::Look;
use crate::words::{At, FileSetName, HostName, PlanId, ProxyName};

/// How long a failed plan of the observer's own keeps it from trying the next, in milliseconds.
const AFTER_FAILURE_MS: u64 = 15_000;

/// The judge's word on the present, with the gate it met.
#[derive(Clone, Copy, Debug)]
pub struct Ruling {
    /// The row of the verdict table.
    pub rule: &'static Rule,
    /// The gate.
    pub gate: &'static Gate,
}

impl Ruling {
    /// True if nothing at all is wrong and nothing would keep a failover from being made: a
    /// failover now would succeed within the budget.
    pub fn is_protected(&self, spec: &PairSpec, memory: &Memory) -> bool {
        self.rule.verdict == Verdict::Steady
            && spec.policy.mode == Mode::Auto
            && memory.pause.is_none()
            && memory.unacknowledged.is_none()
    }
}

/// The state of one pair.
pub struct Pair {
    /// The pair as it is configured.
    configured: PairSpec,
    /// The same without the hosts that are left out of it.
    spec: PairSpec,
    snapshot: Snapshot,
    memory: Memory,
    drive: Option<Drive>,
    journal: Journal,
    pace: pace::Pace,
    latest: Option<(Digest, Ruling)>,
    told: Option<(&'static str, &'static str)>,
    told_no_plan: Option<EventKind>,
    writing: BTreeMap<Ticket, work::Writing>,
    doing: Option<Ticket>,
    last_ticket: u64,
    outbox: VecDeque<Work>,
    looks: Vec<Look>,
    unanswered: BTreeSet<Look>,
    stopping: bool,
    /// Why the open plan is to be taken back, once it can be.
    turn_back: Option<(String, Turn)>,
    /// Who was promised that the open plan is taken back.
    aborted_by: Option<String>,
    /// Why the open plan is taken back past its pivot, once it can be.
    give_up: Option<String>,
    /// Why the step of this number is to be passed, once it can be.
    pass: Option<(usize, String)>,
    /// The process of each HAProxy that answered last.
    processes: BTreeMap<ProxyName, u32>,
    /// Maintenances whose end was announced.
    reminded: BTreeSet<(crate::words::HostName, At)>,
    /// When each pass of files was last asked for.
    passed: BTreeMap<(HostName, FileSetName), At>,
    /// What people asked of the next pass of a file set.
    wanted: BTreeMap<FileSetName, Deletions>,
    /// What was last told of each mount.
    told_mounts: mounts::Told,
    /// Hosts of which was told that they do not answer.
    told_absent: BTreeSet<HostName>,
    /// What the last verifications of each file set said.
    verified: BTreeMap<FileSetName, LastVerified>,
    started_at: At,
}

impl Pair {
    /// A pair as the journal left it. `now` is the moment of the start.
    pub fn new(spec: PairSpec, records: &[Record], now: At) -> Self {
        let memory = Memory::replay(records);
        let mut pair = Self {
            pace: pace::Pace::default(),
            snapshot: Snapshot::default(),
            drive: None,
            journal: Journal::Writable,
            latest: None,
            told: None,
            told_no_plan: None,
            writing: BTreeMap::new(),
            doing: None,
            last_ticket: 0,
            outbox: VecDeque::new(),
            looks: Vec::new(),
            unanswered: BTreeSet::new(),
            stopping: false,
            turn_back: None,
            aborted_by: None,
            give_up: None,
            pass: None,
            processes: BTreeMap::new(),
            reminded: BTreeSet::new(),
            passed: BTreeMap::new(),
            wanted: BTreeMap::new(),
            verified: BTreeMap::new(),
            told_mounts: mounts::Told::new(),
            told_absent: BTreeSet::new(),
            started_at: now,
            spec: memory.present(&spec),
            configured: spec,
            memory,
        };
        pair.looks = pair.looks_now();
        pair.unanswered = pair.needed_first();
        pair.remember_reached();
        pair.ask_due(now);
        pair
    }

    /// A plan left open says how far the master's log had come when it was drafted.
    fn remember_reached(&mut self) {
        let Some(open) = &self.memory.open else { return };
        let reached = open.plan.steps.iter().find_map(|step| match step.proof {
            Proof::LossWithin { reached, .. } => Some(reached),
            _ => None,
        });
        if let Some(reached) = reached {
            let (master, at) = (open.plan.master.clone(), open.plan.trouble_since);
            self.snapshot.note_position(master, at, reached);
        }
    }

    /// Puts back a position of the master's log learned before the start; without it a loss could
    /// not be told after a restart in the middle of an outage.
    pub fn note_position(&mut self, host: crate::words::HostName, at: At, lsn: crate::words::Lsn) {
        self.snapshot.note_position(host, at, lsn);
    }

    /// Takes one input in.
    pub fn handle(&mut self, input: Input, now: At) {
        match input {
            Input::Tick => {}
            Input::Sighted(sighting) => {
                self.pace.answered(&sighting.look);
                self.unanswered.remove(&sighting.look);
                self.note_process(&sighting, now);
                let look = sighting.look.clone();
                self.snapshot.take(*sighting);
                self.pace_mount(look);
                self.rejudge(now);
            }
            Input::Alarm => self.pace.hurry(),
            Input::Recorded(ticket) => self.on_recorded(ticket, now),
            Input::NotRecorded(ticket, why) => self.on_not_recorded(ticket, &why, now),
            Input::Replied(ticket, reply) => self.on_replied(ticket, reply, now),
            Input::Looked(ticket, answer) => self.on_looked(ticket, answer, now),
            Input::JournalTested(result) => self.on_journal_tested(result, now),
            Input::EpochSeen(epoch) => self.on_epoch_seen(epoch, now),
            Input::Validated { plan, ready, against } => {
                self.tell(EventKind::Validated { plan, ready, against }, now);
            }
            Input::Parity(told) => self.tell(told.into(), now),
            Input::FilesVerified(verified) => self.note_verification(*verified, now),
            Input::ProxyFile(change) => self.tell(EventKind::ProxyFileChanged(change), now),
            Input::Stop => self.on_stop(now),
            Input::Reconfigured(spec) => {
                self.configured = *spec;
                self.spec = self.memory.present(&self.configured);
                self.looks = self.looks_now();
                self.snapshot.retain(&self.looks);
                self.rejudge(now);
            }
        }
        self.expire_pause(now);
        self.expire_maintenance(now);
        self.take_back(now);
        self.proceed(now);
        if !self.stopping {
            self.pass_due(now);
            self.ask_due(now);
        }
    }

    /// Takes the next piece of work out.
    pub fn take_work(&mut self) -> Option<Work> {
        self.outbox.pop_front()
    }

    /// When the next `Tick` is due.
    pub fn wakes_at(&self, now: At) -> At {
        let looks = self.pace.next_due(&self.looks, &self.spec.policy, now);
        let drive = self.drive.as_ref().and_then(Drive::wakes_at).unwrap_or(looks);
        if self.stopping { drive } else { looks.min(drive) }
    }

    /// The pair's members and policy.
    pub fn spec(&self) -> &PairSpec {
        &self.spec
    }

    /// What the journal says.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The latest answers.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The latest digest and ruling; none until everything was looked at once.
    pub fn latest(&self) -> Option<(&Digest, &Ruling)> {
        self.latest.as_ref().map(|(digest, ruling)| (digest, ruling))
    }

    /// What the latest ruling rests on, a sentence each.
    pub fn evidence(&self, now: At) -> Vec<String> {
        self.latest.as_ref().map_or_else(Vec::new, |(digest, _)| {
            evidence(&self.snapshot, &self.spec, &self.memory, digest, now)
        })
    }

    /// The plan being carried out.
    pub fn drive(&self) -> Option<&Drive> {
        self.drive.as_ref()
    }

    /// Whether the journal can be written.
    pub fn journal(&self) -> Journal {
        self.journal
    }

    /// True once a stop was asked for and nothing is on its way any more.
    pub fn is_at_rest(&self) -> bool {
        let between = self.drive.as_ref().is_none_or(Drive::is_between_steps);
        self.stopping && between && self.writing.is_empty()
    }

    /// Judges the present anew, tells of a change, and acts if a gate lets it.
    fn rejudge(&mut self, now: At) {
        if !self.unanswered.is_empty() {
            return;
        }
        let digest = digest(&self.snapshot, &self.spec, &self.memory, now);
        let rule = judge(&digest.facts);
        let repair = match rule.verdict {
            Verdict::Repair(repair) => Some(repair),
            _ => None,
        };
        let failed = self.failed_lately(rule.verdict.act(), repair, now);
        let gate = gate(&GateFacts {
            past: self.past(failed),
            ..self.gate_facts(rule.verdict.act(), Asker::Observer, now)
        });
        let ruling = Ruling { rule, gate };
        let trouble_ms = digest.trouble_since.map(|since| now.since(since));
        self.pace.set_mood(pace::Mood::of(rule, &self.snapshot, trouble_ms));
        self.note_mounts(&digest, now);
        self.note_absences(&digest, now);
        self.tell_verdict(&digest, ruling, now);
        self.latest = Some((digest, ruling));
        self.reconsider();
        self.adopt(now);
        self.note_protection(now);
        self.note_drains(now);
        if rule.verdict.act() != Act::Nothing && gate.bars.is_none() && !self.stopping {
            self.act_on(ruling, now);
        }
    }

    /// What the gates look at, for an act of this kind asked for by `asker`.
    pub fn gate_facts(&self, act: Act, asker: Asker, now: At) -> GateFacts {
        let failed = self.failed_lately(act, None, now);
        GateFacts {
            act,
            asker,
            standing: match self.spec.policy.mode {
                Mode::Auto => Standing::Auto,
                Mode::ObserveOnly => Standing::ObserveOnly,
                Mode::Off => Standing::Off,
            },
            pause: if self.is_paused() { Pause::Paused } else { Pause::Running },
            work: if self.has_plan() { WorkFact::PlanOpen } else { WorkFact::Idle },
            past: self.past(failed),
            journal: self.journal,
        }
    }

    /// True if the last plan for such an act failed a moment ago. One repair that fails does not
    /// keep another from being tried; without a name, any repair is meant.
    fn failed_lately(&self, act: Act, repair: Option<Repair>, now: At) -> bool {
        self.memory.last_failed.is_some_and(|(goal, at)| {
            let same = match goal {
                Goal::FailOver | Goal::SwitchOver => act == Act::ChangeMaster,
                // Only a person orders these, and nobody keeps a person from trying again.
                Goal::StopServices | Goal::StartServices => false,
                Goal::Repair(failed) => {
                    act == Act::Repair && repair.is_none_or(|asked| asked == failed)
                }
            };
            same && now.since(at) < AFTER_FAILURE_MS
        })
    }

    fn past(&self, failed: bool) -> Past {
        if failed {
            Past::JustFailed
        } else if self.memory.unacknowledged.is_some() {
            Past::Unacknowledged
        } else {
            Past::Calm
        }
    }

    /// A pause holds from the moment it is asked for, not only from when it is on the disk.
    fn is_paused(&self) -> bool {
        let pausing = |writing: &work::Writing| {
            matches!(writing, work::Writing::Memory(Record::Paused { .. }))
        };
        self.memory.pause.is_some() || self.writing.values().any(pausing)
    }

    fn tell_verdict(&mut self, digest: &Digest, ruling: Ruling, now: At) {
        let key = (ruling.rule.id, ruling.gate.id);
        let own_work = ruling.gate.bars == Some(Cause::PlanOpen);
        // While a plan is carried out the world changes by our own hand: the steps tell it.
        let own_work = own_work || self.is_about_own_promotion(ruling.rule);
        if self.told == Some(key) || own_work || self.drive.is_some() {
            return;
        }
        self.told = Some(key);
        self.tell(
            EventKind::VerdictChanged {
                rule: ruling.rule.id.to_owned(),
                cause: ruling.rule.cause,
                verdict: ruling.rule.verdict,
                why: ruling.rule.why.to_owned(),
                barred: ruling.gate.bars.map(|cause| (ruling.gate.id.to_owned(), cause)),
                evidence: evidence(&self.snapshot, &self.spec, &self.memory, digest, now),
            },
            now,
        );
    }

    fn tell(&mut self, kind: EventKind, at: At) {
        let pair = self.spec.name.clone();
        self.outbox.push_back(Work::Tell(Box::new(Event { at, pair, kind })));
    }

    fn open_plan_id(&self) -> Option<PlanId> {
        self.drive.as_ref().map(|drive| drive.plan().id)
    }
}

/// Where the pair's one line of truth comes from: serialisable for JSON output.
#[derive(Clone, Debug, Serialize)]
pub struct Protection {
    /// Whether a failover now would succeed within the budget.
    pub protected: bool,
    /// The cause if not.
    pub cause: Cause,
    /// The sentence a person reads.
    pub sentence: String,
}

impl Pair {
    /// The one-line answer to "are we protected".
    pub fn protection(&self) -> Protection {
        let Some((digest, ruling)) = self.latest() else {
            return Protection {
                protected: false,
                cause: Cause::MasterSuspect,
                sentence: "not everything has been looked at yet".to_owned(),
            };
        };
        let protected = ruling.is_protected(&self.spec, &self.memory)
            && self.journal == Journal::Writable
            && !self.is_plan_open();
        let cause = self.foremost_cause(ruling);
        let sentence = if protected {
            let candidate = digest.candidate.as_ref().map_or("?", |host| host.as_str());
            format!("{candidate} can take over; it would lose {}", digest.loss.text())
        } else {
            cause.meaning().to_owned()
        };
        Protection { protected, cause, sentence }
    }

    /// True while a plan is open, in our hands or left by an earlier life.
    fn is_plan_open(&self) -> bool {
        self.drive.is_some() || self.memory.open.is_some()
    }

    /// What stands most in the way, named as a person would look for it.
    fn foremost_cause(&self, ruling: &Ruling) -> Cause {
        if self.is_plan_open() {
            Cause::PlanOpen
        } else if self.journal == Journal::Failing {
            Cause::JournalFailing
        } else if ruling.rule.verdict != Verdict::Steady {
            ruling.rule.cause
        } else if self.memory.pause.is_some() {
            Cause::Paused
        } else if self.spec.policy.mode != Mode::Auto {
            Cause::ObserveOnly
        } else if self.memory.unacknowledged.is_some() {
            Cause::Flapping
        } else {
            Cause::Steady
        }
    }
}
