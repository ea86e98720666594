//! The control API: HTTP over a Unix socket, for the command line and for scripts.
//!
//! It judges nothing and waits for no pair: reports come from what each pair's task published
//! last; orders go to the task and are answered by it.

mod drain;
mod fence;
pub(crate) mod files;
mod orders;
mod parity;
mod passes;
mod peer;
mod plans;
pub(crate) mod types;
mod upgrade;
mod validation;
mod verify;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path as FilePath;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use observer_core::words::{At, PairName};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use crate::report::view::{PairView, StatusReport};
use crate::report::why::WhyReport;
use crate::shell::asks::Ask;
use crate::shell::clock::Clock;
use crate::shell::store::{EventQuery, StoreArchive};
use types::{EventsAnswer, EventsQuery, Problem, ProblemKind, StatusQuery};

/// Events in one answer, unless asked otherwise, and at most.
const EVENTS_DEFAULT: usize = 100;
const EVENTS_MAX: usize = 10_000;
/// Longest wait for a newer event.
const WAIT_MAX_MS: u64 = 30_000;

/// What the API needs of one pair.
#[derive(Clone)]
pub(crate) struct PairLink {
    /// What it shows.
    pub(crate) view: watch::Receiver<Arc<PairView>>,
    /// Orders and questions.
    pub(crate) asks: mpsc::Sender<Ask>,
    /// Number of its newest durable event.
    pub(crate) last_event: watch::Receiver<u64>,
}

/// What every request is served from.
pub(crate) struct Desk {
    pairs: RwLock<BTreeMap<String, PairLink>>,
    store: StoreArchive,
    clock: Clock,
}

impl Desk {
    /// A desk without pairs.
    pub(crate) fn new(store: StoreArchive, clock: Clock) -> Self {
        Self { pairs: RwLock::default(), store, clock }
    }

    /// Serves exactly these pairs from now on.
    pub(crate) fn set_pairs(&self, pairs: BTreeMap<String, PairLink>) {
        *self.pairs.write().expect("nobody panics while holding the list") = pairs;
    }

    /// The pairs that are served.
    pub(crate) fn pairs(&self) -> BTreeMap<String, PairLink> {
        self.pairs.read().expect("nobody panics while holding the list").clone()
    }

    fn link(&self, name: &str) -> Result<PairLink, Refused> {
        let pairs = self.pairs();
        pairs.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = pairs.keys().map(String::as_str).collect();
            let near = crate::config::nearest(name, &known);
            let fix = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known pairs: {}", known.join(", ")),
            };
            Refused::new(ProblemKind::UnknownPair, format!("no pair is called \"{name}\""), fix)
        })
    }
}

/// A request that is not served, as an answer.
struct Refused(Problem);

impl Refused {
    fn new(kind: ProblemKind, message: String, fix: String) -> Self {
        Self(Problem { kind, message, fix })
    }

    fn unavailable(message: String) -> Self {
        let fix = "see `journalctl -u ha-observer`".to_owned();
        Self::new(ProblemKind::Unavailable, message, fix)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            ProblemKind::UnknownPair => StatusCode::NOT_FOUND,
            ProblemKind::Refused => StatusCode::CONFLICT,
            ProblemKind::BadRequest => StatusCode::BAD_REQUEST,
            ProblemKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(self.0)).into_response()
    }
}

/// Why the API's socket could not be opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Another daemon has it.
    #[error("{0}")]
    InUse(String),
    /// The configured path or group cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// Opens the socket: mode 0660, with the group if one is configured. A socket left by a dead
/// daemon is replaced; a living one is not.
pub(crate) async fn listen(
    path: &FilePath,
    group: Option<&str>,
) -> Result<UnixListener, ListenError> {
    let say = |what: &str, why: &dyn std::fmt::Display| {
        ListenError::Unusable(format!("{}: {what}: {why}", path.display()))
    };
    if UnixStream::connect(path).await.is_ok() {
        let what = format!("{}: another daemon listens here already", path.display());
        return Err(ListenError::InUse(what));
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|why| say("cannot make its directory", &why))?;
    }
    match std::fs::remove_file(path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
            return Err(say("cannot replace the old socket", &why));
        }
        _ => {}
    }
    // Nobody can connect between bind and chmod: the umask of the process is 0077.
    let listener = UnixListener::bind(path).map_err(|why| say("cannot listen", &why))?;
    if let Some(name) = group {
        let group = nix::unistd::Group::from_name(name).map_err(|why| say("group", &why))?;
        let group = group.ok_or_else(|| {
            ListenError::Unusable(format!(
                "observer.toml: group: there is no group {name}; make it with `groupadd --system \
                 {name}`, or leave the key out"
            ))
        })?;
        nix::unistd::chown(path, None, Some(group.gid))
            .map_err(|why| say(&format!("cannot give it to group {name}"), &why))?;
    }
    let mode = std::fs::Permissions::from_mode(0o660);
    std::fs::set_permissions(path, mode).map_err(|why| say("cannot set its mode", &why))?;
    Ok(listener)
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: UnixListener, desk: Arc<Desk>) -> std::io::Result<()> {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/pairs/{pair}/why", get(why))
        .route("/v1/pairs/{pair}/events", get(events))
        .route("/v1/pairs/{pair}/failover", post(plans::failover))
        .route("/v1/pairs/{pair}/switchover", post(plans::switchover))
        .route("/v1/pairs/{pair}/rejoin", post(plans::rejoin))
        .route("/v1/pairs/{pair}/repair", post(plans::repair))
        .route("/v1/pairs/{pair}/abort", post(orders::abort))
        .route("/v1/pairs/{pair}/skip-step", post(orders::skip_step))
        .route("/v1/pairs/{pair}/give-up", post(orders::give_up))
        .route("/v1/pairs/{pair}/schedule", post(orders::schedule))
        .route("/v1/pairs/{pair}/unschedule", post(orders::unschedule))
        .route("/v1/pairs/{pair}/validate", get(validation::validate))
        .route("/v1/pairs/{pair}/fence", get(fence::test))
        .route("/v1/pairs/{pair}/proxies/lint", get(files::lint))
        .route("/v1/pairs/{pair}/proxies/history", get(files::history))
        .route("/v1/pairs/{pair}/proxies/diff", get(files::diff))
        .route("/v1/pairs/{pair}/proxies/change", post(files::change))
        .route("/v1/pairs/{pair}/files/pass", post(passes::pass))
        .route("/v1/pairs/{pair}/files/verify", post(verify::begin))
        .route("/v1/pairs/{pair}/files/verify/{number}", get(verify::follow))
        .route("/v1/pairs/{pair}/parity", get(parity::show))
        .route("/v1/pairs/{pair}/parity/fix", post(parity::fix))
        .route("/v1/pairs/{pair}/pause", post(orders::pause))
        .route("/v1/pairs/{pair}/services", post(plans::services))
        .route("/v1/pairs/{pair}/upgrade", post(upgrade::begin))
        .route("/v1/pairs/{pair}/upgrade/mark", post(upgrade::mark))
        .route("/v1/pairs/{pair}/upgrade/end", post(upgrade::end))
        .route("/v1/pairs/{pair}/maintenance", post(orders::maintenance))
        .route("/v1/pairs/{pair}/maintenance/end", post(orders::end_maintenance))
        .route("/v1/pairs/{pair}/drain", post(drain::begin))
        .route("/v1/pairs/{pair}/undrain", post(drain::end))
        .route("/v1/pairs/{pair}/forget", post(orders::forget))
        .route("/v1/pairs/{pair}/resume", post(orders::resume))
        .route("/v1/pairs/{pair}/ack", post(orders::acknowledge))
        .with_state(desk);
    let service = router.into_make_service_with_connect_info::<peer::Peer>();
    axum::serve(listener, service).await
}

async fn status(
    State(desk): State<Arc<Desk>>,
    Query(query): Query<StatusQuery>,
) -> Json<StatusReport> {
    let mut pairs = desk.pairs();
    if query.looked {
        let all = async {
            for link in pairs.values_mut() {
                // A pair whose task has ended shows what it showed last.
                let _ = link.view.wait_for(|view| view.basis.is_some()).await;
            }
        };
        // In vain, the report itself says that not everything was looked at.
        let _ = tokio::time::timeout(orders::LOOKED, all).await;
    }
    Json(StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: desk.clock.now(),
        pairs: pairs.values().map(|link| link.view.borrow().status.clone()).collect(),
    })
}

async fn why(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
) -> Result<Json<WhyReport>, Refused> {
    let view = desk.link(&pair)?.view.borrow().clone();
    Ok(Json(WhyReport::of(&view)))
}

async fn events(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Result<Json<EventsAnswer>, Refused> {
    let mut link = desk.link(&pair)?;
    if let (Some(after), Some(wait_ms)) = (query.after, query.wait_ms) {
        let wait = Duration::from_millis(wait_ms.min(WAIT_MAX_MS));
        let newer = link.last_event.wait_for(|last| *last > after);
        // Nothing new in time is an answer too: an empty list.
        let _ = tokio::time::timeout(wait, newer).await;
    }
    let limit = query.limit.unwrap_or(EVENTS_DEFAULT).min(EVENTS_MAX);
    let query = EventQuery {
        pair: PairName::new(&pair),
        after: query.after,
        since: query.since.map(At),
        limit,
    };
    let events = desk.store.read_events(query).await.map_err(Refused::unavailable)?;
    Ok(Json(EventsAnswer { events }))
}

#[cfg(test)]
mod tests;
