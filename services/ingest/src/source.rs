//! Events from topics that others write to, under whatever key: each partition that is this process's is read, normalised
//! as what is posted, made durable in the log, and only then marked done. Knows no broker.

mod message;
mod number;
mod partition;
mod passed;
mod retired;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use caerus_runtime::metric::label::Room;
use caerus_runtime::port::PortError;
use caerus_runtime::port::sources::{SourcePartition, Sources};
use caerus_runtime::retry::{Jitter, Retry, RetryError, RetryPolicy};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::{TaskFailure, TaskGroup, chain};
use tokio::sync::watch;

use crate::Ports;
use crate::intake::SharedSightings;

pub use number::{PARTITIONS_MAX, Topics, TopicsError, number_of};
pub use partition::SourceError;
pub use retired::retire;

use partition::Work;
use passed::{Announcer, Served, introduce};

/// What a task has to finish its batch after it was asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What all partitions' tasks share.
#[derive(Clone, Debug)]
pub(crate) struct Taker {
    ports: Ports,
    sources: Arc<dyn Sources>,
    topics: Arc<Topics>,
    sightings: SharedSightings,
}

/// Takes in the partitions assigned, each in its own task, until the shutdown. Ends at once where no topic is configured.
///
/// *Errors*: the first task's that could not go on; the others are stopped then.
pub async fn run(
    ports: Ports,
    sources: Arc<dyn Sources>,
    topics: Topics,
    shutdown: Shutdown,
) -> Result<(), TaskFailure> {
    if topics.is_empty() {
        return Ok(());
    }
    let taker = Taker {
        ports,
        sources,
        topics: Arc::new(topics),
        sightings: SharedSightings::default(),
    };
    let shutdown = shutdown.child();
    let mut tasks = TaskGroup::new(&shutdown);
    let (served, served_now) = watch::channel(Vec::new());
    let intake = Intake {
        taker: taker.clone(),
        served,
        shutdown: shutdown.clone(),
    };
    match begin(&taker, &shutdown).await {
        Ok(known) => {
            let announcer = Announcer::new(taker, known);
            let everything = shutdown.clone();
            let telling = async move {
                announcer.run(served_now, everything).await;
                Ok::<(), RetryError>(())
            };
            tasks.spawn("tell how far source topics are", telling);
            intake.follow(&mut tasks).await;
        }
        Err(RetryError::Stopped) => {}
        Err(error) => {
            tasks.spawn("look at source topics", async { Err(error) });
            shutdown.begin();
        }
    }
    tasks.join(STOP_GRACE).await
}

/// Before anything is taken in, the log knows of every source partition. *Returns*: those.
async fn begin(
    taker: &Taker,
    shutdown: &Shutdown,
) -> Result<BTreeSet<SourcePartition>, RetryError> {
    let retries = taker.ports.metrics.runtime.retries.of(&Room::Ingest);
    let mut retry = Retry::new(RetryPolicy::LOOP, Jitter::random(), retries);
    let nothing = BTreeSet::new();
    let known = retry.run(shutdown, || introduce(taker, &nothing)).await?;
    match shutdown.unless_begun(warn_of_left_over(taker)).await {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::warn!(error = chain(&error), "evaluators' reports not read"),
        None => return Err(RetryError::Stopped),
    }
    Ok(known)
}

async fn warn_of_left_over(taker: &Taker) -> Result<(), PortError> {
    for source_partition in retired::left_over(taker.ports.bus.as_ref(), &taker.topics).await? {
        tracing::warn!(
            source_partition,
            "a source topic that is not configured here is waited for; evaluated_until stands still unless another \
             process reads it or it is retired"
        );
    }
    Ok(())
}

/// Follows what the group assigns.
struct Intake {
    taker: Taker,
    served: watch::Sender<Vec<Served>>,
    shutdown: Shutdown,
}

/// A partition's task.
struct Task {
    stop: Shutdown,
    served: Served,
}

impl Intake {
    async fn follow(self, tasks: &mut TaskGroup) {
        let mut assigned = self.taker.sources.assigned();
        let mut running: BTreeMap<SourcePartition, Task> = BTreeMap::new();
        loop {
            let wanted = assigned.borrow_and_update().clone();
            self.adjust(&wanted, &mut running, tasks);
            let served = running.values().map(|task| task.served.clone()).collect();
            self.served.send_replace(served);
            match self.shutdown.unless_begun(assigned.changed()).await {
                Some(Ok(())) => {}
                // Whoever assigned is gone: what was assigned last stays.
                Some(Err(_)) | None => return,
            }
        }
    }

    fn adjust(
        &self,
        wanted: &BTreeSet<SourcePartition>,
        running: &mut BTreeMap<SourcePartition, Task>,
        tasks: &mut TaskGroup,
    ) {
        running.retain(|place, task| {
            if !wanted.contains(place) {
                tracing::info!(source = %place, "source partition handed over");
                task.stop.begin();
            }
            wanted.contains(place)
        });
        for place in wanted {
            if running.contains_key(place) {
                continue;
            }
            let Some(source) = self.taker.topics.source(place) else {
                tracing::error!(source = %place, "source partition without a number; it is not taken in");
                continue;
            };
            tracing::info!(source = %place, "source partition taken up");
            let (done, up_to) = watch::channel(None);
            let stop = self.shutdown.child();
            let work = Work {
                taker: self.taker.clone(),
                source: source.clone(),
                done,
                stop: stop.clone(),
            };
            let everything = self.shutdown.clone();
            let task = async move {
                // A failure is seen at once, not only when the assignment changes.
                work.run().await.inspect_err(|_| everything.begin())
            };
            tasks.spawn(format!("take in {place}"), task);
            let served = Served {
                source,
                done: up_to,
            };
            running.insert(place.clone(), Task { stop, served });
        }
    }
}
