//! Keys of a TOML file. A segment of the key names a member, or counts in a list from 0.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::{Format, KeyError, Place, below, malformed};

pub(super) fn find(text: &str, key: &str) -> Result<Option<Place>, KeyError> {
    let table = DeTable::parse(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        malformed(Format::Toml, line)
    })?;
    let Some(found) = in_table(table.get_ref(), key) else { return Ok(None) };
    let span = found.span();
    let value = match found.get_ref() {
        DeValue::String(value) => value.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => return Err(KeyError::NoSingleValue),
        _ => text.get(span.clone()).unwrap_or_default().to_owned(),
    };
    Ok(Some(Place { span, value: Zeroizing::new(value) }))
}

type Found<'d, 't> = Option<&'d Spanned<DeValue<'t>>>;

fn in_table<'d, 't>(table: &'d DeTable<'t>, rest: &str) -> Found<'d, 't> {
    table.iter().find_map(|(name, value)| match below(rest, name.get_ref())? {
        None => Some(value),
        Some(left) => in_value(value, left),
    })
}

fn in_value<'d, 't>(value: &'d Spanned<DeValue<'t>>, rest: &str) -> Found<'d, 't> {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, rest),
        DeValue::Array(items) => {
            let (index, left) = rest.split_once('.').map_or((rest, None), |(i, l)| (i, Some(l)));
            let item = items.get(index.parse::<usize>().ok()?)?;
            left.map_or(Some(item), |left| in_value(item, left))
        }
        _ => None,
    }
}
