//! The ids seen lately, so that a repeat changes nothing.

use std::collections::VecDeque;

use crate::limits::SEEN_SPAN;
use crate::time::Timestamp;

/// *Shape*: oldest first; bounded by the caller's limit and by [`SEEN_SPAN`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenWindow {
    pub entries: VecDeque<Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Hash of source and id.
    pub id: u64,
    /// Hash of the body.
    pub body: u32,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novel {
    New,
    Repeat,
    RepeatWithAnotherBody,
}

impl SeenWindow {
    /// Remembers the id, unless it is there already.
    pub fn admit(&mut self, seen: Seen, limit: usize) -> Novel {
        while self
            .entries
            .front()
            .is_some_and(|first| seen.at.since(first.at) > SEEN_SPAN)
        {
            self.entries.pop_front();
        }
        if let Some(first) = self.entries.iter().rev().find(|entry| entry.id == seen.id) {
            return if first.body == seen.body {
                Novel::Repeat
            } else {
                Novel::RepeatWithAnotherBody
            };
        }
        while self.entries.len() >= limit {
            self.entries.pop_front();
        }
        self.entries.push_back(seen);
        Novel::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn an_id_is_new_once_until_it_is_too_old_or_too_many_came_after() {
        let mut window = SeenWindow::default();
        let seen = |id, at| Seen { id, body: 1, at };
        let start = Timestamp(1_000_000);
        assert_eq!(window.admit(seen(1, start), 3), Novel::New);
        assert_eq!(window.admit(seen(1, start), 3), Novel::Repeat);
        let other = Seen {
            body: 2,
            ..seen(1, start)
        };
        assert_eq!(window.admit(other, 3), Novel::RepeatWithAnotherBody);
        for id in 2..=4 {
            assert_eq!(window.admit(seen(id, start), 3), Novel::New);
        }
        assert_eq!(window.admit(seen(1, start), 3), Novel::New);
        assert_eq!(
            window.admit(seen(1, start + Span::hours(25)), 3),
            Novel::New
        );
    }
}
