//! The bus as gateways see it: true, unless a canary makes it lie to them alone.

use std::sync::Arc;

use async_trait::async_trait;
use caerus_runtime::port::{
    Bus, BusBatch, BusRecord, Epoch, LogId, NewRecord, PortResult, ReadLimit, Topic,
};
use caerus_wire::progress::Progress;
use tokio::sync::watch;

use super::bus::SimBus;
use super::trouble::Dice;
use crate::canary::Canary;

/// *Units*: thousandths of the decisions that a gateway skips as a canary.
const SKIPPED: u32 = 50;

/// A gateway's own view of the bus.
#[derive(Debug)]
pub(super) struct Window {
    bus: Arc<SimBus>,
    dice: Arc<Dice>,
    canary: Option<Canary>,
}

impl Window {
    pub(super) fn new(bus: Arc<SimBus>, dice: Arc<Dice>, canary: Option<Canary>) -> Self {
        Self { bus, dice, canary }
    }

    fn shown(&self, topic: Topic, mut batch: BusBatch) -> BusBatch {
        match (self.canary, topic) {
            (Some(Canary::GatewaySkipsDecisions), Topic::Decisions) => {
                batch.records.retain(|_| !self.dice.happens(SKIPPED));
            }
            (Some(Canary::ReportsHideDerived), Topic::Progress) => {
                retell(&mut batch, |report| report.derived.fill(0));
            }
            (Some(Canary::ReportsHideDecisions), Topic::Progress) => {
                retell(&mut batch, |report| report.decisions_offset = 0);
            }
            _ => {}
        }
        batch
    }
}

fn retell(batch: &mut BusBatch, lie: impl Fn(&mut Progress)) {
    let retold = |record: &mut BusRecord| {
        if let Ok(mut report) = Progress::from_bytes(&record.value) {
            lie(&mut report);
            record.value = report.to_bytes().into();
        }
    };
    batch.records.iter_mut().for_each(retold);
}

#[async_trait]
impl Bus for Window {
    fn log_id(&self) -> LogId {
        self.bus.log_id()
    }

    fn partitions(&self) -> u32 {
        self.bus.partitions()
    }

    async fn append(&self, records: Vec<NewRecord>) -> PortResult<Vec<u64>> {
        self.bus.append(records).await
    }

    async fn claim(&self, partition: u32, claim: Arc<[u8]>) -> PortResult<Epoch> {
        self.bus.claim(partition, claim).await
    }

    async fn publish(
        &self,
        partition: u32,
        epoch: Epoch,
        outputs: Vec<NewRecord>,
        completed: u64,
    ) -> PortResult<Vec<u64>> {
        self.bus.publish(partition, epoch, outputs, completed).await
    }

    async fn completed(&self, partition: u32) -> PortResult<u64> {
        self.bus.completed(partition).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        limit: ReadLimit,
    ) -> PortResult<BusBatch> {
        let batch = self.bus.read(topic, partition, from, limit).await?;
        Ok(self.shown(topic, batch))
    }

    async fn start(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        self.bus.start(topic, partition).await
    }

    async fn end(&self, topic: Topic, partition: u32) -> PortResult<u64> {
        self.bus.end(topic, partition).await
    }

    fn appended(&self, topic: Topic) -> watch::Receiver<u64> {
        self.bus.appended(topic)
    }

    async fn trim(&self, topic: Topic, partition: u32, before: u64) -> PortResult<()> {
        self.bus.trim(topic, partition, before).await
    }
}
