//! Import: an existing file, and what would have to change for the pair to be managed by it.
//!
//! It proposes and changes nothing: every step is a document of its own, so a person can take the
//! first steps and leave the rest.

use crate::diff::unified_diff;
use crate::document::Document;
use crate::lint::{self, Context, Finding, Sharing};
use crate::pair::{self, Members, Pointed};
use crate::refusal::Refusal;
use crate::waiting_room;

/// What an import would make of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The pair's servers as the file has them now.
    pub members: Vec<Pointed>,
    /// The steps, each from the result of the one before; a step without change is left out.
    pub steps: Vec<Step>,
    /// What the file would still break after all steps.
    pub remaining: Vec<Finding>,
}

/// One step of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does, in one line.
    pub title: &'static str,
    /// The file after it.
    pub document: Document,
    /// Its change as a unified diff.
    pub diff: String,
}

impl Proposal {
    /// The file after all steps, or nothing when there is nothing to change.
    pub fn result(&self) -> Option<&Document> {
        self.steps.last().map(|step| &step.document)
    }
}

/// Proposes the managed lines, the waiting room and the safe fixes for a file called `name`.
/// `receivers` are the hosts that take traffic now. Refused where the pair's servers cannot be
/// told or turned.
pub fn propose(
    name: &str,
    document: &Document,
    members: &Members,
    receivers: &[&str],
) -> Result<Proposal, Refusal> {
    let sharing = if receivers.len() > 1 { Sharing::AllActive } else { Sharing::OneMaster };
    let context = Context { members: Some(members), sharing };
    let mut now = document.clone();
    let mut steps = Vec::new();
    let mut step = |title, next: Document| {
        let diff = unified_diff(name, &now.to_bytes(), &next.to_bytes());
        if !diff.is_empty() {
            now = next.clone();
            steps.push(Step { title, document: next, diff });
        }
        now.clone()
    };
    let pointed = pair::point(document, members, receivers)?;
    let turned = step("only the hosts that serve now take traffic", pointed);
    let filled = waiting_room::add_waiting_rooms(&turned, members)?;
    let roomy = step("requests wait during a switch instead of failing", filled);
    let (fixed, _) = lint::fix(&roomy, context);
    let last = step("what harms a failover and is safe to change", fixed);
    Ok(Proposal {
        members: pair::pointed_at(document, members)?,
        steps,
        remaining: lint::lint(&last, context),
    })
}
