//! What is allowed is what is run, and sudo itself reads the file that says so.

use std::io::Write;
use std::process::{Command, Stdio};

use observer_core::mounts::{MountAccess, MountSpec};
use observer_core::parity::{Item, Mending, Secrecy};
use observer_core::policy::{Placement, Policy, Probed, ServiceSpec, UserWait};
use observer_core::validate::Severity;

use super::*;
use crate::access::{DatabaseAccess, ParitySource, ReadinessQuestion, SshAccess};
use crate::keys::Format;

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
    leased(unit, data, None)
}

fn access(name: &str, unit: &str, data: &str) -> HostAccess {
    HostAccess {
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
        monitor: None,
    }
}

fn leased(unit: &str, data: &str, lease_ms: Option<u64>) -> Result<HostCommands, WorldError> {
    let access = |name: &str| access(name, unit, data);
    let services = vec![ServiceSpec {
        name: "desk".into(),
        unit: "desk@1.service".to_owned(),
        placement: Placement::All,
        probed: Probed::Unit,
        readiness: None,
        users: UserWait::GoOn,
        start_deadline_ms: 1_000,
        stop_deadline_ms: None,
    }];
    let policy = Policy { lease_ms, ..Policy::default() };
    let (hosts, proxies) = (vec!["node-a".into()], Vec::new());
    let spec = PairSpec {
        name: "desk".into(),
        hosts,
        proxies,
        store: observer_core::policy::Store::OnHosts,
        sharing: Vec::new(),
        bouncers: Vec::new(),
        files: Vec::new(),
        monitor: None,
        mounts: Vec::new(),
        services,
        policy,
    };
    HostCommands::new(&access("node-a"), &spec, &[&access("node-b")], &[proxy_access("/etc/h")])
}

fn proxy_access(config: &str) -> ProxyAccess {
    ProxyAccess {
        every_host: Vec::new(),
        name: "proxy".into(),
        ssh: ssh(),
        runtime_socket: "/run/haproxy/admin.sock".into(),
        master_socket: None,
        config: config.into(),
        real_config: None,
        files: Vec::new(),
        environment_file: None,
        directory: None,
        local_peer: None,
        probe: None,
        unit: "haproxy.service".to_owned(),
        servers: Vec::new(),
    }
}

fn proxy(config: &str) -> Result<ProxyCommands, WorldError> {
    ProxyCommands::new(&proxy_access(config))
}

fn key(file: &str, user: Option<&str>) -> ParityItem {
    let item = Item {
        name: file.to_owned(),
        what: String::new(),
        severity: Severity::Severe,
        secrecy: Secrecy::Secret,
        same_as: None,
        mending: Mending::Copy,
    };
    let (format, key) = (Format::Env, "PASSWORD".to_owned());
    let source = ParitySource::Key { file: file.into(), format, key };
    ParityItem { item, source, user: user.map(str::to_owned) }
}

fn parity(items: &[ParityItem]) -> Vec<ParityCommands> {
    ParityCommands::all("node-a", "ha-observer", items).unwrap()
}

/// Reading takes the named account's rights; what may not be copied asks for no right to write,
/// and what the login itself reads asks for none at all.
#[test]
fn parity_asks_for_no_more_than_it_uses() {
    let lines = |item: ParityItem| -> Vec<String> {
        parity(&[item])[0].privileged().into_iter().map(Privileged::line).collect()
    };
    assert_eq!(lines(key("/opt/d/x.env", None)), Vec::<String>::new());
    assert_eq!(lines(key("/opt/d/x.env", Some("ha-observer"))), Vec::<String>::new());
    let mut by_hand = key("/opt/d/x.env", Some("desk"));
    by_hand.item.mending = Mending::ByHand;
    let looks = lines(by_hand);
    assert_eq!(looks.len(), 3, "{looks:?}");
    assert!(looks.iter().all(|line| line.starts_with("sudo -n -u desk -- ")), "{looks:?}");
    let all = lines(key("/opt/d/x.env", Some("root")));
    let keep = "/usr/bin/sh -c 'k=/opt/d/x.env.ha-observer-$(/usr/bin/date -u +%Y%m%dT%H%M%SZ) && \
                /usr/bin/cp --preserve=all -T /opt/d/x.env $k && echo $k'";
    assert!(all.contains(&format!("sudo -n -- {keep}")), "{all:?}");
    let spaced = ParityCommands::all("node-a", "x", &[key("/opt/a b/x.env", None)]);
    assert!(matches!(spaced, Err(WorldError::Unspeakable { .. })));
}

/// A command that asks a service, as one account and with its deadline.
fn probe(words: &[&str], user: &str) -> ReadinessProbe {
    let words = words.iter().map(|&word| word.to_owned()).collect();
    let question = ReadinessQuestion::Command { words, user: user.to_owned() };
    ReadinessProbe { service: "desk".into(), deadline_ms: 2_500, question }
}

/// It runs as its own account, ends at its deadline by itself, and fills no log.
#[test]
fn a_readiness_probe_is_one_exact_look() {
    let asking = |probe: ReadinessProbe| {
        let host = host("a.service", "/data").unwrap();
        host.asking(&access("node-a", "a.service", "/data"), &[probe])
    };
    let commands = asking(probe(&["/opt/desk/ready", "--of=all"], "desk")).unwrap();
    let line = "sudo -n -u desk -- /usr/bin/timeout --signal=KILL 2.500 /opt/desk/ready --of=all";
    let known: Vec<String> = commands.all().into_iter().map(Privileged::line).collect();
    assert!(known.contains(&line.to_owned()), "{known:?}");
    let text = sudoers("node-a", &BTreeMap::from([("ha-observer", commands.allowed())]));
    let rule = r"/usr/bin/timeout --signal\=KILL 2.500 /opt/desk/ready --of\=all";
    let looks = text.split("Cmnd_Alias").find(|part| part.contains(rule)).expect("it is allowed");
    assert!(looks.contains("!syslog") && looks.contains("ALL=(desk) NOPASSWD"), "{text}");
    let own = asking(probe(&["/opt/desk/ready", "a b*"], "ha-observer")).unwrap();
    assert!(own.all().iter().all(|command| !command.line().contains("timeout")), "no sudo");
    for words in [&["/opt/desk/ready", "a b"][..], &["/opt/desk/ready", "*"], &["/opt/re,ady\n"]] {
        let refused = asking(probe(words, "desk")).map(drop);
        assert!(matches!(refused, Err(WorldError::Unspeakable { .. })), "{words:?}");
    }
    assert!(asking(probe(&["/opt/desk/ready"], "desk ALL")).is_err());
}

fn trying(path: &str, user: &str) -> Result<HostCommands, WorldError> {
    let spec = MountSpec {
        name: "keys".into(),
        path: path.to_owned(),
        source: None,
        access: MountAccess::ReadWrite,
        low_bytes: 0,
        low_ms: 0,
        every_ms: 10_000,
        deadline_ms: 2_000,
        severity: Severity::Severe,
    };
    let mount = MountPoint { spec, user: user.to_owned() };
    let host = host("a.service", "/data")?;
    host.trying(&access("node-a", "a.service", "/data"), &"desk".into(), &[mount])
}

/// The service's account tries it; its folder may be called by anything that a
/// sudoers file can carry.
#[test]
fn a_mount_is_tried_by_exact_commands() {
    let commands = trying("/srv/it's \"a\"  b, #1/", "desk").unwrap();
    let text = sudoers("node-a", &BTreeMap::from([("ha-observer", commands.allowed())]));
    accepted(&text);
    let own = r#" /srv/it's\ "a"\ \ b\,\ \#1 .ha-observer-node-a.desk"#;
    assert_eq!(text.matches(own).count(), 4, "probe, leave, see, drop: {text}");
    let lines: Vec<String> = commands.all().into_iter().map(Privileged::line).collect();
    let probes = lines.iter().filter(|line| {
        line.starts_with("sudo -n -u desk -- /usr/bin/env LC_ALL=C /usr/bin/sh -c ")
    });
    assert_eq!(probes.count(), 4, "{lines:?}");
    let locks = "sudo -n -- /usr/bin/install -d -m 0700 -o ha-observer /run/ha-observer-mounts";
    assert!(lines.contains(&locks.to_owned()), "{lines:?}");
    let own = trying("/srv/a\\b", "ha-observer").unwrap();
    assert!(own.all().iter().all(|command| !command.line().contains("/srv/")), "no sudo");
    assert!(matches!(trying("/srv/a\\b", "desk"), Err(WorldError::Unspeakable { .. })));
    assert!(matches!(trying("srv", "desk"), Err(WorldError::NotAbsolute { .. })));
    assert!(trying("/srv", "desk ALL").is_err());
}

fn text_of_both() -> String {
    let data = "/var/lib/postgresql/15/main/";
    let mut host = leased("postgresql@15-main.service", data, Some(30_000)).unwrap();
    host.parity = parity(&[key("/etc/desk_env", Some("root")), key("/opt/d/x.env", Some("d-k"))]);
    let proxy = proxy("/etc/haproxy/haproxy.cfg").unwrap();
    let commands = [host.allowed(), proxy.all()].concat();
    sudoers("node-a", &BTreeMap::from([("ha-observer", commands)]))
}

#[test]
fn visudo_accepts_the_file() {
    accepted(&text_of_both());
}

#[track_caller]
fn accepted(text: &str) {
    let mut visudo = Command::new("/usr/sbin/visudo")
        .args(["-c", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("visudo runs: install the package sudo");
    visudo.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = visudo.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{text}");
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

/// The link itself is never written to, and what is checked is what HAProxy would load.
#[test]
fn behind_a_link_everything_is_beside_the_real_file() {
    let access = ProxyAccess {
        real_config: Some("/srv/lb/proxy.cfg".into()),
        ..proxy_access("/etc/haproxy/haproxy.cfg")
    };
    let commands = ProxyCommands::new(&access).unwrap();
    assert_eq!(
        commands.put.line(),
        "sudo -n -- /usr/bin/mv -T /srv/lb/.proxy.cfg.ha-observer /srv/lb/proxy.cfg"
    );
    assert_eq!(commands.folder, "/srv/lb");
    assert_eq!(commands.read.line(), "sudo -n -- /usr/bin/cat /etc/haproxy/haproxy.cfg");
    let check = commands.check_draft.line();
    assert!(check.ends_with("haproxy -c -f /srv/lb/.proxy.cfg.ha-observer"), "{check}");
}

/// HAProxy skips the draft when it reads a folder: the check sees it in the file's place.
#[test]
fn a_file_of_a_folder_is_checked_in_its_place() {
    let access = ProxyAccess {
        files: vec!["/etc/haproxy/haproxy.cfg".into(), "/etc/haproxy/conf.d/".into()],
        environment_file: Some("/etc/default/haproxy".into()),
        directory: Some("/srv/certificates".into()),
        local_peer: Some("lb1".to_owned()),
        ..proxy_access("/etc/haproxy/conf.d/desk.cfg")
    };
    let commands = ProxyCommands::new(&access).unwrap();
    let folder = "/etc/haproxy/conf.d";
    let bind = format!("BindReadOnlyPaths={folder}/.desk.cfg.ha-observer:{folder}/desk.cfg");
    let check = commands.check_draft.line();
    assert!(check.contains(&bind), "{check}");
    assert!(check.contains("EnvironmentFile=/etc/default/haproxy"), "{check}");
    let loads = "/usr/sbin/haproxy -c -C /srv/certificates -L lb1 \
                 -f /etc/haproxy/haproxy.cfg -f /etc/haproxy/conf.d";
    assert!(check.ends_with(loads), "{check}");
    assert!(!commands.check.line().contains("Bind"), "{}", commands.check.line());
}

/// A lease asks hosts and proxies at their addresses, kills every unit of a master, the database
/// last, and ends itself.
#[test]
fn a_lease_asks_everybody_else_and_ends_all_of_a_master() {
    let commands = leased("postgresql@15-main.service", "/data", Some(30_000)).unwrap();
    let set = commands.lease.set.expect("one is asked for");
    let line = set.command.line();
    for part in [
        "lease 30 </dev/tcp/10.0.0.1/5432 </dev/tcp/10.0.0.1/22 </dev/tcp/10.0.0.1/22",
        "--on-unit-active=5s",
        "test -e /data/standby.signal",
        "HA Observer lease of 30.0 s",
    ] {
        assert!(line.contains(part), "no `{part}` in {line}");
    }
    let kill = |unit: &str| line.find(&format!("--signal=SIGKILL {unit}")).expect("it is killed");
    assert!(kill("desk@1.service") < kill("postgresql@15-main.service"));
    let without = leased("postgresql@15-main.service", "/data", None).unwrap();
    assert!(without.lease.set.is_none());
    assert!(
        without.all().iter().all(|command| !command.line().contains("--unit=ha-observer-lease"))
    );
}

#[test]
fn a_lease_that_would_depend_on_a_name_is_refused() {
    let named = ProxyAccess {
        ssh: SshAccess { address: "proxy.example.org".to_owned(), ..ssh() },
        ..proxy_access("/etc/haproxy/haproxy.cfg")
    };
    let refused =
        lease::connections(&[], &[named], Store::OnHosts).expect_err("a name is no address");
    assert!(refused.to_string().contains("write its IP address"), "{refused}");
}

/// Root looks at every folder above before it writes; an account of the application's own writes
/// with its own rights, and the login with none but its own.
#[test]
fn a_monitor_file_is_changed_by_exact_commands() {
    let lines = |user: &str| -> Vec<String> {
        let (path, user) = ("/etc/desk/serve".into(), user.to_owned());
        let means = observer_core::sighting::Says::In;
        let own = crate::access::MonitorAccess { path, means, user, port: 8_080 };
        let commands = MonitorCommands::new(&access("node-a", "db.service", "/d"), &own).unwrap();
        commands.all().into_iter().map(Privileged::line).collect()
    };
    assert_eq!(
        lines("root"),
        [
            "sudo -n -- /usr/bin/test -e /etc/desk/serve",
            "sudo -n -- /usr/bin/install -m 0644 /dev/null /etc/desk/serve",
            "sudo -n -- /usr/bin/rm -f /etc/desk/serve",
            "sudo -n -- /usr/bin/stat -L -c %u:%a /etc/desk /etc /",
        ]
    );
    let own = lines("desk");
    assert_eq!(own.len(), 3, "{own:?}");
    assert!(own.iter().all(|line| line.starts_with("sudo -n -u desk -- ")), "{own:?}");
    assert_eq!(lines("ha-observer"), Vec::<String>::new());
}
