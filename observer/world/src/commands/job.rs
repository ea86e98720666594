//! The commands that rewind and clone a database, each as a transient unit, and that keep what
//! would be lost.
//!
//! A clone is made beside the data directory and put in its place by the unit itself, once it is
//! complete: whoever watches may be gone by then. A data directory that is a mount point, or that
//! has tablespaces, cannot be replaced so; the unit fails then and says why.

use super::{Privileged, SYSTEMCTL, absolute, plain, slot_name};
use crate::access::{HostAccess, WorldError};

/// A transient unit: what it is called and where its program's words are.
#[derive(Debug, Clone)]
pub(crate) struct JobCommands {
    pub(crate) unit: String,
    pub(crate) log: String,
    /// What an earlier run left behind would be taken for this one's.
    pub(crate) stop: Privileged,
    pub(crate) reset: Privileged,
}

impl JobCommands {
    pub(super) fn new(name: &str) -> Self {
        let unit = format!("{name}.service");
        let stop = Privileged::new(&[SYSTEMCTL, "stop", &unit]);
        let reset = Privileged::new(&[SYSTEMCTL, "reset-failed", &unit]);
        Self { log: format!("/run/{name}.log"), stop, reset, unit }
    }
}

pub(super) const REWIND: &str = "ha-observer-rewind";
pub(super) const CLONE: &str = "ha-observer-clone";

/// Makes the unit that rewinds `host` to `source`.
pub(super) fn rewind(
    host: &HostAccess,
    source: &HostAccess,
    data: &str,
) -> Result<Privileged, WorldError> {
    let machine = host.name.as_str();
    let program = programs(host)? + "/pg_rewind";
    let target = format!("--target-pgdata={data}");
    let server = format!("--source-server={}", uri(source, host.name.as_str())?);
    let config = match host.database.settings_file() {
        Some(file) => Some(format!("--config-file={}", absolute(machine, &file)?)),
        None => None,
    };
    let mut words = unit(REWIND, &[]);
    words.extend([program, target]);
    words.extend(config);
    words.extend([server, "--write-recovery-conf".to_owned(), "--progress".to_owned()]);
    Ok(Privileged::new(&words.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// Makes the unit that replaces the database of `host` by a copy of that of `source`.
pub(super) fn clone(
    host: &HostAccess,
    source: &HostAccess,
    data: &str,
) -> Result<Privileged, WorldError> {
    let program = programs(host)? + "/pg_basebackup";
    let database = host.database.unit.as_str();
    let (new, old) = (copy_of(data), format!("{data}.ha-observer-old"));
    // Under the host's own name it would count as the standby that commits wait for.
    let own_name = host.name.as_str();
    let clone_name = format!("{own_name}.clone");
    let rename = format!("/usr/bin/sed -i s/{clone_name}/{own_name}/ {new}/postgresql.auto.conf");
    // A rename fails where a directory stands, and nothing is lost: what the first clone replaced
    // stays until a person has seen to it, and of the later ones the last.
    let latest = format!("{data}.ha-observer-old-latest");
    let after = [
        rename,
        // A host that was promoted meanwhile has no tombstone: nothing of it is replaced.
        format!("+/usr/bin/test -e {data}/standby.signal"),
        format!("+{SYSTEMCTL} stop {database}"),
        format!("+/usr/bin/rm -rf {latest}"),
        format!("-+/usr/bin/mv -T {data} {old}"),
        format!("-+/usr/bin/mv -T {data} {latest}"),
        format!("+/usr/bin/mv -T {new} {data}"),
        format!("-+{SYSTEMCTL} reset-failed {database}"),
        format!("+{SYSTEMCTL} --no-block start {database}"),
    ];
    let mut words = unit(CLONE, &after);
    words.extend([
        program,
        format!("--pgdata={new}"),
        "--write-recovery-conf".to_owned(),
        "--checkpoint=fast".to_owned(),
        format!("--slot={}", slot_name(&host.name)),
        "--no-password".to_owned(),
        "--progress".to_owned(),
        format!("--dbname={}", uri(source, &clone_name)?),
    ]);
    Ok(Privileged::new(&words.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// Where a clone is made.
pub(super) fn copy_of(data: &str) -> String {
    format!("{data}.ha-observer-new")
}

/// The words before the program: a unit that outlives its program, so that it can be asked.
fn unit(name: &str, after: &[String]) -> Vec<String> {
    let mut words = vec![
        "/usr/bin/systemd-run".to_owned(),
        "--no-block".to_owned(),
        "--quiet".to_owned(),
        format!("--unit={name}"),
        "--property=Type=oneshot".to_owned(),
        "--property=RemainAfterExit=yes".to_owned(),
        format!("--property=StandardError=truncate:/run/{name}.log"),
    ];
    words.extend(after.iter().map(|command| format!("--property=ExecStartPost={command}")));
    words.extend(["--uid=postgres", "--gid=postgres", "--"].map(str::to_owned));
    words
}

fn programs(host: &HostAccess) -> Result<String, WorldError> {
    absolute(host.name.as_str(), &host.database.programs())
}

/// How the programs reach `source`, and under which name; the password is in postgres' own
/// `.pgpass`.
fn uri(source: &HostAccess, name: &str) -> Result<String, WorldError> {
    let database = &source.database;
    plain(source.name.as_str(), &database.address)?;
    plain(source.name.as_str(), &database.replication_user)?;
    let address = match database.address.contains(':') {
        true => format!("[{}]", database.address),
        false => database.address.clone(),
    };
    let (user, port) = (&database.replication_user, database.port);
    let mut uri = format!("postgresql://{user}@{address}:{port}/postgres?application_name={name}");
    for option in database.replication_options.iter().flat_map(|text| text.split(' ')) {
        uri.push_str(&format!("&{option}"));
    }
    Ok(uri)
}

/// What keeps a host's log before it is taken back.
#[derive(Debug, Clone)]
pub(crate) struct KeepCommands {
    /// Where it is kept.
    pub(crate) folder: String,
    /// In order.
    pub(crate) steps: Vec<(Privileged, Takes)>,
    /// The present control file and the kept one: the same as long as nothing was taken back.
    pub(crate) compare: Privileged,
}

/// What a command of keeping takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing; it must succeed.
    Nothing,
    /// What is told of that which is kept.
    TheTale,
    /// No offence: it only makes way, and there may be nothing in it, or it may be taken.
    NoOffence,
}

impl KeepCommands {
    pub(super) fn new(data: &str) -> Self {
        let kept = format!("{data}.ha-observer-kept");
        let [new, last, older, first] =
            ["new", "last", "older", "first"].map(|name| format!("{kept}/{name}"));
        let control = format!("{data}/global/pg_control");
        let of_last = format!("{last}/pg_control");
        let log = format!("{data}/pg_wal");
        let copy = ["/usr/bin/cp", "--archive", "--reflink=auto", "--dereference", "-t", &new];
        // Where there is no folder for them in /etc, all settings lie beside the data.
        let settings = ["/usr/bin/find", data, "-maxdepth", "1", "-name", "*conf*", "-exec"];
        let tale = format!("of={new}/about.txt");
        let run = Privileged::as_postgres;
        use Takes::{NoOffence, Nothing, TheTale};
        let steps = vec![
            (run(&["/usr/bin/mkdir", "-m", "0700", "-p", &kept]), Nothing),
            (run(&["/usr/bin/rm", "-rf", &new]), Nothing),
            (run(&["/usr/bin/mkdir", "-m", "0700", &new]), Nothing),
            (run(&[&copy[..], &[&log, &control]].concat()), Nothing),
            (run(&[&settings[..], &copy[..], &["{}", "+"]].concat()), Nothing),
            (run(&["/usr/bin/dd", &tale, "conv=fsync", "status=none"]), TheTale),
            // A host that parts again and again must not fill its disk. The first is never given
            // up for a later one: the name is free until a person has seen to it.
            (run(&["/usr/bin/mv", "-T", &older, &first]), NoOffence),
            (run(&["/usr/bin/rm", "-rf", &older]), Nothing),
            (run(&["/usr/bin/mv", "-T", &last, &older]), NoOffence),
            (run(&["/usr/bin/mv", "-T", &new, &last]), Nothing),
        ];
        let compare = run(&["/usr/bin/sha256sum", &control, &of_last]);
        Self { folder: last, steps, compare }
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
