//! Makes remote bytes fit to be shown: bounded, valid UTF-8, no control characters.
//!
//! Whatever another machine says is hostile until it has passed here. It does not interpret the
//! text; the parsers of the other modules read the raw bytes.

use sha2::{Digest, Sha256};

/// The longest remote text that goes into one error or log line, in bytes.
pub const SHOWN_BYTES_MAX: usize = 400;

/// Turns remote `bytes` into one line that is safe for a log, a terminal and an error text.
///
/// Runs of white space and of control characters become one space, invalid UTF-8 becomes the
/// replacement character, and what is longer than [`SHOWN_BYTES_MAX`] ends in `…`.
pub fn shown(bytes: &[u8]) -> String {
    // Eight times the limit leaves room for padding that collapses, and bounds the work.
    let head = &bytes[..bytes.len().min(SHOWN_BYTES_MAX * 8)];
    let mut line = String::with_capacity(head.len().min(SHOWN_BYTES_MAX));
    let mut gap = false;
    let mut cut = head.len() < bytes.len();
    for character in String::from_utf8_lossy(head).chars() {
        if character.is_control() || character.is_whitespace() || is_invisible(character) {
            gap = !line.is_empty();
            continue;
        }
        if line.len() + character.len_utf8() + usize::from(gap) > SHOWN_BYTES_MAX {
            cut = true;
            break;
        }
        if gap {
            line.push(' ');
            gap = false;
        }
        line.push(character);
    }
    if cut {
        line.push('…');
    }
    line
}

/// The checksum of a file's content, as `sha256sum` prints it.
pub fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Marks that change how the rest of a line is drawn: they could make an error say its opposite.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_and_line_ends_do_not_survive() {
        assert_eq!(shown(b"\x1b[2Jroot\r\n\tis  here\0\xff"), "[2Jroot is here \u{fffd}");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a b");
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        let line = shown(&vec![b'x'; 100_000_000]);
        assert_eq!(line.len(), SHOWN_BYTES_MAX + '…'.len_utf8());
        assert!(line.ends_with('…'));
    }

    proptest! {
        #[test]
        fn any_bytes_become_one_bounded_line(
            bytes in proptest::collection::vec(any::<u8>(), 0..9000)
        ) {
            let line = shown(&bytes);
            prop_assert!(line.len() <= SHOWN_BYTES_MAX + '…'.len_utf8());
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
