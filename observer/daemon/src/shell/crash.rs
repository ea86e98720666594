//! Three hooks for tests: one ends the process at a named place, as a power cut would; one halts it
//! there until it is sent SIGCONT, so that a test breaks something at just that place; the third
//! lets every effect lose its reply, run late, or run twice.
//!
//! Only honoured with `HA_OBSERVER_CRASH_AT`, `HA_OBSERVER_HALT_AT` or `HA_OBSERVER_EFFECTS` set,
//! and said loudly at the start. The first two know the same places. `record:N` is right after the
//! Nth journal record of this life was durable; `effect:N` right after the Nth effect was
//! performed and before anybody is told of its reply. `ordered:N` and `proven:N` are right after
//! the journal has that step N of a plan, as its dry run counts, was ordered or proven for the
//! first time in this life. `upgrade:N` is right after the Nth record of this life that a rolling
//! upgrade keeps of itself: its order, its stages, its end. `file:N` is a place of the change of a
//! proxy's file: 1 it is recorded, 2 the new content is in its place, 3 HAProxy is about to be
//! told, 4 it is proven, 5 the old content is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use observer_core::drive::Reply;
use observer_core::journal::{Mark, Record, Way};
use observer_world::pair_world::ApplyStep;

/// The environment variables that name a place, and what the daemon does there.
const CRASH_AT: (&str, &str) = ("HA_OBSERVER_CRASH_AT", "crash");
const HALT_AT: (&str, &str) = ("HA_OBSERVER_HALT_AT", "halt");
/// The variable that says what befalls every effect.
const EFFECTS: &str = "HA_OBSERVER_EFFECTS";
/// How much later a late effect runs: long after its reply was given up and its proof looked for.
const LATE: Duration = Duration::from_millis(1_500);

/// What befalls every effect of this life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It is done, and its reply is not heard.
    ReplyLost,
    /// No reply is heard, and it is done later.
    Late,
    /// It is done a second time right after the first; the second reply is heard.
    Twice,
}

impl Fate {
    /// An unreadable one is an error, lest a test pass by accident.
    fn read(value: Option<String>) -> Result<Option<Self>, String> {
        let Some(value) = value else { return Ok(None) };
        let fate = match value.as_str() {
            "reply-lost" => Self::ReplyLost,
            "late" => Self::Late,
            "twice" => Self::Twice,
            _ => {
                let known = "reply-lost, late or twice";
                return Err(format!("{EFFECTS}={value} cannot be read; write {known}"));
            }
        };
        tracing::error!("{EFFECTS}={value}: this befalls every effect on purpose; for tests only");
        Ok(Some(fate))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Record(u64),
    Effect(u64),
    Ordered(u64),
    Proven(u64),
    Upgrade(u64),
    File(u64),
}

impl Place {
    /// An unreadable one is an error, lest a test pass by accident.
    fn read(hook: (&str, &str), value: Option<String>) -> Result<Option<Self>, String> {
        let ((variable, deed), Some(value)) = (hook, value) else { return Ok(None) };
        let place = value.split_once(':').and_then(|(kind, number)| {
            let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
            match kind {
                "record" => Some(Self::Record(number)),
                "effect" => Some(Self::Effect(number)),
                "ordered" => Some(Self::Ordered(number)),
                "proven" => Some(Self::Proven(number)),
                "upgrade" => Some(Self::Upgrade(number)),
                "file" => Some(Self::File(number)),
                _ => None,
            }
        });
        let place = place.ok_or_else(|| {
            let places = "record:N, effect:N, ordered:N, proven:N, upgrade:N or file:N";
            format!("{variable}={value} cannot be read; write {places}")
        })?;
        tracing::error!("{variable}={value}: this daemon will {deed} on purpose; for tests only");
        Ok(Some(place))
    }

    /// The place in the life of a step that this record marks.
    fn of_step(record: &Record) -> Option<Self> {
        let Record::Step { step, way: Way::Forward, mark, .. } = record else { return None };
        let number = *step as u64 + 1;
        match mark {
            Mark::Ordered { .. } => Some(Self::Ordered(number)),
            Mark::Proven { .. } => Some(Self::Proven(number)),
            Mark::Skipped { .. } => None,
        }
    }
}

/// Where to crash and where to halt, if anywhere. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrashPoint {
    crash: Option<Place>,
    halt: Option<Place>,
    fate: Option<Fate>,
    halted: Arc<AtomicBool>,
    records: Arc<AtomicU64>,
    effects: Arc<AtomicU64>,
    upgrades: Arc<AtomicU64>,
}

impl CrashPoint {
    /// Reads the variables, which `variable` looks up.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let place = |hook: (&str, &str)| Place::read(hook, variable(hook.0));
        let fate = Fate::read(variable(EFFECTS))?;
        Ok(Self { crash: place(CRASH_AT)?, halt: place(HALT_AT)?, fate, ..Self::default() })
    }

    /// Performs an effect, with whatever befalls it, and returns the reply that is heard.
    pub(crate) async fn perform<F>(&self, effect: impl Fn() -> F + 'static) -> Reply
    where
        F: Future<Output = Reply>,
    {
        let reply = match self.fate {
            None => effect().await,
            Some(Fate::ReplyLost) => {
                effect().await;
                Reply::NoReply
            }
            Some(Fate::Late) => {
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(LATE).await;
                    effect().await;
                });
                Reply::NoReply
            }
            Some(Fate::Twice) => {
                effect().await;
                effect().await
            }
        };
        self.performed();
        reply
    }

    /// A record is durable.
    pub(crate) fn recorded(&self, record: &Record) {
        let count = self.records.fetch_add(1, Ordering::SeqCst) + 1;
        self.at(Place::Record(count));
        if let Some(place) = Place::of_step(record) {
            self.at(place);
        }
        if is_of_upgrade(record) {
            let count = self.upgrades.fetch_add(1, Ordering::SeqCst) + 1;
            self.at(Place::Upgrade(count));
        }
    }

    /// An effect was performed.
    fn performed(&self) {
        let count = self.effects.fetch_add(1, Ordering::SeqCst) + 1;
        self.at(Place::Effect(count));
    }

    /// The change of a proxy's file has come this far; none is right after its record.
    pub(crate) fn file(&self, step: Option<ApplyStep>) {
        self.at(Place::File(match step {
            None => 1,
            Some(ApplyStep::Put) => 2,
            Some(ApplyStep::Ordered) => 3,
            Some(ApplyStep::Proven) => 4,
            Some(ApplyStep::Back) => 5,
        }));
    }

    fn at(&self, place: Place) {
        if self.crash == Some(place) {
            std::process::abort();
        }
        // A step may be ordered again; a test waits for one halt only.
        if self.halt == Some(place) && !self.halted.swap(true, Ordering::SeqCst) {
            // A process may always stop itself; if it could not, the test would say so.
            let _ = raise(Signal::SIGSTOP);
        }
    }
}

fn is_of_upgrade(record: &Record) -> bool {
    matches!(
        record,
        Record::UpgradeBegan { .. } | Record::UpgradeMarked { .. } | Record::UpgradeEnded { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_anything_else_is_an_error() {
        let place = |value: &str| Place::read(HALT_AT, Some(value.to_owned()));
        assert_eq!(Place::read(HALT_AT, None), Ok(None));
        assert_eq!(place("record:3"), Ok(Some(Place::Record(3))));
        assert_eq!(place("effect:1"), Ok(Some(Place::Effect(1))));
        assert_eq!(place("ordered:12"), Ok(Some(Place::Ordered(12))));
        assert_eq!(place("proven:7"), Ok(Some(Place::Proven(7))));
        assert_eq!(place("upgrade:4"), Ok(Some(Place::Upgrade(4))));
        assert_eq!(place("file:2"), Ok(Some(Place::File(2))));
        for wrong in ["", "record", "record:0", "step:1", "effect:x"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_befalls_effects_is_read_and_anything_else_is_an_error() {
        let fate = |value: &str| Fate::read(Some(value.to_owned()));
        assert_eq!(Fate::read(None), Ok(None));
        assert_eq!(fate("late"), Ok(Some(Fate::Late)));
        assert!(fate("lost").unwrap_err().contains("reply-lost, late or twice"));
    }

    #[test]
    fn each_hook_has_a_variable_of_its_own() {
        let hooks = CrashPoint::read(|name| (name == HALT_AT.0).then(|| "proven:2".to_owned()));
        let hooks = hooks.unwrap();
        assert_eq!((hooks.crash, hooks.halt), (None, Some(Place::Proven(2))));
    }
}
