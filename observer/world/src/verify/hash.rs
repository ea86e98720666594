//! Hashes the listed files on both hosts at the same time and says what came of each.
//!
//! A rate is kept between files: one file is read as fast as it can be.

use std::cmp::Ordering;
use std::io;
use std::time::Duration;

use observer_core::files::entry;
use observer_core::files::verify::Progress;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::spool::{Reading, Spool};
use super::stream::{Side, Stream};
use super::{Suspect, failed};
use crate::commands::VerifyCommands;

/// Names are handed over in pieces of this size where no rate is kept.
const PIECE: usize = 16 * 1024;
/// Hexadecimal digits of a hash of 256 bits.
const HASH: usize = 64;

/// What came of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hashed {
    Same,
    Differs,
    /// This host gave no hash; its complaint, where there is one.
    NoHash(&'static str, String),
}

/// What is hashed where, and how fast.
pub(super) struct Hashing<'a, 'h> {
    pub(super) master: (&'a Side<'h>, &'a VerifyCommands),
    pub(super) slave: (&'a Side<'h>, &'a VerifyCommands),
    /// Bytes a second on each host; 0 for as fast as it can be.
    pub(super) rate: u64,
    pub(super) progress: &'a watch::Sender<Progress>,
}

/// A host's hashes, with the one that comes next.
struct Hashes<'h> {
    stream: Stream<'h>,
    next: Option<(Vec<u8>, Vec<u8>)>,
    done: bool,
}

impl Hashing<'_, '_> {
    /// Hashes every file of `list`, and hands each over with what came of it.
    pub(super) async fn run(
        &self,
        list: &mut Spool,
        mut found: impl FnMut(Suspect, Hashed) -> io::Result<()>,
    ) -> Result<(), String> {
        let (names, mut expected) = (list.read().map_err(failed)?, list.read().map_err(failed)?);
        let (master, slave) = tokio::join!(
            self.master.0.start(&self.master.1.hash),
            self.slave.0.start(&self.slave.1.hash),
        );
        let (mut master, mut slave) = (master?, slave?);
        let feeds = (master.feed.take(), slave.feed.take());
        let (mut master, mut slave) = (Hashes::new(master), Hashes::new(slave));
        let feeding = async {
            self.feed(names, &feeds).await.map_err(failed)?;
            std::future::pending::<()>().await;
            Ok::<(), String>(())
        };
        let comparing = async {
            while let Some(suspect) = Suspect::read(&mut expected).map_err(failed)? {
                let (own, copy) = tokio::join!(master.of(&suspect.path), slave.of(&suspect.path));
                let hashed = match (own?, copy?) {
                    (None, _) => Hashed::NoHash("the master", master.complaint(&suspect.path)),
                    (_, None) => Hashed::NoHash("the slave", slave.complaint(&suspect.path)),
                    (Some(own), Some(copy)) if own == copy => Hashed::Same,
                    (Some(_), Some(_)) => Hashed::Differs,
                };
                self.progress.send_modify(|now| now.hashed_bytes += suspect.size());
                found(suspect, hashed).map_err(failed)?;
            }
            // Only a list that ends well is believed.
            let (own, copy) = tokio::join!(master.end(), slave.end());
            own.and(copy)
        };
        tokio::select! {
            done = comparing => done,
            broken = feeding => broken,
        }
    }

    async fn feed(
        &self,
        mut names: Reading,
        feeds: &(Option<crate::ssh::Feed>, Option<crate::ssh::Feed>),
    ) -> io::Result<()> {
        let (Some(master), Some(slave)) = (&feeds.0, &feeds.1) else { return Ok(()) };
        let mut piece = Vec::new();
        let mut due = Instant::now();
        while let Some(suspect) = Suspect::read(&mut names)? {
            piece.extend_from_slice(&suspect.path);
            piece.extend_from_slice(b"//\0");
            if self.rate == 0 && piece.len() < PIECE {
                continue;
            }
            let ready = std::mem::take(&mut piece);
            if !give(master, slave, ready).await {
                return Ok(());
            }
            if let Some(micros) = suspect.size().saturating_mul(1_000_000).checked_div(self.rate) {
                due += Duration::from_micros(micros);
                sleep_until(due).await;
            }
        }
        if give(master, slave, piece).await {
            tokio::join!(master.end(), slave.end());
        }
        Ok(())
    }
}

async fn give(master: &crate::ssh::Feed, slave: &crate::ssh::Feed, piece: Vec<u8>) -> bool {
    if piece.is_empty() {
        return true;
    }
    let (own, copy) = tokio::join!(master.give(piece.clone()), slave.give(piece));
    own && copy
}

impl<'h> Hashes<'h> {
    fn new(stream: Stream<'h>) -> Self {
        Self { stream, next: None, done: false }
    }

    async fn fill(&mut self) -> Result<(), String> {
        if self.next.is_some() || self.done {
            return Ok(());
        }
        let Some(record) = self.stream.record().await? else {
            self.done = true;
            return Ok(());
        };
        let (hash, rest) = record.split_at_checked(HASH).unwrap_or((&[], &record));
        let name = rest.get(2..).and_then(|name| name.strip_prefix(b"./"));
        let plain = hash.len() == HASH && hash.iter().all(u8::is_ascii_hexdigit);
        match name.filter(|_| plain) {
            Some(name) => self.next = Some((name.to_vec(), hash.to_vec())),
            None => return Err(self.stream.nonsense(&record)),
        }
        Ok(())
    }

    /// The hash of the file at `path`; none where there is none.
    async fn of(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.fill().await?;
        match self.next.take() {
            Some((name, hash)) => match entry::order(&name, path) {
                Ordering::Equal => Ok(Some(hash)),
                Ordering::Less => Err(self.stream.nonsense(&name)),
                Ordering::Greater => {
                    self.next = Some((name, hash));
                    Ok(None)
                }
            },
            None => Ok(None),
        }
    }

    async fn end(&mut self) -> Result<(), String> {
        self.fill().await?;
        match self.next.take() {
            None => Ok(()),
            Some((name, _)) => Err(self.stream.nonsense(&name)),
        }
    }

    /// What the host says of the file.
    fn complaint(&self, path: &[u8]) -> String {
        let path = String::from_utf8_lossy(path);
        let own = self.stream.complaints.iter().find(|one| one.contains(&*path));
        let said = own.and_then(|one| one.rsplit_once(": ").map(|(_, why)| why.to_owned()));
        said.unwrap_or_else(|| "it gave no hash".to_owned())
    }
}
