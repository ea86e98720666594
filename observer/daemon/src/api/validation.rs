//! `GET …/validate`: the validation is run now, beside the pair's task.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use observer_core::validate::ValidationReport;
use tokio::sync::oneshot;

use super::Desk;
use super::orders::{Answered, put, refusal};
use crate::shell::asks::Ask;

pub(super) async fn validate(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
) -> Answered<Json<ValidationReport>> {
    let link = desk.link(&pair)?;
    let (reply, answer) = oneshot::channel();
    let report = put(&link, Ask::Validate(reply), answer).await?;
    Ok(Json(report.map_err(|why| refusal(&link, why))?))
}
