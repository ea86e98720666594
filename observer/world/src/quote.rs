//! The one place where arguments become a line for a remote POSIX shell.
//!
//! It builds no shell syntax: no pipes, no redirections, no expansion. A caller that needs those
//! writes a constant script and hands the values over as `sh -c script name value…`.
//! The remote login shell must be a POSIX shell; csh and fish read quotes differently.

/// Why an argument vector cannot become a command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// There is not even a program name.
    #[error("the command is empty")]
    Empty,
    /// No shell can carry a NUL byte in an argument.
    #[error("argument {index} holds a NUL byte")]
    Nul {
        /// Position in the vector; 0 is the program.
        index: usize,
    },
}

/// Quotes `argv` so that a POSIX shell runs the program `argv[0]` with exactly these bytes as its
/// arguments.
pub fn quote<A: AsRef<[u8]>>(argv: &[A]) -> Result<Vec<u8>, QuoteError> {
    if argv.is_empty() {
        return Err(QuoteError::Empty);
    }
    let mut line = Vec::new();
    for (index, word) in argv.iter().enumerate() {
        let word = word.as_ref();
        if word.contains(&0) {
            return Err(QuoteError::Nul { index });
        }
        if index > 0 {
            line.push(b' ');
        }
        // An unquoted `a=b` or `if` in front would be an assignment or a keyword, not a program.
        let plain = if index == 0 { is_plain_program(word) } else { is_plain(word) };
        if plain {
            line.extend_from_slice(word);
        } else {
            push_quoted(&mut line, word);
        }
    }
    Ok(line)
}

/// Words that begin shell syntax when they stand first and bare.
const KEYWORDS: &[&str] = &[
    "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in",
    "select", "then", "time", "until", "while",
];

fn is_plain(word: &[u8]) -> bool {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(byte);
    !word.is_empty() && word.iter().all(safe)
}

fn is_plain_program(word: &[u8]) -> bool {
    is_plain(word)
        && !word.contains(&b'=')
        && !KEYWORDS.iter().any(|keyword| keyword.as_bytes() == word)
}

fn push_quoted(line: &mut Vec<u8>, word: &[u8]) {
    line.push(b'\'');
    for &byte in word {
        if byte == b'\'' {
            line.extend_from_slice(br"'\''");
        } else {
            line.push(byte);
        }
    }
    line.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    fn quoted(argv: &[&str]) -> String {
        String::from_utf8(quote(argv).unwrap()).unwrap()
    }

    /// What a real `/bin/sh` hands to a program that is called with `words`.
    fn through_shell(words: &[Vec<u8>]) -> Vec<u8> {
        let mut argv: Vec<&[u8]> = vec![b"printf", br"%s\000"];
        argv.extend(words.iter().map(Vec::as_slice));
        let line = quote(&argv).unwrap();
        let output = Command::new("/bin/sh").arg("-c").arg(OsStr::from_bytes(&line)).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    #[test]
    fn plain_words_stay_readable() {
        let line = quoted(&["sudo", "-n", "systemctl", "stop", "postgresql@15-main.service"]);
        assert_eq!(line, "sudo -n systemctl stop postgresql@15-main.service");
        assert_eq!(quoted(&["printf", "%s", "it's", ""]), r"printf %s 'it'\''s' ''");
    }

    #[test]
    fn keywords_and_assignments_are_programs_not_syntax() {
        assert_eq!(quoted(&["if"]), "'if'");
        assert_eq!(quoted(&["A=b", "A=b"]), "'A=b' A=b");
        let output = Command::new("/bin/sh").arg("-c").arg(quoted(&["while"])).output().unwrap();
        assert_eq!(output.status.code(), Some(127), "a missing program, not a syntax error");
    }

    #[test]
    fn what_no_shell_can_carry_is_refused() {
        assert_eq!(quote::<&str>(&[]), Err(QuoteError::Empty));
        assert_eq!(quote(&["a", "b\0c"]), Err(QuoteError::Nul { index: 1 }));
    }

    #[test]
    fn every_single_byte_round_trips() {
        let words: Vec<Vec<u8>> = (1..=255u8).map(|byte| vec![byte]).collect();
        let expected: Vec<u8> = (1..=255u8).flat_map(|byte| [byte, 0]).collect();
        assert_eq!(through_shell(&words), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn any_arguments_round_trip(
            words in proptest::collection::vec(proptest::collection::vec(1..=255u8, 0..40), 1..8)
        ) {
            let expected: Vec<u8> =
                words.iter().flat_map(|word| word.iter().copied().chain([0])).collect();
            prop_assert_eq!(through_shell(&words), expected);
        }
    }
}
