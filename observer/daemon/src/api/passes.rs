//! `POST …/files/pass`: a pass of a file set is begun now, and may delete what a person has
//! allowed. What comes of it is in `status`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use observer_core::files::Deletions;
use tokio::sync::oneshot;

use super::Desk;
use super::orders::{Answered, put, refusal};
use super::peer::Peer;
use super::types::{Accepted, PassRequest};
use crate::shell::asks::Ask;

pub(super) async fn pass(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<PassRequest>,
) -> Answered<Json<Accepted>> {
    let link = desk.link(&pair)?;
    let after = *link.last_event.borrow();
    // No journal records a pass: who allowed deletions is kept here.
    desk.record(&pair, &peer.name(), "files-pass", &request).await?;
    let deletions = request.deletions.map_or(Deletions::Limited, Deletions::Allowed);
    let (reply, answer) = oneshot::channel();
    let ordered = put(&link, Ask::Pass(request.set, deletions, reply), answer).await?;
    ordered.map_err(|why| refusal(&link, why))?;
    Ok(Json(Accepted { after }))
}
