//! Verdicts remembered by what the policies can see. Bounded; knows neither Cedar nor the rules.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use caerus_engine::decide::Facts;

/// Verdicts remembered at most. Two halves: when the younger is full the elder is let go, so that what is asked again
/// and again stays.
pub const MEMO_LEN_MAX: usize = 4_096;

/// The rules that match, by their place in the set.
pub(crate) type Matches = Arc<[usize]>;

/// How often a verdict was known, and how often it was worked out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoCounts {
    pub known: u64,
    pub evaluated: u64,
}

/// INVARIANT (INV-5): what is remembered is what would be worked out again, so forgetting changes no verdict.
#[derive(Debug, Default)]
pub(crate) struct Memo(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Facts, Matches>,
    old: HashMap<Facts, Matches>,
    counts: MemoCounts,
}

impl Memo {
    pub(crate) fn get(&self, key: &Facts) -> Option<Matches> {
        let mut halves = self.lock();
        let known = halves.young.get(key).or(halves.old.get(key)).cloned();
        if let Some(matches) = &known {
            halves.counts.known += 1;
            if !halves.young.contains_key(key) {
                halves.put(key.clone(), Arc::clone(matches));
            }
        }
        known
    }

    pub(crate) fn put(&self, key: Facts, matches: Matches) {
        let mut halves = self.lock();
        halves.counts.evaluated += 1;
        halves.put(key, matches);
    }

    pub(crate) fn counts(&self) -> MemoCounts {
        self.lock().counts
    }

    /// A panic elsewhere while it was held leaves at worst a verdict less.
    fn lock(&self) -> std::sync::MutexGuard<'_, Halves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Halves {
    fn put(&mut self, key: Facts, matches: Matches) {
        if self.young.len() >= MEMO_LEN_MAX / 2 {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(key, matches);
    }
}
