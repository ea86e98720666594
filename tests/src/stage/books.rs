//! A load under a scenario, and its books afterwards.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Stage;
use crate::lab::{LabError, Result};
use crate::load::{Comparison, HTTP_IDS, SQL_IDS, Summary, compare_with};

/// Requests of so many seconds can wait at the proxy before some are not sent.
const WAITING_MAX_SECONDS: u32 = 10;

/// A running load; it is ended when dropped.
pub struct Load {
    child: Child,
    out: PathBuf,
    query: &'static str,
}

/// What a load's books say.
#[derive(Debug)]
pub struct Booked {
    /// What the clients saw.
    pub summary: Summary,
    /// What the database of the final master holds of it.
    pub compared: Comparison,
}

impl Stage {
    /// One client with a single-row INSERT every 10 ms through the proxy's PostgreSQL frontend.
    pub fn start_sql(&self, limit: Duration) -> Result<Load> {
        let url = self.lab.sql_url()?;
        self.start("sql", SQL_IDS, limit, &["--url", &url])
    }

    /// Thirty workers of mixed GET and POST through the proxy.
    pub fn start_http(&self, limit: Duration) -> Result<Load> {
        let address = self.lab.http_address().to_string();
        self.start("http", HTTP_IDS, limit, &["--url", &address])
    }

    /// So many requests in a second through the proxy, mixed as those of [`Stage::start_http`],
    /// sent when they are due: those that wait hold no other back.
    pub fn start_http_at(&self, per_second: u32, limit: Duration) -> Result<Load> {
        let (address, rate) = (self.lab.http_address().to_string(), per_second.to_string());
        let workers = per_second.saturating_mul(WAITING_MAX_SECONDS).to_string();
        let words = ["--url", &address, "--rate", &rate, "--workers", &workers];
        let waits = ["--request-limit", "60s"];
        self.start("http", HTTP_IDS, limit, &[&words[..], &waits].concat())
    }

    /// Eight lasting SQL sessions through the proxy, each with ten INSERTs in a second, which
    /// reconnect when they break.
    pub fn start_sessions(&self, limit: Duration) -> Result<Load> {
        let url = self.lab.sql_url()?;
        self.start("sessions", SQL_IDS, limit, &["--url", &url])
    }

    /// The same through the PgBouncer.
    pub fn start_pooled_sessions(&self, limit: Duration) -> Result<Load> {
        let url = self.lab.pooled_url()?;
        self.start("sessions", SQL_IDS, limit, &["--url", &url])
    }

    fn start(
        &self,
        verb: &str,
        query: &'static str,
        limit: Duration,
        words: &[&str],
    ) -> Result<Load> {
        let out = self.lab.dir().join(format!("load-{verb}.json"));
        let program = self.lab.program("load").display().to_string();
        let seconds = format!("{}s", limit.as_secs());
        let path = out.display().to_string();
        let mut all = vec![program.as_str(), verb];
        all.extend_from_slice(words);
        all.extend_from_slice(&["--for", &seconds, "--out", &path]);
        // Its books say more than the line it prints.
        let child = self.lab.client_command().args(&all).stdout(Stdio::null()).spawn();
        let child = child
            .map_err(|source| LabError::Io { doing: format!("start the load {verb}"), source })?;
        Ok(Load { child, out, query })
    }

    /// Ends a load and compares its books with the database of `master`.
    pub fn finish(&self, mut load: Load, master: &str) -> Result<Booked> {
        load.stop()?;
        let summary = Summary::read(&load.out).map_err(|source| LabError::Io {
            doing: "read the load's summary".to_owned(),
            source,
        })?;
        let compared = compare_with(self.lab.machine(master), load.query, &load.out)?;
        Ok(Booked { summary, compared })
    }
}

impl Load {
    /// The query that finds its writes in the database `desk`.
    pub(super) fn query(&self) -> &'static str {
        self.query
    }

    fn stop(&mut self) -> Result<()> {
        let io = |source| LabError::Io { doing: "end the load".to_owned(), source };
        if self.child.try_wait().map_err(io)?.is_none() {
            let pid = i32::try_from(self.child.id()).expect("a pid is small");
            // It may have ended by itself a moment ago.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        self.child.wait().map_err(io)?;
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // The lab ends what is left in its namespaces; this only reaps a load nobody asked about.
        let _ = self.stop();
    }
}
