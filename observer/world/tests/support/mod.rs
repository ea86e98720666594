//! Real servers for the tests of this crate: started by the test on loopback, ended by pid.
//!
//! They need root and Debian packages; a missing one fails the test with the package's name.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part of this"
)]

pub mod cluster;
pub mod netns;
pub mod pair;
pub mod proxy;
pub mod single_files;
pub mod sshd;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A port of loopback that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a helper program to its end and insists on success.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// Insists that a program of a Debian package is there.
pub fn needed(path: &Path, package: &str) -> PathBuf {
    assert!(path.exists(), "{} is missing: install the package {package}", path.display());
    assert!(nix::unistd::geteuid().is_root(), "these tests start servers and need root");
    path.to_owned()
}

/// Waits until `done` holds, at most `limit`, and fails the test with `what` otherwise.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < limit, "still waiting after {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process ids of all descendants of `pid`, as `/proc` shows them now.
pub fn descendants(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let children: Vec<i32> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    children.iter().flat_map(|&child| [vec![child], descendants(child)].concat()).collect()
}

/// Sends `signal` to one process that the test started; it may be gone already.
pub fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}
