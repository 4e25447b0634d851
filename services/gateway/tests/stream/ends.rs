//! How a stream ends: who is not let in, what is not understood, and what is said before the close.

use std::time::Duration;

use caerus_gateway::limits::Limits;
use caerus_runtime::auth::Right;
use caerus_wire::stream::{CloseCode, Filter};
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use crate::bus::MemoryBus;
use crate::support::{Client, World, revoke};

async fn check(client: &mut Client, code: CloseCode) {
    let told = client.end().await;
    assert_eq!(told, (Some(code), Some(code.name().to_owned())));
}

#[tokio::test]
async fn strangers_and_wrong_rights_are_told_the_code() {
    let world = World::open().await;
    let reader = world.token("nina", &["acme"], &[Right::Read, Right::Admin]);
    let cases = [
        (None, CloseCode::NotAuthenticated),
        (Some("caerus_no_token"), CloseCode::NotAuthenticated),
        (Some(reader.as_str()), CloseCode::NotAllowed),
    ];
    for (token, code) in cases {
        check(&mut world.connect(token).await, code).await;
    }
    let token = world.stream_token(&["acme"]);
    let mut client = world.connect(Some(&token)).await;
    let tenants = std::iter::once("globex".to_owned()).collect();
    let filter = Filter {
        tenants,
        ..Filter::default()
    };
    client.hello(None, filter).await;
    check(&mut client, CloseCode::NotAllowed).await;
}

#[tokio::test]
async fn another_subprotocol_is_refused_and_none_is_taken() {
    let world = World::open().await;
    let token = world.stream_token(&["acme"]);
    let refused = world.try_connect(Some(&token), Some("mqtt")).await.err();
    assert!(
        matches!(&refused, Some(Error::Http(answer)) if answer.status() == 400),
        "{refused:?}"
    );
    let mut client = world.try_connect(Some(&token), None).await.unwrap();
    client.hello(None, Filter::default()).await;
    client.snapshot().await;
}

#[tokio::test]
async fn a_frame_that_does_not_belong_ends_the_stream() {
    let world = World::open().await;
    let token = world.stream_token(&["acme"]);
    let hello = json!({"type": "hello", "client": "a"}).to_string();
    let large = json!({"type": "hello", "client": "a", "more": "x".repeat(65 * 1024)}).to_string();
    let first: [&str; 6] = [
        "not json",
        r#"{"type":"shrug"}"#,
        r#"{"type":"hello"}"#,
        r#"{"type":"hello","client":""}"#,
        r#"{"type":"ack","cursor":"AQcCAAAA"}"#,
        &large,
    ];
    for frame in first {
        let mut client = world.connect(Some(&token)).await;
        client.say(frame).await;
        check(&mut client, CloseCode::BadFrame).await;
    }
    let mut client = world.connect(Some(&token)).await;
    client.say_bytes(b"{}").await;
    check(&mut client, CloseCode::BadFrame).await;

    for frame in [hello.as_str(), r#"{"type":"ack","cursor":"?"}"#] {
        let mut client = world.subscribe(&token, None).await;
        client.snapshot().await;
        client.say(frame).await;
        check(&mut client, CloseCode::BadFrame).await;
    }
}

#[tokio::test]
async fn an_acknowledgement_beyond_what_was_sent_ends_the_stream() {
    let world = World::open().await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    let mut ahead = world.subscribe(&token, None).await;
    ahead.snapshot().await;
    // The second is sent a decision of which the first, a moment earlier, knows nothing.
    let later = {
        let other = World::with(Limits::default(), MemoryBus::of_log(7)).await;
        let token = other.stream_token(&["acme"]);
        other.decide(revoke("acme", "alice")).await;
        let mut client = other.subscribe(&token, None).await;
        client.snapshot().await;
        client.cursor.clone()
    };
    client.cursor = later;
    client.acknowledge().await;
    check(&mut client, CloseCode::BadFrame).await;
}

#[tokio::test]
async fn no_hello_in_time_ends_the_stream() {
    let limits = Limits {
        hello: Duration::from_millis(30),
        ..Limits::default()
    };
    let world = World::with(limits, MemoryBus::of_log(7)).await;
    let token = world.stream_token(&["acme"]);
    check(&mut world.connect(Some(&token)).await, CloseCode::TooSlow).await;
}

#[tokio::test]
async fn a_credential_that_ends_ends_its_stream() {
    let world = World::open().await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    world.revoke_all();
    check(&mut client, CloseCode::NotAuthenticated).await;
}

#[tokio::test]
async fn one_subscriber_too_many_is_told_so_until_a_seat_is_free() {
    let limits = Limits {
        subscribers_max: 1,
        ..Limits::default()
    };
    let world = World::with(limits, MemoryBus::of_log(7)).await;
    let token = world.stream_token(&["acme"]);
    let mut first = world.subscribe(&token, None).await;
    first.snapshot().await;
    check(&mut world.connect(Some(&token)).await, CloseCode::TooMany).await;
    first.say("leave").await;
    check(&mut first, CloseCode::BadFrame).await;
    world.subscribe(&token, None).await.snapshot().await;
}

#[tokio::test]
async fn a_gateway_that_goes_away_says_so() {
    let world = World::open().await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    world.shutdown.begin();
    check(&mut client, CloseCode::GoingAway).await;
}
