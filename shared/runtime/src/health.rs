//! What a service needs to be ready, by name: each part tells its own condition. Knows no HTTP and nobody's work.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// How one condition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Named, and not yet heard of.
    Starting,
    Ready,
    /// Not ready, and why, in words for an operator.
    Failing(Arc<str>),
}

impl State {
    /// *Returns*: what stands in the way; `None` when nothing does.
    pub fn obstacle(&self) -> Option<&str> {
        match self {
            Self::Starting => Some("starting"),
            Self::Ready => None,
            Self::Failing(reason) => Some(reason),
        }
    }
}

/// All conditions at one moment, by name.
pub type Conditions = BTreeMap<&'static str, State>;

/// The register of conditions of one process. Ready when every condition is; also when there is none.
#[derive(Clone, Debug)]
pub struct Health {
    conditions: Arc<watch::Sender<Conditions>>,
}

impl Health {
    pub fn new() -> Self {
        Self {
            conditions: Arc::new(watch::Sender::new(Conditions::new())),
        }
    }

    /// Names a condition, `Starting` until it is told otherwise. A name told twice is one condition.
    pub fn condition(&self, name: &'static str) -> Condition {
        self.conditions.send_modify(|conditions| {
            conditions.entry(name).or_insert(State::Starting);
        });
        Condition {
            name,
            conditions: Arc::clone(&self.conditions),
        }
    }

    pub fn conditions(&self) -> Conditions {
        self.conditions.borrow().clone()
    }

    pub fn is_ready(&self) -> bool {
        all_ready(&self.conditions.borrow())
    }

    /// Returns once every condition is ready.
    pub async fn ready(&self) {
        let mut conditions = self.conditions.subscribe();
        // The sender lives as long as `self`, so the only way out is readiness.
        let waited = conditions.wait_for(all_ready).await;
        debug_assert!(waited.is_ok(), "the register outlives those who wait on it");
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

fn all_ready(conditions: &Conditions) -> bool {
    conditions.values().all(|state| *state == State::Ready)
}

/// One named condition, to be told as it changes. Changes are logged once.
#[derive(Clone, Debug)]
pub struct Condition {
    name: &'static str,
    conditions: Arc<watch::Sender<Conditions>>,
}

impl Condition {
    pub fn ready(&self) {
        if self.tell(State::Ready) {
            tracing::info!(condition = self.name, "ready");
        }
    }

    pub fn failing(&self, reason: impl Into<Arc<str>>) {
        let reason = reason.into();
        if self.tell(State::Failing(Arc::clone(&reason))) {
            tracing::warn!(condition = self.name, %reason, "not ready");
        }
    }

    /// *Returns*: whether it was otherwise before.
    fn tell(&self, state: State) -> bool {
        self.conditions.send_if_modified(|conditions| {
            conditions.insert(self.name, state.clone()) != Some(state)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_means_every_named_condition_is() {
        let health = Health::new();
        assert!(health.is_ready());
        let (store, bus) = (health.condition("store"), health.condition("bus"));
        assert_eq!(health.conditions()["store"].obstacle(), Some("starting"));
        store.ready();
        bus.failing("broker at 127.0.0.1:9092 does not answer");
        assert!(!health.is_ready());
        assert_eq!(
            health.conditions()["bus"].obstacle(),
            Some("broker at 127.0.0.1:9092 does not answer")
        );
        bus.ready();
        health.ready().await;
        assert!(health.is_ready());
        store.failing("locked");
        assert!(!health.is_ready());
    }

    #[test]
    fn naming_a_condition_again_does_not_reset_it() {
        let health = Health::new();
        health.condition("store").ready();
        assert!(health.condition("store").conditions.borrow()["store"] == State::Ready);
    }
}
