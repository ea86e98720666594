//! Drained hosts: users are kept away from them by a person's order, and everything else goes on.
//!
//! The order is the journal's; that the host's monitor file says so is made true, and kept true,
//! by the repair of what drifted. So a drain survives whatever ends in its middle.

use serde::{Deserialize, Serialize};

use crate::journal::{Memory, Record};
use crate::words::{At, HostName};

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
    /// Sessions that were left; none where they could not be counted, or where nobody was there and
    /// balancers might still send somebody.
    pub left: Option<u64>,
}

/// A host that users may come to again, and have not been seen to yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Returning {
    /// Since when.
    pub since: At,
    /// True if a person undrained it; false where its role, or the end of a maintenance, lets
    /// users come.
    pub undrained: bool,
}

impl Memory {
    /// Lets users come to a host again that they were kept away from by what it was.
    pub(crate) fn let_return(&mut self, host: &HostName, since: At) {
        if self.drained.contains_key(host) {
            // They are kept away by a person's order, which stands.
            return;
        }
        let returning = Returning { since, undrained: false };
        let entry = self.returning.entry(host.clone());
        entry.and_modify(|back| back.since = since).or_insert(returning);
    }

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
                self.returning.insert(host.clone(), Returning { since: *at, undrained: true });
            }
            Record::UsersReturned { host, .. } => {
                self.returning.remove(host);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sighting::MachineReport;
    use crate::words::Epoch;

    fn order(reason: &str) -> DrainOrder {
        DrainOrder {
            by: "jo".to_owned(),
            reason: reason.to_owned(),
            since: At(1),
            until: None,
            limit_ms: 600_000,
        }
    }

    fn began(at: u64, reason: &str) -> Record {
        Record::DrainBegan { at: At(at), host: "node-b".into(), order: order(reason) }
    }

    fn settled(at: u64, left: Option<u64>) -> Record {
        Record::DrainSettled { at: At(at), host: "node-b".into(), left }
    }

    fn ended(at: u64) -> Record {
        Record::DrainEnded { at: At(at), host: "node-b".into(), by: "jo".to_owned() }
    }

    #[test]
    fn a_drain_outlives_a_restart_as_it_stands() {
        let records = [began(1, "a new kernel"), settled(9, Some(2))];
        let text = serde_json::to_string(&records).unwrap();
        let read: Vec<Record> = serde_json::from_str(&text).unwrap();
        let memory = Memory::replay(&read);
        let drain = &memory.drained[&HostName::new("node-b")];
        assert_eq!(drain.order, order("a new kernel"));
        assert_eq!(drain.settled, Some(Settled { at: At(9), left: Some(2) }));
        let memory = Memory::replay(&[began(1, "x"), settled(9, Some(0)), ended(12)]);
        assert!(memory.drained.is_empty());
        let back = memory.returning[&HostName::new("node-b")];
        assert_eq!(back, Returning { since: At(12), undrained: true });
    }

    #[test]
    fn another_order_for_a_drained_host_waits_for_nobody_twice() {
        let host = HostName::new("node-b");
        let memory = Memory::replay(&[began(1, "x"), settled(9, Some(0)), began(20, "y")]);
        assert_eq!(memory.drained[&host].settled.map(|one| one.left), Some(Some(0)));
        // What was left at an earlier limit says nothing of this one's.
        let memory = Memory::replay(&[began(1, "x"), settled(9, Some(3)), began(20, "y")]);
        assert_eq!(memory.drained[&host].settled, None);
    }

    #[test]
    fn whoever_is_made_the_master_is_drained_no_more() {
        let (master, epoch) = (HostName::new("node-b"), Epoch(2));
        let adopted = Record::Adopted { at: At(5), master, epoch };
        assert!(Memory::replay(&[began(1, "x"), adopted]).drained.is_empty());
    }

    #[test]
    fn a_report_of_before_there_were_monitor_files_is_read() {
        let old = r#"{ "system": "running", "units": [], "tombstone": false }"#;
        let report: MachineReport = serde_json::from_str(old).unwrap();
        assert_eq!(report.monitor, None);
    }
}
