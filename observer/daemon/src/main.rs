//! `ha-observer`: the daemon and its command line in one binary.
//!
//! Nothing is decided here; see `cli` for the verbs and `shell` for the daemon.

mod api;
mod cli;
mod config;
mod report;
mod shell;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main().into()
}
