//! What the log, the store and the ledger say afterwards, compared: with each other, with the replay, and with what was
//! promised. Knows no process that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use caerus_engine::id::SubjectHash;
use caerus_engine::record::Population;
use caerus_engine::score::Model;
use caerus_engine::signal::{Fact, Signal};
use caerus_engine::step::Input;
use caerus_evaluator::fold::Settings;
use caerus_evaluator::fold::policies::{InForce, Policies};
use caerus_evaluator::replay::{ExportReplay, Line};
use caerus_wire::decision::PublicDecision;
use caerus_wire::entry::{Entry, ExportLine};
use caerus_wire::record::{decode_population, decode_record, encode_population, encode_record};
use serde_json::Value;
use sqlx::Row as _;

use crate::support::caerus::caerus_binary;
use crate::support::sql::rows;

/// Members that only live decisions have.
const LIVE_MEMBERS: [&str; 3] = ["received_at", "decided_at", "trace"];

/// Everything there is to compare.
#[derive(Debug)]
pub(crate) struct Audit {
    data: PathBuf,
    /// What stands in the log and was evaluated, with its partition.
    entries: Vec<(u32, Entry)>,
    /// What `caerus replay --scores` printed of it.
    replayed: String,
}

/// Partition and key.
type Stored = (u32, String);

/// A fold of the log in memory.
struct Folded {
    /// Every record, and every partition's population of a tenant, as it is stored.
    stored: BTreeMap<Stored, Vec<u8>>,
    decisions: Vec<String>,
}

impl Audit {
    /// Exports and replays the log in `dir/data`, whose Caerus has ended.
    pub(crate) async fn of(dir: &Path) -> Self {
        let data = dir.join("data");
        let whole = run(&["export", "--log", data.to_str().unwrap()]);
        let positions = rows(
            &data.join("state.db"),
            "SELECT partition, position FROM partitions",
        )
        .await;
        let evaluated: BTreeMap<u32, u64> = positions
            .iter()
            .map(|row| (row.get::<u32, _>(0), row.get::<i64, _>(1).cast_unsigned()))
            .collect();
        // What came in the last moment was not evaluated any more: the next life would have done it.
        let mut export = String::new();
        let mut entries = Vec::new();
        for line in whole.lines() {
            match ExportLine::parse(line).unwrap() {
                ExportLine::Head(_) => {}
                ExportLine::Entry {
                    partition, offset, ..
                } if offset >= evaluated[&partition] => continue,
                ExportLine::Entry {
                    partition, entry, ..
                } => entries.push((partition, *entry)),
            }
            export.push_str(line);
            export.push('\n');
        }
        let file = dir.join("export.jsonl");
        std::fs::write(&file, export).unwrap();
        let file = file.to_str().unwrap();
        let replayed = run(&["replay", file, "--scores"]);
        assert!(
            replayed == run(&["replay", file, "--scores"]),
            "a second replay differs"
        );
        Self {
            data,
            entries,
            replayed,
        }
    }

    fn signals(&self) -> impl Iterator<Item = &Signal> {
        self.entries
            .iter()
            .filter_map(|(_, entry)| signal_of(entry))
    }

    pub(crate) fn every_accepted_event_is_in_the_log(&self, accepted: &BTreeSet<String>) {
        let held: BTreeSet<&str> = self
            .signals()
            .filter(|signal| is_own(signal))
            .map(|signal| signal.origin.event.as_str())
            .collect();
        let lost: Vec<_> = accepted
            .iter()
            .filter(|id| !held.contains(id.as_str()))
            .collect();
        assert!(lost.is_empty(), "{} lost: {lost:?}", lost.len());
    }

    /// By the replay's own score lines: one that says something, and for every other copy one that says `repeat`.
    pub(crate) fn every_accepted_event_was_evaluated_once(&self, accepted: &BTreeSet<String>) {
        let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
        for signal in self.signals().filter(|signal| is_own(signal)) {
            *copies.entry(signal.origin.event.as_str()).or_default() += 1;
        }
        let (mut judged, mut repeats) = (BTreeMap::<String, usize>::new(), BTreeMap::new());
        for line in self.replayed.lines().filter(|line| is_score(line)) {
            let line: Value = serde_json::from_str(line).unwrap();
            let event = line["event"].as_str().unwrap().to_owned();
            match line["ignored"].as_str() {
                None => *judged.entry(event).or_default() += 1,
                Some("repeat") => *repeats.entry(event).or_default() += 1,
                Some(reason) => panic!("{event} was ignored: {reason}"),
            }
        }
        for (id, count) in copies {
            assert_eq!(judged.get(id), Some(&1), "{id}");
            assert_eq!(repeats.get(id).copied().unwrap_or(0), count - 1, "{id}");
        }
        assert!(accepted.iter().all(|id| judged.contains_key(id)));
        assert!(
            !repeats.is_empty(),
            "nothing came twice: the test proves nothing"
        );
    }

    /// For every subject: with all but its first signal of an event left out, everything is the same.
    pub(crate) fn repeats_changed_nothing(&self) {
        let mut seen = BTreeSet::new();
        let firsts = self.entries.iter().filter(|(_, entry)| {
            let taken_in = signal_of(entry).filter(|signal| !is_derived(signal));
            taken_in.is_none_or(|signal| {
                let origin = &signal.origin;
                let name = (origin.source.clone(), origin.event.clone());
                seen.insert((signal.subject.hash(), name))
            })
        });
        let once = fold(firsts);
        let all = fold(&self.entries);
        assert!(once.decisions == all.decisions, "repeats changed decisions");
        let differ: Vec<_> = all
            .stored
            .iter()
            .filter(|(key, bytes)| once.stored.get(key) != Some(bytes))
            .map(|(key, _)| key)
            .collect();
        assert!(differ.is_empty(), "repeats changed the records {differ:?}");
        assert_eq!(once.stored.len(), all.stored.len());
    }

    /// Byte for byte, but for the members that only live decisions have; not one more, not one less.
    pub(crate) async fn the_replay_gives_the_live_decisions(&self) {
        let replayed: BTreeMap<String, &str> = self
            .replayed_decisions()
            .map(|line| (id_of(line), line))
            .collect();
        let ledger = self.data.join("ledger.db");
        let recorded = rows(&ledger, "SELECT json FROM decisions").await;
        let recorded: Vec<String> = recorded.iter().map(|row| row.get(0)).collect();
        let published = rows(
            &self.data.join("log.db"),
            "SELECT value FROM records WHERE topic IN (1, 2)",
        )
        .await;
        let published = published
            .iter()
            .map(|row| String::from_utf8(row.get(0)).unwrap());
        let published = published.filter(|value| !value.is_empty());
        let mut live = BTreeMap::new();
        for json in recorded.into_iter().chain(published) {
            let bare = without_live_members(&json);
            let former = live.insert(id_of(&bare), bare.clone());
            assert!(
                former.is_none_or(|former| former == bare),
                "told in two ways: {bare}"
            );
        }
        for (id, bare) in &live {
            assert_eq!(replayed.get(id).copied(), Some(bare.as_str()), "{id}");
        }
        let missing: Vec<_> = replayed
            .iter()
            .filter(|(id, _)| !live.contains_key(*id))
            .collect();
        assert!(
            missing.is_empty(),
            "{} of {} never came out: {missing:#?}",
            missing.len(),
            replayed.len()
        );
    }

    fn replayed_decisions(&self) -> impl Iterator<Item = &str> {
        self.replayed.lines().filter(|line| !is_score(line))
    }

    /// Every record of the store is what the log makes of its subject, to the byte.
    pub(crate) async fn the_store_holds_what_the_log_says(&self) {
        let query = "SELECT partition, key, bytes FROM records";
        let stored = rows(&self.data.join("state.db"), query).await;
        let stored: BTreeMap<Stored, Vec<u8>> = stored
            .iter()
            .map(|row| {
                let key = hex::encode(row.get::<Vec<u8>, _>(1));
                ((row.get(0), key), row.get(2))
            })
            .collect();
        let folded = fold(&self.entries).stored;
        let keys = |of: &BTreeMap<Stored, Vec<u8>>| of.keys().cloned().collect::<BTreeSet<_>>();
        let differ: Vec<_> = keys(&stored)
            .symmetric_difference(&keys(&folded))
            .cloned()
            .collect();
        assert!(differ.is_empty(), "only one of them has {differ:?}");
        for (key, bytes) in &stored {
            // Decoded, a difference can be read.
            let read = |bytes: &[u8]| (decode_record(bytes).ok(), decode_population(bytes).ok());
            assert!(
                folded[key] == *bytes,
                "{key:?}: the store has {:?}, the log has {:?}",
                read(bytes),
                read(&folded[key])
            );
        }
    }

    /// INV-1, over all that was ever decided.
    pub(crate) fn generations_only_rise(&self) {
        let mut last = BTreeMap::new();
        for line in self.replayed_decisions() {
            let decision = PublicDecision::parse(line.as_bytes()).unwrap();
            let owner = decision.decision_id().unwrap().owner;
            // Shadow decisions have generations of their own.
            let former = last.insert((owner, decision.mode.name()), decision.generation);
            assert!(
                former.is_none_or(|former| former < decision.generation),
                "{line}"
            );
        }
    }

    /// INV-3, over all that was ever decided.
    pub(crate) fn contributions_add_up(&self) {
        for line in self.replayed_decisions() {
            let decision = PublicDecision::parse(line.as_bytes()).unwrap();
            assert!(!decision.contributions.is_empty(), "{line}");
            let score = (decision.raw_points().0 + 50).div_euclid(100).clamp(0, 100);
            assert_eq!(score, i64::from(decision.score), "{line}");
        }
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::Claim { .. }));
        write!(
            f,
            "{} entries of the log, {} of them signals, {} claims; {} decisions",
            self.entries.len(),
            self.signals().count(),
            claims.count(),
            self.replayed_decisions().count(),
        )
    }
}

fn run(args: &[&str]) -> String {
    let output = Command::new(caerus_binary()).args(args).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

fn signal_of(entry: &Entry) -> Option<&Signal> {
    match entry {
        Entry::Input {
            input: Input::Signal(signal),
            ..
        } => Some(signal),
        _ => None,
    }
}

/// True for the one signal of an event that is scored; the others tell networks, tenants and devices of it.
fn is_own(signal: &Signal) -> bool {
    matches!(
        signal.fact,
        Fact::Login(_) | Fact::Access(_) | Fact::Health(_) | Fact::Session(_) | Fact::Feedback(_)
    )
}

/// What one subject's evaluation told another: known by its revision, not by its event.
fn is_derived(signal: &Signal) -> bool {
    matches!(
        signal.fact,
        Fact::DeviceStanding(_) | Fact::TenantSurge { .. }
    )
}

fn is_score(line: &str) -> bool {
    line.starts_with("{\"type\":\"score\"")
}

fn id_of(json: &str) -> String {
    let decision: Value = serde_json::from_str(json).unwrap();
    decision["id"].as_str().unwrap().to_owned()
}

/// Cuts the text, so that every other byte stays what it was. *Shape*: their values are texts without escapes.
fn without_live_members(json: &str) -> String {
    let mut bare = json.to_owned();
    for member in LIVE_MEMBERS {
        let name = format!(",\"{member}\":\"");
        if let Some((before, value)) = bare.split_once(&name) {
            let (_, after) = value.split_once('"').unwrap();
            bare = format!("{before}{after}");
        }
    }
    bare
}

fn fold<'a>(entries: impl IntoIterator<Item = &'a (u32, Entry)>) -> Folded {
    let settings = Settings {
        partitions: 4,
        model: Arc::new(Model::default()),
        policies: Policies::cedar(),
    };
    let mut replay = ExportReplay::new(settings, InForce::nothing());
    let mut decisions = Vec::new();
    for (partition, entry) in entries {
        replay.entry(*partition, entry, &mut |line| {
            if let Line::Decision(decision) = line {
                decisions.push(PublicDecision::from_engine(decision, None).to_json());
            }
        });
    }
    let mut stored = BTreeMap::new();
    for (partition, memory) in replay.memories() {
        let named = |key: &SubjectHash| (partition, key.to_string());
        let records = memory.records().iter();
        stored.extend(records.map(|(key, record)| (named(key), encode_record(record))));
        // One that saw nothing yet is not worth storing.
        let populations = memory.populations().iter();
        let populations = populations.filter(|(_, one)| **one != Population::default());
        stored.extend(populations.map(|(key, one)| (named(key), encode_population(one))));
    }
    Folded { stored, decisions }
}
