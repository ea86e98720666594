//! Files of one key to a line: properties, environment files, INI.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{Format, Place};

/// Each line with the place where it begins, without its end.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = start;
        start += line.len();
        (at, line.strip_suffix('\n').unwrap_or(line).trim_end_matches('\r'))
    })
}

/// The part of `line` from `from` on without blanks around it, as a place in the text.
fn trimmed(start: usize, line: &str, from: usize) -> Range<usize> {
    let rest = &line[from..];
    let begin = from + rest.len() - rest.trim_start().len();
    let end = begin.max(line.trim_end().len());
    start + begin..start + end
}

/// Finds a variable of an environment file.
pub(super) fn find_variable(text: &str, key: &str) -> Option<Place> {
    let mut found = None;
    for (start, line) in lines(text) {
        let own = line.trim_start();
        let own = own.strip_prefix("export ").map_or(own, str::trim_start);
        let Some((name, _)) = own.split_once('=') else { continue };
        if name.trim_end() != key || own.starts_with('#') {
            continue;
        }
        let value_at = line.len() - own.len() + name.len() + 1;
        let span = trimmed(start, line, value_at);
        let value = unquoted(&text[span.clone()]);
        found = Some(Place { span, value });
    }
    found
}

/// A word as a shell reads it, where it is one quoted or unquoted word.
fn unquoted(word: &str) -> Zeroizing<String> {
    let inner = |quote: char| {
        let inner = word.strip_prefix(quote)?.strip_suffix(quote)?;
        (word.len() >= 2).then_some(inner)
    };
    if let Some(inner) = inner('\'') {
        return Zeroizing::new(inner.to_owned());
    }
    let Some(inner) = inner('"') else { return Zeroizing::new(word.to_owned()) };
    let mut value = Zeroizing::new(String::with_capacity(inner.len()));
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some('"' | '\\' | '$' | '`')) => value.extend(characters.next()),
            _ => value.push(character),
        }
    }
    value
}

/// Finds `section.key`, or `key` above the first section. All behind the sign is the value: what
/// looks like a remark may be part of a password.
pub(super) fn find_ini(text: &str, key: &str) -> Option<Place> {
    let mut found = None;
    let mut section = "";
    for (start, line) in lines(text) {
        let own = line.trim();
        if own.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = own.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
            continue;
        }
        let Some(sign) = line.find(['=', ':']) else { continue };
        let name = line[..sign].trim();
        let is_it = match section {
            "" => name == key,
            section => {
                key.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) == Some(name)
            }
        };
        if is_it {
            let span = trimmed(start, line, sign + 1);
            let value = Zeroizing::new(text[span.clone()].to_owned());
            found = Some(Place { span, value });
        }
    }
    found
}

/// Finds a key of a properties file.
pub(super) fn find_property(text: &str, key: &str) -> Option<Place> {
    let mut found = None;
    let mut all = lines(text).peekable();
    while let Some((start, line)) = all.next() {
        let own = line.trim_start();
        if own.is_empty() || own.starts_with(['#', '!']) {
            continue;
        }
        let mut end = start + line.len();
        // A line whose last backslash is not itself escaped goes on in the next one.
        let mut last = line;
        while goes_on(last) {
            let Some((next_start, next)) = all.next() else { break };
            end = next_start + next.len();
            last = next;
        }
        let begin = start + line.len() - own.len();
        let whole = &text[begin..end];
        let name_end = name_end(whole);
        if *decoded(&whole[..name_end]) != key {
            continue;
        }
        let value_at = begin + name_end + separator(&whole[name_end..]);
        let span = value_at..end;
        let value = decoded(&text[span.clone()]);
        found = Some(Place { span, value });
    }
    found
}

fn goes_on(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

/// Where the key of a line ends: at the first sign or blank that is not escaped.
fn name_end(line: &str) -> usize {
    let mut escaped = false;
    for (at, character) in line.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '=' | ':' | ' ' | '\t' | '\u{c}' => return at,
            _ => {}
        }
    }
    line.len()
}

/// How long the separator between key and value is: blanks with one sign among them.
fn separator(rest: &str) -> usize {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\u{c}');
    let after = rest.trim_start_matches(blank);
    let after = after.strip_prefix(['=', ':']).unwrap_or(after);
    rest.len() - after.trim_start_matches(blank).len()
}

/// What a key or value of a properties file means.
fn decoded(written: &str) -> Zeroizing<String> {
    let mut value = Zeroizing::new(String::with_capacity(written.len()));
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => value.push('\n'),
            Some('t') => value.push('\t'),
            Some('r') => value.push('\r'),
            Some('f') => value.push('\u{c}'),
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                value.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            // The line goes on: its end and the blanks that begin the next one are no part of it.
            Some('\r' | '\n') => {
                let rest = characters.as_str();
                characters = rest.trim_start_matches([' ', '\t', '\n', '\u{c}']).chars();
            }
            other => value.extend(other),
        }
    }
    value
}

/// The text with the key added where there is one place for it: at the end, or below its section.
pub(super) fn append(format: Format, text: &str, key: &str, writing: &str) -> Option<String> {
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    match format {
        Format::Properties | Format::Env => Some(format!("{text}{gap}{key}={writing}\n")),
        Format::Ini => {
            let heading = lines(text).find_map(|(start, line)| {
                let name = line.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
                let left = key.strip_prefix(name)?.strip_prefix('.')?;
                Some((start + line.len(), left))
            });
            let (end, left) = heading?;
            let after = text[end..].strip_prefix("\r\n").or(text[end..].strip_prefix('\n'));
            let after = after.unwrap_or("");
            Some(format!("{}\n{left} = {writing}\n{after}", &text[..end]))
        }
        Format::Json | Format::Yaml | Format::Toml => None,
    }
}
