//! What a subscriber shows: decisions on stdout, the age of the picture on a terminal's stderr. Knows no socket.

use std::time::Duration;

use caerus_engine::time::{Span, Timestamp};
use caerus_wire::decision::PublicDecision;
use caerus_wire::stream::Heartbeat;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::exit::tell;
use crate::terminal::{Paint, Reader};
use crate::{duration, show, terminal};

/// A picture older than this is said to be old.
const OLD: Span = Span::seconds(10);

/// Where lines go: stdout.
type Write = Box<dyn Fn(&str) -> anyhow::Result<Reader>>;

pub(super) struct Screen {
    write: Write,
    /// `None` for JSON Lines.
    paint: Option<Paint>,
    /// The last line of a terminal; hidden elsewhere.
    status: ProgressBar,
    freshness: Option<Freshness>,
}

impl Screen {
    pub(super) fn of_stdout(paint: Option<Paint>) -> Self {
        Self::new(paint, Box::new(terminal::write_out))
    }

    pub(super) fn new(paint: Option<Paint>, write: Write) -> Self {
        let status = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            status.set_style(style);
        }
        Self {
            write,
            paint,
            status,
            freshness: None,
        }
    }

    pub(super) fn decision(&self, decision: &PublicDecision) -> anyhow::Result<Reader> {
        let line = match self.paint {
            None => decision.to_json(),
            Some(paint) => show::line(decision, paint),
        };
        self.status.suspend(|| (self.write)(&format!("{line}\n")))
    }

    pub(super) fn say(&self, text: &str) {
        self.status.suspend(|| tell(text));
    }

    pub(super) fn lost(&mut self, error: &anyhow::Error) {
        self.say(&format!("caerus: {error:#}; connecting again"));
        self.refresh();
    }

    pub(super) fn beat(&mut self, heartbeat: &Heartbeat) {
        self.freshness = Some(Freshness::of(heartbeat, Instant::now()));
        self.refresh();
    }

    /// Says anew how old the picture is.
    pub(super) fn refresh(&mut self) {
        let text = match &self.freshness {
            None => "waiting for the first heartbeat".to_owned(),
            Some(freshness) => freshness.words(Instant::now()),
        };
        self.status.set_message(text);
        self.status.tick();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.status.finish_and_clear();
    }
}

/// How old the picture was at the last heartbeat, and when that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Freshness {
    /// `None` until Caerus knows itself.
    age: Option<Span>,
    at: Instant,
}

impl Freshness {
    fn of(heartbeat: &Heartbeat, at: Instant) -> Self {
        let Heartbeat {
            evaluated_until,
            now,
            ..
        } = heartbeat;
        let age = evaluated_until.map(|until: Timestamp| now.since(until));
        Self { age, at }
    }

    /// *Source*: contract, section 4: `now − evaluated_until`, and the time since the frame came.
    fn words(self, now: Instant) -> String {
        let since = Span::millis(millis(now.saturating_duration_since(self.at)));
        let Some(age) = self.age else {
            return "the age of the picture is not known yet".to_owned();
        };
        let age = Span::millis(age.0.saturating_add(since.0));
        let old = if age > OLD { "OLD" } else { "old" };
        format!("picture {} {old}", duration::words(age))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(evaluated_until: Option<i64>, waited: Duration) -> String {
        let heartbeat = Heartbeat {
            cursor: "c".to_owned(),
            evaluated_until: evaluated_until.map(Timestamp),
            now: Timestamp(100_000),
        };
        let at = Instant::now();
        Freshness::of(&heartbeat, at).words(at + waited)
    }

    #[test]
    fn the_picture_ages_between_heartbeats() {
        let second = Duration::from_secs(1);
        assert_eq!(words(Some(99_600), Duration::ZERO), "picture 0.4 s old");
        assert_eq!(words(Some(99_600), second * 2), "picture 2.4 s old");
        assert_eq!(words(Some(99_600), second * 12), "picture 12.4 s OLD");
        assert_eq!(words(Some(100_500), Duration::ZERO), "picture 0.0 s old");
        assert_eq!(
            words(None, second),
            "the age of the picture is not known yet"
        );
    }
}
