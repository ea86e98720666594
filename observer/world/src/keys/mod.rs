//! Finds one key in the text of a configuration file, and replaces its value in place.
//!
//! It reads and writes no file, and never prints a text it was given: a parser's own message may
//! quote the line that holds the secret, so that errors name the kind of file and the line's
//! number alone. A value is found together with the bytes it stands in, so that all others stay
//! untouched, and what is copied is the writing, not the meaning.

mod flat;
mod json;
mod toml_file;
mod yaml;

use std::ops::Range;

use zeroize::Zeroizing;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Java's `.properties`: `key = value`, `key: value`, escapes, lines that go on.
    Properties,
    /// `NAME=value` as in an environment file, with or without `export` and quotes.
    Env,
    /// `[section]` and `key = value`. A key is named as `section.key`.
    Ini,
    /// JSON.
    Json,
    /// YAML, its first document.
    Yaml,
    /// TOML.
    Toml,
}

impl Format {
    /// The kind of file by its name's ending.
    pub fn of_path(path: &str) -> Option<Self> {
        let (_, ending) = path.rsplit_once('.')?;
        Some(match ending.to_ascii_lowercase().as_str() {
            "properties" => Format::Properties,
            "env" => Format::Env,
            "ini" | "cnf" => Format::Ini,
            "json" => Format::Json,
            "yaml" | "yml" => Format::Yaml,
            "toml" => Format::Toml,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Format::Properties => "properties",
            Format::Env => "environment file",
            Format::Ini => "INI",
            Format::Json => "JSON",
            Format::Yaml => "YAML",
            Format::Toml => "TOML",
        }
    }
}

/// A value and where it stands.
#[derive(PartialEq, Eq)]
pub(crate) struct Place {
    /// The bytes of the text that write the value, with its quotes.
    pub(crate) span: Range<usize>,
    /// The value itself.
    pub(crate) value: Zeroizing<String>,
}

/// Why a key cannot be read or written. It quotes nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// The text is not of the format.
    #[error("it is no valid {format}{}", at_line(*line))]
    Malformed {
        /// The format, in words.
        format: &'static str,
        /// The line, counted from 1, where it is known.
        line: Option<usize>,
    },
    /// The key leads to a table or list.
    #[error("the key holds no single value")]
    NoSingleValue,
    /// The value is written in a way that is not copied.
    #[error("the value goes over several lines, or refers to another: copy it by hand")]
    ByHand,
    /// There is no such key, and no one place where it would belong.
    #[error("there is no such key: write it there once by hand, with any value")]
    NoPlace,
}

fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(" (line {line})"))
}

fn malformed(format: Format, line: Option<usize>) -> KeyError {
    KeyError::Malformed { format: format.name(), line }
}

/// Finds `key`; none where the text has no such key. Of several the last one counts, as it does
/// for those who read such files.
pub(crate) fn find(format: Format, text: &str, key: &str) -> Result<Option<Place>, KeyError> {
    match format {
        Format::Properties => Ok(flat::find_property(text, key)),
        Format::Env => Ok(flat::find_variable(text, key)),
        Format::Ini => Ok(flat::find_ini(text, key)),
        Format::Json => json::find(text, key),
        Format::Yaml => yaml::find(text, key),
        Format::Toml => toml_file::find(text, key),
    }
}

/// The text `to` in which `key` is written as it is in `from`; every other byte stays.
pub(crate) fn copy(
    format: Format,
    from: &str,
    to: &str,
    key: &str,
) -> Result<Zeroizing<String>, KeyError> {
    let source = find(format, from, key)?.ok_or(KeyError::NoPlace)?;
    let writing = from.get(source.span.clone()).ok_or(KeyError::ByHand)?;
    if format == Format::Yaml && !yaml::is_plain_writing(writing) {
        return Err(KeyError::ByHand);
    }
    let edited = match find(format, to, key)? {
        Some(target) => {
            let old = to.get(target.span.clone()).ok_or(KeyError::ByHand)?;
            if format == Format::Yaml && !yaml::is_plain_writing(old) {
                return Err(KeyError::ByHand);
            }
            format!("{}{writing}{}", &to[..target.span.start], &to[target.span.end..])
        }
        None => flat::append(format, to, key, writing).ok_or(KeyError::NoPlace)?,
    };
    let edited = Zeroizing::new(edited);
    // What was written must read back as what was meant: a writing may mean something else beside
    // other neighbours.
    match find(format, &edited, key)? {
        Some(place) if place.value == source.value => Ok(edited),
        _ => Err(KeyError::ByHand),
    }
}

/// The ways to go on below a table: each key of it that `rest` begins with, and what is left then.
/// A key may hold dots itself, as flattened names do.
fn below<'r>(rest: &'r str, key: &str) -> Option<Option<&'r str>> {
    let left = rest.strip_prefix(key)?;
    if left.is_empty() { Some(None) } else { left.strip_prefix('.').map(Some) }
}

#[cfg(test)]
mod tests;
