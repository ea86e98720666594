//! Room that is kept for the records of a plan under way.
//!
//! A disk that fills up in the middle of a plan would leave it where it is, with users held: what
//! cannot be recorded is not ordered. So the store owns more of the disk than it needs. The room
//! lies inside SQLite's two files, where nobody else can take it: pages of the database that are
//! free, and a log that has been long once and is written again from its start.

use nix::sys::statvfs::statvfs;

use super::{Store, StoreError};

/// Pages (of 4 KiB) set aside: more than SQLite lets the log grow to (1,000) before it starts anew,
/// and many times what the longest plan writes.
const PAGES: i64 = 1_100;
/// With fewer free pages than this, they are set aside anew.
const PAGES_LOW: i64 = 400;
const PAGE_BYTES: u64 = 4_096;
/// With less than this left to others on the disk, in bytes, it counts as full.
const ROOM_BYTES: u64 = 2 << 20;

impl Store {
    /// Sets room aside if there is too little of it; an error if the disk is as good as full.
    pub(super) fn reserve(&self) -> Result<(), StoreError> {
        let full = || StoreError::DiskFull { path: self.path.clone() };
        let left = self.bytes_left()?;
        if left < ROOM_BYTES {
            return Err(full());
        }
        let free: i64 = self
            .connection
            .query_row("pragma freelist_count", [], |row| row.get(0))
            .map_err(|error| self.error(&error))?;
        if free >= PAGES_LOW {
            return Ok(());
        }
        // It is written twice, into the log and then into the database.
        let wanted = 2 * PAGES.unsigned_abs() * PAGE_BYTES;
        if left < wanted + ROOM_BYTES {
            return Err(full());
        }
        let filled = format!(
            "drop table if exists room; create table room (filling blob);
             insert into room values (zeroblob({}));",
            PAGES.unsigned_abs() * PAGE_BYTES
        );
        // Two transactions: pages that are freed in the one that took them are never written.
        let both = [filled.as_str(), "drop table room;"];
        for batch in both {
            let batch = format!("begin immediate; {batch} commit;");
            if let Err(error) = self.connection.execute_batch(&batch) {
                let _ = self.connection.execute_batch("rollback");
                return Err(self.error(&error));
            }
        }
        Ok(())
    }

    fn bytes_left(&self) -> Result<u64, StoreError> {
        let disk =
            statvfs(&self.path).map_err(|errno| super::unusable(&self.path, &errno.into()))?;
        Ok(disk.blocks_available() * disk.fragment_size())
    }
}
