//! The real binary on a configuration whose machines refuse every connection at once.
//!
//! Everything goes over the real Unix socket with the real command line. Nothing but loopback is
//! spoken to; every wait is bounded; processes end by their own id.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
/// Longest wait for the daemon to come up or go down.
const LIMIT: Duration = Duration::from_secs(15);

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ha-observer"))
}

/// A configuration in a directory of its own.
struct Site {
    directory: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { directory: TempDir::new().unwrap() };
        std::fs::create_dir_all(site.path("etc/pairs")).unwrap();
        let key = site.path("key");
        std::fs::write(&key, "nothing gets far enough to use this").unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let daemon = format!(
            "state_directory = \"{}\"\nsocket = \"{}\"\n",
            site.path("state").display(),
            site.socket().display()
        );
        std::fs::create_dir(site.path("state")).unwrap();
        std::fs::write(site.path("etc/observer.toml"), daemon).unwrap();
        std::fs::write(site.path("etc/pairs/desk.toml"), site.pair()).unwrap();
        site
    }

    /// The shipped default file, pointed at a port of loopback where nobody listens.
    fn pair(&self) -> String {
        let output = binary().args(["config", "--default", "pair"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let port = closed_port();
        let text = text
            .replace("ssh-ed25519 REPLACE-THIS-KEY", KEY)
            .replace("/etc/ha-observer/ssh/id_ed25519", &self.path("key").display().to_string());
        let line = |line: &str| match line.split_once(" = ") {
            Some(("port", _)) => format!("port = {port}\n"),
            // All of 127.0.0.0/8 is loopback, and two hosts are two addresses.
            Some(("address", of)) => {
                let last = of.trim_matches('"').rsplit('.').next().unwrap_or("1");
                format!("address = \"127.0.0.{last}\"\n")
            }
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("run/observer.sock")
    }

    fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    fn start_with(&self, variables: &[(&str, &str)]) -> Daemon {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let child = binary()
            .args(["run", "--config"])
            .arg(self.path("etc"))
            .env_remove("JOURNAL_STREAM")
            .env_remove("NOTIFY_SOCKET")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Daemon { child };
        wait_for("the daemon's first answer", || {
            matches!(self.ask(&["status"]).status.code(), Some(0 | 3))
        });
        daemon
    }

    fn ask(&self, words: &[&str]) -> Output {
        binary().args(words).env("HA_OBSERVER_SOCKET", self.socket()).output().unwrap()
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.ask(&[words, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {output:?}"))
    }

    fn pair_status(&self) -> Value {
        self.json(&["status"])["pairs"][0].clone()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }
}

struct Daemon {
    child: Child,
}

impl Daemon {
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    fn end(self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.ended()
    }

    /// Its exit code; none if a signal ended it.
    fn ended(mut self) -> Option<i32> {
        let mut code = None;
        wait_for("the daemon's end", || match self.child.try_wait().unwrap() {
            Some(status) => {
                code = status.code();
                true
            }
            None => false,
        });
        code
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that failed half-way must not leave a daemon behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn without_a_daemon_the_command_line_says_how_to_start_it() {
    let site = Site::new();
    let output = site.ask(&["status"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(text(&output).contains("systemctl start ha-observer"), "{}", text(&output));
}

#[test]
fn status_why_and_events_tell_the_same_story() {
    let site = Site::new();
    let daemon = site.start();
    wait_for("the first verdict", || !site.pair_status()["rule"].is_null());
    let status = site.ask(&["status"]);
    assert_eq!(status.status.code(), Some(3), "it is not protected");
    assert!(text(&status).starts_with("NOT PROTECTED  desk: "), "{}", text(&status));
    let why = site.json(&["why"]);
    assert_eq!(why["ruling"]["rule"], site.pair_status()["rule"]);
    let events = site.json(&["events"]);
    let told = events.as_array().unwrap().last().unwrap();
    assert_eq!(told["rule"], why["ruling"]["rule"]);
    assert!(text(&site.ask(&["why"])).contains("what you can do"));
    assert_eq!(daemon.end("TERM"), Some(0));
}

#[test]
fn a_pause_outlives_the_daemon_and_a_resume_ends_it() {
    let site = Site::new();
    let daemon = site.start();
    let paused = site.ask(&["pause", "--reason", "changing disks", "--for", "2h"]);
    assert_eq!(paused.status.code(), Some(0), "{}", text(&paused));
    assert_eq!(site.pair_status()["pause"]["reason"], "changing disks");
    assert_eq!(daemon.end("TERM"), Some(0));
    let daemon = site.start();
    let pause = site.pair_status()["pause"].clone();
    assert_eq!(pause["reason"], "changing disks");
    assert!(pause["by"].as_str().unwrap().contains("uid "), "{pause}");
    assert_eq!(site.ask(&["resume"]).status.code(), Some(0));
    assert!(site.pair_status()["pause"].is_null());
    let again = site.ask(&["resume"]);
    assert_eq!(again.status.code(), Some(4), "there is nothing to resume");
    assert!(text(&again).contains("fix:"), "{}", text(&again));
    assert_eq!(daemon.end("INT"), Some(0));
}

#[test]
fn orders_that_make_no_sense_are_refused_with_a_reason() {
    let site = Site::new();
    let daemon = site.start();
    wait_for("the first verdict", || !site.pair_status()["rule"].is_null());
    for words in [&["failover", "--yes"][..], &["failover", "--dry-run"], &["ack"]] {
        let output = site.ask(words);
        assert_eq!(output.status.code(), Some(4), "{words:?}: {}", text(&output));
        assert!(text(&output).contains("fix:"), "{words:?}: {}", text(&output));
    }
    let unknown = site.ask(&["why", "--pair", "dekc"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown).contains("did you mean \"desk\"?"), "{}", text(&unknown));
    assert_eq!(daemon.end("TERM"), Some(0));
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused() {
    let site = Site::new();
    let daemon = site.start();
    let second = binary().args(["run", "--config"]).arg(site.path("etc")).output().unwrap();
    assert_eq!(second.status.code(), Some(9), "{}", text(&second));
    assert!(text(&second).contains("in use by another process"), "{}", text(&second));
    assert!(matches!(site.ask(&["status"]).status.code(), Some(0 | 3)), "the first one lives on");
    assert_eq!(daemon.end("TERM"), Some(0));
}

#[test]
fn a_reload_with_a_wrong_file_keeps_the_old_configuration() {
    let site = Site::new();
    let daemon = site.start();
    let file = site.path("etc/pairs/desk.toml");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, right.replace("mode = \"auto\"", "mode = \"autp\"")).unwrap();
    daemon.signal("HUP");
    wait_for("the rejection", || site.log().contains("RELOAD REJECTED"));
    assert!(site.log().contains("did you mean \"auto\"?"), "{}", site.log());
    assert_eq!(site.pair_status()["mode"], "auto");
    std::fs::write(&file, right.replace("mode = \"auto\"", "mode = \"observe-only\"")).unwrap();
    daemon.signal("HUP");
    wait_for("the new mode", || site.pair_status()["mode"] == "observe-only");
    std::fs::copy(&file, site.path("etc/pairs/other.toml")).unwrap();
    let other = std::fs::read_to_string(&file).unwrap();
    let other = other.replace("name = \"desk\"\n\n# --- How", "name = \"other\"\n\n# --- How");
    std::fs::write(site.path("etc/pairs/other.toml"), other).unwrap();
    daemon.signal("HUP");
    wait_for("the second pair", || {
        site.json(&["status"])["pairs"].as_array().is_some_and(|pairs| pairs.len() == 2)
    });
    let which = site.ask(&["why"]);
    assert_eq!(which.status.code(), Some(2), "two pairs: which one is meant?");
    assert!(text(&which).contains("--pair NAME"), "{}", text(&which));
    assert_eq!(daemon.end("TERM"), Some(0));
}

#[test]
fn a_wrong_configuration_does_not_start_and_shows_what_is_wrong() {
    let site = Site::new();
    std::fs::write(site.path("etc/pairs/desk.toml"), "[policy]\nintervall = \"1s\"\n").unwrap();
    for words in [&["run", "--config"][..], &["config", "check"]] {
        let output = binary().args(words).arg(site.path("etc")).output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{}", text(&output));
        assert!(text(&output).contains("did you mean `interval`?"), "{}", text(&output));
    }
}

#[test]
fn the_socket_is_for_its_owner_and_group_only() {
    let site = Site::new();
    let daemon = site.start();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.socket()), 0o660);
    assert_eq!(mode(&site.path("state/observer.sqlite")), 0o600);
    assert_eq!(daemon.end("TERM"), Some(0));
    assert!(!site.socket().exists(), "a daemon that stopped takes its socket along");
}

/// Safety rule 3 from the outside: what was answered as done is there after a crash, and a crash
/// right after the record loses nothing but the answer.
#[test]
fn a_record_outlives_a_crash_right_after_it() {
    let site = Site::new();
    let daemon = site.start_with(&[("HA_OBSERVER_CRASH_AT", "record:1")]);
    let paused = site.ask(&["pause", "--reason", "the last thing it heard"]);
    assert_ne!(paused.status.code(), Some(0), "nobody was left to answer");
    assert_eq!(daemon.ended(), None, "it ended by a signal, as in a crash");
    assert!(site.log().contains("will crash on purpose"), "{}", site.log());
    let daemon = site.start();
    assert_eq!(site.pair_status()["pause"]["reason"], "the last thing it heard");
    assert_eq!(daemon.end("TERM"), Some(0));
}

#[test]
fn the_service_manager_is_told_of_readiness_life_and_end() {
    let site = Site::new();
    let path = site.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(LIMIT)).unwrap();
    let path = path.display().to_string();
    let daemon = site.start_with(&[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", "200000")]);
    let hears = |word: &str| {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while !heard.iter().any(|text: &String| text.lines().any(|line| line == word)) {
            let length = manager.recv(&mut buffer).unwrap_or_else(|why| {
                panic!("never heard {word}, but {heard:?}: {why}");
            });
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        heard
    };
    hears("READY=1");
    let alive = hears("WATCHDOG=1");
    let line = alive.last().unwrap();
    assert!(line.contains("STATUS=desk: NOT PROTECTED"), "{line}");
    daemon.signal("TERM");
    hears("STOPPING=1");
    assert_eq!(daemon.ended(), Some(0));
}

/// A reader that goes away is no error: `ha-observer rules | head -1`.
#[test]
fn a_broken_pipe_ends_quietly() {
    let mut child =
        binary().arg("rules").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
