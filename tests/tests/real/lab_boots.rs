//! The lab keeps its promises: it boots, replicates, serves, breaks as documented, and leaves
//! nothing behind.
//!
//! Every scenario on real machines stands on these. What is asserted here are properties of the
//! lab itself; the observer does not run.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use tests::http::{get, post};
use tests::lab::{Lab, LabSpec, POSTGRES_UNIT, Result, SCHEDULER_UNIT, Whom, wait_for};
use tests::load::{HTTP_IDS, Outcome, SQL_IDS, Summary, compare_with};

const SHORT: Duration = Duration::from_millis(700);
const PATIENT: Duration = Duration::from_secs(15);

/// What a TCP connection attempt meets.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    Accepted,
    Refused,
    Silence,
}

/// A lab in its roles streams, serves users from the master, runs the scheduler once, and lets the
/// observer's account in on every host.
#[test]
fn a_lab_boots_in_its_roles() -> Result<()> {
    let lab = Lab::boot(LabSpec {
        sudoers: |host| (host == "node-a").then(|| sudo_rule("/usr/bin/id -u")),
        ..LabSpec::standard()
    })?;
    let (node_a, node_b) = (lab.machine("node-a"), lab.machine("node-b"));

    let slot = "select slot_name, active from pg_replication_slots";
    assert_eq!(node_a.sql("postgres", slot)?, "node_b|t");
    assert_eq!(node_b.sql("postgres", "select pg_is_in_recovery()")?, "t");

    let address = lab.http_address();
    let ticket = r#"{"id":"ticket-1","title":"printer on fire","attachment":"photo"}"#;
    let (posted, read) = lab.in_client(|| {
        (post(address, "/tickets", ticket, PATIENT), get(address, "/tickets/ticket-1", PATIENT))
    })?;
    let posted = posted.expect("the proxy answers a POST");
    assert_eq!((posted.status, posted.header("x-desk-host")), (201, Some("node-a")));
    let read = read.expect("the proxy answers a GET");
    assert!(read.body.contains("printer on fire"), "{}", read.body);
    wait_for("the ticket on the slave", PATIENT, || {
        let found = node_b.sql("desk", "select host from tickets where id = 'ticket-1'");
        match found.map_err(|error| error.to_string())?.as_str() {
            "node-a" => Ok(()),
            other => Err(format!("'{other}'")),
        }
    })?;
    let attachment = node_a.root().join("var/lib/desk/attachments/ticket-1");
    assert_eq!(std::fs::read_to_string(attachment).unwrap(), "photo");

    // A slave is not for users: its health check says so, with a reason.
    let direct = SocketAddr::from((node_b.address(), 8080));
    let answer = lab.in_client(|| get(direct, "/healthcheck", PATIENT))?.unwrap();
    assert_eq!((answer.status, answer.body.trim()), (503, "the database is a standby"));

    // The first run is within the first second of the service.
    wait_for("a run of the scheduler", PATIENT, || {
        let query = "select string_agg(distinct host, ',') from scheduler_runs";
        match node_a.sql("desk", query).map_err(|error| error.to_string())?.as_str() {
            "node-a" => Ok(()),
            hosts => Err(format!("hosts '{hosts}'")),
        }
    })?;
    assert_eq!(node_a.run(&["systemctl", "is-active", SCHEDULER_UNIT])?, "active");
    let idle = node_b.exec(&["systemctl", "is-active", SCHEDULER_UNIT])?;
    assert_eq!(idle.stdout.trim(), "inactive");

    the_account_of_the_observer_is_open_everywhere(&lab)
}

/// By key only; with the sudo rule that the lab was booted with, and on the proxy to its sockets.
fn the_account_of_the_observer_is_open_everywhere(lab: &Lab) -> Result<()> {
    let observer = lab.machine("observer");
    for machine in lab.machines() {
        let known = format!("{} {}\n", machine.name(), machine.host_key()?);
        let path = format!("/tmp/known-{}", machine.name());
        observer.put_file(&path, known.as_bytes(), 0o644, "ha-observer:")?;
        let login = |words: &[&str]| {
            let known = format!("UserKnownHostsFile={path}");
            let (ssh, user) = (["runuser", "-u", "ha-observer", "--", "ssh"], "ha-observer");
            let key =
                ["-i", "/etc/ha-observer/ssh/id_ed25519", "-o", &known, "-o", "BatchMode=yes"];
            observer.exec(&[&ssh[..], &key, &["-l", user, machine.name()], words].concat())
        };
        assert_eq!(login(&["hostname"])?.success()?, machine.name());
        let sudo = login(&["sudo", "-n", "/usr/bin/id", "-u"])?;
        let expected = if machine.name() == "node-a" { "0" } else { "" };
        assert_eq!(sudo.stdout.trim(), expected, "{} {}", machine.name(), sudo.stderr);
    }
    let sockets = "test -w /run/haproxy/admin.sock && test -w /run/haproxy-master.sock";
    let proxy = lab.machine("proxy");
    proxy.run(&["runuser", "-u", "ha-observer", "--", "sh", "-c", sockets])?;
    let query = "select current_user, pg_has_role('pg_monitor', 'member'), \
                 has_function_privilege('pg_promote(boolean,integer)', 'execute')";
    let psql = ["psql", "-XAtq", "-U", "ha_observer", "-d", "ha_observer", "-c", query];
    let seen = lab
        .machine("node-b")
        .run(&[&["runuser", "-u", "ha-observer", "--"][..], &psql].concat())?;
    assert_eq!(seen, "ha_observer|t|t");
    Ok(())
}

/// Both loads run undisturbed: nothing is refused, no write is lost or done twice, and the books
/// tell the longest time without an acknowledged write. A machine that stalls for more than a
/// client's patience leaves writes of unknown outcome, and they are told as that.
#[test]
fn the_loads_keep_true_books() -> Result<()> {
    let lab = Lab::boot(LabSpec::standard())?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = lab.program("load").display().to_string();
    let (sql, http) = (folder.path().join("sql.json"), folder.path().join("http.json"));
    let (url, address) = (lab.sql_url()?, lab.http_address().to_string());
    let load = |kind: &str, url: &str, out: &Path| {
        let out = out.display().to_string();
        lab.client_exec(&[&program, kind, "--url", url, "--for", "3s", "--out", &out])?.success()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| load("http", &address, &http));
        load("sql", &url, &sql)?;
        other.join().expect("the load does not panic")
    })?;
    for (path, query) in [(&sql, SQL_IDS), (&http, HTTP_IDS)] {
        let summary = Summary::read(path).expect("the load wrote its summary");
        let refused = summary.failed.iter().find(|attempt| attempt.outcome != Outcome::Unknown);
        assert_eq!(refused, None, "{query}");
        assert!(summary.writes_ok > 10, "{} writes in 3 s", summary.writes_ok);
        assert!(summary.longest_gap_ms > 0.0, "writes take time");
        let compared = compare_with(lab.machine("node-a"), query, path)?;
        assert_eq!((compared.lost.len(), compared.doubled.len()), (0, 0), "{compared:?}");
    }
    Ok(())
}

/// A crash refuses, a loss of power and a pulled cable are silent, a cut concerns two hosts only,
/// and a machine that is switched on again answers again.
#[test]
fn it_breaks_as_documented() -> Result<()> {
    let lab = Lab::boot(LabSpec::standard())?;
    let (node_a, node_b) = (lab.machine("node-a"), lab.machine("node-b"));
    let address = IpAddr::from(node_a.address());
    let ssh = || lab.in_client(|| met(SocketAddr::new(address, 22)));
    assert_eq!(ssh()?, Met::Accepted);

    node_a.pull_cable()?;
    assert_eq!(ssh()?, Met::Silence, "a pulled cable");
    node_a.plug_cable()?;
    wait_for("an answer after the cable is back", PATIENT, || accepted(ssh()))?;

    lab.cut("node-a", "node-b")?;
    let to_a = reach(node_b, "10.80.0.11")?;
    let to_b = reach(node_a, "10.80.0.12")?;
    assert_eq!((to_a, to_b), (Met::Silence, Met::Silence), "a cut is silent both ways");
    assert_eq!(ssh()?, Met::Accepted, "a cut concerns nobody else");
    lab.heal("node-a", "node-b")?;
    wait_for("an answer after the cut is healed", PATIENT, || accepted(reach(node_b, "node-a")))?;

    // A stopped server still accepts connections, and then says nothing.
    node_a.signal_unit(POSTGRES_UNIT, "STOP", Whom::All)?;
    let database = SocketAddr::new(address, 5432);
    assert_eq!(lab.in_client(|| met(database))?, Met::Accepted, "the kernel accepts for it");
    node_a.signal_unit(POSTGRES_UNIT, "CONT", Whom::All)?;
    assert_eq!(node_a.sql("postgres", "select 1")?, "1");

    let crashed = Instant::now();
    node_a.crash()?;
    assert_eq!(ssh()?, Met::Refused, "a crashed machine refuses");
    assert!(node_a.exec(&["true"]).is_err(), "nothing runs in a machine that is off");
    assert!(crashed.elapsed() < PATIENT, "a crash took {:?}", crashed.elapsed());

    node_a.power_on()?;
    wait_for("an answer after power on", PATIENT, || accepted(ssh()))?;
    // Nothing comes up in a role by itself: which one is the observer's decision.
    let state = node_a.exec(&["systemctl", "is-active", POSTGRES_UNIT])?;
    assert_eq!(state.stdout.trim(), "inactive");
    node_a.run(&["systemctl", "start", POSTGRES_UNIT])?;
    assert_eq!(node_a.sql("postgres", "select pg_is_in_recovery()")?, "f");
    assert!(node_a.journal(POSTGRES_UNIT)?.contains("Started"), "the journal tells of the start");

    node_b.power_loss()?;
    let lost = SocketAddr::from((node_b.address(), 22));
    assert_eq!(lab.in_client(|| met(lost))?, Met::Silence, "a machine without power is silent");
    node_b.power_on()?;
    wait_for("an answer after power on", PATIENT, || accepted(lab.in_client(|| met(lost))))
}

/// Dropping a lab leaves no namespace, mount, cgroup, process or file of it, even when some of its
/// machines are off, stopped or unreachable.
#[test]
fn nothing_is_left_behind() -> Result<()> {
    let lab = Lab::boot(LabSpec::standard())?;
    let (id, folder) = (lab.id().to_owned(), lab.dir().to_owned());
    let leaders: BTreeSet<i32> =
        lab.machines().iter().filter_map(tests::lab::Machine::leader_pid).collect();
    assert_eq!(leaders.len(), lab.machines().len());
    assert!(!traces_of(&id).is_empty(), "a running lab has traces, else this test sees nothing");
    lab.machine("node-a").power_loss()?;
    lab.machine("node-b").signal_unit(POSTGRES_UNIT, "STOP", Whom::All)?;
    let mut client = lab.client_spawn(&["sleep", "600"])?;

    drop(lab);
    client.wait().expect("the client is reaped");
    assert_eq!(traces_of(&id), Vec::<String>::new());
    assert!(!folder.exists(), "{} is left", folder.display());
    for leader in leaders {
        assert!(!Path::new(&format!("/proc/{leader}")).exists(), "process {leader} is left");
    }
    Ok(())
}

/// Whatever this computer shows that bears the run's id.
fn traces_of(id: &str) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("proc is mounted");
    let mut traces: Vec<String> =
        mounts.lines().filter(|line| line.contains(id)).map(str::to_owned).collect();
    let folders =
        ["/run/netns", "/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
    for folder in folders.into_iter().chain(["/run/systemd/nspawn/propagate"]) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(id) {
                traces.push(entry.path().display().to_string());
            }
        }
    }
    for process in std::fs::read_dir("/proc").expect("proc is mounted").flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(id) {
            traces.push(process.path().display().to_string());
        }
    }
    traces
}

fn met(address: SocketAddr) -> Met {
    match TcpStream::connect_timeout(&address, SHORT) {
        Ok(_) => Met::Accepted,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Met::Refused,
        Err(_) => Met::Silence,
    }
}

/// What sshd of another host is to a machine, looked at from within.
fn reach(from: &tests::lab::Machine, to: &str) -> Result<Met> {
    let look = format!("exec 3<>/dev/tcp/{to}/22");
    let seen = from.exec(&["timeout", "0.7", "bash", "-c", &look])?;
    Ok(match seen.status.code() {
        Some(0) => Met::Accepted,
        Some(124) => Met::Silence,
        _ if seen.stderr.contains("refused") => Met::Refused,
        _ => Met::Silence,
    })
}

fn accepted(met: Result<Met>) -> std::result::Result<(), String> {
    match met {
        Ok(Met::Accepted) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn sudo_rule(command: &str) -> String {
    format!("ha-observer ALL=(root) NOPASSWD: {command}\n")
}
