//! A person's orders over the API: who ordered is written down before the order is handed on.
//!
//! Those that open a plan lie in `plans`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use observer_core::forget::Forgotten;
use observer_core::journal::{Keeper, MaintenanceOrder, PauseOrder, Schedule};
use observer_core::judge::Cause;
use observer_core::pair::{OperatorOrder, Refusal};
use observer_core::words::{At, HostName};
use serde::Serialize;
use tokio::sync::oneshot;

use super::peer::Peer;
use super::types::{
    Accepted, ForgetRequest, MaintenanceEnd, MaintenanceRequest, PAUSE_MAX_MS, PauseRequest,
    ProblemKind,
};
use super::types::{GiveUpRequest, ScheduleRequest, SkipStepRequest};
use super::{Desk, PairLink, Refused};
use crate::report::date_time;
use crate::report::members::MaintenanceStatus;
use crate::report::view::{PairStatus, PairView};
use crate::shell::archive::Unwritten;
use crate::shell::asks::{Ask, Awaits, NotOrdered};

/// How long a pair's task may take to answer; it answers in microseconds unless the machine is
/// out of breath, and within a few seconds where checks come first.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the look that is due is waited for: one that nobody answers ends within a second.
pub(super) const LOOKED: Duration = Duration::from_secs(5);

pub(super) type Answered<T> = Result<T, Refused>;

pub(super) async fn abort(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Answered<Json<Accepted>> {
    let by = peer.name();
    taken(&desk, &pair, "abort", &(), OperatorOrder::Abort { by }).await
}

pub(super) async fn skip_step(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<SkipStepRequest>,
) -> Answered<Json<Accepted>> {
    let reason = given(&request.reason, "a step is only left out with a reason")?;
    let order = OperatorOrder::SkipStep { by: peer.name(), reason };
    taken(&desk, &pair, "skip-step", &request, order).await
}

pub(super) async fn give_up(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<GiveUpRequest>,
) -> Answered<Json<Accepted>> {
    let reason = given(&request.reason, "a host is only given up with a reason")?;
    let host = request.host.clone();
    let order = OperatorOrder::GiveUpHeir { by: peer.name(), host, reason };
    taken(&desk, &pair, "give-up", &request, order).await
}

fn given(reason: &str, else_: &str) -> Answered<String> {
    let reason = reason.trim();
    if reason.is_empty() { Err(bad(else_, "add --reason TEXT")) } else { Ok(reason.to_owned()) }
}

/// Gives an order about the open plan, noted in the audit; what comes of it is told by events.
async fn taken(
    desk: &Desk,
    pair: &str,
    name: &str,
    request: &impl Serialize,
    what: OperatorOrder,
) -> Answered<Json<Accepted>> {
    let link = desk.link(pair)?;
    let by = what.by().to_owned();
    desk.note(pair, &by, name, request).await;
    let after = *link.last_event.borrow();
    order(&link, what).await?;
    Ok(Json(Accepted { after }))
}

pub(super) async fn schedule(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<ScheduleRequest>,
) -> Answered<Json<Accepted>> {
    let (link, by) = desk.asked(&pair, &peer, "schedule", &request).await?;
    let due = request.due;
    let in_force = move |status: &PairStatus| {
        status.schedule.as_ref().is_some_and(|schedule| schedule.due == due)
    };
    let schedule = Schedule { by, due, reason: request.reason.and_then(super::plans::given) };
    carried_out(link, OperatorOrder::Schedule { schedule, earlier: request.earlier }, in_force)
        .await
}

pub(super) async fn unschedule(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Answered<Json<Accepted>> {
    let (link, by) = desk.asked(&pair, &peer, "unschedule", &()).await?;
    let order = OperatorOrder::Unschedule { why: format!("cancelled by {by}"), by };
    carried_out(link, order, |status| status.schedule.is_none()).await
}

pub(super) async fn pause(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<PauseRequest>,
) -> Answered<Json<Accepted>> {
    let link = desk.link(&pair)?;
    check_absence(&desk, "a pause", &request.reason, request.until)?;
    let by = peer.name();
    desk.note(&pair, &by, "pause", &request).await;
    let reason = request.reason.trim().to_owned();
    let until = request.until;
    let pause = PauseOrder { by, reason: reason.clone(), until };
    let in_force = move |status: &PairStatus| {
        let pause = status.pause.as_ref();
        pause.is_some_and(|pause| pause.reason == reason && pause.until == until)
    };
    carried_out(link, OperatorOrder::Pause(pause), in_force).await
}

/// Refuses a pause or maintenance without a reason, or of a length that nobody can have meant.
pub(super) fn check_absence(
    desk: &Desk,
    what: &str,
    reason: &str,
    until: Option<At>,
) -> Answered<()> {
    if reason.trim().is_empty() {
        let why = format!("{what} needs a reason, for whoever finds it");
        return Err(bad(&why, "add --reason TEXT"));
    }
    let now = desk.clock.now();
    if until.is_some_and(|until| until <= now || until.since(now) > PAUSE_MAX_MS) {
        let why = format!("{what} that ends by itself lasts more than 0 and at most 30 days");
        let fix = "give a time like 2h, or leave it out: then it lasts until somebody ends it";
        return Err(bad(&why, fix));
    }
    Ok(())
}

pub(super) async fn maintenance(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<MaintenanceRequest>,
) -> Answered<Json<Accepted>> {
    let link = desk.link(&pair)?;
    check_absence(&desk, "a maintenance", &request.reason, request.until)?;
    let by = peer.name();
    desk.note(&pair, &by, "maintenance", &request).await;
    let MaintenanceRequest { host, reason, until, keeper } = request;
    let reason = reason.trim().to_owned();
    let since = desk.clock.now();
    let order = MaintenanceOrder { by, reason: reason.clone(), since, until, keeper };
    let what = OperatorOrder::Maintain { host: host.clone(), order };
    let in_force = move |status: &PairStatus| {
        maintenance_of(status, &host).is_some_and(|now| now.reason == reason && now.until == until)
    };
    carried_out(link, what, in_force).await
}

pub(super) async fn end_maintenance(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<MaintenanceEnd>,
) -> Answered<Json<Accepted>> {
    let (link, by) = desk.asked(&pair, &peer, "maintenance --end", &request).await?;
    let MaintenanceEnd { host, keeper } = request;
    let what = OperatorOrder::EndMaintenance { host: host.clone(), by, keeper };
    carried_out(link, what, move |status| maintenance_of(status, &host).is_none()).await
}

pub(super) async fn forget(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<ForgetRequest>,
) -> Answered<Json<Accepted>> {
    check_absence(&desk, "leaving a host out", &request.reason, None)?;
    let (link, by) = desk.asked(&pair, &peer, "forget", &request).await?;
    let ForgetRequest { host, reason } = request;
    let reason = reason.trim().to_owned();
    let forgotten = Forgotten { by, reason, since: desk.clock.now() };
    let what = OperatorOrder::Forget { host: host.clone(), forgotten };
    carried_out(link, what, move |status| status.forgotten.iter().any(|one| one.host == host)).await
}

fn maintenance_of<'a>(status: &'a PairStatus, host: &HostName) -> Option<&'a MaintenanceStatus> {
    status.hosts.iter().find(|one| one.name == *host)?.maintenance.as_ref()
}

pub(super) async fn resume(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Answered<Json<Accepted>> {
    let (link, by) = desk.asked(&pair, &peer, "resume", &()).await?;
    carried_out(link, OperatorOrder::Resume { by }, |status| status.pause.is_none()).await
}

pub(super) async fn acknowledge(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Answered<Json<Accepted>> {
    let (link, by) = desk.asked(&pair, &peer, "ack", &()).await?;
    let before = link.view.borrow().status.epoch;
    let done = move |status: &PairStatus| {
        status.unacknowledged.is_none() && (status.cause != Cause::MasterMoved)
            || status.epoch != before
    };
    carried_out(link, OperatorOrder::Acknowledge { by }, done).await
}

impl Desk {
    /// The way to the pair, and who orders this of it, noted.
    pub(super) async fn asked<T: Serialize>(
        &self,
        pair: &str,
        peer: &Peer,
        order: &str,
        body: &T,
    ) -> Answered<(PairLink, String)> {
        let (link, by) = (self.link(pair)?, peer.name());
        self.note(pair, &by, order, body).await;
        Ok((link, by))
    }

    /// Writes down who ordered what. An audit that cannot be written does not keep a person from
    /// acting: the journal decides whether anything may be ordered, and says so.
    pub(super) async fn note<T: Serialize>(&self, pair: &str, by: &str, order: &str, body: &T) {
        if let Err(why) = self.audit(pair, by, order, body).await {
            tracing::error!(pair, by, order, %why, "the audit could not be written");
        }
    }

    /// Writes down who ordered what, and insists: for orders that no journal records.
    pub(super) async fn record<T: Serialize>(
        &self,
        pair: &str,
        by: &str,
        order: &str,
        body: &T,
    ) -> Answered<()> {
        self.audit(pair, by, order, body).await.map_err(|why| {
            Refused::unavailable(format!("it cannot be recorded, so that nothing is done: {why}"))
        })
    }

    async fn audit<T: Serialize>(
        &self,
        pair: &str,
        by: &str,
        order: &str,
        body: &T,
    ) -> Result<(), Unwritten> {
        tracing::info!(pair, by, order, "ordered over the API");
        let body = serde_json::to_value(body).unwrap_or_default();
        self.store.audit(pair, self.clock.now(), by, order, body).await
    }
}

/// Orders, and waits until the order is in force: its record is durable.
pub(super) async fn carried_out(
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

pub(super) async fn order(link: &PairLink, what: OperatorOrder) -> Answered<()> {
    let (reply, answer) = oneshot::channel();
    put(link, Ask::Order(what, reply), answer).await?.map_err(|why| not_ordered(link, why))
}

/// Waits for what an ask rests on, for everybody who asks: after a start, and after each plan, the
/// pair is first looked at anew. In vain, the pair's own word says what is missing.
async fn wait_for_look(link: &PairLink, awaited: Awaits) {
    let mut view = link.view.clone();
    let come = |view: &Arc<PairView>| match awaited {
        Awaits::Nothing => true,
        Awaits::Look => view.basis.is_some(),
        Awaits::Calm => view.takes_orders,
    };
    let _ = tokio::time::timeout(LOOKED, view.wait_for(come)).await;
}

pub(super) async fn put<T>(link: &PairLink, ask: Ask, answer: oneshot::Receiver<T>) -> Answered<T> {
    wait_for_look(link, ask.awaits()).await;
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

pub(super) fn bad(message: &str, fix: &str) -> Refused {
    Refused::new(ProblemKind::BadRequest, message.to_owned(), fix.to_owned())
}

fn not_ordered(link: &PairLink, why: NotOrdered) -> Refused {
    match why {
        NotOrdered::Refused(why) => refusal(link, why),
        NotOrdered::Unready(unready) => Refused::new(
            ProblemKind::Refused,
            unready.to_string(),
            "mend what fails; nothing forces a switchover past a failing check".to_owned(),
        ),
    }
}

/// Whom to ask about a host that somebody else keeps in maintenance, and how it is ended.
fn kept_fix(host: &HostName, order: &MaintenanceOrder) -> String {
    match order.keeper {
        Keeper::Person => format!(
            "ask {}; once the work is done, `ha-observer maintenance {host} --end`, and order it \
             again",
            order.by
        ),
        Keeper::Upgrade => "`ha-observer upgrade resume` ends it when the host is finished; \
                            `ha-observer upgrade back` gives the upgrade up"
            .to_owned(),
    }
}

/// A refusal as an answer, with what helps in this pair.
pub(super) fn refusal(link: &PairLink, why: Refusal) -> Refused {
    let view = link.view.borrow().clone();
    let message = match &why {
        Refusal::Kept(host, order) => MaintenanceStatus::of(order).sentence(host),
        why => why.to_string(),
    };
    let fix = match why {
        Refusal::Kept(host, order) => kept_fix(&host, &order),
        Refusal::Cause(cause) => view.advice(cause),
        Refusal::NoPlan(_) => {
            "`status` shows what is missing; try again when it is there".to_owned()
        }
        // The same words as for an open plan: it is one.
        Refusal::PastPivot => view.advice(Cause::PlanOpen),
        Refusal::Scheduled(schedule) => format!(
            "it is due at {}; `--replace` puts yours in its place, `ha-observer switchover \
             --cancel` drops it",
            date_time(schedule.due)
        ),
        Refusal::UnknownHost(..) => {
            let fix = "name one of them".to_owned();
            return Refused::new(ProblemKind::BadRequest, message, fix);
        }
        Refusal::NotTheHeir(_, heir) => {
            format!("`ha-observer abort --lost {heir}`, if {heir} is gone for good")
        }
        Refusal::IsMaster(host) => {
            format!("`ha-observer switchover`, then `ha-observer maintenance {host} --reason TEXT`")
        }
        Refusal::OnlyServer(host) => {
            format!("`ha-observer switchover`, then `ha-observer drain {host} --reason TEXT`")
        }
        Refusal::NoWayToDrain => {
            "write [monitor_file] in the pair's file, or `every_host` in [[proxy]] where the \
             application is active on all hosts, as `ha-observer config --default pair` explains \
             them, and print the sudoers files anew"
                .to_owned()
        }
        Refusal::NowhereElse(Some(drained)) => format!("`ha-observer undrain {drained}` first"),
        Refusal::NowhereElse(None) => "`status` shows what keeps them from the others".to_owned(),
        Refusal::NotReady => "`status` shows what does not answer; then order it again".to_owned(),
        Refusal::Busy => "order it again".to_owned(),
        Refusal::Nothing(_) => "`status` shows how things are".to_owned(),
    };
    Refused::new(ProblemKind::Refused, message, fix)
}
