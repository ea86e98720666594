//! A person's orders over the API: who ordered is written down before the order is handed on.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use observer_core::draft::LossOverride;
use observer_core::facts::Journal;
use observer_core::journal::PauseOrder;
use observer_core::judge::Cause;
use observer_core::pair::{OperatorOrder, Refusal, Wish};
use serde::Serialize;
use tokio::sync::oneshot;

use super::peer::Peer;
use super::types::{Accepted, FailoverRequest, PauseRequest, ProblemKind};
use super::{Desk, PairLink, Refused};
use crate::report::view::{PairStatus, PairView};
use crate::shell::asks::Ask;

/// How long a pair's task may take to answer; it answers in microseconds unless the machine is
/// out of breath.
const ANSWER: Duration = Duration::from_secs(5);

/// How long the opening of a plan is waited for: one record on a disk that may be slow.
const OPENING: Duration = Duration::from_secs(2);

type Answered<T> = Result<T, Refused>;

pub(super) async fn failover(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<FailoverRequest>,
) -> Answered<Response> {
    let link = desk.link(&pair)?;
    let reason = request.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    if request.dry_run {
        let loss = if request.accept_loss { LossOverride::Accepted } else { LossOverride::None };
        let (reply, answer) = oneshot::channel();
        let report = put(&link, Ask::DryRun(Wish::FailOver(loss), reply), answer).await?;
        return Ok(Json(report.map_err(refusal)?).into_response());
    }
    let accept_loss = match (request.accept_loss, reason) {
        (true, Some(reason)) => Some(reason.to_owned()),
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
    let after = *link.last_event.borrow();
    order(&link, OperatorOrder::FailOver { by, accept_loss }).await?;
    opened(link).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { after })).into_response())
}

/// Waits until the plan is open or cannot be: events tell of it only once they can be written.
async fn opened(mut link: PairLink) -> Answered<()> {
    let decided = |view: &Arc<PairView>| {
        view.status.plan.is_some() || view.status.journal == Journal::Failing
    };
    let waiting = link.view.wait_for(decided);
    match tokio::time::timeout(OPENING, waiting).await {
        Ok(Ok(view)) if view.status.journal == Journal::Failing => {
            Err(refusal(Refusal::Cause(Cause::JournalFailing)))
        }
        // A plan that was over before anybody looked, or a lint that refused it: events tell.
        _ => Ok(()),
    }
}

pub(super) async fn pause(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<PauseRequest>,
) -> Answered<Json<Accepted>> {
    let link = desk.link(&pair)?;
    if request.reason.trim().is_empty() {
        return Err(Refused::new(
            ProblemKind::BadRequest,
            "a pause needs a reason, for whoever finds it".to_owned(),
            "add --reason TEXT".to_owned(),
        ));
    }
    let by = peer.name();
    desk.note(&pair, &by, "pause", &request).await;
    let reason = request.reason.trim().to_owned();
    let pause = PauseOrder { by, reason: reason.clone(), until: request.until };
    let in_force = move |status: &PairStatus| {
        status.pause.as_ref().is_some_and(|pause| pause.reason == reason)
    };
    carried_out(link, OperatorOrder::Pause(pause), in_force).await
}

pub(super) async fn resume(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Answered<Json<Accepted>> {
    let link = desk.link(&pair)?;
    let by = peer.name();
    desk.note(&pair, &by, "resume", &()).await;
    carried_out(link, OperatorOrder::Resume { by }, |status| status.pause.is_none()).await
}

pub(super) async fn acknowledge(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Answered<Json<Accepted>> {
    let link = desk.link(&pair)?;
    let by = peer.name();
    desk.note(&pair, &by, "ack", &()).await;
    let before = link.view.borrow().status.epoch;
    let done = move |status: &PairStatus| {
        status.unacknowledged.is_none() && (status.cause != Cause::MasterMoved)
            || status.epoch != before
    };
    carried_out(link, OperatorOrder::Acknowledge { by }, done).await
}

impl Desk {
    /// Writes down who ordered what. An audit that cannot be written does not keep a person from
    /// acting: the journal decides whether anything may be ordered, and says so.
    async fn note<T: Serialize>(&self, pair: &str, by: &str, order: &str, body: &T) {
        tracing::info!(pair, by, order, "ordered over the API");
        let body = serde_json::to_value(body).unwrap_or_default();
        if let Err(why) = self.store.audit(pair, self.clock.now(), by, order, body).await {
            tracing::error!(pair, by, order, %why, "the audit could not be written");
        }
    }
}

/// Orders, and waits until the order is in force: its record is durable.
async fn carried_out(
    mut link: PairLink,
    what: OperatorOrder,
    in_force: impl Fn(&PairStatus) -> bool,
) -> Answered<Json<Accepted>> {
    let after = *link.last_event.borrow();
    order(&link, what).await?;
    let waiting = link.view.wait_for(|view| in_force(&view.status));
    match tokio::time::timeout(ANSWER, waiting).await {
        Ok(Ok(_)) => Ok(Json(Accepted { after })),
        _ => Err(Refused::unavailable(
            "the order was taken and is not in force yet: its record is not durable".to_owned(),
        )),
    }
}

async fn order(link: &PairLink, what: OperatorOrder) -> Answered<()> {
    let (reply, answer) = oneshot::channel();
    put(link, Ask::Order(what, reply), answer).await?.map_err(refusal)
}

async fn put<T>(link: &PairLink, ask: Ask, answer: oneshot::Receiver<T>) -> Answered<T> {
    let asking = async {
        link.asks.send(ask).await.ok()?;
        answer.await.ok()
    };
    let answered = tokio::time::timeout(ANSWER, asking).await;
    answered.ok().flatten().ok_or_else(|| {
        Refused::unavailable(
            "the pair's task does not answer; the daemon may be stopping".to_owned(),
        )
    })
}

fn refusal(why: Refusal) -> Refused {
    let message = why.to_string();
    let fix = match why {
        Refusal::Cause(cause) => cause.advice().to_owned(),
        Refusal::NoPlan(_) => {
            "`status` shows what is missing; try again when it is there".to_owned()
        }
        Refusal::PastPivot => {
            "watch it finish; `abort --skip-step` passes a step that it is stuck at".to_owned()
        }
        Refusal::NotReady => "try again in a few seconds".to_owned(),
        Refusal::Nothing(_) => "`status` shows how things are".to_owned(),
    };
    Refused::new(ProblemKind::Refused, message, fix)
}
