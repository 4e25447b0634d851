//! What goes to people and to pipes: data on stdout, colour and tables only where somebody looks. Knows no command.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use caerus_runtime::config::Environment;
use caerus_wire::decision::LevelName;
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle, presets};

use crate::exit::Ended;

/// Between two columns of a plain table. *Units*: characters.
const PLAIN_GAP: u16 = 2;

/// One rule, under the header.
const RULED: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Whether what is written may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Colour,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Alarm,
    Warning,
    Good,
    Strong,
    Faint,
}

impl Paint {
    /// Colour where stdout is a terminal that knows colours, and `NO_COLOR` does not forbid it.
    pub(crate) fn of_stdout(environment: &Environment) -> Self {
        Self::of(io::stdout().is_terminal(), environment)
    }

    pub(crate) fn of_stderr(environment: &Environment) -> Self {
        Self::of(io::stderr().is_terminal(), environment)
    }

    fn of(is_terminal: bool, environment: &Environment) -> Self {
        let is_dumb = environment.get("TERM").is_none_or(|term| term == "dumb");
        if is_terminal && !is_dumb && !environment.forbids_colour() {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    /// *Source*: ECMA-48, select graphic rendition.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Alarm => "1;31",
            Tone::Warning => "33",
            Tone::Good => "32",
            Tone::Strong => "1",
            Tone::Faint => "2",
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    pub(crate) fn level(self, level: LevelName, text: &str) -> String {
        match level {
            LevelName::Low => text.to_owned(),
            LevelName::Medium => self.tone(Tone::Warning, text),
            LevelName::High => self.tone(Tone::Alarm, text),
        }
    }
}

/// How tables are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Ruled and wrapped to the terminal's width.
    Ruled,
    /// Aligned by blanks, a row a line: for pipes.
    Plain,
}

impl Layout {
    pub(crate) fn of_stdout() -> Self {
        if io::stdout().is_terminal() {
            Self::Ruled
        } else {
            Self::Plain
        }
    }
}

/// Text from outside without what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    let safe = |character: char| {
        if character.is_control() {
            '\u{fffd}'
        } else {
            character
        }
    };
    text.chars().map(safe).collect()
}

/// Rows under a header.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>, layout: Layout) -> String {
    let mut table = Table::new();
    table.set_header(header.to_vec());
    for row in rows {
        let cells = row.iter().map(|cell| printable(cell));
        table.add_row(cells.collect::<Vec<_>>());
    }
    match layout {
        Layout::Ruled => {
            table.load_style(RULED);
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        Layout::Plain => {
            table.force_no_tty();
            table.load_style(presets::NOTHING);
            for column in table.column_iter_mut() {
                column.set_padding((0, PLAIN_GAP));
            }
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Writes all of it to stdout. A reader that has gone (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Ended {
    match write_out(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether anybody still reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    Gone,
}

/// Writes and flushes, so that a pipe's reader sees each line as it comes.
pub(crate) fn write_out(text: &str) -> anyhow::Result<Reader> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error).context("could not write to stdout"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_left_as_it_is_and_colour_ends_where_it_began() {
        assert_eq!(Paint::Plain.tone(Tone::Alarm, "REVOKE"), "REVOKE");
        assert_eq!(
            Paint::Colour.tone(Tone::Alarm, "REVOKE"),
            "\u{1b}[1;31mREVOKE\u{1b}[0m"
        );
    }

    #[test]
    fn a_plain_table_is_a_row_a_line_without_rules() {
        let rows = vec![vec!["a".to_owned(), "bb\nb".to_owned()]];
        assert_eq!(
            table(&["ONE", "TWO"], rows, Layout::Plain),
            "ONE  TWO\na    bb\u{fffd}b\n"
        );
    }

    #[test]
    fn text_from_outside_gives_a_terminal_no_orders() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\n"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}"
        );
    }
}
