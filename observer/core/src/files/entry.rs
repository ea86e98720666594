//! One line of a manifest: what a host says of one thing in a file set, and how two of them differ.
//!
//! Names are bytes: a file system knows no encoding. They are ordered with two slashes behind them,
//! which no name has inside it, so that a manifest can be sorted as it is written.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Stands between a path and what is said of it.
const APART: &[u8] = b"//";

/// Stands for an owner and group that are the configured ones, whatever their numbers on that host;
/// no account has this number.
pub const OWNER_AS_CONFIGURED: (u32, u32) = (u32::MAX, u32::MAX);

/// What a host says of one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its path below the set's folder; empty for the folder itself.
    pub path: Vec<u8>,
    /// `f` a file, `d` a folder, `l` a link, and `find`'s letters for the rest.
    pub kind: u8,
    /// Its permissions.
    pub mode: u32,
    /// Numbers of its owner and group.
    pub owner: (u32, u32),
    /// Bytes.
    pub size: u64,
    /// When its content last changed, as seconds and nanoseconds since the Unix epoch.
    pub time: (i64, u32),
    /// Whether the account that copies it may read it.
    pub readable: bool,
    /// Where a link leads.
    pub target: Vec<u8>,
}

/// In what a thing differs between the hosts.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, IntoStaticStr, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Aspect {
    /// The slave has none.
    Missing,
    /// Only the slave has one.
    Extra,
    /// A file here and a folder there.
    Kind,
    /// Number of bytes.
    Size,
    /// Time of the last change.
    Time,
    /// The bytes, while size and time are the same.
    Content,
    /// Permissions.
    Mode,
    /// Owner or group.
    Owner,
    /// Where a link leads.
    Target,
}

impl Aspect {
    /// The stable word.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Whether owners are compared: only root can give a file to somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owners {
    /// They must be the same.
    Compared,
    /// Each host has its own.
    Free,
    /// The copy's must be the configured one, whoever the master's is.
    AsConfigured,
}

/// What a copy must be like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Likeness {
    /// Whose it must be.
    pub owners: Owners,
    /// The permissions that a file must have; none: the master's.
    pub mode: Option<u32>,
}

impl From<Owners> for Likeness {
    fn from(owners: Owners) -> Self {
        Self { owners, mode: None }
    }
}

impl Entry {
    /// Reads one record, without the byte that ends it:
    /// `PATH//KIND/MODE/OWNER/GROUP/SIZE/TIME/r/TARGET`. None if it is none.
    pub fn parse(record: &[u8]) -> Option<Self> {
        let at = record.windows(2).position(|two| two == APART)?;
        let (path, rest) = (&record[..at], &record[at + 2..]);
        let mut fields = rest.splitn(8, |byte| *byte == b'/');
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let (kind, mode) = (text()?, u32::from_str_radix(text()?, 8).ok()?);
        let owner = (text()?.parse().ok()?, text()?.parse().ok()?);
        let (size, time) = (text()?.parse().ok()?, text()?);
        let readable = text()? == "r";
        let target = fields.next()?;
        let &[kind] = kind.as_bytes() else { return None };
        let (seconds, part) = time.split_once('.').unwrap_or((time, "0"));
        let nanoseconds = format!("{part:0<9}").get(..9)?.parse().ok()?;
        Some(Self {
            path: path.to_vec(),
            kind,
            mode,
            owner,
            size,
            time: (seconds.parse().ok()?, nanoseconds),
            readable,
            target: target.to_vec(),
        })
    }

    /// The record that [`parse`](Self::parse) reads.
    pub fn record(&self) -> Vec<u8> {
        let Self { path, kind, mode, owner: (user, group), size, time, readable, target } = self;
        let (seconds, nanoseconds) = time;
        let (kind, read) = (char::from(*kind), if *readable { 'r' } else { 'u' });
        let said =
            format!("{kind}/{mode:o}/{user}/{group}/{size}/{seconds}.{nanoseconds:09}/{read}/");
        [path, APART, said.as_bytes(), target].concat()
    }

    /// True for what has bytes to compare.
    pub fn is_file(&self) -> bool {
        self.kind == b'f'
    }

    /// True for a folder.
    pub fn is_folder(&self) -> bool {
        self.kind == b'd'
    }

    /// In what the slave's copy differs, by all that a manifest says. Size and time of a folder are
    /// its file system's own; a link has the time of its making and no permissions. Times are those
    /// of rsync, which brings no file again for a part of a second: a finer look would tell of
    /// differences that no pass mends.
    pub fn differs(&self, copy: &Self, like: impl Into<Likeness>) -> Vec<Aspect> {
        let Likeness { owners, mode } = like.into();
        if self.kind != copy.kind {
            return vec![Aspect::Kind];
        }
        let file = self.is_file();
        let link = self.kind == b'l';
        let owner = match owners {
            Owners::Compared => Some(self.owner),
            Owners::Free => None,
            Owners::AsConfigured => Some(OWNER_AS_CONFIGURED),
        };
        let amiss = [
            (Aspect::Size, file && self.size != copy.size),
            (Aspect::Time, file && self.time.0 != copy.time.0),
            (Aspect::Mode, !link && copy.mode != mode.unwrap_or(self.mode)),
            (Aspect::Owner, owner.is_some_and(|owner| copy.owner != owner)),
            (Aspect::Target, link && self.target != copy.target),
        ];
        amiss.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect()
    }

    /// Its state in a few words; nothing of its content.
    pub fn state(&self) -> String {
        let Self { kind, mode, owner: (user, group), size, time: (seconds, part), .. } = self;
        let kind = match kind {
            b'f' => "file",
            b'd' => "folder",
            b'l' => "link",
            _ => "special file",
        };
        let bytes = if self.is_file() { format!(", {size} bytes") } else { String::new() };
        let owner = match (*user, *group) {
            OWNER_AS_CONFIGURED => "as configured".to_owned(),
            (user, group) => format!("{user}:{group}"),
        };
        format!("{kind}{bytes}, mode {mode:o}, owner {owner}, changed {seconds}.{part:09}")
    }
}

/// The order in which manifests are sorted, and lists of names are.
pub fn order(one: &[u8], other: &[u8]) -> Ordering {
    one.iter().chain(APART).cmp(other.iter().chain(APART))
}

/// Bytes of a name that one line shows.
const SHOWN_MAX: usize = 300;

/// A name fit to be shown: what is no letter, digit or mark that a terminal draws stands there as
/// its code. The folder itself is a dot.
pub fn name_text(path: &[u8]) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let mut text = String::new();
    for chunk in path[..path.len().min(SHOWN_MAX)].utf8_chunks() {
        for character in chunk.valid().chars() {
            let plain = character.is_alphanumeric() || character.is_ascii_punctuation();
            match character {
                '\\' => text.push_str("\\\\"),
                ' ' => text.push(' '),
                _ if plain => text.push(character),
                _ => text.extend(character.escape_default()),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    if path.len() > SHOWN_MAX {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = b"a b/c\nd \xff//f/644/0/33/12/1700000000.1234567890/r/";

    #[test]
    fn any_name_is_read_and_written_again() {
        let entry = Entry::parse(RECORD).unwrap();
        assert_eq!(entry.path, b"a b/c\nd \xff");
        assert_eq!((entry.kind, entry.mode, entry.owner), (b'f', 0o644, (0, 33)));
        assert_eq!((entry.size, entry.time), (12, (1_700_000_000, 123_456_789)));
        assert_eq!(Entry::parse(&entry.record()).unwrap(), entry);
        let link = Entry::parse(b"l//l/777/0/0/9/5.5/u/../x//y/z").unwrap();
        assert_eq!((link.target.as_slice(), link.readable), (&b"../x//y/z"[..], false));
        assert_eq!(link.time, (5, 500_000_000));
        assert_eq!(Entry::parse(&link.record()).unwrap(), link);
        assert_eq!(Entry::parse(b"//d/755/0/0/4096/1.0/r/").unwrap().path, b"");
        for broken in [&b"name"[..], b"a//f/9/0/0/1/1.0/r/", b"a//f/644/0/0/1/1.0/r", b""] {
            assert_eq!(Entry::parse(broken), None, "{}", String::from_utf8_lossy(broken));
        }
    }

    #[test]
    fn names_are_shown_without_harm_and_apart() {
        assert_eq!(name_text(b"a b/\xc3\xa4 'x' $HOME"), "a b/ä 'x' $HOME");
        assert_eq!(name_text(b"a\nb\x1b[2J\xff\\"), "a\\nb\\u{1b}[2J\\xff\\\\");
        assert_eq!(name_text("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(name_text(b""), ".");
        assert!(name_text(&[b'x'; 4_000]).len() < 400);
    }

    #[test]
    fn the_order_is_that_of_the_records() {
        let names: [&[u8]; 8] = [b"", b"a", b"a ", b"a b", b"a-", b"a/b", b"a/ b", b"\xff"];
        let record = |name: &[u8]| [name, b"//f/644/0/0/1/1.0/r/"].concat();
        for one in names {
            for other in names {
                let expected = record(one).cmp(&record(other));
                assert_eq!(order(one, other), expected, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn only_what_a_copy_can_have_is_compared() {
        let file = Entry::parse(RECORD).unwrap();
        assert_eq!(file.differs(&file, Owners::Compared), []);
        let finer = Entry { time: (file.time.0, 0), ..file.clone() };
        assert_eq!(file.differs(&finer, Owners::Compared), []);
        let touched = Entry { time: (1, 0), mode: 0o600, owner: (1, 1), ..file.clone() };
        let all = [Aspect::Time, Aspect::Mode, Aspect::Owner];
        assert_eq!(file.differs(&touched, Owners::Compared), all);
        assert_eq!(file.differs(&touched, Owners::Free), all[..2]);
        let mode = Some(0o600);
        let like = Likeness { owners: Owners::AsConfigured, mode };
        assert_eq!(file.differs(&touched, like), [Aspect::Time, Aspect::Owner]);
        let configured = Entry { mode: 0o600, owner: OWNER_AS_CONFIGURED, ..file.clone() };
        assert_eq!(file.differs(&configured, like), []);
        assert_eq!(file.differs(&file, like), [Aspect::Mode, Aspect::Owner]);
        let folder = Entry { kind: b'd', ..file.clone() };
        let other = Entry { size: 1, time: (1, 0), ..folder.clone() };
        assert_eq!(folder.differs(&other, Owners::Compared), []);
        assert_eq!(file.differs(&folder, Owners::Compared), [Aspect::Kind]);
        let link = Entry { kind: b'l', target: b"a".to_vec(), ..file };
        let other = Entry { target: b"b".to_vec(), time: (1, 0), mode: 0o700, ..link.clone() };
        assert_eq!(link.differs(&other, Owners::Compared), [Aspect::Target]);
    }
}
