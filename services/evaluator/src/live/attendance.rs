//! How each partition in hand stands, as one condition of the process's health. Knows no HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use caerus_runtime::health::{Condition, Health};

/// The condition's name.
const PARTITIONS: &str = "partitions";

/// Ready when every partition in hand is served, also when there is none. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Attendance {
    condition: Condition,
    /// Why it is not served; `None` for one that is.
    partitions: Arc<Mutex<BTreeMap<u32, Option<String>>>>,
}

impl Attendance {
    pub(crate) fn new(health: &Health) -> Self {
        Self {
            condition: health.condition(PARTITIONS),
            partitions: Arc::default(),
        }
    }

    /// These are in hand from now on; those that are new have to be taken up first.
    pub(crate) fn assign(&self, numbers: impl IntoIterator<Item = u32>) {
        self.change(|partitions| {
            let mut before = std::mem::take(partitions);
            for number in numbers {
                let state = before.remove(&number);
                let starting = || Some("is being taken up".to_owned());
                partitions.insert(number, state.unwrap_or_else(starting));
            }
        });
    }

    pub(crate) fn serves(&self, number: u32) {
        self.put(number, None);
    }

    pub(crate) fn fails(&self, number: u32, why: String) {
        self.put(number, Some(why));
    }

    fn put(&self, number: u32, state: Option<String>) {
        self.change(|partitions| {
            // One that was taken away meanwhile is nobody's concern here.
            if let Some(held) = partitions.get_mut(&number) {
                *held = state;
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u32, Option<String>>)) {
        let mut partitions = self
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(&mut partitions);
        let missing: Vec<_> = partitions
            .iter()
            .filter_map(|(number, why)| Some((number, why.as_ref()?)))
            .collect();
        match missing.as_slice() {
            [] => self.condition.ready(),
            [(number, why), rest @ ..] => {
                let more = match rest.len() {
                    0 => String::new(),
                    more => format!(", and {more} more"),
                };
                let text = format!("partition {number} {why}{more}");
                self.condition.failing(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obstacle(health: &Health) -> Option<String> {
        let conditions = health.conditions();
        let state = conditions.get(PARTITIONS);
        state.and_then(|state| state.obstacle().map(str::to_owned))
    }

    #[test]
    fn it_is_ready_when_all_that_is_in_hand_is_served() {
        let health = Health::new();
        let attendance = Attendance::new(&health);
        assert_eq!(obstacle(&health).as_deref(), Some("starting"));
        attendance.assign([1, 2]);
        attendance.serves(1);
        let expected = Some("partition 2 is being taken up");
        assert_eq!(obstacle(&health).as_deref(), expected);
        attendance.serves(2);
        assert_eq!(obstacle(&health), None);
        attendance.fails(1, "cannot be served: redis is away".to_owned());
        attendance.assign([1, 3]);
        let expected = Some("partition 1 cannot be served: redis is away, and 1 more");
        assert_eq!(obstacle(&health).as_deref(), expected);
        attendance.assign([]);
        attendance.fails(1, "is gone".to_owned());
        assert_eq!(obstacle(&health), None);
    }
}
