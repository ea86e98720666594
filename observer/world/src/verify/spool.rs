//! A list that is too long to be held: written once, read from the front as often as wanted.
//!
//! It is a file without a name, gone with its last handle. It is small beside what it stands for:
//! a name of each file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longer than any path or record of a manifest.
const FRAME_MAX: usize = 64 * 1024;

/// A list that is being written.
pub(super) struct Spool {
    file: BufWriter<File>,
    count: u64,
}

/// A list that is being read.
pub(super) struct Reading(BufReader<File>);

impl Spool {
    pub(super) fn new() -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Larger than memory in places where /tmp is memory.
        let place = Path::new("/var/tmp");
        let place = if place.is_dir() { place.to_owned() } else { std::env::temp_dir() };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = place.join(format!("ha-observer-list-{}-{number}", std::process::id()));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self { file: BufWriter::new(file), count: 0 })
    }

    /// Adds an entry of several parts.
    pub(super) fn add(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.count += 1;
        for part in parts {
            let length = u32::try_from(part.len()).map_err(|_| io::ErrorKind::InvalidData)?;
            self.file.write_all(&length.to_le_bytes())?;
            self.file.write_all(part)?;
        }
        Ok(())
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The list from its front. Opened anew, so that every reader has its own place in it.
    pub(super) fn read(&mut self) -> io::Result<Reading> {
        self.file.flush()?;
        let file = File::open(format!("/proc/self/fd/{}", self.file.get_ref().as_raw_fd()))?;
        Ok(Reading(BufReader::new(file)))
    }
}

impl Reading {
    /// The next part; none at the end.
    pub(super) fn part(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > FRAME_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut part = vec![0; length];
        self.0.read_exact(&mut part)?;
        Ok(Some(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_from_the_front_as_often_as_wanted() {
        let mut spool = Spool::new().unwrap();
        spool.add(&[b"a\0\n", b""]).unwrap();
        spool.add(&[b"\xff", b"c"]).unwrap();
        assert_eq!(spool.count(), 2);
        let both = [spool.read().unwrap(), spool.read().unwrap()];
        for mut reading in both {
            let mut parts = Vec::new();
            while let Some(part) = reading.part().unwrap() {
                parts.push(part);
            }
            assert_eq!(parts, [&b"a\0\n"[..], b"", b"\xff", b"c"]);
        }
    }
}
