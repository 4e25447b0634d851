//! The loop over ports that behave: what it appends, reports, buries and tells beside its decisions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use caerus_adapters::memory::{MemoryBus, MemoryRecordStore};
use caerus_engine::score::Model;
use caerus_engine::step::{Input, WakeReason};
use caerus_engine::time::Span;
use caerus_runtime::health::Health;
use caerus_runtime::metric::Metrics;
use caerus_runtime::port::{
    Bus, BusRecord, Clock, LogId, NewRecord, ReadLimit, RecordStore, SubjectStanding, Topic,
};
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::TaskGroup;
use caerus_testkit::sim::clock::SimClock;
use caerus_testkit::sim::policy;
use caerus_testkit::sim::trouble::Dice;
use caerus_testkit::sim::workload::Workload;
use caerus_wire::decision::{ActionName, PublicDecision};
use caerus_wire::entry::{Entry, PolicyRevision};
use caerus_wire::progress::Progress;
use tokio::sync::mpsc;

use super::{Evaluator, EvaluatorConfig, Ports, all_partitions, run};
use crate::fold::policies::Policies;

const ALL: ReadLimit = ReadLimit {
    records: usize::MAX,
    bytes: usize::MAX,
};

/// One partition, evaluated in the background.
struct House {
    bus: Arc<MemoryBus>,
    clock: Arc<SimClock>,
    standings: mpsc::Receiver<Vec<SubjectStanding>>,
    shutdown: Shutdown,
    tasks: TaskGroup,
}

impl House {
    fn open() -> Self {
        let bus = MemoryBus::new(LogId(1), 1);
        let clock = Arc::new(SimClock::new(Span::ZERO, 0));
        let (told, standings) = mpsc::channel(64);
        let shutdown = Shutdown::new();
        let evaluator = Evaluator {
            config: EvaluatorConfig::default(),
            ports: Ports {
                bus: Arc::clone(&bus) as Arc<dyn Bus>,
                store: MemoryRecordStore::new() as Arc<dyn RecordStore>,
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                metrics: Metrics::new(),
                health: Health::new(),
                standings: Some(told),
            },
            model: Arc::new(Model::default()),
            policies: Policies::by(policy::load),
        };
        let mut tasks = TaskGroup::new(&shutdown);
        let assigned = all_partitions(&*bus);
        tasks.spawn("evaluator", run(evaluator, assigned, shutdown.clone()));
        Self {
            bus,
            clock,
            standings,
            shutdown,
            tasks,
        }
    }

    async fn tell(&self, value: Vec<u8>) {
        let record = NewRecord {
            topic: Topic::Signals,
            partition: 0,
            key: Vec::new(),
            value: value.into(),
        };
        self.bus.append(vec![record]).await.unwrap();
    }

    async fn revise(&self, revision: PolicyRevision) {
        self.tell(Entry::Policy(revision).to_bytes()).await;
    }

    /// Drawn from a seed, one a second, until somebody's decision stands.
    async fn live_until_decided(&self) {
        let (dice, mut workload) = (Dice::seeded(4), Workload::default());
        while self.read(Topic::Decisions).await.is_empty() {
            let happening = workload.next(&dice, self.clock.now());
            for signal in happening.signals {
                let input = Input::Signal(signal);
                self.tell(Entry::Input { input, extra: None }.to_bytes())
                    .await;
            }
            pass(Span::seconds(1)).await;
        }
    }

    async fn read(&self, topic: Topic) -> Vec<BusRecord> {
        self.bus.read(topic, 0, 0, ALL).await.unwrap().records
    }

    async fn wake_ups(&self, reason: WakeReason) -> usize {
        let log = self.read(Topic::Signals).await;
        let entries = log.iter().map(|record| Entry::from_bytes(&record.value));
        let is_one = |entry: &Entry| match entry {
            Entry::Input { input, .. } => {
                matches!(input, Input::WakeUp(wake_up) if wake_up.reason == reason)
            }
            _ => false,
        };
        entries.flatten().filter(is_one).count()
    }

    async fn last_report(&self) -> Progress {
        let reports = self.read(Topic::Progress).await;
        Progress::from_bytes(&reports.last().unwrap().value).unwrap()
    }

    async fn close(self) {
        self.shutdown.begin();
        self.tasks.join(Duration::from_secs(30)).await.unwrap();
    }
}

async fn pass(span: Span) {
    let ms = u64::try_from(span.0).unwrap();
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_becomes_a_dead_letter_and_holds_nobody_up() {
    let house = House::open();
    house.tell(b"\xffnonsense".to_vec()).await;
    house
        .revise(policy::revision("p-1", "revoke 80 step-up 40"))
        .await;
    house.live_until_decided().await;
    let letters = house.read(Topic::DeadLetters).await;
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}");
    };
    let text = std::str::from_utf8(&letter.value).unwrap();
    let wanted = r#""origin":{"source":"signals","partition":0,"offset":0}"#;
    let wanted_bytes = r#""message_base64":"/25vbnNlbnNl""#;
    assert!(
        text.contains(wanted) && text.contains(wanted_bytes),
        "{text}"
    );
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_report_tells_what_was_passed_once_it_was_passed() {
    let house = House::open();
    let at = house.clock.now();
    let watermark = Entry::Watermark {
        source_partition: 3,
        at,
    };
    house.tell(watermark.to_bytes()).await;
    pass(Span::seconds(2)).await;
    let report = house.last_report().await;
    assert_eq!(report.passed, [(3, at)]);
    let end = house.bus.end(Topic::Signals, 0).await.unwrap();
    assert_eq!(report.log_position, end);
    assert_eq!(house.bus.completed(0).await.unwrap(), end);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_policy_is_felt_within_a_minute_by_those_concerned() {
    let house = House::open();
    house
        .revise(policy::revision("p-1", "revoke 99 step-up 35"))
        .await;
    house.live_until_decided().await;
    let before = house.read(Topic::Decisions).await.len();
    house
        .revise(policy::revision("p-2", "revoke 20 step-up 10"))
        .await;
    pass(Span::minutes(1)).await;
    assert!(house.wake_ups(WakeReason::Rejudge).await > 0);
    let decisions = house.read(Topic::Decisions).await;
    let last = PublicDecision::parse(&decisions.last().unwrap().value).unwrap();
    assert_eq!(
        last.policy.revision,
        "p-2",
        "{before} then {}",
        decisions.len()
    );
    // Everybody has been judged by it: nobody is woken for it again.
    let woken = house.wake_ups(WakeReason::Rejudge).await;
    pass(Span::minutes(5)).await;
    assert_eq!(house.wake_ups(WakeReason::Rejudge).await, woken);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_policy_leaves_the_last_good_one_in_force() {
    let house = House::open();
    house
        .revise(policy::revision("p-1", "revoke 80 step-up 40"))
        .await;
    house.revise(policy::revision("p-2", "revoke nobody")).await;
    house.live_until_decided().await;
    let decisions = house.read(Topic::Decisions).await;
    let first = PublicDecision::parse(&decisions[0].value).unwrap();
    assert_eq!(first.policy.revision, "p-1");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_revoke_that_still_stands_is_renewed_while_nothing_happens() {
    let house = House::open();
    house
        .revise(policy::revision("p-1", "revoke 40 step-up 40"))
        .await;
    house.live_until_decided().await;
    let of = |records: &[BusRecord]| -> Vec<PublicDecision> {
        let values = records.iter().map(|record| &record.value);
        let decisions = values.filter_map(|value| PublicDecision::parse(value).ok());
        decisions.collect()
    };
    let first = of(&house.read(Topic::Decisions).await).remove(0);
    assert_eq!(first.action, ActionName::Revoke);
    pass(Span::hours(25)).await;
    let now = of(&house.read(Topic::Decisions).await);
    let renewed = now.iter().find(|decision| decision.target == first.target);
    let renewed = renewed.unwrap_or_else(|| panic!("{now:?}"));
    assert!(renewed.generation > first.generation);
    assert!(renewed.expires_at > first.expires_at);
    assert!(house.wake_ups(WakeReason::Due).await > 0);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_decision_leaves_its_topic() {
    let house = House::open();
    house
        .revise(policy::revision("p-1", "revoke 99 step-up 99"))
        .await;
    let user = caerus_engine::decide::Target {
        user: Some(caerus_engine::id::UserId::new("ann")),
        ..Default::default()
    };
    let now = house.clock.now();
    let command = caerus_engine::decide::Command {
        tenant: caerus_engine::id::TenantId::new("acme"),
        id: caerus_engine::id::EventId::new("c-1"),
        action: caerus_engine::decide::Action::Revoke,
        target: user,
        reason: "lost phone".to_owned(),
        by: caerus_engine::id::PrincipalId::new("operator"),
        time: now,
        received_at: now,
        life: Some(Span::minutes(10)),
        trace: None,
    };
    let input = Input::Command(command);
    house
        .tell(Entry::Input { input, extra: None }.to_bytes())
        .await;
    pass(Span::minutes(11)).await;
    let held = house.read(Topic::Decisions).await;
    assert!(
        held.iter().all(|record| !record.value.is_empty()),
        "within the minute of skew"
    );
    assert_eq!(held.len(), 1);
    pass(Span::minutes(5)).await;
    let left = house.read(Topic::Decisions).await;
    assert!(
        left.iter().all(|record| record.value.is_empty()),
        "{left:?}"
    );
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn latest_assessments_are_told_with_whom_they_are_about() {
    let mut house = House::open();
    house
        .revise(policy::revision("p-1", "revoke 80 step-up 40"))
        .await;
    house.live_until_decided().await;
    let mut told = Vec::new();
    while let Ok(mut standings) = house.standings.try_recv() {
        told.append(&mut standings);
    }
    let users: BTreeSet<_> = told
        .iter()
        .filter(|standing| standing.kind == "user")
        .map(|standing| (standing.tenant.as_str(), standing.name.as_str()))
        .collect();
    assert!(!users.is_empty());
    for standing in &told {
        let score = format!("\"score\":{}", standing.score);
        assert!(standing.json.contains(&score), "{}", standing.json);
    }
    house.close().await;
}
