//! What a set leaves out, as rsync reads its patterns: what is never copied is never missed.

/// Where a pass keeps what it has not finished; no part of any set.
const PARTIAL: &[u8] = b".ha-observer-partial";

/// The patterns of one set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excludes(Vec<Pattern>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Pattern {
    glob: Vec<u8>,
    /// It begins at the set's folder, and not at any folder in it.
    anchored: bool,
    folders_only: bool,
}

impl Excludes {
    /// Reads the patterns.
    pub fn new(patterns: &[String]) -> Self {
        let pattern = |text: &String| {
            let glob = text.strip_suffix("/***").unwrap_or(text);
            let folders_only = glob.ends_with('/') || text.ends_with("/***");
            Pattern {
                anchored: glob.starts_with('/'),
                folders_only,
                glob: glob.trim_matches('/').as_bytes().to_vec(),
            }
        };
        Self(patterns.iter().map(pattern).collect())
    }

    /// Whether the thing at `path`, or a folder above it, is left out.
    pub fn leave_out(&self, path: &[u8], is_folder: bool) -> bool {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let above = ends.map(|end| (&path[..end], true));
        above.chain([(path, is_folder)]).any(|(path, is_folder)| {
            let own = |pattern: &Pattern| pattern.matches(path, is_folder);
            path.rsplit(|byte| *byte == b'/').next() == Some(PARTIAL) || self.0.iter().any(own)
        })
    }
}

impl Pattern {
    fn matches(&self, path: &[u8], is_folder: bool) -> bool {
        if path.is_empty() || (self.folders_only && !is_folder) {
            return false;
        }
        let starts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut starts = [0].into_iter().chain(starts.map(|(at, _)| at + 1));
        match self.anchored {
            true => glob(&self.glob, path),
            false => starts.any(|start| glob(&self.glob, &path[start..])),
        }
    }
}

/// `?` and `*` stop at a slash, `**` does not.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        [b'*', rest @ ..] => {
            let room = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            (0..=room).any(|at| glob(rest, &text[at..]))
        }
        [b'?', rest @ ..] => {
            text.first().is_some_and(|byte| *byte != b'/') && glob(rest, &text[1..])
        }
        [byte, rest @ ..] => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, left_out: &[&str], kept: &[&str]) {
        let excludes = Excludes::new(&[pattern.to_owned()]);
        for (paths, expected) in [(left_out, true), (kept, false)] {
            for path in paths {
                let (path, folder) = match path.strip_suffix('/') {
                    Some(path) => (path, true),
                    None => (*path, false),
                };
                assert_eq!(excludes.leave_out(path.as_bytes(), folder), expected, "{path}");
            }
        }
    }

    #[test]
    fn patterns_mean_what_rsync_takes_them_for() {
        check("*.tmp", &["a.tmp", "x/y/a.tmp", "d.tmp/inside"], &["a.tmp2", "tmp", ""]);
        check("/cache", &["cache", "cache/x", "cache/"], &["x/cache", "caches"]);
        check("cache/", &["cache/", "x/cache/", "x/cache/y"], &["cache", "x/cache"]);
        check("a/b", &["a/b", "x/a/b/c"], &["a/x/b", "xa/b"]);
        check("/a/*/c", &["a/b/c"], &["a/b/b/c", "x/a/b/c"]);
        check("/a/**/c", &["a/b/c", "a/b/b/c"], &["a/c"]);
        check("old/***", &["old/", "old/x", "y/old/x/z"], &["old", "older/"]);
        check("v?", &["v1", "x/v2"], &["v", "v12"]);
        check("none", &[".ha-observer-partial/", "x/.ha-observer-partial/y"], &["ha-observer"]);
    }
}
