//! The store on a thread of its own, for callers that must not block.
//!
//! Calls are done one after the other, in the order in which they were made.

use std::path::Path;

use tokio::sync::{mpsc, oneshot};

use super::{EventRecord, JournalRecord, Sample, Store, StoreError};

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// Calls that wait for the disk at the same time; more than this makes the next caller wait.
const WAITING_MAX: usize = 256;

/// An async way to a [`Store`]. Clones share it; it closes after the last one is gone.
#[derive(Clone)]
pub struct StoreHandle {
    jobs: mpsc::Sender<Job>,
}

impl StoreHandle {
    /// Opens the store at `path` on a new thread; see [`Store::open`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(WAITING_MAX);
        let (opened, outcome) = oneshot::channel();
        let path = path.to_owned();
        let unusable =
            |error: std::io::Error, path| StoreError::Unusable { path, why: error.to_string() };
        let thread = std::thread::Builder::new().name("store".to_owned());
        let spawned = thread.spawn({
            let path = path.clone();
            move || match Store::open(&path) {
                Ok(mut store) => {
                    let _ = opened.send(Ok(()));
                    while let Some(job) = waiting.blocking_recv() {
                        job(&mut store);
                    }
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                }
            }
        });
        spawned.map_err(|error| unusable(error, path))?;
        outcome.await.map_err(|_| StoreError::Closed)??;
        Ok(Self { jobs })
    }

    /// Runs `call` on the store and waits for its result. A caller that stops waiting does not
    /// undo the call.
    pub async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, result) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            let _ = sender.send(call(store));
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// See [`Store::append_journal`].
    pub async fn append_journal(&self, record: JournalRecord) -> Result<u64, StoreError> {
        self.call(move |store| store.append_journal(&record)).await
    }

    /// See [`Store::append_event`].
    pub async fn append_event(&self, event: EventRecord) -> Result<u64, StoreError> {
        self.call(move |store| store.append_event(&event)).await
    }

    /// See [`Store::append_samples`].
    pub async fn append_samples(&self, samples: Vec<Sample>) -> Result<(), StoreError> {
        self.call(move |store| store.append_samples(&samples)).await
    }

    /// See [`Store::can_write`].
    pub async fn can_write(&self) -> Result<(), StoreError> {
        self.call(|store| store.can_write()).await
    }
}
