//! The commands that let a slave fetch a file set from the master: a transient unit on the slave,
//! and what it runs.
//!
//! Nothing of it stays running. The unit refuses to begin where no tombstone says that the host is
//! a standby, and the pass refuses an order of an older epoch than it has seen: a host that is
//! master is never written to. Between a pass and the observer lie a few small files in the set's
//! own folder, which anybody who is logged in may read.

use std::fmt::Write;

use observer_core::words::{FileSetName, HostName};

use super::{Privileged, RunAs, SYSTEMCTL, absolute, plain, single_files};
use crate::access::{FileSetAccess, HostAccess, SingleFiles, WorldError};
use crate::quote::quote;

/// Where each set has its folder, on every host.
pub(crate) const FOLDER: &str = "/var/lib/ha-observer-files";
const UNIT: &str = "ha-observer-files-";

/// What one pass does. Arguments: the set's folder, where to fetch from, where to put it, how many
/// files it may delete, and which share of all of them in percent, how many minutes what was
/// deleted or replaced is kept, at how many KiB a second at most (0: no limit), how the master is
/// entered; then what is left out.
///
/// What was kept long enough is removed by routine passes alone: it may be as many files as the set
/// has, and behind other kinds somebody waits.
///
/// The first run of rsync deletes nothing, and says how much it would have: only if that is within
/// the limits a second one does it. What it finds to be changed on the master while nothing should
/// change any more (the kind `last`) is not believed before a further run finds nothing.
///
/// It stands in a sudoers file and passes through systemd: no double quotes, exclamation marks,
/// percent signs or braced variables.
const BEGINNING: &str = "set -f; cd $1 || exit 70; state=$1; remote=$2; path=$3; count=$4; \
    share=$5; keep=$6; rate=$7; RSYNC_RSH=$8; export RSYNC_RSH; shift 8; \
    read -r epoch kind allowed rest < order || exit 71; \
    old=0; if test -s epoch; then read -r old < epoch; fi; \
    if test $epoch -lt $old; then { echo $epoch $kind; \
    echo the order is of epoch $epoch, and one of epoch $old has been here; } > failed; \
    exit 72; fi; \
    echo $epoch > epoch; echo $epoch $kind > begun; mkdir -p -m 700 kept; \
    case $kind in routine) \
    find kept -mindepth 1 -maxdepth 1 -mmin +$keep -exec rm -rf {} + ;; esac; \
    kept=$state/$(mktemp -d kept/XXXXXXXX); ";

/// A run that makes the slave's folder what the master's is.
const FOLDER_RUN: &str = "pass() { limit=$1; shift; rsync -aHAXS --numeric-ids --delay-updates \
    --modify-window=-1 --partial-dir=.ha-observer-partial --delete-delay --max-delete=$limit \
    --backup --backup-dir=$kept/files --bwlimit=$rate --timeout=60 --stats --info=progress2 --no-h \
    $* $remote $path > out 2> err; }; ";

/// How often it is run, and what came of it. In front of what rsync counted stands its progress, a
/// piece for each file: nobody reads that again, least of all every few seconds.
const END: &str = "counted() { tail -c 4000 out; }; moved() \
    { counted | sed -n -e 's/^Number of regular files transferred: //p'; }; \
    : > first; pass 0 $*; code=$?; held=no; \
    if test $code -eq 25; then \
    skipped=$(sed -n -e 's/^Deletions stopped due to --max-delete limit (//p' err); \
    skipped=$(echo $skipped | cut -d' ' -f1); \
    total=$(counted | sed -n -e 's/^Number of files: //p' | cut -d' ' -f1); \
    limit=$(((total + skipped) * share / 100)); \
    if test $limit -lt 10; then limit=10; fi; \
    if test $limit -gt $count; then limit=$count; fi; \
    if test $limit -lt $allowed; then limit=$allowed; fi; \
    if test $skipped -gt $limit; then held=yes; \
    else counted >> first; pass $skipped $*; code=$?; fi; fi; \
    if test $kind = last && test $code -eq 0 && test $(moved) -gt 0; then \
    counted >> first; pass 0 $*; code=$?; \
    if test $code -eq 0 && test $(moved) -gt 0; then \
    echo $(moved) files have changed on a master that should be quiet > err; code=99; fi; fi; \
    case $kind in last) ;; *) if test $code -eq 24; then code=0; fi ;; esac; \
    if test $code -eq 0; then { echo $epoch $kind; cat first; counted; } > clean.new; \
    touch -r begun clean.new; mv clean.new clean; rm -f failed held; \
    elif test $held = yes; then echo $epoch $kind $skipped $total > held; rm -f failed; \
    else { echo $epoch $kind; tail -c 1500 err; \
    echo rsync ended with $code; } > failed; \
    rm -f held; fi; \
    rmdir $kept/files $kept 2> /dev/null; test $code -eq 0";

/// The whole script of a pass of this set.
fn pass(set: &FileSetAccess) -> String {
    let run = if set.single.is_some() { single_files::RUN } else { FOLDER_RUN };
    [BEGINNING, run, END].concat()
}

/// What lets one host fetch one set, and ends it.
#[derive(Debug, Clone)]
pub(crate) struct PassCommands {
    pub(crate) set: FileSetName,
    /// Files that are declared by name.
    pub(crate) must_exist: Vec<String>,
    /// Takes what is asked of the next pass from its standard input.
    pub(crate) order: Privileged,
    /// Takes the newest epoch from its standard input: older orders are refused from then on.
    pub(crate) epoch: Privileged,
    /// Begins a pass that fetches from this host.
    pub(crate) begin: Vec<(HostName, Privileged)>,
    pub(crate) stop: Privileged,
}

impl PassCommands {
    pub(super) fn new(
        host: &HostAccess,
        data: Option<&str>,
        set: &FileSetAccess,
        sources: &[&HostAccess],
    ) -> Result<Self, WorldError> {
        let machine = host.name.as_str();
        plain(machine, &set.user)?;
        let state = state(machine, set)?;
        let name = format!("{UNIT}{}", set.name);
        let run_as = match set.user.as_str() {
            "root" => RunAs::Root,
            user => RunAs::Account(user.to_owned()),
        };
        let write = |file| {
            let words = ["/usr/bin/dd", &format!("of={state}/{file}"), "status=none"];
            Privileged { run_as: run_as.clone(), ..Privileged::new(&words) }
        };
        let begin = |source: &&HostAccess| {
            let words = words(machine, data, set, source, &name)?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            Ok((source.name.clone(), Privileged::new(&words)))
        };
        let begin = sources.iter().map(begin).collect::<Result<_, WorldError>>()?;
        let stop = Privileged::new(&[SYSTEMCTL, "stop", &format!("{name}.service")]);
        let (order, epoch) = (write("order"), write("epoch"));
        let must_exist = set.single.iter().flat_map(SingleFiles::names).cloned().collect();
        Ok(Self { set: set.name.clone(), must_exist, order, epoch, begin, stop })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Privileged> {
        [&self.order, &self.epoch, &self.stop]
            .into_iter()
            .chain(self.begin.iter().map(|(_, begin)| begin))
    }
}

fn state(machine: &str, set: &FileSetAccess) -> Result<String, WorldError> {
    plain(machine, set.name.as_str())?;
    Ok(format!("{FOLDER}/{}", set.name))
}

/// Where among the words more of the unit's properties may stand.
const BEFORE_PROPERTIES: usize = 7;

fn words(
    machine: &str,
    data: Option<&str>,
    set: &FileSetAccess,
    source: &HostAccess,
    name: &str,
) -> Result<Vec<String>, WorldError> {
    let state = state(machine, set)?;
    let path = absolute(machine, &set.path)?;
    let (remote, enter) = way(machine, &state, set, source)?;
    let mut words: Vec<String> = [
        "/usr/bin/systemd-run",
        "--no-block",
        "--quiet",
        "--collect",
        &format!("--unit={name}"),
        "--property=Type=oneshot",
        "--property=UMask=0022",
        "--setenv=LC_ALL=C",
        &format!("--uid={}", set.user),
        "/bin/sh",
        "-c",
        &pass(set),
        "pass",
        &state,
        &remote,
        &format!("{path}/"),
        &set.max_deletes.to_string(),
        &set.max_deletes_percent.to_string(),
        &(set.retention_ms / 60_000).to_string(),
        &set.rate_limit_bytes.div_ceil(1024).to_string(),
        &enter,
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(data) = data {
        // A host that is no standby is not written to, whoever asks for it. Where there is no
        // database that says so, the epoch alone refuses an order that comes late.
        let condition = format!("--property=ExecCondition=+/usr/bin/test -e {data}/standby.signal");
        words.insert(BEFORE_PROPERTIES, condition);
    }
    check_patterns(machine, &set.exclude)?;
    words.extend(set.exclude.iter().map(|pattern| format!("--exclude={pattern}")));
    if let Some(single) = &set.single {
        single_files::check(machine, single)?;
        words.extend(single_files::words(single));
    }
    Ok(words)
}

/// Refuses a pattern that could mean something else to a shell, to rsync or to sudo.
pub(super) fn check_patterns(machine: &str, patterns: &[String]) -> Result<(), WorldError> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_./@+-*?".contains(&byte);
    let odd = |pattern: &&String| pattern.is_empty() || !pattern.bytes().all(safe);
    match patterns.iter().find(odd) {
        None => Ok(()),
        Some(pattern) => {
            let (machine, value) = (machine.to_owned(), pattern.clone());
            Err(WorldError::Unspeakable { machine, value })
        }
    }
}

/// What rsync is told to fetch from, and the command that enters the master.
fn way(
    machine: &str,
    state: &str,
    set: &FileSetAccess,
    source: &HostAccess,
) -> Result<(String, String), WorldError> {
    let (address, port) = (&source.ssh.address, source.ssh.port);
    plain(machine, address)?;
    let enter = format!(
        "ssh -F none -i {state}/ssh/id_ed25519 -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=yes -o UserKnownHostsFile={state}/ssh/known_hosts \
         -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3 -p {port}"
    );
    let (user, name) = (&set.user, &set.name);
    if let Some(single) = &set.single {
        // The master's end is a server of its own: what is asked for is one of its modules.
        let module = single_files::module(set, single);
        let enter = format!("{enter} {user}@{address} rsync");
        return Ok((format!("rsync://{name}/{module}/"), enter));
    }
    let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
    Ok((format!("{user}@{address}:/"), enter))
}

/// The script that prepares a host to fetch from the others: each set's folder, a key of its own,
/// and the pinned host keys. It ends by printing what the other hosts must let in, which is that
/// key for reading that path and nothing else. Running it twice changes nothing.
pub(crate) fn setup(
    host: &HostAccess,
    sets: &[FileSetAccess],
    others: &[&HostAccess],
) -> Result<String, WorldError> {
    let machine = host.name.as_str();
    let mut text = format!(
        "#!/bin/sh\n# Prepares {machine} to fetch files as a slave. Generated; run it there as \
         root.\nset -eu\n"
    );
    let said = "a string takes all";
    for set in sets {
        let (state, path) = (state(machine, set)?, absolute(machine, &set.path)?);
        let (user, name) = (&set.user, &set.name);
        plain(machine, user)?;
        writeln!(
            text,
            "\n# {name}: {path}\ninstall -d -m 755 {FOLDER}\ninstall -d -m 755 -o {user} {state}\n\
             install -d -m 700 -o {user} {state}/ssh\nkey={state}/ssh/id_ed25519\n\
             if test ! -e $key; then\n    ssh-keygen -q -t ed25519 -N '' -C \
             ha-observer-files-{name}@{machine} -f $key\nfi\nchown {user} $key $key.pub\n\
             : > {state}/ssh/known_hosts"
        )
        .expect(said);
        for other in others {
            let (address, port) = (&other.ssh.address, other.ssh.port);
            let place = if port == 22 { address.clone() } else { format!("[{address}]:{port}") };
            for key in &other.ssh.host_keys {
                let line = quote(&[&format!("{place} {key}")]);
                let line = line.map(|line| String::from_utf8_lossy(&line).into_owned());
                let (machine, value) = (machine.to_owned(), key.clone());
                let line = line.map_err(|_| WorldError::Unspeakable { machine, value })?;
                writeln!(text, "echo {line} >> {state}/ssh/known_hosts").expect(said);
            }
        }
        let forced = match &set.single {
            None => format!("/usr/bin/rrsync -ro {path}"),
            Some(single) => {
                text.push_str(&single_files::install_server(machine, set, single)?);
                single_files::forced(set)
            }
        };
        writeln!(
            text,
            "chmod 644 {state}/ssh/known_hosts\n\
             echo '# {name}: one line of ~{user}/.ssh/authorized_keys on each other host'\n\
             echo \"restrict,command=\\\"{forced}\\\" $(cat $key.pub)\""
        )
        .expect(said);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pass_has_nothing_that_sudo_or_systemd_would_read_as_their_own() {
        for script in [BEGINNING, FOLDER_RUN, single_files::RUN, END] {
            for forbidden in ['"', '!', '%', '\\', '\n', '#', '\u{60}'] {
                assert!(!script.contains(forbidden), "{forbidden:?}");
            }
            assert!(!script.contains("${") && !script.contains("$$"));
        }
    }
}
