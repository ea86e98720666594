//! One run: a queue of events in simulated time, the pair's machine, the world, and the checkers
//! after every event.

mod upgrade;
mod users;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use observer_core::drive::{Answer, Order, Reply};
use observer_core::event::Event;
use observer_core::files::PassOrder;
use observer_core::journal::{Keeper, PauseOrder, Record};
use observer_core::pair::{DryRun, Input, OperatorOrder, Pair, Ticket, Wish, Work};
use observer_core::policy::{PairSpec, Placement, Policy, Probed, ServiceSpec, UserWait};
use observer_core::sighting::{Look, Seen, Sighting, Silent};
use observer_core::words::{At, BouncerName, ProxyName};

use self::upgrade::ordered;
pub use self::users::Users;
use crate::check::{Checks, Violation};
use crate::disk::RESERVED;
use crate::fault::{Chances, Fault};
use crate::machine::Running;
use crate::random::Random;
use crate::world::World;

/// Simulated time at which every run starts: not zero, so that ages never saturate.
pub const START: At = At(1_000_000_000);

/// Pace of the simulated user, in milliseconds.
const CLIENT_MS: u64 = 50;
/// Pace of the proxies' own checks, in milliseconds.
const CHECK_MS: u64 = 200;
/// Pace of replication and of everything that takes time by itself, in milliseconds.
const PASS_MS: u64 = 25;

/// What a run starts from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The pair.
    pub spec: PairSpec,
    /// The seed of everything random.
    pub seed: u64,
    /// Whether the guard is in place on every host.
    pub guarded: Running,
}

impl Setup {
    /// Two hosts, `proxies` proxies, an application and a scheduler, shipped defaults.
    pub fn usual(seed: u64, proxies: usize) -> Self {
        let service = |name: &str, placement, probed| ServiceSpec {
            name: name.into(),
            unit: format!("{name}.service"),
            placement,
            probed,
            readiness: None,
            users: if probed == Probed::Health { UserWait::Wait } else { UserWait::GoOn },
            start_deadline_ms: 10_000,
            stop_deadline_ms: None,
        };
        let spec = PairSpec {
            name: "pair".into(),
            hosts: vec!["node-a".into(), "node-b".into()],
            proxies: (1..=proxies).map(|n| ProxyName::new(&format!("proxy-{n}"))).collect(),
            bouncers: Vec::new(),
            store: observer_core::policy::Store::OnHosts,
            sharing: Vec::new(),
            files: Vec::new(),
            monitor: None,
            mounts: Vec::new(),
            services: vec![
                service("desk", Placement::All, Probed::Health),
                service("desk-scheduler", Placement::Master, Probed::Unit),
            ],
            policy: Policy::default(),
        };
        Self { spec, seed, guarded: Running::No }
    }

    /// The same with `bouncers` PgBouncers that lead to its proxies.
    #[must_use]
    pub fn with_bouncers(mut self, bouncers: usize) -> Self {
        let name = |n| BouncerName::new(&format!("bouncer-{n}"));
        self.spec.bouncers = (1..=bouncers).map(name).collect();
        self
    }
}

#[derive(Debug)]
enum Happening {
    /// An input for the observer of this life; for a dead one it is lost.
    Input(u64, Input),
    /// A record reaches the disk.
    Write(u64, Ticket, Record),
    /// An effect reaches the world; with its life, ticket, and what becomes of its reply.
    Effect(u64, Ticket, Order, Fate),
    /// A proof is looked for.
    Proof(u64, Ticket, observer_core::plan::Proof),
    /// The world answers a look.
    Answer(u64, Look, At),
    /// An order of a pass of files reaches the world.
    Fetch(PassOrder),
    Wake(u64),
    Client,
    Check,
    Pass,
    Fault(Fault),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Replies,
    Lost,
    Twice,
    Refused,
}

struct Queued {
    at: At,
    order: u64,
    what: Happening,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A running simulation.
pub struct Run {
    /// The world.
    pub world: World,
    /// The journal: survives the observer.
    pub journal: Vec<Record>,
    /// Everything told, in order.
    pub events: Vec<Event>,
    /// The simulated user's record.
    pub users: Users,
    pair: Option<Pair>,
    life: u64,
    now: At,
    order: u64,
    queue: BinaryHeap<Reverse<Queued>>,
    random: Random,
    chances: Chances,
    disk_full: bool,
    /// Records that find room on a full disk.
    reserved: u32,
    dies_after: Option<(Boundary, u64)>,
    checks: Checks,
    wake_at: At,
    upgrader: upgrade::Upgrader,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Boundary {
    Record,
    Effect,
}

impl Run {
    /// A run at its start: the observer has just been started on a healthy pair.
    pub fn new(setup: Setup) -> Self {
        let mut world = World::new(setup.spec);
        world.guarded = setup.guarded;
        let mut run = Self {
            world,
            journal: Vec::new(),
            events: Vec::new(),
            users: Users::default(),
            pair: None,
            life: 0,
            now: START,
            order: 0,
            queue: BinaryHeap::new(),
            random: Random::new(setup.seed),
            chances: Chances::default(),
            disk_full: false,
            reserved: RESERVED,
            dies_after: None,
            checks: Checks::default(),
            wake_at: START,
            upgrader: upgrade::Upgrader::default(),
        };
        for what in [Happening::Pass, Happening::Check, Happening::Client] {
            run.push(START, what);
        }
        run.start_observer();
        run
    }

    /// Milliseconds since the start.
    pub fn elapsed_ms(&self) -> u64 {
        self.now.since(START)
    }

    /// The observer's machine, while it lives.
    pub fn pair(&self) -> Option<&Pair> {
        self.pair.as_ref()
    }

    /// Makes something happen `after_ms` from now.
    pub fn schedule(&mut self, after_ms: u64, fault: Fault) {
        let at = self.now.plus(after_ms);
        self.push(at, Happening::Fault(fault));
    }

    /// Where the observer's disk was put back to this many records: its machine was restored.
    pub fn restore_journal(&mut self, records: usize) {
        self.kill_observer();
        self.journal.truncate(records);
        self.checks = Checks::default();
        self.start_observer();
    }

    /// Runs on for `ms` of simulated time; stops at the first broken rule.
    pub fn advance(&mut self, ms: u64) -> Result<(), Violation> {
        let until = self.now.plus(ms);
        while self.queue.peek().is_some_and(|Reverse(next)| next.at <= until) {
            let Some(Reverse(next)) = self.queue.pop() else { break };
            self.now = next.at;
            self.happen(next.what)?;
            let observer = if self.pair.is_some() { Running::Yes } else { Running::No };
            self.checks.after_event(&self.world, observer, self.now)?;
        }
        self.now = until;
        Ok(())
    }

    fn push(&mut self, at: At, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Queued { at, order: self.order, what }));
    }

    fn happen(&mut self, what: Happening) -> Result<(), Violation> {
        match what {
            Happening::Input(life, input) => {
                if life == self.life {
                    self.feed(input)?;
                }
            }
            Happening::Fetch(order) => drop(self.world.begin_pass(&order, self.now)),
            Happening::Wake(life) => {
                if life == self.life && self.wake_at <= self.now {
                    self.feed(Input::Tick)?;
                }
            }
            Happening::Write(life, ticket, record) => self.write(life, ticket, record)?,
            Happening::Effect(life, ticket, order, fate) => {
                self.effect(life, ticket, order, fate)?;
            }
            Happening::Proof(life, ticket, proof) => {
                let answer = self.world.prove(&proof);
                let slow = matches!(answer, Answer::Unknown(_));
                let after = if slow { 500 } else { self.random.between(1, 5) };
                let input = Input::Looked(ticket, answer);
                self.push(self.now.plus(after), Happening::Input(life, input));
            }
            Happening::Answer(life, look, asked_at) => self.answer(life, look, asked_at),
            Happening::Client => self.client(),
            Happening::Check => self.check(),
            Happening::Pass => {
                self.world.pass(self.now);
                self.push(self.now.plus(PASS_MS), Happening::Pass);
            }
            Happening::Fault(fault) => self.fault(fault)?,
        }
        Ok(())
    }

    fn feed(&mut self, input: Input) -> Result<(), Violation> {
        let now = self.now;
        let Some(pair) = &mut self.pair else { return Ok(()) };
        pair.handle(input, now);
        self.drain()
    }

    /// Takes all work out and puts what comes of it on the queue.
    fn drain(&mut self) -> Result<(), Violation> {
        let life = self.life;
        while let Some(work) = self.pair.as_mut().and_then(Pair::take_work) {
            match work {
                Work::Look { look, .. } => {
                    let at = self.now.plus(self.random.between(1, 5));
                    self.push(at, Happening::Answer(life, look, self.now));
                }
                Work::Record { ticket, record } => {
                    let at = self.now.plus(self.chances.record_ms + self.random.between(1, 3));
                    self.push(at, Happening::Write(life, ticket, record));
                }
                Work::Perform { ticket, order } => self.dispatch(life, ticket, order)?,
                Work::Prove { ticket, proof, .. } => {
                    let at = self.now.plus(self.random.between(1, 5));
                    self.push(at, Happening::Proof(life, ticket, proof));
                }
                Work::Pass(order) => {
                    self.checks.on_pass(&order, &self.journal, self.now)?;
                    let most = 40 + 60 * self.chances.delay;
                    let at = self.now.plus(self.random.between(2, most));
                    self.push(at, Happening::Fetch(order));
                }
                Work::Tell(event) => self.events.push(*event),
            }
        }
        if let Some(pair) = &self.pair {
            let wake = pair.wakes_at(self.now).max(self.now.plus(1));
            if wake != self.wake_at {
                self.wake_at = wake;
                self.push(wake, Happening::Wake(life));
            }
        }
        Ok(())
    }

    fn answer(&mut self, life: u64, look: Look, asked_at: At) {
        if life != self.life {
            return;
        }
        let timeout = self.world.spec.policy.timeout_ms;
        let (at, seen) = match self.world.see(&look, self.now) {
            Some(seen) => {
                if let (Look::Machine(host), Ok(Seen::Machine(_))) = (&look, &seen) {
                    self.world.renew_lease(host, self.now);
                }
                (self.now, seen)
            }
            None => (asked_at.plus(timeout), Err(Silent::Timeout)),
        };
        let sighting = Box::new(Sighting { look, asked_at, at, seen });
        self.push(at.max(self.now), Happening::Input(life, Input::Sighted(sighting)));
    }

    fn write(&mut self, life: u64, ticket: Ticket, record: Record) -> Result<(), Violation> {
        // A write that was on its way when the observer died never reached the disk.
        if life != self.life {
            return Ok(());
        }
        if self.disk_full && self.reserved == 0 {
            return self.feed(Input::NotRecorded(ticket, "disk full".to_owned()));
        }
        self.reserved = self.reserved.saturating_sub(u32::from(self.disk_full));
        self.checks.on_record(&record, &self.world, &self.users, self.now)?;
        self.journal.push(record);
        if self.dies_at(Boundary::Record) {
            return Ok(());
        }
        self.feed(Input::Recorded(ticket))
    }

    fn dispatch(&mut self, life: u64, ticket: Ticket, order: Order) -> Result<(), Violation> {
        self.checks.on_order(&order, &self.journal)?;
        let Chances { lose, delay, repeat, refuse, .. } = self.chances;
        let roll = self.random.below(100);
        let soon = self.random.between(2, 40);
        let (after, fate) = if roll < lose {
            (soon, Fate::Lost)
        } else if roll < lose + delay {
            (self.random.between(200, 3_000), Fate::Lost)
        } else if roll < lose + delay + repeat {
            (soon, Fate::Twice)
        } else if roll < lose + delay + repeat + refuse {
            (soon, Fate::Refused)
        } else {
            (soon, Fate::Replies)
        };
        self.push(self.now.plus(after), Happening::Effect(life, ticket, order, fate));
        Ok(())
    }

    fn effect(
        &mut self,
        life: u64,
        ticket: Ticket,
        order: Order,
        fate: Fate,
    ) -> Result<(), Violation> {
        let reply = if fate == Fate::Refused {
            Some(Reply::Refused("a fault refuses it".to_owned()))
        } else {
            self.checks.before_effect(&order, &self.world, self.now)?;
            let done = self.world.perform(&order.effect, order.epoch.0, self.now);
            if fate == Fate::Twice {
                self.world.perform(&order.effect, order.epoch.0, self.now);
            }
            if life != self.life {
                self.world.note_late(&order.effect);
            }
            done
        };
        if self.dies_at(Boundary::Effect) {
            return Ok(());
        }
        let reply = if fate == Fate::Lost { None } else { reply };
        let (after, reply) = match reply {
            Some(reply) => (self.random.between(1, 5), reply),
            None => (500, Reply::NoReply),
        };
        self.push(self.now.plus(after), Happening::Input(life, Input::Replied(ticket, reply)));
        Ok(())
    }

    /// Counts a boundary passed; true if the observer dies at it.
    fn dies_at(&mut self, boundary: Boundary) -> bool {
        let Some((at, left)) = &mut self.dies_after else { return false };
        if *at != boundary {
            return false;
        }
        *left = left.saturating_sub(1);
        if *left > 0 {
            return false;
        }
        self.dies_after = None;
        self.kill_observer();
        true
    }

    fn kill_observer(&mut self) {
        self.pair = None;
        self.life += 1;
        self.checks.observer_died(&self.world);
    }

    fn start_observer(&mut self) {
        if self.pair.is_some() {
            return;
        }
        self.checks.something_happened();
        self.life += 1;
        let mut pair = Pair::new(self.world.spec.clone(), &self.journal, self.now);
        // The daemon keeps the master's position on disk; here it is read off the last one told.
        if let Some((host, at, lsn)) = self.checks.last_position() {
            pair.note_position(host, at, lsn);
        }
        self.pair = Some(pair);
        let life = self.life;
        self.push(self.now, Happening::Input(life, Input::Tick));
    }

    fn client(&mut self) {
        self.push(self.now.plus(CLIENT_MS), Happening::Client);
        self.world.work_in_sessions();
        let spec = &self.world.spec;
        let through =
            spec.proxies.iter().flat_map(|proxy| spec.hosts.iter().map(move |host| (proxy, host)));
        let served = through
            .filter(|(proxy, host)| {
                self.world.proxies[*proxy].routes_to(host)
                    && self.world.users_can_write(proxy, host)
            })
            .map(|(_, host)| host.clone())
            .next();
        let Some(host) = served else {
            self.users.unserved += 1;
            return;
        };
        if self.world.commits_wait(&host) {
            // Its row is written, and nobody is told that it is safe.
            self.users.unserved += 1;
            return;
        }
        let row = self.users.next_row;
        self.users.next_row += 1;
        self.world.machine_mut(&host).database.rows.push(row);
        self.world.make_file(&host, row);
        if self.world.machine(&host).database.waits_for.is_some() {
            self.world.replicate_now(self.now);
        }
        if let Some(last) = self.users.last_served {
            let gap = self.now.since(last);
            self.users.longest_gap_ms = self.users.longest_gap_ms.max(gap);
            if gap > 2 * CLIENT_MS {
                self.users.serving_since = Some(self.now);
            }
        }
        self.users.serving_since.get_or_insert(self.now);
        self.users.last_served = Some(self.now);
        let lsn = self.world.machine(&host).database.lsn();
        if self.pair.is_some() {
            self.checks.note_position(host.clone(), self.now, lsn);
        }
        self.users.acknowledged.push((self.now, row, host));
    }

    fn check(&mut self) {
        self.push(self.now.plus(CHECK_MS), Happening::Check);
        for proxy in self.world.spec.proxies.clone() {
            for host in self.world.spec.hosts.clone() {
                let passed = self.world.check_passes(&proxy, &host);
                self.world.proxy_mut(&proxy).checked(&host, passed);
            }
        }
    }

    fn order_now(&mut self, order: OperatorOrder) -> Result<(), Violation> {
        let now = self.now;
        if let Some(pair) = &mut self.pair {
            // A refusal is told as an event, which scenarios look for.
            let _ = pair.order(order, now);
        }
        self.drain()
    }

    fn fault(&mut self, fault: Fault) -> Result<(), Violation> {
        let by = "ops".to_owned();
        match fault {
            Fault::KillObserver => self.kill_observer(),
            Fault::StartObserver => self.start_observer(),
            Fault::StopObserver => self.feed(Input::Stop)?,
            Fault::KillObserverAfterRecords(n) => self.dies_after = Some((Boundary::Record, n)),
            Fault::KillObserverAfterEffects(n) => self.dies_after = Some((Boundary::Effect, n)),
            Fault::SlowObserverDisk(ms) => self.chances.record_ms = ms,
            Fault::FillObserverDisk => {
                self.disk_full = true;
                self.reserved = RESERVED;
                self.feed(Input::JournalTested(Err("disk full".to_owned())))?;
            }
            Fault::FreeObserverDisk => {
                self.disk_full = false;
                self.feed(Input::JournalTested(Ok(())))?;
            }
            Fault::LoseReplies(percent) => self.chances.lose = percent,
            Fault::DelayEffects(percent) => self.chances.delay = percent,
            Fault::RepeatEffects(percent) => self.chances.repeat = percent,
            Fault::RefuseEffects(percent) => self.chances.refuse = percent,
            Fault::OrderFailover => {
                let accept_loss = None;
                self.order_now(OperatorOrder::FailOver { ordered: ordered(by), accept_loss })?;
            }
            Fault::OrderFailoverAcceptingLoss => {
                let accept_loss = Some("the machine is gone".to_owned());
                self.order_now(OperatorOrder::FailOver { ordered: ordered(by), accept_loss })?;
            }
            Fault::OrderSwitchover => self.order_now(OperatorOrder::SwitchOver(ordered(by)))?,
            Fault::OrderRejoin => self.order_now(OperatorOrder::Rejoin(ordered(by)))?,
            Fault::OrderRepair => self.order_now(OperatorOrder::Repair(ordered(by)))?,
            Fault::Abort => self.order_now(OperatorOrder::Abort { by })?,
            Fault::SkipStep => {
                let reason = "the machine is gone".to_owned();
                self.order_now(OperatorOrder::SkipStep { by, reason })?;
            }
            Fault::GiveUpHeir(host) => {
                let reason = "the machine burnt".to_owned();
                self.order_now(OperatorOrder::GiveUpHeir { by, host, reason })?;
            }
            Fault::Pause => {
                let reason = "maintenance".to_owned();
                self.order_now(OperatorOrder::Pause(PauseOrder { by, reason, until: None }))?;
            }
            Fault::Maintain(host, for_ms) => self.maintain(host, for_ms, Keeper::Person)?,
            Fault::Drain(..) | Fault::Undrain(_) | Fault::Forget(_) => self.order_drain(fault)?,
            Fault::Upgrade(carry) => self.upgrade(carry)?,
            Fault::EndMaintenance(host) => self.end_maintenance(host)?,
            Fault::StartStoppedMaster => self.start_stopped_master(),
            Fault::OrderFailoverIfUnserved => {
                if self.world.writable_hosts().is_empty() {
                    self.fault(Fault::OrderFailoverAcceptingLoss)?;
                }
            }
            Fault::Resume => self.order_now(OperatorOrder::Resume { by })?,
            Fault::Acknowledge => self.order_now(OperatorOrder::Acknowledge { by })?,
            other => {
                self.checks.something_happened();
                let alarming = self.world.harm(other, self.now);
                if alarming {
                    let life = self.life;
                    self.push(self.now.plus(1), Happening::Input(life, Input::Alarm));
                }
            }
        }
        Ok(())
    }

    fn start_stopped_master(&mut self) {
        let now = self.now;
        let master = self.pair.as_ref().and_then(|pair| pair.memory().master.clone());
        if let Some(master) = master {
            self.world.start_by_hand(&master, now);
        }
    }

    /// What an order given now would do, as the dry run prints it.
    pub fn dry_run(&self, wish: Wish) -> Option<DryRun> {
        self.pair.as_ref()?.dry_run(wish, self.now).ok()
    }
}
