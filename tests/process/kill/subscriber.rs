//! An enforcement point of the test's own: follows the stream through every death, resumes or begins anew, and looks at
//! what it is told. *Source*: contract, §4. Knows nothing of what was posted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caerus_engine::id::SubjectHash;
use caerus_engine::time::Timestamp;
use caerus_wire::decision::{ActionName, PublicDecision};
use caerus_wire::stream::{ClientFrame, Filter, ServerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// Tenant and target.
type Key = String;

/// What the subscriber knows; shared with who asks it.
#[derive(Debug)]
pub(crate) struct Subscriber {
    url: String,
    token: String,
    seed: u64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    held: BTreeMap<Key, Held>,
    evaluated_until: Option<Timestamp>,
    is_stopped: bool,
    resumed: u64,
    snapshots: u64,
    decisions: u64,
}

#[derive(Clone, Debug)]
struct Held {
    decision: PublicDecision,
    is_acknowledged: bool,
}

impl Subscriber {
    pub(crate) fn new(caerus: &crate::support::caerus::Caerus, seed: u64) -> Self {
        Self {
            url: format!("{}/v1/stream", caerus.url.replacen("http", "ws", 1)),
            token: caerus.token("enforcement-point"),
            seed,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stop(&self) {
        self.known().is_stopped = true;
    }

    pub(crate) fn evaluated_until(&self) -> Option<Timestamp> {
        self.known().evaluated_until
    }

    /// The ids of the decisions it holds, clears left out.
    pub(crate) fn in_force(&self) -> BTreeSet<String> {
        let known = self.known();
        let decisions = known.held.values().map(|held| &held.decision);
        let in_force = decisions.filter(|one| one.action != ActionName::Clear);
        in_force.map(|one| one.id.clone()).collect()
    }

    async fn connect(&self) -> Option<Socket> {
        let mut request = self.url.as_str().into_client_request().unwrap();
        let bearer = HeaderValue::try_from(format!("Bearer {}", self.token)).unwrap();
        request.headers_mut().insert("authorization", bearer);
        request.headers_mut().insert(
            "sec-websocket-protocol",
            HeaderValue::from_static("caerus.v1"),
        );
        Some(connect_async(request).await.ok()?.0)
    }
}

impl fmt::Display for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known();
        write!(
            f,
            "the stream was resumed {} times and begun anew {} times; {} decisions came",
            known.resumed, known.snapshots, known.decisions
        )
    }
}

/// Follows until told to stop.
pub(crate) async fn follow(subscriber: Arc<Subscriber>) {
    let mut random = ChaCha8Rng::seed_from_u64(subscriber.seed);
    let mut cursor: Option<String> = None;
    while !subscriber.known().is_stopped {
        if let Some(mut socket) = subscriber.connect().await {
            // Now and then it comes back as one that has lost everything but what it holds.
            let resumes = cursor.clone().filter(|_| random.random_ratio(2, 3));
            let hello = ClientFrame::Hello {
                client: "in-test".to_owned(),
                cursor: resumes,
                filter: Filter::default(),
            };
            if say(&mut socket, &hello).await {
                converse(&subscriber, &mut socket, &mut cursor, &mut random).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn say(socket: &mut Socket, frame: &ClientFrame) -> bool {
    let text = serde_json::to_string(frame).unwrap();
    socket.send(Message::text(text)).await.is_ok()
}

/// One connection, until it ends.
async fn converse(
    subscriber: &Subscriber,
    socket: &mut Socket,
    cursor: &mut Option<String>,
    random: &mut ChaCha8Rng,
) {
    let mut connection = Connection::default();
    while let Some(Ok(message)) = socket.next().await {
        if subscriber.known().is_stopped {
            return;
        }
        let Message::Text(text) = message else {
            continue;
        };
        let frame: ServerFrame = serde_json::from_str(&text).unwrap();
        let reached = connection.take(&mut subscriber.known(), frame);
        // Not everything is acknowledged one by one: what is not comes again.
        let Some(reached) = reached.filter(|_| random.random_ratio(1, 2)) else {
            continue;
        };
        let ack = ClientFrame::Ack {
            cursor: reached.clone(),
        };
        for held in subscriber.known().held.values_mut() {
            held.is_acknowledged = true;
        }
        *cursor = Some(reached);
        if !say(socket, &ack).await {
            return;
        }
    }
}

/// What one connection has told so far.
#[derive(Debug, Default)]
struct Connection {
    generations: BTreeMap<SubjectHash, u64>,
    evaluated_until: Option<Timestamp>,
    staged: Option<Vec<PublicDecision>>,
}

impl Connection {
    /// *Returns*: the cursor that was reached.
    fn take(&mut self, known: &mut Known, frame: ServerFrame) -> Option<String> {
        match frame {
            ServerFrame::Welcome { snapshot, .. } => {
                if snapshot {
                    known.snapshots += 1;
                    self.staged = Some(Vec::new());
                } else {
                    known.resumed += 1;
                }
                None
            }
            ServerFrame::Snapshot {
                decisions,
                more,
                cursor,
            } => {
                let staged = self.staged.as_mut().expect("a snapshot was announced");
                staged.extend(decisions);
                assert_eq!(cursor.is_none(), more, "the last part has the cursor");
                if !more {
                    known.replace(self.staged.take().unwrap_or_default());
                }
                cursor
            }
            ServerFrame::Decision { cursor, decision } => {
                assert!(self.staged.is_none(), "a decision amid a snapshot");
                self.rises(&decision);
                known.decisions += 1;
                known.admit(*decision);
                Some(cursor)
            }
            ServerFrame::Heartbeat(heartbeat) => {
                let (last, until) = (self.evaluated_until, heartbeat.evaluated_until);
                assert!(
                    until >= last,
                    "evaluated_until fell from {last:?} to {until:?}"
                );
                self.evaluated_until = until;
                known.evaluated_until = until.or(known.evaluated_until);
                Some(heartbeat.cursor)
            }
            ServerFrame::Reload { reason } => panic!("the log is still the same: {reason}"),
            ServerFrame::Error { code, message } => panic!("told `{code}`: {message}"),
        }
    }

    /// INV-1, in the order in which one connection tells.
    fn rises(&mut self, decision: &PublicDecision) {
        let owner = decision.decision_id().unwrap().owner;
        let last = self.generations.insert(owner, decision.generation);
        assert!(
            last.is_none_or(|last| last < decision.generation),
            "generation {} of {} came after {last:?}",
            decision.generation,
            decision.id
        );
    }
}

impl Known {
    fn admit(&mut self, decision: PublicDecision) {
        adds_up(&decision);
        let key = decision.key();
        let is_older = |held: &Held| held.decision.generation >= decision.generation;
        if self.held.get(&key).is_some_and(is_older) {
            return;
        }
        let held = Held {
            decision,
            is_acknowledged: false,
        };
        self.held.insert(key, held);
    }

    /// INV-2: a snapshot has everything that was acknowledged, or what is newer.
    fn replace(&mut self, snapshot: Vec<PublicDecision>) {
        let former = std::mem::take(&mut self.held);
        for decision in snapshot {
            self.admit(decision);
        }
        for (key, held) in former.iter().filter(|(_, held)| held.is_acknowledged) {
            let now_held = self.held.get(key).map(|held| held.decision.generation);
            // Nothing lasts less than the test.
            assert!(
                now_held.is_some_and(|generation| generation >= held.decision.generation),
                "{} was acknowledged, and generation {now_held:?} came",
                held.decision.id
            );
        }
    }
}

/// INV-3: the reasons are there, and they are the score.
fn adds_up(decision: &PublicDecision) {
    assert!(
        !decision.contributions.is_empty(),
        "{} has no reason",
        decision.id
    );
    let raw = decision.raw_points().0;
    let score = (raw + 50).div_euclid(100).clamp(0, 100);
    assert_eq!(score, i64::from(decision.score), "{}", decision.to_json());
}
