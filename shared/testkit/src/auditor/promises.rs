//! What subscribers were promised against what the log caused: when told that all is evaluated until a moment, a point
//! had everything that was accepted before it, derived signals included. Shares nothing with the gateway's own count.

use std::collections::BTreeMap;

use caerus_engine::time::Timestamp;
use caerus_runtime::port::{BusRecord, Topic};
use caerus_wire::decision::PublicDecision;
use caerus_wire::progress::Progress;

use super::model::Model;
use super::outputs::Places;
use super::{Accepted, History};

/// Derived signals in a row that a moment waits for.
const HOPS_MAX: u32 = 2;

/// Where topics ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// *Shape*: one for each partition.
    pub decisions: Vec<u64>,
    pub reports: u64,
}

/// A moment told to a point, and what the point held then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    pub point: String,
    /// The one tenant it is for, if not for all.
    pub tenant: Option<String>,
    pub until: Timestamp,
    /// By the clock of its gateway.
    pub gateway_time: Timestamp,
    /// Generations by target.
    pub held: BTreeMap<String, u64>,
    /// When it was told.
    pub ends: Ends,
}

/// A decision that someone's event caused.
struct Due {
    /// Whoever is promised a later moment has it.
    accepted_at: Timestamp,
    partition: u32,
    key: Vec<u8>,
    tenant: String,
    generation: u64,
    expires_at: Timestamp,
}

/// True where a later word on the target, or its own end, took the generation out of force.
///
/// *Shape*: `written` holds the topic's records up to the moment.
pub(crate) fn is_over(written: &[BusRecord], key: &[u8], generation: u64, now: Timestamp) -> bool {
    let mut has_come = false;
    for record in written.iter().filter(|record| record.key == key) {
        match PublicDecision::parse(&record.value) {
            Err(_) if has_come => return true,
            Ok(decision) if decision.generation >= generation => {
                if decision.expires_at <= now {
                    return true;
                }
                has_come = true;
            }
            Ok(_) | Err(_) => {}
        }
    }
    false
}

pub(crate) struct Evidence<'a> {
    pub(crate) models: &'a [Model],
    /// Of each model's outputs.
    pub(crate) places: &'a [Places],
    pub(crate) history: &'a History,
    pub(crate) accepted: &'a [Accepted],
}

pub(crate) fn check(evidence: &Evidence<'_>, promises: &[Promise], complaints: &mut Vec<String>) {
    let due = due(evidence);
    let reports = reports(evidence.history);
    for promise in promises {
        check_stands_still(evidence, &reports, promise, complaints);
        let tenant = promise.tenant.as_ref();
        let wanted = due.iter().filter(|due| due.accepted_at < promise.until);
        for due in wanted.filter(|due| tenant.is_none_or(|tenant| *tenant == due.tenant)) {
            if !is_kept(evidence.history, promise, due) {
                complaints.push(format!(
                    "evaluated_until: {} was told {} and lacks generation {} of {}, caused by what was accepted at {}",
                    promise.point,
                    promise.until.0,
                    due.generation,
                    String::from_utf8_lossy(&due.key),
                    due.accepted_at.0
                ));
            }
        }
    }
}

fn is_kept(history: &History, promise: &Promise, due: &Due) -> bool {
    let held = std::str::from_utf8(&due.key).ok();
    let held = held.and_then(|key| promise.held.get(key));
    if held.is_some_and(|held| *held >= due.generation) || due.expires_at <= promise.gateway_time {
        return true;
    }
    let index = usize::try_from(due.partition).unwrap_or(usize::MAX);
    let end = promise.ends.decisions.get(index).copied().unwrap_or(0);
    let written = history.get(&(Topic::Decisions, due.partition));
    let written = written.map_or(&[][..], Vec::as_slice);
    let until_then = written.partition_point(|record| record.offset < end);
    let until_then = written.get(..until_then).unwrap_or(&[]);
    is_over(until_then, &due.key, due.generation, promise.gateway_time)
}

/// Every enforced decision that an accepted entry caused, directly or over derived signals.
fn due(evidence: &Evidence<'_>) -> Vec<Due> {
    let mut due = Vec::new();
    let mut causes = roots(evidence);
    for hop in 0..=HOPS_MAX {
        let mut derived = BTreeMap::new();
        for (model, places) in evidence.models.iter().zip(evidence.places) {
            for (index, output) in model.expected.iter().enumerate() {
                let Some(at) = causes.get(&(model.number, output.cause)).copied() else {
                    continue;
                };
                match output.topic {
                    Topic::Decisions => due.extend(of_output(at, model.number, &output.value)),
                    Topic::Signals if hop < HOPS_MAX => {
                        let place = places.get(&index).map(|place| (output.partition, *place));
                        derived.extend(place.map(|place| (place, at)));
                    }
                    _ => {}
                }
            }
        }
        causes = derived;
    }
    due
}

fn of_output(accepted_at: Timestamp, partition: u32, value: &[u8]) -> Option<Due> {
    let decision = PublicDecision::parse(value).ok()?;
    Some(Due {
        accepted_at,
        partition,
        key: decision.key().into_bytes(),
        generation: decision.generation,
        expires_at: decision.expires_at,
        tenant: decision.tenant,
    })
}

/// Where what was accepted stands first, and when it was answered.
fn roots(evidence: &Evidence<'_>) -> BTreeMap<(u32, u64), Timestamp> {
    let mut first: BTreeMap<(u32, &[u8]), u64> = BTreeMap::new();
    for ((topic, partition), written) in evidence.history {
        if *topic == Topic::Signals {
            for record in written {
                let known = first.entry((*partition, &record.value));
                known.or_insert(record.offset);
            }
        }
    }
    let accepted = evidence.accepted.iter().filter_map(|accepted| {
        let offset = first.get(&(accepted.partition, &accepted.value))?;
        Some(((accepted.partition, *offset), accepted.at))
    });
    accepted.collect()
}

/// Nobody is told a moment that a partition's evaluator has not reported to have passed: where ingest tells no time, or
/// an evaluator stands still, it stands still.
fn check_stands_still(
    evidence: &Evidence<'_>,
    reports: &[(u64, Progress)],
    promise: &Promise,
    complaints: &mut Vec<String>,
) {
    let mut read_to: BTreeMap<u32, u64> = BTreeMap::new();
    let until_then = reports.iter();
    for (_, report) in until_then.take_while(|(offset, _)| *offset < promise.ends.reports) {
        let known = read_to.entry(report.partition).or_default();
        *known = (*known).max(report.log_position);
    }
    for model in evidence.models {
        let read_to = read_to.get(&model.number).copied().unwrap_or(0);
        let passed = model.passed.iter();
        let mut passed = passed.filter(|(offset, _, _)| *offset < read_to);
        if !passed.any(|(_, _, at)| *at >= promise.until) {
            complaints.push(format!(
                "evaluated_until: {} was told {}, which partition {} had not passed",
                promise.point, promise.until.0, model.number
            ));
        }
    }
}

fn reports(history: &History) -> Vec<(u64, Progress)> {
    let written = history.get(&(Topic::Progress, 0)).into_iter().flatten();
    let read = written.filter_map(|record| {
        let report = Progress::from_bytes(&record.value).ok()?;
        Some((record.offset, report))
    });
    read.collect()
}

/// A receipt is for something that was acknowledged.
pub(crate) fn check_receipts(
    history: &History,
    acknowledged: &std::collections::BTreeSet<(String, String)>,
    complaints: &mut Vec<String>,
) -> usize {
    let mut count = 0;
    for record in history.get(&(Topic::Receipts, 0)).into_iter().flatten() {
        let told = match caerus_wire::told::PointTold::from_bytes(&record.value) {
            Ok(told) => told,
            Err(error) => {
                complaints.push(format!("receipt {}: {error}", record.offset));
                continue;
            }
        };
        for receipt in &told.receipts {
            count += 1;
            let pair = (told.client.to_string(), receipt.decision.to_string());
            if !acknowledged.contains(&pair) {
                complaints.push(format!("receipt for {pair:?}, never acknowledged"));
            }
        }
    }
    count
}
