//! What a subscriber sees: snapshots, decisions, cursors, filters, tenants, and how far everything is evaluated.

use caerus_engine::time::Span;
use caerus_gateway::limits::Limits;
use caerus_runtime::auth::Right;
use caerus_wire::stream::{Filter, ServerFrame};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bus::MemoryBus;
use crate::support::{Client, Decided, NOON, World, revoke};

fn names(names: &[&str]) -> std::collections::BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// HTTP/1.0, so that the body comes whole.
async fn get(world: &World, path: &str, token: Option<&str>) -> (u16, Value) {
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let authorization = token.map_or(String::new(), |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n{authorization}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn a_subscriber_gets_what_is_in_force_then_what_is_decided() {
    let world = World::open().await;
    let first = world.decide(revoke("acme", "alice")).await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    assert_eq!(
        client.frame().await,
        ServerFrame::Welcome {
            heartbeat_ms: 1_000,
            snapshot: true,
            max_unacked: 1_024
        }
    );
    assert_eq!(client.snapshot_frames().await, (vec![first], 1));
    let second = world.decide(revoke("acme", "bob")).await;
    assert_eq!(client.decision().await, second);
    let after_decision = client.cursor.clone();
    assert_eq!(Some(client.heartbeat().await.cursor), after_decision);
}

#[tokio::test]
async fn a_snapshot_of_many_comes_in_parts_of_bounded_size() {
    let limits = Limits {
        snapshot_frame_bytes: 10 * 1024,
        ..Limits::default()
    };
    let world = World::with(limits, MemoryBus::of_log(7)).await;
    for user in 0..40 {
        let name = format!("user-{user}");
        let what = Decided {
            padding: 1_024,
            ..revoke("acme", &name)
        };
        world.decide(what).await;
    }
    let token = world.stream_token(&["acme"]);
    let (ids, frames) = world.subscribe(&token, None).await.snapshot().await;
    assert_eq!(ids.len(), 40);
    assert!((5..=10).contains(&frames), "{frames} frames");
}

#[tokio::test]
async fn a_cursor_resumes_with_nothing_but_what_came_after() {
    let world = World::open().await;
    world.decide(revoke("acme", "alice")).await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    let cursor = client.cursor.clone().unwrap();
    drop(client);

    let newer = Decided {
        generation: 2,
        action: "clear",
        ..revoke("acme", "alice")
    };
    // Of one target only the newest is told.
    let between = Decided {
        generation: 2,
        ..revoke("acme", "bob")
    };
    world.decide(revoke("acme", "bob")).await;
    let expected = [world.decide(newer).await, world.decide(between).await];

    let mut client = world.subscribe(&token, Some(&cursor)).await;
    let welcome = client.frame().await;
    assert!(
        matches!(
            welcome,
            ServerFrame::Welcome {
                snapshot: false,
                ..
            }
        ),
        "{welcome:?}"
    );
    let mut resumed = vec![client.decision().await, client.decision().await];
    resumed.sort();
    let mut wanted = expected.to_vec();
    wanted.sort();
    assert_eq!(resumed, wanted);

    let cursor = client.cursor.clone().unwrap();
    let mut again = world.subscribe(&token, Some(&cursor)).await;
    again.frame().await;
    let last = world.decide(revoke("acme", "carol")).await;
    assert_eq!(again.decision().await, last, "nothing is told twice");
}

#[tokio::test]
async fn another_gateway_takes_the_cursor_of_the_first() {
    let bus = MemoryBus::of_log(7);
    let first = World::with(Limits::default(), bus.clone()).await;
    let token = first.stream_token(&["acme"]);
    let mut client = first.subscribe(&token, None).await;
    client.snapshot().await;
    let cursor = client.cursor.clone().unwrap();
    let decided = first.decide(revoke("acme", "alice")).await;

    let second = World::with(Limits::default(), bus).await;
    let token = second.stream_token(&["acme"]);
    let mut client = second.subscribe(&token, Some(&cursor)).await;
    client.frame().await;
    assert_eq!(client.decision().await, decided);
}

#[tokio::test]
async fn a_cursor_that_does_not_fit_is_told_to_reload() {
    let world = World::open().await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    let own = client.cursor.clone().unwrap();
    world.decide(revoke("acme", "alice")).await;
    client.decision().await;
    let later = client.cursor.clone().unwrap();

    let other_log = World::with(Limits::default(), MemoryBus::of_log(8)).await;
    let shorter = World::open().await;
    let wider = world.stream_token(&["acme", "globex"]);
    let cases = [
        (
            &other_log,
            other_log.stream_token(&["acme"]),
            own.as_str(),
            "the cursor is of another log",
        ),
        (
            &shorter,
            shorter.stream_token(&["acme"]),
            &later,
            "the cursor is from the future",
        ),
        (&world, wider, &own, "the cursor is for another filter"),
        (&world, token, "AAAA", "the cursor cannot be read"),
    ];
    for (world, token, cursor, reason) in cases {
        let mut client = world.subscribe(&token, Some(cursor)).await;
        let welcome = client.frame().await;
        assert!(
            matches!(welcome, ServerFrame::Welcome { snapshot: true, .. }),
            "{welcome:?}"
        );
        let reload = ServerFrame::Reload {
            reason: reason.to_owned(),
        };
        assert_eq!(client.frame().await, reload);
        client.snapshot_frames().await;
    }
}

#[tokio::test]
async fn tenants_never_see_one_another() {
    let world = World::open().await;
    let own = world.decide(revoke("acme", "alice")).await;
    world.decide(revoke("globex", "alice")).await;
    let token = world.token("edge", &["acme"], &[Right::Stream, Right::Read]);
    let mut client = world.subscribe(&token, None).await;
    assert_eq!(client.snapshot().await.0, [own]);
    world.decide(revoke("globex", "bob")).await;
    let next = world.decide(revoke("acme", "carol")).await;
    assert_eq!(client.decision().await, next);

    let (status, body) = get(&world, "/v1/decisions?active=true", Some(&token)).await;
    assert_eq!(status, 200);
    let tenants: Vec<&str> = body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["tenant"].as_str().unwrap())
        .collect();
    assert_eq!(tenants, ["acme", "acme"]);
    let (status, _) = get(
        &world,
        "/v1/decisions?active=true&tenant=globex",
        Some(&token),
    )
    .await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_filter_narrows_to_tenants_and_apps_but_keeps_what_names_no_app() {
    let world = World::open().await;
    let of_app = |app| Decided {
        app: Some(app),
        ..revoke("acme", "alice")
    };
    let plain = world.decide(revoke("acme", "alice")).await;
    let payroll = world.decide(of_app("payroll")).await;
    world.decide(of_app("wiki")).await;
    world.decide(revoke("globex", "alice")).await;
    let token = world.stream_token(&[]);
    let mut client = world.connect(Some(&token)).await;
    let filter = Filter {
        tenants: names(&["acme"]),
        apps: names(&["payroll"]),
    };
    client.hello(None, filter).await;
    let (ids, _) = client.snapshot().await;
    assert_eq!(ids, [plain, payroll]);
}

#[tokio::test]
async fn only_the_newest_generation_in_force_is_in_the_picture() {
    let world = World::open().await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    client.snapshot().await;
    let newer = Decided {
        generation: 5,
        ..revoke("acme", "alice")
    };
    let shadow = Decided {
        generation: 9,
        mode: "shadow",
        ..revoke("acme", "alice")
    };
    let over = Decided {
        life: Span::millis(0),
        ..revoke("acme", "bob")
    };
    let first = world.decide(newer).await;
    // A repeat, an older one, a shadow of one, and one that is over: none is told.
    world.decide(newer).await;
    world.decide(revoke("acme", "alice")).await;
    world.decide(shadow).await;
    world.decide(over).await;
    let last = world.decide(revoke("acme", "carol")).await;
    let mut told = [client.decision().await, client.decision().await];
    told.sort();
    let mut wanted = [first.clone(), last.clone()];
    wanted.sort();
    assert_eq!(told, wanted);

    world.bury(revoke("acme", "carol")).await;
    let short = Decided {
        life: Span::minutes(1),
        ..revoke("acme", "dave")
    };
    let short = world.decide(short).await;
    assert_eq!(client.decision().await, short);
    let (mut ids, _) = world.subscribe(&token, None).await.snapshot().await;
    ids.sort();
    let mut wanted = [first.clone(), short];
    wanted.sort();
    assert_eq!(ids, wanted);
    world.clock.set(NOON + Span::minutes(1));
    assert_eq!(
        world.subscribe(&token, None).await.snapshot().await.0,
        [first]
    );
}

#[tokio::test]
async fn the_snapshot_over_http_is_that_of_the_stream_and_its_cursor_resumes() {
    let world = World::open().await;
    let ids = [
        world.decide(revoke("acme", "alice")).await,
        world.decide(revoke("acme", "bob")).await,
    ];
    let token = world.token("edge", &["acme"], &[Right::Stream]);
    let (status, body) = get(&world, "/v1/decisions?active=true", Some(&token)).await;
    assert_eq!(status, 200);
    let mut listed: Vec<&str> = body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["id"].as_str().unwrap())
        .collect();
    listed.sort_unstable();
    let mut wanted = ids.each_ref().map(String::as_str);
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    let mut client = world.subscribe(&token, body["cursor"].as_str()).await;
    let welcome = client.frame().await;
    assert!(
        matches!(
            welcome,
            ServerFrame::Welcome {
                snapshot: false,
                ..
            }
        ),
        "{welcome:?}"
    );
}

async fn until(client: &mut Client, is_wanted: impl Fn(Option<i64>) -> bool) -> Option<i64> {
    loop {
        let at = client.heartbeat().await.evaluated_until.map(|at| at.0);
        if is_wanted(at) {
            return at;
        }
    }
}

#[tokio::test]
async fn a_heartbeat_tells_how_far_everything_is_evaluated() {
    let limits = Limits {
        heartbeat: std::time::Duration::from_millis(20),
        ..Limits::default()
    };
    let world = World::with(limits, MemoryBus::of_log(7)).await;
    let token = world.stream_token(&["acme"]);
    let mut client = world.subscribe(&token, None).await;
    let first = client.heartbeat().await;
    assert_eq!((first.evaluated_until, first.now), (None, NOON));
    world.pass(NOON - Span::seconds(2)).await;
    assert_eq!(
        until(&mut client, |at| at.is_some()).await,
        Some(NOON.0 - 2_000)
    );
    // A decision that was made by then comes before the moment is told.
    let decided = world.decide(revoke("acme", "alice")).await;
    world.pass(NOON).await;
    let mut seen = None;
    loop {
        match client.told().await {
            crate::support::Told::Frame(ServerFrame::Decision { decision, .. }) => {
                seen = Some(decision.id);
            }
            crate::support::Told::Frame(ServerFrame::Heartbeat(heartbeat)) => {
                if heartbeat.evaluated_until == Some(NOON) {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, Some(decided));
}

#[tokio::test]
async fn every_route_turns_strangers_and_wrong_rights_away() {
    let world = World::open().await;
    for route in caerus_gateway::ROUTES {
        let (status, body) = get(&world, route.path, None).await;
        assert_eq!(status, 401, "{route:?}: {body}");
        let others = Right::ALL
            .into_iter()
            .filter(|right| !route.rights.contains(right));
        let wrong = world.token("nobody", &[], &others.collect::<Vec<_>>());
        let (status, body) = get(&world, route.path, Some(&wrong)).await;
        assert_eq!(status, 403, "{route:?}: {body}");
    }
}

#[tokio::test]
async fn a_decision_under_another_tenant_s_key_is_left_out_and_counted() {
    let world = World::open().await;
    let theirs = revoke("globex", "alice");
    world
        .put(
            theirs.partition(),
            revoke("acme", "alice").build().key(),
            theirs.build().to_json().into_bytes(),
        )
        .await;
    let token = world.stream_token(&[]);
    assert_eq!(
        world.subscribe(&token, None).await.snapshot().await,
        (Vec::new(), 1)
    );
    let page = world.metrics.exposition().unwrap();
    let counted = "caerus_gateway_invariant_violations_total{invariant=\"INV-10\"} 1";
    assert!(page.contains(counted), "{page}");
}
