//! `lab`: boots the lab for a person to walk around in.
//!
//! It runs no scenario, and does not start the observer's daemon.

#![allow(clippy::print_stdout, reason = "its output is for the person at the terminal")]

use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Parser;
use tests::lab::{Lab, LabError, LabSpec, Proxies, Services, Turn};

/// The lab of real machines.
#[derive(Debug, Parser)]
enum Verb {
    /// Boots the machines and keeps them until Ctrl-C.
    Up {
        /// Start sshd and HAProxy only, neither PostgreSQL nor the application.
        #[arg(long)]
        bare: bool,
        /// Boot a second proxy, too.
        #[arg(long)]
        two_proxies: bool,
    },
    /// Builds the base image unless it is there.
    Image,
}

fn main() -> ExitCode {
    let done = match Verb::parse() {
        Verb::Up { bare, two_proxies } => up(
            if bare { Services::None } else { Services::InRole },
            if two_proxies { Proxies::Two } else { Proxies::One },
        ),
        Verb::Image => image(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            println!("error: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                println!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn up(services: Services, proxies: Proxies) -> Result<ExitCode, LabError> {
    let started = Instant::now();
    let spec = LabSpec { services, proxies, turn: Turn::Alongside, ..LabSpec::standard() };
    let lab = Lab::boot(spec)?;
    println!("lab {} is up after {:.1} s", lab.id(), started.elapsed().as_secs_f64());
    println!();
    for machine in lab.machines() {
        let pid = machine.leader_pid().expect("a machine that was just booted is on");
        println!(
            "  {:<9} {:<12} nsenter -t {pid} -m -u -i -n -p -r -w -- bash -l",
            machine.name(),
            machine.address().to_string(),
        );
    }
    println!("  client    10.80.0.30   ip netns exec {}-client bash", lab.id());
    println!();
    println!(
        "  application: http://{}/tickets    database: {}",
        lab.http_address(),
        lab.sql_url()?
    );
    println!("  Ctrl-C ends the lab and removes it.");
    loop {
        // The lab's own signal handler cleans up and ends this process.
        std::thread::park();
    }
}

fn image() -> Result<ExitCode, LabError> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/lab-image");
    let status = Command::new(script)
        .status()
        .map_err(|source| LabError::Io { doing: format!("run {script}"), source })?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
