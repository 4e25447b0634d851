//! Fixed-point quantities as decimal JSON numbers. Knows nothing of what they measure.
//!
//! An integer over a power of ten, as a float, is the float nearest to that decimal, and its shortest text is the
//! decimal itself: `1626` hundredths are written `16.26`, `1000` are written `10.0`.

use caerus_engine::number::{float, quantise};
use serde_json::Value;

/// Integers up to this size are floats exactly, and JSON readers keep them.
const UNITS_MAX: i64 = 1 << 53;

/// *Shape*: magnitudes beyond 2^53 units are cut to that.
pub(crate) fn value(units: i64, per_one: f64) -> Value {
    Value::from(float(units.clamp(-UNITS_MAX, UNITS_MAX)) / per_one)
}

/// For `#[serde(with = "decimal::points")]`: hundredths.
pub(crate) mod points {
    use caerus_engine::number::Points;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(points: &Points, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(super::float(points.0) / 1e2)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Points, D::Error> {
        Ok(Points(super::quantise(f64::deserialize(from)? * 1e2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hundredths_are_written_without_noise_and_read_back() {
        for (units, text) in [
            (1_626, "16.26"),
            (4_239, "42.39"),
            (-759, "-7.59"),
            (1_000, "10.0"),
            (0, "0.0"),
            (-1, "-0.01"),
        ] {
            assert_eq!(value(units, 1e2).to_string(), text);
        }
        for units in (-2_000_000..2_000_000).step_by(7) {
            let text = value(units, 1e2).to_string();
            assert!(
                text.split('.')
                    .nth(1)
                    .is_some_and(|digits| digits.len() <= 2),
                "{text}"
            );
            let read: f64 = serde_json::from_str(&text).unwrap();
            assert_eq!(quantise(read * 1e2), units);
        }
    }
}
