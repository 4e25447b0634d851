//! A place in the stream, as text. Any gateway reads any gateway's cursor.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::CURSOR_CHARS_MAX;
use crate::form::{FormError, forms, from_versioned, to_versioned};
use crate::text::cut;

/// The version of cursors that is written; no other is read, and a client with another gets a snapshot.
const CURSOR_VERSION: u8 = 1;

/// Up to where decisions were sent, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The log it is of; a cursor of another log is void.
    pub log: u64,
    /// The next offset to read, for each partition of the decisions.
    pub positions: Vec<u64>,
    /// What it was made for: [`super::Filter::hash`].
    pub filter: u64,
}

forms! {
    struct Cursor { log, positions, filter }
}

/// Why a text is no cursor.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    #[error("a cursor of {len} characters is too long; at most {CURSOR_CHARS_MAX} are read")]
    TooLong { len: usize },
    #[error("`{text}` is no cursor: it is not base64url")]
    NotBase64 {
        text: String,
        #[source]
        source: base64::DecodeError,
    },
    #[error("`{text}` is no cursor")]
    Damaged {
        text: String,
        #[source]
        source: FormError,
    },
}

impl Cursor {
    /// base64url without padding.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(to_versioned(self, CURSOR_VERSION))
    }

    pub fn parse(text: &str) -> Result<Self, CursorError> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(CursorError::TooLong { len: text.len() });
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|source| CursorError::NotBase64 {
                text: cut(text),
                source,
            })?;
        from_versioned(&bytes, "cursor", CURSOR_VERSION).map_err(|source| CursorError::Damaged {
            text: cut(text),
            source,
        })
    }

    /// True when it lies nowhere before the other: the same log and filter, and no position that is less.
    pub fn is_at_or_past(&self, other: &Self) -> bool {
        self.log == other.log
            && self.filter == other.filter
            && self.positions.len() == other.positions.len()
            && self
                .positions
                .iter()
                .zip(&other.positions)
                .all(|(own, theirs)| own >= theirs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_of_another_kind_is_refused_by_name() {
        let cursor = Cursor {
            log: 7,
            positions: vec![0, 300],
            filter: 9,
        };
        assert_eq!(cursor.to_text(), "AQcCAKwCCQ");
        for (text, error) in [
            (
                "AQcCAKwCCQ==",
                "`AQcCAKwCCQ==` is no cursor: it is not base64url",
            ),
            ("AQcCAKwC", "`AQcCAKwC` is no cursor"),
            ("", "`` is no cursor"),
            ("AgcCAKwCCQ", "`AgcCAKwCCQ` is no cursor"),
        ] {
            assert_eq!(Cursor::parse(text).unwrap_err().to_string(), error);
        }
        let other_version = Cursor::parse("AgcCAKwCCQ").unwrap_err();
        let source = std::error::Error::source(&other_version)
            .unwrap()
            .to_string();
        assert_eq!(
            source,
            "a cursor of version 2 cannot be read; versions up to 1 can"
        );
    }

    #[test]
    fn a_cursor_is_past_another_only_everywhere_and_for_the_same_stream() {
        let at = |positions: &[u64]| Cursor {
            log: 1,
            positions: positions.to_vec(),
            filter: 2,
        };
        assert!(at(&[3, 3]).is_at_or_past(&at(&[3, 2])));
        assert!(!at(&[4, 1]).is_at_or_past(&at(&[3, 2])));
        assert!(!at(&[3]).is_at_or_past(&at(&[3, 2])));
        let other = Cursor {
            log: 2,
            ..at(&[3, 3])
        };
        assert!(!other.is_at_or_past(&at(&[3, 2])));
    }

    proptest! {
        #[test]
        fn every_cursor_reads_back(log: u64, filter: u64, positions: Vec<u64>) {
            let cursor = Cursor { log, positions, filter };
            prop_assert_eq!(Cursor::parse(&cursor.to_text()).unwrap(), cursor);
        }

        #[test]
        fn no_text_makes_the_reader_fall_over(text in "[A-Za-z0-9_-]{0,60}") {
            let _read = Cursor::parse(&text);
        }
    }
}
