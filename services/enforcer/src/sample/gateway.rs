//! A stream server for tests, played by the test: it accepts, reads and sends frames as told.

use std::time::Duration;

use caerus_engine::time::Timestamp;
use caerus_wire::stream::{ClientFrame, Heartbeat, SUBPROTOCOL, ServerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::public;
use crate::picture::Decision;

/// Longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Gateway {
    listener: TcpListener,
    pub(crate) url: String,
}

#[derive(Debug)]
pub(crate) struct Connection {
    socket: WebSocketStream<TcpStream>,
    pub(crate) authorization: String,
}

impl Gateway {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    pub(crate) fn stream_url(&self) -> String {
        format!("{}/v1/stream", self.url.replacen("http", "ws", 1))
    }

    pub(crate) async fn accept(&self) -> Connection {
        let accept = async {
            let (tcp, _) = self.listener.accept().await.unwrap();
            let mut authorization = String::new();
            #[expect(clippy::result_large_err, reason = "the form that the callback has")]
            let upgrade =
                |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
                    assert_eq!(request.uri().path(), "/v1/stream");
                    let header = |name| request.headers()[name].to_str().unwrap().to_owned();
                    assert_eq!(header("sec-websocket-protocol"), SUBPROTOCOL);
                    authorization = header("authorization");
                    response.headers_mut().insert(
                        "sec-websocket-protocol",
                        HeaderValue::from_static(SUBPROTOCOL),
                    );
                    Ok(response)
                };
            let socket = tokio_tungstenite::accept_hdr_async(tcp, upgrade)
                .await
                .unwrap();
            Connection {
                socket,
                authorization,
            }
        };
        tokio::time::timeout(PATIENCE, accept).await.unwrap()
    }
}

impl Connection {
    /// The next frame; `None` when the client has gone.
    pub(crate) async fn read(&mut self) -> Option<ClientFrame> {
        let next = tokio::time::timeout(PATIENCE, self.socket.next());
        match next.await.unwrap() {
            Some(Ok(Message::Text(text))) => Some(ClientFrame::parse(&text).unwrap()),
            _ => None,
        }
    }

    /// The next frame, which is an acknowledgement: its cursor.
    pub(crate) async fn acked(&mut self) -> String {
        match self.read().await {
            Some(ClientFrame::Ack { cursor }) => cursor,
            other => panic!("no acknowledgement but {other:?}"),
        }
    }

    /// The hello's cursor; answered with a welcome that announces a snapshot where there is none.
    pub(crate) async fn greet(&mut self) -> Option<String> {
        let Some(ClientFrame::Hello { cursor, .. }) = self.read().await else {
            panic!("no hello");
        };
        self.welcome(cursor.is_none()).await;
        cursor
    }

    pub(crate) async fn welcome(&mut self, snapshot: bool) {
        self.send(&ServerFrame::Welcome {
            heartbeat_ms: 1_000,
            snapshot,
            max_unacked: 1_024,
        })
        .await;
    }

    pub(crate) async fn send(&mut self, frame: &ServerFrame) {
        self.send_text(frame.to_json()).await;
    }

    pub(crate) async fn send_text(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// A part of a snapshot; with a cursor its end.
    pub(crate) async fn snapshot(&mut self, decisions: &[Decision], cursor: Option<&str>) {
        self.send(&ServerFrame::Snapshot {
            decisions: decisions.iter().map(public).collect(),
            more: cursor.is_none(),
            cursor: cursor.map(ToOwned::to_owned),
        })
        .await;
    }

    pub(crate) async fn decide(&mut self, decision: &Decision, cursor: &str) {
        self.send(&ServerFrame::Decision {
            cursor: cursor.to_owned(),
            decision: Box::new(public(decision)),
        })
        .await;
    }

    pub(crate) async fn beat(&mut self, cursor: &str, evaluated_until: Timestamp, now: Timestamp) {
        self.send(&ServerFrame::Heartbeat(Heartbeat {
            cursor: cursor.to_owned(),
            evaluated_until: Some(evaluated_until),
            now,
        }))
        .await;
    }
}

/// Waits until something is so: for a value, not for a notification.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}
