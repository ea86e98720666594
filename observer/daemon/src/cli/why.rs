//! `why`: the paragraph, the evidence, and the nearest worlds with another answer.

use observer_core::judge::Verdict;

use super::output::{Look, Tone, one_line, print, wrap};
use super::{Desk, Exit, Failure, print_json};
use crate::report::why::{NearWorld, RulingReport, WhyReport, word};

pub(super) async fn show(desk: &Desk) -> Result<Exit, Failure> {
    let report: WhyReport = desk.client.get(&desk.path("why").await?).await?;
    if desk.is_json() {
        print_json(&report);
    } else {
        print(&text(&report, Look::of_stdout()));
    }
    Ok(Exit::Ok)
}

/// The report as a person reads it.
pub(super) fn text(report: &WhyReport, look: Look) -> String {
    let mut text = format!("{}\n", wrap(&one_line(&report.paragraph), 0, look));
    if let Some(ruling) = &report.ruling {
        text.push_str(&ruling_lines(ruling, look));
    }
    let head = look.paint(Tone::Strong, "what you can do");
    let advice = wrap(&format!("  {}", report.advice), 0, look);
    text.push_str(&format!("\n{head}\n{advice}\n"));
    text
}

fn ruling_lines(ruling: &RulingReport, look: Look) -> String {
    let mut text = String::new();
    let mut section = |head: &str, lines: Vec<String>| {
        text.push_str(&format!("\n{}\n", look.paint(Tone::Strong, head)));
        for line in lines {
            text.push_str(&format!("{}\n", wrap(&format!("  {line}"), 2, look)));
        }
    };
    let evidence: Vec<String> = ruling.evidence.iter().map(|line| one_line(line)).collect();
    let nothing = vec!["nothing stands out".to_owned()];
    section("what was seen", if evidence.is_empty() { nothing } else { evidence });
    let facts = &ruling.facts;
    let facts = [
        ("sight", word(&facts.sight)),
        ("roles", word(&facts.roles)),
        ("master", word(&facts.master)),
        ("slave", word(&facts.slave)),
        ("loss", word(&facts.loss)),
        ("proxies", word(&facts.proxies)),
        ("fence", word(&facts.fence)),
        ("upkeep", word(&facts.upkeep)),
    ];
    let facts = facts.map(|(name, value)| format!("{name} {value}"));
    section("the facts it is judged from", vec![facts.join(" · ")]);
    let acts = ruling.verdict != Verdict::Steady && ruling.barred.is_none();
    let head = match ruling.verdict.act() {
        observer_core::facts::Act::Nothing => "it would act if",
        _ if acts => "it would act otherwise if",
        _ => "the verdict would be another if",
    };
    section(head, ruling.nearest.iter().map(near).collect());
    text
}

fn near(world: &NearWorld) -> String {
    let change = |change: &crate::report::why::Change| {
        format!("{} were {} (is {})", change.fact, change.to, change.from)
    };
    let changes: Vec<String> = world.changes.iter().map(change).collect();
    let barred = match world.barred {
        Some(cause) => format!(", and {} would keep it from acting", cause.name()),
        None => String::new(),
    };
    format!("{}: {} [{}]{barred}", changes.join(" and "), world.verdict.text(), world.rule)
}
