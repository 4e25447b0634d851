//! Who may do what: every route tried as a stranger, with the wrong kind of credential, and with another tenant's; and
//! where credentials must never be found. *Source*: contract, §2 and §6; RFC 6750.

use std::collections::BTreeSet;
use std::path::Path;

use caerus_wire::moment;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::support::caerus::{Answer, Caerus, http, send};
use crate::support::enforcer::Enforcer;
use crate::support::eventually;
use crate::support::person::now;

/// Who tries: nobody; a token that none made; no token at all; those of the first start; one for another tenant alone,
/// with every right there is.
const CALLERS: [&str; 7] = [
    "stranger", "unknown", "garbled", "admin", "producer", "point", "other",
];
/// Routes that anybody may use, on loopback. This list may only shrink.
const OPEN: [&str; 7] = [
    "/",
    "/console.css",
    "/console.js",
    "/openapi.json",
    "/health/live",
    "/health/ready",
    "/metrics",
];
/// A name that only the first tenant knows.
const WANDA: &str = "wanda-of-default";

/// What is posted along.
#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    Login,
    Met,
    Command,
    Feedback,
    Grant,
}
use Said::{Command, Feedback, Grant, Login, Met, Nothing};

/// Method, path, query, body, and what each of [`CALLERS`] is told. `{id}` is that of a decision of the first tenant's,
/// or of a credential for it.
type Row = (&'static str, &'static str, &'static str, Said, &'static str);

#[rustfmt::skip] // A table is read by column.
const TABLE: [Row; 30] = [
    ("GET", "/", "", Nothing, ANYBODY),
    ("GET", "/console.css", "", Nothing, ANYBODY),
    ("GET", "/console.js", "", Nothing, ANYBODY),
    ("GET", "/openapi.json", "", Nothing, ANYBODY),
    ("GET", "/health/live", "", Nothing, ANYBODY),
    ("GET", "/health/ready", "", Nothing, ANYBODY),
    ("GET", "/metrics", "", Nothing, ANYBODY),
    ("POST", "/v1/events", "", Login, "401 401 401 403 202 403 403"),
    ("POST", "/v1/events", "", Met, "401 401 401 403 202 202 403"),
    ("POST", "/v1/events", "?backfill=true", Login, "401 401 401 403 202 403 403"),
    // Without an upgrade there is nothing to see, whoever asks.
    ("GET", "/v1/stream", "", Nothing, "401 401 401 403 403 400 400"),
    ("GET", "/v1/decisions", "?tenant=default", Nothing, "401 401 401 200 403 403 403"),
    ("GET", "/v1/decisions", "", Nothing, "401 401 401 200 403 403 200"),
    ("GET", "/v1/decisions", "?active=true&tenant=default", Nothing, "401 401 401 200 403 200 403"),
    ("GET", "/v1/decisions", "?active=true", Nothing, "401 401 401 200 403 200 200"),
    ("POST", "/v1/decisions", "", Command, "401 401 401 202 403 403 403"),
    ("GET", "/v1/decisions/{id}", "", Nothing, "401 401 401 200 403 403 404"),
    ("GET", "/v1/decisions/{id}/receipts", "", Nothing, "401 401 401 200 403 200 404"),
    ("GET", "/v1/subjects", "?tenant=default", Nothing, "401 401 401 200 403 403 403"),
    ("GET", "/v1/subjects", "", Nothing, "401 401 401 200 403 403 200"),
    ("GET", "/v1/sessions", "?tenant=default&user=wanda-of-default", Nothing, "401 401 401 200 403 403 403"),
    ("GET", "/v1/sessions", "?user=wanda-of-default", Nothing, "401 401 401 200 403 403 200"),
    ("POST", "/v1/feedback", "", Feedback, "401 401 401 202 403 403 403"),
    ("GET", "/v1/policies", "", Nothing, "401 401 401 200 403 403 200"),
    ("PUT", "/v1/policies", "", Nothing, "401 401 401 409 403 403 409"),
    ("GET", "/v1/enforcement-points", "", Nothing, "401 401 401 200 403 403 200"),
    ("GET", "/v1/audit", "", Nothing, "401 401 401 200 403 403 200"),
    ("GET", "/v1/tokens", "", Nothing, "401 401 401 200 403 403 200"),
    ("POST", "/v1/tokens", "", Grant, "401 401 401 201 403 403 403"),
    ("DELETE", "/v1/tokens/{id}", "", Nothing, "401 401 401 204 403 403 404"),
];
const ANYBODY: &str = "200 200 200 200 200 200 200";

fn told(row: &Row) -> Vec<u16> {
    let told: Vec<u16> = row
        .4
        .split(' ')
        .map(|status| status.parse().unwrap())
        .collect();
    assert_eq!(told.len(), CALLERS.len(), "{row:?}");
    told
}

fn login(id: &str) -> Value {
    json!({
        "id": id, "type": "login", "time": moment::to_text(now()), "user": WANDA, "tenant": "default",
        "session": "s-1", "outcome": "success", "amr": ["pwd"],
    })
}

impl Said {
    fn body(self) -> Option<Value> {
        match self {
            Nothing => None,
            Login => Some(login("e-1")),
            Met => Some(json!({
                "id": "met", "type": "session", "time": moment::to_text(now()), "user": WANDA,
                "session": "s-1", "tenant": "default", "event": "step_up_met",
                "acr": "urn:caerus:acr:mfa", "amr": ["otp"],
            })),
            Command => Some(json!({
                "tenant": "default", "action": "step_up", "reason": "a test",
                "target": {"user": WANDA, "session": "s-1"},
            })),
            Feedback => Some(json!({"tenant": "default", "verdict": "safe", "user": WANDA})),
            Grant => Some(json!({"name": "new", "tenants": ["default"], "rights": ["read"]})),
        }
    }
}

struct Doors {
    caerus: Caerus,
    http: reqwest::Client,
    /// In the order of [`CALLERS`].
    tokens: [Option<String>; 7],
    decision: String,
}

impl Doors {
    async fn open(dir: &Path) -> Self {
        let caerus = Caerus::start_loud(dir).await;
        caerus.tell(&[login("e-0")]).await;
        let target = json!({"user": WANDA, "session": "s-1"});
        caerus.decide("revoke", &target).await;
        let decision = caerus.in_force("revoke", &target).await;
        let id = decision["id"].as_str().unwrap().to_owned();
        eventually("the decision to be recorded", || async {
            let found = caerus.get(&format!("/v1/decisions/{id}")).await;
            (found.status == 200).then_some(())
        })
        .await;
        let everything = ["events", "feedback", "stream", "read", "operate", "admin"];
        let other = json!({"name": "other", "tenants": ["other"], "rights": everything});
        let other = caerus
            .post("/v1/tokens", &caerus.token("admin"), &other)
            .await;
        assert_eq!(other.status, 201, "{}", other.body);
        let unknown = format!("caerus_{}_{}", "0123456789abcdef", "0".repeat(64));
        let tokens = [
            None,
            Some(unknown),
            Some("let me in".to_owned()),
            Some(caerus.token("admin")),
            Some(caerus.token("producer")),
            Some(caerus.token("enforcement-point")),
            Some(other.body["token"].as_str().unwrap().to_owned()),
        ];
        Self {
            http: http(),
            tokens,
            decision: id,
            caerus,
        }
    }

    async fn try_as(&self, caller: usize, row: &Row) -> Answer {
        let (method, path, query, said, _) = *row;
        let id = if path.starts_with("/v1/tokens/") {
            self.throwaway().await
        } else {
            self.decision.clone()
        };
        let path = format!("{path}{query}").replace("{id}", &id);
        let url = format!("{}{path}", self.caerus.url);
        let mut request = self.http.request(method.parse().unwrap(), url);
        if let Some(token) = &self.tokens[caller] {
            request = request.bearer_auth(token);
        }
        if let Some(body) = said.body() {
            request = request.json(&body);
        }
        send(request).await.unwrap()
    }

    /// The id of a credential made to be revoked.
    async fn throwaway(&self) -> String {
        let grant = json!({"name": "throwaway", "tenants": ["default"], "rights": ["read"]});
        let admin = self.caerus.token("admin");
        let made = self.caerus.post("/v1/tokens", &admin, &grant).await;
        made.body["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn every_route_is_for_those_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let doors = Doors::open(dir.path()).await;
    let mut wrong = Vec::new();
    for row in &TABLE {
        for ((caller, name), expected) in CALLERS.into_iter().enumerate().zip(told(row)) {
            let (method, path, query, ..) = *row;
            let answer = doors.try_as(caller, row).await;
            let (status, body) = (answer.status, answer.body);
            if status != expected {
                wrong.push(format!(
                    "{method} {path}{query} as {name}: {status} instead of {expected}: {body}"
                ));
            }
            // INV-10: whatever another tenant is told, it is not about the first.
            let is_about = status < 400 && body.to_string().contains(WANDA);
            if name == "other" && is_about {
                wrong.push(format!("{path} tells another tenant: {body}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_route_is_left_out_of_the_table_and_none_more_is_open() {
    let mut routes: BTreeSet<(String, String)> = BTreeSet::new();
    for route in caerus_gateway::ROUTES {
        routes.insert((route.method.to_owned(), route.path.to_owned()));
    }
    for route in caerus_console::ROUTES {
        routes.insert((route.method.to_owned(), route.path.to_owned()));
        let is_open = route.rights.is_empty();
        assert!(
            !is_open || OPEN.contains(&route.path),
            "{} is open",
            route.path
        );
    }
    routes.insert(("POST".to_owned(), "/v1/events".to_owned()));
    for page in ["/health/live", "/health/ready", "/metrics"] {
        routes.insert(("GET".to_owned(), page.to_owned()));
    }
    let tried: BTreeSet<(String, String)> = TABLE
        .iter()
        .map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(tried, routes);
    for row in TABLE.iter().filter(|row| told(row)[0] != 401) {
        assert!(OPEN.contains(&row.1), "{} is open", row.1);
    }
}

#[tokio::test]
async fn the_stream_tells_strangers_that_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let doors = Doors::open(dir.path()).await;
    let url = format!("{}/v1/stream", doors.caerus.url.replacen("http", "ws", 1));
    // Not authenticated, not allowed; and those who may are waited for.
    let told = [
        Some(4401),
        Some(4401),
        Some(4401),
        Some(4403),
        Some(4403),
        None,
        None,
    ];
    for (caller, expected) in told.into_iter().enumerate() {
        let mut request = url.as_str().into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert(
            "sec-websocket-protocol",
            HeaderValue::from_static("caerus.v1"),
        );
        if let Some(token) = &doors.tokens[caller] {
            let bearer = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
            headers.insert("authorization", bearer);
        }
        let (mut socket, _) = connect_async(request).await.unwrap();
        let Some(expected) = expected else {
            continue;
        };
        let mut closed = None;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                closed = frame.map(|frame| u16::from(frame.code));
            }
        }
        assert_eq!(closed, Some(expected), "{}", CALLERS[caller]);
    }
}

#[tokio::test]
async fn pages_from_elsewhere_are_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let caerus = Caerus::start(dir.path(), &[]).await;
    let admin = caerus.token("admin");
    let command = json!({"action": "clear", "target": {"user": WANDA}, "reason": "a test"});
    for (header, value, status) in [
        ("host", "evil.example", 421),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://localhost:1", 403),
    ] {
        let request = http().post(format!("{}/v1/decisions", caerus.url));
        let request = request
            .bearer_auth(&admin)
            .json(&command)
            .header(header, value);
        assert_eq!(
            send(request).await.unwrap().status,
            status,
            "{header}: {value}"
        );
    }
    let own = http().post(format!("{}/v1/decisions", caerus.url));
    let own = own
        .bearer_auth(&admin)
        .json(&command)
        .header("origin", &caerus.url);
    assert_eq!(send(own).await.unwrap().status, 202);
}

#[tokio::test]
async fn a_secret_is_nowhere_but_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut doors = Doors::open(dir.path()).await;
    let rules = "[identity]\nsession_cookie = \"sid\"\n";
    let mut enforcer = Enforcer::start_loud(dir.path(), &doors.caerus, rules).await;
    for row in &TABLE {
        for caller in 0..CALLERS.len() {
            doors.try_as(caller, row).await;
        }
    }
    enforcer.program.signal("TERM");
    assert_eq!(enforcer.program.ended().0, 0);
    doors.caerus.program.signal("TERM");
    assert_eq!(doors.caerus.program.ended().0, 0);

    let mut secrets: Vec<String> = Vec::new();
    for token in doors.tokens.iter().skip(3).flatten() {
        secrets.push(token.rsplit('_').next().unwrap().to_owned());
    }
    assert_eq!(secrets.len(), 4);
    let mut looked_at = 0;
    for file in files(dir.path()) {
        if file
            .extension()
            .is_some_and(|extension| extension == "token")
        {
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
            continue;
        }
        looked_at += 1;
        let bytes = std::fs::read(&file).unwrap();
        for secret in &secrets {
            let raw = hex::decode(secret).unwrap();
            let is_found = has(&bytes, secret.as_bytes()) || has(&bytes, &raw);
            assert!(!is_found, "a secret is in {}", file.display());
        }
    }
    // Three databases and two logs at least, and the logs told everything there is to tell.
    assert!(looked_at >= 5, "{looked_at}");
    assert!(doors.caerus.program.said().contains("DEBUG"));
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
