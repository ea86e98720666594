//! Comparing the items of parity on a slow schedule or when asked, and copying one on order.
//!
//! It judges nothing: who differs and who may be copied to is the core's word. Reading takes
//! seconds and runs beside the pair's task; what it finds comes back as one more input of its
//! loop. Nothing is compared while a plan is open, and no plan waits for a comparison.
//!
//! ```text
//!   due, asked ──► read beside ──► compare, since when ──► store, events, `status`, answers
//!   fix ──► gate, direction ──► copy beside (asks again before it writes) ──► events ──► compare
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use observer_core::facts::{Act, Asker};
use observer_core::judge::gate;
use observer_core::pair::{Input, Refusal};
use observer_core::parity::{
    Compared, ItemReading, Kept, NotCopied, Secrecy, Told, compare, copying, is_news, keep,
};
use observer_core::words::{At, HostName};
use observer_world::parity::{Copied, Preview};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::pair_task::PairTask;
use super::world::World;
use super::writer::Write;
use crate::report::parity::{CopyReport, ItemStatus, ParityReport, ParityStatus};

/// How long one comparison may take: less than whoever asks for it waits.
const DEADLINE: Duration = Duration::from_secs(6);
/// How long a copy may take.
const COPY_DEADLINE: Duration = Duration::from_secs(8);
/// How soon it is tried again while a plan is open.
const AGAIN: Duration = Duration::from_secs(5);
/// Key of what is kept, in the store's memory.
pub(super) const KEY: &str = "parity";

/// Items by name, as they were at the last look.
pub(crate) type Memory = BTreeMap<String, Kept>;

/// An order to copy an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CopyOrder {
    /// Who.
    pub(crate) by: String,
    /// The item's name.
    pub(crate) item: String,
    /// Whose value is right; the master's if none.
    pub(crate) from: Option<HostName>,
    /// What was confirmed; none asks only what would be changed.
    pub(crate) seal: Option<String>,
}

/// Why nothing is copied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotFixed {
    /// The core says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is nothing to copy, or nobody to copy it from.
    #[error(transparent)]
    NotCopied(#[from] NotCopied),
    /// A host says no.
    #[error("{0}")]
    Failed(String),
}

/// Who waits for what comes of a copy.
pub(crate) type FixReply = oneshot::Sender<Result<CopyReport, NotFixed>>;

/// What comes back from beside the task.
#[derive(Debug)]
pub(super) enum Found {
    Read(Vec<ItemReading>),
    Copied { by: String, item: String, from: HostName, copied: Vec<Copied> },
}

/// Where the comparing stands.
pub(super) struct Comparing {
    pub(super) due: Instant,
    running: bool,
    kept: Memory,
    latest: Option<(At, Vec<Compared>)>,
    waiting: Vec<oneshot::Sender<ParityReport>>,
    found: mpsc::UnboundedSender<Found>,
}

impl Comparing {
    /// Nothing was compared yet in this life; `kept` is what an earlier one left.
    pub(super) fn new(kept: Memory) -> (Self, mpsc::UnboundedReceiver<Found>) {
        let (found, inbox) = mpsc::unbounded_channel();
        let (latest, waiting) = (None, Vec::new());
        let due = Instant::now();
        (Self { due, running: false, kept, latest, waiting, found }, inbox)
    }

    /// The items may be others now.
    pub(super) fn restart(&mut self) {
        self.due = Instant::now();
        self.latest = None;
    }

    /// The line in `status`.
    pub(super) fn status(&self) -> Option<ParityStatus> {
        let (at, items) = self.latest.as_ref()?;
        ParityStatus::of(*at, items)
    }
}

impl<W: World> PairTask<W> {
    /// Compares if it is due and no plan is open.
    pub(super) fn mind_parity(&mut self) {
        let pace = Duration::from_millis(self.pair.spec().policy.parity_interval_ms);
        if self.is_acting() || self.is_stopping() || self.parity.running {
            self.parity.due = Instant::now() + AGAIN;
            return;
        }
        self.parity.due = Instant::now() + pace;
        if !self.world.parity_items().is_empty() {
            self.read_parity();
        }
    }

    /// Answers with a comparison made now.
    pub(super) fn asked_parity(&mut self, reply: oneshot::Sender<ParityReport>) {
        if self.world.parity_items().is_empty() {
            let _ = reply.send(self.parity_report());
            return;
        }
        self.parity.waiting.push(reply);
        self.read_parity();
    }

    fn read_parity(&mut self) {
        if self.parity.running {
            return;
        }
        self.parity.running = true;
        let (world, found) = (self.world.clone(), self.parity.found.clone());
        tokio::task::spawn_local(async move {
            let reading = tokio::time::timeout(DEADLINE * 2, world.read_parity(DEADLINE));
            // A world that does not keep its deadline has read nothing.
            let _ = found.send(Found::Read(reading.await.unwrap_or_default()));
        });
    }

    /// Takes in what came back.
    pub(super) fn parity_found(&mut self, found: Found) {
        match found {
            Found::Read(readings) => self.compared(&readings),
            Found::Copied { by, item, from, copied } => {
                for Copied { host: to, kept, path } in copied {
                    let pair = &self.pair.spec().name;
                    tracing::warn!(%pair, by, item, %from, %to, path, kept, "parity: copied");
                    let (by, item, from) = (by.clone(), item.clone(), from.clone());
                    let told = Told::Fixed { by, item, from, to, kept };
                    self.pair.handle(Input::Parity(told), self.clock.now());
                }
                self.work();
                self.parity.due = Instant::now();
            }
        }
    }

    fn compared(&mut self, readings: &[ItemReading]) {
        self.parity.running = false;
        let now = self.clock.now();
        if readings.is_empty() {
            // Nothing came back at all: what was known stays, and whoever asked is told that.
            let report = self.parity_report();
            self.parity.waiting.drain(..).for_each(|reply| drop(reply.send(report.clone())));
            return;
        }
        let items = compare(readings, self.pair.memory().master.as_ref());
        let mut kept = Memory::new();
        for compared in &items {
            let before = self.parity.kept.get(&compared.item.name);
            let after = keep(before, compared.standing, now);
            if is_news(before, &after) {
                let told = Told::Changed(Box::new(compared.clone()));
                self.pair.handle(Input::Parity(told), now);
            }
            kept.insert(compared.item.name.clone(), after);
        }
        if kept != self.parity.kept {
            let body = serde_json::to_string(&kept).unwrap_or_default();
            self.write(Write::Remember(KEY, body));
            self.parity.kept = kept;
        }
        self.parity.latest = Some((now, items));
        let report = self.parity_report();
        self.parity.waiting.drain(..).for_each(|reply| drop(reply.send(report.clone())));
        self.work();
    }

    fn parity_report(&self) -> ParityReport {
        let (at, items) = match &self.parity.latest {
            Some((at, items)) => (*at, items.as_slice()),
            None => (self.clock.now(), &[][..]),
        };
        let line = |compared: &Compared| {
            let kept = self.parity.kept.get(&compared.item.name);
            ItemStatus {
                compared: compared.clone(),
                since: kept.map_or(at, |kept| kept.since),
                unread_since: kept.and_then(|kept| kept.unread_since),
            }
        };
        ParityReport {
            pair: self.pair.spec().name.clone(),
            at,
            master: self.pair.memory().master.clone(),
            items: items.iter().map(line).collect(),
        }
    }

    /// Copies an item, or says what a copy would change.
    pub(super) fn asked_fix(&mut self, order: CopyOrder, reply: FixReply) {
        let now = self.clock.now();
        let facts = self.pair.gate_facts(Act::Repair, Asker::Operator, now);
        if let Some(cause) = gate(&facts).bars {
            let _ = reply.send(Err(NotFixed::Refused(Refusal::Cause(cause))));
            return;
        }
        let (items, master) = (self.world.parity_items(), self.pair.memory().master.clone());
        let hosts = &self.pair.spec().hosts;
        let CopyOrder { by, item, from, seal } = order;
        let wish = match copying(&items, hosts, master.as_ref(), &item, from.as_ref()) {
            Ok(wish) => wish,
            Err(why) => {
                let _ = reply.send(Err(why.into()));
                return;
            }
        };
        let secret = items.iter().any(|own| own.name == item && own.secrecy == Secrecy::Secret);
        let report = move |preview: Preview, copied: Vec<Copied>, from: &HostName| CopyReport {
            onto_master: preview.changes.iter().any(|one| Some(&one.host) == master.as_ref()),
            master: master.clone(),
            item: item.clone(),
            secret,
            from: from.clone(),
            changes: preview.changes.into_iter().map(Into::into).collect(),
            seal: preview.seal,
            copied: copied.into_iter().map(Into::into).collect(),
        };
        let (world, found, view) =
            (self.world.clone(), self.parity.found.clone(), self.view.subscribe());
        tokio::task::spawn_local(async move {
            let Some(seal) = seal else {
                let preview = world.preview_copy(&wish, COPY_DEADLINE).await;
                let preview = preview.map(|preview| report(preview, Vec::new(), &wish.from));
                let _ = reply.send(preview.map_err(NotFixed::Failed));
                return;
            };
            let may_go_on = || {
                let status = &view.borrow().status;
                match (&status.plan, &status.pause) {
                    (Some(plan), _) => Err(format!("plan {} was opened meanwhile", plan.plan)),
                    (None, Some(_)) => Err("the pair was paused meanwhile".to_owned()),
                    (None, None) => Ok(()),
                }
            };
            let copied = world.copy_item(&wish, &seal, &may_go_on, COPY_DEADLINE).await;
            if let Ok(copied) = &copied {
                let (item, from, copied) = (wish.item.clone(), wish.from.clone(), copied.clone());
                let _ = found.send(Found::Copied { by, item, from, copied });
            }
            let preview = Preview { changes: Vec::new(), seal };
            let copied = copied.map(|copied| report(preview, copied, &wish.from));
            let _ = reply.send(copied.map_err(NotFixed::Failed));
        });
    }
}
