//! What is told of hosts that stand beside master and candidate, where a pair has more than two.
//!
//! The verdict says what becomes of those two. Nothing is decided by the others, so that nobody
//! would learn that one has died.

use super::Pair;
use crate::digest::Digest;
use crate::event::EventKind;
use crate::facts::Sight;
use crate::sighting::{Class, Look};
use crate::words::{At, HostName};

impl Pair {
    /// Tells of every such host that answers no more, and of its return. An observer that sees
    /// nobody is itself the suspect.
    pub(super) fn note_absences(&mut self, digest: &Digest, now: At) {
        let roles = [digest.master.as_ref(), digest.candidate.as_ref()];
        let beside = |host: &&HostName| {
            let is_expected = self.memory.maintenance.contains_key(*host);
            !roles.contains(&Some(*host)) && !is_expected && !self.told_absent.contains(*host)
        };
        let gone: Vec<HostName> = match digest.facts.sight {
            Sight::Blind => Vec::new(),
            Sight::Clear | Sight::Distrusted => {
                digest.absent.iter().filter(beside).cloned().collect()
            }
        };
        let answers = |host: &&HostName| {
            let entry = self.snapshot.get(&Look::Machine((*host).clone()));
            entry.is_some_and(|entry| matches!(entry.class, Class::Good | Class::Busy))
        };
        let back: Vec<HostName> = self.told_absent.iter().filter(answers).cloned().collect();
        for host in gone {
            self.told_absent.insert(host.clone());
            self.tell(EventKind::HostChanged { host, answers: false }, now);
        }
        for host in back {
            self.told_absent.remove(&host);
            self.tell(EventKind::HostChanged { host, answers: true }, now);
        }
    }
}
