//! `fence test`: whether the power fence could be used now, for each host.
//!
//! The daemon asks, as its own user and within its own sandbox, as it would in a failover. Nothing
//! is switched: a person who wants to see a machine go off runs the shown command with `off`.

use std::fmt::Write;

use super::args::{FenceAction, FenceArgs};
use super::output::{Look, Tone, one_line, print};
use super::{Desk, Exit, Failure, print_json};
use crate::api::types::FenceReport;

pub(super) async fn carry_out(desk: &Desk, args: FenceArgs) -> Result<Exit, Failure> {
    let FenceAction::Test { host } = args.action;
    let mut report: FenceReport = desk.client.get(&desk.path("fence").await?).await?;
    if report.hosts.is_empty() {
        return Err(Failure::Refused(
            "no power fence is configured\n  fix: write [fence] in the pair's file, as \
             `ha-observer config --default pair` shows it"
                .to_owned(),
        ));
    }
    if let Some(wanted) = host {
        let known: Vec<String> = report.hosts.iter().map(|one| one.host.to_string()).collect();
        report.hosts.retain(|one| one.host.as_str() == wanted);
        if report.hosts.is_empty() {
            let known = known.join(", ");
            return Err(Failure::Usage(format!(
                "no host of the pair is called \"{wanted}\"\n  fix: use one of: {known}"
            )));
        }
    }
    if desk.is_json() {
        print_json(&report);
    } else {
        print(&text(&report, Look::of_stdout()));
    }
    let works = report.hosts.iter().all(|host| host.power.is_some());
    Ok(if works { Exit::Ok } else { Exit::FenceFails })
}

/// The report as a person reads it.
pub(super) fn text(report: &FenceReport, look: Look) -> String {
    let mut text = String::new();
    for host in &report.hosts {
        let took = observer_core::words::human_ms(host.took_ms);
        let (word, tone) = match host.power {
            Some(power) => (format!("works: the host is {}", power.name()), Tone::Good),
            None => ("FAILS".to_owned(), Tone::Bad),
        };
        let _ = writeln!(text, "{}  {} ({took})", host.host, look.paint(tone, &word));
        if let Some(why) = &host.why_not {
            let _ = writeln!(text, "    {}", one_line(why));
            let _ = writeln!(text, "    asked with: {}", one_line(&host.command));
        }
    }
    text
}
