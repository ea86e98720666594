//! What a failover now would lose of what users were told is safe.
//!
//! Replication is asynchronous unless said otherwise, so this is an estimate from what the master
//! last said of its log: bytes it had written and the slave has not received, and the time during
//! which commits may have been acknowledged without reaching the slave.

use serde::{Deserialize, Serialize};

use super::Inputs;
use crate::facts::Loss;
use crate::policy::Policy;
use crate::sighting::{Class, Look};
use crate::words::{At, HostName, Lsn, human_bytes, human_ms};

/// The estimate; empty where nothing is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LossEstimate {
    /// The master's last known position.
    pub reached: Option<Lsn>,
    /// Bytes up to it that the slave has not received.
    pub bytes: Option<u64>,
    /// Milliseconds during which commits may have been acknowledged and not received.
    pub ms: Option<u64>,
}

impl LossEstimate {
    /// Holds the estimate against the loss budget.
    pub fn against(&self, policy: &Policy) -> Loss {
        match (self.bytes, self.ms) {
            (Some(bytes), Some(ms)) => {
                if bytes <= policy.loss_budget_bytes && ms <= policy.loss_budget_ms {
                    Loss::WithinBudget
                } else {
                    Loss::OverBudget
                }
            }
            _ => Loss::Unknown,
        }
    }

    /// As a person reads it.
    pub fn text(&self) -> String {
        match (self.bytes, self.ms) {
            (Some(bytes), Some(ms)) => {
                format!("{} of log, {} of commits at most", human_bytes(bytes), human_ms(ms))
            }
            _ => "unknown".to_owned(),
        }
    }
}

pub(super) fn estimate(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    candidate: Option<&HostName>,
) -> LossEstimate {
    let (Some(master), Some(candidate)) = (master, candidate) else {
        return LossEstimate::default();
    };
    let Some(received) = inputs.last_report(candidate).map(|report| report.lsn) else {
        return LossEstimate::default();
    };
    let Some((last_at, reached)) = inputs.snapshot.positions(master).next_back() else {
        return LossEstimate::default();
    };
    let covered = inputs.snapshot.positions(master).rev().find(|(_, lsn)| *lsn <= received);
    let oldest = inputs.snapshot.positions(master).next();
    let covered_at = covered.or(oldest).map_or(last_at, |(at, _)| at);
    let unseen = died_at(inputs, master).since(last_at);
    LossEstimate {
        reached: Some(reached),
        bytes: Some(received.behind(reached)),
        ms: Some(last_at.since(covered_at) + unseen),
    }
}

/// When the master's database stopped answering us; now, while it answers.
fn died_at(inputs: Inputs<'_>, master: &HostName) -> At {
    match inputs.snapshot.get(&Look::Database(master.clone())) {
        Some(entry) if entry.class != Class::Good => entry.since,
        _ => inputs.now,
    }
}
