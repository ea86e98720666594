//! A real HAProxy that loads several files: what it loads is found from its process and its unit,
//! read as a whole, and checked as a whole before a change.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use observer_core::drive::Reply;
use observer_core::plan::Effect;
use observer_core::validate::{ProxyFiles, ProxySurvey, Roles};
use observer_world::access::{ProxyAccess, ProxyServer};
use observer_world::pair_world::{NewFile, PairWorld};
use support::pair::{PATIENCE, name, perform, proxy, spec, with_access};
use support::proxy::Haproxy;
use support::sshd::Sshd;

/// A machine whose service manager says of every unit what stands in a file.
struct Machine {
    sshd: Sshd,
    haproxy: Haproxy,
}

impl Machine {
    /// Its HAProxy loads two files, and its unit says so.
    fn split() -> Self {
        Self::of(Haproxy::start_split())
    }

    fn of(haproxy: Haproxy) -> Self {
        let programs = haproxy.path("programs");
        fs::create_dir(&programs).unwrap();
        let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
        let sshd = Sshd::start_with(&format!("SetEnv \"{path}\""));
        let machine = Self { sshd, haproxy };
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n*MainPID*) echo {};;\n*ExecStart*) cat {};;\n\
             *UnitFileState*) echo UnitFileState=enabled;;\nesac\n",
            machine.haproxy.pid(),
            machine.path("unit").display(),
        );
        let program = programs.join("systemctl");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        machine.set_unit("-f $BASE -f $CONFIG", "");
        machine
    }

    fn path(&self, file: &str) -> PathBuf {
        self.haproxy.path(file)
    }

    /// What the unit says: the arguments of its command, and its environment file.
    fn set_unit(&self, arguments: &str, environment_file: &str) {
        let text = format!(
            "ExecStart={{ path=/usr/sbin/haproxy ; argv[]=/usr/sbin/haproxy -Ws {arguments} ; \
             ignore_errors=no ; start_time=[n/a] }}\nEnvironment=BASE={} \"CONFIG={}\"\n\
             {environment_file}",
            self.path("base.cfg").display(),
            self.haproxy.config().display(),
        );
        fs::write(self.path("unit"), text).unwrap();
    }

    fn world(&self, change: impl FnOnce(&mut ProxyAccess)) -> PairWorld {
        let mut access = proxy(&self.sshd, self.haproxy.dir.path());
        access.files = self.haproxy.loads();
        change(&mut access);
        with_access(&self.sshd, access)
    }
}

async fn survey(world: &PairWorld) -> ProxySurvey {
    let roles = Roles::of(&spec(), &name("node-a"));
    let mut survey = world.survey(&roles, PATIENCE).await;
    survey.proxies.remove(&"proxy".into()).unwrap()
}

fn fault(survey: &ProxySurvey) -> Option<(String, String)> {
    files(survey).fault(&"proxy".into())
}

fn files(survey: &ProxySurvey) -> &ProxyFiles {
    survey.files.as_ref().unwrap()
}

fn server(backend: &str, server: &str) -> ProxyServer {
    ProxyServer { backend: backend.to_owned(), server: server.to_owned(), host: name(server) }
}

fn rules(survey: &ProxySurvey) -> Vec<&str> {
    survey.findings.as_ref().unwrap().iter().map(|finding| finding.rule.as_str()).collect()
}

#[tokio::test]
async fn what_stands_in_another_file_is_not_asked_for() {
    let machine = Machine::split();
    let world = machine.world(|_| ());
    let survey = survey(&world).await;
    let named: Vec<String> =
        machine.haproxy.loads().iter().map(|file| file.display().to_string()).collect();
    let files = files(&survey);
    assert_eq!(files.runs.as_ref().map(|sources| &sources.opened), Some(&named));
    assert_eq!(files.starts.as_ref().map(|sources| &sources.opened), Some(&named));
    assert_eq!(fault(&survey), None);
    assert_eq!(files.servers.len(), 4, "{:?}", files.servers);
    assert!(files.servers.iter().all(|place| place.file == named[1]));
    let found = rules(&survey);
    assert!(!found.contains(&"R01") && !found.contains(&"M05"), "{found:?}");
    let told = |file: &String| {
        let place = format!("{file} line ");
        let found = survey.findings.as_ref().unwrap();
        found.iter().any(|finding| finding.text.starts_with(&place))
    };
    assert!(named.iter().all(told), "{:?}", survey.findings);
    assert_eq!(survey.file.unwrap().len(), 4);
}

/// What HAProxy loads is read even where nobody has configured it, and the difference is told.
#[tokio::test]
async fn files_that_nobody_has_configured_are_found_and_told() {
    let machine = Machine::split();
    let world = machine.world(|access| access.files.clear());
    let survey = survey(&world).await;
    assert!(!rules(&survey).contains(&"R01"), "{:?}", survey.findings);
    let (what, fix) = fault(&survey).unwrap();
    let base = machine.path("base.cfg").display().to_string();
    assert!(what.contains(&format!("haproxy.service loads {base}, ")), "{what}");
    assert!(fix.contains(&format!("files = [\"{base}\", ")), "{fix}");
    // A change that a person orders is refused with the same words.
    let before = machine.haproxy.file().into_bytes();
    let after = [&before[..], b"# more\n"].concat();
    let file = NewFile { proxy: "proxy".into(), before, after, master: name("node-a") };
    let why = world.prepare(&file).await.unwrap_err();
    assert!(why.contains(&format!("loads {base}")), "{why}");
}

#[tokio::test]
async fn a_unit_that_would_load_other_files_at_its_next_start_is_told() {
    let machine = Machine::split();
    machine.set_unit("-f $CONFIG", "");
    let (what, _) = fault(&survey(&machine.world(|_| ())).await).unwrap();
    assert!(what.contains("and a restart would load"), "{what}");
    let folder = machine.path("more.d");
    fs::create_dir(&folder).unwrap();
    for file in ["b.cfg", "a.cfg", ".c.cfg", "d.txt"] {
        fs::write(folder.join(file), "# nothing\n").unwrap();
    }
    machine.set_unit(&format!("-f $BASE -f {}/", folder.display()), "");
    let survey = survey(&machine.world(|_| ())).await;
    let starts = files(&survey).starts.clone().unwrap();
    let expected = [machine.path("base.cfg"), folder.join("a.cfg"), folder.join("b.cfg")];
    assert_eq!(starts.opened, expected.map(|file| file.display().to_string()));
}

#[tokio::test]
async fn servers_in_two_files_are_told_with_both_places() {
    let machine = Machine::split();
    let (config, base) = (machine.haproxy.config(), machine.path("base.cfg"));
    let whole = machine.haproxy.file();
    let (first, other) = whole.split_once("backend other").unwrap();
    let more = format!("{}backend other{other}", fs::read_to_string(&base).unwrap());
    fs::write(&base, &more).unwrap();
    fs::write(&config, first).unwrap();
    let (what, fix) = fault(&survey(&machine.world(|_| ())).await).unwrap();
    let line = more.lines().position(|line| line.contains("server node-a")).unwrap() + 1;
    assert!(what.contains(&format!("{} line {line} (other/node-a)", base.display())), "{what}");
    assert!(what.contains(&format!("{} line ", config.display())), "{what}");
    assert!(fix.contains("into one file"), "{fix}");
}

/// The file that is changed must say by itself who is let in: `disabled` may come from a
/// `default-server` of an earlier one.
#[tokio::test]
async fn a_server_that_another_file_turns_is_told() {
    let machine = Machine::split();
    let base = machine.path("base.cfg");
    let text = fs::read_to_string(&base).unwrap();
    fs::write(&base, format!("{text}    default-server disabled\n")).unwrap();
    let survey = survey(&machine.world(|_| ())).await;
    let (what, _) = fault(&survey).unwrap();
    assert!(what.contains("whether") && what.contains("(app/node-a) is let in"), "{what}");
}

#[tokio::test]
async fn a_variable_of_an_environment_file_is_told_until_the_check_has_it() {
    let machine = Machine::split();
    let environment = machine.path("default");
    fs::write(
        &environment,
        format!("NODE_A=127.0.0.11\nBASE={}\n", machine.path("base.cfg").display()),
    )
    .unwrap();
    let config = machine.haproxy.config();
    let text = machine.haproxy.file().replace("127.0.0.11:", "\"${NODE_A}\":");
    fs::write(&config, text).unwrap();
    let line = format!("EnvironmentFiles={} (ignore_errors=yes)\n", environment.display());
    machine.set_unit("-f $BASE -f $CONFIG", &line);
    let told = survey(&machine.world(|_| ())).await;
    let (what, fix) = fault(&told).unwrap();
    assert!(what.contains("asks for the variable NODE_A"), "{what}");
    assert!(fix.contains(&format!("environment_file = \"{}\"", environment.display())), "{fix}");
    // Whose the server is cannot be told from the file, which is an error of its own.
    let hidden = told.findings.as_ref().unwrap().iter().find(|finding| finding.rule == "P05");
    assert!(hidden.is_some_and(|found| found.fix.contains("[[proxy.server]]")), "{told:?}");
    // Named, they are known.
    let named = |access: &mut ProxyAccess| {
        access.environment_file = Some(environment.clone());
        access.servers = ["app", "other"].map(|backend| server(backend, "node-a")).to_vec();
        access.servers.extend(["app", "other"].map(|backend| server(backend, "node-b")));
    };
    let told = survey(&machine.world(named)).await;
    assert_eq!(fault(&told), None);
    assert_eq!(told.file.unwrap().len(), 4);
    let known = machine.world(|access| access.environment_file = Some(environment.clone()));
    assert_eq!(fault(&survey(&known).await), None);
    machine.set_unit("-f $BASE -f $CONFIG", "");
    let (what, _) = fault(&survey(&known).await).unwrap();
    assert!(what.contains("and haproxy.service has not"), "{what}");
}

/// The draft is checked beside the other file: with it alone HAProxy would refuse this one.
#[tokio::test]
async fn a_rewrite_is_checked_with_all_files_and_changes_one() {
    let machine = Machine::split();
    let base = fs::read(machine.path("base.cfg")).unwrap();
    let text = format!("defaults more from ours\n    log global\n{}", machine.haproxy.file());
    fs::write(machine.haproxy.config(), text).unwrap();
    let named = String::from_utf8(base).unwrap().replace("defaults\n", "defaults ours\n");
    fs::write(machine.path("base.cfg"), &named).unwrap();
    let rewrite = || Effect::Rewrite {
        proxy: "proxy".into(),
        master: name("node-b"),
        everywhere: Vec::new(),
    };
    let alone = perform(&machine.world(|access| access.files.clear()), rewrite()).await;
    assert!(matches!(&alone, Reply::Refused(why) if why.contains("rejects")), "{alone:?}");
    assert_eq!(perform(&machine.world(|_| ()), rewrite()).await, Reply::Did);
    assert_eq!(fs::read_to_string(machine.path("base.cfg")).unwrap(), named);
    let now = machine.haproxy.file();
    assert!(now.lines().any(|line| line.contains("node-a") && line.contains("disabled")), "{now}");
}

/// A name in the files may be relative to the folder that HAProxy changes to first, and peers are
/// told apart by a name of the command line: the check has both.
#[tokio::test]
async fn options_that_change_what_files_mean_are_told_until_the_check_has_them() {
    let words = |folder: &Path| {
        let folder = folder.display().to_string();
        ["-C", &folder, "-L", "lb1"].map(str::to_owned).to_vec()
    };
    let machine = Machine::of(Haproxy::start_split_with(words));
    let folder = machine.haproxy.dir.path().to_owned();
    fs::write(machine.path("sorry.http"), "HTTP/1.0 503 Sorry\r\n\r\n").unwrap();
    let text = fs::read_to_string(machine.path("base.cfg")).unwrap();
    fs::write(machine.path("base.cfg"), format!("{text}    errorfile 503 sorry.http\n")).unwrap();
    let (what, fix) = fault(&survey(&machine.world(|_| ())).await).unwrap();
    let has = format!("has -C {} -L lb1, and the check before a change", folder.display());
    assert!(what.contains(&has) && what.ends_with("neither -C nor -L"), "{what}");
    assert!(fix.contains(&format!("`directory = \"{}\"`", folder.display())), "{fix}");
    assert!(fix.contains("`local_peer = \"lb1\"`"), "{fix}");
    let rewrite = || Effect::Rewrite {
        proxy: "proxy".into(),
        master: name("node-b"),
        everywhere: Vec::new(),
    };
    let blind = perform(&machine.world(|_| ()), rewrite()).await;
    assert!(matches!(&blind, Reply::Refused(why) if why.contains("sorry.http")), "{blind:?}");
    let alike = machine.world(|access| {
        access.directory = Some(folder.clone());
        access.local_peer = Some("lb1".to_owned());
    });
    assert_eq!(fault(&survey(&alike).await), None);
    assert_eq!(perform(&alike, rewrite()).await, Reply::Did);
    let half = machine.world(|access| access.directory = Some(folder.clone()));
    let (what, _) = fault(&survey(&half).await).unwrap();
    assert!(what.contains("-L lb1, and the check before a change -C"), "{what}");
}

#[tokio::test]
async fn a_link_that_nobody_has_configured_is_told() {
    let machine = Machine::split();
    let real = machine.path("real.cfg");
    fs::rename(machine.haproxy.config(), &real).unwrap();
    std::os::unix::fs::symlink(&real, machine.haproxy.config()).unwrap();
    let (what, _) = fault(&survey(&machine.world(|_| ())).await).unwrap();
    assert!(what.contains(&format!("real_config = \"{}\"", real.display())), "{what}");
}

/// A file that is configured and not there keeps nobody from seeing what is loaded instead.
#[tokio::test]
async fn what_is_loaded_instead_of_the_configured_file_is_told() {
    let machine = Machine::split();
    let gone = machine.path("gone.cfg");
    let told = survey(&machine.world(|access| access.config = gone.clone())).await;
    let (what, fix) = fault(&told).unwrap();
    assert!(what.contains(&format!("and {} is changed", gone.display())), "{what}");
    let config = machine.haproxy.config();
    assert!(fix.contains(&format!("config = \"{}\"", config.display())), "{fix}");
    let alone = machine.world(|access| {
        access.config = gone.clone();
        access.files.clear();
    });
    let (what, _) = fault(&survey(&alone).await).unwrap();
    assert!(what.contains(&format!("loads {}", machine.path("base.cfg").display())), "{what}");
}
