//! One WebSocket connection to the stream: frames out, frames in. Knows no picture.

use std::time::Duration;

use caerus_wire::stream::{ClientFrame, CloseCode, FrameError, SUBPROTOCOL, ServerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::intake::IntakeError;
use crate::limit;
use crate::net::{Address, Dialer, NetError, Socket};

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("could not reach the stream")]
    Net(#[from] NetError),
    #[error("the stream was refused with status {status}")]
    Refused { status: u16 },
    #[error("the WebSocket failed")]
    Socket(#[source] Box<SocketError>),
    #[error("no stream within {ms} ms")]
    TimedOut { ms: u64 },
    #[error("the server closed the stream: {code} {name}")]
    Closed { code: u16, name: &'static str },
    #[error("the connection ended")]
    Gone,
    #[error("nothing was heard for {ms} ms")]
    Silent { ms: u64 },
    #[error("the server said `{code}`: {message}")]
    Told { code: String, message: String },
    #[error("a frame cannot be read")]
    Frame(#[from] FrameError),
    #[error("a decision cannot be put in force")]
    Intake(#[from] IntakeError),
    #[error("the server sent {frame}")]
    Unexpected { frame: &'static str },
}

impl From<SocketError> for StreamError {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Http(response) => Self::Refused {
                status: response.status().as_u16(),
            },
            SocketError::ConnectionClosed | SocketError::AlreadyClosed => Self::Gone,
            other => Self::Socket(Box::new(other)),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Link {
    socket: WebSocketStream<Box<dyn Socket>>,
}

impl Link {
    /// Dials and upgrades, within [`limit::CONNECT_MS_MAX`].
    pub(super) async fn open(
        dialer: &Dialer,
        address: &Address,
        authorization: &HeaderValue,
    ) -> Result<Self, StreamError> {
        let limit = Duration::from_millis(limit::CONNECT_MS_MAX);
        tokio::time::timeout(limit, Self::upgrade(dialer, address, authorization))
            .await
            .unwrap_or(Err(StreamError::TimedOut {
                ms: limit::CONNECT_MS_MAX,
            }))
    }

    async fn upgrade(
        dialer: &Dialer,
        address: &Address,
        authorization: &HeaderValue,
    ) -> Result<Self, StreamError> {
        let mut request = address.web_socket_url().into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, authorization.clone());
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        );
        let config = WebSocketConfig::default()
            .max_message_size(Some(limit::FRAME_BYTES_MAX))
            .max_frame_size(Some(limit::FRAME_BYTES_MAX));
        let socket = dialer.dial(address).await?;
        let (socket, _response) =
            tokio_tungstenite::client_async_with_config(request, socket, Some(config)).await?;
        Ok(Self { socket })
    }

    pub(super) async fn send(&mut self, frame: &ClientFrame) -> Result<(), StreamError> {
        Ok(self.socket.send(Message::text(frame.to_json())).await?)
    }

    /// The next frame. Safe to drop and ask again.
    pub(super) async fn next(&mut self) -> Result<ServerFrame, StreamError> {
        loop {
            match self.socket.next().await {
                None => return Err(StreamError::Gone),
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(Message::Text(text))) => return Ok(ServerFrame::parse(&text)?),
                Some(Ok(Message::Close(close))) => {
                    let code = close.map_or(1005, |close| close.code.into());
                    return Err(StreamError::Closed {
                        code,
                        name: CloseCode::of_number(code).map_or("", CloseCode::name),
                    });
                }
                Some(Ok(Message::Binary(_))) => {
                    return Err(StreamError::Unexpected {
                        frame: "a binary frame",
                    });
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            }
        }
    }
}
