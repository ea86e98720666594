//! Keys of a JSON file. A segment of the key names a member, or counts in a list from 0.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Format, KeyError, Place, below, malformed};

pub(super) fn find(text: &str, key: &str) -> Result<Option<Place>, KeyError> {
    let whole: &RawValue = serde_json::from_str(text)
        .map_err(|error: serde_json::Error| malformed(Format::Json, Some(error.line())))?;
    let Some(raw) = walk(whole, key)? else { return Ok(None) };
    let written = raw.get();
    let start = written.as_ptr().addr() - text.as_ptr().addr();
    let value = match serde_json::from_str::<Value>(written) {
        Ok(Value::String(value)) => value,
        Ok(Value::Array(_) | Value::Object(_)) => return Err(KeyError::NoSingleValue),
        Ok(_) => written.to_owned(),
        Err(_) => return Err(malformed(Format::Json, None)),
    };
    Ok(Some(Place { span: start..start + written.len(), value: Zeroizing::new(value) }))
}

fn walk<'t>(raw: &'t RawValue, rest: &str) -> Result<Option<&'t RawValue>, KeyError> {
    let broken = |_| malformed(Format::Json, None);
    match raw.get().as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &'t RawValue> =
                serde_json::from_str(raw.get()).map_err(broken)?;
            // A longer key is the more exact one: of `a.b` and `a`, `a.b` is meant by `a.b`.
            for (name, value) in members.iter().rev() {
                match below(rest, name) {
                    Some(None) => return Ok(Some(value)),
                    Some(Some(left)) => {
                        if let Some(found) = walk(value, left)? {
                            return Ok(Some(found));
                        }
                    }
                    None => {}
                }
            }
            Ok(None)
        }
        Some(b'[') => {
            let items: Vec<&'t RawValue> = serde_json::from_str(raw.get()).map_err(broken)?;
            let (index, left) = rest.split_once('.').map_or((rest, None), |(i, l)| (i, Some(l)));
            let item = index.parse::<usize>().ok().and_then(|index| items.get(index).copied());
            match (item, left) {
                (Some(item), Some(left)) => walk(item, left),
                (item, _) => Ok(item),
            }
        }
        _ => Ok(None),
    }
}
