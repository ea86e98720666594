//! Where the machines of one pair are and how they are entered.
//!
//! It names things and places only: no password is in here, and nothing is read or opened. What is
//! *allowed* to be done is the pair's policy, which the core holds.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use observer_core::mounts::MountSpec;
use observer_core::parity::Item;
use observer_core::policy::PairSpec;
use observer_core::sighting::Says;
use observer_core::words::{BouncerName, FileSetName, HostName, ProxyName, ServiceName};

use crate::keys::Format;
use crate::ssh::{BadHostKey, HostKey, SshTarget, SshTiming};

/// Everything needed to reach one pair.
#[derive(Debug, Clone)]
pub struct PairAccess {
    /// The pair and its policy.
    pub spec: PairSpec,
    /// The database that the hosts reach, where they keep none of their own.
    pub external: Option<ExternalAccess>,
    /// One entry per host of the pair.
    pub hosts: Vec<HostAccess>,
    /// One entry per proxy of the pair.
    pub proxies: Vec<ProxyAccess>,
    /// One entry per PgBouncer of the pair.
    pub bouncers: Vec<BouncerAccess>,
    /// Where each file set is, and how it is fetched; one entry per set of the pair.
    pub files: Vec<FileSetAccess>,
    /// The mounts that the hosts share, and who tries them; one entry per mount of the pair.
    pub mounts: Vec<MountPoint>,
    /// What must be alike on all hosts, and where it is found.
    pub parity: Vec<ParityItem>,
    /// How each service that has a readiness probe of its own is asked.
    pub readiness: Vec<ReadinessProbe>,
}

/// The external database, as every host reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAccess {
    /// Its address or name, as the hosts know it.
    pub address: String,
    /// Its TCP port.
    pub port: u16,
}

/// How one service is asked whether it is ready. It is asked on the host itself, through SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessProbe {
    /// The service.
    pub service: ServiceName,
    /// How long one answer may take, in milliseconds.
    pub deadline_ms: u64,
    /// What is asked, and which answer means ready.
    pub question: ReadinessQuestion,
}

/// What a readiness probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadinessQuestion {
    /// One HTTP GET.
    Http(HttpReadiness),
    /// Whether somebody listens.
    Tcp {
        /// Where.
        listens_at: ListensAt,
        /// The TCP port.
        port: u16,
    },
    /// Whether a command ends with 0.
    Command {
        /// Program and arguments, without a shell.
        words: Vec<String>,
        /// The account that it runs as, by sudo unless it is the one we log in as.
        user: String,
    },
}

/// Where a service listens on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListensAt {
    /// 127.0.0.1.
    Loopback,
    /// The address at which the host is entered.
    Address,
}

/// One HTTP GET, and which answer means ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReadiness {
    /// Where it listens.
    pub listens_at: ListensAt,
    /// Its TCP port.
    pub port: u16,
    /// Path with query.
    pub path: String,
    /// Value of the `Host` header, where it is not the address.
    pub host_header: Option<String>,
    /// The statuses that mean ready.
    pub status: RangeInclusive<u16>,
    /// Headers that must be there with exactly these values.
    pub headers: Vec<(String, String)>,
    /// Text that the first 64 KiB of the body must hold.
    pub body: Option<String>,
}

/// Single files of one folder, and what their copies must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleFiles {
    /// Names, and patterns of names with `*` and `?`; one at least.
    pub files: Vec<String>,
    /// Permissions of the slave's copies; none: the master's.
    pub mode: Option<u32>,
    /// `USER:GROUP` of the slave's copies; none: the master's.
    pub owner: Option<String>,
}

impl SingleFiles {
    /// Whether this can be a name, or a pattern of names: nothing that a shell, rsync or sudo would
    /// read as more than that.
    pub fn is_name(name: &str) -> bool {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@+-*?".contains(&byte);
        let whole = !name.is_empty() && !name.starts_with('-') && !matches!(name, "." | "..");
        whole && !name.contains("**") && name.bytes().all(safe)
    }

    /// The files that are declared by name.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.files.iter().filter(|file| !Self::is_pattern(file))
    }

    /// Whether it means all names like it, and not one.
    pub fn is_pattern(name: &str) -> bool {
        name.contains(['*', '?'])
    }
}

/// Where one file set is, the same place on every host, and how a slave fetches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSetAccess {
    /// Its configured name; part of the name of a folder and of a systemd unit.
    pub name: FileSetName,
    /// The folder whose content is copied.
    pub path: PathBuf,
    /// The files of that folder which alone are copied; none: all that is below it.
    pub single: Option<SingleFiles>,
    /// The account that reads it on the master and writes it on the slave; `root` keeps owners.
    pub user: String,
    /// What is left out, as rsync's `--exclude` takes it.
    pub exclude: Vec<String>,
    /// How long what was deleted or replaced on a slave is kept there, in milliseconds.
    pub retention_ms: u64,
    /// More deletions than this are not made before a person allows them.
    pub max_deletes: u64,
    /// Nor more than this share of the set, in percent; ten files are always allowed.
    pub max_deletes_percent: u64,
    /// How many bytes a second are read from the master at most; 0 for no limit.
    pub rate_limit_bytes: u64,
    /// How long a verification may take, in milliseconds.
    pub verify_limit_ms: u64,
    /// What names the paths that must exist, where something does.
    pub paths: Option<PathsQuery>,
}

/// A query whose rows are paths that must exist in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathsQuery {
    /// The database of the pair's cluster that it runs in.
    pub database: String,
    /// One column: paths relative to the set's folder. Tables are named with their schema.
    pub sql: String,
}

/// One mount that the hosts share, and who tries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The mount.
    pub spec: MountSpec,
    /// The account that must be able to use it: the service's.
    pub user: String,
}

/// One item of parity and where it is found, the same place on every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParityItem {
    /// The item.
    pub item: Item,
    /// Where it is found.
    pub source: ParitySource,
    /// The account with whose rights it is read and written; none: the one we log in as.
    pub user: Option<String>,
}

/// Where an item of parity is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParitySource {
    /// What this program prints with these arguments.
    Command(Vec<String>),
    /// The content of a file.
    File(PathBuf),
    /// One value in a file.
    Key {
        /// The file.
        file: PathBuf,
        /// How it is written.
        format: Format,
        /// The key; dots lead into tables.
        key: String,
    },
    /// The version of a package of the distribution.
    Package(String),
    /// A unit with its drop-ins, as systemd has them.
    Unit(String),
    /// A setting of PostgreSQL.
    Setting(String),
}

/// How one machine is entered by SSH.
#[derive(Debug, Clone)]
pub struct SshAccess {
    /// IP address or name.
    pub address: String,
    /// TCP port of sshd.
    pub port: u16,
    /// The unprivileged user we log in as.
    pub user: String,
    /// Our private key: an OpenSSH file without a passphrase.
    pub key: PathBuf,
    /// The pinned host keys, each as `ssh-ed25519 AAAA…`; no other is accepted.
    pub host_keys: Vec<String>,
}

/// One host of the pair.
#[derive(Debug, Clone)]
pub struct HostAccess {
    /// Its configured name.
    pub name: HostName,
    /// How it is entered.
    pub ssh: SshAccess,
    /// Its PostgreSQL; [`DatabaseAccess::none`] where the pair's database is external.
    pub database: DatabaseAccess,
    /// Where its application answers for its health, if it has one.
    pub application: Option<HttpProbe>,
    /// How its power is switched, if there is a power fence.
    pub power: Option<PowerSwitch>,
    /// The file that tells balancers which are not ours whether to send users there.
    pub monitor: Option<MonitorAccess>,
}

/// The monitor file of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorAccess {
    /// Where it is.
    pub path: PathBuf,
    /// What its presence says; its absence says the other.
    pub means: Says,
    /// The account that makes and removes it, by sudo unless it is the one we log in as.
    pub user: String,
    /// The application's TCP port, at which sessions are counted.
    pub port: u16,
}

/// The power fence's command for one host. It runs on the observer, without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerSwitch {
    /// Program and arguments; `{action}` in a word stands for `off`, `on` or `status`. They are
    /// shown to people: no secret belongs there.
    pub command: Vec<String>,
}

/// The PostgreSQL of one host.
#[derive(Debug, Clone)]
pub struct DatabaseAccess {
    /// Its systemd unit, for instance `postgresql@15-main.service`.
    pub unit: String,
    /// Its Unix socket, for instance `/var/run/postgresql/.s.PGSQL.5432`.
    pub socket: PathBuf,
    /// The address at which the observer and the other hosts reach its TCP port.
    pub address: String,
    /// Its TCP port.
    pub port: u16,
    /// Our role, which enters by `peer` authentication.
    pub user: String,
    /// Our own database, where the heartbeat lives.
    pub database: String,
    /// Its data directory.
    pub data_directory: PathBuf,
    /// Where `pg_rewind` and its like are; derived from the unit's name if left out.
    pub bin_directory: Option<PathBuf>,
    /// `postgresql.conf`, where it is not in the data directory; derived from the unit's name if
    /// left out.
    pub config_file: Option<PathBuf>,
    /// The role with which a slave streams from this host. Its password is in the `.pgpass` of the
    /// slave's operating system user `postgres`.
    pub replication_user: String,
    /// More of the connection's settings, such as `sslmode=require`.
    pub replication_options: Option<String>,
}

impl DatabaseAccess {
    /// Of a host that keeps no database: nothing of it is ever asked or commanded.
    pub fn none(address: &str) -> Self {
        Self {
            unit: "none.service".to_owned(),
            socket: "/nonexistent".into(),
            address: address.to_owned(),
            port: 0,
            user: "none".to_owned(),
            database: "none".to_owned(),
            data_directory: "/nonexistent".into(),
            bin_directory: None,
            config_file: None,
            replication_user: "none".to_owned(),
            replication_options: None,
        }
    }

    /// The directory of PostgreSQL's programs.
    pub(crate) fn programs(&self) -> PathBuf {
        let derived = || match Packaged::of(&self.unit) {
            Some(Packaged::Debian { version, .. }) => format!("/usr/lib/postgresql/{version}/bin"),
            Some(Packaged::RedHat { version }) => format!("/usr/pgsql-{version}/bin"),
            None => "/usr/bin".to_owned(),
        };
        self.bin_directory.clone().unwrap_or_else(|| derived().into())
    }

    /// `postgresql.conf`, where the data directory does not hold it.
    pub(crate) fn settings_file(&self) -> Option<PathBuf> {
        self.config_file.clone().or_else(|| match Packaged::of(&self.unit)? {
            // Older ones of pg_rewind do not take the option.
            Packaged::Debian { version, .. } if version.parse::<u32>().is_ok_and(|v| v < 15) => {
                None
            }
            Packaged::Debian { version, cluster } => {
                Some(format!("/etc/postgresql/{version}/{cluster}/postgresql.conf").into())
            }
            Packaged::RedHat { .. } => None,
        })
    }
}

/// Whose package a unit is of: that says where its files are.
enum Packaged<'u> {
    /// `postgresql@15-main.service`.
    Debian { version: &'u str, cluster: &'u str },
    /// `postgresql-15.service`.
    RedHat { version: &'u str },
}

impl<'u> Packaged<'u> {
    fn of(unit: &'u str) -> Option<Self> {
        let name = unit.strip_suffix(".service").unwrap_or(unit);
        if let Some((version, cluster)) =
            name.strip_prefix("postgresql@").and_then(|instance| instance.split_once('-'))
        {
            return Some(Self::Debian { version, cluster });
        }
        let version = name.strip_prefix("postgresql-")?;
        version.bytes().all(|byte| byte.is_ascii_digit()).then_some(Self::RedHat { version })
    }
}

/// A request that answers for the application's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// The address at which the observer and the other hosts reach it.
    pub address: String,
    /// Its TCP port.
    pub port: u16,
    /// Path with query, for instance `/healthcheck`.
    pub path: String,
    /// Value of the `Host` header, where it is not the address.
    pub host_header: Option<String>,
    /// The status that means well.
    pub status: u16,
}

/// One HAProxy machine.
#[derive(Debug, Clone)]
pub struct ProxyAccess {
    /// Its configured name.
    pub name: ProxyName,
    /// How it is entered.
    pub ssh: SshAccess,
    /// HAProxy's runtime socket (`stats socket … level admin`).
    pub runtime_socket: PathBuf,
    /// The master process's socket (`-S`), where there is one.
    pub master_socket: Option<PathBuf>,
    /// Its haproxy.cfg: the file that names the pair's servers.
    pub config: PathBuf,
    /// The file that `config` leads to, where that is a symbolic link: changes are made there.
    pub real_config: Option<PathBuf>,
    /// What the service loads (`-f`), in order, where that is more than `config`.
    pub files: Vec<PathBuf>,
    /// The unit's environment file, where the configuration uses variables of it.
    pub environment_file: Option<PathBuf>,
    /// The folder that HAProxy changes to first (`-C`); absolute.
    pub directory: Option<PathBuf>,
    /// The name of this HAProxy among peers (`-L`).
    pub local_peer: Option<String>,
    /// A request that users' way answers, asked from the proxy's own machine once a file is loaded.
    pub probe: Option<HttpProbe>,
    /// Its systemd unit, usually `haproxy.service`.
    pub unit: String,
    /// Which server is which host. Empty: found by the hosts' addresses in haproxy.cfg.
    pub servers: Vec<ProxyServer>,
    /// The backends whose users may go to every host on which the application is well.
    pub every_host: Vec<String>,
}

/// One server of one backend, and the host of the pair that it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProxyServer {
    /// Name of the `backend` or `listen` section.
    pub backend: String,
    /// Name of the server in it.
    pub server: String,
    /// The host.
    pub host: HostName,
}

/// One PgBouncer that leads to the proxies.
#[derive(Debug, Clone)]
pub struct BouncerAccess {
    /// Its configured name.
    pub name: BouncerName,
    /// How its machine is entered.
    pub ssh: SshAccess,
    /// Its Unix socket, for instance `/var/run/postgresql/.s.PGSQL.6432`.
    pub socket: PathBuf,
    /// Our account at its console (`admin_users`), which enters by `peer` authentication.
    pub user: String,
    /// The databases that lead to the pair. Empty: all of them do.
    pub databases: Vec<String>,
}

/// One command as a dry run shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The host, proxy or PgBouncer it goes to.
    pub host: String,
    /// The exact command: a shell line, a statement, or what is sent to a socket.
    pub command: String,
}

/// An established connection broke by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The host or proxy at the other end.
    pub host: String,
    /// Which connection it was.
    pub connection: Connection,
}

/// The connections that are kept open and watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// The SSH connection.
    Ssh,
    /// The session at the database.
    Database,
}

/// Why an access cannot be used. A person must correct the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// A pinned host key cannot be read.
    #[error("{machine}: the pinned host key cannot be read: {why}")]
    HostKey {
        /// The host or proxy.
        machine: String,
        /// What is wrong with the line.
        why: BadHostKey,
    },
    /// The pair names a host or proxy that has no access, or the other way round.
    #[error("{machine} is named by the pair and not by the access, or the other way round")]
    Unmatched {
        /// The host or proxy.
        machine: String,
    },
    /// A value that would need quoting in a sudoers file, where quoting is not dependable.
    #[error(
        "{machine}: `{value}` cannot stand in a sudoers file: use letters, digits and _./@%+- only"
    )]
    Unspeakable {
        /// The host or proxy.
        machine: String,
        /// The value.
        value: String,
    },
    /// A lease asks by address only: a name would let it end when the names' server is away.
    #[error("{machine}: `{value}` is a name: with a lease, write its IP address")]
    NoAddress {
        /// The host or proxy.
        machine: String,
        /// The name.
        value: String,
    },
    /// A path that must be absolute is not.
    #[error("{machine}: `{path}` is not an absolute path of a file or directory")]
    NotAbsolute {
        /// The host or proxy.
        machine: String,
        /// The path.
        path: String,
    },
}

impl SshAccess {
    /// What the SSH transport needs; `machine` is the name used in messages.
    pub(crate) fn target(&self, machine: &str) -> Result<SshTarget, WorldError> {
        let pinned: Result<Vec<HostKey>, BadHostKey> =
            self.host_keys.iter().map(|line| line.parse()).collect();
        let pinned =
            pinned.map_err(|why| WorldError::HostKey { machine: machine.to_owned(), why })?;
        Ok(SshTarget {
            host_label: machine.to_owned(),
            address: self.address.clone(),
            port: self.port,
            user: self.user.clone(),
            key_path: self.key.clone(),
            pinned,
            timing: SshTiming::default(),
        })
    }
}
