//! The seed: what lies above the base image on each host's disk when a lab boots.
//!
//! Users, keys, databases and configuration take some twenty seconds to make, so they are made
//! once, by booting the machines and provisioning them from within, and kept in the cache under a
//! name that derives from all inputs. No binary of this workspace is in a seed.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::fcntl::FlockArg;
use sha2::{Digest, Sha256};

use super::error::{Doing, Result};
use super::host::{APPS, MACHINES, SECOND_PROXY};
use super::run::{cache_folder, lock};
use super::{Assembly, Disks};

const HAPROXY_CFG: &str = include_str!("assets/haproxy.cfg");
const EVERY_HOST: &str = include_str!("assets/every-host.sh");
const NODE: &str = include_str!("assets/node.sh");
const NODE_A: &str = include_str!("assets/node-a.sh");
const APP: &str = include_str!("assets/app.sh");
const NODE_B: &str = include_str!("assets/node-b.sh");
const PROXY: &str = include_str!("assets/proxy.sh");
const PGBOUNCER_INI: &str = include_str!("assets/pgbouncer.ini");
const SCHEMA: &str = include_str!("assets/schema.sql");
const DESK_UNIT: &str = include_str!("assets/desk.service");
const SCHEDULER_UNIT: &str = include_str!("assets/desk-scheduler.service");
const SEEDS_KEPT: usize = 4;
/// A change of any of these makes another seed.
const INPUTS: [&str; 13] = [
    APP,
    HAPROXY_CFG,
    EVERY_HOST,
    NODE,
    NODE_A,
    NODE_B,
    PROXY,
    PGBOUNCER_INI,
    SCHEMA,
    DESK_UNIT,
    SCHEDULER_UNIT,
    include_str!("host.rs"),
    include_str!("seed.rs"),
];

/// A provisioned set of disks.
#[derive(Debug, Clone)]
pub(crate) struct Seed {
    folder: PathBuf,
}

impl Seed {
    /// Finds the seed of these inputs, or makes it.
    pub(crate) fn ensure(image: &Path) -> Result<Self> {
        let name = format!("seed-{}", identity(image));
        let folder = cache_folder().join(&name);
        if !folder.is_dir() {
            let _lock = lock("seed.lock", FlockArg::LockExclusive)?;
            if !folder.is_dir() {
                make(image, &folder)?;
            }
        }
        Ok(Self { folder })
    }

    /// The layer of a host, which lies above the image.
    pub(crate) fn layer(&self, host: &str) -> PathBuf {
        self.folder.join("disks").join(host)
    }

    /// The private key with which the observer logs in.
    pub(crate) fn ssh_key_path(&self) -> PathBuf {
        self.folder.join("id_ed25519")
    }

    /// The password of the database role `desk`.
    pub(crate) fn desk_password(&self) -> Result<String> {
        let path = self.folder.join("desk.password");
        fs::read_to_string(&path).doing(|| format!("read {}", path.display()))
    }
}

fn identity(image: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(image.as_os_str().as_encoded_bytes());
    for input in INPUTS {
        hash.update([0]);
        hash.update(input.as_bytes());
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the seed beside its place and moves it there at the end: a half-made one is never found.
fn make(image: &Path, folder: &Path) -> Result<()> {
    let making = folder.with_extension(format!("making-{}", std::process::id()));
    let outcome = provision(image, &making);
    if outcome.is_err() {
        let _ = fs::remove_dir_all(&making);
        return outcome;
    }
    let _ = fs::remove_dir_all(making.join("work"));
    fs::rename(&making, folder).doing(|| format!("create {}", folder.display()))?;
    forget_old_seeds();
    Ok(())
}

/// Keeps the newest few. An older one may be under a lab that runs, and it is no harm to keep one.
fn forget_old_seeds() {
    let entries = fs::read_dir(cache_folder()).into_iter().flatten().flatten();
    let mut seeds: Vec<_> = entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"seed-"))
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    seeds.sort();
    for (_, path) in seeds.iter().rev().skip(SEEDS_KEPT) {
        // The cache may be shared with another who does the same.
        let _ = fs::remove_dir_all(path);
    }
}

fn provision(image: &Path, making: &Path) -> Result<()> {
    for host in MACHINES {
        let layer = making.join("disks").join(host.name);
        fs::create_dir_all(&layer).doing(|| format!("create {}", layer.display()))?;
    }
    // The binaries' folder is bound into every machine; while provisioning nothing is in it.
    let nothing = making.join("work/nothing");
    fs::create_dir_all(&nothing).doing(|| format!("create {}", nothing.display()))?;
    let assembly = Assembly::mount(&MACHINES, &nothing, &Disks::Provisioned { image, making })?;
    for host in MACHINES {
        let root = assembly.machine(host.name).root();
        let write = |name: &str, text: String| {
            fs::write(root.join(name), text).doing(|| format!("write {name} of {}", host.name))
        };
        write("etc/machine-id", format!("{}\n", host.machine_id()))?;
        write("etc/hostname", format!("{}\n", host.name))?;
        write("etc/hosts", hosts_file())?;
    }
    assembly.boot()?;
    configure(&assembly, making)?;
    std::thread::scope(|scope| {
        let ends: Vec<_> =
            assembly.machines().iter().map(|one| scope.spawn(|| one.shut_down())).collect();
        ends.into_iter().try_for_each(|end| end.join().expect("a shutdown does not panic"))
    })
}

fn configure(assembly: &Assembly, making: &Path) -> Result<()> {
    let observer = assembly.machine("observer");
    let key = "/etc/ha-observer/ssh/id_ed25519";
    observer.run(&["mkdir", "-p", "/etc/ha-observer/ssh"])?;
    let words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ha-observer", "-f", key];
    observer.run(&words)?;
    let public = observer.run(&["cat", &format!("{key}.pub")])?;
    let kept = making.join("id_ed25519");
    let private = observer.root().join(key.trim_start_matches('/'));
    fs::copy(&private, &kept).doing(|| format!("keep {}", private.display()))?;
    let (desk, replication) = (password()?, password()?);
    let file = making.join("desk.password");
    fs::write(&file, &desk).doing(|| format!("write {}", file.display()))?;
    let script = |host: &str, script: &str, words: &[&str]| {
        let shell = ["/bin/sh", "-eus"];
        let done = assembly
            .machine(host)
            .exec_with_input(&[&shell[..], words].concat(), script.as_bytes())?;
        done.success()
    };
    for host in MACHINES {
        script(host.name, EVERY_HOST, &[host.name, &public])?;
    }
    observer.run(&["chown", "-R", "ha-observer:", "/etc/ha-observer"])?;
    for proxy in ["proxy", SECOND_PROXY] {
        let (path, text) = ("/etc/haproxy/haproxy.cfg", HAPROXY_CFG.as_bytes());
        assembly.machine(proxy).put_file(path, text, 0o644, "root:root")?;
        let (path, text) = ("/etc/pgbouncer/pgbouncer.ini", PGBOUNCER_INI.as_bytes());
        assembly.machine(proxy).put_file(path, text, 0o640, "root:root")?;
        script(proxy, PROXY, &[&desk])?;
    }
    for host in ["node-a", "node-b"] {
        let node = assembly.machine(host);
        for (unit, text) in [("desk", DESK_UNIT), ("desk-scheduler", SCHEDULER_UNIT)] {
            let path = format!("/etc/systemd/system/{unit}.service");
            node.put_file(&path, text.as_bytes(), 0o644, "root:root")?;
        }
        script(host, NODE, &[&desk, &replication])?;
    }
    script("node-a", NODE_A, &[&desk, &replication])?;
    let psql = ["runuser", "-u", "postgres", "--", "psql", "-Xq", "-v", "ON_ERROR_STOP=1"];
    assembly
        .machine("node-a")
        .exec_with_input(&[&psql[..], &["-d", "desk"]].concat(), SCHEMA.as_bytes())?
        .success()?;
    for host in APPS {
        script(host, APP, &[&desk])?;
    }
    script("node-b", NODE_B, &[])?;
    // A touched file lies in the seed whole, so that a lab can copy the database from there.
    for host in ["node-a", "node-b"] {
        script(host, "find /var/lib/postgresql -type f -exec touch -c {} +", &[])?;
    }
    // The journals of the provisioning are no part of any scenario.
    for host in MACHINES {
        script(host.name, "mkdir -p /var/log/journal; rm -rf /var/log/journal/*", &[])?;
    }
    Ok(())
}

fn hosts_file() -> String {
    let mut text = "127.0.0.1 localhost\n".to_owned();
    for host in MACHINES {
        text += &format!("{} {}\n", host.address(), host.name);
    }
    text
}

/// Random, so that nothing in the tree is a secret, not even one of a lab.
fn password() -> Result<String> {
    let mut bytes = [0; 16];
    let mut random = File::open("/dev/urandom").doing(|| "open /dev/urandom".to_owned())?;
    random.read_exact(&mut bytes).doing(|| "read /dev/urandom".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
