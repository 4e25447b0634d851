//! Clusters and sentinels, of real servers.

use std::time::Duration;

use caerus_engine::id::SubjectHash;
use caerus_runtime::config::RedisArrangement;
use caerus_runtime::port::{Commit, PortErrorKind, PortResult, RecordStore};
use tokio::process::Command;

use super::server::{Server, free_port, tell};
use super::{batch, entry, epoch, refused, settings};
use crate::redis::RedisRecordStore;

/// How often servers are asked whether they have agreed, before a test fails.
const QUESTIONS_MAX: usize = 600;
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);

async fn cluster_of_three() -> [Server; 3] {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let bus = free_port().to_string();
        nodes.push(Server::start(&["--cluster-enabled", "yes", "--cluster-port", &bus]).await);
    }
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)))
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&made.stdout);
    assert!(told.contains("All 16384 slots covered"), "{told}");
    for node in &nodes {
        let mut questions = 0;
        while !node
            .tell::<String>(&["CLUSTER", "INFO"])
            .await
            .contains("cluster_state:ok")
        {
            questions += 1;
            assert!(
                questions < QUESTIONS_MAX,
                "the cluster does not come together"
            );
            tokio::time::sleep(BETWEEN_QUESTIONS).await;
        }
    }
    nodes.try_into().ok().unwrap()
}

#[tokio::test]
async fn partitions_spread_over_a_cluster_and_each_write_is_whole() -> PortResult<()> {
    const PARTITIONS: u32 = 8;
    let nodes = cluster_of_three().await;
    let urls: Vec<_> = nodes.iter().map(Server::url).collect();
    let settings = settings(&urls, RedisArrangement::Cluster);
    let store = RedisRecordStore::connect(&settings).await?;
    let bytes = vec![7; 100];
    // More than one piece of what is written and read at once.
    let records = vec![bytes.as_slice(); 1_300];
    for partition in 0..PARTITIONS {
        store.open(partition, epoch(5)).await?;
        let commit = Commit {
            outbox: (0..3).map(entry).collect(),
            shared: Some(b"fold".to_vec()),
            ..batch(partition, epoch(5), (0, 9), &records)
        };
        store.commit(commit).await?;
        store.clear_outbox(partition, epoch(5), 1).await?;
    }
    let keys: Vec<_> = (0..1_301).map(SubjectHash).collect();
    for partition in 0..PARTITIONS {
        let (kind, _) = refused(store.open(partition, epoch(4)).await);
        assert_eq!(kind, PortErrorKind::Conflict);
        let state = store.open(partition, epoch(6)).await?;
        assert_eq!((state.position, state.next_sequence), (9, 3));
        assert_eq!(state.outbox, [entry(1), entry(2)]);
        assert_eq!(state.agenda.len(), 1_300);
        let held = store.load(partition, &keys).await?;
        let found = held.iter().flatten().filter(|held| **held == bytes);
        assert_eq!((found.count(), held.last()), (1_300, Some(&None)));
        let (kind, _) = refused(store.commit(batch(partition, epoch(5), (9, 10), &[])).await);
        assert_eq!(kind, PortErrorKind::Conflict);
    }
    for node in &nodes {
        let keys: u64 = node.tell(&["DBSIZE"]).await;
        assert!(keys > 0, "no partition is on port {}", node.port);
    }
    Ok(())
}

#[tokio::test]
async fn one_node_of_a_cluster_that_would_drop_records_is_enough_to_refuse() -> PortResult<()> {
    let nodes = cluster_of_three().await;
    let last = nodes.last().unwrap();
    // One address is enough: the others are learned from it.
    let urls = [nodes.first().unwrap().url()];
    let of_cluster = settings(&urls, RedisArrangement::Cluster);
    let store = RedisRecordStore::connect(&of_cluster).await?;
    for (name, value) in [("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lfu")] {
        let () = last.tell(&["CONFIG", "SET", name, value]).await;
    }
    let reason = format!(
        ":{} would drop records: maxmemory-policy is `allkeys-lfu`",
        last.port
    );
    for outcome in [
        refused(RedisRecordStore::connect(&of_cluster).await),
        refused(store.open(0, epoch(1)).await),
    ] {
        assert_eq!(outcome.0, PortErrorKind::Refused);
        assert!(outcome.1.contains(&reason), "{}", outcome.1);
    }
    let single = settings(&urls, RedisArrangement::Single);
    let (kind, text) = refused(RedisRecordStore::connect(&single).await);
    assert_eq!(kind, PortErrorKind::Refused);
    assert!(text.contains("is a node of a cluster"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_single_server_is_no_cluster() {
    let server = Server::start(&[]).await;
    let settings = settings(&[server.url()], RedisArrangement::Cluster);
    let (kind, text) = refused(RedisRecordStore::connect(&settings).await);
    assert_eq!(kind, PortErrorKind::Refused, "{text}");
    assert!(text.contains("cluster support disabled"), "{text}");
}

/// The servers have a password, the sentinel has none.
#[tokio::test]
async fn the_master_that_sentinels_name_is_followed() -> PortResult<()> {
    let login = ["--requirepass", "secret", "--masterauth", "secret"];
    let mut master = Server::start(&login).await;
    let port = master.port.to_string();
    let replica = [&login[..], &["--replicaof", "127.0.0.1", &port]].concat();
    let replica = Server::start(&replica).await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "sentinel monitor main 127.0.0.1 {port} 1\nsentinel auth-pass main secret\n\
         sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 5000\n"
    );
    std::fs::write(folder.path().join("sentinel.conf"), text).unwrap();
    let sentinel = Server::start_in(folder, &["sentinel.conf", "--sentinel"]).await;
    let url = format!("redis://:secret@127.0.0.1:{}", sentinel.port);
    let of_sentinel = |name: &str| {
        let arrangement = RedisArrangement::Sentinel(name.to_owned());
        settings(std::slice::from_ref(&url), arrangement)
    };
    let (kind, text) = refused(RedisRecordStore::connect(&of_sentinel("other")).await);
    assert_eq!(kind, PortErrorKind::Unavailable);
    assert!(
        text.contains("no sentinel knows a reachable master"),
        "{text}"
    );
    let store = RedisRecordStore::connect(&of_sentinel("main")).await?;
    store.open(0, epoch(1)).await?;
    store.commit(batch(0, epoch(1), (0, 10), &[b"one"])).await?;
    until(async || {
        let told: String = sentinel.tell(&["INFO", "sentinel"]).await;
        let url = format!("redis://:secret@127.0.0.1:{}", replica.port);
        let keys: u64 = tell(&url, &["DBSIZE"]).await;
        // Meta, records and agenda.
        told.contains("slaves=1") && keys == 3
    })
    .await;
    master.kill().await;
    until(async || match store.open(0, epoch(1)).await {
        Ok(state) => state.position == 10,
        Err(error) => {
            assert_eq!(
                error.kind,
                PortErrorKind::Unavailable,
                "{}",
                super::chain(&error)
            );
            false
        }
    })
    .await;
    store.commit(batch(0, epoch(1), (10, 20), &[b"two"])).await
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..QUESTIONS_MAX {
        if is_so().await {
            return;
        }
        tokio::time::sleep(BETWEEN_QUESTIONS).await;
    }
    panic!("the servers do not agree");
}
