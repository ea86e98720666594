//! A management controller beside the lab's machines: it listens on the lab's network and switches
//! their power, as the real ones do. The observer reaches it by the script that is its power fence.
//!
//! It speaks one line per connection: `PASSWORD ACTION HOST`, and answers in the words that the
//! script passes on.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Stage;
use crate::lab::{CLIENT, Machine, Result};

/// The script in the observer machine.
const FENCE: &str = "/etc/ha-observer/fence/power";
/// What `[fence]` of the pair's file says on a stage with a management controller.
pub(super) const FENCE_SECTION: &str = "[fence]\n\
    command = [\"/etc/ha-observer/fence/power\", \"{action}\", \"{host}\"]\ndeadline = \"10s\"\n\n";
/// The password, which the unit of the daemon hands to the script as a credential.
const PASSWORD: &str = "what-only-the-controller-knows";
const PORT: u16 = 623;
/// How often the listener looks whether it is still wanted.
const PAUSE: Duration = Duration::from_millis(5);

/// Ends as fence agents end: 0 is done or on, 2 with the words is off, anything else is a mistake.
const SCRIPT: &str = r#"#!/bin/bash
exec 3<>"/dev/tcp/CLIENT/623" || exit 1
printf '%s %s %s\n' "$(cat "$CREDENTIALS_DIRECTORY/bmc")" "$1" "$2" >&3
read -r -t 5 code words <&3 || exit 1
echo "$words"
exit "$code"
"#;

/// What the controller does when it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// What it is told.
    Obeys,
    /// It refuses to switch.
    Refuses,
    /// It says that it was done, and does nothing.
    Lies,
}

/// The controller while it listens.
pub struct Bmc {
    mood: Mutex<Mood>,
    orders: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Bmc {
    /// From now on it does so.
    pub fn turn(&self, mood: Mood) {
        *self.mood.lock().expect("no holder panics") = mood;
    }

    /// Every order to switch that came in, as `off node-a`.
    #[must_use]
    pub fn orders(&self) -> Vec<String> {
        self.orders.lock().expect("no holder panics").clone()
    }

    fn serve(&self, stage: &Stage, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            [PASSWORD, action, host] => self.answer(stage.lab.machine(host), action),
            _ => "1 the password is wrong".to_owned(),
        };
        writeln!(&mut &*stream, "{answer}")
    }

    fn answer(&self, machine: &Machine, action: &str) -> String {
        if action == "status" {
            let is_on = machine.leader_pid().is_some();
            return if is_on { "0 Status: ON" } else { "2 Status: OFF" }.to_owned();
        }
        let order = format!("{action} {}", machine.name());
        self.orders.lock().expect("no holder panics").push(order);
        match *self.mood.lock().expect("no holder panics") {
            Mood::Refuses => "1 the controller refuses".to_owned(),
            Mood::Lies => "0 Success".to_owned(),
            Mood::Obeys => {
                let done = match action {
                    "off" if machine.leader_pid().is_some() => machine.power_loss(),
                    _ => Ok(()),
                };
                done.map_or_else(|why| format!("1 {why}"), |()| "0 Success: Powered OFF".to_owned())
            }
        }
    }
}

impl Stage {
    /// Installs the script and its password in the observer machine.
    pub(super) fn install_fence(&self) -> Result<()> {
        let observer = self.observer();
        let script = SCRIPT.replace("CLIENT", &CLIENT.address().to_string());
        observer.put_file(FENCE, script.as_bytes(), 0o755, "root:root")?;
        let password = "/etc/ha-observer/fence/password";
        observer.put_file(password, PASSWORD.as_bytes(), 0o600, "root:root")?;
        let drop_in = format!("[Service]\nLoadCredential=bmc:{password}\n");
        let path = format!("/etc/systemd/system/{}.d/fence.conf", super::OBSERVER_UNIT);
        observer.put_file(&path, drop_in.as_bytes(), 0o644, "root:root")
    }

    /// Plays a scenario beside a controller that listens in the client's namespace.
    pub fn beside_bmc<T: Send>(&self, scenario: impl FnOnce(&Bmc) -> T + Send) -> Result<T> {
        let bmc = Bmc {
            mood: Mutex::new(Mood::Obeys),
            orders: Mutex::default(),
            over: AtomicBool::new(false),
        };
        std::thread::scope(|scope| {
            let listening = scope.spawn(|| self.lab.in_client(|| listen(self, &bmc)));
            // It ends however the scenario ends.
            let over = Over(&bmc.over);
            let played = scenario(&bmc);
            drop(over);
            listening.join().expect("the controller does not panic")?;
            Ok(played)
        })
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn listen(stage: &Stage, bmc: &Bmc) {
    let listener = TcpListener::bind((CLIENT.address(), PORT)).expect("a free port");
    listener.set_nonblocking(true).expect("a listener can be asked without waiting");
    while !bmc.over.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => {
                // Who hangs up early is none of its concern.
                let _ = stream.set_nonblocking(false).and_then(|()| bmc.serve(stage, &stream));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
