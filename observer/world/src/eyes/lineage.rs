//! Which timelines a database came by, as its history file says.
//!
//! The file needs another user's rights and changes only with the timeline or a restart: it is read
//! once for each, beside the looks, so that no look ever waits for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use observer_core::sighting::Branch;
use observer_core::words::Timeline;
use tokio::time::Instant;

use crate::pair_world::Host;
use crate::postgres::Look;
use crate::postgres::control::left_at;

const DEADLINE: Duration = Duration::from_secs(5);
/// How long what could not be read is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
const OUTPUT_MAX: usize = 256 * 1024;

/// The lineage of one host's database.
#[derive(Default)]
pub(crate) struct Lineage(Arc<Mutex<Option<Reading>>>);

struct Reading {
    /// When the server was started, and its timeline.
    of: (u64, u32),
    began: Instant,
    branches: Option<Vec<Branch>>,
}

impl Lineage {
    /// The timelines before that of `seen`; none while they are not read.
    pub(crate) fn of(&self, host: &Host, seen: &Look) -> Option<Vec<Branch>> {
        if seen.timeline <= 1 {
            return Some(Vec::new());
        }
        let of = (seen.started_at_ms, seen.timeline);
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = reading.as_ref().filter(|reading| reading.of == of)
            && (known.branches.is_some() || known.began.elapsed() < AGAIN_AFTER)
        {
            return known.branches.clone();
        }
        *reading = Some(Reading { of, began: Instant::now(), branches: None });
        let (ssh, shared) = (host.ssh.clone(), self.0.clone());
        let command = host.commands.standby.histories.command();
        tokio::spawn(async move {
            let Ok(output) = ssh.exec(&command, "", DEADLINE, OUTPUT_MAX).await else { return };
            let text = String::from_utf8_lossy(&output.stdout);
            let branches = branches(&text, Timeline(of.1));
            let mut reading = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(reading) = reading.as_mut().filter(|reading| reading.of == of) {
                reading.branches = branches;
            }
        });
        None
    }
}

/// A timeline after the first has a file that names at least one.
fn branches(text: &str, timeline: Timeline) -> Option<Vec<Branch>> {
    let left = left_at(text, timeline).into_iter();
    let branches: Vec<Branch> =
        left.map(|(timeline, left_at)| Branch { timeline, left_at }).collect();
    (!branches.is_empty()).then_some(branches)
}
