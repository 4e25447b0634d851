//! What is reported, once, and how it gets through.

use std::io;

use caerus_engine::id::WorkloadId;
use caerus_runtime::tasks::TaskGroup;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::judge::{Credential, Proof};
use crate::net::Scheme;
use crate::sample::{self, MFA, ManualClock, NOW};

fn request() -> Request {
    Request {
        tenant: TenantId::new("acme"),
        user: Some(UserId::new("alice")),
        device: Some(DeviceId::new("laptop")),
        workload: Some(WorkloadId::new("spiffe://acme/web")),
        app: None,
        sensitivity: 0,
        credentials: vec![Credential {
            session: Some(SessionId::new("s-1")),
            authenticated_at: None,
        }],
        proof: Some(Proof {
            session: None,
            classes: [AcrValue::new("urn:a"), AcrValue::new(MFA)].into(),
            amr: ["otp".to_owned(), "pwd".to_owned()].into(),
            authenticated_at: NOW,
        }),
    }
}

fn met() -> Met {
    let decision = Arc::new(sample::step_up(sample::session("alice", "s-1")));
    Met::of(&request(), decision, Some("203.0.113.7".parse().unwrap())).unwrap()
}

/// Answers one connection with each status in turn, and tells the bodies it was sent.
async fn ingest(statuses: Vec<u16>) -> (Address, mpsc::Receiver<String>, TaskGroup) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/events", listener.local_addr().unwrap());
    let (told, bodies) = mpsc::channel(16);
    let mut group = TaskGroup::new(&Shutdown::new());
    group.spawn("ingest", async move {
        for status in statuses {
            let (mut socket, _) = listener.accept().await?;
            let mut text = String::new();
            let body = loop {
                let mut part = [0_u8; 4_096];
                let length = socket.read(&mut part).await?;
                text.push_str(std::str::from_utf8(&part[..length]).unwrap());
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let head = head.to_ascii_lowercase();
                assert!(head.starts_with("post /v1/events http/1.1"), "{head}");
                assert!(head.contains("authorization: bearer secret"), "{head}");
                let (_, length) = head.split_once("content-length: ").unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() == length {
                    break body.to_owned();
                }
            };
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}");
            socket.write_all(answer.as_bytes()).await?;
            told.send(body).await.unwrap();
        }
        Ok::<(), io::Error>(())
    });
    (Address::parse(&url, Scheme::Http).unwrap(), bodies, group)
}

fn courier(address: Address, clock: &ManualClock) -> (Courier, Reporter) {
    Courier::new(CourierParts {
        address,
        authorization: HeaderValue::from_static("Bearer secret"),
        dialer: Dialer::new(None),
        clock: Arc::new(clock.clone()),
        retries: Counter::default(),
    })
}

fn run(courier: Courier) -> TaskGroup {
    let mut group = TaskGroup::new(&Shutdown::new());
    group.spawn("courier", async move {
        courier.run(Shutdown::new()).await;
        Ok::<(), io::Error>(())
    });
    group
}

#[tokio::test]
async fn a_met_demand_is_told_as_an_event_that_ingest_reads() {
    let (address, mut bodies, _ingest) = ingest(vec![202]).await;
    let (courier, reporter) = courier(address, &ManualClock::default());
    reporter.report(met());
    reporter.report(met());
    let _courier = run(courier);
    let body = bodies.recv().await.unwrap();
    let event = body.strip_prefix('[').unwrap().strip_suffix(']').unwrap();
    let event = NativeEvent::parse(event.as_bytes()).unwrap();
    let expected = NativeEvent {
        tenant: Some("acme".to_owned()),
        user: Some("alice".to_owned()),
        session: Some("s-1".to_owned()),
        device: Some("laptop".to_owned()),
        ip: Some("203.0.113.7".parse().unwrap()),
        event: Some(SessionEvent::StepUpMet),
        acr: Some(MFA.to_owned()),
        amr: Some(vec!["otp".to_owned(), "pwd".to_owned()]),
        issued_at: Some(NOW),
        ..NativeEvent::new(event.id.clone(), EventType::Session, NOW)
    };
    assert_eq!(event, expected);
}

#[tokio::test]
async fn what_could_not_be_taken_is_sent_again_unchanged() {
    let (address, mut bodies, _ingest) = ingest(vec![503, 429, 202]).await;
    let clock = ManualClock::default();
    let (courier, reporter) = courier(address, &clock);
    reporter.report(met());
    let _courier = run(courier);
    let first = bodies.recv().await.unwrap();
    clock.advance(1_000);
    for _ in 0..2 {
        assert_eq!(bodies.recv().await.unwrap(), first);
    }
}

#[tokio::test]
async fn what_was_refused_is_not_sent_again_and_another_proof_is() {
    let (address, mut bodies, _ingest) = ingest(vec![403, 202]).await;
    let (courier, reporter) = courier(address, &ManualClock::default());
    let _courier = run(courier);
    reporter.report(met());
    let first = bodies.recv().await.unwrap();
    reporter.report(met());
    reporter.report(Met {
        authenticated_at: NOW + sample::HOUR,
        ..met()
    });
    let second = bodies.recv().await.unwrap();
    assert_ne!(first, second);
    assert!(
        second.contains("\"issued_at\":\"2026-11-21T11:00:00"),
        "{second}"
    );
}

#[tokio::test]
async fn a_full_queue_drops_what_the_next_request_tells_again() {
    let address = Address::parse("http://127.0.0.1:9/", Scheme::Http).unwrap();
    let (mut courier, reporter) = courier(address, &ManualClock::default());
    let nth = |index: usize| Met {
        decision: format!("d-{index}").into(),
        ..met()
    };
    for index in 0..=limit::REPORTS_QUEUED_MAX {
        reporter.report(nth(index));
    }
    assert_eq!(courier.queue.len(), limit::REPORTS_QUEUED_MAX);
    courier.queue.recv().await.unwrap();
    reporter.report(nth(0));
    assert_eq!(
        courier.queue.len(),
        limit::REPORTS_QUEUED_MAX - 1,
        "told already"
    );
    reporter.report(nth(limit::REPORTS_QUEUED_MAX));
    assert_eq!(courier.queue.len(), limit::REPORTS_QUEUED_MAX);
}

#[test]
fn nothing_is_reported_for_nobody() {
    let nobody = Request {
        user: None,
        ..request()
    };
    let on_device = caerus_engine::decide::Target {
        device: Some(DeviceId::new("laptop")),
        ..caerus_engine::decide::Target::default()
    };
    let decision = Arc::new(sample::step_up(on_device));
    assert_eq!(Met::of(&nobody, decision, None), None);
    let unproved = Request {
        proof: None,
        ..request()
    };
    let decision = Arc::new(sample::step_up(sample::user("alice")));
    assert_eq!(Met::of(&unproved, decision, None), None);
}
