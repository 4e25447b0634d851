//! What enforcement points say of themselves, on its way to the recorder: appended to the bus in batches. Knows no
//! socket.

use std::borrow::Cow;
use std::sync::Arc;

use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::metric::label::Room;
use caerus_runtime::port::{NewRecord, Topic};
use caerus_runtime::retry::{Jitter, Retry, RetryError, RetryPolicy};
use caerus_runtime::shutdown::Shutdown;
use caerus_wire::told::{PointTold, ReceiptTold};
use tokio::sync::mpsc;

use crate::delivery::Acknowledged;
use crate::gateway::GatewayParts;
use crate::picture::Entry;

/// Reports that wait to be appended.
pub(crate) const REPORTS_LEN: usize = 1_024;
/// Reports appended in one go.
const BATCH_LEN: usize = 256;
/// Receipts in one record; a large snapshot takes several.
const RECEIPTS_PER_RECORD: usize = 1_000;
/// The topic has one partition.
const PARTITION: u32 = 0;

/// One instance of an enforcement point, and what it may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscriber {
    /// The credential's.
    pub(crate) name: String,
    /// The instance's own label.
    pub(crate) client: String,
    /// Empty for every tenant.
    pub(crate) tenants: Vec<TenantId>,
}

/// What one instance said, and when.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) subscriber: Arc<Subscriber>,
    pub(crate) at: Timestamp,
    /// The latest cursor acknowledged on this stream.
    pub(crate) acknowledged: Option<Arc<str>>,
    pub(crate) word: Word,
}

#[derive(Debug)]
pub(crate) enum Word {
    /// It is there: said at first, and again from time to time, so that a gateway that died leaves no ghosts.
    There,
    /// These are in force there since then.
    InForce(Vec<Acknowledged>),
    Left,
}

/// Appends reports until the shutdown, then what is left. *Errors*: when the bus refuses for good.
pub(crate) async fn run(
    parts: GatewayParts,
    mut reports: mpsc::Receiver<Report>,
    shutdown: Shutdown,
) -> Result<(), RetryError> {
    let retries = parts.metrics.runtime.retries.of(&Room::Gateway);
    let mut retry = Retry::new(RetryPolicy::LOOP, Jitter::random(), retries);
    let mut batch = Vec::with_capacity(BATCH_LEN);
    while let Some(len) = shutdown
        .unless_begun(reports.recv_many(&mut batch, BATCH_LEN))
        .await
        && len > 0
    {
        let records = records(&batch);
        batch.clear();
        retry
            .run(&shutdown, || parts.bus.append(records.clone()))
            .await?;
    }
    // The last words of those who were there at the end, where the bus takes them at once.
    while let Ok(report) = reports.try_recv() {
        batch.push(report);
    }
    if batch.is_empty() {
        return Ok(());
    }
    let last = parts.bus.append(records(&batch)).await;
    last.map(drop).map_err(|source| RetryError::GaveUp {
        attempts: 1,
        source,
    })
}

fn records(reports: &[Report]) -> Vec<NewRecord> {
    reports.iter().flat_map(of_report).collect()
}

fn of_report(report: &Report) -> Vec<NewRecord> {
    let in_force: &[Acknowledged] = match &report.word {
        Word::There | Word::Left => &[],
        Word::InForce(acknowledged) => acknowledged,
    };
    let entries = in_force.iter().flat_map(Acknowledged::entries);
    let entries: Vec<&Entry> = entries.map(AsRef::as_ref).collect();
    if entries.is_empty() {
        return vec![record(report, &[])];
    }
    let parts = entries.chunks(RECEIPTS_PER_RECORD);
    parts.map(|part| record(report, part)).collect()
}

fn record<'a>(report: &'a Report, entries: &[&'a Entry]) -> NewRecord {
    let subscriber = &report.subscriber;
    let tenants = subscriber.tenants.iter();
    let receipt = |entry: &&'a Entry| ReceiptTold {
        decision: Cow::Borrowed(&entry.id),
        tenant: entry.tenant.as_str().into(),
    };
    let mut told = PointTold::new(&subscriber.name, &subscriber.client, report.at.0);
    told.tenants = tenants.map(|tenant| tenant.as_str().to_owned()).collect();
    told.is_connected = !matches!(report.word, Word::Left);
    told.acknowledged = report.acknowledged.as_deref().map(Cow::Borrowed);
    told.receipts = entries.iter().map(receipt).collect();
    NewRecord {
        topic: Topic::Receipts,
        partition: PARTITION,
        key: subscriber.name.as_bytes().to_vec(),
        value: told.to_bytes().into(),
    }
}
