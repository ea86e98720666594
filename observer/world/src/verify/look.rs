//! The second look: what was not the same is looked at again, and once more where its content was
//! compared anew.

use std::cmp::Ordering;
use std::io;

use observer_core::files::entry::{self, name_text};
use observer_core::files::verify::{Class, Compared, Finding, Settled, Sides, Stage, aspects_text};

use super::hash::Hashed;
use super::names::Names;
use super::spool::{Reading, Spool};
use super::{Findings, Suspect, Verifier, add, failed, path_of};

/// What becomes of a file whose content was not the same and whose manifests are.
enum OfContent<'s> {
    /// It is compared anew.
    Again(&'s mut Spool),
    /// It was: nothing has changed around that, so it is believed.
    Believe,
}

impl Verifier<'_> {
    pub(super) async fn look_again(&self, findings: &mut Findings) -> Result<(), String> {
        self.stage(Stage::LookingAgain);
        let names = if findings.gone.count() > 0 { self.names().await? } else { None };
        let mut suspects = std::mem::take(&mut findings.suspects);
        let mut again = Spool::new().map_err(failed)?;
        let anew = OfContent::Again(&mut again);
        self.settle_all(&mut suspects, anew, names, findings).await?;
        if again.count() == 0 {
            return Ok(());
        }
        let mut odd = Spool::new().map_err(failed)?;
        let tally = &mut findings.result.tally;
        let take = |suspect: Suspect, hashed: Hashed| {
            let content = match hashed {
                Hashed::Same => {
                    tally.same += 1;
                    return Ok(());
                }
                Hashed::Differs => "content".to_owned(),
                Hashed::NoHash(host, why) => format!("on {host}: {why}"),
            };
            add(&mut odd, &suspect.path, &suspect.sides, &content)
        };
        self.hashing().run(&mut again, take).await?;
        if odd.count() > 0 {
            self.settle_all(&mut [odd], OfContent::Believe, None, findings).await?;
        }
        Ok(())
    }

    async fn settle_all(
        &self,
        suspects: &mut [Spool],
        mut of_content: OfContent<'_>,
        names: Option<Spool>,
        findings: &mut Findings,
    ) -> Result<(), String> {
        let lists: io::Result<Vec<Reading>> = suspects.iter_mut().map(Spool::read).collect();
        let mut waiting = Waiting::new(lists.map_err(failed)?).map_err(failed)?;
        let mut names = match names {
            Some(mut list) => Some(Names::again(&mut list, &mut findings.gone).map_err(failed)?),
            None => None,
        };
        let mut merge = self.merge().await?;
        let nothing = Sides { master: None, slave: None };
        while let Some(sides) = merge.next().await? {
            let path = path_of(&sides);
            if let Some(names) = &mut names {
                names.meet(path, &sides, findings).map_err(failed)?;
            }
            while let Some(suspect) = waiting.up_to(path).map_err(failed)? {
                let again = if suspect.path == path { &sides } else { &nothing };
                self.settle(&suspect, again, &mut of_content, findings).map_err(failed)?;
            }
        }
        while let Some(suspect) = waiting.take().map_err(failed)? {
            self.settle(&suspect, &nothing, &mut of_content, findings).map_err(failed)?;
        }
        if let Some(names) = &mut names {
            names.rest(findings).map_err(failed)?;
        }
        Ok(())
    }

    fn settle(
        &self,
        suspect: &Suspect,
        again: &Sides,
        of_content: &mut OfContent<'_>,
        findings: &mut Findings,
    ) -> io::Result<()> {
        let path = &suspect.path;
        let settled = Sides::settle(&suspect.sides, again, self.like);
        let by_content = !suspect.content.is_empty();
        if by_content && settled == Settled::Same && suspect.sides.is_as_before(again) {
            match of_content {
                OfContent::Again(list) => return add(list, path, again, "content"),
                OfContent::Believe => {
                    let differs = suspect.content == "content";
                    let class = if differs { Class::Differs } else { Class::Unreadable };
                    let (keep, what) = (findings.keep, suspect.content.clone());
                    let finding = || Finding { path: name_text(path), what };
                    findings.result.tally.add(class, keep, finding);
                    return Ok(());
                }
            }
        }
        let below = |folder: &Vec<u8>| {
            let rest = path.strip_prefix(folder.as_slice());
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        };
        let in_shut = findings.shut.iter().any(below);
        let (class, what) = match settled {
            // Its content differed at the first look, and it was changed since.
            Settled::Same if by_content => (Class::Changing, String::new()),
            Settled::Same => {
                findings.result.tally.same +=
                    u64::from(again.compare(self.like) == Compared::Same && again.master.is_some());
                return Ok(());
            }
            _ if in_shut => (Class::Unreadable, "in a folder that cannot be read".to_owned()),
            Settled::Changing => (Class::Changing, String::new()),
            Settled::Unreadable(host) => (Class::Unreadable, format!("on {host}")),
            Settled::Differs(class, aspects) => (class, aspects_text(&aspects)),
        };
        let finding = || Finding { path: name_text(path), what };
        findings.result.tally.add(class, findings.keep, finding);
        Ok(())
    }
}

/// Several sorted lists of suspects as one.
struct Waiting {
    lists: Vec<(Reading, Option<Suspect>)>,
}

impl Waiting {
    fn new(lists: Vec<Reading>) -> io::Result<Self> {
        let first = |mut list: Reading| {
            let first = Suspect::read(&mut list)?;
            Ok((list, first))
        };
        Ok(Self { lists: lists.into_iter().map(first).collect::<io::Result<_>>()? })
    }

    /// The next of all.
    fn take(&mut self) -> io::Result<Option<Suspect>> {
        let order = |one: &Suspect, other: &Suspect| entry::order(&one.path, &other.path);
        let waiting = self.lists.iter_mut().filter(|(_, next)| next.is_some());
        let first = waiting.min_by(|(_, one), (_, other)| match (one, other) {
            (Some(one), Some(other)) => order(one, other),
            _ => Ordering::Equal,
        });
        let Some((list, next)) = first else { return Ok(None) };
        let suspect = next.take();
        *next = Suspect::read(list)?;
        Ok(suspect)
    }

    /// The next of all, if it comes at `path` or before.
    fn up_to(&mut self, path: &[u8]) -> io::Result<Option<Suspect>> {
        let due = |suspect: &Suspect| entry::order(&suspect.path, path) != Ordering::Greater;
        match self.lists.iter().any(|(_, next)| next.as_ref().is_some_and(due)) {
            true => self.take(),
            false => Ok(None),
        }
    }
}
