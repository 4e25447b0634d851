//! The one way in which everything learns that it should stop. Knows nobody's work.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Told once, heard by every clone, never taken back.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything that listens to stop.
    pub fn begin(&self) {
        self.token.cancel();
    }

    pub fn is_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns once the shutdown has begun. Safe to drop and ask again.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// Begins with its parent, or alone, without its parent.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
        }
    }

    /// The future's answer, or `None` when the shutdown begins first; the future is then dropped.
    pub async fn unless_begun<F: Future>(&self, future: F) -> Option<F::Output> {
        self.token.run_until_cancelled(future).await
    }
}

/// SIGINT and SIGTERM, caught from [`Signals::catch`] on.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// How a process is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    Interrupt,
    Terminate,
}

impl StopSignal {
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// What a shell expects of a process that a signal ended: 128 and the signal's number.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl Signals {
    /// *Errors*: when the operating system refuses the handlers.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }

    /// Begins the shutdown at the first signal, then returns at the second: the caller ends the process at once,
    /// because somebody who asks twice does not want to wait for the drain.
    pub async fn begin_then_insist(mut self, shutdown: Shutdown) -> StopSignal {
        let first = self.next().await;
        tracing::info!(signal = first.name(), "stopping");
        shutdown.begin();
        self.next().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_it_and_a_child_ends_alone() {
        let root = Shutdown::new();
        let (clone, child) = (root.clone(), root.child());
        child.begin();
        assert!(child.is_begun());
        assert!(!root.is_begun());
        let second = root.child();
        root.begin();
        clone.begun().await;
        second.begun().await;
        assert!(clone.is_begun() && second.is_begun());
    }

    #[tokio::test]
    async fn a_future_that_never_ends_is_dropped_at_shutdown() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.unless_begun(async { 7 }).await, Some(7));
        shutdown.begin();
        assert_eq!(
            shutdown.unless_begun(std::future::pending::<u8>()).await,
            None
        );
    }

    fn tell_this_process(signal: &str) {
        let line = format!("kill -{signal} {}", std::process::id());
        let told = std::process::Command::new("sh")
            .args(["-c", &line])
            .status();
        assert!(told.unwrap().success());
    }

    #[tokio::test]
    async fn the_first_signal_begins_the_shutdown_and_the_second_insists() {
        let shutdown = Shutdown::new();
        let signals = Signals::catch().unwrap();
        let insisting = signals.begin_then_insist(shutdown.clone());
        tokio::pin!(insisting);
        tell_this_process("TERM");
        tokio::select! {
            biased;
            _ = &mut insisting => panic!("one signal is no insisting"),
            () = shutdown.begun() => {}
        }
        tell_this_process("INT");
        assert_eq!(insisting.await, StopSignal::Interrupt);
    }

    #[test]
    fn a_stop_by_signal_exits_as_shells_expect() {
        let told =
            [StopSignal::Interrupt, StopSignal::Terminate].map(|s| (s.name(), s.exit_code()));
        assert_eq!(told, [("SIGINT", 130), ("SIGTERM", 143)]);
    }
}
