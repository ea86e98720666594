//! Reads one table of a TOML file key by key, and takes note of everything that is wrong.
//!
//! Reading never stops at the first mistake: a key that cannot be read yields a placeholder and a
//! finding, and a file with findings is rejected whole. Keys that nobody asked for are unknown
//! keys, so the list of known ones cannot be forgotten.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Weight};
use super::plain::plain;
use super::units;

/// One file while it is read.
pub(super) struct Document<'t> {
    file: PathBuf,
    text: &'t str,
    findings: RefCell<Vec<Finding>>,
}

impl<'t> Document<'t> {
    /// Parses `text`. What is no TOML at all is noted as findings.
    pub(super) fn parse(file: &Path, text: &'t str) -> (Self, Spanned<DeTable<'t>>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let document = Self { file: file.to_owned(), text, findings: RefCell::default() };
        for error in errors {
            let at = error.span().map(|span| document.line(span.start));
            let line = at.and_then(|at| text.lines().nth(at - 1)).unwrap_or_default();
            let (problem, fix) = plain(line, error.message()).unwrap_or_else(|| {
                let problem = format!("{} (found `{}`)", error.message(), line.trim());
                (problem, "correct the TOML syntax on this line".to_owned())
            });
            document.note(at, "", &problem, &fix);
        }
        (document, table)
    }

    /// The table at the top of the file.
    pub(super) fn root<'d>(&'d self, table: &'d Spanned<DeTable<'t>>) -> Section<'d, 't> {
        let table = Some(table.get_ref());
        Section::new(self, String::new(), None, table)
    }

    /// Everything found so far.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| finding.line);
        findings
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    fn note(&self, line: Option<usize>, key: &str, problem: &str, fix: &str) {
        self.weigh(Weight::Wrong, line, key, problem, fix);
    }

    fn weigh(&self, weight: Weight, line: Option<usize>, key: &str, problem: &str, fix: &str) {
        let finding = Finding {
            weight,
            file: self.file.clone(),
            line,
            key: key.to_owned(),
            problem: problem.to_owned(),
            fix: fix.to_owned(),
        };
        // A table shared by several machines is read once for each of them.
        if !self.findings.borrow().contains(&finding) {
            self.findings.borrow_mut().push(finding);
        }
    }
}

/// One table, present in the file or not.
pub(super) struct Section<'d, 't> {
    document: &'d Document<'t>,
    path: String,
    line: Option<usize>,
    table: Option<&'d DeTable<'t>>,
    known: RefCell<Vec<&'static str>>,
}

/// A value with the table it was found in.
struct Found<'d, 't> {
    value: &'d DeValue<'t>,
    line: usize,
    key: String,
}

impl<'d, 't> Section<'d, 't> {
    fn new(
        document: &'d Document<'t>,
        path: String,
        line: Option<usize>,
        table: Option<&'d DeTable<'t>>,
    ) -> Self {
        Self { document, path, line, table, known: RefCell::default() }
    }

    /// True if the table is in the file.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// True if `key` is in this table itself.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Takes note that `key` may stand in this table, without reading it.
    pub(super) fn knows(&self, key: &'static str) {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
    }

    /// Notes that the value of `key` is wrong.
    pub(super) fn wrong(&self, key: &'static str, problem: &str, fix: &str) {
        self.weigh(Weight::Wrong, key, problem, fix);
    }

    /// Notes that the value of `key` works, and is hardly what was meant.
    pub(super) fn odd(&self, key: &'static str, problem: &str, fix: &str) {
        self.weigh(Weight::Odd, key, problem, fix);
    }

    fn weigh(&self, weight: Weight, key: &'static str, problem: &str, fix: &str) {
        let found = self.find(key);
        let line = found.as_ref().map(|found| found.line).or(self.line);
        let key = found.map_or_else(|| self.join(key), |found| found.key);
        self.document.weigh(weight, line, &key, problem, fix);
    }

    /// Notes that something about the table as a whole is wrong.
    pub(super) fn amiss(&self, problem: &str, fix: &str) {
        self.document.note(self.line, &self.path, problem, fix);
    }

    /// The table under `key`; absent if it is not in the file.
    pub(super) fn table(&self, key: &'static str) -> Section<'d, 't> {
        let path = self.join(key);
        let Some(found) = self.find(key) else {
            return Section::new(self.document, path, self.line, None);
        };
        match found.value {
            DeValue::Table(table) => {
                Section::new(self.document, path, Some(found.line), Some(table))
            }
            other => {
                let problem = format!("must be a table, not {}", described(other));
                self.wrong(key, &problem, &format!("write it as [{path}]"));
                Section::new(self.document, path, Some(found.line), None)
            }
        }
    }

    /// The tables under `key`, as in `[[host]]`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'d, 't>> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let DeValue::Array(array) = found.value else {
            let fix = format!("write one [[{}]] for each", self.join(key));
            self.wrong(
                key,
                &format!("must be a list of tables, not {}", described(found.value)),
                &fix,
            );
            return Vec::new();
        };
        let section = |item: &'d Spanned<DeValue<'t>>| match item.get_ref() {
            DeValue::Table(table) => {
                let line = self.document.line(item.span().start);
                let name = table.get("name").and_then(|name| name.get_ref().as_str());
                let path = match name {
                    Some(name) => format!("{} \"{name}\"", self.join(key)),
                    None => self.join(key),
                };
                Some(Section::new(self.document, path, Some(line), Some(table)))
            }
            other => {
                let problem = format!("must hold tables, not {}", described(other));
                self.wrong(key, &problem, &format!("write one [[{}]] for each", self.join(key)));
                None
            }
        };
        array.iter().filter_map(section).collect()
    }

    /// A text that may be missing.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        let found = self.find(key)?;
        match found.value {
            DeValue::String(text) if text.trim().is_empty() => {
                self.wrong(key, "is empty", "give it a value, or remove the line");
                None
            }
            DeValue::String(text) => Some(text.trim().to_owned()),
            other => {
                let problem = format!("must be a text, not {}", described(other));
                self.wrong(key, &problem, &format!("write {key} = \"…\""));
                None
            }
        }
    }

    /// A number or a text, as a text: for what may be one number or several.
    pub(super) fn number_or_text(&self, key: &'static str) -> Option<String> {
        match self.find(key)?.value {
            DeValue::Integer(number) => Some(number.as_str().to_owned()),
            _ => self.text(key),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&self, key: &'static str, fix: &str) -> String {
        let text = self.text(key);
        if text.is_none() && self.find(key).is_none() {
            self.wrong(key, "is missing", fix);
        }
        text.unwrap_or_default()
    }

    /// Yes or no.
    pub(super) fn flag(&self, key: &'static str, default: bool) -> bool {
        let Some(found) = self.find(key) else { return default };
        if let DeValue::Boolean(truth) = found.value {
            return *truth;
        }
        let problem = format!("must be true or false, not {}", described(found.value));
        self.wrong(key, &problem, &format!("write {key} = true, or false"));
        default
    }

    /// A list of texts; empty if missing.
    pub(super) fn texts(&self, key: &'static str) -> Vec<String> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let DeValue::Array(array) = found.value else {
            let problem = format!("must be a list, not {}", described(found.value));
            self.wrong(key, &problem, &format!("write {key} = [\"…\"]"));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in array {
            match item.get_ref().as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => {
                    let problem = format!("must hold texts, not {}", described(item.get_ref()));
                    self.wrong(key, &problem, &format!("write {key} = [\"…\"]"));
                }
            }
        }
        texts
    }

    /// Every text of a table whose keys are the reader's own to choose.
    pub(super) fn all_texts(&self) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            let name = key.get_ref().to_string();
            match value.get_ref().as_str() {
                Some(text) => texts.push((name, text.to_owned())),
                None => {
                    let problem = format!("must be a text, not {}", described(value.get_ref()));
                    self.wrong_entry(&name, &problem, &format!("write {name} = \"…\""));
                }
            }
        }
        texts
    }

    /// Notes that the value under a key of the reader's own is wrong.
    pub(super) fn wrong_entry(&self, key: &str, problem: &str, fix: &str) {
        let found = self.table.and_then(|table| table.get_key_value(key));
        let line = found.map(|(name, _)| self.document.line(name.span().start)).or(self.line);
        self.document.note(line, &self.join(key), problem, fix);
    }

    /// A time with its unit, in milliseconds.
    pub(super) fn time_ms(&self, key: &'static str, default: u64, min: u64) -> u64 {
        let ms = self.with_unit(key, default, units::time_ms, "\"500ms\" or \"10s\"");
        if ms < min {
            let least = units::write_time(min);
            self.wrong(key, "is too short", &format!("use \"{least}\" or more"));
        }
        ms
    }

    /// A time with its unit, in milliseconds; none for `off`, or if it is missing.
    pub(super) fn time_or_off(&self, key: &'static str) -> Option<u64> {
        let found = self.find(key)?;
        if found.value.as_str().is_some_and(|text| text.trim() == "off") {
            return None;
        }
        Some(self.with_unit(key, 0, units::time_ms, "\"30s\", or \"off\""))
    }

    /// A size with its unit, in bytes.
    pub(super) fn size_bytes(&self, key: &'static str, default: u64) -> u64 {
        self.with_unit(key, default, units::size_bytes, "\"16MiB\"")
    }

    /// A whole number.
    pub(super) fn number(
        &self,
        key: &'static str,
        default: u64,
        allowed: RangeInclusive<u64>,
    ) -> u64 {
        let Some(found) = self.find(key) else { return default };
        let read = found
            .value
            .as_integer()
            .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok());
        let fix = format!(
            "write {key} = {default}, or another number from {} to {}",
            allowed.start(),
            allowed.end()
        );
        match read {
            Some(number) if allowed.contains(&number) => number,
            Some(number) => {
                self.wrong(key, &format!("{number} is out of range"), &fix);
                default
            }
            None => {
                let problem = format!("must be a whole number, not {}", described(found.value));
                self.wrong(key, &problem, &fix);
                default
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)], default: T) -> T {
        let Some(text) = self.text(key) else { return default };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let fix = match nearest(&text, &names) {
            Some(near) => format!("did you mean \"{near}\"? Known: {}", names.join(", ")),
            None => format!("use one of: {}", names.join(", ")),
        };
        self.wrong(key, &format!("\"{text}\" is not known here"), &fix);
        default
    }

    /// Notes every key that nobody asked for. To be called when the table has been read.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let line = self.document.line(key.span().start);
            let fix = match nearest(name, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("remove it; known keys here: {}", known.join(", ")),
            };
            self.document.note(Some(line), &self.join(name), "unknown key", &fix);
        }
    }

    fn with_unit(
        &self,
        key: &'static str,
        default: u64,
        read: fn(&str) -> Result<u64, String>,
        such_as: &str,
    ) -> u64 {
        let Some(found) = self.find(key) else { return default };
        let fix = format!("write it in quotes with a unit, like {such_as}");
        match found.value.as_str() {
            Some(text) => read(text).unwrap_or_else(|why| {
                self.wrong(key, &why, &fix);
                default
            }),
            None => {
                self.wrong(key, &format!("{} has no unit", described(found.value)), &fix);
                default
            }
        }
    }

    fn find(&self, key: &'static str) -> Option<Found<'d, 't>> {
        self.knows(key);
        let (name, value) = self.table?.get_key_value(key)?;
        Some(Found {
            value: value.get_ref(),
            line: self.document.line(name.span().start),
            key: self.join(key),
        })
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// The candidate a person most likely meant, if one is near enough to be no guess.
pub(crate) fn nearest<'a>(text: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates.iter().map(|word| (strsim::jaro_winkler(text, word), *word));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= 0.8).then_some(best.1)
}

fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(truth) => format!("{truth}"),
        DeValue::Datetime(moment) => format!("the date {moment}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
