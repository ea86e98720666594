//! Runs one command to its end, with a deadline. Nothing the lab starts can hang a test for ever.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::error::{Doing, LabError, Result};

/// How a command ended and what it wrote.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, made readable where it was not UTF-8.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
    command: String,
}

impl Output {
    /// The standard output without surrounding blanks, or an error unless the command succeeded.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout.trim().to_owned());
        }
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        Err(LabError::Failed {
            command: self.command,
            status: self.status.to_string(),
            stderr: said.trim().to_owned(),
        })
    }
}

/// Runs `command` with `stdin`; kills it and all it started in its group once `limit` is over.
pub(crate) fn finish(command: &mut Command, stdin: &[u8], limit: Duration) -> Result<Output> {
    let shown = show(command);
    let deadline = Instant::now() + limit;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().doing(|| format!("start `{shown}`"))?;
    let mut input = child.stdin.take().expect("stdin is piped");
    let bytes = stdin.to_vec();
    // A command may well end without reading its input: the broken pipe is no failure of ours.
    thread::spawn(move || drop(input.write_all(&bytes)));
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let Some(status) = wait_until(&mut child, deadline)? else {
        // The group is ours: `process_group(0)` above made the child its leader.
        let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        child.wait().doing(|| format!("reap `{shown}`"))?;
        return Err(LabError::Late { command: shown, limit });
    };
    Ok(Output { status, stdout: text(&stdout), stderr: text(&stderr), command: shown })
}

/// Runs a command of the host, which has ten seconds, and insists on success.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    run_within(Duration::from_secs(10), program, arguments)
}

/// Runs a program that waits for the disk of this computer, which may have the output of a whole
/// build to write first.
pub(crate) fn run_at_disk(program: &str, arguments: &[&str]) -> Result<String> {
    run_within(Duration::from_secs(120), program, arguments)
}

fn run_within(limit: Duration, program: &str, arguments: &[&str]) -> Result<String> {
    finish(Command::new(program).args(arguments), b"", limit)?.success()
}

/// Waits for the child's end; `None` when `deadline` came first.
pub(crate) fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait().doing(|| "wait for a child".to_owned())? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Asks `look` again and again until it answers `Ok`; its last `Err` goes into the error.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> std::result::Result<T, String>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(last) if Instant::now() >= deadline => {
                return Err(LabError::Waited { what: what.to_owned(), limit, last });
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        let _ = from.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

/// A daemon that the command left behind may keep the pipe open: do not wait for its end.
fn text(from: &Receiver<Vec<u8>>) -> String {
    let bytes = from.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    // Whole scripts are passed as arguments too; their beginning names them well enough.
    line.chars().take(160).collect()
}
