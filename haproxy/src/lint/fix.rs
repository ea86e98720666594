//! The safe fixes: those that change neither which requests go where nor how long anything waits.

use super::{Context, Finding, lint};
use crate::document::Document;
use crate::edit::{ServerChange, ServerEdit};

/// Mends what can be mended safely: the file's first and last bytes (F01, F03), logging in the
/// wrong mode (M01), and the keywords that cut sessions (D01, D03) on the pair's own server lines.
/// Answers the new file and the findings that are gone.
pub fn fix(document: &Document, context: Context<'_>) -> (Document, Vec<Finding>) {
    let before = lint(document, context);
    let mut fixed = document.clone();
    for finding in &before {
        let line = finding.line.unwrap_or(1);
        match finding.rule.id {
            "F01" => {
                let end = fixed.lines()[line - 1].bytes().len();
                fixed.splice(line, end..end, b"\n");
            }
            "F03" => fixed.splice(1, 0..3, b""),
            "M01" => replace_option(&mut fixed, line, b"tcplog"),
            "D01" => remove_keyword(&mut fixed, &finding.subject, "on-marked-down"),
            "D03" => remove_keyword(&mut fixed, &finding.subject, "on-marked-up"),
            _ => {}
        }
    }
    let after = lint(&fixed, context);
    // One rule and subject may have stood at several lines, and lines do not move here.
    let gone = before.into_iter().filter(|finding| !after.contains(finding)).collect();
    (fixed, gone)
}

fn replace_option(document: &mut Document, line: usize, with: &[u8]) {
    let words = document.lines()[line - 1].words().list;
    let Some(at) = words.iter().position(|word| word.is("httplog")) else { return };
    // What follows, such as `clf`, belongs to the HTTP form.
    let (start, end) = (words[at].start, words[words.len() - 1].end);
    document.splice(line, start..end, with);
}

/// Takes a keyword off the server's own line; one from `default-server` may serve others too.
fn remove_keyword(document: &mut Document, subject: &str, keyword: &str) {
    let name = subject.strip_prefix("server ").and_then(|name| name.split_once('/'));
    let Some((backend, server)) = name else { return };
    let change = ServerChange::RemoveKeyword(keyword.to_owned());
    // A refusal leaves the finding, which is what the caller is told.
    let _ = document.edit_servers(&[ServerEdit::new(backend, server, change)]);
}
