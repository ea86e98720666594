//! Rules about the file itself (F).

use std::collections::BTreeMap;

use super::Linter;
use crate::section::SectionKind;
use crate::view::Section;

/// HAProxy's limit of words on a line, its keyword included.
const WORDS_MAX: usize = 64;

pub(super) fn check(linter: &mut Linter<'_, '_>) {
    bytes(linter);
    lines(linter);
    sections(linter);
    names(linter);
}

fn bytes(linter: &mut Linter<'_, '_>) {
    for (first, last) in linter.document.files() {
        let lines = linter.document.lines();
        if lines[first - 1].bytes().starts_with(b"\xef\xbb\xbf") {
            linter.report("F03", first, "first line", "remove its first three bytes");
        }
        if !lines[last - 1].bytes().ends_with(b"\n") {
            linter.report("F01", last, "last line", "end it with a line feed");
        }
    }
}

fn lines(linter: &mut Linter<'_, '_>) {
    for (first, last) in linter.document.files() {
        lines_of_file(linter, first, last);
    }
}

fn lines_of_file(linter: &mut Linter<'_, '_>, first: usize, last: usize) {
    let mut depth = 0usize;
    let mut opened = 0;
    let document = linter.document;
    for (index, line) in document.lines()[first - 1..last].iter().enumerate() {
        let number = first + index;
        let words = line.words();
        if line.bytes().contains(&0) {
            linter.report("F04", number, "NUL byte", "remove it");
        }
        if words.list.len() > WORDS_MAX {
            let subject = format!("{} words", words.list.len());
            linter.report("F05", number, subject, "split the line into several");
        }
        if let Some(fault) = words.fault {
            linter.report("F06", number, fault.to_string(), "close the quote or mend the escape");
        }
        let Some(last) = words.list.last() else { continue };
        let backslashes = line.content()[..last.end].iter().rev().take_while(|b| **b == b'\\');
        // An even number of them is that many escaped ones.
        if words.comment.is_none() && backslashes.count() % 2 == 1 {
            linter.report("F07", number, last.to_text(), "write the statement on one line");
        }
        if words.list[0].is(".if") {
            opened = if depth == 0 { number } else { opened };
            depth += 1;
        } else if words.list[0].is(".endif") {
            depth = depth.saturating_sub(1);
        }
    }
    if depth > 0 {
        linter.report("F09", opened, ".if", "end it with .endif");
    }
}

fn sections(linter: &mut Linter<'_, '_>) {
    let view = linter.view;
    if view.proxies().next().is_none() {
        linter.report("F02", None, "no frontend, backend or listen", "put the lost file back");
    }
    for section in view.sections() {
        if section.kind == SectionKind::Unknown {
            linter.report("F08", section.line, &*section.keyword, "indent it if it is no section");
        }
    }
}

fn names(linter: &mut Linter<'_, '_>) {
    let view = linter.view;
    // Branches of a condition may well give the same name.
    let plain = |section: &&Section<'_>| !section.conditional;
    let mut faces: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    for section in view.proxies().filter(plain) {
        for listens in [true, false] {
            let other = if listens { SectionKind::Backend } else { SectionKind::Frontend };
            if section.kind == other {
                continue;
            }
            if let Some(first) = faces.insert((listens, &section.name), section.line) {
                let subject = format!("{} {}", section.keyword, section.name);
                let see = format!("see {}", linter.spot(first, section.line));
                linter.report("F10", section.line, subject, see);
            }
        }
        let mut servers: BTreeMap<&str, usize> = BTreeMap::new();
        for server in section.servers.iter().filter(|server| !server.conditional) {
            if let Some(first) = servers.insert(&server.name, server.line) {
                let subject = format!("server {}/{}", section.name, server.name);
                let see = format!("see {}", linter.spot(first, server.line));
                linter.report("F10", server.line, subject, see);
            }
        }
    }
    for section in view.proxies() {
        for name in ["default_backend", "use_backend"] {
            for line in view.statements(section, name) {
                named_backend(linter, name, &line);
            }
        }
    }
}

fn named_backend(linter: &mut Linter<'_, '_>, name: &str, line: &crate::view::Setting<'_>) {
    let Some(word) = line.values.first() else { return };
    let text = word.to_text();
    let subject = format!("{name} {text}");
    if text.contains("%[") || word.variable {
        linter.report("D05", line.line, subject, "name the backends of the pair as they are");
    } else if !linter.view.backends().any(|backend| backend.name == text) {
        linter.report("F11", line.line, subject, "add the backend, or name another");
    }
}
