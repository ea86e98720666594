//! `incident`: the report of one plan as Markdown.

use observer_core::words::PlanId;

use super::output::print;
use super::{Desk, Exit, Failure, print_json};
use crate::api::types::EventsAnswer;
use crate::report::incident::Incident;

/// Events read in search of the plan.
const SEARCHED: usize = 10_000;

pub(super) async fn show(desk: &Desk, plan: Option<u64>) -> Result<Exit, Failure> {
    let path = format!("{}?limit={SEARCHED}", desk.path("events").await?);
    let EventsAnswer { events } = desk.client.get(&path).await?;
    let incident = Incident::of(&events, plan.map(PlanId)).ok_or_else(|| {
        let what = plan.map_or_else(|| "no plan".to_owned(), |plan| format!("no plan {plan}"));
        Failure::Usage(format!(
            "there is {what} among the newest {SEARCHED} events\n  fix: see `ha-observer events`"
        ))
    })?;
    if desk.is_json() {
        print_json(&incident);
    } else {
        print(&incident.markdown());
    }
    Ok(Exit::Ok)
}
