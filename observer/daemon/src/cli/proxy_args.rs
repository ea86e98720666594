//! What can be typed behind `proxy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Options of `proxy`.
#[derive(Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct ProxyArgs {
    #[command(subcommand)]
    pub(crate) action: ProxyAction,
}

/// What to do about a haproxy.cfg.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum ProxyAction {
    /// What in a file makes a failover slower, lossy or impossible, and how to mend it.
    Lint {
        #[command(flatten)]
        target: Target,
        /// Mend what cannot change where requests go, after showing the difference.
        #[arg(long)]
        fix: bool,
        #[command(flatten)]
        order: Order,
    },
    /// What to change so that the pair is managed: a waiting room, one master. Touches nothing
    /// without --apply.
    Import {
        #[command(flatten)]
        target: Target,
        /// Do it, after showing the difference.
        #[arg(long)]
        apply: bool,
        /// Only the first so many steps.
        #[arg(long, value_name = "N")]
        steps: Option<usize>,
        /// The host that serves now, where FILE does not tell.
        #[arg(long, value_name = "HOST", requires = "file")]
        master: Option<String>,
        #[command(flatten)]
        order: Order,
    },
    /// Print a complete file for a new proxy.
    New(NewArgs),
    /// The last 20 versions of each proxy's file: when, why, by whom, and what became of them.
    History {
        /// Only this proxy.
        #[arg(long, value_name = "NAME")]
        proxy: Option<String>,
    },
    /// What a version changed; without N, how the file differs from what we last wrote.
    Diff {
        /// The version's number.
        n: Option<u64>,
        /// The proxy; not needed where there is only one.
        #[arg(long, value_name = "NAME")]
        proxy: Option<String>,
    },
    /// Take an older version back. Users stay with the present master, whatever it says.
    Rollback {
        /// The version's number.
        n: u64,
        /// The proxy; not needed where there is only one.
        #[arg(long, value_name = "NAME")]
        proxy: Option<String>,
        #[command(flatten)]
        order: Order,
    },
}

/// Which file is meant: one of this machine, or those of the pair's proxies.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// A file of this machine; neither the daemon nor root is needed.
    #[arg(value_name = "FILE", conflicts_with = "proxy")]
    pub(crate) file: Option<PathBuf>,
    /// With FILE: every file and folder that HAProxy loads, in order, FILE among them. What they
    /// say counts, too.
    #[arg(long = "files", value_name = "PATH", requires = "file", num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
    /// The file of this proxy; of every proxy of the pair if neither is given.
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy: Option<String>,
    /// With FILE: an address of a host of the pair; else the configured hosts are taken.
    #[arg(long = "host", value_name = "NAME=ADDRESS", requires = "file")]
    pub(crate) hosts: Vec<String>,
    #[command(flatten)]
    pub(crate) config: super::args::Directory,
}

/// How a change is ordered.
#[derive(Args, Clone, Debug)]
pub(crate) struct Order {
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Why; kept with the version.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Options of `proxy new`.
#[derive(Args, Clone, Debug)]
pub(crate) struct NewArgs {
    /// A host of the pair; else the configured hosts are taken. The first is the master.
    #[arg(long = "host", value_name = "NAME=ADDRESS")]
    pub(crate) hosts: Vec<String>,
    /// The host that serves now, where it is not the first.
    #[arg(long, value_name = "HOST")]
    pub(crate) master: Option<String>,
    /// The application's port on the hosts; else the configured one, else 8080.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// The path that answers 200 when the application works; else the configured one, else /.
    #[arg(long, value_name = "PATH")]
    pub(crate) health: Option<String>,
    /// How many requests a host can serve at once; more wait at the proxy.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) at_once: u32,
    /// Where users connect; else :443 with TLS, else :80.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bind: Option<String>,
    /// Certificate and key in one file: TLS ends at the proxy, and port 80 redirects.
    #[arg(long, value_name = "PEM", conflicts_with = "pass_through")]
    pub(crate) certificate: Option<String>,
    /// TLS goes through to the application.
    #[arg(long)]
    pub(crate) pass_through: bool,
    /// Also PostgreSQL at this port of the proxy.
    #[arg(long, value_name = "PORT")]
    pub(crate) postgres: Option<u16>,
    /// PostgreSQL's port on the hosts.
    #[arg(long, value_name = "PORT", default_value_t = 5432)]
    pub(crate) postgres_port: u16,
    /// Where statistics and metrics are shown; `none` leaves them out.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8404")]
    pub(crate) statistics: String,
    #[command(flatten)]
    pub(crate) config: super::args::Directory,
}

impl ProxyArgs {
    /// Whether the verb is about the proxies that the daemon watches.
    pub(crate) fn asks_daemon(&self) -> bool {
        match &self.action {
            ProxyAction::Lint { target, .. } | ProxyAction::Import { target, .. } => {
                target.file.is_none()
            }
            ProxyAction::New(_) => false,
            ProxyAction::History { .. }
            | ProxyAction::Diff { .. }
            | ProxyAction::Rollback { .. } => true,
        }
    }
}
