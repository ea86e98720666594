//! What a test does to the machines, beside what users and the observer do.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Stage;
use crate::lab::{Doing, Result};

/// How long HAProxy may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The node that is not `host`.
#[must_use]
pub fn other(host: &str) -> &'static str {
    if host == "node-a" { "node-b" } else { "node-a" }
}

impl Stage {
    /// Says something to the HAProxy of the first proxy at its runtime socket, and returns what it
    /// answers.
    ///
    /// # Panics
    /// When the proxy is off, which is a mistake in the scenario.
    pub fn haproxy(&self, command: &str) -> Result<String> {
        let pid = self.lab.machine("proxy").leader_pid().expect("the proxy is on");
        let path = format!("/proc/{pid}/root/run/haproxy/admin.sock");
        let mut stream =
            UnixStream::connect(path).doing(|| "open the runtime socket".to_owned())?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).doing(|| "limit the wait".to_owned())?;
        stream
            .write_all(format!("{command}\n").as_bytes())
            .doing(|| format!("tell HAProxy: {command}"))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).doing(|| "hear HAProxy".to_owned())?;
        Ok(answer)
    }
}
