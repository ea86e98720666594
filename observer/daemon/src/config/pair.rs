//! Reads one pair's file: who its members are, where they are and how they are reached.
//!
//! It never says who is master: that is observed. Files named in it (the SSH key) are looked at
//! only when asked to, so that a file can be checked on another machine.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use observer_core::policy::{PairSpec, Probed, Store};
use observer_core::words::{BouncerName, HostName, PairName, ProxyName};
use observer_world::ssh::HostKey;

use super::access::{
    BouncerAccess, DatabaseAccess, HostAccess, HttpProbe, PairAccess, ProxyAccess, ProxyServer,
    SshAccess,
};
use super::address;
use super::external;
use super::fence::Fence;
use super::finding::{Finding, Weight};
use super::monitor;
use super::parity;
use super::policy;
use super::section::{Document, Section};

/// What a check may look at beside the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// Also the files that the text names.
    Files,
    /// The text alone.
    Text,
}

/// Reads a pair's file. All that is wrong in it is returned, not only the first finding.
/// Of a file that is right, what is odd in it comes along.
pub(crate) fn read(
    file: &Path,
    text: &str,
    reach: Reach,
) -> Result<(PairAccess, Vec<Finding>), Vec<Finding>> {
    let (document, table) = Document::parse(file, text);
    let access = {
        let root = document.root(&table);
        let access = read_root(&root, file, reach);
        root.finish();
        access
    };
    let findings = document.into_findings();
    let is_right = findings.iter().all(|finding| finding.weight == Weight::Odd);
    if is_right { Ok((access, findings)) } else { Err(findings) }
}

fn read_root(root: &Section<'_, '_>, file: &Path, reach: Reach) -> PairAccess {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("pair");
    let pair = root.table("pair");
    let name = pair.text("name").unwrap_or_else(|| stem.to_owned());
    if !is_name(&name) {
        pair.wrong("name", &format!("\"{name}\" cannot name a pair"), NAME_FIX);
    }
    pair.finish();
    let ssh = root.table("ssh");
    let database = root.table("database");
    let external = external::access(&database);
    let application = root.table("application");
    let tables = root.tables("service");
    let (services, readiness) = policy::services(&tables);
    let probed = services.iter().any(|service| service.probed == Probed::Health);
    let fence = Fence::read(root.table("fence"), reach);
    let (monitor, names) = (root.table("monitor_file"), BTreeSet::new());
    let mut readers = Readers { ssh, database, application, monitor, fence, reach, names };
    let host_tables = root.tables("host");
    let hosts: Vec<HostAccess> =
        host_tables.iter().map(|host| readers.host(host, probed)).collect();
    address::check_apart(&host_tables, &hosts);
    let names: Vec<HostName> = hosts.iter().map(|host| host.name.clone()).collect();
    let proxies: Vec<ProxyAccess> =
        root.tables("proxy").iter().map(|proxy| readers.proxy(proxy, &names)).collect();
    let bouncers: Vec<BouncerAccess> =
        root.tables("bouncer").iter().map(|bouncer| readers.bouncer(bouncer)).collect();
    let (sets, files) = super::files::sets(&root.tables("files"));
    let mount_tables = root.tables("mount");
    let mounts = super::mount::mounts(&mount_tables);
    let parity = parity::items(&root.tables("parity"));
    check_members(root, hosts.len(), proxies.len());
    let any_file = hosts.iter().any(|host| host.monitor.is_some());
    let monitor = monitor::spec(&readers.monitor, any_file);
    if any_file {
        each_has_a_monitor_file(&hosts, &host_tables);
        monitor::check_own_disk(&hosts, &mounts, &mount_tables);
    }
    readers.finish();
    let section = root.table("policy");
    let mut policy = policy::read(&section);
    policy::check_stops(&tables, &services, &policy);
    policy.power_fence = readers.fence.power_fence();
    if external.is_some() {
        external::check(root, (&policy, &section), (&services, &bouncers), &files, &parity);
    }
    readers.fence.check_grade(&policy, &section);
    let spec = PairSpec {
        name: PairName::new(&name),
        hosts: names,
        proxies: proxies.iter().map(|proxy| proxy.name.clone()).collect(),
        store: external::kind(&readers.database),
        sharing: proxies.iter().filter(|one| shares(one)).map(|one| one.name.clone()).collect(),
        bouncers: bouncers.iter().map(|bouncer| bouncer.name.clone()).collect(),
        services,
        files: sets,
        monitor,
        mounts: mounts.iter().map(|mount| mount.spec.clone()).collect(),
        policy,
    };
    PairAccess { spec, external, hosts, proxies, bouncers, files, mounts, parity, readiness }
}

/// A pair has somebody to take over, and something to keep users away by.
fn check_members(root: &Section<'_, '_>, hosts: usize, proxies: usize) {
    if hosts < 2 {
        root.wrong(
            "host",
            &format!("a pair needs at least two hosts, found {}", hosts),
            "write one [[host]] for each machine of the pair",
        );
    }
    if proxies == 0 {
        root.wrong(
            "proxy",
            "a pair needs at least one proxy: without it nobody can be fenced off",
            "write one [[proxy]] for each HAProxy machine in front of the pair",
        );
    }
}

fn shares(proxy: &ProxyAccess) -> bool {
    !proxy.every_host.is_empty()
}

fn each_has_a_monitor_file(hosts: &[HostAccess], tables: &[Section<'_, '_>]) {
    for (_, table) in hosts.iter().zip(tables).filter(|(host, _)| host.monitor.is_none()) {
        table.amiss(
            "other hosts have a monitor file, and this one has none",
            "write [monitor_file] for all, or [host.monitor_file] for each",
        );
    }
}

const NAME_FIX: &str = "use letters, digits, dots, dashes and underscores, 64 at most";
const KEY_FIX: &str = "run `ssh-keyscan -t ed25519 ADDRESS`, compare its fingerprint with \
    `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's own console, then write \
    host_keys = [\"ssh-ed25519 AAAA…\"]";

/// Where HAProxy's file is on every distribution.
const HAPROXY_CFG: &str = "/etc/haproxy/haproxy.cfg";

struct Readers<'d, 't> {
    ssh: Section<'d, 't>,
    database: Section<'d, 't>,
    application: Section<'d, 't>,
    monitor: Section<'d, 't>,
    fence: Fence<'d, 't>,
    reach: Reach,
    names: BTreeSet<String>,
}

impl<'d, 't> Readers<'d, 't> {
    fn host(&mut self, section: &Section<'d, 't>, probed: bool) -> HostAccess {
        let name = self.name(section, "node-a");
        let address = address(section);
        let ssh = self.ssh(section, &address);
        let database = section.table("database");
        let probe = section.table("application");
        let application = self.application(probe, &address);
        let port = application.as_ref().map(|probe| probe.port);
        let access = HostAccess {
            name: HostName::new(&name),
            ssh,
            database: self.database(database, &address),
            application,
            monitor: monitor::file(&section.table("monitor_file"), &self.monitor, port),
            power: self.fence.switch(section, &name, &address),
        };
        if probed && access.application.is_none() {
            section.amiss(
                "a service is probed by health, and there is no [application] to ask",
                "write [application] with port, path and status",
            );
        }
        section.finish();
        access
    }

    fn proxy(&mut self, section: &Section<'d, 't>, hosts: &[HostName]) -> ProxyAccess {
        let name = self.name(section, "proxy");
        let address = address(section);
        let path = |key, default: &str| absolute(section, key, Some(default)).unwrap_or_default();
        let unit = section.text("unit").unwrap_or_else(|| "haproxy.service".to_owned());
        check_unit(section, &unit);
        let access = ProxyAccess {
            name: ProxyName::new(&name),
            ssh: self.ssh(section, &address),
            runtime_socket: path("runtime_socket", "/run/haproxy/admin.sock"),
            master_socket: absolute(section, "master_socket", None),
            config: path("config", HAPROXY_CFG),
            real_config: absolute(section, "real_config", None),
            files: files(section),
            environment_file: absolute(section, "environment_file", None),
            directory: absolute(section, "directory", None),
            local_peer: local_peer(section),
            probe: frontend_probe(&section.table("probe")),
            unit,
            servers: servers(&section.tables("server"), hosts),
            every_host: every_host(section),
        };
        section.finish();
        access
    }

    fn bouncer(&mut self, section: &Section<'d, 't>) -> BouncerAccess {
        let name = self.name(section, "bouncer");
        let address = address(section);
        let port = section.number("port", 6_432, 1..=65_535);
        let default = "/var/run/postgresql";
        let directory = absolute(section, "socket_directory", Some(default)).unwrap_or_default();
        let access = BouncerAccess {
            name: BouncerName::new(&name),
            ssh: self.ssh(section, &address),
            socket: directory.join(format!(".s.PGSQL.{port}")),
            user: section.text("user").unwrap_or_else(|| "ha-observer".to_owned()),
            databases: section.texts("databases"),
        };
        section.finish();
        access
    }

    fn name(&mut self, section: &Section<'d, 't>, such_as: &str) -> String {
        let name = section.required("name", &format!("name it, like name = \"{such_as}\""));
        if name.is_empty() {
            return name;
        }
        if !is_name(&name) {
            section.wrong("name", &format!("\"{name}\" cannot name a machine"), NAME_FIX);
        } else if !self.names.insert(name.clone()) {
            section.wrong(
                "name",
                &format!("another machine of this pair is called \"{name}\""),
                "give each host, proxy and PgBouncer its own name",
            );
        }
        name
    }

    fn ssh(&self, section: &Section<'d, 't>, address: &str) -> SshAccess {
        let own = section.table("ssh");
        let ssh_address = address_or(&own, address);
        let ssh = Layered { own: &own, shared: &self.ssh };
        let user = ssh.text("user").unwrap_or_else(|| "ha-observer".to_owned());
        let key = ssh.text("key").unwrap_or_else(|| DEFAULT_KEY.to_owned());
        let port = ssh.section("port").number("port", 22, 1..=65_535) as u16;
        if self.reach == Reach::Files {
            check_key(ssh.section("key"), Path::new(&key));
        }
        own.finish();
        SshAccess {
            address: ssh_address,
            port,
            user,
            key: PathBuf::from(key),
            host_keys: host_keys(section),
        }
    }

    fn database(&self, own: Section<'d, 't>, address: &str) -> DatabaseAccess {
        if external::kind(&self.database) == Store::External {
            return external::of_host(&own, address);
        }
        let database = Layered { own: &own, shared: &self.database };
        let path = |key| absolute(database.section(key), key, None);
        let port = database.section("port").number("port", 5_432, 1..=65_535) as u16;
        let needs = |key, fix: &str| {
            let section = database.section(key);
            let text = section.required(key, fix);
            (section, text)
        };
        let (section, unit) = needs(
            "unit",
            "write unit = \"postgresql@15-main.service\", as \
            `systemctl list-units 'postgresql*'` shows it there",
        );
        if !unit.is_empty() {
            check_unit(section, &unit);
        }
        let (section, _) = needs("data_directory", "write what `show data_directory` says there");
        let access = DatabaseAccess {
            unit,
            socket: path("socket")
                .unwrap_or_else(|| format!("/var/run/postgresql/.s.PGSQL.{port}").into()),
            address: address_or(database.section("address"), address),
            port,
            user: database.text("user").unwrap_or_else(|| "ha_observer".to_owned()),
            database: database.text("name").unwrap_or_else(|| "ha_observer".to_owned()),
            data_directory: absolute(section, "data_directory", None).unwrap_or_default(),
            bin_directory: path("bin_directory"),
            config_file: path("config_file"),
            replication_user: database
                .text("replication_user")
                .unwrap_or_else(|| "replicator".to_owned()),
            replication_options: database.text("replication_options"),
        };
        own.finish();
        access
    }

    fn application(&self, own: Section<'d, 't>, address: &str) -> Option<HttpProbe> {
        if !own.is_present() && !self.application.is_present() {
            return None;
        }
        let probe = Layered { own: &own, shared: &self.application };
        let section = probe.section("path");
        let path = url_path(section);
        let http = Some(HttpProbe {
            address: address_or(probe.section("address"), address),
            port: probe.section("port").number("port", 8_080, 1..=65_535) as u16,
            path,
            host_header: probe.text("host_header"),
            status: probe.section("status").number("status", 200, 100..=599) as u16,
        });
        own.finish();
        http
    }

    fn finish(&self) {
        self.ssh.finish();
        self.database.finish();
        self.application.finish();
        self.monitor.finish();
    }
}

/// The request that proves a proxy's file once it is loaded.
fn frontend_probe(section: &Section<'_, '_>) -> Option<HttpProbe> {
    if !section.is_present() {
        return None;
    }
    let probe = HttpProbe {
        address: address_or(section, "127.0.0.1"),
        port: section.number("port", 80, 1..=65_535) as u16,
        path: url_path(section),
        host_header: section.text("host_header"),
        status: section.number("status", 200, 100..=599) as u16,
    };
    section.finish();
    Some(probe)
}

pub(super) fn url_path(section: &Section<'_, '_>) -> String {
    let path = section.text("path").unwrap_or_else(|| "/".to_owned());
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    if !path.starts_with('/') || !plain {
        section.wrong(
            "path",
            &format!("\"{path}\" is no path of a URL"),
            "write it like path = \"/healthcheck\"",
        );
    }
    path
}

const DEFAULT_KEY: &str = "/etc/ha-observer/ssh/id_ed25519";

/// A machine's own table over the one that all machines share.
pub(super) struct Layered<'a, 'd, 't> {
    pub(super) own: &'a Section<'d, 't>,
    pub(super) shared: &'a Section<'d, 't>,
}

impl<'a, 'd, 't> Layered<'a, 'd, 't> {
    /// The table that answers for `key`.
    pub(super) fn section(&self, key: &'static str) -> &'a Section<'d, 't> {
        self.own.knows(key);
        if self.own.has(key) { self.own } else { self.shared }
    }

    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        self.section(key).text(key)
    }
}

fn servers(sections: &[Section<'_, '_>], hosts: &[HostName]) -> Vec<ProxyServer> {
    let read = |section: &Section<'_, '_>| {
        let host = section.required("host", "name the host of this pair that the server leads to");
        if !host.is_empty() && !hosts.iter().any(|known| known.as_str() == host) {
            let known: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
            section.wrong(
                "host",
                &format!("no host of this pair is called \"{host}\""),
                &format!("use one of: {}", known.join(", ")),
            );
        }
        let server = ProxyServer {
            backend: section.required("backend", "name the backend as in haproxy.cfg"),
            server: section.required("server", "name the server as in haproxy.cfg"),
            host: HostName::new(&host),
        };
        section.finish();
        server
    };
    sections.iter().map(read).collect()
}

fn host_keys(section: &Section<'_, '_>) -> Vec<String> {
    let keys = section.texts("host_keys");
    if keys.is_empty() && !section.has("host_keys") {
        section.wrong(
            "host_keys",
            "is missing: a machine whose key is not pinned is not trusted",
            KEY_FIX,
        );
    } else if keys.is_empty() {
        section.wrong("host_keys", "is empty", KEY_FIX);
    }
    for key in &keys {
        if let Err(why) = key.parse::<HostKey>() {
            section.wrong("host_keys", &why.to_string(), KEY_FIX);
        }
    }
    keys
}

fn address(section: &Section<'_, '_>) -> String {
    let address = section.required("address", "write its address, like address = \"192.0.2.11\"");
    address::check(section, "address", &address);
    address
}

/// An address of a section's own, or else the one that holds without it.
fn address_or(section: &Section<'_, '_>, otherwise: &str) -> String {
    let own = section.text("address");
    own.inspect(|own| address::check(section, "address", own))
        .unwrap_or_else(|| otherwise.to_owned())
}

pub(super) fn absolute(
    section: &Section<'_, '_>,
    key: &'static str,
    default: Option<&str>,
) -> Option<PathBuf> {
    let text = section.text(key).or_else(|| default.map(str::to_owned))?;
    if !text.starts_with('/') {
        section.wrong(key, &format!("\"{text}\" is no absolute path"), "start it with /");
    }
    Some(PathBuf::from(text))
}

/// What the service loads: the changed file itself, or the folder that it lies in, is among it.
fn files(section: &Section<'_, '_>) -> Vec<PathBuf> {
    let files = section.texts("files");
    let config = section.text("config").unwrap_or_else(|| HAPROXY_CFG.to_owned());
    let folder = config.rsplit_once('/').map_or("", |(folder, _)| folder);
    let holds = |file: &String| *file == config || file.trim_end_matches('/') == folder;
    if !files.is_empty() && !files.iter().any(holds) {
        section.wrong(
            "files",
            &format!("\"{config}\" (`config`) is not among them"),
            "write every file and directory behind `-f` of the service, in order; `config` must \
             be one of them, or lie in one",
        );
    }
    if let Some(relative) = files.iter().find(|file| !file.starts_with('/')) {
        section.wrong("files", &format!("\"{relative}\" is no absolute path"), "start it with /");
    }
    files.into_iter().map(PathBuf::from).collect()
}

/// The backends whose users may go to every host.
fn every_host(section: &Section<'_, '_>) -> Vec<String> {
    let backends = section.texts("every_host");
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if let Some(bad) = backends.iter().find(|name| name.is_empty() || !name.chars().all(is_word)) {
        section.wrong(
            "every_host",
            &format!("\"{bad}\" cannot name a backend"),
            "write the names behind `backend` or `listen` in haproxy.cfg, like [\"desk\"]",
        );
    }
    let twice = backends.iter().enumerate().find(|(at, name)| backends[..*at].contains(name));
    if let Some((_, name)) = twice {
        section.wrong("every_host", &format!("\"{name}\" stands twice"), "write it once");
    }
    backends
}

fn local_peer(section: &Section<'_, '_>) -> Option<String> {
    let name = section.text("local_peer")?;
    if is_name(&name) {
        return Some(name);
    }
    section.wrong(
        "local_peer",
        &format!("\"{name}\" cannot name a HAProxy among peers"),
        "write what stands behind -L on the command line of HAProxy",
    );
    None
}

fn check_unit(section: &Section<'_, '_>, unit: &str) {
    if !policy::is_unit(unit) {
        section.wrong(
            "unit",
            &format!("\"{unit}\" is no service unit's name"),
            "write it as `systemctl` shows it, like postgresql@15-main.service",
        );
    }
}

/// A private key that others can read is as good as published.
fn check_key(section: &Section<'_, '_>, key: &Path) {
    match std::fs::metadata(key) {
        Ok(meta) if !meta.is_file() => {
            section.wrong("key", &format!("{} is no file", key.display()), "name the private key");
        }
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => section.wrong(
            "key",
            &format!(
                "{} can be read by others (mode {:o})",
                key.display(),
                meta.permissions().mode() & 0o777
            ),
            &format!("chmod 600 {}", key.display()),
        ),
        Ok(_) => {}
        Err(why) => section.wrong(
            "key",
            &format!("{}: {why}", key.display()),
            &format!("ssh-keygen -t ed25519 -N '' -f {}, owned by ha-observer", key.display()),
        ),
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(['-', '.'])
}
