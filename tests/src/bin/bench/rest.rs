//! What the daemon costs while nothing happens, and how fast it answers.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tests::lab::Result;
use tests::stage::{OBSERVER_UNIT, Stage, Told};

use crate::blow::unix_ms;
use crate::table::median;

/// The daemon has settled by then.
const SETTLING: Duration = Duration::from_secs(15);
const REST: Duration = Duration::from_secs(60);
const QUESTIONS: usize = 21;
const STARTS: usize = 5;
/// Clock ticks per second of `/proc/PID/stat` on Linux.
const TICKS: f64 = 100.0;

/// The figures of one pair at rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rest {
    /// Proportional set size.
    pub(crate) pss_kib: f64,
    /// CPU time in percent of one core.
    pub(crate) cpu_percent: f64,
    /// `ha-observer status` from start to end of the process, entering the machine included.
    pub(crate) status_ms: Vec<f64>,
    /// The same of `true`, to tell what entering the machine costs.
    pub(crate) entering_ms: Vec<f64>,
    /// From the start of the unit to the first verdict.
    pub(crate) first_verdict_ms: Vec<f64>,
}

/// Measures on fresh machines.
pub(crate) fn measure() -> Result<Rest> {
    let stage = crate::set(Vec::new())?;
    std::thread::sleep(SETTLING);
    let pid = pid(&stage)?;
    let (before, began) = (ticks(&stage, &pid)?, Instant::now());
    std::thread::sleep(REST);
    let used = ticks(&stage, &pid)? - before;
    let cpu_percent = 100.0 * used / TICKS / began.elapsed().as_secs_f64();
    let pss_kib = pss(&stage, &pid)?;
    let timed = |words: &[&str]| -> Result<Vec<f64>> {
        let ask = |_| {
            let began = Instant::now();
            stage.observer().run(words)?;
            Ok(began.elapsed().as_secs_f64() * 1000.0)
        };
        (0..QUESTIONS).map(ask).collect()
    };
    let status_ms = timed(&["ha-observer", "status"])?;
    let entering_ms = timed(&["true"])?;
    let first_verdict_ms = (0..STARTS).map(|_| first_verdict(&stage)).collect::<Result<_>>()?;
    Ok(Rest { pss_kib, cpu_percent, status_ms, entering_ms, first_verdict_ms })
}

fn pid(stage: &Stage) -> Result<String> {
    stage.observer().run(&["systemctl", "show", "-p", "MainPID", "--value", OBSERVER_UNIT])
}

/// User and system time of the process, in clock ticks.
fn ticks(stage: &Stage, pid: &str) -> Result<f64> {
    let stat = stage.observer().run(&["cat", &format!("/proc/{pid}/stat")])?;
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let fields = after_name.split(' ').skip(11).take(2);
    Ok(fields.filter_map(|field| field.parse::<f64>().ok()).sum())
}

fn pss(stage: &Stage, pid: &str) -> Result<f64> {
    let rollup = stage.observer().run(&["cat", &format!("/proc/{pid}/smaps_rollup")])?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN))
}

fn first_verdict(stage: &Stage) -> Result<f64> {
    stage.observer().run(&["systemctl", "stop", OBSERVER_UNIT])?;
    let start = unix_ms();
    stage.observer().run(&["systemctl", "start", OBSERVER_UNIT])?;
    stage.wait_protected()?;
    let events = stage.events()?;
    let told = events.of_kind("verdict-changed");
    let at = |event: &&Value| event["at"].as_u64().filter(|at| *at >= start);
    let first = told.iter().find_map(at);
    Ok(first.map_or(f64::NAN, |at| Duration::from_millis(at - start).as_secs_f64() * 1000.0))
}

impl Rest {
    /// The median of `status`, without entering the machine.
    pub(crate) fn status_net_ms(&self) -> f64 {
        median(&self.status_ms) - median(&self.entering_ms)
    }
}
