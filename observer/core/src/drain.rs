//! Drained hosts: users are kept away from them by a person's order, and everything else goes on.
//!
//! The order is the journal's; that the host's monitor file says so is made true, and kept true,
//! by the repair of what drifted. So a drain survives whatever ends in its middle.

use serde::{Deserialize, Serialize};

use crate::journal::{Memory, Record};
use crate::words::At;

/// A person's order to keep users away from a host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DrainOrder {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it was ordered.
    pub since: At,
    /// When it ends by itself.
    pub until: Option<At>,
    /// How long sessions may take to end before it is told how many are left, in milliseconds.
    pub limit_ms: u64,
}

/// A drain, and how far it has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drain {
    /// What was ordered.
    pub order: DrainOrder,
    /// What was found when nobody was left, or when the limit was over; none before.
    pub settled: Option<Settled>,
}

/// How a drain stood once it was done, or its limit was over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled {
    /// When.
    pub at: At,
    /// Sessions that were left; none where they could not be counted.
    pub left: Option<u64>,
}

impl Memory {
    /// Takes a record about a drain in.
    pub(crate) fn apply_drain(&mut self, record: &Record) {
        match record {
            Record::DrainBegan { host, order, .. } => {
                self.returning.remove(host);
                // An order that changes the reason or the end of one changes nothing of it else.
                let settled = self.drained.get(host).and_then(|drain| drain.settled);
                let settled = settled.filter(|settled| settled.left == Some(0));
                self.drained.insert(host.clone(), Drain { order: order.clone(), settled });
            }
            Record::DrainSettled { at, host, left } => {
                if let Some(drain) = self.drained.get_mut(host) {
                    drain.settled = Some(Settled { at: *at, left: *left });
                }
            }
            Record::DrainEnded { at, host, .. } => {
                self.drained.remove(host);
                self.returning.insert(host.clone(), *at);
            }
            Record::UsersReturned { host, .. } => {
                self.returning.remove(host);
            }
            _ => {}
        }
    }
}
