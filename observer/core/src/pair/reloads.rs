//! Takes note of HAProxy's processes: a reload or restart is told whoever did it.

use super::Pair;
use crate::event::EventKind;
use crate::sighting::{Look, Seen, Sighting};
use crate::words::At;

impl Pair {
    /// Tells of a process that is another than the one that answered last. The first that is seen
    /// after a start is news of nothing.
    pub(super) fn note_process(&mut self, sighting: &Sighting, now: At) {
        let (Look::Proxy(proxy), Ok(Seen::Proxy(report))) = (&sighting.look, &sighting.seen) else {
            return;
        };
        let Some(process) = report.process else { return };
        let before = self.processes.insert(proxy.clone(), process);
        if let Some(before) = before.filter(|before| *before != process) {
            let proxy = proxy.clone();
            self.tell(EventKind::ProxyReloaded { proxy, before, process }, now);
        }
    }
}
