//! Moments as text: RFC 3339 with milliseconds and `Z`. Knows no clock.

use std::borrow::Cow;

use caerus_engine::time::Timestamp;
use jiff::fmt::temporal::DateTimeParser;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The first moment an event may name: 2000-01-01T00:00:00Z.
pub const EARLIEST: Timestamp = Timestamp(946_684_800_000);
/// The last moment an event may name: 2100-12-31T23:59:59.999Z.
pub const LATEST: Timestamp = Timestamp(4_133_980_799_999);

/// 0000-01-01T00:00:00Z, the first moment that has a text.
const FIRST_WITH_TEXT_MS: i64 = -62_167_219_200_000;

/// Where the parts of an RFC 3339 text stand: `d` for a digit, every other byte for itself.
const SHAPE: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";

static PARSER: DateTimeParser = DateTimeParser::new();

/// RFC 3339 in UTC with milliseconds, e.g. `2026-11-21T10:00:05.120Z`.
///
/// A moment before the year 0 or after 9999 has no such text; the nearest that has one is written.
pub fn to_text(moment: Timestamp) -> String {
    let last = jiff::Timestamp::MAX.as_second().saturating_mul(1_000);
    let moment = moment.0.clamp(FIRST_WITH_TEXT_MS, last);
    jiff::Timestamp::from_millisecond(moment).map_or_else(
        |_| String::from("1970-01-01T00:00:00.000Z"),
        |instant| format!("{instant:.3}"),
    )
}

/// Reads RFC 3339 (§5.6): date, time with seconds, and an offset. Digits beyond milliseconds are cut off.
///
/// *Returns*: `None` for anything else, also for the abbreviations that ISO 8601 has beyond RFC 3339.
pub fn parse(text: &str) -> Option<Timestamp> {
    if !has_shape(text.as_bytes()) {
        return None;
    }
    let instant = PARSER.parse_timestamp(text).ok()?;
    Some(Timestamp(
        instant
            .as_nanosecond()
            .div_euclid(1_000_000)
            .try_into()
            .ok()?,
    ))
}

/// True when both ends of the events' years hold it.
pub fn is_plausible(moment: Timestamp) -> bool {
    (EARLIEST..=LATEST).contains(&moment)
}

fn has_shape(text: &[u8]) -> bool {
    let Some((head, mut rest)) = text.split_at_checked(SHAPE.len()) else {
        return false;
    };
    let fits = head.iter().zip(SHAPE).all(|(found, wanted)| match wanted {
        b'd' => found.is_ascii_digit(),
        b'T' => matches!(found, b'T' | b't' | b' '),
        _ => found == wanted,
    });
    if !fits {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        rest = fraction.get(digits..).unwrap_or_default();
    }
    match rest {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', a, b, b':', c, d] => [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()),
        _ => false,
    }
}

/// A moment that serde writes and reads as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_text(self.0))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        parse(&text).map(Self).ok_or_else(|| {
            let found = serde::de::Unexpected::Str(&text);
            serde::de::Error::invalid_value(found, &"an RFC 3339 time")
        })
    }
}

/// For `#[serde(with = "moment::rfc3339")]`.
pub(crate) mod rfc3339 {
    use caerus_engine::time::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Moment;

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        Moment(*at).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        Ok(Moment::deserialize(from)?.0)
    }
}

/// For `#[serde(with = "moment::rfc3339_or_null")]`.
pub(crate) mod rfc3339_or_null {
    use caerus_engine::time::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Moment;

    pub(crate) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(Moment).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<Moment>::deserialize(from)?.map(|at| at.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_text_and_reads_back() {
        for (moment, text) in [
            (EARLIEST, "2000-01-01T00:00:00.000Z"),
            (LATEST, "2100-12-31T23:59:59.999Z"),
            (Timestamp(1_795_255_205_120), "2026-11-21T10:00:05.120Z"),
            (Timestamp(-1), "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(to_text(moment), text);
            assert_eq!(parse(text), Some(moment));
        }
        assert_eq!(to_text(Timestamp::MAX), "9999-12-30T22:00:00.000Z");
        assert_eq!(to_text(Timestamp(i64::MIN)), "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn offsets_fractions_and_leap_seconds_are_read_as_the_standard_says() {
        let at = Timestamp(1_795_255_205_120);
        for text in [
            "2026-11-21T11:00:05.12+01:00",
            "2026-11-21t10:00:05.120999z",
            "2026-11-21 05:30:05.120-04:30",
        ] {
            assert_eq!(parse(text), Some(at), "{text}");
        }
        assert!(parse("2016-12-31T23:59:60Z").is_some());
    }

    #[test]
    fn what_is_not_the_standard_s_form_is_refused() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T10:00Z",
            "2026-11-21T10:00:05",
            "2026-11-21T10:00:05.Z",
            "2026-11-21T10:00:05+0100",
            "2026-11-21T10:00:05+01:00[Europe/Berlin]",
            "2026-13-21T10:00:05Z",
            "2026-02-30T10:00:05Z",
            "20261121T100005Z",
            "+2026-11-21T10:00:05Z",
            "1795255205120",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
