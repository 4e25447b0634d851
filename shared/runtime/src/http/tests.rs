//! The shell as a stranger meets it: in process for what a request is told, over real sockets for how one is served.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::*;
use crate::auth::{Authenticated, Grant, Right, Tenants, Token};
use crate::refusal::{PROBLEM_TYPE, Refusal};
use crate::sample::SetClock;
use crate::shutdown::Shutdown;
use crate::tasks::{TaskGroup, chain};

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const LOOPBACK: &str = "127.0.0.1:0";

fn shell() -> Shell {
    Shell {
        metrics: Metrics::new(),
        health: Health::new(),
        tokens: Some(TokenTable::new(Arc::new(SetClock::at(NOW)))),
    }
}

/// A token with these rights, for the tenant `acme`, known to the shell.
fn token(shell: &Shell, rights: &[Right]) -> String {
    let token = Token::draw().unwrap();
    let grant = Grant {
        name: "nina".to_owned(),
        tenants: Tenants::from_list(&[TenantId::new("acme")]),
        rights: rights.iter().copied().collect(),
        expires_at: None,
    };
    let stored = token.stored(&grant, NOW);
    shell.tokens.as_ref().unwrap().publish(vec![stored]);
    format!("Bearer {}", token.reveal().expose())
}

fn routes() -> Router {
    Router::new()
        .route("/v1/echo/{name}", get(|| async { "hello" }))
        .route(
            "/v1/json",
            post(|Json(text): Json<String>| async move { text }),
        )
        .route(
            "/v1/bytes",
            post(|bytes: Bytes| async move { bytes.len().to_string() }),
        )
        .route("/bare", get(|| async { StatusCode::UNAUTHORIZED }))
        .route(
            "/framed",
            get(|| async { ([(http::header::X_FRAME_OPTIONS, "SAMEORIGIN")], "x") }),
        )
        .route("/v1/read", get(read))
}

async fn read(Authenticated(principal): Authenticated) -> Result<String, Refusal> {
    principal.demand(Right::Read, &TenantId::new("acme"))?;
    Ok(principal.name.to_string())
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// The problem's code, of a well-formed problem document.
    fn problem(&self) -> String {
        assert_eq!(self.headers[CONTENT_TYPE], PROBLEM_TYPE, "{}", self.body);
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(document["status"], self.status);
        assert!(!document["detail"].as_str().unwrap().is_empty());
        document["code"].as_str().unwrap().to_owned()
    }
}

async fn ask(router: Router, request: Request<Body>) -> Answer {
    let response = TowerToHyperService::new(router)
        .call(request)
        .await
        .unwrap();
    let (parts, body) = response.into_response().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost:7400")
}

fn dressed(shell: &Shell) -> Router {
    let settings = ServerSettings {
        body_bytes_max: 16,
        browsers: Browsers::Guarded(BTreeSet::from(["caerus.example".to_owned()])),
        ..ServerSettings::at(LOOPBACK.parse().unwrap())
    };
    dress(
        routes(),
        &settings,
        shell,
        "127.0.0.1:7400".parse().unwrap(),
    )
}

#[tokio::test]
async fn what_the_shell_refuses_is_a_problem() {
    let json = |body: &str| {
        request(Method::POST, "/v1/json")
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_owned()))
    };
    let empty = |builder: http::request::Builder| builder.body(Body::empty());
    for (request, status, code) in [
        (empty(request(Method::GET, "/nowhere")), 404, "not_found"),
        (
            empty(request(Method::DELETE, "/v1/echo/a")),
            405,
            "method_not_allowed",
        ),
        (json("\"a"), 400, "bad_request"),
        (json("1"), 422, "unprocessable"),
        (json(&format!("\"{}\"", "a".repeat(20))), 413, "too_large"),
        (empty(request(Method::POST, "/v1/json")), 415, "media_type"),
        (
            request(Method::POST, "/v1/bytes").body(Body::from("a".repeat(17))),
            413,
            "too_large",
        ),
    ] {
        let answer = ask(dressed(&shell()), request.unwrap()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, code));
    }
    let wrong_method = request(Method::DELETE, "/v1/echo/a")
        .body(Body::empty())
        .unwrap();
    let answer = ask(dressed(&shell()), wrong_method).await;
    assert_eq!(answer.headers[ALLOW], "GET,HEAD");
}

#[tokio::test]
async fn an_answer_without_a_body_stays_without_one() {
    let bare = request(Method::GET, "/bare").body(Body::empty()).unwrap();
    let answer = ask(dressed(&shell()), bare).await;
    assert_eq!((answer.status, answer.body.as_str()), (401, ""));
}

#[tokio::test]
async fn only_our_names_are_answered() {
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:7400", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:7400", 200),
        ("caerus.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("10.0.0.1", 421),
        ("", 400),
        ("a b", 421),
    ] {
        let request = Request::builder().uri("/v1/echo/a").header(HOST, host);
        let answer = ask(dressed(&shell()), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{host}");
    }
    for hosts in [&[][..], &["localhost", "localhost"]] {
        let mut request = Request::builder().uri("/v1/echo/a");
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let answer = ask(dressed(&shell()), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.problem(), "bad_request");
    }
    let probe = Request::builder()
        .uri("/health/live")
        .header(HOST, "10.1.2.3:7400");
    assert_eq!(
        ask(dressed(&shell()), probe.body(Body::empty()).unwrap())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_and_opens_no_stream() {
    for (method, upgrades, origin, status) in [
        (Method::POST, false, Some("http://localhost:7400"), 200),
        (Method::POST, false, None, 200),
        (Method::POST, false, Some("http://localhost:3000"), 403),
        (Method::POST, false, Some("null"), 403),
        (Method::POST, false, Some("https://evil.example"), 403),
        (Method::DELETE, false, Some("https://evil.example"), 403),
        (Method::GET, false, Some("https://evil.example"), 405),
        (Method::GET, true, Some("https://evil.example"), 403),
        (Method::GET, true, Some("http://localhost:7400"), 405),
    ] {
        let mut builder = request(method.clone(), "/v1/bytes");
        if let Some(origin) = origin {
            builder = builder.header(ORIGIN, origin);
        }
        if upgrades {
            builder = builder.header(http::header::UPGRADE, "websocket");
        }
        let answer = ask(dressed(&shell()), builder.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{method} {origin:?} {upgrades}");
    }
}

#[tokio::test]
async fn a_proxys_requests_carry_their_clients_names() {
    let settings = ServerSettings {
        browsers: Browsers::ProxiesOnly,
        ..ServerSettings::at(LOOPBACK.parse().unwrap())
    };
    let router = dress(
        routes(),
        &settings,
        &shell(),
        "127.0.0.1:7401".parse().unwrap(),
    );
    let request = Request::post("/v1/bytes")
        .header(HOST, "shop.example")
        .header(ORIGIN, "https://other.example");
    let answer = ask(router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn every_answer_carries_the_guarding_headers_unless_the_route_knows_better() {
    for (path, frames) in [
        ("/v1/echo/a", "DENY"),
        ("/nowhere", "DENY"),
        ("/framed", "SAMEORIGIN"),
    ] {
        let asked = request(Method::GET, path).body(Body::empty()).unwrap();
        let headers = ask(dressed(&shell()), asked).await.headers;
        assert_eq!(headers["x-frame-options"], frames, "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        let csp = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(headers["content-security-policy"], csp);
        assert!(!headers.contains_key("strict-transport-security"));
    }
}

#[tokio::test]
async fn a_route_that_asks_for_somebody_gets_nobody_else() {
    let shell = shell();
    let reader = token(&shell, &[Right::Read]);
    let unknown = format!("Bearer {}", Token::draw().unwrap().reveal().expose());
    let challenge = "Bearer realm=\"caerus\"";
    let invalid = "Bearer realm=\"caerus\", error=\"invalid_token\"";
    for (credentials, status, told) in [
        (vec![], 401, challenge),
        (vec!["Basic bmluYTo="], 401, invalid),
        (vec!["Bearer"], 401, invalid),
        (vec!["Bearer hunter2"], 401, invalid),
        (vec![unknown.as_str()], 401, invalid),
        (vec![reader.as_str(), reader.as_str()], 401, invalid),
        (vec![reader.as_str()], 200, ""),
    ] {
        let mut builder = request(Method::GET, "/v1/read");
        for credential in &credentials {
            builder = builder.header(AUTHORIZATION, *credential);
        }
        let answer = ask(dressed(&shell), builder.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{credentials:?}");
        let found = answer.headers.get(WWW_AUTHENTICATE);
        assert_eq!(found.map_or("", |value| value.to_str().unwrap()), told);
    }
    let producer = token(&shell, &[Right::Events]);
    let asked = request(Method::GET, "/v1/read").header(AUTHORIZATION, producer);
    let answer = ask(dressed(&shell), asked.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), "forbidden");
    let page = shell.metrics.exposition().unwrap();
    for (reason, count) in [("malformed", 4), ("unknown", 1), ("forbidden", 1)] {
        let line = format!("caerus_runtime_auth_failures_total{{reason=\"{reason}\"}} {count}");
        assert!(page.lines().any(|found| found == line), "{line}");
    }
}

#[tokio::test]
async fn a_router_without_identification_knows_nobody() {
    let asked = Request::get("/v1/read").body(Body::empty()).unwrap();
    assert_eq!(ask(routes(), asked).await.status, 401);
}

#[tokio::test]
async fn readiness_names_what_stands_in_the_way() {
    let shell = shell();
    let store = shell.health.condition("store");
    shell.health.condition("bus").ready();
    let asked = || {
        request(Method::GET, "/health/ready")
            .body(Body::empty())
            .unwrap()
    };
    store.failing("disk full");
    let answer = ask(dressed(&shell), asked()).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (
            503,
            "{\"status\":\"not ready\",\"conditions\":{\"bus\":\"ready\",\"store\":\"disk full\"}}"
        )
    );
    store.ready();
    assert_eq!(ask(dressed(&shell), asked()).await.status, 200);
}

#[tokio::test]
async fn requests_are_counted_by_template_never_by_path() {
    let shell = shell();
    for path in ["/v1/echo/alice", "/v1/echo/bob", "/secret/path", "/metrics"] {
        let asked = request(Method::GET, path).body(Body::empty()).unwrap();
        ask(dressed(&shell), asked).await;
    }
    let asked = request(Method::GET, "/metrics")
        .body(Body::empty())
        .unwrap();
    let answer = ask(dressed(&shell), asked).await;
    assert_eq!(answer.headers[CONTENT_TYPE], crate::metric::EXPOSITION_TYPE);
    for line in [
        "caerus_http_requests_total{route=\"/v1/echo/{name}\",class=\"2xx\"} 2",
        "caerus_http_requests_total{route=\"unmatched\",class=\"4xx\"} 1",
        "caerus_http_requests_total{route=\"/metrics\",class=\"2xx\"} 1",
    ] {
        assert!(
            answer.body.lines().any(|found| found == line),
            "{line}\n{}",
            answer.body
        );
    }
    assert!(!answer.body.contains("alice"));
}

#[tokio::test]
async fn off_loopback_numbers_are_for_readers() {
    let shell = shell();
    let settings = ServerSettings {
        browsers: Browsers::ProxiesOnly,
        ..ServerSettings::at(LOOPBACK.parse().unwrap())
    };
    let local: SocketAddr = "192.0.2.7:7400".parse().unwrap();
    for (rights, status) in [
        (None, 401),
        (Some(Right::Events), 403),
        (Some(Right::Read), 200),
    ] {
        let mut builder = Request::get("/metrics");
        if let Some(right) = rights {
            builder = builder.header(AUTHORIZATION, token(&shell, &[right]));
        }
        let router = dress(routes(), &settings, &shell, local);
        let answer = ask(router, builder.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{rights:?}");
    }
}

#[tokio::test]
async fn a_request_belongs_to_the_trace_it_names() {
    let router = Router::new().route(
        "/trace",
        get(|trace: crate::trace::Traceparent| async move { trace.trace_id() }),
    );
    let settings = ServerSettings::at(LOOPBACK.parse().unwrap());
    let router = dress(
        router,
        &settings,
        &shell(),
        "127.0.0.1:7400".parse().unwrap(),
    );
    let asked = request(Method::GET, "/trace").header(
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    let answer = ask(router.clone(), asked.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.body, "0af7651916cd43dd8448eb211c80319c");
    let asked = request(Method::GET, "/trace").body(Body::empty()).unwrap();
    assert_eq!(ask(router, asked).await.body.len(), 32);
}

#[test]
fn a_listener_is_on_loopback_or_protected() {
    let tokens = shell().tokens;
    let files = TlsFiles {
        certificate: "c".into(),
        key: "k".into(),
    };
    let check = |address: &str, tls: bool, auth: bool| {
        let address = address.parse().unwrap();
        let tls = tls.then_some(&files);
        let tokens = tokens.as_ref().filter(|_| auth);
        demand_protection(address, tls, tokens).map_err(|exposed| exposed.missing)
    };
    for address in [
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert_eq!(check(address, false, false), Ok(()), "{address}");
    }
    for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
        assert_eq!(check(address, false, true), Err(Missing::Tls), "{address}");
        assert_eq!(check(address, true, false), Err(Missing::Authentication));
        assert_eq!(check(address, true, true), Ok(()));
    }
}

/// A server on a port of its own, until it is stopped.
struct Served {
    local: SocketAddr,
    metrics: Metrics,
    shutdown: Shutdown,
    tasks: TaskGroup,
}

/// Longer than any drain.
const GRACE: Duration = Duration::from_secs(60);

impl Served {
    async fn start(settings: ServerSettings, routes: Router) -> Self {
        let shell = shell();
        let (metrics, shutdown) = (shell.metrics.clone(), Shutdown::new());
        let server = Server::bind(settings, shell).await.unwrap();
        let local = server.local_address();
        let mut tasks = TaskGroup::new(&shutdown);
        tasks.spawn("server", server.serve(routes, shutdown.clone()));
        Self {
            local,
            metrics,
            shutdown,
            tasks,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.local).await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.begin();
        self.tasks.join(GRACE).await.unwrap();
    }

    fn counts(&self, line: &str) -> bool {
        let page = self.metrics.exposition().unwrap();
        page.lines().any(|found| found == line)
    }
}

fn at_loopback() -> ServerSettings {
    ServerSettings::at(LOOPBACK.parse().unwrap())
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, path: &str) {
    let text = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads until the text has come; all that was read.
async fn hear<S: AsyncRead + Unpin>(stream: &mut S, text: &str) -> String {
    let mut page = String::new();
    while !page.contains(text) {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(count > 0, "closed after {page:?}");
        page.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    page
}

/// Whether the other side closes without another byte.
async fn is_closed<S: AsyncRead + Unpin>(stream: &mut S) -> bool {
    matches!(stream.read(&mut [0; 16]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn a_taken_port_and_an_open_address_are_named() {
    let served = Served::start(at_loopback(), routes()).await;
    let again = ServerSettings::at(served.local);
    let refused = Server::bind(again, shell()).await.unwrap_err();
    assert!(!refused.is_configuration());
    let told = format!("could not listen on {}: the port is taken", served.local);
    assert_eq!(refused.to_string(), told);
    served.stop().await;

    let open = ServerSettings::at("0.0.0.0:0".parse().unwrap());
    let refused = Server::bind(open, shell()).await.unwrap_err();
    assert!(refused.is_configuration());
    assert_eq!(
        refused.to_string(),
        "0.0.0.0:0 is not loopback and has no TLS certificate and key: configure it, or listen on 127.0.0.1"
    );
}

#[tokio::test]
async fn what_is_under_way_is_answered_before_the_end() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, go_on) = (Arc::clone(&entered), Arc::clone(&release));
    let slow = move || async move {
        inside.notify_one();
        go_on.notified().await;
        "done"
    };
    let served = Served::start(at_loopback(), Router::new().route("/slow", get(slow))).await;
    let mut client = served.connect().await;
    say(&mut client, "/slow").await;
    entered.notified().await;
    served.shutdown.begin();
    release.notify_one();
    assert!(hear(&mut client, "done").await.starts_with("HTTP/1.1 200"));
    assert!(is_closed(&mut client).await);
    served.stop().await;
}

/// Sockets answer in real time, so a limit that shall be reached is a short one.
const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn what_does_not_end_is_cut_after_the_drain() {
    let entered = Arc::new(Notify::new());
    let inside = Arc::clone(&entered);
    let endless = move || async move {
        inside.notify_one();
        std::future::pending::<&str>().await
    };
    let settings = ServerSettings {
        drain: SHORT,
        ..at_loopback()
    };
    let served = Served::start(settings, Router::new().route("/endless", get(endless))).await;
    let mut client = served.connect().await;
    say(&mut client, "/endless").await;
    entered.notified().await;
    served.stop().await;
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn beyond_the_limit_connections_are_turned_away_and_counted() {
    let settings = ServerSettings {
        connections_max: 1,
        ..at_loopback()
    };
    let served = Served::start(settings, routes()).await;
    let mut first = served.connect().await;
    say(&mut first, "/v1/echo/a").await;
    hear(&mut first, "hello").await;
    let mut second = served.connect().await;
    assert!(is_closed(&mut second).await);
    assert!(served.counts("caerus_http_refused_connections_total{reason=\"too_many\"} 1"));
    assert!(served.counts("caerus_http_open_connections 1.0"));
    say(&mut first, "/v1/echo/a").await;
    hear(&mut first, "hello").await;
    drop(first);
    served.stop().await;
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_seat_until_it_ends() {
    let shutdown = Shutdown::new();
    let heard = shutdown.clone();
    let stream = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(move |mut socket| async move {
            heard.begun().await;
            socket.send("bye".into()).await.unwrap();
        })
    };
    let settings = ServerSettings {
        connections_max: 1,
        ..at_loopback()
    };
    let served = Served::start(settings, Router::new().route("/stream", get(stream))).await;
    let mut client = served.connect().await;
    let hello = "GET /stream HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(hello.as_bytes()).await.unwrap();
    hear(&mut client, "101 Switching Protocols").await;
    let mut second = served.connect().await;
    assert!(is_closed(&mut second).await);
    assert!(served.counts("caerus_http_open_connections 1.0"));

    served.shutdown.begin();
    shutdown.begin();
    hear(&mut client, "bye").await;
    let metrics = served.metrics.clone();
    served.stop().await;
    assert!(
        metrics
            .exposition()
            .unwrap()
            .contains("caerus_http_open_connections 0.0")
    );
}

#[tokio::test]
async fn who_never_finishes_a_head_is_let_go() {
    let settings = ServerSettings {
        header_timeout: SHORT,
        ..at_loopback()
    };
    let served = Served::start(settings, routes()).await;
    let mut client = served.connect().await;
    let half = b"GET / HTTP/1.1\r\nhost: loc";
    client.write_all(half).await.unwrap();
    let mut told = Vec::new();
    // Returns only because the server closes; whether it explains itself first is its own affair.
    client.read_to_end(&mut told).await.unwrap_or_default();
    assert!(!told.starts_with(b"HTTP/1.1 200"));
    served.stop().await;
}

fn fixture(name: &str) -> std::path::PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/fixtures");
    fixtures.join(name)
}

fn tls_settings(certificate: &str, key: &str) -> ServerSettings {
    ServerSettings {
        tls: Some(TlsFiles {
            certificate: fixture(certificate),
            key: fixture(key),
        }),
        ..at_loopback()
    }
}

fn connector() -> tokio_rustls::TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    let own = CertificateDer::from_pem_file(fixture("localhost.crt")).unwrap();
    roots.add(own).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_rustls::TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn tls_is_spoken_and_nothing_else() {
    let settings = tls_settings("localhost.crt", "localhost.key");
    let served = Served::start(settings, routes()).await;
    let name = ServerName::try_from("localhost").unwrap();
    let tcp = served.connect().await;
    let mut client = connector().connect(name, tcp).await.unwrap();
    say(&mut client, "/v1/echo/a").await;
    let page = hear(&mut client, "hello").await;
    assert!(
        page.contains("strict-transport-security: max-age=31536000"),
        "{page}"
    );
    drop(client);

    let mut plain = served.connect().await;
    say(&mut plain, "/v1/echo/a").await;
    let mut rest = Vec::new();
    // The alert that closes the connection is no HTTP.
    plain.read_to_end(&mut rest).await.unwrap_or_default();
    assert!(!rest.starts_with(b"HTTP"));
    assert!(served.counts("caerus_http_refused_connections_total{reason=\"tls\"} 1"));
    served.stop().await;
}

#[tokio::test]
async fn tls_files_that_do_not_serve_are_named() {
    for (certificate, key, told) in [
        (
            "missing.crt",
            "localhost.key",
            "could not read certificates from `",
        ),
        (
            "README.md",
            "localhost.key",
            "could not read certificates from `",
        ),
        (
            "localhost.crt",
            "README.md",
            "could not read a private key from `",
        ),
    ] {
        let refused = Server::bind(tls_settings(certificate, key), shell())
            .await
            .unwrap_err();
        assert!(refused.is_configuration());
        assert!(chain(&refused).contains(told), "{}", chain(&refused));
    }
}
