//! An application that is active on both hosts behind a proxy of ours, on real machines. It reaches
//! the database by the same proxy, where users go to the master alone.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tests::http::get;
use tests::lab::{DESK_UNIT, Machine, Result, Whom, wait_for};
use tests::stage::{DONE, OBSERVER_UNIT, Promise, REFUSED, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(240);
const PAIR: &str = "/etc/ha-observer/pairs/desk.toml";
const HAPROXY_CFG: &str = "etc/haproxy/haproxy.cfg";
const HOSTS: [&str; 2] = ["node-a", "node-b"];
/// `drain`: sessions are left after its limit.
const NOT_SETTLED: i32 = 18;

/// Says in the pair's file that users of `desk` may go to every host; the observer does the rest.
fn shared() -> Result<Stage> {
    let stage = Stage::set(&StageSpec::standard())?;
    let by_proxy = format!("s/host=127.0.0.1/host={}/", stage.lab.machine("proxy").address());
    for host in HOSTS {
        let machine = stage.lab.machine(host);
        machine.run(&["sed", "-i", &by_proxy, "/etc/desk/desk.conf"])?;
        machine.run(&["systemctl", "restart", DESK_UNIT])?;
    }
    stage.wait_protected()?;
    share(&stage, "desk")?;
    for host in HOSTS {
        wait_shared(&stage, host, true)?;
    }
    stage.wait_protected()?;
    Ok(stage)
}

/// Has the observer take up another backend that all hosts share.
fn share(stage: &Stage, backend: &str) -> Result<()> {
    let line = format!("every_host = [\"{backend}\"]");
    let edit = format!("/^every_host/d; /^\\[\\[proxy\\]\\]/a {line}");
    stage.observer().run(&["sed", "-i", &edit, PAIR])?;
    stage.observer().run(&["ha-observer", "config", "check"])?;
    stage.observer().run(&["systemctl", "reload", OBSERVER_UNIT]).map(drop)
}

fn proxy(stage: &Stage) -> &Machine {
    stage.lab.machine("proxy")
}

/// Whether the file lets users in to a host in a backend.
fn file_lets_in(stage: &Stage, backend: &str, host: &str) -> Result<bool> {
    let file = proxy(stage).run(&["cat", &format!("/{HAPROXY_CFG}")])?;
    let own = file.lines().skip_while(|line| *line != format!("backend {backend}")).skip(1);
    let mut own = own.take_while(|line| line.starts_with(' ') || line.is_empty());
    let line = own.find(|line| line.trim_start().starts_with(&format!("server {host} ")));
    Ok(!line.expect("each host has a server").contains(" disabled"))
}

/// Waits until what runs and what is written say the same of a host in `desk`.
#[track_caller]
fn wait_shared(stage: &Stage, host: &str, lets_in: bool) -> Result<()> {
    wait_for(&format!("users of desk at {host}: {lets_in}"), SOON, || {
        let status = stage.status().map_err(|error| error.to_string())?;
        let shares = &status["proxies"][0]["shares"];
        let has = |hosts: &serde_json::Value| {
            hosts.as_array().is_some_and(|hosts| hosts.iter().any(|one| one == host))
        };
        let written = file_lets_in(stage, "desk", host).map_err(|error| error.to_string())?;
        let all = [has(&shares["lets_in"]), has(&shares["file_lets_in"]), written];
        if all == [lets_in; 3] { Ok(()) } else { Err(format!("{all:?}: {shares}")) }
    })
}

/// Who answers so many requests in a row, each on a connection of its own.
fn answered_by(stage: &Stage, requests: usize) -> Result<Vec<String>> {
    let address = SocketAddr::from((proxy(stage).address(), 80));
    let ask = || -> std::result::Result<Vec<String>, String> {
        (0..requests)
            .map(|_| {
                let answer = get(address, "/whoami", Duration::from_secs(5))?;
                let host = answer.header("x-desk-host").ok_or("no host is named")?;
                Ok(host.to_owned())
            })
            .collect()
    };
    Ok(stage.lab.in_client(ask)?.expect("users are answered"))
}

#[track_caller]
fn both_answer(stage: &Stage) -> Result<()> {
    wait_for("both hosts to answer users", SOON, || {
        let hosts = answered_by(stage, 8).map_err(|error| error.to_string())?;
        let all = HOSTS.iter().all(|host| hosts.iter().any(|one| one == host));
        if all { Ok(()) } else { Err(format!("{hosts:?}")) }
    })
}

/// Both hosts serve. In a switchover users of both are held and no request fails; both serve again
/// afterwards, and the database's users go to the new master alone.
#[test]
fn a_switchover_holds_users_of_both_hosts() -> Result<()> {
    let stage = shared()?;
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    both_answer(&stage)?;
    let done = stage.switch_over("maintenance of node-a")?;
    stage.assert_ended(&done, DONE)?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&users, "node-b")?;
    for host in HOSTS {
        wait_shared(&stage, host, true)?;
    }
    both_answer(&stage)?;
    assert!(file_lets_in(&stage, "desk_pg", "node-b")?, "the database's users");
    assert!(!file_lets_in(&stage, "desk_pg", "node-a")?, "the database's users");
    stage.wait_protected()?;
    let booked = stage.finish(users, "node-b")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    let events = stage.events()?;
    let held = events.of_kind("step-proven").iter().any(|event| {
        event["name"].as_str().is_some_and(|name| name == "hold users of every host at proxy")
    });
    assert!(held, "{}", texts(&events));
    Ok(())
}

/// The master loses its power: users of the slave's application wait with the others, and nobody
/// is let in to the old master before it follows the new one.
#[test]
fn a_failover_lets_nobody_in_to_the_old_master() -> Result<()> {
    let stage = shared()?;
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    let master = stage.lab.machine("node-a");
    master.power_loss()?;
    stage.wait_master("node-b", SOON)?;
    wait_shared(&stage, "node-a", false)?;
    wait_shared(&stage, "node-b", true)?;
    stage.wait_written(&users, "node-b")?;
    assert!(answered_by(&stage, 8)?.iter().all(|host| host == "node-b"));
    master.power_on()?;
    master.run(&["systemctl", "start", DESK_UNIT])?;
    wait_shared(&stage, "node-a", true)?;
    both_answer(&stage)?;
    stage.wait_protected()?;
    let events = stage.events()?;
    let at = |kind: &str, part: &str| {
        let found = events
            .iter()
            .rposition(|event| event["kind"] == kind && event.to_string().contains(part));
        found.unwrap_or_else(|| panic!("no {kind} of {part}: {}", texts(&events)))
    };
    let streams = at("step-proven", "start node-a as slave");
    let back = at("step-ordered", "(shared: node-a, node-b)");
    assert!(streams < back, "{}", texts(&events));
    stage.finish(users, "node-b")?.assert_kept(Promise::LastInFlight);
    Ok(())
}

/// The slave is drained at the proxy: nobody new comes to it, its open session is counted and told
/// after the limit, and the application is stopped and started there while no request fails. What
/// a person does at the running proxy meanwhile is put right, and a restart of the observer changes
/// nothing.
#[test]
fn no_request_fails_while_a_host_is_drained_at_the_proxy() -> Result<()> {
    let stage = shared()?;
    both_answer(&stage)?;
    let held = request_that_stays(&stage)?;
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    let words = ["drain", "node-b", "--reason", "a new kernel", "--limit", "6s"];
    let drained = stage.ask(&words)?;
    let told = format!("{}{}", drained.stdout, drained.stderr);
    let events = || stage.events().map(|events| texts(&events));
    assert_eq!(drained.status.code(), Some(NOT_SETTLED), "{told}\n{}", events()?);
    assert!(told.contains("1 session is left"), "{told}");
    wait_shared(&stage, "node-b", false)?;
    drop(held);
    stage.wait_status("nobody to be left", SOON, |status| {
        status["hosts"][1]["drain"]["settled"]["left"] == 0
    })?;
    let refused = stage.ask(&["drain", "node-a", "--reason", "both at once"])?;
    assert_eq!(refused.status.code(), Some(REFUSED), "{}", refused.stderr);

    stage.haproxy("set server desk/node-b state ready")?;
    wait_for("what was done by hand to be put right", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let again = events.of_kind("plan-closed").len() > 2;
        if again { Ok(()) } else { Err(texts(&events)) }
    })?;
    wait_shared(&stage, "node-b", false)?;
    stage.observer().signal_unit(OBSERVER_UNIT, "KILL", Whom::All)?;
    stage.start_observer()?;
    wait_shared(&stage, "node-b", false)?;

    let slave = stage.lab.machine("node-b");
    slave.run(&["systemctl", "stop", DESK_UNIT])?;
    let early = stage.ask(&["undrain", "node-b", "--limit", "4s"])?;
    assert_eq!(early.status.code(), Some(NOT_SETTLED), "{}{}", early.stdout, early.stderr);
    wait_shared(&stage, "node-b", false)?;
    slave.run(&["systemctl", "start", DESK_UNIT])?;
    wait_shared(&stage, "node-b", true)?;
    both_answer(&stage)?;
    stage.wait_protected()?;
    let booked = stage.finish(users, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    Ok(())
}

/// A rolling upgrade of both hosts: users leave a host at the proxy before its services are
/// stopped, and are back before the next one's are.
#[test]
fn no_request_fails_in_a_rolling_upgrade_of_both_hosts() -> Result<()> {
    const PLAN: &str = "/root/plan.toml";
    let stage = shared()?;
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    both_answer(&stage)?;
    let plan = "name = \"desk 4.2\"\ncommand = [\"/bin/sleep\", \"2\"]\nready_limit = \"60s\"\n";
    stage.observer().put_file(PLAN, plan.as_bytes(), 0o644, "root:root")?;
    let words = ["ha-observer", "upgrade", "run", PLAN, "--yes"];
    let ran = stage.observer().exec_within(LOAD, &words)?;
    let told = format!("{}{}\n{}", ran.stdout, ran.stderr, texts(&stage.events()?));
    assert_eq!(ran.status.code(), Some(DONE), "{told}");
    stage.wait_master("node-b", SOON)?;
    for host in HOSTS {
        wait_shared(&stage, host, true)?;
        assert!(told.contains(&format!("take {host} out at proxy")), "{told}");
    }
    both_answer(&stage)?;
    let booked = stage.finish(users, "node-b")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    Ok(())
}

/// A request to the slave whose body never comes: a session that stays until it is dropped. Nobody
/// else may work there yet: it is known by its count.
fn request_that_stays(stage: &Stage) -> Result<TcpStream> {
    use std::io::Write;

    let address = SocketAddr::from((proxy(stage).address(), 80));
    let sessions = || -> std::result::Result<u64, String> {
        let stat = stage.haproxy("show stat").map_err(|error| error.to_string())?;
        let row = stat.lines().find(|line| line.starts_with("desk,node-b,"));
        let current = row.and_then(|row| row.split(',').nth(4)).ok_or("no row of node-b")?;
        current.parse().map_err(|_| current.to_owned())
    };
    let head = b"POST /tickets HTTP/1.1\r\nHost: desk\r\nContent-Type: application/json\r\n\
                 Content-Length: 1000\r\n\r\n{";
    wait_for("a request that stays on node-b", SOON, || {
        let open = stage.lab.in_client(|| {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
            stream.write_all(head)?;
            Ok::<_, std::io::Error>(stream)
        });
        let open = open.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_millis(300));
        match sessions()? {
            1 => Ok(open),
            other => Err(format!("{other} sessions on node-b")),
        }
    })
}

/// What cannot be shared is said with what to do, and nobody is moved for it.
#[test]
fn a_backend_that_is_not_there_is_told_and_moves_nobody() -> Result<()> {
    let stage = Stage::set(&StageSpec::standard())?;
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    share(&stage, "nope")?;
    wait_for("it to be told", SOON, || {
        let shown = stage.ask(&["why"]).map_err(|error| error.to_string())?.stdout;
        let said = shown.contains("there is no backend or listen section \"nope\"");
        if said { Ok(()) } else { Err(shown) }
    })?;
    stage.wait_written(&users, "node-a")?;
    let booked = stage.finish(users, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    Ok(())
}
