//! What is done on purpose: switchovers there and back, and the old master's way back as a slave.
//!
//! Users work all the while, more of them than in the blows: requests are sent when they are due,
//! and some sessions last.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tests::lab::{Result, wait_for};
use tests::stage::{Booked, Load, ON_RETURN_ASK, Stage};

/// Longer than any run: a load is ended by hand.
const LOAD: Duration = Duration::from_secs(600);
/// Users work so long before and after.
const AROUND: Duration = Duration::from_secs(3);
/// How long an order may take: a clone copies all there is.
const ORDER_LIMIT: Duration = Duration::from_secs(300);
const FAILED_OVER_LIMIT: Duration = Duration::from_secs(60);

/// How the old master comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WayBack {
    /// Its log still holds where the two parted.
    Rewind,
    /// Its log is gone, and the database is large: only a clone is left.
    Clone,
}

impl WayBack {
    fn name(self) -> &'static str {
        match self {
            WayBack::Rewind => "rejoin-rewind",
            WayBack::Clone => "rejoin-clone",
        }
    }
}

/// The figures of one order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ordered {
    pub(crate) what: String,
    /// The master afterwards.
    pub(crate) master: String,
    /// From the order to its end, as the person who gave it sees it.
    pub(crate) order_ms: f64,
    /// From the order until the pair is protected.
    pub(crate) protected_ms: f64,
    /// Size of the database's files on the master.
    pub(crate) database_bytes: u64,
    pub(crate) http: Seen,
    pub(crate) sql: Seen,
    /// Reconnects of each SQL session.
    pub(crate) reconnects: Vec<usize>,
}

/// What one load went through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) sent: usize,
    /// Due, and not sent because too many waited.
    pub(crate) unsent: usize,
    pub(crate) failed: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    /// The longest time in which nothing was answered.
    pub(crate) pause_ms: f64,
    pub(crate) latency_p50_ms: f64,
    pub(crate) latency_p99_ms: f64,
    pub(crate) latency_max_ms: f64,
}

/// Switches over and back, so often, on the same machines.
pub(crate) fn measure_switchovers(times: usize, rate: u32) -> Result<Vec<Ordered>> {
    let stage = crate::set(Vec::new())?;
    let mut runs = Vec::new();
    for _ in 0..2 * times {
        let users = Users::start(&stage, rate)?;
        runs.push(users.through(&stage, "switchover", &["switchover", "--yes"])?);
    }
    Ok(runs)
}

/// Fails over on fresh machines and brings the old master back.
pub(crate) fn measure_rejoin(way: WayBack, rate: u32) -> Result<Ordered> {
    // By itself it would be back before the order is given.
    let stage = crate::set(vec![ON_RETURN_ASK])?;
    let old = stage.lab.machine("node-a");
    if way == WayBack::Clone {
        grow(&stage)?;
    }
    let users = Users::start(&stage, rate)?;
    std::thread::sleep(AROUND);
    old.crash()?;
    stage.wait_master("node-b", FAILED_OVER_LIMIT)?;
    old.power_on()?;
    if way == WayBack::Clone {
        old.run(&["sh", "-c", "rm -f /var/lib/postgresql/15/main/pg_wal/0*"])?;
    }
    // The blow is measured elsewhere; here only what the way back does to users.
    drop(users);
    Users::start(&stage, rate)?.through(&stage, way.name(), &["rejoin", "--yes"])
}

/// All users of a run.
struct Users {
    http: Load,
    sessions: Load,
}

impl Users {
    /// So many requests a second, beside the lasting sessions.
    fn start(stage: &Stage, rate: u32) -> Result<Self> {
        let http = stage.start_http_at(rate, LOAD)?;
        Ok(Self { http, sessions: stage.start_sessions(LOAD)? })
    }

    /// Gives an order while they work, and closes their books.
    fn through(self, stage: &Stage, what: &str, order: &[&str]) -> Result<Ordered> {
        std::thread::sleep(AROUND);
        let began = Instant::now();
        let words = [&["ha-observer"][..], order].concat();
        stage.observer().exec_within(ORDER_LIMIT, &words)?.success()?;
        let order_ms = began.elapsed().as_secs_f64() * 1000.0;
        stage.wait_protected()?;
        let protected_ms = began.elapsed().as_secs_f64() * 1000.0;
        std::thread::sleep(AROUND);
        let master = stage.status()?["master"].as_str().unwrap_or_default().to_owned();
        let http = stage.finish(self.http, &master)?;
        let sessions = stage.finish(self.sessions, &master)?;
        let books = sessions.summary.sessions.iter();
        Ok(Ordered {
            what: what.to_owned(),
            database_bytes: database_bytes(stage, &master)?,
            master,
            order_ms,
            protected_ms,
            reconnects: books.map(|book| book.sessions.saturating_sub(1)).collect(),
            http: Seen::of(&http),
            sql: Seen::of(&sessions),
        })
    }
}

impl Ordered {
    #[expect(clippy::cast_precision_loss, reason = "the size is shown in megabytes")]
    pub(crate) fn database_mb(&self) -> f64 {
        self.database_bytes as f64 / 1e6
    }
}

impl Seen {
    fn of(booked: &Booked) -> Self {
        let Booked { summary, compared } = booked;
        Self {
            sent: summary.attempts,
            unsent: summary.unsent,
            failed: summary.failed.len(),
            lost: compared.lost.len(),
            doubled: compared.doubled.len(),
            pause_ms: summary.pause_ms,
            latency_p50_ms: summary.latency.p50_ms,
            latency_p99_ms: summary.latency.p99_ms,
            latency_max_ms: summary.latency.max_ms,
        }
    }
}

/// Makes the database two gigabytes larger, and waits until the slave has them, too.
fn grow(stage: &Stage) -> Result<()> {
    const PORTIONS: usize = 16;
    let master = stage.lab.machine("node-a");
    master.sql("desk", "create table ballast (filling text not null)")?;
    for _ in 0..PORTIONS {
        // Four such rows fill a page, and none is long enough to be compressed: 125 MB.
        let portion = "insert into ballast select repeat(md5(number::text), 60) \
                       from generate_series(1, 64000) as number";
        master.sql("desk", portion)?;
    }
    let master_lsn = master.sql("postgres", "select pg_current_wal_lsn()")?;
    let query = format!("select pg_last_wal_replay_lsn() >= '{master_lsn}'");
    wait_for("the slave to have it all", ORDER_LIMIT, || {
        let seen = stage.lab.machine("node-b").sql("postgres", &query);
        match seen.map_err(|error| error.to_string())?.as_str() {
            "t" => Ok(()),
            other => Err(format!("replayed: {other}")),
        }
    })
}

fn database_bytes(stage: &Stage, master: &str) -> Result<u64> {
    let query = "select sum(pg_database_size(oid))::bigint from pg_database";
    Ok(stage.lab.machine(master).sql("postgres", query)?.parse().unwrap_or(0))
}
