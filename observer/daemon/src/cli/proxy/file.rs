//! `proxy lint FILE` and `proxy import FILE`: no daemon, no root, no network.
//!
//! A file is only written after its difference was shown and confirmed, and only if it is still
//! what was shown: beside it first, with its owner and mode, then renamed over it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use haproxy::{Document, Members, State, pointed_at};
use observer_world::pair_world::PairWorld;

use super::super::act::typed;
use super::super::args::{Common, Format};
use super::super::output::{Look, print, say};
use super::super::proxy_args::{Order, Target};
use super::super::{Exit, Failure, config, print_json};
use super::show;
use crate::config::Reach;
use crate::report::proxy::{Drawn, LintReport, Source};

/// What is asked of an import.
pub(super) struct Wanted {
    /// Whether the file is to be written.
    pub(super) apply: bool,
    /// Only the first so many steps.
    pub(super) steps: Option<usize>,
    /// The host that serves now.
    pub(super) master: Option<String>,
}

pub(super) fn lint(
    target: &Target,
    fix: bool,
    order: &Order,
    common: &Common,
) -> Result<Exit, Failure> {
    let local = Local::read(target, common)?;
    if fix {
        let drawn = local.source().fix();
        return local.write(&drawn, order, common);
    }
    let report = local.source().lint();
    show_lint(std::slice::from_ref(&report), common.output);
    Ok(exit_of(std::slice::from_ref(&report)))
}

/// Prints the findings of files.
pub(super) fn show_lint(reports: &[LintReport], format: Format) {
    if format == Format::Json {
        print_json(&reports);
        return;
    }
    for report in reports {
        print(&show::lint(report, Look::of_stdout()));
    }
}

/// What findings mean for whoever asked: only errors count.
pub(super) fn exit_of(reports: &[LintReport]) -> Exit {
    let faulty = reports.iter().flat_map(|report| &report.findings).any(|found| found.is_error());
    if faulty { Exit::FileFaulty } else { Exit::Ok }
}

pub(super) fn import(
    target: &Target,
    wanted: Wanted,
    order: &Order,
    common: &Common,
) -> Result<Exit, Failure> {
    let local = Local::read(target, common)?;
    let Some(members) = &local.members else {
        return Err(Failure::Usage(
            "which servers are the pair's is not known\n  fix: add --host NAME=ADDRESS for each \
             host, or --config with the directory of the pair's file"
                .to_owned(),
        ));
    };
    let master = match wanted.master {
        Some(master) => master,
        None => only_receiver(&local.bytes, members)?,
    };
    let drawn = local.source().import(&master, wanted.steps);
    let drawn = drawn.map_err(|why| {
        Failure::Refused(format!(
            "{}: {why}\n  fix: write the pair's servers as plain lines",
            local.name
        ))
    })?;
    if wanted.apply {
        return local.write(&drawn, order, common);
    }
    show_drawn(&drawn, common.output);
    Ok(Exit::Ok)
}

fn show_drawn(drawn: &Drawn, format: Format) {
    if format == Format::Json {
        print_json(&drawn.proposed);
    } else {
        print(&show::proposed(&drawn.proposed, Look::of_stdout()));
    }
}

/// The one host that the file lets users in to.
fn only_receiver(bytes: &[u8], members: &Members) -> Result<String, Failure> {
    let pointed = pointed_at(&Document::parse(bytes), members)
        .map_err(|why| Failure::Refused(format!("{why}\n  fix: write plain addresses")))?;
    let open = pointed.iter().filter(|one| one.state == State::Enabled && !one.shared);
    let mut hosts: Vec<&str> = open.map(|one| one.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    match hosts.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] if pointed.is_empty() => Err(Failure::Refused(
            "no server of this file belongs to the pair\n  fix: give the hosts' addresses as the \
             file has them, with --host NAME=ADDRESS"
                .to_owned(),
        )),
        hosts => Err(Failure::Usage(format!(
            "the file does not tell which host serves now (it lets in: {})\n  fix: say it with \
             --master HOST",
            if hosts.is_empty() { "none".to_owned() } else { hosts.join(", ") }
        ))),
    }
}

/// A file of this machine.
struct Local {
    /// As it was named.
    name: String,
    /// Where it really lies: a symbolic link stays one.
    path: PathBuf,
    bytes: Vec<u8>,
    members: Option<Members>,
    /// Every file that HAProxy loads, in order; none where that was not told.
    loaded: Vec<(String, Vec<u8>)>,
}

impl Local {
    fn read(target: &Target, common: &Common) -> Result<Self, Failure> {
        let named = target.file.as_deref().unwrap_or(Path::new(""));
        let name = named.display().to_string();
        let path = fs::canonicalize(named).map_err(|why| unreadable(named, &why))?;
        let bytes = fs::read(&path).map_err(|why| unreadable(named, &why))?;
        let members = members(target, common.pair.as_deref())?;
        let mut loaded = Vec::new();
        for file in opened(&target.files)? {
            let content = fs::read(&file).map_err(|why| unreadable(&file, &why))?;
            // The same file may be named in another way.
            let is_it = fs::canonicalize(&file).is_ok_and(|real| real == path);
            let called = if is_it { name.clone() } else { file.display().to_string() };
            loaded.push((called, content));
        }
        if !loaded.is_empty() && !loaded.iter().any(|(called, _)| *called == name) {
            return Err(Failure::Usage(format!(
                "{name} is not among --files\n  fix: give every file and folder behind `-f` of the \
                 service, in order"
            )));
        }
        Ok(Self { name, path, bytes, members, loaded })
    }

    fn source(&self) -> Source<'_> {
        let (members, loaded) = (self.members.as_ref(), Ok(self.loaded.as_slice()));
        Source { proxy: None, file: &self.name, bytes: &self.bytes, members, loaded }
    }

    /// Shows the difference, asks, and writes.
    fn write(&self, drawn: &Drawn, order: &Order, common: &Common) -> Result<Exit, Failure> {
        show_drawn(drawn, common.output);
        if drawn.after == self.bytes {
            return Ok(Exit::Ok);
        }
        if !order.yes {
            confirm(&self.name)?;
        }
        let failed = |why: std::io::Error| {
            let name = &self.name;
            Failure::Refused(format!("{name} was not changed: {why}\n  fix: see to its folder"))
        };
        let draft = self.draft();
        let written = self.draft_and_put(&draft, &drawn.after);
        if written.is_err() {
            // What is left beside the file is no harm: HAProxy loads no dotfile.
            let _ = fs::remove_file(&draft);
        }
        written.map_err(failed)?;
        let name = &self.name;
        say(&format!("{name} is changed; check it with `haproxy -c -f {name}` and reload HAProxy"));
        Ok(Exit::Ok)
    }

    fn draft(&self) -> PathBuf {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{file}.ha-observer.{}", std::process::id()))
    }

    fn draft_and_put(&self, draft: &Path, after: &[u8]) -> std::io::Result<()> {
        // Owner, mode, access list and label as they are: only `cp` knows all of them.
        let alike = std::process::Command::new("cp")
            .args(["--attributes-only", "--preserve=all", "--remove-destination", "--"])
            .args([&self.path, draft])
            .output()?;
        if !alike.status.success() {
            let said = String::from_utf8_lossy(&alike.stderr).trim().to_owned();
            return Err(std::io::Error::other(said));
        }
        let mut file = OpenOptions::new().write(true).truncate(true).open(draft)?;
        file.write_all(after)?;
        file.sync_all()?;
        if fs::read(&self.path)? != self.bytes {
            return Err(std::io::Error::other("it was changed by somebody meanwhile"));
        }
        fs::rename(draft, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

fn unreadable(file: &Path, why: &std::io::Error) -> Failure {
    let file = file.display();
    Failure::Usage(format!("{file}: {why}\n  fix: name a file that you can read"))
}

/// The files that HAProxy takes, folders opened in its order.
fn opened(sources: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for source in sources {
        if !source.is_dir() {
            files.push(source.clone());
            continue;
        }
        let failed = |why| unreadable(source, &why);
        let mut names = Vec::new();
        for entry in fs::read_dir(source).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if source.join(&name).is_file() {
                names.push(name.into_encoded_bytes());
            }
        }
        let taken = haproxy::load_order(names.iter().map(Vec::as_slice));
        files.extend(taken.into_iter().map(|name| source.join(OsStr::from_bytes(name))));
    }
    Ok(files)
}

fn confirm(name: &str) -> Result<(), Failure> {
    let failed = match typed(&format!("Type yes to change {name} so")).as_deref() {
        Some("yes") => return Ok(()),
        Some(_) => "nothing was changed\n  fix: type yes",
        None => "nobody is there to confirm: nothing was changed\n  fix: add --yes",
    };
    Err(Failure::NotConfirmed(failed.to_owned()))
}

/// Which servers are the pair's: as typed, else by the configuration, if there is one to read.
fn members(target: &Target, pair: Option<&str>) -> Result<Option<Members>, Failure> {
    if !target.hosts.is_empty() {
        return Ok(Some(Members::by_address(named(&target.hosts)?)));
    }
    let directory = &target.config.directory;
    let pairs = match config::pairs(directory, Reach::Text, pair) {
        Ok(pairs) => pairs,
        // A machine without our configuration is no fault, unless a pair of it was named.
        Err(why) if pair.is_some() => return Err(why),
        Err(_) => return Ok(None),
    };
    match <[_; 1]>::try_from(pairs) {
        Ok([access]) => {
            let only = <[_; 1]>::try_from(access.spec.proxies.clone()).ok();
            let world = PairWorld::connect(access)
                .map_err(|why| Failure::Config(format!("the pair's file: {why}")))?;
            Ok(Some(world.members(only.as_ref().map(|[proxy]| proxy))))
        }
        Err(pairs) if pairs.is_empty() => Ok(None),
        Err(pairs) => {
            let names: Vec<&str> = pairs.iter().map(|access| access.spec.name.as_str()).collect();
            let names = names.join(", ");
            Err(Failure::Usage(format!(
                "several pairs are configured: {names}\n  fix: say which one with --pair NAME"
            )))
        }
    }
}

/// Hosts as typed: `NAME=ADDRESS`, each as often as it has addresses.
pub(super) fn named(hosts: &[String]) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for typed in hosts {
        let (name, address) = typed
            .split_once('=')
            .filter(|(name, address)| !name.is_empty() && !address.is_empty())
            .ok_or_else(|| {
                Failure::Usage(format!(
                    "\"{typed}\" is no host\n  fix: write --host NAME=ADDRESS, like \
                     --host node-a=192.0.2.11"
                ))
            })?;
        all.entry(name.to_owned()).or_default().push(address.to_owned());
    }
    Ok(all)
}
