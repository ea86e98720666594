//! The verbs about the proxies that the daemon watches.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::act::confirm_pair;
use super::super::client::escaped;
use super::super::output::{Look, Tone, one_line, print, say, wrap};
use super::super::proxy_args::Order;
use super::super::{Desk, Exit, Failure, print_json};
use super::file::{exit_of, show_lint};
use super::show;
use crate::api::files::ChangeRequest;
use crate::report::date_time;
use crate::report::proxy::LintReport;
use crate::report::versions::{
    Change, ChangeReport, ChangeState, ChangedFile, DiffReport, ProxyHistory,
};

/// How long a change of several proxies may take.
const CHANGE: Duration = Duration::from_secs(300);

pub(super) async fn lint(desk: &Desk, proxy: Option<String>) -> Result<Exit, Failure> {
    let path = path(desk, "lint", proxy.as_deref(), None).await?;
    let reports: Vec<LintReport> = desk.client.get(&path).await?;
    show_lint(&reports, desk.common.output);
    Ok(exit_of(&reports))
}

pub(super) async fn fix(desk: &Desk, proxy: Option<String>, order: Order) -> Result<Exit, Failure> {
    change(desk, Change::Fix, proxy, true, order).await
}

pub(super) async fn import(
    desk: &Desk,
    proxy: Option<String>,
    steps: Option<usize>,
    apply: bool,
    order: Order,
) -> Result<Exit, Failure> {
    change(desk, Change::Import { steps }, proxy, apply, order).await
}

pub(super) async fn roll_back(
    desk: &Desk,
    proxy: Option<String>,
    n: u64,
    order: Order,
) -> Result<Exit, Failure> {
    change(desk, Change::RollBack { version: n }, proxy, true, order).await
}

pub(super) async fn history(desk: &Desk, proxy: Option<String>) -> Result<Exit, Failure> {
    let path = path(desk, "history", proxy.as_deref(), None).await?;
    let all: Vec<ProxyHistory> = desk.client.get(&path).await?;
    if desk.is_json() {
        print_json(&all);
        return Ok(Exit::Ok);
    }
    let look = Look::of_stdout();
    for one in &all {
        let head = look.paint(Tone::Strong, &one_line(&one.proxy));
        print(&format!("{}\n", wrap(&format!("{head}: {}", one_line(&one.now)), 2, look)));
        let rows: Vec<Vec<String>> = one
            .versions
            .iter()
            .map(|version| {
                let note = match version.note.as_str() {
                    "" => String::new(),
                    note => format!(" ({})", one_line(note)),
                };
                let by = match version.by.as_str() {
                    "" => String::new(),
                    by => format!(", by {}", one_line(by)),
                };
                vec![
                    version.number.to_string(),
                    date_time(version.at),
                    version.epoch.to_string(),
                    version.state.clone(),
                    format!("{}{by}{note}", one_line(&version.reason)),
                ]
            })
            .collect();
        print(&look.table(&["N", "SINCE", "EPOCH", "STATE", "WHY"], &rows));
    }
    Ok(Exit::Ok)
}

pub(super) async fn diff(
    desk: &Desk,
    proxy: Option<String>,
    n: Option<u64>,
) -> Result<Exit, Failure> {
    let path = path(desk, "diff", proxy.as_deref(), n).await?;
    let report: DiffReport = desk.client.get(&path).await?;
    if desk.is_json() {
        print_json(&report);
        return Ok(Exit::Ok);
    }
    let look = Look::of_stdout();
    say(&format!("{}: {}", one_line(&report.proxy), report.title));
    print(&match report.diff.as_str() {
        "" => "no difference\n".to_owned(),
        diff => show::diff(diff, look),
    });
    Ok(Exit::Ok)
}

/// Shows a change; makes it, where that is ordered and confirmed.
async fn change(
    desk: &Desk,
    change: Change,
    proxy: Option<String>,
    apply: bool,
    order: Order,
) -> Result<Exit, Failure> {
    let path = desk.path("proxies/change").await?;
    let always = matches!(change, Change::RollBack { .. });
    let reason = order.reason.clone();
    let (shown, draft) = (BTreeMap::new(), false);
    let mut request = ChangeRequest { change, proxy, apply: draft, shown, reason };
    let drawn: ChangeReport = desk.client.post_within(&path, &request, CHANGE).await?;
    let changes = drawn.files.iter().any(|file| !file.proposed.steps.is_empty());
    let shows_only = !apply || !(changes || always);
    if desk.is_json() && shows_only {
        print_json(&drawn);
        return Ok(Exit::Ok);
    }
    if !desk.is_json() {
        for file in &drawn.files {
            print(&show::proposed(&file.proposed, Look::of_stdout()));
        }
    }
    if shows_only {
        return Ok(Exit::Ok);
    }
    if !order.yes {
        confirm_pair(&desk.pair().await?)?;
    }
    let becomes =
        |file: &ChangedFile| Some((file.proposed.proxy.clone()?, file.proposed.becomes.clone()));
    request.shown = drawn.files.iter().filter_map(becomes).collect();
    request.apply = true;
    let report: ChangeReport = desk.client.post_within(&path, &request, CHANGE).await?;
    if desk.is_json() {
        print_json(&report);
    } else {
        print(&outcome(&report, Look::of_stdout()));
    }
    Ok(match report.state {
        ChangeState::Shown | ChangeState::Applied => Exit::Ok,
        ChangeState::NotApplied => Exit::Undone,
        ChangeState::Partly => Exit::PartlyChanged,
    })
}

/// What became of each proxy, and how to repair what was left.
fn outcome(report: &ChangeReport, look: Look) -> String {
    let mut text = String::new();
    for file in &report.files {
        let proxy = file.proposed.proxy.as_deref().unwrap_or_default();
        let (tone, state) = match file.state.as_deref() {
            Some("loaded") => (Tone::Good, "changed and loaded"),
            Some("refused") => (Tone::Warn, "not changed"),
            Some("rolled-back") => (Tone::Bad, "taken back"),
            Some(_) => (Tone::Bad, "NOT SETTLED"),
            None if file.proposed.steps.is_empty() => (Tone::Faint, "nothing to change"),
            None => (Tone::Faint, "not begun"),
        };
        let version = file.version.map_or_else(String::new, |n| format!(" (version {n})"));
        let note = match file.note.as_str() {
            "" => String::new(),
            note => format!(": {}", one_line(note)),
        };
        let line = format!("{}: {}{version}{note}", one_line(proxy), look.paint(tone, state));
        text.push_str(&wrap(&line, 2, look));
        text.push('\n');
    }
    if let Some(repair) = &report.repair {
        let line = format!("not every proxy was changed\n  fix: {repair}");
        text.push_str(&line);
        text.push('\n');
    }
    text
}

async fn path(
    desk: &Desk,
    what: &str,
    proxy: Option<&str>,
    version: Option<u64>,
) -> Result<String, Failure> {
    let mut query: Vec<String> = Vec::new();
    query.extend(proxy.map(|proxy| format!("proxy={}", escaped(proxy))));
    query.extend(version.map(|version| format!("version={version}")));
    let path = desk.path(&format!("proxies/{what}")).await?;
    Ok(if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) })
}
