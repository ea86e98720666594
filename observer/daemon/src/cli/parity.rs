//! `parity`: who has what, and since when. `parity fix`: shows what a copy would change, asks, and
//! has it made. No value of a secret comes here: the daemon sends letters.

use std::fmt::Write;

use observer_core::parity::{Cell, Mending, Standing};
use observer_core::words::HostName;

use super::act::confirm;
use super::args::{FixArgs, ParityAction, ParityArgs};
use super::output::{Look, Tone, one_line, print, say, wrap};
use super::{Desk, Exit, Failure, print_json};
use crate::api::types::FixRequest;
use crate::report::date_time;
use crate::report::parity::{CopyReport, ItemStatus, ParityReport};

/// How much of a value the table shows.
const CELL: usize = 24;

pub(super) async fn carry_out(desk: &Desk, args: ParityArgs) -> Result<Exit, Failure> {
    match args.action {
        Some(ParityAction::Fix(args)) => fix(desk, args).await,
        None => show(desk).await,
    }
}

async fn show(desk: &Desk) -> Result<Exit, Failure> {
    let report: ParityReport = desk.client.get(&desk.path("parity").await?).await?;
    if desk.is_json() {
        print_json(&report);
    } else {
        print(&text(&report, Look::of_stdout()));
    }
    let alike = report.items.iter().all(|item| item.compared.standing == Standing::Same);
    Ok(if alike { Exit::Ok } else { Exit::NotAlike })
}

/// The report as a person reads it.
pub(super) fn text(report: &ParityReport, look: Look) -> String {
    if report.items.is_empty() {
        return "no item of parity is configured; see [[parity]] in `ha-observer config --default \
                pair`\n"
            .to_owned();
    }
    let hosts: Vec<&HostName> =
        report.items.first().into_iter().flat_map(|item| item.compared.hosts.keys()).collect();
    let titles: Vec<String> = hosts
        .iter()
        .map(|host| match report.master.as_ref() == Some(*host) {
            true => format!("{host} (master)"),
            false => host.to_string(),
        })
        .collect();
    let mut heading = vec!["ITEM", "SEVERITY", "STATE", "SINCE"];
    heading.extend(titles.iter().map(String::as_str));
    let row = |item: &ItemStatus| {
        let compared = &item.compared;
        let mut row = vec![
            one_line(&compared.item.name),
            compared.item.severity.name().to_owned(),
            compared.standing.name().to_owned(),
            date_time(item.since),
        ];
        row.extend(
            hosts.iter().map(|host| compared.hosts.get(*host).map_or_else(String::new, cell)),
        );
        row
    };
    let rows: Vec<Vec<String>> = report.items.iter().map(row).collect();
    let mut text = look.table(&heading, &rows);
    for item in &report.items {
        let Some(sentence) = item.compared.sentence() else { continue };
        let tone = if item.compared.standing.is_broken() { Tone::Bad } else { Tone::Warn };
        let sentence = look.paint(tone, &one_line(&sentence));
        let own = &item.compared.item;
        let _ = writeln!(text, "\n{}", wrap(&sentence, 4, look));
        let _ = writeln!(text, "    {}", one_line(&own.what));
        if item.compared.standing.is_broken() {
            let _ = writeln!(text, "    fix: {}", advice(item, report.master.as_ref()));
        }
    }
    text
}

fn advice(item: &ItemStatus, master: Option<&HostName>) -> String {
    let own = &item.compared.item;
    if own.mending == Mending::ByHand {
        return "make it alike by hand".to_owned();
    }
    let odd = &item.compared.odd;
    if odd.len() == item.compared.hosts.len() {
        let base = own.same_as.as_deref().unwrap_or("the others");
        return format!("no host has it right: write the value of '{}' by hand", one_line(base));
    }
    // Where the odd one is the master, somebody has to say whose value is right.
    let from = match master {
        Some(master) if odd.contains(master) => {
            let other = item.compared.hosts.keys().find(|host| !odd.contains(host));
            other.map_or_else(String::new, |host| format!(" --from {host}"))
        }
        _ => String::new(),
    };
    format!("ha-observer parity fix '{}'{from}", one_line(&own.name))
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Value { shown: Some(shown), .. } => {
            let mut short: String = one_line(shown).chars().take(CELL).collect();
            if shown.chars().count() > CELL {
                short.push('…');
            }
            short
        }
        Cell::Value { letter, shown: None } => format!("value {letter}"),
        Cell::Missing(_) => "missing".to_owned(),
        Cell::Unread(_) => "not read".to_owned(),
    }
}

async fn fix(desk: &Desk, args: FixArgs) -> Result<Exit, Failure> {
    let FixArgs { item, from, dry_run, yes } = args;
    let path = desk.path("parity/fix").await?;
    let mut request = FixRequest { item, from: from.map(|from| HostName::new(&from)), seal: None };
    let preview: CopyReport = desk.client.post(&path, &request).await?;
    if dry_run || preview.changes.is_empty() {
        if desk.is_json() {
            print_json(&preview);
        } else {
            print(&shown(&preview));
        }
        return Ok(Exit::Ok);
    }
    say(shown(&preview).trim_end());
    if !yes {
        let pair = desk.pair().await?;
        match preview.master.as_ref().filter(|_| preview.onto_master) {
            Some(master) => confirm(
                master.as_str(),
                &format!("Type the MASTER's name ({master}) to overwrite what it has"),
            )?,
            None => confirm(&pair, &format!("Type the pair's name ({pair}) to order this"))?,
        }
    }
    request.seal = Some(preview.seal);
    let report: CopyReport = desk.client.post(&path, &request).await?;
    if desk.is_json() {
        print_json(&report);
        return Ok(Exit::Ok);
    }
    for copied in &report.copied {
        print(&format!(
            "{}: copied from {} and read back; before: {}\n",
            copied.host,
            report.from,
            one_line(&copied.kept)
        ));
    }
    Ok(Exit::Ok)
}

/// What a copy would change.
pub(super) fn shown(report: &CopyReport) -> String {
    if report.changes.is_empty() {
        return format!("{} is alike already: nothing to copy\n", one_line(&report.item));
    }
    let mut text = String::new();
    if report.onto_master {
        let from = &report.from;
        let _ = writeln!(text, "ATTENTION: from the slave {from} onto the MASTER");
    }
    for change in &report.changes {
        let _ = writeln!(
            text,
            "{} from {} to {}: {}",
            one_line(&report.item),
            report.from,
            change.host,
            one_line(&change.path)
        );
        for line in &change.diff {
            let _ = writeln!(text, "  {}", one_line(line));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use observer_core::parity::{Found, Item, ItemReading, Print, Secrecy, compare};
    use observer_core::validate::{Severity, Unread};
    use observer_core::words::At;

    use super::*;
    use crate::report::parity::ChangeShown;

    fn reading(name: &str, secrecy: Secrecy, same_as: Option<&str>, has: [&str; 2]) -> ItemReading {
        let item = Item {
            name: name.to_owned(),
            what: format!("key {name} of /opt/desk/{name}.yml"),
            severity: Severity::Severe,
            secrecy,
            same_as: same_as.map(str::to_owned),
            mending: Mending::Copy,
        };
        let found = |value: &str| match value {
            "?" => Err(Unread("no answer in time \x1b[2J".to_owned())),
            "-" => Ok(Found::Missing(format!("no {name}.yml"))),
            value => Ok(Found::Value {
                print: Print(value.to_owned()),
                shown: (secrecy == Secrecy::Plain).then(|| value.to_owned()),
            }),
        };
        let [a, b] = has.map(found);
        ItemReading { item, hosts: BTreeMap::from([("node-a".into(), a), ("node-b".into(), b)]) }
    }

    fn report(readings: &[ItemReading]) -> ParityReport {
        let master: HostName = "node-a".into();
        let items = compare(readings, Some(&master)).into_iter();
        let items = items.map(|compared| ItemStatus { compared, since: At(1), unread_since: None });
        ParityReport {
            pair: "desk".into(),
            at: At(1),
            items: items.collect(),
            master: Some(master),
        }
    }

    /// The table names who has what; below it stands what is amiss, and how it is mended. No
    /// letter of a secret is in it.
    #[test]
    fn the_table_says_who_has_what_and_how_it_is_mended() {
        let (secret, plain) = (Secrecy::Secret, Secrecy::Plain);
        let text = text(
            &report(&[
                reading("main", secret, None, ["hunter2", "hunter2"]),
                reading("mail", secret, Some("main"), ["hunter3", "hunter2"]),
                reading("jobs", secret, Some("main"), ["hunter4", "hunter4"]),
                reading("release", plain, None, ["8.6.0", "8.5.9"]),
                reading("level", plain, None, ["1", "-"]),
                reading("licence", secret, None, ["hunter5", "?"]),
            ]),
            Look::Plain,
        );
        assert!(!text.contains("hunter"), "{text}");
        // The time zone is the reader's.
        let text: Vec<String> = text
            .lines()
            .map(|line| {
                let cells = line.split('\t').enumerate().filter(|(column, _)| *column != 3);
                cells.map(|(_, cell)| cell).collect::<Vec<_>>().join("\t")
            })
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn a_copy_onto_the_master_is_called_that() {
        let change = ChangeShown {
            host: "node-a".into(),
            path: "/etc/desk".to_owned(),
            diff: vec!["value differs".to_owned()],
        };
        let mut report = CopyReport {
            item: "mail".to_owned(),
            secret: true,
            from: "node-b".into(),
            master: Some("node-a".into()),
            onto_master: true,
            changes: vec![change],
            seal: "s".to_owned(),
            copied: Vec::new(),
        };
        insta::assert_snapshot!(shown(&report));
        report.changes.clear();
        assert_eq!(shown(&report), "mail is alike already: nothing to copy\n");
    }
}
