//! The lab: real machines for scenarios, demo and benchmarks.
//!
//! Four Debian machines (`observer`, `proxy`, `node-a`, `node-b`), and others when asked for
//! (`proxy-2`; `app-1` to `app-3` in the place of `node-b`), boot with their own systemd, sshd,
//! PostgreSQL and HAProxy, each in a network namespace of its own, beside a `client` namespace from
//! which the load comes. It does not start the observer's daemon: that is for the scenario. Needs
//! root; [`LabError::Missing`] says what else is absent and what installs it.
//!
//! ```text
//!   client .30 ──┐         ┌── observer .10
//!                ├─ bridge ┼── proxy    .20   HAProxy :80 → desk, :5432 → desk_pg; PgBouncer :6432
//!                │  (hub)  ├── node-a   .11   primary, desk, desk-scheduler
//!                └─────────┴── node-b   .12   standby, desk          all in 10.80.0.0/24
//! ```
//!
//! Each disk is an overlay: base image (`scripts/lab-image`), above it the seed, above that what
//! this run changes, which is thrown away with the run.

mod assembly;
mod command;
mod error;
mod host;
mod machine;
mod network;
mod run;
mod seed;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use nix::fcntl::Flock;

use assembly::{Assembly, Disks};
pub use command::{Output, wait_for};
pub(crate) use error::Doing;
pub use error::{LabError, Result};
pub use host::{APPS, CLIENT, Host, MACHINES, SECOND_PROXY, SUBNET};
pub use machine::{Machine, Whom};
use seed::Seed;

/// PostgreSQL's unit in the nodes.
pub const POSTGRES_UNIT: &str = "postgresql@15-main.service";
/// The log that PostgreSQL writes on a node.
pub const POSTGRES_LOG: &str = "/var/log/postgresql/postgresql-15-main.log";
/// The sample application's unit.
pub const DESK_UNIT: &str = "desk.service";
/// The unit that must run on exactly one host.
pub const SCHEDULER_UNIT: &str = "desk-scheduler.service";

/// PgBouncer's unit on the proxies.
pub const PGBOUNCER_UNIT: &str = "pgbouncer.service";

/// Names a folder; when set, each lab leaves its machines' journals there.
const JOURNALS_VARIABLE: &str = "HA_OBSERVER_LAB_JOURNALS";
const CLIENT_LIMIT: Duration = Duration::from_secs(120);
const SERVICE_LIMIT: Duration = Duration::from_secs(30);

/// Whether a lab may run beside others on this computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It waits until none but those alongside are up: what measurements want.
    Alone,
    /// It waits for one of a few places, a place for each core: what tests want, which mostly wait.
    InTurn,
    /// It runs at once.
    Alongside,
}

/// Which services are started after the machines are up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// All in their roles: node-a is master, node-b is slave. Boot returns when both stream.
    InRole,
    /// None but sshd and HAProxy.
    None,
}

/// How many proxies stand in front of the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxies {
    /// `proxy` alone.
    One,
    /// `proxy` and `proxy-2`, which are configured alike; the load goes through the first.
    Two,
}

impl Proxies {
    /// Their machines' names.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::One => &["proxy"],
            Self::Two => &["proxy", SECOND_PROXY],
        }
    }
}

/// Which hosts stand behind the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// `node-a` and `node-b`: the application and a database on each.
    Nodes,
    /// Those of [`APPS`], which keep no database, and `node-a`, whose database is theirs.
    Apps,
}

impl Cast {
    fn has(self, name: &str) -> bool {
        match self {
            Self::Nodes => !APPS.contains(&name),
            Self::Apps => name != "node-b",
        }
    }
}

/// Whether a PgBouncer stands in front of the proxy's PostgreSQL frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooler {
    /// None runs.
    None,
    /// One runs on the machine `proxy`, port 6432.
    OnProxy,
}

/// What a lab is booted with.
#[derive(Debug, Clone)]
pub struct LabSpec {
    /// The text of `/etc/sudoers.d/ha-observer` per host; `None` leaves a host without.
    pub sudoers: fn(&str) -> Option<String>,
    /// The folder of this computer that every machine sees as `/opt/ha-observer/bin`.
    pub bin_dir: PathBuf,
    /// Whether it runs alone.
    pub turn: Turn,
    /// Which services it starts.
    pub services: Services,
    /// How many proxies it has.
    pub proxies: Proxies,
    /// Which hosts stand behind them.
    pub cast: Cast,
    /// Whether it has a PgBouncer.
    pub pooler: Pooler,
}

impl LabSpec {
    /// In turn, one proxy, all services in their roles, no sudo rules, and the binaries that lie
    /// beside the running program (`target/debug` for a test).
    #[must_use]
    pub fn standard() -> Self {
        Self {
            sudoers: |_| None,
            bin_dir: beside_this_program(),
            turn: Turn::InTurn,
            services: Services::InRole,
            proxies: Proxies::One,
            cast: Cast::Nodes,
            pooler: Pooler::None,
        }
    }
}

impl LabSpec {
    fn machines(&self) -> Vec<Host> {
        let proxy = |host: &Host| self.proxies == Proxies::Two || host.name != SECOND_PROXY;
        MACHINES.into_iter().filter(|host| proxy(host) && self.cast.has(host.name)).collect()
    }
}

/// A running lab. Dropping it removes every process, mount, namespace and file of it.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: first the machines go, then the next lab may come.
    assembly: Assembly,
    seed: Seed,
    bin_dir: PathBuf,
    _turn: Vec<Flock<File>>,
}

impl Lab {
    /// Boots all machines and starts the services that `spec` asks for.
    pub fn boot(spec: LabSpec) -> Result<Self> {
        let image = assembly::image()?;
        let turn = run::wait_for_turn(spec.turn)?;
        let seed = Seed::ensure(&image)?;
        let disks = Disks::Fresh { image: &image, seed: &seed };
        let assembly = Assembly::mount(&spec.machines(), &spec.bin_dir, &disks)?;
        for machine in assembly.machines() {
            if let Some(text) = (spec.sudoers)(machine.name()) {
                let path = "/etc/sudoers.d/ha-observer";
                machine.put_file(path, text.as_bytes(), 0o440, "root:root")?;
            }
        }
        assembly.boot()?;
        let lab = Self { assembly, seed, bin_dir: spec.bin_dir, _turn: turn };
        if spec.services == Services::InRole {
            lab.start_in_role()?;
        }
        if spec.pooler == Pooler::OnProxy {
            lab.machine("proxy").run(&["systemctl", "start", PGBOUNCER_UNIT])?;
        }
        Ok(lab)
    }

    /// The machine of that name.
    ///
    /// # Panics
    /// When the lab has no such machine, which is a mistake in the scenario.
    #[must_use]
    pub fn machine(&self, name: &str) -> &Machine {
        self.assembly.machine(name)
    }

    /// Its machines.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        self.assembly.machines()
    }

    /// The id that everything of this run bears.
    #[must_use]
    pub fn id(&self) -> &str {
        self.assembly.run().id()
    }

    /// The run's folder, which goes with it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.assembly.run().folder()
    }

    /// The private key that opens the account `ha-observer` on every host.
    #[must_use]
    pub fn ssh_key_path(&self) -> PathBuf {
        self.seed.ssh_key_path()
    }

    /// Connection settings of the sample application's database, through the proxy.
    pub fn sql_url(&self) -> Result<String> {
        let (host, password) = (self.machine("proxy").address(), self.seed.desk_password()?);
        Ok(format!("host={host} port=5432 user=desk password={password} dbname=desk"))
    }

    /// The same through the PgBouncer.
    pub fn pooled_url(&self) -> Result<String> {
        Ok(self.sql_url()?.replace("port=5432", "port=6432"))
    }

    /// The sample application's address through the proxy.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        SocketAddr::from((self.machine("proxy").address(), 80))
    }

    /// A program of the folder that the machines see as `/opt/ha-observer/bin`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    /// Drops everything between two machines, silently and in both directions.
    pub fn cut(&self, one: &str, other: &str) -> Result<()> {
        self.assembly.network().cut(&host::named(one), &host::named(other))
    }

    /// Ends a cut.
    pub fn heal(&self, one: &str, other: &str) -> Result<()> {
        self.assembly.network().heal(&host::named(one), &host::named(other))
    }

    /// Runs a program of this computer in the client's namespace to its end; it has two minutes.
    pub fn client_exec(&self, words: &[&str]) -> Result<Output> {
        command::finish(self.client_command().args(words), b"", CLIENT_LIMIT)
    }

    /// Starts a program of this computer in the client's namespace. It dies with the lab at latest.
    pub fn client_spawn(&self, words: &[&str]) -> Result<Child> {
        self.client_command().args(words).spawn().doing(|| format!("start {words:?}"))
    }

    /// The start of a command in the client's namespace, for callers that want its pipes.
    #[must_use]
    pub fn client_command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}-client", self.id())).arg("--");
        command
    }

    /// Runs a closure on a thread of its own whose sockets are in the client's namespace.
    ///
    /// # Panics
    /// As the closure does.
    pub fn in_client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let namespace = format!("{}-client", self.id());
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| network::enter(&namespace).map(|()| work()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Writes the journal of every machine, with all its boots, to `folder` as `<host>.journal`.
    /// It works for machines that are off, too.
    pub fn save_journals(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).doing(|| format!("create {}", folder.display()))?;
        for machine in self.machines() {
            let from = format!("--directory={}", machine.root().join("var/log/journal").display());
            let mut command = Command::new("journalctl");
            command.args(["--no-pager", "--quiet", "--output=short-precise", &from]);
            let text = command::finish(&mut command, b"", CLIENT_LIMIT)?.success()?;
            let file = folder.join(format!("{}.journal", machine.name()));
            std::fs::write(&file, text).doing(|| format!("write {}", file.display()))?;
        }
        Ok(())
    }

    /// Starts master and slave, and returns when the slave streams and users are served.
    fn start_in_role(&self) -> Result<()> {
        let start = |host: &str, units: &[&str]| {
            self.machine(host).run(&[&["systemctl", "start"][..], units].concat())
        };
        std::thread::scope(|scope| {
            let slave = scope.spawn(|| start("node-b", &[POSTGRES_UNIT, DESK_UNIT]));
            start("node-a", &[POSTGRES_UNIT, DESK_UNIT, SCHEDULER_UNIT])?;
            slave.join().expect("starting the slave does not panic")
        })?;
        wait_for("the slave to stream", SERVICE_LIMIT, || self.streaming())?;
        let address = self.http_address();
        self.in_client(|| {
            wait_for("users to be served", SERVICE_LIMIT, || {
                let answer = crate::http::get(address, "/healthcheck", Duration::from_secs(2))?;
                if answer.status == 200 { Ok(()) } else { Err(answer.body) }
            })
        })?
    }

    fn streaming(&self) -> std::result::Result<(), String> {
        let query = "select state from pg_stat_replication";
        match self.machine("node-a").sql("postgres", query) {
            Ok(state) if state == "streaming" => Ok(()),
            Ok(state) => Err(format!("state of replication: '{state}'")),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Lab {
    /// The journals go with the machines, unless whoever looks for a fault wants them kept.
    #[expect(clippy::print_stderr, reason = "a drop has nobody else to tell")]
    fn drop(&mut self) {
        let Some(folder) = std::env::var_os(JOURNALS_VARIABLE) else { return };
        let folder = Path::new(&folder).join(self.id());
        match self.save_journals(&folder) {
            Ok(()) => eprintln!("journals of {} are in {}", self.id(), folder.display()),
            Err(error) => eprintln!("journals of {} are not kept: {error}", self.id()),
        }
    }
}

/// `target/debug` for the tests in `target/debug/deps` and for the programs beside it.
fn beside_this_program() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let folder = program.parent().expect("a program lies in a folder");
    let deps = folder.file_name().is_some_and(|name| name == "deps");
    let bin = if deps { folder.parent().expect("deps lies in a folder") } else { folder };
    bin.to_owned()
}
