//! What the programs of a measurement weigh: memory of the daemon, of the verb that somebody waits
//! for, and of what works on the hosts meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tests::lab::{Machine, Result};
use tests::stage::{OBSERVER_UNIT, Stage};

/// Pause between two looks while something is measured.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is given back is given back by then.
const SETTLING: Duration = Duration::from_secs(10);

/// Prints `PID NAME HIGHEST NOW` in kB of each process of ours.
const LOOK: &str = r#"
for process in /proc/[0-9]*; do
    read -r name <$process/comm || continue
    case $name in ha-observer | rsync | find | sort) ;; *) continue ;; esac
    sed -n -e "s/^VmHWM:[^0-9]*\([0-9]*\) kB/${process#/proc/} $name \1/p" \
        -e 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' $process/status | paste -s -d ' '
done 2>/dev/null
true"#;

/// Memory while one thing was done, in KiB.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Weight {
    /// The daemon's resident memory before, at its highest (as its kernel counts it) and after.
    pub(crate) daemon_before: u64,
    pub(crate) daemon_highest: u64,
    pub(crate) daemon_after: u64,
    /// The highest of any other process of the observer's program: the verb.
    pub(crate) verb: u64,
    /// The most that `rsync`, `find` and `sort` had together.
    pub(crate) on_master: u64,
    pub(crate) on_slave: u64,
}

struct Process {
    pid: String,
    name: String,
    highest: u64,
    now: u64,
}

fn processes(machine: &Machine) -> Result<Vec<Process>> {
    let text = machine.run(&["/bin/sh", "-c", LOOK])?;
    let process = |line: &str| {
        let mut words = line.split_whitespace();
        let (pid, name) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (highest, now) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Process { pid, name, highest, now })
    };
    Ok(text.lines().filter_map(process).collect())
}

/// The daemon, found by its unit.
fn daemon(stage: &Stage) -> Result<Option<Process>> {
    let words = ["systemctl", "show", "-p", "MainPID", "--value", OBSERVER_UNIT];
    let pid = stage.observer().run(&words)?;
    Ok(processes(stage.observer())?.into_iter().find(|process| process.pid == pid))
}

/// Does `work`, and weighs what runs meanwhile.
pub(crate) fn weighed<T>(stage: &Stage, work: impl FnOnce() -> Result<T>) -> Result<(T, Weight)> {
    let before = daemon(stage)?;
    let pid = before.as_ref().map_or_else(String::new, |daemon| daemon.pid.clone());
    // From here on its kernel counts the highest anew.
    let anew = format!("echo 5 >/proc/{pid}/clear_refs");
    stage.observer().run(&["/bin/sh", "-c", &anew])?;
    let over = AtomicBool::new(false);
    let (done, mut weight) = std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut weight = Weight::default();
            while !over.load(Ordering::Relaxed) {
                look(stage, &pid, &mut weight);
                std::thread::sleep(LOOK_EVERY);
            }
            weight
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        (done, looks.join().unwrap_or_default())
    });
    let done = done?;
    weight.daemon_before = before.map_or(0, |daemon| daemon.now);
    weight.daemon_highest = daemon(stage)?.map_or(0, |daemon| daemon.highest);
    std::thread::sleep(SETTLING);
    weight.daemon_after = daemon(stage)?.map_or(0, |daemon| daemon.now);
    Ok((done, weight))
}

/// Takes in one look. What cannot be looked at now is looked at a second later.
fn look(stage: &Stage, daemon: &str, weight: &mut Weight) {
    let of = |machine| processes(stage.lab.machine(machine)).unwrap_or_default();
    let verbs = of("observer").into_iter().filter(|one| one.name == "ha-observer");
    let verb = verbs.filter(|one| one.pid != daemon).map(|one| one.highest).max();
    weight.verb = weight.verb.max(verb.unwrap_or(0));
    let together = |machine| of(machine).iter().map(|one| one.now).sum::<u64>();
    weight.on_master = weight.on_master.max(together("node-a"));
    weight.on_slave = weight.on_slave.max(together("node-b"));
}
