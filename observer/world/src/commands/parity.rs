//! What comparing and copying an item of parity runs on a host.
//!
//! A file is read and written with the rights of the account that the item names: root writes only
//! into folders that nobody else can write to, which is looked at first; elsewhere a link put in
//! the way would turn root's pen on another file.

use std::path::Path;

use super::{Privileged, RunAs, absolute, plain};
use crate::access::{ParityItem, ParitySource, WorldError};
use crate::keys::Format;

/// The commands of one item.
#[derive(Debug, Clone)]
pub(crate) struct ParityCommands {
    pub(crate) item: ParityItem,
    pub(crate) look: Look,
}

/// How an item is looked at.
#[derive(Debug, Clone)]
pub(crate) enum Look {
    /// What a command prints.
    Output(Privileged),
    /// A file, and with a key one value in it.
    File { file: Box<FileCommands>, key: Option<(Format, String)> },
    /// The version of a package.
    Package(String),
    /// What systemd says of a unit.
    Unit(Privileged),
    /// A setting of PostgreSQL.
    Setting(String),
}

/// Everything that is done to one file.
#[derive(Debug, Clone)]
pub(crate) struct FileCommands {
    pub(crate) path: String,
    pub(crate) is_there: Privileged,
    pub(crate) read: Privileged,
    pub(crate) hash: Privileged,
    /// Kind, owner, group and mode.
    pub(crate) see_shape: Privileged,
    /// Owner and mode of each folder above it.
    pub(crate) see_folders: Privileged,
    pub(crate) shape_draft: Privileged,
    pub(crate) write_draft: Privileged,
    pub(crate) hash_draft: Privileged,
    /// Copies the file beside itself under a name with the time, and prints that name.
    pub(crate) keep: Privileged,
    pub(crate) put: Privileged,
    pub(crate) sync: Privileged,
    pub(crate) drop_draft: Privileged,
}

impl ParityCommands {
    /// The commands on one machine, entered as `login`.
    pub(crate) fn all(
        machine: &str,
        login: &str,
        items: &[ParityItem],
    ) -> Result<Vec<Self>, WorldError> {
        items.iter().map(|item| Self::new(machine, login, item)).collect()
    }

    fn new(machine: &str, login: &str, item: &ParityItem) -> Result<Self, WorldError> {
        let run_as = match item.user.as_deref() {
            None => RunAs::Login,
            Some(user) => RunAs::named(machine, login, user)?,
        };
        let look = match &item.source {
            ParitySource::Command(words) => {
                if run_as != RunAs::Login {
                    words.iter().try_for_each(|word| speakable(machine, word))?;
                }
                Look::Output(Privileged { run_as, argv: words.clone() })
            }
            ParitySource::File(path) => {
                let file = Box::new(FileCommands::new(machine, run_as, path)?);
                Look::File { file, key: None }
            }
            ParitySource::Key { file, format, key } => {
                let file = Box::new(FileCommands::new(machine, run_as, file)?);
                Look::File { file, key: Some((*format, key.clone())) }
            }
            ParitySource::Package(name) => Look::Package(name.clone()),
            ParitySource::Unit(unit) => {
                plain(machine, unit)?;
                let argv = ["/usr/bin/systemctl", "--no-pager", "cat", unit];
                let argv = argv.map(str::to_owned).to_vec();
                Look::Unit(Privileged { run_as: RunAs::Login, argv })
            }
            ParitySource::Setting(name) => Look::Setting(name.clone()),
        };
        Ok(Self { item: item.clone(), look })
    }

    /// What sudo must allow.
    pub(crate) fn privileged(&self) -> Vec<&Privileged> {
        let all = match &self.look {
            Look::Output(command) => vec![command],
            Look::File { file, .. } => file.all(self.item.item.mending),
            Look::Package(_) | Look::Unit(_) | Look::Setting(_) => Vec::new(),
        };
        all.into_iter().filter(|command| command.run_as != RunAs::Login).collect()
    }
}

impl FileCommands {
    fn new(machine: &str, run_as: RunAs, path: &Path) -> Result<Self, WorldError> {
        let path = absolute(machine, path)?;
        let not_absolute =
            || WorldError::NotAbsolute { machine: machine.to_owned(), path: path.clone() };
        let (folder, name) = path.rsplit_once('/').ok_or_else(not_absolute)?;
        let folder = if folder.is_empty() { "/" } else { folder };
        let draft = format!("{folder}/.{name}.ha-observer");
        let command = |argv: &[&str]| Privileged {
            run_as: run_as.clone(),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
        };
        let mut folders = vec!["/usr/bin/stat", "-L", "-c", "%u:%a"];
        let above: Vec<&str> =
            Path::new(&path).ancestors().skip(1).filter_map(Path::to_str).collect();
        folders.extend(&above);
        let alike = ["/usr/bin/cp", "--attributes-only", "--preserve=all", "--remove-destination"];
        // A sudoers file names exact commands, and this one has to find the time by itself.
        let keep = format!(
            "k={path}.ha-observer-$(/usr/bin/date -u +%Y%m%dT%H%M%SZ) && \
             /usr/bin/cp --preserve=all -T {path} $k && echo $k"
        );
        let write = format!("of={draft}");
        Ok(Self {
            is_there: command(&["/usr/bin/test", "-e", &path]),
            read: command(&["/usr/bin/cat", &path]),
            hash: command(&["/usr/bin/sha256sum", &path]),
            see_shape: command(&["/usr/bin/stat", "-c", "%F:%u:%g:%a", &path]),
            see_folders: command(&folders),
            shape_draft: command(&[&alike[..], &[&path, &draft]].concat()),
            write_draft: command(&["/usr/bin/dd", &write, "conv=fsync", "status=none"]),
            hash_draft: command(&["/usr/bin/sha256sum", &draft]),
            keep: command(&["/usr/bin/sh", "-c", &keep]),
            put: command(&["/usr/bin/mv", "-T", &draft, &path]),
            sync: command(&["/usr/bin/sync", folder]),
            drop_draft: command(&["/usr/bin/rm", "-f", &draft]),
            path,
        })
    }

    fn all(&self, mending: observer_core::parity::Mending) -> Vec<&Privileged> {
        let mut all = vec![&self.is_there, &self.read, &self.hash];
        if mending == observer_core::parity::Mending::Copy {
            all.extend([&self.see_shape, &self.see_folders, &self.shape_draft, &self.write_draft]);
            all.extend([&self.hash_draft, &self.keep, &self.put, &self.sync, &self.drop_draft]);
        }
        all
    }

    /// Whether root writes it.
    pub(crate) fn is_roots(&self) -> bool {
        self.put.run_as == RunAs::Root
    }
}

/// Refuses a word of a command that a sudoers file could not carry.
pub(super) fn speakable(machine: &str, word: &str) -> Result<(), WorldError> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_./@%+-:=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(safe) {
        return Ok(());
    }
    Err(WorldError::Unspeakable { machine: machine.to_owned(), value: word.to_owned() })
}
