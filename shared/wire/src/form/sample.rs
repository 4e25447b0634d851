//! Makes values up from a seed, for tests: every field and every variant of every form that is declared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use caerus_engine::id::{
    AcrValue, AppId, CountryCode, DecisionId, DeviceId, EventId, Fingerprint, Prefix, PrincipalId,
    ResourceId, RevisionId, RuleId, SessionId, SourceId, TenantId, UserId, WorkloadId,
};

/// Beyond this many collections within one another they are empty: trees end.
const DEPTH_MAX: u32 = 9;

pub(crate) trait Sample: Sized {
    fn sample(seed: &mut Seed) -> Self;
}

/// A stream of numbers (SplitMix64).
pub(crate) struct Seed {
    state: u64,
    depth: u32,
}

impl Seed {
    pub(crate) fn new(state: u64) -> Self {
        Self { state, depth: 0 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn entries<T: Sample>(&mut self) -> Vec<T> {
        let len = if self.depth < DEPTH_MAX {
            self.below(4)
        } else {
            0
        };
        self.depth += 1;
        let entries = (0..len).map(|_| T::sample(self)).collect();
        self.depth -= 1;
        entries
    }

    /// Integers of all lengths, and the ends of the range.
    fn bits(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            _ => self.next() >> self.below(64),
        }
    }
}

macro_rules! integers {
    ($($name:ty)+) => {$(
        impl Sample for $name {
            fn sample(seed: &mut Seed) -> Self {
                let bytes = seed.bits().to_le_bytes();
                let low = &bytes[..size_of::<$name>()];
                Self::from_le_bytes(low.try_into().unwrap())
            }
        }
    )+};
}
integers! { u8 u16 u32 u64 i32 i64 }

impl Sample for u128 {
    fn sample(seed: &mut Seed) -> Self {
        Self::from(seed.next()) << 64 | Self::from(seed.next())
    }
}

impl Sample for bool {
    fn sample(seed: &mut Seed) -> Self {
        seed.below(2) == 1
    }
}

impl Sample for String {
    fn sample(seed: &mut Seed) -> Self {
        let letters = [
            'a', 'Z', '7', ' ', '"', '\\', '\n', '\u{1f}', 'é', '京', '🦀',
        ];
        let len = seed.below(12);
        (0..len).map(|_| *seed.pick(&letters)).collect()
    }
}

macro_rules! texts {
    ($($name:ident)+) => {$(
        impl Sample for $name {
            fn sample(seed: &mut Seed) -> Self {
                Self::new(String::sample(seed))
            }
        }
    )+};
}
texts! {
    TenantId UserId SessionId DeviceId WorkloadId AppId ResourceId EventId SourceId RuleId
    RevisionId AcrValue Fingerprint PrincipalId
}

impl<T: Sample> Sample for Option<T> {
    fn sample(seed: &mut Seed) -> Self {
        (seed.below(3) > 0).then(|| T::sample(seed))
    }
}

impl<T: Sample> Sample for Box<T> {
    fn sample(seed: &mut Seed) -> Self {
        Self::new(T::sample(seed))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(seed: &mut Seed) -> Self {
        seed.entries()
    }
}

impl<T: Sample> Sample for VecDeque<T> {
    fn sample(seed: &mut Seed) -> Self {
        seed.entries().into()
    }
}

impl<T: Sample + Ord> Sample for BTreeSet<T> {
    fn sample(seed: &mut Seed) -> Self {
        seed.entries().into_iter().collect()
    }
}

impl<K: Sample + Ord, V: Sample> Sample for BTreeMap<K, V> {
    fn sample(seed: &mut Seed) -> Self {
        seed.entries().into_iter().collect()
    }
}

impl<A: Sample, B: Sample> Sample for (A, B) {
    fn sample(seed: &mut Seed) -> Self {
        (A::sample(seed), B::sample(seed))
    }
}

impl Sample for IpAddr {
    fn sample(seed: &mut Seed) -> Self {
        if seed.below(2) == 0 {
            Self::V4(Ipv4Addr::from(u32::sample(seed)))
        } else {
            Self::V6(Ipv6Addr::from(u128::sample(seed)))
        }
    }
}

impl Sample for Prefix {
    fn sample(seed: &mut Seed) -> Self {
        Self::of(IpAddr::sample(seed))
    }
}

impl Sample for CountryCode {
    fn sample(seed: &mut Seed) -> Self {
        Self(*seed.pick(&[*b"DE", *b"NG", *b"US"]))
    }
}

impl Sample for DecisionId {
    fn sample(seed: &mut Seed) -> Self {
        Self {
            owner: Sample::sample(seed),
            suffix: Sample::sample(seed),
        }
    }
}
