//! The one connection to a host: made on first use, kept, and made again when it dies.
//!
//! ```text
//! Idle ──first use──► Connecting ──► Up ──death──► Connecting (at once) ──► Up
//!                         │                             │ fails: 100 ms, doubling to 5 s
//!                         └──── the host key is not pinned ────► Stopped (until reconfigured)
//! ```
//!
//! A failed first attempt is not repeated by itself; the next caller repeats it. Attempts never
//! overlap, and callers that come during one wait for its outcome.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

use super::error::ConnectError;
use super::login::{Connection, log_in};
use super::target::SshTarget;

/// A failure younger than this is told to every caller without a new attempt: ten probes of one
/// round must not knock ten times.
const FAILURE_SHARED: Duration = Duration::from_millis(200);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The library keeps a small record of every refused channel for the life of a connection, so a
/// connection that has seen this many is replaced while its open streams live on.
const REFUSALS_MAX: u64 = 20_000;

pub(super) struct Link {
    state: Mutex<State>,
    deaths: watch::Sender<u64>,
}

struct State {
    target: Arc<SshTarget>,
    /// Rises with each reconfiguration, so that an attempt for an old target is not kept.
    generation: u64,
    phase: Phase,
}

type Outcome = Option<Result<Arc<Connection>, ConnectError>>;

enum Phase {
    Idle,
    Failed { at: Instant, error: ConnectError },
    Connecting(watch::Receiver<Outcome>),
    Up(Arc<Connection>),
    Stopped(ConnectError),
}

impl Link {
    pub(super) fn new(target: SshTarget) -> Arc<Self> {
        let state = State { target: Arc::new(target), generation: 0, phase: Phase::Idle };
        Arc::new(Self { state: Mutex::new(state), deaths: watch::Sender::new(0) })
    }

    pub(super) fn target(&self) -> Arc<SshTarget> {
        self.lock().target.clone()
    }

    pub(super) fn deaths(&self) -> watch::Receiver<u64> {
        self.deaths.subscribe()
    }

    /// Takes a new target. The connection to the old one is dropped, a hard stop is lifted.
    pub(super) fn reconfigure(&self, target: SshTarget) {
        let mut state = self.lock();
        state.target = Arc::new(target);
        state.generation += 1;
        state.phase = Phase::Idle;
    }

    /// The connection, made if need be, or the reason why there is none by `until`.
    pub(super) async fn connection(
        self: &Arc<Self>,
        until: Instant,
    ) -> Result<Arc<Connection>, ConnectError> {
        let asked = Instant::now();
        let mut outcome = {
            let mut state = self.lock();
            match &state.phase {
                Phase::Up(connection) if usable(connection) => return Ok(connection.clone()),
                Phase::Stopped(error) => return Err(error.clone()),
                Phase::Failed { at, error } if at.elapsed() < FAILURE_SHARED => {
                    return Err(error.clone());
                }
                Phase::Connecting(outcome) => outcome.clone(),
                Phase::Idle | Phase::Failed { .. } | Phase::Up(_) => self.start_attempt(&mut state),
            }
        };
        let late = || ConnectError::TimedOut { after: asked.elapsed(), during: "connecting" };
        match timeout_at(until, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(result)) => result.clone().expect("the wait ends with an outcome"),
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }

    /// Begins an attempt that outlives its caller: a short deadline of one caller must not
    /// abandon a login that the next one can use.
    fn start_attempt(self: &Arc<Self>, state: &mut State) -> watch::Receiver<Outcome> {
        let (sender, receiver) = watch::channel(None);
        state.phase = Phase::Connecting(receiver.clone());
        let (target, generation) = (state.target.clone(), state.generation);
        let link = self.clone();
        tokio::spawn(async move {
            let result = log_in(&target).await.map(Arc::new);
            link.settle(generation, &target, &result);
            sender.send_replace(Some(result));
        });
        receiver
    }

    fn settle(
        self: &Arc<Self>,
        generation: u64,
        target: &SshTarget,
        result: &Result<Arc<Connection>, ConnectError>,
    ) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        let host = &target.host_label;
        state.phase = match result {
            Ok(connection) => {
                info!(host, "ssh connected");
                tokio::spawn(guard(Arc::downgrade(self), Arc::downgrade(connection), generation));
                Phase::Up(connection.clone())
            }
            Err(error @ ConnectError::HostKeyChanged { .. }) => {
                warn!(host, %error, "ssh stopped until reconfigured");
                Phase::Stopped(error.clone())
            }
            Err(error) => {
                debug!(host, %error, "ssh connection failed");
                Phase::Failed { at: Instant::now(), error: error.clone() }
            }
        };
    }

    /// Notes that `connection` ended. Only the current connection is worth an alarm: an older
    /// one was replaced on purpose.
    fn bury(&self, connection: &Weak<Connection>, generation: u64, reason: &str) -> bool {
        let mut state = self.lock();
        let current = match &state.phase {
            Phase::Up(up) => std::ptr::eq(Arc::as_ptr(up), connection.as_ptr()),
            _ => false,
        };
        if !current || state.generation != generation {
            return false;
        }
        info!(host = state.target.host_label, reason, "ssh connection lost");
        state.phase = Phase::Idle;
        self.deaths.send_modify(|count| *count += 1);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn usable(connection: &Connection) -> bool {
    !connection.is_closed() && connection.refusals.count() < REFUSALS_MAX
}

/// Waits for the end of a connection, raises the alarm and connects again, as long as somebody
/// holds the link.
async fn guard(link: Weak<Link>, connection: Weak<Connection>, generation: u64) {
    let Some(ended) = connection.upgrade().map(|connection| connection.watch_end()) else {
        return;
    };
    let reason = ended.await;
    match link.upgrade() {
        Some(link) if link.bury(&connection, generation, &reason) => {}
        _ => return,
    }
    let mut pause = Duration::ZERO;
    loop {
        sleep(pause).await;
        let Some(link) = link.upgrade() else { return };
        if link.lock().generation != generation {
            return;
        }
        let patience = link.target().timing.connect * 2;
        match link.connection(Instant::now() + patience).await {
            Ok(_) | Err(ConnectError::HostKeyChanged { .. }) => return,
            Err(_) => pause = (pause * 2).clamp(BACKOFF_FIRST, BACKOFF_MAX),
        }
    }
}
