//! What the suite cannot ask of every bus: markers, fencing between processes, the group, and what a wrong setting says.
//! Against a real broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use caerus_runtime::config::Kafka;
use caerus_runtime::port::{Bus, NewRecord, PortErrorKind, PortResult, ReadLimit, Topic};
use caerus_runtime::secret::Secret;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::KafkaBus;
use crate::distributed::GroupBus;

const AMPLE: ReadLimit = ReadLimit {
    records: 100_000,
    bytes: usize::MAX,
};
const PARTITIONS: u32 = 4;
/// Rebalances take sessions and joins.
const SOON: Duration = Duration::from_secs(20);

/// A log of its own on the broker that the tests are given.
#[expect(
    clippy::disallowed_methods,
    reason = "where the tests' servers are is no configuration of Caerus"
)]
pub(crate) fn fresh_settings() -> Kafka {
    let broker = std::env::var("CAERUS_KAFKA")
        .expect("CAERUS_KAFKA says where Kafka is: `make test` starts the servers and sets it");
    let id = getrandom::u64().unwrap();
    Kafka {
        brokers: vec![broker],
        topic_prefix: format!("test-{id:016x}."),
        replication: 1,
        group: format!("test-{id:016x}"),
        properties: BTreeMap::new(),
        password: None,
        sources: Vec::new(),
    }
}
