//! Where every draw comes from: a tree of seeds, so that one draw more in one place shifts no other place.
//! Knows nothing of what is drawn.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::draw::Draw;

/// Sets the streams of leaves apart from those that children's keys come from.
const LEAF: &str = "leaf ";

/// One node of the tree. A child depends on its parent, its branch's name and its number, and on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed([u8; 32]);

impl Seed {
    pub(crate) fn root(seed: u64) -> Self {
        let mut key = [0; 32];
        for (slot, byte) in key.iter_mut().zip(seed.to_le_bytes()) {
            *slot = byte;
        }
        Self(key)
    }

    /// The child on branch `name` with `number`: 32 bytes of the parent's key stream of that name and number.
    pub(crate) fn child(&self, name: &str, number: i64) -> Self {
        let mut stream = ChaCha8Rng::from_seed(self.0);
        stream.set_stream(fnv(name.bytes().chain(number.to_le_bytes())));
        let mut key = [0; 32];
        stream.fill_bytes(&mut key);
        Self(key)
    }

    /// The draws of this node.
    pub(crate) fn draw(&self) -> Draw {
        Draw::new(ChaCha8Rng::from_seed(self.0))
    }

    /// The draws of a leaf: as those of a child of its own, without making the child's key.
    pub(crate) fn draws(&self, name: &str, number: i64) -> Draw {
        let mut stream = ChaCha8Rng::from_seed(self.0);
        let branch = LEAF.bytes().chain(name.bytes()).chain(number.to_le_bytes());
        stream.set_stream(fnv(branch));
        Draw::new(stream)
    }

    /// One number of a leaf, by hash alone: for choices made too often to open a stream for each.
    pub(crate) fn number(&self, name: &str, number: i64) -> u64 {
        let key = self.0.iter().copied();
        fnv(key.chain(name.bytes()).chain(number.to_le_bytes()))
    }

    /// True with probability `per_mille` in a thousand, alike whenever it is asked.
    pub(crate) fn chance(&self, name: &str, number: i64, per_mille: u32) -> bool {
        // The upper half: in FNV every byte reaches it.
        (self.number(name, number) >> 32) % 1_000 < u64::from(per_mille)
    }

    /// A name for what this node stands for, as unlikely to repeat as 64 bits are.
    pub(crate) fn name(&self) -> u64 {
        self.draw().word()
    }
}

/// FNV-1a: spreads branch names over the 2^64 streams of a ChaCha key; no secrecy is asked of it.
pub(crate) fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_untouched_by_draws_on_another() {
        let root = Seed::root(7);
        let before = root.draws("day", 3).word();
        let mut other = root.draws("day", 4);
        for _ in 0..100 {
            other.word();
        }
        assert_eq!(root.draws("day", 3).word(), before);
    }

    #[test]
    fn chances_by_hash_come_out_at_their_rates_also_from_day_to_day() {
        let root = Seed::root(5);
        let drawn: Vec<bool> = (0..4_000)
            .map(|day| root.chance("rain", day, 300))
            .collect();
        let hits = drawn.iter().filter(|hit| **hit).count();
        let repeats = drawn.windows(2).filter(|pair| pair[0] && pair[1]).count();
        assert!((1_100..1_300).contains(&hits), "{hits}");
        assert!((300..420).contains(&repeats), "{repeats}");
    }

    #[test]
    fn names_numbers_and_parents_tell_branches_apart() {
        let (one, two) = (Seed::root(1), Seed::root(2));
        let all = [
            one.child("day", 0),
            one.child("day", 1),
            one.child("week", 0),
            two.child("day", 0),
            one.child("day", 0).child("day", 0),
            one.child("day", -1),
        ];
        for (index, seed) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(seed), "branch {index} repeats");
        }
    }
}
