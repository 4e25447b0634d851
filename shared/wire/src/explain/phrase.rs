//! Numbers, spans and lists in words. Knows nothing of risk.

use serde_json::{Map, Value};

/// An object whose members stand in the order of their names: the map's own order may be that of insertion.
pub(super) fn object<const N: usize>(
    mut members: [(&'static str, Value); N],
) -> Map<String, Value> {
    members.sort_unstable_by_key(|(name, _)| *name);
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// `5,215`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 minute`, `41 minutes`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{} {noun}", grouped(number))
}

/// `41 minutes`, `5 hours 3 minutes`.
pub(super) fn minutes(minutes: u32) -> String {
    const SPELT_AS_MINUTES: u32 = 120;
    if minutes < SPELT_AS_MINUTES {
        return counted(minutes.into(), "minute", "minutes");
    }
    let hours = counted(u64::from(minutes / 60), "hour", "hours");
    match minutes % 60 {
        0 => hours,
        rest => format!("{hours} {}", counted(rest.into(), "minute", "minutes")),
    }
}

/// `30 seconds`, `10 minutes`, `24 hours`: the largest unit that divides it.
pub(super) fn window(seconds: u32) -> String {
    match seconds {
        s if s > 0 && s.is_multiple_of(3_600) => counted(u64::from(s / 3_600), "hour", "hours"),
        s if s > 0 && s.is_multiple_of(60) => counted(u64::from(s / 60), "minute", "minutes"),
        s => counted(s.into(), "second", "seconds"),
    }
}

/// `0.3 expected`; *units*: thousandths.
pub(super) fn expected(milli: u64) -> String {
    if milli < 100 {
        return String::from("less than 0.1 expected");
    }
    let tenths = milli.saturating_add(50) / 100;
    format!("{}.{} expected", grouped(tenths / 10), tenths % 10)
}

/// `812 B`, `2.3 GB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    for (size, unit) in UNITS {
        if bytes >= size {
            let tenths = bytes / (size / 10);
            return format!("{}.{} {unit}", grouped(tenths / 10), tenths % 10);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (5_215, "5,215"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(
            [1, 41, 119, 120, 303].map(minutes),
            [
                "1 minute",
                "41 minutes",
                "119 minutes",
                "2 hours",
                "5 hours 3 minutes"
            ]
        );
        assert_eq!(
            [0, 90, 600, 86_400].map(window),
            ["0 seconds", "90 seconds", "10 minutes", "24 hours"]
        );
        assert_eq!(
            [0, 99, 100, 1_249, 12_000].map(expected),
            [
                "less than 0.1 expected",
                "less than 0.1 expected",
                "0.1 expected",
                "1.2 expected",
                "12.0 expected"
            ]
        );
        assert_eq!(
            [999, 1_000, 2_349_000_000].map(bytes),
            ["999 B", "1.0 kB", "2.3 GB"]
        );
    }
}
