//! The paths that a database names, held against what is in a set.
//!
//! They come in the order of the manifests: the database sorts them, so that nobody holds them.

use std::cmp::Ordering;
use std::io;
use std::time::Duration;

use observer_core::files::entry::{self, name_text};
use observer_core::files::verify::{EXAMPLES_MAX, Finding, Sides};

use super::Findings;
use super::failed;
use super::spool::{Reading, Spool};
use crate::access::PathsQuery;
use crate::pair_world::Host;

/// How long the query may take; the server ends it a little later by itself.
const QUERY: Duration = Duration::from_secs(300);

/// Asks the database of `host` for the paths.
pub(super) async fn ask(host: &Host, query: &PathsQuery) -> Result<Spool, String> {
    let mut list = Spool::new().map_err(failed)?;
    let mut broken = None;
    let take = |path: &[u8]| {
        let added = list.add(&[path]);
        let goes_on = added.is_ok();
        broken = broken.take().or(added.err());
        goes_on
    };
    let asked = host.database.each_path(&query.database, &query.sql, take, QUERY).await;
    if let Some(why) = broken {
        return Err(failed(why));
    }
    asked.map_err(|why| {
        format!(
            "{}: `paths_query` in database {}: {why}\n  fix: name tables with their schema, and \
             grant the observer's role what the query reads",
            host.access.name, query.database
        )
    })?;
    Ok(list)
}

/// The named paths, met one after the other while the manifests are read.
pub(super) struct Names {
    list: Reading,
    next: Option<Vec<u8>>,
    look: Look,
}

enum Look {
    /// What is not there is put aside for a second look.
    First,
    /// Only what was not there at the first look is counted.
    Second { gone: Reading, next: Option<Vec<u8>> },
}

impl Names {
    pub(super) fn of(list: &mut Spool) -> io::Result<Self> {
        let mut reading = list.read()?;
        Ok(Self { next: reading.part()?, list: reading, look: Look::First })
    }

    pub(super) fn again(list: &mut Spool, gone: &mut Spool) -> io::Result<Self> {
        let mut gone = gone.read()?;
        let look = Look::Second { next: gone.part()?, gone };
        Ok(Self { look, ..Self::of(list)? })
    }

    /// Takes all names up to `path`, of which the hosts say `sides`.
    pub(super) fn meet(
        &mut self,
        path: &[u8],
        sides: &Sides,
        findings: &mut Findings,
    ) -> io::Result<()> {
        while let Some(name) = &self.next {
            match entry::order(name, path) {
                Ordering::Less => self.one(false, false, findings)?,
                Ordering::Equal => {
                    self.one(sides.master.is_some(), sides.slave.is_some(), findings)?;
                }
                Ordering::Greater => break,
            }
        }
        Ok(())
    }

    /// Takes the names behind everything that is there.
    pub(super) fn rest(&mut self, findings: &mut Findings) -> io::Result<()> {
        while self.next.is_some() {
            self.one(false, false, findings)?;
        }
        Ok(())
    }

    fn one(&mut self, on_master: bool, on_slave: bool, findings: &mut Findings) -> io::Result<()> {
        let Some(name) = self.next.take() else { return Ok(()) };
        self.next = self.list.part()?;
        let Some(named) = &mut findings.result.database else { return Ok(()) };
        let all_there = on_master && on_slave;
        match &mut self.look {
            Look::First => {
                named.named += 1;
                return if all_there { Ok(()) } else { findings.gone.add(&[&name]) };
            }
            Look::Second { gone, next } => {
                while next.as_ref().is_some_and(|one| entry::order(one, &name) == Ordering::Less) {
                    *next = gone.part()?;
                }
                if all_there || next.as_deref() != Some(&name) {
                    return Ok(());
                }
            }
        }
        named.missing_on_master += u64::from(!on_master);
        named.missing_on_slave += u64::from(!on_slave);
        if named.examples.len() < EXAMPLES_MAX {
            let what = match (on_master, on_slave) {
                (false, false) => "on neither host",
                (false, true) => "not on the master",
                _ => "not on the slave",
            };
            named.examples.push(Finding { path: name_text(&name), what: what.to_owned() });
        }
        Ok(())
    }
}
