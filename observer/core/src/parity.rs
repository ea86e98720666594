//! Parity: whether the hosts have alike what must be alike on all of them.
//!
//! Pure: it is given what was read of each item on each host, and says who differs, and since when.
//! It knows values by their prints only: a print is a hash of the value with a salt that is new for
//! each comparison and forgotten after it, so that nothing here, and nothing that is kept, shown or
//! told, leads back to a secret.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::event::EventKind;
use crate::validate::{Datum, Severity};
use crate::words::{At, HostName};

/// One thing that must be alike on all hosts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Item {
    /// Its configured name.
    pub name: String,
    /// What is compared and where, in words.
    pub what: String,
    /// How much a difference matters.
    pub severity: Severity,
    /// Whether its value may be shown.
    pub secrecy: Secrecy,
    /// Another item that must have the same value, too.
    pub same_as: Option<String>,
    /// Whether the observer may copy it from one host to another.
    pub mending: Mending,
}

/// Whether a value may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Secrecy {
    /// It may, shortened.
    Plain,
    /// It is never shown, told, logged or kept.
    Secret,
}

/// How a difference is mended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mending {
    /// The observer can copy it, on a person's order.
    Copy,
    /// Only by hand.
    ByHand,
}

/// A salted hash of a value. It means something beside the others of the same comparison only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Print(pub String);

/// What was found of an item on a host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Found {
    /// A value.
    Value {
        /// Its print.
        print: Print,
        /// As it may be shown; none of a secret.
        shown: Option<String>,
    },
    /// It is definitely not there; the text says what is missing.
    Missing(String),
}

/// What was read of one item on every host, all with the same salt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ItemReading {
    /// The item.
    pub item: Item,
    /// By host: what was found, or why it was not read.
    pub hosts: BTreeMap<HostName, Datum<Found>>,
}

/// How an item stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Standing {
    /// Every host has the same value.
    Same,
    /// Two hosts are known to have different values.
    Differs,
    /// A host is known not to have it.
    Missing,
    /// Nothing is known to be amiss, and not everything was read.
    Unread,
}

impl Standing {
    /// The word, as in the output and in JSON.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// True if it is known that the hosts are not alike.
    pub fn is_broken(self) -> bool {
        matches!(self, Standing::Differs | Standing::Missing)
    }
}

/// What one host has, beside the others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// A value: equal letters are equal values, within an item and among those that must be the
    /// same.
    Value {
        /// The letter; `A` is the value that is taken for the right one.
        letter: String,
        /// The value as it may be shown; none of a secret.
        shown: Option<String>,
    },
    /// It is not there.
    Missing(String),
    /// It could not be read, for this reason.
    Unread(String),
}

/// One item compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Compared {
    /// The item.
    pub item: Item,
    /// How it stands.
    pub standing: Standing,
    /// What each host has.
    pub hosts: BTreeMap<HostName, Cell>,
    /// The hosts whose value is another one than the right one.
    pub odd: Vec<HostName>,
}

impl Compared {
    /// What is amiss, in a sentence that holds no secret; none where nothing is.
    pub fn sentence(&self) -> Option<String> {
        let name = &self.item.name;
        let mut parts = Vec::new();
        for (host, cell) in &self.hosts {
            match cell {
                Cell::Missing(what) => parts.push(format!("{host}: {what}")),
                Cell::Unread(why) => parts.push(format!("{host}: not read, {why}")),
                Cell::Value { shown: Some(shown), .. } if self.standing == Standing::Differs => {
                    parts.push(format!("{host}: {shown}"));
                }
                Cell::Value { .. } if self.odd.contains(host) => {
                    parts.push(format!("{host} has another value than the rest"));
                }
                Cell::Value { .. } => {}
            }
        }
        (self.standing != Standing::Same)
            .then(|| format!("{name} {}: {}", self.standing.name(), parts.join("; ")))
    }
}

/// Compares what was read. What is right is what most places have, counting an item together with
/// those it must be the same as; where no value has the most, it is what `master` has.
pub fn compare(readings: &[ItemReading], master: Option<&HostName>) -> Vec<Compared> {
    readings.iter().map(|reading| compared(reading, readings, master)).collect()
}

fn compared(
    reading: &ItemReading,
    readings: &[ItemReading],
    master: Option<&HostName>,
) -> Compared {
    let group = root(&reading.item);
    let members: Vec<&ItemReading> =
        readings.iter().filter(|other| root(&other.item) == group).collect();
    let right = right(&members, reading, master);
    let letters = letters(&members, right.as_ref());
    let mut hosts = BTreeMap::new();
    let mut odd = Vec::new();
    let (mut missing, mut unread) = (false, false);
    let own: BTreeSet<&Print> = prints(reading).map(|(_, print)| print).collect();
    for (host, found) in &reading.hosts {
        let cell = match found {
            Ok(Found::Value { print, shown }) => {
                if right.as_ref().is_some_and(|right| right != print) {
                    odd.push(host.clone());
                }
                let letter = letters.get(print).cloned().unwrap_or_default();
                Cell::Value { letter, shown: shown.clone() }
            }
            Ok(Found::Missing(what)) => {
                missing = true;
                Cell::Missing(what.clone())
            }
            Err(why) => {
                unread = true;
                Cell::Unread(why.0.clone())
            }
        };
        hosts.insert(host.clone(), cell);
    }
    let standing = if own.len() > 1 || !odd.is_empty() {
        Standing::Differs
    } else if missing {
        Standing::Missing
    } else if unread {
        Standing::Unread
    } else {
        Standing::Same
    };
    Compared { item: reading.item.clone(), standing, hosts, odd }
}

/// The item that stands for all that must have one value.
fn root(item: &Item) -> &str {
    item.same_as.as_deref().unwrap_or(&item.name)
}

fn prints(reading: &ItemReading) -> impl Iterator<Item = (&HostName, &Print)> {
    reading.hosts.iter().filter_map(|(host, found)| match found {
        Ok(Found::Value { print, .. }) => Some((host, print)),
        _ => None,
    })
}

fn right(members: &[&ItemReading], own: &ItemReading, master: Option<&HostName>) -> Option<Print> {
    let mut counts: BTreeMap<&Print, usize> = BTreeMap::new();
    for (_, print) in members.iter().flat_map(|member| prints(member)) {
        *counts.entry(print).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    let mut leaders = counts.iter().filter(|(_, count)| **count == most);
    if let (Some((print, _)), None) = (leaders.next(), leaders.next()) {
        return Some((*print).clone());
    }
    let of_master = prints(own).find(|(host, _)| Some(*host) == master);
    of_master.or_else(|| prints(own).next()).map(|(_, print)| print.clone())
}

/// Letters for the values of one group: `A` for the right one, the others as they come.
fn letters(members: &[&ItemReading], right: Option<&Print>) -> BTreeMap<Print, String> {
    let mut letters = BTreeMap::new();
    let all = members.iter().flat_map(|member| prints(member)).map(|(_, print)| print);
    for print in right.into_iter().chain(all) {
        let next = letters.len();
        let letter = || match u8::try_from(next) {
            Ok(next) if next < 26 => char::from(b'A' + next).to_string(),
            _ => format!("Z{next}"),
        };
        letters.entry(print.clone()).or_insert_with(letter);
    }
    letters
}

/// How an item stands and since when, as it is kept between looks and across restarts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The last standing that was known; *unread* only while none ever was.
    pub standing: Standing,
    /// Since when it stands like this.
    pub since: At,
    /// Since when not everything could be read.
    pub unread_since: Option<At>,
}

/// What is kept after one more look. A look that could not be read changes nothing of what was
/// known: a host that is away for a night mends no difference and begins no new one.
pub fn keep(before: Option<&Kept>, standing: Standing, at: At) -> Kept {
    match (before, standing) {
        (None, _) => {
            let unread_since = (standing == Standing::Unread).then_some(at);
            Kept { standing, since: at, unread_since }
        }
        (Some(before), Standing::Unread) => {
            Kept { unread_since: before.unread_since.or(Some(at)), ..*before }
        }
        (Some(before), known) if before.standing == known => Kept { unread_since: None, ..*before },
        (Some(_), known) => Kept { standing: known, since: at, unread_since: None },
    }
}

/// Whether a person is to be told: it is known to be broken now and was not before, or is whole
/// again.
pub fn is_news(before: Option<&Kept>, after: &Kept) -> bool {
    let was_broken = before.is_some_and(|before| before.standing.is_broken());
    after.standing.is_broken() != was_broken
        || (was_broken && before.is_some_and(|before| before.standing != after.standing))
}

/// What a person is told of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// It is not alike any more, or is again.
    Changed(Box<Compared>),
    /// It was copied.
    Fixed {
        /// Who ordered it.
        by: String,
        /// The item's name.
        item: String,
        /// Whose value it is.
        from: HostName,
        /// Who got it.
        to: HostName,
        /// Where the content before is kept there.
        kept: String,
    },
}

impl From<Told> for EventKind {
    fn from(told: Told) -> Self {
        match told {
            Told::Changed(compared) => EventKind::ParityChanged {
                text: compared.sentence().unwrap_or_default(),
                severity: compared.item.severity,
                standing: compared.standing,
                item: compared.item.name,
            },
            Told::Fixed { by, item, from, to, kept } => {
                EventKind::ParityFixed { by, item, from, to, kept }
            }
        }
    }
}

/// A copy of one item from a host to others, as a person orders it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Copying {
    /// The item's name.
    pub item: String,
    /// Whose value is right.
    pub from: HostName,
    /// Who gets it.
    pub to: Vec<HostName>,
}

/// Why an item is not copied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotCopied {
    /// There is no such item.
    #[error("no item of parity is called \"{0}\"")]
    UnknownItem(String),
    /// There is no such host.
    #[error("no host of the pair is called \"{0}\"")]
    UnknownHost(HostName),
    /// Nobody knows whose value is right.
    #[error("no master is known, and no host was named")]
    NoMaster,
    /// It cannot be copied, or must not be.
    #[error("{0} is not copied by the observer")]
    ByHand(String),
}

/// Works out who gives to whom. From the master unless a host is named: only who names a slave
/// has its value overwrite the master's.
pub fn copying(
    items: &[Item],
    hosts: &[HostName],
    master: Option<&HostName>,
    item: &str,
    from: Option<&HostName>,
) -> Result<Copying, NotCopied> {
    let found = items.iter().find(|known| known.name == item);
    let found = found.ok_or_else(|| NotCopied::UnknownItem(item.to_owned()))?;
    if found.mending == Mending::ByHand {
        return Err(NotCopied::ByHand(found.name.clone()));
    }
    let from = from.or(master).ok_or(NotCopied::NoMaster)?;
    if !hosts.contains(from) {
        return Err(NotCopied::UnknownHost(from.clone()));
    }
    let to = hosts.iter().filter(|host| *host != from).cloned().collect();
    Ok(Copying { item: item.to_owned(), from: from.clone(), to })
}

#[cfg(test)]
#[path = "parity_tests.rs"]
mod tests;
