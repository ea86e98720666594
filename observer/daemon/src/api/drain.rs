//! Orders that keep users away from a host, and let them come again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use observer_core::drain::DrainOrder;
use observer_core::pair::OperatorOrder;
use observer_core::words::HostName;

use super::Desk;
use super::orders::{Answered, bad, carried_out, check_absence};
use super::peer::Peer;
use super::types::{Accepted, DrainRequest, UndrainRequest};
use crate::report::members::DrainStatus;
use crate::report::view::PairStatus;

/// The longest time that sessions may be given, in milliseconds: a day.
const LIMIT_MAX_MS: u64 = 86_400_000;

pub(super) async fn begin(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<DrainRequest>,
) -> Answered<Json<Accepted>> {
    let link = desk.link(&pair)?;
    check_absence(&desk, "a drain", &request.reason, request.until)?;
    if !(1..=LIMIT_MAX_MS).contains(&request.limit_ms) {
        let why = "sessions are given more than 0 and at most 24 hours to end";
        return Err(bad(why, "give a limit like 10min"));
    }
    let by = peer.name();
    desk.note(&pair, &by, "drain", &request).await;
    let DrainRequest { host, reason, until, limit_ms } = request;
    let reason = reason.trim().to_owned();
    let since = desk.clock.now();
    let order = DrainOrder { by, reason: reason.clone(), since, until, limit_ms };
    let what = OperatorOrder::Drain { host: host.clone(), order };
    let in_force = move |status: &PairStatus| {
        drain_of(status, &host).is_some_and(|now| now.reason == reason && now.until == until)
    };
    carried_out(link, what, in_force).await
}

pub(super) async fn end(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<UndrainRequest>,
) -> Answered<Json<Accepted>> {
    let (link, by) = desk.asked(&pair, &peer, "undrain", &request).await?;
    let host = request.host;
    let what = OperatorOrder::Undrain { host: host.clone(), by };
    carried_out(link, what, move |status| drain_of(status, &host).is_none()).await
}

fn drain_of<'a>(status: &'a PairStatus, host: &HostName) -> Option<&'a DrainStatus> {
    status.hosts.iter().find(|one| one.name == *host)?.drain.as_ref()
}
