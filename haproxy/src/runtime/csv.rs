//! Comma-separated text as HAProxy writes it: quotes around a field that needs them, doubled
//! inside. Broken quoting is read to its end, never an error.

/// Splits a text into records of fields; a quoted field may hold commas and line ends.
pub(super) fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut field = String::new();
    let mut in_quotes = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if in_quotes && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => record.push(std::mem::take(&mut field)),
            '\n' if !in_quotes => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            _ => field.push(char),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_and_line_ends() {
        assert_eq!(
            records("a,\"b,\"\"c\"\"\nd\",e\n\nf"),
            [vec!["a", "b,\"c\"\nd", "e"], vec![""], vec!["f"]]
        );
        assert_eq!(records("a,\"open\nb"), [["a", "open\nb"]]);
    }
}
