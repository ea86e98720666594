//! A stage: the lab with the real daemon installed in its observer machine, as an administrator
//! would install it, protecting the pair. Scenarios, demo and benchmarks play on it.
//!
//! It asserts nothing; it sets, breaks, asks and reads.

mod aim;
mod apps;
mod bmc;
mod books;
mod files;
mod harm;
mod promise;
mod told;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use aim::{DONE, Harmed, Hook, ORDER_PID, REFUSED, Steps, UNDONE};
pub use apps::AppSpec;
pub use bmc::{Bmc, Mood};
pub use books::{Booked, Load};
pub use files::{ATTACHMENTS, FileSets, PASS_FOLDER};
pub use harm::other;
pub use promise::Promise;
pub use told::{Told, texts};

use crate::lab::{
    Lab, LabError, LabSpec, Machine, Output, POSTGRES_LOG, POSTGRES_UNIT, Pooler, Proxies, Result,
    SECOND_PROXY, wait_for,
};

/// The unit of the daemon in the observer machine.
pub const OBSERVER_UNIT: &str = "ha-observer.service";

const CONFIG: &str = "/etc/ha-observer/pairs/desk.toml";
/// What to do about an old master that is back: nothing, until a person says so.
pub const ON_RETURN_ASK: (&str, &str) = ("on_return", "\"ask\"");
/// How long a healthy pair may take to be told protected after the daemon's start.
const PROTECTED_LIMIT: Duration = Duration::from_secs(30);

/// What the observer of a stage can switch the machines' power with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerSwitch {
    /// Nothing.
    None,
    /// A management controller, which answers while [`Stage::beside_bmc`] plays.
    Controller,
}

/// What a stage is set with.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// The lab under it.
    pub lab: LabSpec,
    /// Settings of the policy that differ from the shipped defaults, as `(key, value)` in TOML.
    pub policy: Vec<(&'static str, &'static str)>,
    /// What the observer can switch the machines' power with.
    pub power: PowerSwitch,
    /// Environment of the daemon, for tests that make it crash.
    pub environment: Vec<(&'static str, String)>,
    /// Whether the guard is in the databases' units.
    pub guard: Guard,
    /// Whether the slave keeps a copy of the desk's attachments.
    pub files: FileSets,
    /// More of the pair's file, such as services.
    pub sections: Vec<String>,
}

/// Whether a replaced master is kept from starting by its own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It is in place, as the README says.
    InPlace,
    /// It was forgotten.
    Missing,
}

impl StageSpec {
    /// The shipped defaults.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            lab: LabSpec::standard(),
            policy: Vec::new(),
            power: PowerSwitch::None,
            environment: Vec::new(),
            guard: Guard::InPlace,
            files: FileSets::None,
            sections: Vec::new(),
        }
    }

    /// The shipped defaults, but for an old master that is back: it waits for a person, so that a
    /// scenario ends where its failover ends.
    #[must_use]
    pub fn asking() -> Self {
        Self { policy: vec![ON_RETURN_ASK], ..Self::standard() }
    }
}

/// The lab with the daemon in it.
pub struct Stage {
    /// The machines.
    pub lab: Lab,
    prints_logs: bool,
}

impl Stage {
    /// Boots, installs, starts, and waits until the pair is protected.
    pub fn set(spec: &StageSpec) -> Result<Self> {
        let stage = Self { lab: Lab::boot(spec.lab.clone())?, prints_logs: true };
        stage.install(spec)?;
        stage.start_observer()?;
        stage.wait_protected()?;
        Ok(stage)
    }

    /// The same, ending in silence: for programs whose output somebody reads.
    #[must_use]
    pub fn without_logs(mut self) -> Self {
        self.prints_logs = false;
        self
    }

    /// A stage on which an old master that is back waits for a person.
    pub fn asking() -> Result<Self> {
        Self::set(&StageSpec::asking())
    }

    /// A stage with the shipped defaults.
    pub fn standard() -> Result<Self> {
        Self::set(&StageSpec::standard())
    }

    /// The machine the daemon runs in.
    #[must_use]
    pub fn observer(&self) -> &Machine {
        self.lab.machine("observer")
    }

    fn install(&self, spec: &StageSpec) -> Result<()> {
        let config = self.config(spec)?;
        self.observer().put_file(CONFIG, config.as_bytes(), 0o644, "root:root")?;
        if spec.power == PowerSwitch::Controller {
            self.install_fence()?;
        }
        if !spec.environment.is_empty() {
            self.set_environment(&spec.environment)?;
        }
        self.install_daemon()?;
        self.install_rules(spec)?;
        self.install_files(spec.files)?;
        if spec.guard == Guard::InPlace {
            self.put_guard("node-a")?;
            self.put_guard("node-b")?;
        }
        Ok(())
    }

    /// The daemon's own file and unit, beside a pair's file that is there already.
    fn install_daemon(&self) -> Result<()> {
        let observer = self.observer();
        let daemon = observer.run(&["ha-observer", "config", "--default", "observer"])?;
        observer.put_file(
            "/etc/ha-observer/observer.toml",
            daemon.as_bytes(),
            0o644,
            "root:root",
        )?;
        observer.run(&["chown", "-R", "ha-observer:ha-observer", "/etc/ha-observer/ssh"])?;
        let unit =
            std::fs::read(Path::new(REPOSITORY).join("systemd/ha-observer.service")).map_err(
                |source| LabError::Io { doing: "read the daemon's unit".to_owned(), source },
            )?;
        let path = format!("/etc/systemd/system/{OBSERVER_UNIT}");
        observer.put_file(&path, &unit, 0o644, "root:root")?;
        observer.run(&["systemctl", "daemon-reload"])?;
        observer.run(&["ha-observer", "config", "check"]).map(drop)
    }

    /// Puts the sudoers file that the observer prints now on every machine it enters.
    pub fn install_rules(&self, spec: &StageSpec) -> Result<()> {
        for &name in ["node-a", "node-b"].iter().chain(spec.lab.proxies.names()) {
            self.install_rules_of(name)?;
        }
        Ok(())
    }

    fn install_rules_of(&self, name: &str) -> Result<()> {
        let rules = self.observer().run(&["ha-observer", "config", "sudoers", name])?;
        let machine = self.lab.machine(name);
        let text = format!("{rules}\n");
        machine.put_file("/etc/sudoers.d/ha-observer", text.as_bytes(), 0o440, "root:root")?;
        machine.run(&["visudo", "-c", "-q"]).map(drop)
    }

    /// Puts the guard into the database's unit of a node.
    fn put_guard(&self, node: &str) -> Result<()> {
        let text = self.observer().run(&["ha-observer", "config", "guard", node])?;
        let machine = self.lab.machine(node);
        let folder = format!("/etc/systemd/system/{POSTGRES_UNIT}.d");
        machine.run(&["mkdir", "-p", &folder])?;
        let path = format!("{folder}/ha-observer-guard.conf");
        machine.put_file(&path, format!("{text}\n").as_bytes(), 0o644, "root:root")?;
        machine.run(&["systemctl", "daemon-reload"])?;
        Ok(())
    }

    /// Gives the running daemon another configuration of the pair.
    pub fn reconfigure(&self, spec: &StageSpec) -> Result<()> {
        let config = self.config(spec)?;
        self.observer().put_file(CONFIG, config.as_bytes(), 0o644, "root:root")?;
        self.observer().run(&["systemctl", "reload", OBSERVER_UNIT])?;
        Ok(())
    }

    /// Sets the daemon's environment for its next start; an empty list takes it away.
    pub fn set_environment(&self, variables: &[(&str, String)]) -> Result<()> {
        let mut text = "[Service]\n".to_owned();
        for (name, value) in variables {
            text.push_str(&format!("Environment={name}={value}\n"));
        }
        let path = format!("/etc/systemd/system/{OBSERVER_UNIT}.d/test.conf");
        self.observer().run(&["mkdir", "-p", &format!("/etc/systemd/system/{OBSERVER_UNIT}.d")])?;
        self.observer().put_file(&path, text.as_bytes(), 0o644, "root:root")?;
        self.observer().run(&["systemctl", "daemon-reload"])?;
        Ok(())
    }

    /// The pair's file: the shipped default with this lab's addresses and keys in it.
    fn config(&self, spec: &StageSpec) -> Result<String> {
        let mut text = self.observer().run(&["ha-observer", "config", "--default", "pair"])?;
        let mut members =
            vec![("192.0.2.11", "node-a"), ("192.0.2.12", "node-b"), ("192.0.2.10", "proxy")];
        if spec.lab.proxies == Proxies::Two {
            text = with_second_proxy(&text);
            members.push((SECOND_PROXY_SHOWN, SECOND_PROXY));
        }
        for (shown, name) in members {
            let machine = self.lab.machine(name);
            text = text.replace(&format!("address = \"{shown}\""), &address_line(machine));
            let key = machine.host_key()?;
            let words: Vec<&str> = key.split_whitespace().take(2).collect();
            text = text.replacen("ssh-ed25519 REPLACE-THIS-KEY", &words.join(" "), 1);
        }
        if spec.lab.pooler == Pooler::OnProxy {
            text += &bouncer(self.lab.machine("proxy"))?;
        }
        text = text.replace("\n[policy]", &format!("{}\n[policy]", spec.files.sections()));
        for section in &spec.sections {
            text = text.replace("\n[policy]", &format!("{section}\n[policy]"));
        }
        if spec.power == PowerSwitch::Controller {
            let section = format!("\n{}[policy]", bmc::FENCE_SECTION);
            text = text.replace("\n[policy]", &section);
        }
        for (key, value) in &spec.policy {
            let was = text.lines().find(|line| line.starts_with(&format!("{key} =")));
            let was = was.unwrap_or_else(|| panic!("the default file has no `{key}`")).to_owned();
            text = text.replace(&was, &format!("{key} = {value}"));
        }
        Ok(text)
    }

    /// Starts the daemon, which returns once it says that it is ready.
    pub fn start_observer(&self) -> Result<()> {
        self.observer().run(&["systemctl", "start", OBSERVER_UNIT])?;
        Ok(())
    }

    /// Runs a command of the command line in the observer machine.
    pub fn ask(&self, words: &[&str]) -> Result<Output> {
        let mut all = vec!["ha-observer"];
        all.extend_from_slice(words);
        self.observer().exec(&all)
    }

    /// The pair's part of `status -o json`.
    pub fn status(&self) -> Result<Value> {
        let output = self.ask(&["status", "-o", "json"])?;
        let status: Value = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
        Ok(status["pairs"][0].clone())
    }

    /// Every event, oldest first.
    pub fn events(&self) -> Result<Vec<Value>> {
        let output = self.ask(&["events", "--limit", "10000", "-o", "json"])?;
        Ok(told::parse(&output.stdout))
    }

    /// Waits until the pair is protected.
    pub fn wait_protected(&self) -> Result<()> {
        self.wait_status("the pair to be protected", PROTECTED_LIMIT, |status| {
            status["protected"] == true
        })
    }

    /// Waits until `status` shows what `wanted` says.
    pub fn wait_status(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        wait_for(what, limit, || {
            let status = self.status().map_err(|error| error.to_string())?;
            if wanted(&status) { Ok(()) } else { Err(status.to_string()) }
        })
    }

    /// Waits until `host` is the master and no plan is open.
    pub fn wait_master(&self, host: &str, limit: Duration) -> Result<()> {
        let waited = self.wait_status(&format!("{host} to be the master"), limit, |status| {
            status["master"] == host && status["plan"].is_null()
        });
        // What was tried instead says why.
        waited.map_err(|error| match error {
            LabError::Waited { what, limit, last } => {
                let told = self.events().map(|events| texts(&events)).unwrap_or_default();
                LabError::Waited { what, limit, last: format!("{last}\n{told}") }
            }
            other => other,
        })
    }

    /// Waits until the pair is not protected for this cause.
    pub fn wait_cause(&self, cause: &str, limit: Duration) -> Result<()> {
        self.wait_status(&format!("the cause {cause}"), limit, |status| status["cause"] == cause)
    }

    /// Watches for `time` that the pair's master stays `host`.
    pub fn stays_master(&self, host: &str, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let status = self.status()?;
            assert_eq!(status["master"], host, "{status}");
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// How often each host was promoted, by the timelines of PostgreSQL itself.
    pub fn timeline(&self, host: &str) -> Result<u32> {
        let sql =
            "select ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int";
        Ok(self.lab.machine(host).sql("postgres", sql)?.trim().parse().unwrap_or(0))
    }
}

/// What the observer told goes to the test's output, which is shown only if the test failed: a
/// failure seen once, on a machine that is gone, is then not one seen for nothing.
impl Drop for Stage {
    #[expect(clippy::print_stdout, reason = "the harness keeps it, and shows it after a failure")]
    fn drop(&mut self) {
        if !self.prints_logs {
            return;
        }
        let words = ["journalctl", "--unit", OBSERVER_UNIT, "--output", "short-precise"];
        let quiet = ["--no-pager", "--no-hostname", "--lines", "2000"];
        match self.observer().exec_within(TOLD_LIMIT, &[&words[..], &quiet].concat()) {
            Ok(told) => println!("what the observer told:\n{}", told.stdout),
            Err(error) => println!("what the observer told cannot be read: {error}"),
        }
        let nodes = ["node-a", "node-b"].into_iter();
        let there = |node: &&str| self.lab.machines().iter().any(|one| one.name() == *node);
        for node in nodes.filter(there) {
            let words = ["tail", "-n", "300", POSTGRES_LOG];
            if let Ok(log) = self.lab.machine(node).exec_within(TOLD_LIMIT, &words) {
                println!("what the database on {node} told:\n{}", log.stdout);
            }
        }
    }
}

/// How long reading the observer's log may take at the end of a test.
const TOLD_LIMIT: Duration = Duration::from_secs(10);

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What stands for the second proxy's address until the lab's own is put in.
const SECOND_PROXY_SHOWN: &str = "192.0.2.9";

/// The default file with its one proxy written down a second time, under the second one's name.
fn with_second_proxy(text: &str) -> String {
    let from = text.find("[[proxy]]").expect("the default file has a proxy");
    let until = text[from..].find("\n# ---").expect("another part follows the proxy") + from;
    let second = text[from..until]
        .replace("name = \"proxy\"", &format!("name = \"{SECOND_PROXY}\""))
        .replace("192.0.2.10", SECOND_PROXY_SHOWN);
    format!("{}{second}{}", &text[..until], &text[until..])
}

/// The PgBouncer's part of the file.
fn bouncer(machine: &Machine) -> Result<String> {
    let key = machine.host_key()?;
    let words: Vec<&str> = key.split_whitespace().take(2).collect();
    let (address, key) = (address_line(machine), words.join(" "));
    Ok(format!("\n[[bouncer]]\nname = \"bouncer\"\n{address}\nhost_keys = [\"{key}\"]\n"))
}

fn address_line(machine: &Machine) -> String {
    format!("address = \"{}\"", machine.address())
}
