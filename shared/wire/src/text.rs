//! Text from outside, as it may appear in messages. Knows nothing of where the text came from.

/// Characters of outside text shown in a message at most.
pub(crate) const SHOWN_MAX: usize = 64;

/// The text, cut to a bound and free of control characters, to stand in backticks.
pub(crate) fn cut(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}
