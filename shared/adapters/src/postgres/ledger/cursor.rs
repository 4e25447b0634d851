//! Where a page ended, as opaque text: the sort key of its last entry. Knows no tables.

use caerus_runtime::port::{Page, PortError, PortErrorKind, PortResult};

use super::PAGE_LEN_MAX;

/// What of a wrong cursor is shown in its error. *Units*: characters.
const SHOWN_CHARS: usize = 64;

/// *Shape*: on the outside hex of `<number>.<text>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) number: i64,
    pub(super) text: String,
}

impl Cursor {
    pub(super) fn new(number: i64, text: impl Into<String>) -> Self {
        Self {
            number,
            text: text.into(),
        }
    }

    /// *Errors*: `Refused` when a caller sends what no page ended with.
    pub(super) fn parse(outside: &str) -> PortResult<Self> {
        Self::decode(outside).ok_or_else(|| {
            let shown: String = outside.chars().take(SHOWN_CHARS).collect();
            PortError::new(
                PortErrorKind::Refused,
                format!("continue a list at `{shown}`, because no page ended with that"),
            )
        })
    }

    fn decode(outside: &str) -> Option<Self> {
        let inside = String::from_utf8(hex::decode(outside).ok()?).ok()?;
        let (number, text) = inside.split_once('.')?;
        Some(Self::new(number.parse().ok()?, text))
    }

    pub(super) fn to_text(&self) -> String {
        hex::encode(format!("{}.{}", self.number, self.text))
    }
}

/// How many entries a page has for what was asked.
pub(super) fn page_len(asked: u32) -> usize {
    usize::try_from(asked.clamp(1, PAGE_LEN_MAX)).unwrap_or(1)
}

/// How many rows tell whether a page of `len` entries is the last.
pub(super) fn rows_wanted(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX).saturating_add(1)
}

/// A page of `entries`, which hold one more than `len` where the list goes on.
pub(super) fn page<T>(
    mut entries: Vec<T>,
    len: usize,
    cursor_of: impl Fn(&T) -> Cursor,
) -> Page<T> {
    let goes_on = entries.len() > len;
    entries.truncate(len);
    let next = entries
        .last()
        .filter(|_| goes_on)
        .map(|last| cursor_of(last).to_text());
    Page { entries, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_whatever_the_text_holds() {
        let cursor = Cursor::new(-5, "d-1.2\u{1f}é");
        assert_eq!(Cursor::parse(&cursor.to_text()).unwrap(), cursor);
    }

    #[test]
    fn a_cursor_that_no_page_ended_with_is_refused_and_named() {
        for wrong in ["", "xyz", "00", &hex::encode("no-number.x")] {
            let error = Cursor::parse(wrong).unwrap_err();
            assert_eq!(error.kind, PortErrorKind::Refused);
            assert!(error.operation.contains(&format!("`{wrong}`")), "{error}");
        }
    }

    #[test]
    fn a_page_has_between_one_and_the_most_entries() {
        assert_eq!([0, 1, 20, 9_999].map(page_len), [1, 1, 20, 500]);
    }
}
