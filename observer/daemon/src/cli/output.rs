//! The only place that writes to the terminal.
//!
//! Colour and aligned tables only where a person looks at them; elsewhere fields are separated by
//! tabs. A reader that goes away (`| head`) ends the process quietly.

use std::io::{self, IsTerminal, Write};

/// How wide a terminal is taken to be.
pub(super) const COLUMNS: usize = 80;

/// How narrow the last column of a table may become before it is indented less.
const NARROWEST: usize = 12;

/// Colours that carry a meaning; the words say the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warn,
    Faint,
    Strong,
}

/// How text is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// With colour and aligned tables.
    Coloured,
    /// Aligned tables without colour.
    Aligned,
    /// Tabs only.
    Plain,
}

impl Look {
    /// What fits where standard output goes.
    pub(crate) fn of_stdout() -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match (io::stdout().is_terminal(), no_colour) {
            (true, false) => Look::Coloured,
            (true, true) => Look::Aligned,
            (false, _) => Look::Plain,
        }
    }

    /// `text` in a tone, where colours are shown.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if self != Look::Coloured {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "1;32",
            Tone::Bad => "1;31",
            Tone::Warn => "33",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Rows under a heading, a line each.
    pub(crate) fn table(self, heading: &[&str], rows: &[Vec<String>]) -> String {
        if self == Look::Plain {
            return rows.iter().map(|row| row.join("\t") + "\n").collect();
        }
        let mut widths: Vec<usize> = heading.iter().map(|word| word.chars().count()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded: Vec<String> =
                cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            format!("  {}", padded.join("  ")).trim_end().to_owned()
        };
        let head = line(&mut heading.iter().copied());
        let mut text = self.paint(Tone::Faint, &head) + "\n";
        // A long last cell goes on below its own beginning.
        let last: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
        for row in rows {
            let line = line(&mut row.iter().map(String::as_str));
            let indent = if last + NARROWEST < COLUMNS { last } else { NARROWEST };
            text.push_str(&wrap(&line, indent, self));
            text.push('\n');
        }
        text
    }
}

/// Breaks `text` between words into lines of at most [`COLUMNS`], where a person looks at it; lines
/// after the first are indented by `indent` more than the first one is.
pub(crate) fn wrap(text: &str, indent: usize, look: Look) -> String {
    if look == Look::Plain {
        return text.to_owned();
    }
    let own = text.len() - text.trim_start_matches(' ').len();
    let hanging = " ".repeat(own + indent);
    let mut out = String::new();
    let mut column = 0;
    for (index, word) in text.split(' ').enumerate() {
        let width = visible(word);
        if index > 0 && width > 0 && column > hanging.len() && column + 1 + width > COLUMNS {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            out.push_str(&hanging);
            column = hanging.len();
        } else if index > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}

/// How many columns a text takes: colours take none.
fn visible(text: &str) -> usize {
    let mut columns = 0;
    let mut in_colour = false;
    for c in text.chars() {
        match (in_colour, c) {
            (false, '\x1b') => in_colour = true,
            (true, 'm') => in_colour = false,
            (true, _) => {}
            (false, _) => columns += 1,
        }
    }
    columns
}

/// Writes to standard output. A reader that went away is no error of ours: the process ends.
pub(crate) fn print(text: &str) {
    write_all(&mut io::stdout().lock(), text);
}

/// Writes a line for the person at the terminal, beside what a program reads.
pub(crate) fn say(text: &str) {
    write_all(&mut io::stderr().lock(), &format!("{text}\n"));
}

fn write_all(out: &mut impl Write, text: &str) {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(why) = written {
        let code = if why.kind() == io::ErrorKind::BrokenPipe { 0 } else { 1 };
        std::process::exit(code);
    }
}

/// A word made safe for one line of a terminal: what remote machines said is printed, too.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_for_people_and_tabbed_for_programs() {
        let rows = vec![vec!["node-a".to_owned(), "master".to_owned()]];
        let aligned = Look::Aligned.table(&["HOST", "ROLE"], &rows);
        assert_eq!(aligned, "  HOST    ROLE\n  node-a  master\n");
        assert_eq!(Look::Plain.table(&["HOST", "ROLE"], &rows), "node-a\tmaster\n");
    }

    #[test]
    fn long_lines_break_between_words_and_go_on_indented() {
        let text = format!("  next: {}", "word ".repeat(20).trim_end());
        let wrapped = wrap(&text, 6, Look::Aligned);
        let lines: Vec<&str> = wrapped.lines().collect();
        assert!(lines.iter().all(|line| line.len() <= COLUMNS), "{wrapped}");
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with("        word"), "{wrapped}");
        assert_eq!(lines.join(" ").split_whitespace().count(), 21, "nothing is lost");
        assert_eq!(wrap(&text, 6, Look::Plain), text, "programs read lines");
    }

    #[test]
    fn colours_take_no_columns_and_a_word_that_is_too_long_stays_whole() {
        let painted = Look::Coloured.paint(Tone::Bad, &"x".repeat(COLUMNS));
        assert_eq!(wrap(&painted, 2, Look::Coloured), painted);
        let long = format!("fix: {}", "y".repeat(2 * COLUMNS));
        assert_eq!(wrap(&long, 2, Look::Aligned), format!("fix:\n  {}", "y".repeat(2 * COLUMNS)));
    }

    #[test]
    fn hostile_text_cannot_move_the_cursor() {
        assert_eq!(one_line("a\x1b[2Jb\nc"), "a [2Jb c");
    }
}
