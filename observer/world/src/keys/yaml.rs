//! Keys of the first document of a YAML file. A segment of the key names a member, or counts in a
//! list from 0. References (`*name`) and merged tables are not followed.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use zeroize::Zeroizing;

use super::{Format, KeyError, Place, below, malformed};

pub(super) fn find(text: &str, key: &str) -> Result<Option<Place>, KeyError> {
    let mut events = Vec::new();
    for event in Parser::new_from_str(text) {
        let event = event.map_err(|error| malformed(Format::Yaml, Some(error.marker().line())))?;
        let ends = event.0 == Event::DocumentEnd;
        if !matches!(event.0, Event::StreamStart | Event::DocumentStart(_)) {
            events.push(event);
        }
        if ends {
            break;
        }
    }
    let mut walk = Walk { events: &events, at: 0 };
    let Some(found) = walk.node(Some(key)) else { return Ok(None) };
    let (value, span) = match &events[found] {
        (Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..), _) => {
            return Err(KeyError::ByHand);
        }
        (Event::Scalar(value, ..), span) => (value, span),
        (Event::Alias(_), _) => return Err(KeyError::ByHand),
        _ => return Err(KeyError::NoSingleValue),
    };
    let (start, end) = (byte(text, span.start.index()), byte(text, span.end.index()));
    let span = start..end.max(start);
    Ok(Some(Place { span, value: Zeroizing::new(value.to_string()) }))
}

/// The parser counts characters.
fn byte(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

/// Whether a value is written on one line, so that it means the same at another place.
pub(super) fn is_plain_writing(writing: &str) -> bool {
    !writing.contains(['\n', '\r'])
}

struct Walk<'e, 't> {
    events: &'e [(Event<'t>, Span)],
    at: usize,
}

impl Walk<'_, '_> {
    /// Goes past one node. Returns the event of the node that `rest` leads to; `rest` is none where
    /// nothing is looked for below.
    fn node(&mut self, rest: Option<&str>) -> Option<usize> {
        let (event, _) = self.events.get(self.at)?;
        self.at += 1;
        match event {
            Event::MappingStart(..) => self.mapping(rest),
            Event::SequenceStart(..) => self.sequence(rest),
            _ => None,
        }
    }

    fn mapping(&mut self, rest: Option<&str>) -> Option<usize> {
        let mut found = None;
        while let Some((event, _)) = self.events.get(self.at) {
            let name = match event {
                Event::MappingEnd => break,
                Event::Scalar(name, ..) => name.to_string(),
                _ => String::new(),
            };
            self.node(None);
            let value = self.at;
            match rest.and_then(|rest| below(rest, &name)) {
                Some(None) => {
                    self.node(None);
                    found = Some(value);
                }
                Some(Some(left)) => found = self.node(Some(left)).or(found),
                None => {
                    self.node(None);
                }
            }
        }
        self.at += 1;
        found
    }

    fn sequence(&mut self, rest: Option<&str>) -> Option<usize> {
        let segment = rest.map(|rest| {
            rest.split_once('.').map_or((rest, None), |(index, left)| (index, Some(left)))
        });
        let wanted = segment.and_then(|(index, _)| index.parse::<usize>().ok());
        let mut found = None;
        let mut index = 0;
        while let Some((event, _)) = self.events.get(self.at) {
            if *event == Event::SequenceEnd {
                break;
            }
            let value = self.at;
            match (wanted == Some(index), segment.and_then(|(_, left)| left)) {
                (true, None) => {
                    self.node(None);
                    found = Some(value);
                }
                (true, left) => found = self.node(left),
                (false, _) => {
                    self.node(None);
                }
            }
            index += 1;
        }
        self.at += 1;
        found
    }
}
