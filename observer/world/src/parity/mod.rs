//! Reads the items of parity on every host, and copies one from a host to others.
//!
//! It judges nothing. Items are read one after the other over the connection that is there anyway,
//! so that looks find room beside them. What is secret lives in memory here only, between an SSH
//! channel and a salted hash, and what is ours of it is wiped: no argument, error or log has it.
//! Secret files and outputs are hashed where they are, with a salt that goes there through
//! standard input. A secret key is read whole, because one password stands in files of several
//! kinds, and only its meaning can be compared among them.

mod copy;
mod read;

use std::time::Duration;

use observer_core::parity::{Copying, Item, ItemReading, Print};
use observer_core::words::HostName;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::pair_world::PairWorld;
pub(crate) use copy::only_root_writes;
pub(crate) use read::read;

/// What a copy would change on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The host.
    pub host: HostName,
    /// The file there.
    pub path: String,
    /// The lines that go (`-`) and come (`+`), fit to be shown; of a secret only that it differs.
    pub diff: Vec<String>,
}

/// What a copy would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// By host; none where it is alike already.
    pub changes: Vec<Change>,
    /// Stands for exactly this change; only a copy that shows it is carried out.
    pub seal: String,
}

/// What a copy has changed on one host, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The host.
    pub host: HostName,
    /// The file there.
    pub path: String,
    /// Where its content before is kept.
    pub kept: String,
}

impl PairWorld {
    /// The items of parity, in the configured order.
    pub fn parity_items(&self) -> Vec<Item> {
        self.inner().parity.iter().map(|item| item.item.clone()).collect()
    }

    /// Reads every item on every host, read-only, within `deadline`; all with one new salt.
    pub async fn read_parity(&self, deadline: Duration) -> Vec<ItemReading> {
        read(self.inner(), Instant::now() + deadline).await
    }

    /// What copying an item would change. Nothing is written. The error names what to do.
    pub async fn preview_copy(
        &self,
        copying: &Copying,
        deadline: Duration,
    ) -> Result<Preview, String> {
        let prepared = copy::prepare(self.inner(), copying, Instant::now() + deadline).await?;
        Ok(prepared.preview())
    }

    /// Copies an item, if that is still the change that `seal` stands for. `may_go_on` is asked
    /// again right before each write.
    pub async fn copy_item(
        &self,
        copying: &Copying,
        seal: &str,
        may_go_on: &dyn Fn() -> Result<(), String>,
        deadline: Duration,
    ) -> Result<Vec<Copied>, String> {
        copy::perform(self.inner(), copying, seal, may_go_on, Instant::now() + deadline).await
    }
}

/// Random bytes, as text.
#[derive(Clone)]
pub(crate) struct Salt(String);

impl Salt {
    pub(crate) fn new() -> Self {
        let mut bytes = [0; 32];
        let source = std::fs::File::open("/dev/urandom");
        let read = source.and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
        read.expect("every Linux has /dev/urandom");
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The print of a value, as `sha256sum` makes it of the salt with the value behind it.
    fn print(&self, value: &[u8]) -> Print {
        let hash = Sha256::new().chain_update(&self.0).chain_update(value).finalize();
        Print(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests;
