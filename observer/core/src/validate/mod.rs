//! Validation: is the pair ready for a switchover, a failover, and for switching back?
//!
//! Pure: it takes what was surveyed and says what it means, by the one table of [`CHECKS`]. It
//! orders nothing and decides nothing; whoever is about to open a plan asks
//! [`ValidationReport::refuses`]. A datum that was not read makes its checks *unknown*, and an
//! unknown severe check keeps the pair from being ready.

mod checks;
#[cfg(test)]
mod healthy;
mod report;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

pub use checks::CHECKS;
pub use report::{CheckReport, Grade, ReadinessReport, Strictness, ValidationReport};
pub use survey::*;

use crate::digest::FileStanding;
use crate::facts::Journal;
use crate::files::verify::LastVerified;
use crate::policy::{Mode, PairSpec};
use crate::words::{At, BouncerName, FileSetName, HostName, PlanId, ProxyName};

/// What the pair may be ready for.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    EnumIter,
    IntoStaticStr,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Readiness {
    /// A planned change of master, which loses nothing.
    Switchover,
    /// A change of master after today's master has died.
    Failover,
    /// A later switchover back to today's master, which first becomes a slave.
    SwitchBack,
}

impl Readiness {
    /// The stable name, as in the output and in JSON.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// How much a failed check matters.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, IntoStaticStr, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Severity {
    /// The change would work, and somebody will regret something afterwards.
    Warning,
    /// The change would fail, lose data, or leave the pair without a slave.
    Severe,
}

impl Severity {
    /// The word, as in the output and in JSON.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One row of the table. Its id is stable.
pub struct Check {
    /// Stable id.
    pub id: &'static str,
    /// What is checked, as a statement that is true when it passes.
    pub title: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it stands in the way of.
    pub readies: &'static [Readiness],
    /// Why it matters.
    pub why: &'static str,
    /// What would hurt after the change if it were made all the same.
    pub after: &'static str,
    /// What to do, where the outcome says nothing more exact.
    pub fix: &'static str,
    /// Looks at each of its subjects.
    pub examine: Examine,
}

/// What was found, or what kept it from being told.
pub type Examined = Result<Outcome, Unread>;

/// What a check looks at, and how.
#[derive(Clone, Copy)]
pub enum Examine {
    /// The pair as a whole.
    Pair(fn(&Inputs<'_>) -> Examined),
    /// The master.
    Master(fn(&Inputs<'_>, &HostName) -> Examined),
    /// Each slave.
    Slaves(fn(&Inputs<'_>, &HostName) -> Examined),
    /// Each host, whatever its role.
    Hosts(fn(&Inputs<'_>, &HostName) -> Examined),
    /// Each proxy.
    Proxies(fn(&Inputs<'_>, &ProxyName) -> Examined),
    /// Each PgBouncer that runs.
    Bouncers(fn(&Inputs<'_>, &BouncerSurvey) -> Examined),
}

impl Examine {
    /// Its subject, in words for the table.
    pub fn subject(self) -> &'static str {
        match self {
            Examine::Pair(_) => "the pair",
            Examine::Master(_) => "the master",
            Examine::Slaves(_) => "each slave",
            Examine::Hosts(_) => "each host",
            Examine::Proxies(_) => "each proxy",
            Examine::Bouncers(_) => "each PgBouncer",
        }
    }
}

/// What one check found of one subject. Each carries its evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is as it should be.
    Passed(String),
    /// It is not.
    Failed {
        /// What was seen.
        evidence: String,
        /// What to do here, where it can be said more exactly than the table does.
        fix: Option<String>,
    },
    /// It could not be told.
    Unknown(String),
    /// There is nothing to check here.
    Skipped(String),
}

impl Outcome {
    fn passed(evidence: impl Into<String>) -> Examined {
        Ok(Outcome::Passed(evidence.into()))
    }

    fn skipped(why: impl Into<String>) -> Examined {
        Ok(Outcome::Skipped(why.into()))
    }

    fn failed(evidence: impl Into<String>) -> Examined {
        Ok(Outcome::Failed { evidence: evidence.into(), fix: None })
    }

    fn failed_with_fix(evidence: impl Into<String>, fix: impl Into<String>) -> Examined {
        Ok(Outcome::Failed { evidence: evidence.into(), fix: Some(fix.into()) })
    }
}

/// What the observer itself is at, which the machines do not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObserverState {
    /// The plan that is open.
    pub plan: Option<PlanId>,
    /// Who paused it and why.
    pub paused: Option<String>,
    /// The host that would be the next master.
    pub candidate: Option<HostName>,
    /// Hosts in maintenance, each with why and for whom.
    pub maintenance: Vec<(HostName, String)>,
    /// Drained hosts, each with why and for whom.
    pub drained: Vec<(HostName, String)>,
    /// A change of master that waits for an acknowledgement.
    pub unacknowledged: Option<PlanId>,
    /// Whether the journal can be written.
    pub journal: Journal,
    /// How the slave's copies of files stand.
    pub files: FilesState,
}

/// How the slave's copies of files stand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FilesState {
    /// When this was so.
    pub now: At,
    /// Each set, as the passes left it.
    pub standings: Vec<FileStanding>,
    /// What the last verifications said.
    pub verified: BTreeMap<FileSetName, LastVerified>,
}

/// The whole input of the checks.
pub struct Inputs<'a> {
    /// The pair and its policy.
    pub spec: &'a PairSpec,
    /// Who is what.
    pub roles: &'a Roles,
    /// What was read.
    pub survey: &'a Survey,
    /// What the observer is at.
    pub observer: &'a ObserverState,
}

impl<'a> Inputs<'a> {
    fn host(&self, name: &HostName) -> Result<&'a HostSurvey, Unread> {
        let found = self.survey.hosts.get(name);
        found.ok_or_else(|| Unread(format!("{name} was not surveyed")))
    }

    fn machine(&self, name: &HostName) -> Result<&'a MachineSurvey, Unread> {
        about(name, self.host(name)?.machine.as_ref())
    }

    fn database(&self, name: &HostName) -> Result<&'a DatabaseSurvey, Unread> {
        about(name, self.host(name)?.database.as_ref())
    }

    fn proxy(&self, name: &ProxyName) -> Result<&'a ProxySurvey, Unread> {
        let found = self.survey.proxies.get(name);
        found.ok_or_else(|| Unread(format!("{name} was not surveyed")))
    }

    /// Examines the PgBouncer of that name, if it runs: nobody comes through one that does not.
    fn bouncer(
        &self,
        name: &BouncerName,
        examine: fn(&Inputs<'_>, &BouncerSurvey) -> Examined,
    ) -> Examined {
        let found = self.survey.bouncers.get(name);
        match found.ok_or_else(|| Unread(format!("{name} was not surveyed")))? {
            Ok(Some(survey)) => examine(self, survey),
            Ok(None) => Outcome::skipped("PgBouncer is not running there"),
            Err(why) => Err(Unread(format!("{name}: {}", why.0))),
        }
    }

    /// True for a host that no change of master is about: neither master nor next master. Only
    /// where the database is external, for there nobody depends on it.
    fn is_beside(&self, subject: &str) -> bool {
        let Some(candidate) = &self.observer.candidate else { return false };
        let is_it = |host: &HostName| host.as_str() == subject;
        self.spec.has_external_database()
            && self.spec.hosts.iter().any(is_it)
            && !is_it(candidate)
            && !is_it(&self.roles.master)
    }

    fn is_auto(&self) -> bool {
        self.spec.policy.mode == Mode::Auto
    }
}

/// A datum of a machine, whose name joins the reason where there is none.
fn about<'a, T>(
    name: &impl std::fmt::Display,
    datum: Result<&'a T, &'a Unread>,
) -> Result<&'a T, Unread> {
    datum.map_err(|why| Unread(format!("{name}: {}", why.0)))
}

/// Walks the table over everything that was surveyed.
pub fn validate(inputs: &Inputs<'_>) -> ValidationReport {
    let mut checks = Vec::new();
    for check in CHECKS {
        let mut add = |subject: &str, examined: Examined| {
            let outcome = match examined {
                _ if checks::is_beside_the_point(check, inputs.spec) => {
                    Outcome::Skipped("the database is external".to_owned())
                }
                Ok(outcome) => outcome,
                Err(why) => Outcome::Unknown(why.0),
            };
            let mut report = CheckReport::of(check, subject, outcome);
            if inputs.is_beside(subject) {
                report.belongs_to_a_host_beside();
            }
            checks.push(report);
        };
        let master = &inputs.roles.master;
        match check.examine {
            Examine::Pair(examine) => add(inputs.spec.name.as_str(), examine(inputs)),
            Examine::Master(examine) => add(master.as_str(), examine(inputs, master)),
            Examine::Slaves(examine) => {
                inputs.roles.slaves.iter().for_each(|host| {
                    add(host.as_str(), examine(inputs, host));
                });
            }
            Examine::Hosts(examine) => {
                inputs.spec.hosts.iter().for_each(|host| add(host.as_str(), examine(inputs, host)));
            }
            Examine::Proxies(examine) => {
                inputs.spec.proxies.iter().for_each(|proxy| {
                    add(proxy.as_str(), examine(inputs, proxy));
                });
            }
            Examine::Bouncers(examine) => {
                inputs.spec.bouncers.iter().for_each(|bouncer| {
                    add(bouncer.as_str(), inputs.bouncer(bouncer, examine));
                });
            }
        }
    }
    let readiness = Readiness::iter().map(|readiness| ReadinessReport::of(readiness, &checks));
    ValidationReport {
        pair: inputs.spec.name.clone(),
        roles: inputs.roles.clone(),
        took_ms: inputs.survey.took_ms,
        readiness: readiness.collect(),
        checks,
    }
}
