//! The servers of a pair of hosts in one file: which of them may take traffic, and making it so.
//!
//! It knows hosts only by their addresses or by explicit naming. Servers that belong to no host
//! of the pair are never touched, a waiting-room server among them.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::Document;
use crate::edit::{self, ServerChange, ServerEdit};
use crate::refusal::{Reason, Refusal};
use crate::server::{Server, State, Unclear};
use crate::view::{Section, View};

/// Which servers belong to which host of the pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    addresses: BTreeMap<String, Vec<String>>,
    named: Vec<Named>,
    shared: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    backend: String,
    server: String,
    host: String,
}

/// What the file says about one server of the pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointed {
    /// Name of the `backend` or `listen` section.
    pub backend: String,
    /// Name of the server in it; for a template line the common prefix.
    pub server: String,
    /// The host of the pair that the server is.
    pub host: String,
    /// Line number, counted from 1.
    pub line: usize,
    /// Whether the users of its backend may go to every host, and not to the master alone.
    pub shared: bool,
    /// Whether the file lets it take traffic.
    pub state: State,
}

impl Members {
    /// Members by address: each host with its IP addresses and names, without ports.
    pub fn by_address(hosts: BTreeMap<String, Vec<String>>) -> Members {
        Members { addresses: hosts, ..Members::default() }
    }

    /// Says that users of one backend may go to every host: [`point`] leaves it alone, and
    /// [`point_shared`] turns it. It must exist in the file, with servers of the pair.
    pub fn with_shared_backend(mut self, backend: impl Into<String>) -> Members {
        self.shared.insert(backend.into());
        self
    }

    /// Says that one server is this host, whatever its address. It must exist in the file.
    pub fn with_server(
        mut self,
        backend: impl Into<String>,
        server: impl Into<String>,
        host: impl Into<String>,
    ) -> Members {
        let named = Named { backend: backend.into(), server: server.into(), host: host.into() };
        self.addresses.entry(named.host.clone()).or_default();
        self.named.push(named);
        self
    }

    fn host_by_name(&self, backend: &str, server: &str) -> Option<&str> {
        let is_it = |named: &&Named| named.backend == backend && named.server == server;
        self.named.iter().find(is_it).map(|named| named.host.as_str())
    }

    /// The host that the server is, by name first and by address then.
    fn host_of(&self, section: &Section<'_>, server: &Server<'_>) -> Result<Option<&str>, Refusal> {
        if let Some(host) = self.host_by_name(&section.name, &server.name) {
            return Ok(Some(host));
        }
        let address = server.address();
        let mut hosts = self
            .addresses
            .iter()
            .filter(|(_, own)| own.iter().any(|own| address.is_host(own)))
            .map(|(host, _)| host.as_str());
        match (hosts.next(), hosts.next()) {
            (Some(first), Some(second)) => {
                let reason = Reason::SharedAddress {
                    backend: section.name.to_string(),
                    server: server.name.to_string(),
                    first: first.to_owned(),
                    second: second.to_owned(),
                };
                Err(Refusal::at(server.line, reason))
            }
            (host, _) => Ok(host),
        }
    }
}

/// What the file says about each server of the pair, in file order.
///
/// Refused where the file does not tell which servers those are: an address that two hosts have,
/// an address with an environment variable in a backend of the pair, a named server that is not
/// there.
pub fn pointed_at(document: &Document, members: &Members) -> Result<Vec<Pointed>, Refusal> {
    let view = document.view();
    for Named { backend, server, .. } in &members.named {
        edit::find_server(&view, backend, server)?;
    }
    let mut pointed = Vec::new();
    for section in view.backends() {
        pointed.extend(pointed_in(section, members)?);
    }
    if pointed.is_empty() && members.named.is_empty() {
        hidden_by_variables(&view)?;
    }
    for backend in &members.shared {
        let section = view.backends().find(|section| section.name == *backend);
        let section =
            section.ok_or_else(|| Refusal::anywhere(Reason::NoSuchBackend(backend.clone())))?;
        if !pointed.iter().any(|pointed| pointed.backend == *backend) {
            return Err(Refusal::at(section.line, Reason::NoMembersIn(backend.clone())));
        }
    }
    Ok(pointed)
}

/// Where no server at all is known to be the pair's, any address with a variable may be one.
fn hidden_by_variables(view: &View<'_>) -> Result<(), Refusal> {
    for section in view.backends() {
        let hidden = section.servers.iter().find(|server| server.address().variable);
        if let Some(server) = hidden {
            return Err(unknown_address(section, server));
        }
    }
    Ok(())
}

fn unknown_address(section: &Section<'_>, server: &Server<'_>) -> Refusal {
    let (backend, name) = (section.name.to_string(), server.name.to_string());
    Refusal::at(server.line, Reason::UnknownAddress { backend, server: name })
}

/// Rewrites the file so that of the pair's servers exactly those of `receivers` may take traffic:
/// one host for a master and its slave, several for an application that is active on all. A backend
/// that `members` call shared stays as it is.
///
/// Refused when a receiver is no host of the pair, when the file has no server of the pair, and
/// when a line cannot be edited safely. The file given is never changed.
pub fn point(
    document: &Document,
    members: &Members,
    receivers: &[&str],
) -> Result<Document, Refusal> {
    turn(document, members, receivers, |pointed| !pointed.shared)
}

/// The same for the shared backends, and for no others.
pub fn point_shared(
    document: &Document,
    members: &Members,
    receivers: &[&str],
) -> Result<Document, Refusal> {
    turn(document, members, receivers, |pointed| pointed.shared)
}

fn turn(
    document: &Document,
    members: &Members,
    receivers: &[&str],
    is_meant: impl Fn(&Pointed) -> bool,
) -> Result<Document, Refusal> {
    if let Some(unknown) = receivers.iter().find(|host| !members.addresses.contains_key(**host)) {
        return Err(Refusal::anywhere(Reason::UnknownHost((*unknown).to_owned())));
    }
    let pointed = pointed_at(document, members)?;
    if pointed.is_empty() {
        return Err(Refusal::anywhere(Reason::NoMembers));
    }
    let pointed: Vec<Pointed> = pointed.into_iter().filter(is_meant).collect();
    let template = State::Unclear(Unclear::Template);
    if let Some(found) = pointed.iter().find(|pointed| pointed.state == template) {
        let (backend, server) = (found.backend.clone(), found.server.clone());
        let unclear = Unclear::Template;
        return Err(Refusal::at(found.line, Reason::Unsafe { backend, server, unclear }));
    }
    let edits: Vec<ServerEdit> = pointed
        .into_iter()
        .map(|pointed| {
            let receives = receivers.contains(&pointed.host.as_str());
            let change = if receives { ServerChange::Enable } else { ServerChange::Disable };
            ServerEdit::new(pointed.backend, pointed.server, change)
        })
        .collect();
    let mut turned = document.clone();
    turned.edit_servers(&edits)?;
    Ok(turned)
}

fn pointed_in(section: &Section<'_>, members: &Members) -> Result<Vec<Pointed>, Refusal> {
    let mut pointed = Vec::new();
    let mut hidden = None;
    for server in &section.servers {
        match members.host_of(section, server)? {
            Some(host) => pointed.push(Pointed {
                backend: section.name.to_string(),
                server: server.name.to_string(),
                host: host.to_owned(),
                line: server.line,
                shared: members.shared.contains(&*section.name),
                state: match server.template {
                    Some(_) => State::Unclear(Unclear::Template),
                    None => server.state(),
                },
            }),
            None if server.address().variable => hidden = hidden.or(Some(server)),
            None => {}
        }
    }
    match hidden {
        Some(server) if !pointed.is_empty() => Err(unknown_address(section, server)),
        _ => Ok(pointed),
    }
}
