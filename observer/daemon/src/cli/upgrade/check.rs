//! What stands against a plan before anything is done: commands that cannot be run, names that the
//! pair does not have, and what people, or another upgrade, are at.
//!
//! Nothing is run: what a script does shows only when its turn comes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use observer_core::words::HostName;

use super::super::output::one_line;
use super::file::Plan;
use crate::report::view::PairStatus;

/// Programs whose first argument is the script that they run.
const INTERPRETERS: &[&str] = &["sh", "bash", "dash", "python3", "perl"];

/// Everything that stands against `plan`, each with its place and fix.
pub(super) fn findings(plan: &Plan, status: &PairStatus) -> Vec<String> {
    let mut found = commands(plan);
    found.extend(names(plan, status));
    found.extend(standing(plan, status));
    found
}

/// One finding in the file.
fn in_file(plan: &Plan, line: Option<usize>, key: &str, problem: &str, fix: &str) -> String {
    let line = line.map_or_else(String::new, |line| format!(":{line}"));
    format!("{}{line}: {key}: {problem}\n    fix: {fix}", plan.path.display())
}

/// The first line that begins with `start`, counted from 1.
fn line_of(plan: &Plan, start: &str) -> Option<usize> {
    let found = plan.text.lines().position(|line| line.trim_start().starts_with(start));
    found.map(|index| index + 1)
}

fn commands(plan: &Plan) -> Vec<String> {
    let request = &plan.request;
    let named = [("command", &request.command), ("ready", &request.ready), ("back", &request.back)];
    let mut found = Vec::new();
    for (key, words) in named {
        let Some((program, arguments)) = words.split_first() else { continue };
        let why = runnable(program).err().or_else(|| {
            // Of a script that is handed to a shell nobody asks to be executable.
            let name = Path::new(program).file_name()?.to_str()?;
            let script = arguments.first().filter(|word| word.starts_with('/'))?;
            let known = INTERPRETERS.contains(&name) && !Path::new(script).is_file();
            known.then(|| format!("{} does not exist here", one_line(script)))
        });
        if let Some(why) = why {
            let fix = "name a program that is on this machine: the commands run here, as you";
            found.push(in_file(plan, line_of(plan, key), key, &why, fix));
        }
    }
    found
}

/// Whether `program` is a file that can be executed, found as the shell finds it.
fn runnable(program: &str) -> Result<(), String> {
    let shown = one_line(program);
    if program.contains('/') {
        let about =
            std::fs::metadata(program).map_err(|_| format!("{shown} does not exist here"))?;
        return match about.is_file() && about.permissions().mode() & 0o111 != 0 {
            true => Ok(()),
            false => Err(format!("{shown} is no file that can be executed (`chmod +x`)")),
        };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&folders).map(|folder| folder.join(program));
    let found = candidates.any(|file: PathBuf| file.is_file());
    if found { Ok(()) } else { Err(format!("{shown} is in no folder of PATH")) }
}

fn names(plan: &Plan, status: &PairStatus) -> Vec<String> {
    let known: Vec<&str> = status.hosts.iter().map(|host| host.name.as_str()).collect();
    let fix = format!("the pair's hosts are {}", known.join(" and "));
    let strange = |host: &&HostName| !known.contains(&host.as_str());
    let mut found = Vec::new();
    let request = &plan.request;
    for host in request.hosts.iter().filter(strange) {
        let problem = format!("the pair has no host {}", one_line(host.as_str()));
        found.push(in_file(plan, line_of(plan, "hosts"), "hosts", &problem, &fix));
    }
    for (index, host) in request.hosts.iter().enumerate() {
        if request.hosts[..index].contains(host) {
            let problem = format!("{} stands there twice", one_line(host.as_str()));
            let fix = "name each host once";
            found.push(in_file(plan, line_of(plan, "hosts"), "hosts", &problem, fix));
        }
    }
    for host in request.host_environment.keys().filter(strange) {
        let key = format!("[host.{}", one_line(host.as_str()));
        let problem = "the pair has no host of that name, so that nobody would get this";
        found.push(in_file(plan, line_of(plan, &key), &format!("{key}]"), problem, &fix));
    }
    found
}

/// What stands in the pair, whatever the file says.
fn standing(plan: &Plan, status: &PairStatus) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |what: String, fix: &str| {
        found.push(format!("pair {}: {what}\n    fix: {fix}", status.pair));
    };
    if let Some(open) = &status.upgrade {
        let (name, by) = (one_line(&open.upgrade.name), &open.upgrade.by);
        add(
            format!("upgrade {name} by {by} is open"),
            "`ha-observer upgrade resume` goes on with it, `ha-observer upgrade back` gives it up",
        );
        return found;
    }
    if let Some(pause) = &status.pause {
        add(
            format!("it is paused by {}: {}", pause.by, one_line(&pause.reason)),
            "`ha-observer resume`, once the work is done",
        );
    }
    if let Some(open) = &status.plan {
        add(
            format!("plan {} ({}) is open", open.plan, open.goal),
            "wait until it is over; `ha-observer status` shows the step it is at",
        );
    }
    let all = plan.request.hosts.is_empty();
    for host in &status.hosts {
        let meant = all || plan.request.hosts.contains(&host.name);
        if let Some(kept) = host.maintenance.as_ref().filter(|_| meant) {
            add(
                one_line(&kept.sentence(&host.name)),
                &format!(
                    "ask {}; once the work is done, `ha-observer maintenance {} --end`",
                    kept.by, host.name
                ),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use observer_core::journal::{Keeper, MaintenanceOrder, Record};
    use observer_core::pair::Pair;
    use observer_core::words::At;

    use super::super::file::parse;
    use super::*;
    use crate::report::view::PairView;
    use crate::shell::scripted::spec;

    fn plan(text: &str) -> Plan {
        let request = parse(text).unwrap();
        Plan { path: "plan.toml".into(), text: text.to_owned(), request }
    }

    fn found(text: &str, records: &[Record]) -> Vec<String> {
        let status = PairView::of(&Pair::new(spec(), records, At(1)), At(1)).status;
        findings(&plan(text), &status)
    }

    #[test]
    fn a_plan_that_could_be_carried_out_has_no_finding() {
        let text = "name = \"x\"\ncommand = [\"sh\", \"-c\", \"true\"]\nready = [\"true\"]\n\
                    [host.node-a.environment]\nA = \"1\"\n";
        assert_eq!(found(text, &[]), Vec::<String>::new());
    }

    #[test]
    fn a_command_that_is_not_there_is_told_with_its_line() {
        let text = "name = \"x\"\ncommand = [\"/no/such\"]\nready = [\"no-such-program\"]\n\
                    back = [\"sh\", \"/no/script\"]\n";
        let found = found(text, &[]);
        assert!(found[0].starts_with("plan.toml:2: command: /no/such does not exist here"));
        assert!(found[1].starts_with("plan.toml:3: ready: no-such-program is in no folder of"));
        assert!(found[2].starts_with("plan.toml:4: back: /no/script does not exist here"));
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn a_file_that_nobody_may_execute_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("name = \"x\"\ncommand = [\"{}\"]\n", file.path().display());
        assert!(found(&text, &[])[0].contains("chmod +x"));
    }

    #[test]
    fn names_that_the_pair_does_not_have_are_told() {
        let text = "name = \"x\"\ncommand = [\"true\"]\nhosts = [\"node-a\", \"node-x\"]\n\
                    [host.node-y.environment]\nA = \"1\"\n";
        let found = found(text, &[]);
        assert!(found[0].starts_with("plan.toml:3: hosts: the pair has no host node-x\n"));
        assert!(found[1].starts_with("plan.toml:4: [host.node-y]: the pair has no host"));
        assert!(found[1].ends_with("fix: the pair's hosts are node-a and node-b"), "{found:?}");
    }

    #[test]
    fn a_maintenance_that_stands_is_told_with_whose_it_is() {
        let order = MaintenanceOrder {
            by: "jo".to_owned(),
            reason: "memory".to_owned(),
            since: At(1),
            until: None,
            keeper: Keeper::Person,
        };
        let record = Record::MaintenanceBegan { at: At(1), host: "node-b".into(), order };
        let found = found("name = \"x\"\ncommand = [\"true\"]\n", &[record]);
        assert!(found[0].contains("node-b is in maintenance for jo since 1970"), "{found:?}");
        assert!(found[0].contains("fix: ask jo; once the work is done, `ha-observer maint"));
    }
}
