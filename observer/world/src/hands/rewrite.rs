//! Changes a proxy's haproxy.cfg: which servers of the pair it lets in at its next start.
//!
//! It never reloads: the running proxy was told already. The order rule, each line proven before
//! the next: read → edit the document → same proxies and servers as before → `put_file`.
//! Whoever edits the file meanwhile wins: the draft is dropped and the edit is shown.

use std::time::Duration;

use haproxy::{
    Document, Inventory, Refusal, ServerChange, ServerEdit, point, point_shared, pointed_at,
};
use observer_core::words::HostName;
use tokio::time::Instant;

use super::put_file::{Outcome, Reach, put};
use super::run::Machine;
use super::{Fault, Receivers};
use crate::commands::Privileged;
use crate::eyes::proxy_file::{members, read_as_root};
use crate::pair_world::{Inner, Proxy};
use crate::ssh::{Command, Ending};
use crate::text::shown;

/// Makes the file say that of the pair's hosts only the receivers are let in.
pub(super) async fn point_at(
    world: &Inner,
    proxy: &Proxy,
    receivers: Receivers<'_>,
    deadline: Duration,
) -> Result<(), Fault> {
    let members = members(world, proxy);
    let everywhere: Vec<&str> = receivers.everywhere.iter().map(HostName::as_str).collect();
    let shares = !proxy.access.every_host.is_empty();
    let edit = |document: &Document| {
        let turned = point(document, &members, &[receivers.master.as_str()])?;
        if shares { point_shared(&turned, &members, &everywhere) } else { Ok(turned) }
    };
    let mut reason = format!("users are let in to {} only", receivers.master);
    if shares {
        let hosts = if everywhere.is_empty() { "none".to_owned() } else { everywhere.join(", ") };
        reason += &format!("; of the hosts that share users, to {hosts}");
    }
    Rewrite::new(proxy, deadline).run(&reason, edit).await
}

/// Makes the file keep `host` out, and leaves everything else as it is.
pub(super) async fn keep_out(
    world: &Inner,
    proxy: &Proxy,
    host: &HostName,
    deadline: Duration,
) -> Result<(), Fault> {
    let members = members(world, proxy);
    let edit = |document: &Document| {
        let pointed = pointed_at(document, &members)?;
        let own = pointed.into_iter().filter(|pointed| pointed.host == host.as_str());
        let edits: Vec<ServerEdit> = own
            .map(|own| ServerEdit::new(own.backend, own.server, ServerChange::Disable))
            .collect();
        let mut turned = document.clone();
        turned.edit_servers(&edits)?;
        Ok(turned)
    };
    let reason = format!("{host} is kept out");
    Rewrite::new(proxy, deadline).run(&reason, edit).await
}

/// The commands of a rewrite, in order, for a dry run.
pub(super) fn describe(proxy: &Proxy) -> Vec<String> {
    let own = &proxy.commands;
    let order = [
        &own.read,
        &own.shape_draft,
        &own.write_draft,
        &own.hash_draft,
        &own.check_draft,
        &own.keep,
        &own.hash,
        &own.put,
        &own.sync,
    ];
    order.iter().map(|command| command.line()).collect()
}

/// Puts the content that was kept at the last rewrite back in its place.
pub(super) async fn restore(proxy: &Proxy, deadline: Duration) -> Result<(), Fault> {
    let rewrite = Rewrite::new(proxy, deadline);
    for command in [&proxy.commands.draft_of_kept, &proxy.commands.check_draft] {
        rewrite.run_one(command).await?;
    }
    rewrite.run_one(&proxy.commands.put).await?;
    rewrite.run_one(&proxy.commands.sync).await
}

/// What is written must be what HAProxy loads: behind a symbolic link, the file it leads to.
pub(crate) async fn insist_on_real_path(proxy: &Proxy, deadline: Duration) -> Result<(), Fault> {
    Rewrite::new(proxy, deadline).insist_on_real_path().await
}

struct Rewrite<'a> {
    proxy: &'a Proxy,
    machine: Machine<'a>,
    until: Instant,
}

impl<'a> Rewrite<'a> {
    fn new(proxy: &'a Proxy, deadline: Duration) -> Self {
        Self { proxy, machine: Machine::proxy(proxy), until: Instant::now() + deadline }
    }

    async fn run(
        &self,
        reason: &str,
        edit: impl Fn(&Document) -> Result<Document, Refusal>,
    ) -> Result<(), Fault> {
        // Each command is a round trip and a sudo, and users may wait for the whole: what does not
        // depend on one another goes at once.
        let (real, before) = tokio::join!(self.insist_on_real_path(), self.read());
        real?;
        let before = before?;
        let document = Document::parse(&before);
        let turned = edit(&document).map_err(|refusal| self.refuse(&refusal.to_string()))?;
        let after = turned.to_bytes();
        if after == before {
            return Ok(());
        }
        let lost = Inventory::of(&document).differences(&Inventory::of(&turned));
        if let Some(difference) = lost.first() {
            return Err(self.refuse(&format!("the edit would change more: {difference}")));
        }
        match put(self.proxy, (&before, after.clone()), Reach::Put, self.left()).await? {
            Outcome::Done => {
                self.proxy.tell_written(before, after, reason.to_owned());
                Ok(())
            }
            Outcome::Changed => Err(self.changed_by_somebody(&before).await),
        }
    }

    async fn changed_by_somebody(&self, before: &[u8]) -> Fault {
        let now = self.read().await.unwrap_or_default();
        let name = self.proxy.commands.config.as_str();
        let diff = haproxy::unified_diff(name, before, &now);
        let changes = diff.lines().skip(2).filter(|line| line.starts_with(['+', '-']));
        // What is told is kept for ever, so a line that may hold a password shows its keyword only.
        let keyword = |line: &str| {
            let lower = line.to_ascii_lowercase();
            if !SECRET.iter().any(|word| lower.contains(word)) {
                return line.to_owned();
            }
            let (sign, rest) = line.split_at(1);
            format!("{sign}{} …", rest.split_whitespace().next().unwrap_or(""))
        };
        let changes = changes.map(keyword);
        let changes = changes.take(CHANGES_SHOWN).collect::<Vec<_>>().join(" | ");
        let text = format!("it was changed by somebody meanwhile: {changes}");
        self.refuse(&shown(text.as_bytes()))
    }

    async fn insist_on_real_path(&self) -> Result<(), Fault> {
        let own = &self.proxy.commands;
        let command = Command::new("/bin/sh").arg("-c").arg(WHERE).arg("sh").arg(&own.config);
        let output = self.machine.ssh.exec(&command, "", self.left(), 64 * 1024).await;
        let output = output.map_err(|error| self.machine.lost(&error))?;
        let said = String::from_utf8_lossy(&output.stdout);
        // A login shell that prints comes first.
        let mut lines = said.lines().rev();
        let (folder, real) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        if output.ending == Ending::Exited(DANGLING) {
            return Err(self.refuse("it is a symbolic link that leads to nothing"));
        }
        if output.ending != Ending::Exited(0) || real.is_empty() {
            return Err(self.refuse("it is not there"));
        }
        let shown_real = shown(real.as_bytes());
        if real != own.real {
            return Err(self.refuse(&format!(
                "it leads to {shown_real} by a symbolic link: write real_config = \"{shown_real}\" \
                 for this proxy in the pair's configuration, and install its sudoers file anew"
            )));
        }
        if own.real != own.config && !is_roots_alone(folder) {
            return Err(self.refuse(&format!(
                "it leads to {shown_real}, in a folder that others than root may write to: they \
                 could turn what root writes there elsewhere. Give that folder to root alone \
                 (`chown root {0}; chmod go-w {0}`)",
                own.folder
            )));
        }
        Ok(())
    }

    async fn read(&self) -> Result<Vec<u8>, Fault> {
        let read = read_as_root(self.proxy, self.left()).await;
        read.map_err(|silent| self.refuse(&format!("it cannot be read: {silent}")))
    }

    async fn run_one(&self, command: &Privileged) -> Result<(), Fault> {
        self.machine.run(command, "", self.left()).await.map(drop)
    }

    fn refuse(&self, why: &str) -> Fault {
        Fault::Refused(format!("{} on {}: {why}", self.proxy.commands.config, self.machine.name))
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// Where the file `$1` really is, and who may write to that folder.
const WHERE: &str = r#"real=$(readlink -e -- "$1") || { [ -L "$1" ] && exit 75; exit 1; }
printf '%s\n' "$real"
stat -c '%u %a' -- "${real%/*}/""#;

/// Its exit code for a symbolic link that leads to nothing.
const DANGLING: u32 = 75;

/// Whether nobody but root may write to a folder of this owner and mode.
fn is_roots_alone(folder: &str) -> bool {
    let mode = folder.strip_prefix("0 ").and_then(|mode| u32::from_str_radix(mode, 8).ok());
    mode.is_some_and(|mode| mode & 0o022 == 0)
}

/// Words of lines that may hold a secret.
const SECRET: [&str; 5] = ["auth", "passw", "secret", "token", "credential"];

/// Changed lines that a refusal shows; whoever reads it can look at the file.
const CHANGES_SHOWN: usize = 6;
