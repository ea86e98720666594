//! Reads `[[parity]]`: what must be alike on all hosts, and where it is found.
//!
//! No value of an item is ever in the file, only where it stands.

use std::collections::BTreeSet;

use observer_core::parity::{Item, Mending, Secrecy};
use observer_core::validate::Severity;
use observer_world::access::{ParityItem, ParitySource};
use observer_world::keys::Format;

use super::pair::absolute;
use super::policy;
use super::section::Section;

/// The kinds of items, and which keys each takes.
const KINDS: &[(&str, Kind)] = &[
    ("command", Kind::Command),
    ("file", Kind::File),
    ("key", Kind::Key),
    ("package", Kind::Package),
    ("unit", Kind::Unit),
    ("setting", Kind::Setting),
];
const SEVERITIES: &[(&str, Severity)] =
    &[("warning", Severity::Warning), ("severe", Severity::Severe)];
const FORMATS: &[(&str, Format)] = &[
    ("properties", Format::Properties),
    ("env", Format::Env),
    ("ini", Format::Ini),
    ("json", Format::Json),
    ("yaml", Format::Yaml),
    ("toml", Format::Toml),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Command,
    File,
    Key,
    Package,
    Unit,
    Setting,
}

/// Reads all items; what is wrong is noted.
pub(super) fn items(sections: &[Section<'_, '_>]) -> Vec<ParityItem> {
    let mut names = BTreeSet::new();
    let items: Vec<ParityItem> = sections.iter().map(|section| item(section, &mut names)).collect();
    for (section, own) in sections.iter().zip(&items) {
        check_same(section, own, &items);
        section.finish();
    }
    items
}

fn item(section: &Section<'_, '_>, names: &mut BTreeSet<String>) -> ParityItem {
    let name = section.required("name", "name it, like name = \"database password\"");
    let plain = |c: char| c.is_alphanumeric() || " ._-/".contains(c);
    if !name.is_empty() && (name.len() > 64 || !name.chars().all(plain)) {
        section.wrong("name", "cannot name an item", "use letters, digits, blanks and ._-/ only");
    } else if !name.is_empty() && !names.insert(name.clone()) {
        section.wrong("name", "another item has this name", "give each item its own name");
    }
    if !section.has("kind") {
        section.wrong(
            "kind",
            "is missing",
            "use one of: command, file, key, package, unit, setting",
        );
    }
    let kind = section.choice("kind", KINDS, Kind::File);
    let (source, what) = source(section, kind);
    let secret = section.flag("secret", false);
    let copies = matches!(kind, Kind::File | Kind::Key);
    for (key, fits) in
        [("fix", copies), ("same_as", kind == Kind::Key), ("user", copies || kind == Kind::Command)]
    {
        if section.has(key) && !fits {
            section.wrong(key, "has no meaning for this kind", "remove it");
        }
    }
    let fix = section.flag("fix", copies) && copies;
    let item = Item {
        what,
        severity: section.choice("severity", SEVERITIES, Severity::Warning),
        secrecy: if secret { Secrecy::Secret } else { Secrecy::Plain },
        same_as: section.text("same_as"),
        mending: if fix { Mending::Copy } else { Mending::ByHand },
        name,
    };
    ParityItem { item, source, user: section.text("user") }
}

/// Where the item is found, and the same in words. Keys of other kinds stay unknown here.
fn source(section: &Section<'_, '_>, kind: Kind) -> (ParitySource, String) {
    match kind {
        Kind::Command => {
            let words = section.texts("command");
            match words.first() {
                None => section.wrong(
                    "command",
                    "is missing",
                    "write command = [\"/usr/bin/java\", \"-version\"]: program and arguments",
                ),
                Some(program) if !program.starts_with('/') => {
                    let problem = format!("\"{program}\" is no absolute path");
                    section.wrong("command", &problem, "start it with /");
                }
                Some(_) => {}
            }
            let what = format!("output of {}", words.join(" "));
            (ParitySource::Command(words), what)
        }
        Kind::File => {
            section.required("file", "write file = \"/opt/…\"");
            let file = absolute(section, "file", None).unwrap_or_default();
            let what = format!("file {}", file.display());
            (ParitySource::File(file), what)
        }
        Kind::Key => {
            section.required("file", "write file = \"/opt/…\"");
            let file = absolute(section, "file", None).unwrap_or_default();
            let key = section.required("key", "write key = \"spring.datasource.password\"");
            let known = Format::of_path(&file.to_string_lossy());
            if known.is_none() && !section.has("format") {
                section.wrong(
                    "format",
                    "is missing, and the file's name does not tell",
                    "use one of: properties, env, ini, json, yaml, toml",
                );
            }
            let format = section.choice("format", FORMATS, known.unwrap_or(Format::Env));
            let what = format!("key {key} of {}", file.display());
            (ParitySource::Key { file, format, key }, what)
        }
        Kind::Package => {
            let name = section.required("package", "write package = \"postgresql-15\"");
            let plain = |c: char| c.is_ascii_alphanumeric() || "+._-:".contains(c);
            if !name.chars().all(plain) || name.starts_with('-') {
                section.wrong("package", "is no package's name", "write it as dpkg or rpm do");
            }
            let what = format!("package {name}");
            (ParitySource::Package(name), what)
        }
        Kind::Unit => {
            let unit = section.required("unit", "write unit = \"desk.service\"");
            if !unit.is_empty() && !policy::is_unit(&unit) {
                section.wrong("unit", "is no service unit's name", "write it as `systemctl` does");
            }
            let what = format!("unit {unit}");
            (ParitySource::Unit(unit), what)
        }
        Kind::Setting => {
            let name = section.required("setting", "write setting = \"max_connections\"");
            let plain = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
            if !name.chars().all(plain) {
                section.wrong("setting", "is no setting's name", "write it as `show` takes it");
            }
            let what = format!("setting {name}");
            (ParitySource::Setting(name), what)
        }
    }
}

/// An item may be the same as one that stands for itself, and is as secret as it.
fn check_same(section: &Section<'_, '_>, own: &ParityItem, items: &[ParityItem]) {
    let Some(base) = &own.item.same_as else { return };
    let found = items.iter().find(|other| other.item.name == *base);
    let wrong = |problem: &str, fix: &str| section.wrong("same_as", problem, fix);
    match found {
        None => wrong("names no item", "write the `name` of another [[parity]]"),
        Some(base) if base.item.name == own.item.name => {
            wrong("names itself", "remove it");
        }
        Some(base) if base.item.same_as.is_some() => {
            wrong("names an item that has a same_as itself", "name that one's instead");
        }
        Some(base) if !matches!(base.source, ParitySource::Key { .. }) => {
            wrong("names an item of another kind", "only keys have values to be the same as");
        }
        Some(base) if base.item.secrecy != own.item.secrecy => {
            wrong("one of the two is secret and one is not", "give both the same `secret`");
        }
        Some(_) => {}
    }
}
