//! `GET …/parity`: every item is compared now. `POST …/parity/fix`: one is copied, or shown what
//! a copy would change. No value of a secret is in any answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use tokio::sync::oneshot;

use super::orders::{Answered, put, refusal};
use super::peer::Peer;
use super::types::{FixRequest, ProblemKind};
use super::{Desk, PairLink, Refused};
use crate::report::parity::{CopyReport, ParityReport};
use crate::shell::asks::Ask;
use crate::shell::parity::{CopyOrder, NotFixed};
use observer_core::parity::NotCopied;

pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
) -> Answered<Json<ParityReport>> {
    let link = desk.link(&pair)?;
    let (reply, answer) = oneshot::channel();
    Ok(Json(put(&link, Ask::Parity(reply), answer).await?))
}

pub(super) async fn fix(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<FixRequest>,
) -> Answered<Json<CopyReport>> {
    let link = desk.link(&pair)?;
    let by = peer.name();
    if request.seal.is_some() {
        // The one record that is durable before anything is written.
        desk.record(&pair, &by, "parity-fix", &request).await?;
    }
    let FixRequest { item, from, seal } = request;
    let (reply, answer) = oneshot::channel();
    let order = CopyOrder { by, item, from, seal };
    let report = put(&link, Ask::Fix(order, reply), answer).await?;
    Ok(Json(report.map_err(|why| not_fixed(&link, why))?))
}

fn not_fixed(link: &PairLink, why: NotFixed) -> Refused {
    let fix = match &why {
        NotFixed::Refused(refused) => return refusal(link, refused.clone()),
        NotFixed::NotCopied(NotCopied::UnknownItem(_)) => "`ha-observer parity` names the items",
        NotFixed::NotCopied(NotCopied::UnknownHost(_)) => "`ha-observer status` names the hosts",
        NotFixed::NotCopied(NotCopied::NoMaster) => "say whose value is right with --from HOST",
        NotFixed::NotCopied(NotCopied::ByHand(_)) => {
            "make it alike by hand; only files and keys are copied, where `fix` is not false"
        }
        NotFixed::Failed(why) => {
            let (message, fix) = why
                .split_once("\n  fix: ")
                .unwrap_or((why, "mend it there; `ha-observer parity` shows how things are"));
            return Refused::new(ProblemKind::Refused, message.to_owned(), fix.to_owned());
        }
    };
    let kind = match &why {
        NotFixed::NotCopied(NotCopied::UnknownItem(_) | NotCopied::UnknownHost(_)) => {
            ProblemKind::BadRequest
        }
        _ => ProblemKind::Refused,
    };
    Refused::new(kind, why.to_string(), fix.to_owned())
}
