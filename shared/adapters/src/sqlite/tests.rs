//! What only files can show: broken, foreign, unwritable and newer ones, two processes on one, and the group commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use caerus_runtime::port::{
    Bus, Ledger, NewRecord, PortError, PortErrorKind, PortResult, ReadLimit, Topic,
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{SqliteBus, SqliteLedger, SqliteRecordStore};

const AMPLE: ReadLimit = ReadLimit {
    records: 100_000,
    bytes: usize::MAX,
};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Opens the file as each of the three. *Returns*: why each was refused.
async fn refusals(path: &Path) -> Vec<PortError> {
    vec![
        SqliteBus::open(path, 4).await.unwrap_err(),
        SqliteRecordStore::open(path).await.unwrap_err(),
        SqliteLedger::open(path).await.unwrap_err(),
    ]
}

fn check_named(error: &PortError, kind: PortErrorKind, path: &Path) {
    assert_eq!(error.kind, kind, "{error}");
    assert!(
        error.operation.contains(&path.display().to_string()),
        "{error}"
    );
}

fn signal(partition: u32, value: &str) -> NewRecord {
    NewRecord {
        topic: Topic::Signals,
        partition,
        key: b"k".to_vec(),
        value: value.as_bytes().into(),
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt_and_named() {
    let folder = folder();
    let path = folder.path().join("x.db");
    std::fs::write(&path, vec![0xaa; 20_000]).unwrap();
    for error in refusals(&path).await {
        check_named(&error, PortErrorKind::Corrupt, &path);
        assert!(std::error::Error::source(&error).is_some());
    }
    assert_eq!(std::fs::read(&path).unwrap(), vec![0xaa; 20_000]);
}

#[tokio::test]
async fn a_path_that_cannot_be_written_is_refused_and_named() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let paths = [
        folder.path().join("no-such-folder/x.db"),
        file.join("x.db"),
        folder.path().to_owned(),
    ];
    for path in paths {
        for error in refusals(&path).await {
            check_named(&error, PortErrorKind::Refused, &path);
        }
    }
}

#[tokio::test]
async fn damaged_pages_are_corrupt_not_empty() {
    const PAGE: usize = 8_192;
    let folder = folder();
    let path = folder.path().join("log.db");
    let bus = SqliteBus::open(&path, 4).await.unwrap();
    let large = "x".repeat(2_000);
    bus.append((0..200).map(|_| signal(0, &large)).collect())
        .await
        .unwrap();
    bus.close().await;
    drop(bus);
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > PAGE * 10);
    bytes[PAGE..].fill(0xaa);
    std::fs::write(&path, bytes).unwrap();
    let read = async {
        let bus = SqliteBus::open(&path, 4).await?;
        bus.read(Topic::Signals, 0, 0, AMPLE).await
    };
    assert_eq!(read.await.unwrap_err().kind, PortErrorKind::Corrupt);
}

#[tokio::test]
async fn a_file_from_a_newer_release_is_refused_and_both_versions_named() {
    let folder = folder();
    let path = folder.path().join("state.db");
    SqliteRecordStore::open(&path).await.unwrap().close().await;
    let newer = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path))
        .await
        .unwrap();
    sqlx::query("INSERT INTO migrations (version, name, checksum) VALUES (7, '0007_x', x'')")
        .execute(&newer)
        .await
        .unwrap();
    newer.close().await;
    let error = SqliteRecordStore::open(&path).await.unwrap_err();
    check_named(&error, PortErrorKind::Refused, &path);
    assert!(error.operation.contains("version 7"), "{error}");
    assert!(error.operation.contains("version 1"), "{error}");
}

#[tokio::test]
async fn a_file_of_one_kind_does_not_open_as_another() {
    let folder = folder();
    let path = folder.path().join("ledger.db");
    SqliteLedger::open(&path).await.unwrap().close().await;
    let error = SqliteBus::open(&path, 4).await.unwrap_err();
    check_named(&error, PortErrorKind::Refused, &path);
    SqliteLedger::open(&path).await.unwrap();
}

#[tokio::test]
async fn a_log_has_a_sane_number_of_partitions() {
    let folder = folder();
    let path = folder.path().join("log.db");
    for partitions in [0, 1_025] {
        let error = SqliteBus::open(&path, partitions).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Refused);
        assert!(error.operation.contains(&partitions.to_string()), "{error}");
    }
    assert!(!path.exists());
}

#[tokio::test]
async fn a_log_that_must_be_there_is_not_made() {
    let folder = folder();
    let path = folder.path().join("log.db");
    let error = SqliteBus::open_existing(&path).await.unwrap_err();
    check_named(&error, PortErrorKind::Refused, &path);
    assert!(!path.exists());
    let made = SqliteBus::open(&path, 7).await.unwrap();
    let found = SqliteBus::open_existing(&path).await.unwrap();
    assert_eq!(found.partitions(), 7);
    assert_eq!(found.log_id(), made.log_id());
}

#[tokio::test]
async fn every_log_has_an_id_of_its_own() {
    let folder = folder();
    let open = async |name: &str| {
        let bus = SqliteBus::open(folder.path().join(name), 1).await.unwrap();
        bus.log_id()
    };
    assert_ne!(open("a.db").await, open("b.db").await);
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    let bus = SqliteBus::open(folder.path().join("log.db"), 4)
        .await
        .unwrap();
    bus.append(vec![signal(0, "a")]).await.unwrap();
    let ledger = SqliteLedger::open(folder.path().join("ledger.db"))
        .await
        .unwrap();
    ledger.set_position(Topic::Decisions, 0, 1).await.unwrap();
    let files: Vec<PathBuf> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
    }
}

#[tokio::test]
async fn what_is_asked_of_a_closed_file_is_unavailable() {
    let folder = folder();
    let bus = SqliteBus::open(folder.path().join("log.db"), 4)
        .await
        .unwrap();
    bus.close().await;
    let unavailable = PortErrorKind::Unavailable;
    let append = bus.append(vec![signal(0, "a")]).await;
    assert_eq!(append.unwrap_err().kind, unavailable);
    assert_eq!(bus.completed(0).await.unwrap_err().kind, unavailable);
}

#[tokio::test]
async fn two_processes_on_one_log_neither_overwrite_nor_outlive_a_claim() {
    let folder = folder();
    let path = folder.path().join("log.db");
    let one = SqliteBus::open(&path, 4).await.unwrap();
    let other = SqliteBus::open(&path, 4).await.unwrap();
    assert_eq!(one.log_id(), other.log_id());
    for (bus, expected) in [(&one, 0), (&other, 1), (&one, 2), (&other, 3)] {
        assert_eq!(bus.append(vec![signal(0, "a")]).await.unwrap(), [expected]);
    }
    let former = one.claim(0, b"one"[..].into()).await.unwrap();
    let owner = other.claim(0, b"other"[..].into()).await.unwrap();
    let refused = one.publish(0, former, Vec::new(), 1).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Conflict);
    other.publish(0, owner, Vec::new(), 6).await.unwrap();
    assert_eq!(one.completed(0).await.unwrap(), 6);
    assert_eq!(one.read(Topic::Signals, 0, 0, AMPLE).await.unwrap().next, 6);
}

#[tokio::test]
async fn callers_who_wait_are_committed_together() {
    const CALLERS: u64 = 200;
    let folder = folder();
    let bus = SqliteBus::open(folder.path().join("log.db"), 4)
        .await
        .unwrap();
    let commits = bus.appended(Topic::Signals);
    let before = *commits.borrow();
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        let bus = Arc::clone(&bus);
        callers.spawn(async move { bus.append(vec![signal(0, &n.to_string())]).await });
    }
    let mut offsets: Vec<u64> = callers
        .join_all()
        .await
        .into_iter()
        .flat_map(|placed: PortResult<Vec<u64>>| placed.unwrap())
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..CALLERS).collect::<Vec<u64>>());
    // A group announces a topic once.
    let groups = *commits.borrow() - before;
    assert!((1..=20).contains(&groups), "{groups} commits");
}

#[tokio::test]
async fn a_refused_change_leaves_the_rest_of_its_group_untouched() {
    let folder = folder();
    let bus = SqliteBus::open(folder.path().join("log.db"), 4)
        .await
        .unwrap();
    let former = bus.claim(0, b"a"[..].into()).await.unwrap();
    bus.claim(0, b"b"[..].into()).await.unwrap();
    let (first, stale, nowhere, last) = tokio::join!(
        bus.append(vec![signal(0, "first")]),
        bus.publish(0, former, vec![signal(0, "stale")], 1),
        bus.append(vec![signal(0, "half"), signal(9, "nowhere")]),
        bus.append(vec![signal(0, "last")]),
    );
    assert_eq!(first.unwrap(), [2]);
    assert_eq!(stale.unwrap_err().kind, PortErrorKind::Conflict);
    assert_eq!(nowhere.unwrap_err().kind, PortErrorKind::Refused);
    assert_eq!(last.unwrap(), [3]);
    let read = bus.read(Topic::Signals, 0, 2, AMPLE).await.unwrap();
    let values: Vec<&[u8]> = read.records.iter().map(|record| &*record.value).collect();
    assert_eq!(values, [&b"first"[..], b"last"]);
}

#[tokio::test]
async fn a_record_beyond_the_limit_is_refused_and_its_size_named() {
    let folder = folder();
    let bus = SqliteBus::open(folder.path().join("log.db"), 4)
        .await
        .unwrap();
    let huge = NewRecord {
        value: vec![0; 16 * 1024 * 1024 + 1].into(),
        ..signal(0, "")
    };
    let error = bus.append(vec![huge]).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Refused);
    assert!(error.operation.contains("16777218 bytes"), "{error}");
    assert_eq!(bus.end(Topic::Signals, 0).await.unwrap(), 0);
}

#[tokio::test]
async fn trimming_many_goes_in_steps_and_leaves_the_rest() {
    let folder = folder();
    let bus = SqliteBus::open(folder.path().join("log.db"), 1)
        .await
        .unwrap();
    bus.append((0..11_000).map(|_| signal(0, "x")).collect())
        .await
        .unwrap();
    bus.trim(Topic::Signals, 0, 10_990).await.unwrap();
    assert_eq!(bus.start(Topic::Signals, 0).await.unwrap(), 10_990);
    let rest = bus.read(Topic::Signals, 0, 0, AMPLE).await.unwrap();
    assert_eq!((rest.records.len(), rest.next), (10, 11_000));
}

#[tokio::test]
async fn a_superseded_record_is_read_until_it_is_far_enough_behind() {
    const LAG: u64 = 3;
    let folder = folder();
    let bus = SqliteBus::open_lagging(folder.path().join("log.db"), 1, LAG)
        .await
        .unwrap();
    let tell = async |key: &str, value: &str| {
        let record = NewRecord {
            topic: Topic::Decisions,
            partition: 0,
            key: key.into(),
            value: value.as_bytes().into(),
        };
        bus.append(vec![record]).await.unwrap();
    };
    let told = async || {
        let read = bus.read(Topic::Decisions, 0, 0, AMPLE).await.unwrap();
        let values = read.records.iter().map(|record| record.value.to_vec());
        String::from_utf8(values.flatten().collect()).unwrap()
    };
    tell("a", "1").await;
    tell("a", "2").await;
    assert_eq!(told().await, "12", "a reader a little behind sees both");
    tell("b", "3").await;
    tell("c", "4").await;
    assert_eq!(told().await, "234", "the first has fallen behind");
    for value in ["5", "6", "7", "8", "9"] {
        tell("d", value).await;
    }
    assert_eq!(told().await, "234789", "the newest of every key stays");
}
