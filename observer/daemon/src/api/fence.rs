//! `GET …/fence`: the power fence is asked now for the power of every host; nothing is switched.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use tokio::sync::oneshot;

use super::orders::{Answered, put};
use super::types::{FenceReport, FencedHost};
use super::{Desk, PairLink};
use crate::shell::asks::Ask;

pub(super) async fn test(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
) -> Answered<Json<FenceReport>> {
    let link: PairLink = desk.link(&pair)?;
    let (reply, answer) = oneshot::channel();
    let answers = put(&link, Ask::TestFence(reply), answer).await?;
    let fenced = answers.into_iter().map(|(host, answer)| FencedHost {
        host,
        command: answer.command,
        why_not: answer.power.as_ref().err().cloned(),
        power: answer.power.ok(),
        took_ms: answer.took_ms,
    });
    Ok(Json(FenceReport { hosts: fenced.collect() }))
}
