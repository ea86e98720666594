//! `pause`, `resume`, `ack`: small orders that are in force when the verb returns.

use observer_core::words::At;

use super::output::print;
use super::{Desk, Exit, Failure, print_json};
use crate::api::types::{Accepted, PauseRequest};
use crate::report::date_time;

pub(super) async fn pause(
    desk: &Desk,
    reason: String,
    for_ms: Option<u64>,
) -> Result<Exit, Failure> {
    let path = desk.path("pause").await?;
    let until = match for_ms {
        Some(ms) => Some(desk.status().await?.at.plus(ms)),
        None => None,
    };
    let accepted: Accepted = desk.client.post(&path, &PauseRequest { reason, until }).await?;
    let until = until.map_or_else(
        || "until `ha-observer resume`".to_owned(),
        |at: At| format!("until {}", date_time(at)),
    );
    done(desk, &accepted, &format!("paused {until}; it watches and acts on nothing"))
}

pub(super) async fn resume(desk: &Desk) -> Result<Exit, Failure> {
    let accepted: Accepted = desk.client.post(&desk.path("resume").await?, &()).await?;
    done(desk, &accepted, "resumed")
}

pub(super) async fn acknowledge(desk: &Desk) -> Result<Exit, Failure> {
    let accepted: Accepted = desk.client.post(&desk.path("ack").await?, &()).await?;
    done(desk, &accepted, "acknowledged")
}

fn done(desk: &Desk, accepted: &Accepted, text: &str) -> Result<Exit, Failure> {
    if desk.is_json() {
        print_json(accepted);
    } else {
        print(&format!("{text}\n"));
    }
    Ok(Exit::Ok)
}
