//! Servers that are not taken, and writes that do nothing.

use std::process::Stdio;

use caerus_engine::id::SubjectHash;
use caerus_runtime::config::{Redis, RedisArrangement};
use caerus_runtime::port::{Commit, PortErrorKind, RecordStore};
use caerus_runtime::secret::Secret;
use tokio::process::Command;

use super::server::{Server, free_port, tell};
use super::{batch, entry, epoch, fresh_settings, refused, settings};
use crate::redis::RedisRecordStore;
use crate::redis::write::COMMIT_BYTES_MAX;

/// Why `settings` do not lead to a store; the text never has what is secret in them.
async fn refusal_to_connect(settings: &Redis) -> (PortErrorKind, String) {
    let refusal = refused(RedisRecordStore::connect(settings).await);
    assert!(!refusal.1.contains("hunter2"), "{}", refusal.1);
    refusal
}

#[tokio::test]
async fn a_server_that_would_drop_records_is_refused_by_name() {
    let server =
        Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let (kind, text) = refusal_to_connect(&server.settings()).await;
    assert_eq!(kind, PortErrorKind::Refused);
    let reason = format!(
        "redis at 127.0.0.1:{} would drop records: maxmemory-policy is `allkeys-lru`; set noeviction",
        server.port
    );
    assert!(text.contains(&reason), "{text}");
    let () = server
        .tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .await;
    RedisRecordStore::connect(&server.settings()).await.unwrap();
}

/// Nor is it taken when it comes back as one in place of another.
#[tokio::test]
async fn a_server_that_comes_back_dropping_records_is_refused() {
    let mut server = Server::start(&["--maxmemory", "100mb"]).await;
    let store = RedisRecordStore::connect(&server.settings()).await.unwrap();
    server.kill().await;
    let evicting = ["--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"];
    server.start_again(&evicting).await;
    let (kind, _) = refused(store.open(0, epoch(1)).await);
    assert_eq!(kind, PortErrorKind::Unavailable);
    let (kind, text) = refused(store.open(0, epoch(1)).await);
    assert_eq!(kind, PortErrorKind::Refused);
    assert!(text.contains("`volatile-lru`"), "{text}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_never_shown() {
    let server = Server::start(&["--requirepass", "correct"]).await;
    let with = |login: &str| {
        let url = format!("redis://{login}127.0.0.1:{}", server.port);
        settings(&[url], RedisArrangement::Single)
    };
    for login in [":hunter2@", "caerus:hunter2@", ""] {
        let (kind, text) = refusal_to_connect(&with(login)).await;
        assert_eq!(kind, PortErrorKind::Refused, "{login}");
        let reason = "redis does not accept the user name or the password";
        assert!(text.contains(reason), "{text}");
    }
    RedisRecordStore::connect(&with(":correct@")).await.unwrap();
}

#[tokio::test]
async fn a_user_without_the_right_is_refused() {
    let server = Server::start(&[]).await;
    let prefix = server.settings().prefix;
    let rights = [
        "ACL", "SETUSER", "reader", "on", ">hunter2", "~*", "+ping", "+info", "+hmget",
    ];
    let () = server.tell(&rights).await;
    let url = format!("redis://reader:hunter2@127.0.0.1:{}", server.port);
    let settings = Redis {
        prefix,
        ..settings(&[url], RedisArrangement::Single)
    };
    let store = RedisRecordStore::connect(&settings).await.unwrap();
    assert_eq!(store.load(0, &[SubjectHash(1)]).await.unwrap(), [None]);
    let (kind, text) = refused(store.open(0, epoch(1)).await);
    assert_eq!(kind, PortErrorKind::Refused);
    assert!(text.contains("the user may not do this"), "{text}");
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_told_apart() {
    let nobody = format!("redis://:hunter2@127.0.0.1:{}", free_port());
    for (urls, kind, reason) in [
        (
            vec![nobody],
            PortErrorKind::Unavailable,
            "could not use redis at 127.0.0.1:",
        ),
        (vec![], PortErrorKind::Refused, "no address is given"),
        (
            vec!["redis://a".to_owned(), "postgres://x:hunter2@b".to_owned()],
            PortErrorKind::Refused,
            "address 2 is not `redis://host:port`",
        ),
        (
            vec!["redis://a".to_owned(), "redis://b".to_owned()],
            PortErrorKind::Refused,
            "2 addresses are given for a single server",
        ),
    ] {
        let (told, text) = refusal_to_connect(&settings(&urls, RedisArrangement::Single)).await;
        assert_eq!(told, kind, "{text}");
        assert!(text.contains(reason), "{text}");
    }
    let braces = Redis {
        prefix: "a{b}".to_owned(),
        ..fresh_settings()
    };
    let (kind, text) = refusal_to_connect(&braces).await;
    assert_eq!(kind, PortErrorKind::Refused);
    assert!(text.contains("the prefix `a{b}` has braces"), "{text}");
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_and_a_port_without_tls_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status();
    assert!(made.await.unwrap().success(), "openssl makes a certificate");
    let tls_port = free_port().to_string();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    let server = Server::start(&[
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    for (port, kind, reason) in [
        (tls_port, PortErrorKind::Refused, "TLS is not agreed upon"),
        (
            server.port.to_string(),
            PortErrorKind::Unavailable,
            "does this port speak TLS",
        ),
    ] {
        let url = format!("rediss://127.0.0.1:{port}");
        let settings = settings(&[url], RedisArrangement::Single);
        let (told, text) = refusal_to_connect(&settings).await;
        assert_eq!(told, kind, "{text}");
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn a_full_server_takes_nothing_of_a_batch() {
    let server = Server::start(&[]).await;
    let store = RedisRecordStore::connect(&server.settings()).await.unwrap();
    store.open(0, epoch(1)).await.unwrap();
    let () = server.tell(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let commit = Commit {
        outbox: vec![entry(0)],
        shared: Some(b"fold".to_vec()),
        ..batch(0, epoch(1), (0, 5), &[b"a", b"b"])
    };
    let (kind, text) = refused(store.commit(commit.clone()).await);
    assert_eq!(kind, PortErrorKind::Unavailable);
    assert!(text.contains("redis is full"), "{text}");
    let () = server.tell(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let state = store.open(0, epoch(1)).await.unwrap();
    assert_eq!(
        (state.position, state.next_sequence, state.shared),
        (0, 0, None)
    );
    store.commit(commit).await.unwrap();
}

#[tokio::test]
async fn a_key_of_something_else_is_corrupt_and_nothing_is_written() {
    let server = Server::start(&[]).await;
    for part in ["r", "a", "o"] {
        let settings = server.settings();
        let store = RedisRecordStore::connect(&settings).await.unwrap();
        store.open(0, epoch(1)).await.unwrap();
        let () = server
            .tell(&["SET", &format!("{}:{{0}}:{part}", settings.prefix), "x"])
            .await;
        let commit = Commit {
            outbox: vec![entry(0)],
            ..batch(0, epoch(1), (0, 5), &[b"a"])
        };
        let (kind, text) = refused(store.commit(commit).await);
        assert_eq!(kind, PortErrorKind::Corrupt);
        assert!(text.contains("a key holds something else"), "{text}");
        let keys: Vec<String> = server
            .tell(&["KEYS", &format!("{}*", settings.prefix)])
            .await;
        assert_eq!(keys.len(), 2, "the meta and the foreign key: {keys:?}");
        let meta = format!("{}:{{0}}:m", settings.prefix);
        let position: String = server.tell(&["HGET", &meta, "p"]).await;
        assert_eq!(position, "00000000000000000000");
    }
}

#[tokio::test]
async fn a_commit_that_would_hold_redis_up_is_refused() {
    let store = RedisRecordStore::connect(&fresh_settings()).await.unwrap();
    store.open(0, epoch(1)).await.unwrap();
    let half = vec![0; COMMIT_BYTES_MAX / 2];
    let (kind, text) = refused(
        store
            .commit(batch(0, epoch(1), (0, 1), &[&half, &half, b"x"]))
            .await,
    );
    assert_eq!(kind, PortErrorKind::Refused);
    assert!(text.contains("larger than the 67108864 bytes"), "{text}");
    store
        .commit(batch(0, epoch(1), (0, 1), &[&half, &half]))
        .await
        .unwrap();
    // Another takes its place: 64 MiB are not left behind.
    store
        .commit(batch(0, epoch(1), (1, 2), &[b"a", b"b"]))
        .await
        .unwrap();
}

#[tokio::test]
async fn offsets_beyond_the_numbers_of_lua_are_compared_exactly() {
    const EXACT: u64 = 1 << 53;
    let settings = fresh_settings();
    let store = RedisRecordStore::connect(&settings).await.unwrap();
    store.open(0, epoch(EXACT + 1)).await.unwrap();
    let (kind, _) = refused(store.open(0, epoch(EXACT)).await);
    assert_eq!(kind, PortErrorKind::Conflict);
    let (kind, _) = refused(store.commit(batch(0, epoch(EXACT), (0, 1), &[])).await);
    assert_eq!(kind, PortErrorKind::Conflict);
    let (kind, _) = refused(store.commit(batch(0, epoch(EXACT + 2), (0, 1), &[])).await);
    assert_eq!(kind, PortErrorKind::Unavailable);
    let commit = batch(0, epoch(EXACT + 1), (0, EXACT + 1), &[]);
    store.commit(commit).await.unwrap();
    let (kind, text) = refused(
        store
            .commit(batch(0, epoch(EXACT + 1), (EXACT, EXACT + 9), &[]))
            .await,
    );
    assert_eq!(kind, PortErrorKind::Unavailable);
    assert!(text.contains("stands at 9007199254740993"), "{text}");
    let claim = epoch(EXACT + 1);
    let last = batch(0, claim, (EXACT + 1, u64::MAX), &[]);
    store.commit(last).await.unwrap();
    assert_eq!(store.open(0, claim).await.unwrap().position, u64::MAX);
}

#[tokio::test]
async fn sequences_beyond_the_numbers_of_lua_keep_their_order() {
    const FIRST: u64 = (1 << 53) + 1;
    let settings = fresh_settings();
    let store = RedisRecordStore::connect(&settings).await.unwrap();
    store.open(0, epoch(1)).await.unwrap();
    // As if so many had gone through the outbox.
    let url = settings.urls.first().map(Secret::expose).unwrap();
    let meta = format!("{}:{{0}}:m", settings.prefix);
    let () = tell(url, &["HSET", &meta, "n", &format!("{FIRST:020}")]).await;
    // More than one piece of what is read.
    let outbox: Vec<_> = (FIRST..FIRST + 600).map(entry).collect();
    let (kind, _) = refused(
        store
            .commit(Commit {
                outbox: vec![entry(FIRST - 1)],
                ..batch(0, epoch(1), (0, 1), &[])
            })
            .await,
    );
    assert_eq!(kind, PortErrorKind::Refused);
    let commit = Commit {
        outbox: outbox.clone(),
        ..batch(0, epoch(1), (0, 1), &[])
    };
    store.commit(commit).await.unwrap();
    store.clear_outbox(0, epoch(1), FIRST + 2).await.unwrap();
    let state = store.open(0, epoch(1)).await.unwrap();
    assert_eq!(state.outbox, outbox[2..]);
    assert_eq!(state.next_sequence, FIRST + 600);
}
