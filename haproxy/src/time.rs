//! Times as HAProxy writes them.

/// Milliseconds of a time such as `500`, `500ms`, `10s`, `1m`; a bare number has milliseconds.
/// None for what HAProxy would refuse, and for what does not fit.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    match &text[end..] {
        "us" => Some(number.div_ceil(1_000)),
        "" | "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_haproxys() {
        for (text, ms) in [
            ("500", Some(500)),
            ("1500us", Some(2)),
            ("2s", Some(2_000)),
            ("1m", Some(60_000)),
            ("1d", Some(86_400_000)),
            ("", None),
            ("1w", None),
            ("99999999999999999999", None),
            ("999999999999999999d", None),
        ] {
            assert_eq!(milliseconds(text), ms, "{text}");
        }
    }
}
