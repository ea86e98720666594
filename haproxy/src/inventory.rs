//! What proxies, servers and listeners a file has, to notice when a rewrite lost some.
//!
//! HAProxy accepts a file that was cut off at the end of a line, and in some ways of asking even
//! an empty one; only a comparison with what was there before shows the loss.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::document::Document;

/// The proxies of a file with their servers and listeners.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    proxies: BTreeMap<ProxyId, Contents>,
}

/// A proxy: its section keyword (`frontend`, `backend`, `listen`) and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProxyId {
    /// The section keyword.
    pub keyword: String,
    /// The name.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Contents {
    servers: BTreeSet<String>,
    binds: BTreeSet<String>,
}

/// One difference between two inventories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whether it went or came.
    pub direction: Direction,
    /// The proxy it belongs to.
    pub proxy: ProxyId,
    /// What went or came.
    pub item: Item,
}

/// Whether something went or came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It was there before and is not there after.
    Lost,
    /// It is there after and was not there before.
    Added,
}

/// What an inventory counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The proxy itself, with all it had.
    Proxy,
    /// A server by name; a template by its prefix and range.
    Server(String),
    /// A listener by its address as written.
    Bind(String),
}

impl Inventory {
    /// Counts what the file has.
    pub fn of(document: &Document) -> Inventory {
        let mut proxies: BTreeMap<ProxyId, Contents> = BTreeMap::new();
        for section in document.view().proxies() {
            let id =
                ProxyId { keyword: section.keyword.to_string(), name: section.name.to_string() };
            let contents = proxies.entry(id).or_default();
            contents.servers.extend(section.servers.iter().map(|server| match &server.template {
                Some(range) => format!("{} {range}", server.name),
                None => server.name.to_string(),
            }));
            contents.binds.extend(section.binds.iter().map(|bind| bind.address.to_string()));
        }
        Inventory { proxies }
    }

    /// Whether the file has no proxy at all.
    pub fn is_empty(&self) -> bool {
        self.proxies.is_empty()
    }

    /// The proxies in order of keyword and name.
    pub fn proxies(&self) -> impl Iterator<Item = &ProxyId> {
        self.proxies.keys()
    }

    /// What is different in `after`: losses first within each proxy. None means nothing is.
    pub fn differences(&self, after: &Inventory) -> Vec<Difference> {
        let ids: BTreeSet<&ProxyId> = self.proxies.keys().chain(after.proxies.keys()).collect();
        let mut found = Vec::new();
        for id in ids {
            let mut push = |direction, item| {
                found.push(Difference { direction, proxy: id.clone(), item });
            };
            match (self.proxies.get(id), after.proxies.get(id)) {
                (Some(old), Some(new)) => {
                    for (from, to, direction) in
                        [(old, new, Direction::Lost), (new, old, Direction::Added)]
                    {
                        for server in from.servers.difference(&to.servers) {
                            push(direction, Item::Server(server.clone()));
                        }
                        for bind in from.binds.difference(&to.binds) {
                            push(direction, Item::Bind(bind.clone()));
                        }
                    }
                }
                (Some(_), None) => push(Direction::Lost, Item::Proxy),
                (None, Some(_)) => push(Direction::Added, Item::Proxy),
                (None, None) => {}
            }
        }
        found
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Lost => "lost",
            Direction::Added => "added",
        };
        let ProxyId { keyword, name } = &self.proxy;
        match &self.item {
            Item::Proxy => write!(f, "{direction}: {keyword} {name}"),
            Item::Server(server) => write!(f, "{direction}: server {server} of {keyword} {name}"),
            Item::Bind(bind) => write!(f, "{direction}: bind {bind} of {keyword} {name}"),
        }
    }
}
