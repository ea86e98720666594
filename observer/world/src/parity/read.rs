//! Reads what each host has of each item.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use observer_core::parity::{Found, ItemReading, Print, Secrecy};
use observer_core::validate::{Datum, Unread};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Salt;
use crate::commands::{FileCommands, ParityCommands, ParityLook, Privileged};
use crate::keys;
use crate::pair_world::{Host, Inner};
use crate::ssh::{Command, Ending, ExecOutput};
use crate::sudo::obstacle;
use crate::text::shown;

/// How long one item may take on a host: one that hangs leaves the others their time.
const ITEM_MAX: Duration = Duration::from_secs(2);
/// The largest file that keys are read in, and that is copied.
pub(super) const FILE_MAX: usize = 1 << 20;
const OUTPUT_MAX: usize = 64 * 1024;

/// Hashes what a command prints behind the salt that comes in, and says how the command ended. The
/// salt is a variable of the shell, and `printf` its own word: neither is an argument of a process.
pub(super) const SALTED: &str = "IFS= read -r salt || exit 90\nexec 3>&1\n\
    { printf %s \"$salt\"; \"$@\" </dev/null 2>/dev/null; echo \"ended $?\" >&3; } | sha256sum";

/// Debian's families and Red Hat's, whichever is there.
const PACKAGE: &str = "if command -v dpkg-query >/dev/null 2>&1; then \
    exec dpkg-query -W -f '${db:Status-Abbrev}${Version}' -- \"$1\"; fi; \
    exec rpm -q --qf 'ii %{VERSION}-%{RELEASE}' -- \"$1\"";

pub(crate) async fn read(world: &Inner, until: Instant) -> Vec<ItemReading> {
    let salt = Salt::new();
    let hosts = world.hosts.iter().map(async |(name, host)| {
        let found = read_host(host, &salt, until).await;
        (name.clone(), found)
    });
    let hosts = join_all(hosts).await;
    let of_item = |(index, item): (usize, &crate::access::ParityItem)| ItemReading {
        item: item.item.clone(),
        hosts: hosts.iter().map(|(name, found)| (name.clone(), found[index].clone())).collect(),
    };
    world.parity.iter().enumerate().map(of_item).collect()
}

async fn read_host(host: &Host, salt: &Salt, until: Instant) -> Vec<Datum<Found>> {
    let items = &host.commands.parity;
    if items.is_empty() {
        return Vec::new();
    }
    if let Err(error) = host.ssh.connect(left(until)).await {
        return vec![Err(Unread(error.to_string())); items.len()];
    }
    let mut reader = Reader { host, salt, files: BTreeMap::new() };
    let mut found = Vec::new();
    for item in items {
        let item_until = until.min(Instant::now() + ITEM_MAX);
        let reading = tokio::time::timeout_at(item_until, reader.item(item, item_until)).await;
        found.push(reading.unwrap_or_else(|_| Err(Unread("no answer in time".to_owned()))));
    }
    found
}

struct Reader<'h> {
    host: &'h Host,
    salt: &'h Salt,
    /// The files of keys, which several items may share, by the command that reads them.
    files: BTreeMap<String, Datum<Option<Zeroizing<Vec<u8>>>>>,
}

impl Reader<'_> {
    async fn item(&mut self, own: &ParityCommands, until: Instant) -> Datum<Found> {
        let secret = own.item.item.secrecy == Secrecy::Secret;
        match &own.look {
            ParityLook::Output(command) if secret => {
                let print = self.hashed_there(command, until).await?;
                print.map(|print| Found::Value { print, shown: None }).map_err(Unread)
            }
            ParityLook::Output(command) => self.output(command, until).await,
            ParityLook::File { file, key: None } if secret => {
                match self.hashed_there(&file.read, until).await? {
                    Ok(print) => Ok(Found::Value { print, shown: None }),
                    Err(why) => absent(self.host, file, until, why).await,
                }
            }
            ParityLook::File { file, key: None } => self.hash(file, until).await,
            ParityLook::File { file, key: Some((format, key)) } => {
                let line = file.read.line();
                if !self.files.contains_key(&line) {
                    let content = content(self.host, file, until).await;
                    self.files.insert(line.clone(), content);
                }
                let Some(content) = self.files[&line].as_ref().map_err(Clone::clone)? else {
                    return Ok(Found::Missing(format!("no {}", file.path)));
                };
                let text = std::str::from_utf8(content);
                let text = text.map_err(|_| Unread("it is no UTF-8 text".to_owned()))?;
                match keys::find(*format, text, key).map_err(|why| Unread(why.to_string()))? {
                    None => Ok(Found::Missing(format!("no {key} in {}", file.path))),
                    Some(place) => Ok(Found::Value {
                        print: self.salt.print(place.value.as_bytes()),
                        shown: (!secret).then(|| shown(place.value.as_bytes())),
                    }),
                }
            }
            ParityLook::Package(name) => self.package(name, until).await,
            ParityLook::Unit(command) => self.unit(command, until).await,
            ParityLook::Setting(name) => {
                let value = self.host.database.setting(name, left(until)).await;
                let value = value.map_err(|why| Unread(why.to_string()))?;
                Ok(value.map_or_else(
                    || Found::Missing(format!("no setting {name}")),
                    |value| self.value(value.as_bytes(), (!secret).then_some(value.as_bytes())),
                ))
            }
        }
    }

    fn value(&self, value: &[u8], shows: Option<&[u8]>) -> Found {
        Found::Value { print: self.salt.print(value), shown: shows.map(shown) }
    }

    async fn run(&self, command: &Command, stdin: String, until: Instant) -> Datum<ExecOutput> {
        let output = self.host.ssh.exec(command, stdin, left(until), OUTPUT_MAX).await;
        output.map_err(|error| Unread(error.to_string()))
    }

    /// The print of what a command prints, made on the host; or how the command ended instead.
    async fn hashed_there(
        &self,
        command: &Privileged,
        until: Instant,
    ) -> Datum<Result<Print, String>> {
        let shell = Command::new("/bin/sh").args(["-c", SALTED, "sh"]).args(command.words());
        let output = self.run(&shell, format!("{}\n", self.salt.0), until).await?;
        Ok(print_of(&output.stdout))
    }

    async fn output(&self, command: &Privileged, until: Instant) -> Datum<Found> {
        let output = self.run(&command.command(), String::new(), until).await?;
        if output.truncated {
            return Err(Unread("it prints too much to be compared".to_owned()));
        }
        if !output.succeeded() {
            return Err(Unread(self.failure(&output)));
        }
        // Some programs tell their version on standard error.
        let said = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
        let value = said.trim_ascii_end();
        Ok(self.value(value, Some(value)))
    }

    async fn hash(&self, file: &FileCommands, until: Instant) -> Datum<Found> {
        let output = self.run(&file.hash.command(), String::new(), until).await?;
        let hash = output.stdout.split(|byte| *byte == b' ').next().unwrap_or_default();
        if !output.succeeded() || hash.len() != 64 {
            return absent(self.host, file, until, self.failure(&output)).await;
        }
        Ok(self.value(hash, Some(&[b"sha256 ", &hash[..12]].concat())))
    }

    async fn package(&self, name: &str, until: Instant) -> Datum<Found> {
        let shell = Command::new("/bin/sh").args(["-c", PACKAGE, "sh", name]);
        let output = self.run(&shell, String::new(), until).await?;
        let said = output.stdout.trim_ascii();
        match (output.ending.clone(), said.strip_prefix(b"ii ")) {
            (Ending::Exited(0), Some(version)) => Ok(self.value(version, Some(version))),
            (Ending::Exited(0 | 1), _) => {
                Ok(Found::Missing(format!("package {name} is not installed")))
            }
            _ => Err(Unread(self.failure(&output))),
        }
    }

    async fn unit(&self, command: &Privileged, until: Instant) -> Datum<Found> {
        let output = self.run(&command.command(), String::new(), until).await?;
        if output.succeeded() {
            let hash = crate::hands::hash(&output.stdout);
            let shows = format!("sha256 {}", &hash[..12]);
            return Ok(self.value(hash.as_bytes(), Some(shows.as_bytes())));
        }
        if output.stderr.starts_with(b"No files found") {
            return Ok(Found::Missing("there is no such unit".to_owned()));
        }
        Err(Unread(self.failure(&output)))
    }

    fn failure(&self, output: &ExecOutput) -> String {
        failure(self.host, output)
    }
}

/// What came of hashing on the host: the print, or how the command ended.
pub(super) fn print_of(said: &[u8]) -> Result<Print, String> {
    let said = String::from_utf8_lossy(said);
    // A login shell that prints comes first.
    let mut lines = said.lines().skip_while(|line| !line.starts_with("ended "));
    match lines.next() {
        Some("ended 0") => {
            let hash = lines.next().and_then(|line| line.split(' ').next()).unwrap_or_default();
            if hash.len() == 64 {
                return Ok(Print(hash.to_owned()));
            }
            Err("sha256sum is not there".to_owned())
        }
        Some(other) => Err(format!("the command {}: try it by hand", shown(other.as_bytes()))),
        None => Err("the shell there did not run the comparison".to_owned()),
    }
}

/// Why a command failed, in words that hold nothing of a file.
fn failure(host: &Host, output: &ExecOutput) -> String {
    let (name, user) = (host.access.name.as_str(), &host.access.ssh.user);
    if let Some(found) = obstacle(&output.stderr, name, user) {
        return found.advice;
    }
    let said = shown(&output.stderr);
    match &output.ending {
        Ending::Exited(code) => format!("ended with {code}: {said}"),
        Ending::Signalled(signal) => format!("was ended by SIG{signal}"),
        Ending::CutOff => "said too much".to_owned(),
    }
}

/// After a file could not be read: whether it is not there at all.
async fn absent(host: &Host, file: &FileCommands, until: Instant, why: String) -> Datum<Found> {
    match is_there(host, file, until).await? {
        Some(false) => Ok(Found::Missing(format!("no {}", file.path))),
        Some(true) | None => Err(Unread(why)),
    }
}

/// Whether the file is there; none where that cannot be told.
async fn is_there(host: &Host, file: &FileCommands, until: Instant) -> Datum<Option<bool>> {
    let output = host.ssh.exec(&file.is_there.command(), "", left(until), OUTPUT_MAX).await;
    let output = output.map_err(|error| Unread(error.to_string()))?;
    Ok(match output.ending {
        Ending::Exited(0) => Some(true),
        // sudo ends with 1, too, and says why.
        Ending::Exited(1) if output.stderr.is_empty() => Some(false),
        _ => None,
    })
}

/// The content of a file; none where there is no file.
pub(super) async fn content(
    host: &Host,
    file: &FileCommands,
    until: Instant,
) -> Datum<Option<Zeroizing<Vec<u8>>>> {
    let output = host.ssh.exec(&file.read.command(), "", left(until), FILE_MAX).await;
    let mut output = output.map_err(|error| Unread(error.to_string()))?;
    let content = Zeroizing::new(std::mem::take(&mut output.stdout));
    if output.succeeded() {
        return Ok(Some(content));
    }
    if output.truncated {
        return Err(Unread(format!("{} is larger than 1 MiB", file.path)));
    }
    match is_there(host, file, until).await? {
        Some(false) => Ok(None),
        Some(true) | None => Err(Unread(failure(host, &output))),
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
