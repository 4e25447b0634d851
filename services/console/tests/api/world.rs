//! A console that listens on a free port, with all that it stands on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::MethodRouter;
use caerus_console::{Console, ConsoleParts, PolicyShelf, RecorderParts, ShelvedFile};
use caerus_engine::id::{SubjectHash, SubjectKey, TenantId, UserId};
use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::auth::{Grant, Right, Tenants, Token, TokenTable};
use caerus_runtime::health::Health;
use caerus_runtime::http::{Server, ServerSettings, Shell};
use caerus_runtime::metric::Metrics;
use caerus_runtime::port::{Bus, Clock, Ledger, NewRecord, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::TaskGroup;
use caerus_wire::decision::PublicDecision;
use caerus_wire::moment;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::bus::{MemoryBus, PARTITIONS, SetClock};
use crate::ledger::MemoryLedger;

pub(crate) const NOON: Timestamp = Timestamp(1_790_000_000_000);

pub(crate) struct World {
    pub(crate) bus: Arc<MemoryBus>,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    address: SocketAddr,
    tokens: TokenTable,
    _tasks: TaskGroup,
}

/// An answer: status, head and body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl World {
    pub(crate) async fn open() -> Self {
        Self::with(Duration::from_millis(50), None).await
    }

    pub(crate) async fn with(decision_wait: Duration, active: Option<MethodRouter>) -> Self {
        let (bus, ledger) = (MemoryBus::empty(), Arc::new(MemoryLedger::default()));
        let clock: Arc<dyn Clock> = SetClock::at(NOON);
        let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
        let tokens = TokenTable::new(Arc::clone(&clock));
        let shelf = PolicyShelf {
            revision: "sha256:1".to_owned(),
            source: "the directory `policies`".to_owned(),
            files: vec![ShelvedFile {
                name: "a.cedar".to_owned(),
                text: "// none".to_owned(),
            }],
            problems: Vec::new(),
        };
        let parts = ConsoleParts {
            bus: Arc::clone(&bus) as Arc<dyn Bus>,
            ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
            clock,
            tokens: tokens.clone(),
            policies: watch::channel(shelf).1,
            decision_wait,
        };
        let console = Console::new(parts, active, shutdown.clone());
        let shell = Shell {
            metrics: metrics.clone(),
            health: Health::new(),
            tokens: Some(tokens.clone()),
        };
        let settings = ServerSettings::at(([127, 0, 0, 1], 0).into());
        let server = Server::bind(settings, shell).await.unwrap();
        let address = server.local_address();
        let mut tasks = TaskGroup::new(&shutdown);
        let routes = caerus_console::routes(console);
        tasks.spawn("http", server.serve(routes, shutdown.clone()));
        Self {
            bus,
            ledger,
            metrics,
            shutdown,
            address,
            tokens,
            _tasks: tasks,
        }
    }

    pub(crate) fn recorder_parts(&self) -> RecorderParts {
        RecorderParts {
            bus: Arc::clone(&self.bus) as Arc<dyn Bus>,
            ledger: Arc::clone(&self.ledger) as Arc<dyn Ledger>,
            health: Health::new(),
            metrics: self.metrics.clone(),
        }
    }

    /// Somebody with a credential; no tenants means every tenant.
    pub(crate) async fn token(&self, name: &str, tenants: &[&str], rights: &[Right]) -> String {
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
        self.ledger
            .put_token(&token.stored(&grant, NOON))
            .await
            .unwrap();
        self.tokens.refresh(self.ledger.as_ref()).await.unwrap();
        token.reveal().expose().to_owned()
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, Some(token), None).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.ask("POST", path, Some(token), Some(&body.to_string()))
            .await
    }

    /// HTTP/1.0, so that the body comes whole.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.0\r\nhost: localhost\r\n");
        if let Some(token) = token {
            request.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            request.push_str("content-type: application/json\r\n");
        }
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        self.send(&request).await
    }

    pub(crate) async fn send(&self, request: &str) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// Puts a decision where an evaluator would. *Returns*: its id.
    pub(crate) async fn decide(&self, topic: Topic, what: &Decided<'_>) -> String {
        let decision = what.build();
        let record = NewRecord {
            topic,
            partition: what.owner().partition(PARTITIONS),
            key: decision.key().into_bytes(),
            value: decision.to_json().into_bytes().into(),
        };
        self.bus.append(vec![record]).await.unwrap();
        decision.id
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) user: &'a str,
    pub(crate) generation: u64,
    pub(crate) cause: &'a str,
}

pub(crate) fn revoke<'a>(tenant: &'a str, user: &'a str) -> Decided<'a> {
    Decided {
        tenant,
        user,
        generation: 1,
        cause: "e-1",
    }
}

impl Decided<'_> {
    pub(crate) fn owner(&self) -> SubjectHash {
        let key = SubjectKey::User {
            tenant: TenantId::new(self.tenant),
            user: UserId::new(self.user),
        };
        key.hash()
    }

    pub(crate) fn build(&self) -> PublicDecision {
        let issued_at = NOON + Span::seconds(i64::try_from(self.generation).unwrap());
        let object = json!({
            "v": 1, "id": format!("d-{}{:016x}", self.owner(), self.generation),
            "tenant": self.tenant, "generation": self.generation, "action": "revoke",
            "mode": "enforce", "target": {"user": self.user, "session": "s-1"},
            "issued_at": moment::to_text(issued_at),
            "expires_at": moment::to_text(issued_at + Span::hours(1)),
            "score": 87, "level": "HIGH", "contributions": [],
            "policy": {"rule": null, "revision": "sha256:0"}, "cause": self.cause,
        });
        PublicDecision::parse(object.to_string().as_bytes()).unwrap()
    }
}
