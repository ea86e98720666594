//! The scenario language: a paragraph of intent, what happens, what must and must never be true.
//!
//! ```text
//! # The master loses its power under load. The slave takes over, users wait a moment.
//! proxies 1
//! at 5s power-off node-a
//! run 20s
//! must master node-b
//! must rule F1
//! must gap <= 3s
//! never promoted node-a
//! ```
//!
//! Rules of the world (one writer, proof before promote, …) need not be written: every scenario is
//! checked against all of them after every event.

mod faults;
mod settings;

use observer_core::event::{Event, EventKind};
use observer_core::journal::Way;
use observer_core::policy::Placement;
use observer_core::sighting::Says;
use observer_core::words::{BouncerName, HostName, ProxyName};

use self::faults::{of_a_machine, of_a_service, of_files};
use self::settings::apply_setting;
use crate::fault::{Carry, Fault};
use crate::machine::Power;
use crate::run::{Run, Setup};

/// A scenario, parsed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The paragraph on top.
    pub intent: String,
    lines: Vec<(usize, Line)>,
    proxies: usize,
    bouncers: usize,
    settings: Vec<String>,
}

#[derive(Clone, Debug)]
enum Line {
    At(u64, Fault),
    Run(u64),
    /// The observer's machine is put back to where its journal had so many records.
    Restore(usize),
    Must(Demand),
    Never(Demand),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Demand {
    Master(HostName),
    ServedBy(HostName),
    Unserved,
    Protected,
    Unprotected(String),
    Rule(String),
    Event(String, String),
    Promoted(HostName),
    GapAtMost(u64),
    LostAtMost(u64),
    NoOpenPlan,
    Plans(usize),
    Streams(HostName),
    Kept(HostName),
    Slot(HostName, HostName),
    Leased(HostName),
    /// Each singleton runs on that host and nowhere else.
    SingletonsOn(HostName),
    LeaseEnded(HostName),
    GuardRefused,
    SameFiles,
    KeptFiles(HostName),
    Licence(HostName, u64),
    PausedBouncer(BouncerName),
    BrokenAtMost(u64),
    PoweredOff(HostName),
    /// Two steps were proven, the first before the second.
    InOrder(String, String),
    /// The monitor file of this host says so.
    Monitor(HostName, Says),
    Shared(HostName, Says),
    /// What stands out is told with these words.
    Remarked(String),
}

/// Why a scenario failed, with its line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A line cannot be read.
    #[error("line {0}: cannot read `{1}`")]
    Syntax(usize, String),
    /// A demand is not met.
    #[error("line {line}: {what}\n{trace}")]
    Unmet {
        /// The line.
        line: usize,
        /// What was found.
        what: String,
        /// Every event of the run.
        trace: String,
    },
    /// A safety rule is broken.
    #[error("line {line}: {violation}\n{trace}")]
    Broken {
        /// The line that was running.
        line: usize,
        /// The rule.
        violation: crate::check::Violation,
        /// Every event of the run.
        trace: String,
    },
}

impl Scenario {
    /// Reads a scenario.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let (intent, lines, settings) = Default::default();
        let mut scenario = Self { intent, lines, proxies: 1, bouncers: 0, settings };
        for (index, raw) in text.lines().enumerate() {
            let number = index + 1;
            if let Some(said) = raw.strip_prefix('#') {
                scenario.intent.push_str(said.trim());
                scenario.intent.push(' ');
                continue;
            }
            let words: Vec<&str> = raw.split_whitespace().collect();
            if words.is_empty() {
                continue;
            }
            let bad = || ScenarioError::Syntax(number, raw.to_owned());
            match words[0] {
                "proxies" => scenario.proxies = number_at(&words, 1).ok_or_else(bad)? as usize,
                "bouncers" => scenario.bouncers = number_at(&words, 1).ok_or_else(bad)? as usize,
                "set" => scenario.settings.push(words[1..].join(" ")),
                _ => scenario.lines.push((number, line(&words).ok_or_else(bad)?)),
            }
        }
        Ok(scenario)
    }

    /// Plays it with this seed.
    pub fn play(&self, seed: u64) -> Result<Run, ScenarioError> {
        let mut setup = Setup::usual(seed, self.proxies).with_bouncers(self.bouncers);
        for setting in &self.settings {
            apply_setting(&mut setup, setting)
                .ok_or_else(|| ScenarioError::Syntax(0, setting.clone()))?;
        }
        let mut run = Run::new(setup);
        for (_, line) in &self.lines {
            if let Line::At(at, fault) = line {
                run.schedule(*at, fault.clone());
            }
        }
        for (number, line) in &self.lines {
            match line {
                Line::At(..) => {}
                Line::Restore(records) => run.restore_journal(*records),
                Line::Run(ms) => run.advance(*ms).map_err(|violation| ScenarioError::Broken {
                    line: *number,
                    violation,
                    trace: trace(&run),
                })?,
                Line::Must(demand) => check(&run, demand, true, *number)?,
                Line::Never(demand) => check(&run, demand, false, *number)?,
            }
        }
        Ok(run)
    }
}

/// Every event of a run, one per line, as a person reads them.
pub fn trace(run: &Run) -> String {
    let lines = run.events.iter().map(|event| {
        let at = event.at.since(crate::run::START);
        format!("  {:>7.3}s {}", at as f64 / 1_000.0, event.kind.text())
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn check(run: &Run, demand: &Demand, wanted: bool, line: usize) -> Result<(), ScenarioError> {
    let (holds, found) = evaluate(run, demand);
    if holds == wanted {
        return Ok(());
    }
    let word = if wanted { "must" } else { "never" };
    let what = format!("{word} {demand:?}; found {found}");
    Err(ScenarioError::Unmet { line, what, trace: trace(run) })
}

fn evaluate(run: &Run, demand: &Demand) -> (bool, String) {
    let text = |event: &Event| event.kind.text();
    match demand {
        Demand::Master(host) => {
            let master = run.pair().and_then(|pair| pair.memory().master.clone());
            (master.as_ref() == Some(host), format!("{master:?}"))
        }
        Demand::ServedBy(host) => {
            let writable = run.world.writable_hosts();
            (writable == [host.clone()], format!("{writable:?}"))
        }
        Demand::Unserved => {
            let writable = run.world.writable_hosts();
            (writable.is_empty(), format!("{writable:?}"))
        }
        Demand::Protected => {
            let word = run.pair().map(|pair| pair.protection());
            (word.as_ref().is_some_and(|word| word.protected), format!("{word:?}"))
        }
        Demand::Unprotected(cause) => {
            let word = run.pair().map(|pair| pair.protection());
            let so = |word: &observer_core::pair::Protection| {
                !word.protected && word.cause.name() == cause
            };
            (word.as_ref().is_some_and(so), format!("{word:?}"))
        }
        Demand::Rule(id) => {
            let met = run.events.iter().any(|event| event.kind.rule() == Some(id));
            (met, "no event names it".to_owned())
        }
        Demand::Event(name, part) => {
            let met = run
                .events
                .iter()
                .any(|event| event.kind.name() == name && text(event).contains(part.as_str()));
            (met, "no such event".to_owned())
        }
        Demand::Promoted(host) => {
            let times = run.world.promotions.iter().filter(|(_, h)| h == host).count();
            (times > 0, format!("{times} promotions"))
        }
        Demand::GapAtMost(ms) => {
            let gap = run.users.longest_gap_ms();
            (gap <= *ms, format!("{gap} ms"))
        }
        Demand::LostAtMost(rows) => {
            let lost = lost_rows(run);
            (lost <= *rows, format!("{lost} rows lost"))
        }
        Demand::NoOpenPlan => {
            let open = run.pair().is_some_and(|pair| pair.memory().open.is_some());
            (!open, "a plan is open".to_owned())
        }
        Demand::Plans(count) => {
            let opened =
                run.events.iter().filter(|event| event.kind.name() == "plan-opened").count();
            (opened == *count, format!("{opened} plans"))
        }
        Demand::InOrder(..) | Demand::Remarked(_) | Demand::Monitor(..) | Demand::Shared(..) => {
            evaluate_told(run, demand)
        }
        _ => evaluate_world(run, demand),
    }
}

/// Whether what it holds is what a primary has written, whatever it says of itself.
fn is_true_copy(run: &Run, host: &HostName) -> bool {
    let mut others = run.world.spec.others(host).map(|other| &run.world.machine(other).database);
    let rows = &run.world.machine(host).database.rows;
    others.any(|other| !other.in_recovery && other.rows.starts_with(rows))
}

/// What is demanded of what was told, to people and to balancers, and in which order.
fn evaluate_told(run: &Run, demand: &Demand) -> (bool, String) {
    match demand {
        Demand::InOrder(first, second) => {
            let proven = |part: &str| {
                let is = |event: &Event| {
                    matches!(&event.kind,
                    EventKind::StepProven { name, way: Way::Forward, .. } if name == part)
                };
                run.events.iter().position(is)
            };
            let found = (proven(first), proven(second));
            (matches!(found, (Some(one), Some(other)) if one < other), format!("{found:?}"))
        }
        Demand::Remarked(part) => {
            let said = run.pair().and_then(|pair| pair.latest());
            let remarks = said.map(|(digest, _)| digest.remarks.clone()).unwrap_or_default();
            (remarks.iter().any(|said| said.contains(part.as_str())), format!("{remarks:?}"))
        }
        Demand::Monitor(host, says) => {
            let found = run.world.machine(host).monitor.says;
            (found == *says, found.to_string())
        }
        Demand::Shared(host, says) => {
            let mut proxies = run.world.spec.sharing.iter().map(|name| &run.world.proxies[name]);
            let so = proxies.clone().next().is_some()
                && proxies.all(|proxy| proxy.shares(host) == Some(*says));
            (so, "some proxy says otherwise".to_owned())
        }
        _ => (false, "not a demand of what was told".to_owned()),
    }
}

/// What is demanded of the machines' files.
fn evaluate_files(run: &Run, demand: &Demand) -> (bool, String) {
    match demand {
        Demand::SameFiles => {
            let sets = run.world.machines.values().map(|machine| &machine.files.there);
            let counts: Vec<usize> = sets.clone().map(std::collections::BTreeSet::len).collect();
            let same = sets.clone().zip(sets.skip(1)).all(|(one, next)| one == next);
            (same, format!("{counts:?} files"))
        }
        Demand::KeptFiles(host) => {
            let kept = run.world.machine(host).files.kept.len();
            (kept > 0, format!("{kept} files"))
        }
        Demand::Licence(host, version) => {
            let files = &run.world.machine(host).files;
            let has = !files.licence_gone && files.licence == *version;
            (has, format!("version {}, gone: {}", files.licence, files.licence_gone))
        }
        _ => (false, "not a demand of the machines".to_owned()),
    }
}

/// What is demanded of the machines themselves, whatever the observer believes.
fn evaluate_world(run: &Run, demand: &Demand) -> (bool, String) {
    match demand {
        Demand::Streams(host) => {
            let database = &run.world.machine(host).database;
            let holds = is_true_copy(run, host);
            let streams = database.heard_at.is_some() && holds;
            (streams, format!("{:?}, true copy: {holds}", database.postmaster))
        }
        Demand::Kept(host) => {
            let kept = run.world.machine(host).database.kept;
            (kept, "nothing was kept".to_owned())
        }
        Demand::PoweredOff(host) => {
            let power = run.world.machine(host).power;
            (power == Power::Off, format!("{power:?}"))
        }
        Demand::Slot(host, follower) => {
            let slots = &run.world.machine(host).database.slots;
            (slots.contains(follower), format!("{slots:?}"))
        }
        Demand::SingletonsOn(host) => {
            let services = run.world.spec.services.iter();
            let names: Vec<_> = services
                .filter(|service| service.placement == Placement::Master)
                .map(|service| &service.name)
                .collect();
            let runs: Vec<&HostName> = run
                .world
                .machines
                .iter()
                .filter(|(_, machine)| names.iter().any(|name| machine.runs(name)))
                .map(|(host, _)| host)
                .collect();
            (!names.is_empty() && runs == [host], format!("on {runs:?}"))
        }
        Demand::Leased(host) => {
            let lease = &run.world.machine(host).lease;
            (lease.is_some(), format!("{lease:?}"))
        }
        Demand::LeaseEnded(host) => {
            let ended = run.world.leases_ended.iter().any(|end| end.host == *host);
            (ended, format!("{:?}", run.world.leases_ended))
        }
        Demand::GuardRefused => {
            let refusals = run.world.guard_refusals;
            (refusals > 0, format!("{refusals} refusals"))
        }
        Demand::PausedBouncer(name) => {
            let paused = run.world.bouncers.get(name).and_then(|bouncer| bouncer.paused);
            (paused.is_some(), format!("{paused:?}"))
        }
        Demand::BrokenAtMost(times) => {
            let broken: u64 = run.world.bouncers.values().map(|bouncer| bouncer.broken).sum();
            (broken <= *times, format!("sessions broke {broken} times"))
        }
        _ => evaluate_files(run, demand),
    }
}

/// Acknowledged rows that the present master does not hold.
pub fn lost_rows(run: &Run) -> u64 {
    let Some(master) = run.world.writable_hosts().first().cloned() else { return 0 };
    let held: std::collections::BTreeSet<u64> =
        run.world.machine(&master).database.rows.iter().copied().collect();
    run.users.acknowledged.iter().filter(|(_, row, _)| !held.contains(row)).count() as u64
}

fn line(words: &[&str]) -> Option<Line> {
    match words[0] {
        "at" => Some(Line::At(duration(words.get(1)?)?, fault(&words[2..])?)),
        "run" => Some(Line::Run(duration(words.get(1)?)?)),
        "restore" => Some(Line::Restore(number_at(words, 1)? as usize)),
        "must" => Some(Line::Must(demand(&words[1..])?)),
        "never" => Some(Line::Never(demand(&words[1..])?)),
        _ => None,
    }
}

fn demand(words: &[&str]) -> Option<Demand> {
    let host = |index: usize| words.get(index).map(|name| HostName::new(name));
    Some(match *words.first()? {
        "master" => Demand::Master(host(1)?),
        "served-by" => Demand::ServedBy(host(1)?),
        "unserved" => Demand::Unserved,
        "protected" => Demand::Protected,
        "unprotected" => Demand::Unprotected((*words.get(1)?).to_owned()),
        "rule" => Demand::Rule((*words.get(1)?).to_owned()),
        "event" => Demand::Event((*words.get(1)?).to_owned(), words[2..].join(" ")),
        "promoted" => Demand::Promoted(host(1)?),
        "gap" => Demand::GapAtMost(duration(words.get(2)?)?),
        "lost" => Demand::LostAtMost(words.get(2)?.parse().ok()?),
        "streams" => Demand::Streams(host(1)?),
        "kept" => Demand::Kept(host(1)?),
        "slot" => Demand::Slot(host(1)?, host(2)?),
        "singletons-on" => Demand::SingletonsOn(host(1)?),
        "shared" => Demand::Shared(host(1)?, says(words.get(2)?)?),
        "monitor" => Demand::Monitor(host(1)?, says(words.get(2)?)?),
        "leased" => Demand::Leased(host(1)?),
        "lease-ended" => Demand::LeaseEnded(host(1)?),
        "guard-refused" => Demand::GuardRefused,
        "same-files" => Demand::SameFiles,
        "kept-files" => Demand::KeptFiles(host(1)?),
        "licence" => Demand::Licence(host(1)?, words.get(2)?.parse().ok()?),
        "paused" => Demand::PausedBouncer(BouncerName::new(words.get(1)?)),
        "broken-sessions" => Demand::BrokenAtMost(words.get(2)?.parse().ok()?),
        "powered-off" => Demand::PoweredOff(host(1)?),
        "remarked" => Demand::Remarked(words[1..].join(" ")),
        "in-order" => {
            let line = words[1..].join(" ");
            let (first, second) = line.split_once(" | ")?;
            Demand::InOrder(first.to_owned(), second.to_owned())
        }
        "no-open-plan" => Demand::NoOpenPlan,
        "plans" => Demand::Plans(words.get(1)?.parse().ok()?),
        _ => return None,
    })
}

fn fault(words: &[&str]) -> Option<Fault> {
    let host = || words.get(1).map(|name| HostName::new(name));
    let proxy = || words.get(1).map(|name| ProxyName::new(name));
    let node = |index: usize| words.get(index).map(|name| (*name).to_owned());
    Some(match *words.first()? {
        "power-off" => Fault::PowerOff(host()?),
        "crash-host" => Fault::CrashHost(host()?),
        "power-on" => Fault::PowerOn(host()?),
        "kill-database" => Fault::KillDatabase(host()?),
        "break-database" => Fault::BreakDatabase(host()?),
        "hang-database" => Fault::HangDatabase(host()?),
        "wake-database" => Fault::WakeDatabase(host()?),
        "stop-database" => Fault::StopDatabase(host()?),
        "start-database" => Fault::StartDatabase(host()?),
        "start-without-signal" => Fault::StartWithoutSignal(host()?),
        "restart-database" => Fault::RestartDatabase(host()?),
        "promote-by-hand" => Fault::PromoteByHand(host()?),
        "follow-by-hand" => Fault::FollowByHand(host()?, HostName::new(words.get(2)?)),
        "fill-disk" => Fault::FillDisk(host()?),
        "fail-disk" => Fault::FailDisk(host()?),
        "fill-log-disk" => Fault::FillLogDisk(host()?),
        "overload" => Fault::Overload(host()?),
        "relieve" => Fault::Relieve(host()?),
        "nearly-fill-disk" => Fault::NearlyFillDisk(host()?),
        "let-disk-fill" => Fault::LetDiskFill(host()?),
        "free-disk" => Fault::FreeDisk(host()?),
        "pause-replay" => Fault::PauseReplay(host()?),
        "stall-replication" => Fault::StallReplication(host()?),
        "resume-replication" => Fault::ResumeReplication(host()?),
        "kill-sshd" => Fault::KillSshd(host()?),
        "start-sshd" => Fault::StartSshd(host()?),
        "change-host-key" => Fault::ChangeHostKey(host()?),
        "garble" => Fault::Garble(host()?),
        "ungarble" => Fault::Ungarble(host()?),
        "cut" => Fault::Cut(node(1)?, node(2)?),
        "heal" => Fault::Heal(node(1)?, node(2)?),
        "isolate" => Fault::Isolate(node(1)?),
        "join" => Fault::Join(node(1)?),
        "heal-network" => Fault::HealNetwork,
        "stop-haproxy" => Fault::StopHaproxy(proxy()?),
        "start-haproxy" => Fault::StartHaproxy(proxy()?),
        "power-off-proxy" => Fault::PowerOffProxy(proxy()?),
        "power-on-proxy" => Fault::PowerOnProxy(proxy()?),
        "mend-database" => Fault::MendDatabase(host()?),
        "drop-slot" => Fault::DropSlot(host()?, HostName::new(words.get(2)?)),
        "lose-log" => Fault::LoseLog(host()?),
        "lock-out" => Fault::LockOut(host()?),
        "let-log-in" => Fault::LetLogIn(host()?),
        "refuse-promotion" => Fault::RefusePromotion(host()?),
        "ignore-promotion" => Fault::IgnorePromotion(host()?),
        "allow-promotion" => Fault::AllowPromotion(host()?),
        "refuse-to-stop" => Fault::RefuseToStop(host()?),
        "let-stop" => Fault::LetStop(host()?),
        "break-switch" => Fault::BreakSwitch(host()?),
        "deafen-switch" => Fault::DeafenSwitch(host()?),
        "slow-switch" => Fault::SlowSwitch(host()?),
        "mend-switch" => Fault::MendSwitch(host()?),
        "let-finish" => Fault::LetFinish(proxy()?),
        "never-finish" => Fault::NeverFinish(proxy()?),
        _ => {
            return of_a_service(words)
                .or_else(|| of_a_machine(words))
                .or_else(|| of_files(words))
                .or_else(|| of_a_proxys_table(words))
                .or_else(|| of_a_bouncer(words))
                .or_else(|| of_the_observer(words));
        }
    })
}

/// What people do to who is let in at a proxy.
fn of_a_proxys_table(words: &[&str]) -> Option<Fault> {
    let proxy = || words.get(1).map(|name| ProxyName::new(name));
    let host = || words.get(2).map(|name| HostName::new(name));
    Some(match *words.first()? {
        "edit-runtime" => Fault::EditRuntime(proxy()?, host()?),
        "take-out-shared" => Fault::TakeOutShared(proxy()?, host()?),
        "drain-at-proxy" => Fault::DrainAtProxy(proxy()?, host()?),
        "write-out-shared" => Fault::WriteOutShared(proxy()?, host()?),
        "take-out-by-hand" => Fault::TakeOutByHand(proxy()?, host()?),
        "edit-file" => Fault::EditFile(proxy()?, host()?),
        _ => return None,
    })
}

/// What happens to a PgBouncer.
fn of_a_bouncer(words: &[&str]) -> Option<Fault> {
    let bouncer = || words.get(1).map(|name| BouncerName::new(name));
    Some(match *words.first()? {
        "stop-bouncer" => Fault::StopBouncer(bouncer()?),
        "start-bouncer" => Fault::StartBouncer(bouncer()?),
        "power-off-bouncer" => Fault::PowerOffBouncer(bouncer()?),
        "power-on-bouncer" => Fault::PowerOnBouncer(bouncer()?),
        "pause-bouncer" => Fault::PauseBouncer(bouncer()?),
        "resume-bouncer" => Fault::ResumeBouncer(bouncer()?),
        "never-commit" => Fault::NeverCommit(bouncer()?),
        "let-commit" => Fault::LetCommit(bouncer()?),
        _ => return None,
    })
}

/// What happens to the observer, and what a person orders.
fn of_the_observer(words: &[&str]) -> Option<Fault> {
    let count = || number_at(words, 1);
    Some(match *words.first()? {
        "kill-observer" => Fault::KillObserver,
        "start-observer" => Fault::StartObserver,
        "stop-observer" => Fault::StopObserver,
        "kill-observer-after-records" => Fault::KillObserverAfterRecords(count()?),
        "kill-observer-after-effects" => Fault::KillObserverAfterEffects(count()?),
        "fill-observer-disk" => Fault::FillObserverDisk,
        "slow-observer-disk" => Fault::SlowObserverDisk(words.get(1).and_then(duration)?),
        "free-observer-disk" => Fault::FreeObserverDisk,
        "lose-replies" => Fault::LoseReplies(count()?),
        "delay-effects" => Fault::DelayEffects(count()?),
        "repeat-effects" => Fault::RepeatEffects(count()?),
        "refuse-effects" => Fault::RefuseEffects(count()?),
        "order-failover" => Fault::OrderFailover,
        "order-failover-accepting-loss" => Fault::OrderFailoverAcceptingLoss,
        "order-switchover" => Fault::OrderSwitchover,
        "order-rejoin" => Fault::OrderRejoin,
        "order-repair" => Fault::OrderRepair,
        "abort" => Fault::Abort,
        "skip-step" => Fault::SkipStep,
        "give-up-heir" => Fault::GiveUpHeir(HostName::new(words.get(1)?)),
        "maintain" => {
            Fault::Maintain(HostName::new(words.get(1)?), words.get(2).and_then(duration))
        }
        "drain" => Fault::Drain(HostName::new(words.get(1)?), words.get(2).and_then(duration)?),
        "forget" => Fault::Forget(HostName::new(words.get(1)?)),
        "undrain" => Fault::Undrain(HostName::new(words.get(1)?)),
        "end-maintenance" => Fault::EndMaintenance(HostName::new(words.get(1)?)),
        "upgrade" => Fault::Upgrade(Carry::Begin),
        "resume-upgrade" => Fault::Upgrade(Carry::GoOn),
        "kill-upgrade" => Fault::Upgrade(Carry::Kill),
        "fail-upgrade-command" => Fault::Upgrade(Carry::FailCommand(true)),
        "mend-upgrade-command" => Fault::Upgrade(Carry::FailCommand(false)),
        "pause" => Fault::Pause,
        "resume" => Fault::Resume,
        "acknowledge" => Fault::Acknowledge,
        _ => return None,
    })
}

fn says(word: &&str) -> Option<Says> {
    [Says::In, Says::Out].into_iter().find(|says| says.to_string() == **word)
}

fn number_at(words: &[&str], index: usize) -> Option<u64> {
    words.get(index)?.trim_end_matches('%').parse().ok()
}

fn duration(text: &&str) -> Option<u64> {
    if let Some(ms) = text.strip_suffix("ms") {
        return ms.parse().ok();
    }
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Some((seconds * 1_000.0) as u64)
}
