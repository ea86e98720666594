//! The house rules, as tests: sizes, words, the import graph, documents that follow the code.
//!
//! A rule that only lives in a document rots; each one here fails with the place and the mend.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use observer_core::judge::{GATES, RULES};
use observer_core::validate::CHECKS;

/// Longest line of code, in characters.
const COLUMNS_MAX: usize = 100;
/// Longest file of code, in lines.
const FILE_LINES_MAX: usize = 600;
/// Longest function, in lines from its signature to its last brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Words that say something else here than they seem to, and what to say instead.
const WORDS: &[(&str, &str)] = &[
    ("fixme", "mend it, or write an issue"),
    ("todo!", "finish it"),
    ("witness", "vantage"),
    ("failback", "switchover (for going back), rejoin (for the old master)"),
    ("whitelist", "list what is allowed"),
    ("blacklist", "list what is refused"),
    ("for now", "say what is, not what may come"),
    ("sanity check", "say what is checked"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package has a parent").to_owned()
}

/// Every file of the repository with this ending, by its path from the root.
fn files(ending: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, ending, found);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root, ending, &mut found);
    let named = found.into_iter().map(|path| {
        let name = path.strip_prefix(&root).expect("it lies below").to_string_lossy().into_owned();
        (name, fs::read_to_string(&path).unwrap_or_default())
    });
    named.collect()
}

#[track_caller]
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn lines_and_files_are_short_enough() {
    let mut findings = Vec::new();
    for (name, text) in files(".rs") {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(format!("{name}: {lines} lines, split it (limit {FILE_LINES_MAX})"));
        }
        for (index, line) in text.lines().enumerate() {
            if line.chars().count() > COLUMNS_MAX {
                findings.push(format!("{name}:{}: over {COLUMNS_MAX} columns", index + 1));
            }
        }
    }
    none(findings);
}

#[test]
fn functions_are_short_enough() {
    let mut findings = Vec::new();
    for (name, text) in files(".rs") {
        for (line, length) in functions(&text) {
            if length > FUNCTION_LINES_MAX {
                let limit = FUNCTION_LINES_MAX;
                findings.push(format!("{name}:{line}: {length} lines, split it (limit {limit})"));
            }
        }
    }
    none(findings);
}

/// Line and length of each function: from a line that opens it to the brace at its own indent,
/// which is where rustfmt puts it.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = [
            "fn ",
            "pub fn ",
            "pub(super) fn ",
            "pub(crate) fn ",
            "async fn ",
            "pub async fn ",
            "pub(super) async fn ",
            "pub(crate) async fn ",
            "const fn ",
        ]
        .iter()
        .any(|start| code.starts_with(start));
        if !is_function || code.ends_with(';') || code.ends_with('}') {
            continue;
        }
        let close = format!("{}}}", " ".repeat(line.len() - code.len()));
        let end = lines[index..].iter().position(|later| *later == close);
        found.push((index + 1, end.map_or(0, |end| end + 1)));
    }
    found
}

#[test]
fn words_mean_one_thing() {
    let mut findings = Vec::new();
    let mut all = files(".rs");
    all.extend(files(".md"));
    all.extend(files(".toml"));
    // This file names the words to forbid them.
    all.remove("tests/tests/tidy.rs");
    for (name, text) in all {
        for (index, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            for (word, instead) in WORDS {
                if lower.contains(word) {
                    findings.push(format!("{name}:{}: `{word}`: {instead}", index + 1));
                }
            }
        }
    }
    none(findings);
}

/// What each package may use of ours. The core decides and does nothing; the simulator must never
/// reach the real world or an async runtime.
const MAY_USE: &[(&str, &[&str])] = &[
    ("observer/core", &[]),
    ("haproxy", &[]),
    ("observer/world", &["observer-core", "haproxy"]),
    ("observer/sim", &["observer-core", "haproxy"]),
    ("observer/daemon", &["observer-core", "observer-world", "observer-sim", "haproxy"]),
];

/// What a package may not use of others'.
const MUST_NOT_USE: &[(&str, &[&str])] = &[
    ("observer/core", &["tokio", "rand", "russh", "tokio-postgres", "rusqlite", "tracing"]),
    ("observer/sim", &["tokio", "rand", "russh", "tokio-postgres"]),
    ("haproxy", &["tokio", "serde", "russh"]),
];

const OURS: &[&str] =
    &["observer-core", "observer-world", "observer-sim", "ha-observer", "haproxy"];

#[test]
fn packages_use_only_what_they_may() {
    let mut findings = Vec::new();
    for (package, allowed) in MAY_USE {
        let forbidden = MUST_NOT_USE.iter().find(|(name, _)| name == package);
        for used in dependencies(package) {
            if OURS.contains(&used.as_str()) && !allowed.contains(&used.as_str()) {
                findings.push(format!("{package} may not use {used}"));
            }
            if forbidden.is_some_and(|(_, names)| names.contains(&used.as_str())) {
                findings.push(format!("{package} may not use {used}"));
            }
        }
    }
    none(findings);
}

fn dependencies(package: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("a readable manifest");
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn the_core_keeps_no_clock_and_does_no_io() {
    const NEVER: &[&str] = &[
        "std::time::Instant",
        "SystemTime",
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "async fn",
        "println!",
    ];
    let mut findings = Vec::new();
    for (name, text) in files(".rs") {
        if !name.starts_with("observer/core/src") {
            continue;
        }
        for word in NEVER {
            if text.contains(word) {
                findings.push(format!("{name}: `{word}`: the core does nothing but decide"));
            }
        }
    }
    none(findings);
}

/// Every rule and gate is documented, in the words of the table itself. To write the document
/// anew after a change of the table: `UPDATE_DOCUMENTS=1 cargo test -p tests --test tidy`.
#[test]
fn the_runbook_says_what_the_tables_say() {
    let path = root().join("RUNBOOK.md");
    let wanted = runbook();
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, &wanted).expect("a writable repository");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "RUNBOOK.md does not say what the tables say: UPDATE_DOCUMENTS=1");
}

fn runbook() -> String {
    let mut text = String::from(
        "# Runbook\n\nEvery verdict the observer can reach, and every gate that can keep it from \
         acting, as `ha-observer rules` prints them; and every check of `ha-observer validate`.\n\
         This file is made from the tables in `observer/core/src/judge` and \
         `observer/core/src/validate`; a test compares them.\n\n## Rules\n\n",
    );
    for rule in RULES {
        let _ = writeln!(text, "### {} {}\n", rule.id, rule.cause.name());
        let _ = writeln!(text, "- verdict: **{}**, because {}", rule.verdict.text(), rule.why);
        let _ = writeln!(text, "- meaning: {}", rule.cause.meaning());
        let _ = writeln!(text, "- what to do: {}\n", rule.cause.advice());
    }
    text.push_str("## Gates\n\n| gate | bars the way | because |\n|---|---|---|\n");
    for gate in GATES {
        let bars = gate.bars.map_or("no", observer_core::judge::Cause::name);
        let _ = writeln!(text, "| {} | {bars} | {} |", gate.id, gate.why);
    }
    text.push_str(&checks());
    text
}

fn checks() -> String {
    let mut text = String::from(
        "\n## Checks\n\nWhat `ha-observer validate` looks at. A severe check that fails, or \
         cannot be told, keeps the pair from being ready; a warning does with `--strict`.\n\n",
    );
    for check in CHECKS {
        let against: Vec<&str> = check.readies.iter().map(|readiness| readiness.name()).collect();
        let _ = writeln!(text, "### {}\n\n{} ({}).\n", check.id, check.title, check.why);
        let (severity, subject) = (check.severity.name(), check.examine.subject());
        let _ = writeln!(text, "- {severity}, of {subject}; against {}", against.join(", "));
        if !check.after.is_empty() {
            let _ = writeln!(text, "- after the change: {}", check.after);
        }
        let _ = writeln!(text, "- what to do: {}\n", check.fix);
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

#[test]
fn scripts_and_documents_are_in_their_places() {
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "BENCHMARKS.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "scripts/demo",
        "scripts/test",
        "scripts/bench",
        ".ci/run",
    ] {
        assert!(root().join(name).exists(), "{name} is missing");
    }
}
