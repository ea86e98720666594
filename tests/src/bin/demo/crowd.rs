//! The users as their proxy counts them, for the live lines of the demonstration.
//!
//! Outages and losses are not taken from here: those come from the clients' own books.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tests::lab::Machine;

const LIMIT: Duration = Duration::from_millis(500);

/// The counters of the application's backend at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    /// When.
    pub(crate) at: Instant,
    /// Requests answered with success since the proxy's start.
    pub(crate) answered: u64,
    /// Requests that are in the proxy's hands: under way, or waiting for a host.
    pub(crate) inside: u64,
}

/// The proxy's runtime socket.
pub(crate) struct Crowd {
    socket: PathBuf,
}

impl Crowd {
    /// The crowd at this proxy; none while the machine is off.
    pub(crate) fn at(proxy: &Machine) -> Option<Self> {
        let leader = proxy.leader_pid()?;
        Some(Self { socket: format!("/proc/{leader}/root/run/haproxy/admin.sock").into() })
    }

    /// The counters now; none if the proxy does not answer.
    pub(crate) fn count(&self) -> Option<Count> {
        let mut socket = UnixStream::connect(&self.socket).ok()?;
        socket.set_read_timeout(Some(LIMIT)).ok()?;
        socket.write_all(b"show stat desk 2 -1\n").ok()?;
        let mut text = String::new();
        socket.read_to_string(&mut text).ok()?;
        let names: Vec<&str> = text.lines().next()?.split(',').collect();
        let row: Vec<&str> = text.lines().nth(1)?.split(',').collect();
        let value = |name: &str| {
            let index = names.iter().position(|column| *column == name)?;
            row.get(index)?.parse().ok()
        };
        Some(Count { at: Instant::now(), answered: value("hrsp_2xx")?, inside: value("scur")? })
    }
}

impl Count {
    /// Answered requests per second between an earlier count and this.
    #[expect(clippy::cast_precision_loss, reason = "counts of a demonstration are small")]
    pub(crate) fn rate_since(&self, earlier: &Count) -> f64 {
        let time = self.at.duration_since(earlier.at).as_secs_f64();
        if time <= 0.0 {
            return 0.0;
        }
        self.answered.saturating_sub(earlier.answered) as f64 / time
    }
}
