//! Reads what `pg_controldata` prints, and the history files of timelines.
//!
//! It runs nothing. The words are those of PostgreSQL 13 to 17 in the C locale.

use observer_core::words::{Lsn, Timeline};

/// What a control file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    /// The state, in PostgreSQL's words.
    pub(crate) state: String,
    /// Where the record of the latest checkpoint begins.
    pub(crate) checkpoint: Lsn,
    /// Its timeline.
    pub(crate) timeline: Timeline,
    /// Up to where a standby's pages may have come.
    pub(crate) pages_up_to: Lsn,
}

impl Control {
    /// Reads the program's output; says which line is missing.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value = |name: &str| {
            let of_line = |line: &str| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            };
            let found = text.lines().find_map(of_line);
            found.ok_or_else(|| format!("pg_controldata says nothing of \"{name}\""))
        };
        let position = |name: &str| {
            let text = value(name)?;
            lsn(&text).ok_or_else(|| format!("pg_controldata: {name}: {text} is no position"))
        };
        let number = |name: &str| {
            let text = value(name)?;
            text.parse().map_err(|_| format!("pg_controldata: {name}: {text} is no number"))
        };
        let timeline: u64 = number("Latest checkpoint's TimeLineID")?;
        Ok(Self {
            state: value("Database cluster state")?,
            checkpoint: position("Latest checkpoint location")?,
            timeline: Timeline(u32::try_from(timeline).unwrap_or(0)),
            pages_up_to: position("Minimum recovery ending location")?,
        })
    }

    /// Whether a primary was shut down in order: its checkpoint is then the last it wrote.
    pub(crate) fn was_shut_down(&self) -> bool {
        self.state == "shut down"
    }

    /// Whether a standby was shut down in order.
    pub(crate) fn was_shut_down_in_recovery(&self) -> bool {
        self.state == "shut down in recovery"
    }
}

/// Where each earlier timeline of `timeline`'s history was left, from its history file as
/// `grep -H` prints it.
pub(crate) fn left_at(text: &str, timeline: Timeline) -> Vec<(Timeline, Lsn)> {
    let file = format!("{:08X}.history:", timeline.0);
    let read = |line: &str| {
        let (_, entry) = line.split_once(&file)?;
        let mut words = entry.split_whitespace();
        let left = words.next()?.parse().ok()?;
        Some((Timeline(left), lsn(words.next()?)?))
    };
    text.lines().filter_map(read).collect()
}

/// A position as PostgreSQL prints it.
pub(crate) fn lsn(text: &str) -> Option<Lsn> {
    let (high, low) = text.split_once('/')?;
    let part = |text| u32::from_str_radix(text, 16).ok();
    Some(Lsn(u64::from(part(high)?) << 32 | u64::from(part(low)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHUT_DOWN: &str = "\
pg_control version number:            1300
Catalog version number:               202209061
Database system identifier:           7451188190146021000
Database cluster state:               shut down
pg_control last modified:             Sat Nov 21 10:03:11 2026
Latest checkpoint location:           0/5000028
Latest checkpoint's REDO location:    0/5000028
Latest checkpoint's REDO WAL file:    000000010000000000000005
Latest checkpoint's TimeLineID:       1
Latest checkpoint's PrevTimeLineID:   1
Minimum recovery ending location:     0/0
Min recovery ending loc's timeline:   0
Bytes per WAL segment:                16777216
";

    #[test]
    fn a_control_file_is_read() {
        let control = Control::parse(SHUT_DOWN).unwrap();
        assert!(control.was_shut_down() && !control.was_shut_down_in_recovery());
        assert_eq!((control.checkpoint, control.timeline), (Lsn(0x500_0028), Timeline(1)));
        let standby = SHUT_DOWN.replace("shut down", "shut down in recovery");
        let standby = Control::parse(&standby).unwrap();
        assert!(standby.was_shut_down_in_recovery() && !standby.was_shut_down());
        let crashed = SHUT_DOWN.replace("shut down", "in production");
        assert!(!Control::parse(&crashed).unwrap().was_shut_down());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let without = SHUT_DOWN.replace("Latest checkpoint location", "Letzter Checkpoint");
        let why = Control::parse(&without).unwrap_err();
        assert!(why.contains("Latest checkpoint location"), "{why}");
        let odd = SHUT_DOWN.replace("0/5000028", "nowhere");
        assert!(Control::parse(&odd).is_err());
        assert!(Control::parse("").is_err());
    }

    #[test]
    fn a_history_says_where_timelines_were_left() {
        let text = "/d/pg_wal/00000002.history:1\t0/3000000\tno recovery target specified\n\
                    /d/pg_wal/00000003.history:1\t0/3000000\tno recovery target specified\n\
                    /d/pg_wal/00000003.history:2\t1/4000000\tno recovery target specified\n";
        let expected = [(Timeline(1), Lsn(0x300_0000)), (Timeline(2), Lsn(0x1_0400_0000))];
        assert_eq!(left_at(text, Timeline(3)), expected);
        assert_eq!(left_at(text, Timeline(2)), expected[..1]);
        assert_eq!(left_at(text, Timeline(1)), []);
    }

    #[test]
    fn a_position_is_two_numbers_of_32_bits() {
        assert_eq!(lsn("16/B374D848"), Some(Lsn(0x16_B374_D848)));
        assert_eq!(lsn("0/0"), Some(Lsn(0)));
        assert_eq!(lsn("1/123456789"), None);
        assert_eq!(lsn("x"), None);
    }
}
