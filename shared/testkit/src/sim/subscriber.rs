//! A model enforcement point: it reads the decisions as a gateway would pass them on, forgets everything at times, and
//! complains when it would have to hold an older decision than one it acknowledged.

use std::collections::BTreeMap;

use caerus_runtime::port::Topic;
use caerus_wire::decision::PublicDecision;

use super::bus::SimBus;

/// One subscriber of one partition's decisions.
#[derive(Debug)]
pub struct Subscriber {
    partition: u32,
    read_to: u64,
    held: BTreeMap<Vec<u8>, u64>,
    /// Highest generation in force here before it last forgot, by target; gone once the target was cleared away.
    acknowledged: BTreeMap<Vec<u8>, u64>,
    pub complaints: Vec<String>,
}

impl Subscriber {
    pub fn new(partition: u32) -> Self {
        Self {
            partition,
            read_to: 0,
            held: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            complaints: Vec::new(),
        }
    }

    /// Drops everything: the next read is a snapshot.
    pub fn start_over(&mut self) {
        self.read_to = 0;
        self.held.clear();
    }

    /// Reads to the end and acknowledges. INVARIANT (INV-2, INV-4) is checked here: for every target acknowledged once,
    /// what is held is not older.
    pub fn read_on(&mut self, bus: &SimBus) {
        for record in bus.visible(Topic::Decisions, self.partition, self.read_to) {
            self.read_to = record.offset + 1;
            let Ok(decision) = PublicDecision::parse(&record.value) else {
                self.held.remove(&record.key);
                self.acknowledged.remove(&record.key);
                continue;
            };
            let held = self.held.entry(record.key).or_default();
            *held = (*held).max(decision.generation);
        }
        for (key, acknowledged) in &self.acknowledged {
            if self.held.get(key).is_none_or(|held| held < acknowledged) {
                self.complaints.push(format!(
                    "INV-2: partition {}: acknowledged {acknowledged} of {}, holds {:?}",
                    self.partition,
                    String::from_utf8_lossy(key),
                    self.held.get(key)
                ));
            }
        }
        self.acknowledged.clone_from(&self.held);
    }
}
