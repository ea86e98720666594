//! What is allowed is what is run, and sudo itself reads the file that says so.

use std::io::Write;
use std::process::{Command, Stdio};

use observer_core::policy::{Placement, Policy, Probed, ServiceSpec};

use super::*;
use crate::access::{DatabaseAccess, SshAccess};

fn ssh() -> SshAccess {
    SshAccess {
        address: "10.0.0.1".to_owned(),
        port: 22,
        user: "ha-observer".to_owned(),
        key: "/etc/ha-observer/id".into(),
        host_keys: Vec::new(),
    }
}

fn host(unit: &str, data: &str) -> Result<HostCommands, WorldError> {
    let access = |name: &str| HostAccess {
        name: name.into(),
        ssh: ssh(),
        database: DatabaseAccess {
            unit: unit.to_owned(),
            socket: "/var/run/postgresql/.s.PGSQL.5432".into(),
            address: "10.0.0.1".to_owned(),
            port: 5432,
            user: "ha_observer".to_owned(),
            database: "ha_observer".to_owned(),
            data_directory: data.into(),
            bin_directory: None,
            config_file: None,
            replication_user: "replicator".to_owned(),
            replication_options: None,
        },
        application: None,
        power: None,
    };
    let services = vec![ServiceSpec {
        name: "desk".into(),
        unit: "desk@1.service".to_owned(),
        placement: Placement::All,
        probed: Probed::Unit,
        start_deadline_ms: 1_000,
    }];
    let policy = Policy::default();
    let (hosts, proxies) = (vec!["node-a".into()], Vec::new());
    let spec = PairSpec { name: "desk".into(), hosts, proxies, services, policy };
    HostCommands::new(&access("node-a"), &spec, &[&access("node-b")])
}

fn proxy(config: &str) -> Result<ProxyCommands, WorldError> {
    ProxyCommands::new(&ProxyAccess {
        name: "proxy".into(),
        ssh: ssh(),
        runtime_socket: "/run/haproxy/admin.sock".into(),
        master_socket: None,
        config: config.into(),
        unit: "haproxy.service".to_owned(),
        servers: Vec::new(),
    })
}

fn text_of_both() -> String {
    let host = host("postgresql@15-main.service", "/var/lib/postgresql/15/main/").unwrap();
    let proxy = proxy("/etc/haproxy/haproxy.cfg").unwrap();
    let commands = [host.all(), proxy.all()].concat();
    sudoers("node-a", &BTreeMap::from([("ha-observer", commands)]))
}

#[test]
fn visudo_accepts_the_file() {
    let mut visudo = Command::new("/usr/sbin/visudo")
        .args(["-c", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("visudo runs: install the package sudo");
    visudo.stdin.take().unwrap().write_all(text_of_both().as_bytes()).unwrap();
    let output = visudo.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{}", text_of_both());
}

#[test]
fn every_rule_is_one_exact_command() {
    let text = text_of_both();
    let commands = text.lines().filter(|line| line.trim_start().starts_with('/'));
    let commands: Vec<&str> = commands.map(|line| line.trim().trim_end_matches(", \\")).collect();
    assert!(commands.len() > 20, "{text}");
    for command in commands {
        let (program, arguments) = command.split_once(' ').expect("no program without arguments");
        assert!(program.starts_with("/usr/"), "{command}");
        let unescaped = arguments.replace(r"\*", "").replace(r"\?", "");
        assert!(!unescaped.contains(['*', '?', '[', '!', '"']), "{command}");
    }
    let stop = "/usr/bin/systemctl --no-block stop postgresql@15-main.service";
    assert!(text.contains(stop), "{text}");
    let tombstone = "/usr/bin/install -o postgres -g postgres -m 0600 /dev/null \
                     /var/lib/postgresql/15/main/standby.signal";
    assert!(text.contains(tombstone), "{text}");
}

#[test]
fn a_value_that_sudoers_could_misread_is_refused() {
    let unspeakable = |value: &str| {
        let (machine, value) = ("node-a".to_owned(), value.to_owned());
        Err(WorldError::Unspeakable { machine, value })
    };
    let of_unit = |unit: &str| host(unit, "/data").map(drop);
    for unit in ["", "a b", "*.service", "a,b", "a\nb ALL=(ALL) ALL", "--force", "a\\x2db.service"]
    {
        assert_eq!(of_unit(unit), unspeakable(unit));
    }
    assert_eq!(host("a.service", "/data/../x y").map(drop), unspeakable("/data/../x y"));
    let relative = host("a.service", "data").map(drop);
    assert!(matches!(relative, Err(WorldError::NotAbsolute { .. })), "{relative:?}");
    assert!(proxy("/etc/ha proxy/haproxy.cfg").is_err());
}

#[test]
fn the_draft_is_beside_the_file_and_no_cfg() {
    let commands = proxy("/etc/haproxy/haproxy.cfg").unwrap();
    let put = commands.put.line();
    assert_eq!(
        put,
        "sudo -n -- /usr/bin/mv -T /etc/haproxy/.haproxy.cfg.ha-observer /etc/haproxy/haproxy.cfg"
    );
}
