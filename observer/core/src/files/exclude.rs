//! What belongs to a set, by names as rsync reads its patterns: what is never copied is never
//! missed.

/// Where a pass keeps what it has not finished; no part of any set.
const PARTIAL: &[u8] = b".ha-observer-partial";

/// The patterns of one set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excludes {
    left_out: Vec<Pattern>,
    /// Where the set is made of single files: their names and patterns, and nothing else of the
    /// folder, nor the folder itself.
    only: Option<Vec<Vec<u8>>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Pattern {
    glob: Vec<u8>,
    /// It begins at the set's folder, and not at any folder in it.
    anchored: bool,
    folders_only: bool,
}

impl Excludes {
    /// Reads the patterns of what a folder leaves out.
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
        Self { left_out: patterns.iter().map(pattern).collect(), only: None }
    }

    /// The same for a set of single files: everything else that lies beside them is left out.
    #[must_use]
    pub fn only(self, files: &[String]) -> Self {
        let files = files.iter().map(|file| file.as_bytes().to_vec()).collect();
        Self { only: Some(files), ..self }
    }

    /// Whether the thing at `path`, or a folder above it, is left out.
    pub fn leave_out(&self, path: &[u8], is_folder: bool) -> bool {
        if let Some(only) = &self.only {
            let single = !path.is_empty() && !path.contains(&b'/') && !is_folder;
            if !single || !only.iter().any(|file| glob(file, path)) {
                return true;
            }
        }
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let above = ends.map(|end| (&path[..end], true));
        above.chain([(path, is_folder)]).any(|(path, is_folder)| {
            let own = |pattern: &Pattern| pattern.matches(path, is_folder);
            path.rsplit(|byte| *byte == b'/').next() == Some(PARTIAL)
                || self.left_out.iter().any(own)
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

/// Whether one name can be meant by both patterns of names.
pub fn can_meet(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([b'*', rest @ ..], text) | (text, [b'*', rest @ ..]) => {
            (0..=text.len()).any(|at| can_meet(rest, &text[at..]))
        }
        ([a, one @ ..], [b, other @ ..]) => {
            (a == b || *a == b'?' || *b == b'?') && can_meet(one, other)
        }
        _ => false,
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

    /// Neither the folder, nor a folder in it, nor what lies beside them.
    #[test]
    fn single_files_are_all_that_is_in_their_set() {
        let files = ["licence.lic", "*.job"].map(str::to_owned);
        let excludes = Excludes::new(&["draft-*".to_owned()]).only(&files);
        for (path, is_folder, left_out) in [
            ("licence.lic", false, false),
            ("a.job", false, false),
            (".a.job", false, false),
            ("draft-1.job", false, true),
            ("licence.lic2", false, true),
            ("a.job", true, true),
            ("a.job/b.job", false, true),
            ("neighbour", false, true),
            ("", true, true),
        ] {
            assert_eq!(excludes.leave_out(path.as_bytes(), is_folder), left_out, "{path}");
        }
    }

    #[test]
    fn patterns_that_can_mean_one_name_are_told() {
        for (one, other, meet) in [
            ("a.job", "a.job", true),
            ("*.job", "a.job", true),
            ("*.job", "a*", true),
            ("a?", "?b", true),
            ("*", "?", true),
            ("a.job", "b.job", false),
            ("*.job", "*.lic", false),
            ("a?", "a", false),
            ("x*", "y*", false),
        ] {
            assert_eq!(can_meet(one.as_bytes(), other.as_bytes()), meet, "{one} {other}");
            assert_eq!(can_meet(other.as_bytes(), one.as_bytes()), meet, "{other} {one}");
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
