//! Copies a file, or one key in it, from one host to others.
//!
//! It decides nothing: who gives to whom, and whether that may be done now, comes from the core.
//! The order rule: what was confirmed is still what would be changed → the folders are safe → a
//! draft beside the file has its owner and mode, and is on the disk as it was meant → the file is
//! kept beside itself → it is still what was read → rename → it reads back as it was meant, with
//! the owner and mode it had. A repetition finds it alike and changes nothing.

use observer_core::parity::{Copying, Secrecy};
use observer_core::words::HostName;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::read::content;
use super::{Change, Copied, Preview, Salt};
use crate::commands::{FileCommands, ParityCommands, ParityLook};
use crate::hands::{Fault, Machine, Put, hash};
use crate::keys::{self, Format};
use crate::pair_world::{Host, Inner};
use crate::text::shown;

/// Lines of a difference that are shown, of each kind.
const DIFF_MAX: usize = 20;

/// A copy, worked out and not carried out.
pub(super) struct Prepared<'w> {
    drafts: Vec<Draft<'w>>,
    secrecy: Secrecy,
    seal: String,
}

/// One host's file, as it is and as it shall be.
struct Draft<'w> {
    host: &'w Host,
    file: &'w FileCommands,
    key: Option<&'w (Format, String)>,
    before: Zeroizing<Vec<u8>>,
    after: Zeroizing<Vec<u8>>,
}

impl Prepared<'_> {
    pub(super) fn preview(&self) -> Preview {
        let changes = self.drafts.iter().map(|draft| Change {
            host: draft.host.access.name.clone(),
            path: draft.file.path.clone(),
            diff: match self.secrecy {
                Secrecy::Secret => vec!["value differs".to_owned()],
                Secrecy::Plain => draft.diff(),
            },
        });
        Preview { changes: changes.collect(), seal: self.seal.clone() }
    }
}

impl Draft<'_> {
    fn diff(&self) -> Vec<String> {
        let (before, after) = (text(&self.before), text(&self.after));
        let Some((format, key)) = self.key else { return lines_apart(&before, &after) };
        let value = |sign: char, text: &str| {
            let place = keys::find(*format, text, key).ok().flatten();
            place.map(|place| format!("{sign} {key} = {}", shown(place.value.as_bytes())))
        };
        [value('-', &before), value('+', &after)].into_iter().flatten().collect()
    }
}

fn text(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(bytes).into_owned())
}

/// What lies between the lines that both begin and those that both end with.
fn lines_apart(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = tail.take_while(|(one, other)| one == other).count();
    let mut lines = Vec::new();
    for (sign, part) in [('-', &old[head..old.len() - tail]), ('+', &new[head..new.len() - tail])] {
        lines.extend(part.iter().take(DIFF_MAX).map(|l| format!("{sign} {}", shown(l.as_bytes()))));
        if part.len() > DIFF_MAX {
            lines.push(format!("{sign} … and {} more lines", part.len() - DIFF_MAX));
        }
    }
    lines
}

/// Reads all sides and works out what each file shall be.
pub(super) async fn prepare<'w>(
    world: &'w Inner,
    copying: &Copying,
    until: Instant,
) -> Result<Prepared<'w>, String> {
    let (giver, own) = commands(world, &copying.from, &copying.item)?;
    let ParityLook::File { file, .. } = &own.look else {
        return Err(format!("{} is no file and no key in one", copying.item));
    };
    let source = content(giver, file, until).await.map_err(|why| at(&copying.from, &why.0))?;
    let source = source.ok_or_else(|| at(&copying.from, &format!("there is no {}", file.path)))?;
    let mut drafts = Vec::new();
    for to in &copying.to {
        let (host, own) = commands(world, to, &copying.item)?;
        let ParityLook::File { file, key } = &own.look else { continue };
        let before = content(host, file, until).await.map_err(|why| at(to, &why.0))?;
        let Some(before) = before else {
            let shape = shape(giver, file, until).await?;
            return Err(at(to, &missing(&file.path, &shape)));
        };
        let after = match key {
            None => source.clone(),
            Some((format, key)) => {
                let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|_| "no UTF-8 text");
                let (from, to_text) = (utf8(&source)?, utf8(&before)?);
                let edited = keys::copy(*format, from, to_text, key);
                let edited = edited.map_err(|why| at(to, &why.to_string()))?;
                Zeroizing::new(edited.as_bytes().to_vec())
            }
        };
        if before != after {
            drafts.push(Draft { host, file, key: key.as_ref(), before, after });
        }
    }
    let seal = sealed(&world.seal, &drafts);
    Ok(Prepared { drafts, secrecy: own.item.item.secrecy, seal })
}

fn commands<'w>(
    world: &'w Inner,
    host: &HostName,
    item: &str,
) -> Result<(&'w Host, &'w ParityCommands), String> {
    let host = world.host(host).ok_or_else(|| format!("{host} is no host of the pair"))?;
    let own = host.commands.parity.iter().find(|own| own.item.item.name == item);
    Ok((host, own.ok_or_else(|| format!("no item of parity is called \"{item}\""))?))
}

fn at(host: &HostName, why: &str) -> String {
    format!("{host}: {why}")
}

/// How to make a file that is not there: its owner there is for a person to say.
fn missing(path: &str, shape: &str) -> String {
    let mut parts = shape.split(':').skip(1);
    let mut part = || parts.next().unwrap_or("?").to_owned();
    let (user, group, mode) = (part(), part(), part());
    format!(
        "there is no {path}; make it once, then copy again: `install -o {user} -g {group} -m \
         {mode} /dev/null {path}` (the numbers are those of the other host)"
    )
}

/// Stands for a change without telling anything of it: the salt never leaves the process.
fn sealed(salt: &Salt, drafts: &[Draft<'_>]) -> String {
    let mut all = Zeroizing::new(Vec::new());
    for draft in drafts {
        let name = draft.host.access.name.as_str().as_bytes();
        for part in [name, &draft.before, &draft.after] {
            all.extend_from_slice(&(part.len() as u64).to_be_bytes());
            all.extend_from_slice(part);
        }
    }
    salt.print(&all).0
}

/// Carries the copy out, if it is still the one that was confirmed.
pub(super) async fn perform(
    world: &Inner,
    copying: &Copying,
    seal: &str,
    may_go_on: &dyn Fn() -> Result<(), String>,
    until: Instant,
) -> Result<Vec<Copied>, String> {
    let prepared = prepare(world, copying, until).await?;
    if prepared.seal != seal {
        return Err("a file was changed by somebody meanwhile: look at the difference again".into());
    }
    let mut copied = Vec::new();
    for draft in &prepared.drafts {
        may_go_on()?;
        let kept = write(draft, may_go_on, until).await.map_err(|fault| match fault {
            Fault::Refused(why) => why,
            Fault::NoReply => format!(
                "{}: no reply; whether {} was changed shows `ha-observer parity`",
                draft.host.access.name, draft.file.path
            ),
        })?;
        let (host, path) = (draft.host.access.name.clone(), draft.file.path.clone());
        copied.push(Copied { host, path, kept });
    }
    Ok(copied)
}

async fn shape(host: &Host, file: &FileCommands, until: Instant) -> Result<String, String> {
    let machine = Machine::host(host);
    match machine.run(&file.see_shape, "", left(until)).await {
        Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(Fault::Refused(why)) => Err(why),
        Err(Fault::NoReply) => Err(format!("{}: no reply", machine.name)),
    }
}

fn left(until: Instant) -> std::time::Duration {
    until.saturating_duration_since(Instant::now())
}

/// Writes one file. Returns where the content before is kept.
async fn write(
    draft: &Draft<'_>,
    may_go_on: &dyn Fn() -> Result<(), String>,
    until: Instant,
) -> Result<String, Fault> {
    let machine = Machine::host(draft.host);
    let file = draft.file;
    let refuse = |why: &str| Fault::Refused(format!("{}: {}: {why}", machine.name, file.path));
    let before = shape(draft.host, file, until).await.map_err(Fault::Refused)?;
    if !before.starts_with("regular") {
        return Err(refuse("is no plain file, and a link would be replaced: copy it by hand"));
    }
    folders_are_safe(machine, file, until).await?;
    let draft_and_put = async {
        machine.run(&file.shape_draft, "", left(until)).await?;
        machine.run(&file.write_draft, draft.after.to_vec(), left(until)).await?;
        let written = machine.run(&file.hash_draft, "", left(until)).await?;
        if !written.stdout.starts_with(hash(&draft.after).as_bytes()) {
            return Err(refuse("the draft on the disk is not what was written"));
        }
        let kept = machine.run(&file.keep, "", left(until)).await?;
        may_go_on().map_err(|why| refuse(&why))?;
        match machine.put(&file.hash, &file.put, &draft.before, left(until)).await? {
            Put::Done => machine.run(&file.sync, "", left(until)).await?,
            Put::Changed => return Err(refuse("was changed by somebody meanwhile")),
        };
        Ok(shown(&kept.stdout))
    };
    let done = draft_and_put.await;
    if done.is_err() {
        // A draft that stays is a dotfile that nobody reads.
        let _ = machine.run(&file.drop_draft, "", left(until)).await;
    }
    let kept = done?;
    let now = content(draft.host, file, until).await.map_err(|why| refuse(&why.0))?;
    if now.as_ref() != Some(&draft.after) {
        return Err(refuse(&format!("does not read back as it was written; before: {kept}")));
    }
    let after = shape(draft.host, file, until).await.map_err(Fault::Refused)?;
    if after != before {
        return Err(refuse(&format!("has another owner or mode: {after}, before {before}")));
    }
    Ok(kept)
}

/// Root writes only where nobody else can put a link in the way.
async fn folders_are_safe(
    machine: Machine<'_>,
    file: &FileCommands,
    until: Instant,
) -> Result<(), Fault> {
    if !file.is_roots() {
        return Ok(());
    }
    let output = machine.run(&file.see_folders, "", left(until)).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.lines().all(only_root_writes) && !said.trim().is_empty() {
        return Ok(());
    }
    Err(Fault::Refused(format!(
        "{}: another account than root can write into a folder above {}, so that root writes \
         nothing there\n  fix: write user = \"OWNER\" in its [[parity]], and print the sudoers \
         file anew",
        machine.name, file.path
    )))
}

/// Reads `owner:mode` of a folder.
pub(crate) fn only_root_writes(line: &str) -> bool {
    let Some((owner, mode)) = line.trim().split_once(':') else { return false };
    let mode = u32::from_str_radix(mode, 8).unwrap_or(0o777);
    owner == "0" && mode & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_writes_where_only_root_can() {
        for (line, safe) in [
            ("0:755", true),
            ("0:700", true),
            ("0:1777", false),
            ("0:775", false),
            ("1001:755", false),
            ("", false),
            ("0:x", false),
        ] {
            assert_eq!(only_root_writes(line), safe, "{line}");
        }
    }

    #[test]
    fn a_difference_shows_the_lines_between_and_nothing_that_moves_a_cursor() {
        assert_eq!(lines_apart("a\nb\nc\n", "a\nx\x1b[2J\nc\n"), ["- b", "+ x [2J"]);
        assert_eq!(lines_apart("a\n", "a\nb\n"), ["+ b"]);
        assert_eq!(lines_apart("a\na\n", "a\n"), ["- a"]);
        let long = "x\n".repeat(30);
        let lines = lines_apart(&long, "");
        assert_eq!((lines.len(), lines[20].as_str()), (21, "- … and 10 more lines"));
    }
}
