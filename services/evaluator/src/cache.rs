//! Decoded records at hand, the longest unused leaving first. Knows the store's form of a record, not the store.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::id::SubjectHash;
use caerus_engine::record::{Population, SubjectRecord};
use caerus_runtime::port::StoredRecord;
use caerus_wire::form::FormError;
use caerus_wire::record;

use crate::fold::RecordAccess;
use crate::fold::agenda::Agenda;

/// What an absent record weighs, so that a flood of unknown subjects is bounded too. *Units*: bytes.
const ABSENT_BYTES: usize = 64;

/// What the store keeps under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptAs {
    Record,
    Population,
}

#[derive(Debug)]
enum Kept {
    Record(Option<SubjectRecord>),
    Population(Population),
}

#[derive(Debug)]
struct Slot {
    kept: Kept,
    /// As encoded, a fair measure of what it takes decoded.
    bytes: usize,
    used: u64,
}

/// The records of one partition that are at hand, within a budget that one batch may exceed while it lasts.
#[derive(Debug)]
pub(crate) struct Cache {
    slots: BTreeMap<SubjectHash, Slot>,
    by_use: BTreeMap<u64, SubjectHash>,
    dirty: BTreeSet<SubjectHash>,
    bytes: usize,
    bytes_max: usize,
    uses: u64,
}

impl Cache {
    /// *Shape*: with `bytes_max` of 1 one record stays between batches, for simulations.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            slots: BTreeMap::new(),
            by_use: BTreeMap::new(),
            dirty: BTreeSet::new(),
            bytes: 0,
            bytes_max,
            uses: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn holds(&self, key: SubjectHash) -> bool {
        self.slots.contains_key(&key)
    }

    /// Takes in what the store gave for a key.
    pub(crate) fn decode(
        &mut self,
        key: SubjectHash,
        kept_as: KeptAs,
        bytes: Option<&[u8]>,
    ) -> Result<(), FormError> {
        let kept = match (kept_as, bytes) {
            (KeptAs::Record, None) => Kept::Record(None),
            (KeptAs::Record, Some(bytes)) => Kept::Record(Some(record::decode_record(bytes)?)),
            (KeptAs::Population, None) => Kept::Population(Population::default()),
            (KeptAs::Population, Some(bytes)) => {
                Kept::Population(record::decode_population(bytes)?)
            }
        };
        self.place(key, kept, bytes.map_or(ABSENT_BYTES, <[u8]>::len));
        Ok(())
    }

    /// The tenant's key of a record at hand, for inputs that do not say their tenant.
    pub(crate) fn record(&self, key: SubjectHash) -> Option<&SubjectRecord> {
        match &self.slots.get(&key)?.kept {
            Kept::Record(record) => record.as_ref(),
            Kept::Population(_) => None,
        }
    }

    /// Everything changed since the last call, encoded, by key.
    pub(crate) fn drain_changed(&mut self, agenda: &Agenda) -> Vec<StoredRecord> {
        let mut changed = Vec::with_capacity(self.dirty.len());
        for key in std::mem::take(&mut self.dirty) {
            let Some(slot) = self.slots.get_mut(&key) else {
                continue;
            };
            let bytes = match &slot.kept {
                Kept::Record(record) => record.as_ref().map(record::encode_record),
                Kept::Population(population) => Some(record::encode_population(population)),
            };
            let weight = bytes.as_ref().map_or(ABSENT_BYTES, Vec::len);
            self.bytes = (self.bytes + weight).saturating_sub(slot.bytes);
            slot.bytes = weight;
            let wish = agenda.wish(key);
            changed.push(StoredRecord {
                key,
                bytes,
                wakes: wish.wakes,
                is_concerned: wish.is_concerned,
            });
        }
        changed
    }

    /// Lets go of the longest unused until the rest is within budget. Call when nothing is dirty.
    pub(crate) fn evict(&mut self) {
        while self.bytes > self.bytes_max && self.slots.len() > 1 {
            let Some((_, key)) = self.by_use.pop_first() else {
                return;
            };
            if let Some(slot) = self.slots.remove(&key) {
                self.bytes = self.bytes.saturating_sub(slot.bytes);
            }
        }
    }

    fn place(&mut self, key: SubjectHash, kept: Kept, bytes: usize) {
        self.remove(key);
        self.uses += 1;
        self.by_use.insert(self.uses, key);
        self.bytes += bytes;
        let used = self.uses;
        self.slots.insert(key, Slot { kept, bytes, used });
    }

    fn remove(&mut self, key: SubjectHash) -> Option<Slot> {
        let slot = self.slots.remove(&key)?;
        self.by_use.remove(&slot.used);
        self.bytes = self.bytes.saturating_sub(slot.bytes);
        Some(slot)
    }

    fn put(&mut self, key: SubjectHash, kept: Kept, is_changed: bool) {
        let bytes = self.slots.get(&key).map_or(ABSENT_BYTES, |slot| slot.bytes);
        self.place(key, kept, bytes);
        if is_changed {
            self.dirty.insert(key);
        }
    }
}

impl RecordAccess for Cache {
    fn take_record(&mut self, key: SubjectHash) -> Option<SubjectRecord> {
        match &mut self.slots.get_mut(&key)?.kept {
            Kept::Record(record) => record.take(),
            Kept::Population(_) => None,
        }
    }

    fn put_record(&mut self, key: SubjectHash, record: Option<SubjectRecord>, is_changed: bool) {
        self.put(key, Kept::Record(record), is_changed);
    }

    fn take_population(&mut self, key: SubjectHash) -> Population {
        match self.slots.get_mut(&key).map(|slot| &mut slot.kept) {
            Some(Kept::Population(population)) => std::mem::take(population),
            Some(Kept::Record(_)) | None => Population::default(),
        }
    }

    fn put_population(&mut self, key: SubjectHash, population: Population, is_changed: bool) {
        self.put(key, Kept::Population(population), is_changed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use caerus_engine::score::Model;
    use caerus_testkit::sim::clock::STARTS_AT;
    use caerus_testkit::sim::policy;
    use caerus_testkit::sim::trouble::Dice;
    use caerus_testkit::sim::workload::Workload;
    use caerus_wire::entry::Entry;

    use super::*;
    use crate::fold::policies::{InForce, Policies};
    use crate::fold::{Partition, Settings};

    fn partition() -> Partition {
        let settings = Settings {
            partitions: 1,
            model: Arc::new(Model::default()),
            policies: Policies::by(policy::load),
        };
        Partition::new(settings, InForce::nothing())
    }

    /// Some days of a few people's life, through a cache of that size over a plain store.
    fn stored(bytes_max: usize) -> (BTreeMap<SubjectHash, StoredRecord>, usize) {
        let (mut partition, mut cache) = (partition(), Cache::new(bytes_max));
        let mut store: BTreeMap<SubjectHash, StoredRecord> = BTreeMap::new();
        let (dice, mut workload) = (Dice::seeded(11), Workload::default());
        for hour in 0..40 {
            let now = STARTS_AT + caerus_engine::time::Span::hours(hour);
            for signal in workload.next(&dice, now).signals {
                let tenant = crate::fold::population_key(signal.subject.tenant());
                let mut wanted = BTreeMap::from([
                    (signal.subject.hash(), KeptAs::Record),
                    (tenant, KeptAs::Population),
                ]);
                wanted.retain(|key, _| !cache.holds(*key));
                for (key, kept_as) in wanted {
                    let bytes = store.get(&key).and_then(|stored| stored.bytes.as_deref());
                    cache.decode(key, kept_as, bytes).unwrap();
                }
                let input = caerus_engine::step::Input::Signal(signal);
                partition.apply(&Entry::Input { input, extra: None }, &mut cache);
            }
            for record in cache.drain_changed(partition.agenda()) {
                store.insert(record.key, record);
            }
            cache.evict();
        }
        (store, cache.slots.len())
    }

    #[test]
    fn a_cache_of_one_and_of_all_store_the_same() {
        let (of_one, kept_of_one) = stored(1);
        let (of_all, kept_of_all) = stored(usize::MAX);
        assert_eq!(of_one, of_all);
        assert_eq!(kept_of_one, 1);
        assert!(
            of_all.len() > 6 && kept_of_all >= of_all.len(),
            "{kept_of_all}"
        );
    }

    #[test]
    fn what_is_unchanged_is_not_stored_again() {
        let mut cache = Cache::new(usize::MAX);
        let key = SubjectHash(1);
        cache.decode(key, KeptAs::Record, None).unwrap();
        let taken = cache.take_record(key);
        cache.put_record(key, taken, false);
        assert!(cache.drain_changed(&Agenda::default()).is_empty());
        cache.put_record(key, None, true);
        assert_eq!(cache.drain_changed(&Agenda::default()).len(), 1);
        assert!(cache.drain_changed(&Agenda::default()).is_empty());
    }

    #[test]
    fn damaged_bytes_are_an_error_and_not_an_empty_record() {
        let mut cache = Cache::new(usize::MAX);
        for kept_as in [KeptAs::Record, KeptAs::Population] {
            assert!(
                cache
                    .decode(SubjectHash(1), kept_as, Some(b"\x00\x01"))
                    .is_err()
            );
            assert!(!cache.holds(SubjectHash(1)));
        }
    }
}
