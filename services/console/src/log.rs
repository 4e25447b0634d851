//! What people say goes into the log, as what machines report does: one record for the subject's own partition.
//! Knows no route.

use caerus_engine::id::{EventId, SubjectHash};
use caerus_engine::step::Input;
use caerus_runtime::port::{Bus, NewRecord, PortResult, Topic};
use caerus_runtime::refusal::Refusal;
use caerus_wire::entry::Entry;

/// Bytes of a drawn id: enough that no two are ever the same.
const ID_BYTES: usize = 16;

/// A new id, with a word for where it comes from.
pub(crate) fn draw_id(prefix: &str) -> Result<EventId, Refusal> {
    let mut bytes = [0_u8; ID_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "no random bytes for an id");
        Refusal::internal()
    })?;
    let id = format!("{prefix}-{:032x}", u128::from_be_bytes(bytes));
    Ok(EventId::new(id))
}

/// Appends, all or nothing; durable when it returns.
pub(crate) async fn append(bus: &dyn Bus, inputs: Vec<(SubjectHash, Input)>) -> PortResult<()> {
    let record = |(subject, input): (SubjectHash, Input)| NewRecord {
        topic: Topic::Signals,
        partition: subject.partition(bus.partitions()),
        key: subject.0.to_be_bytes().to_vec(),
        value: Entry::Input { input, extra: None }.to_bytes().into(),
    };
    let records = inputs.into_iter().map(record).collect();
    bus.append(records).await.map(drop)
}
