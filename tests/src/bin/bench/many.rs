//! Very many small files: the first pass, a pass that finds nothing to do, and verifications, with
//! what they take and weigh.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tests::lab::Result;
use tests::stage::{ATTACHMENTS, PASS_FOLDER, Stage};

use crate::room;
use crate::weight::{Weight, weighed};

/// No figure is worth more than this.
const LIMIT: Duration = Duration::from_secs(3 * 3600);
const LOOK_EVERY: Duration = Duration::from_secs(2);
const PER_FOLDER: u64 = 500;
/// A block each, and the entry in its folder.
const BYTES_EACH: u64 = 4500;

/// Makes the files: 200 to 2000 bytes each, no two alike.
const MAKE: &str = r#"
my ($place, $files, $per_folder) = @ARGV;
chdir $place or die $!;
my $folder;
for my $n (0 .. $files - 1) {
    if ($n % $per_folder == 0) {
        $folder = sprintf "folder-%05d", $n / $per_folder;
        mkdir $folder or die $!;
    }
    open my $file, ">", "$folder/a-file-with-a-name-$n" or die $!;
    print $file substr("$n of $files\n" x 200, 0, 200 + $n * 7919 % 1800);
    close $file or die $!;
}
"#;

/// Everything that was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Many {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) phases: Vec<Phase>,
    /// What a person saw while the first pass ran, whenever it changed.
    pub(crate) told: Vec<Seen>,
}

/// One thing that was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) what: String,
    /// What it took by its own clock: the pass's, or the verification's.
    pub(crate) own_ms: f64,
    /// From the order until a person could read that it is over.
    pub(crate) seen_ms: f64,
    pub(crate) outcome: String,
    pub(crate) weight: Weight,
}

/// What `status` and `files` said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) after_ms: f64,
    pub(crate) protected: bool,
    pub(crate) cause: String,
    pub(crate) line: String,
}

/// Measures on fresh machines, at the shipped settings of a file set.
pub(crate) fn measure(files: u64) -> Result<Many> {
    let stage = crate::set_with_files()?;
    room::insist(&stage, "node-a", 2 * files * BYTES_EACH, 2 * files + 2 * files / PER_FOLDER)?;
    stage.hold_passes()?;
    let (number, per_folder) = (files.to_string(), PER_FOLDER.to_string());
    let make = ["perl", "-e", MAKE, ATTACHMENTS, &number, &per_folder];
    stage.lab.machine("node-a").exec_within(LIMIT, &make)?.success()?;
    room::settle(&stage)?;
    let mut many = Many { files, bytes: 0, phases: Vec::new(), told: Vec::new() };
    let measured = many.phases(&stage);
    // What removes the machines at the end has no time for that many.
    let remove = format!("rm -rf {ATTACHMENTS}/folder-*");
    for node in ["node-a", "node-b"] {
        stage.lab.machine(node).exec_within(LIMIT, &["/bin/sh", "-c", &remove])?.success()?;
    }
    measured.map(|()| many)
}

impl Many {
    fn add(&mut self, phase: Phase) {
        let Phase { what, own_ms, seen_ms, outcome, weight } = &phase;
        crate::tell(&format!("{what}: {own_ms:.0} ms, seen {seen_ms:.0} ms: {outcome} {weight:?}"));
        self.phases.push(phase);
    }

    fn phases(&mut self, stage: &Stage) -> Result<()> {
        self.first_pass(stage)?;
        self.idle_pass(stage)?;
        ["metadata", "content"].into_iter().try_for_each(|by| self.verify(stage, by))
    }

    fn first_pass(&mut self, stage: &Stage) -> Result<()> {
        let wanted = self.files;
        let told = &mut self.told;
        let (seen_ms, weight) = weighed(stage, || {
            stage.let_pass()?;
            let began = Instant::now();
            loop {
                std::thread::sleep(LOOK_EVERY);
                let status = stage.status()?;
                look(&status, stage, began, told)?;
                let total = status["files"][0]["clean"][1]["total"].as_u64();
                if total >= Some(wanted) || began.elapsed() > LIMIT {
                    return Ok(ms(began));
                }
            }
        })?;
        let (own_ms, outcome) = (last_pass_ms(stage)?, last(told));
        self.add(Phase { what: "first-pass".to_owned(), own_ms, seen_ms, outcome, weight });
        Ok(())
    }

    fn idle_pass(&mut self, stage: &Stage) -> Result<()> {
        let ((seen_ms, outcome), weight) = weighed(stage, || {
            let began = Instant::now();
            let said = stage.observer().exec_within(LIMIT, &["ha-observer", "files", "sync"])?;
            Ok((ms(began), said.stdout))
        })?;
        let own_ms = last_pass_ms(stage)?;
        self.add(Phase { what: "idle-pass".to_owned(), own_ms, seen_ms, outcome, weight });
        Ok(())
    }

    fn verify(&mut self, stage: &Stage, by: &str) -> Result<()> {
        let words = ["ha-observer", "files", "verify", "attachments", "--by", by, "-o", "json"];
        let ((seen_ms, said), weight) = weighed(stage, || {
            let began = Instant::now();
            let said = stage.observer().exec_within(LIMIT, &words)?;
            Ok((ms(began), said))
        })?;
        let report: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
        let report = &report[0];
        self.bytes = report["bytes"].as_u64().unwrap_or(0);
        let own_ms = report["took_ms"].as_f64().unwrap_or(f64::NAN);
        let outcome = format!(
            "whole: {}, {} entries, {} hashed{}",
            report["whole"], report["entries"], report["hashed_files"], said.stderr
        );
        self.add(Phase { what: format!("verify-by-{by}"), own_ms, seen_ms, outcome, weight });
        Ok(())
    }
}

/// Keeps what a person sees, if it is something new.
fn look(status: &Value, stage: &Stage, began: Instant, told: &mut Vec<Seen>) -> Result<()> {
    let shown = stage.ask(&["files"])?.stdout;
    let line = shown.lines().find(|line| line.starts_with("attachments")).unwrap_or(&shown);
    if told.last().is_some_and(|last| last.line == line) {
        return Ok(());
    }
    told.push(Seen {
        after_ms: ms(began),
        protected: status["protected"] == true,
        cause: status["cause"].as_str().unwrap_or_default().to_owned(),
        line: line.to_owned(),
    });
    Ok(())
}

fn last(told: &[Seen]) -> String {
    told.last().map_or_else(String::new, |seen| seen.line.clone())
}

/// What the last pass that left nothing behind took: it has the time of its beginning.
pub(crate) fn last_pass_ms(stage: &Stage) -> Result<f64> {
    let clean = format!("{PASS_FOLDER}/clean");
    let said = stage.lab.machine("node-b").run(&["stat", "-c", "%.3Y %.3Z", &clean])?;
    let times: Vec<f64> = said.split(' ').filter_map(|time| time.parse().ok()).collect();
    Ok(times.last().unwrap_or(&f64::NAN).mul_add(1000.0, -1000.0 * times[0]))
}

pub(crate) fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

/// The figures as a person reads them.
#[allow(clippy::print_stdout, reason = "its output is for a person")]
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]
pub(crate) fn print(many: &Many) {
    let Many { files, bytes, phases, .. } = many;
    println!("\n{files} files, {} MB\n", bytes / 1_000_000);
    println!(
        "| what | s | files/s | seen after s | daemon MiB before / highest / after | verb MiB | \
         on the master MiB | on the slave MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    );
    for Phase { what, own_ms, seen_ms, weight, .. } in phases {
        let mib = |kib: u64| kib as f64 / 1024.0;
        let Weight { daemon_before, daemon_highest, daemon_after, .. } = *weight;
        println!(
            "| {what} | {:.1} | {:.0} | {:.1} | {:.1} / {:.1} / {:.1} | {:.1} | {:.0} | {:.0} |",
            own_ms / 1000.0,
            *files as f64 * 1000.0 / own_ms,
            seen_ms / 1000.0,
            mib(daemon_before),
            mib(daemon_highest),
            mib(daemon_after),
            mib(weight.verb),
            mib(weight.on_master),
            mib(weight.on_slave),
        );
    }
}
