//! The record store on Redis: records, outbox and position of a partition, fenced by epoch. Knows no other adapter, and
//! nothing of what a record means.
//!
//! A partition's keys lie in one slot, so that each write is one script, whole, also in a cluster. What Redis loses, its
//! last second or everything, is noticed by the next write, which then finds another position or no opening; the owner
//! takes up what is there and folds the log again from there.

mod fault;
mod form;
mod inspect;
mod link;
mod read;
mod script;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use caerus_engine::id::SubjectHash;
use caerus_runtime::config::Redis;
use caerus_runtime::http::tls::provide_crypto;
use caerus_runtime::port::{Commit, Epoch, PartitionState, PortErrorKind, PortResult, RecordStore};

use self::fault::Fault;
use self::form::Keys;
use self::inspect::Persistence;
use self::link::{Addresses, Link};
use self::script::{Outcome, Scripts};
use self::write::text;

/// Records, outbox and position in Redis.
#[derive(Debug)]
pub struct RedisRecordStore {
    link: Link,
    prefix: String,
    scripts: Scripts,
}

impl RedisRecordStore {
    /// Connects, and asks what the servers are before anything is entrusted to them.
    ///
    /// *Errors*: `Refused` for servers that would drop records (`maxmemory` with a policy other than `noeviction`), are
    /// older than 6.2, or do not accept the password; `Unavailable` where none answers.
    pub async fn connect(settings: &Redis) -> PortResult<Arc<Self>> {
        provide_crypto();
        let addresses = Addresses::parse(settings)
            .map_err(|fault| fault.preventing("read the addresses of redis"))?;
        let operation = format!("use redis at {addresses}");
        let connected = async {
            check_prefix(&settings.prefix)?;
            let link = Link::connect(settings, &addresses).await?;
            let persistence = link.inspect().await?;
            Ok((link, persistence))
        };
        let (link, persistence) = connected
            .await
            .map_err(|fault: Fault| fault.preventing(&operation))?;
        if persistence == Persistence::Snapshots {
            tracing::warn!(
                %addresses,
                "redis writes no append-only file: after its restart the log is folded again"
            );
        }
        Ok(Arc::new(Self {
            link,
            prefix: settings.prefix.clone(),
            scripts: Scripts::new(),
        }))
    }

    fn keys(&self, partition: u32) -> Keys {
        Keys::new(&self.prefix, partition)
    }

    async fn opened(&self, partition: u32, epoch: Epoch) -> Result<PartitionState, Fault> {
        self.link.inspect().await?;
        let keys = self.keys(partition);
        let mut arguments = claim(epoch).to_vec();
        arguments.extend([form::FORM, form::ZERO].map(|part| Cow::Borrowed(part.as_bytes())));
        let script = &self.scripts.open;
        let mut outcome = script.run(&self.link, partition, &keys, &arguments).await?;
        match outcome.word.as_str() {
            "done" => {}
            "emptied" => tracing::warn!(
                partition,
                "redis held records of another log: they are let go, the log is folded again"
            ),
            _ => return Err(refusal(outcome)),
        }
        // What follows is read after the takeover: no former owner changes it any more. A late commit of this very claim
        // moves the position, so that the next one, which does not follow it, is refused.
        Ok(PartitionState {
            position: outcome.next_number()?,
            next_sequence: outcome.next_number()?,
            shared: outcome.next(),
            outbox: read::outbox(&self.link, partition, &keys).await?,
            agenda: read::agenda(&self.link, partition, &keys).await?,
        })
    }

    async fn committed(&self, commit: &Commit) -> Result<(), Fault> {
        let partition = commit.partition;
        let arguments = write::arguments(commit)?;
        let (script, keys) = (&self.scripts.commit, self.keys(partition));
        done(script.run(&self.link, partition, &keys, &arguments).await?)
    }

    async fn cleared(&self, partition: u32, epoch: Epoch, before: u64) -> Result<(), Fault> {
        let mut arguments = claim(epoch).to_vec();
        arguments.push(text(form::outbox_bound(before)));
        let (script, keys) = (&self.scripts.clear, self.keys(partition));
        done(script.run(&self.link, partition, &keys, &arguments).await?)
    }
}

/// Braces before those of the partition would be what a cluster goes by.
fn check_prefix(prefix: &str) -> Result<(), Fault> {
    if prefix.contains(['{', '}']) {
        let sentence = format!("the prefix `{prefix}` has braces, which name a cluster's slots");
        return Err(Fault::new(PortErrorKind::Refused, sentence));
    }
    Ok(())
}

fn claim(epoch: Epoch) -> [Cow<'static, [u8]>; 2] {
    [epoch.log.0, epoch.claim_offset].map(|number| text(form::digits(number)))
}

fn done(outcome: Outcome) -> Result<(), Fault> {
    if outcome.word == "done" {
        return Ok(());
    }
    Err(refusal(outcome))
}

/// What a script says when it did nothing.
fn refusal(mut outcome: Outcome) -> Fault {
    let held = outcome.next().unwrap_or_default();
    let held = form::number(&held).unwrap_or_default();
    match outcome.word.as_str() {
        "later claim" => Fault::new(PortErrorKind::Conflict, "there is a later claim"),
        "other log" => Fault::new(
            PortErrorKind::Conflict,
            "the store holds records of another log",
        ),
        "not opened" => Fault::new(
            PortErrorKind::Unavailable,
            "the claim did not open the partition first",
        ),
        "position" => Fault::new(
            PortErrorKind::Unavailable,
            format!("the store stands at {held}"),
        ),
        "sequence" => Fault::new(
            PortErrorKind::Refused,
            format!("its outbox does not begin at {held}, which follows"),
        ),
        "other form" => Fault::new(
            PortErrorKind::Refused,
            format!(
                "redis holds records of form {held}, this program reads form {}",
                form::FORM
            ),
        ),
        _ => Fault::undecodable("the answer of a script"),
    }
}

#[async_trait]
impl RecordStore for RedisRecordStore {
    async fn open(&self, partition: u32, epoch: Epoch) -> PortResult<PartitionState> {
        let failed =
            |fault: Fault| fault.preventing(&format!("open the records of partition {partition}"));
        self.opened(partition, epoch).await.map_err(failed)
    }

    async fn load(&self, partition: u32, keys: &[SubjectHash]) -> PortResult<Vec<Option<Vec<u8>>>> {
        let failed =
            |fault: Fault| fault.preventing(&format!("load records of partition {partition}"));
        read::records(&self.link, partition, &self.keys(partition), keys)
            .await
            .map_err(failed)
    }

    async fn commit(&self, commit: Commit) -> PortResult<()> {
        let (partition, follows) = (commit.partition, commit.follows);
        let failed = |fault: Fault| {
            fault.preventing(&format!(
                "commit a batch of partition {partition} that follows {follows}"
            ))
        };
        self.committed(&commit).await.map_err(failed)
    }

    async fn clear_outbox(&self, partition: u32, epoch: Epoch, before: u64) -> PortResult<()> {
        let failed =
            |fault: Fault| fault.preventing(&format!("clear the outbox of partition {partition}"));
        self.cleared(partition, epoch, before).await.map_err(failed)
    }
}
