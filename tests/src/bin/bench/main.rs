//! `bench`: what the users of a pair go through, and what the observer costs, measured on real
//! machines at the shipped defaults.
//!
//! It judges nothing: it prints medians with their range and keeps every single figure as JSON.
//! `scripts/bench` builds what is measured and calls it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is for a person")]

mod blow;
mod changed;
mod many;
mod planned;
mod rest;
mod room;
mod table;
mod validate;
mod weight;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use blow::{Blow, Loads};
use planned::{Ordered, WayBack};
use tests::lab::{LabSpec, Turn};
use tests::stage::{FileSets, Stage, StageSpec};

/// Measures on real machines.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each subject is measured, on fresh machines each time; a switchover there and back
    /// counts as one and all are on the same machines.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// What is measured; if left out everything but file sets, which take long and much room.
    #[arg(long, value_enum)]
    only: Vec<Subject>,
    /// Who works while the blow falls.
    #[arg(long, value_enum, default_value_t = Loads::Both)]
    loads: Loads,
    /// Requests per second while something is ordered on purpose.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// How many small files `many-files` makes.
    #[arg(long, default_value_t = 1_000_000)]
    files: u64,
    /// How much `changed-files` changes.
    #[arg(long, default_value_t = 10)]
    gigabytes: u64,
    /// Where the single figures go.
    #[arg(long)]
    out: PathBuf,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// The master falls silent and dies.
    PowerLoss,
    /// The master's processes all die; its network refuses at once.
    HostCrash,
    /// The database's postmaster is killed, its host lives.
    PostmasterKill,
    /// The same with `on_database_crash = "fail-over"`, which is not the default.
    PostmasterKillFailOver,
    /// The master lives, and nobody reaches it.
    CablePulled,
    /// Memory and CPU of the daemon at rest, `status`, start to first verdict.
    Rest,
    /// A person switches over and back.
    Switchover,
    /// The old master becomes a slave by rewinding.
    RejoinRewind,
    /// The same by cloning two gigabytes, as its log is gone.
    RejoinClone,
    /// A validation of a healthy pair.
    Validate,
    /// A file set of very many small files: first pass, idle pass, verifications.
    ManyFiles,
    /// A file set of which gigabytes have changed, against plain `rsync`.
    ChangedFiles,
}

impl Subject {
    fn blow(self) -> Option<Blow> {
        match self {
            Subject::PowerLoss => Some(Blow::PowerLoss),
            Subject::HostCrash => Some(Blow::HostCrash),
            Subject::PostmasterKill => Some(Blow::PostmasterKill),
            Subject::PostmasterKillFailOver => Some(Blow::PostmasterKillFailOver),
            Subject::CablePulled => Some(Blow::CablePulled),
            Subject::Rest
            | Subject::Switchover
            | Subject::RejoinRewind
            | Subject::RejoinClone
            | Subject::Validate
            | Subject::ManyFiles
            | Subject::ChangedFiles => None,
        }
    }

    /// What is done on purpose, so often; nothing for other subjects.
    fn orders(self, runs: usize, rate: u32) -> tests::lab::Result<Vec<Ordered>> {
        let rejoins = |way| (0..runs).map(|_| planned::measure_rejoin(way, rate)).collect();
        match self {
            Subject::Switchover => planned::measure_switchovers(runs, rate),
            Subject::RejoinRewind => rejoins(WayBack::Rewind),
            Subject::RejoinClone => rejoins(WayBack::Clone),
            _ => Ok(Vec::new()),
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Fresh machines. `scripts/bench` holds the turn for the whole measurement, so that no other lab
/// comes between two runs.
fn set(policy: Vec<(&'static str, &'static str)>) -> tests::lab::Result<Stage> {
    let lab = LabSpec { turn: Turn::Alongside, ..LabSpec::standard() };
    Stage::set(&StageSpec { lab, policy, ..StageSpec::standard() }).map(Stage::without_logs)
}

/// Fresh machines with a file set at the shipped settings.
fn set_with_files() -> tests::lab::Result<Stage> {
    let lab = LabSpec { turn: Turn::Alongside, ..LabSpec::standard() };
    let spec = StageSpec { lab, files: FileSets::AttachmentsAsShipped, ..StageSpec::standard() };
    Stage::set(&spec).map(Stage::without_logs)
}

/// For whoever waits for the end.
fn tell(text: &str) {
    eprintln!("{text}");
}

/// Keeps the single figures.
fn keep(
    arguments: &Arguments,
    name: &str,
    figures: &impl serde::Serialize,
) -> Result<(), Box<dyn std::error::Error>> {
    Ok(std::fs::write(arguments.out.join(name), serde_json::to_vec_pretty(figures)?)?)
}

/// Measures file sets, if the subject is one of theirs.
fn files(arguments: &Arguments, subject: Subject) -> Result<bool, Box<dyn std::error::Error>> {
    match subject {
        Subject::ManyFiles => {
            let many = many::measure(arguments.files)?;
            keep(arguments, "many-files.json", &many)?;
            many::print(&many);
        }
        Subject::ChangedFiles => {
            let rounds = changed::measure(arguments.gigabytes, arguments.runs)?;
            keep(arguments, "changed-files.json", &rounds)?;
            changed::print(&rounds);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(&arguments.out)?;
    let mut wanted = arguments.only.clone();
    if wanted.is_empty() {
        let files = [Subject::ManyFiles, Subject::ChangedFiles];
        wanted = Subject::value_variants().to_vec();
        wanted.retain(|subject| !files.contains(subject));
    }
    let mut blows = Vec::new();
    for subject in &wanted {
        if files(arguments, *subject)? {
            continue;
        }
        if let orders @ [first, ..] = &subject.orders(arguments.runs, arguments.rate)?[..] {
            let name = format!("{}.json", first.what);
            std::fs::write(arguments.out.join(name), serde_json::to_vec_pretty(orders)?)?;
            table::print_orders(orders);
            continue;
        }
        if *subject == Subject::Validate {
            let figures = validate::measure()?;
            let file = arguments.out.join("validate.json");
            std::fs::write(file, serde_json::to_vec_pretty(&figures)?)?;
            validate::print(&figures);
            continue;
        }
        let Some(blow) = subject.blow() else {
            let rest = rest::measure()?;
            std::fs::write(arguments.out.join("rest.json"), serde_json::to_vec_pretty(&rest)?)?;
            table::print_rest(&rest);
            continue;
        };
        let mut runs = Vec::new();
        for number in 0..arguments.runs {
            let part = u32::try_from(number)?;
            let run = blow::measure(blow, arguments.loads, part, u32::try_from(arguments.runs)?)?;
            eprintln!("{}", table::one_line(&run));
            runs.push(run);
        }
        let name = format!("{}-{}.json", runs[0].blow, runs[0].loads);
        std::fs::write(arguments.out.join(name), serde_json::to_vec_pretty(&runs)?)?;
        blows.push(runs);
    }
    if !blows.is_empty() {
        table::print_blows(&blows);
    }
    Ok(())
}
