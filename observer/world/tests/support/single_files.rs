//! Two machines with real sshds and the real rsync, each with a folder and a `/var/lib` of its own:
//! where single files are fetched.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use observer_core::files::verify::{By, Database, Progress, Purpose, Verification, VerifyOrder};
use observer_core::files::{Deletions, FileSetReport, PassKind, PassOrder};
use observer_core::sighting::{Look, Seen};
use observer_core::words::{Epoch, HostName};
use observer_world::access::{FileSetAccess, HostAccess, SingleFiles};
use observer_world::pair_world::PairWorld;
use tempfile::TempDir;
use tokio::sync::watch;

use super::pair::{PATIENCE, host, name, with_files};
use super::sshd::Sshd;

/// Shows a machine's own folder and its own `/var/lib` to a command.
const ENTER: &str = "#!/bin/sh\nexec unshare -m sh -c 'mount --bind DIR/HOST DIR/jobs && \
    mount --bind DIR/var-HOST /var/lib && if test $# -gt 0; then exec \"$@\"; \
    else exec sh -c \"$SSH_ORIGINAL_COMMAND\"; fi' sh \"$@\"\n";
/// The service manager is another program of the test's own.
const SUDO: &str = "#!/bin/sh\nwhile test \"$1\" != --; do shift; done; shift\n\
    case $1 in /usr/bin/systemd-run) shift; exec systemd-run \"$@\";; esac; exec \"$@\"\n";
/// Runs a unit to its end, where its condition holds.
const SYSTEMD_RUN: &str = "#!/bin/sh\nwhile :; do case $1 in\n\
    --property=ExecCondition=+*) ${1#*=*+} || exit 0;; --*) ;; *) break;; esac; shift; done\n\
    LC_ALL=C \"$@\" < /dev/null > /dev/null 2> /var/lib/said; exit 0\n";
const SYSTEMCTL: &str = "#!/bin/sh\necho ActiveState=inactive\n";

/// Two machines that have the folder in the same place.
pub struct Machines {
    pub dir: TempDir,
    pub sshds: [Sshd; 2],
    pub set: FileSetAccess,
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Machines {
    pub fn new(single: SingleFiles) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let sshds = ["a", "b"].map(|which| {
            for folder in [which, "jobs"] {
                fs::create_dir_all(dir.path().join(folder)).unwrap();
            }
            fs::create_dir_all(dir.path().join(format!("var-{which}/data"))).unwrap();
            let programs = dir.path().join(format!("programs-{which}"));
            fs::create_dir(&programs).unwrap();
            let enter = ENTER.replace("DIR", dir.path().to_str().unwrap());
            program(&dir.path().join(format!("enter-{which}")), &enter.replace("HOST", which));
            program(&programs.join("sudo"), SUDO);
            program(&programs.join("systemd-run"), SYSTEMD_RUN);
            program(&programs.join("systemctl"), SYSTEMCTL);
            let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
            let sshd = Sshd::start_with(&format!("SetEnv \"{path}\""));
            // The observer's own key leads into the machine's view of the world, too.
            let key = fs::read_to_string(sshd.path("client.pub")).unwrap();
            let enter = dir.path().join(format!("enter-{which}"));
            let line = format!("command=\"{}\" {key}", enter.display());
            fs::write(sshd.path("client.pub"), line).unwrap();
            sshd
        });
        let set = FileSetAccess {
            name: "jobs".into(),
            path: dir.path().join("jobs"),
            single: Some(single),
            user: "root".to_owned(),
            exclude: vec!["draft-*".to_owned()],
            retention_ms: 60_000,
            max_deletes: 1,
            max_deletes_percent: 20,
            rate_limit_bytes: 0,
            verify_limit_ms: 120_000,
            paths: None,
        };
        let machines = Self { dir, sshds, set };
        machines.prepare();
        machines.is_slave("b", true);
        machines
    }

    /// As an administrator would: the script on each, and the line that it prints on the other.
    pub fn prepare(&self) {
        for (which, other, sshd) in [("a", "b", &self.sshds[1]), ("b", "a", &self.sshds[0])] {
            let script = self.world().files_setup(&format!("node-{which}")).unwrap();
            let said = self.on(which, &["/bin/sh"], &script);
            assert!(said.status.success(), "{said:?}");
            let said = String::from_utf8(said.stdout).unwrap();
            let line = said.lines().find(|line| line.starts_with("restrict,")).unwrap();
            let enter = self.dir.path().join(format!("enter-{other} "));
            let line = line.replace("command=\"", &format!("command=\"{}", enter.display()));
            let mut keys = fs::OpenOptions::new().append(true).open(sshd.path("client.pub"));
            writeln!(keys.as_mut().unwrap(), "{line}").unwrap();
        }
    }

    pub fn on(&self, which: &str, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(self.dir.path().join(format!("enter-{which}")));
        let streams = command.args(words).stdin(Stdio::piped());
        let mut child = streams.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    pub fn is_slave(&self, which: &str, slave: bool) {
        let signal = self.dir.path().join(format!("var-{which}/data/standby.signal"));
        if slave { fs::write(signal, "").unwrap() } else { fs::remove_file(signal).unwrap() }
    }

    pub fn a(&self, file: &str) -> PathBuf {
        self.dir.path().join("a").join(file)
    }

    pub fn b(&self, file: &str) -> PathBuf {
        self.dir.path().join("b").join(file)
    }

    /// What a machine has of the set's own folder.
    pub fn state(&self, which: &str, file: &str) -> PathBuf {
        self.dir.path().join(format!("var-{which}/ha-observer-files/jobs")).join(file)
    }

    pub fn world(&self) -> PairWorld {
        let hosts: [HostAccess; 2] =
            [("node-a", &self.sshds[0]), ("node-b", &self.sshds[1])].map(|(name, sshd)| {
                let mut host = host(sshd, name, "127.0.0.1");
                host.database.data_directory = "/var/lib/data".into();
                host
            });
        with_files(hosts, self.set.clone())
    }

    /// The name of what a machine's server shows.
    pub fn module(&self, which: &str) -> String {
        let folder = self.dir.path().join(format!("var-{which}/ha-observer-files"));
        let config = text(&folder.join("jobs.rsyncd.conf"));
        let module = config.lines().find_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
        module.unwrap().to_owned()
    }

    pub async fn pass(&self, to: &str, epoch: u64, deletions: Deletions) -> FileSetReport {
        self.pass_of(PassKind::Last, to, epoch, deletions).await
    }

    pub async fn pass_of(
        &self,
        kind: PassKind,
        to: &str,
        epoch: u64,
        deletions: Deletions,
    ) -> FileSetReport {
        let from = if to == "node-b" { "node-a" } else { "node-b" };
        let order = PassOrder {
            host: name(to),
            source: name(from),
            set: "jobs".into(),
            kind,
            deletions,
            epoch: Epoch(epoch),
        };
        let world = self.world();
        world.pass(&order, PATIENCE).await.unwrap();
        match world.look(&Look::Files(HostName::new(to)), PATIENCE).await {
            Ok(Seen::Files(mut reports)) => reports.remove(0),
            seen => panic!("{seen:?}"),
        }
    }

    pub async fn verify(&self, by: By) -> Verification {
        let (master, slave) = (name("node-a"), name("node-b"));
        let purpose = Purpose::Verify { by, database: Database::Left };
        let order = VerifyOrder { set: "jobs".into(), master, slave, purpose };
        self.world().verify_files(&order, &watch::Sender::new(Progress::default())).await.unwrap()
    }
}

pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| format!("{}: {why}", path.display()))
}
