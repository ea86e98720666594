//! The waiting room: a backup server on a closed port, so that requests wait while no real server
//! is usable, instead of failing.
//!
//! A connection to the closed port is refused at once, HAProxy waits for the shorter of one second
//! and `timeout connect`, and tries again with redispatch until a real server is there. Nothing
//! has been sent by then, so a POST is safe. The wait ends after `retries` such periods, whoever
//! is alive or not: that product is the limit this module states.

use std::collections::BTreeSet;
use std::fmt;

use crate::document::Document;
use crate::edit::{ServerChange, ServerEdit};
use crate::pair::{self, Members};
use crate::refusal::Refusal;
use crate::section::SectionKind;
use crate::section_edit::NewServer;
use crate::server::{Server, State};
use crate::time::milliseconds;
use crate::view::{Section, Setting, View};

/// How long requests shall be able to wait, in milliseconds.
pub const HOLD_MS: u64 = 60_000;
/// Longest time between two tries, which is the longest a freed request still waits.
pub const PERIOD_MS: u64 = 500;
/// The name and address of the server that is never there. Port 1 can be bound by root only.
pub const HOLD_SERVER: &str = "hold";
/// See [`HOLD_SERVER`].
pub const HOLD_ADDRESS: &str = "127.0.0.1:1";

/// What a backend of the pair has of a waiting room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRoom {
    /// Name of the backend.
    pub backend: String,
    /// Line of its section, counted from 1.
    pub line: usize,
    /// The server that requests wait on.
    pub hold: Option<String>,
    /// How long a request can wait, in milliseconds; none where the file does not say.
    pub limit_ms: Option<u64>,
    /// What is missing; nothing means that requests wait.
    pub gaps: Vec<Gap>,
}

/// One thing that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The line to change, or the section's line where one is to be added.
    pub line: usize,
    /// What it is.
    pub kind: GapKind,
    /// The line or word that mends it, as it would stand in the file.
    pub fix: String,
}

/// What can be missing from a waiting room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapKind {
    /// There is no server to wait on.
    NoHold,
    /// The server to wait on is not a backup, so it takes requests from the real ones.
    HoldNotBackup,
    /// Its port is checked, so HAProxy takes it out of use.
    HoldChecked,
    /// It is out of use.
    HoldDisabled,
    /// Backups share the load (`option allbackups`), so requests wait while another backup works.
    AllBackups,
    /// A retry goes to the same server again, so a waiting request never leaves.
    NoRedispatch,
    /// Redispatch comes only after several tries.
    LateRedispatch,
    /// The wait is shorter than [`HOLD_MS`].
    ShortLimit,
    /// There is no `timeout connect`, or tries are further apart than [`PERIOD_MS`].
    SlowRetry,
    /// Requests in a queue wait for another time than the rest.
    NoQueueTimeout,
    /// A request whose client has gone is still sent when the wait ends: a phantom POST.
    KeepsAborted,
    /// A reload closes idle connections under their clients.
    ClosesIdle,
    /// A request that a server may have begun is sent again: a POST can run twice.
    UnsafeRetry,
}

impl fmt::Display for GapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GapKind::NoHold => "there is no server that requests can wait on",
            GapKind::HoldNotBackup => "the waiting server is not a backup and takes live requests",
            GapKind::HoldChecked => "the waiting server is checked, and its closed port is down",
            GapKind::HoldDisabled => "the waiting server is not in use",
            GapKind::AllBackups => "backups share the load, the waiting server with them",
            GapKind::NoRedispatch => "a waiting request cannot move to a server that comes up",
            GapKind::LateRedispatch => "a waiting request moves only after several tries",
            GapKind::ShortLimit => "requests give up too soon",
            GapKind::SlowRetry => "tries are too far apart",
            GapKind::NoQueueTimeout => "requests in a queue have no time limit of their own",
            GapKind::KeepsAborted => "a request whose client has gone runs all the same",
            GapKind::ClosesIdle => "a reload closes idle connections under their clients",
            GapKind::UnsafeRetry => "a request that was sent can be sent again",
        })
    }
}

/// What each backend of the pair has of a waiting room. Refused where the pair's servers cannot
/// be told, as [`pair::pointed_at`] does.
pub fn waiting_rooms(document: &Document, members: &Members) -> Result<Vec<WaitingRoom>, Refusal> {
    let pointed = pair::pointed_at(document, members)?;
    let view = document.view();
    let has_member = |section: &&Section<'_>| {
        pointed.iter().any(|pointed| (section.line..=section.last_line).contains(&pointed.line))
    };
    Ok(view.backends().filter(has_member).map(|section| inspect(&view, section)).collect())
}

/// Fills what can be filled: the result has the same servers and at most the gaps that stand in a
/// condition, or that need a `defaults` section where there is none.
///
/// Settings that a backend can have go into the backend, so that others keep theirs; the rest
/// goes into its `defaults`.
pub fn add_waiting_rooms(document: &Document, members: &Members) -> Result<Document, Refusal> {
    let mut filled = document.clone();
    for room in waiting_rooms(document, members)? {
        fill(&mut filled, &room, members)?;
    }
    Ok(filled)
}

fn fill(document: &mut Document, room: &WaitingRoom, members: &Members) -> Result<(), Refusal> {
    for gap in &room.gaps {
        // Lines move while gaps are filled, so the backend is found again each time.
        let rooms = waiting_rooms(document, members)?;
        let Some(now) = rooms.iter().find(|now| now.backend == room.backend) else { return Ok(()) };
        let hold = room.hold.as_deref().unwrap_or(HOLD_SERVER);
        let mut edit = |change| {
            document.edit_servers(&[ServerEdit::new(&*room.backend, hold, change)]).map(drop)
        };
        match gap.kind {
            GapKind::NoHold => {
                let keywords = vec!["backup".to_owned(), "no-check".to_owned()];
                let name = HOLD_SERVER.to_owned();
                let server = NewServer { name, address: HOLD_ADDRESS.to_owned(), keywords };
                document.add_server(&room.backend, &server)?;
                // A `default-server disabled` would count for the new line too.
                document.set_server_enabled(&room.backend, HOLD_SERVER)?;
            }
            GapKind::HoldNotBackup => edit(ServerChange::SetKeyword("backup".to_owned(), None))?,
            GapKind::HoldChecked => edit(ServerChange::SetKeyword("no-check".to_owned(), None))?,
            GapKind::HoldDisabled => edit(ServerChange::Enable)?,
            GapKind::KeepsAborted | GapKind::ClosesIdle => {
                // From the bottom up, so that the lines of those above stay where they are.
                let same = now.gaps.iter().filter(|now| now.kind == gap.kind);
                let mut lines: Vec<usize> = same.map(|now| now.line).collect();
                lines.sort_unstable();
                for line in lines.into_iter().rev() {
                    if is_defaults(document, line) {
                        document.set_statement(line, &gap.fix, "");
                    }
                }
            }
            GapKind::AllBackups => {
                document.set_statement(now.line, "option allbackups", "");
                negate_option(document, now.line, "option allbackups");
            }
            GapKind::UnsafeRetry
            | GapKind::NoRedispatch
            | GapKind::LateRedispatch
            | GapKind::ShortLimit
            | GapKind::SlowRetry
            | GapKind::NoQueueTimeout => {
                let (name, value) = gap.fix.rsplit_once(' ').expect("a fix has a value");
                document.set_statement(now.line, name, value);
            }
        }
    }
    Ok(())
}

/// Puts `no` before the option that was just set in the section.
fn negate_option(document: &mut Document, section_line: usize, name: &str) {
    let view = document.view();
    let section = view.sections().iter().find(|section| section.line == section_line);
    let found = section.and_then(|section| view.statements(section, name).pop());
    if let Some(Setting { line, negated: false, conditional: false, .. }) = found {
        let start = document.lines()[line - 1].words().list[0].start;
        document.splice(line, start..start, b"no ");
    }
}

fn is_defaults(document: &Document, line: usize) -> bool {
    let view = document.view();
    view.sections().iter().any(|found| found.line == line && found.kind == SectionKind::Defaults)
}

fn inspect<'a>(view: &View<'a>, section: &Section<'a>) -> WaitingRoom {
    let mut gaps = Vec::new();
    let hold = section.servers.iter().find(|server| is_hold(server));
    match hold {
        None => {
            let fix = format!("server {HOLD_SERVER} {HOLD_ADDRESS} backup no-check");
            gaps.push(Gap { line: section.line, kind: GapKind::NoHold, fix });
        }
        Some(hold) => inspect_hold(view, section, hold, &mut gaps),
    }
    let limit_ms = inspect_times(view, section, &mut gaps);
    inspect_options(view, section, &mut gaps);
    WaitingRoom {
        backend: section.name.to_string(),
        line: section.line,
        hold: hold.map(|hold| hold.name.to_string()),
        limit_ms,
        gaps,
    }
}

fn is_hold(server: &Server<'_>) -> bool {
    server.template.is_none()
        && (server.name == HOLD_SERVER || server.address().text == HOLD_ADDRESS)
}

fn inspect_hold(view: &View<'_>, section: &Section<'_>, hold: &Server<'_>, gaps: &mut Vec<Gap>) {
    let mut gap = |kind, fix: &str| gaps.push(Gap { line: hold.line, kind, fix: fix.to_owned() });
    let is = |keywords: &[&str], wanted: &str| {
        view.server_setting(section, hold, keywords).is_some_and(|found| found.keyword == wanted)
    };
    if !is(&["backup", "no-backup"], "backup") {
        gap(GapKind::HoldNotBackup, "backup");
    }
    if is(&["check", "no-check"], "check") {
        gap(GapKind::HoldChecked, "no-check");
    }
    if hold.state() != State::Enabled {
        gap(GapKind::HoldDisabled, "enabled");
    }
}

/// Looks at the retries and answers how long a request can wait.
fn inspect_times<'a>(view: &View<'a>, section: &Section<'a>, gaps: &mut Vec<Gap>) -> Option<u64> {
    let value = |name: &str| {
        let setting = view.setting(section, name).filter(|setting| !setting.negated)?;
        let text = setting.values.first().filter(|word| !word.variable)?.to_text();
        Some((setting.line, text))
    };
    let mut gap = |line: Option<usize>, kind, fix: String| {
        gaps.push(Gap { line: line.unwrap_or(section.line), kind, fix });
    };
    let connect =
        value("timeout connect").and_then(|(line, text)| Some((line, milliseconds(&text)?)));
    let connect_line = connect.map(|(line, _)| line);
    let connect_ms = connect.map(|(_, ms)| ms).filter(|ms| *ms > 0);
    if connect_ms.is_none_or(|ms| ms > PERIOD_MS) {
        gap(connect_line, GapKind::SlowRetry, format!("timeout connect {PERIOD_MS}ms"));
    }
    let period_ms = connect_ms.unwrap_or(1_000).min(1_000);
    let retries = value("retries").and_then(|(line, text)| Some((line, text.parse::<u64>().ok()?)));
    let tries = retries.map_or(3, |(_, tries)| tries);
    let limit_ms = tries.saturating_mul(period_ms);
    if limit_ms < HOLD_MS || period_ms > PERIOD_MS {
        let tries = HOLD_MS.div_ceil(period_ms.min(PERIOD_MS));
        let is_enough = retries.is_some_and(|(_, now)| now == tries);
        if !is_enough {
            let line = retries.map(|(line, _)| line);
            gap(line, GapKind::ShortLimit, format!("retries {tries}"));
        }
    }
    if value("timeout queue").is_none() {
        gap(None, GapKind::NoQueueTimeout, format!("timeout queue {}s", HOLD_MS / 1_000));
    }
    retries.map(|_| limit_ms)
}

fn inspect_options<'a>(view: &View<'a>, section: &Section<'a>, gaps: &mut Vec<Gap>) {
    let mut gap = |line: usize, kind, fix: &str| {
        gaps.push(Gap { line, kind, fix: fix.to_owned() });
    };
    match view.setting_on(section, "option redispatch") {
        None => gap(section.line, GapKind::NoRedispatch, "option redispatch 1"),
        Some(found) if !found.values.first().is_some_and(|word| word.is("1")) => {
            gap(found.line, GapKind::LateRedispatch, "option redispatch 1");
        }
        Some(_) => {}
    }
    if let Some(found) = view.setting_on(section, "option allbackups") {
        gap(found.line, GapKind::AllBackups, "no option allbackups");
    }
    if let Some(found) = view.setting_on(section, "retry-on")
        && let Some(line) = found.values.iter().any(repeats_requests).then_some(found.line)
    {
        gap(line, GapKind::UnsafeRetry, "retry-on conn-failure");
    }
    let fronts = view.proxies().filter(|proxy| leads_to(view, proxy, section));
    let path: Vec<&Section<'a>> = fronts.chain([section]).collect();
    // Where a section on the path is without the option, its `defaults` must get it: frontends
    // cannot have `abortonclose`, and in the backend alone it does not see a client leave.
    let mut everywhere = |kind, name: &str| {
        let without = path.iter().filter(|place| view.setting_on(place, name).is_none());
        let lines: BTreeSet<usize> =
            without.map(|place| view.defaults_of(place).unwrap_or(place).line).collect();
        lines.into_iter().for_each(|line| gap(line, kind, name));
    };
    everywhere(GapKind::KeepsAborted, "option abortonclose");
    if path.iter().any(|place| mode_is_http(view, place)) {
        everywhere(GapKind::ClosesIdle, "option idle-close-on-response");
    }
}

/// Whether a `retry-on` word sends a request again that a server may have begun to run.
pub(crate) fn repeats_requests(word: &crate::word::Word<'_>) -> bool {
    !["none", "conn-failure", "0rtt-rejected"].iter().any(|safe| word.is(safe))
}

/// Whether a section is in HTTP mode; without a word on it HAProxy takes TCP.
pub(crate) fn mode_is_http<'a>(view: &View<'a>, section: &Section<'a>) -> bool {
    let mode = view.setting(section, "mode");
    mode.is_some_and(|mode| mode.values.first().is_some_and(|word| word.is("http")))
}

/// Whether a frontend names the backend in a way that can be read from the file.
pub(crate) fn leads_to<'a>(view: &View<'a>, proxy: &Section<'a>, backend: &Section<'_>) -> bool {
    let names = |name: &str| {
        let lines = view.statements(proxy, name);
        lines.iter().any(|line| line.values.first().is_some_and(|word| word.is(&backend.name)))
    };
    proxy.line != backend.line && (names("default_backend") || names("use_backend"))
}
