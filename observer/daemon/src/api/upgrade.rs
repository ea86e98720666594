//! A rolling upgrade over the API: what it is made of is kept, and what was done is marked.
//!
//! Nothing here runs the operator's command: whoever may order could else run anything with the
//! observer's rights.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use observer_core::pair::OperatorOrder;
use observer_core::upgrade::{Upgrade, in_order};

use super::Desk;
use super::orders::{Answered, carried_out};
use super::peer::Peer;
use super::types::{Accepted, UpgradeMark, UpgradeRequest};
use crate::report::view::PairStatus;

pub(super) async fn begin(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<UpgradeRequest>,
) -> Answered<Json<Accepted>> {
    let (link, by) = desk.asked(&pair, &peer, "upgrade", &request).await?;
    let began = desk.clock.now();
    let hosts = {
        let status = &link.view.borrow().status;
        let all = status.hosts.iter().map(|host| host.name.clone());
        in_order(request.hosts, all, status.master.as_ref())
    };
    let upgrade = Upgrade {
        by,
        name: request.name,
        hosts,
        command: request.command,
        back: request.back,
        ready: request.ready,
        environment: request.environment,
        host_environment: request.host_environment,
        command_limit_ms: request.command_limit_ms,
        ready_limit_ms: request.ready_limit_ms,
        began,
    };
    let what = OperatorOrder::BeginUpgrade(Box::new(upgrade));
    carried_out(link, what, |status| status.upgrade.is_some()).await
}

pub(super) async fn mark(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<UpgradeMark>,
) -> Answered<Json<Accepted>> {
    let link = desk.link(&pair)?;
    let by = peer.name();
    let UpgradeMark { next, failed } = request;
    let what = OperatorOrder::MarkUpgrade { next: next.clone(), failed: failed.clone(), by };
    let in_force = move |status: &PairStatus| {
        let Some(upgrade) = &status.upgrade else { return false };
        upgrade.failed == failed && (failed.is_some() || upgrade.next.as_ref() != Some(&next))
    };
    carried_out(link, what, in_force).await
}

pub(super) async fn end(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Answered<Json<Accepted>> {
    let (link, by) = desk.asked(&pair, &peer, "upgrade end", &()).await?;
    carried_out(link, OperatorOrder::EndUpgrade { by }, |status| status.upgrade.is_none()).await
}
