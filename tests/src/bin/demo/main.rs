//! `demo`: the story of a master that loses its power, told on real machines.
//!
//! It asserts nothing and fakes nothing: what it prints was seen or measured a moment before.
//! `scripts/demo` prepares everything it needs. Ctrl-C ends the machines and removes them.

#![allow(clippy::print_stderr, reason = "an error is for the person at the terminal")]

mod acts;
mod blow;
mod crowd;
mod screen;

use std::process::ExitCode;

use screen::Screen;

fn main() -> ExitCode {
    match acts::play(&mut Screen::new()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
