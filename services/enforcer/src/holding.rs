//! The picture as many readers and one writer hold it, and how old it is. Knows no request and no socket.
//!
//! A reader-writer lock, and not copies handed out through a `watch`: decisions come one by one into a picture that may
//! hold hundreds of thousands, so a copy for each would cost more than the microsecond for which a check holds the read
//! lock, or an insertion the write lock. There is one [`Writer`], and it does not clone: the subscriber's loop owns it.
//! Nothing is awaited, dropped in bulk or computed at length under the lock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use caerus_engine::time::{Span, Timestamp};

use crate::limit;
use crate::picture::{Admission, Decision, Picture};

/// Stands for a picture that was never up to date.
const NEVER: i64 = i64::MIN;

#[derive(Debug)]
struct Shared {
    picture: RwLock<Picture>,
    /// On the steady clock's scale: the moment up to which the picture is complete. *Units*: milliseconds.
    complete_until_ms: AtomicI64,
}

/// For those who judge.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// For the one loop that follows the stream.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

/// An empty picture that was never up to date.
pub fn hold() -> (Writer, Reader) {
    let shared = Arc::new(Shared {
        picture: RwLock::new(Picture::default()),
        complete_until_ms: AtomicI64::new(NEVER),
    });
    let reader = Reader {
        shared: Arc::clone(&shared),
    };
    (Writer { shared }, reader)
}

impl Reader {
    /// Lends the picture to a short look.
    pub fn look<T>(&self, look: impl FnOnce(&Picture) -> T) -> T {
        // A panic while the lock was held leaves a map that is whole; refusing everybody would help nobody.
        let picture = self
            .shared
            .picture
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        look(&picture)
    }

    /// How long ago the picture was complete; `None` when it never was.
    pub fn age(&self, monotonic_ms: u64) -> Option<Span> {
        let complete_until_ms = self.shared.complete_until_ms.load(Ordering::Acquire);
        if complete_until_ms == NEVER {
            return None;
        }
        let age = signed(monotonic_ms).saturating_sub(complete_until_ms);
        Some(Span::millis(age.max(0)))
    }
}

impl Writer {
    pub fn reader(&self) -> Reader {
        Reader {
            shared: Arc::clone(&self.shared),
        }
    }

    pub fn admit(&mut self, decision: Arc<Decision>) -> Admission {
        self.change(|picture| picture.admit(decision))
    }

    /// Puts a whole new picture in place of the old, which is let go of outside the lock.
    pub fn replace(&mut self, picture: Picture) {
        let former = self.change(|held| std::mem::replace(held, picture));
        drop(former);
    }

    /// Lets go of what has lapsed, a bounded number at a time. *Returns*: how many.
    pub fn sweep(&mut self, now: Timestamp) -> usize {
        let lapsed = self
            .reader()
            .look(|picture| picture.lapsed(now, limit::SWEEP_LEN_MAX));
        if !lapsed.is_empty() {
            self.change(|picture| picture.forget(&lapsed, now));
        }
        lapsed.len()
    }

    /// Notes that at `monotonic_ms` the picture was complete up to `age` before. A negative age counts as none.
    pub fn note_age(&mut self, age: Span, monotonic_ms: u64) {
        let complete_until_ms = signed(monotonic_ms).saturating_sub(age.0.max(0));
        self.shared
            .complete_until_ms
            .store(complete_until_ms.max(NEVER + 1), Ordering::Release);
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Picture) -> T) -> T {
        let mut picture = self
            .shared
            .picture
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(&mut picture)
    }
}

fn signed(monotonic_ms: u64) -> i64 {
    i64::try_from(monotonic_ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, NOW};

    #[test]
    fn the_age_is_what_the_frame_said_and_what_passed_since() {
        let (mut writer, reader) = hold();
        assert_eq!(reader.age(1_000), None);
        writer.note_age(Span::millis(250), 1_000);
        assert_eq!(reader.age(1_000), Some(Span::millis(250)));
        assert_eq!(reader.age(4_000), Some(Span::millis(3_250)));
        writer.note_age(Span::millis(-5), 4_000);
        assert_eq!(reader.age(4_000), Some(Span::ZERO));
        writer.note_age(Span::hours(10_000), 0);
        assert_eq!(reader.age(1), Some(Span::millis(Span::hours(10_000).0 + 1)));
    }

    #[test]
    fn a_sweep_takes_a_bounded_number_until_nothing_is_left() {
        let (mut writer, reader) = hold();
        let count = limit::SWEEP_LEN_MAX + 5;
        for index in 0..count {
            let target = sample::user(&format!("user-{index}"));
            writer.admit(Arc::new(sample::revoke(target)));
        }
        let late = NOW + sample::HOUR + limit::CLOCK_SKEW;
        assert_eq!(writer.sweep(NOW), 0);
        assert_eq!(writer.sweep(late), limit::SWEEP_LEN_MAX);
        assert_eq!(reader.look(Picture::len), 5);
        assert_eq!(writer.sweep(late), 5);
        assert_eq!(reader.look(Picture::len), 0);
    }
}
