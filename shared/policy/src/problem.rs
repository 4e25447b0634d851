//! What is wrong with a policy file, and exactly where. Knows the text alone, neither Cedar nor the rules' meaning.

use core::fmt;

/// Outside text inside a message is cut to this many characters.
const QUOTE_LEN_MAX: usize = 64;

/// One thing wrong (or, in the list of warnings, doubtful) at one place of one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyProblem {
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    pub message: String,
    pub help: Option<String>,
}

impl PolicyProblem {
    /// A problem of the file at a byte offset of its text.
    pub(crate) fn at(source: Source<'_>, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = source.line_and_column(offset);
        Self {
            file: source.name.to_owned(),
            line,
            column,
            message: message.into(),
            help: None,
        }
    }

    #[must_use]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// `file:line:column: message`, and the help in parentheses.
impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
            help,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")?;
        match help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PolicyProblem {}

/// One file as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// Both from 1; an offset past the end is the end, one inside a character is that character.
    fn line_and_column(self, offset: usize) -> (u32, u32) {
        let mut line = 1u32;
        let mut column = 1u32;
        for (at, character) in self.text.char_indices() {
            if at + character.len_utf8() > offset {
                break;
            }
            if character == '\n' {
                line = line.saturating_add(1);
                column = 1;
            } else {
                column = column.saturating_add(1);
            }
        }
        (line, column)
    }
}

/// Outside text for a message: in backticks, without control characters, cut to a bound.
pub(crate) fn quoted(text: &str) -> String {
    let mut cut: String = text
        .chars()
        .take(QUOTE_LEN_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(QUOTE_LEN_MAX).is_some() {
        cut.push('…');
    }
    format!("`{cut}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_becomes_a_line_and_a_column_in_characters() {
        let source = Source {
            name: "a.cedar",
            text: "ab\nçd\n",
        };
        let at = |offset| source.line_and_column(offset);
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 2));
        assert_eq!(at(3), (2, 1));
        assert_eq!(at(4), (2, 1), "inside the two bytes of ç");
        assert_eq!(at(5), (2, 2));
        assert_eq!(at(99), (3, 1), "past the end");
    }

    #[test]
    fn outside_text_in_a_message_is_cut_and_harmless() {
        assert_eq!(quoted("a\u{1b}b"), "`a\u{fffd}b`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), QUOTE_LEN_MAX + 3);
    }
}
