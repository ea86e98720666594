//! Aiming at a place of a switchover: the daemon crashes there, or halts there until something was
//! broken.
//!
//! A place is what the daemon's hooks know: `record:N`, `effect:N`, and, by the numbers of the dry
//! run, `ordered:N` and `proven:N`.

use std::time::Duration;

use serde_json::Value;

use super::{OBSERVER_UNIT, Stage, texts};
use crate::lab::{Output, Result, wait_for};

/// How a switchover that was done or taken back ends on the command line.
pub const DONE: i32 = 0;
/// It was opened and taken back.
pub const UNDONE: i32 = 5;
/// It was not opened.
pub const REFUSED: i32 = 4;

/// How long a switchover may take with something broken in its middle.
const ORDER_LIMIT: Duration = Duration::from_secs(240);
const READY_LIMIT: Duration = Duration::from_secs(30);
const HALT_LIMIT: Duration = Duration::from_secs(30);
/// Where the process of an ordered switchover is written down, for whoever interrupts it.
pub const ORDER_PID: &str = "/run/ordered-switchover.pid";

/// What the daemon does at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// It ends, as in a power cut; its later lives do not.
    Crash,
    /// It stands still until it is let go on.
    Halt,
}

/// The steps of the switchover that would be made now.
#[derive(Debug, Clone)]
pub struct Steps(Vec<String>);

impl Steps {
    /// Their names in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The number of the step of this name, as the hooks count.
    ///
    /// # Panics
    /// When there is none, which is a mistake in the scenario.
    #[must_use]
    pub fn number(&self, name: &str) -> usize {
        let found = self.0.iter().position(|step| step == name);
        found.unwrap_or_else(|| panic!("no step `{name}` among {:?}", self.0)) + 1
    }
}

impl Stage {
    /// What a switchover would do now, by its dry run, as soon as the checks let it: what was just
    /// put right may be found wanting for a moment.
    pub fn switchover_steps(&self) -> Result<Steps> {
        let plan = wait_for("a switchover to be allowed", READY_LIMIT, || {
            let words = ["switchover", "--dry-run", "-o", "json"];
            let output = self.ask(&words).map_err(|error| error.to_string())?;
            if output.status.success() { Ok(output.stdout) } else { Err(output.stdout) }
        })?;
        let plan: Value = serde_json::from_str(&plan).expect("the plan is JSON");
        let steps = plan["steps"].as_array().unwrap_or_else(|| panic!("no steps in {plan}"));
        let name = |step: &Value| step["name"].as_str().unwrap_or_default().to_owned();
        Ok(Steps(steps.iter().map(name).collect()))
    }

    /// Starts the daemon so that it does so at `place`, and its later lives so that they do not;
    /// returns its process once the pair is protected.
    pub fn arm(&self, hook: Hook, place: &str) -> Result<String> {
        let pid = self.restart_armed(hook, place)?;
        self.wait_protected()?;
        Ok(pid)
    }

    /// Like [`Stage::arm`], for a pair that is not protected: returns at once.
    pub fn restart_armed(&self, hook: Hook, place: &str) -> Result<String> {
        let variable = match hook {
            Hook::Crash => "HA_OBSERVER_CRASH_AT",
            Hook::Halt => "HA_OBSERVER_HALT_AT",
        };
        self.set_environment(&[(variable, place.to_owned())])?;
        self.observer().run(&["systemctl", "restart", OBSERVER_UNIT])?;
        self.set_environment(&[])?;
        self.daemon_pid()
    }

    /// The daemon's process, as the observer machine counts.
    pub fn daemon_pid(&self) -> Result<String> {
        let words = ["systemctl", "show", "--value", "--property", "MainPID", OBSERVER_UNIT];
        self.observer().run(&words)
    }

    /// Orders a switchover and follows it to its end.
    pub fn switch_over(&self, reason: &str) -> Result<Output> {
        let order =
            format!("echo $$ >{ORDER_PID}; exec ha-observer switchover --yes --reason '{reason}'");
        self.observer().exec_within(ORDER_LIMIT, &["/bin/sh", "-c", &order])
    }

    /// Presses Ctrl-C where the switchover was ordered.
    pub fn press_ctrl_c(&self) -> Result<()> {
        let pid = self.observer().run(&["cat", ORDER_PID])?;
        self.observer().run(&["kill", "-INT", &pid]).map(drop)
    }

    /// Orders a switchover with the daemon halting at `place`, does `harm` there, and lets it go
    /// on to its end, with `meanwhile` beside it.
    pub fn switch_over_harmed(
        &self,
        place: &str,
        harm: impl FnOnce() -> Result<()>,
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<Harmed> {
        let pid = self.arm(Hook::Halt, place)?;
        std::thread::scope(|scope| {
            let order = scope.spawn(|| self.switch_over(place));
            let halted = wait_for(&format!("a halt at {place}"), HALT_LIMIT, || {
                if order.is_finished() {
                    return Ok(false);
                }
                let status = format!("/proc/{pid}/status");
                let line = self.observer().run(&["grep", "^State:", &status]);
                let line = line.map_err(|error| error.to_string())?;
                if line.contains("T (stopped)") { Ok(true) } else { Err(line) }
            });
            let harmed = match halted {
                Ok(true) => harm(),
                _ => Ok(()),
            };
            // Whatever happened, the order has to end before the scope can.
            self.observer().exec(&["kill", "-CONT", &pid])?;
            let mended = if matches!(halted, Ok(true)) { meanwhile() } else { Ok(()) };
            let ordered = order.join().expect("an order does not panic")?;
            harmed.and(mended)?;
            Ok(Harmed { reached: halted?, ordered })
        })
    }

    /// Asserts how a switchover ended; the message says what was tried.
    #[track_caller]
    pub fn assert_ended(&self, ordered: &Output, code: i32) -> Result<()> {
        let told = texts(&self.events()?);
        let Output { stdout, stderr, .. } = ordered;
        assert_eq!(ordered.status.code(), Some(code), "{stdout}{stderr}\n{told}");
        Ok(())
    }

    /// The one host that the proxy lets users in to, by the status.
    pub fn let_in(&self) -> Result<Value> {
        Ok(self.status()?["proxies"][0]["lets_in"].clone())
    }
}

/// How a switchover with something broken in its middle went.
#[derive(Debug)]
pub struct Harmed {
    /// Whether its place was reached; if not, no harm was done.
    pub reached: bool,
    /// How the command that ordered it ended.
    pub ordered: Output,
}
