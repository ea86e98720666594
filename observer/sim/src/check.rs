//! The checkers: the safety rules as functions named as sentences, run after every event.
//!
//! They look at the world itself and at the journal, never at what the observer believes.

use std::collections::{BTreeMap, BTreeSet};

use observer_core::drive::Order;
use observer_core::facts::Asker;
use observer_core::files::PassOrder;
use observer_core::journal::{Mark, Memory, Outcome, Record, Turn};
use observer_core::plan::{Effect, Goal, Plan, Promise};
use observer_core::policy::FenceGrade;
use observer_core::words::{At, Epoch, HostName, Lsn, PlanId};

use crate::machine::{Postmaster, Power, Running};
use crate::monitor::balancers_send_users_to_the_master;
use crate::proxy::Proxy;
use crate::run::Users;
use crate::world::World;

/// Served so shortly before a failover was opened that the master cannot have been dead, in
/// milliseconds: shorter than the quickest confirmation of a definite death.
const SERVED_LATELY_MS: u64 = 60;

/// What may lie between two renewals by the observer: a round, and a look that is lost.
const RENEWAL_MS: u64 = 2_500;

/// How long a host may be back before a start that was ordered meanwhile must not come through, in
/// milliseconds: such a start may wait for its own host for its deadline, and a look is a second.
const NOTICED_MS: u64 = 11_000;

/// A broken safety rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("safety rule {rule} broken at {at:?}: {what}")]
pub struct Violation {
    /// Number of the rule in the design's list.
    pub rule: u8,
    /// When.
    pub at: At,
    /// What was seen.
    pub what: String,
}

/// What the checkers remember.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    open: Option<Plan>,
    /// Whether the open plan's old master has had no power at some moment of it.
    lost_power: bool,
    paused: bool,
    /// True until the open plan orders something: its opening may be long on its way to a slow
    /// disk, and is taken back then.
    unbegun: bool,
    /// True once a step of the open plan was passed without its proof, which was told.
    left_out: bool,
    /// True once a person has given up the host that the open plan promotes.
    heir_given_up: bool,
    /// The host that served users when the observer died with no plan open, until something else
    /// happens to the world.
    boring: Option<HostName>,
    position: Option<(HostName, At, Lsn)>,
    /// When each host was last within reach of the observer, another host or a proxy.
    reached: BTreeMap<HostName, At>,
    leases_seen: usize,
    /// Since when the observer could have had each host do something.
    in_hand: BTreeMap<HostName, At>,
    /// Hosts whose database was on its way up, or up, after the last event.
    runs: BTreeSet<HostName>,
}

type Checked = Result<(), Violation>;

fn broken(rule: u8, at: At, what: String) -> Checked {
    Err(Violation { rule, at, what })
}

impl Checks {
    /// Looks at the world after any event; `observer` says whether the observer lives.
    pub fn after_event(&mut self, world: &World, observer: Running, now: At) -> Checked {
        self.note_power(world);
        self.note_hands(world, observer, now);
        self.a_lease_ends_in_silence_only(world, observer, now)?;
        self.no_second_master_starts_beside_one(world, now)?;
        no_pass_writes_into_a_master(world, now)?;
        users_can_write_to_one_host_at_most(world, now)?;
        losing_the_observer_is_boring(self.boring.as_ref(), world, now)?;
        each_epoch_promotes_one_host(world, now)
    }

    /// Looks at a record that has just become durable.
    pub fn on_record(&mut self, record: &Record, world: &World, users: &Users, now: At) -> Checked {
        match record {
            Record::PlanOpened { plan, .. } => {
                if let Some(open) = &self.open {
                    let what = format!("plan {} opened over open plan {}", plan.id, open.id);
                    return broken(12, now, what);
                }
                if self.paused {
                    return broken(9, now, format!("plan {} opened while paused", plan.id));
                }
                self.unbegun = true;
                self.open = Some((**plan).clone());
                self.left_out = false;
                self.heir_given_up = false;
                self.lost_power = false;
                self.note_power(world);
            }
            Record::TurnedBack { turn: Turn::HeirLost, .. } => self.heir_given_up = true,
            Record::PlanClosed { outcome, plan, .. } => {
                let Some(open) = self.open.take() else {
                    return broken(12, now, format!("plan {plan} closed and was not open"));
                };
                if *outcome == Outcome::Done {
                    what_was_promised_is_kept(&open, world, users, now)?;
                }
                if !self.left_out {
                    no_client_waits_for_a_plan_that_is_over(&open, world, now)?;
                }
                if let Outcome::Undone { .. } = outcome {
                    let given_up = self.heir_given_up;
                    an_undone_plan_leaves_the_pair_as_it_was(&open, given_up, world, now)?;
                }
            }
            Record::ProtectedAgain { .. } => {
                if let Some(open) = &self.open {
                    let what = format!("protected again, and plan {} is open", open.id);
                    return broken(12, now, what);
                }
            }
            Record::Step { mark: Mark::Ordered { .. }, .. } if self.unbegun => {
                self.unbegun = false;
                if let Some(open) = &self.open {
                    a_served_master_is_not_failed_over(open, world, users, now)?;
                }
            }
            Record::Step { mark: Mark::Skipped { .. }, .. } => self.left_out = true,
            Record::Paused { .. } => self.paused = true,
            Record::Resumed { .. } => self.paused = false,
            _ => {}
        }
        Ok(())
    }

    /// Looks at an effect that has just been ordered.
    pub fn on_order(&self, order: &Order, journal: &[Record]) -> Checked {
        let now = At::default();
        if self.paused {
            return broken(9, now, format!("{} ordered while paused", order.effect));
        }
        let mut newest = Epoch::default();
        let mut ordered = false;
        for record in journal {
            match record {
                Record::Adopted { epoch, .. } => newest = newest.max(*epoch),
                Record::PlanOpened { plan, .. } => newest = newest.max(plan.epoch),
                Record::Step { plan, step, way, mark: Mark::Ordered { .. }, .. } => {
                    let same: (PlanId, usize) = (order.plan, order.step);
                    ordered |= (*plan, *step) == same && *way == order.way;
                }
                _ => {}
            }
        }
        if !ordered {
            return broken(3, now, format!("{} ordered and not recorded", order.effect));
        }
        if order.epoch < newest {
            let what =
                format!("{} carries epoch {}, newest is {newest}", order.effect, order.epoch);
            return broken(3, now, what);
        }
        Ok(())
    }

    /// Rule 8: a pass that is ordered fetches from the host that the journal calls the master, to
    /// another, in the journal's epoch; and nothing is ordered in a pause or beside a plan.
    pub fn on_pass(&self, order: &PassOrder, journal: &[Record], now: At) -> Checked {
        let memory = Memory::replay(journal);
        let so = memory.master.as_ref() == Some(&order.source)
            && order.host != order.source
            && order.epoch == memory.epoch;
        if !so {
            let (host, source, epoch) = (&order.host, &order.source, order.epoch);
            return broken(8, now, format!("{host} fetches from {source} in epoch {epoch}"));
        }
        if self.paused || self.open.is_some() {
            return broken(9, now, "a pass was ordered in a pause or beside a plan".to_owned());
        }
        Ok(())
    }

    /// Looks at the world just before an effect is done.
    pub fn before_effect(&self, order: &Order, world: &World, now: At) -> Checked {
        balancers_send_users_to_the_master(&order.effect, world)?;
        if let Effect::StartService { host, service } = &order.effect {
            let in_hand = |other: &HostName| {
                let since = self.in_hand.get(other);
                since.is_some_and(|since| now.since(*since) >= NOTICED_MS)
            };
            world.a_singleton_is_not_started_twice(host, service, in_hand, now)?;
        }
        if let Effect::Appoint { host } = &order.effect
            && let Some(plan) = self.open.as_ref().filter(|plan| plan.id == order.plan)
        {
            an_appointment_is_proven(plan, host, world, now, self.lost_power)?;
        }
        if let Effect::Promote { host } = &order.effect {
            the_old_master_is_fenced_before_a_promotion(host, world, now)?;
            if let Some(plan) = self.open.as_ref().filter(|plan| plan.id == order.plan) {
                a_switchover_promotes_a_whole_slave(plan, world, now)?;
                a_switchover_leaves_no_file_behind(plan, world, now)?;
                if !self.lost_power {
                    an_old_master_loses_its_power_first(plan, world, now)?;
                }
            }
        }
        Ok(())
    }

    /// Rule 10: a lease stops a master only if the observer, the other hosts and the proxies have
    /// all been out of reach for its length, less what lies between two renewals.
    fn a_lease_ends_in_silence_only(
        &mut self,
        world: &World,
        observer: Running,
        now: At,
    ) -> Checked {
        for end in world.leases_ended.get(self.leases_seen..).into_iter().flatten() {
            let quiet_ms = now.since(self.reached.get(&end.host).copied().unwrap_or_default());
            let renewals_ms = (end.length_ms / 6).max(RENEWAL_MS);
            if quiet_ms + renewals_ms < end.length_ms {
                let what = format!("{} stopped itself {quiet_ms} ms after a contact", end.host);
                return broken(10, now, what);
            }
        }
        self.leases_seen = world.leases_ended.len();
        if world.machines.values().all(|machine| machine.lease.is_none()) {
            return Ok(());
        }
        for host in &world.spec.hosts {
            let seen =
                observer == Running::Yes && world.ssh_works(host) && !world.machine(host).garbled;
            if seen || world.others_answer(host) {
                self.reached.insert(host.clone(), now);
            }
        }
        Ok(())
    }

    /// Rule 1: with the guard in place no database starts as a second master beside one that it
    /// can ask.
    fn no_second_master_starts_beside_one(&mut self, world: &World, now: At) -> Checked {
        if world.guarded == Running::No {
            return Ok(());
        }
        let up = |host: &&HostName| {
            let postmaster = world.machine(host).database.postmaster;
            matches!(postmaster, Postmaster::Running | Postmaster::Starting(_) | Postmaster::Hung)
        };
        let before = std::mem::take(&mut self.runs);
        self.runs = world.spec.hosts.iter().filter(up).cloned().collect();
        let is_master = |host: &HostName| {
            let database = &world.machine(host).database;
            database.postmaster == Postmaster::Running && !database.in_recovery
        };
        for host in self.runs.iter().filter(|host| !before.contains(*host)) {
            let asks = |other: &&HostName| world.network.passes(host.as_str(), other.as_str());
            let second = world.spec.others(host).filter(asks).find(|other| is_master(other));
            if let Some(first) = second.filter(|_| !world.machine(host).database.in_recovery) {
                return broken(1, now, format!("{host} starts as master beside {first}"));
            }
        }
        Ok(())
    }

    fn note_hands(&mut self, world: &World, observer: Running, now: At) {
        for host in &world.spec.hosts {
            let works = world.ssh_works(host) && !world.machine(host).garbled;
            if observer == Running::Yes && works {
                self.in_hand.entry(host.clone()).or_insert(now);
            } else {
                self.in_hand.remove(host);
            }
        }
    }

    /// Somebody may switch it on again between the proof and the promotion, so what counts is that
    /// it was off.
    fn note_power(&mut self, world: &World) {
        let is_off = |plan: &Plan| world.machine(&plan.master).power == Power::Off;
        self.lost_power |= self.open.as_ref().is_some_and(is_off);
    }

    /// Takes note that the observer died.
    pub fn observer_died(&mut self, world: &World) {
        self.boring = match &self.open {
            None => world.writable_hosts().pop(),
            Some(_) => None,
        };
    }

    /// Takes note that the observer lives again, or that something else happened to the world.
    pub fn something_happened(&mut self) {
        self.boring = None;
    }

    /// Takes note of what the daemon would have kept on disk.
    pub fn note_position(&mut self, host: HostName, at: At, lsn: Lsn) {
        self.position = Some((host, at, lsn));
    }

    /// The last position noted.
    pub fn last_position(&self) -> Option<(HostName, At, Lsn)> {
        self.position.clone()
    }
}

/// Rule 1: never two hosts that users can write to through any managed proxy, at any instant.
fn users_can_write_to_one_host_at_most(world: &World, now: At) -> Checked {
    let writable = world.writable_hosts();
    // Where the database is external it is the one place that is written to.
    if writable.len() > 1 && !world.spec.has_external_database() {
        return broken(1, now, format!("users can write to {writable:?}"));
    }
    Ok(())
}

/// Rules 3 and 12: one epoch means one change of master.
fn each_epoch_promotes_one_host(world: &World, now: At) -> Checked {
    let first_two = world.promotions.iter().enumerate().find(|(index, (epoch, host))| {
        world.promotions[..*index].iter().any(|(other, before)| other == epoch && before != host)
    });
    match first_two {
        Some((_, (epoch, host))) => {
            broken(3, now, format!("epoch {epoch} promoted a second host, {host}"))
        }
        None => Ok(()),
    }
}

/// Rule 2: at the moment of a promotion no proxy lets users in to another host that takes writes.
///
/// The plan proves more, that no proxy lets them in at all; but a HAProxy that is restarted between
/// that proof and the promotion has gone back to its file, and what counts is who can write.
fn the_old_master_is_fenced_before_a_promotion(heir: &HostName, world: &World, now: At) -> Checked {
    for host in world.spec.others(heir) {
        for name in world.proxies.keys() {
            if world.users_can_write(name, host) {
                let what = format!("{heir} promoted while {name} lets users in to {host}");
                return broken(2, now, what);
            }
        }
    }
    // What the application does on any host, it does in the old master's database until then.
    let again = !world.machine(heir).database.in_recovery;
    if !again && world.proxies.values().any(Proxy::shares_with_anybody) {
        let what = format!("{heir} promoted while users go on where they may go to every host");
        return broken(2, now, what);
    }
    Ok(())
}

/// Rules 1, 2 and 5 at the pivot of a pair whose database is external.
fn an_appointment_is_proven(
    plan: &Plan,
    heir: &HostName,
    world: &World,
    now: At,
    lost_power: bool,
) -> Checked {
    if world.promotions.iter().any(|(epoch, host)| *epoch == plan.epoch.0 && host == heir) {
        return Ok(());
    }
    let old = world.machine(&plan.master);
    if plan.goal == Goal::FailOver {
        for name in world.proxies.keys() {
            if world.users_can_write(name, &plan.master) {
                return broken(
                    2,
                    now,
                    format!("{heir} appointed while {name} lets users in to {}", plan.master),
                );
            }
        }
    }
    let runs = world.spec.singletons().any(|one| old.runs(&one.name)) && old.power == Power::On;
    let graded = plan.goal == Goal::SwitchOver || world.spec.policy.fence != FenceGrade::ProxiedOff;
    if runs
        && graded
        && !world.started_by_hand.contains(&plan.master)
        && !(lost_power && plan.goal == Goal::FailOver)
    {
        return broken(2, now, format!("{heir} appointed while singletons run on {}", plan.master));
    }
    if plan.goal == Goal::FailOver
        && world.spec.policy.fence == FenceGrade::PoweredOff
        && !lost_power
    {
        return broken(2, now, format!("{heir} appointed while {} has power", plan.master));
    }
    // Where users work on every host nobody holds them, and such files are not theirs to write.
    if plan.goal == Goal::SwitchOver && world.spec.sharing.is_empty() {
        let missing = old.files.there.difference(&world.machine(heir).files.there).count();
        if missing > 0 {
            return broken(5, now, format!("{heir} appointed without {missing} files"));
        }
    }
    Ok(())
}

/// Rule 2: with the grade *powered-off* a failover promotes nobody before the old master is off.
fn an_old_master_loses_its_power_first(plan: &Plan, world: &World, now: At) -> Checked {
    let asked = world.spec.policy.fence == FenceGrade::PoweredOff;
    let again = !world.machine(&plan.next_master).database.in_recovery;
    if asked && plan.goal == Goal::FailOver && !again {
        let what = format!("{} promoted while {} has power", plan.next_master, plan.master);
        return broken(2, now, what);
    }
    Ok(())
}

/// Rule 5: a switchover promotes a slave that holds every row of a master shut down in order.
fn a_switchover_promotes_a_whole_slave(plan: &Plan, world: &World, now: At) -> Checked {
    let (heir, master) = (world.machine(&plan.next_master), world.machine(&plan.master));
    let again = !heir.database.in_recovery;
    if plan.goal != Goal::SwitchOver || again {
        return Ok(());
    }
    if master.database.rows != heir.database.rows {
        let (held, all) = (heir.database.rows.len(), master.database.rows.len());
        return broken(5, now, format!("{} promoted with {held} of {all} rows", plan.next_master));
    }
    Ok(())
}

/// Rule 5: a switchover promotes a slave that has every file of the master.
fn a_switchover_leaves_no_file_behind(plan: &Plan, world: &World, now: At) -> Checked {
    let (heir, master) = (world.machine(&plan.next_master), world.machine(&plan.master));
    if plan.goal != Goal::SwitchOver || !heir.database.in_recovery {
        return Ok(());
    }
    let missing = master.files.there.difference(&heir.files.there).count();
    if missing > 0 {
        return broken(5, now, format!("{} promoted without {missing} files", plan.next_master));
    }
    Ok(())
}

/// Rule 8: no pass goes on on a host that takes writes, but where people promoted it by hand.
fn no_pass_writes_into_a_master(world: &World, now: At) -> Checked {
    let writes = |host: &&HostName| {
        let machine = world.machine(host);
        machine.files.pass.is_some()
            && !machine.is_standby()
            && !world.promoted_by_hand.contains(host)
    };
    match world.spec.hosts.iter().find(writes) {
        Some(host) => broken(8, now, format!("a pass writes into {host}, which is a master")),
        None => Ok(()),
    }
}

/// Rule 5: where commits had to wait for the slave, a failover loses no acknowledged row.
fn what_was_promised_is_kept(plan: &Plan, world: &World, users: &Users, now: At) -> Checked {
    if plan.goal != Goal::FailOver || plan.promise != Promise::OnBoth {
        return Ok(());
    }
    let held = &world.machine(&plan.next_master).database.rows;
    let known = |at: &At, row: &u64| *at <= plan.trouble_since && !held.contains(row);
    // Rows of before the promise, lost by an earlier failover, are not this plan's.
    let since = users.acknowledged.iter().rev().take(200);
    match since.filter(|(_, _, host)| *host == plan.master).find(|(at, row, _)| known(at, row)) {
        Some((_, row, host)) => {
            broken(5, now, format!("row {row} was acknowledged on {host}, on both, and is lost"))
        }
        None => Ok(()),
    }
}

/// Rule 4: a failover that nobody ordered does not begin while users are served.
fn a_served_master_is_not_failed_over(
    plan: &Plan,
    world: &World,
    users: &Users,
    now: At,
) -> Checked {
    let by_itself = plan.goal.changes_master() && plan.asker == Asker::Observer;
    let served = users.last_served().is_some_and(|at| now.since(at) <= SERVED_LATELY_MS);
    // A look that was asked before the master woke may still end in silence after it.
    let seeable_ms = world.spec.policy.timeout_ms + SERVED_LATELY_MS;
    let served = served && users.serving_since().is_some_and(|at| now.since(at) > seeable_ms);
    // One that falls whenever it needs more log is moved in order, between two falls.
    let failing = world.machine(&plan.master).database.disk.is_used_up();
    let served = served && !(plan.goal == Goal::SwitchOver && failing);
    let still = world.writable_hosts().contains(&plan.master);
    if by_itself && served && still {
        return broken(4, now, format!("{} was serving users when it was given up", plan.master));
    }
    Ok(())
}

/// Rule 10: with the observer dead and nothing else happening, users are served as before.
fn losing_the_observer_is_boring(host: Option<&HostName>, world: &World, now: At) -> Checked {
    match host {
        Some(host) if !world.writable_hosts().contains(host) => {
            broken(10, now, format!("{host} stopped serving because the observer died"))
        }
        _ => Ok(()),
    }
}

/// Rule 6: a plan taken back leaves the proxies as they were.
fn an_undone_plan_leaves_the_pair_as_it_was(
    plan: &Plan,
    heir_given_up: bool,
    world: &World,
    now: At,
) -> Checked {
    if !plan.goal.changes_master() {
        return Ok(());
    }
    for name in world.proxies.keys() {
        // A person's edit may have let it in, too: what counts is that nobody can write there,
        // unless people themselves have made it so.
        let by_hand = world.promoted_by_hand.contains(&plan.next_master)
            || world.spec.has_external_database();
        if !by_hand && world.users_can_write(name, &plan.next_master) {
            let what = format!("undone, and {name} lets users in to {}", plan.next_master);
            return broken(6, now, what);
        }
    }
    // Whoever gives it up says that nobody can know; that no user gets there is checked above.
    let promoted = world.promotions.iter().any(|(epoch, _)| *epoch == plan.epoch.0);
    if promoted && !heir_given_up {
        return broken(6, now, "undone, and the slave was promoted".to_owned());
    }
    Ok(())
}

/// Rule 6: a plan that is over, done or undone, leaves no PgBouncer as it had paused it, unless it
/// told that it could not do what it should.
fn no_client_waits_for_a_plan_that_is_over(plan: &Plan, world: &World, now: At) -> Checked {
    let mut paused = world.paused_by_plan().filter(|bouncer| {
        let pause = Effect::PauseBouncer { bouncer: (*bouncer).clone() };
        plan.steps.iter().any(|step| step.effect == pause)
    });
    match paused.next() {
        Some(bouncer) => broken(6, now, format!("the plan is over, and {bouncer} is paused")),
        None => Ok(()),
    }
}
