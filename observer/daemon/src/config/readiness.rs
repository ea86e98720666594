//! Reads `[service.probe]`: how a service is asked whether it is ready.

use std::ops::RangeInclusive;

use observer_core::policy::PROBE_MAX_MS;
use observer_core::words::ServiceName;

use super::access::{HttpReadiness, ListensAt, ReadinessProbe, ReadinessQuestion};
use super::pair::url_path;
use super::section::Section;
use super::units;

const KINDS: &[(&str, Kind)] =
    &[("http", Kind::Http), ("tcp", Kind::Tcp), ("command", Kind::Command)];
const PLACES: &[(&str, ListensAt)] =
    &[("loopback", ListensAt::Loopback), ("address", ListensAt::Address)];

/// The shortest time that an answer is given: a look over SSH takes some milliseconds.
const DEADLINE_MIN_MS: u64 = 50;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Tcp,
    Command,
}

/// Reads the probe of `service`; none where the table is not there.
pub(super) fn probe(section: &Section<'_, '_>, service: &str) -> Option<ReadinessProbe> {
    if !section.is_present() {
        return None;
    }
    if !section.has("kind") {
        section.wrong("kind", "is missing", "use one of: http, tcp, command");
    }
    let kind = section.choice("kind", KINDS, Kind::Http);
    let question = match kind {
        Kind::Http => ReadinessQuestion::Http(http(section)),
        Kind::Tcp => {
            ReadinessQuestion::Tcp { listens_at: listens_at(section), port: port(section) }
        }
        Kind::Command => command(section),
    };
    let deadline_ms = section.time_ms("deadline", 2_000, DEADLINE_MIN_MS);
    if deadline_ms > PROBE_MAX_MS {
        let problem = format!("{} is too long for one answer", units::write_time(deadline_ms));
        let fix = "use \"10s\" or less: a probe is asked again and again, until `start_deadline`";
        section.wrong("deadline", &problem, fix);
    }
    section.finish();
    Some(ReadinessProbe { service: ServiceName::new(service), deadline_ms, question })
}

fn listens_at(section: &Section<'_, '_>) -> ListensAt {
    section.choice("listens_at", PLACES, ListensAt::Loopback)
}

fn port(section: &Section<'_, '_>) -> u16 {
    if !section.has("port") {
        section.wrong("port", "is missing", "write the TCP port it listens at, like port = 8080");
    }
    section.number("port", 8_080, 1..=65_535) as u16
}

fn http(section: &Section<'_, '_>) -> HttpReadiness {
    HttpReadiness {
        listens_at: listens_at(section),
        port: port(section),
        path: url_path(section),
        host_header: section.text("host_header"),
        status: status(section),
        headers: headers(section),
        body: section.text("body"),
    }
}

/// One status, or a first and a last one.
fn status(section: &Section<'_, '_>) -> RangeInclusive<u16> {
    let Some(text) = section.number_or_text("status") else { return 200..=200 };
    let read = |word: &str| word.trim().parse::<u16>().ok().filter(|n| (100..=599).contains(n));
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    match (read(first), read(last)) {
        (Some(first), Some(last)) if first <= last => first..=last,
        _ => {
            let fix = "write a status like 200, or a first and a last one like \"200-299\"";
            section.wrong("status", &format!("\"{text}\" is no status"), fix);
            200..=200
        }
    }
}

fn headers(section: &Section<'_, '_>) -> Vec<(String, String)> {
    let token = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let mut headers = Vec::new();
    for line in section.texts("headers") {
        let parts = line.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        match parts {
            Some((name, value)) if !name.is_empty() && name.chars().all(token) => {
                headers.push((name.to_owned(), value.to_owned()));
            }
            _ => section.wrong(
                "headers",
                &format!("\"{line}\" is no header"),
                "write each as \"Name: value\", like headers = [\"X-State: running\"]",
            ),
        }
    }
    headers
}

fn command(section: &Section<'_, '_>) -> ReadinessQuestion {
    let words = section.texts("command");
    match words.first() {
        None => section.wrong(
            "command",
            "is missing",
            "write command = [\"/opt/desk/bin/ready\", \"--quiet\"]: program and arguments",
        ),
        Some(program) if !program.starts_with('/') => {
            let problem = format!("\"{program}\" is no absolute path");
            section.wrong("command", &problem, "start it with /");
        }
        Some(_) => {}
    }
    let user = section.required("user", "name the account it runs as, like user = \"desk\"");
    ReadinessQuestion::Command { words, user }
}
