//! One booted machine: a Debian with its own systemd, in a network namespace of its own.
//!
//! It is entered through its namespaces, never by SSH, so that breaking the network or sshd takes
//! nothing from whoever runs the scenario. What a loss of power does to data that was not yet
//! synced to disk is not reproduced: the files are as the machine's kernel last saw them.
//!
//! ```text
//!            power_on                     shut_down (clean), crash, power_loss
//!   Off ───────────────► On(leader) ────────────────────────────────────────────► Off
//! ```

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command::{Output, finish, run, wait_for, wait_until};
use super::error::{Doing, LabError, Result};
use super::host::Host;
use super::network::Network;

/// What a command in a machine gets unless its caller says otherwise.
const EXEC_LIMIT: Duration = Duration::from_secs(60);
const BOOT_LIMIT: Duration = Duration::from_secs(60);
const POWER_LIMIT: Duration = Duration::from_secs(30);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Puts the supervisor into cgroups of the run, by which a later clean-up finds it, and becomes it.
const SUPERVISE: &str = r#"
name=$1; shift
for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -e "$tree/cgroup.procs" ] || continue
    mkdir -p "$tree/$name" && echo $$ >"$tree/$name/cgroup.procs"
done
exec systemd-nspawn "$@"
"#;

/// Which processes of a unit a signal goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The unit's main process.
    Main,
    /// Every process in the unit's cgroup.
    All,
}

/// A machine of a lab.
#[derive(Debug)]
pub struct Machine {
    host: Host,
    /// The run's folder for this machine; the root of its file system is mounted at `root` in it.
    folder: PathBuf,
    bin_dir: PathBuf,
    run: String,
    network: Arc<Network>,
    power: Mutex<Power>,
}

#[derive(Debug)]
enum Power {
    /// A supervisor may still be tidying up after a crash.
    Off(Option<Child>),
    On {
        supervisor: Child,
        leader: Pid,
    },
}

impl Machine {
    /// A machine that is off; its root is mounted and its cable plugged in already.
    pub(crate) fn new(
        host: Host,
        folder: PathBuf,
        bin_dir: PathBuf,
        run: &str,
        network: Arc<Network>,
    ) -> Self {
        let power = Mutex::new(Power::Off(None));
        Self { host, folder, bin_dir, run: run.to_owned(), network, power }
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.host.name
    }

    /// The host's address on the lab's network.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.host.address()
    }

    /// The root of its file system, as this computer sees it. `/run` and `/tmp` are not in it.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The process of this computer that is the machine's process 1, while it is on.
    #[must_use]
    pub fn leader_pid(&self) -> Option<i32> {
        match &*self.power.lock().expect("no holder of the power switch panics") {
            Power::On { leader, .. } => Some(leader.as_raw()),
            Power::Off(_) => None,
        }
    }

    /// Runs a command inside as root and returns how it ended; it has a minute.
    pub fn exec(&self, words: &[&str]) -> Result<Output> {
        self.exec_within(EXEC_LIMIT, words)
    }

    /// Like [`Machine::exec`], with another limit.
    pub fn exec_within(&self, limit: Duration, words: &[&str]) -> Result<Output> {
        finish(self.enter()?.args(words), b"", limit)
    }

    /// Like [`Machine::exec`], with `stdin` for the command to read.
    pub fn exec_with_input(&self, words: &[&str], stdin: &[u8]) -> Result<Output> {
        finish(self.enter()?.args(words), stdin, EXEC_LIMIT)
    }

    /// Runs a command inside that must succeed, and returns its output without blanks around it.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        self.exec(words)?.success()
    }

    /// The start of a command inside the machine, for callers that want the child itself.
    pub fn enter(&self) -> Result<Command> {
        let Some(leader) = self.leader_pid() else {
            return Err(LabError::PoweredOff { host: self.name().to_owned() });
        };
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={leader}"))
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"])
            .env_clear()
            .envs([("PATH", PATH), ("LANG", "C.UTF-8"), ("HOME", "/root")]);
        Ok(command)
    }

    /// Runs SQL as the database's superuser and returns bare values, `|` between columns.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String> {
        let psql = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"];
        self.run(&[&psql[..], &["-d", database, "-c", statement]].concat())
    }

    /// Writes a file whole, under its final name at once, and makes the folders above it.
    pub fn put_file(&self, path: &str, bytes: &[u8], mode: u32, owner: &str) -> Result<()> {
        const WRITE: &str = "set -e; umask 077; mkdir -p -m 755 \"$(dirname \"$1\")\"
            cat >\"$1.putting\"; chown \"$3\" \"$1.putting\"; chmod \"$2\" \"$1.putting\"
            mv -f \"$1.putting\" \"$1\"";
        let mode = format!("{mode:o}");
        let words = ["/bin/sh", "-c", WRITE, "put_file", path, &mode, owner];
        let mut command = match self.enter() {
            Ok(inside) => inside,
            Err(LabError::PoweredOff { .. }) => self.enter_files(),
            Err(error) => return Err(error),
        };
        finish(command.args(words), bytes, EXEC_LIMIT)?.success().map(drop)
    }

    /// What a unit wrote to the machine's journal, in all its boots.
    pub fn journal(&self, unit: &str) -> Result<String> {
        self.run(&["journalctl", "--no-pager", "--quiet", "-o", "short-precise", "-u", unit])
    }

    /// The public half of the ed25519 key of its sshd, as `type base64`.
    pub fn host_key(&self) -> Result<String> {
        let path = self.root().join("etc/ssh/ssh_host_ed25519_key.pub");
        let line = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        Ok(line.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned())
    }

    /// Sends a signal (`"STOP"`, `"CONT"`, `"KILL"`, …) to the processes of a unit.
    pub fn signal_unit(&self, unit: &str, signal: &str, whom: Whom) -> Result<()> {
        let whom = match whom {
            Whom::Main => "--kill-whom=main",
            Whom::All => "--kill-whom=all",
        };
        self.run(&["systemctl", "kill", whom, &format!("--signal=SIG{signal}"), unit]).map(drop)
    }

    /// Pulls its cable: from then on nobody hears it and it hears nobody, without any notice.
    pub fn pull_cable(&self) -> Result<()> {
        self.network.set_cable(&self.host, "down")
    }

    /// Plugs its cable in again.
    pub fn plug_cable(&self) -> Result<()> {
        self.network.set_cable(&self.host, "up")
    }

    /// Kills every process in it at once. Its network still answers, and refuses: its peers learn
    /// of the end at once, by resets.
    pub fn crash(&self) -> Result<()> {
        let mut power = self.power.lock().expect("no holder of the power switch panics");
        let Power::On { leader, .. } = &*power else {
            return Err(LabError::PoweredOff { host: self.name().to_owned() });
        };
        let leader = *leader;
        // Its kernel kills all others when process 1 dies, and only then lets it be reaped.
        kill(leader, Signal::SIGKILL).doing(|| format!("kill {}", self.name()))?;
        if let Power::On { supervisor, .. } = std::mem::replace(&mut *power, Power::Off(None)) {
            *power = Power::Off(Some(supervisor));
        }
        wait_for(&format!("{} to be dead", self.name()), POWER_LIMIT, || match state_of(leader) {
            None | Some('Z' | 'X') => Ok(()),
            Some(state) => Err(format!("process 1 is in state {state}")),
        })
    }

    /// Takes its power away: first it falls silent, then it dies. Nobody is told.
    pub fn power_loss(&self) -> Result<()> {
        self.pull_cable()?;
        self.crash()
    }

    /// Shuts it down cleanly, as `poweroff` does.
    pub fn shut_down(&self) -> Result<()> {
        let mut power = self.power.lock().expect("no holder of the power switch panics");
        let Power::On { supervisor, leader } = &mut *power else {
            return Err(LabError::PoweredOff { host: self.name().to_owned() });
        };
        // SIGRTMIN+4 is poweroff.target to systemd; it needs no working dbus inside.
        let signal = format!("-{}", 34 + 4);
        run("kill", &[&signal, &leader.to_string()])?;
        if wait_until(supervisor, Instant::now() + POWER_LIMIT)?.is_none() {
            let what = format!("{} to shut down", self.name());
            let last = what_still_runs(*leader);
            return Err(LabError::Waited { what, limit: POWER_LIMIT, last });
        }
        *power = Power::Off(None);
        Ok(())
    }

    /// Boots it again after a crash, a loss of power or a shutdown; returns when it is up.
    ///
    /// Its kernel remembers no connection of before, and its cable is plugged in.
    pub fn power_on(&self) -> Result<()> {
        self.network.detach(&self.host)?;
        self.network.attach(&self.host)?;
        self.boot()
    }

    /// Waits for the end of the supervisor of a machine that is off.
    pub(crate) fn reap(&self) {
        let mut power = self.power.lock().unwrap_or_else(PoisonError::into_inner);
        if let Power::Off(Some(supervisor)) = &mut *power
            && let Ok(Some(_)) = wait_until(supervisor, Instant::now() + POWER_LIMIT)
        {
            *power = Power::Off(None);
        }
    }

    /// Boots it and returns when its systemd has reached the default target.
    pub(crate) fn boot(&self) -> Result<()> {
        let mut power = self.power.lock().expect("no holder of the power switch panics");
        match &mut *power {
            Power::On { .. } => return Ok(()),
            Power::Off(None) => {}
            Power::Off(Some(supervisor)) => {
                if wait_until(supervisor, Instant::now() + POWER_LIMIT)?.is_none() {
                    let what = format!("the supervisor of {} to end", self.name());
                    let last = "it is alive".to_owned();
                    return Err(LabError::Waited { what, limit: POWER_LIMIT, last });
                }
                *power = Power::Off(None);
            }
        }
        let notices = self.folder.join("notices");
        let _ = fs::remove_file(&notices);
        let socket = UnixDatagram::bind(&notices).doing(|| "bind the notices".to_owned())?;
        let mut supervisor = self.supervise(&notices)?;
        let leader = self.await_ready(&socket, &mut supervisor)?;
        *power = Power::On { supervisor, leader };
        Ok(())
    }

    fn supervise(&self, notices: &Path) -> Result<Child> {
        let name = format!("{}-{}", self.run, self.name());
        let console = self.folder.join("console");
        let console = File::options()
            .create(true)
            .append(true)
            .open(&console)
            .doing(|| format!("open {}", console.display()))?;
        let errors = console.try_clone().doing(|| "share the console".to_owned())?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SUPERVISE, "supervise", &name])
            .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes"])
            .args(["--link-journal=no", "--resolv-conf=off", "--timezone=off"])
            .args(["--console=read-only", &format!("--machine={name}")])
            .arg(format!("--hostname={}", self.name()))
            .arg(format!("--network-namespace-path=/run/netns/{name}"))
            .arg(format!("--directory={}", self.root().display()))
            .arg(format!("--bind-ro={}:/opt/ha-observer/bin", self.bin_dir.display()))
            .env("NOTIFY_SOCKET", notices)
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors)
            // An interrupt from the keyboard is for us: we tidy up and end the machines.
            .process_group(0);
        command.spawn().doing(|| format!("boot {}", self.name()))
    }

    /// Reads the supervisor's notices: first which process is the leader, then that it is up.
    fn await_ready(&self, socket: &UnixDatagram, supervisor: &mut Child) -> Result<Pid> {
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .doing(|| "limit the wait for notices".to_owned())?;
        let deadline = Instant::now() + BOOT_LIMIT;
        let (mut leader, mut notice) = (None, [0; 4096]);
        loop {
            if let Ok(length) = socket.recv(&mut notice) {
                for line in String::from_utf8_lossy(&notice[..length]).lines() {
                    if let Some(pid) = line.strip_prefix("X_NSPAWN_LEADER_PID=") {
                        leader = pid.parse().ok().map(Pid::from_raw);
                    }
                    if let (true, Some(leader)) = (line == "READY=1", leader) {
                        return Ok(leader);
                    }
                }
            }
            let ended = supervisor.try_wait().doing(|| "look at the supervisor".to_owned())?;
            if ended.is_some() || Instant::now() >= deadline {
                let what = format!("{} to boot", self.name());
                let console = fs::read_to_string(self.folder.join("console")).unwrap_or_default();
                let lines: Vec<&str> = console.lines().rev().take(8).collect();
                let last = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(LabError::Waited { what, limit: BOOT_LIMIT, last });
            }
        }
    }

    /// The start of a command among its files while it is off.
    fn enter_files(&self) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.root()).env_clear().envs([("PATH", PATH), ("LANG", "C.UTF-8")]);
        command
    }
}

/// What a machine that ought to be off still has to do, and the processes that are left in it.
fn what_still_runs(leader: Pid) -> String {
    const LOOK: &str = "systemctl list-jobs --no-pager; ps -eo pid,ppid,stat,wchan:24,args";
    let target = format!("--target={leader}");
    let words = ["--mount", "--pid", "--root", "--wd", "--", "/bin/sh", "-c", LOOK];
    let state = state_of(leader);
    match run("nsenter", &[&[target.as_str()], &words[..]].concat()) {
        Ok(left) => format!("process 1 in state {state:?}, and\n{left}"),
        Err(error) => format!("process 1 in state {state:?}; no look inside: {error}"),
    }
}

/// The one-letter state of a process of this computer; `None` when there is no such process.
fn state_of(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}
