//! Starting, being refused a start, and stopping: exit codes, and sentences that help. *Source*: contract, §1 and §6.

mod policies;
mod refusals;

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::support::caerus::{Caerus, http, send};
use crate::support::enforcer::Enforcer;
use crate::support::person::Person;

/// A person who pressed Ctrl-C does not wait longer.
const STOP_MAX: Duration = Duration::from_secs(5);
const TOKENS: [&str; 3] = ["admin", "producer", "enforcement-point"];

#[tokio::test]
async fn a_stop_is_quick_and_the_next_start_goes_on_with_the_same_tokens_and_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut caerus = Caerus::start(dir.path(), &[]).await;
    let mut enforcer = Enforcer::start(
        dir.path(),
        &caerus,
        "[identity]\nsession_cookie = \"sid\"\n",
    )
    .await;
    let tokens = TOKENS.map(|name| caerus.token(name));
    let olga = Person::new("olga");
    caerus.tell(&[olga.login("e-1", "s-1", &json!({}))]).await;
    let target = olga.session("s-1");
    caerus.decide("revoke", &target).await;
    let decision = caerus.in_force("revoke", &target).await;

    // Streams are open, one of them by somebody who never reads.
    let mut request = format!("{}/v1/stream", caerus.url.replacen("http", "ws", 1))
        .into_client_request()
        .unwrap();
    let bearer = HeaderValue::try_from(format!("Bearer {}", tokens[2])).unwrap();
    request.headers_mut().insert("authorization", bearer);
    let (mut idle, _) = connect_async(request).await.unwrap();

    for signal in ["INT", "TERM"] {
        caerus.program.signal(signal);
        let (code, took) = caerus.program.ended();
        assert_eq!(code, 0, "{}", caerus.program.said());
        assert!(took < STOP_MAX, "SIG{signal} took {took:?}");
        caerus.respawn();
        caerus.up().await;
        assert_eq!(TOKENS.map(|name| caerus.token(name)), tokens);
        let again = caerus.in_force("revoke", &target).await;
        assert_eq!(again, decision, "after SIG{signal}");
    }
    // It was told that the server goes away, or the connection just ended.
    while let Some(Ok(_)) = idle.next().await {}

    enforcer.connected().await;
    enforcer.program.signal("INT");
    let (code, took) = enforcer.program.ended();
    assert_eq!(code, 0, "{}", enforcer.program.said());
    assert!(took < STOP_MAX, "the enforcer took {took:?}");
}

#[tokio::test]
async fn health_and_metrics_are_told_by_both() {
    let dir = tempfile::tempdir().unwrap();
    let caerus = Caerus::start(dir.path(), &[]).await;
    let enforcer = Enforcer::start(
        dir.path(),
        &caerus,
        "[identity]\nsession_cookie = \"sid\"\n",
    )
    .await;
    let olga = Person::new("olga");
    caerus.tell(&[olga.login("e-1", "s-1", &json!({}))]).await;
    let of_enforcer = format!("http://127.0.0.1:{}", enforcer.port);
    for (url, metric) in [
        (
            &caerus.url,
            "caerus_ingest_accepted_events_total{type=\"login\"} 1",
        ),
        (
            &of_enforcer,
            "caerus_enforcer_connections_total{start=\"snapshot\"} 1",
        ),
    ] {
        let get = async |page: &str| send(http().get(format!("{url}{page}"))).await.unwrap();
        assert_eq!(get("/health/live").await.body, json!({"status": "live"}));
        let ready = get("/health/ready").await;
        assert_eq!(
            (ready.status, &ready.body["status"]),
            (200, &json!("ready"))
        );
        let page = get("/metrics").await.body;
        let page = page.as_str().unwrap();
        assert!(page.contains(metric), "{page}");
        assert!(page.ends_with("# EOF\n"), "{page}");
    }
}
