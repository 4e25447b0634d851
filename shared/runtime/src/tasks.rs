//! Tasks with a name and an end that somebody sees: no panic, error or leftover goes unnoticed. Knows nobody's work.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use crate::shutdown::Shutdown;

/// Any error a task may end with.
pub type TaskError = Box<dyn Error + Send + Sync>;

/// How a group ended badly: the first that failed, or those that would not stop.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailure {
    #[error("task `{task}` failed")]
    Failed {
        task: Arc<str>,
        #[source]
        source: TaskError,
    },
    #[error("task `{task}` panicked: {message}")]
    Panicked { task: Arc<str>, message: String },
    #[error("still running after {} ms of grace: {}", grace.as_millis(), tasks.join(", "))]
    Overdue { tasks: Vec<String>, grace: Duration },
}

/// Tasks that live and stop together. Dropping the group aborts what still runs.
#[derive(Debug)]
pub struct TaskGroup {
    shutdown: Shutdown,
    running: JoinSet<Result<(), TaskError>>,
    names: BTreeMap<Id, Arc<str>>,
}

impl TaskGroup {
    /// The first failure begins this shutdown.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self {
            shutdown: shutdown.clone(),
            running: JoinSet::new(),
            names: BTreeMap::new(),
        }
    }

    /// A task may end well at any time; that stops nobody else.
    pub fn spawn<E: Into<TaskError>>(
        &mut self,
        name: impl Into<Arc<str>>,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self
            .running
            .spawn(async move { task.await.map_err(Into::into) });
        self.names.insert(handle.id(), name.into());
    }

    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Waits until all have ended. Once the shutdown has begun, by whomever, they have `grace` to do so; then they are
    /// aborted. *Errors*: the first failure; later ones are logged.
    pub async fn join(mut self, grace: Duration) -> Result<(), TaskFailure> {
        let shutdown = self.shutdown.clone();
        let mut first = None;
        while let Some(ended) = shutdown
            .unless_begun(self.running.join_next_with_id())
            .await
        {
            match ended {
                Some(ended) => self.note(ended, &mut first),
                None => return first.map_or(Ok(()), Err),
            }
        }
        let drain = async {
            while let Some(ended) = self.running.join_next_with_id().await {
                note(&mut self.names, &self.shutdown, ended, &mut first);
            }
        };
        if tokio::time::timeout(grace, drain).await.is_err() {
            let tasks = self.names.values().map(ToString::to_string).collect();
            let overdue = TaskFailure::Overdue { tasks, grace };
            self.running.shutdown().await;
            keep_first(&mut first, overdue);
        }
        first.map_or(Ok(()), Err)
    }

    fn note(&mut self, ended: Ended, first: &mut Option<TaskFailure>) {
        note(&mut self.names, &self.shutdown, ended, first);
    }
}

type Ended = Result<(Id, Result<(), TaskError>), JoinError>;

fn note(
    names: &mut BTreeMap<Id, Arc<str>>,
    shutdown: &Shutdown,
    ended: Ended,
    first: &mut Option<TaskFailure>,
) {
    let id = match &ended {
        Ok((id, _)) => *id,
        Err(error) => error.id(),
    };
    let task = names.remove(&id).unwrap_or_else(|| "unnamed".into());
    let failure = match ended {
        Ok((_, Ok(()))) => {
            tracing::debug!(%task, "task ended");
            return;
        }
        Ok((_, Err(source))) => TaskFailure::Failed { task, source },
        Err(error) => TaskFailure::Panicked {
            task,
            message: panic_message(error),
        },
    };
    shutdown.begin();
    keep_first(first, failure);
}

fn keep_first(first: &mut Option<TaskFailure>, failure: TaskFailure) {
    if first.is_some() {
        tracing::error!(
            error = chain(&failure),
            "another task failed while stopping"
        );
    } else {
        *first = Some(failure);
    }
}

fn panic_message(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned()),
        Err(error) => error.to_string(),
    }
}

/// An error and what caused it, once, for a log's `error` field: outermost first.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    async fn until(shutdown: Shutdown) -> io::Result<()> {
        shutdown.begun().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_task_that_ends_well_stops_nobody() {
        let shutdown = Shutdown::new();
        let mut group = TaskGroup::new(&shutdown);
        group.spawn("short", async { io::Result::Ok(()) });
        group.spawn("long", until(shutdown.clone()));
        let join = group.join(GRACE);
        tokio::pin!(join);
        tokio::select! {
            biased;
            _ = &mut join => panic!("joined while one still ran"),
            () = tokio::task::yield_now() => {}
        }
        assert!(!shutdown.is_begun());
        shutdown.begin();
        assert!(join.await.is_ok());
    }

    #[tokio::test]
    async fn the_first_failure_stops_all_and_is_told_with_its_cause() {
        let shutdown = Shutdown::new();
        let mut group = TaskGroup::new(&shutdown);
        group.spawn("loop", until(shutdown.clone()));
        group.spawn("reader", async { Err(io::Error::other("disk on fire")) });
        let failure = group.join(GRACE).await.unwrap_err();
        assert_eq!(chain(&failure), "task `reader` failed: disk on fire");
        assert!(shutdown.is_begun());
    }

    async fn think() -> io::Result<()> {
        panic!("a thought")
    }

    #[tokio::test]
    async fn a_panic_is_seen_and_named() {
        let shutdown = Shutdown::new();
        let mut group = TaskGroup::new(&shutdown);
        group.spawn("loop", until(shutdown.clone()));
        group.spawn("thinker", think());
        let failure = group.join(GRACE).await.unwrap_err();
        assert_eq!(failure.to_string(), "task `thinker` panicked: a thought");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_stop_in_time_is_aborted_and_named() {
        let shutdown = Shutdown::new();
        let mut group = TaskGroup::new(&shutdown);
        group.spawn("good", until(shutdown.clone()));
        group.spawn("deaf", std::future::pending::<io::Result<()>>());
        shutdown.begin();
        let failure = group.join(GRACE).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "still running after 5000 ms of grace: deaf"
        );
    }
}
