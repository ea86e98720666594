//! The daemon as a whole: starts the pairs, serves the API, minds signals and the watchdog.
//!
//! It judges nothing. Stopping never cuts a step in two: each pair finishes the step it is in, and
//! what is open stays in the journal to be continued by the next start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use observer_core::pair::Pair;
use observer_core::words::{At, PairName, PlanId};
use observer_world::access::{PairAccess, WorldError};
use observer_world::pair_world::PairWorld;
use observer_world::store::{StoreError, StoreHandle};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::clock::Clock;
use super::crash::CrashPoint;
use super::pair_task::{Control, Ended, PairHandle, Start, start};
use super::store::{Past, StoreArchive};
use super::{files, logging, service};
use crate::api::{self, Desk, PairLink};
use crate::config::{self, Config, DaemonConfig, Finding, Findings, Reach};

/// A pair whose task has not gone round for so long hangs: the watchdog is not fed any more.
const PULSE_LIMIT_MS: u64 = 20_000;
/// Pace of the daemon's own round, where the watchdog wants no faster one: the service manager's
/// one line is never older than this.
const ROUND: Duration = Duration::from_secs(1);
/// Pace of the clean-up of old measurements.
const CLEAN_EVERY: Duration = Duration::from_secs(3_600);

/// Why the daemon did not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The configuration is wrong.
    #[error("the configuration is not valid:\n{0}")]
    Config(Findings),
    /// A value of the configuration cannot be used.
    #[error("pair {pair}: {why}")]
    World {
        /// The pair.
        pair: PairName,
        /// What is wrong.
        why: WorldError,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store could not be read.
    #[error("the journal of pair {pair} cannot be used: {why}")]
    Past {
        /// The pair.
        pair: PairName,
        /// What is wrong.
        why: String,
    },
    /// The API's socket could not be opened.
    #[error(transparent)]
    Socket(#[from] api::ListenError),
    /// A variable for crash tests is set and cannot be read.
    #[error("{0}")]
    CrashPoint(String),
    /// The operating system refused something that every process may do.
    #[error("the operating system refuses: {0}")]
    System(#[from] std::io::Error),
}

/// How the daemon ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stopped {
    /// Plans left resumable.
    pub(crate) open_plans: Vec<(PairName, PlanId)>,
}

/// Runs the daemon on the configuration in `directory` until it is told to stop.
pub(crate) fn run(directory: &Path) -> Result<Stopped, RunError> {
    let config = config::load(directory, Reach::Files).map_err(RunError::Config)?;
    logging::start(&config.daemon.log);
    abort_on_panic();
    // What the daemon creates (state, socket) is nobody else's until it says so.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // All pairs' tasks share this thread; SSH, the API and the store have the others.
    let pairs = tokio::task::LocalSet::new();
    let whole = async { Daemon::start(directory, config).await?.serve().await };
    runtime.block_on(pairs.run_until(whole))
}

type Running = BTreeMap<PairName, PairHandle<PairWorld>>;

struct Daemon {
    directory: PathBuf,
    config: DaemonConfig,
    archive: StoreArchive,
    clock: Clock,
    crash: CrashPoint,
    desk: Arc<Desk>,
    running: Running,
}

impl Daemon {
    async fn start(directory: &Path, config: Config) -> Result<Self, RunError> {
        let Config { daemon: config, pairs, odd } = config;
        tell_odd(&odd);
        let crash = CrashPoint::read(|name| std::env::var(name).ok());
        let crash = crash.map_err(RunError::CrashPoint)?;
        let file = config.state_directory.join("observer.sqlite");
        let archive = StoreArchive::new(StoreHandle::open(&file).await?);
        let mut ready = Vec::new();
        let mut newest = At::default();
        for access in pairs {
            let past = read_past(&archive, &access).await?;
            newest = newest.max(past.newest);
            let world = connect(&access)?;
            ready.push((access, world, past));
        }
        let clock = Clock::start(newest);
        let desk = Arc::new(Desk::new(archive.clone(), clock));
        tokio::spawn(crate::api::files::finish_partial_changes(desk.clone()));
        let directory = directory.to_owned();
        let running = Running::new();
        let mut daemon = Self { directory, config, archive, clock, crash, desk, running };
        for (access, world, past) in ready {
            daemon.start_pair(access, world, past);
        }
        daemon.serve_pairs();
        Ok(daemon)
    }

    fn start_pair(&mut self, access: PairAccess, world: PairWorld, past: Past) {
        let name = access.spec.name.clone();
        files::keep_written(&name, &world, &self.archive, self.clock);
        let mut pair = Pair::new(access.spec, &past.records, self.clock.now());
        if let Some(mark) = past.watermark {
            pair.note_position(mark.host, mark.at, mark.lsn);
        }
        pair.note_verified(past.verified);
        let handle = start(Start {
            pair,
            world,
            archive: self.archive.clone(),
            clock: self.clock,
            crash: self.crash.clone(),
            last_event: past.last_event,
            parity: past.parity,
            partial: past.partial,
        });
        self.running.insert(name, handle);
    }

    fn serve_pairs(&self) {
        let link = |handle: &PairHandle<PairWorld>| PairLink {
            view: handle.view.clone(),
            asks: handle.asks.clone(),
            last_event: handle.last_event.clone(),
        };
        let links = self.running.iter().map(|(name, handle)| (name.to_string(), link(handle)));
        self.desk.set_pairs(links.collect());
    }

    async fn serve(mut self) -> Result<Stopped, RunError> {
        let listener = api::listen(&self.config.socket, self.config.group.as_deref()).await;
        let listener = listener.map_err(RunError::Socket)?;
        let serving = tokio::spawn(api::serve(listener, self.desk.clone()));
        let mut signals = Signals::new()?;
        let pace = service::watchdog_pace().unwrap_or(ROUND).min(ROUND);
        let mut rounds = tokio::time::interval(pace);
        let mut clean_ups = tokio::time::interval(CLEAN_EVERY);
        service::ready(&self.one_line());
        let socket = self.config.socket.display();
        tracing::info!(pairs = self.running.len(), %socket, "running");
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Ask::Stop => break,
                    Ask::Reload => self.reload().await,
                },
                _ = rounds.tick() => self.round(),
                _ = clean_ups.tick() => self.clean().await,
            }
        }
        let stopped = self.stop(&mut rounds).await;
        serving.abort();
        // The socket of a daemon that is gone would only puzzle: clients say "refused", not "gone".
        let _ = std::fs::remove_file(&self.config.socket);
        Ok(stopped)
    }

    /// Feeds the watchdog, unless a pair's task hangs.
    fn round(&self) {
        let now = self.clock.now();
        let hangs = |handle: &&PairHandle<PairWorld>| {
            now.since(At(handle.pulse.load(Ordering::Relaxed))) > PULSE_LIMIT_MS
        };
        match self.running.iter().find(|(_, handle)| hangs(handle)) {
            None => service::alive(&self.one_line()),
            Some((pair, _)) => {
                tracing::error!(%pair, "the pair's task hangs; not feeding the watchdog")
            }
        }
    }

    async fn clean(&self) {
        if let Err(why) = self.archive.forget_old_samples(self.clock.now()).await {
            tracing::warn!(%why, "old measurements could not be forgotten");
        }
    }

    fn one_line(&self) -> String {
        let one = |(name, handle): (&PairName, &PairHandle<PairWorld>)| {
            let status = &handle.view.borrow().status;
            let word = if status.protected { "PROTECTED" } else { "NOT PROTECTED" };
            format!("{name}: {word} ({})", status.cause.name())
        };
        self.running.iter().map(one).collect::<Vec<_>>().join(" · ")
    }

    /// Reads the configuration anew; whatever is wrong in it, the old one stays whole.
    async fn reload(&mut self) {
        service::reloading();
        match self.try_reload().await {
            Ok(()) => tracing::warn!("the configuration was read anew and is in force"),
            Err(why) => tracing::error!("RELOAD REJECTED, the old configuration stays: {why}"),
        }
        service::ready(&self.one_line());
    }

    async fn try_reload(&mut self) -> Result<(), String> {
        let directory = self.directory.clone();
        let config = config::load(&directory, Reach::Files).map_err(|why| why.to_string())?;
        tell_odd(&config.odd);
        for (name, handle) in &self.running {
            let stays = config.pairs.iter().any(|access| access.spec.name == *name);
            if let Some(plan) = handle.view.borrow().status.plan.as_ref().filter(|_| !stays) {
                let plan = plan.plan;
                return Err(format!(
                    "pair {name} is left out, and its plan {plan} is open; reload when it is over"
                ));
            }
        }
        let mut ready = Vec::new();
        for access in config.pairs {
            let past = read_past(&self.archive, &access).await.map_err(|why| why.to_string())?;
            let world = connect(&access).map_err(|why| why.to_string())?;
            ready.push((access, world, past));
        }
        if config.daemon != self.config {
            tracing::warn!("changes of observer.toml take a restart of ha-observer");
        }
        let kept: Vec<PairName> =
            ready.iter().map(|(access, ..)| access.spec.name.clone()).collect();
        for (access, world, past) in ready {
            match self.running.get(&access.spec.name) {
                Some(handle) => {
                    files::keep_written(&access.spec.name, &world, &self.archive, self.clock);
                    let control = Control::Reconfigure(Box::new(access.spec), world);
                    // The task only ends when it is told to.
                    let _ = handle.control.send(control).await;
                }
                None => self.start_pair(access, world, past),
            }
        }
        let gone: Vec<PairName> =
            self.running.keys().filter(|name| !kept.contains(name)).cloned().collect();
        for name in gone {
            if let Some(handle) = self.running.remove(&name) {
                tracing::warn!(pair = %name, "the pair is not configured any more and is let go");
                end(name, handle).await;
            }
        }
        self.serve_pairs();
        Ok(())
    }

    async fn stop(&mut self, rounds: &mut tokio::time::Interval) -> Stopped {
        service::stopping("stopping: finishing the step under way");
        let running = std::mem::take(&mut self.running);
        let ending = async {
            let ends = running.into_iter().map(|(name, handle)| tokio::spawn(end(name, handle)));
            let mut open_plans = Vec::new();
            for end in ends.collect::<Vec<_>>() {
                if let Ok(Some(left)) = end.await {
                    open_plans.push(left);
                }
            }
            open_plans
        };
        tokio::pin!(ending);
        let open_plans = loop {
            tokio::select! {
                open_plans = &mut ending => break open_plans,
                _ = rounds.tick() => service::alive("stopping: finishing the step under way"),
            }
        };
        for (pair, plan) in &open_plans {
            tracing::warn!(%pair, "plan {plan} is left resumable; the next start takes it up");
        }
        let last = if open_plans.is_empty() { "stopped" } else { "stopped; a plan is left open" };
        service::status(last);
        tracing::info!("{last}");
        Stopped { open_plans }
    }
}

/// Stops one pair; returns the plan it leaves open.
async fn end(name: PairName, handle: PairHandle<PairWorld>) -> Option<(PairName, PlanId)> {
    let _ = handle.control.send(Control::Stop).await;
    let Ended { open_plan } = handle.task.await.ok()?;
    open_plan.map(|plan| (name, plan))
}

fn connect(access: &PairAccess) -> Result<PairWorld, RunError> {
    let pair = access.spec.name.clone();
    PairWorld::connect(access.clone()).map_err(|why| RunError::World { pair, why })
}

async fn read_past(archive: &StoreArchive, access: &PairAccess) -> Result<Past, RunError> {
    let pair = access.spec.name.clone();
    let error = |why: String| RunError::Past { pair: pair.clone(), why };
    let past = archive.past(&pair).await.map_err(error)?;
    let memory = observer_core::journal::Memory::replay(&past.records);
    match memory.master {
        Some(master) if !access.spec.hosts.contains(&master) => Err(error(format!(
            "it says that {master} is the master, and no host of that name is configured; give \
             the host its old name, or the pair a new one"
        ))),
        _ => Ok(past),
    }
}

/// What is odd in the configuration is in force, and told once more to whoever reads the log.
fn tell_odd(odd: &[Finding]) {
    for finding in odd {
        tracing::warn!("{finding}");
    }
}

/// A panic in any task ends the process, at once and with its words in the log.
fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("a defect in ha-observer, ending the process: {panic}");
        std::process::abort();
    }));
}

enum Ask {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Ask {
        tokio::select! {
            _ = self.terminate.recv() => Ask::Stop,
            _ = self.interrupt.recv() => Ask::Stop,
            _ = self.hang_up.recv() => Ask::Reload,
        }
    }
}
