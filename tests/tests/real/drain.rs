//! Drains on real machines, in front of them a balancer of somebody else's: it sends users to the
//! hosts whose monitor file says so, and to nobody else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tests::lab::{DESK_UNIT, Result, Whom, wait_for};
use tests::stage::{DONE, OBSERVER_UNIT, Promise, REFUSED, Stage, StageSpec, Told, UNDONE, texts};

const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(240);
/// Below each machine's root, and as the machine knows it.
const FILE: &str = "etc/desk/serve";
/// `drain`: sessions are left after its limit.
const NOT_SETTLED: i32 = 18;
/// `upgrade`: it stopped, with the pair serving.
const UPGRADE_STOPPED: i32 = 16;
const PLAN: &str = "/root/plan.toml";
const HOSTS: [&str; 2] = ["node-a", "node-b"];

fn section(users: &str) -> String {
    let file = format!("\n[monitor_file]\npath = \"/{FILE}\"\nmeans = \"in\"\n");
    format!("{file}users = \"{users}\"\nsettle = \"1s\"\n")
}

/// An application that is active on both hosts: its health does not ask for a primary.
fn active_on_all() -> Result<Stage> {
    Stage::set(&StageSpec {
        sections: vec![section("every-host")],
        policy: vec![("path", "\"/whoami\"")],
        ..StageSpec::standard()
    })
}

/// What a balancer finds on a host.
fn says_in(stage: &Stage, host: &str) -> bool {
    stage.lab.machine(host).root().join(FILE).exists()
}

#[track_caller]
fn wait_says(stage: &Stage, host: &str, says: bool) -> Result<()> {
    wait_for(&format!("the monitor file of {host}"), SOON, || {
        let now = says_in(stage, host);
        if now == says { Ok(()) } else { Err(format!("it is there: {now}")) }
    })
}

fn address(stage: &Stage, host: &str) -> SocketAddr {
    SocketAddr::from((stage.lab.machine(host).address(), 8_080))
}

/// A session that stays open until it is dropped.
fn session(stage: &Stage, host: &str) -> Result<TcpStream> {
    let to = address(stage, host);
    let stream = stage.lab.in_client(|| TcpStream::connect_timeout(&to, Duration::from_secs(2)))?;
    Ok(stream.expect("the application takes connections"))
}

/// What became of the balancer's requests.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    answered: [AtomicU64; 2],
    failed: AtomicU64,
}

impl Tally {
    fn answered(&self, host: usize) -> u64 {
        self.answered[host].load(Ordering::SeqCst)
    }

    /// Waits until a host answers more requests, which says that users are sent there.
    fn wait_sent_to(&self, host: usize) -> Result<()> {
        let before = self.answered(host);
        wait_for(&format!("requests to {}", HOSTS[host]), SOON, || {
            let now = self.answered(host);
            if now > before + 5 { Ok(()) } else { Err(format!("{now}, before {before}")) }
        })
    }
}

/// Stops the balancer at the end of a scenario, whatever that is: it would be waited for.
struct StopsBalancer<'a>(&'a Tally);

impl Drop for StopsBalancer<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

/// Sends one request after the other to the hosts in turn whose file says in, looking at the files
/// every 100 ms as balancers do, until it is stopped.
fn balance(stage: &Stage, tally: &Tally) {
    let mut turn = 0;
    while !tally.stop.load(Ordering::SeqCst) {
        let serving: Vec<usize> =
            (0..HOSTS.len()).filter(|host| says_in(stage, HOSTS[*host])).collect();
        for _ in 0..10 {
            turn += 1;
            let host = serving.get(turn % serving.len().max(1));
            match host.map(|host| (host, request(address(stage, HOSTS[*host])))) {
                Some((host, Ok(()))) => {
                    tally.answered[*host].fetch_add(1, Ordering::SeqCst);
                }
                _ => {
                    tally.failed.fetch_add(1, Ordering::SeqCst);
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn request(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /whoami HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(std::io::Error::other(answer)) }
}

/// A session that stays open is counted, told after the limit, and its end is noticed. What a
/// person puts there by hand meanwhile is put right. The application is stopped and started on the
/// drained host, and no request of the balancer fails from the first to the last.
#[test]
fn no_request_fails_while_a_host_is_drained_and_undrained() -> Result<()> {
    let stage = active_on_all()?;
    for host in HOSTS {
        wait_says(&stage, host, true)?;
    }
    nobody_notices(&stage, drained_and_undrained)?;
    stage.wait_protected()
}

/// Plays `scenario` behind the balancer, none of whose requests may fail.
fn nobody_notices(
    stage: &Stage,
    scenario: impl FnOnce(&Stage, &Tally) -> Result<()>,
) -> Result<()> {
    let tally = Tally::default();
    std::thread::scope(|scope| {
        let balancing = scope.spawn(|| stage.lab.in_client(|| balance(stage, &tally)));
        let played = {
            let _stops = StopsBalancer(&tally);
            scenario(stage, &tally)
        };
        balancing.join().expect("the balancer does not panic")?;
        played
    })?;
    let (one, other) = (tally.answered(0), tally.answered(1));
    let failed = tally.failed.load(Ordering::SeqCst);
    assert_eq!(failed, 0, "beside {one} and {other} answered\n{}", texts(&stage.events()?));
    Ok(())
}

/// A rolling upgrade: balancers send nobody to a host whose services are about to be stopped, and
/// somebody again before the next host's are.
#[test]
fn nobody_behind_a_balancer_notices_a_rolling_upgrade() -> Result<()> {
    let stage = active_on_all()?;
    for host in HOSTS {
        wait_says(&stage, host, true)?;
    }
    nobody_notices(&stage, |stage, tally| {
        tally.wait_sent_to(1)?;
        let plan =
            "name = \"desk 4.2\"\ncommand = [\"/bin/sleep\", \"2\"]\nready_limit = \"60s\"\n";
        stage.observer().put_file(PLAN, plan.as_bytes(), 0o644, "root:root")?;
        let words = ["ha-observer", "upgrade", "run", PLAN, "--yes"];
        let ran = stage.observer().exec_within(LOAD, &words)?;
        let told = format!("{}{}\n{}", ran.stdout, ran.stderr, texts(&stage.events()?));
        assert_eq!(ran.status.code(), Some(DONE), "{told}");
        for host in HOSTS {
            assert!(says_in(stage, host), "{host}: {told}");
        }
        stage.wait_master("node-b", SOON)
    })
}

fn drained_and_undrained(stage: &Stage, tally: &Tally) -> Result<()> {
    tally.wait_sent_to(0)?;
    tally.wait_sent_to(1)?;
    let open = session(stage, "node-b")?;
    let words = ["drain", "node-b", "--reason", "a new kernel", "--limit", "8s"];
    let drained = stage.ask(&words)?;
    let told = format!("{}{}", drained.stdout, drained.stderr);
    assert_eq!(drained.status.code(), Some(NOT_SETTLED), "{told}\n{}", texts(&stage.events()?));
    assert!(told.contains("1 session is left"), "{told}");
    assert!(!says_in(stage, "node-b") && says_in(stage, "node-a"), "{told}");
    let shown = stage.ask(&["status"])?.stdout;
    assert!(shown.contains("node-b is drained, its limit is over"), "{shown}");
    assert!(shown.contains("a new kernel"), "{shown}");

    drop(open);
    stage.wait_status("nobody to be left", SOON, |status| {
        status["hosts"][1]["drain"]["settled"]["left"] == 0
    })?;
    let slave = stage.lab.machine("node-b");
    slave.run(&["touch", &format!("/{FILE}")])?;
    wait_says(stage, "node-b", false)?;
    // The balancer looks every 100 ms, and has seen the file that was put there.
    std::thread::sleep(Duration::from_millis(300));
    let last = tally.answered(1);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(tally.answered(1), last, "nobody is sent to a drained host");
    let other = stage.ask(&["drain", "node-a", "--reason", "both at once"])?;
    assert_eq!(other.status.code(), Some(REFUSED), "{}", other.stderr);

    slave.run(&["systemctl", "stop", DESK_UNIT])?;
    let early = stage.ask(&["undrain", "node-b", "--limit", "4s"])?;
    assert_eq!(early.status.code(), Some(NOT_SETTLED), "{}{}", early.stdout, early.stderr);
    assert!(!says_in(stage, "node-b"), "its application is not well");
    slave.run(&["systemctl", "start", DESK_UNIT])?;
    wait_says(stage, "node-b", true)?;
    tally.wait_sent_to(1)?;
    stage.wait_status("users to have returned", SOON, |status| {
        status["hosts"][1]["returning"] == false
    })?;
    let events = stage.events()?;
    let counts = ["drain-began", "drain-settled", "drain-ended", "users-returned"]
        .map(|kind| events.of_kind(kind).len());
    // Settled twice: at the limit, and once nobody was left.
    assert_eq!(counts, [1, 2, 1, 1], "{}", texts(&events));
    Ok(())
}

/// The daemon is killed while a session keeps the drain from its end. The verb waits on; the next
/// life knows of the drain, keeps users away, and tells the end once.
#[test]
fn a_drain_outlives_the_observer() -> Result<()> {
    let stage = active_on_all()?;
    wait_says(&stage, "node-b", true)?;
    let open = session(&stage, "node-b")?;
    let words = ["drain", "node-b", "--reason", "a new kernel", "--limit", "90s"];
    let drained = std::thread::scope(|scope| {
        let verb = scope.spawn(|| stage.ask(&words));
        wait_says(&stage, "node-b", false)?;
        stage.observer().signal_unit(OBSERVER_UNIT, "KILL", Whom::All)?;
        stage.lab.machine("node-b").run(&["touch", &format!("/{FILE}")])?;
        stage.start_observer()?;
        wait_says(&stage, "node-b", false)?;
        stage.wait_status("its session to be counted", SOON, |status| {
            status["hosts"][1]["drain"]["sessions"] == 1
        })?;
        drop(open);
        verb.join().expect("asking does not panic")
    })?;
    let told = format!("{}{}", drained.stdout, drained.stderr);
    let events = stage.events()?;
    assert_eq!(drained.status.code(), Some(DONE), "{told}\n{}", texts(&events));
    assert!(told.contains("node-b is drained: nobody is left there"), "{told}");
    let counts = ["drain-began", "drain-settled"].map(|kind| events.of_kind(kind).len());
    assert_eq!(counts, [1, 1], "{}", texts(&events));
    stage.ask(&["undrain", "node-b"])?.success()?;
    wait_says(&stage, "node-b", true)
}

/// The file's folder can only be read: balancers go on sending users there, and that nobody is
/// there just now is told as what it is. Writable again, the drain goes on. Beside it nobody may
/// take the master from users, too, and an undrain says that a maintenance stands in its way.
#[test]
fn what_balancers_are_not_told_is_no_drain() -> Result<()> {
    let stage = active_on_all()?;
    let slave = stage.lab.machine("node-b");
    for host in HOSTS {
        wait_says(&stage, host, true)?;
    }
    let read_only = "mount --bind /etc/desk /etc/desk && mount -o remount,bind,ro /etc/desk";
    slave.run(&["/bin/sh", "-c", read_only])?;
    let words = ["drain", "node-b", "--reason", "a new kernel", "--limit", "6s"];
    let drained = stage.ask(&words)?;
    let told = format!("{}{}", drained.stdout, drained.stderr);
    assert_eq!(drained.status.code(), Some(NOT_SETTLED), "{told}\n{}", texts(&stage.events()?));
    let not_drained = "node-b is not drained: its limit is over and its monitor file still says in";
    assert!(told.contains(not_drained), "{told}");
    let shown = stage.ask(&["status"])?.stdout;
    assert!(shown.contains(not_drained), "{shown}");
    assert!(says_in(&stage, "node-b"), "{told}");

    slave.run(&["umount", "/etc/desk"])?;
    // What could not be done a moment ago is not tried again at once, but by order.
    stage.ask(&["repair", "--yes"])?.success()?;
    wait_says(&stage, "node-b", false)?;
    stage.wait_status("nobody to be left", SOON, |status| {
        status["hosts"][1]["drain"]["settled"]["left"] == 0
    })?;
    let other = stage.ask(&["drain", "node-a", "--reason", "the other, too"])?;
    assert_eq!(other.status.code(), Some(REFUSED), "{}", other.stderr);
    assert!(other.stderr.contains("`ha-observer undrain node-b` first"), "{}", other.stderr);

    let told = stage.ask(&["validate", "--for", "switchover"])?.stdout;
    assert!(told.contains("slave-free") && told.contains("drained (a new kernel"), "{told}");

    stage.ask(&["maintenance", "node-b", "--reason", "a new kernel"])?.success()?;
    let undrained = stage.ask(&["undrain", "node-b"])?;
    assert_eq!(undrained.status.code(), Some(NOT_SETTLED), "{}", undrained.stderr);
    assert!(undrained.stdout.contains("`ha-observer maintenance node-b --end`"), "{}", told);
    assert!(!says_in(&stage, "node-b"), "it is worked on");
    stage.ask(&["maintenance", "node-b", "--end"])?.success()?;
    wait_says(&stage, "node-b", true)?;
    stage.wait_protected()
}

/// A drained host may be upgraded, and is not put back to work by that: the upgrade does not wait
/// in vain, says what stands in its way, and goes on once it does not.
#[test]
fn an_upgrade_of_a_drained_host_says_that_it_is_drained() -> Result<()> {
    let stage = active_on_all()?;
    for host in HOSTS {
        wait_says(&stage, host, true)?;
    }
    stage.ask(&["drain", "node-b", "--reason", "a new kernel"])?.success()?;
    let plan = "name = \"desk 4.2\"\nhosts = [\"node-b\"]\ncommand = [\"/bin/true\"]\n\
                ready_limit = \"60s\"\n";
    stage.observer().put_file(PLAN, plan.as_bytes(), 0o644, "root:root")?;
    let words = ["ha-observer", "upgrade", "run", PLAN, "--yes"];
    let ran = stage.observer().exec_within(LOAD, &words)?;
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.status.code(), Some(UPGRADE_STOPPED), "{told}\n{}", texts(&stage.events()?));
    assert!(told.contains("node-b is drained: `ha-observer undrain node-b`"), "{told}");
    assert!(!says_in(&stage, "node-b"), "{told}");
    stage.ask(&["undrain", "node-b"])?.success()?;
    let words = ["ha-observer", "upgrade", "resume", "--yes"];
    let went = stage.observer().exec_within(LOAD, &words)?;
    assert_eq!(went.status.code(), Some(DONE), "{}{}", went.stdout, went.stderr);
    assert!(says_in(&stage, "node-b"), "{}", went.stdout);
    stage.wait_protected()
}

/// Where only the master serves, its file alone says in. A switchover waits for the balancer's
/// sessions before anybody is held, and is taken back while one stays; a failover calls users to
/// the new master.
#[test]
fn the_file_says_in_on_the_master_alone() -> Result<()> {
    let stage = Stage::set(&StageSpec {
        sections: vec![section("master")],
        policy: vec![("drain_deadline", "\"3s\"")],
        ..StageSpec::asking()
    })?;
    wait_says(&stage, "node-a", true)?;
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    let refused = stage.ask(&["drain", "node-a", "--reason", "a new kernel"])?;
    assert_eq!(refused.status.code(), Some(REFUSED), "{}", refused.stderr);
    let fix = "`ha-observer switchover`, then `ha-observer drain node-a --reason TEXT`";
    assert!(refused.stderr.contains(fix), "{}", refused.stderr);
    stage.lab.machine("node-b").run(&["touch", &format!("/{FILE}")])?;
    wait_says(&stage, "node-b", false)?;
    stage.wait_protected()?;

    let open = session(&stage, "node-a")?;
    let undone = stage.switch_over("a session that stays")?;
    stage.assert_ended(&undone, UNDONE)?;
    assert!(says_in(&stage, "node-a") && !says_in(&stage, "node-b"), "as before");
    drop(open);
    stage.wait_protected()?;
    let done = stage.switch_over("it has ended")?;
    stage.assert_ended(&done, DONE)?;
    assert!(!says_in(&stage, "node-a") && says_in(&stage, "node-b"), "users are sent to node-b");
    let booked = stage.finish(users, "node-b")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();

    stage.wait_protected()?;
    stage.lab.machine("node-b").power_loss()?;
    stage.wait_master("node-a", SOON)?;
    wait_says(&stage, "node-a", true)
}
