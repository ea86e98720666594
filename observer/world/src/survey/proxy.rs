//! Surveys one proxy: what runs, what its file says, what the linter and HAProxy say of the file,
//! and whether users reach the application through it.

use futures_util::future::join_all;
use haproxy::lint::{Context, Finding, Severity, Sharing, lint_files};
use haproxy::{SectionKind, View};
use observer_core::policy::Probed;
use observer_core::sighting::{FileServer, Seen, ServerReport};
use observer_core::validate::{
    Datum, FileCheck, Health, LintFinding, LintSubject, LintWeight, ProxyFiles, ProxySurvey, Unread,
};
use tokio::time::Instant;

use super::proxy_files::{self, Loaded};
use super::script::Questions;
use super::{clock, health, in_time, left, unread};
use crate::access::HttpProbe;
use crate::eyes::{port, proxy as table, proxy_file};
use crate::pair_world::{Inner, Proxy};
use crate::sudo::obstacle;
use crate::text::shown;

pub(super) async fn survey(world: &Inner, proxy: &Proxy, until: Instant) -> ProxySurvey {
    let (running, of_files, check, machine, clock) = tokio::join!(
        in_time(until, running(world, proxy, until)),
        of_files(world, proxy, until),
        in_time(until, check(proxy, until)),
        in_time(until, machine(proxy, until)),
        in_time(until, clock(&proxy.ssh, until)),
    );
    let (at_boot, rights) = match machine {
        Ok((at_boot, rights)) => (Ok(at_boot), Ok(rights)),
        Err(why) => (Err(why.clone()), Err(why)),
    };
    let OfFiles { file, files, findings, application } = of_files;
    ProxySurvey { running, file, files, findings, check, rights, at_boot, clock, application }
}

async fn running(world: &Inner, proxy: &Proxy, until: Instant) -> Datum<Vec<ServerReport>> {
    match table::look(world, proxy, left(until)).await {
        Ok(Seen::Proxy(report)) => Ok(report.servers),
        Ok(Seen::Refused) => Err(Unread("HAProxy is not running there".to_owned())),
        Ok(other) => Err(Unread(shown(format!("{other:?}").as_bytes()))),
        Err(silent) => Err(unread(&silent)),
    }
}

/// What is read of the files and nothing else.
struct OfFiles {
    file: Datum<Vec<FileServer>>,
    files: Datum<ProxyFiles>,
    findings: Datum<Vec<LintFinding>>,
    application: Vec<(String, Datum<Health>)>,
}

async fn of_files(world: &Inner, proxy: &Proxy, until: Instant) -> OfFiles {
    let reading = async {
        let changed = proxy_file::read(proxy, left(until)).await;
        let changed = changed.as_ref().map(|bytes| bytes.as_slice()).map_err(unread);
        proxy_files::read(world, proxy, changed, until).await
    };
    let (loaded, files) = match in_time(until, reading).await {
        Ok(read) => read,
        Err(why) => {
            let (file, files, findings) = (Err(why.clone()), Err(why.clone()), Err(why));
            return OfFiles { file, files, findings, application: Vec::new() };
        }
    };
    let servers = proxy_file::report(world, proxy, loaded.joined());
    let file = servers.map(|report| report.servers).map_err(|silent| unread(&silent));
    let findings = Ok(findings(world, proxy, &loaded));
    let application = application(world, proxy, &loaded, until).await;
    OfFiles { file, files: Ok(files), findings, application }
}

fn findings(world: &Inner, proxy: &Proxy, loaded: &Loaded) -> Vec<LintFinding> {
    let members = proxy_file::members(world, proxy);
    let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
    let files = loaded.files();
    let found = lint_files(&files, context).into_iter().filter_map(|(file, finding)| {
        let weight = match finding.rule.severity {
            Severity::Error => LintWeight::Error,
            Severity::Warning => LintWeight::Warning,
            Severity::Info => return None,
        };
        let room = finding.rule.id.starts_with('W');
        // Where there is one file only, everybody knows which.
        let file = file.filter(|_| files.len() > 1).map(|file| format!("{} ", files[file].0));
        let line = finding.line.map_or_else(String::new, |line| format!("line {line}: "));
        let place = file.unwrap_or_default() + &line;
        let text = format!("{place}{} ({})", finding.rule.title, finding.subject);
        Some(LintFinding {
            rule: finding.rule.id.to_owned(),
            weight,
            about: if room { LintSubject::WaitingRoom } else { LintSubject::Rest },
            // The subject comes from the file, which others write.
            text: shown(text.as_bytes()),
            fix: shown(fix(&finding).as_bytes()),
        })
    });
    found.collect()
}

/// What to do, with what the pair's own configuration can do about it.
fn fix(finding: &Finding) -> String {
    match finding.rule.id {
        "P05" => format!(
            "{}, or name the pair's servers in its file by [[proxy.server]] with backend, server \
             and host",
            finding.fix
        ),
        _ => finding.fix.clone(),
    }
}

/// HAProxy's own word on the file, by the very command that a rewrite uses.
async fn check(proxy: &Proxy, until: Instant) -> Datum<FileCheck> {
    let command = proxy.commands.check.command();
    let output = proxy.ssh.exec(&command, "", left(until), 64 * 1024).await;
    let output = output.map_err(|error| Unread(error.to_string()))?;
    if output.succeeded() {
        return Ok(FileCheck::Passes);
    }
    let (name, user) = (proxy.access.name.as_str(), proxy.access.ssh.user.as_str());
    match obstacle(&output.stderr, name, user) {
        Some(found) => Err(Unread(found.advice)),
        None => Ok(FileCheck::Rejected(alerts(&output.stderr))),
    }
}

/// What HAProxy complains of, without what it says of itself; all of it where nothing is an alert.
fn alerts(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let alerts: Vec<&str> = text.lines().filter(|line| line.starts_with("[ALERT]")).collect();
    let said = if alerts.is_empty() { text.into_owned() } else { alerts.join("\n") };
    shown(said.as_bytes())
}

type OfMachine = (String, observer_core::validate::CommandRights);

async fn machine(proxy: &Proxy, until: Instant) -> Datum<OfMachine> {
    let units = vec![proxy.access.unit.as_str()];
    let questions = Questions { database: None, units, commands: proxy.commands.all() };
    let answers = questions.ask(&proxy.ssh, left(until)).await?;
    let at_boot = answers.at_boot.into_iter().next().unwrap_or_default();
    Ok((at_boot, answers.rights))
}

/// What users get at each plain HTTP listener that leads to the pair, asked on the proxy itself.
async fn application(
    world: &Inner,
    proxy: &Proxy,
    loaded: &Loaded,
    until: Instant,
) -> Vec<(String, Datum<Health>)> {
    let is_probed = world.spec.services.iter().any(|service| service.probed == Probed::Health);
    let probe = world.hosts.values().find_map(|host| host.access.application.as_ref());
    let Some(probe) = probe.filter(|_| is_probed) else { return Vec::new() };
    let ask = async |(address, port): (String, u16)| {
        let probe = HttpProbe { port, address: address.clone(), ..probe.clone() };
        let asking =
            async { health(port::probe_through(&proxy.ssh, &address, &probe, left(until)).await) };
        let answer = in_time(until, asking).await;
        (format!("{address}:{port}"), answer)
    };
    join_all(listeners(world, proxy, loaded).into_iter().map(ask)).await
}

/// Where the proxy takes plain HTTP for the application of the pair: each frontend whose default
/// backend has a server of the pair.
fn listeners(world: &Inner, proxy: &Proxy, loaded: &Loaded) -> Vec<(String, u16)> {
    let document = loaded.joined();
    let Ok(own) = haproxy::pointed_at(document, &proxy_file::members(world, proxy)) else {
        return Vec::new();
    };
    let view = document.view();
    let mut found = Vec::new();
    for section in view.proxies().filter(|section| is_http(&view, section)) {
        let target = if section.kind == SectionKind::Listen {
            section.name.to_string()
        } else {
            let named = view.setting(section, "default_backend");
            let named = named.and_then(|setting| Some(setting.values.first()?.to_text()));
            named.unwrap_or_default()
        };
        if !own.iter().any(|server| server.backend == target) {
            continue;
        }
        let plain = section.binds.iter().filter(|bind| {
            !bind.words.iter().any(|word| word.is("ssl") || word.is("accept-proxy"))
        });
        found.extend(plain.filter_map(|bind| address(&loaded.address(&bind.address))));
    }
    found.sort();
    found.dedup();
    found
}

fn is_http<'a>(view: &View<'a>, section: &haproxy::Section<'a>) -> bool {
    let mode = view.setting(section, "mode");
    mode.is_some_and(|mode| mode.values.first().is_some_and(|word| word.is("http")))
}

/// Where a `bind` is reached from the proxy itself; none where the text does not say one port.
fn address(bind: &str) -> Option<(String, u16)> {
    let (address, port) = bind.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let inside = address.trim_start_matches('[').trim_end_matches(']');
    match inside {
        "" | "*" | "0.0.0.0" => Some(("127.0.0.1".to_owned(), port)),
        "::" => Some(("::1".to_owned(), port)),
        plain if plain.parse::<std::net::IpAddr>().is_ok() => Some((plain.to_owned(), port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_reached_from_its_own_machine() {
        let there = |address: &str, port| Some((address.to_owned(), port));
        assert_eq!(address(":80"), there("127.0.0.1", 80));
        assert_eq!(address("*:8080"), there("127.0.0.1", 8080));
        assert_eq!(address("10.0.0.9:80"), there("10.0.0.9", 80));
        assert_eq!(address("[::]:80"), there("::1", 80));
        for unclear in ["/run/haproxy.sock", "abns@x", ":8000-8100", "${ADDR}:80", "10.0.0.9"] {
            assert_eq!(address(unclear), None, "{unclear}");
        }
    }
}
