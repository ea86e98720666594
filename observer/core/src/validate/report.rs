//! What a validation says: a verdict for each readiness, and what each check found.
//!
//! Serialisable, so that the API, the command line and a plan about to be opened read one thing.

use serde::{Deserialize, Serialize};

use super::{Check, Outcome, Readiness, Roles, Severity};
use crate::words::PairName;

/// The whole answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ValidationReport {
    /// The pair.
    pub pair: PairName,
    /// Who was what.
    pub roles: Roles,
    /// How long the survey took, in milliseconds.
    pub took_ms: u64,
    /// One verdict per readiness.
    pub readiness: Vec<ReadinessReport>,
    /// Every check of every subject, in the table's order.
    pub checks: Vec<CheckReport>,
}

/// The verdict on one readiness.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadinessReport {
    /// Ready for what.
    pub readiness: Readiness,
    /// Whether no severe check failed or is unknown.
    pub ready: bool,
    /// Severe checks that failed.
    pub failed: usize,
    /// Severe checks that could not be told.
    pub unknown: usize,
    /// Warnings that failed or could not be told.
    pub warnings: usize,
}

/// What one check found of one subject.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckReport {
    /// The check's stable id.
    pub id: String,
    /// The host, proxy or pair that was looked at.
    pub subject: String,
    /// What is checked.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it stands in the way of.
    pub readies: Vec<Readiness>,
    /// How it ended.
    pub grade: Grade,
    /// What was seen.
    pub evidence: String,
    /// What to do; none where it passed.
    pub fix: Option<String>,
    /// What would hurt after the change; none where it passed.
    pub after: Option<String>,
}

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be.
    Passed,
    /// Not as it should be.
    Failed,
    /// It could not be told.
    Unknown,
    /// There was nothing to check.
    Skipped,
}

/// How warnings count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strictness {
    /// Only severe checks keep a pair from being ready.
    Severe,
    /// Warnings do, too.
    Warnings,
}

impl CheckReport {
    pub(super) fn of(check: &Check, subject: &str, outcome: Outcome) -> Self {
        let (grade, evidence, fix) = match outcome {
            Outcome::Passed(evidence) => (Grade::Passed, evidence, None),
            Outcome::Skipped(evidence) => (Grade::Skipped, evidence, None),
            Outcome::Failed { evidence, fix } => {
                (Grade::Failed, evidence, Some(fix.unwrap_or_else(|| check.fix.to_owned())))
            }
            Outcome::Unknown(evidence) => {
                let fix = "make it readable, then validate again; see the reason".to_owned();
                (Grade::Unknown, evidence, Some(fix))
            }
        };
        let after = (grade == Grade::Failed && !check.after.is_empty()).then_some(check.after);
        Self {
            id: check.id.to_owned(),
            subject: subject.to_owned(),
            title: check.title.to_owned(),
            severity: check.severity,
            readies: check.readies.to_vec(),
            grade,
            evidence,
            fix,
            after: after.map(str::to_owned),
        }
    }

    /// Its subject is a host that no change of master is about: what is amiss there is told, and
    /// keeps nobody from anything.
    pub(super) fn belongs_to_a_host_beside(&mut self) {
        self.severity = Severity::Warning;
        if self.grade == Grade::Unknown {
            let host = &self.subject;
            self.fix = Some(format!(
                "see why it does not answer; one that is dead is left out by `ha-observer forget \
                 {host} --reason TEXT` until it answers"
            ));
        }
    }

    /// Whether it stands against this readiness at all.
    pub fn is_against(&self, readiness: Readiness) -> bool {
        self.is_amiss() && self.readies.contains(&readiness)
    }

    /// What stands in the way and its fix, on one line.
    pub fn sentence(&self) -> String {
        let fix = self.fix.as_deref().unwrap_or_default();
        format!("{} on {}: {} (fix: {fix})", self.id, self.subject, self.evidence)
    }

    /// Whether it failed or could not be told.
    pub fn is_amiss(&self) -> bool {
        matches!(self.grade, Grade::Failed | Grade::Unknown)
    }
}

impl ReadinessReport {
    pub(super) fn of(readiness: Readiness, checks: &[CheckReport]) -> Self {
        let against = || checks.iter().filter(|check| check.is_against(readiness));
        let severe = |grade: Grade| {
            against()
                .filter(move |check| check.severity == Severity::Severe && check.grade == grade)
        };
        let (failed, unknown) = (severe(Grade::Failed).count(), severe(Grade::Unknown).count());
        let warnings = against().filter(|check| check.severity == Severity::Warning).count();
        Self { readiness, ready: failed + unknown == 0, failed, unknown, warnings }
    }

    /// Whether it is ready if warnings count like this.
    pub fn is_ready(&self, strictness: Strictness) -> bool {
        self.ready && (strictness == Strictness::Severe || self.warnings == 0)
    }
}

impl ValidationReport {
    /// What keeps the pair from being ready: every severe check that failed or is unknown.
    #[must_use = "an unread refusal keeps nobody from acting"]
    pub fn refuses(&self, readiness: Readiness) -> Vec<&CheckReport> {
        let severe = |check: &&CheckReport| {
            check.severity == Severity::Severe && check.is_against(readiness)
        };
        self.checks.iter().filter(severe).collect()
    }

    /// What the pair is ready for.
    pub fn ready(&self) -> Vec<Readiness> {
        let ready = self.readiness.iter().filter(|verdict| verdict.ready);
        ready.map(|verdict| verdict.readiness).collect()
    }

    /// What stands against any readiness, a sentence each.
    pub fn against(&self) -> Vec<String> {
        let severe = |check: &&CheckReport| check.severity == Severity::Severe && check.is_amiss();
        self.checks.iter().filter(severe).map(CheckReport::sentence).collect()
    }

    /// The checks that ended so.
    pub fn graded(&self, grade: Grade) -> impl Iterator<Item = &CheckReport> {
        self.checks.iter().filter(move |check| check.grade == grade)
    }
}
