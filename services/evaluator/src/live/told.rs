//! Latest assessments on their way to the recorder: gathered, the latest of each kept, appended. Best effort: what is
//! lost is told again with the subject's next signal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caerus_engine::id::TenantId;
use caerus_runtime::port::{Bus, NewRecord, SubjectStanding, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use caerus_wire::told::{StandingTold, StandingsTold};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Subjects and sessions told in one record at most.
const TOLD_LEN_MAX: usize = 256;
/// How long assessments are gathered: somebody busy is told once, not with every request.
const GATHER: Duration = Duration::from_millis(250);

/// Appends what the partitions hand over, until they hand over no more or the shutdown begins.
pub async fn tell_standings(
    mut standings: mpsc::Receiver<Vec<SubjectStanding>>,
    bus: Arc<dyn Bus>,
    shutdown: Shutdown,
) {
    while let Some(Some(first)) = shutdown.unless_begun(standings.recv()).await {
        let mut latest = Latest::default();
        latest.add(first);
        let until = Instant::now() + GATHER;
        while latest.rows.len() < TOLD_LEN_MAX
            && let Ok(Some(more)) = tokio::time::timeout_at(until, standings.recv()).await
        {
            latest.add(more);
        }
        if let Err(failure) = bus.append(latest.into_records()).await {
            tracing::warn!(error = chain(&failure), "standings not told");
        }
    }
}

/// The latest standing of each subject and session.
#[derive(Debug, Default)]
struct Latest {
    rows: BTreeMap<(TenantId, String, String, Option<String>), SubjectStanding>,
}

impl Latest {
    fn add(&mut self, standings: Vec<SubjectStanding>) {
        for one in standings {
            let key = (
                one.tenant.clone(),
                one.kind.clone(),
                one.name.clone(),
                one.session.clone(),
            );
            match self.rows.get(&key) {
                Some(held) if held.at > one.at => {}
                Some(_) | None => {
                    self.rows.insert(key, one);
                }
            }
        }
    }

    fn into_records(self) -> Vec<NewRecord> {
        let told: Vec<StandingTold> = self.rows.into_values().map(told).collect();
        let parts = told.chunks(TOLD_LEN_MAX);
        parts
            .map(|part| NewRecord {
                topic: Topic::Standings,
                partition: 0,
                key: Vec::new(),
                value: StandingsTold::new(part.to_vec()).to_bytes().into(),
            })
            .collect()
    }
}

fn told(standing: SubjectStanding) -> StandingTold {
    StandingTold {
        tenant: standing.tenant.as_str().to_owned(),
        kind: standing.kind,
        name: standing.name,
        session: standing.session,
        score: standing.score,
        at: standing.at.0,
        json: standing.json,
    }
}

#[cfg(test)]
mod tests {
    use caerus_adapters::memory::MemoryBus;
    use caerus_engine::time::Timestamp;
    use caerus_runtime::port::{LogId, ReadLimit};

    use super::*;

    fn standing(name: &str, score: u8, at: i64) -> SubjectStanding {
        SubjectStanding {
            tenant: TenantId::new("acme"),
            kind: "user".to_owned(),
            name: name.to_owned(),
            session: None,
            score,
            at: Timestamp(at),
            json: "{}".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_one_gathering_is_told_once_by_its_latest_word() {
        let bus = MemoryBus::new(LogId(1), 1);
        let (sender, receiver) = mpsc::channel(8);
        sender
            .send(vec![standing("alice", 10, 1), standing("bob", 5, 1)])
            .await
            .unwrap();
        sender.send(vec![standing("alice", 80, 3)]).await.unwrap();
        sender.send(vec![standing("alice", 20, 2)]).await.unwrap();
        drop(sender);
        let shared = Arc::clone(&bus) as Arc<dyn Bus>;
        tell_standings(receiver, shared, Shutdown::new()).await;
        let limit = ReadLimit {
            records: 9,
            bytes: 9_999,
        };
        let batch = bus.read(Topic::Standings, 0, 0, limit).await.unwrap();
        let [record] = batch.records.as_slice() else {
            panic!("{batch:?}");
        };
        let told = StandingsTold::from_bytes(&record.value).unwrap();
        let said = told.standings.iter().map(|one| (&*one.name, one.score));
        assert_eq!(said.collect::<Vec<_>>(), [("alice", 80), ("bob", 5)]);
    }
}
