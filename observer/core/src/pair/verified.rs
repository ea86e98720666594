//! Which host's copy of a file set can be verified, and what the last verifications said.
//!
//! A verification reads and changes nothing: a pause does not bar it, and it is no plan. It is not
//! begun beside one, whose last pass has the disks for itself.

use std::collections::BTreeMap;

use super::{Pair, Refusal};
use crate::event::EventKind;
use crate::files::verify::{LastVerified, Purpose, Verified, VerifyOrder};
use crate::judge::Cause;
use crate::words::{At, FileSetName};

impl Pair {
    /// What is compared with what now, or why nothing is.
    pub fn verification(
        &self,
        set: &FileSetName,
        purpose: Purpose,
    ) -> Result<VerifyOrder, Refusal> {
        if !self.spec.files.iter().any(|known| known.name == *set) {
            return Err(Refusal::Nothing("no file set of the pair has this name"));
        }
        if self.is_plan_open() {
            return Err(Refusal::Cause(Cause::PlanOpen));
        }
        let (digest, _) = self.latest().ok_or(Refusal::NotReady)?;
        let master = self.memory.master.clone().ok_or(Refusal::Cause(Cause::NoMaster))?;
        let standing = digest.files.iter().find(|one| one.set == *set);
        let nobody = Refusal::Nothing("no host keeps a copy");
        let slave = standing.filter(|one| one.host != master).ok_or(nobody)?.host.clone();
        Ok(VerifyOrder { set: set.clone(), master, slave, purpose })
    }

    /// What the last verifications said, by set.
    pub fn verified(&self) -> &BTreeMap<FileSetName, LastVerified> {
        &self.verified
    }

    /// Puts back what an earlier life has kept of it.
    pub fn note_verified(&mut self, verified: BTreeMap<FileSetName, LastVerified>) {
        self.verified = verified;
    }

    pub(super) fn note_verification(&mut self, verified: Verified, now: At) {
        let Verified { by, result, .. } = &verified;
        let told = EventKind::FilesVerified {
            set: result.set.clone(),
            master: result.master.clone(),
            slave: result.slave.clone(),
            by: by.clone(),
            wholeness: result.wholeness(),
            text: result.text(),
        };
        self.verified.entry(result.set.clone()).or_default().take(&verified);
        self.tell(told, now);
    }
}
