//! A rolling upgrade: one host after the other, the master last, by a switchover.
//!
//! Its state is the journal's. Whoever carries it out asks what is next, does that, and marks it,
//! so that a run that was killed is taken up by the next at the stage it was at. Every stage may
//! be done twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator};

use crate::words::{At, HostName};

/// What a person orders. It is kept in the journal whole: nothing in it may be secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Upgrade {
    /// Who.
    pub by: String,
    /// What for: a release, most often.
    pub name: String,
    /// The hosts, in this order; whichever is the master when its turn has come is left first.
    pub hosts: Vec<HostName>,
    /// The command that upgrades a host, in words; it runs on the observer, as who runs the verb.
    pub command: Vec<String>,
    /// The command that takes that back; none where only a person can.
    #[serde(default)]
    pub back: Vec<String>,
    /// The command that succeeds once the upgraded services are ready; none where systemd's word
    /// is enough.
    #[serde(default)]
    pub ready: Vec<String>,
    /// Environment of the commands, for every host.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Environment that one host has beside that.
    #[serde(default)]
    pub host_environment: BTreeMap<HostName, BTreeMap<String, String>>,
    /// How long the command may take, in milliseconds.
    pub command_limit_ms: u64,
    /// How long the services may take to be ready, and the pair to be in order again, in
    /// milliseconds.
    pub ready_limit_ms: u64,
    /// When it was ordered.
    pub began: At,
}

/// One thing that is done about one host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, EnumIter, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its users are moved away, because it is the master.
    Switchover,
    /// It is taken out of candidacy: nobody promotes it half upgraded.
    Maintain,
    /// Its services are stopped.
    Stop,
    /// The operator's command runs.
    Command,
    /// Its services are started.
    Start,
    /// They are ready.
    Ready,
    /// It may be promoted again, and the pair is in order.
    Finish,
}

impl Stage {
    /// As a person reads it.
    pub fn text(self) -> &'static str {
        match self {
            Stage::Switchover => "move its users away",
            Stage::Maintain => "put into maintenance",
            Stage::Stop => "stop services",
            Stage::Command => "run the command",
            Stage::Start => "start services",
            Stage::Ready => "wait until ready",
            Stage::Finish => "end maintenance, wait until the pair is in order",
        }
    }

    /// The stages of one host, in order; the master's begin by moving its users away.
    pub fn of_host(is_master: bool) -> impl Iterator<Item = Stage> {
        Stage::iter().filter(move |stage| is_master || *stage != Stage::Switchover)
    }

    /// The stages whose end the journal remembers, in order. The others show in the world.
    const MARKED: [Stage; 5] =
        [Stage::Stop, Stage::Command, Stage::Start, Stage::Ready, Stage::Finish];
}

/// The hosts that are named, or else all of the pair, with the master last.
pub fn in_order(
    named: Vec<HostName>,
    all: impl Iterator<Item = HostName>,
    master: Option<&HostName>,
) -> Vec<HostName> {
    let mut hosts = if named.is_empty() { all.collect() } else { named };
    hosts.sort_by_key(|host| Some(host) == master);
    hosts
}

/// What is to be done next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Next {
    /// About which host.
    pub host: HostName,
    /// What.
    pub stage: Stage,
}

/// Where an upgrade stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What was ordered.
    pub upgrade: Upgrade,
    /// The last marked stage of each host that one was done of.
    pub done: BTreeMap<HostName, Stage>,
    /// Where it stopped last, and why.
    pub failed: Option<(Next, String)>,
}

impl Progress {
    /// The beginning.
    pub fn new(upgrade: Upgrade) -> Self {
        Self { upgrade, done: BTreeMap::new(), failed: None }
    }

    /// Takes the end of a stage in.
    pub fn mark(&mut self, next: &Next, failed: Option<&str>) {
        self.failed = failed.map(|why| (next.clone(), why.to_owned()));
        if failed.is_none() && Stage::MARKED.contains(&next.stage) {
            self.done.insert(next.host.clone(), next.stage);
        }
    }

    /// What is to be done next, given who is the master and whom this upgrade keeps in maintenance;
    /// none once every host is finished.
    ///
    /// The world is believed before the marks: a host that is the master is left first whatever was
    /// done about it, and one that is not in maintenance is put there before it is touched.
    pub fn next(
        &self,
        master: Option<&HostName>,
        in_maintenance: impl Fn(&HostName) -> bool,
    ) -> Option<Next> {
        let done = |host: &HostName| self.done.get(host).copied();
        let mut hosts = self.upgrade.hosts.iter();
        let host = hosts.find(|host| done(host) != Some(Stage::Finish))?;
        let marked = Stage::MARKED.into_iter().find(|stage| done(host) < Some(*stage));
        let stage = match marked? {
            _ if Some(host) == master => Stage::Switchover,
            Stage::Finish => Stage::Finish,
            _ if !in_maintenance(host) => Stage::Maintain,
            stage => stage,
        };
        Some(Next { host: host.clone(), stage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress::new(Upgrade {
            by: "jo".to_owned(),
            name: "4.2".to_owned(),
            hosts: vec!["node-b".into(), "node-a".into()],
            command: vec!["true".to_owned()],
            back: Vec::new(),
            ready: Vec::new(),
            environment: BTreeMap::new(),
            host_environment: BTreeMap::new(),
            command_limit_ms: 1,
            ready_limit_ms: 1,
            began: At(1),
        })
    }

    /// Carries an upgrade out in a world that is two names, from wherever it stands.
    fn carry_out(progress: &mut Progress, master: &mut HostName) -> Vec<(String, Stage)> {
        let mut kept: Option<HostName> = None;
        let mut done = Vec::new();
        while let Some(next) = progress.next(Some(master), |host| kept.as_ref() == Some(host)) {
            assert!(next.stage == Stage::Switchover || next.host != *master, "{next:?}");
            match next.stage {
                Stage::Switchover => *master = HostName::new("node-b"),
                Stage::Maintain => kept = Some(next.host.clone()),
                Stage::Finish => kept = None,
                _ => assert_eq!(kept.as_ref(), Some(&next.host), "{next:?}"),
            }
            progress.mark(&next, None);
            done.push((next.host.to_string(), next.stage));
        }
        done
    }

    #[test]
    fn the_slave_comes_first_and_the_master_after_a_switchover() {
        use Stage::{Command, Finish, Maintain, Ready, Start, Stop, Switchover};
        let done = carry_out(&mut progress(), &mut "node-a".into());
        let of = |host: &str, stages: &[Stage]| -> Vec<(String, Stage)> {
            stages.iter().map(|stage| (host.to_owned(), *stage)).collect()
        };
        let mut wanted = of("node-b", &[Maintain, Stop, Command, Start, Ready, Finish]);
        let last = [Switchover, Maintain, Stop, Command, Start, Ready, Finish];
        wanted.extend(of("node-a", &last));
        assert_eq!(done, wanted);
    }

    #[test]
    fn a_stage_that_failed_is_next_again_and_nothing_after_it() {
        let mut progress = progress();
        let (host, stage) = (HostName::new("node-b"), Stage::Stop);
        progress.mark(&Next { host: host.clone(), stage }, None);
        let command = Next { host, stage: Stage::Command };
        progress.mark(&command, Some("it ended with 1"));
        assert_eq!(progress.next(Some(&"node-a".into()), |_| true), Some(command.clone()));
        assert_eq!(progress.failed, Some((command, "it ended with 1".to_owned())));
    }

    /// Somebody ended the maintenance, or moved the master, while nobody carried it out.
    #[test]
    fn the_world_is_believed_before_the_marks() {
        let mut progress = progress();
        let at = |stage| Some(Next { host: "node-b".into(), stage });
        progress.mark(&Next { host: "node-b".into(), stage: Stage::Command }, None);
        assert_eq!(progress.next(Some(&"node-a".into()), |_| true), at(Stage::Start));
        assert_eq!(progress.next(Some(&"node-a".into()), |_| false), at(Stage::Maintain));
        assert_eq!(progress.next(Some(&"node-b".into()), |_| true), at(Stage::Switchover));
    }
}
