//! What is wrong in a configuration file, and how a person puts it right.
//!
//! It does not look for anything itself: `section` and the readers above it do.

use std::fmt;
use std::path::PathBuf;

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weight {
    /// It cannot work: the file is rejected.
    Wrong,
    /// It works, and is hardly what was meant.
    Odd,
}

/// One thing that is wrong in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    /// The file.
    pub(crate) file: PathBuf,
    /// The line it is about, counted from 1; none if it is about the file as a whole.
    pub(crate) line: Option<usize>,
    /// The key with its tables (`policy.interval`); empty if it is about the file as a whole.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) problem: String,
    /// What to do about it.
    pub(crate) fix: String,
    /// How much it weighs.
    pub(crate) weight: Weight,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        let odd = if self.weight == Weight::Odd { "odd: " } else { "" };
        write!(f, ": {odd}{}", self.problem)?;
        if !self.fix.is_empty() {
            write!(f, "\n    fix: {}", self.fix)?;
        }
        Ok(())
    }
}

/// Everything that is wrong in a set of files; never empty when it is an error.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}
