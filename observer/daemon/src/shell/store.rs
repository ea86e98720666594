//! The archive on the world's SQLite store, and reading it back.
//!
//! It interprets no SQL and no file: bodies are the JSON of the core's own types. A record that
//! cannot be read back is an error with its number, never skipped: a journal with a hole in it
//! would let a second plan start over an open one.

use observer_core::event::Event;
use observer_core::journal::Record;
use observer_core::telling::untold;
use observer_core::words::{At, Epoch, PairName};
use observer_world::store::{
    AuditRecord, EventRecord, JournalRecord, NewVersion, Numbered, Sample as StoreSample,
    StoreHandle, Version, VersionState,
};
use serde::Serialize;
use serde_json::Value;

use super::archive::{Archive, Sample, StoredEvent, Unwritten, Watermark};
use super::{files, parity, verify};
use crate::report::partial::PartialChange;

/// Key of the master's log position in the store's memory.
const WATERMARK: &str = "watermark";
/// Records read at a time.
const PAGE: usize = 1_000;
/// Newest events among which an earlier life's last records are looked for.
const TOLD: usize = 1_000;
/// How long measurements are kept.
const SAMPLES_KEPT_MS: u64 = 30 * 24 * 3_600_000;

/// Which events are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EventQuery {
    /// Of this pair.
    pub(crate) pair: PairName,
    /// Only events with a greater number, oldest first.
    pub(crate) after: Option<u64>,
    /// Only events at this moment or later.
    pub(crate) since: Option<At>,
    /// At most so many; the newest ones unless `after` is set.
    pub(crate) limit: usize,
}

/// What the store knows of a pair at the start.
#[derive(Debug)]
pub(crate) struct Past {
    /// Its journal, oldest first.
    pub(crate) records: Vec<Record>,
    /// The master's last known log position.
    pub(crate) watermark: Option<Watermark>,
    /// How each item of parity stood at the last look.
    pub(crate) parity: parity::Memory,
    /// What the last verifications of file sets said.
    pub(crate) verified: verify::Memory,
    /// A change of the proxies' files that only some of them have.
    pub(crate) partial: Option<PartialChange>,
    /// The newest moment the store holds for it.
    pub(crate) newest: At,
    /// Number of its newest event; 0 if there is none.
    pub(crate) last_event: u64,
}

/// The store as archive. Clones share it.
#[derive(Clone)]
pub(crate) struct StoreArchive(StoreHandle);

impl StoreArchive {
    /// Wraps an open store.
    pub(crate) fn new(store: StoreHandle) -> Self {
        Self(store)
    }

    /// Reads what is known of a pair.
    pub(crate) async fn past(&self, pair: &PairName) -> Result<Past, Unwritten> {
        let name = pair.to_string();
        let read = self.0.call(move |store| {
            let mut rows = Vec::new();
            let mut after = 0;
            loop {
                let page = store.journal(&name, after, PAGE)?;
                let Some(last) = page.last() else { break };
                after = last.seq;
                rows.extend(page);
            }
            let mark = store.recall(&name, WATERMARK)?;
            let parity = store.recall(&name, parity::KEY)?;
            let partial = store.recall(&name, files::KEY)?;
            let verified = store.recall(&name, verify::KEY)?;
            let events = store.latest_events(Some(&name), TOLD)?;
            Ok((rows, mark, (parity, partial, verified), events))
        });
        let (rows, mark, kept, events) = read.await.map_err(|why| why.to_string())?;
        let (parity, partial, verified) = kept;
        let newest_row = rows.last().map_or(0, |row| row.record.at_ms);
        let newest = newest_row.max(events.last().map_or(0, |event| event.record.at_ms));
        let records = rows.iter().map(record_of).collect::<Result<Vec<Record>, Unwritten>>()?;
        let last_event = self.tell_rest(pair, &records, &events).await;
        let watermark = mark.and_then(|json| serde_json::from_str(&json).ok());
        let parity = parity.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let partial = partial.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let verified = verified.and_then(|json| serde_json::from_str(&json).ok());
        let (verified, newest) = (verified.unwrap_or_default(), At(newest));
        Ok(Past { records, watermark, parity, verified, partial, newest, last_event })
    }

    /// Tells what an earlier life recorded and had no time to tell; returns the last event's
    /// number.
    async fn tell_rest(
        &self,
        pair: &PairName,
        records: &[Record],
        rows: &[Numbered<EventRecord>],
    ) -> u64 {
        let mut last = rows.last().map_or(0, |row| row.seq);
        // An event of an older version may be unreadable: it tells of nothing recent.
        let told: Vec<Event> =
            rows.iter().filter_map(|row| event_of(row).ok()).map(|stored| stored.event).collect();
        for event in untold(pair, records, &told) {
            match self.event(&event).await {
                Ok(seq) => last = seq,
                // A full disk must not keep the observer from starting; the next start tells it.
                Err(why) => {
                    tracing::warn!(%pair, %why, "what an earlier life did is not told");
                    break;
                }
            }
        }
        last
    }

    /// Reads events.
    pub(crate) async fn read_events(
        &self,
        query: EventQuery,
    ) -> Result<Vec<StoredEvent>, Unwritten> {
        let EventQuery { pair, after, since, limit } = query;
        let name = pair.to_string();
        let read = self.0.call(move |store| match after {
            Some(after) => store.events(Some(&name), after, limit),
            None => store.latest_events(Some(&name), limit),
        });
        let rows = read.await.map_err(|why| why.to_string())?;
        let since = since.unwrap_or_default();
        let events = rows.iter().filter(|row| row.record.at_ms >= since.0).map(event_of);
        events.collect()
    }

    /// Writes down who ordered what.
    pub(crate) async fn audit(
        &self,
        pair: &str,
        at: At,
        who: &str,
        action: &str,
        body: Value,
    ) -> Result<(), Unwritten> {
        let record = AuditRecord {
            at_ms: at.0,
            who: who.to_owned(),
            action: action.to_owned(),
            pair: Some(pair.to_owned()),
            body: body.to_string(),
        };
        let written = self.0.call(move |store| store.append_audit(&record)).await;
        written.map(drop).map_err(|why| why.to_string())
    }

    /// Keeps a version of a proxy's file; returns its number.
    pub(crate) async fn keep_version(&self, version: NewVersion) -> Result<u64, Unwritten> {
        let kept = self.0.call(move |store| store.keep_version(&version)).await;
        kept.map_err(|why| why.to_string())
    }

    /// Says what became of a version.
    pub(crate) async fn settle_version(
        &self,
        (pair, proxy, number): (&str, &str, u64),
        state: VersionState,
        note: &str,
    ) -> Result<(), Unwritten> {
        let (pair, proxy, note) = (pair.to_owned(), proxy.to_owned(), note.to_owned());
        let settled =
            self.0.call(move |store| store.settle_version(&pair, &proxy, number, state, &note));
        settled.await.map_err(|why| why.to_string())
    }

    /// The kept versions of a proxy's file, newest first.
    pub(crate) async fn versions(
        &self,
        pair: &str,
        proxy: &str,
    ) -> Result<Vec<Version>, Unwritten> {
        let (pair, proxy) = (pair.to_owned(), proxy.to_owned());
        let read = self.0.call(move |store| store.versions(&pair, &proxy)).await;
        read.map_err(|why| why.to_string())
    }

    /// Forgets measurements that are too old.
    pub(crate) async fn forget_old_samples(&self, now: At) -> Result<(), Unwritten> {
        let before = now.0.saturating_sub(SAMPLES_KEPT_MS);
        let forgotten = self.0.call(move |store| store.forget_samples(before)).await;
        forgotten.map(drop).map_err(|why| why.to_string())
    }
}

impl Archive for StoreArchive {
    async fn record(
        &self,
        pair: &PairName,
        epoch: Epoch,
        record: &Record,
    ) -> Result<(), Unwritten> {
        let body = json(record)?;
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let plan = match body.get("plan") {
            Some(Value::Object(plan)) => plan.get("id").map(Value::to_string),
            Some(plan) => Some(plan.to_string()),
            None => None,
        };
        let row = JournalRecord {
            pair: pair.to_string(),
            at_ms: body.get("at").and_then(Value::as_u64).unwrap_or_default(),
            epoch: epoch.0,
            plan: plan.unwrap_or_default(),
            kind: text("record"),
            body: body.to_string(),
        };
        self.0.append_journal(row).await.map(drop).map_err(|why| why.to_string())
    }

    async fn event(&self, event: &Event) -> Result<u64, Unwritten> {
        let body = json(event)?;
        let row = EventRecord {
            pair: event.pair.to_string(),
            at_ms: event.at.0,
            severity: json(&event.kind.severity())?.as_str().unwrap_or("").to_owned(),
            kind: event.kind.name().to_owned(),
            rule: event.kind.rule().map(str::to_owned),
            plan: event.kind.plan().map(|plan| plan.to_string()),
            step: body.get("step").map(Value::to_string),
            host: body.get("master").and_then(Value::as_str).map(str::to_owned),
            body: body.to_string(),
        };
        self.0.append_event(row).await.map_err(|why| why.to_string())
    }

    async fn watermark(&self, pair: &PairName, mark: &Watermark) -> Result<(), Unwritten> {
        let (name, body) = (pair.to_string(), json(mark)?.to_string());
        let kept = self.0.call(move |store| store.remember(&name, WATERMARK, &body)).await;
        kept.map_err(|why| why.to_string())
    }

    async fn remember(
        &self,
        pair: &PairName,
        key: &'static str,
        body: &str,
    ) -> Result<(), Unwritten> {
        let (name, body) = (pair.to_string(), body.to_owned());
        let kept = self.0.call(move |store| store.remember(&name, key, &body)).await;
        kept.map_err(|why| why.to_string())
    }

    async fn samples(&self, pair: &PairName, samples: &[Sample]) -> Result<(), Unwritten> {
        let row = |sample: &Sample| StoreSample {
            pair: pair.to_string(),
            name: format!("{}_ms", sample.name),
            at_ms: sample.at.0,
            value: sample.value,
        };
        let rows = samples.iter().map(row).collect();
        self.0.append_samples(rows).await.map_err(|why| why.to_string())
    }

    async fn test(&self) -> Result<(), Unwritten> {
        self.0.can_write().await.map_err(|why| why.to_string())
    }
}

fn json<T: Serialize>(value: &T) -> Result<Value, Unwritten> {
    serde_json::to_value(value).map_err(|why| format!("it cannot be written as JSON: {why}"))
}

fn record_of(row: &Numbered<JournalRecord>) -> Result<Record, Unwritten> {
    serde_json::from_str(&row.record.body)
        .map_err(|why| format!("journal record {} cannot be read: {why}", row.seq))
}

fn event_of(row: &Numbered<EventRecord>) -> Result<StoredEvent, Unwritten> {
    let event = serde_json::from_str(&row.record.body)
        .map_err(|why| format!("event {} cannot be read: {why}", row.seq))?;
    Ok(StoredEvent { seq: row.seq, event })
}
