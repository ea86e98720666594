//! What tries a shared mount on a host without hanging along with it.
//!
//! Two parts. The *probe* touches the mount, as the account that the service has. It may hang, and
//! where the storage's server is away for good nothing ends it. The *watch* never touches the
//! mount. It reads the kernel's own list of mounts, begins a probe only where no earlier one still
//! hangs, waits no longer than the deadline, and leaves it behind with a lock: whoever comes next,
//! after whatever restart, finds the lock held.
//!
//! Nothing is killed at the deadline. A shell that is told to end does, and the program that it
//! waits for does not: it would be left to nobody, with the lock free, and the next probe begin
//! beside it.
//!
//! The lock is a file below `/run` that the account we log in as owns, named by the path and by the
//! number of the mount, so that what is mounted anew is tried anew. It is what the probe writes its
//! output to: sudo lets no other open file through, so that what hangs holds it itself.
//!
//! So that several watches write to one file, one after the other, and may be behind one another in
//! reading it: each reads what stands between two lines with a mark of its own. The file is emptied
//! by whoever comes while nobody is reading, so that it holds one answer, and seldom two.

use observer_core::mounts::MountAccess;
use observer_core::words::{HostName, MountName, PairName};

use super::{Privileged, RunAs};
use crate::access::{HostAccess, MountPoint, WorldError};
use crate::ssh::Command;

/// Where the locks are.
const LOCKS: &str = "/run/ha-observer-mounts";

/// The watch. Arguments: the locks' folder, what makes it, the mount as the kernel writes it, the
/// lock's name, the deadline in seconds, the probe, and what the probe reads. The commands are
/// quoted for a shell by `quote`, which is what makes `eval` safe.
const WATCH: &str = r#"
LC_ALL=C; export LC_ALL
locks=$1 make=$2 place=$3 name=$4 limit=$5 probe=$6 words=$7
for program in flock setsid; do
    command -v $program >/dev/null || { echo "$program is not installed" >&2; exit 1; }
done
list() {
    grep -F -- " $place " /proc/self/mountinfo | while read -r id up device root point rest; do
        [ "$point" = "$place" ] && printf 'mount %s\n' "$id $up $device $root $point $rest"
    done | tail -n 1
}
uptime() { read -r now rest </proc/uptime; now=${now%.*}; }
mounted=$(list)
echo '=== ha-observer mount'
if [ -z "$mounted" ]; then echo absent; echo '=== ha-observer end'; exit 0; fi
printf '%s\n' "$mounted"
[ -w "$locks" ] || eval "$make" || exit 1
id=${mounted#mount }
lock=$locks/$name.${id%% *}
read -r mark </proc/sys/kernel/random/uuid
for old in "$locks/$name".*; do
    case $old in "$lock"|"$lock".in) ;; *) rm -f -- "$old" ;; esac
done
# Shared, while what stands in the lock may still be read.
exec 7>>"$lock.in" 9>>"$lock" || exit 1
flock -s 7
if ! flock -n 9; then
    uptime
    # Where what stands there has ended, whoever holds the lock has only just taken it.
    began=$(sed -n 's/^began \([0-9]*\) .*/\1/p; s/^ended .*//p' "$lock" 2>/dev/null | tail -n 1)
    case $began in ''|*[!0-9]*) began=$now ;; esac
    if [ $((now - began)) -gt "${limit%.*}" ] || ! flock -w "$limit" 9; then
        uptime
        tail -n 1 -- "$lock" 2>/dev/null | head -c 1000
        echo "hung $((now - began))"
        echo '=== ha-observer end'
        exit 0
    fi
fi
# A watch that never comes to its end does not let it grow without bounds.
if flock -n 7 || [ "$(wc -c <"$lock")" -gt 1000000 ]; then : >"$lock"; fi
flock -s 7
uptime
echo "began $now $mark" >&9
printf '%s\n' "$words" >"$lock.in"
setsid sh -c 'eval "$1" <"$2.in" >&9 2>&9; echo "ended $? $3" >&9' sh "$probe" "$lock" "$mark" \
    </dev/null >/dev/null 2>&1 7>&- &
exec 9>&- 8<"$lock"
flock -w "$limit" 8 && late= || late=yes
said=$(sed -n "/^began [0-9]* $mark\$/,/^ended [0-9]* $mark\$/{s/ $mark\$//;p;}" "$lock" |
    head -c 16000)
printf '%s\n' "$said"
if [ -n "$late" ] && ! grep -q "^ended [0-9]* $mark\$" "$lock"; then echo 'hung 0'; fi
list
echo '=== ha-observer end'
"#;

/// The probe. Arguments: the folder, and what its own files are called by. It prints each step
/// before it takes it, and ends with the first that fails.
///
/// It stands in a sudoers file, where a backslash has a meaning of its own. Nor has it double
/// quotes, exclamation marks or number signs: an empty `IFS` keeps a path with blanks whole.
/// Its files have fixed names, for the lock lets one probe in, and a folder with a million files is
/// never listed; they are made only where nothing is, so that nobody's link is followed.
const WRITES: &str = "umask 077; IFS=; f=$2.probe; \
    echo step enter; set -f; cd $1 2> /dev/null || { stat $1/. > /dev/null; exit 1; }; \
    trap 'rm -f $f $f.moved' 0; \
    echo step room; stat -f -c 'room %S %b %a %c %d' . || exit 1; \
    echo step clean; rm -f $f $f.moved || exit 1; \
    echo step write; t=$(cat /proc/sys/kernel/random/uuid); \
    echo $t | dd of=$f conv=excl,fsync status=none || exit 1; \
    echo step read; test x$(cat $f) = x$t || { echo it reads other than was written; exit 1; }; \
    echo step rename; mv -T $f $f.moved || exit 1; \
    echo step lock; flock -n $f.moved true || exit 1; \
    echo step remove; rm -f $f.moved || exit 1; echo done";

/// The same where the service only reads.
const READS: &str = "IFS=; \
    echo step enter; set -f; cd $1 2> /dev/null || { stat $1/. > /dev/null; exit 1; }; \
    echo step room; stat -f -c 'room %S %b %a %c %d' . || exit 1; \
    echo step read; e=$({ ls -1U . | head -n 1 > /dev/null; } 2>&1); \
    test -z $e || { echo $e; exit 1; }; echo done";

/// Leaves a token, and says how it is called. Each has a name that nobody has looked for before:
/// clients remember for a while what was not there. What an earlier one was called stands in a file
/// beside it.
const LEAVE: &str = "umask 022; IFS=; set -f; cd $1 || exit 1; \
    o=$(cat $2.token 2> /dev/null | tr -cd a-f0-9-); rm -f $2.token.$o $2.token || exit 1; \
    t=$(cat /proc/sys/kernel/random/uuid); \
    echo $t | dd of=$2.token conv=excl,fsync status=none || exit 1; \
    echo $t | dd of=$2.token.$t conv=excl,fsync status=none || exit 1; echo left $t";

/// Says which tokens are there, of those whose names come in: each a host and what it has left. Of
/// what comes in only plain characters are used, and no slash.
const SEE: &str = "IFS=; set -f; cd $1 || exit 1; \
    while IFS=' ' read -r h t; do h=$(echo $h | tr -cd A-Za-z0-9._-); \
    t=$(echo $t | tr -cd a-f0-9-); \
    test -e .ha-observer-$h.$3.token.$t && echo seen $h; done; echo looked";

/// Removes the token.
const DROP: &str = "IFS=; set -f; cd $1 || exit 1; \
    o=$(cat $2.token | tr -cd a-f0-9-); rm -f $2.token.$o $2.token; echo dropped";

/// What tries one mount on one host.
#[derive(Debug, Clone)]
pub(crate) struct MountCommands {
    pub(crate) mount: MountName,
    /// The path as the kernel writes it in its list of mounts.
    pub(crate) listed: String,
    name: String,
    deadline_ms: u64,
    locks: String,
    make_locks: Privileged,
    probe: Privileged,
    /// Leaves a token, sees those of others, drops it; none where nothing is written.
    tokens: Option<[Privileged; 3]>,
}

/// Which of the commands is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Try {
    /// Everything that the service needs.
    Probe,
    /// Leave a token.
    Leave,
    /// See the tokens of others.
    See,
    /// Drop the token.
    Drop,
}

impl MountCommands {
    pub(super) fn new(
        host: &HostAccess,
        pair: &PairName,
        mount: &MountPoint,
    ) -> Result<Self, WorldError> {
        let machine = host.name.as_str();
        let login = &host.ssh.user;
        let path = point(machine, &mount.spec.path)?;
        let run_as = RunAs::named(machine, login, &mount.user)?;
        if run_as != RunAs::Login {
            speakable(machine, &path)?;
        }
        let own = own_files(&host.name, pair);
        let command = |script, name, more: &[&str]| {
            // It is a look, and comes too often for sudo's log.
            let shell = ["/usr/bin/env", "LC_ALL=C", "/usr/bin/sh", "-c", script, name];
            let words = [&shell[..], &[&path, &own], more].concat();
            Privileged { run_as: run_as.clone(), ..Privileged::new(&words) }
        };
        let (script, tokens) = match mount.spec.access {
            MountAccess::ReadOnly => (READS, None),
            MountAccess::ReadWrite => {
                let see = command(SEE, "see", &[pair.as_str()]);
                (WRITES, Some([command(LEAVE, "leave", &[]), see, command(DROP, "drop", &[])]))
            }
        };
        let make = ["/usr/bin/install", "-d", "-m", "0700", "-o", login, LOCKS];
        let make_locks =
            Privileged { run_as: RunAs::named(machine, login, "root")?, ..Privileged::new(&make) };
        Ok(Self {
            mount: mount.spec.name.clone(),
            listed: listed(&path),
            // A path may be longer than a file's name. What another pair, or another host that is
            // the same machine, tries there writes into a lock of its own.
            name: crate::hands::hash(format!("{own}\n{path}").as_bytes())
                .chars()
                .take(32)
                .collect(),
            deadline_ms: mount.spec.deadline_ms,
            locks: LOCKS.to_owned(),
            make_locks,
            probe: command(script, "probe", &[]),
            tokens,
        })
    }

    /// How long one probe may take, in milliseconds.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    pub(super) fn privileged(&self) -> impl Iterator<Item = &Privileged> {
        let all = [&self.make_locks, &self.probe].into_iter().chain(self.tokens.iter().flatten());
        all.filter(|command| command.run_as != RunAs::Login)
    }

    /// Whether tokens can be left there.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// The watch over one command; `words` are what that reads.
    pub(crate) fn watch(&self, tried: Try, words: &str) -> Command {
        let probe = match (tried, &self.tokens) {
            (Try::Leave, Some([leave, ..])) => leave,
            (Try::See, Some([_, see, _])) => see,
            (Try::Drop, Some([.., drop])) => drop,
            _ => &self.probe,
        };
        let limit = format!("{}.{:03}", self.deadline_ms / 1_000, self.deadline_ms % 1_000);
        Command::new("/bin/sh").arg("-c").arg(WATCH).arg("sh").args([
            &self.locks,
            &self.make_locks.line(),
            &self.listed,
            &self.name,
            &limit,
            &probe.line(),
            words,
        ])
    }
}

/// What the files of a host's probe are called by: other pairs may share the storage.
fn own_files(host: &HostName, pair: &PairName) -> String {
    format!(".ha-observer-{host}.{pair}")
}

/// The path without a slash at its end, which the kernel's list does not have either.
fn point(machine: &str, path: &str) -> Result<String, WorldError> {
    let text = path.trim_end_matches('/').to_owned();
    if text.starts_with('/') && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    Err(WorldError::NotAbsolute { machine: machine.to_owned(), path: text })
}

/// The path as it stands in `/proc/self/mountinfo`.
fn listed(path: &str) -> String {
    path.replace('\\', "\\134").replace(' ', "\\040")
}

/// Refuses a path that a sudoers file could not carry: it takes blanks and quotes, and reads a
/// backslash as its own.
fn speakable(machine: &str, path: &str) -> Result<(), WorldError> {
    if !path.contains('\\') {
        return Ok(());
    }
    Err(WorldError::Unspeakable { machine: machine.to_owned(), value: path.to_owned() })
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
