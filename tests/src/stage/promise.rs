//! What users are promised, asserted on a load's books and on the machines.
//!
//! How long an outage may last is measured elsewhere; here it only has to be sane, whatever else
//! this computer has to do.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::{Booked, Load, Stage, Told, texts};
use crate::http::get;
use crate::lab::{Result, SCHEDULER_UNIT, wait_for};

/// Clients of both loads together: what each had acknowledged last may be in flight to the slave
/// when a master dies without notice.
const CLIENTS: usize = 31;
/// Acknowledged writes after which users count as served.
const SERVED_WRITES: u64 = 20;
const SERVED_LIMIT: Duration = Duration::from_secs(60);
const SCHEDULER_LIMIT: Duration = Duration::from_secs(15);
/// How long a repair is waited for, from what made it due.
const REPAIR_LIMIT: Duration = Duration::from_secs(60);
/// Nobody who waits at the proxy is turned away sooner than this.
const OUTAGE_MAX_MS: f64 = 60_000.0;

/// One request through a proxy waits so long for its answer.
const PATIENT: Duration = Duration::from_secs(5);

/// What users are promised of the writes that were acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Each is there, once.
    AllKept,
    /// Replication is asynchronous and the master died without notice: each client may miss the
    /// one it had acknowledged last; none is there twice.
    LastInFlight,
}

impl Booked {
    /// Asserts that the promise was kept, and that users wrote.
    #[track_caller]
    pub fn assert_kept(&self, promise: Promise) {
        let lost = &self.compared.lost;
        let most = match promise {
            Promise::AllKept => 0,
            Promise::LastInFlight => CLIENTS,
        };
        assert!(lost.len() <= most, "{} acknowledged and lost: {lost:?}", lost.len());
        assert!(self.compared.doubled.is_empty(), "doubled: {:?}", self.compared.doubled);
        assert!(self.summary.writes_ok > 0, "nobody wrote at all");
        let gap_ms = self.summary.longest_gap_ms;
        assert!(gap_ms < OUTAGE_MAX_MS, "nobody could write for {gap_ms} ms");
    }

    /// Asserts that users noticed nothing: no request failed.
    #[track_caller]
    pub fn assert_unnoticed(&self) {
        assert!(self.summary.failed.is_empty(), "failed: {:?}", self.summary.failed);
    }
}

impl Stage {
    /// Waits until users' writes of this load arrive on `host`.
    pub fn wait_written(&self, load: &Load, host: &str) -> Result<()> {
        let machine = self.lab.machine(host);
        let query = format!("select count(*) from ({}) as ids", load.query());
        let mut from = None;
        wait_for(&format!("users to write on {host}"), SERVED_LIMIT, || {
            let count = machine.sql("desk", &query).map_err(|error| error.to_string())?;
            let count: u64 = count.parse().map_err(|_| format!("not a number: {count}"))?;
            let from = *from.get_or_insert(count);
            if count >= from + SERVED_WRITES { Ok(()) } else { Err(format!("{from} to {count}")) }
        })
    }

    /// Waits until users who come through `proxy` are answered by `host`.
    pub fn wait_served_by(&self, proxy: &str, host: &str, limit: Duration) -> Result<()> {
        let address = SocketAddr::from((self.lab.machine(proxy).address(), 80));
        let ask = || {
            let answer = get(address, "/tickets?limit=1", PATIENT)?;
            match answer.header("x-desk-host") {
                Some(name) if name == host => Ok(()),
                other => Err(format!("answered by {other:?} with {}", answer.status)),
            }
        };
        self.lab.in_client(|| wait_for(&format!("{proxy} to lead to {host}"), limit, ask))?
    }

    /// Waits until a repair that `rule` asked for is done, and the pair protected.
    pub fn wait_repaired(&self, rule: &str) -> Result<()> {
        wait_for(&format!("a repair by {rule} to be done"), REPAIR_LIMIT, || {
            let events = self.events().map_err(|error| error.to_string())?;
            let opened = events.of_kind("plan-opened");
            let plan = opened.iter().find(|event| event["rule"] == rule);
            let plan = plan.map(|event| &event["plan"]);
            let closed = events.of_kind("plan-closed");
            let ended = |event: &Value| Some(&event["plan"]) == plan && event["outcome"] == "done";
            if closed.iter().any(|event| ended(event)) { Ok(()) } else { Err(texts(&events)) }
        })?;
        self.wait_protected()
    }

    /// Asserts that users are led to `master` and nowhere else, and that its slave streams.
    #[track_caller]
    pub fn assert_in_order(&self, master: &str) -> Result<()> {
        let (told, status) = (texts(&self.events()?), self.status()?);
        let only = serde_json::json!([master]);
        assert_eq!(status["proxies"][0]["lets_in"], only, "{status}\n{told}");
        let streaming = "select count(*) from pg_stat_replication where state = 'streaming'";
        assert_eq!(self.lab.machine(master).sql("postgres", streaming)?, "1", "{told}");
        Ok(())
    }

    /// Waits until the singleton runs on `host` and on none of the machines in `not_on`.
    pub fn wait_scheduler(&self, host: &str, not_on: &[&str]) -> Result<()> {
        wait_for(&format!("the scheduler to run on {host} only"), SCHEDULER_LIMIT, || {
            let active = |name: &str| {
                let machine = self.lab.machine(name);
                let state = machine.exec(&["systemctl", "is-active", SCHEDULER_UNIT]);
                state.map(|output| output.stdout.trim() == "active")
            };
            let told = |error: crate::lab::LabError| error.to_string();
            if !active(host).map_err(told)? {
                return Err(format!("it does not run on {host}"));
            }
            for other in not_on {
                if active(other).map_err(told)? {
                    return Err(format!("it runs on {other}"));
                }
            }
            let query = "select host from scheduler_runs where at > now() - interval '3 s' \
                         order by at desc limit 1";
            let last = self.lab.machine(host).sql("desk", query).map_err(told)?;
            if last == host { Ok(()) } else { Err(format!("the last run was of '{last}'")) }
        })
    }
}
