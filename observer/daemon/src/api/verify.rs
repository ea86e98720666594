//! `POST …/files/verify`: a slave's copy of a file set is compared with the master's, which may
//! take hours; `GET …/files/verify/{number}`: how far that is, and what came of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use tokio::sync::oneshot;

use super::orders::{Answered, put, refusal};
use super::peer::Peer;
use super::types::{ProblemKind, VerifyBegun, VerifyRequest};
use super::{Desk, Refused};
use crate::report::verify::Comparison;
use crate::shell::asks::Ask;
use crate::shell::verify::{CompareOrder, NotCompared};

pub(super) async fn begin(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<VerifyRequest>,
) -> Answered<Json<VerifyBegun>> {
    let link = desk.link(&pair)?;
    let order = CompareOrder { by: peer.name(), request };
    let (reply, answer) = oneshot::channel();
    let begun = put(&link, Ask::Verify(order, reply), answer).await?;
    match begun {
        Ok(number) => Ok(Json(VerifyBegun { number })),
        Err(NotCompared::Refused(why)) => Err(refusal(&link, why)),
        Err(why @ NotCompared::Running(_)) => {
            let fix = "wait for its end; it ends by itself a minute after nobody follows it";
            Err(Refused::new(ProblemKind::Refused, why.to_string(), fix.to_owned()))
        }
    }
}

pub(super) async fn follow(
    State(desk): State<Arc<Desk>>,
    Path((pair, number)): Path<(String, u64)>,
) -> Answered<Json<Comparison>> {
    let link = desk.link(&pair)?;
    let (reply, answer) = oneshot::channel();
    Ok(Json(put(&link, Ask::Verification(number, reply), answer).await?))
}
