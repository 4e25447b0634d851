//! What the stream's tests stand on: a bus in memory, a clock that is set, a gateway on a free port, a client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use caerus_engine::id::{SubjectKey, TenantId, UserId};
use caerus_engine::time::{Span, Timestamp};
use caerus_gateway::limits::Limits;
use caerus_gateway::{Gateway, GatewayParts};
use caerus_runtime::auth::{Grant, Right, Tenants, Token, TokenTable};
use caerus_runtime::health::Health;
use caerus_runtime::http::{Server, ServerSettings, Shell};
use caerus_runtime::metric::Metrics;
use caerus_runtime::port::{Bus, Clock, NewRecord, StoredToken, Topic};
use caerus_runtime::retry::RetryError;
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::TaskGroup;
use caerus_wire::decision::PublicDecision;
use caerus_wire::moment;
use caerus_wire::progress::Progress;
use caerus_wire::stream::{CloseCode, Filter, Heartbeat, SUBPROTOCOL, ServerFrame};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::bus::{MemoryBus, PARTITIONS, SetClock};

pub(crate) const NOON: Timestamp = Timestamp(1_790_000_000_000);
/// A test that waits longer than this for a frame has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that listens, and its world.
pub(crate) struct World {
    pub(crate) bus: Arc<MemoryBus>,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) address: SocketAddr,
    tokens: TokenTable,
    stored: Mutex<Vec<StoredToken>>,
    _tasks: TaskGroup,
}

impl World {
    pub(crate) async fn open() -> Self {
        Self::with(Limits::default(), MemoryBus::of_log(7)).await
    }

    pub(crate) async fn with(limits: Limits, bus: Arc<MemoryBus>) -> Self {
        let clock = SetClock::at(NOON);
        let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
        let tokens = TokenTable::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let parts = GatewayParts {
            bus: Arc::clone(&bus) as Arc<dyn Bus>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            tokens: tokens.clone(),
            metrics: metrics.clone(),
            limits,
        };
        let (gateway, loops) = Gateway::new(parts, shutdown.clone());
        let shell = Shell {
            metrics: metrics.clone(),
            health: Health::new(),
            tokens: Some(tokens.clone()),
        };
        let settings = ServerSettings::at(([127, 0, 0, 1], 0).into());
        let server = Server::bind(settings, shell).await.unwrap();
        let address = server.local_address();
        let mut tasks = TaskGroup::new(&shutdown);
        tasks.spawn::<RetryError>("gateway", caerus_gateway::run(loops, shutdown.clone()));
        let routes = caerus_gateway::routes(gateway);
        tasks.spawn("http", server.serve(routes, shutdown.clone()));
        Self {
            bus,
            clock,
            metrics,
            shutdown,
            address,
            tokens,
            stored: Mutex::default(),
            _tasks: tasks,
        }
    }

    /// A credential that stands from now on.
    pub(crate) fn token(&self, name: &str, tenants: &[&str], rights: &[Right]) -> String {
        let tenants: Vec<TenantId> = tenants
            .iter()
            .map(|tenant| TenantId::new(*tenant))
            .collect();
        let grant = Grant {
            name: name.to_owned(),
            tenants: Tenants::from_list(&tenants),
            rights: rights.iter().copied().collect(),
            expires_at: None,
        };
        let token = Token::draw().unwrap();
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.push(token.stored(&grant, NOON));
        self.tokens.publish(stored.clone());
        token.reveal().expose().to_owned()
    }

    pub(crate) fn stream_token(&self, tenants: &[&str]) -> String {
        self.token("edge", tenants, &[Right::Stream])
    }

    /// No credential stands any more.
    pub(crate) fn revoke_all(&self) {
        self.tokens.publish(Vec::new());
    }

    /// Puts a decision into its topic, as an evaluator does. *Returns*: its id.
    pub(crate) async fn decide(&self, what: Decided<'_>) -> String {
        let decision = what.build();
        let id = decision.id.clone();
        let key = decision.key();
        self.put(what.partition(), key, decision.to_json().into_bytes())
            .await;
        id
    }

    pub(crate) async fn bury(&self, what: Decided<'_>) {
        let key = what.build().key();
        self.put(what.partition(), key, Vec::new()).await;
    }

    pub(crate) async fn put(&self, partition: u32, key: String, value: Vec<u8>) {
        let record = NewRecord {
            topic: Topic::Decisions,
            partition,
            key: key.into_bytes(),
            value: value.into(),
        };
        self.bus.append(vec![record]).await.unwrap();
    }

    /// Every partition has passed the moment, and nothing derived waits.
    pub(crate) async fn pass(&self, until: Timestamp) {
        for partition in 0..PARTITIONS {
            let report = Progress {
                partition,
                passed: vec![(0, until)],
                log_position: 1,
                decisions_offset: self.bus.end(Topic::Decisions, partition).await.unwrap(),
                derived: vec![0; usize::try_from(PARTITIONS).unwrap()],
            };
            let record = NewRecord {
                topic: Topic::Progress,
                partition: 0,
                key: partition.to_be_bytes().to_vec(),
                value: report.to_bytes().into(),
            };
            self.bus.append(vec![record]).await.unwrap();
        }
    }

    pub(crate) async fn connect(&self, token: Option<&str>) -> Client {
        self.try_connect(token, Some(SUBPROTOCOL)).await.unwrap()
    }

    pub(crate) async fn try_connect(
        &self,
        token: Option<&str>,
        subprotocol: Option<&str>,
    ) -> Result<Client, Error> {
        let url = format!("ws://{}/v1/stream", self.address);
        let mut request = url.into_client_request().unwrap();
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            request.headers_mut().insert("authorization", value);
        }
        if let Some(subprotocol) = subprotocol {
            let value = HeaderValue::from_str(subprotocol).unwrap();
            request
                .headers_mut()
                .insert("sec-websocket-protocol", value);
        }
        let socket = TcpStream::connect(self.address).await.unwrap();
        let (stream, _) = tokio_tungstenite::client_async(request, socket).await?;
        Ok(Client {
            stream,
            cursor: None,
        })
    }

    /// A subscriber that has said hello; what it was sent first is still to be read.
    pub(crate) async fn subscribe(&self, token: &str, cursor: Option<&str>) -> Client {
        let mut client = self.connect(Some(token)).await;
        client.hello(cursor, Filter::default()).await;
        client
    }
}

/// A decision to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) user: &'a str,
    pub(crate) app: Option<&'a str>,
    pub(crate) generation: u64,
    pub(crate) action: &'a str,
    pub(crate) mode: &'a str,
    pub(crate) life: Span,
    /// Makes it as large as wanted. *Units*: bytes.
    pub(crate) padding: usize,
}

/// A revoke of a user's session for an hour, the first of its generations.
pub(crate) fn revoke<'a>(tenant: &'a str, user: &'a str) -> Decided<'a> {
    Decided {
        tenant,
        user,
        app: None,
        generation: 1,
        action: "revoke",
        mode: "enforce",
        life: Span::hours(1),
        padding: 0,
    }
}

impl Decided<'_> {
    fn owner(&self) -> caerus_engine::id::SubjectHash {
        let key = SubjectKey::User {
            tenant: TenantId::new(self.tenant),
            user: UserId::new(self.user),
        };
        key.hash()
    }

    pub(crate) fn partition(&self) -> u32 {
        self.owner().partition(PARTITIONS)
    }

    pub(crate) fn build(&self) -> PublicDecision {
        let id = format!("d-{}{:016x}", self.owner(), self.generation);
        let mut target = json!({"user": self.user, "session": "s-1"});
        if let Some(app) = self.app {
            target["app"] = app.into();
        }
        let reason = "x".repeat(self.padding);
        let object = json!({
            "v": 1, "id": id, "tenant": self.tenant, "generation": self.generation,
            "action": self.action, "mode": self.mode, "target": target, "issued_before": null,
            "issued_at": moment::to_text(NOON), "expires_at": moment::to_text(NOON + self.life),
            "requires": null, "restricts": null, "score": 87, "level": "HIGH",
            "hypothesis": "stolen_credential",
            "contributions": [{"code": "OPERATOR", "points": 87.00, "text": reason}],
            "policy": {"rule": null, "revision": "sha256:0"}, "cause": "e-1",
            "received_at": moment::to_text(NOON - Span::millis(40)),
            "decided_at": moment::to_text(NOON - Span::millis(30)),
        });
        PublicDecision::parse(object.to_string().as_bytes()).unwrap()
    }
}

/// An enforcement point.
pub(crate) struct Client {
    stream: WebSocketStream<TcpStream>,
    /// The cursor of the last frame that had one.
    pub(crate) cursor: Option<String>,
}

/// What a client is told.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    Frame(ServerFrame),
    Closed(Option<CloseCode>),
}

impl Client {
    pub(crate) async fn hello(&mut self, cursor: Option<&str>, filter: Filter) {
        let hello =
            json!({"type": "hello", "client": "nginx-7", "cursor": cursor, "filter": filter});
        self.say(&hello.to_string()).await;
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn say_bytes(&mut self, bytes: &'static [u8]) {
        self.stream.send(Message::binary(bytes)).await.unwrap();
    }

    pub(crate) async fn acknowledge(&mut self) {
        let cursor = self.cursor.clone().expect("a frame with a cursor came");
        self.say(&json!({"type": "ack", "cursor": cursor}).to_string())
            .await;
    }

    pub(crate) async fn told(&mut self) -> Told {
        let next = tokio::time::timeout(PATIENCE, self.stream.next());
        match next.await.expect("a frame comes in time") {
            Some(Ok(Message::Text(text))) => {
                let frame = ServerFrame::parse(&text).unwrap();
                if let Some(cursor) = cursor_of(&frame) {
                    self.cursor = Some(cursor.to_owned());
                }
                Told::Frame(frame)
            }
            Some(Ok(Message::Close(close))) => {
                let code = close.map(|close| u16::from(close.code));
                Told::Closed(code.and_then(CloseCode::of_number))
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Box::pin(self.told()).await,
            Some(Ok(other)) => panic!("no such message is sent: {other:?}"),
            Some(Err(_)) | None => Told::Closed(None),
        }
    }

    /// The next frame that is no heartbeat.
    pub(crate) async fn frame(&mut self) -> ServerFrame {
        loop {
            match self.told().await {
                Told::Frame(ServerFrame::Heartbeat(_)) => {}
                Told::Frame(frame) => return frame,
                Told::Closed(code) => panic!("closed with {code:?}"),
            }
        }
    }

    /// The welcome and the whole snapshot: the ids of its decisions, and how many frames it took.
    pub(crate) async fn snapshot(&mut self) -> (Vec<String>, usize) {
        let welcome = self.frame().await;
        let is_anew = matches!(welcome, ServerFrame::Welcome { snapshot: true, .. });
        assert!(is_anew, "{welcome:?}");
        self.snapshot_frames().await
    }

    pub(crate) async fn snapshot_frames(&mut self) -> (Vec<String>, usize) {
        let (mut ids, mut frames) = (Vec::new(), 0);
        loop {
            let ServerFrame::Snapshot {
                decisions,
                more,
                cursor,
            } = self.frame().await
            else {
                panic!("a snapshot comes first");
            };
            frames += 1;
            ids.extend(decisions.into_iter().map(|decision| decision.id));
            assert_eq!(cursor.is_some(), !more, "the last has the cursor");
            if !more {
                return (ids, frames);
            }
        }
    }

    /// The id of the next decision.
    pub(crate) async fn decision(&mut self) -> String {
        match self.frame().await {
            ServerFrame::Decision { decision, .. } => decision.id,
            other => panic!("not a decision: {other:?}"),
        }
    }

    pub(crate) async fn heartbeat(&mut self) -> Heartbeat {
        loop {
            match self.told().await {
                Told::Frame(ServerFrame::Heartbeat(heartbeat)) => return heartbeat,
                Told::Frame(_) => {}
                Told::Closed(code) => panic!("closed with {code:?}"),
            }
        }
    }

    /// How the stream ends, and the error told before; what else comes is read over.
    pub(crate) async fn end(&mut self) -> (Option<CloseCode>, Option<String>) {
        let ended = async {
            let mut error = None;
            loop {
                match self.told().await {
                    Told::Frame(ServerFrame::Error { code, .. }) => error = Some(code),
                    Told::Frame(_) => {}
                    Told::Closed(code) => return (code, error),
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, ended);
        waited.await.expect("the stream ends in time")
    }
}

fn cursor_of(frame: &ServerFrame) -> Option<&str> {
    match frame {
        ServerFrame::Snapshot { cursor, .. } => cursor.as_deref(),
        ServerFrame::Decision { cursor, .. } => Some(cursor),
        ServerFrame::Heartbeat(heartbeat) => Some(&heartbeat.cursor),
        ServerFrame::Welcome { .. } | ServerFrame::Reload { .. } | ServerFrame::Error { .. } => {
            None
        }
    }
}
