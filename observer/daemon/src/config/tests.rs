//! Files that are right, and files that are wrong as tired people write them.
//!
//! What is printed for a wrong file is kept as a snapshot, to be read as its reader would.

use std::path::Path;

use observer_core::mounts::{MountAccess, MountSpec};
use observer_core::parity::Secrecy;
use observer_core::policy::{FenceGrade, Policy, UserWait, UsersGo, WhenUndone};
use observer_core::sighting::Says;
use observer_core::validate::Severity;
use observer_world::access::{ParityItem, ReadinessQuestion, SingleFiles};

use super::pair::{self, Reach};
use super::{Findings, OBSERVER_TOML, PAIR_TOML, daemon};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

fn read(text: &str) -> Result<super::PairAccess, String> {
    let file = Path::new("pairs/desk.toml");
    let read = pair::read(file, text, Reach::Text);
    read.map(|(access, _)| access).map_err(|found| Findings(found).to_string())
}

/// What is odd in a file that is right.
fn odd(text: &str) -> String {
    let file = Path::new("pairs/desk.toml");
    let (_, odd) = pair::read(file, text, Reach::Text).expect("the file is right");
    Findings(odd).to_string()
}

#[test]
fn what_works_and_is_hardly_meant_is_told_and_not_refused() {
    assert_eq!(odd(&default_pair()), "");
    let hold = odd(&changed(&[("hold_limit = \"30s\"", "hold_limit = \"90s\"")]));
    let drain = odd(&changed(&[("drain_deadline = \"10s\"", "drain_deadline = \"30s\"")]));
    insta::assert_snapshot!(format!("{hold}\n{drain}"));
}

#[test]
fn two_hosts_at_one_address_are_refused() {
    let same = changed(&[("address = \"192.0.2.12\"", "address = \"192.0.2.11\"")]);
    let wrong = changed(&[("address = \"192.0.2.12\"", "address = \"192.0.2.1234\"")]);
    insta::assert_snapshot!(format!("{}\n{}", findings(&same), findings(&wrong)));
}

fn default_pair() -> String {
    PAIR_TOML.replace("ssh-ed25519 REPLACE-THIS-KEY", KEY)
}

fn findings(text: &str) -> String {
    read(text).expect_err("the file is wrong")
}

/// The default file with lines replaced.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = default_pair();
    for (from, to) in changes {
        assert!(text.contains(from), "the default file has no `{from}`");
        text = text.replacen(from, to, 1);
    }
    text
}

#[test]
fn the_default_pair_file_shows_the_shipped_policy() {
    let access = read(&default_pair()).unwrap();
    assert_eq!(access.spec.policy, Policy::default());
    assert_eq!(access.spec.name.as_str(), "desk");
    assert_eq!(access.hosts.len(), 2);
    assert_eq!(access.proxies.len(), 1);
    assert_eq!(access.hosts[0].database.address, "192.0.2.11");
    assert_eq!(access.hosts[0].application.as_ref().unwrap().path, "/healthcheck");
}

/// The default file names every key there is, so that nobody has to read the source.
#[test]
fn a_policy_that_says_nothing_is_the_shipped_one() {
    let text = default_pair();
    let (before, _) = text.split_once("[policy]").unwrap();
    assert_eq!(read(before).unwrap().spec.policy, Policy::default());
}

#[test]
fn the_default_daemon_file_shows_the_shipped_settings() {
    let file = Path::new("observer.toml");
    assert_eq!(daemon::read(file, OBSERVER_TOML).unwrap(), super::DaemonConfig::default());
    let with_group = OBSERVER_TOML.replace("#group", "group");
    assert_eq!(daemon::read(file, &with_group).unwrap().group.as_deref(), Some("operators"));
}

#[test]
fn commented_out_keys_of_the_default_pair_file_are_right_too() {
    let uncommented: String = default_pair()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let access = read(&uncommented).unwrap();
    assert_eq!(access.proxies[0].servers[0].host.as_str(), "node-a");
    assert!(access.hosts[0].database.bin_directory.is_some());
    assert!(access.spec.policy.power_fence.is_some());
    let monitor = access.spec.monitor.unwrap();
    assert_eq!((monitor.users, monitor.settle_ms), (UsersGo::Master, 5_000));
}

#[test]
fn backends_that_all_hosts_share_are_read_and_checked() {
    let with = |names: &str| {
        changed(&[("#every_host = [\"desk\"]\n", &format!("every_host = [{names}]\n"))])
    };
    let access = read(&with("\"desk\", \"static.files\"")).unwrap();
    assert_eq!(access.proxies[0].every_host, ["desk", "static.files"]);
    assert_eq!(access.spec.sharing, access.spec.proxies);
    let none = read(&with("")).unwrap();
    assert!(none.spec.sharing.is_empty() && none.spec.users_go_to_the_master_alone());
    let bad =
        ["\"a b\"", "\"\"", "\"desk\", \"desk\""].map(|names| read(&with(names)).unwrap_err());
    insta::assert_snapshot!(bad.map(|findings| findings.to_string()).join("\n"));
}

/// A host's own key stands before that of all; the port is that of its application.
#[test]
fn a_monitor_file_is_read_for_every_host() {
    let own = "[host.monitor_file]\nmeans = \"out\"\nuser = \"desk\"\n";
    let shared = "[monitor_file]\npath = \"/etc/desk/serve\"\nmeans = \"in\"\n\
                  users = \"every-host\"\n[policy]";
    let text = changed(&[
        ("#[host.fence]\n#bmc = \"192.0.2.112\"\n", own),
        ("[policy]", shared),
        ("port = 8080\npath", "port = 9090\npath"),
    ]);
    let access = read(&text).unwrap();
    assert_eq!(access.spec.monitor.map(|one| one.users), Some(UsersGo::EveryHost));
    let files: Vec<_> = access.hosts.iter().filter_map(|host| host.monitor.as_ref()).collect();
    let [a, b] = files[..] else { panic!("{files:?}") };
    assert_eq!((a.means, a.user.as_str(), a.port), (Says::In, "root", 9_090));
    assert_eq!((b.means, b.user.as_str(), b.port), (Says::Out, "desk", 9_090));
    assert_eq!(a.path, b.path);
}

#[test]
fn a_monitor_file_that_could_not_work_is_refused() {
    let all = [
        "means = \"in\"",
        "path = \"serve\"\nmeans = \"yes\"",
        "path = \"/etc/desk/serve\"\nsettle = \"5min\"\nusers = \"all\"",
        "path = \"/etc/desk/serve\"\nmeans = \"in\"\nport = 0\nsettel = \"5s\"",
        "path = \"/etc/desk/\"\nmeans = \"in\"",
    ];
    let with = |lines: &str| {
        findings(&changed(&[("[policy]", &format!("[monitor_file]\n{lines}\n[policy]"))]))
    };
    let alone = "[host.monitor_file]\npath = \"/etc/desk/serve\"\nmeans = \"in\"\n";
    let one = findings(&changed(&[("#[host.fence]\n#bmc = \"192.0.2.112\"\n", alone)]));
    insta::assert_snapshot!(format!("{}\n{one}", all.map(with).join("\n")));
}

/// It would be one file for all hosts.
#[test]
fn a_monitor_file_on_a_shared_mount_is_refused() {
    let with = |path: &str| {
        let file = format!("[monitor_file]\npath = \"{path}\"\nmeans = \"in\"\n");
        let mount = "[[mount]]\nname = \"keys\"\npath = \"/srv/desk/\"\nuser = \"desk\"\n";
        changed(&[("[policy]", &format!("{file}{mount}[policy]"))])
    };
    insta::assert_snapshot!(findings(&with("/srv/desk/state/serve")));
    assert!(read(&with("/srv/desk-state/serve")).is_ok());
}

/// The example of a whole product is right as it is shipped, but for the machines' own keys.
#[test]
fn the_example_profile_is_right() {
    let text = include_str!("../../../../systemd/examples/serviceops.toml")
        .replace("ssh-ed25519 REPLACE-THIS-KEY", KEY);
    let access = read(&text).unwrap();
    let same = |item: &ParityItem| item.item.same_as.is_some();
    assert_eq!(access.parity.iter().filter(|item| same(item)).count(), 4, "five files, one value");
    assert!(access.parity.iter().all(|one| !same(one) || one.item.secrecy == Secrecy::Secret));
    assert_eq!(access.spec.policy, Policy::default());
    observer_world::pair_world::PairWorld::connect(access).expect("sudoers can carry all of it");
}

/// A default file whose first item of parity has these lines instead of its own.
fn with_parity(lines: &str) -> String {
    let text = changed(&[("[policy]", &format!("[[parity]]\n{lines}\n[policy]"))]);
    findings(&text)
}

#[test]
fn an_item_of_parity_that_cannot_be_compared_is_refused() {
    let all = [
        "name = \"p\"",
        "name = \"p\"\nkind = \"keys\"",
        "name = \"p\"\nkind = \"key\"\nfile = \"/etc/passwords\"\nkey = \"x\"\nsecert = true",
        "name = \"p\"\nkind = \"command\"\ncommand = [\"java\"]\nsame_as = \"q\"",
        "name = \"p\"\nkind = \"file\"\nfile = \"etc/x\"\nsecret = \"yes\"\nkey = \"x\"",
        "name = \"p\"\nkind = \"setting\"\nsetting = \"x'; drop\"\nuser = \"root\"",
        "name = \"p\"\nkind = \"key\"\nfile = \"/x.env\"\nkey = \"x\"\nsame_as = \"p\"",
        "name = \"p;\"\nkind = \"unit\"\nunit = \"x; y\"\nseverity = \"sever\"",
    ];
    insta::assert_snapshot!(all.map(with_parity).join("\n"));
}

/// A default file whose scheduler has a probe with these lines.
fn with_probe(lines: &str) -> String {
    changed(&[("#stop_deadline = \"20s\"", &format!("[service.probe]\n{lines}"))])
}

#[test]
fn a_readiness_probe_is_read_with_what_it_says_and_no_more() {
    let lines = "kind = \"http\"\nport = 8081\nstatus = \"200-204\"\nheaders = [\"X-A: b: c\"]";
    let access = read(&with_probe(lines)).unwrap();
    let scheduler = &access.spec.services[1];
    assert_eq!(scheduler.readiness.map(|probe| probe.deadline_ms), Some(2_000));
    assert_eq!((scheduler.users, scheduler.stop_deadline_ms), (UserWait::GoOn, None));
    let ReadinessQuestion::Http(http) = &access.readiness[0].question else { panic!() };
    assert_eq!((http.status.clone(), http.path.as_str()), (200..=204, "/"));
    assert_eq!(http.headers, [("X-A".to_owned(), "b: c".to_owned())]);
    let hasty = with_probe("kind = \"tcp\"\nport = 1\ndeadline = \"8s\"")
        .replace("start_deadline = \"30s\"", "start_deadline = \"4s\"");
    assert!(odd(&hasty).contains("shorter than one answer"), "{}", odd(&hasty));
    assert_eq!(access.spec.services[0].users, UserWait::Wait);
    let stops = changed(&[("#stop_deadline = \"20s\"", "stop_deadline = \"45s\"")]);
    assert_eq!(read(&stops).unwrap().spec.services[1].stop_deadline_ms, Some(45_000));
    let held =
        stops.replace("stop_deadline = \"45s\"", "stop_deadline = \"45s\"\nusers = \"wait\"");
    assert!(odd(&held).contains("users are held while it stops"), "{}", odd(&held));
}

#[test]
fn a_readiness_probe_that_could_not_work_is_refused() {
    let all = [
        "port = 8081",
        "kind = \"https\"\nport = 8081",
        "kind = \"http\"\npath = \"ready\"\nstatus = \"2xx\"\nheaders = [\"X-State running\"]",
        "kind = \"http\"\nport = 8081\nstatus = \"299-200\"\nbdoy = \"ready\"",
        "kind = \"tcp\"\nport = 0\nlistens_at = \"localhost\"\npath = \"/x\"",
        "kind = \"command\"\ncommand = [\"ready\"]\ndeadline = \"30s\"",
        "kind = \"command\"\nuser = \"desk\"\ndeadline = 2",
    ];
    insta::assert_snapshot!(all.map(|lines| findings(&with_probe(lines))).join("\n"));
}

fn with_mount(lines: &str) -> String {
    changed(&[("[policy]", &format!("[[mount]]\n{lines}\n[policy]"))])
}

#[test]
fn a_mount_is_read_with_its_defaults() {
    let text = with_mount("name = \"keys\"\npath = \"/srv/desk's files/\"\nuser = \"desk\"");
    let access = read(&text).unwrap();
    let [mount] = &access.mounts[..] else { panic!("{:?}", access.mounts) };
    assert_eq!((mount.user.as_str(), &mount.spec), ("desk", &access.spec.mounts[0]));
    let MountSpec { path, source, access, severity, low_bytes, .. } = &mount.spec;
    assert_eq!((path.as_str(), source), ("/srv/desk's files", &None));
    assert_eq!((*access, *severity), (MountAccess::ReadWrite, Severity::Severe));
    assert_eq!(*low_bytes, Policy::default().disk_low_bytes, "as a disk's");
    assert_eq!(mount.spec.low_ms, Policy::default().disk_low_ms);
    let shown = PAIR_TOML.split("#[[mount]]\n").nth(1).unwrap();
    let shown = shown.split("# --- ").next().unwrap().replace("\n#", "\n");
    let lines = shown.trim_start_matches('#').lines().filter(|line| line.contains(" = \""));
    let written = read(&with_mount(&lines.collect::<Vec<_>>().join("\n"))).unwrap();
    let [shown] = &written.mounts[..] else { panic!("{:?}", written.mounts) };
    let path = shown.spec.path.clone();
    let source = Some("storage:/export/keys".to_owned());
    assert_eq!(shown.spec, MountSpec { path, source, ..mount.spec.clone() });
}

#[test]
fn a_mount_that_could_not_be_tried_is_refused() {
    let all = [
        "path = \"/srv\"",
        "name = \"a b\"\npath = \"srv/desk\"\nuser = \"desk\"\nacess = \"read-only\"",
        "name = \"keys\"\npath = \"/\"\nuser = \"desk\"\naccess = \"rw\"\nseverity = \"high\"",
        "name = \"keys\"\npath = \"/srv/../etc\"\nuser = \"desk\"\ndeadline = \"30s\"\nlow = 5",
        "name = \"keys\"\npath = \"/srv\"\nuser = \"desk\"\nevery = \"10ms\"\n[[mount]]\n\
         name = \"keys\"\npath = \"/srv/\"\nuser = \"desk\"",
    ];
    insta::assert_snapshot!(all.map(|lines| findings(&with_mount(lines))).join("\n"));
}

/// A file with a power fence, and hosts with or without their own values.
fn fenced(fence: &str, node_a: &str, node_b: &str) -> String {
    changed(&[
        ("#[host.fence]\n#bmc = \"192.0.2.111\"\n", node_a),
        ("#[host.fence]\n#bmc = \"192.0.2.112\"\n", node_b),
        ("fence = \"proxied-off\"", "fence = \"powered-off\""),
        ("[policy]", &format!("{fence}\n[policy]")),
    ])
}

#[test]
fn the_power_fence_is_told_of_each_host() {
    let text = fenced(
        "[fence]\ncommand = [\"/bin/fence\", \"{host}/{bmc}\", \"{address}\", \"{action}\"]\n\
         deadline = \"20s\"\nwhen_undone = \"switch-on\"\n",
        "[host.fence]\nbmc = \"bmc-a\"\n",
        "[host.fence]\nbmc = \"bmc-b\"\n",
    );
    let access = read(&text).unwrap();
    let power_fence = access.spec.policy.power_fence.unwrap();
    assert_eq!(access.spec.policy.fence, FenceGrade::PoweredOff);
    assert_eq!(power_fence.deadline_ms, 20_000);
    assert_eq!(power_fence.when_undone, WhenUndone::SwitchOn);
    let command = |host: usize| access.hosts[host].power.as_ref().unwrap().command.join(" ");
    assert_eq!(command(0), "/bin/fence node-a/bmc-a 192.0.2.11 {action}");
    assert_eq!(command(1), "/bin/fence node-b/bmc-b 192.0.2.12 {action}");
}

#[test]
fn a_power_fence_that_could_not_work_or_would_tell_a_secret_is_refused() {
    let wrong = fenced(
        "[fence]\ncommand = [\"fence\", \"--ip={bmc}\", \"--password=hunter2\"]\n\
         deadline = \"1h\"\n",
        "[host.fence]\nbmc_password = \"hunter2\"\nhost = \"x\"\nplug = \"7\"\n",
        "",
    );
    let none = changed(&[("fence = \"proxied-off\"", "fence = \"powered-off\"")]);
    let lost = changed(&[("#[host.fence]\n#bmc", "[host.fence]\nbmc")]);
    let all = [wrong, none, lost].map(|text| findings(&text)).join("\n");
    assert!(!all.contains("hunter2"), "{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn a_host_may_differ_from_what_all_share() {
    let own = "[host.database]\nport = 5433\nunit = \"postgresql@16-main.service\"\n\n\
        [[host]]\nname = \"node-b\"";
    let text = changed(&[("[[host]]\nname = \"node-b\"", own)]);
    let access = read(&text).unwrap();
    assert_eq!(access.hosts[0].database.port, 5433);
    assert_eq!(access.hosts[0].database.unit, "postgresql@16-main.service");
    assert_eq!(access.hosts[1].database.port, 5432);
}

#[test]
fn the_untouched_default_file_asks_for_the_host_keys() {
    insta::assert_snapshot!(findings(PAIR_TOML));
}

#[test]
fn unknown_keys_name_the_nearest() {
    insta::assert_snapshot!(findings(&changed(&[
        ("interval = \"1s\"", "intervall = \"1s\""),
        ("[[proxy]]", "[[proxies]]"),
        ("placement = \"all\"", "placment = \"all\""),
    ])));
}

#[test]
fn wrong_values_say_what_is_wrong_and_how_to_write_it() {
    insta::assert_snapshot!(findings(&changed(&[
        ("interval = \"1s\"", "interval = 1"),
        ("timeout = \"500ms\"", "timeout = \"500\""),
        ("failures = 3", "failures = \"three\""),
        ("mode = \"auto\"", "mode = \"automatic\""),
        ("fence = \"proxied-off\"", "fence = \"stoped\""),
        ("loss_budget = \"16MiB\"", "loss_budget = \"16 megs\""),
        ("port = 22", "port = 70000"),
        ("unit = \"haproxy.service\"", "unit = \"haproxy; reboot\""),
    ])));
}

#[test]
fn references_are_checked() {
    insta::assert_snapshot!(findings(&changed(&[
        ("name = \"node-b\"", "name = \"node-a\""),
        ("name = \"desk-scheduler\"", "name = \"desk\""),
        (
            "#[[proxy.server]]\n#backend = \"desk\"\n#server = \"node-a\"\n#host = \"node-a\"",
            "[[proxy.server]]\nbackend = \"desk\"\nserver = \"node-a\"\nhost = \"node-c\"",
        ),
        ("config = \"/etc/haproxy/haproxy.cfg\"", "config = \"haproxy.cfg\""),
    ])));
}

/// The changed file is one of those that the service loads, or lies in a folder of them.
#[test]
fn the_changed_file_is_among_those_that_are_loaded() {
    let of = |config: &str| {
        let named = format!("config = \"{config}\"");
        changed(&[
            ("config = \"/etc/haproxy/haproxy.cfg\"", &named),
            ("#files = [\"/etc/haproxy/haproxy.cfg\"", "files = [\"/etc/haproxy/haproxy.cfg\""),
        ])
    };
    assert!(read(&of("/etc/haproxy/haproxy.cfg")).is_ok());
    assert!(read(&of("/etc/haproxy/conf.d/desk.cfg")).is_ok());
    let beside = findings(&of("/etc/haproxy/desk.cfg"));
    assert!(beside.contains("is not among them") && beside.contains("or lie in one"), "{beside}");
}

#[test]
fn a_pair_needs_two_hosts_and_a_proxy() {
    let text = format!(
        "[database]\nunit = \"postgresql.service\"\ndata_directory = \"/var/lib/pg\"\n\
         [[host]]\nname = \"node-a\"\naddress = \"192.0.2.11\"\nhost_keys = [\"{KEY}\"]\n"
    );
    insta::assert_snapshot!(findings(&text));
}

#[test]
fn what_is_no_toml_is_shown_with_its_line() {
    let text = changed(&[("mode = \"auto\"", "mode = auto"), ("[pair]", "[pair")]);
    insta::assert_snapshot!(findings(&text));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("id_ed25519");
    std::fs::write(&key, "no real key").unwrap();
    let shown = key.display().to_string();
    let text = default_pair().replace("/etc/ha-observer/ssh/id_ed25519", &shown);
    let file = Path::new("pairs/desk.toml");
    for (mode, wrong) in [(0o644, true), (0o640, true), (0o600, false), (0o400, false)] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let result = pair::read(file, &text, Reach::Files);
        assert_eq!(result.is_err(), wrong, "mode {mode:o}");
    }
    std::fs::remove_file(&key).unwrap();
    let found = pair::read(file, &text, Reach::Files).unwrap_err();
    assert!(found[0].fix.starts_with("ssh-keygen"), "{found:?}");
}

/// A directory with one wrong file is rejected whole, with what is wrong in all of them.
#[test]
fn a_directory_is_read_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = directory.path().join("pairs");
    let load = || super::load(directory.path(), Reach::Text).map_err(|found| found.0.len());
    assert_eq!(load().err(), Some(1), "there is no directory of pairs");
    std::fs::create_dir(&pairs).unwrap();
    assert_eq!(load().err(), Some(1), "there is no pair");
    std::fs::write(pairs.join("desk.toml"), default_pair()).unwrap();
    assert_eq!(load().unwrap().pairs.len(), 1);
    std::fs::write(pairs.join("other.toml"), default_pair()).unwrap();
    assert_eq!(load().err(), Some(1), "two pairs have one name");
    std::fs::write(pairs.join("other.toml"), "nonsense = 1\n").unwrap();
    std::fs::write(directory.path().join("observer.toml"), "sockett = \"/x\"\n").unwrap();
    assert!(load().err().unwrap() > 2, "both files are told");
}

/// The default file with these sections before its policy.
fn with_files(sections: &[&str]) -> String {
    let sections: String = sections.iter().map(|lines| format!("[[files]]\n{lines}\n")).collect();
    changed(&[("\n[policy]", &format!("\n{sections}[policy]"))])
}

#[test]
fn single_files_are_read_with_their_folder_mode_and_owner() {
    let text = with_files(&[
        "name = \"licence\"\nfiles = [\"/opt/desk/licence.lic\"]",
        "name = \"jobs\"\nfiles = [\"/etc/desk/jobs/*.job\", \"/etc/desk/jobs/main.xml\"]\n\
         mode = \"0640\"\nowner = \"desk:desk\"\nexclude = [\"draft-*\"]\nmax_deletes = 5",
        // The folder leaves out what another set has.
        "name = \"desk\"\npath = \"/opt/desk\"\nexclude = [\"/licence.lic\", \"/keys\"]",
        "name = \"keys\"\npath = \"/opt/desk/keys\"",
    ]);
    let access = read(&text).unwrap();
    let [licence, jobs, desk, _] = &access.files[..] else { panic!("{:?}", access.files) };
    let single = |names: &[&str], mode, owner: Option<&str>| {
        let files = names.iter().map(|name| (*name).to_owned()).collect();
        Some(SingleFiles { files, mode, owner: owner.map(str::to_owned) })
    };
    assert_eq!(licence.path, Path::new("/opt/desk"));
    assert_eq!((&licence.single, licence.max_deletes), (&single(&["licence.lic"], None, None), 1));
    assert_eq!(jobs.path, Path::new("/etc/desk/jobs"));
    let expected = single(&["*.job", "main.xml"], Some(0o640), Some("desk:desk"));
    assert_eq!((&jobs.single, jobs.max_deletes), (&expected, 5));
    assert_eq!((&desk.single, desk.max_deletes), (&None, 1_000));
    let must_exist: Vec<&[String]> =
        access.spec.files.iter().map(|set| &set.must_exist[..]).collect();
    let named = |name: &str| vec![name.to_owned()];
    assert_eq!(must_exist, [&named("licence.lic")[..], &named("main.xml"), &[], &[]]);
}

#[test]
fn single_files_that_could_not_be_copied_are_refused() {
    let one = |files: &str, more: &str| {
        findings(&with_files(&[&format!("name = \"jobs\"\nfiles = [{files}]\n{more}")]))
    };
    let two = |first: &str, second: &str| {
        let (first, second) = (format!("name = \"a\"\n{first}"), format!("name = \"b\"\n{second}"));
        findings(&with_files(&[&first, &second]))
    };
    let licence = "\"/opt/desk/licence.lic\"";
    let all = [
        one("\"licence.lic\"", ""),
        one("\"/\"", ""),
        one("\"/licence.lic\"", ""),
        one("\"/opt/desk/\"", ""),
        one("\"/opt/../etc/shadow\"", ""),
        one("\"/opt/*/licence.lic\"", ""),
        one("\"/opt/desk/my licence.lic\"", ""),
        one("\"/opt/de sk/licence.lic\"", ""),
        one("\"/opt/desk/a\", \"/etc/desk/b\"", ""),
        one("\"/opt/desk/a\", \"/opt/desk/a\"", ""),
        one("", ""),
        one(licence, "path = \"/opt/desk\""),
        one(licence, "exclude = [\"*.lic\"]"),
        one(licence, "mode = \"4755\""),
        one(licence, "mode = \"rw-r--r--\"\nowner = \"desk\""),
        one(licence, "owner = \"1000:1000\""),
        one(licence, "owner = \"desk:desk\"\nuser = \"desk\""),
        one(licence, "paths_database = \"desk\"\npaths_query = \"select 1\""),
        findings(&with_files(&["name = \"all\"\npath = \"/opt/desk\"\nmode = \"640\""])),
        findings(&with_files(&["name = \"none\""])),
        two(&format!("files = [{licence}]"), "files = [\"/opt/desk/*.lic\"]"),
        two("path = \"/opt\"", &format!("files = [{licence}]")),
        two(&format!("files = [{licence}]"), "path = \"/opt/desk/\""),
        two("path = \"/srv/desk\"", "path = \"/srv/desk/\""),
        two("path = \"/srv/desk\"", "path = \"/srv/desk/keys\""),
        two("path = \"/srv/desk/keys\"", "path = \"/srv/desk\"\nexclude = [\"key\"]"),
    ];
    insta::assert_snapshot!(all.join("\n"));
    let text = with_files(&[&format!("name = \"jobs\"\nfiles = [{licence}]\nmode = \"666\"")]);
    assert!(odd(&text).contains("lets everybody write"), "{}", odd(&text));
}
