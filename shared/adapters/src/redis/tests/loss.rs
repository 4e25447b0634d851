//! Servers that come back with less than they were given.

use std::path::Path;

use caerus_engine::id::SubjectHash;
use caerus_runtime::port::{Commit, PortErrorKind, PortResult, RecordStore};

use super::server::Server;
use super::{batch, entry, epoch, refused};
use crate::redis::RedisRecordStore;

#[tokio::test]
async fn a_flushed_store_is_taken_up_empty() -> PortResult<()> {
    let server = Server::start(&[]).await;
    let store = RedisRecordStore::connect(&server.settings()).await?;
    store.open(0, epoch(7)).await?;
    let first = Commit {
        outbox: vec![entry(0), entry(1)],
        ..batch(0, epoch(7), (0, 10), &[b"one"])
    };
    store.commit(first).await?;
    let () = server.tell(&["FLUSHALL"]).await;
    let next = Commit {
        outbox: vec![entry(2)],
        ..batch(0, epoch(7), (10, 20), &[b"two"])
    };
    let (kind, text) = refused(store.commit(next).await);
    assert_eq!(kind, PortErrorKind::Unavailable);
    assert!(
        text.contains("the claim did not open the partition first"),
        "{text}"
    );
    let (kind, _) = refused(store.clear_outbox(0, epoch(7), 2).await);
    assert_eq!(kind, PortErrorKind::Unavailable);
    let keys: Vec<String> = server.tell(&["KEYS", "*"]).await;
    assert_eq!(keys, Vec::<String>::new());
    let state = store.open(0, epoch(8)).await?;
    assert_eq!((state.position, state.next_sequence), (0, 0));
    assert_eq!((state.outbox, state.agenda), (vec![], vec![]));
    let again = Commit {
        outbox: vec![entry(0)],
        ..batch(0, epoch(8), (0, 10), &[b"one"])
    };
    store.commit(again).await
}

#[tokio::test]
async fn a_store_that_lost_its_last_second_is_taken_up_where_it_stands() -> PortResult<()> {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::start(&durable).await;
    let store = RedisRecordStore::connect(&server.settings()).await?;
    store.open(0, epoch(7)).await?;
    let first = Commit {
        outbox: vec![entry(0)],
        shared: Some(b"first".to_vec()),
        ..batch(0, epoch(7), (0, 10), &[b"one"])
    };
    store.commit(first).await?;
    let (files, kept) = (
        server.folder().join("appendonlydir"),
        server.folder().join("kept"),
    );
    copy(&files, &kept);
    let second = Commit {
        outbox: vec![entry(1)],
        shared: Some(b"second".to_vec()),
        ..batch(0, epoch(7), (10, 20), &[b"two"])
    };
    store.commit(second).await?;
    server.kill().await;
    std::fs::remove_dir_all(&files).unwrap();
    std::fs::rename(&kept, &files).unwrap();
    server.start_again(&durable).await;
    // The first finds the connection broken.
    for reason in ["", "the store stands at 10"] {
        let third = Commit {
            outbox: vec![entry(2)],
            ..batch(0, epoch(7), (20, 30), &[b"three"])
        };
        let (kind, text) = refused(store.commit(third).await);
        assert_eq!(kind, PortErrorKind::Unavailable, "{text}");
        assert!(text.contains(reason), "{text}");
    }
    let state = store.open(0, epoch(8)).await?;
    assert_eq!((state.position, state.next_sequence), (10, 1));
    assert_eq!(state.shared.as_deref(), Some(&b"first"[..]));
    assert_eq!(state.outbox, [entry(0)]);
    let held = store.load(0, &[SubjectHash(0)]).await?;
    assert_eq!(held, [Some(b"one".to_vec())]);
    store.commit(batch(0, epoch(8), (10, 20), &[b"two"])).await
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
