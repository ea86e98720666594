//! Many HTTP clients with mixed GET and POST, half of them on kept connections: each at its own
//! pace, or all together at a given rate.
//!
//! With a rate the load is open: requests are sent when they are due, however long the answers to
//! earlier ones take, as users do who know nothing of each other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::exchange::{Connections, Sender, Target, exchange};
use super::record::{Attempt, Kind, Record, Shared};

/// How the clients behave.
#[derive(Debug, Clone)]
pub struct HttpLoad {
    /// The proxy.
    pub address: SocketAddr,
    /// How many clients; every second one opens a new connection for each request.
    pub workers: usize,
    /// When a client sends its next request.
    pub pace: Pace,
    /// How long they run, unless told to end earlier.
    pub duration: Duration,
    /// How long a worker waits for an answer, connecting included.
    pub request_limit: Duration,
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Each client waits so long after an answer.
    Pause(Duration),
    /// All together send so many in a second. One that is due while every client still waits for
    /// an answer is not sent, and counted.
    PerSecond(u32),
}

/// Runs the load to its end; requests in flight then are waited for.
pub async fn run(load: &HttpLoad) -> std::io::Result<Record> {
    let record = Shared::begin();
    let (stop, stopped) = tokio::sync::watch::channel(());
    let mut workers = JoinSet::new();
    match load.pace {
        Pace::Pause(pause) => {
            for number in 0..load.workers {
                let client = Client::new(load, &record, number);
                workers.spawn(client.work(pause, stopped.clone()));
            }
        }
        Pace::PerSecond(rate) => {
            workers.spawn(send_when_due(load.clone(), rate, record.clone(), stopped));
        }
    }
    super::end(load.duration).await?;
    let _ = stop.send(());
    while workers.join_next().await.is_some() {}
    Ok(record.close())
}

/// A client that sends one request after the other.
struct Client {
    target: Target,
    record: Shared,
    number: usize,
    connections: Connections,
}

impl Client {
    fn new(load: &HttpLoad, record: &Shared, number: usize) -> Self {
        let target = Target { address: load.address, limit: load.request_limit };
        let connections =
            if number.is_multiple_of(2) { Connections::Kept } else { Connections::New };
        Self { target, record: record.clone(), number, connections }
    }

    async fn work(self, pause: Duration, mut stopped: Receiver<()>) {
        let mut sender = None;
        for round in 0_u64.. {
            // Clients alternate in opposite phases, so that there are always both kinds.
            let kind = kind_of(round + self.number as u64 / 2);
            let id = format!("{}-{round}", self.number);
            let start_us = self.record.with(|record| record.now_us());
            self.request(&mut sender, kind, &id, start_us).await;
            tokio::select! {
                _ = stopped.changed() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends one request that was due at `start_us`, and enters it into the books.
    async fn request(&self, kept: &mut Option<Sender>, kind: Kind, id: &str, start_us: u64) {
        let id = match kind {
            Kind::Write => format!("{}-{id}", self.record.with(|record| record.run_id())),
            Kind::Read => String::new(),
        };
        let (outcome, why) = exchange(self.target, self.connections, kept, &id).await;
        self.record.with(|record| {
            let end_us = record.now_us();
            record.enter(Attempt { start_us, end_us, kind, outcome, id, why });
        });
    }
}

/// Sends each request at its moment, as long as a client is free.
async fn send_when_due(load: HttpLoad, rate: u32, record: Shared, mut stopped: Receiver<()>) {
    let free = Arc::new(Semaphore::new(load.workers));
    let idle = Arc::new(Mutex::new(Vec::<Sender>::new()));
    let (began, began_us) = (Instant::now(), record.with(|record| record.now_us()));
    let mut requests = JoinSet::new();
    for number in 0_u64.. {
        let due_us = number * 1_000_000 / u64::from(rate);
        tokio::select! {
            () = sleep_until(began + Duration::from_micros(due_us)) => {}
            _ = stopped.changed() => break,
        }
        // What has ended is forgotten as it comes, or a long load would hold all of it.
        while requests.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&free).try_acquire_owned() else {
            record.with(Record::enter_unsent);
            continue;
        };
        let idle = Arc::clone(&idle);
        // Kept and new connections by turns, and both kinds of request on either.
        let client = Client::new(&load, &record, usize::from(number / 2 % 2 == 1));
        requests.spawn(async move {
            let mut kept = match client.connections {
                Connections::Kept => locked(&idle).pop(),
                Connections::New => None,
            };
            // Counted from the moment it was due: a load that lags must not flatter.
            let start_us = began_us + due_us;
            client.request(&mut kept, kind_of(number), &number.to_string(), start_us).await;
            locked(&idle).extend(kept);
            drop(place);
        });
    }
    while requests.join_next().await.is_some() {}
}

/// Reads and writes by turns.
fn kind_of(number: u64) -> Kind {
    if number.is_multiple_of(2) { Kind::Write } else { Kind::Read }
}

fn locked(idle: &Mutex<Vec<Sender>>) -> std::sync::MutexGuard<'_, Vec<Sender>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
