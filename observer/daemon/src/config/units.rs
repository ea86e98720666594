//! Times and sizes as a person writes them: `"500ms"`, `"16MiB"`.
//!
//! A bare number is refused: nobody remembers at 3 a.m. whether 30 meant seconds or minutes.

// What is written back is the last name of a unit.
const TIMES: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Reads a time such as `500ms`, `1.5s`, `10min`, `2h`, `7d`; in milliseconds.
pub(crate) fn time_ms(text: &str) -> Result<u64, String> {
    read(text, TIMES, "a time", "500ms, 10s, 5min, 2h or 7d")
}

/// Reads a size such as `16MiB`; in bytes.
pub(crate) fn size_bytes(text: &str) -> Result<u64, String> {
    read(text, SIZES, "a size", "512KiB, 16MiB or 1GiB")
}

/// Writes milliseconds in the largest unit that loses nothing.
pub(crate) fn write_time(ms: u64) -> String {
    write(ms, &TIMES.iter().rev().collect::<Vec<_>>(), "ms")
}

fn write(value: u64, units: &[&(&str, u64)], smallest: &str) -> String {
    let whole = units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    whole.map_or_else(
        || format!("{value}{smallest}"),
        |(unit, factor)| format!("{}{unit}", value / factor),
    )
}

fn read(text: &str, units: &[(&str, u64)], what: &str, such_as: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim());
    let not_one = || format!("\"{text}\" is not {what}; write it like {such_as}");
    if unit.is_empty() {
        return Err(format!("\"{text}\" has no unit; write {what} like {such_as}"));
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or_else(not_one)?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(*factor).ok_or_else(not_one);
    }
    let value: f64 = number.parse().map_err(|_| not_one())?;
    let scaled = value * *factor as f64;
    if scaled.is_finite() && scaled < 1e15 { Ok(scaled.round() as u64) } else { Err(not_one()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_with_their_units() {
        assert_eq!(time_ms("500ms"), Ok(500));
        assert_eq!(time_ms("1.5s"), Ok(1_500));
        assert_eq!(time_ms("2 h"), Ok(7_200_000));
        assert_eq!(time_ms("2m"), time_ms("2min"));
        assert_eq!(write_time(120_000), "2min");
        assert_eq!(size_bytes("16MiB"), Ok(16 << 20));
        assert_eq!(size_bytes("0B"), Ok(0));
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_an_example() {
        let why = time_ms("30").unwrap_err();
        assert_eq!(why, "\"30\" has no unit; write a time like 500ms, 10s, 5min, 2h or 7d");
        assert!(size_bytes("16mb").is_err());
        assert!(time_ms("1.2.3s").is_err());
        assert!(time_ms("99999999999999999999h").is_err());
        assert!(time_ms("").is_err());
    }

    #[test]
    fn a_written_time_reads_back() {
        for ms in [0, 1, 500, 1_000, 1_500, 60_000, 7_200_000, 86_400_000] {
            assert_eq!(time_ms(&write_time(ms)), Ok(ms));
        }
    }
}
