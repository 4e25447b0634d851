//! Subscribing, against a gateway that speaks from a script, over real sockets.

use std::sync::mpsc;

use caerus_wire::decision::PublicDecision;
use caerus_wire::stream::{ClientFrame, ServerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::*;
use crate::show::sample::revoke;
use crate::terminal::Reader;

/// More lines than any script makes.
const LINES_MAX: usize = 64;

/// What the gateway does on one connection, after the hello.
struct Scene {
    frames: Vec<ServerFrame>,
    close: u16,
}

fn decision(generation: u64) -> PublicDecision {
    let mut decision = revoke();
    decision.generation = generation;
    decision
}

fn snapshot(generations: &[u64], cursor: &str) -> ServerFrame {
    ServerFrame::Snapshot {
        decisions: generations.iter().copied().map(decision).collect(),
        more: false,
        cursor: Some(cursor.to_owned()),
    }
}

fn told(generation: u64, cursor: &str) -> ServerFrame {
    ServerFrame::Decision {
        cursor: cursor.to_owned(),
        decision: Box::new(decision(generation)),
    }
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (socket, _) = listener.accept().await.unwrap();
    #[expect(
        clippy::result_large_err,
        reason = "the callback's type is the library's"
    )]
    let choose = |request: &Request, mut response: Response| {
        let asked = request.headers().get("sec-websocket-protocol").unwrap();
        assert_eq!(asked, "caerus.v1");
        assert_eq!(
            request.headers().get("authorization").unwrap(),
            "Bearer secret"
        );
        let chosen = HeaderValue::from_static("caerus.v1");
        response
            .headers_mut()
            .insert("sec-websocket-protocol", chosen);
        Ok(response)
    };
    tokio_tungstenite::accept_hdr_async(socket, choose)
        .await
        .unwrap()
}

/// Plays the scenes, one connection each. *Returns*: what the subscriber said, cursors alone.
async fn play(listener: TcpListener, scenes: Vec<Scene>) -> Vec<String> {
    let mut heard = Vec::new();
    for scene in scenes {
        let mut socket = accept(&listener).await;
        heard.push(next_word(&mut socket).await.unwrap());
        for frame in &scene.frames {
            socket.send(Message::text(frame.to_json())).await.unwrap();
        }
        let close = CloseFrame {
            code: scene.close.into(),
            reason: Utf8Bytes::from_static("why"),
        };
        socket.send(Message::Close(Some(close))).await.unwrap();
        while let Some(word) = next_word(&mut socket).await {
            heard.push(word);
        }
    }
    heard
}

async fn next_word(socket: &mut WebSocketStream<TcpStream>) -> Option<String> {
    loop {
        let Message::Text(text) = socket.next().await?.ok()? else {
            continue;
        };
        return Some(match ClientFrame::parse(&text).unwrap() {
            ClientFrame::Hello { cursor, .. } => format!("hello {}", cursor.unwrap_or_default()),
            ClientFrame::Ack { cursor } => format!("ack {cursor}"),
        });
    }
}

/// Subscribes until it ends by itself. *Returns*: what was heard, the generations shown, and the last words.
async fn subscribed(acknowledges: bool, scenes: Vec<Scene>) -> (Vec<String>, Vec<u64>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sender, lines) = mpsc::sync_channel(LINES_MAX);
    let write = move |line: &str| {
        sender.send(line.to_owned()).unwrap();
        Ok(Reader::There)
    };
    let subscriber = Subscriber {
        url: format!("http://{}", listener.local_addr().unwrap()),
        token: Secret::new("secret"),
        filter: Filter::default(),
        acknowledges,
        cursor: None,
        held: Held::default(),
        screen: Screen::new(None, Box::new(write)),
    };
    let (ended, heard) = tokio::join!(subscriber.subscribe(), play(listener, scenes));
    let Err(Failure::Failed(error)) = ended else {
        panic!("{ended:?}");
    };
    let generation = |line: String| PublicDecision::parse(line.as_bytes()).unwrap().generation;
    let shown = lines.try_iter().map(generation).collect();
    (heard, shown, error.to_string())
}

#[tokio::test]
async fn a_stream_that_is_looked_on_without_a_word_is_taken_up_where_it_stood() {
    let scenes = vec![
        Scene {
            frames: vec![snapshot(&[3], "c1"), told(4, "c2")],
            close: 4408,
        },
        Scene {
            frames: vec![told(4, "c2"), told(5, "c3")],
            close: 4403,
        },
    ];
    let (heard, shown, error) = subscribed(false, scenes).await;
    assert_eq!(heard, ["hello ", "hello c2"]);
    assert_eq!(shown, [3, 4, 5]);
    assert_eq!(error, "the stream was closed with 4403: why");
}

#[tokio::test]
async fn what_was_shown_is_acknowledged_where_that_is_wanted() {
    let frames = vec![snapshot(&[3], "c1"), told(4, "c2"), told(4, "c3")];
    let complaint = ServerFrame::Error {
        code: "not_authenticated".to_owned(),
        message: "the credential has ended".to_owned(),
    };
    let scenes = vec![Scene {
        frames: frames.into_iter().chain([complaint]).collect(),
        close: 4401,
    }];
    let (heard, shown, error) = subscribed(true, scenes).await;
    assert_eq!(heard, ["hello ", "ack c1", "ack c2", "ack c3"]);
    assert_eq!(shown, [3, 4]);
    assert_eq!(
        error,
        "the stream was closed with 4401: the credential has ended"
    );
}

#[tokio::test]
async fn after_a_reload_everything_is_news() {
    let reload = ServerFrame::Reload {
        reason: "another log".to_owned(),
    };
    let scenes = vec![Scene {
        frames: vec![snapshot(&[3], "c1"), reload, snapshot(&[3], "c9")],
        close: 4403,
    }];
    let (_, shown, _) = subscribed(false, scenes).await;
    assert_eq!(shown, [3, 3]);
}

#[tokio::test]
async fn a_caerus_that_never_answered_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let subscriber = Subscriber {
        url,
        token: Secret::new("secret"),
        filter: Filter::default(),
        acknowledges: false,
        cursor: None,
        held: Held::default(),
        screen: Screen::of_stdout(None),
    };
    let ended = subscriber.subscribe().await;
    assert!(matches!(ended, Err(Failure::Failed(_))), "{ended:?}");
}
