//! Trees of values met before, e.g. country → autonomous system → network, with decayed counts and bounded fan-out.

use super::decay::{Decayed, HABIT_HALF_LIFE, HABIT_LIFE};
use crate::limits::{CHILDREN_PER_NODE, NEW_CHILDREN_PER_DAY};
use crate::time::{Span, Timestamp};

/// A node: what was met here, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub total: Decayed,
    /// *Shape*: at most [`CHILDREN_PER_NODE`], in the order they were first met.
    pub children: Vec<Branch>,
    pub fresh: Fresh,
}

/// One value met at a node, with what was met beneath it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    pub value: u64,
    pub count: Decayed,
    pub node: Node,
}

/// How many new values a node learned on a day, against slow poisoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Days since 1970-01-01.
    pub day: i64,
    pub learned: u8,
}

/// What a node knows of one value, at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sighting {
    /// Decayed observations at the node.
    pub observations: f64,
    /// Distinct values at the node.
    pub distinct: usize,
    /// Decayed observations of the value; `None` when it was never met.
    pub count: Option<f64>,
}

impl Node {
    pub fn sight(&self, value: u64, now: Timestamp) -> Sighting {
        Sighting {
            observations: self.total.value_at(now, HABIT_HALF_LIFE),
            distinct: self.children.len(),
            count: self
                .child(value)
                .map(|branch| branch.count.value_at(now, HABIT_HALF_LIFE)),
        }
    }

    pub fn child(&self, value: u64) -> Option<&Branch> {
        self.children.iter().find(|branch| branch.value == value)
    }

    /// Learns one observation of a path, root first. A node that met its share of new values today learns no further
    /// one, and nothing below it.
    pub fn learn(&mut self, path: &[u64], weight: f64, now: Timestamp) {
        let Some((value, rest)) = path.split_first() else {
            return;
        };
        self.forget(now);
        if self.child(*value).is_none() && !self.admit(*value, now) {
            return;
        }
        self.total.add(now, weight, HABIT_HALF_LIFE);
        if let Some(branch) = self
            .children
            .iter_mut()
            .find(|branch| branch.value == *value)
        {
            branch.count.add(now, weight, HABIT_HALF_LIFE);
            branch.node.learn(rest, weight, now);
        }
    }

    /// Makes room for a new value; false when today's share is used up.
    fn admit(&mut self, value: u64, now: Timestamp) -> bool {
        let day = now.0.div_euclid(Span::days(1).0);
        if self.fresh.day != day {
            self.fresh = Fresh { day, learned: 0 };
        }
        if self.fresh.learned >= NEW_CHILDREN_PER_DAY {
            return false;
        }
        self.fresh.learned += 1;
        if self.children.len() >= CHILDREN_PER_NODE {
            self.drop_weakest(now);
        }
        self.children.push(Branch {
            value,
            count: Decayed::default(),
            node: Self::default(),
        });
        true
    }

    fn drop_weakest(&mut self, now: Timestamp) {
        let strength = |branch: &Branch| {
            (
                crate::number::Count::from_f64(branch.count.value_at(now, HABIT_HALF_LIFE)),
                branch.count.at,
            )
        };
        let weakest =
            (0..self.children.len()).min_by_key(|index| self.children.get(*index).map(strength));
        if let Some(index) = weakest {
            self.children.remove(index);
        }
    }

    fn forget(&mut self, now: Timestamp) {
        self.children
            .retain(|branch| now.since(branch.count.at) <= HABIT_LIFE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn a_path_is_counted_at_every_level() {
        let mut root = Node::default();
        root.learn(&[1, 2], 1.0, START);
        root.learn(&[1, 3], 1.0, START);
        let below = &root.child(1).unwrap().node;
        assert_eq!(root.sight(1, START).count, Some(2.0));
        assert_eq!(
            (below.sight(2, START).count, below.sight(9, START).count),
            (Some(1.0), None)
        );
    }

    #[test]
    fn a_day_teaches_three_new_values_and_no_more() {
        let mut root = Node::default();
        for value in 0..10 {
            root.learn(&[value], 1.0, START);
        }
        assert_eq!(root.children.len(), 3);
        root.learn(&[7], 1.0, START + Span::days(1));
        assert_eq!(root.children.len(), 4);
    }

    #[test]
    fn the_weakest_value_leaves_a_full_node_and_old_ones_are_forgotten() {
        let mut root = Node::default();
        for value in 0..40_u64 {
            let now = START + Span::days(i64::try_from(value).unwrap());
            root.learn(&[value], 1.0, now);
            root.learn(&[0], 1.0, now);
        }
        assert_eq!(root.children.len(), CHILDREN_PER_NODE);
        assert!(root.child(0).is_some());
        root.learn(&[99], 1.0, START + Span::days(400));
        assert_eq!(root.children.len(), 1);
    }
}
