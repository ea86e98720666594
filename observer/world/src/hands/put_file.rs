//! Puts a new haproxy.cfg in the place of the old one, as one act on the proxy's own machine.
//!
//! One script does it under a lock there, so that neither another observer, nor another pair's
//! task, nor a command of ours that hangs past its deadline can come between: the draft has a fixed
//! name, and whoever holds the lock is the only one who writes or installs it. The order rule:
//! lock → a draft beside the file, with its owner and mode, written through to the disk → the draft
//! is what was meant → HAProxy accepts it → the present content is kept → the file is still what
//! was read, and where it was → rename → the folder is synced. Where the file is a symbolic link,
//! all of it happens beside the file that the link leads to, and the link stays.

use std::time::Duration;

use super::Fault;
use super::run::{Machine, OUTPUT_MAX, hash};
use crate::commands::Privileged;
use crate::pair_world::Proxy;
use crate::ssh::{Command, Ending, ExecOutput};
use crate::text::shown;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Only up to HAProxy's word on the draft; nothing is left behind.
    Check,
    /// To the end.
    Put,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The file is not what was read: whoever edits it wins.
    Changed,
}

/// The longest wait for the lock. What holds it ends within a second, or hangs.
const LOCK_MAX: Duration = Duration::from_secs(2);

/// `$1` folder, `$2` and `$3` checksums before and after, `$4` seconds to wait for the lock, `$5`
/// how far to go, `$6` the file as HAProxy knows it, `$7` where that leads to. The lock is on the
/// folder itself, which every account may open: it is held until this shell ends, and the shell
/// waits for what it has called, however long that hangs.
const SCRIPT: &str = r#"
trap '' HUP PIPE
say() { echo "=== ha-observer $*"; }
end() { code=$?; say "failed $1"; do_drop; exit "$code"; }
if [ -r "$1" ]; then exec 9<"$1"; else exec 9</; fi
flock -w "$4" 9 || { code=$?; [ "$code" = 1 ] && say busy; exit "$code"; }
do_shape || end shape
do_write || end write
do_keep </dev/null & keep=$!
do_check </dev/null >&2 & check=$!
now=$(do_hash_draft) || end hash_draft
wait "$check" || end check
wait "$keep" || end keep
case $now in "$3 "*) ;; *) say differs; do_drop; exit 76;; esac
if [ "$5" = check ]; then do_drop; say done; exit 0; fi
now=$(do_hash) || end hash
case $now in "$2 "*) ;; *) say changed; do_drop; exit 79;; esac
[ "$(readlink -e -- "$6")" = "$7" ] || { say moved; do_drop; exit 79; }
do_put || end put
do_sync || { code=$?; say failed sync; exit "$code"; }
say done
"#;

/// Runs it. `before` is what was read, `after` what is to be there.
pub(super) async fn put(
    proxy: &Proxy,
    (before, after): (&[u8], Vec<u8>),
    reach: Reach,
    deadline: Duration,
) -> Result<Outcome, Fault> {
    let (own, machine) = (&proxy.commands, Machine::proxy(proxy));
    let wait = LOCK_MAX.min(deadline / 2).as_secs_f64();
    let reach = if reach == Reach::Check { "check" } else { "put" };
    let command = Command::new("/bin/sh").arg("-c").arg(script(proxy)).arg("sh");
    let command = command.arg(&own.folder).arg(hash(before)).arg(hash(&after));
    let command = command.arg(format!("{wait:.2}")).arg(reach).arg(&own.config).arg(&own.real);
    let output = machine.ssh.exec(&command, after, deadline, OUTPUT_MAX).await;
    let output = output.map_err(|error| machine.lost(&error))?;
    let refuse = |why: &str| Fault::Refused(format!("{} on {}: {why}", own.config, machine.name));
    let told = |word: &str| said(&output).any(|line| line == word);
    if output.succeeded() && told("done") {
        return Ok(Outcome::Done);
    }
    if told("changed") {
        return Ok(Outcome::Changed);
    }
    if told("moved") {
        return Err(refuse("its symbolic link was turned meanwhile"));
    }
    if told("busy") {
        return Err(refuse(
            "somebody else is writing it, or hangs while doing so (its folder is locked: see \
             `lslocks` there)",
        ));
    }
    if told("differs") {
        return Err(refuse("the draft on the disk is not what was written"));
    }
    if told("failed check") && rejected(&output.stderr) {
        let said = shown(&output.stderr);
        return Err(refuse(&format!("HAProxy rejects the new file: {said}")));
    }
    let commands = steps(proxy);
    let failed = commands.iter().find(|(step, _)| told(&format!("failed {step}")));
    match failed {
        // It stands in its place, and may be gone after a power cut: the proof reads it back.
        Some((_, command)) => Err(machine.failed(command, &output)),
        None if matches!(output.ending, Ending::Exited(127)) => {
            Err(refuse("the machine has no `flock`: install util-linux there"))
        }
        None => Err(refuse(&format!("the write did not end: {}", shown(&output.stderr)))),
    }
}

fn steps(proxy: &Proxy) -> [(&'static str, &Privileged); 9] {
    let own = &proxy.commands;
    [
        ("shape", &own.shape_draft),
        ("write", &own.write_draft),
        ("hash_draft", &own.hash_draft),
        ("check", &own.check_draft),
        ("keep", &own.keep),
        ("hash", &own.hash),
        ("put", &own.put),
        ("sync", &own.sync),
        ("drop", &own.drop_draft),
    ]
}

/// The script behind its commands, each of them a function.
fn script(proxy: &Proxy) -> String {
    let function =
        |(step, command): &(&str, &Privileged)| format!("do_{step}() {{ {}; }}\n", command.line());
    steps(proxy).iter().map(function).collect::<String>() + SCRIPT
}

/// The lines of the script itself, among whatever else was printed.
fn said(output: &ExecOutput) -> impl Iterator<Item = &str> {
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
    lines.filter_map(|line| line.strip_prefix("=== ha-observer "))
}

/// Whether HAProxy itself spoke: it names what it rejects with an alert. A check that did not run
/// for want of a right says nothing of the file.
fn rejected(stderr: &[u8]) -> bool {
    let alert = b"[ALERT]";
    stderr.windows(alert.len()).any(|window| window == alert)
}
