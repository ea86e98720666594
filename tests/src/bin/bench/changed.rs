//! Gigabytes that have changed: a pass of the product against plain `rsync -a`, over the same SSH,
//! on the same machines, into the same folder, from the same state.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tests::lab::Result;
use tests::stage::{ATTACHMENTS, PASS_FOLDER, Stage};

use crate::many::ms;
use crate::room;
use crate::table::median;

const LIMIT: Duration = Duration::from_secs(3 * 3600);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const MEBIBYTE: u64 = 1 << 20;
/// A large file, a mid-sized one.
const LARGE_MIB: u64 = 1024;
const MIDDLE_MIB: u64 = 10;
/// The share of large ones, in percent.
const LARGE_SHARE: u64 = 40;

/// Writes all of it anew: no block is as it was.
const CHANGE: &str = "set -e; cd \"$1\"; n=0; while test $n -lt $2; do \
    head -c 1073741824 /dev/urandom >large-$n; n=$((n + 1)); done; n=0; \
    while test $n -lt $3; do head -c 10485760 /dev/urandom >middle-$n; n=$((n + 1)); done";

/// What the pass's own script enters the master with.
const PLAIN: &str = "ssh=\"ssh -F none -i $1/ssh/id_ed25519 -o IdentitiesOnly=yes -o BatchMode=yes \
    -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$1/ssh/known_hosts -p 22\"; \
    exec rsync -a -e \"$ssh\" \"root@$2:/\" \"$3/\"";

/// One round: both, one after the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) bytes: u64,
    /// `rsync -a`, from its start to its end.
    pub(crate) plain_ms: f64,
    /// The pass, by its own marks.
    pub(crate) pass_ms: f64,
    /// From the moment in which passes were let begin until the observer shows the pass as clean.
    pub(crate) seen_ms: f64,
    /// Which came first.
    pub(crate) plain_first: bool,
}

/// Measures on fresh machines.
pub(crate) fn measure(gigabytes: u64, rounds: usize) -> Result<Vec<Round>> {
    let stage = crate::set_with_files()?;
    let large = (gigabytes * 1024 * LARGE_SHARE / 100) / LARGE_MIB;
    let middle = (gigabytes * 1024 - large * LARGE_MIB) / MIDDLE_MIB;
    let bytes = (large * LARGE_MIB + middle * MIDDLE_MIB) * MEBIBYTE;
    // The master's, the slave's of before, and the slave's new ones beside them.
    room::insist(&stage, "node-a", 3 * bytes, 0)?;
    let set = Set { stage: &stage, large, middle };
    set.change()?;
    set.pass()?;
    let mut all = Vec::new();
    for number in 0..rounds {
        let plain_first = number % 2 == 0;
        let (mut plain_ms, mut pass) = (f64::NAN, (f64::NAN, f64::NAN));
        for turn in [plain_first, !plain_first] {
            set.change()?;
            if turn {
                plain_ms = set.plain()?;
            } else {
                pass = set.pass()?;
            }
        }
        let (pass_ms, seen_ms) = pass;
        let round = Round { bytes, plain_ms, pass_ms, seen_ms, plain_first };
        crate::tell(&format!("{round:?}"));
        all.push(round);
    }
    Ok(all)
}

struct Set<'s> {
    stage: &'s Stage,
    large: u64,
    middle: u64,
}

impl Set<'_> {
    /// Changes everything on the master, and takes away what passes have kept of before.
    fn change(&self) -> Result<()> {
        self.stage.hold_passes()?;
        let kept = format!("rm -rf {PASS_FOLDER}/kept/*");
        self.stage.lab.machine("node-b").exec_within(LIMIT, &["sh", "-c", &kept])?.success()?;
        let (large, middle) = (self.large.to_string(), self.middle.to_string());
        let words = ["/bin/sh", "-c", CHANGE, "change", ATTACHMENTS, &large, &middle];
        self.stage.lab.machine("node-a").exec_within(LIMIT, &words)?.success()?;
        room::settle(self.stage)
    }

    fn plain(&self) -> Result<f64> {
        let address = self.stage.lab.machine("node-a").address().to_string();
        let words = ["/bin/sh", "-c", PLAIN, "plain", PASS_FOLDER, &address, ATTACHMENTS];
        let began = Instant::now();
        self.stage.lab.machine("node-b").exec_within(LIMIT, &words)?.success()?;
        Ok(ms(began))
    }

    /// What the pass took by itself, and as it was seen.
    fn pass(&self) -> Result<(f64, f64)> {
        let clean = |status: &Value| status["files"][0]["clean"][0].as_u64();
        // The same pass is told to have begun some milliseconds earlier or later by each look.
        let before = clean(&self.stage.status()?).unwrap_or(0) + 1000;
        self.stage.let_pass()?;
        let began = Instant::now();
        while clean(&self.stage.status()?) <= Some(before) && began.elapsed() < LIMIT {
            std::thread::sleep(LOOK_EVERY);
        }
        let seen_ms = ms(began);
        let pass_ms = crate::many::last_pass_ms(self.stage)?;
        Ok((pass_ms, seen_ms))
    }
}

/// The figures as a person reads them.
#[allow(clippy::print_stdout, reason = "its output is for a person")]
pub(crate) fn print(rounds: &[Round]) {
    let bytes = rounds.first().map_or(0, |round| round.bytes);
    println!("\n{} MiB changed, median of {} rounds\n", bytes / MEBIBYTE, rounds.len());
    let all = |pick: fn(&Round) -> f64| median(&rounds.iter().map(pick).collect::<Vec<_>>());
    println!("| figure | value |\n|---|---:|");
    println!("| plain `rsync -a` | {:.1} s |", all(|round| round.plain_ms) / 1000.0);
    println!("| the pass | {:.1} s |", all(|round| round.pass_ms) / 1000.0);
    println!("| the pass, until it is shown | {:.1} s |", all(|round| round.seen_ms) / 1000.0);
    println!("| ratio of the pass | {:.3} |", all(|round| round.pass_ms / round.plain_ms));
    println!("| ratio, until it is shown | {:.3} |", all(|round| round.seen_ms / round.plain_ms));
}
