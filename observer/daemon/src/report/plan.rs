//! A plan as a person reads it before it is carried out: every command, host, deadline and undo.
//!
//! It is made from the very plan that would be carried out, and from the functions that would
//! carry it out; nothing is described a second time.

use observer_core::event::Event;
use observer_core::judge::Cause;
use observer_core::pair::DryRun;
use observer_core::plan::{Effect, Goal, OnFailure, Plan, Promise, Step, Undo};
use observer_core::words::{Epoch, HostName};
use observer_world::access::CommandLine;
use serde::{Deserialize, Serialize};

use super::runs::{EarlierRuns, Forecast, holds_users};

/// A plan, and what would refuse it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PlanReport {
    /// What it is for.
    pub(crate) goal: String,
    /// The rule or verb that asks for it.
    pub(crate) rule: String,
    /// The epoch its effects would carry.
    pub(crate) epoch: Epoch,
    /// The master before.
    pub(crate) master: HostName,
    /// The master after.
    pub(crate) next_master: HostName,
    /// What it would lose, as far as it can be told; none where a plan can lose nothing.
    pub(crate) loss: Option<String>,
    /// What acknowledged commits were worth when the master was last seen; none where a plan can
    /// lose nothing.
    pub(crate) promise: Option<Promise>,
    /// What would refuse it now.
    pub(crate) refused: Option<RefusalReport>,
    /// The failing checks that would refuse it now, a sentence each.
    pub(crate) unready: Vec<String>,
    /// What it is likely to take, from earlier runs.
    pub(crate) forecast: Forecast,
    /// Every step, in order.
    pub(crate) steps: Vec<StepReport>,
}

/// Why an order is refused, and what helps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct RefusalReport {
    /// The cause.
    pub(crate) cause: Cause,
    /// What it means.
    pub(crate) meaning: String,
    /// What a person can do.
    pub(crate) advice: String,
    /// What was seen of it, a sentence each.
    #[serde(default)]
    pub(crate) seen: Vec<String>,
}

impl RefusalReport {
    /// The report on a cause.
    pub(crate) fn of(cause: Cause) -> Self {
        let (meaning, advice) = (cause.meaning().to_owned(), cause.advice().to_owned());
        Self { cause, meaning, advice, seen: Vec::new() }
    }
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct StepReport {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Its name.
    pub(crate) name: String,
    /// What it does.
    pub(crate) what: String,
    /// The exact commands; none for a step that only looks.
    pub(crate) commands: Vec<CommandReport>,
    /// What must be seen afterwards.
    pub(crate) proof: String,
    /// How long it may take, in milliseconds.
    pub(crate) deadline_ms: u64,
    /// What happens if it does not succeed in time.
    pub(crate) on_failure: String,
    /// How it is taken back.
    pub(crate) undo: UndoReport,
    /// What a step of this name usually took, in milliseconds; none without an earlier run.
    pub(crate) usual_ms: Option<u64>,
    /// True for the step after which there is only forward.
    pub(crate) is_pivot: bool,
}

/// How a step is taken back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct UndoReport {
    /// In words.
    pub(crate) what: String,
    /// The exact commands.
    pub(crate) commands: Vec<CommandReport>,
}

/// One command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct CommandReport {
    /// The machine it runs on.
    pub(crate) host: String,
    /// The exact command.
    pub(crate) command: String,
}

impl PlanReport {
    /// Reports what an order given now would do. `loss` is told of a plan that may lose something.
    pub(crate) fn of(
        run: &DryRun,
        loss: Option<String>,
        describe: impl Fn(&Effect) -> Vec<CommandLine>,
    ) -> Self {
        let Plan { goal, rule, epoch, master, next_master, promise, steps, .. } = &run.plan;
        let pivot = run.plan.pivot();
        let report = |(index, step)| step_report(index, step, pivot == Some(index), &describe);
        Self {
            goal: goal.to_string(),
            rule: rule.clone(),
            epoch: *epoch,
            master: master.clone(),
            next_master: next_master.clone(),
            loss: loss.filter(|_| *goal == Goal::FailOver),
            promise: (*goal == Goal::FailOver).then_some(*promise),
            refused: run.refused.map(RefusalReport::of),
            unready: Vec::new(),
            forecast: Forecast::default(),
            steps: steps.iter().enumerate().map(report).collect(),
        }
    }

    /// Adds what earlier plans of the same goal took, as told by `events`, oldest first.
    pub(crate) fn forecast_from(&mut self, events: &[&Event]) {
        let runs = EarlierRuns::of(events, &self.goal);
        self.forecast = runs.forecast();
        for step in &mut self.steps {
            step.usual_ms = runs.usual_ms(&step.name, &self.master, &self.next_master);
        }
    }

    /// Says what a person can do about what would refuse it.
    pub(crate) fn advise(&mut self, advice: impl FnOnce(Cause) -> String) {
        if let Some(refused) = &mut self.refused {
            refused.advice = advice(refused.cause);
        }
    }

    /// Adds what stands out in the present, which has this cause, if that is what would refuse it.
    pub(crate) fn refused_for(&mut self, cause: Cause, seen: &[String]) {
        if let Some(refused) = self.refused.as_mut().filter(|refused| refused.cause == cause) {
            refused.seen = seen.to_vec();
        }
    }

    /// True if users wait while it is carried out.
    pub(crate) fn holds_users(&self) -> bool {
        self.steps.iter().any(|step| holds_users(&step.name))
    }

    /// True if an order given now would be refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some() || !self.unready.is_empty()
    }
}

fn step_report(
    index: usize,
    step: &Step,
    is_pivot: bool,
    describe: &impl Fn(&Effect) -> Vec<CommandLine>,
) -> StepReport {
    let commands = |effect: &Effect| match effect {
        Effect::Look => Vec::new(),
        effect => describe(effect).into_iter().map(command).collect(),
    };
    let undo = match &step.undo {
        Undo::NothingToUndo => {
            UndoReport { what: "nothing to undo".to_owned(), commands: Vec::new() }
        }
        Undo::By { effect, .. } => {
            UndoReport { what: effect.to_string(), commands: commands(effect) }
        }
        Undo::ForwardOnly => {
            UndoReport { what: "none: from here only forward".to_owned(), commands: Vec::new() }
        }
    };
    StepReport {
        number: index + 1,
        name: step.name.clone(),
        what: step.effect.to_string(),
        commands: commands(&step.effect),
        proof: step.proof.to_string(),
        deadline_ms: step.deadline_ms,
        on_failure: match step.on_failure {
            OnFailure::GiveUp => "the plan is undone",
            OnFailure::GoOn => "it is said and the plan goes on",
            OnFailure::Insist => "it is tried again until it succeeds",
        }
        .to_owned(),
        undo,
        usual_ms: None,
        is_pivot,
    }
}

fn command(line: CommandLine) -> CommandReport {
    CommandReport { host: line.host, command: line.command }
}
