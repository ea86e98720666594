//! Every command that needs another user's rights, each built once: performing, the dry run and
//! the generated sudoers file take them from here, so that what is shown is what is run is what is
//! allowed.
//!
//! Nothing here runs anything. Values are checked to be plain words when the pair is connected,
//! because a sudoers file gives wildcards and quotes a meaning of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use observer_core::policy::{PairSpec, Store};
use observer_core::words::{PairName, ServiceName};

use crate::access::{
    FileSetAccess, HostAccess, MountPoint, ParityItem, ProxyAccess, ReadinessProbe, WorldError,
};
use crate::quote::quote;
use crate::ssh::Command;

mod files;
mod guard;
mod job;
mod lease;
mod monitor;
mod mounts;
mod parity;
mod readiness;
mod single_files;
mod standby;
mod verify;

pub(crate) use files::{FOLDER as FILES_FOLDER, PassCommands, setup as files_setup};
pub(crate) use guard::{GUARD_FILE, guard};
pub(crate) use job::{JobCommands, Takes};
pub(crate) use lease::LeaseCommands;
pub(crate) use monitor::MonitorCommands;
pub(crate) use mounts::{MountCommands, Try};
pub(crate) use parity::{FileCommands, Look as ParityLook, ParityCommands};
pub(crate) use standby::{Source, StandbyCommands, slot_name};
pub(crate) use verify::{BEGINS as VERIFY_BEGINS, VerifyCommands};

/// Whose rights a command needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum RunAs {
    Root,
    /// Inside the data directory, which its owner could fill with traps for root.
    Postgres,
    /// Among the files of an application's own account, for the same reason.
    Account(String),
    /// The account we log in as, without sudo.
    Login,
}

impl RunAs {
    /// The rights of `user` on a machine that is entered as `login`.
    fn named(machine: &str, login: &str, user: &str) -> Result<Self, WorldError> {
        Ok(match user {
            user if user == login => RunAs::Login,
            "root" => RunAs::Root,
            "postgres" => RunAs::Postgres,
            user => {
                plain(machine, user)?;
                RunAs::Account(user.to_owned())
            }
        })
    }

    /// The account that sudo is asked for, and what its lists of commands are called by.
    fn target(&self, number: usize) -> Option<(&str, String)> {
        match self {
            RunAs::Root => Some(("root", String::new())),
            RunAs::Postgres => Some(("postgres", "POSTGRES_".to_owned())),
            RunAs::Account(name) => Some((name, format!("ACCOUNT{number}_"))),
            RunAs::Login => None,
        }
    }
}

/// One command that runs with another user's rights: absolute program and exact arguments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Privileged {
    run_as: RunAs,
    argv: Vec<String>,
}

impl Privileged {
    pub(crate) fn new(argv: &[&str]) -> Self {
        Self { run_as: RunAs::Root, argv: argv.iter().map(|&word| word.to_owned()).collect() }
    }

    fn as_postgres(argv: &[&str]) -> Self {
        Self { run_as: RunAs::Postgres, ..Self::new(argv) }
    }

    /// The words of the command through sudo, which never asks.
    pub(crate) fn words(&self) -> Vec<&str> {
        let sudo: Vec<&str> = match &self.run_as {
            RunAs::Root => vec!["sudo", "-n", "--"],
            RunAs::Postgres => vec!["sudo", "-n", "-u", "postgres", "--"],
            RunAs::Account(name) => vec!["sudo", "-n", "-u", name, "--"],
            RunAs::Login => Vec::new(),
        };
        sudo.into_iter().chain(self.argv.iter().map(String::as_str)).collect()
    }

    /// The harmless form, quoted as a shell gets it: whether sudo would allow the command.
    pub(crate) fn question(&self) -> String {
        let words = self.words();
        let question = [&["sudo", "-n", "-l"], &words[2..]].concat();
        let line = quote(&question).map(|line| String::from_utf8_lossy(&line).into_owned());
        line.unwrap_or_else(|_| question.join(" "))
    }

    /// The command as it is run.
    pub(crate) fn command(&self) -> Command {
        let words = self.words();
        Command::new(words[0]).args(&words[1..])
    }

    /// The command as it is shown, quoted as the shell gets it.
    pub(crate) fn line(&self) -> String {
        let words = self.words();
        let line = quote(&words).map(|line| String::from_utf8_lossy(&line).into_owned());
        line.unwrap_or_else(|_| words.join(" "))
    }

    /// The command as a rule: sudoers reads some characters as syntax unless escaped.
    fn rule(&self) -> String {
        let escape = |word: &String| {
            let mut escaped = String::new();
            for character in word.chars() {
                // Blanks in a row are one to sudo unless escaped.
                let blank = character == ' ' && word.contains("  ");
                let special =
                    matches!(character, ',' | ':' | '=' | '\\' | '*' | '?' | '[' | ']' | '#');
                if special || blank {
                    escaped.push('\\');
                }
                escaped.push(character);
            }
            escaped
        };
        self.argv.iter().map(escape).collect::<Vec<_>>().join(" ")
    }
}

/// How a unit is started, stopped and put right.
#[derive(Debug, Clone)]
pub(crate) struct UnitCommands {
    pub(crate) start: Privileged,
    pub(crate) stop: Privileged,
    pub(crate) restart: Privileged,
    pub(crate) reset: Privileged,
    /// What keeps a boot from starting it, in order.
    pub(crate) disable: Vec<Privileged>,
}

/// What runs as root on a host.
#[derive(Debug, Clone)]
pub(crate) struct HostCommands {
    /// Whether there is a database for those that are about one.
    keeps_database: bool,
    pub(crate) database: UnitCommands,
    /// Ends every process of the database's unit without asking any of them.
    pub(crate) kill: Privileged,
    pub(crate) leave_tombstone: Privileged,
    pub(crate) lift_tombstone: Privileged,
    pub(crate) see_tombstone: Privileged,
    /// When the postmaster last started: it writes this file each time and never removes it.
    pub(crate) see_last_start: Privileged,
    /// The room where the data and its log are: their folders are closed to other accounts.
    pub(crate) see_disk: Privileged,
    /// The account that owns the data.
    pub(crate) see_owner: Privileged,
    pub(crate) services: BTreeMap<ServiceName, UnitCommands>,
    /// What makes a standby of it.
    pub(crate) standby: StandbyCommands,
    /// What sets its lease and takes it away.
    pub(crate) lease: LeaseCommands,
    /// What shows and changes its monitor file, where it has one.
    pub(crate) monitor: Option<MonitorCommands>,
    /// What lets it fetch each file set, in the configured order.
    pub(crate) files: Vec<PassCommands>,
    /// What tries each shared mount, in the configured order.
    pub(crate) mounts: Vec<MountCommands>,
    /// What asks the services that are asked by a command.
    pub(crate) readiness: BTreeMap<ServiceName, Privileged>,
    /// What says what is in each file set, in the configured order.
    pub(crate) verify: Vec<VerifyCommands>,
    /// What compares and copies each item of parity, in the configured order.
    pub(crate) parity: Vec<ParityCommands>,
}

/// What runs as root on a proxy.
#[derive(Debug, Clone)]
pub(crate) struct ProxyCommands {
    /// The configuration file, as HAProxy is told its name.
    pub(crate) config: String,
    /// The same without symbolic links: what is written.
    pub(crate) real: String,
    /// The folder that this lies in.
    pub(crate) folder: String,
    /// What HAProxy is told to load, in order; the file is one of them, or in one of them.
    pub(crate) sources: Vec<String>,
    /// How each other file that is loaded is read, by its name.
    pub(crate) read_files: BTreeMap<String, Privileged>,
    pub(crate) read: Privileged,
    pub(crate) hash: Privileged,
    /// Makes an empty draft with the file's owner, mode and attributes.
    pub(crate) shape_draft: Privileged,
    pub(crate) write_draft: Privileged,
    pub(crate) hash_draft: Privileged,
    pub(crate) check_draft: Privileged,
    pub(crate) check: Privileged,
    /// Keeps the present content beside the file.
    pub(crate) keep: Privileged,
    pub(crate) put: Privileged,
    pub(crate) sync: Privileged,
    pub(crate) drop_draft: Privileged,
    /// Makes a draft of the kept content.
    pub(crate) draft_of_kept: Privileged,
    pub(crate) reload: Privileged,
}

/// Only systemd reads a unit's environment file as the service gets it.
const IN_ITS_ENVIRONMENT: [&str; 5] =
    ["/usr/bin/systemd-run", "--quiet", "--collect", "--pipe", "--wait"];

const SYSTEMCTL: &str = "/usr/bin/systemctl";

impl UnitCommands {
    fn new(machine: &str, unit: &str) -> Result<Self, WorldError> {
        plain(machine, unit)?;
        // Waiting for a unit's own time-out would outlive every deadline: the proof looks.
        let verb = |verb| Privileged::new(&[SYSTEMCTL, "--no-block", verb, unit]);
        Ok(Self {
            start: verb("start"),
            stop: verb("stop"),
            restart: verb("restart"),
            reset: Privileged::new(&[SYSTEMCTL, "reset-failed", unit]),
            disable: disable(unit),
        })
    }

    fn all(&self) -> impl Iterator<Item = &Privileged> {
        [&self.start, &self.stop, &self.restart, &self.reset].into_iter().chain(&self.disable)
    }
}

/// What keeps a boot from starting a unit. Debian's database clusters are enabled at each boot by a
/// generator, which reads a file of the cluster (`pg_createcluster(1)`, `start.conf`).
fn disable(unit: &str) -> Vec<Privileged> {
    let cluster = unit.strip_prefix("postgresql@").and_then(|unit| unit.strip_suffix(".service"));
    let mut commands = Vec::new();
    if let Some((version, name)) = cluster.and_then(|cluster| cluster.split_once('-')) {
        let file = format!("/etc/postgresql/{version}/{name}/start.conf");
        let manual = ["/usr/bin/sed", "-i", "s/^auto/manual/", &file];
        commands.push(Privileged::as_postgres(&manual));
        commands.push(Privileged::new(&[SYSTEMCTL, "daemon-reload"]));
    }
    commands.push(Privileged::new(&[SYSTEMCTL, "disable", unit]));
    commands
}

impl HostCommands {
    /// The commands on one host; `others` are those it may be made a standby of, `proxies` those
    /// that answer it, too.
    pub(crate) fn new(
        access: &HostAccess,
        spec: &PairSpec,
        others: &[&HostAccess],
        proxies: &[ProxyAccess],
    ) -> Result<Self, WorldError> {
        let machine = access.name.as_str();
        plain(machine, &access.ssh.user)?;
        let unit = access.database.unit.as_str();
        let data = absolute(machine, &access.database.data_directory)?;
        let tombstone = format!("{data}/standby.signal");
        let started = format!("{data}/postmaster.opts");
        // With a dot behind it, the log's folder is meant where it is a link to another disk.
        let log = format!("{data}/pg_wal/.");
        let mut services = BTreeMap::new();
        for service in &spec.services {
            services.insert(service.name.clone(), UnitCommands::new(machine, &service.unit)?);
        }
        // The long and older word for `--kill-whom`: known to every systemd there is.
        let kill = [SYSTEMCTL, "kill", "--kill-who=all", "--signal=SIGKILL", unit];
        let owner = ["-o", "postgres", "-g", "postgres", "-m", "0600"];
        let leave = [&["/usr/bin/install"], &owner[..], &["/dev/null", &tombstone]].concat();
        Ok(Self {
            keeps_database: spec.store == Store::OnHosts,
            database: UnitCommands::new(machine, unit)?,
            kill: Privileged::new(&kill),
            leave_tombstone: Privileged::new(&leave),
            lift_tombstone: Privileged::new(&["/usr/bin/rm", "-f", &tombstone]),
            see_tombstone: Privileged::new(&["/usr/bin/test", "-e", &tombstone]),
            see_last_start: Privileged::new(&["/usr/bin/stat", "-c", "%Y", &started]),
            see_disk: Privileged::new(&["/usr/bin/df", "-PB1", &data, &log]),
            see_owner: Privileged::new(&["/usr/bin/stat", "-c", "%u", &data]),
            services,
            standby: StandbyCommands::new(access, &data, others)?,
            lease: LeaseCommands::new(access, &data, spec, others, proxies)?,
            monitor: match &access.monitor {
                Some(own) => Some(MonitorCommands::new(access, own)?),
                None => None,
            },
            files: Vec::new(),
            mounts: Vec::new(),
            readiness: BTreeMap::new(),
            verify: Vec::new(),
            parity: Vec::new(),
        })
    }

    /// All that looks and plans need.
    pub(crate) fn all(&self) -> Vec<&Privileged> {
        let mut all = Vec::new();
        if self.keeps_database {
            all.extend(self.database.all());
            all.extend(self.standby.all());
            all.extend([&self.kill, &self.leave_tombstone, &self.lift_tombstone]);
            let looks = [&self.see_tombstone, &self.see_last_start, &self.see_disk];
            all.extend(looks.into_iter().chain([&self.see_owner]));
        }
        all.extend(self.lease.all());
        all.extend(self.monitor.iter().flat_map(MonitorCommands::all));
        all.extend(self.files.iter().flat_map(PassCommands::all));
        all.extend(self.services.values().flat_map(UnitCommands::all));
        all.extend(self.mounts.iter().flat_map(MountCommands::privileged));
        all.extend(self.readiness.values().filter(|command| command.run_as != RunAs::Login));
        all
    }

    /// All that its sudoers file allows. A validation does not ask sudo about the items of parity,
    /// nor about verifying files: reading tells by itself, no plan needs it, and they may be many.
    pub(crate) fn allowed(&self) -> Vec<&Privileged> {
        let parity = self.parity.iter().flat_map(ParityCommands::privileged);
        let verify = self.verify.iter().flat_map(VerifyCommands::all);
        self.all().into_iter().chain(parity).chain(verify).collect()
    }

    /// With the commands that fetch these file sets from any of `others`.
    pub(crate) fn fetching(
        self,
        access: &HostAccess,
        sets: &[FileSetAccess],
        others: &[&HostAccess],
    ) -> Result<Self, WorldError> {
        let data = absolute(access.name.as_str(), &access.database.data_directory)?;
        let data = self.keeps_database.then_some(data.as_str());
        let files = sets.iter().map(|set| PassCommands::new(access, data, set, others));
        let verify = sets.iter().map(|set| VerifyCommands::new(access, set));
        let files = files.collect::<Result<_, _>>()?;
        Ok(Self { files, verify: verify.collect::<Result<_, _>>()?, ..self })
    }

    /// With the commands that try these mounts.
    pub(crate) fn trying(
        self,
        access: &HostAccess,
        pair: &PairName,
        mounts: &[MountPoint],
    ) -> Result<Self, WorldError> {
        let mounts = mounts.iter().map(|mount| MountCommands::new(access, pair, mount));
        Ok(Self { mounts: mounts.collect::<Result<_, _>>()?, ..self })
    }

    /// With the commands that ask services whether they are ready.
    pub(crate) fn asking(
        self,
        access: &HostAccess,
        probes: &[ReadinessProbe],
    ) -> Result<Self, WorldError> {
        let readiness = readiness::commands(access, probes)?;
        Ok(Self { readiness, ..self })
    }

    /// With the commands for these items of parity.
    pub(crate) fn comparing(
        self,
        access: &HostAccess,
        items: &[ParityItem],
    ) -> Result<Self, WorldError> {
        let parity = ParityCommands::all(access.name.as_str(), &access.ssh.user, items)?;
        Ok(Self { parity, ..self })
    }
}

impl ProxyCommands {
    pub(crate) fn new(access: &ProxyAccess) -> Result<Self, WorldError> {
        let machine = access.name.as_str();
        plain(machine, &access.ssh.user)?;
        plain(machine, &access.unit)?;
        let config = absolute(machine, &access.config)?;
        let real = absolute(machine, access.real_config.as_ref().unwrap_or(&access.config))?;
        let not_absolute =
            || WorldError::NotAbsolute { machine: machine.to_owned(), path: real.clone() };
        let (folder, name) = real.rsplit_once('/').ok_or_else(not_absolute)?;
        // A dotfile is skipped when HAProxy reads a directory; beside the file a rename is atomic.
        let draft = format!("{folder}/.{name}.ha-observer");
        let kept = format!("{draft}.last");
        let alike = ["/usr/bin/cp", "--attributes-only", "--preserve=all", "--remove-destination"];
        let write = ["/usr/bin/dd", &format!("of={draft}"), "conv=fsync", "status=none"];
        let copy = ["/usr/bin/cp", "--preserve=all", "--remove-destination"];
        let checks = Checks::new(access, &config, &real)?;
        Ok(Self {
            read: Privileged::new(&["/usr/bin/cat", &config]),
            hash: Privileged::new(&["/usr/bin/sha256sum", &config]),
            shape_draft: Privileged::new(&[&alike[..], &[&real, &draft]].concat()),
            write_draft: Privileged::new(&write),
            hash_draft: Privileged::new(&["/usr/bin/sha256sum", &draft]),
            check_draft: checks.of(Some(&draft)),
            check: checks.of(None),
            keep: Privileged::new(&[&copy[..], &[&real, &kept]].concat()),
            put: Privileged::new(&["/usr/bin/mv", "-T", &draft, &real]),
            sync: Privileged::new(&["/usr/bin/sync", folder]),
            drop_draft: Privileged::new(&["/usr/bin/rm", "-f", &draft]),
            draft_of_kept: Privileged::new(&[&copy[..], &[&kept, &draft]].concat()),
            reload: Privileged::new(&[SYSTEMCTL, "--no-block", "reload", &access.unit]),
            folder: folder.to_owned(),
            read_files: checks.others(),
            sources: checks.sources.clone(),
            config: config.clone(),
            real: real.clone(),
        })
    }

    pub(crate) fn all(&self) -> Vec<&Privileged> {
        let own = vec![
            &self.read,
            &self.hash,
            &self.shape_draft,
            &self.write_draft,
            &self.hash_draft,
            &self.check_draft,
            &self.check,
            &self.keep,
            &self.put,
            &self.sync,
            &self.drop_draft,
            &self.draft_of_kept,
            &self.reload,
        ];
        own.into_iter().chain(self.read_files.values()).collect()
    }
}

/// How HAProxy is asked about its files.
struct Checks<'a> {
    /// What it is told to load, in order.
    sources: Vec<String>,
    config: &'a str,
    real: &'a str,
    environment: Option<String>,
    /// Options of HAProxy on which the meaning of its files depends.
    options: Vec<String>,
}

impl<'a> Checks<'a> {
    fn new(access: &ProxyAccess, config: &'a str, real: &'a str) -> Result<Self, WorldError> {
        let machine = access.name.as_str();
        let environment = match &access.environment_file {
            Some(file) => Some(format!("EnvironmentFile={}", absolute(machine, file)?)),
            None => None,
        };
        let sources = match access.files.as_slice() {
            [] => vec![config.to_owned()],
            files => files.iter().map(|file| absolute(machine, file)).collect::<Result<_, _>>()?,
        };
        let mut options = Vec::new();
        if let Some(directory) = &access.directory {
            options.extend(["-C".to_owned(), absolute(machine, directory)?]);
        }
        if let Some(name) = &access.local_peer {
            options.extend(["-L".to_owned(), name.clone()]);
        }
        Ok(Self { sources, config, real, environment, options })
    }

    /// How each of the other files is read, where it is no folder that the changed one lies in.
    fn others(&self) -> BTreeMap<String, Privileged> {
        let folder = self.config.rsplit_once('/').map_or("", |(folder, _)| folder);
        let others = self.sources.iter().filter(|source| *source != self.config);
        let files = others.filter(|source| *source != folder);
        files.map(|file| (file.clone(), Privileged::new(&["/usr/bin/cat", file]))).collect()
    }

    /// The check of the files as they are, or with a draft in the file's place.
    fn of(&self, draft: Option<&str>) -> Privileged {
        let named = self.sources.iter().any(|source| source == self.config);
        let mut files = Vec::new();
        for source in &self.sources {
            let stands_for = draft.filter(|_| source == self.config);
            files.extend(["-f", stands_for.unwrap_or(source)]);
        }
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let haproxy = [&["/usr/sbin/haproxy", "-c"], &options[..], &files[..]].concat();
        // A draft is skipped where HAProxy reads a whole folder: there it is put over the file, for
        // the check's process alone.
        let over = draft.filter(|_| !named);
        let over = over.map(|draft| format!("BindReadOnlyPaths={draft}:{}", self.real));
        let settings: Vec<&str> =
            self.environment.iter().chain(&over).map(String::as_str).collect();
        if settings.is_empty() {
            return Privileged::new(&haproxy);
        }
        let settings: Vec<&str> = settings.into_iter().flat_map(|own| ["-p", own]).collect();
        Privileged::new(&[&IN_ITS_ENVIRONMENT[..], &settings, &haproxy].concat())
    }
}

/// The sudoers file of one machine: each user with exactly these commands.
pub(crate) fn sudoers(machine: &str, users: &BTreeMap<&str, Vec<&Privileged>>) -> String {
    let mut text = format!(
        "# What HA Observer may run as root and postgres on {machine}. Generated: do not edit.\n\
         # Install as /etc/sudoers.d/ha-observer, owner root, mode 0440.\n"
    );
    for (number, (user, commands)) in users.iter().enumerate() {
        writeln!(text, "\nDefaults:{user} !requiretty, !pam_session").expect("a string takes all");
        let accounts: BTreeSet<&RunAs> = commands.iter().map(|command| &command.run_as).collect();
        for (index, run_as) in accounts.into_iter().enumerate() {
            let Some((target, name)) = run_as.target(index) else { continue };
            let own = commands.iter().filter(|command| command.run_as == *run_as);
            let mut rules: Vec<String> = own.map(|command| command.rule()).collect();
            rules.sort();
            rules.dedup();
            // Looks come often: a line in the system's log for each would bury everything else.
            // What changes something is logged.
            let (looks, acts): (Vec<String>, Vec<String>) =
                rules.into_iter().partition(|rule| is_look(rule));
            for (kind, rules) in [("LOOKS", looks), ("ACTS", acts)] {
                if rules.is_empty() {
                    continue;
                }
                let list = rules.join(", \\\n    ");
                let alias = format!("HA_OBSERVER_{name}{kind}_{number}");
                writeln!(text, "\nCmnd_Alias {alias} = \\\n    {list}")
                    .expect("a string takes all");
                if kind == "LOOKS" {
                    writeln!(text, "Defaults!{alias} !syslog").expect("a string takes all");
                }
                writeln!(text, "{user} ALL=({target}) NOPASSWD: {alias}")
                    .expect("a string takes all");
            }
        }
    }
    text
}

fn is_look(rule: &str) -> bool {
    const LOOKS: [&str; 8] =
        ["test", "stat", "cat", "sha256sum", "grep", "env", "df", readiness::TIMEOUT];
    LOOKS.iter().any(|program| rule.starts_with(&format!("/usr/bin/{program} ")))
}

/// Refuses a value that is not one plain word.
fn plain(machine: &str, value: &str) -> Result<(), WorldError> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_./@%+-:".contains(&byte);
    if !value.is_empty() && !value.starts_with('-') && value.bytes().all(safe) {
        return Ok(());
    }
    let (machine, value) = (machine.to_owned(), value.to_owned());
    Err(WorldError::Unspeakable { machine, value })
}

fn absolute(machine: &str, path: &Path) -> Result<String, WorldError> {
    let text = path.to_string_lossy().trim_end_matches('/').to_owned();
    plain(machine, &text)?;
    if !text.starts_with('/') {
        return Err(WorldError::NotAbsolute { machine: machine.to_owned(), path: text });
    }
    Ok(text)
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
