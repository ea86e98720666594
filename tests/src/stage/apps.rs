//! A stage of hosts that all serve and keep no database: the application of an example profile on
//! the machines `app-1` to `app-3`, as its installer would leave it, and the observer with that
//! very profile. Their database is that of `node-a`.

use std::time::Duration;

use super::Stage;
use crate::lab::{APPS, Cast, Lab, LabSpec, Machine, POSTGRES_UNIT, Result, Services, wait_for};

const HAPROXY_CFG: &str = include_str!("../../../systemd/examples/haproxy-active-hosts.cfg");
/// How long the profile's pair may take to be told protected after the daemon's start.
const PROTECTED_LIMIT: Duration = Duration::from_secs(60);
/// How long users and services may take to be where they belong.
const PLACED_LIMIT: Duration = Duration::from_secs(30);

/// What such a stage is set with.
pub struct AppSpec<'a> {
    /// The pair's name, which is the profile's.
    pub name: &'a str,
    /// The shipped profile.
    pub profile: &'a str,
    /// More of the pair's file.
    pub more: &'a str,
    /// Units of every host, each with what follows `desk` on its command line; none where it only
    /// runs.
    pub units: &'a [(&'a str, Option<&'a str>)],
    /// The units that run at first: those of every host, and those of `app-1` alone.
    pub everywhere: &'a [&'a str],
    /// The singletons.
    pub singletons: &'a [&'a str],
    /// Whether the profile has file sets.
    pub copies_files: bool,
    /// What else is on each host.
    pub install: &'a dyn Fn(&Stage, &Machine) -> Result<()>,
}

impl Stage {
    /// Boots, installs, starts, and waits until the pair is protected.
    pub fn set_apps(spec: &AppSpec<'_>) -> Result<Self> {
        let lab = LabSpec { cast: Cast::Apps, services: Services::None, ..LabSpec::standard() };
        let stage = Self { lab: Lab::boot(lab)?, prints_logs: true };
        stage.lab.machine("node-a").run(&["systemctl", "start", POSTGRES_UNIT])?;
        for host in APPS {
            stage.install_app(spec, stage.lab.machine(host))?;
        }
        let proxy = stage.lab.machine("proxy");
        let path = "/etc/haproxy/haproxy.cfg";
        proxy.put_file(path, HAPROXY_CFG.as_bytes(), 0o644, "root:root")?;
        proxy.run(&["systemctl", "restart", "haproxy.service"])?;
        for &unit in spec.singletons {
            stage.lab.machine(APPS[0]).run(&["systemctl", "start", unit])?;
        }
        stage.install_profile(spec)?;
        stage.start_observer()?;
        stage.wait_status("the pair to be protected", PROTECTED_LIMIT, |status| {
            status["protected"] == true
        })?;
        Ok(stage)
    }

    fn install_app(&self, spec: &AppSpec<'_>, machine: &Machine) -> Result<()> {
        for (unit, verb) in spec.units {
            let command = verb.map_or_else(
                || "/usr/bin/sleep infinity".to_owned(),
                |verb| format!("/opt/ha-observer/bin/desk {verb}"),
            );
            let text = format!("[Service]\nUser=desk\nExecStart={command}\n");
            let path = format!("/etc/systemd/system/{unit}");
            machine.put_file(&path, text.as_bytes(), 0o644, "root:root")?;
        }
        (spec.install)(self, machine)?;
        machine.run(&["systemctl", "daemon-reload"])?;
        for unit in spec.everywhere {
            machine.run(&["systemctl", "start", unit])?;
        }
        Ok(())
    }

    /// The profile with this lab's addresses and keys, and what it asks of the machines.
    fn install_profile(&self, spec: &AppSpec<'_>) -> Result<()> {
        let mut text = spec.profile.to_owned();
        let members = [
            ("192.0.2.21", APPS[0]),
            ("192.0.2.22", APPS[1]),
            ("192.0.2.23", APPS[2]),
            ("192.0.2.10", "proxy"),
        ];
        for (shown, name) in members {
            let machine = self.lab.machine(name);
            text = text.replace(shown, &machine.address().to_string());
            let key = machine.host_key()?;
            let words: Vec<&str> = key.split_whitespace().take(2).collect();
            text = text.replacen("ssh-ed25519 REPLACE-THIS-KEY", &words.join(" "), 1);
        }
        let database = self.lab.machine("node-a").address().to_string();
        text = text.replace("192.0.2.30", &database).replace("port = 1433", "port = 5432");
        let observer = self.observer();
        let path = format!("/etc/ha-observer/pairs/{}.toml", spec.name);
        let whole = format!("{text}{}", spec.more);
        observer.put_file(&path, whole.as_bytes(), 0o644, "root:root")?;
        self.install_daemon()?;
        for name in APPS.into_iter().chain(["proxy"]) {
            self.install_rules_of(name)?;
        }
        if spec.copies_files {
            self.install_file_keys(&APPS)?;
        }
        Ok(())
    }

    /// Waits until the proxy lets users in to exactly these, running and in its file.
    pub fn wait_users_go_to(&self, hosts: &[&str]) -> Result<()> {
        self.wait_status(&format!("users to go to {hosts:?}"), PLACED_LIMIT, |status| {
            let shares = &status["proxies"][0]["shares"];
            let wanted = serde_json::json!(hosts);
            shares["lets_in"] == wanted && shares["file_lets_in"] == wanted
        })
    }

    /// Waits until a unit runs on `host` and on no other of these hosts, which are up.
    pub fn wait_runs_alone(&self, unit: &str, host: &str, hosts: &[&str]) -> Result<()> {
        wait_for(&format!("{unit} to run on {host} alone"), PLACED_LIMIT, || {
            let mut on = Vec::new();
            for name in hosts {
                let output = self.lab.machine(name).exec(&["systemctl", "is-active", unit]);
                if output.map_err(|error| error.to_string())?.status.success() {
                    on.push(*name);
                }
            }
            if on == [host] { Ok(()) } else { Err(format!("{on:?}")) }
        })
    }
}
