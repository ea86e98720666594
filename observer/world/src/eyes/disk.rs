//! Looks at the room on the disks of a host's data and log.
//!
//! It remembers whether there is little, so that the next write probe tries whether a file can
//! still grow: the heartbeat rewrites one row in place, and would not notice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use observer_core::sighting::{DiskRoom, Seen, Silent};

use super::silence;
use crate::pair_world::Host;
use crate::sudo::obstacle;
use crate::text::shown;

/// With less than this a write probe tries more than the heartbeat: a few segments of log.
const LITTLE_BYTES: u64 = 64 << 20;

/// The answer is a line per disk.
const OUTPUT_MAX: usize = 16 * 1024;

/// Whether a host's disks had little room when they were last seen.
#[derive(Default)]
pub(crate) struct LittleRoom(AtomicBool);

impl LittleRoom {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) async fn look(host: &Host, deadline: Duration) -> Result<Seen, Silent> {
    let command = host.commands.see_disk.command();
    let output = host.ssh.exec(&command, "", deadline, OUTPUT_MAX).await;
    let output = output.map_err(silence::of_command)?;
    if !output.succeeded() {
        let access = &host.access;
        let found = obstacle(&output.stderr, access.name.as_str(), &access.ssh.user);
        let why = found.map_or_else(|| shown(&output.stderr), |obstacle| obstacle.advice);
        return Err(Silent::Denied(why));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let rooms: Vec<DiskRoom> = text.lines().filter_map(room).collect();
    if rooms.is_empty() {
        return Err(Silent::Garbage(shown(&output.stdout)));
    }
    let little = rooms.iter().any(|room| room.free_bytes < LITTLE_BYTES);
    host.little_room.0.store(little, Ordering::Relaxed);
    Ok(Seen::Disk(rooms))
}

/// A line of `df -PB1`: device, size, used, free, percent, place. A device's name may hold blanks,
/// so that it is read from its end.
pub(crate) fn room(line: &str) -> Option<DiskRoom> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [.., size, _, free, percent, place] = words.as_slice() else { return None };
    percent.strip_suffix('%')?;
    let (size_bytes, free_bytes) = (size.parse().ok()?, free.parse().ok()?);
    Some(DiskRoom { place: shown(place.as_bytes()), size_bytes, free_bytes })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_is_read_from_its_end_and_a_heading_is_none() {
        let room = |line| super::room(line).map(|room| (room.place, room.free_bytes));
        assert_eq!(room("Filesystem 1-blocks Used Available Capacity Mounted on"), None);
        let full = room("tmpfs on ram 67108864 67108864 0 100% /var/lib/postgresql");
        assert_eq!(full, Some(("/var/lib/postgresql".to_owned(), 0)));
        assert_eq!(room("df: /data: Permission denied"), None);
    }
}
