//! How common a value is among a tenant's users of one partition, in accepted and in refused logins.

use std::collections::BTreeMap;

use crate::id::short_hash;
use crate::limits::POPULATION_VALUES;
use crate::number::float;

/// Below this many observations at a node the population says nothing but how many values it knows there.
const OBSERVATIONS_MIN: u32 = 200;

/// *Shape*: at most [`POPULATION_VALUES`] values; when more are met, all counts are halved and what is left at zero leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Population {
    /// By the hash of the path down to the value.
    pub values: BTreeMap<u64, Tally>,
    /// By the hash of the path down to the node.
    pub nodes: BTreeMap<u64, NodeTally>,
    /// How many paths were ever observed.
    pub observations: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub node: u64,
    pub accepted: u32,
    pub refused: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeTally {
    pub accepted: u32,
    pub refused: u32,
    pub distinct: u32,
}

/// What the population says of a value at a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// g: its share among accepted logins.
    pub accepted: f64,
    /// g_A / g: how much more common it is among refused ones; `None` below the least number of observations.
    pub refused_ratio: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    Accepted,
    Refused,
}

impl Population {
    /// The share of `value` among the children of the node at `path`.
    pub fn share(&self, path: &[u64], value: u64) -> Share {
        let node = self
            .nodes
            .get(&path_hash(path))
            .copied()
            .unwrap_or_default();
        let distinct = float(i64::from(node.distinct));
        if node.accepted < OBSERVATIONS_MIN {
            return Share {
                accepted: 1.0 / (distinct + 1.0),
                refused_ratio: None,
            };
        }
        let tally = self
            .values
            .get(&value_hash(path, value))
            .copied()
            .unwrap_or_default();
        let smoothed = |count: u32, total: u32| {
            (float(i64::from(count)) + 0.5) / (float(i64::from(total)) + 0.5 * distinct.max(1.0))
        };
        let accepted = smoothed(tally.accepted, node.accepted);
        let refused = smoothed(tally.refused, node.refused);
        Share {
            accepted,
            refused_ratio: Some(refused / accepted),
        }
    }

    /// Counts one observation of a path, root first.
    pub fn observe(&mut self, root: u64, path: &[u64], traffic: Traffic) {
        self.observations = self.observations.saturating_add(1);
        let mut full = vec![root];
        for value in path {
            self.count(&full, *value, traffic);
            full.push(*value);
        }
        if self.values.len() > POPULATION_VALUES {
            self.halve();
        }
    }

    fn count(&mut self, path: &[u64], value: u64, traffic: Traffic) {
        let node_hash = path_hash(path);
        let node = self.nodes.entry(node_hash).or_default();
        let tally = self
            .values
            .entry(value_hash(path, value))
            .or_insert_with(|| {
                node.distinct = node.distinct.saturating_add(1);
                Tally {
                    node: node_hash,
                    accepted: 0,
                    refused: 0,
                }
            });
        match traffic {
            Traffic::Accepted => {
                tally.accepted = tally.accepted.saturating_add(1);
                node.accepted = node.accepted.saturating_add(1);
            }
            Traffic::Refused => {
                tally.refused = tally.refused.saturating_add(1);
                node.refused = node.refused.saturating_add(1);
            }
        }
    }

    fn halve(&mut self) {
        self.values.retain(|_, tally| {
            tally.accepted /= 2;
            tally.refused /= 2;
            tally.accepted + tally.refused > 0
        });
        while self.values.len() > POPULATION_VALUES {
            self.values.pop_first();
        }
        self.nodes.clear();
        for tally in self.values.values() {
            let node = self.nodes.entry(tally.node).or_default();
            node.accepted = node.accepted.saturating_add(tally.accepted);
            node.refused = node.refused.saturating_add(tally.refused);
            node.distinct = node.distinct.saturating_add(1);
        }
    }
}

fn path_hash(path: &[u64]) -> u64 {
    let bytes: Vec<[u8; 8]> = path.iter().map(|value| value.to_le_bytes()).collect();
    short_hash(&bytes.iter().map(|value| &value[..]).collect::<Vec<_>>())
}

fn value_hash(path: &[u64], value: u64) -> u64 {
    let mut full = path.to_vec();
    full.push(value);
    path_hash(&full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_population_knows_only_how_many_values_there_are() {
        let mut population = Population::default();
        for value in 0..3 {
            population.observe(1, &[value], Traffic::Accepted);
        }
        assert_eq!(
            population.share(&[1], 0),
            Share {
                accepted: 0.25,
                refused_ratio: None
            }
        );
    }

    #[test]
    fn what_fails_more_often_than_it_succeeds_stands_out() {
        let mut population = Population::default();
        for _ in 0..300 {
            population.observe(1, &[7], Traffic::Accepted);
            population.observe(1, &[8], Traffic::Refused);
        }
        let ratio = |value| population.share(&[1], value).refused_ratio.unwrap();
        assert!(ratio(8) > 100.0 && ratio(7) < 0.01);
    }

    #[test]
    fn a_full_population_keeps_the_common_values() {
        let mut population = Population::default();
        for value in 0..10_000 {
            population.observe(1, &[value], Traffic::Accepted);
            population.observe(1, &[42], Traffic::Accepted);
        }
        assert!(population.values.len() <= POPULATION_VALUES);
        assert!(population.share(&[1], 42).accepted > 0.3);
    }
}
