//! What the process tests stand on: real binaries on free ports in directories of their own, always ended, and waits
//! for values with a limit. Knows no story.

pub(crate) mod caerus;
pub(crate) mod enforcer;
pub(crate) mod idp;
pub(crate) mod nginx;
pub(crate) mod person;
pub(crate) mod program;
pub(crate) mod sql;
pub(crate) mod upstream;

use std::time::{Duration, Instant};

/// A value that has not come within this time does not come: the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Looks until there is a value. `what` is what a failed test says it waited for.
pub(crate) async fn eventually<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
