//! Why the verdict is what it is, and which fact would change it.
//!
//! The nearest other worlds are found by changing one fact at a time and asking the core's own
//! judge; where one change is not enough, two, then three. Nothing here knows what a rule means.

use std::collections::BTreeSet;

use observer_core::facts::{
    Act, Facts, Fence, Loss, Master, Proxies, Roles, Sight, Singletons, Slave, Upkeep,
};
use observer_core::judge::{Cause, Verdict, gate, judge};
use observer_core::words::{At, HostName, PairName};
use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator;

use super::view::{Basis, PairView, PlanStatus};

/// Facts changed at most in search of a world that acts.
const CHANGES_MAX: usize = 3;

/// The answer to `why`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct WhyReport {
    /// The pair.
    pub(crate) pair: PairName,
    /// When this was so.
    pub(crate) at: At,
    /// The answer in one paragraph.
    pub(crate) paragraph: String,
    /// What it was judged from; none until everything was looked at once.
    pub(crate) ruling: Option<RulingReport>,
    /// What a person can do.
    pub(crate) advice: String,
}

/// A ruling with everything it rests on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct RulingReport {
    /// Row of the verdict table.
    pub(crate) rule: String,
    /// Its cause.
    pub(crate) cause: Cause,
    /// What would be right to do.
    pub(crate) verdict: Verdict,
    /// The judge's whole input.
    pub(crate) facts: Facts,
    /// Row of the gates.
    pub(crate) gate: String,
    /// The cause that bars the way, if one does.
    pub(crate) barred: Option<Cause>,
    /// What each vantage says, a sentence each.
    pub(crate) evidence: Vec<String>,
    /// The nearest worlds with another answer.
    pub(crate) nearest: Vec<NearWorld>,
}

/// A world that differs in few facts and has another answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct NearWorld {
    /// What would have to be different.
    pub(crate) changes: Vec<Change>,
    /// The rule that would answer.
    pub(crate) rule: String,
    /// What it would say.
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) why: String,
    /// The cause that would still bar it.
    pub(crate) barred: Option<Cause>,
}

/// One fact, changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    /// Name of the fact.
    pub(crate) fact: String,
    /// Its value now.
    pub(crate) from: String,
    /// Its value there.
    pub(crate) to: String,
}

impl WhyReport {
    /// Explains what a pair shows.
    pub(crate) fn of(view: &PairView) -> Self {
        let status = &view.status;
        let promoted = status.plan.as_ref().and_then(|plan| Some((plan, plan.promoted.as_ref()?)));
        let judged = view.basis.as_ref();
        let own = promoted.filter(|_| judged.is_some_and(|b| b.rule.cause == Cause::MasterMoved));
        let ruling = judged.filter(|_| own.is_none()).map(ruling);
        let paragraph = match (&ruling, &view.basis) {
            _ if own.is_some() => own.map(own_promotion).unwrap_or_default() + &status.next + ".",
            (Some(ruling), Some(basis)) => paragraph(ruling, basis, &status.next),
            _ => "Nothing is judged yet: everything is looked at once first.".to_owned(),
        };
        Self {
            pair: status.pair.clone(),
            at: status.at,
            paragraph,
            ruling,
            advice: status.advice.clone(),
        }
    }
}

/// What is so between the promotion and the end of the plan that made it.
fn own_promotion((plan, host): (&PlanStatus, &HostName)) -> String {
    format!(
        "Plan {} ({}) has promoted {host} and is past its pivot: step {} of {}, {}. The journal \
         names {host} the master once the plan is closed; nothing else is judged until then. \
         Next: ",
        plan.plan, plan.goal, plan.step, plan.steps, plan.name
    )
}

fn ruling(basis: &Basis) -> RulingReport {
    RulingReport {
        rule: basis.rule.id.to_owned(),
        cause: basis.rule.cause,
        verdict: basis.rule.verdict,
        facts: basis.facts,
        gate: basis.gate.id.to_owned(),
        barred: basis.gate.bars,
        evidence: basis.evidence.clone(),
        nearest: nearest(basis),
    }
}

fn paragraph(ruling: &RulingReport, basis: &Basis, next: &str) -> String {
    let verdict = ruling.verdict.text();
    let mut text = format!(
        "{} The verdict is \"{verdict}\" by rule {} ({}), because {}.",
        ruling.cause.meaning(),
        ruling.rule,
        ruling.cause.name(),
        basis.rule.why
    );
    if ruling.verdict.act() != Act::Nothing {
        let gate = match ruling.barred {
            Some(cause) => format!("is closed by {}", cause.name()),
            None => "is open".to_owned(),
        };
        text.push_str(&format!(" Gate {} {gate}: {}.", ruling.gate, basis.gate.why));
    }
    text.push_str(&format!(" Next: {next}."));
    text
}

/// The nearest worlds with another act than this one's: those that act, if this one does not.
fn nearest(basis: &Basis) -> Vec<NearWorld> {
    let now = basis.rule.verdict.act();
    for depth in 1..=CHANGES_MAX {
        let mut rules = BTreeSet::new();
        let mut found = Vec::new();
        each_world(basis.facts, depth, &mut Vec::new(), &mut |changes, facts| {
            let rule = judge(&facts);
            let other = rule.verdict.act() != now;
            let first_change = changes[0].fact.clone();
            let possible = facts.can_be(basis.store);
            if possible && other && rules.insert((rule.id, first_change)) {
                found.push(NearWorld {
                    changes: changes.to_vec(),
                    rule: rule.id.to_owned(),
                    verdict: rule.verdict,
                    why: rule.why.to_owned(),
                    barred: match rule.verdict.act() {
                        Act::Nothing => None,
                        Act::Repair => gate(&basis.repair).bars,
                        Act::ChangeMaster => gate(&basis.change).bars,
                    },
                });
            }
        });
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// Visits every world that differs from `facts` in exactly `depth` facts.
fn each_world(
    facts: Facts,
    depth: usize,
    changes: &mut Vec<Change>,
    visit: &mut dyn FnMut(&[Change], Facts),
) {
    if depth == 0 {
        visit(changes, facts);
        return;
    }
    for (change, changed) in neighbours(facts) {
        // Facts in a fixed order, so that no set of changes is visited twice.
        if changes.last().is_some_and(|last| last.fact >= change.fact) {
            continue;
        }
        changes.push(change);
        each_world(changed, depth - 1, changes, visit);
        changes.pop();
    }
}

macro_rules! vary {
    ($facts:ident, $($field:ident: $fact:ident),+) => {{
        let mut worlds = Vec::new();
        $(for value in $fact::iter().filter(|value| *value != $facts.$field) {
            let change = Change {
                fact: stringify!($field).to_owned(),
                from: word(&$facts.$field),
                to: word(&value),
            };
            worlds.push((change, Facts { $field: value, ..$facts }));
        })+
        worlds
    }};
}

fn neighbours(facts: Facts) -> Vec<(Change, Facts)> {
    vary!(
        facts, master: Master, slave: Slave, loss: Loss, fence: Fence, proxies: Proxies,
        roles: Roles, sight: Sight, singletons: Singletons, upkeep: Upkeep
    )
}

/// A fact's value by its stable name.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}
