//! Mistakes of TOML's grammar in plain words: what was found on the line and what is wanted there.
//!
//! The parser names what its grammar expected; whoever writes such a file twice a year does not
//! know what a literal string is. It goes by the line's own text, and says nothing where it would
//! have to guess.

/// What is wrong on `line` and how it is written right; none where the parser's own `message` is
/// the better word.
pub(crate) fn plain(line: &str, message: &str) -> Option<(String, String)> {
    let text = line.trim();
    if message.starts_with("duplicate key") {
        let key = text.split(['=', ']']).next().unwrap_or(text).trim_start_matches('[').trim();
        let problem = format!("`{key}` stands there a second time");
        return Some((problem, "leave one of them, with all that belongs to it".to_owned()));
    }
    if let Some(table) = text.strip_prefix('[') {
        let name = table.trim_start_matches('[').trim_end_matches(']').trim();
        let (open, close) = if table.starts_with('[') { ("[[", "]]") } else { ("[", "]") };
        return (!text.ends_with(close)).then(|| {
            let problem = format!("found `{text}`, which is not closed by `{close}`");
            (problem, format!("write {open}{name}{close} on a line of its own"))
        });
    }
    let Some((key, value)) = text.split_once('=') else {
        let (key, value) = text.split_once(char::is_whitespace)?;
        let problem = format!("found `{text}` without a `=`");
        return Some((problem, format!("write {key} = {}", quoted(value.trim()))));
    };
    let (key, value) = (key.trim(), value.split(" #").next().unwrap_or(value).trim());
    if value.is_empty() {
        let problem = format!("`{key} =` has no value");
        return Some((problem, format!("write {key} = \"…\", or remove the line")));
    }
    for quote in ['"', '\''] {
        if value.starts_with(quote) && (value.len() == 1 || !value.ends_with(quote)) {
            let problem = format!("the text that begins with {quote} is not closed by another");
            return Some((problem, format!("write {key} = {}", quoted(value))));
        }
    }
    let bare = !value.starts_with(['"', '\'', '[', '{']);
    bare.then(|| {
        let problem = format!("found {value} without quotes; a text, or a time, stands in quotes");
        (problem, format!("write {key} = {}", quoted(value)))
    })
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a person reads of a file with one wrong line, from the parser's own message.
    fn told(line: &str) -> String {
        let why = toml::from_str::<toml::Table>(line).unwrap_err();
        match plain(line.lines().last().unwrap(), why.message()) {
            Some((problem, fix)) => format!("{problem}\n    fix: {fix}"),
            None => format!("as it is: {}", why.message()),
        }
    }

    #[test]
    fn mistakes_are_told_in_plain_words() {
        let lines = [
            "mode = auto",
            "interval = 1s",
            "mode = \"auto",
            "mode = 'auto",
            "mode auto",
            "mode =",
            "[policy",
            "[[host]",
            "mode = \"a\"\nmode = \"b\"",
            "hosts = [\"a\" \"b\"]",
        ];
        let told: Vec<String> =
            lines.iter().map(|line| format!("{line}\n  {}", told(line))).collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
