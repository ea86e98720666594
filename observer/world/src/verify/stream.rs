//! The output of one command on one host, as records that end in NUL.
//!
//! What comes is hostile: a record has a limit, and records that are not in order are an error.

use std::cmp::Ordering;
use std::time::Duration;

use observer_core::files::entry::{self, Entry};
use observer_core::files::verify::Sides;

use crate::commands::{Privileged, VERIFY_BEGINS};
use crate::pair_world::Host;
use crate::ssh::{Ending, Feed, Ssh, Word, Words};
use crate::sudo::obstacle;
use crate::text::shown;

/// Longer than any path with what is said of it.
const RECORD_MAX: usize = 64 * 1024;
/// What is taken from the front of the buffer at once.
const STALE_MAX: usize = 256 * 1024;
/// Complaints that are kept, and the longest one.
const COMPLAINTS_MAX: usize = 20;
const COMPLAINT_MAX: usize = 4 * 1024;
/// How long a command may take to be started.
const START: Duration = Duration::from_secs(20);

/// One host, entered over a connection of its own: a long list must not hold up looks.
pub(super) struct Side<'h> {
    pub(super) host: &'h Host,
    ssh: Ssh,
}

/// The records of one command.
pub(super) struct Stream<'h> {
    host: &'h Host,
    words: Words,
    /// Dropped, it would end the command.
    pub(super) feed: Option<Feed>,
    buffer: Vec<u8>,
    at: usize,
    begun: bool,
    whole: bool,
    closed: bool,
    ending: Option<Ending>,
    said: Vec<u8>,
    pub(super) complaints: Vec<String>,
    /// How many there were.
    pub(super) complained: u64,
}

impl<'h> Side<'h> {
    pub(super) fn new(host: &'h Host) -> Result<Self, String> {
        let target = host.access.ssh.target(host.access.name.as_str());
        Ok(Self { host, ssh: Ssh::new(target.map_err(|why| why.to_string())?) })
    }

    pub(super) async fn start(&self, command: &Privileged) -> Result<Stream<'h>, String> {
        let started = self.ssh.start(&command.command(), START).await;
        let name = &self.host.access.name;
        let (words, feed) = started.map_err(|why| format!("{name}: {why}"))?;
        Ok(Stream {
            host: self.host,
            words,
            feed: Some(feed),
            buffer: Vec::new(),
            at: 0,
            begun: false,
            whole: false,
            closed: false,
            ending: None,
            said: Vec::new(),
            complaints: Vec::new(),
            complained: 0,
        })
    }
}

impl Stream<'_> {
    /// The next record; none at the end of a list that is whole.
    pub(super) async fn record(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut seen = self.at;
        loop {
            if self.begun {
                let end = self.buffer[seen..].iter().position(|byte| *byte == 0);
                if let Some(length) = end {
                    let record = self.buffer[self.at..seen + length].to_vec();
                    self.at = seen + length + 1;
                    if self.at > STALE_MAX {
                        self.buffer.drain(..self.at);
                        self.at = 0;
                    }
                    return Ok(Some(record));
                }
            } else {
                let begin = self.buffer.windows(VERIFY_BEGINS.len());
                if let Some(at) = begin.into_iter().position(|part| part == VERIFY_BEGINS) {
                    self.at = at + VERIFY_BEGINS.len();
                    (self.begun, seen) = (true, self.at);
                    continue;
                }
            }
            if self.buffer.len() - self.at > RECORD_MAX {
                return Err(format!("{}: its list cannot be read", self.host.access.name));
            }
            seen = self.buffer.len();
            if !self.more().await? {
                return self.end();
            }
        }
    }

    /// Something that no host with our script says.
    pub(super) fn nonsense(&self, said: &[u8]) -> String {
        format!("{} says of a file: {}", self.host.access.name, shown(said))
    }

    /// Takes in more of what the command says; false once nothing more comes.
    async fn more(&mut self) -> Result<bool, String> {
        if self.closed {
            return Ok(false);
        }
        match self.words.next().await {
            Word::Out(bytes) => self.buffer.extend_from_slice(&bytes),
            Word::Err(bytes) => self.hear(&bytes),
            Word::Ended(ending) => self.ending = Some(ending),
            Word::Closed => self.closed = true,
            Word::Lost => {
                return Err(format!("{}: the connection broke", self.host.access.name));
            }
        }
        Ok(true)
    }

    fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.complain(),
                _ if self.said.len() < COMPLAINT_MAX => self.said.push(*byte),
                _ => {}
            }
        }
    }

    fn complain(&mut self) {
        let line = std::mem::take(&mut self.said);
        match line.as_slice() {
            b"whole" => self.whole = true,
            // `find` ends with 1 where it could not look at everything, and has said so.
            b"ended 0" | b"ended 1" | b"" => {}
            // What went away while it was looked at is not there.
            gone if gone.ends_with(b"No such file or directory") => {}
            // Its record says the same.
            shut if shut.starts_with(b"find: ") && shut.ends_with(b"Permission denied") => {}
            other => {
                self.complained += 1;
                if self.complaints.len() < COMPLAINTS_MAX {
                    self.complaints.push(shown(other));
                }
            }
        }
    }

    fn end(&mut self) -> Result<Option<Vec<u8>>, String> {
        let name = self.host.access.name.as_str();
        let ended = matches!(self.ending, Some(Ending::Exited(_)));
        if self.begun && self.whole && ended && self.at == self.buffer.len() {
            return Ok(None);
        }
        let said = self.complaints.join("\n");
        if let Some(found) = obstacle(said.as_bytes(), name, &self.host.access.ssh.user) {
            let fix = format!("print the sudoers file anew: ha-observer config sudoers {name}");
            return Err(format!("{}\n  fix: {fix}", found.advice));
        }
        let first = self.complaints.first().map_or("it ended too early", String::as_str);
        Err(format!("{name}: its list is not whole: {first}"))
    }
}

/// The manifests of both hosts, side by side.
pub(super) struct Merge<'h> {
    pub(super) master: Manifest<'h>,
    pub(super) slave: Manifest<'h>,
}

/// One manifest with the entry that comes next.
pub(super) struct Manifest<'h> {
    pub(super) stream: Stream<'h>,
    next: Option<Entry>,
    last: Option<Vec<u8>>,
    done: bool,
}

impl<'h> Manifest<'h> {
    pub(super) fn new(stream: Stream<'h>) -> Self {
        Self { stream, next: None, last: None, done: false }
    }

    async fn fill(&mut self) -> Result<(), String> {
        if self.next.is_some() || self.done {
            return Ok(());
        }
        let Some(record) = self.stream.record().await? else {
            self.done = true;
            return Ok(());
        };
        let entry = Entry::parse(&record);
        let entry = entry.ok_or_else(|| self.stream.nonsense(&record))?;
        let path = entry.path.clone();
        if self.last.as_ref().is_some_and(|last| entry::order(last, &path) != Ordering::Less) {
            let name = &self.stream.host.access.name;
            return Err(format!("{name}: its list is not in order at {}", shown(&path)));
        }
        self.last = Some(path);
        self.next = Some(entry);
        Ok(())
    }
}

impl Merge<'_> {
    /// What both say of the next path.
    pub(super) async fn next(&mut self) -> Result<Option<Sides>, String> {
        let (master, slave) = tokio::join!(self.master.fill(), self.slave.fill());
        master?;
        slave?;
        let order = match (&self.master.next, &self.slave.next) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(own), Some(copy)) => entry::order(&own.path, &copy.path),
        };
        let own = if order == Ordering::Greater { None } else { self.master.next.take() };
        let copy = if order == Ordering::Less { None } else { self.slave.next.take() };
        Ok(Some(Sides { master: own, slave: copy }))
    }
}
