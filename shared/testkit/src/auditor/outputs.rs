//! What came out against what must have: each output once, in order, repeats aside; nothing that nobody caused.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::signal::Fact;
use caerus_engine::step::Input;
use caerus_runtime::port::{BusRecord, Topic};
use caerus_wire::decision::PublicDecision;
use caerus_wire::entry::Entry;
use caerus_wire::progress::Progress;

use super::model::{Expected, Model};
use super::{Audited, History};

pub(crate) fn check(
    models: &[Model],
    history: &History,
    audited: &mut Audited,
    complaints: &mut Vec<String>,
) {
    check_derived_is_caused(models, history, complaints);
    for model in models {
        let mut tracing = Tracing {
            number: model.number,
            places: Places::new(),
            complaints,
        };
        for topic in [Topic::Decisions, Topic::Shadow] {
            let written = written(history, topic, model.number);
            let wanted = wanted(model, topic, model.number);
            let len = tracing.in_order(topic, &wanted, written);
            match topic {
                Topic::Decisions => audited.decisions += len,
                _ => audited.shadows += len,
            }
            check_newest(model.number, topic, written, tracing.complaints);
        }
        for partition in 0..u32::try_from(models.len()).unwrap_or(0) {
            let written = written(history, Topic::Signals, partition);
            let wanted = wanted(model, Topic::Signals, partition);
            audited.derived += wanted.len();
            tracing.in_log(partition, &wanted, written);
        }
        let places = tracing.places;
        check_reports(model, history, &places, complaints);
    }
}

fn written(history: &History, topic: Topic, partition: u32) -> &[BusRecord] {
    history
        .get(&(topic, partition))
        .map_or(&[][..], Vec::as_slice)
}

/// Where each expected output of one partition was first written.
type Places = BTreeMap<usize, u64>;

/// The outputs of one partition, found again one by one.
struct Tracing<'a> {
    number: u32,
    places: Places,
    complaints: &'a mut Vec<String>,
}

type Wanted<'a> = Vec<(usize, &'a Expected)>;

fn wanted(model: &Model, topic: Topic, partition: u32) -> Wanted<'_> {
    let all = model.expected.iter().enumerate();
    all.filter(|(_, output)| output.topic == topic && output.partition == partition)
        .collect()
}

impl Tracing<'_> {
    /// INV-5: what was published equals a plain fold of the log, byte for byte but for the live members; what was said
    /// before may be said again, and expired decisions may leave.
    fn in_order(
        &mut self,
        topic: Topic,
        wanted: &[(usize, &Expected)],
        written: &[BusRecord],
    ) -> usize {
        let number = self.number;
        let mut next = 0;
        for record in written.iter().filter(|record| !record.value.is_empty()) {
            let value = match PublicDecision::parse(&record.value) {
                Ok(decision) => decision.without_live_members().to_json().into_bytes(),
                Err(error) => {
                    self.complaints
                        .push(format!("partition {number} {}: {error}", topic.name()));
                    continue;
                }
            };
            let is = |(_, output): &&(usize, &Expected)| {
                output.value == value && output.key == record.key
            };
            if let Some((index, _)) = wanted.get(next).filter(|output| is(output)) {
                self.places.insert(*index, record.offset);
                next += 1;
            } else if !wanted.iter().take(next).any(|output| is(&output)) {
                self.complaints.push(format!(
                    "INV-5: partition {number} {} offset {}: not what the log gives: {}",
                    topic.name(),
                    record.offset,
                    String::from_utf8_lossy(&value)
                ));
            }
        }
        for (_, missing) in wanted.iter().skip(next) {
            self.complaints.push(format!(
                "INV-5: partition {number} {}: caused by {} and never published: {}",
                topic.name(),
                missing.cause,
                String::from_utf8_lossy(&missing.value)
            ));
        }
        next
    }

    /// What was derived stands in the log it belongs to, in the order in which it was derived.
    fn in_log(&mut self, partition: u32, wanted: &[(usize, &Expected)], written: &[BusRecord]) {
        let number = self.number;
        let mut first: BTreeMap<&[u8], Vec<u64>> = BTreeMap::new();
        for record in written {
            first.entry(&record.value).or_default().push(record.offset);
        }
        let mut after = None;
        for (index, output) in wanted {
            let offsets = first.get(output.value.as_slice());
            let mut offsets = offsets.into_iter().flatten();
            match offsets.find(|offset| after.is_none_or(|after| **offset > after)) {
            Some(offset) => {
                self.places.insert(*index, *offset);
                after = Some(*offset);
            }
            None => self.complaints.push(format!(
                "partition {number} offset {}: what it derived is not, in order, in the log of {partition}",
                output.cause
            )),
        }
        }
    }
}

/// INV-2, INV-4: the last word on a target, which is all that a late subscriber reads, is that of its highest generation.
fn check_newest(number: u32, topic: Topic, written: &[BusRecord], complaints: &mut Vec<String>) {
    let mut highest: BTreeMap<&[u8], u64> = BTreeMap::new();
    let mut last: BTreeMap<&[u8], u64> = BTreeMap::new();
    for record in written {
        let Ok(decision) = PublicDecision::parse(&record.value) else {
            last.remove(record.key.as_slice());
            continue;
        };
        let known = highest.entry(&record.key).or_default();
        *known = (*known).max(decision.generation);
        last.insert(&record.key, decision.generation);
    }
    for (key, generation) in last {
        if highest.get(key) != Some(&generation) {
            complaints.push(format!(
                "INV-4: partition {number} {}: generation {generation} is the last word on {}, {:?} the highest",
                topic.name(),
                String::from_utf8_lossy(key),
                highest.get(key)
            ));
        }
    }
}

/// Nothing derived stands in a log that no step derived.
fn check_derived_is_caused(models: &[Model], history: &History, complaints: &mut Vec<String>) {
    let all = models.iter().flat_map(|model| &model.expected);
    let derived = all.filter(|output| output.topic == Topic::Signals);
    let derived: BTreeSet<(u32, &[u8])> = derived
        .map(|output| (output.partition, output.value.as_slice()))
        .collect();
    for ((topic, partition), written) in history {
        if *topic != Topic::Signals {
            continue;
        }
        for record in written {
            let is_derived = match Entry::from_bytes(&record.value) {
                Ok(Entry::Climate(_)) => true,
                Ok(Entry::Input {
                    input: Input::Signal(signal),
                    ..
                }) => matches!(
                    signal.fact,
                    Fact::DeviceStanding(_) | Fact::TenantSurge { .. }
                ),
                Ok(_) | Err(_) => false,
            };
            if is_derived && !derived.contains(&(*partition, &*record.value)) {
                complaints.push(format!(
                    "partition {partition} offset {}: derived by nobody",
                    record.offset
                ));
            }
        }
    }
}

/// A report says no more than what is out: every output of what lies below its position, every moment it has passed.
fn check_reports(model: &Model, history: &History, places: &Places, complaints: &mut Vec<String>) {
    let reports = history.get(&(Topic::Progress, 0)).into_iter().flatten();
    let reports = reports.filter_map(|record| Progress::from_bytes(&record.value).ok());
    for report in reports.filter(|report| report.partition == model.number) {
        let mut complain = |what: String| {
            let at = report.log_position;
            complaints.push(format!("partition {} report at {at}: {what}", model.number));
        };
        for (index, output) in model.expected.iter().enumerate() {
            let Some(place) = places.get(&index) else {
                continue;
            };
            let told = match output.topic {
                Topic::Decisions => report.decisions_offset > *place,
                Topic::Signals => usize::try_from(output.partition)
                    .ok()
                    .and_then(|partition| report.derived.get(partition))
                    .is_some_and(|highest| highest >= place),
                _ => true,
            };
            if output.cause < report.log_position && !told {
                complain(format!("hides what {} caused", output.cause));
            }
        }
        for (source, at) in &report.passed {
            let read = model.passed.iter();
            let mut read = read.filter(|(offset, _, _)| *offset < report.log_position);
            if !read.any(|(_, of, moment)| of == source && moment >= at) {
                complain(format!(
                    "has not passed {at:?} of source partition {source}"
                ));
            }
        }
    }
}
