//! Which files a HAProxy loads: what is checked before a change must be what it loads, and the one
//! file that is changed must be the one that says who is let in.

use std::collections::BTreeSet;

use super::ALL;
use super::proxy::read;
use crate::validate::{
    Check, Examine, Examined, Inputs, MissingVariable, Outcome, ProxyFiles, ServerPlace, SetBy,
    Severity, Sources,
};
use crate::words::ProxyName;

pub(super) const PROXY_FILES: Check = Check {
    id: "proxy-files",
    title: "what is checked and changed is what HAProxy loads",
    severity: Severity::Severe,
    readies: ALL,
    why: "a change that was checked with other files may be rejected, or mean something else, when \
          HAProxy loads it",
    after: "a later reload or restart fails, or sends users to the wrong host",
    fix: "`ha-observer status` shows whether the proxy is seen; its files must be readable",
    examine: Examine::Proxies(examine),
};

fn examine(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    let files = read(inputs, proxy, |survey| survey.files.as_ref())?;
    match files.fault(proxy) {
        Some((evidence, fix)) => Outcome::failed_with_fix(evidence, fix),
        None => Outcome::passed(passed(files)),
    }
}

impl ProxyFiles {
    /// The first thing that keeps a change from being checked and loaded as a whole: what it is,
    /// and what to do.
    pub fn fault(&self, proxy: &ProxyName) -> Option<(String, String)> {
        let faults = [one_order, same_options, one_file, says_itself, same_variables, in_its_place];
        faults.iter().find_map(|fault| fault(self, proxy))
    }
}

/// What is amiss, and what to do.
type Fault = Option<(String, String)>;

/// The running process, its next start and our check load the same files in the same order.
fn one_order(files: &ProxyFiles, proxy: &ProxyName) -> Fault {
    let ProxyFiles { unit, checked, .. } = files;
    if let (Some(runs), Some(starts)) = (&files.runs, &files.starts)
        && runs.opened != starts.opened
    {
        return Some((
            format!(
                "{unit} runs with {}, and a restart would load {}",
                list(&runs.opened),
                list(&starts.opened)
            ),
            format!(
                "on {proxy}: make the ExecStart of {unit} (`systemctl cat {unit}`, and its \
                 environment files) load what shall run; then restart {unit} while no user minds"
            ),
        ));
    }
    let loads = files.runs.as_ref().or(files.starts.as_ref())?;
    if loads.opened == checked.opened {
        return None;
    }
    let pairs = files.servers.first().filter(|place| place.file != files.changed);
    let config = pairs.map(|place| format!(" and `config = \"{}\"`", place.file));
    Some((
        format!(
            "{unit} loads {}, and what is checked before a change is {}",
            list(&loads.opened),
            list(&checked.opened)
        ),
        format!(
            "write `files = {:?}`{} for {proxy} in the pair's file, and install what `ha-observer \
             config sudoers {proxy}` prints",
            loads.named,
            config.unwrap_or_default()
        ),
    ))
}

/// The check has the options of the command line on which the meaning of the files depends.
fn same_options(files: &ProxyFiles, proxy: &ProxyName) -> Fault {
    let loads = files.runs.as_ref().or(files.starts.as_ref())?;
    let options = |of: &Sources| [("-C", of.directory.clone()), ("-L", of.local_peer.clone())];
    let (has, wanted) = (options(&files.checked), options(loads));
    if has == wanted {
        return None;
    }
    let words = |options: &[(&str, Option<String>); 2]| {
        let set = options.iter();
        let set = set.filter_map(|(flag, value)| Some(format!("{flag} {}", value.as_ref()?)));
        let words = set.collect::<Vec<_>>().join(" ");
        if words.is_empty() { "neither -C nor -L".to_owned() } else { words }
    };
    let keys = ["directory", "local_peer"].into_iter().zip(has.iter().zip(&wanted));
    let keys = keys.filter(|(_, (has, wanted))| has != wanted);
    let keys = keys.map(|(key, (_, (_, value)))| match value {
        Some(value) => format!("write `{key} = \"{value}\"`"),
        None => format!("take `{key}` out"),
    });
    let (unit, keys) = (&files.unit, keys.collect::<Vec<_>>().join(" and "));
    Some((
        format!("{unit} has {}, and the check before a change {}", words(&wanted), words(&has)),
        format!(
            "{keys} for {proxy} in the pair's file, and install what `ha-observer config sudoers \
             {proxy}` prints"
        ),
    ))
}

/// All servers of the pair stand in the file that is changed.
fn one_file(files: &ProxyFiles, proxy: &ProxyName) -> Fault {
    let first = files.servers.first()?;
    if let Some(other) = files.servers.iter().find(|place| place.file != first.file) {
        return Some((
            format!("the pair's servers stand in two files: {} and {}", at(first), at(other)),
            format!(
                "on {proxy}: move the sections with the pair's servers into one file, so that it \
                 is changed as a whole or not at all"
            ),
        ));
    }
    if first.file == files.changed {
        return None;
    }
    Some((
        format!("the pair's servers stand in {}, and {} is changed", at(first), files.changed),
        format!(
            "write `config = \"{}\"` for {proxy} in the pair's file, and install what \
             `ha-observer config sudoers {proxy}` prints",
            first.file
        ),
    ))
}

/// The changed file says by itself who is let in.
fn says_itself(files: &ProxyFiles, proxy: &ProxyName) -> Fault {
    let place = files.turned_elsewhere.first()?;
    Some((
        format!("a `default-server` in another file says whether {} is let in", at(place)),
        format!(
            "on {proxy}: take `disabled` and `enabled` out of that `default-server`, and write \
             `disabled` on the pair's own lines"
        ),
    ))
}

/// HAProxy and the check have the variables that the files ask for from the same place.
fn same_variables(files: &ProxyFiles, proxy: &ProxyName) -> Fault {
    let MissingVariable { name, file, line, set_by } = files.variables.first()?;
    let unit = &files.unit;
    let place = format!("{file} line {line} asks for the variable {name}");
    Some(match set_by {
        SetBy::File(source) => (
            format!("{place}, which {unit} has from {source} and the check of a change has not"),
            format!(
                "write `environment_file = \"{source}\"` for {proxy} in the pair's file, and \
                 install what `ha-observer config sudoers {proxy}` prints"
            ),
        ),
        SetBy::Unit => (
            format!("{place}, which {unit} sets itself and the check of a change has not"),
            format!(
                "on {proxy}: move it from Environment= of {unit} into an environment file of the \
                 unit (EnvironmentFile=), and write that as `environment_file` in the pair's file"
            ),
        ),
        SetBy::CheckOnly(source) => (
            format!("{place}, which the check of a change has from {source} and {unit} has not"),
            format!(
                "on {proxy}: let {unit} load it (EnvironmentFile={source}), or leave \
                 `environment_file` out of the pair's file"
            ),
        ),
    })
}

/// The file can be changed where it lies.
fn in_its_place(files: &ProxyFiles, _: &ProxyName) -> Fault {
    let why = files.obstacle.clone()?;
    let fix = "mend what it names; what is changed must be what HAProxy loads".to_owned();
    Some((why, fix))
}

fn passed(files: &ProxyFiles) -> String {
    let opened = &files.checked.opened;
    let known = files.runs.is_some() || files.starts.is_some();
    let whence = if known { "" } else { ", by the pair's file alone: the unit does not tell" };
    let alike = BTreeSet::from_iter(opened).len();
    format!("{alike} file{} ({}){whence}", if alike == 1 { "" } else { "s" }, opened.join(", "))
}

fn at(place: &ServerPlace) -> String {
    format!("{} line {} ({})", place.file, place.line, place.server)
}

fn list(files: &[String]) -> String {
    if files.is_empty() { "no file".to_owned() } else { files.join(", ") }
}
