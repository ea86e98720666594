//! Runs one privileged command and says in one sentence why it failed.

use std::time::Duration;

use bytes::Bytes;

use super::Fault;
use crate::commands::Privileged;
use crate::ssh::{Command, Ending, ExecOutput, Ssh, SshError};
use crate::sudo::obstacle;
pub(crate) use crate::text::checksum as hash;
use crate::text::shown;

/// The machine that a command goes to.
#[derive(Clone, Copy)]
pub(crate) struct Machine<'a> {
    pub(crate) ssh: &'a Ssh,
    pub(crate) name: &'a str,
    pub(crate) user: &'a str,
}

/// What came of putting a draft in the place of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Done,
    /// The file is not what was read: whoever edits it wins.
    Changed,
}

/// The exit code of `put` when the file is not what was read.
const CHANGED: u32 = 79;

/// What is kept of a command's words.
pub(super) const OUTPUT_MAX: usize = 64 * 1024;

impl<'a> Machine<'a> {
    pub(crate) fn host(host: &'a crate::pair_world::Host) -> Self {
        let access = &host.access;
        Self { ssh: &host.ssh, name: access.name.as_str(), user: &access.ssh.user }
    }

    pub(crate) fn proxy(proxy: &'a crate::pair_world::Proxy) -> Self {
        let access = &proxy.access;
        Self { ssh: &proxy.ssh, name: access.name.as_str(), user: &access.ssh.user }
    }

    /// Runs the command and insists on success.
    pub(crate) async fn run(
        self,
        command: &Privileged,
        stdin: impl Into<Bytes>,
        deadline: Duration,
    ) -> Result<ExecOutput, Fault> {
        let output = self.try_run(command, stdin, deadline).await?;
        if output.succeeded() { Ok(output) } else { Err(self.failed(command, &output)) }
    }

    /// Runs the command and leaves its exit code to the caller.
    pub(crate) async fn try_run(
        self,
        command: &Privileged,
        stdin: impl Into<Bytes>,
        deadline: Duration,
    ) -> Result<ExecOutput, Fault> {
        let done = self.ssh.exec(&command.command(), stdin, deadline, OUTPUT_MAX).await;
        done.map_err(|error| self.lost(&error))
    }

    /// Renames a draft over its file if the file is still `before`. Both in one call, so that an
    /// edit has the shortest moment to slip in between.
    pub(crate) async fn put(
        self,
        hash_now: &Privileged,
        put: &Privileged,
        before: &[u8],
        deadline: Duration,
    ) -> Result<Put, Fault> {
        let script = format!(
            "now=$({}) || exit 1\ncase $now in \"$1 \"*) exec {};; *) exit {CHANGED};; esac",
            hash_now.line(),
            put.line(),
        );
        let command = Command::new("/bin/sh").arg("-c").arg(script).arg("sh").arg(hash(before));
        let output = self.ssh.exec(&command, "", deadline, OUTPUT_MAX).await;
        let output = output.map_err(|error| self.lost(&error))?;
        match output.ending {
            Ending::Exited(0) => Ok(Put::Done),
            Ending::Exited(CHANGED) => Ok(Put::Changed),
            _ => Err(self.failed(put, &output)),
        }
    }

    pub(crate) fn lost(self, error: &SshError) -> Fault {
        match error {
            SshError::NotSent(why) => Fault::Refused(format!("{}: {why}", self.name)),
            SshError::NoReply(_) => Fault::NoReply,
        }
    }

    pub(crate) fn failed(self, command: &Privileged, output: &ExecOutput) -> Fault {
        if let Some(found) = obstacle(&output.stderr, self.name, self.user) {
            return Fault::Refused(found.advice);
        }
        let how = match &output.ending {
            Ending::Exited(code) => format!("ended with {code}"),
            Ending::Signalled(signal) => format!("was ended by SIG{signal}"),
            Ending::CutOff => "said too much".to_owned(),
        };
        let said = shown(&output.stderr);
        let line = command.line();
        Fault::Refused(format!("{}: `{line}` {how}: {said}", self.name))
    }
}
