//! What a pair's task needs of the store: durable records, events, a write test.
//!
//! The real one is `observer_world`'s SQLite file. Each call returns only when its effect is
//! durable, or says why it is not; it never blocks the runtime.

use observer_core::event::Event;
use observer_core::journal::Record;
use observer_core::words::{At, Epoch, HostName, Lsn, PairName};
use serde::{Deserialize, Serialize};

/// An event with its number in the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct StoredEvent {
    /// Grows with every event of every pair.
    pub(crate) seq: u64,
    /// The event.
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// The master's log position as last seen, kept so that a restart in the middle of an outage can
/// still tell the loss.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Watermark {
    /// The host that was the primary.
    pub(crate) host: HostName,
    /// When it said so.
    pub(crate) at: At,
    /// How far its log went.
    pub(crate) lsn: Lsn,
}

/// How long one kind of look took.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sample {
    /// When.
    pub(crate) at: At,
    /// Of what, like `look:database:node-a`.
    pub(crate) name: String,
    /// In milliseconds.
    pub(crate) value: f64,
}

/// Why something could not be made durable, in words for a person.
pub(crate) type Unwritten = String;

/// The store. Clones share it.
pub(crate) trait Archive: Clone + Send + Sync + 'static {
    /// Makes one journal record durable.
    fn record(
        &self,
        pair: &PairName,
        epoch: Epoch,
        record: &Record,
    ) -> impl Future<Output = Result<(), Unwritten>> + Send;

    /// Appends an event, and returns its number.
    fn event(&self, event: &Event) -> impl Future<Output = Result<u64, Unwritten>> + Send;

    /// Keeps the master's log position.
    fn watermark(
        &self,
        pair: &PairName,
        mark: &Watermark,
    ) -> impl Future<Output = Result<(), Unwritten>> + Send;

    /// Keeps a JSON value under a key, in place of an older one.
    fn remember(
        &self,
        pair: &PairName,
        key: &'static str,
        body: &str,
    ) -> impl Future<Output = Result<(), Unwritten>> + Send;

    /// Keeps measurements.
    fn samples(
        &self,
        pair: &PairName,
        samples: &[Sample],
    ) -> impl Future<Output = Result<(), Unwritten>> + Send;

    /// Truly writes and syncs something, to find a full disk before it matters.
    fn test(&self) -> impl Future<Output = Result<(), Unwritten>> + Send;
}
