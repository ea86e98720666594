//! The looks at shared mounts, at their own pace, and what is told of them.
//!
//! A probe may hang for ever, so that no judgement waits for one, and none is asked for while an
//! earlier one is under way.

use super::Pair;
use crate::digest::{Digest, MountState};
use crate::event::EventKind;
use crate::mounts::MountSpec;
use crate::sighting::Look;
use crate::words::{At, HostName, MountName};

/// One that could not be used is looked at again after so many rounds at most, so that its return
/// is seen soon.
const UNUSABLE_EVERY: u64 = 5;

impl Pair {
    /// A look for each mount on each host.
    pub(super) fn mount_looks(&self) -> Vec<Look> {
        let spec = &self.spec;
        let on = |host: &HostName| -> Vec<Look> {
            let look =
                |mount: &MountSpec| Look::Mount { host: host.clone(), mount: mount.name.clone() };
            spec.mounts.iter().map(look).collect()
        };
        spec.hosts.iter().flat_map(on).collect()
    }

    /// The mount that `look` is at.
    pub(super) fn mount_of(&self, look: &Look) -> Option<&MountSpec> {
        let Look::Mount { mount, .. } = look else { return None };
        self.spec.mounts.iter().find(|known| known.name == *mount)
    }

    /// Takes note of when a mount that has just been looked at is to be looked at again.
    pub(super) fn pace_mount(&mut self, look: Look) {
        let Some(mount) = self.mount_of(&look) else { return };
        let round_ms = self.spec.policy.interval_ms;
        let every_ms = match self.snapshot.get(&look).and_then(|entry| entry.unusable) {
            // Nobody is told before a second look.
            Some((_, 1)) => round_ms,
            Some(_) => round_ms * UNUSABLE_EVERY,
            None => mount.every_ms,
        };
        let (every_ms, deadline_ms) = (every_ms.min(mount.every_ms), mount.look_deadline_ms());
        self.pace.own(look, every_ms, deadline_ms);
    }

    /// Tells of every mount that stands otherwise than was last told. The first that is seen well
    /// is news of nothing, nor is what a host in maintenance looks like.
    pub(super) fn note_mounts(&mut self, digest: &Digest, now: At) {
        let mut news = Vec::new();
        for one in &digest.mounts {
            // Whoever works on a host may well unmount there; what is left of it is told after.
            let is_expected = self.memory.maintenance.contains_key(&one.host);
            if is_expected || matches!(one.state, MountState::NotSeen | MountState::Doubted) {
                continue;
            }
            let place = (one.host.clone(), one.mount.clone());
            let state = one.state.name();
            let before = self.told_mounts.insert(place, state);
            let is_news = match before {
                Some(before) => before != state,
                None => one.state.is_amiss(),
            };
            if is_news {
                news.push(EventKind::MountChanged {
                    host: one.host.clone(),
                    mount: one.mount.clone(),
                    severity: one.severity,
                    state: one.state.clone(),
                    text: one.to_string(),
                });
            }
        }
        news.into_iter().for_each(|kind| self.tell(kind, now));
    }
}

/// What was last told of each mount on each host.
pub(super) type Told = std::collections::BTreeMap<(HostName, MountName), &'static str>;
