//! Durations on the command line: `15m`, `8h`, `2d`, `1h30m`. Knows no clock.

use caerus_engine::time::Span;

/// Ten years: longer than anything here is asked to last. *Units*: seconds.
const SECONDS_MAX: i64 = 10 * 366 * 24 * 60 * 60;
const EXPECTED: &str =
    "expected whole numbers with units s, m, h or d, such as 15m, 8h, 2d or 1h30m";

/// Reads one duration; numbers with units, one after the other, add up. *Errors*: a sentence for whoever typed it.
pub(crate) fn parse(text: &str) -> Result<Span, String> {
    let mut total: i64 = 0;
    let mut number: Option<i64> = None;
    for character in text.chars() {
        if let Some(digit) = character.to_digit(10) {
            let grown = number.unwrap_or(0).checked_mul(10);
            let grown = grown.and_then(|tens| tens.checked_add(i64::from(digit)));
            number = Some(grown.ok_or_else(too_long)?);
            continue;
        }
        let unit = unit_seconds(character).ok_or_else(|| EXPECTED.to_owned())?;
        let count = number.take().ok_or_else(|| EXPECTED.to_owned())?;
        let part = count.checked_mul(unit).ok_or_else(too_long)?;
        total = total.checked_add(part).ok_or_else(too_long)?;
    }
    if number.is_some() || text.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    if total > SECONDS_MAX {
        return Err(too_long());
    }
    if total == 0 {
        return Err("it lasts no time at all; one second is the least".to_owned());
    }
    Ok(Span::seconds(total))
}

fn too_long() -> String {
    "it is longer than ten years".to_owned()
}

fn unit_seconds(unit: char) -> Option<i64> {
    match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(60 * 60),
        'd' => Some(24 * 60 * 60),
        _ => None,
    }
}

/// A span for people: its two largest units, e.g. `2d 3h`, or seconds with tenths where it is short.
pub(crate) fn words(span: Span) -> String {
    const MINUTE_MS: i64 = 60_000;
    const HOUR_MS: i64 = 60 * MINUTE_MS;
    const DAY_MS: i64 = 24 * HOUR_MS;
    let ms = span.0.max(0);
    if ms < MINUTE_MS {
        return format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
    }
    let (large, large_ms, small, small_ms) = match ms {
        DAY_MS.. => ("d", DAY_MS, "h", HOUR_MS),
        HOUR_MS.. => ("h", HOUR_MS, "m", MINUTE_MS),
        _ => ("m", MINUTE_MS, "s", 1_000),
    };
    let rest = ms % large_ms / small_ms;
    if rest == 0 {
        return format!("{}{large}", ms / large_ms);
    }
    format!("{}{large} {rest}{small}", ms / large_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units() {
        for (text, span) in [
            ("45s", Span::seconds(45)),
            ("15m", Span::minutes(15)),
            ("8h", Span::hours(8)),
            ("2d", Span::days(2)),
            ("1h30m", Span::minutes(90)),
            ("3660d", Span::days(3_660)),
        ] {
            assert_eq!(parse(text), Ok(span), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "15", "m", "15 m", "-5m", "1.5h", "15min", "5w", "1h30"] {
            assert_eq!(parse(text), Err(EXPECTED.to_owned()), "{text}");
        }
        for text in ["3661d", "99999999999999999999s", "9223372036854775807d"] {
            assert_eq!(
                parse(text),
                Err("it is longer than ten years".to_owned()),
                "{text}"
            );
        }
        assert!(parse("0s").is_err_and(|error| error.contains("no time at all")));
    }

    #[test]
    fn a_span_is_told_by_its_two_largest_units() {
        for (ms, text) in [
            (-5, "0.0 s"),
            (450, "0.4 s"),
            (12_345, "12.3 s"),
            (60_000, "1m"),
            (754_000, "12m 34s"),
            (3_600_000, "1h"),
            (95_000_000, "1d 2h"),
        ] {
            assert_eq!(words(Span::millis(ms)), text);
        }
    }
}
