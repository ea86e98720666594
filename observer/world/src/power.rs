//! The power fence: runs the configured command on the observer, and reads what it says.
//!
//! It is a child process of ours with a deadline, at which its whole process group is killed. What
//! it says is a claim of a program that others wrote: *off* is believed only if its exit code and
//! its words say so, and the host does not answer over SSH all the same.

use std::fmt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use observer_core::validate::Power;
use observer_core::words::HostName;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::access::PowerSwitch;
use crate::pair_world::{Host, PairWorld};
use crate::quote::quote;
use crate::ssh;
use crate::text::shown;

/// What is kept of the command's words.
const OUTPUT_MAX: usize = 16 * 1024;
/// How long a host that is said to be off may take to answer all the same.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
/// What stands for the action in a word of the command.
const ACTION: &str = "{action}";
/// The environment: no more of ours than the command needs, and no locale, so that words can be
/// read.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// What the command is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Off,
    On,
    Status,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Off => "off",
            Action::On => "on",
            Action::Status => "status",
        }
    }
}

/// Why the power fence says nothing that could be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PowerError {
    /// No command is configured for the host.
    #[error("no power fence is configured for it")]
    None,
    /// The command could not be started.
    #[error("the power fence `{program}` does not start: {why}")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        why: String,
    },
    /// It was killed at its deadline; what became of the action is not known.
    #[error("the power fence took longer than {} ms for `{}`", .after.as_millis(), .action.word())]
    Late {
        /// What it was asked for.
        action: Action,
        /// The deadline.
        after: Duration,
    },
    /// It ended otherwise than it must.
    #[error("the power fence's `{}` {how}: {said}", .action.word())]
    Failed {
        /// What it was asked for.
        action: Action,
        /// How it ended.
        how: String,
        /// Its words.
        said: String,
    },
    /// It says that a host is off which answers.
    #[error("the power fence says off, and the host answers over SSH: it asks another machine")]
    Mistaken,
}

/// How the command ended, and its words.
struct Ended {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// What the power fence said of one host when it was asked for its power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerAnswer {
    /// The exact command.
    pub command: String,
    /// Whether the host has power, or why that cannot be told.
    pub power: Result<Power, String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl PairWorld {
    /// Asks the power fence for the power of every host that it is configured for, all at once, and
    /// changes nothing.
    pub async fn ask_power(&self, deadline: Duration) -> Vec<(HostName, PowerAnswer)> {
        let asked = self.inner().hosts.iter().filter_map(|(name, host)| {
            let switch = host.access.power.as_ref()?;
            Some(async move {
                let began = Instant::now();
                let power = has_power(host, deadline).await.map_err(|why| why.to_string());
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let command = line(switch, Action::Status);
                (name.clone(), PowerAnswer { command, power, took_ms })
            })
        });
        futures_util::future::join_all(asked).await
    }
}

/// The command as a person would type it.
pub(crate) fn line(switch: &PowerSwitch, action: Action) -> String {
    match quote(&words(switch, action)) {
        Ok(line) => String::from_utf8_lossy(&line).into_owned(),
        Err(why) => why.to_string(),
    }
}

/// Switches the power of `host`. That it was done is a claim.
pub(crate) async fn switch(
    host: &Host,
    action: Action,
    deadline: Duration,
) -> Result<(), PowerError> {
    let ended = run(host.access.power.as_ref(), action, deadline).await?;
    if ended.status.success() { Ok(()) } else { Err(failed(action, &ended)) }
}

/// Whether `host` has power.
pub(crate) async fn has_power(host: &Host, deadline: Duration) -> Result<Power, PowerError> {
    let asking = run(host.access.power.as_ref(), Action::Status, deadline);
    let (ended, answers) = tokio::join!(asking, answers(host));
    let ended = ended?;
    match read_status(ended.status.code(), &ended.stdout) {
        // A management controller whose address stands at the wrong host is found here.
        Some(Power::Off) if answers => Err(PowerError::Mistaken),
        Some(power) => Ok(power),
        None => Err(failed(Action::Status, &ended)),
    }
}

async fn answers(host: &Host) -> bool {
    let asked = host.ssh.exec(&ssh::Command::new("true"), "", ANSWERS_WITHIN, 1_024).await;
    asked.is_ok()
}

/// What the exit code and the words of `status` come to; none unless both say the same.
///
/// Fence agents end with 0 and `Status: ON`, or with 2 and `Status: OFF`. But 2 is also how they
/// and many programs refuse their arguments, so the code alone proves nothing.
fn read_status(code: Option<i32>, stdout: &[u8]) -> Option<Power> {
    let text = String::from_utf8_lossy(stdout);
    let says = |word: &str| {
        text.lines().any(|line| {
            let line = line.trim().to_ascii_lowercase();
            line == word || line.strip_prefix("status:").is_some_and(|rest| rest.trim() == word)
        })
    };
    match (code, says("on"), says("off")) {
        (Some(0), true, false) => Some(Power::On),
        (Some(2), false, true) => Some(Power::Off),
        _ => None,
    }
}

fn failed(action: Action, ended: &Ended) -> PowerError {
    let killed = || "was killed".to_owned();
    let how = ended.status.code().map_or_else(killed, |code| format!("ended with {code}"));
    let said = if ended.stderr.trim_ascii().is_empty() { &ended.stdout } else { &ended.stderr };
    PowerError::Failed { action, how, said: shown(said) }
}

fn words(switch: &PowerSwitch, action: Action) -> Vec<String> {
    switch.command.iter().map(|word| word.replace(ACTION, action.word())).collect()
}

/// Kills every process of the group when it is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody is left in it where the command has cleaned up after itself.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn run(
    switch: Option<&PowerSwitch>,
    action: Action,
    deadline: Duration,
) -> Result<Ended, PowerError> {
    let words = words(switch.ok_or(PowerError::None)?, action);
    let not_started = |why: &dyn fmt::Display| PowerError::NotStarted {
        program: words.first().cloned().unwrap_or_default(),
        why: why.to_string(),
    };
    let (program, arguments) = words.split_first().ok_or_else(|| not_started(&"it is empty"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/");
    command.envs(std::env::var_os(CREDENTIALS).map(|place| (CREDENTIALS, place)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Its own group, so that what it starts can be killed with it.
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|why| not_started(&why))?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(pid.map(Pid::from_raw));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ending = async {
        let ended = async {
            let status = child.wait().await;
            // What it left behind would hold its output open.
            drop(std::mem::replace(&mut group, Group(None)));
            status
        };
        tokio::join!(ended, head(stdout), head(stderr))
    };
    let late = |_| PowerError::Late { action, after: deadline };
    let (status, stdout, stderr) = tokio::time::timeout(deadline, ending).await.map_err(late)?;
    let status = status.map_err(|why| not_started(&why))?;
    Ok(Ended { status, stdout, stderr })
}

/// The beginning of what is said; the rest is read and forgotten, so that the command can go on.
async fn head(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return kept };
    let mut chunk = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let room = OUTPUT_MAX - kept.len();
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
    kept
}

#[cfg(test)]
#[path = "power_tests.rs"]
mod tests;
