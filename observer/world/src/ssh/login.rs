//! One attempt to reach a host: TCP connect, key exchange, pinned host key, login.
//!
//! It neither retries nor remembers; `link` does that.
//! Order: the host key is judged before anything of ours (user name, key) is sent.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use russh::client::{self, DisconnectReason, Handle, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::keys::{PrivateKeyWithHashAlg, load_secret_key};
use russh::{ChannelId, ChannelOpenFailure, Preferred};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::error::ConnectError;
use super::target::{HostKey, SshTarget};
use crate::text::shown;

/// An authenticated connection. Lives as long as somebody holds it or a stream on it is open.
pub(super) struct Connection {
    pub(super) handle: Arc<Handle<Watcher>>,
    pub(super) refusals: Arc<Refusals>,
    ended: watch::Receiver<Option<String>>,
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
            || self.ended.borrow().is_some()
            || self.ended.has_changed().is_err()
    }

    /// Waits for the end of the connection, without keeping it alive, and says why it came.
    pub(super) fn watch_end(&self) -> impl Future<Output = String> + Send + use<> {
        let mut ended = self.ended.clone();
        async move {
            match ended.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or_default(),
                Err(_) => "the session ended".to_owned(),
            }
        }
    }
}

/// Logs in to `target` within its connect deadline.
pub(super) async fn log_in(target: &SshTarget) -> Result<Connection, ConnectError> {
    if target.pinned.is_empty() {
        return Err(ConnectError::NothingPinned);
    }
    let until = Instant::now() + target.timing.connect;
    let socket = dial(target, until).await?;
    let late = ConnectError::TimedOut { after: target.timing.connect, during: "logging in" };
    timeout_at(until, shake_hands(target, socket)).await.map_err(|_| late)?
}

/// Asks the server for the host key it would show, without trusting it and without logging in.
///
/// For the set-up, where a person compares the fingerprint; `target.pinned` is not looked at.
pub async fn offered_host_key(target: &SshTarget) -> Result<HostKey, ConnectError> {
    let until = Instant::now() + target.timing.connect;
    let socket = dial(target, until).await?;
    let (watcher, view) = Watcher::new(Vec::new());
    let config = Arc::new(client::Config::default());
    let late = ConnectError::TimedOut { after: target.timing.connect, during: "logging in" };
    let outcome = timeout_at(until, client::connect_stream(config, socket, watcher))
        .await
        .map_err(|_| late)?;
    match (view.offered(), outcome) {
        (Some(key), _) => Ok(key),
        (None, Err(error)) => Err(handshake_error(error)),
        (None, Ok(_)) => Err(ConnectError::Protocol("no host key was shown".to_owned())),
    }
}

async fn dial(target: &SshTarget, until: Instant) -> Result<TcpStream, ConnectError> {
    let connecting = TcpStream::connect((target.address.as_str(), target.port));
    let late = ConnectError::TimedOut { after: target.timing.connect, during: "connecting" };
    let socket = timeout_at(until, connecting)
        .await
        .map_err(|_| late.clone())?
        .map_err(|error| dial_error(error, late))?;
    // Both settings make the connection honest, and it works without them.
    let _ = socket.set_nodelay(true);
    let patience = silence_limit(target);
    let _ = setsockopt(&socket, TcpUserTimeout, &u32::try_from(patience.as_millis()).unwrap_or(0));
    Ok(socket)
}

/// How long the kernel retransmits before it gives up: as long as the keepalives would take.
/// Without it a connection whose send buffer is full outlives a cable pull by many minutes.
fn silence_limit(target: &SshTarget) -> Duration {
    let beats = u32::try_from(target.timing.keepalive_failures + 1).unwrap_or(u32::MAX);
    target.timing.keepalive_interval.saturating_mul(beats)
}

async fn shake_hands(target: &SshTarget, socket: TcpStream) -> Result<Connection, ConnectError> {
    let key =
        load_secret_key(&target.key_path, None).map_err(|error| ConnectError::KeyUnusable {
            path: target.key_path.display().to_string(),
            why: error.to_string(),
        })?;
    let (watcher, view) = Watcher::new(target.pinned.clone());
    let mut handle = client::connect_stream(Arc::new(config(target)), socket, watcher)
        .await
        .map_err(|error| match view.offered() {
            Some(offered) if !target.pinned.contains(&offered) => ConnectError::HostKeyChanged {
                pinned: target.pinned.iter().map(HostKey::fingerprint).collect(),
                offered: offered.fingerprint(),
            },
            _ => handshake_error(error),
        })?;
    let hash = if key.algorithm().is_rsa() {
        handle.best_supported_rsa_hash().await.map_err(handshake_error)?.flatten()
    } else {
        None
    };
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    let answer = handle.authenticate_publickey(target.user.clone(), key).await;
    if !answer.map_err(handshake_error)?.success() {
        return Err(match view.ended.borrow().clone() {
            // The library reports a connection that dies here as a refusal; it is none.
            Some(reason) if handle.is_closed() => ConnectError::Closed(reason),
            _ => ConnectError::AuthRejected { user: target.user.clone() },
        });
    }
    Ok(Connection { handle: Arc::new(handle), refusals: view.refusals, ended: view.ended })
}

fn config(target: &SshTarget) -> client::Config {
    // Asking only for algorithms of pinned keys: a server with several keys would otherwise show
    // one that is genuine and not pinned.
    let mut algorithms = Vec::new();
    for algorithm in target.pinned.iter().flat_map(HostKey::algorithms) {
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    client::Config {
        preferred: Preferred { key: Cow::Owned(algorithms), ..Preferred::default() },
        keepalive_interval: Some(target.timing.keepalive_interval),
        keepalive_max: target.timing.keepalive_failures,
        nodelay: true,
        ..client::Config::default()
    }
}

fn dial_error(error: io::Error, late: ConnectError) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused,
        io::ErrorKind::TimedOut => late,
        io::ErrorKind::ConnectionReset => ConnectError::Closed(error.to_string()),
        _ if error.raw_os_error().is_some() => ConnectError::NoRoute(error.to_string()),
        _ => ConnectError::BadAddress(error.to_string()),
    }
}

fn handshake_error(error: russh::Error) -> ConnectError {
    match error {
        russh::Error::IO(error) => ConnectError::Closed(error.to_string()),
        russh::Error::HUP
        | russh::Error::Disconnect
        | russh::Error::SendError
        | russh::Error::RecvError => ConnectError::Closed(error.to_string()),
        other => ConnectError::Protocol(shown(other.to_string().as_bytes())),
    }
}

/// The last reasons that the host gave for not opening a channel.
///
/// The library hands the text to the handler and not to the one who asked, so that the two must be
/// brought together again: a caller takes a mark, asks, and reads what came since.
#[derive(Default)]
pub(super) struct Refusals(Mutex<(u64, VecDeque<String>)>);

/// How many refusals are remembered. More than this between a request and its answer means that
/// the texts are no longer attributable, which [`Refusals::since`] reports.
const REFUSALS_KEPT: usize = 64;

impl Refusals {
    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The one text given since `mark`, or `None` where several different ones were.
    pub(super) fn since(&self, mark: u64) -> Option<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = usize::try_from(seen.0 - mark).ok()?;
        let mut texts = seen.1.iter().rev().take(fresh);
        let first = texts.next()?;
        (fresh <= seen.1.len() && texts.all(|text| text == first)).then(|| first.clone())
    }

    fn push(&self, text: String) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0 += 1;
        if seen.1.len() == REFUSALS_KEPT {
            seen.1.pop_front();
        }
        seen.1.push_back(text);
    }
}

/// The library's callbacks: judges the host key, notes refusals, and tells when the end comes.
pub(super) struct Watcher {
    pinned: Vec<HostKey>,
    offered: Arc<Mutex<Option<HostKey>>>,
    refusals: Arc<Refusals>,
    ended: watch::Sender<Option<String>>,
}

/// What the rest of the module sees of a [`Watcher`].
struct View {
    offered: Arc<Mutex<Option<HostKey>>>,
    refusals: Arc<Refusals>,
    ended: watch::Receiver<Option<String>>,
}

impl View {
    fn offered(&self) -> Option<HostKey> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Watcher {
    fn new(pinned: Vec<HostKey>) -> (Self, View) {
        let (sender, ended) = watch::channel(None);
        let offered = Arc::new(Mutex::new(None));
        let refusals = Arc::new(Refusals::default());
        let view = View { offered: offered.clone(), refusals: refusals.clone(), ended };
        (Self { pinned, offered, refusals, ended: sender }, view)
    }
}

impl client::Handler for Watcher {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown_key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let key = HostKey::new(shown_key.public_key());
        let known = self.pinned.contains(&key);
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(known)
    }

    async fn channel_open_failure(
        &mut self,
        _channel: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _language: &str,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        // One text per refusal: the code is part of it so that both are attributed together.
        self.refusals.push(format!("{}:{}", reason.code(), shown(description.as_bytes())));
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        let text = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => shown(info.message.as_bytes()),
            DisconnectReason::Error(error) => shown(error.to_string().as_bytes()),
        };
        self.ended.send_replace(Some(text));
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }
}
