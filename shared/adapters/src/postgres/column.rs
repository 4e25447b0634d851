//! How moments, numbers, keys and names stand in columns. Knows no tables.

use caerus_engine::id::SubjectHash;
use caerus_engine::time::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// `timestamptz` and its array, fixed in PostgreSQL's `pg_type.dat`.
const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);
/// 2000-01-01, from which PostgreSQL counts. *Units*: milliseconds since 1970.
const EPOCH_MS: i64 = 946_684_800_000;
/// PostgreSQL's calendar, from 4714 BC to 294276 AD: `MIN_TIMESTAMP` and `END_TIMESTAMP` of its `timestamp.h`.
/// *Units*: microseconds since 2000.
const CALENDAR_US: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
/// What stands for U+0000, which PostgreSQL's text cannot hold.
const NUL_SHOWN: &str = "\u{2400}";

/// A moment in a `timestamptz`: exact to the millisecond, and infinite beyond PostgreSQL's calendar, because no moment
/// that somebody made up may stop the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Moment {
    fn to_wire(self) -> i64 {
        let micros = self.0.0.saturating_sub(EPOCH_MS).saturating_mul(1_000);
        if micros < CALENDAR_US.start {
            i64::MIN
        } else if micros >= CALENDAR_US.end {
            i64::MAX
        } else {
            micros
        }
    }

    fn from_wire(micros: i64) -> Self {
        match micros {
            i64::MIN | i64::MAX => Self(Timestamp(micros)),
            _ => Self(Timestamp(micros.div_euclid(1_000).saturating_add(EPOCH_MS))),
        }
    }
}

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Moment {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Moment {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode_by_ref(&self.to_wire(), buffer)
    }
}

impl Decode<'_, Postgres> for Moment {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() != PgValueFormat::Binary {
            return Err("a moment is read in binary form only".into());
        }
        Ok(Self::from_wire(i64::from_be_bytes(
            value.as_bytes()?.try_into()?,
        )))
    }
}

/// A text as PostgreSQL can hold it: U+0000 becomes U+2400, `␀`.
///
/// Names are refused where they enter when they hold a control character, so none should come here. Were one to come
/// all the same, refusing it would stop the recorder at that row for ever, and leaving the row out would lose it
/// without a word. What is searched for goes the same way, so that it is found.
pub(crate) fn text(written: &str) -> String {
    written.replace('\0', NUL_SHOWN)
}

pub(crate) fn text_or_null(written: Option<&str>) -> Option<String> {
    written.map(text)
}

/// An offset, generation or position: PostgreSQL's integers are signed, and none of these comes near the sign.
pub(crate) fn to_column(number: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(number).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub(crate) fn from_column(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(crate) fn score_of(column: i16) -> Result<u8, sqlx::Error> {
    u8::try_from(column).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(crate) fn key_bytes(key: SubjectHash) -> Vec<u8> {
    key.0.to_be_bytes().to_vec()
}

pub(crate) fn key_of(bytes: &[u8]) -> Result<SubjectHash, sqlx::Error> {
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(SubjectHash(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_to_the_millisecond() {
        for ms in [0, -1, 1, EPOCH_MS, EPOCH_MS - 1, 1_795_000_000_123] {
            let moment = Moment(Timestamp(ms));
            assert_eq!(Moment::from_wire(moment.to_wire()), moment);
        }
    }

    #[test]
    fn a_moment_beyond_all_calendars_is_infinite() {
        for (moment, expected) in [
            (Timestamp::MAX, i64::MAX),
            (Timestamp(10_000_000_000_000_000), i64::MAX),
            (Timestamp(i64::MIN), i64::MIN),
            (Timestamp(-300_000_000_000_000), i64::MIN),
        ] {
            assert_eq!(Moment(moment).to_wire(), expected, "{moment:?}");
        }
        assert_eq!(Moment::from_wire(i64::MAX), Moment(Timestamp::MAX));
    }

    #[test]
    fn a_text_without_nul_stays_as_it_is() {
        assert_eq!(text("é\u{1f}␀"), "é\u{1f}␀");
        assert_eq!(text("a\0b"), "a␀b");
    }
}
