//! Follows a plan that a verb has ordered: each proven step with its time beside what it usually
//! takes, what a slow one waits for, and how the whole ended.
//!
//! Ctrl-C takes the plan back, once; a second one leaves it to the daemon.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use observer_core::event::{Event, EventKind};
use observer_core::facts::Asker;
use observer_core::journal::{Outcome, Way};
use observer_core::plan::Goal;
use observer_core::words::{PlanId, human_ms};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::client::ClientError;
use super::output::{COLUMNS, Look, Tone, one_line, print, say};
use super::{Desk, Exit, Failure, events};
use crate::api::types::Accepted;
use crate::report::plan::PlanReport;
use crate::report::runs::held_ms;
use crate::report::view::PlanStatus;
use crate::shell::archive::StoredEvent;

/// How long a daemon that went away in the middle may stay away: it is restarted by systemd and
/// takes the plan up again.
const AWAY_MAX: Duration = Duration::from_secs(60);
const AWAY_PAUSE: Duration = Duration::from_millis(500);
/// How long news are waited for before what is waited for is looked at.
const NEWS: Duration = Duration::from_secs(1);
/// What a step may take before a person wonders, where no earlier run says what is usual.
const WONDER_MS: u64 = 1_000;
/// How long the validation after a switchover is waited for.
const VALIDATION_WAIT: Duration = Duration::from_secs(8);
/// A second Ctrl-C so soon is the first one pressed twice, and nobody's decision to look away.
const SECOND_PRESS: Duration = Duration::from_millis(700);

/// Ctrl-C, from the moment an order is on its way.
pub(super) struct Interrupts(Signal);

impl Interrupts {
    /// Takes Ctrl-C over from the process's end.
    pub(super) fn catch() -> Result<Self, Failure> {
        let caught = signal(SignalKind::interrupt());
        caught.map(Self).map_err(|why| Failure::Unexpected(why.to_string()))
    }
}

/// Tells what comes of the order until its plan is closed, from the events at `path` on.
pub(super) async fn follow(
    desk: &Desk,
    path: &str,
    after: u64,
    plan: &PlanReport,
    mut interrupts: Interrupts,
    look: Look,
) -> Result<Exit, Failure> {
    let mut after = after;
    let mut followed = Followed::new(plan, look);
    let mut away = Duration::ZERO;
    let mut interrupted: Option<Instant> = None;
    // Once the plan is over, only the validation after it is waited for.
    let mut ended: Option<(Exit, Instant)> = None;
    loop {
        let news = tokio::select! {
            news = events::newer_within(desk, path, after, NEWS) => news,
            _ = interrupts.0.recv() => {
                match interrupted {
                    Some(at) if at.elapsed() < SECOND_PRESS => {}
                    Some(_) => {
                        say("left to the daemon, which goes on; `ha-observer status` shows it");
                        return Ok(Exit::PlanLeftOpen);
                    }
                    None => {
                        take_back(desk).await;
                        interrupted = Some(Instant::now());
                    }
                }
                continue;
            }
        };
        let newer = match news {
            Ok(newer) => newer,
            Err(_) if ended.is_some() => {
                say("the daemon went away; the switchover is done and was not validated again\n  \
                     fix: ask with `ha-observer validate`");
                return Ok(ended.map_or(Exit::Ok, |(exit, _)| exit));
            }
            Err(ClientError::NotRunning(_) | ClientError::Gone(_) | ClientError::Answer(_))
                if away < AWAY_MAX =>
            {
                if away.is_zero() {
                    say("the daemon went away; its restart takes the plan up again, waiting");
                }
                away += AWAY_PAUSE;
                tokio::time::sleep(AWAY_PAUSE).await;
                continue;
            }
            Err(why) => return Err(why.into()),
        };
        away = Duration::ZERO;
        if newer.is_empty() && !desk.is_json() {
            followed.wait(desk).await;
        } else {
            followed.rub_out();
        }
        for stored in newer {
            after = stored.seq;
            if let Some(exit) = followed.show(desk, stored)? {
                ended = Some((exit, Instant::now()));
            }
        }
        if let Some((exit, at)) = ended
            && (followed.is_over(exit) || at.elapsed() > VALIDATION_WAIT)
        {
            return Ok(exit);
        }
    }
}

async fn take_back(desk: &Desk) {
    let path = match desk.path("abort").await {
        Ok(path) => path,
        Err(why) => return say(&format!("it cannot be taken back: {why}")),
    };
    let ordered: Result<Accepted, ClientError> = desk.client.post(&path, &()).await;
    match ordered {
        Ok(_) => say("taking it back; press Ctrl-C again to leave it to the daemon"),
        Err(ClientError::Problem(problem)) => say(&format!(
            "it is not taken back: {}\n  press Ctrl-C again to leave it to the daemon",
            problem.message
        )),
        Err(why) => say(&format!("it cannot be taken back: {why}")),
    }
}

/// What is known of the plan that is followed.
pub(super) struct Followed<'a> {
    plan: &'a PlanReport,
    look: Look,
    own: Option<PlanId>,
    events: Vec<Event>,
    /// Per step and way that was told to be slow, for how long it had been waited then.
    told: BTreeMap<(usize, Way), u64>,
    /// Whether the cursor stands behind a line that the next one takes the place of.
    on_live_line: bool,
}

impl<'a> Followed<'a> {
    pub(super) fn new(plan: &'a PlanReport, look: Look) -> Self {
        let told = BTreeMap::new();
        Self { plan, look, own: None, events: Vec::new(), told, on_live_line: false }
    }

    /// Takes an event in; the exit code once the plan is over.
    pub(super) fn take(&mut self, event: Event) -> Result<Option<Exit>, Failure> {
        let mut exit = None;
        match &event.kind {
            EventKind::PlanOpened { plan, asker: Asker::Operator, .. } if self.own.is_none() => {
                self.own = Some(*plan);
            }
            EventKind::PlanClosed { plan, outcome, .. } if self.own == Some(*plan) => {
                exit = Some(match outcome {
                    Outcome::Done => Exit::Ok,
                    Outcome::Undone { .. } => Exit::Undone,
                });
            }
            EventKind::NoPlan { why, .. } if self.own.is_none() => {
                return Err(Failure::Refused(format!(
                    "no plan was opened: {why}\n  fix: `status` shows what is missing"
                )));
            }
            EventKind::JournalFailing { why } if self.own.is_none() => {
                return Err(Failure::Refused(format!(
                    "the journal cannot be written: {why}\n  fix: free space on the observer's \
                     disk under its state directory"
                )));
            }
            _ => {}
        }
        self.events.push(event);
        Ok(exit)
    }

    /// Shows an event and takes it in; the exit code once the plan is over.
    fn show(&mut self, desk: &Desk, stored: StoredEvent) -> Result<Option<Exit>, Failure> {
        if desk.is_json() {
            events::show_all(desk, std::slice::from_ref(&stored), self.look);
        } else {
            print(&self.line(&stored));
        }
        let exit = self.take(stored.event)?;
        if exit.is_some() && !desk.is_json() {
            print(&self.end());
        }
        Ok(exit)
    }

    /// Whether nothing more is to come: a validation follows a switchover that was done.
    fn is_over(&self, exit: Exit) -> bool {
        let is_end = |event: &Event| {
            matches!(&event.kind, EventKind::PlanClosed { plan, goal: Goal::SwitchOver, .. }
                if self.own == Some(*plan))
        };
        let switched = exit == Exit::Ok && self.events.iter().any(is_end);
        self.is_validated() || !switched
    }

    /// Whether that validation has come.
    fn is_validated(&self) -> bool {
        let last = self.events.last().map(|event| &event.kind);
        matches!(last, Some(EventKind::Validated { plan, .. }) if self.own == Some(*plan))
    }

    /// An event's line; nothing for the first order of a step, which its proof follows. Of further
    /// ones, which come every second where something takes long, fewer and fewer are shown.
    pub(super) fn line(&self, stored: &StoredEvent) -> String {
        match &stored.event.kind {
            EventKind::StepOrdered { plan, attempt, .. }
                if self.own == Some(*plan) && (*attempt == 1 || !attempt.is_power_of_two()) =>
            {
                String::new()
            }
            EventKind::StepProven { plan, step, name, way, evidence, took_ms }
                if self.own == Some(*plan) =>
            {
                let undo = if *way == Way::Back { "undone: " } else { "" };
                let usual = self
                    .usual_ms(*step, *way)
                    .map_or_else(String::new, |usual| format!(" (usually {})", human_ms(usual)));
                let (number, took) = (step + 1, human_ms(*took_ms));
                let steps = self.plan.steps.len();
                let evidence = self.look.paint(Tone::Faint, &one_line(evidence));
                format!("{number:3}/{steps}  {undo}{name}  {took}{usual}  {evidence}\n")
            }
            _ => format!("{}\n", events::line(stored, self.look)),
        }
    }

    /// Says what a slow step waits for.
    async fn wait(&mut self, desk: &Desk) {
        // A status that does not come is no news: the events say whether the daemon is there.
        let (Ok(pair), Ok(status)) = (desk.pair().await, desk.status().await) else { return };
        let pair = status.pairs.iter().find(|status| status.pair.as_str() == pair);
        let Some(pair) = pair else { return };
        let Some(plan) = pair.plan.as_ref().filter(|plan| self.own == Some(plan.plan)) else {
            return;
        };
        let waited_ms = pair.at.since(plan.step_since);
        if self.look != Look::Plain && waited_ms >= WONDER_MS {
            self.rub_out();
            print(&self.live(plan, waited_ms));
            self.on_live_line = true;
        } else if let Some(line) = self.slow(plan, waited_ms) {
            print(&line);
        }
    }

    /// Takes the live line away, where one stands.
    fn rub_out(&mut self) {
        if std::mem::take(&mut self.on_live_line) {
            print("\r\x1b[K");
        }
    }

    /// What a step waits for, on a line that is written anew each second. It fits one row of
    /// the terminal: of a longer one only the last row could be taken away again.
    pub(super) fn live(&self, plan: &PlanStatus, waited_ms: u64) -> String {
        let (undo, seen) = (undoing(plan.way), seen_of(plan));
        let line = if seen.starts_with('[') {
            format!("  {seen}")
        } else {
            format!("  {undo}{} … {}: {seen}", plan.name, human_ms(waited_ms))
        };
        let fits: String = line.chars().take(COLUMNS - 1).collect();
        self.look.paint(Tone::Warn, &fits)
    }

    /// The line on a step that takes longer than usual, each time it has taken twice as long.
    pub(super) fn slow(&mut self, plan: &PlanStatus, waited_ms: u64) -> Option<String> {
        let step = plan.step - 1;
        let usual = self.usual_ms(step, plan.way);
        let told = self.told.get(&(step, plan.way)).copied();
        let from = told.map_or(usual.unwrap_or(0).max(WONDER_MS), |told| 2 * told);
        if waited_ms < from {
            return None;
        }
        self.told.insert((step, plan.way), waited_ms);
        let usual = usual
            .map_or_else(|| "no earlier run".to_owned(), |ms| format!("usually {}", human_ms(ms)));
        let (waited, name) = (human_ms(waited_ms), &plan.name);
        let (undo, seen) = (undoing(plan.way), seen_of(plan));
        let line = format!("       {undo}{name} … {waited}, {usual}: {seen}");
        Some(format!("{}\n", self.look.paint(Tone::Warn, &line)))
    }

    /// What the whole took, and how long users were held.
    pub(super) fn end(&self) -> String {
        let (Some(own), Some(last)) = (self.own, self.events.last()) else {
            return String::new();
        };
        let EventKind::PlanClosed { took_ms, .. } = &last.kind else { return String::new() };
        let usual = |ms: Option<u64>| {
            ms.map_or_else(String::new, |ms| format!(" (usually {})", human_ms(ms)))
        };
        let whole = format!("in all: {}{}", human_ms(*took_ms), usual(self.plan.forecast.whole_ms));
        let held = match held_ms(&self.events, own) {
            Some(ms) => {
                let usual = usual(self.plan.forecast.held_ms);
                format!("; users were held for {}{usual}", human_ms(ms))
            }
            None if self.plan.holds_users() => "; nobody was held".to_owned(),
            None => String::new(),
        };
        format!("{}\n", self.look.paint(Tone::Strong, &format!("{whole}{held}")))
    }

    /// What is known of a step's forward way; undoing one is another matter.
    fn usual_ms(&self, step: usize, way: Way) -> Option<u64> {
        let report = self.plan.steps.get(step).filter(|_| way == Way::Forward);
        report.and_then(|step| step.usual_ms)
    }
}

/// The word before a step that is being undone.
fn undoing(way: Way) -> &'static str {
    if way == Way::Back { "undoing " } else { "" }
}

/// What was last seen of the step, or what is waited for where nothing was.
fn seen_of(plan: &PlanStatus) -> String {
    one_line(if plan.seen.is_empty() { &plan.waiting_for } else { &plan.seen })
}
