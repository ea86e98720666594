//! Machines with their disks mounted and their cables plugged in, ready to boot.
//!
//! It knows nothing of roles and services: the seed is made with it, and the lab stands on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::command::{run, run_at_disk};
use super::error::{Doing, LabError, Result};
use super::host::{CLIENT, Host};
use super::machine::Machine;
use super::network::Network;
use super::run::Run;
use super::seed::Seed;

/// What the machines' disks are made of.
#[derive(Debug)]
pub(crate) enum Disks<'a> {
    /// Changes go into the run's folder and are lost with it.
    Fresh { image: &'a Path, seed: &'a Seed },
    /// Changes go into `making`, which becomes a seed.
    Provisioned { image: &'a Path, making: &'a Path },
}

/// All machines of one run.
#[derive(Debug)]
pub(crate) struct Assembly {
    machines: Vec<Machine>,
    network: Arc<Network>,
    // Its end removes all of the above from this computer.
    run: Run,
}

impl Assembly {
    /// Lays the network for these machines and mounts their disks. Everything is off.
    pub(crate) fn mount(hosts: &[Host], bin_dir: &Path, disks: &Disks<'_>) -> Result<Self> {
        let run = Run::begin()?;
        let network = Arc::new(Network::lay(run.id())?);
        network.attach(&CLIENT)?;
        let mut machines = Vec::new();
        for &host in hosts {
            let folder = run.folder().join(host.name);
            disks.mount(host.name, &folder)?;
            network.attach(&host)?;
            let network = Arc::clone(&network);
            machines.push(Machine::new(host, folder, bin_dir.to_owned(), run.id(), network));
        }
        // What was copied, or built just before, would else be written while the machines live,
        // and one commit of a database would wait seconds for it.
        sync_disk(run.folder())?;
        Ok(Self { machines, network, run })
    }

    /// Boots all machines at the same time.
    pub(crate) fn boot(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let boots: Vec<_> =
                self.machines.iter().map(|one| scope.spawn(|| one.boot())).collect();
            boots.into_iter().try_for_each(|boot| boot.join().expect("a boot does not panic"))
        })
    }

    pub(crate) fn machine(&self, name: &str) -> &Machine {
        let found = self.machines.iter().find(|machine| machine.name() == name);
        found.unwrap_or_else(|| panic!("the lab has no machine `{name}`"))
    }

    pub(crate) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }
}

impl Drop for Assembly {
    /// Kills all machines before reaping any: they die at the same time.
    fn drop(&mut self) {
        // One that is off already is just as well; the run's clean-up finds whatever is left.
        self.machines.iter().for_each(|machine| drop(machine.crash()));
        self.machines.iter().for_each(Machine::reap);
    }
}

impl Disks<'_> {
    fn mount(&self, host: &str, folder: &Path) -> Result<()> {
        let (lower, upper, work) = match self {
            Self::Fresh { image, seed } => {
                let lower = format!("{}:{}", seed.layer(host).display(), image.display());
                let changes = folder.join("changes");
                copy_database(&seed.layer(host), &changes)?;
                (lower, changes, folder.join("work"))
            }
            Self::Provisioned { image, making } => {
                let (upper, work) = (making.join("disks").join(host), making.join("work"));
                (image.display().to_string(), upper, work.join(host))
            }
        };
        let root = folder.join("root");
        for path in [&upper, &work, &root] {
            fs::create_dir_all(path).doing(|| format!("create {}", path.display()))?;
        }
        let options =
            format!("lowerdir={lower},upperdir={},workdir={}", upper.display(), work.display());
        let root = root.display().to_string();
        run("mount", &["-t", "overlay", "overlay", "-o", &options, &root]).map(drop)
    }
}

/// Gives the machine a database of its own from the start, not one that is copied up file by file
/// at each first write: after a crash PostgreSQL opens and syncs all files, which would take
/// seconds here and takes none on a real disk.
fn copy_database(seed: &Path, changes: &Path) -> Result<()> {
    const DATABASE: &str = "var/lib/postgresql";
    let (from, to) = (seed.join(DATABASE), changes.join("var/lib"));
    fs::create_dir_all(&to).doing(|| format!("create {}", to.display()))?;
    if !from.is_dir() {
        return Ok(());
    }
    let (from, to) = (from.display().to_string(), to.display().to_string());
    run_at_disk("cp", &["--archive", "--reflink=auto", &from, &to]).map(drop)
}

fn sync_disk(folder: &Path) -> Result<()> {
    run_at_disk("sync", &["--file-system", &folder.display().to_string()]).map(drop)
}

/// Where the base image is, or what is missing to boot from it.
pub(crate) fn image() -> Result<PathBuf> {
    let fix = || "run scripts/test as root, which installs what is missing".to_owned();
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::Missing { what: "the lab needs root".to_owned(), fix: fix() });
    }
    for program in ["systemd-nspawn", "ip", "nft", "nsenter", "sysctl"] {
        if Command::new(program).arg("--version").output().is_err() {
            let what = format!("the lab needs the program `{program}`");
            return Err(LabError::Missing { what, fix: fix() });
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/lab-image");
    let image = PathBuf::from(run(script, &["--print"])?);
    if !image.is_dir() {
        let what = format!("the lab's base image {} is missing", image.display());
        return Err(LabError::Missing { what, fix: "run scripts/lab-image as root".to_owned() });
    }
    Ok(image)
}
