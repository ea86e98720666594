//! A storage that both hosts mount, on real machines: well, missing, refused, another one, full,
//! and with its server stopped, which leaves whoever touches it waiting beyond any signal.
//!
//! It is an SFTP server on the proxy's machine, mounted by sshfs: the kernel of these machines has
//! no NFS, and a stopped server hangs its clients just as well.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{Machine, Result, Whom, wait_for};
use tests::stage::{DONE, ON_RETURN_ASK, Promise, REFUSED, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(240);
/// What `validate` ends with where something stands against a change.
const NOT_READY: Option<i32> = Some(11);

/// A blank and a quote in it: a sudoers file has to carry it.
const PLACE: &str = "/srv/desk's files";
const SECTION: &str = "\n[[mount]]\nname = \"keys\"\npath = \"/srv/desk's files\"\n\
    user = \"desk\"\nlow = \"1MiB\"\nevery = \"2s\"\ndeadline = \"1s\"\n";

const SOCKET: &str = "[Socket]\nListenStream=5005\nAccept=yes\n";
/// Each client's server, all of them in one slice.
const SERVER: &str = "[Service]\nExecStart=/usr/lib/openssh/sftp-server\nStandardInput=socket\n";
const SERVERS: &str = "system-sftp.slice";

fn spec() -> StageSpec {
    let (policy, sections) = (vec![ON_RETURN_ASK], vec![SECTION.to_owned()]);
    StageSpec { policy, sections, ..StageSpec::standard() }
}

/// Boots, shares the storage, mounts it on both nodes, and declares it.
fn stage() -> Result<Stage> {
    let stage = Stage::asking()?;
    let storage = stage.lab.machine("proxy");
    for (unit, text) in [("sftp.socket", SOCKET), ("sftp@.service", SERVER)] {
        let path = format!("/etc/systemd/system/{unit}");
        storage.put_file(&path, text.as_bytes(), 0o644, "root:root")?;
    }
    let export = "mkdir -p /export/desk /export/other && \
        mount -t tmpfs -o size=8m,mode=1777 desk /export/desk && chmod 1777 /export/other && \
        systemctl daemon-reload && systemctl start sftp.socket";
    storage.run(&["/bin/sh", "-c", export])?;
    for node in ["node-a", "node-b"] {
        let machine = stage.lab.machine(node);
        machine.run(&["mkdir", "-p", PLACE])?;
        machine.run(&["mknod", "-m", "666", "/dev/fuse", "c", "10", "229"])?;
        mount(&stage, node, "desk", "rw")?;
    }
    stage.reconfigure(&spec())?;
    stage.install_rules(&spec())?;
    stage.wait_status("the mount to be well on both", SOON, |status| {
        state(status, 0) == "well" && state(status, 1) == "well"
    })?;
    stage.wait_protected()?;
    Ok(stage)
}

/// Mounts an export of the storage on a node.
fn mount(stage: &Stage, node: &str, export: &str, options: &str) -> Result<()> {
    let machine = stage.lab.machine(node);
    let source = format!("{}:/export/{export}", stage.lab.machine("proxy").address());
    let options = format!("allow_other,directport=5005,{options}");
    let unit = ["systemd-run", "--quiet", "--collect", "--unit=shared"];
    machine.run(&[&unit[..], &["sshfs", "-f", "-o", &options, &source, PLACE]].concat())?;
    wait_for("the storage to be mounted", SOON, || {
        let list = machine.run(&["cat", "/proc/self/mountinfo"]).map_err(|why| why.to_string())?;
        let journal = || machine.journal("shared").unwrap_or_default();
        if list.contains("fuse.sshfs") { Ok(()) } else { Err(journal()) }
    })
}

fn unmount(machine: &Machine) -> Result<()> {
    // A probe may be under way there.
    wait_for("the storage to be unmounted", SOON, || {
        machine.run(&["umount", PLACE]).map_err(|error| error.to_string())
    })?;
    wait_for("sshfs to end", SOON, || {
        match machine.exec(&["systemctl", "is-active", "--quiet", "shared"]) {
            Ok(output) if !output.status.success() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
}

/// How the mount stands on the node of that place, by the status.
fn state(status: &Value, node: usize) -> Value {
    status["mounts"][node]["state"]["is"].clone()
}

/// The text of `status` with its lines joined.
fn shown(stage: &Stage) -> Result<String> {
    let text = stage.ask(&["status"])?.stdout;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The slave's mount is found to be this, `status` says so in these words, and it is named by this
/// check, which refuses a switchover.
#[track_caller]
fn amiss(stage: &Stage, is: &str, words: &str, check: &str) -> Result<()> {
    stage.wait_status(&format!("the slave's mount to be {is}"), SOON, |status| {
        state(status, 1) == is && status["cause"] == "storage-unwell"
    })?;
    let said = shown(stage)?;
    let line = format!("mount keys ({PLACE}) on node-b {words}");
    assert!(said.contains(&line), "no `{line}` in {said}");
    let told = stage.ask(&["validate", "--for", "switchover"])?;
    assert_eq!(told.status.code(), NOT_READY, "{}", told.stdout);
    assert!(told.stdout.contains(check), "no {check} in {}", told.stdout);
    let refused = stage.switch_over("rehearsal")?;
    stage.assert_ended(&refused, REFUSED)?;
    assert_eq!(stage.events()?.plans(), 0, "{}", texts(&stage.events()?));
    Ok(())
}

/// Well, it is told in one line, and users are moved there and notice nothing. Then the slave lacks
/// it, may only read it, has another one, has another one by the same name; and it fills up.
#[test]
fn what_breaks_a_shared_mount_is_named() -> Result<()> {
    let stage = stage()?;
    let (storage, slave) = (stage.lab.machine("proxy"), stage.lab.machine("node-b"));
    let said = shown(&stage)?;
    assert!(said.contains("shared mounts: keys: well on every host"), "{said}");
    let told = stage.ask(&["validate", "--all"])?.stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for evidence in ["read, write, rename, lock", "sees what 1 others wrote", "(fuse.sshfs)"] {
        assert!(told.contains(evidence), "no `{evidence}` in {told}");
    }
    let source = format!("{}:/export/desk", storage.address());
    unmount(slave)?;
    amiss(&stage, "not-mounted", "is not mounted", "mount-present")?;
    assert_eq!(slave.run(&["ls", "-A", PLACE])?, "", "the disk below is not written to");

    mount(&stage, "node-b", "desk", "ro")?;
    let words = "cannot be used: writing fails: Read-only file system";
    amiss(&stage, "unusable", words, "mount-usable")?;
    unmount(slave)?;

    mount(&stage, "node-b", "other", "rw")?;
    let other = format!("{}:/export/other", storage.address());
    let words = format!("is {other}, and on node-a it is {source}");
    amiss(&stage, "other-source", &words, "mount-source")?;
    unmount(slave)?;

    mount(&stage, "node-b", "other", &format!("fsname={source}"))?;
    stage.wait_status("what goes by the same name to look well", SOON, |status| {
        state(status, 1) == "well"
    })?;
    let told = stage.ask(&["validate", "--for", "switchover"])?;
    assert_eq!(told.status.code(), NOT_READY, "{}", told.stdout);
    let words = "node-b does not see what node-a wrote";
    assert!(told.stdout.contains(words), "{}", told.stdout);
    stage.assert_ended(&stage.switch_over("rehearsal")?, REFUSED)?;
    unmount(slave)?;

    mount(&stage, "node-b", "desk", "rw")?;
    stage.wait_protected()?;
    let fill = "head -c 20000000 /dev/zero >/export/desk/big";
    let _ = storage.exec(&["/bin/sh", "-c", fill])?;
    amiss(&stage, "low", "is low: ", "mount-room")?;
    storage.run(&["rm", "/export/desk/big"])?;
    stage.wait_protected()?;
    assert_eq!(storage.run(&["ls", "-A", "/export/desk"])?, "", "no probe has left anything");

    stage.assert_ended(&stage.switch_over("rehearsal")?, DONE)?;
    stage.wait_master("node-b", SOON)
}

/// How often each look at a node has been answered in a row, by `why`.
fn looks(stage: &Stage, look: &str) -> Result<u64> {
    let why = stage.ask(&["why", "-o", "json"])?.stdout;
    let why: Value = serde_json::from_str(&why).unwrap_or(Value::Null);
    let evidence = why["ruling"]["evidence"].as_array().cloned().unwrap_or_default();
    let lines = evidence.iter().filter_map(Value::as_str);
    let line = lines.clone().find(|line| line.starts_with(look));
    let line = line.unwrap_or_else(|| panic!("no `{look}` in {why}"));
    let count = line.rsplit_once('(').and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    Ok(count.unwrap_or_else(|| panic!("no count in {line}")))
}

/// The processes of the service's account on a machine, among them those of
/// probes, whatever they are called.
fn processes(machine: &Machine) -> Result<Vec<String>> {
    let listed = machine.run(&["ps", "-u", "desk", "-o", "pid=,args="])?;
    Ok(listed.lines().map(|line| line.trim().to_owned()).collect())
}

/// The storage's server is stopped, and both hosts hang at it. It is told with since when; all else
/// is looked at as before; nothing piles up, whatever becomes of the observer; the master that dies
/// is replaced; and once the server goes on, the mount is well by itself.
#[test]
fn a_storage_that_hangs_holds_nothing_else_up() -> Result<()> {
    let stage = stage()?;
    let (storage, master, slave) =
        (stage.lab.machine("proxy"), stage.lab.machine("node-a"), stage.lab.machine("node-b"));
    let users = stage.start_sql(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    storage.signal_unit(SERVERS, "STOP", Whom::All)?;
    stage.wait_status("both mounts to be told as hung", SOON, |status| {
        state(status, 0) == "hung" && state(status, 1) == "hung"
    })?;
    stage.wait_cause("storage-unwell", SOON)?;
    let status = stage.status()?;
    assert!(status["mounts"][1]["since"].as_u64() < status["at"].as_u64(), "{status}");
    let said = shown(&stage)?;
    assert!(said.contains(&format!("mount keys ({PLACE}) on node-b hangs while ")), "{said}");

    let hanging = (processes(master)?, processes(slave)?);
    for of_host in [&hanging.0, &hanging.1] {
        assert!(of_host.iter().any(|line| line.contains("ha-observer-node")), "{hanging:?}");
    }
    let (query, disk) = ("database query on node-a", "disk of node-a");
    let before = (looks(&stage, query)?, looks(&stage, disk)?);
    wait_for("ten more rounds", SOON, || {
        let now = looks(&stage, query).map_err(|error| error.to_string())?;
        if now >= before.0 + 10 { Ok(()) } else { Err(format!("{now} looks")) }
    })?;
    // A look at a disk comes every fifth round: the hung mount holds back neither.
    let (now, disks) = (looks(&stage, query)? - before.0, looks(&stage, disk)? - before.1);
    assert!(disks + 1 >= now / 5 && disks > 0, "{disks} looks at the disk beside {now} queries");
    stage.observer().run(&["systemctl", "restart", "ha-observer.service"])?;
    stage.wait_status("the new observer to know", SOON, |status| state(status, 1) == "hung")?;
    let since = |status: &Value| status["mounts"][1]["since"].as_u64().unwrap_or_default();
    let known = stage.status()?;
    assert!(since(&known) < since(&status) + 3_000, "it knows since when: {known} {status}");
    assert_eq!((processes(master)?, processes(slave)?), hanging, "nothing piles up");

    stage.wait_status("the slave to be ready for all that", SOON, |status| {
        status["cause"] == "storage-unwell" && status["rule"] == "U6"
    })?;
    master.power_loss()?;
    stage.wait_master("node-b", Duration::from_secs(60))?;
    stage.wait_written(&users, "node-b")?;
    stage.finish(users, "node-b")?.assert_kept(Promise::LastInFlight);
    let events = stage.events()?;
    assert!(events.names_rule("F1"), "{}", texts(&events));
    let told = events.iter().find(|event| event["rule"] == "F1").cloned().unwrap_or_default();
    assert!(told["evidence"].to_string().contains("on node-b hangs"), "{told}");

    storage.signal_unit(SERVERS, "CONT", Whom::All)?;
    stage.wait_status("the mount to be well again", SOON, |status| state(status, 1) == "well")?;
    wait_for("the probe that hung to have ended", SOON, || {
        let left = processes(slave).map_err(|error| error.to_string())?;
        // Another may be under way.
        let of_probe = |line: &&String| line.contains("ha-observer-node");
        let ended = !hanging.1.iter().filter(of_probe).any(|old| left.contains(old));
        if ended { Ok(()) } else { Err(format!("{left:?}")) }
    })?;
    let events = stage.events()?;
    let changed = events.of_kind("mount-changed");
    let last = changed.iter().rfind(|event| event["host"] == "node-b").cloned();
    assert_eq!(last.map(|event| event["state"]["is"].clone()), Some("well".into()));
    Ok(())
}

/// Validations and the routine looks come at one time, and each reads its own answer: all are
/// ready, and nothing is told to have changed. A lock that a person holds counts as a storage that
/// hangs, for as long as they hold it. What a dead client has left mounted is named. A link to the
/// mount is no mount point, and the fix says so.
#[test]
fn looks_beside_one_another_read_their_own_answers() -> Result<()> {
    let stage = stage()?;
    let slave = stage.lab.machine("node-b");
    stage.lab.in_client(|| {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let told = stage.ask(&["validate", "--for", "switchover"]);
                        let told = told.expect("it is answered");
                        assert_eq!(told.status.code(), Some(DONE), "{}", told.stdout);
                    }
                });
            }
        });
    })?;
    let events = stage.events()?;
    assert_eq!(events.of_kind("mount-changed").len(), 0, "{}", texts(&events));
    let list = ["/bin/sh", "-c", "ls /run/ha-observer-mounts | wc -l"];
    assert_eq!(slave.run(&list)?.trim(), "2", "a lock, and what its probe reads");

    let hold = "lock=$(ls /run/ha-observer-mounts/* | grep -v '\\.in$'); \
        exec systemd-run --quiet --collect --unit=held flock \"$lock\" sleep infinity";
    slave.run(&["/bin/sh", "-c", hold])?;
    stage.wait_status("what is held to be told", SOON, |status| state(status, 1) == "hung")?;
    slave.run(&["systemctl", "stop", "held"])?;
    stage.wait_status("it to be well again", SOON, |status| state(status, 1) == "well")?;

    slave.signal_unit("shared", "KILL", Whom::All)?;
    amiss(&stage, "unusable", "cannot be used: entering it fails: ", "mount-usable")?;
    unmount(slave)?;
    mount(&stage, "node-b", "desk", "rw")?;
    stage.wait_protected()?;

    let link = "/srv/desk-link";
    for node in ["node-a", "node-b"] {
        stage.lab.machine(node).run(&["ln", "-s", PLACE, link])?;
    }
    let section = SECTION.replace(PLACE, link);
    let spec = StageSpec { sections: vec![section], ..spec() };
    stage.reconfigure(&spec)?;
    stage.install_rules(&spec)?;
    stage.wait_status("the link to be told", SOON, |status| state(status, 1) == "not-mounted")?;
    let told = stage.ask(&["validate", "--for", "switchover"])?;
    assert_eq!(told.status.code(), NOT_READY, "{}", told.stdout);
    let told = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("PATH is a link or lies inside a mount"), "{told}");
    Ok(())
}

/// The storage hangs in the middle of a switchover, right after the promotion: nothing of
/// the plan touches it, users notice nothing of that, and it is told.
#[test]
fn a_storage_that_hangs_in_a_switchover_holds_nobody_up() -> Result<()> {
    let stage = stage()?;
    let storage = stage.lab.machine("proxy");
    let users = stage.start_sql(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    let steps = stage.switchover_steps()?;
    let place = format!("proven:{}", steps.number("promote"));
    let stops = || storage.signal_unit(SERVERS, "STOP", Whom::All);
    let done = stage.switch_over_harmed(&place, stops, || Ok(()))?;
    assert!(done.reached, "{done:?}");
    stage.assert_ended(&done.ordered, DONE)?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&users, "node-b")?;
    stage.finish(users, "node-b")?.assert_kept(Promise::AllKept);
    stage.wait_status("both mounts to be told as hung", SOON, |status| {
        state(status, 0) == "hung" && state(status, 1) == "hung"
    })?;
    let refused = stage.switch_over("back")?;
    stage.assert_ended(&refused, REFUSED)?;
    storage.signal_unit(SERVERS, "CONT", Whom::All)?;
    stage.wait_protected()
}
