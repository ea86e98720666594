//! One pair's line to the store: records first and in order, then events, then the rest.
//!
//! A record is on the critical path of a failover and an event is not, so whatever waits is
//! written in that order. Events that cannot be written are kept, up to a limit, and tried again;
//! the log has them all the same.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use observer_core::event::Event;
use observer_core::journal::Record;
use observer_core::pair::{Input, Ticket};
use observer_core::words::{Epoch, PairName};
use tokio::sync::{mpsc, oneshot, watch};

use super::archive::{Archive, Sample, Unwritten, Watermark};
use super::crash::CrashPoint;

/// Events kept in memory while the store fails; a failing disk is told once, not by thousands.
const BACKLOG: usize = 2_000;
/// Measurements kept until they are written together.
const SAMPLES: usize = 256;
/// How long one write may take before it counts as failed: a disk that hangs must not leave the
/// pair waiting for ever.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// Something to be written.
#[derive(Debug)]
pub(super) enum Write {
    /// Answered with `Recorded` or `NotRecorded`; the epoch is the one it belongs to.
    Record(Ticket, Epoch, Record),
    /// Not answered.
    Tell(Event),
    /// Not answered.
    Mark(Watermark),
    /// Not answered: a JSON value under a key.
    Remember(&'static str, String),
    /// Answered once all that was to be remembered before is.
    Kept(oneshot::Sender<()>),
    /// Not answered.
    Sample(Sample),
    /// Answered with `JournalTested`.
    Test,
}

/// The writing end's state.
pub(super) struct Writer<A> {
    /// Whose records these are.
    pub(super) pair: PairName,
    /// The store.
    pub(super) archive: A,
    /// Where answers go.
    pub(super) inputs: mpsc::UnboundedSender<Input>,
    /// Number of the last event that is durable.
    pub(super) last_event: watch::Sender<u64>,
    /// The hook for crash tests.
    pub(super) crash: CrashPoint,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<(Ticket, Epoch, Record)>,
    events: VecDeque<Event>,
    mark: Option<Watermark>,
    remembered: BTreeMap<&'static str, String>,
    kept: Vec<oneshot::Sender<()>>,
    samples: Vec<Sample>,
    tests: usize,
    /// Set while events cannot be written; cleared when something new comes in.
    held_back: bool,
}

impl<A: Archive> Writer<A> {
    /// Writes until the other end is dropped and everything that waits was tried.
    pub(super) async fn run(self, mut writes: mpsc::UnboundedReceiver<Write>) {
        let mut waiting = Waiting::default();
        loop {
            while let Ok(write) = writes.try_recv() {
                waiting.take(write);
            }
            if self.write_one(&mut waiting).await {
                continue;
            }
            match writes.recv().await {
                Some(write) => waiting.take(write),
                None => return,
            }
        }
    }

    /// Writes what is most urgent; false if nothing is to be written now.
    async fn write_one(&self, waiting: &mut Waiting) -> bool {
        if let Some((ticket, epoch, record)) = waiting.records.pop_front() {
            self.record(ticket, epoch, &record).await;
        } else if !waiting.kept.is_empty() {
            while let Some((key, body)) = waiting.remembered.pop_first() {
                self.keep(self.archive.remember(&self.pair, key, &body)).await;
            }
            for asker in waiting.kept.drain(..) {
                // Whoever asked may have gone meanwhile.
                let _ = asker.send(());
            }
        } else if let Some(event) = waiting.events.front().filter(|_| !waiting.held_back) {
            match in_time(self.archive.event(event)).await {
                Ok(seq) => {
                    waiting.events.pop_front();
                    self.last_event.send_replace(seq);
                }
                Err(why) => {
                    waiting.held_back = true;
                    tracing::debug!(pair = %self.pair, %why, "events wait for the store");
                }
            }
        } else if waiting.tests > 0 {
            waiting.tests = 0;
            let result = in_time(self.archive.test()).await;
            // Nobody listens any more only while the daemon stops.
            let _ = self.inputs.send(Input::JournalTested(result));
        } else if let Some(mark) = waiting.mark.take() {
            self.keep(self.archive.watermark(&self.pair, &mark)).await;
        } else if let Some((key, body)) = waiting.remembered.pop_first() {
            self.keep(self.archive.remember(&self.pair, key, &body)).await;
        } else if waiting.samples.len() >= SAMPLES {
            let samples = std::mem::take(&mut waiting.samples);
            self.keep(self.archive.samples(&self.pair, &samples)).await;
        } else {
            return false;
        }
        true
    }

    async fn record(&self, ticket: Ticket, epoch: Epoch, record: &Record) {
        // A record that takes long is neither written nor not written: only its own answer ends the
        // wait, since one that was given up for lost could still land after something else.
        let mut writing = std::pin::pin!(self.archive.record(&self.pair, epoch, record));
        let answer = loop {
            match tokio::time::timeout(WRITE_DEADLINE, &mut writing).await {
                Ok(answer) => break answer,
                Err(_) => {
                    let why = "the store is slow to write a record".to_owned();
                    let _ = self.inputs.send(Input::JournalTested(Err(why)));
                }
            }
        };
        let answer = match answer {
            Ok(()) => {
                self.crash.recorded(record);
                Input::Recorded(ticket)
            }
            Err(why) => {
                tracing::error!(pair = %self.pair, %why, "a journal record could not be written");
                Input::NotRecorded(ticket, why)
            }
        };
        let _ = self.inputs.send(answer);
    }

    /// For what is only convenient to have: a failure is for the log, the write test tells it.
    async fn keep(&self, write: impl Future<Output = Result<(), Unwritten>>) {
        if let Err(why) = in_time(write).await {
            tracing::debug!(pair = %self.pair, %why, "a measurement was not kept");
        }
    }
}

impl Waiting {
    fn take(&mut self, write: Write) {
        self.held_back = false;
        match write {
            Write::Record(ticket, epoch, record) => self.records.push_back((ticket, epoch, record)),
            Write::Tell(event) => {
                if self.events.len() == BACKLOG {
                    self.events.pop_front();
                }
                self.events.push_back(event);
            }
            Write::Mark(mark) => self.mark = Some(mark),
            Write::Remember(key, body) => {
                self.remembered.insert(key, body);
            }
            Write::Kept(asker) => self.kept.push(asker),
            Write::Sample(sample) => self.samples.push(sample),
            Write::Test => self.tests += 1,
        }
    }
}

async fn in_time<T>(write: impl Future<Output = Result<T, Unwritten>>) -> Result<T, Unwritten> {
    let late = || Err(format!("the store did not answer within {} s", WRITE_DEADLINE.as_secs()));
    tokio::time::timeout(WRITE_DEADLINE, write).await.unwrap_or_else(|_| late())
}
