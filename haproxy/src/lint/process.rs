//! Rules about the process and its sockets (R).

use super::Linter;
use crate::section::SectionKind;
use crate::view::{Section, Setting};

pub(super) fn check(linter: &mut Linter<'_, '_>) {
    let view = linter.view;
    let globals: Vec<&Section<'_>> =
        view.sections().iter().filter(|section| section.kind == SectionKind::Global).collect();
    let all = |name: &str| -> Vec<Setting<'_>> {
        globals.iter().flat_map(|global| view.statements(global, name)).collect()
    };
    let first = globals.first().map(|global| global.line);
    sockets(linter, &all("stats socket"), first);
    if all("hard-stop-after").is_empty() {
        linter.report("R04", first, "global", "hard-stop-after 10m");
    }
    for line in all("nbproc") {
        if !line.values.first().is_some_and(|word| word.is("1")) {
            linter.report("R05", line.line, "nbproc", "remove it and use threads");
        }
    }
    for line in all("server-state-file") {
        linter.report("R03", line.line, "server-state-file", "remove the line");
    }
    for section in view.sections() {
        for line in view.statements(section, "load-server-state-from-file") {
            if !line.values.first().is_some_and(|word| word.is("none")) {
                linter.report("R03", line.line, "load-server-state-from-file", "remove the line");
            }
        }
    }
    tls(linter, &all("ssl-default-bind-options"));
}

fn sockets(linter: &mut Linter<'_, '_>, sockets: &[Setting<'_>], global: Option<usize>) {
    let has = |line: &Setting<'_>, pair: [&str; 2]| {
        line.values.windows(2).any(|words| words[0].is(pair[0]) && words[1].is(pair[1]))
    };
    let socket = "stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners";
    let admin: Vec<&Setting<'_>> =
        sockets.iter().filter(|line| has(line, ["level", "admin"])).collect();
    if admin.is_empty() {
        let line = sockets.first().map(|line| line.line).or(global);
        linter.report("R01", line, "global", socket);
        return;
    }
    if !sockets.iter().any(|line| has(line, ["expose-fd", "listeners"])) {
        linter.report("R02", admin[0].line, "stats socket", "expose-fd listeners");
    }
    for line in admin {
        let on_disk = line.values.first().is_some_and(|word| word.text.starts_with(b"/"));
        if on_disk && !line.values.iter().any(|word| word.is("mode")) {
            linter.report("R06", line.line, "stats socket", "mode 660");
        }
    }
}

fn tls(linter: &mut Linter<'_, '_>, options: &[Setting<'_>]) {
    let sets_minimum = |words: &[crate::word::Word<'_>]| {
        words.iter().any(|word| {
            let text = word.to_text();
            text == "ssl-min-ver" || text.starts_with("force-tlsv") || text == "no-tlsv11"
        })
    };
    if options.iter().any(|line| sets_minimum(&line.values)) {
        return;
    }
    let view = linter.view;
    for section in view.proxies() {
        for bind in section.binds.iter().filter(|bind| bind.words.iter().any(|word| word.is("ssl")))
        {
            if !sets_minimum(&bind.words) {
                linter.report(
                    "T01",
                    bind.line,
                    format!("bind {}", bind.address),
                    "ssl-min-ver TLSv1.2",
                );
            }
        }
    }
}
