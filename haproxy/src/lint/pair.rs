//! Rules about the pair's servers (P), the settings that harm them (D) and the waiting room (W).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Linter, Sharing};
use crate::pair::{self, Members, Pointed};
use crate::server::{Server, State, Unclear};
use crate::time::milliseconds;
use crate::view::Section;
use crate::waiting_room::{self, GapKind, HOLD_ADDRESS, mode_is_http};
use crate::word::Word;

/// Time until HAProxy itself sees a death that is still called quick, in milliseconds.
const DETECTION_MS: u64 = 2_000;

/// Checks that hear from the service itself; all others only connect.
const CHECKS_THAT_SPEAK: &[&str] = &[
    "option external-check",
    "option httpchk",
    "option ldap-check",
    "option mysql-check",
    "option pgsql-check",
    "option redis-check",
    "option smtpchk",
    "option spop-check",
    "option ssl-hello-chk",
    "tcp-check expect",
];

pub(super) fn check(linter: &mut Linter<'_, '_>) {
    let Some(members) = linter.context.members else { return };
    let pointed = match pair::pointed_at(linter.document, members) {
        Ok(pointed) => pointed,
        Err(refusal) => {
            let reason = refusal.reason.to_string();
            return linter.report("P05", refusal.line, reason, "give each server a plain address");
        }
    };
    let view = linter.view;
    for section in view.backends() {
        let inside =
            |pointed: &&Pointed| (section.line..=section.last_line).contains(&pointed.line);
        let own: Vec<&Pointed> = pointed.iter().filter(inside).collect();
        if !own.is_empty() {
            receivers(linter, section, &own);
            backend(linter, section);
            let lines: BTreeSet<usize> = own.iter().map(|pointed| pointed.line).collect();
            for server in section.servers.iter().filter(|server| lines.contains(&server.line)) {
                member(linter, section, server);
            }
        }
    }
    rooms(linter, members);
}

fn receivers(linter: &mut Linter<'_, '_>, section: &Section<'_>, own: &[&Pointed]) {
    let mut hosts = BTreeSet::new();
    let mut unclear = false;
    for pointed in own {
        let subject = format!("server {}/{}", pointed.backend, pointed.server);
        match pointed.state {
            State::Enabled => drop(hosts.insert(pointed.host.as_str())),
            State::Disabled => {}
            State::Unclear(Unclear::Template) => {
                unclear = true;
                linter.report("P04", pointed.line, subject, "write one server line for each host");
            }
            State::Unclear(why) => {
                unclear = true;
                linter.report("P03", pointed.line, format!("{subject}: {why}"), "write it plainly");
            }
        }
    }
    let subject = format!("backend {}", section.name);
    let shared = own.iter().any(|pointed| pointed.shared);
    let all = shared || linter.context.sharing == Sharing::AllActive;
    if all && mode_is_http(linter.view, section) && !sticks(linter, section) {
        let fix = "cookie SERVERID insert indirect nocache, and a cookie on each server line";
        linter.report("P14", section.line, &*subject, fix);
    }
    if hosts.len() > 1 && !all {
        let names: Vec<&str> = hosts.into_iter().collect();
        let fix = "disabled on all servers but the master's";
        linter.report("P01", section.line, format!("{subject}: {}", names.join(", ")), fix);
    } else if hosts.is_empty() && !unclear {
        linter.report("P02", section.line, subject, "remove disabled from the master's server");
    }
}

/// Whether something keeps a user's requests with one server.
fn sticks(linter: &Linter<'_, '_>, section: &Section<'_>) -> bool {
    const BY_CLIENT: [&str; 6] = ["source", "hash", "uri", "url_param", "hdr", "rdp-cookie"];
    let view = linter.view;
    let balance = view.setting_on(section, "balance");
    let way = balance.as_ref().and_then(|setting| setting.values.first()).map(Word::to_text);
    view.setting_on(section, "cookie").is_some()
        || !view.statements(section, "stick").is_empty()
        || way.is_some_and(|way| BY_CLIENT.iter().any(|one| way.starts_with(one)))
}

fn backend<'a>(linter: &mut Linter<'_, 'a>, section: &Section<'a>) {
    let view = linter.view;
    let subject = format!("backend {}", section.name);
    if let Some(line) = view.setting_on(section, "option persist") {
        linter.report("D04", line.line, &*subject, "remove the option");
    }
    for line in view.statements(section, "force-persist") {
        linter.report("D04", line.line, &*subject, "remove the line");
    }
    let asks_http = ["option httpchk", "http-check send", "http-check connect"];
    let asks = asks_http.iter().any(|name| view.setting_on(section, name).is_some());
    let external = view.setting_on(section, "option external-check").is_some();
    if mode_is_http(view, section) && !asks && !external {
        linter.report("P07", section.line, &*subject, "option httpchk GET /health");
    }
    let speaks = CHECKS_THAT_SPEAK.iter().any(|name| view.setting_on(section, name).is_some());
    if !mode_is_http(view, section) && !speaks {
        let fix = "option httpchk, option pgsql-check, or tcp-check send and tcp-check expect";
        linter.report("P12", section.line, &*subject, fix);
    }
    if !mode_is_http(view, section) && view.setting_on(section, "timeout server-fin").is_none() {
        linter.report("P13", section.line, &*subject, "timeout server-fin 1s");
    }
    let mut cookies: BTreeMap<String, &Server<'_>> = BTreeMap::new();
    for server in &section.servers {
        let Some(cookie) = server.value("cookie") else { continue };
        if let Some(first) = cookies.insert(cookie, server) {
            let fix = format!("give it another cookie than {}", first.name);
            let subject = format!("server {}/{}", section.name, server.name);
            linter.report("P08", server.line, subject, fix);
        }
    }
}

fn member<'a>(linter: &mut Linter<'_, 'a>, section: &Section<'a>, server: &Server<'a>) {
    let view = linter.view;
    let subject = format!("server {}/{}", section.name, server.name);
    let setting = |keywords: &[&str]| view.server_setting(section, server, keywords);
    let value = |keyword: &str| setting(&[keyword]).and_then(|found| found.value);
    let mut report = |id: &str, line: usize, fix: &str| linter.report(id, line, &*subject, fix);

    if mode_is_http(view, section) && setting(&["maxconn"]).is_none() {
        report("W14", server.line, "maxconn 200 (or what the application can serve at once)");
    }
    if let Some(found) = setting(&["weight"])
        && found.value.as_deref().and_then(|text| text.parse::<u32>().ok()) == Some(0)
    {
        report("P15", found.line, "remove weight 0; disabled keeps users away from a slave");
    }
    if let Some(found) = setting(&["on-marked-down"]) {
        report("D01", found.line, "remove on-marked-down");
    }
    if let Some(found) = setting(&["on-marked-up"]) {
        report("D03", found.line, "remove on-marked-up");
    }
    if let Some(found) = setting(&["observe"])
        && value("error-limit").as_deref() == Some("1")
    {
        report("D02", found.line, "remove observe, or raise error-limit");
    }
    let tls = setting(&["ssl", "no-ssl"]).is_some_and(|found| found.keyword == "ssl");
    if tls && value("verify").as_deref() == Some("none") {
        report("P09", server.line, "verify required ca-file <file>");
    }
    if setting(&["check", "no-check"]).is_none_or(|found| found.keyword == "no-check") {
        if value("track").is_none() {
            report("P06", server.line, "check inter 200ms fastinter 100ms fall 2 rise 1");
        }
        return;
    }
    if let Some(found) = setting(&["port"])
        && server.address().port.is_some_and(|port| found.value.as_deref() != Some(port))
    {
        report("P10", found.line, "remove port, so that the service's own port is asked");
    }
    let inter = value("inter").and_then(|text| milliseconds(&text)).unwrap_or(2_000);
    let fast = value("fastinter").and_then(|text| milliseconds(&text)).unwrap_or(inter);
    let fall = value("fall").and_then(|text| text.parse::<u64>().ok()).unwrap_or(3);
    let detection = inter.saturating_add(fast.saturating_mul(fall.saturating_sub(1)));
    if detection > DETECTION_MS {
        let fix = format!("inter 200ms fastinter 100ms fall 2 rise 1 (now {detection} ms)");
        report("P11", server.line, &fix);
    }
}

fn rooms(linter: &mut Linter<'_, '_>, members: &Members) {
    let rooms = waiting_room::waiting_rooms(linter.document, members).unwrap_or_default();
    for room in rooms {
        let backends = linter.view.backends().filter(|section| section.line == room.line);
        let hold = backends
            .flat_map(|section| &section.servers)
            .find(|server| Some(&*server.name) == room.hold.as_deref());
        if let Some(hold) = hold.filter(|hold| !is_surely_closed(hold)) {
            let subject = format!("server {}/{}", room.backend, hold.name);
            linter.report("W15", hold.line, subject, format!("give it the address {HOLD_ADDRESS}"));
        }
        for gap in room.gaps {
            let id = match gap.kind {
                GapKind::NoHold => "W01",
                GapKind::HoldNotBackup => "W02",
                GapKind::HoldChecked => "W03",
                GapKind::HoldDisabled => "W04",
                GapKind::AllBackups => "W05",
                GapKind::NoRedispatch => "W06",
                GapKind::LateRedispatch => "W07",
                GapKind::ShortLimit => "W08",
                GapKind::SlowRetry => "W09",
                GapKind::NoQueueTimeout => "W10",
                GapKind::KeepsAborted => "W11",
                GapKind::ClosesIdle => "W12",
                GapKind::UnsafeRetry => "W13",
            };
            linter.report(id, gap.line, format!("backend {}", room.backend), gap.fix);
        }
    }
}

/// A port of this host that root alone could open.
fn is_surely_closed(hold: &Server<'_>) -> bool {
    let address = hold.address();
    let is_privileged =
        |port: &str| port.parse::<u16>().is_ok_and(|port| (1..1024).contains(&port));
    let is_local = |host: &str| host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    address.host.is_some_and(is_local) && address.port.is_some_and(is_privileged)
}
