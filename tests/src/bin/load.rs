//! `load`: writes through the proxy and keeps the books on what was acknowledged.
//!
//! It ends after its time or on SIGTERM, and writes its summary then. It does not look into the
//! database: comparing is for whoever started it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is for a person")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tests::load::{HttpLoad, Pace, Record, SqlLoad, run_http, run_sessions, run_sql};

/// Clients that count what was acknowledged.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// One client with a single-row INSERT at a steady pace.
    Sql {
        /// The pace.
        #[arg(long, default_value = "10ms", value_parser = duration)]
        every: Duration,
        /// The limit for a new connection.
        #[arg(long, default_value = "1s", value_parser = duration)]
        connect_limit: Duration,
        /// The limit for a statement.
        #[arg(long, default_value = "1s", value_parser = duration)]
        statement_limit: Duration,
        #[command(flatten)]
        database: Database,
        #[command(flatten)]
        common: Common,
    },
    /// Several lasting SQL sessions that reconnect after an error, each with its own count of it.
    Sessions {
        /// How many.
        #[arg(long, default_value_t = 8)]
        sessions: usize,
        /// The pace of each.
        #[arg(long, default_value = "100ms", value_parser = duration)]
        every: Duration,
        /// The limit for a new connection: the proxy may let it wait.
        #[arg(long, default_value = "60s", value_parser = duration)]
        connect_limit: Duration,
        /// The limit for a statement.
        #[arg(long, default_value = "10s", value_parser = duration)]
        statement_limit: Duration,
        #[command(flatten)]
        database: Database,
        #[command(flatten)]
        common: Common,
    },
    /// Many clients that alternate GET and POST, half of them on kept connections.
    Http {
        /// The proxy's address and port.
        #[arg(long)]
        url: SocketAddr,
        /// How many clients.
        #[arg(long, default_value_t = 30)]
        workers: usize,
        /// A client's pause between two requests.
        #[arg(long, default_value = "10ms", value_parser = duration, conflicts_with = "rate")]
        pause: Duration,
        /// Requests in a second of all clients together, sent when due whatever the answers take.
        /// `--workers` then bounds how many can wait for an answer.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        rate: Option<u32>,
        /// The limit for a request.
        #[arg(long, default_value = "10s", value_parser = duration)]
        request_limit: Duration,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Database {
    /// The database, as `host=… port=… user=… dbname=…` or `postgres://…`.
    #[arg(long)]
    url: String,
}

#[derive(Debug, Args)]
struct Common {
    /// How long it runs.
    #[arg(long = "for", default_value = "20s", value_parser = duration)]
    duration: Duration,
    /// The summary's file; the acknowledged ids go beside it, into `….acknowledged`.
    #[arg(long)]
    out: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse().verb).await {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(verb: Verb) -> Result<String, Box<dyn std::error::Error>> {
    let (record, out): (Record, PathBuf) = match verb {
        Verb::Sql { every, connect_limit, statement_limit, database, common } => {
            let (database, duration) = (database.url.parse()?, common.duration);
            let load = SqlLoad { database, every, duration, connect_limit, statement_limit };
            (run_sql(&load).await?, common.out)
        }
        Verb::Sessions { sessions, every, connect_limit, statement_limit, database, common } => {
            let (database, duration) = (database.url.parse()?, common.duration);
            let load = SqlLoad { database, every, duration, connect_limit, statement_limit };
            (run_sessions(&load, sessions).await?, common.out)
        }
        Verb::Http { url, workers, pause, rate, request_limit, common } => {
            let (address, duration) = (url, common.duration);
            let pace = rate.map_or(Pace::Pause(pause), Pace::PerSecond);
            let load = HttpLoad { address, workers, pace, duration, request_limit };
            (run_http(&load).await?, common.out)
        }
    };
    let summary = record.save(&out)?;
    Ok(format!(
        "{} attempts, {} ok, {} failed, {} due and not sent; longest time without an acknowledged \
         write {:.0} ms, without any answer {:.0} ms; latency {:?}; own CPU {} ms in {} ms",
        summary.attempts,
        summary.ok,
        summary.failed.len(),
        summary.unsent,
        summary.longest_gap_ms,
        summary.pause_ms,
        summary.latency,
        summary.cpu_ms,
        summary.duration_ms,
    ))
}

/// A number with `ms`, `s` or `m` behind it.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| format!("no number in `{text}`"))?;
    match &text[digits..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(60 * number)),
        _ => Err(format!("`{text}` needs a unit: ms, s or m")),
    }
}
