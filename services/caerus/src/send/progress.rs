//! How far the sending is, for whoever looks at a terminal; nothing where nobody does. Knows no events.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// With a total the bar fills; without one it counts.
const KNOWN: &str = "{bar:32} {binary_bytes}/{binary_total_bytes}  {msg}  {eta} left";
const UNKNOWN: &str = "{spinner} {binary_bytes}  {msg}";

/// A bar on stderr. Hidden where that is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(total_bytes: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total_bytes, ProgressDrawTarget::stderr());
        let template = if total_bytes.is_some() {
            KNOWN
        } else {
            UNKNOWN
        };
        // A template that does not parse leaves the default one: that it parses, a test says.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let progress = Self { bar };
        progress.sent(0, 0, 0);
        progress
    }

    pub(super) fn sent(&self, taken_bytes: u64, accepted: u64, rejected: u64) {
        self.bar.set_position(taken_bytes);
        self.bar.set_message(if rejected == 0 {
            format!("{accepted} accepted")
        } else {
            format!("{accepted} accepted, {rejected} rejected")
        });
    }

    /// Why it takes long.
    pub(super) fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// Writes something else without tearing the bar.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the bar away. *Returns*: how long it stood.
    pub(super) fn finish(&self) -> Duration {
        self.bar.finish_and_clear();
        self.bar.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_read() {
        for template in [KNOWN, UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
