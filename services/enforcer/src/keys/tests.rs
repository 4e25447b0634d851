//! Which keys are taken, and how often they are fetched.

use std::sync::atomic::{AtomicU64, Ordering};

use caerus_runtime::health::Health;
use caerus_runtime::tasks::TaskGroup;

use super::*;
use crate::sample::{self, ManualClock};

#[test]
fn keys_that_verify_nothing_here_are_left_out() {
    let set = KeySet::parse(sample::KEY_SET).unwrap();
    let taken: Vec<String> = set
        .keys
        .iter()
        .map(|key| format!("{} {:?}", key.id.as_deref().unwrap(), key.algorithms))
        .collect();
    assert_eq!(
        taken,
        [
            "ec-1 [ES256]",
            "ed-1 [EdDSA]",
            "rsa-1 [RS256, PS256]",
            "rsa-ps [PS256]"
        ]
    );
    // P-384, symmetric, of an unknown kind, for encryption.
    assert_eq!(set.unusable, 4);
}

#[test]
fn what_is_no_key_set_says_why() {
    let many = format!("{{\"keys\":[{}]}}", vec!["{}"; 65].join(","));
    let cases = [
        ("", "the key set is not `{\"keys\":[…]}` as RFC 7517 has it"),
        (
            "[]",
            "the key set is not `{\"keys\":[…]}` as RFC 7517 has it",
        ),
        (
            "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}",
            "the key set holds no usable public key (1 were of another kind)",
        ),
        (&many, "the key set holds 65 keys; at most 64 are taken"),
    ];
    for (text, expected) in cases {
        let error = KeySet::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_key_never_verifies_by_an_algorithm_of_another_kind() {
    let set = KeySet::parse(sample::KEY_SET).unwrap();
    for (id, algorithm) in [
        ("rsa-1", Algorithm::EdDSA),
        ("rsa-1", Algorithm::HS256),
        ("ec-1", Algorithm::RS256),
        ("rsa-ps", Algorithm::RS256),
    ] {
        assert_eq!(set.candidates(Some(id), algorithm).count(), 0);
        for key in &set.keys {
            if key.id.as_deref() == Some(id) {
                assert!(!key.verifies(algorithm, "message", "c2lnbmF0dXJl"));
            }
        }
    }
}

/// Serves the key set over HTTP/1.1, one request a connection, and counts.
async fn provider() -> (String, Arc<AtomicU64>, TaskGroup) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let served = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&served);
    let mut group = TaskGroup::new(&Shutdown::new());
    group.spawn("provider", async move {
        loop {
            let (mut socket, _) = listener.accept().await?;
            let mut request = [0_u8; 1_024];
            let length = socket.read(&mut request).await?;
            assert!(request[..length].starts_with(b"GET /jwks HTTP/1.1\r\n"));
            counter.fetch_add(1, Ordering::SeqCst);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                sample::KEY_SET.len()
            );
            socket.write_all(head.as_bytes()).await?;
            socket.write_all(sample::KEY_SET).await?;
        }
        #[expect(unreachable_code, reason = "names the task's error type")]
        Ok::<(), std::io::Error>(())
    });
    (url, served, group)
}

fn keeper(source: KeySource, health: &Health, clock: &ManualClock) -> (KeyKeeper, Keys) {
    KeyKeeper::new(KeeperParts {
        source,
        refresh_every: Duration::from_secs(3_600),
        dialer: Dialer::new(None),
        condition: health.condition("keys"),
        clock: Arc::new(clock.clone()),
    })
}

#[tokio::test]
async fn unknown_key_ids_cause_one_fetch_per_cooldown() {
    let (url, served, _group) = provider().await;
    let health = Health::new();
    let clock = ManualClock::default();
    let (keeper, keys) = keeper(KeySource::Url(url), &health, &clock);
    let mut group = TaskGroup::new(&Shutdown::new());
    group.spawn("keys", async move {
        keeper.run(Shutdown::new()).await;
        Ok::<(), std::io::Error>(())
    });
    health.ready().await;
    assert_eq!(keys.current().len(), 4);
    for _ in 0..100 {
        assert!(!keys.refreshed().await.knows("never"));
    }
    assert_eq!(served.load(Ordering::SeqCst), 1);
    clock.advance(limit::KEY_SET_COOLDOWN_MS);
    keys.refreshed().await;
    keys.refreshed().await;
    assert_eq!(served.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_key_set_that_goes_bad_leaves_the_last_good_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let health = Health::new();
    let clock = ManualClock::default();
    let (keeper, keys) = keeper(KeySource::File(path.clone()), &health, &clock);
    let mut group = TaskGroup::new(&Shutdown::new());
    group.spawn("keys", async move {
        keeper.run(Shutdown::new()).await;
        Ok::<(), std::io::Error>(())
    });
    // Nothing there yet: told, and tried again when asked for.
    while health.conditions()["keys"].obstacle() != Some("no key set could be read yet") {
        tokio::task::yield_now().await;
    }
    assert!(keys.current().is_empty());
    std::fs::write(&path, sample::KEY_SET).unwrap();
    clock.advance(limit::KEY_SET_COOLDOWN_MS);
    assert_eq!(keys.refreshed().await.len(), 4);
    std::fs::write(&path, "{}").unwrap();
    clock.advance(limit::KEY_SET_COOLDOWN_MS);
    assert_eq!(keys.refreshed().await.len(), 4);
    assert!(health.is_ready());
}
