//! The loop against a stream server that the test plays.

use std::path::Path;

use caerus_engine::decide::Action;
use caerus_runtime::data_dir::DataDir;
use caerus_runtime::health::Health;
use caerus_runtime::metric::Metrics;
use caerus_runtime::tasks::TaskGroup;

use super::*;
use crate::holding::{Reader, hold};
use crate::net::Scheme;
use crate::sample::gateway::{Connection, Gateway, until};
use crate::sample::{self, ManualClock, NOW};
use crate::saved::load_from;

/// A subscriber that runs, and what it shows.
struct Running {
    picture: Reader,
    status: watch::Receiver<StreamStatus>,
    health: Health,
    clock: ManualClock,
    metrics: Metrics,
    shutdown: Shutdown,
    tasks: TaskGroup,
}

impl Running {
    fn start(gateway: &Gateway, dir: Option<&Path>) -> Self {
        let (writer, picture) = hold();
        let (health, clock, metrics) = (Health::new(), ManualClock::default(), Metrics::new());
        clock.advance(1_000);
        let place = dir.map(|dir| DataDir::open(dir).unwrap());
        let saved = place.as_ref().and_then(|place| load_from(place).unwrap());
        let (mut subscriber, status) = Subscriber::new(SubscriberParts {
            address: Address::parse(&gateway.stream_url(), Scheme::WebSocket).unwrap(),
            authorization: HeaderValue::from_static("Bearer secret"),
            client: "nginx-7".to_owned(),
            filter: Filter {
                tenants: ["acme".to_owned()].into(),
                ..Filter::default()
            },
            dialer: Dialer::new(None),
            writer,
            journal: place.map(Journal::new),
            clock: Arc::new(clock.clone()),
            condition: health.condition("picture"),
            metrics: metrics.enforcer.clone(),
        });
        if let Some(saved) = saved {
            subscriber.restore(saved);
        }
        let shutdown = Shutdown::new();
        let mut tasks = TaskGroup::new(&shutdown);
        let stop = shutdown.clone();
        tasks.spawn("subscriber", async move {
            subscriber.run(stop).await;
            Ok::<(), std::io::Error>(())
        });
        Self {
            picture,
            status,
            health,
            clock,
            metrics,
            shutdown,
            tasks,
        }
    }

    async fn stop(self) {
        self.shutdown.begin();
        self.tasks.join(Duration::from_secs(5)).await.unwrap();
    }

    /// The generations in force for alice's session and bob's, in this order.
    fn held(&self) -> Vec<u64> {
        let tenant = caerus_engine::id::TenantId::new("acme");
        let targets = [
            sample::session("alice", "s-1"),
            sample::session("bob", "s-2"),
        ];
        self.picture.look(|picture| {
            targets
                .iter()
                .flat_map(|target| {
                    let matching = picture.matching(&tenant, target, NOW);
                    matching
                        .map(|decision| decision.generation)
                        .collect::<Vec<_>>()
                })
                .collect()
        })
    }

    async fn holds(&self, generations: &[u64]) {
        until(|| self.held() == generations).await;
    }

    fn count(&self, start: StreamStart) -> u64 {
        self.metrics.enforcer.connections.of(&start).get()
    }
}

fn alice(generation: u64) -> Decision {
    Decision {
        generation,
        ..sample::revoke(sample::session("alice", "s-1"))
    }
}

fn bob(generation: u64) -> Decision {
    Decision {
        generation,
        ..sample::revoke(sample::session("bob", "s-2"))
    }
}

fn cursor(log: u64, position: u64) -> String {
    let cursor = Cursor {
        log,
        positions: vec![position],
        filter: 0,
    };
    cursor.to_text()
}

/// Connected, with a snapshot of alice's first decision acknowledged at position 1 of log 1.
async fn begun(gateway: &Gateway) -> Connection {
    let mut connection = gateway.accept().await;
    assert_eq!(connection.greet().await, None);
    connection.snapshot(&[alice(1)], Some(&cursor(1, 1))).await;
    assert_eq!(connection.acked().await, cursor(1, 1));
    connection
}

#[tokio::test]
async fn it_says_hello_takes_the_snapshot_whole_and_acknowledges_what_is_in_force() {
    let gateway = Gateway::open().await;
    let running = Running::start(&gateway, None);
    let mut connection = gateway.accept().await;
    assert_eq!(connection.authorization, "Bearer secret");
    let hello = connection.read().await.unwrap();
    assert_eq!(
        hello.to_json(),
        r#"{"type":"hello","client":"nginx-7","cursor":null,"filter":{"tenants":["acme"]}}"#
    );
    connection.welcome(true).await;
    connection.snapshot(&[alice(1)], None).await;
    connection.beat(&cursor(1, 9), NOW, NOW).await;
    until(|| running.status.borrow().is_connected).await;
    assert_eq!(running.held(), [0_u64; 0], "half a snapshot is none");
    assert!(!running.health.is_ready());

    connection.snapshot(&[bob(2)], Some(&cursor(1, 1))).await;
    assert_eq!(connection.acked().await, cursor(1, 1));
    assert_eq!(running.held(), [1, 2]);
    assert!(running.health.is_ready());
    assert_eq!(
        running.picture.age(1_000),
        None,
        "its beat spoke of what was not in force"
    );

    connection.decide(&alice(3), &cursor(1, 2)).await;
    assert_eq!(connection.acked().await, cursor(1, 2));
    assert_eq!(running.held(), [3, 2]);
    connection.decide(&alice(1), &cursor(1, 3)).await;
    assert_eq!(connection.acked().await, cursor(1, 3));
    assert_eq!(
        running.held(),
        [3, 2],
        "an older one told again changes nothing"
    );
    assert_eq!(running.count(StreamStart::Snapshot), 1);
}

#[tokio::test]
async fn a_heartbeat_tells_how_old_the_picture_is_by_the_servers_clock_alone() {
    let gateway = Gateway::open().await;
    let running = Running::start(&gateway, None);
    let mut connection = begun(&gateway).await;
    // Far from the clock here, and that does not matter.
    let now = NOW + Span::days(3);
    connection
        .beat(&cursor(1, 2), now - Span::millis(400), now)
        .await;
    assert_eq!(connection.acked().await, cursor(1, 2));
    assert_eq!(running.picture.age(1_000), Some(Span::millis(400)));
    assert_eq!(running.picture.age(6_000), Some(Span::millis(5_400)));
    // It stands still when an evaluator does, although the socket is up.
    running.clock.advance(10_000);
    connection
        .beat(
            &cursor(1, 3),
            now - Span::millis(400),
            now + Span::seconds(10),
        )
        .await;
    assert_eq!(connection.acked().await, cursor(1, 3));
    assert_eq!(running.picture.age(11_000), Some(Span::millis(10_400)));
}

#[tokio::test]
async fn after_a_break_it_resumes_from_what_it_acknowledged_and_ages_meanwhile() {
    let gateway = Gateway::open().await;
    let running = Running::start(&gateway, None);
    let mut connection = begun(&gateway).await;
    connection.beat(&cursor(1, 2), NOW, NOW).await;
    assert_eq!(connection.acked().await, cursor(1, 2));
    drop(connection);
    let mut again = gateway.accept().await;
    assert_eq!(again.greet().await, Some(cursor(1, 2)));
    assert_eq!(running.held(), [1]);
    assert_eq!(running.picture.age(9_000), Some(Span::millis(8_000)));
    again.decide(&bob(5), &cursor(1, 3)).await;
    assert_eq!(again.acked().await, cursor(1, 3));
    assert_eq!(running.held(), [1, 5]);
    assert_eq!(running.count(StreamStart::Resume), 1);
}

#[tokio::test]
async fn a_reload_keeps_the_old_picture_until_the_new_one_is_whole() {
    let gateway = Gateway::open().await;
    let running = Running::start(&gateway, None);
    let mut connection = begun(&gateway).await;
    let reload = ServerFrame::Reload {
        reason: "another log".to_owned(),
    };
    connection.send(&reload).await;
    connection.snapshot(&[bob(1)], None).await;
    until(|| running.count(StreamStart::Reload) == 1).await;
    assert_eq!(running.held(), [1]);
    connection.snapshot(&[], Some(&cursor(2, 7))).await;
    assert_eq!(connection.acked().await, cursor(2, 7));
    assert_eq!(running.held(), [1], "bob's alone");
    connection.decide(&alice(1), &cursor(2, 8)).await;
    assert_eq!(connection.acked().await, cursor(2, 8));
    assert_eq!(running.held(), [1, 1], "another log counts from anew");
}

#[tokio::test]
async fn a_snapshot_of_the_same_log_that_lags_does_not_undo_what_was_acknowledged() {
    let gateway = Gateway::open().await;
    let running = Running::start(&gateway, None);
    let mut connection = begun(&gateway).await;
    connection.decide(&alice(4), &cursor(1, 5)).await;
    assert_eq!(connection.acked().await, cursor(1, 5));
    let reload = ServerFrame::Reload {
        reason: "another filter".to_owned(),
    };
    connection.send(&reload).await;
    connection.snapshot(&[alice(1)], Some(&cursor(1, 2))).await;
    assert_eq!(connection.acked().await, cursor(1, 2));
    assert_eq!(running.held(), [4]);
}

#[tokio::test]
async fn what_cannot_be_understood_ends_the_connection_and_is_not_acknowledged() {
    let gateway = Gateway::open().await;
    let running = Running::start(&gateway, None);
    let mut connection = begun(&gateway).await;
    let strange = public_with(|public| public.v = 2);
    let nobody =
        public_with(|public| public.target = caerus_wire::decision::PublicTarget::default());
    let frames = [
        "{".to_owned(),
        r#"{"type":"riddle"}"#.to_owned(),
        strange.to_json(),
        nobody.to_json(),
        ServerFrame::Snapshot {
            decisions: Vec::new(),
            more: true,
            cursor: None,
        }
        .to_json(),
        ServerFrame::Error {
            code: "too_slow".to_owned(),
            message: "no acknowledgement".to_owned(),
        }
        .to_json(),
    ];
    for frame in frames {
        connection.send_text(frame.clone()).await;
        assert_eq!(connection.read().await, None, "{frame}");
        let error = running.status.borrow().last_error.clone();
        connection = gateway.accept().await;
        assert_eq!(connection.greet().await, Some(cursor(1, 1)), "{error:?}");
        assert_eq!(running.held(), [1]);
    }
    running.stop().await;
}

fn public_with(change: impl FnOnce(&mut PublicDecision)) -> ServerFrame {
    let mut decision = Box::new(sample::public(&bob(9)));
    change(&mut decision);
    ServerFrame::Decision {
        cursor: cursor(1, 9),
        decision,
    }
}

#[tokio::test]
async fn a_restart_begins_from_the_saved_picture_and_catches_up() {
    let gateway = Gateway::open().await;
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&gateway, Some(dir.path()));
    let mut connection = begun(&gateway).await;
    connection.beat(&cursor(1, 1), NOW, NOW).await;
    connection.decide(&bob(2), &cursor(1, 2)).await;
    let lifted = Decision {
        action: Action::Clear,
        ..alice(3)
    };
    connection.decide(&lifted, &cursor(1, 3)).await;
    while connection.acked().await != cursor(1, 3) {}
    running.stop().await;

    // Nobody serves the stream now: what was saved is in force, and as old as the wall clock says.
    let restarted = Running::start(&gateway, Some(dir.path()));
    assert!(restarted.health.is_ready());
    assert_eq!(restarted.held(), [2]);
    assert_eq!(restarted.picture.age(1_000), Some(Span::seconds(1)));
    drop(connection);

    let mut again = gateway.accept().await;
    assert_eq!(again.greet().await, Some(cursor(1, 3)));
    again.decide(&alice(1), &cursor(1, 4)).await;
    assert_eq!(again.acked().await, cursor(1, 4));
    assert_eq!(restarted.held(), [2], "a clear fences also after a restart");
    again.decide(&alice(6), &cursor(1, 5)).await;
    assert_eq!(again.acked().await, cursor(1, 5));
    restarted.holds(&[6, 2]).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_file_even_when_the_process_is_killed() {
    let gateway = Gateway::open().await;
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&gateway, Some(dir.path()));
    let mut connection = begun(&gateway).await;
    for generation in 2..50 {
        connection
            .decide(&alice(generation), &cursor(1, generation))
            .await;
        assert_eq!(connection.acked().await, cursor(1, generation));
        let file = std::fs::read(dir.path().join("picture")).unwrap();
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join("picture"), file).unwrap();
        let saved = load_from(&DataDir::open(copy.path()).unwrap())
            .unwrap()
            .unwrap();
        assert_eq!(saved.mark.cursor, cursor(1, generation));
        assert_eq!(saved.decisions.last().unwrap().generation, generation);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_refuses_is_asked_again_and_told_of() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway_url = format!("ws://{}/v1/stream", listener.local_addr().unwrap());
    let (writer, _picture) = hold();
    let (subscriber, status) = Subscriber::new(SubscriberParts {
        address: Address::parse(&gateway_url, Scheme::WebSocket).unwrap(),
        authorization: HeaderValue::from_static("Bearer wrong"),
        client: "x".to_owned(),
        filter: Filter::default(),
        dialer: Dialer::new(None),
        writer,
        journal: None,
        clock: Arc::new(ManualClock::default()),
        condition: Health::new().condition("picture"),
        metrics: Metrics::new().enforcer,
    });
    let mut tasks = TaskGroup::new(&Shutdown::new());
    tasks.spawn("subscriber", async move {
        subscriber.run(Shutdown::new()).await;
        Ok::<(), std::io::Error>(())
    });
    for _ in 0..2 {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0_u8; 4_096];
        assert!(socket.read(&mut request).await.unwrap() > 0);
        socket
            .write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        until(|| {
            status.borrow().last_error.as_deref() == Some("the stream was refused with status 401")
        })
        .await;
    }
}
