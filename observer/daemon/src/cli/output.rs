//! The only place that writes to the terminal.
//!
//! Colour and aligned tables only where a person looks at them; elsewhere fields are separated by
//! tabs. A reader that goes away (`| head`) ends the process quietly.

use std::io::{self, IsTerminal, Write};

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
        for row in rows {
            text.push_str(&line(&mut row.iter().map(String::as_str)));
            text.push('\n');
        }
        text
    }
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
    fn hostile_text_cannot_move_the_cursor() {
        assert_eq!(one_line("a\x1b[2Jb\nc"), "a [2Jb c");
    }
}
