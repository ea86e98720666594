//! Orders that open a plan, and the plan they would open: failover, switchover, rejoin, repair.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use observer_core::draft::LossOverride;
use observer_core::event::Event;
use observer_core::facts::Journal;
use observer_core::judge::Cause;
use observer_core::pair::{OperatorOrder, Refusal, Wish};
use observer_core::plan::Ordered;
use observer_core::words::PairName;
use serde::Serialize;
use tokio::sync::oneshot;

use super::orders::{Answered, order, put, refusal};
use super::peer::Peer;
use super::types::{Accepted, FailoverRequest, PlanRequest, ProblemKind, ServicesRequest};
use super::{Desk, PairLink, Refused};
use crate::report::plan::PlanReport;
use crate::report::view::PairView;
use crate::shell::asks::Ask;
use crate::shell::store::EventQuery;

/// How long the opening of a plan is waited for: one record on a disk that may be slow.
const OPENING: Duration = Duration::from_secs(2);
/// Newest events among which earlier runs are looked for.
const SEARCHED: usize = 5_000;

pub(super) async fn failover(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<FailoverRequest>,
) -> Answered<Response> {
    let link = desk.link(&pair)?;
    let reason = request.reason.clone().and_then(given);
    if request.dry_run {
        let loss = if request.accept_loss { LossOverride::Accepted } else { LossOverride::None };
        return dry_run(&desk, &pair, &link, Wish::FailOver(loss)).await;
    }
    let accept_loss = match (request.accept_loss, &reason) {
        (true, Some(reason)) => Some(reason.clone()),
        (true, None) => {
            return Err(Refused::new(
                ProblemKind::BadRequest,
                "a loss is only accepted with a reason".to_owned(),
                "add --reason TEXT".to_owned(),
            ));
        }
        (false, _) => None,
    };
    let by = peer.name();
    desk.note(&pair, &by, "failover", &request).await;
    let ordered = Ordered { by, reason };
    carry_out(link, OperatorOrder::FailOver { ordered, accept_loss }).await
}

pub(super) async fn switchover(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<PlanRequest>,
) -> Answered<Response> {
    let whole = Whole { desk, pair, by: peer.name(), verb: "switchover", request };
    whole.serve(Wish::SwitchOver, OperatorOrder::SwitchOver).await
}

pub(super) async fn rejoin(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<PlanRequest>,
) -> Answered<Response> {
    let whole = Whole { desk, pair, by: peer.name(), verb: "rejoin", request };
    whole.serve(Wish::Rejoin, OperatorOrder::Rejoin).await
}

pub(super) async fn services(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<ServicesRequest>,
) -> Answered<Response> {
    let link = desk.link(&pair)?;
    let (by, host, wanted) = (peer.name(), request.host.clone(), request.wanted);
    if request.dry_run {
        return dry_run(&desk, &pair, &link, Wish::Services(host, wanted)).await;
    }
    desk.note(&pair, &by, "services", &request).await;
    let ordered = Ordered { by, reason: request.reason.and_then(given) };
    carry_out(link, OperatorOrder::Services { host, wanted, ordered }).await
}

pub(super) async fn repair(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<PlanRequest>,
) -> Answered<Response> {
    let whole = Whole { desk, pair, by: peer.name(), verb: "repair", request };
    whole.serve(Wish::Repair, OperatorOrder::Repair).await
}

/// A reason that says something.
pub(super) fn given(reason: String) -> Option<String> {
    let reason = reason.trim();
    (!reason.is_empty()).then(|| reason.to_owned())
}

/// A request with who made it.
struct Whole<R> {
    desk: Arc<Desk>,
    pair: String,
    by: String,
    verb: &'static str,
    request: R,
}

impl Whole<PlanRequest> {
    async fn serve(
        self,
        wish: Wish,
        what: impl FnOnce(Ordered) -> OperatorOrder,
    ) -> Answered<Response> {
        let Self { desk, pair, by, verb, request } = self;
        let link = desk.link(&pair)?;
        if request.dry_run {
            return dry_run(&desk, &pair, &link, wish).await;
        }
        desk.note(&pair, &by, verb, &request).await;
        let reason = request.reason.and_then(given);
        carry_out(link, what(Ordered { by, reason })).await
    }
}

async fn dry_run(desk: &Desk, pair: &str, link: &PairLink, wish: Wish) -> Answered<Response> {
    let (reply, answer) = oneshot::channel();
    let report = put(link, Ask::DryRun(wish, reply), answer).await?;
    let mut report: PlanReport = report.map_err(|why| refusal(link, why))?;
    let query = EventQuery { pair: PairName::new(pair), after: None, since: None, limit: SEARCHED };
    match desk.store.read_events(query).await {
        Ok(stored) => {
            let events: Vec<&Event> = stored.iter().map(|stored| &stored.event).collect();
            report.forecast_from(&events);
        }
        // A plan without a forecast is the same plan.
        Err(why) => tracing::warn!(pair, %why, "earlier runs cannot be read"),
    }
    Ok(Json(report).into_response())
}

async fn carry_out(link: PairLink, what: OperatorOrder) -> Answered<Response> {
    let after = *link.last_event.borrow();
    order(&link, what).await?;
    opened(link).await?;
    Ok(accepted(&Accepted { after }))
}

fn accepted<T: Serialize>(answer: &T) -> Response {
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

/// Waits until the plan is open or cannot be: events tell of it only once they can be written.
async fn opened(link: PairLink) -> Answered<()> {
    let decided = |view: &Arc<PairView>| {
        view.status.plan.is_some() || view.status.journal == Journal::Failing
    };
    let mut view = link.view.clone();
    let waiting = view.wait_for(decided);
    match tokio::time::timeout(OPENING, waiting).await {
        Ok(Ok(view)) if view.status.journal == Journal::Failing => {
            Err(refusal(&link, Refusal::Cause(Cause::JournalFailing)))
        }
        // A plan that was over before anybody looked, or a lint that refused it: events tell.
        _ => Ok(()),
    }
}
