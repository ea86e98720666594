//! One pair's task: owns the pair's machine, carries out its work, and publishes what it shows.
//!
//! It decides nothing: every decision is the core's. All waiting is in one place, so inputs reach
//! the machine one at a time, in a single order, with a time that never runs backwards.
//!
//! ```text
//!   looks, replies, proofs ─┐                  ┌─► spawned looks, effects, proofs (deadlines)
//!   records, write tests  ──┼─► Pair ─► work ──┼─► writer (records, events)
//!   a person's orders     ──┘         └─► view └─► log
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use observer_core::drive::{Answer, Reply};
use observer_core::event::EventKind;
use observer_core::facts::{Act, Asker, Work as WorkFact};
use observer_core::files::PassOrder;
use observer_core::journal::Outcome;
use observer_core::pair::{Input, Pair, Work};
use observer_core::plan::Goal;
use observer_core::policy::PairSpec;
use observer_core::sighting::{Look, Sighting, Silent};
use observer_core::words::{At, PlanId};
use observer_world::access::Alarm;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::archive::{Archive, Sample, Watermark};
use super::asks::Ask;
use super::clock::Clock;
use super::crash::CrashPoint;
use super::parity::{self, Comparing, Found};
use super::planned::{Appointment, Checked};
use super::verify::{Over, Verifying};
use super::world::World;
use super::writer::{Write, Writer};
use crate::report::partial::PartialChange;
use crate::report::view::PairView;

/// Pace of the store's write test while it passes, and while it fails.
const TEST_EVERY: Duration = Duration::from_secs(5);
const TEST_AGAIN: Duration = Duration::from_secs(1);
/// Pace at which the master's log position is kept.
const MARK_EVERY: Duration = Duration::from_secs(5);
/// What the world is given beyond a deadline to say itself that it passed.
const GRACE: Duration = Duration::from_millis(50);
/// The shortest sleep: a machine that wants to be woken at once must not spin.
const SHORTEST_NAP: Duration = Duration::from_millis(1);
/// How long a stop waits beyond the deadline of the step it finds under way.
const STOP_GRACE_MS: u64 = 2_000;
/// How long beginning a pass of files may take: three commands over SSH.
const PASS_BEGINS: Duration = Duration::from_secs(5);

/// How long a stop waits for the change of a proxy's file that is under way: a write, a reload
/// and its proofs take less than a second, and as long again if they are taken back.
const FILE_CHANGE_MS: u64 = 15_000;

/// Orders from the daemon itself.
#[derive(Debug)]
pub(crate) enum Control<W> {
    /// The configuration was read anew.
    Reconfigure(Box<PairSpec>, W),
    /// Finish the step, leave the plan resumable, end.
    Stop,
}

/// How a pair's task ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ended {
    /// The plan left resumable, if one is open.
    pub(crate) open_plan: Option<PlanId>,
}

/// What the rest of the daemon holds of a running pair.
pub(crate) struct PairHandle<W> {
    /// What the pair shows, published by its task.
    pub(crate) view: watch::Receiver<Arc<PairView>>,
    /// A person's orders and questions.
    pub(crate) asks: mpsc::Sender<Ask>,
    /// Number of the pair's newest durable event.
    pub(crate) last_event: watch::Receiver<u64>,
    /// When the task last went round, in milliseconds of the clock.
    pub(crate) pulse: Arc<AtomicU64>,
    /// The daemon's own orders.
    pub(crate) control: mpsc::Sender<Control<W>>,
    /// Ends when the pair has stopped.
    pub(crate) task: tokio::task::JoinHandle<Ended>,
}

/// The task's state.
pub(super) struct PairTask<W> {
    pub(super) pair: Pair,
    pub(super) world: W,
    pub(super) clock: Clock,
    /// Where checks answer, and what a schedule that is due waits for.
    pub(super) checks: mpsc::UnboundedSender<Checked>,
    pub(super) appointment: Appointment,
    /// The switchover after which the pair is still to be validated.
    pub(super) switched: Option<PlanId>,
    /// A configuration that waits for the end of the open plan.
    kept: Option<(Box<PairSpec>, W)>,
    pub(super) inputs: mpsc::UnboundedSender<Input>,
    writes: mpsc::UnboundedSender<Write>,
    pub(super) crash: CrashPoint,
    /// Changes of proxies' files that are under way: the hands stay the same meanwhile.
    pub(super) changing: Rc<Cell<usize>>,
    pub(super) view: watch::Sender<Arc<PairView>>,
    pulse: Arc<AtomicU64>,
    stop_by: Option<At>,
    marked: Option<Watermark>,
    /// Where the comparing of what must be alike stands.
    pub(super) parity: Comparing,
    /// The comparisons of file sets.
    pub(super) verifying: Verifying,
    /// A change of the proxies' files that only some of them have.
    pub(super) partial: Option<PartialChange>,
    /// Whether the store has more of it than is known here: an order is under way.
    pub(super) partial_ahead: bool,
    alarms: mpsc::Receiver<Alarm>,
}

/// What a pair's task is started with.
pub(crate) struct Start<W, A> {
    /// The pair as the journal left it.
    pub(crate) pair: Pair,
    /// Its hands and eyes.
    pub(crate) world: W,
    /// The store.
    pub(crate) archive: A,
    /// The clock of the daemon.
    pub(crate) clock: Clock,
    /// The hook for crash tests.
    pub(crate) crash: CrashPoint,
    /// Number of the pair's newest event in the store.
    pub(crate) last_event: u64,
    /// How each item of parity stood at the last look.
    pub(crate) parity: parity::Memory,
    /// A change of the proxies' files that only some of them have.
    pub(crate) partial: Option<PartialChange>,
}

/// Starts a pair's task and its writer. Must be called inside a `LocalSet` of a tokio runtime.
pub(crate) fn start<W: World, A: Archive>(start: Start<W, A>) -> PairHandle<W> {
    let Start { pair, world, archive, clock, crash, last_event, parity, partial } = start;
    let (inputs, inbox) = mpsc::unbounded_channel();
    let (writes, written) = mpsc::unbounded_channel();
    let (asks, asked) = mpsc::channel(16);
    let (control, controlled) = mpsc::channel(4);
    let (view, viewed) = watch::channel(Arc::new(PairView::of(&pair, clock.now())));
    let (last_event, last_seen) = watch::channel(last_event);
    let pulse = Arc::new(AtomicU64::new(clock.now().0));
    let writer = Writer {
        pair: pair.spec().name.clone(),
        archive,
        inputs: inputs.clone(),
        last_event,
        crash: crash.clone(),
    };
    let writing = tokio::spawn(writer.run(written));
    let (checks, checked) = mpsc::unbounded_channel();
    let (parity, compared) = Comparing::new(parity);
    let (verifying, verified) = Verifying::new();
    let task = PairTask {
        pair,
        checks,
        appointment: Appointment::None,
        switched: None,
        kept: None,
        alarms: world.alarms(),
        world,
        clock,
        inputs,
        writes,
        crash,
        changing: Rc::default(),
        view,
        pulse: pulse.clone(),
        stop_by: None,
        marked: None,
        parity,
        verifying,
        partial,
        partial_ahead: false,
    };
    let running = tokio::task::spawn_local(async move {
        let inlets = Inlets { inbox, asked, controlled, checked, compared, verified };
        let ended = task.run(inlets).await;
        // The task's end closed the line: what waits is still written.
        if writing.await.is_err() {
            tracing::error!("the writer ended badly");
        }
        ended
    });
    PairHandle { view: viewed, asks, last_event: last_seen, pulse, control, task: running }
}

/// Everything that reaches the task.
struct Inlets<W> {
    inbox: mpsc::UnboundedReceiver<Input>,
    asked: mpsc::Receiver<Ask>,
    controlled: mpsc::Receiver<Control<W>>,
    checked: mpsc::UnboundedReceiver<Checked>,
    compared: mpsc::UnboundedReceiver<Found>,
    verified: mpsc::UnboundedReceiver<Over>,
}

impl<W: World> PairTask<W> {
    async fn run(mut self, inlets: Inlets<W>) -> Ended {
        let Inlets { mut inbox, mut asked, mut controlled, .. } = inlets;
        let Inlets { mut checked, mut compared, mut verified, .. } = inlets;
        let mut test_at = Instant::now();
        let mut mark_at = Instant::now() + MARK_EVERY;
        self.work();
        loop {
            self.reconfigure();
            self.mind_schedule();
            self.validate_again();
            let wakes_at = self.wakes_at();
            self.publish();
            if let Some(ended) = self.ended() {
                return ended;
            }
            tokio::select! {
                biased;
                Some(control) = controlled.recv() => self.control(control),
                Some(input) = inbox.recv() => {
                    if let Input::JournalTested(result) = &input {
                        let pause = if result.is_ok() { TEST_EVERY } else { TEST_AGAIN };
                        test_at = Instant::now() + pause;
                        self.handle(Input::EpochSeen(self.world.epoch()));
                    }
                    self.handle(input);
                }
                Some(alarm) = self.alarms.recv() => {
                    tracing::debug!(host = alarm.host, "a connection broke: {alarm:?}");
                    self.handle(Input::Alarm);
                }
                Some(checked) = checked.recv() => self.checked(checked),
                Some(ask) = asked.recv() => self.asked(ask),
                Some(found) = compared.recv() => self.parity_found(found),
                Some(over) = verified.recv() => self.verification_over(over),
                () = tokio::time::sleep_until(self.parity.due) => self.mind_parity(),
                () = tokio::time::sleep_until(test_at) => {
                    // Its answer sets the next one; this is for an answer that never comes.
                    test_at = Instant::now() + TEST_EVERY * 2;
                    self.write(Write::Test);
                }
                () = tokio::time::sleep_until(mark_at) => {
                    mark_at = Instant::now() + MARK_EVERY;
                    self.mark();
                }
                () = tokio::time::sleep_until(wakes_at) => self.handle(Input::Tick),
            }
        }
    }

    fn handle(&mut self, input: Input) {
        self.pair.handle(input, self.clock.now());
        self.work();
    }

    fn control(&mut self, control: Control<W>) {
        match control {
            Control::Reconfigure(spec, world) => {
                if self.is_acting() {
                    let pair = &self.pair.spec().name;
                    tracing::warn!(%pair, "a plan is open: the configuration changes after it");
                }
                self.kept = Some((spec, world));
            }
            Control::Stop => {
                let step_ms = self.pair.drive().map_or(0, |drive| {
                    let (step, _) = drive.position();
                    drive.plan().steps.get(step).map_or(0, |step| step.deadline_ms)
                });
                let file_ms = if self.changing.get() > 0 { FILE_CHANGE_MS } else { 0 };
                let wait_ms = step_ms.max(file_ms) + STOP_GRACE_MS;
                self.stop_by = Some(self.clock.now().plus(wait_ms));
                self.handle(Input::Stop);
            }
        }
    }

    /// Takes the newest configuration over, unless a plan is open or about to be: a plan is carried
    /// out with the hands, and among the hosts, that it was drafted for.
    fn reconfigure(&mut self) {
        if self.is_acting() || self.changing.get() > 0 {
            return;
        }
        let Some((spec, world)) = self.kept.take() else { return };
        self.alarms = world.alarms();
        self.world = world;
        self.parity.restart();
        self.handle(Input::Reconfigured(spec));
        let pair = &self.pair.spec().name;
        tracing::info!(%pair, "the configuration that was read anew is in force");
    }

    pub(super) fn is_acting(&self) -> bool {
        let facts = self.pair.gate_facts(Act::Nothing, Asker::Observer, self.clock.now());
        facts.work == WorkFact::PlanOpen
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop_by.is_some()
    }

    /// Set once the pair may be left: at rest, or not at rest in time. Either way the journal
    /// says where an open plan stands.
    fn ended(&self) -> Option<Ended> {
        let stop_by = self.stop_by?;
        let late = self.clock.now() >= stop_by;
        let at_rest = self.pair.is_at_rest() && self.changing.get() == 0;
        (at_rest || late).then(|| {
            let open = self.pair.memory().open.as_ref();
            Ended { open_plan: open.map(|open| open.plan.id) }
        })
    }

    fn wakes_at(&self) -> Instant {
        let now = self.clock.now();
        let pair = self.pair.wakes_at(now);
        let due = self.schedule_wakes_at().filter(|due| *due > now);
        let wakes_at = self.clock.instant(due.map_or(pair, |due| pair.min(due)));
        let last = self.stop_by.map_or(wakes_at, |at| wakes_at.min(self.clock.instant(at)));
        last.max(Instant::now() + SHORTEST_NAP)
    }

    fn publish(&self) {
        let now = self.clock.now();
        self.pulse.store(now.0, Ordering::Relaxed);
        let mut view = PairView::of(&self.pair, now);
        view.status.parity = self.parity.status();
        view.status.partial = self.partial_status();
        self.view.send_replace(Arc::new(view));
    }

    /// Takes all work out and sets it going.
    pub(super) fn work(&mut self) {
        // Records first: they are on the critical path, and an event only tells of them.
        let mut told = Vec::new();
        while let Some(work) = self.pair.take_work() {
            match work {
                Work::Look { look, deadline_ms } => {
                    self.look(look, Duration::from_millis(deadline_ms));
                }
                Work::Record { ticket, record } => {
                    let epoch = self.pair.drive().map(|drive| drive.plan().epoch);
                    let epoch = epoch.unwrap_or(self.pair.memory().epoch);
                    self.write(Write::Record(ticket, epoch, record));
                }
                Work::Perform { ticket, order } => {
                    let (world, inputs) = (self.world.clone(), self.inputs.clone());
                    let crash = self.crash.clone();
                    tokio::task::spawn_local(async move {
                        let deadline = Duration::from_millis(order.deadline_ms) + GRACE;
                        let effect = move || {
                            let (world, order) = (world.clone(), order.clone());
                            async move {
                                let reply = tokio::time::timeout(deadline, world.perform(&order));
                                reply.await.unwrap_or(Reply::NoReply)
                            }
                        };
                        let reply = crash.perform(effect).await;
                        let _ = inputs.send(Input::Replied(ticket, reply));
                    });
                }
                Work::Prove { ticket, proof, epoch, deadline_ms } => {
                    let (world, inputs) = (self.world.clone(), self.inputs.clone());
                    tokio::task::spawn_local(async move {
                        let deadline = Duration::from_millis(deadline_ms);
                        let proving = world.prove(&proof, epoch, deadline);
                        let answer = tokio::time::timeout(deadline + GRACE, proving).await;
                        let late = || Answer::Unknown(format!("no answer in {deadline_ms} ms"));
                        let answer = answer.unwrap_or_else(|_| late());
                        let _ = inputs.send(Input::Looked(ticket, answer));
                    });
                }
                Work::Pass(order) => self.pass(order),
                Work::Tell(event) => told.push(*event),
            }
        }
        for event in told {
            super::logging::event(&event);
            if let EventKind::PlanClosed { plan, goal: Goal::SwitchOver, outcome, .. } = &event.kind
                && *outcome == Outcome::Done
            {
                self.switched = Some(*plan);
            }
            self.write(Write::Tell(event));
        }
    }

    /// Begins a pass of files. What comes of it is seen by the next look; why one was not begun is
    /// in the log, since the next is due in a few seconds.
    fn pass(&self, order: PassOrder) {
        let world = self.world.clone();
        tokio::task::spawn_local(async move {
            if let Err(why) = world.pass(&order, PASS_BEGINS).await {
                tracing::warn!(host = %order.host, set = %order.set, "no pass was begun: {why}");
            }
        });
    }

    /// Looks, and answers whatever happens: a look without an answer would never be asked again.
    fn look(&self, look: Look, deadline: Duration) {
        let (world, inputs, writes) =
            (self.world.clone(), self.inputs.clone(), self.writes.clone());
        let clock = self.clock;
        let asked_at = clock.now();
        tokio::task::spawn_local(async move {
            let looking = tokio::time::timeout(deadline + GRACE, world.look(&look, deadline));
            let seen = looking.await.unwrap_or(Err(Silent::Timeout));
            let at = clock.now();
            if seen.is_ok() {
                let sample =
                    Sample { at, name: sample_name(&look), value: at.since(asked_at) as f64 };
                let _ = writes.send(Write::Sample(sample));
            }
            let _ = inputs.send(Input::Sighted(Box::new(Sighting { look, asked_at, at, seen })));
        });
    }

    /// Keeps the master's last position, if it is news.
    fn mark(&mut self) {
        let Some(master) = self.pair.memory().master.clone() else { return };
        let Some((at, lsn)) = self.pair.snapshot().positions(&master).next_back() else { return };
        let mark = Watermark { host: master, at, lsn };
        if self.marked.as_ref() != Some(&mark) {
            self.marked = Some(mark.clone());
            self.write(Write::Mark(mark));
        }
    }

    pub(super) fn write(&self, write: Write) {
        // The writer lives as long as this task: its only other end is here.
        let _ = self.writes.send(write);
    }
}

/// The name under which a look's latency is kept.
fn sample_name(look: &Look) -> String {
    match look {
        Look::Machine(host) => format!("machine:{host}"),
        Look::Database(host) => format!("database:{host}"),
        Look::Write(host) => format!("write:{host}"),
        Look::Disk(host) => format!("disk:{host}"),
        Look::Files(host) => format!("files:{host}"),
        Look::Sessions(host) => format!("sessions:{host}"),
        Look::External(host) => format!("external:{host}"),
        Look::Port { host, from } => format!("port:{host}:{from}"),
        Look::Application { host, from } => format!("application:{host}:{from}"),
        Look::Mount { host, mount } => format!("mount:{host}:{mount}"),
        Look::Readiness { host, service } => format!("readiness:{host}:{service}"),
        Look::Proxy(proxy) => format!("proxy:{proxy}"),
        Look::ProxyFile(proxy) => format!("proxy-file:{proxy}"),
        Look::Bouncer(bouncer) => format!("bouncer:{bouncer}"),
    }
}
