//! Hosts that are dead and that nobody wants to see any more, until they answer again.
//!
//! Only where the database is external: no other host holds what users wrote there alone.

use serde::{Deserialize, Serialize};

use crate::journal::{Memory, Record};
use crate::policy::PairSpec;
use crate::words::{At, HostName};

/// A person's order to leave a dead host out of the pair.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forgotten {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it was ordered.
    pub since: At,
}

impl Memory {
    /// Takes in a record about a host that is left out of the pair.
    pub(crate) fn apply_forget(&mut self, record: &Record) {
        match record {
            Record::HostForgotten { host, forgotten, .. } => {
                self.forgotten.insert(host.clone(), forgotten.clone());
                self.drained.remove(host);
                self.returning.remove(host);
                self.replaced.remove(host);
            }
            Record::HostReturned { host, .. } => {
                self.forgotten.remove(host);
            }
            _ => {}
        }
    }

    /// The pair without the hosts that are left out of it.
    pub(crate) fn present(&self, configured: &PairSpec) -> PairSpec {
        let mut spec = configured.clone();
        let known = |host: &HostName| {
            !self.forgotten.contains_key(host) || self.master.as_ref() == Some(host)
        };
        spec.hosts.retain(known);
        spec
    }
}
