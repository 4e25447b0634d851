//! Servers that are not there, say no, fall silent, or come back.

use std::sync::Arc;
use std::time::Duration;

use caerus_engine::time::Timestamp;
use caerus_runtime::port::{Ledger, PortErrorKind, PortResult, Topic};
use caerus_runtime::secret::Secret;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::fixture::Schema;
use super::super::{PostgresLedger, Retention};
use super::open;

/// Within which an outage is told.
const LIMIT: Duration = Duration::from_secs(5);

/// Stands between ledger and server, and stops passing anything on when told.
struct Wire {
    is_cut: watch::Sender<bool>,
    url: String,
    _passing: JoinSet<()>,
}

impl Wire {
    async fn to(schema: &Schema) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let server = address(&schema.url());
        let (is_cut, cut) = watch::channel(false);
        let mut passing = JoinSet::new();
        passing.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(pass(near, server.clone(), cut.clone()));
            }
        });
        Self {
            is_cut,
            url: moved(&schema.url(), &here.to_string()),
            _passing: passing,
        }
    }
}

/// A silent wire keeps its connections open, as a machine does that was unplugged.
async fn pass(mut near: TcpStream, server: String, mut cut: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(server).await else {
        return;
    };
    let whole = async { while !*cut.borrow_and_update() && cut.changed().await.is_ok() {} };
    tokio::select! {
        ended = copy_bidirectional(&mut near, &mut far) => drop(ended),
        () = whole => std::future::pending().await,
    }
}

/// `host:port` of a url.
fn address(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split('/').next().unwrap().to_owned()
}

/// The same url at another address.
fn moved(url: &str, to: &str) -> String {
    url.replacen(&address(url), to, 1)
}

fn kind<T>(outcome: PortResult<T>) -> Option<PortErrorKind> {
    outcome.err().map(|error| error.kind)
}

async fn refusal(schema: &Schema, url: String) -> (PortErrorKind, String) {
    let mut settings = schema.settings();
    settings.url = Secret::new(url);
    let error = PostgresLedger::connect(&settings).await.unwrap_err();
    (error.kind, error.operation)
}

#[tokio::test]
async fn a_server_that_says_no_is_refused_with_what_to_do_about_it() {
    let schema = Schema::new().await;
    let url = schema.url();
    let (server, database) = (address(&url), "/caerus?");
    assert!(
        url.contains(database),
        "the tests' database is named caerus"
    );
    let (_, after) = url.split_once('@').unwrap();
    let cases = [
        (
            format!("postgres://nobody:hunter2@{after}"),
            "does not admit",
        ),
        (url.replacen(database, "/nowhere?", 1), "create it first"),
    ];
    for (url, advice) in cases {
        let (kind, said) = refusal(&schema, url).await;
        assert_eq!(kind, PortErrorKind::Refused);
        assert!(said.contains(advice) && said.contains(&server), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let schema = Schema::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let url = moved(&schema.url(), &nobody.to_string());
    let (kind, said) = refusal(&schema, url).await;
    assert_eq!(kind, PortErrorKind::Unavailable);
    assert!(said.contains(&nobody.to_string()), "{said}");
}

#[tokio::test]
async fn a_server_that_fell_silent_is_unavailable_within_the_limit() {
    let schema = Schema::new().await;
    let wire = Wire::to(&schema).await;
    let mut settings = schema.settings();
    settings.url = Secret::new(wire.url.clone());
    let ledger = PostgresLedger::connect(&settings).await.unwrap();
    assert_eq!(ledger.position(Topic::Decisions, 0).await.unwrap(), 0);
    wire.is_cut.send_replace(true);
    // From here on only the limits' timers can end anything: the clock jumps to them.
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    let unavailable = Some(PortErrorKind::Unavailable);
    assert_eq!(
        kind(ledger.position(Topic::Decisions, 0).await),
        unavailable
    );
    assert!(started.elapsed() <= LIMIT);
    assert_eq!(kind(PostgresLedger::connect(&settings).await), unavailable);
    assert!(started.elapsed() <= LIMIT * 2);
}

#[tokio::test]
async fn a_ledger_whose_connections_were_ended_goes_on_by_itself() {
    let (schema, ledger, stranger) = open().await;
    ledger.set_position(Topic::Decisions, 0, 7).await.unwrap();
    for _ in 0..3 {
        // As a restart of the server does.
        let ended: Vec<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE application_name = $1",
        )
        .bind(schema.name())
        .fetch_all(&stranger)
        .await
        .unwrap();
        assert!(!ended.is_empty() && ended.iter().all(|done| *done));
        let read = ledger.position(Topic::Decisions, 0).await.unwrap();
        assert_eq!(read, 7);
    }
}

#[tokio::test]
async fn a_closed_ledger_is_unavailable() {
    let (_schema, ledger, _) = open().await;
    let other = Arc::clone(&ledger);
    ledger.close().await;
    let unavailable = Some(PortErrorKind::Unavailable);
    assert_eq!(kind(other.tokens().await), unavailable);
    let all = Retention {
        decisions_since: Timestamp(0),
        risk_since: Timestamp(0),
        audit_since: Timestamp(0),
    };
    assert_eq!(kind(other.keep(&all).await), unavailable);
}

#[tokio::test]
async fn neither_ledger_nor_settings_print_a_password() {
    let (schema, ledger, _) = open().await;
    let printed = format!("{ledger:?} {:?}", schema.settings());
    let url = schema.url();
    let (credentials, _) = url.split_once('@').unwrap();
    let (_, credentials) = credentials.split_once("//").unwrap();
    assert!(!printed.contains(&format!("{credentials}@")), "{printed}");
    let (_, password) = credentials.split_once(':').unwrap_or_default();
    let shown = format!("password: \"{password}\"");
    assert!(!printed.contains(&shown), "{printed}");
}
