//! Surveys the shared mounts of all hosts: what each shows, and whether what one writes is there
//! for the others. Two storages may go by one name.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use observer_core::mounts::{MountReport, MountSpec, MountSurvey, MountUse, Token};
use observer_core::sighting::Silent;
use observer_core::validate::{Datum, Unread};
use observer_core::words::{HostName, MountName};

use super::unread;
use crate::commands::{MountCommands, Try};
use crate::eyes::mounts::{probe, watch};
use crate::pair_world::{Host, Inner};

type OfHosts = BTreeMap<HostName, BTreeMap<MountName, Datum<MountSurvey>>>;

/// Every mount on every host, all at once. It may take longer than all else where a mount hangs,
/// and keeps nothing else waiting but the report.
pub(super) async fn survey(world: &Inner) -> OfHosts {
    let all = join_all(world.spec.mounts.iter().map(|mount| one(world, mount))).await;
    let mut found = OfHosts::new();
    for (mount, hosts) in world.spec.mounts.iter().zip(all) {
        for (host, survey) in hosts {
            found.entry(host).or_default().insert(mount.name.clone(), survey);
        }
    }
    found
}

/// One mount on one host, and what tries it there.
struct Place<'a> {
    host: &'a Host,
    commands: &'a MountCommands,
    deadline: Duration,
}

async fn one(world: &Inner, mount: &MountSpec) -> Vec<(HostName, Datum<MountSurvey>)> {
    let deadline = Duration::from_millis(mount.look_deadline_ms());
    let places: Vec<Place<'_>> = world
        .hosts
        .values()
        .filter_map(|host| {
            let known = host.commands.mounts.iter().find(|known| known.mount == mount.name);
            known.map(|commands| Place { host, commands, deadline })
        })
        .collect();
    let reports = join_all(places.iter().map(Place::probe)).await;
    let works = |report: &Result<MountReport, Silent>| {
        matches!(report, Ok(MountReport { used: MountUse::Works, .. }))
    };
    let fit: Vec<&Place<'_>> = places
        .iter()
        .zip(&reports)
        .filter(|(place, report)| place.commands.takes_tokens() && works(report))
        .map(|(place, _)| place)
        .collect();
    let mut tokens = if fit.len() > 1 { exchange(&fit).await } else { BTreeMap::new() };
    let surveys = places.iter().zip(reports).map(|(place, report)| {
        let name = place.host.access.name.clone();
        let tokens = tokens.remove(&name);
        let survey = match (report, tokens) {
            (Err(silent), _) => Err(unread(&silent)),
            (Ok(_), Some(Err(why))) => Err(why),
            (Ok(report), Some(Ok(tokens))) => Ok(MountSurvey { report, tokens: Some(tokens) }),
            (Ok(report), None) => Ok(MountSurvey { report, tokens: None }),
        };
        (name, survey)
    });
    surveys.collect()
}

type Seen = Datum<Vec<(HostName, Token)>>;

/// Each leaves a token, all look for those of the others, each drops its own.
async fn exchange(places: &[&Place<'_>]) -> BTreeMap<HostName, Seen> {
    let left = join_all(places.iter().map(|place| place.leave())).await;
    let names = places.iter().map(|place| place.host.access.name.clone());
    let left: Vec<(HostName, Datum<String>)> = names.zip(left).collect();
    let seen = join_all(
        places.iter().map(async |place| (place.host.access.name.clone(), place.see(&left).await)),
    );
    let seen = seen.await;
    join_all(places.iter().map(|place| place.run(Try::Drop, ""))).await;
    seen.into_iter().collect()
}

impl Place<'_> {
    async fn probe(&self) -> Result<MountReport, Silent> {
        let probing = probe(self.host, self.commands, self.deadline);
        tokio::time::timeout(self.deadline, probing).await.unwrap_or(Err(Silent::Timeout))
    }

    async fn run(&self, tried: Try, words: &str) -> Datum<String> {
        let watching = watch(self.host, self.commands, tried, words, self.deadline);
        let said = tokio::time::timeout(self.deadline, watching).await;
        said.unwrap_or(Err(Silent::Timeout)).map_err(|silent| unread(&silent))
    }

    async fn leave(&self) -> Datum<String> {
        let said = self.run(Try::Leave, "").await?;
        let token = said.lines().find_map(|line| line.strip_prefix("left "));
        token.map(str::to_owned).ok_or_else(|| self.unsaid("a token was not left"))
    }

    /// Which of the tokens that others have left is seen here.
    async fn see(&self, left: &[(HostName, Datum<String>)]) -> Seen {
        let own = &self.host.access.name;
        let others: Vec<(&HostName, &String)> = left
            .iter()
            .filter(|(host, _)| host != own)
            .filter_map(|(host, token)| Some((host, token.as_ref().ok()?)))
            .collect();
        let words: Vec<String> =
            others.iter().map(|(host, token)| format!("{host} {token}")).collect();
        let said = self.run(Try::See, &words.join("\n")).await?;
        let lines: Vec<&str> = said.lines().collect();
        if !lines.contains(&"looked") {
            return Err(self.unsaid("tokens were not looked for"));
        }
        let seen = |host: &HostName| lines.contains(&format!("seen {host}").as_str());
        let token = |host| if seen(host) { Token::Seen } else { Token::NotSeen };
        Ok(others.into_iter().map(|(host, _)| (host.clone(), token(host))).collect())
    }

    fn unsaid(&self, what: &str) -> Unread {
        Unread(format!("{what} on {}", self.commands.mount))
    }
}
