//! The commands that make a standby of a host: its settings, its control file, and the programs
//! that rewind and clone it.
//!
//! What lies in the data directory is touched as its owner, because a link in there would lead
//! root anywhere. What takes its time runs as a transient unit: neither the end of our SSH
//! connection nor that of the observer ends it.

use std::collections::BTreeMap;

use observer_core::words::HostName;

use super::job::{self, JobCommands, KeepCommands};
use super::{Privileged, SYSTEMCTL, absolute, plain};
use crate::access::{HostAccess, WorldError};

/// What makes a standby of one host.
#[derive(Debug, Clone)]
pub(crate) struct StandbyCommands {
    /// The file that PostgreSQL itself writes its settings to.
    pub(crate) settings: String,
    pub(crate) read: Privileged,
    pub(crate) hash: Privileged,
    pub(crate) shape_draft: Privileged,
    pub(crate) write_draft: Privileged,
    pub(crate) hash_draft: Privileged,
    pub(crate) put: Privileged,
    pub(crate) sync: Privileged,
    pub(crate) drop_draft: Privileged,
    /// Makes a running server read its settings again.
    pub(crate) reload: Privileged,
    /// What the control file says.
    pub(crate) control: Privileged,
    /// Every line of every timeline history file, each after its file's path.
    pub(crate) histories: Privileged,
    pub(crate) rewinding: JobCommands,
    pub(crate) cloning: JobCommands,
    /// Takes away what an unfinished clone left.
    pub(crate) drop_copy: Privileged,
    pub(crate) keep: KeepCommands,
    /// By the host it streams from.
    pub(crate) sources: BTreeMap<HostName, Source>,
}

/// What leads to one host that a standby streams from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// `primary_conninfo`, without quotes.
    pub(crate) conninfo: String,
    pub(crate) rewind: Privileged,
    pub(crate) clone: Privileged,
}

impl StandbyCommands {
    pub(super) fn new(
        access: &HostAccess,
        data: &str,
        others: &[&HostAccess],
    ) -> Result<Self, WorldError> {
        let machine = access.name.as_str();
        let unit = access.database.unit.as_str();
        let programs = absolute(machine, &access.database.programs())?;
        let settings = format!("{data}/postgresql.auto.conf");
        let draft = format!("{data}/.postgresql.auto.conf.ha-observer");
        let written = format!("of={draft}");
        let controldata = format!("{programs}/pg_controldata");
        let logs = format!("{data}/pg_wal");
        let as_postgres = Privileged::as_postgres;
        let mut sources = BTreeMap::new();
        for other in others {
            sources.insert(other.name.clone(), Source::new(access, other, data)?);
        }
        Ok(Self {
            read: as_postgres(&["/usr/bin/cat", &settings]),
            hash: as_postgres(&["/usr/bin/sha256sum", &settings]),
            shape_draft: as_postgres(&["/usr/bin/install", "-m", "0600", "/dev/null", &draft]),
            write_draft: as_postgres(&["/usr/bin/dd", &written, "conv=fsync", "status=none"]),
            hash_draft: as_postgres(&["/usr/bin/sha256sum", &draft]),
            put: as_postgres(&["/usr/bin/mv", "-T", &draft, &settings]),
            sync: as_postgres(&["/usr/bin/sync", data]),
            drop_draft: as_postgres(&["/usr/bin/rm", "-f", &draft]),
            reload: Privileged::new(&[SYSTEMCTL, "--no-block", "reload", unit]),
            // Its words are read, so they must be English.
            control: as_postgres(&["/usr/bin/env", "LC_ALL=C", &controldata, "-D", data]),
            histories: as_postgres(&["/usr/bin/grep", "-rH", "--include=*.history", ".", &logs]),
            rewinding: JobCommands::new(job::REWIND),
            cloning: JobCommands::new(job::CLONE),
            drop_copy: Privileged::new(&["/usr/bin/rm", "-rf", &job::copy_of(data)]),
            keep: KeepCommands::new(data),
            settings,
            sources,
        })
    }

    pub(super) fn all(&self) -> Vec<&Privileged> {
        let mut all = vec![
            &self.read,
            &self.hash,
            &self.shape_draft,
            &self.write_draft,
            &self.hash_draft,
            &self.put,
            &self.sync,
            &self.drop_draft,
            &self.reload,
            &self.control,
            &self.histories,
            &self.drop_copy,
            &self.keep.compare,
        ];
        for job in [&self.rewinding, &self.cloning] {
            all.extend([&job.stop, &job.reset]);
        }
        all.extend(self.keep.steps.iter().map(|(command, _)| command));
        all.extend(self.sources.values().flat_map(|source| [&source.rewind, &source.clone]));
        all
    }
}

impl Source {
    fn new(standby: &HostAccess, upstream: &HostAccess, data: &str) -> Result<Self, WorldError> {
        let machine = upstream.name.as_str();
        let database = &upstream.database;
        plain(machine, &database.address)?;
        plain(machine, &database.replication_user)?;
        plain(machine, standby.name.as_str())?;
        let mut conninfo = format!(
            "host={} port={} user={} application_name={}",
            database.address, database.port, database.replication_user, standby.name
        );
        for option in database.replication_options.iter().flat_map(|text| text.split(' ')) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            plain(machine, key)?;
            plain(machine, value)?;
            conninfo.push_str(&format!(" {option}"));
        }
        let (rewind, clone) =
            (job::rewind(standby, upstream, data)?, job::clone(standby, upstream, data)?);
        Ok(Self { conninfo, rewind, clone })
    }
}

/// The name of the slot that is kept for `host`: PostgreSQL allows few characters in it.
pub(crate) fn slot_name(host: &HostName) -> String {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let name = host.as_str().bytes().map(|byte| if allowed(byte) { byte as char } else { '_' });
    // PostgreSQL would cut a longer one itself, and the comparison would fail.
    name.take(63).collect()
}
