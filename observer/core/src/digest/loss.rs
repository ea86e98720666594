//! What a failover now would lose of what users were told is safe.
//!
//! Replication is asynchronous unless said otherwise, so this is an estimate from what the master
//! last said of its log: bytes it had written and the slave has not received, and the time during
//! which commits may have been acknowledged without reaching the slave.

use serde::{Deserialize, Serialize};

use super::{FileStanding, Inputs, files};
use crate::facts::Loss;
use crate::policy::{Policy, Store};
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
    /// Age of the oldest change of a file that the slave may lack, in milliseconds; the greatest
    /// number there is if it cannot be told, none where no file sets are kept.
    #[serde(default)]
    pub files_ms: Option<u64>,
    /// Where the database is kept: of an external one nothing can be lost here.
    #[serde(default)]
    pub store: Store,
}

impl LossEstimate {
    /// Holds the estimate against the loss budget.
    pub fn against(&self, policy: &Policy) -> Loss {
        match (self.bytes, self.ms) {
            (Some(bytes), Some(ms)) => {
                if bytes <= policy.loss_budget_bytes && ms <= policy.loss_budget_ms {
                    self.of_files_against(policy)
                } else {
                    Loss::OverBudget
                }
            }
            _ => Loss::Unknown,
        }
    }

    /// Holds what is at risk of the files alone against the loss budget.
    pub fn of_files_against(&self, policy: &Policy) -> Loss {
        match self.files_ms {
            Some(age) if age > policy.loss_budget_files_ms => Loss::OverBudget,
            _ => Loss::WithinBudget,
        }
    }

    /// As a person reads it.
    pub fn text(&self) -> String {
        let log = match (self.bytes, self.ms) {
            _ if self.store == Store::External => "nothing of the database".to_owned(),
            (Some(bytes), Some(ms)) => {
                format!("{} of log, {} of commits at most", human_bytes(bytes), human_ms(ms))
            }
            _ => "unknown".to_owned(),
        };
        match self.files_ms {
            None => log,
            Some(u64::MAX) => format!("{log}, and it is not known which files"),
            Some(age) => format!("{log}, {} of changes of files at most", human_ms(age)),
        }
    }
}

pub(super) fn estimate(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    candidate: Option<&HostName>,
    files: &[FileStanding],
) -> LossEstimate {
    let files_ms = files::at_risk_ms(files);
    let store = inputs.spec.store;
    let unknown = LossEstimate { files_ms, store, ..LossEstimate::default() };
    let (Some(master), Some(candidate)) = (master, candidate) else {
        return unknown;
    };
    let Some(received) = inputs.last_report(candidate).map(|report| report.lsn) else {
        return unknown;
    };
    let Some((last_at, reached)) = inputs.snapshot.positions(master).next_back() else {
        return unknown;
    };
    let covered = inputs.snapshot.positions(master).rev().find(|(_, lsn)| *lsn <= received);
    let oldest = inputs.snapshot.positions(master).next();
    let covered_at = covered.or(oldest).map_or(last_at, |(at, _)| at);
    let unseen = died_at(inputs, master).since(last_at);
    LossEstimate {
        reached: Some(reached),
        bytes: Some(received.behind(reached)),
        ms: Some(last_at.since(covered_at) + unseen),
        files_ms,
        store,
    }
}

/// When the master's database, or the machine where that is external, stopped answering us; now,
/// while it answers.
pub(super) fn died_at(inputs: Inputs<'_>, master: &HostName) -> At {
    let look = match inputs.spec.store {
        Store::OnHosts => Look::Database(master.clone()),
        Store::External => Look::Machine(master.clone()),
    };
    match inputs.snapshot.get(&look) {
        Some(entry) if entry.class != Class::Good => entry.since,
        _ => inputs.now,
    }
}
