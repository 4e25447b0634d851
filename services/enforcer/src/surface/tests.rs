//! A whole enforcer over real sockets: a stream that the test plays on one side, a proxy that it plays on the other.

mod questions;

use std::path::Path as FilePath;
use std::time::Duration;

use caerus_engine::decide::Action;
use caerus_runtime::auth::Token;
use caerus_runtime::config::{Environment, Sources};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::TaskGroup;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::enforcer::Enforcer;
use crate::picture::Decision;
use crate::sample::gateway::{Connection, Gateway};
use crate::sample::{self, ManualClock, NOW};
use crate::settings::Settings;

use super::*;

struct House {
    address: String,
    clock: ManualClock,
    connection: Connection,
    shutdown: Shutdown,
    tasks: TaskGroup,
    _gateway: Gateway,
    _dir: tempfile::TempDir,
}

/// An answer's status, head in lower case, and body.
#[derive(Debug)]
struct Told {
    status: u16,
    head: String,
    body: String,
}

impl House {
    /// With a snapshot in force, complete as of now.
    async fn open(decisions: &[Decision], more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token_file = dir.path().join("token");
        let token = Token::draw().unwrap();
        std::fs::write(&token_file, format!("{}\n", token.reveal().expose())).unwrap();
        let gateway = Gateway::open().await;
        let text = format!(
            "url = {:?}\ntoken_file = {token_file:?}\nstate_dir = {:?}\nlisten = \"127.0.0.1:0\"\ntenant = \"acme\"\n{more}",
            gateway.url,
            dir.path().join("state"),
        );
        let clock = ManualClock::default();
        let settings = load(dir.path(), &text);
        let enforcer = Enforcer::open(&settings, Arc::new(clock.clone()))
            .await
            .unwrap();
        let address = enforcer.url().replace("http://", "");
        let shutdown = Shutdown::new();
        let mut tasks = TaskGroup::new(&shutdown);
        enforcer.start(&mut tasks);
        let mut connection = gateway.accept().await;
        assert_eq!(
            connection.authorization,
            format!("Bearer {}", token.reveal().expose())
        );
        connection.greet().await;
        connection.snapshot(decisions, Some("c-1")).await;
        assert_eq!(connection.acked().await, "c-1");
        connection.beat("c-2", NOW, NOW).await;
        assert_eq!(connection.acked().await, "c-2");
        Self {
            address,
            clock,
            connection,
            shutdown,
            tasks,
            _gateway: gateway,
            _dir: dir,
        }
    }

    async fn send(&self, request: &str, lines: &[&str], body: &str) -> Told {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        let mut text = format!("{request} HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n");
        for line in lines {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Told {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    async fn check(&self, lines: &[&str]) -> Told {
        let mut all = vec!["x-original-uri: /pay?x=1"];
        all.extend(lines);
        self.send("GET /check", &all, "").await
    }

    async fn evaluate(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = format!("POST {path}");
        let told = self
            .send(
                &request,
                &[
                    "content-type: application/json; charset=utf-8",
                    "x-request-id: r-1",
                ],
                &body.to_string(),
            )
            .await;
        assert!(told.head.contains("\r\nx-request-id: r-1"), "{}", told.head);
        (told.status, serde_json::from_str(&told.body).unwrap())
    }
}

fn load(dir: &FilePath, text: &str) -> Settings {
    let file = dir.join("enforcer.toml");
    std::fs::write(&file, text).unwrap();
    Settings::load(&Sources {
        file: Some(&file),
        environment: &Environment::default(),
        flags: &[],
    })
    .unwrap()
}

const COOKIE: &str = "[identity]\nsession_cookie = \"sid\"\nuser_header = \"x-caerus-user\"\n";

#[tokio::test]
async fn a_session_passes_is_revoked_over_the_stream_and_passes_again_when_it_is_lifted() {
    let mut house = House::open(&[], COOKIE).await;
    let alice = ["cookie: a=b; sid=s-1", "x-caerus-user: alice"];
    let passed = house.check(&alice).await;
    assert_eq!((passed.status, passed.body.as_str()), (204, ""));

    let revoke = sample::revoke(sample::session("alice", "s-1"));
    house.connection.decide(&revoke, "c-3").await;
    assert_eq!(house.connection.acked().await, "c-3");
    let refused = house.check(&alice).await;
    assert_eq!((refused.status, refused.body.as_str()), (401, ""));
    assert!(
        refused
            .head
            .contains("\r\nwww-authenticate: bearer error=\"invalid_token\"\r\n"),
        "{}",
        refused.head
    );
    assert!(
        refused
            .head
            .contains(&format!("x-caerus-decision: {}", revoke.id))
    );

    let step_up = Decision {
        generation: 2,
        ..sample::step_up(sample::session("alice", "s-1"))
    };
    house.connection.decide(&step_up, "c-4").await;
    assert_eq!(house.connection.acked().await, "c-4");
    let asked = house.check(&alice).await;
    assert_eq!(asked.status, 401);
    assert!(
        asked.head.contains(
            "www-authenticate: bearer error=\"insufficient_user_authentication\", acr_values=\"urn:caerus:acr:mfa\", max_age=\"300\"\r\n"
        ),
        "{}",
        asked.head
    );

    let clear = Decision {
        generation: 3,
        action: Action::Clear,
        ..step_up
    };
    house.connection.decide(&clear, "c-5").await;
    assert_eq!(house.connection.acked().await, "c-5");
    assert_eq!(house.check(&alice).await.status, 204);
    for method in ["HEAD", "POST", "DELETE", "PROPFIND"] {
        let told = house
            .send(
                &format!("{method} /check"),
                &["x-original-uri: /", alice[0]],
                "x",
            )
            .await;
        assert_eq!(told.status, 204, "{method}");
    }
}

#[tokio::test]
async fn with_caerus_gone_the_routes_answer_by_their_own_rules() {
    let routes = "[defaults]\nmax_staleness = 5\n\
        [[route]]\npath = \"/soft\"\non_stale = \"allow\"\n\
        [[route]]\npath = \"/auth\"\non_stale = \"step_up\"\nstale_acr_values = [\"urn:x\"]\nstale_max_age_s = 60\n";
    let house = House::open(&[], &format!("{COOKIE}{routes}")).await;
    let paths = ["/", "/soft", "/auth"];
    let ask = async |path: &str| {
        let uri = format!("x-original-uri: {path}");
        house
            .send("GET /check", &[&uri, "cookie: sid=s-1"], "")
            .await
    };
    house.clock.advance(5_000);
    for path in paths {
        assert_eq!(ask(path).await.status, 204, "{path}");
    }
    house.clock.advance(1);
    let answers = [ask("/").await, ask("/soft").await, ask("/auth").await];
    assert_eq!(answers.each_ref().map(|told| told.status), [403, 204, 401]);
    assert!(answers[0].head.contains("x-caerus-reason: stale\r\n"));
    assert!(
        answers[2]
            .head
            .contains("acr_values=\"urn:x\", max_age=\"60\""),
        "{}",
        answers[2].head
    );
    let metrics = house.send("GET /metrics", &[], "").await.body;
    assert!(
        metrics.contains("caerus_enforcer_stale_checks_total{answer=\"deny\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("caerus_enforcer_checks_total{answer=\"allow\"} 4"));
}

#[tokio::test]
async fn the_status_says_what_is_believed_and_how_old_the_picture_is() {
    let revoke = sample::revoke(sample::user("alice"));
    let house = House::open(&[revoke], &format!("unverified_jwt = true\n{COOKIE}")).await;
    house.clock.advance(1_500);
    let told = house.send("GET /status", &[], "").await;
    let status: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!(status["identity"]["jwt"], "unverified");
    assert_eq!(status["identity"]["unverified_jwt"], true);
    assert_eq!(status["picture"]["decisions"], 1);
    assert_eq!(status["picture"]["age_ms"], 1_500);
    assert_eq!(status["stream"]["connected"], true);
    assert_eq!(status["stream"]["cursor"], "c-2");
    assert_eq!(status["routes"][0]["on_stale"], "deny");
    assert_eq!(status["routes"][0]["stale"], false);
    assert!(!told.body.contains("alice"), "{}", told.body);
    for (path, expected) in [
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/none", 404),
    ] {
        let told = house.send(&format!("GET {path}"), &[], "").await;
        assert_eq!(told.status, expected, "{path}");
    }
    house.shutdown.begin();
    house.tasks.join(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn with_an_operators_token_only_check_and_health_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let operator = Token::draw().unwrap();
    let file = dir.path().join("operator.token");
    std::fs::write(&file, operator.reveal().expose()).unwrap();
    let more = format!("operator_token_file = {file:?}\n{COOKIE}");
    let house = House::open(&[], &more).await;
    let authorization = format!("authorization: Bearer {}", operator.reveal().expose());
    let other = format!(
        "authorization: Bearer {}",
        Token::draw().unwrap().reveal().expose()
    );
    let question = json!({"subject": {"type": "user", "id": "alice"}, "action": {"name": "read"},
        "resource": {"type": "app", "id": "payroll"}})
    .to_string();
    let json_type = "content-type: application/json";
    for (request, body, stranger) in [
        ("GET /status", "", 401),
        ("POST /access/v1/evaluation", question.as_str(), 401),
        ("POST /access/v1/evaluations", &question, 401),
        ("GET /health/ready", "", 200),
        ("GET /health/live", "", 200),
    ] {
        let told = house.send(request, &[json_type], body).await;
        assert_eq!(told.status, stranger, "{request}");
        let told = house.send(request, &[json_type, &other], body).await;
        assert_eq!(told.status, stranger, "{request} with another token");
        let told = house
            .send(request, &[json_type, &authorization], body)
            .await;
        assert_eq!(told.status, 200, "{request}");
    }
    assert_eq!(house.check(&["cookie: sid=s-1"]).await.status, 204);
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_is_answered_nothing() {
    let more = format!("trusted_proxies = [\"192.0.2.1\"]\n{COOKIE}");
    let house = House::open(&[], &more).await;
    let told = house.check(&["cookie: sid=s-1"]).await;
    assert_eq!(told.status, 403);
    assert!(told.head.contains("x-caerus-reason: bad_proxy\r\n"));
    let (status, _) = house.evaluate("/access/v1/evaluation", &json!({})).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn an_enforcer_that_cannot_be_opened_says_whether_configuration_would_help() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    let state = dir.path().join("state");
    let text = |url: &str, listen: &str| {
        format!(
            "url = {url:?}\ntoken_file = {token:?}\nstate_dir = {state:?}\nlisten = {listen:?}\n"
        )
    };
    let open = async |text: String| {
        let settings = load(dir.path(), &text);
        let opened = Enforcer::open(&settings, Arc::new(ManualClock::default())).await;
        let error = opened.unwrap_err();
        (error.is_configuration(), error.to_string())
    };
    let any = "127.0.0.1:0";
    let here = "http://127.0.0.1:1";
    let (helps, said) = open(text(here, any)).await;
    assert!(helps && said.contains("could not read the token"), "{said}");
    std::fs::write(&token, "secret").unwrap();
    let (helps, said) = open(text(here, any)).await;
    assert!(
        helps && said.contains("holds no token") && !said.contains("secret"),
        "{said}"
    );
    std::fs::write(&token, Token::draw().unwrap().reveal().expose()).unwrap();
    let other = tokio::net::TcpListener::bind(any).await.unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let (helps, said) = open(text(here, &taken)).await;
    assert!(!helps && said.contains("the port is taken"), "{said}");
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, "").unwrap();
    let (helps, said) = open(format!(
        "ca_file = {roots:?}\n{}",
        text("https://127.0.0.1:1", any)
    ))
    .await;
    assert!(helps && said.contains("needs TLS"), "{said}");
    let _held = caerus_runtime::data_dir::DataDir::open(&state).unwrap();
    let (helps, said) = open(text(here, any)).await;
    assert!(!helps && said.contains("in use"), "{said}");
}
