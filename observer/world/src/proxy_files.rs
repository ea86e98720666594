//! Changes of the proxies' files that a person ordered: read, prepare, apply.
//!
//! Whether such a change may be made now is decided elsewhere, before it is asked for here.

use std::time::Duration;

use haproxy::{Document, Members};
use observer_core::words::{HostName, ProxyName};

use tokio::time::Instant;

use super::{Inner, PairWorld};
use crate::eyes::proxy_file;
use crate::hands;
use crate::survey::proxy_files as loaded;

/// A new content for a proxy's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// The proxy.
    pub proxy: ProxyName,
    /// What was read, and shown to whoever ordered it.
    pub before: Vec<u8>,
    /// What is to be there.
    pub after: Vec<u8>,
    /// The host that users are let in to, and no other.
    pub master: HostName,
}

/// Where an apply stands, told as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyStep {
    /// The new content is in its place and not loaded.
    Put,
    /// HAProxy was told to load it.
    Ordered,
    /// It is loaded, and every proof was seen.
    Proven,
    /// A proof failed, and the old content is in its place again.
    Back,
}

/// What became of an apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// HAProxy runs with the new content; what was seen.
    Loaded(String),
    /// Nothing was changed, and why.
    Refused(String),
    /// The new content did not stand: the old one is back and loaded.
    RolledBack(String),
    /// It is not known, or not put right, what the file and the process are now.
    Unsettled(String),
}

/// How long the check of one draft may take.
const PREPARE: Duration = Duration::from_secs(10);

impl PairWorld {
    /// The content of a proxy's file now, and where it lies.
    pub async fn proxy_file(
        &self,
        proxy: &ProxyName,
        deadline: Duration,
    ) -> Result<(String, Vec<u8>), String> {
        let found = self.inner.proxy(proxy);
        let found = found.ok_or_else(|| format!("{proxy} is no proxy of the pair"))?;
        let reading = proxy_file::read_as_root(found, deadline);
        let late = |_| format!("no answer within {} ms", deadline.as_millis());
        let bytes = tokio::time::timeout(deadline, reading).await.map_err(late)?;
        let bytes = bytes.map_err(|silent| format!("{}: {silent}", found.commands.config))?;
        Ok((found.commands.config.clone(), bytes))
    }

    /// Every file that a proxy's HAProxy loads, by name and in order, with `changed` as the content
    /// of the one that is changed.
    pub async fn loaded_files(
        &self,
        proxy: &ProxyName,
        changed: &[u8],
        deadline: Duration,
    ) -> Result<Vec<(String, Vec<u8>)>, String> {
        let found = self.inner.proxy(proxy);
        let found = found.ok_or_else(|| format!("{proxy} is no proxy of the pair"))?;
        let until = Instant::now() + deadline;
        let reading = loaded::read(&self.inner, found, Ok(changed), until);
        let late = |_| format!("no answer within {} ms", deadline.as_millis());
        let read = tokio::time::timeout_at(until, reading).await.map_err(late)?;
        let (loaded, _) = read.map_err(|why| why.0)?;
        let bytes = |(name, file): (&str, &Document)| (name.to_owned(), file.to_bytes());
        Ok(loaded.files().into_iter().map(bytes).collect())
    }

    /// A number that is another one once a plan has acted at any proxy.
    pub fn plans_acted(&self) -> u64 {
        self.inner.proxies.values().map(|proxy| proxy.turns.plans()).sum()
    }

    /// Checks everything that can be checked before the file is touched.
    pub async fn prepare(&self, file: &NewFile) -> Result<(), String> {
        let late = || Err(format!("{}: no answer within {} s", file.proxy, PREPARE.as_secs()));
        let preparing = hands::prepare(&self.inner, file, PREPARE);
        tokio::time::timeout(PREPARE, preparing).await.unwrap_or_else(|_| late())
    }

    /// Puts the new content in its place, loads it and proves it; takes it back where a proof
    /// fails. Refused once plans have acted beyond `acted`. `at` is told where it stands.
    pub async fn apply(&self, file: &NewFile, acted: u64, at: &dyn Fn(ApplyStep)) -> Applied {
        hands::apply(&self.inner, file, &|| self.plans_acted() == acted, at).await
    }
}

pub(super) fn members_of(inner: &Inner, proxy: Option<&ProxyName>) -> Members {
    match proxy.and_then(|proxy| inner.proxy(proxy)) {
        Some(proxy) => proxy_file::members(inner, proxy),
        None => proxy_file::members_by_address(inner),
    }
}
