//! How an event's age is to be taken: live, late, history, or refused. Knows the two times, nothing of what happened.

use caerus_engine::limits::{FUTURE_SLACK, LATE_AGE};
use caerus_engine::signal::Handling;
use caerus_engine::time::{Span, Timestamp};

/// What the sender says the events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// They happen now.
    Live,
    /// History, told on purpose: learned from, never decided upon.
    History,
}

/// The event lies further ahead of the clock than clocks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "member `time` lies {} s ahead of the clock; at most {} s are taken",
    ahead.as_seconds(),
    FUTURE_SLACK.as_seconds()
)]
pub struct FromTheFuture {
    pub ahead: Span,
}

/// Decided once, when the event is taken in; the log then holds it.
pub fn handling(time: Timestamp, now: Timestamp, told: Told) -> Result<Handling, FromTheFuture> {
    let ahead = time.since(now);
    if ahead > FUTURE_SLACK {
        return Err(FromTheFuture { ahead });
    }
    Ok(match told {
        Told::History => Handling::Backfill,
        Told::Live if now.since(time) > LATE_AGE => Handling::Late,
        Told::Live => Handling::Live,
    })
}

/// In a replay of raw events there is no clock: age is judged against the greatest event time read before, and nothing
/// comes from the future.
pub fn replayed(time: Timestamp, greatest_before: Option<Timestamp>) -> Handling {
    match greatest_before {
        Some(greatest) if greatest.since(time) > LATE_AGE => Handling::Late,
        _ => Handling::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn an_event_is_live_late_history_or_refused() {
        let table = [
            (NOW, Told::Live, Ok(Handling::Live)),
            (NOW + FUTURE_SLACK, Told::Live, Ok(Handling::Live)),
            (NOW - LATE_AGE, Told::Live, Ok(Handling::Live)),
            (
                NOW - LATE_AGE - Span::millis(1),
                Told::Live,
                Ok(Handling::Late),
            ),
            (
                NOW - LATE_AGE - Span::days(9),
                Told::History,
                Ok(Handling::Backfill),
            ),
            (NOW, Told::History, Ok(Handling::Backfill)),
        ];
        for (time, told, expected) in table {
            assert_eq!(handling(time, NOW, told), expected, "{time:?} {told:?}");
        }
        for told in [Told::Live, Told::History] {
            let refused = handling(NOW + FUTURE_SLACK + Span::seconds(1), NOW, told).unwrap_err();
            assert_eq!(
                refused.to_string(),
                "member `time` lies 301 s ahead of the clock; at most 300 s are taken"
            );
        }
    }

    #[test]
    fn a_replay_judges_age_by_what_it_read_before() {
        assert_eq!(replayed(NOW, None), Handling::Live);
        assert_eq!(replayed(NOW, Some(NOW - Span::days(9))), Handling::Live);
        assert_eq!(replayed(NOW, Some(NOW + LATE_AGE)), Handling::Live);
        let later = NOW + LATE_AGE + Span::millis(1);
        assert_eq!(replayed(NOW, Some(later)), Handling::Late);
    }
}
