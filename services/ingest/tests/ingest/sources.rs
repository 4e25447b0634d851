//! Events from topics: what each message comes to, and up to when all of them are in the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use caerus_adapters::memory::{MemorySources, MemoryTopics};
use caerus_engine::limits::LATE_AGE;
use caerus_engine::signal::{Fact, Handling, Signal};
use caerus_engine::step::Input;
use caerus_engine::time::{Span, Timestamp};
use caerus_ingest::Ports;
use caerus_ingest::dead_letter::Whole;
use caerus_ingest::source::{self, Topics, number_of, retire};
use caerus_runtime::config::SourceTopic;
use caerus_runtime::metric::Metrics;
use caerus_runtime::metric::label::{self, Entrance, Rejection};
use caerus_runtime::port::sources::{
    BACKFILL_HEADER, FORMAT_HEADER, SourceHeader, SourceMessage, SourcePartition, Sources,
};
use caerus_runtime::port::{Bus, NewRecord, Topic};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::trace::TRACEPARENT;
use caerus_wire::entry::Entry;
use caerus_wire::progress::Progress;

use super::bus::{PARTITIONS, TestBus, TestClock};
use super::stage::{NOON, login};

/// Acme's own.
const LOGINS: &str = "caerus.logins";
/// Of many tenants.
const SHARED: &str = "caerus.shared";
const FEEDBACK: &str = "caerus.feedback";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct House {
    bus: Arc<TestBus>,
    clock: Arc<TestClock>,
    metrics: Metrics,
    topics: Arc<MemoryTopics>,
}

/// One process of ingest.
struct Process {
    member: Arc<MemorySources>,
    shutdown: Shutdown,
}

fn place(topic: &str, partition: u32) -> SourcePartition {
    SourcePartition {
        topic: topic.into(),
        partition,
    }
}

fn configured() -> Vec<SourceTopic> {
    let topic = |topic: &str, tenant: Option<&str>, is_feedback| SourceTopic {
        topic: topic.to_owned(),
        tenant: tenant.map(str::to_owned),
        format: "native".to_owned(),
        is_feedback,
    };
    vec![
        topic(LOGINS, Some("acme"), false),
        topic(SHARED, None, false),
        topic(FEEDBACK, Some("acme"), true),
    ]
}

impl House {
    fn new() -> Self {
        Self {
            bus: TestBus::new(),
            clock: TestClock::at(NOON),
            metrics: Metrics::new(),
            topics: MemoryTopics::new(&[(LOGINS, 2), (SHARED, 1), (FEEDBACK, 1)]),
        }
    }

    fn send(&self, to: (&str, u32), headers: &[(&'static str, &str)], value: &[u8]) -> u64 {
        let header = |(name, value): &(&'static str, &str)| SourceHeader {
            name,
            value: value.as_bytes().to_vec(),
        };
        let message = SourceMessage {
            offset: 0,
            value: value.to_vec(),
            headers: headers.iter().map(header).collect(),
        };
        self.topics.send(&place(to.0, to.1), message).unwrap()
    }

    fn join(&self) -> Process {
        Process {
            member: self.topics.join(),
            shutdown: Shutdown::new(),
        }
    }

    /// Takes in until `play` has ended, then stops in good order.
    async fn while_running<T>(&self, process: &Process, play: impl Future<Output = T>) -> T {
        let ports = Ports {
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            geo: None,
            metrics: self.metrics.clone(),
        };
        let sources: Arc<dyn Sources> = process.member.clone();
        let topics = Topics::new(&configured()).unwrap();
        let running = source::run(ports, sources, topics, process.shutdown.clone());
        let playing = async {
            let played = play.await;
            process.shutdown.begin();
            played
        };
        let (ended, played) = tokio::join!(running, playing);
        ended.unwrap();
        played
    }

    /// Until all of these topics is in the log and marked done.
    async fn take_all(&self) {
        let process = self.join();
        self.while_running(&process, self.is_done(&process)).await;
    }

    async fn is_done(&self, process: &Process) {
        let sources = process.member.as_ref();
        for place in sources.partitions().await.unwrap() {
            loop {
                let standing = sources.standing(&place).await.unwrap();
                let done = standing.done.unwrap_or(standing.start);
                if done == sources.end(&place).await.unwrap() {
                    break;
                }
                pass(Duration::from_millis(10)).await;
            }
        }
    }

    fn signals(&self) -> Vec<Signal> {
        let entries = (0..PARTITIONS).flat_map(|partition| self.bus.entries(partition));
        let signal = |entry| match entry {
            Entry::Input {
                input: Input::Signal(signal),
                ..
            } => Some(signal),
            _ => None,
        };
        entries.filter_map(signal).collect()
    }

    /// The events' own signals, by (event id, handling).
    fn events(&self) -> Vec<(String, Handling)> {
        let signals = self.signals().into_iter();
        let is_own = |signal: &Signal| {
            matches!(
                signal.fact,
                Fact::Login(_) | Fact::Session(_) | Fact::Feedback(_)
            )
        };
        let mut events: Vec<_> = signals
            .filter(is_own)
            .map(|signal| {
                (
                    signal.origin.event.as_str().to_owned(),
                    signal.origin.handling,
                )
            })
            .collect();
        events.sort_by(|a, b| a.0.cmp(&b.0));
        events
    }

    /// What a partition of the log was told at last of each source partition; alike in all of them.
    fn passed(&self) -> BTreeMap<u32, Timestamp> {
        let of = |partition| {
            let mut passed = BTreeMap::new();
            for entry in self.bus.entries(partition) {
                if let Entry::Watermark {
                    source_partition,
                    at,
                } = entry
                {
                    let told = passed.entry(source_partition).or_insert(at);
                    *told = at.max(*told);
                }
            }
            passed
        };
        for partition in 1..PARTITIONS {
            assert_eq!(of(partition), of(0));
        }
        of(0)
    }
}

/// Paused time moves on when everybody waits.
async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}

fn number(topic: &str, partition: u32) -> u32 {
    number_of(topic, partition).unwrap()
}

type Headers = &'static [(&'static str, &'static str)];
const PLAIN: Headers = &[];
const ODD: Headers = &[(FORMAT_HEADER, "odd\n")];
const NATIVE: Headers = &[(FORMAT_HEADER, "native"), (TRACEPARENT, "garbage")];
const TWICE: Headers = &[(FORMAT_HEADER, "native"), (FORMAT_HEADER, "native")];
const HISTORY: Headers = &[(BACKFILL_HEADER, "true")];
const MISSPELT: Headers = &[(BACKFILL_HEADER, "yes")];

/// A login that happened then.
fn dated(at: Timestamp) -> String {
    login("e", "").replace(&NOON.0.to_string(), &at.0.to_string())
}

fn feedback() -> String {
    format!(
        r#"{{"id":"f","type":"feedback","time":{},"verdict":"safe","user":"alice","by":"mallory"}}"#,
        NOON.0
    )
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_an_event_is_taken_in_as_one_that_is_posted() {
    let event = login("e", "");
    let of_nobody = event.replace(r#""tenant":"acme","#, "");
    let other = event.replace("acme", "globex");
    let old = dated(NOON - LATE_AGE - Span::seconds(1));
    let table = [
        (LOGINS, PLAIN, &event, Handling::Live),
        (LOGINS, NATIVE, &event, Handling::Live),
        (LOGINS, PLAIN, &of_nobody, Handling::Live),
        (SHARED, PLAIN, &other, Handling::Live),
        (LOGINS, PLAIN, &old, Handling::Late),
        (LOGINS, HISTORY, &old, Handling::Backfill),
        (FEEDBACK, PLAIN, &feedback(), Handling::Live),
        (FEEDBACK, PLAIN, &event, Handling::Live),
    ];
    for (topic, headers, value, handling) in table {
        let house = House::new();
        house.send((topic, 0), headers, value.as_bytes());
        house.take_all().await;
        let events = house.events();
        assert!(!events.is_empty(), "{topic} {headers:?} {value}");
        assert!(events.iter().all(|(_, told)| *told == handling));
        assert_eq!(house.bus.letters(), []);
        let taken = &house.metrics.ingest.taken_events;
        assert_eq!(taken.of(&Entrance::Topic).get(), 1);
    }
}

/// Sends it, and finds it whole in the dead letters, for that reason and with a sentence that begins so.
async fn refused(
    (topic, headers): (&str, Headers),
    value: &[u8],
    (reason, error): (Rejection, &str),
) {
    let house = House::new();
    let offset = house.send((topic, 0), headers, value);
    house.take_all().await;
    assert_eq!(house.events(), [], "{error}");
    let letters = house.bus.letters();
    assert_eq!(letters.len(), 1, "{error}");
    let letter = &letters[0];
    assert_eq!((letter.reason, &*letter.message), (reason, value));
    assert!(letter.error.starts_with(error), "{}", letter.error);
    let origin = &letter.origin;
    assert_eq!(
        (&*origin.source, origin.partition, origin.offset),
        (topic, Some(0), Some(offset))
    );
    let format = if headers == ODD { "odd" } else { "native" };
    assert_eq!(letter.format, format);
    let counted = &house.metrics.ingest.dead_letters;
    assert_eq!(counted.of(&reason).get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_told_as_it_has_to_be_is_a_dead_letter() {
    let event = login("e", "");
    let other = event.replace("acme", "globex");
    let table = [
        (
            LOGINS,
            MISSPELT,
            &event,
            Rejection::UnknownValue,
            "header `caerus-backfill` is `true` or `false`",
        ),
        (
            LOGINS,
            PLAIN,
            &other,
            Rejection::OtherTenant,
            "this topic is not for the event's tenant",
        ),
        (
            LOGINS,
            PLAIN,
            &feedback(),
            Rejection::NotAllowed,
            "feedback is not read from this topic",
        ),
        (
            SHARED,
            PLAIN,
            &feedback(),
            Rejection::NotAllowed,
            "feedback is not read from this topic",
        ),
        (
            LOGINS,
            ODD,
            &event,
            Rejection::UnknownFormat,
            "there is no format `odd`; known are: native",
        ),
        (
            LOGINS,
            TWICE,
            &event,
            Rejection::UnknownFormat,
            "header `caerus-format` stands twice",
        ),
        (
            LOGINS,
            PLAIN,
            &dated(NOON + Span::hours(1)),
            Rejection::FromTheFuture,
            "member `time` lies 3600 s ahead",
        ),
    ];
    for (topic, headers, value, reason, error) in table {
        refused((topic, headers), value.as_bytes(), (reason, error)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_no_event_is_a_dead_letter() {
    let large = login("e", &format!(r#","x":"{}""#, "y".repeat(64 * 1024)));
    let table: [(&[u8], Rejection, &str); 7] = [
        (
            b"",
            Rejection::Unreadable,
            "the message is empty; an event is a JSON object",
        ),
        (b"\xff\xfe", Rejection::Unreadable, "not UTF-8"),
        (b"{\"id\":", Rejection::Unreadable, "not JSON"),
        (b"[{}]", Rejection::NotAnObject, "an event is a JSON object"),
        (b"{}\n{}", Rejection::Unreadable, "not JSON"),
        (b"{}", Rejection::MissingMember, "member `id` is missing"),
        (large.as_bytes(), Rejection::TooLarge, "the event has "),
    ];
    for (value, reason, error) in table {
        refused((LOGINS, PLAIN), value, (reason, error)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_tells_its_topic_its_place_and_its_trace() {
    let house = House::new();
    house.send((LOGINS, 1), &[], b"no event");
    let members = r#","ip":"203.0.113.7","device":"laptop","outcome":"success""#;
    let event = login("e", members).replace(r#""tenant":"acme","#, "");
    house.send((LOGINS, 1), &[(TRACEPARENT, TRACE)], event.as_bytes());
    house.take_all().await;
    let signals = house.signals();
    assert_eq!(signals.len(), 4, "user, network, tenant, device");
    for signal in signals {
        let position = signal.origin.position.unwrap();
        assert_eq!(
            (position.partition, position.offset),
            (number(LOGINS, 1), 1)
        );
        assert_eq!(signal.origin.source.as_str(), LOGINS);
        assert_eq!(signal.origin.trace.as_deref(), Some(TRACE));
        assert_eq!(signal.subject.tenant().as_str(), "acme");
    }
}

#[tokio::test(start_paused = true)]
async fn feedback_is_its_topics_whatever_it_claims() {
    let house = House::new();
    house.send((FEEDBACK, 0), &[], feedback().as_bytes());
    house.take_all().await;
    let by: Vec<String> = house
        .signals()
        .into_iter()
        .filter_map(|signal| match signal.fact {
            Fact::Feedback(feedback) => Some(feedback.by.as_str().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(by, [FEEDBACK]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_appended_before_it_is_marked_and_repeated_where_it_was_not() {
    let house = House::new();
    for n in 0..3 {
        house.send((LOGINS, 0), &[], login(&format!("e-{n}"), "").as_bytes());
    }
    let process = house.join();
    house.bus.is_down.store(true, Ordering::SeqCst);
    let standing = async || {
        let of = place(LOGINS, 0);
        process.member.standing(&of).await.unwrap().done
    };
    let play = async {
        pass(Duration::from_secs(30)).await;
        assert_eq!(standing().await, None, "nothing is durable");
        assert!(house.events().is_empty());
        house.bus.is_down.store(false, Ordering::SeqCst);
        house.is_done(&process).await;
    };
    house.while_running(&process, play).await;
    assert_eq!((standing().await, house.events().len()), (Some(3), 3));
    // As if it had died between append and mark.
    process
        .member
        .mark_done(&place(LOGINS, 0), 1)
        .await
        .unwrap();
    drop(process);
    house.take_all().await;
    let ids: Vec<String> = house.events().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["e-0", "e-1", "e-1", "e-2", "e-2"]);
    let positions: Vec<u64> = house
        .signals()
        .iter()
        .map(|s| s.origin.position.unwrap().offset)
        .collect();
    assert_eq!(
        positions.iter().filter(|offset| **offset == 2).count() % 2,
        0,
        "repeats are told by their place"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_in_hand_but_does_not_wait_for_ever() {
    let house = House::new();
    house.send((LOGINS, 0), &[], login("e", "").as_bytes());
    let process = house.join();
    let play = async {
        pass(Duration::from_secs(1)).await;
    };
    house.while_running(&process, play).await;
    assert_eq!(house.events().len(), 1);
    // With a bus that answers nobody the stop takes its grace and no more.
    house.send((LOGINS, 0), &[], login("f", "").as_bytes());
    let left = house.bus.gate.available_permits();
    house.bus.gate.forget_permits(left);
    house.bus.gate.add_permits(1);
    let process = Process {
        shutdown: Shutdown::new(),
        ..process
    };
    let stopped = tokio::time::Instant::now();
    let play = async { pass(Duration::from_secs(2)).await };
    house.while_running(&process, play).await;
    let took = stopped.elapsed();
    assert!(took <= Duration::from_secs(7), "{took:?}");
    assert_eq!(house.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_the_partitions_and_one_takes_over_from_the_other() {
    let house = House::new();
    let (first, second) = (house.join(), house.join());
    let send_all = |round: &str| {
        for (topic, partition) in [(LOGINS, 0), (LOGINS, 1), (SHARED, 0), (FEEDBACK, 0)] {
            let id = format!("{round}-{topic}-{partition}");
            house.send((topic, partition), &[], login(&id, "").as_bytes());
        }
    };
    send_all("a");
    let both = async {
        let playing = async {
            while house.events().len() < 4 {
                pass(Duration::from_millis(10)).await;
            }
        };
        house.while_running(&second, playing).await;
        let Process { member, .. } = second;
        drop(member);
        send_all("b");
        house.is_done(&first).await;
    };
    house.while_running(&first, both).await;
    let mut ids: Vec<String> = house.events().into_iter().map(|(id, _)| id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 8, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_the_log_finds_too_long_is_cut_and_nothing_waits_behind_it() {
    let house = House::new();
    house.bus.value_bytes_max.store(64 * 1024, Ordering::SeqCst);
    house.send((LOGINS, 0), &[], &vec![b'x'; 200 * 1024]);
    house.send((LOGINS, 0), &[], login("e", "").as_bytes());
    house.take_all().await;
    assert_eq!(house.events().len(), 1);
    let letters = house.bus.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].message.len(), letters[0].cut_from),
        (Whole::SCANT.0, Some(200 * 1024))
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_topic_let_go_of_unread_is_counted() {
    let house = House::new();
    for n in 0..3 {
        house.send((LOGINS, 0), &[], login(&format!("e-{n}"), "").as_bytes());
    }
    house.take_all().await;
    for n in 3..9 {
        house.send((LOGINS, 0), &[], login(&format!("e-{n}"), "").as_bytes());
    }
    house.topics.expire(&place(LOGINS, 0), 7);
    house.take_all().await;
    let metrics = &house.metrics.ingest;
    // Of the three topics by name this one is second.
    assert_eq!(metrics.skipped_messages.of(&label::SourceTopic(1)).get(), 4);
    assert_eq!(house.events().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_log_waits_for_partitions_behind_and_unserved_and_moves_on_while_idle() {
    let house = House::new();
    let (ours, idle) = (house.join(), house.join());
    let tick = Duration::from_secs(1);
    let all = [(LOGINS, 0), (LOGINS, 1), (SHARED, 0), (FEEDBACK, 0)];
    let mut served: Vec<u32> = Vec::new();
    for at in ours.member.assigned().borrow().iter() {
        served.push(number(&at.topic, at.partition));
    }
    assert_eq!(served.len(), 2);
    let play = async {
        pass(tick / 2).await;
        house.clock.set(NOON + Span::seconds(1));
        pass(tick).await;
        let passed = house.passed();
        for (topic, partition) in all {
            let number = number(topic, partition);
            let is_ours = served.contains(&number);
            let expected = if is_ours {
                NOON + Span::seconds(1)
            } else {
                Timestamp::ZERO
            };
            assert_eq!(passed.get(&number), Some(&expected), "{topic} {partition}");
        }
        // Behind: the log takes nothing, the clock goes on.
        let behind = ours.member.assigned().borrow().first().cloned().unwrap();
        let behind = (&*behind.topic, behind.partition);
        house.bus.is_down.store(true, Ordering::SeqCst);
        house.clock.set(NOON + Span::seconds(2));
        house.send(behind, &[], login("e", "").as_bytes());
        pass(tick).await;
        house.bus.is_down.store(false, Ordering::SeqCst);
        house.clock.set(NOON + Span::seconds(3));
        let is_taken = async || !house.events().is_empty();
        while !is_taken().await {
            let at = house.passed()[&number(behind.0, behind.1)];
            assert_eq!(at, NOON + Span::seconds(1));
            pass(Duration::from_millis(1)).await;
        }
        pass(tick * 3).await;
        assert_eq!(
            house.passed()[&number(behind.0, behind.1)],
            NOON + Span::seconds(3)
        );
    };
    house.while_running(&ours, play).await;
    drop(idle);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_added_is_made_known_and_taken_in() {
    let house = House::new();
    let process = house.join();
    let added = place(SHARED, 1);
    let play = async {
        pass(Duration::from_millis(500)).await;
        assert!(!house.passed().contains_key(&number(SHARED, 1)));
        house.topics.add(added.clone());
        house.send((SHARED, 1), &[], login("e", "").as_bytes());
        pass(Duration::from_secs(3)).await;
        assert_eq!(house.passed()[&number(SHARED, 1)], NOON);
        assert_eq!(house.events().len(), 1);
    };
    house.while_running(&process, play).await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_removed_is_waited_for_until_it_is_retired() {
    let house = House::new();
    let (gone, kept) = (number("caerus.old", 3), number(LOGINS, 0));
    let report = Progress {
        partition: 0,
        passed: vec![(0, NOON), (gone, NOON), (kept, NOON)],
        log_position: 1,
        decisions_offset: 0,
        derived: vec![0; 4],
    };
    let record = NewRecord {
        topic: Topic::Progress,
        partition: 0,
        key: b"0".to_vec(),
        value: report.to_bytes().into(),
    };
    house.bus.append(vec![record]).await.unwrap();
    house.take_all().await;
    assert!(!house.passed().contains_key(&gone));
    assert_eq!(retire(house.bus.as_ref(), "caerus.old").await.unwrap(), 1);
    assert_eq!(house.passed()[&gone], Timestamp::MAX);
    assert!(house.passed()[&kept] <= NOON);
    assert_eq!(retire(house.bus.as_ref(), "caerus.never").await.unwrap(), 0);
}
