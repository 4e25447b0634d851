//! What the proxy guards: a server that answers every request that reaches it, and counts them. Knows no proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What every request is answered with.
pub(crate) const PAYSLIP: &str = "your payslip";

/// A running upstream; ends when dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) port: u16,
    reached: Arc<AtomicU64>,
    _server: JoinSet<()>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let reached = Arc::new(AtomicU64::new(0));
        let routes = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&reached));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            port,
            reached,
            _server: server,
        }
    }

    /// How many requests came through.
    pub(crate) fn reached(&self) -> u64 {
        self.reached.load(Ordering::SeqCst)
    }
}

async fn answer(State(reached): State<Arc<AtomicU64>>) -> &'static str {
    reached.fetch_add(1, Ordering::SeqCst);
    PAYSLIP
}
