//! `desk`: the sample application of the lab.
//!
//! Two services in one program, so that an installation is one file.

#![allow(clippy::print_stderr, reason = "standard error is the service's log")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tests::desk::{Config, DeskError, run_scheduler, run_server};

/// The sample application.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the database and the attachments are.
    #[arg(long, global = true, default_value = "/etc/desk/desk.conf")]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serves tickets over HTTP.
    Serve {
        /// The address to listen on.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
    },
    /// Writes a row each second; must run on exactly one host.
    Scheduler,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(error) = run(Arguments::parse()).await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

async fn run(arguments: Arguments) -> Result<(), DeskError> {
    let config = Config::read(&arguments.config)?;
    match arguments.verb {
        Verb::Serve { listen } => run_server(listen, config).await,
        Verb::Scheduler => run_scheduler(config).await,
    }
}
