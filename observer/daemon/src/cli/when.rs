//! A later moment, as a person types it.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use observer_core::words::{At, human_ms};

/// Furthest moment: what is ordered for a year ahead is a typing mistake.
const AHEAD_MAX_MS: u64 = 365 * 24 * 3_600_000;

/// Reads a moment after `now`: `2026-11-21T23:00:00Z`, `23:00` (the next one, local time), or
/// `in 2h`.
pub(super) fn due(text: &str, now: At) -> Result<At, String> {
    due_in(text, now, &TimeZone::system())
}

/// How far ahead a moment is.
pub(super) fn ahead(due: At, now: At) -> String {
    let minutes = due.since(now) / 60_000;
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => format!("in {}", human_ms(due.since(now))),
        (0, 0, minutes) => format!("in {minutes} min"),
        (0, hours, minutes) => format!("in {hours} h {minutes} min"),
        (days, hours, _) => format!("in {days} d {hours} h"),
    }
}

fn due_in(text: &str, now: At, zone: &TimeZone) -> Result<At, String> {
    let due = read(text.trim(), now, zone).ok_or_else(|| {
        format!(
            "--at {text} cannot be read\n  fix: write it like 2026-11-21T23:00:00Z, 23:00 or \
             \"in 2h\""
        )
    })?;
    if due <= now {
        return Err(format!("--at {text} is past\n  fix: name a later moment"));
    }
    if due.since(now) > AHEAD_MAX_MS {
        return Err(format!("--at {text} is more than a year ahead\n  fix: name a nearer moment"));
    }
    Ok(due)
}

fn read(text: &str, now: At, zone: &TimeZone) -> Option<At> {
    if let Some(span) = text.strip_prefix("in ") {
        return crate::config::time_ms(span.trim()).ok().map(|ms| now.plus(ms));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return at(moment);
    }
    let time: Time = text.parse().ok().filter(|_| text.contains(':'))?;
    let local = Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?;
    let local = local.to_zoned(zone.clone());
    let today = local.date().to_datetime(time).to_zoned(zone.clone()).ok()?;
    let next = if today > local {
        today
    } else {
        let tomorrow = local.date().checked_add(1.day()).ok()?;
        tomorrow.to_datetime(time).to_zoned(zone.clone()).ok()?
    };
    at(next.timestamp())
}

fn at(moment: Timestamp) -> Option<At> {
    u64::try_from(moment.as_millisecond()).ok().map(At)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 12:00 UTC.
    const NOON: At = At(1_795_262_400_000);
    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_moment_a_clock_time_and_a_time_ahead_are_read() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let read = |text| due_in(text, NOON, &zone);
        assert_eq!(read("2026-11-21T23:00:00Z"), Ok(NOON.plus(11 * HOUR)));
        assert_eq!(read("23:00"), Ok(NOON.plus(10 * HOUR)), "today, in the local zone");
        assert_eq!(read("12:30"), Ok(NOON.plus(23 * HOUR + HOUR / 2)), "tomorrow");
        assert_eq!(read("in 2h"), Ok(NOON.plus(2 * HOUR)));
    }

    #[test]
    fn what_is_past_or_cannot_be_read_is_refused_with_an_example() {
        for text in ["2026-11-21T11:00:00Z", "in 0s", "tonight", "23", "2h", "in 900d"] {
            assert!(due(text, NOON).unwrap_err().contains("fix:"), "{text}");
        }
    }

    #[test]
    fn what_is_ahead_is_told_in_the_words_of_a_clock() {
        assert_eq!(ahead(NOON.plus(2 * HOUR), NOON), "in 2 h 0 min");
        assert_eq!(ahead(NOON.plus(50 * HOUR), NOON), "in 2 d 2 h");
        assert_eq!(ahead(NOON.plus(5 * 60_000), NOON), "in 5 min");
    }
}
