//! One subscriber's stream, from its hello to its close code. Knows no bus and nothing of other subscribers.
//!
//! Reading and writing go on at once: a subscriber that writes while it does not read never blocks itself.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use caerus_runtime::auth::Principal;
use caerus_runtime::metric::label;
use caerus_wire::stream::{self, ClientFrame, Cursor};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;

use crate::close::End;
use crate::filter::{Filter, Within};
use crate::frame;
use crate::gateway::{NoPicture, Shared};
use crate::hub::{Resume, Subscription};
use crate::receipts::Subscriber;
use crate::speaker::{Listener, Speaker};

/// Frames read and not yet looked at; more than may be unacknowledged, so that acknowledging never blocks.
const INBOUND_LEN: usize = 2_048;
/// How long a subscriber may take to be told the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Frames of a client that are still read, and dropped, after it was told the end.
const FAREWELL_FRAMES_MAX: usize = 4_096;

/// What came from the client.
#[derive(Debug)]
pub(crate) enum Inbound {
    Frame(ClientFrame),
    Bad(String),
    Left,
}

/// How a client begins.
#[derive(Debug)]
struct Hello {
    client: String,
    cursor: Option<String>,
    filter: stream::Filter,
}

/// Speaks with one subscriber until the stream ends.
pub(crate) async fn converse(
    socket: WebSocket,
    gateway: Arc<Shared>,
    admission: Result<Principal, End>,
) {
    let (mut sink, mut stream) = socket.split();
    let (inbound_sender, inbound) = mpsc::channel(INBOUND_LEN);
    let end = {
        let reading = pin!(read(&mut stream, inbound_sender));
        let speaking = pin!(speak(&mut sink, inbound, &gateway, admission));
        tokio::select! {
            end = speaking => end,
            () = reading => End::Left,
        }
    };
    let closed = &gateway.metrics.gateway.closed_streams;
    closed.of(&end.label()).inc();
    let farewell = async {
        if tell(&mut sink, &gateway, &end).await {
            drain(&mut stream).await;
        }
    };
    // Whoever does not listen to the end is left without it.
    drop(tokio::time::timeout(FAREWELL, farewell).await);
}

/// Reads frames until the first that ends the stream, then waits to be dropped.
async fn read(stream: &mut SplitStream<WebSocket>, inbound: mpsc::Sender<Inbound>) {
    loop {
        let one = match stream.next().await {
            Some(Ok(Message::Text(text))) => match ClientFrame::parse(&text) {
                Ok(read) => Inbound::Frame(read),
                Err(failure) => Inbound::Bad(failure.to_string()),
            },
            Some(Ok(Message::Binary(_))) => Inbound::Bad("expected a text frame".to_owned()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_))) | None => Inbound::Left,
            Some(Err(failure)) => unreadable(&failure),
        };
        let is_last = !matches!(one, Inbound::Frame(_));
        if inbound.send(one).await.is_err() || is_last {
            return std::future::pending().await;
        }
    }
}

/// A frame beyond the limit, or one that is not UTF-8, is told apart from a connection that broke.
fn unreadable(failure: &axum::Error) -> Inbound {
    let text = failure.to_string();
    if text.contains("too long") || text.contains("UTF-8") {
        Inbound::Bad("the frame is too long or not UTF-8".to_owned())
    } else {
        Inbound::Left
    }
}

/// Says why the stream ends. *Returns*: false where nobody is there to be told.
async fn tell(sink: &mut SplitSink<WebSocket, Message>, gateway: &Shared, end: &End) -> bool {
    let Some(code) = end.code() else {
        return false;
    };
    let sent = &gateway.metrics.gateway.sent_frames;
    sent.of(&label::Frame::Error).inc();
    let close = Message::Close(Some(CloseFrame {
        code: code.number(),
        reason: Utf8Bytes::from_static(code.name()),
    }));
    let error = Message::Text(frame::error(code, end.message()));
    sink.send(error).await.is_ok() && sink.send(close).await.is_ok()
}

/// Reads on until the client has answered the close: closing over unread bytes would reset the connection, and the
/// client would never see the code.
async fn drain(stream: &mut SplitStream<WebSocket>) {
    for _ in 0..FAREWELL_FRAMES_MAX {
        if !matches!(stream.next().await, Some(Ok(_))) {
            return;
        }
    }
}

/// From the hello to the end.
async fn speak(
    sink: &mut SplitSink<WebSocket, Message>,
    mut inbound: mpsc::Receiver<Inbound>,
    gateway: &Shared,
    admission: Result<Principal, End>,
) -> End {
    let principal = match admission {
        Ok(principal) => principal,
        Err(end) => return end,
    };
    let Ok(_seat) = gateway.seats.try_acquire() else {
        return End::TooMany;
    };
    let admitted = async {
        let hello = greeting(&mut inbound, gateway).await?;
        admit(hello, gateway, &principal).await
    };
    let (subscriber, filter, subscription) = match admitted.await {
        Ok(admitted) => admitted,
        Err(end) => return end,
    };
    gateway.metrics.gateway.subscribers.inc();
    let listener = Listener {
        sink,
        inbound,
        principal,
        subscriber,
        filter,
    };
    let end = Speaker::new(gateway, listener, &subscription)
        .run(subscription)
        .await;
    gateway.metrics.gateway.subscribers.dec();
    end
}

/// The first frame, which must be a hello and come in time.
async fn greeting(inbound: &mut mpsc::Receiver<Inbound>, gateway: &Shared) -> Result<Hello, End> {
    let first = tokio::time::timeout(gateway.limits.hello, inbound.recv());
    match gateway.shutdown.unless_begun(first).await {
        None => Err(End::GoingAway),
        Some(Err(_elapsed)) => Err(End::TooSlow("no hello came in time")),
        Some(Ok(Some(Inbound::Frame(ClientFrame::Hello {
            client,
            cursor,
            filter,
        })))) => Ok(Hello {
            client,
            cursor,
            filter,
        }),
        Some(Ok(Some(Inbound::Frame(ClientFrame::Ack { .. })))) => {
            Err(End::BadFrame("the first frame must be a hello".to_owned()))
        }
        Some(Ok(Some(Inbound::Bad(message)))) => Err(End::BadFrame(message)),
        Some(Ok(Some(Inbound::Left) | None)) => Err(End::Left),
    }
}

async fn admit(
    hello: Hello,
    gateway: &Shared,
    principal: &Principal,
) -> Result<(Arc<Subscriber>, u64, Subscription), End> {
    let filter = Filter::narrow(Within::from(&principal.tenants), &hello.filter)
        .map_err(|nothing| End::NotAllowed(nothing.to_string()))?;
    let subscriber = Arc::new(Subscriber {
        name: principal.name.to_string(),
        client: hello.client,
        tenants: filter.tenants(),
    });
    let hash = filter.hash();
    let resume = match hello.cursor.as_deref().map(Cursor::parse) {
        None => Resume::Anew,
        Some(Ok(cursor)) => Resume::After(cursor),
        Some(Err(_of_another_version)) => Resume::Unreadable,
    };
    match gateway.subscribe(filter, resume).await {
        Ok(subscription) => Ok((subscriber, hash, subscription)),
        Err(NoPicture) => Err(End::GoingAway),
    }
}
