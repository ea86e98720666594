//! What the demonstration prints, and how: plain text, colours on a terminal only.
//!
//! It knows nothing of machines. Lines that change in place exist on a terminal only; elsewhere
//! their last state is printed once.

use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

/// Colours that carry a meaning; the words say the same.
#[derive(Clone, Copy)]
pub(crate) enum Tone {
    Strong,
    Good,
    Bad,
    Faint,
}

/// Columns of a command's output, without the bar before it.
const OUTPUT_COLUMNS: usize = 94;
/// Columns of a moment, without its time.
const MOMENT_COLUMNS: usize = 84;

/// Where the story is told.
pub(crate) struct Screen {
    is_terminal: bool,
    acts: u32,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { is_terminal: stdout().is_terminal(), acts: 0 }
    }

    /// The heading of the next act.
    pub(crate) fn act(&mut self, title: &str) {
        self.acts += 1;
        let line = format!("── {}. {title} ", self.acts);
        let rule = "─".repeat(78_usize.saturating_sub(line.chars().count()));
        self.line(&format!("\n{}", self.paint(Tone::Strong, &(line + &rule))));
        self.line("");
    }

    /// Text of the narrator, which brings its own line breaks; an empty one is an empty line.
    pub(crate) fn say(&self, text: &str) {
        for line in text.split('\n') {
            self.line(format!("  {line}").trim_end());
        }
    }

    /// A command as it would be typed.
    pub(crate) fn typed(&self, command: &str) {
        self.line("");
        self.line(&format!("  {}", self.paint(Tone::Strong, &format!("$ {command}"))));
    }

    /// Output of a command; long lines are broken between words.
    pub(crate) fn output(&self, text: &str) {
        let bar = self.paint(Tone::Faint, "│");
        for line in text.lines() {
            for part in wrap(line, OUTPUT_COLUMNS) {
                self.line(format!("  {bar} {part}").trim_end());
            }
        }
    }

    /// A moment of the story, by its time after the blow.
    pub(crate) fn moment(&self, after_ms: i64, tone: Tone, text: &str) {
        let time = format!("{:>+7.3} s", seconds(after_ms));
        let mut parts = wrap(text, MOMENT_COLUMNS).into_iter();
        let first = self.paint(tone, &parts.next().unwrap_or_default());
        self.line(&format!("  {}  {first}", self.paint(Tone::Faint, &time)));
        for part in parts {
            self.line(&format!("             {}", self.paint(tone, &part)));
        }
    }

    /// What belongs to the moment before.
    pub(crate) fn detail(&self, text: &str) {
        self.line(&format!("               {}", self.paint(Tone::Faint, text)));
    }

    /// A line that the next one replaces; nothing where nobody looks.
    pub(crate) fn live(&self, text: &str) {
        if self.is_terminal {
            self.raw(&format!("\r\x1b[K  {text}"));
        }
    }

    /// The last state of such a line.
    pub(crate) fn settle(&self, text: &str) {
        if self.is_terminal {
            self.raw("\r\x1b[K");
        }
        self.say(text);
    }

    /// A pause to read; short where nobody looks.
    pub(crate) fn breathe(&self) {
        let ms = if self.is_terminal { 2_500 } else { 200 };
        std::thread::sleep(Duration::from_millis(ms));
    }

    /// `text` in a tone, where colours are shown.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.is_terminal {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Strong => "1",
            Tone::Good => "1;32",
            Tone::Bad => "1;31",
            Tone::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn line(&self, text: &str) {
        self.raw(&format!("{text}\n"));
    }

    /// A reader that went away is no error of ours; the machines still have to be removed.
    fn raw(&self, text: &str) {
        let mut out = stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a demonstration lasts minutes")]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// Breaks a line between words; what follows the first part is indented two more than it.
fn wrap(line: &str, columns: usize) -> Vec<String> {
    let width = |text: &str| text.chars().filter(|letter| !letter.is_control()).count();
    if width(line) <= columns {
        return vec![line.to_owned()];
    }
    let indent = line.len() - line.trim_start().len();
    let mut parts = Vec::new();
    let mut part = " ".repeat(indent);
    for word in line.trim_start().split(' ') {
        if !part.trim().is_empty() && width(&part) + width(word) >= columns {
            parts.push(std::mem::replace(&mut part, " ".repeat(indent + 2)));
        }
        if !part.trim().is_empty() {
            part.push(' ');
        }
        part.push_str(word);
    }
    parts.push(part);
    parts
}
