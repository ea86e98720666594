//! Rules about proxies whoever they serve (M, T).

use super::Linter;
use crate::section::SectionKind;
use crate::view::Section;
use crate::waiting_room::{leads_to, mode_is_http};

pub(super) fn check(linter: &mut Linter<'_, '_>) {
    let view = linter.view;
    for section in view.proxies() {
        if mode_is_http(view, section) {
            forwarded(linter, section);
        } else {
            tcp_mode(linter, section);
        }
        modes(linter, section);
        timeouts(linter, section);
        statistics(linter, section);
        let twin = |other: &&Section<'_>| {
            other.kind == SectionKind::Frontend && other.name == section.name
        };
        if section.kind == SectionKind::Backend && view.proxies().any(|other| twin(&other)) {
            let fix = format!("rename one, such as {}_in", section.name);
            linter.report("M03", section.line, format!("backend {}", section.name), fix);
        }
    }
}

fn title(section: &Section<'_>) -> String {
    format!("{} {}", section.keyword, section.name)
}

fn tcp_mode<'a>(linter: &mut Linter<'_, 'a>, section: &Section<'a>) {
    let view = linter.view;
    // A shared `defaults` may well have both kinds of proxy below it.
    let is_on = view.setting_on(section, "option httplog").is_some_and(|line| line.own);
    if section.kind != SectionKind::Backend && is_on {
        let lines = view.statements(section, "option httplog").into_iter();
        for line in lines.filter(|line| !line.negated && !line.conditional) {
            linter.report("M01", line.line, title(section), "option tcplog");
        }
    }
    for name in ["stats uri", "stats enable"] {
        for line in view.statements(section, name) {
            linter.report("M02", line.line, title(section), "move it to a section in mode http");
        }
    }
}

fn modes<'a>(linter: &mut Linter<'_, 'a>, section: &Section<'a>) {
    let view = linter.view;
    for backend in view.backends().filter(|backend| leads_to(view, section, backend)) {
        if mode_is_http(view, section) && !mode_is_http(view, backend) {
            let subject = format!("{} -> {}", section.name, backend.name);
            linter.report("M04", backend.line, subject, "mode http");
        }
    }
}

fn timeouts<'a>(linter: &mut Linter<'_, 'a>, section: &Section<'a>) {
    let view = linter.view;
    let front: &[&str] = &["timeout client"];
    let back: &[&str] = &["timeout server", "timeout connect"];
    let both: &[&str] = &["timeout client", "timeout server", "timeout connect"];
    let wanted = match section.kind {
        SectionKind::Frontend => front,
        SectionKind::Backend => back,
        _ => both,
    };
    for name in wanted {
        if view.setting(section, name).is_none() {
            let fix = match *name {
                "timeout connect" => "timeout connect 500ms".to_owned(),
                _ => format!("{name} 60s"),
            };
            linter.report("M05", section.line, format!("{}: {name}", title(section)), fix);
        }
    }
}

fn statistics<'a>(linter: &mut Linter<'_, 'a>, section: &Section<'a>) {
    let view = linter.view;
    let says = |name: &str| view.setting(section, name);
    let Some(line) = says("stats enable").or_else(|| says("stats uri")) else { return };
    let is_local = |address: &str| {
        ["127.", "localhost", "[::1]", "::1", "/", "unix@"]
            .iter()
            .any(|start| address.starts_with(start))
    };
    let open = section.binds.iter().any(|bind| !is_local(&bind.address));
    let guarded = says("stats auth").is_some() || says("stats http-request").is_some();
    if open && !guarded && mode_is_http(view, section) {
        linter.report("M06", line.line, title(section), "bind it to 127.0.0.1, or add stats auth");
    }
}

/// In HTTP mode, what the application is told about the client.
fn forwarded<'a>(linter: &mut Linter<'_, 'a>, section: &Section<'a>) {
    let view = linter.view;
    let has_servers = |backend: &Section<'_>| !backend.servers.is_empty();
    let serves = if section.kind == SectionKind::Listen {
        has_servers(section)
    } else {
        section.kind == SectionKind::Frontend
            && view
                .backends()
                .any(|backend| leads_to(view, section, backend) && has_servers(backend))
    };
    if !serves {
        return;
    }
    let path: Vec<&Section<'a>> = view
        .backends()
        .filter(|backend| leads_to(view, section, backend))
        .chain([section])
        .collect();
    let sets = |header: &str| {
        path.iter().any(|place| {
            view.statements(place, "http-request").iter().any(|line| {
                line.values.iter().any(|word| word.to_text().eq_ignore_ascii_case(header))
            })
        })
    };
    let forwards = path.iter().any(|place| view.setting_on(place, "option forwardfor").is_some());
    if !forwards && !sets("X-Forwarded-For") {
        linter.report("T03", section.line, title(section), "option forwardfor");
    }
    let tls = section.binds.iter().find(|bind| bind.words.iter().any(|word| word.is("ssl")));
    if let Some(bind) = tls
        && !sets("X-Forwarded-Proto")
    {
        let fix = "http-request set-header X-Forwarded-Proto https if { ssl_fc }";
        linter.report("T02", bind.line, title(section), fix);
    }
}
