//! What only real servers show.

mod arrangement;
mod loss;
mod refusal;
mod server;

use caerus_engine::id::SubjectHash;
use caerus_engine::step::Wakes;
use caerus_engine::time::Timestamp;
use caerus_runtime::config::{Redis, RedisArrangement};
use caerus_runtime::port::{
    Commit, Epoch, LogId, NewRecord, OutboxEntry, PortError, PortErrorKind, PortResult,
    StoredRecord, Topic,
};
use caerus_runtime::secret::Secret;

/// The server that `make test` starts, under a prefix that nobody else has.
#[expect(
    clippy::disallowed_methods,
    reason = "where the servers are is told to tests by the environment"
)]
pub(crate) fn fresh_settings() -> Redis {
    let url = std::env::var("CAERUS_REDIS")
        .expect("CAERUS_REDIS says where Redis is: `make test` starts the servers and sets it");
    settings(&[url], RedisArrangement::Single)
}

fn settings(urls: &[String], arrangement: RedisArrangement) -> Redis {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).unwrap();
    Redis {
        urls: urls.iter().map(Secret::new).collect(),
        arrangement,
        prefix: format!("caerus-test-{}", hex::encode(random)),
    }
}

fn epoch(claim_offset: u64) -> Epoch {
    Epoch {
        log: LogId(u64::MAX),
        claim_offset,
    }
}

/// Of records 0, 1, … with these bytes; each wants to be woken.
fn batch(partition: u32, epoch: Epoch, positions: (u64, u64), records: &[&[u8]]) -> Commit {
    let records = (0..).zip(records).map(|(number, bytes)| StoredRecord {
        key: SubjectHash(number),
        bytes: Some(bytes.to_vec()),
        wakes: Wakes {
            watermark: Some(Timestamp(5)),
            clock: None,
        },
        is_concerned: false,
    });
    Commit {
        partition,
        epoch,
        follows: positions.0,
        position: positions.1,
        records: records.collect(),
        outbox: Vec::new(),
        shared: None,
    }
}

fn entry(sequence: u64) -> OutboxEntry {
    OutboxEntry {
        sequence,
        record: NewRecord {
            topic: Topic::Decisions,
            partition: 0,
            key: b"key".to_vec(),
            value: b"value"[..].into(),
        },
    }
}

/// Of a refusal: its kind, and all that it and what caused it say.
#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: PortResult<T>) -> (PortErrorKind, String) {
    let error = outcome.expect_err("it is refused");
    (error.kind, chain(&error))
}

fn chain(error: &PortError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
