//! A real HAProxy on sockets in a temporary directory, ended by the process id that was started.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::print_stdout, reason = "a skipped test says why")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use haproxy::runtime::{self, Batch, Target, split_answers};

use haproxy::runtime::{Version, is_last_word};

/// Longest wait for anything HAProxy does here; it normally takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The haproxy binary: the one that `HAPROXY_BINARY` names, else the one on PATH, or nothing, said
/// aloud, when none is installed.
pub(crate) fn binary() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("HAPROXY_BINARY") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("haproxy"))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: no haproxy binary on PATH, so there is nothing to agree with");
    }
    found
}

/// What `haproxy -c` makes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// Whether it has no error; having no listener is not one.
    pub(crate) accepted: bool,
    pub(crate) output: String,
}

/// The version of a binary.
pub(crate) fn version(binary: &Path) -> Version {
    let output = Command::new(binary).arg("-v").output().expect("haproxy can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split(' ').find_map(Version::parse);
    number.unwrap_or_else(|| panic!("no version in {text}"))
}

/// Asks `haproxy -c` about some bytes.
pub(crate) fn check(binary: &Path, bytes: &[u8]) -> Check {
    check_with(binary, &[], bytes)
}

/// Asks `haproxy -c` with more arguments about some bytes.
pub(crate) fn check_with(binary: &Path, arguments: &[&str], bytes: &[u8]) -> Check {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let file = folder.path().join("check.cfg");
    std::fs::write(&file, bytes).expect("the file can be written");
    let output = Command::new(binary)
        .args(arguments)
        .args(["-c", "-f"])
        .arg(&file)
        .output()
        .expect("haproxy can be started");
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    let no_listener = output.status.code() == Some(2) && !text.contains("[ALERT]");
    Check { accepted: output.status.success() || no_listener, output: text }
}

/// A running HAProxy in master-worker mode.
pub(crate) struct Running {
    child: Child,
    folder: tempfile::TempDir,
}

impl Running {
    /// Starts it. `{dir}` in the configuration is the directory for sockets.
    pub(crate) fn start(binary: &Path, configuration: &str) -> Running {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        write_configuration(folder.path(), configuration);
        let log = std::fs::File::create(folder.path().join("log")).expect("the log can be made");
        let mut child = Command::new(binary)
            .arg("-W")
            .arg("-S")
            .arg(folder.path().join("master.sock"))
            .arg("-f")
            .arg(folder.path().join("haproxy.cfg"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("haproxy can be started");

        // The sockets of a file come up one after the other. A frontend's is not connected to,
        // because that would be a session.
        let path = |name| folder.path().join(name);
        let is_up = || {
            UnixStream::connect(path("worker.sock")).is_ok()
                && path("web.sock").exists()
                && try_ask(&path("master.sock"), "show proc;quit\n")
                    .is_some_and(|answer| answer.contains("worker "))
        };
        let start = Instant::now();
        while !is_up() {
            let ended = child.try_wait().expect("the child can be asked");
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && start.elapsed() < PATIENCE, "haproxy is not up\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Running { child, folder }
    }

    /// A file in its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts another configuration in the place of the first.
    pub(crate) fn rewrite(&self, configuration: &str) {
        write_configuration(self.folder.path(), configuration);
    }

    /// Writes a line to a socket and reads until HAProxy closes the connection.
    pub(crate) fn ask(&self, socket: &str, line: &str) -> String {
        try_ask(&self.path(socket), line).expect("HAProxy answers and closes the connection")
    }

    /// Sends commands to the worker, and reads each one's answer.
    pub(crate) fn order(&self, commands: Vec<runtime::Command>) -> Vec<String> {
        let batch = Batch::new(Target::Worker, commands).expect("the batch can be sent");
        let answer = self.ask("worker.sock", &batch.render());
        let answers = split_answers(&batch, &answer).expect("the answers can be told apart");
        answers.into_iter().map(str::to_owned).collect()
    }

    /// Looks again until `is_so`, or fails with HAProxy's log.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "not in time: {what}\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The worker ends by itself when its master is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks a socket whose owner may be starting or reloading: a connection that is refused or cut is
/// no answer.
pub(crate) fn try_ask(socket: &Path, line: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(line.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut part = [0; 65_536];
    loop {
        let count = stream.read(&mut part).ok()?;
        answer.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&answer);
        if count == 0 || is_last_word(&text) {
            return Some(text.into_owned());
        }
    }
}

fn write_configuration(folder: &Path, configuration: &str) {
    let text = configuration.replace("{dir}", &folder.display().to_string());
    std::fs::write(folder.join("haproxy.cfg"), text).expect("the file can be written");
}
