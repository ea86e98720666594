//! The record of one run of the lab, from which everything it made is removed again.
//!
//! All that a run makes bears its id, so that `scripts/lab-clean` finds it even when the owner was
//! killed. Removal is that script alone; here it is only called, at the latest moment.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tokio::signal::unix::{SignalKind, signal};

use super::Turn;
use super::command::finish;
use super::error::{Doing, LabError, Result};

/// Of all runs that this process owns now.
static LIVE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static COUNTER: AtomicU32 = AtomicU32::new(0);
static SIGNALS: Once = Once::new();

/// Cleaning kills, unmounts and deletes a few hundred megabytes at most.
const CLEAN_LIMIT: Duration = Duration::from_secs(60);
/// Labs in turn that are up at once, however many cores there are: each has its own databases.
const PLACES_AT_MOST: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);

/// One run; dropping it removes all that bears its id.
#[derive(Debug)]
pub(crate) struct Run {
    id: String,
    folder: PathBuf,
}

impl Run {
    /// Begins a run, after removing what dead ones left.
    pub(crate) fn begin() -> Result<Self> {
        SIGNALS.call_once(clean_on_signals);
        let cleaning = finish(&mut clean_command(), b"", CLEAN_LIMIT)?;
        cleaning.success()?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let id = format!("hal-{pid}-{number}");
        let runs = runs_folder();
        let (folder, beginning) = (runs.join(&id), runs.join(format!(".{id}")));
        fs::create_dir_all(&beginning).doing(|| format!("create {}", beginning.display()))?;
        let owner = format!("{pid} {}\n", start_time()?);
        fs::write(beginning.join("owner"), owner).doing(|| "record the owner".to_owned())?;
        LIVE.lock().expect("no holder of the live runs panics").insert(id.clone());
        // Only now, with its owner recorded, may another run's clean-up see it.
        fs::rename(&beginning, &folder).doing(|| format!("create {}", folder.display()))?;
        Ok(Self { id, folder })
    }

    /// The id that everything of this run bears.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The run's own folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        clean(&self.id);
        LIVE.lock().expect("no holder of the live runs panics").remove(&self.id);
    }
}

/// Waits until a lab may come up beside those that are; it holds the locks for as long as it is.
pub(crate) fn wait_for_turn(turn: Turn) -> Result<Vec<Flock<File>>> {
    match turn {
        Turn::Alongside => Ok(Vec::new()),
        Turn::Alone => Ok(vec![lock("turn.lock", FlockArg::LockExclusive)?]),
        Turn::InTurn => Ok(vec![lock("turn.lock", FlockArg::LockShared)?, wait_for_place()?]),
    }
}

fn wait_for_place() -> Result<Flock<File>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    loop {
        for place in 0..cores.min(PLACES_AT_MOST) {
            match lock(&format!("place-{place}.lock"), FlockArg::LockExclusiveNonblock) {
                Err(LabError::Io { source, .. }) if source.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Takes a lock of the cache's folder.
pub(crate) fn lock(name: &str, how: FlockArg) -> Result<Flock<File>> {
    let path = cache_folder().join(name);
    let file = File::create(&path).doing(|| format!("create {}", path.display()))?;
    Flock::lock(file, how).map_err(|(_, errno)| LabError::Io {
        doing: format!("lock {}", path.display()),
        source: errno.into(),
    })
}

/// Where images and seeds are kept between runs.
pub(crate) fn cache_folder() -> PathBuf {
    folder_from("HA_OBSERVER_CACHE", "/var/cache/ha-observer-lab")
}

/// On a disk, not in memory: databases sync to it, and that shall cost what it costs.
fn runs_folder() -> PathBuf {
    folder_from("HA_OBSERVER_LAB_DIR", "/var/tmp/ha-observer-lab")
}

fn folder_from(variable: &str, otherwise: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| PathBuf::from(otherwise), PathBuf::from)
}

/// The script of this source tree, so that the removal here and by hand are one.
fn clean_command() -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", include_str!("../../../scripts/lab-clean"), "lab-clean"]);
    command
}

#[expect(clippy::print_stderr, reason = "nobody is left to hand the error to")]
fn clean(id: &str) {
    let done = finish(clean_command().args(["--run", id]), b"", CLEAN_LIMIT);
    if let Err(error) = done.and_then(super::command::Output::success) {
        eprintln!("the lab could not remove its run {id}: {error}; run scripts/lab-clean");
    }
}

/// A run must not outlive an interrupted or terminated owner. Killed ones are for `lab-clean`.
fn clean_on_signals() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let number = runtime.expect("a runtime of one thread starts").block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
            let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
            tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
            }
        });
        let live = LIVE.lock().expect("no holder of the live runs panics").clone();
        live.iter().for_each(|id| clean(id));
        std::process::exit(128 + number);
    });
}

/// When this process started, in the kernel's ticks: with the pid it names a process for ever.
fn start_time() -> Result<String> {
    let stat = fs::read_to_string("/proc/self/stat").doing(|| "read /proc/self/stat".to_owned())?;
    let after_name = stat.rsplit(") ").next().expect("stat holds a bracketed name");
    Ok(after_name.split(' ').nth(19).expect("stat has 22 fields and more").to_owned())
}
