//! The real gateway with its routes, its WebSockets and its frames, over pipes in memory: no socket, no real time.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use caerus_gateway::limits::Limits;
use caerus_gateway::{Gateway, GatewayParts};
use caerus_runtime::auth::{Grant, Right, Tenants, Token, TokenTable, identify};
use caerus_runtime::port::{Clock, StoredToken};
use caerus_testkit::sim::clock::STARTS_AT;
use caerus_testkit::sim::gateway::{Door, Line, Opened, Post};
use caerus_wire::stream::SUBPROTOCOL;
use futures_util::{SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::metrics;

/// An enforcement point's credential, in clear and as it is stored.
fn credential() -> &'static (String, StoredToken) {
    static CREDENTIAL: OnceLock<(String, StoredToken)> = OnceLock::new();
    CREDENTIAL.get_or_init(|| {
        let grant = Grant {
            name: "enforcement-point".to_owned(),
            tenants: Tenants::All,
            rights: [Right::Stream].into(),
            expires_at: None,
        };
        let token = Token::draw().expect("the system has randomness");
        let stored = token.stored(&grant, STARTS_AT);
        (token.reveal().expose().to_owned(), stored)
    })
}

/// Starts a gateway as its composition root does, but for the listener.
pub(crate) fn open(post: Post) -> Opened {
    let clock = post.clock as Arc<dyn Clock>;
    let tokens = TokenTable::new(Arc::clone(&clock));
    tokens.publish(vec![credential().1.clone()]);
    let parts = GatewayParts {
        bus: post.bus,
        clock,
        tokens: tokens.clone(),
        metrics: metrics(),
        limits: Limits {
            unacked_max: post.bounds.unacked_max,
            queued_bytes_max: post.bounds.queued_bytes_max,
            snapshot_frame_bytes: post.bounds.snapshot_frame_bytes,
            poll: Duration::from_millis(post.bounds.poll_ms),
            ..Limits::default()
        },
        jitter_seed: Some(post.seed),
    };
    let (gateway, loops) = Gateway::new(parts, post.stop.clone());
    let routes = caerus_gateway::routes(gateway);
    let running = caerus_gateway::run(loops, post.stop);
    Opened {
        running: Box::pin(async {
            let ended = running.await;
            ended.map_err(|error| caerus_runtime::tasks::chain(&error))
        }),
        door: Arc::new(Routes {
            router: identify(routes, tokens, metrics()),
            line_bytes: post.bounds.line_bytes,
            connections: Mutex::default(),
        }),
    }
}

/// A gateway's routes, reached by a pipe.
#[derive(Debug)]
struct Routes {
    router: Router,
    line_bytes: usize,
    connections: Mutex<JoinSet<()>>,
}

impl Routes {
    fn serve(&self, theirs: DuplexStream) {
        let service = TowerToHyperService::new(self.router.clone());
        let serving = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        let connections = self.connections.lock();
        let mut connections = connections.unwrap_or_else(PoisonError::into_inner);
        while connections.try_join_next().is_some() {}
        // A line that breaks is nobody's failure.
        connections.spawn(async { drop(serving.with_upgrades().await) });
    }
}

#[async_trait]
impl Door for Routes {
    async fn connect(&self) -> Option<Box<dyn Line>> {
        let (ours, theirs) = tokio::io::duplex(self.line_bytes);
        self.serve(theirs);
        let request = "ws://gateway/v1/stream".into_client_request();
        let mut request = request.expect("the address is one");
        let bearer = HeaderValue::from_str(&format!("Bearer {}", credential().0));
        let bearer = bearer.expect("a token is hex");
        request.headers_mut().insert("authorization", bearer);
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", protocol);
        let (stream, _) = tokio_tungstenite::client_async(request, ours).await.ok()?;
        Some(Box::new(Socket { stream }))
    }
}

/// An enforcement point's end.
#[derive(Debug)]
struct Socket {
    stream: WebSocketStream<DuplexStream>,
}

#[async_trait]
impl Line for Socket {
    async fn say(&mut self, text: String) -> bool {
        self.stream.send(Message::text(text)).await.is_ok()
    }

    async fn hear(&mut self) -> Option<String> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_) | Err(_)) | None => return None,
            }
        }
    }
}
