//! Several SQL sessions that live as long as they are let: each writes at a steady pace, and opens
//! a new session when its own broke or failed, as a connection pool does.
//!
//! It tells per session how often that was. The pace is slow: what is asked is whether sessions
//! survive, not how fast the database is.

use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Client;

use super::record::{Attempt, Kind, Outcome, Record, SessionBook, Shared};
use super::sql::{SqlLoad, insert, open};

/// Runs `count` sessions to the end of the load; `load.every` is the pace of each.
pub async fn run(load: &SqlLoad, count: usize) -> std::io::Result<Record> {
    let record = Shared::begin();
    let (stop, stopped) = tokio::sync::watch::channel(());
    let mut sessions = JoinSet::new();
    for number in 0..count {
        let session = Session {
            load: load.clone(),
            record: record.clone(),
            number,
            client: None,
            book: SessionBook { sessions: 0, errors: 0 },
        };
        sessions.spawn(session.live(stopped.clone()));
    }
    super::end(load.duration).await?;
    let _ = stop.send(());
    while let Some(ended) = sessions.join_next().await {
        let book = ended.map_err(std::io::Error::other)?;
        record.with(|record| record.enter_session(book));
    }
    Ok(record.close())
}

struct Session {
    load: SqlLoad,
    record: Shared,
    number: usize,
    client: Option<Client>,
    book: SessionBook,
}

impl Session {
    async fn live(mut self, mut stopped: Receiver<()>) -> SessionBook {
        let mut ticks = interval(self.load.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let run = self.record.with(|record| record.run_id());
        for round in 0_u64.. {
            let id = format!("{run}-{}-{round}", self.number);
            ticks.tick().await;
            let start_us = self.record.with(|record| record.now_us());
            let (outcome, why) = tokio::select! {
                // An attempt that the end of the load cuts short tells nothing about the system.
                _ = stopped.changed() => break,
                result = self.write(&id) => result,
            };
            if outcome != Outcome::Ok {
                self.book.errors += 1;
            }
            self.record.with(|record| {
                let end_us = record.now_us();
                record.enter(Attempt { start_us, end_us, kind: Kind::Write, outcome, id, why });
            });
        }
        self.book
    }

    async fn write(&mut self, id: &str) -> (Outcome, String) {
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => match open(&self.load).await {
                Ok(client) => {
                    self.book.sessions += 1;
                    client
                }
                Err(why) => return (Outcome::Failed, why),
            },
        };
        let (outcome, why) = insert(&self.load, &client, id).await;
        // After an error nothing is known of the session: a new one is safe.
        self.client = (outcome == Outcome::Ok).then_some(client);
        (outcome, why)
    }
}
