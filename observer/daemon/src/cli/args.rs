//! What can be typed: verbs and their options.
//!
//! Help, manual page and completions are generated from these.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use observer_core::validate::Readiness;

use super::exit::EXIT_CODES;
use super::proxy_args::ProxyArgs;

/// Watches a pair of servers and moves users to the slave when the master really is dead.
#[derive(Parser, Debug)]
#[command(name = "ha-observer", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Typed {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of every verb.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The pair; not needed where there is only one.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) pair: Option<String>,
    /// For people (text) or for programs (json).
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// The daemon's socket; else $HA_OBSERVER_SOCKET, else /run/ha-observer/ha-observer.sock.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

/// How output is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Run the daemon in the foreground; systemd does this.
    Run(Directory),
    /// Are we protected? First line: yes or no, and why; then hosts, proxies, and what is next.
    Status,
    /// Why the verdict is what it is, what it rests on, and which fact would change it.
    Why,
    /// What happened.
    Events(EventsArgs),
    /// The report of one plan as Markdown, with the time each phase took.
    Incident {
        /// The plan's number; if left out the newest change of master, else the newest plan.
        plan: Option<u64>,
    },
    /// The verdict table and the gates; the same for every pair.
    Rules(Directory),
    /// Is the pair ready for a switchover, a failover, and for switching back? Changes nothing.
    Validate(ValidateArgs),
    /// What must be alike on all hosts: who has what, and since when.
    Parity(ParityArgs),
    /// The slave's copies of files: how far they are, and what waits for a person.
    Files(FilesArgs),
    /// The power fence.
    Fence(FenceArgs),
    /// Move users to the slave now.
    Failover(FailoverArgs),
    /// Swap master and slave, losing nothing and failing no request, or not at all.
    Switchover(SwitchoverArgs),
    /// Make a slave of a replaced master.
    Rejoin(PlanArgs),
    /// Put the small thing right that stands out.
    Repair(PlanArgs),
    /// Take the open plan back; past its pivot, pass the step it is stuck at.
    Abort {
        /// Go on without the step that a plan past its pivot is stuck at.
        #[arg(long, requires = "reason", group = "past_pivot")]
        skip_step: bool,
        /// Take it back past its pivot: this host, which it promotes, is gone for good before
        /// anybody has seen it promoted. Should it come back, it is not let in as master.
        #[arg(long, value_name = "HOST", requires = "reason", group = "past_pivot")]
        lost: Option<String>,
        /// Why the step is left out, or the host given up; kept in the events.
        #[arg(long, value_name = "TEXT", requires = "past_pivot")]
        reason: Option<String>,
    },
    /// Act on nothing until resumed; watch and report on.
    Pause {
        /// Why, for whoever finds it paused.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Ends by itself after this time, like 2h; at most 30d.
        #[arg(long = "for", value_name = "TIME", value_parser = crate::config::time_ms)]
        for_ms: Option<u64>,
    },
    /// Take a host out of candidacy while somebody works on it; the rest is watched over on.
    Maintenance(MaintenanceArgs),
    /// Keep users away from a host, and wait until nobody is left there: by its monitor file, and
    /// at the proxies where they may go to every host.
    Drain(DrainArgs),
    /// Let users come to a drained host again, once its application is well.
    Undrain(UndrainArgs),
    /// Leave a dead host out of what is shown and judged, until it answers again: where the
    /// database is external.
    Forget {
        /// Which host: one that nobody hears any more.
        host: String,
        /// Why, for whoever misses it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Upgrade one host after the other, the master last, by a switchover.
    Upgrade(UpgradeArgs),
    /// End the pause.
    Resume,
    /// Allow the next automatic failover; accept a master made by other hands.
    Ack,
    /// haproxy.cfg: what is wrong in it, what to change, and the versions that were.
    Proxy(ProxyArgs),
    /// Default files, checks, and the sudo rights a machine needs.
    Config(ConfigArgs),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

/// Options of `upgrade`.
#[derive(Args, Debug)]
pub(crate) struct UpgradeArgs {
    #[command(subcommand)]
    pub(crate) verb: UpgradeVerb,
}

/// Verbs of `upgrade`.
#[derive(Subcommand, Debug)]
pub(crate) enum UpgradeVerb {
    /// Show the steps that a plan would take now; nothing is done.
    Check {
        /// The file that says what is done.
        plan: PathBuf,
    },
    /// Carry a plan out; it stops at the first failure, with the pair serving.
    Run {
        /// The file that says what is done.
        plan: PathBuf,
        /// Only show the steps.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Go on where it stopped, or was killed.
    Resume {
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Give it up: the host it is at is put to work again.
    Back {
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
}

/// Options of `maintenance`.
#[derive(Args, Debug)]
pub(crate) struct MaintenanceArgs {
    /// Which host; never the master.
    pub(crate) host: String,
    /// Why, for whoever finds it so.
    #[arg(long, value_name = "TEXT", required_unless_present = "end")]
    pub(crate) reason: Option<String>,
    /// Ends by itself after this time, like 2h; at most 30d.
    #[arg(long = "for", value_name = "TIME", value_parser = crate::config::time_ms)]
    pub(crate) for_ms: Option<u64>,
    /// The work is done: it may be promoted and repaired again.
    #[arg(long, conflicts_with_all = ["reason", "for_ms"])]
    pub(crate) end: bool,
}

/// Options of `drain`.
#[derive(Args, Debug)]
pub(crate) struct DrainArgs {
    /// Which host; not the master where only that serves users.
    pub(crate) host: String,
    /// Why, for whoever finds it so.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Ends by itself after this time, like 2h; at most 30d.
    #[arg(long = "for", value_name = "TIME", value_parser = crate::config::time_ms)]
    pub(crate) for_ms: Option<u64>,
    /// How long sessions may take to end. After it the host stays drained, and what is left is
    /// told.
    #[arg(long = "limit", value_name = "TIME", default_value = "10min",
        value_parser = crate::config::time_ms)]
    pub(crate) limit_ms: u64,
}

/// Options of `undrain`.
#[derive(Args, Debug)]
pub(crate) struct UndrainArgs {
    /// Which host.
    pub(crate) host: String,
    /// How long to wait for its application.
    #[arg(long = "limit", value_name = "TIME", default_value = "5min",
        value_parser = crate::config::time_ms)]
    pub(crate) limit_ms: u64,
}

/// Options of `events`.
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    /// Go on showing new ones.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only those since a moment (2026-05-04T03:00:00Z) or within a time before now (2h).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// At most so many, the newest.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
}

/// Options of `validate`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ValidateArgs {
    /// Warnings count as failures.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Only this verdict, and what stands against it.
    #[arg(long = "for", value_enum, value_name = "CHANGE")]
    pub(crate) readiness: Option<ChangeOfMaster>,
    /// Show also what passed.
    #[arg(short = 'v', long)]
    pub(crate) all: bool,
    /// Print the table of checks; nothing is looked at.
    #[arg(long)]
    pub(crate) list: bool,
}

/// What the pair may be ready for.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChangeOfMaster {
    /// A planned change of master.
    Switchover,
    /// A change after the master has died.
    Failover,
    /// A later switchover back to today's master.
    SwitchBack,
}

impl From<ChangeOfMaster> for Readiness {
    fn from(change: ChangeOfMaster) -> Self {
        match change {
            ChangeOfMaster::Switchover => Readiness::Switchover,
            ChangeOfMaster::Failover => Readiness::Failover,
            ChangeOfMaster::SwitchBack => Readiness::SwitchBack,
        }
    }
}

/// Options of `files`.
#[derive(Args, Debug)]
pub(crate) struct FilesArgs {
    #[command(subcommand)]
    pub(crate) action: Option<FilesAction>,
}

/// What to do about file sets.
#[derive(Subcommand, Debug)]
pub(crate) enum FilesAction {
    /// How far each copy is; as without a word.
    Status,
    /// Fetch what has changed now, and wait for it.
    Sync {
        /// The file set; all of them if left out.
        set: Option<String>,
    },
    /// Compare the copy with the master's files: is it whole? Exit code 17 if not.
    Verify(VerifyArgs),
    /// What differs between the hosts now, one line each; contents are neither compared nor shown.
    Diff {
        /// The file set.
        set: String,
        /// Only this path and what is below it, relative to the set's folder; of one file its
        /// state on both hosts.
        path: Option<String>,
    },
    /// Let the next pass delete what the last one asked about, once.
    AllowDeletes {
        /// The file set.
        set: String,
    },
}

/// Options of `files verify`.
#[derive(Args, Clone, Debug)]
pub(crate) struct VerifyArgs {
    /// The file set; all of them if left out.
    pub(crate) set: Option<String>,
    /// By what files are compared; everything else always by what the file system says.
    #[arg(long, value_enum, default_value_t = CompareBy::Metadata)]
    pub(crate) by: CompareBy,
    /// With `--by sample`: the share of files whose content is compared; else as configured.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) share: Option<u8>,
    /// With `--by sample`: choose the same files as an earlier one did, which told its seed.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Look for every path that the set's `paths_query` names, too.
    #[arg(long)]
    pub(crate) database: bool,
}

/// By what files are compared.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CompareBy {
    /// Size, time, mode, owner.
    Metadata,
    /// The content of a random part of them, too.
    Sample,
    /// The content of each, too.
    Content,
}

/// Options of `parity`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ParityArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ParityAction>,
}

/// What to do about an item of parity.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum ParityAction {
    /// Copy a file or key from the master to the others, after showing the difference.
    Fix(FixArgs),
}

/// Options of `parity fix`.
#[derive(Args, Clone, Debug)]
pub(crate) struct FixArgs {
    /// The item's configured name.
    pub(crate) item: String,
    /// Whose value is right; the master's if left out.
    #[arg(long, value_name = "HOST")]
    pub(crate) from: Option<String>,
    /// Only show what would be changed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for a name to be typed.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Options of `fence`.
#[derive(Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct FenceArgs {
    #[command(subcommand)]
    pub(crate) action: FenceAction,
}

/// What to do with the power fence.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum FenceAction {
    /// Ask it whether each host has power, as a failover would. Switches nothing.
    Test {
        /// Only this host.
        host: Option<String>,
    },
}

/// Options of `failover`.
#[derive(Args, Clone, Debug)]
pub(crate) struct FailoverArgs {
    /// Only show every command, host, deadline and undo.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for the pair's name to be typed.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Accept whatever is lost, this once.
    #[arg(long, requires = "reason")]
    pub(crate) accept_loss: bool,
    /// Why; told by `events` and `incident`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Options of `rejoin` and `repair`, and of every verb that opens a plan.
#[derive(Args, Clone, Debug)]
pub(crate) struct PlanArgs {
    /// Only show every command, host, deadline and undo, and what it is likely to take.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for the pair's name to be typed.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Why; told by `events` and `incident`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Options of `switchover`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SwitchoverArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// Begin then: 2026-11-21T23:00:00Z, 23:00 (the next one, local time) or "in 2h".
    #[arg(long, value_name = "TIME", conflicts_with = "dry_run")]
    pub(crate) at: Option<String>,
    /// Cancel the one that is scheduled.
    #[arg(long, conflicts_with_all = ["at", "dry_run", "yes", "reason"])]
    pub(crate) cancel: bool,
    /// Take the place of the one that is scheduled.
    #[arg(long, requires = "at")]
    pub(crate) replace: bool,
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Directory {
    /// Where observer.toml and pairs/ are.
    #[arg(
        long = "config",
        alias = "directory",
        value_name = "DIR",
        default_value = crate::config::DEFAULT_DIRECTORY
    )]
    pub(crate) directory: PathBuf,
}

/// Options of `config`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct ConfigArgs {
    /// Print a commented default file.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "pair", value_name = "FILE")]
    pub(crate) default: Option<DefaultFile>,
    #[command(subcommand)]
    pub(crate) action: Option<ConfigAction>,
}

/// Which default file.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DefaultFile {
    /// observer.toml
    Observer,
    /// pairs/NAME.toml
    Pair,
}

/// What to do with the configuration.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigAction {
    /// Show everything that is wrong in the files.
    Check {
        #[command(flatten)]
        config: Directory,
        /// As it was written before there was --config.
        #[arg(hide = true, value_name = "DIR")]
        place: Option<PathBuf>,
    },
    /// Print the drop-in that keeps a host's database from starting as a second master.
    Guard {
        /// The host's configured name.
        host: String,
        #[command(flatten)]
        config: Directory,
    },
    /// Print the script that prepares a host to fetch the file sets of [[files]].
    Files {
        /// The host's configured name.
        host: String,
        #[command(flatten)]
        config: Directory,
    },
    /// Print the exact sudo rights the observer needs on a host or proxy.
    Sudoers {
        /// The host's or proxy's configured name.
        host: String,
        #[command(flatten)]
        config: Directory,
    },
}
