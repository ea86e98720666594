//! Room for what a measurement writes, and disks that have nothing left to do.

use tests::lab::{LabError, Result};
use tests::stage::{ATTACHMENTS, Stage};

/// Left over for whoever else writes to the same disk.
const SPARE_BYTES: u64 = 4 << 30;

/// Refuses to fill the disk.
pub(crate) fn insist(stage: &Stage, node: &str, bytes: u64, entries: u64) -> Result<()> {
    let words = ["df", "-B1", "--output=avail,iavail", ATTACHMENTS];
    let said = stage.lab.machine(node).run(&words)?;
    let last = said.lines().last().unwrap_or_default();
    let mut numbers = last.split_whitespace().map(|word| word.parse::<u64>().ok());
    let free_bytes = numbers.next().flatten().unwrap_or(0);
    // A file system that makes its inodes as they are needed says that it has none left.
    let free_entries = numbers.next().flatten().filter(|free| *free > 0).unwrap_or(u64::MAX);
    let (needs_bytes, giga) = (bytes + SPARE_BYTES, 1 << 30);
    if free_bytes >= needs_bytes && free_entries >= entries {
        return Ok(());
    }
    Err(LabError::Failed {
        command: "measure file sets".to_owned(),
        status: format!(
            "the disk of the labs has {} GiB and {free_entries} inodes left; this takes {} GiB and \
             {entries}",
            free_bytes / giga,
            needs_bytes / giga,
        ),
        stderr: "make room, set HA_OBSERVER_LAB_DIR to a larger disk, or measure fewer: --files, \
                 --gigabytes"
            .to_owned(),
    })
}

/// Lets the disk come to rest and forgets what is cached, on this computer and so in all machines:
/// whatever is measured next finds the same.
pub(crate) fn settle(stage: &Stage) -> Result<()> {
    let limit = std::time::Duration::from_secs(1800);
    let master = stage.lab.machine("node-a");
    master.exec_within(limit, &["sync"])?.success()?;
    std::fs::write("/proc/sys/vm/drop_caches", "3")
        .map_err(|source| LabError::Io { doing: "forget what is cached".to_owned(), source })
}
