//! The command line: every verb is a thin reader of the daemon's reports, or an order to it.
//!
//! It judges nothing. One place turns every failure into a message with a fix and an exit code.

mod act;
mod args;
mod client;
mod config;
mod drain;
mod events;
mod exit;
mod fence;
mod files;
mod follow;
mod incident;
mod orders;
mod output;
mod parity;
mod plan;
mod proxy;
mod proxy_args;
mod rules;
mod status;
mod upgrade;
mod validate;
mod verify;
mod when;
mod why;

use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::ListenError;
use crate::api::types::ProblemKind;
use crate::config::Reach;
use crate::report::view::{PairStatus, StatusReport};
use crate::shell::{self, RunError};
use args::{Common, Format, Typed, Verb};
use client::{Client, ClientError, escaped};
pub(crate) use exit::Exit;
pub(crate) use output::one_line;
use output::{print, say};

/// Why a verb did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The daemon did not answer, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The daemon did not start.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What was typed does not fit.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// The order was refused.
    #[error("{0}")]
    Refused(String),
    /// A rolling upgrade stopped.
    #[error("{0}")]
    Stopped(String),
    /// The confirmation was not given.
    #[error("{0}")]
    NotConfirmed(String),
    /// Something unexpected.
    #[error("{0}")]
    Unexpected(String),
}

impl Failure {
    /// As a program reads it: the daemon's own word, or what this process found, in its form.
    fn json(&self) -> Value {
        if let Failure::Client(ClientError::Problem(problem)) = self {
            return json!(problem);
        }
        let kind = match self.exit() {
            Exit::Usage => "bad-request",
            Exit::Unreachable => "unreachable",
            Exit::Refused => "refused",
            Exit::ConfigInvalid => "config-invalid",
            Exit::AlreadyRunning => "already-running",
            Exit::NotConfirmed => "not-confirmed",
            Exit::Ok
            | Exit::Unprotected
            | Exit::Undone
            | Exit::PlanLeftOpen
            | Exit::NotReady
            | Exit::FenceFails
            | Exit::FileFaulty
            | Exit::PartlyChanged
            | Exit::NotAlike
            | Exit::UpgradeStopped
            | Exit::FilesBehind
            | Exit::NotSettled => "other",
            Exit::Unexpected => "unexpected",
        };
        problem_json(kind, &self.to_string())
    }

    fn exit(&self) -> Exit {
        use observer_world::store::StoreError;
        match self {
            Failure::Client(
                ClientError::NotRunning(_)
                | ClientError::Denied(_)
                | ClientError::Unanswered(_)
                | ClientError::Gone(_),
            ) => Exit::Unreachable,
            Failure::Client(ClientError::Problem(problem)) => match problem.kind {
                ProblemKind::UnknownPair | ProblemKind::BadRequest => Exit::Usage,
                ProblemKind::Refused => Exit::Refused,
                ProblemKind::Unavailable => Exit::Unreachable,
            },
            Failure::Client(ClientError::Answer(_)) => Exit::Unexpected,
            Failure::Run(
                RunError::Config(_)
                | RunError::World { .. }
                | RunError::Socket(ListenError::Unusable(_)),
            ) => Exit::ConfigInvalid,
            Failure::Run(
                RunError::Store(StoreError::InUse { .. }) | RunError::Socket(ListenError::InUse(_)),
            ) => Exit::AlreadyRunning,
            Failure::Run(_) | Failure::Unexpected(_) => Exit::Unexpected,
            Failure::Usage(_) => Exit::Usage,
            Failure::Config(_) => Exit::ConfigInvalid,
            Failure::Refused(_) => Exit::Refused,
            Failure::Stopped(_) => Exit::UpgradeStopped,
            Failure::NotConfirmed(_) => Exit::NotConfirmed,
        }
    }
}

/// A message and its fix, as the daemon would say them.
fn problem_json(kind: &str, text: &str) -> Value {
    let (message, fix) = text.split_once("\n  fix: ").unwrap_or((text, ""));
    json!({ "kind": kind, "message": message.trim(), "fix": fix.trim() })
}

/// Reads the command line, does what it says, and tells how it ended.
pub(crate) fn main() -> Exit {
    let typed = match Typed::try_parse() {
        Ok(typed) => typed,
        Err(why) => {
            if why.use_stderr() && asks_for_json(std::env::args()) {
                print_json(&problem_json("bad-request", &why.render().to_string()));
            } else {
                // clap writes help to standard output and mistakes to standard error.
                let _ = why.print();
            }
            return if why.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    let json = typed.common.output == Format::Json;
    match carry_out(typed) {
        Ok(exit) => exit,
        Err(failure) => {
            if json {
                print_json(&failure.json());
            } else {
                say(&format!("ha-observer: {failure}"));
            }
            failure.exit()
        }
    }
}

/// Whether a command line that cannot be read asks for JSON all the same.
fn asks_for_json(words: impl Iterator<Item = String>) -> bool {
    let words: Vec<String> = words.collect();
    let joined = ["-ojson", "-o=json", "--output=json"];
    let apart = |pair: &[String]| ["-o", "--output"].contains(&&*pair[0]) && pair[1] == "json";
    words.iter().any(|word| joined.contains(&word.as_str())) || words.windows(2).any(apart)
}

fn carry_out(typed: Typed) -> Result<Exit, Failure> {
    let Typed { common, verb } = typed;
    match verb {
        Verb::Run(config) => {
            let stopped = shell::run(&config.directory)?;
            Ok(if stopped.open_plans.is_empty() { Exit::Ok } else { Exit::PlanLeftOpen })
        }
        Verb::Rules(files) => {
            if common.pair.is_some() {
                // The same for every pair; one that is not there is a mistake nevertheless.
                config::pairs(&files.directory, Reach::Text, common.pair.as_deref())?;
            }
            Ok(rules::show(common.output))
        }
        Verb::Validate(args) if args.list => Ok(validate::list(common.output)),
        Verb::Config(args) => config::carry_out(args, common.pair.as_deref()),
        Verb::Proxy(args) if !args.asks_daemon() => proxy::without_daemon(args, &common),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Typed::command(), "ha-observer", &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(Exit::Ok)
        }
        Verb::Man => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Typed::command()).render(&mut page);
            rendered.map_err(|why| Failure::Unexpected(why.to_string()))?;
            print(&String::from_utf8_lossy(&page));
            Ok(Exit::Ok)
        }
        verb => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|why| Failure::Unexpected(why.to_string()))?;
            runtime.block_on(ask(common, verb))
        }
    }
}

/// The verbs that talk to the daemon.
async fn ask(common: Common, verb: Verb) -> Result<Exit, Failure> {
    let desk = Desk { client: Client::new(socket(&common)), common };
    match verb {
        Verb::Status => status::show(&desk).await,
        Verb::Why => why::show(&desk).await,
        Verb::Events(args) => events::show(&desk, args).await,
        Verb::Incident { plan } => incident::show(&desk, plan).await,
        Verb::Validate(args) => validate::show(&desk, args).await,
        Verb::Parity(args) => parity::carry_out(&desk, args).await,
        Verb::Files(args) => files::carry_out(&desk, args).await,
        Verb::Fence(args) => fence::carry_out(&desk, args).await,
        Verb::Failover(args) => act::failover(&desk, args).await,
        Verb::Switchover(args) => act::switchover(&desk, args).await,
        Verb::Rejoin(args) => act::mend(&desk, "rejoin", args).await,
        Verb::Repair(args) => act::mend(&desk, "repair", args).await,
        Verb::Abort { lost, reason, .. } => orders::abort(&desk, lost, reason).await,
        Verb::Pause { reason, for_ms } => orders::pause(&desk, reason, for_ms).await,
        Verb::Upgrade(args) => upgrade::carry_out(&desk, args).await,
        Verb::Maintenance(args) => orders::maintenance(&desk, args).await,
        Verb::Drain(args) => drain::begin(&desk, args).await,
        Verb::Undrain(args) => drain::finish(&desk, args).await,
        Verb::Forget { host, reason } => orders::forget(&desk, &host, reason).await,
        Verb::Resume => orders::resume(&desk).await,
        Verb::Ack => orders::acknowledge(&desk).await,
        Verb::Proxy(args) => proxy::with_daemon(&desk, args).await,
        Verb::Run(_) | Verb::Rules(_) | Verb::Config(_) | Verb::Completions { .. } | Verb::Man => {
            Err(Failure::Unexpected("this verb does not talk to the daemon".to_owned()))
        }
    }
}

fn socket(common: &Common) -> PathBuf {
    let named = common.socket.clone();
    let from_environment = || std::env::var_os("HA_OBSERVER_SOCKET").map(PathBuf::from);
    named.or_else(from_environment).unwrap_or_else(|| crate::config::DEFAULT_SOCKET.into())
}

/// The daemon with the options that every verb has.
struct Desk {
    client: Client,
    common: Common,
}

impl Desk {
    fn is_json(&self) -> bool {
        self.common.output == Format::Json
    }

    async fn status(&self) -> Result<StatusReport, Failure> {
        Ok(self.client.get("/v1/status").await?)
    }

    /// How the pair that is meant stands.
    async fn pair_status(&self) -> Result<PairStatus, Failure> {
        self.own(self.status().await?).await
    }

    /// The same, once it was looked at anew; the daemon waits for that, for a few seconds.
    async fn looked_at(&self) -> Result<PairStatus, Failure> {
        self.own(self.client.get("/v1/status?looked=true").await?).await
    }

    async fn own(&self, report: StatusReport) -> Result<PairStatus, Failure> {
        let pair = self.pair().await?;
        let mut pairs = report.pairs.into_iter();
        pairs.find(|status| status.pair.as_str() == pair).ok_or_else(|| {
            Failure::Usage(format!(
                "there is no pair {pair}\n  fix: `ha-observer status` lists them"
            ))
        })
    }

    /// The pair that is meant: the one that was named, or the only one.
    async fn pair(&self) -> Result<String, Failure> {
        if let Some(pair) = &self.common.pair {
            return Ok(pair.clone());
        }
        let status = self.status().await?;
        match status.pairs.as_slice() {
            [only] => Ok(only.pair.to_string()),
            pairs => {
                let names: Vec<&str> = pairs.iter().map(|pair| pair.pair.as_str()).collect();
                let names = names.join(", ");
                Err(Failure::Usage(format!(
                    "there are {} pairs: {names}\n  fix: say which one with --pair NAME",
                    pairs.len()
                )))
            }
        }
    }

    /// The address of something of the pair that is meant.
    async fn path(&self, what: &str) -> Result<String, Failure> {
        Ok(format!("/v1/pairs/{}/{what}", escaped(&self.pair().await?)))
    }
}

fn print_json<T: Serialize>(value: &T) {
    // Reports are made of plain data: writing them as JSON cannot fail.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    print(&format!("{text}\n"));
}

#[cfg(test)]
mod follow_tests;
#[cfg(test)]
mod tests;
