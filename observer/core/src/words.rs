//! The names and numbers everything else is said in.
//!
//! Nothing here decides anything; these are types that keep one meaning from being
//! passed where another was meant.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl Ord for $name {
            /// By name; copies of one name are equal without a look at it.
            fn cmp(&self, other: &Self) -> Ordering {
                if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Wraps a configured name.
            pub fn new(name: &str) -> Self {
                Self(Arc::from(name))
            }

            /// The name as configured.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|name| Self(Arc::from(name)))
            }
        }
    };
}

name_type! {
    /// A machine's fixed, configured name. Never named by its role, because roles move.
    HostName
}
name_type! {
    /// A HAProxy machine's configured name.
    ProxyName
}
name_type! {
    /// A PgBouncer's configured name.
    BouncerName
}
name_type! {
    /// The name of the hosts, proxies and policy that are judged together.
    PairName
}
name_type! {
    /// A service's configured name (not its systemd unit).
    ServiceName
}
name_type! {
    /// The configured name of a set of files that the slave keeps a copy of.
    FileSetName
}
name_type! {
    /// The configured name of a mount that the hosts share.
    MountName
}

/// A moment, in milliseconds since the Unix epoch as the shell that drives the core counts them.
///
/// The shell must never let it run backwards: it is derived from a monotonic clock.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct At(pub u64);

impl At {
    /// Milliseconds from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: At) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `ms` milliseconds later.
    pub fn plus(self, ms: u64) -> At {
        At(self.0.saturating_add(ms))
    }
}

/// Our counter of changes of master. It is in the journal and on every effect; an effect with an
/// older epoch than the hosts or the journal know is refused.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of the next change of master.
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A position in PostgreSQL's write-ahead log, in bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Bytes from `self` up to `ahead`; zero if `ahead` is not ahead.
    pub fn behind(self, ahead: Lsn) -> u64 {
        ahead.0.saturating_sub(self.0)
    }
}

impl fmt::Display for Lsn {
    /// PostgreSQL's own notation: the high and low 32 bits in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// PostgreSQL's timeline identifier (TLI); grows by one at every promotion.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timeline(pub u32);

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of a plan, unique within its pair and growing.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PlanId(pub u64);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Bytes as a person reads them: the largest binary unit that leaves a number of at least one.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, size) in UNITS {
        if bytes >= size {
            return format!("{:.1} {unit}", bytes as f64 / size as f64);
        }
    }
    format!("{bytes} B")
}

/// Milliseconds as a person reads them.
pub fn human_ms(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms} ms"),
        1_000..=119_999 => format!("{:.1} s", ms as f64 / 1_000.0),
        120_000..=7_199_999 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// Cells of the bar in [`human_progress`].
const BAR: u64 = 20;

/// How far copying has come, as a person reads it: a bar, percent, the time that is left at the
/// speed so far, the speed, and how much. `done` and `total` are bytes; without a total there is
/// no bar and no estimate.
pub fn human_progress(done: u64, total: Option<u64>, elapsed_ms: u64) -> String {
    let per_second = u128::from(done) * 1_000 / u128::from(elapsed_ms.max(1));
    let speed = format!("{}/s", human_bytes(u64::try_from(per_second).unwrap_or(u64::MAX)));
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("{} copied, {speed}", human_bytes(done));
    };
    // An estimate of the total, as PostgreSQL makes one, can be too small.
    let done = done.min(total);
    let share = |of: u64| (u128::from(done) * u128::from(of) / u128::from(total)) as u64;
    let (cells, percent) = (share(BAR) as usize, share(100));
    let bar = "#".repeat(cells) + &"-".repeat(BAR as usize - cells);
    let left_ms = (u128::from(total - done) * 1_000).checked_div(per_second);
    let left = left_ms.and_then(|ms| u64::try_from(ms).ok());
    let left = left.map_or_else(|| "no estimate yet".to_owned(), |ms| human_ms(ms) + " left");
    let (done, total) = (human_bytes(done), human_bytes(total));
    format!("[{bar}] {percent} %, {left}, {speed}, {done} of {total}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_bar_with_an_estimate() {
        let half = human_progress(512 << 20, Some(1 << 30), 10_000);
        assert_eq!(
            half,
            "[##########----------] 50 %, 10.0 s left, 51.2 MiB/s, 512.0 MiB of 1.0 GiB"
        );
        let begun = human_progress(0, Some(1 << 30), 300);
        assert_eq!(begun, "[--------------------] 0 %, no estimate yet, 0 B/s, 0 B of 1.0 GiB");
        let past = human_progress(3 << 30, Some(2 << 30), 0);
        assert!(past.starts_with("[####################] 100 %, 0 ms left"), "{past}");
        assert_eq!(human_progress(1 << 20, None, 2_000), "1.0 MiB copied, 512.0 KiB/s");
    }

    #[test]
    fn an_lsn_prints_as_postgresql_prints_it() {
        assert_eq!(Lsn(0x16_B374_D848).to_string(), "16/B374D848");
        assert_eq!(Lsn(0).to_string(), "0/0");
    }

    #[test]
    fn sizes_and_times_read_like_a_sentence() {
        assert_eq!(human_bytes(512), "512 B");
        assert_eq!(human_bytes(16 << 20), "16.0 MiB");
        assert_eq!(human_ms(350), "350 ms");
        assert_eq!(human_ms(2_400), "2.4 s");
        assert_eq!(human_ms(600_000), "10 min");
    }
}
