//! The words behind a server's address: which are keywords and which are their values.
//!
//! The table exists because `disabled` may also be a value (`cookie disabled`). A keyword that it
//! does not hold is kept as unknown, and what follows it is not guessed at.

use crate::word::Word;

/// One keyword of a `server` or `default-server` line with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyword<'a> {
    /// The keyword itself.
    pub word: Word<'a>,
    /// Its values; for an unknown keyword everything up to the next known one.
    pub values: Vec<Word<'a>>,
    /// Whether the keyword is one that HAProxy 2.4 to 3.x knows.
    pub known: bool,
}

impl Keyword<'_> {
    /// Whether expanding a variable in it could bring forth words that are keywords.
    pub(crate) fn may_hide_keywords(&self) -> bool {
        let expands = |word: &Word<'_>| word.variable && word.text.ends_with(b"[*]}");
        self.word.variable || self.values.iter().any(expands)
    }
}

/// How a keyword that can be edited is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Flag,
    Valued,
}

/// The shape of a known keyword; none for `source`, whose values vary.
pub(crate) fn shape(name: &str) -> Option<Shape> {
    if FLAGS.binary_search(&name.as_bytes()).is_ok() {
        Some(Shape::Flag)
    } else if VALUED.binary_search(&name.as_bytes()).is_ok() {
        Some(Shape::Valued)
    } else {
        None
    }
}

/// The flag that undoes a flag, as `no-check` does `check`.
pub(crate) fn opposite(name: &str) -> Option<String> {
    let other = match name {
        "enabled" => "disabled".to_owned(),
        "disabled" => "enabled".to_owned(),
        "stick" => "non-stick".to_owned(),
        "non-stick" => "stick".to_owned(),
        _ => name.strip_prefix("no-").map_or_else(|| format!("no-{name}"), str::to_owned),
    };
    (shape(&other) == Some(Shape::Flag)).then_some(other)
}

/// Splits keyword words into keywords. HAProxy stops at an empty word, and so does this.
pub(crate) fn keywords<'a>(words: &[Word<'a>]) -> Vec<Keyword<'a>> {
    let end = words.iter().position(|word| word.text.is_empty()).unwrap_or(words.len());
    let words = &words[..end];
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let word = &words[at];
        let rest = &words[at + 1..];
        let arity = arity(word);
        let count = match arity {
            Some(Arity::Exactly(count)) => count.min(rest.len()),
            Some(Arity::Source) => source_values(rest),
            None => rest.iter().position(is_known).unwrap_or(rest.len()),
        };
        let values = rest[..count].to_vec();
        found.push(Keyword { word: word.clone(), values, known: arity.is_some() });
        at += 1 + count;
    }
    found
}

/// Whether the word is a known keyword.
pub(crate) fn is_known(word: &Word<'_>) -> bool {
    arity(word).is_some()
}

enum Arity {
    Exactly(usize),
    /// `source <address> [usesrc <address> | interface <name>]`.
    Source,
}

fn arity(word: &Word<'_>) -> Option<Arity> {
    if word.variable {
        return None;
    }
    let text: &[u8] = &word.text;
    if text == b"source" {
        Some(Arity::Source)
    } else if FLAGS.binary_search(&text).is_ok() {
        Some(Arity::Exactly(0))
    } else if VALUED.binary_search(&text).is_ok() || text.starts_with(b"set-proxy-v2-tlv-fmt(") {
        Some(Arity::Exactly(1))
    } else {
        None
    }
}

fn source_values(rest: &[Word<'_>]) -> usize {
    let has_option = rest.get(1).is_some_and(|word| word.is("usesrc") || word.is("interface"));
    let wanted = if has_option { 3 } else { 1 };
    wanted.min(rest.len())
}

#[rustfmt::skip]
const FLAGS: &[&[u8]] = &[
    b"agent-check", b"allow-0rtt", b"backup", b"check", b"check-reuse-pool", b"check-send-proxy",
    b"check-ssl", b"check-via-socks4", b"disabled", b"enabled", b"force-sslv3", b"force-tlsv10",
    b"force-tlsv11", b"force-tlsv12", b"force-tlsv13", b"ktls", b"no-agent-check", b"no-backup",
    b"no-check", b"no-check-reuse-pool", b"no-check-send-proxy", b"no-check-ssl",
    b"no-renegotiate", b"no-send-proxy", b"no-send-proxy-v2", b"no-send-proxy-v2-ssl",
    b"no-send-proxy-v2-ssl-cn", b"no-sni-auto", b"no-ssl", b"no-ssl-reuse", b"no-sslv3",
    b"no-strict-maxconn", b"no-tfo", b"no-tls-tickets", b"no-tlsv10", b"no-tlsv11", b"no-tlsv12",
    b"no-tlsv13", b"no-verifyhost", b"non-stick", b"renegotiate", b"send-proxy",
    b"send-proxy-v2", b"send-proxy-v2-ssl", b"send-proxy-v2-ssl-cn", b"ssl", b"ssl-reuse",
    b"stick", b"strict-maxconn", b"tfo", b"tls-tickets",
];

#[rustfmt::skip]
const VALUED: &[&[u8]] = &[
    b"addr", b"agent-addr", b"agent-inter", b"agent-port", b"agent-send", b"alpn", b"ca-file",
    b"cc", b"check-alpn", b"check-pool-conn-name", b"check-proto", b"check-sni", b"ciphers",
    b"ciphersuites", b"client-sigalgs", b"cookie", b"crl-file", b"crt", b"curves", b"downinter",
    b"error-limit", b"fall", b"fastinter", b"guid", b"hash-key", b"healthcheck", b"id",
    b"idle-ping", b"init-addr", b"init-state", b"inter", b"log-bufsize", b"log-proto",
    b"max-reuse", b"maxconn", b"maxqueue", b"minconn", b"namespace", b"npn", b"observe",
    b"on-error", b"on-marked-down", b"on-marked-up", b"pool-conn-name", b"pool-low-conn",
    b"pool-max-conn", b"pool-purge-delay", b"port", b"proto", b"proxy-v2-options", b"quic-cc-algo",
    b"redir", b"resolve-net", b"resolve-opts", b"resolve-prefer", b"resolvers", b"rise", b"shard",
    b"sigalgs", b"slowstart", b"sni", b"socks4", b"ssl-max-ver", b"ssl-min-ver",
    b"tcp-md5sig", b"tcp-ut", b"track", b"verify", b"verifyhost", b"weight", b"ws",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::split;

    fn shapes(line: &str) -> Vec<String> {
        let words = split(line.as_bytes()).list;
        keywords(&words)
            .iter()
            .map(|keyword| {
                let values: Vec<String> = keyword.values.iter().map(Word::to_text).collect();
                let mark = if keyword.known { "" } else { "?" };
                format!("{}{mark}({})", keyword.word.to_text(), values.join(","))
            })
            .collect()
    }

    #[test]
    fn tables_can_be_searched_and_do_not_overlap() {
        for table in [FLAGS, VALUED] {
            for pair in table.windows(2) {
                assert!(pair[0] < pair[1], "{}", pair[0].escape_ascii());
            }
        }
        assert!(FLAGS.iter().all(|flag| VALUED.binary_search(flag).is_err()));
    }

    #[test]
    fn values_are_not_keywords() {
        assert_eq!(shapes("cookie disabled check"), ["cookie(disabled)", "check()"]);
        assert_eq!(
            shapes("source 0.0.0.0 usesrc client disabled source 1.1.1.1 check"),
            ["source(0.0.0.0,usesrc,client)", "disabled()", "source(1.1.1.1)", "check()"]
        );
    }

    #[test]
    fn an_unknown_keyword_reaches_to_the_next_known_one() {
        assert_eq!(shapes("warp 5 check x"), ["warp?(5)", "check()", "x?()"]);
        assert_eq!(shapes("weight"), ["weight()"]);
        assert_eq!(shapes("check \"\" disabled"), ["check()"]);
    }
}
