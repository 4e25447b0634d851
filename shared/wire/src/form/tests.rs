//! Every form reads back what it wrote, in both forms, and damage is told with its place.

use std::collections::BTreeMap;
use std::fmt::Debug;

use caerus_engine::decide::Command;
use caerus_engine::record::{Population, SubjectRecord};
use caerus_engine::signal::{Fact, Signal};

use super::sample::{Sample, Seed};
use super::*;
use crate::entry::{Entry, ExportHead, ExportLine};
use crate::progress::Progress;
use crate::record::{
    SharedFold, decode_population, decode_record, decode_shared_fold, encode_population,
    encode_record, encode_shared_fold,
};

const SEEDS: u64 = 1_500;

fn check_both_forms<T: Form + Sample + PartialEq + Debug>() {
    for state in 0..SEEDS {
        let value = T::sample(&mut Seed::new(state));
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        let mut from = Reader::new(&bytes);
        assert_eq!(T::read(&mut from).as_ref(), Ok(&value), "seed {state}");
        assert_eq!(from.end(), Ok(()), "seed {state}");

        let text = value.to_value().to_string();
        let json = serde_json::from_str(&text).unwrap();
        assert_eq!(
            T::from_value(&json).as_ref(),
            Ok(&value),
            "seed {state}: {text}"
        );
    }
}

#[test]
fn what_was_written_reads_back_in_both_forms() {
    check_both_forms::<u64>();
    check_both_forms::<i64>();
    check_both_forms::<Signal>();
    check_both_forms::<Command>();
    check_both_forms::<Entry>();
    check_both_forms::<Progress>();
    check_both_forms::<BTreeMap<u32, Option<String>>>();
}

#[test]
fn records_populations_and_folds_read_back() {
    for state in 0..SEEDS {
        let seed = &mut Seed::new(state);
        let record = SubjectRecord::sample(seed);
        assert_eq!(
            decode_record(&encode_record(&record)),
            Ok(record),
            "seed {state}"
        );
        let population = Population::sample(seed);
        let bytes = encode_population(&population);
        assert_eq!(decode_population(&bytes), Ok(population), "seed {state}");
        let fold = SharedFold::sample(seed);
        assert_eq!(
            decode_shared_fold(&encode_shared_fold(&fold)),
            Ok(fold),
            "seed {state}"
        );
    }
}

#[test]
fn every_cut_of_a_record_is_an_error() {
    for state in 0..60 {
        let seed = &mut Seed::new(state);
        let bytes = encode_record(&SubjectRecord::sample(seed));
        for _ in 0..30 {
            let len = seed.below(bytes.len());
            assert!(
                decode_record(&bytes[..len]).is_err(),
                "seed {state}, cut at {len}"
            );
        }
    }
}

#[test]
fn damaged_bytes_never_make_the_reader_fall_over() {
    for state in 0..SEEDS {
        let seed = &mut Seed::new(state);
        let mut bytes = Entry::sample(seed).to_bytes();
        for _ in 0..4 {
            let at = seed.below(bytes.len());
            bytes[at] = u8::sample(seed);
            let _read = Entry::from_bytes(&bytes);
        }
        let noise: Vec<u8> = (0..seed.below(200)).map(|_| u8::sample(seed)).collect();
        let _read = decode_record(&noise);
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let entry = |bytes: &[u8]| Entry::from_bytes(bytes).unwrap_err().to_string();
    for (bytes, error) in [
        (&[][..], "the bytes end at 0, where 1 more were expected"),
        (
            &[2, 4],
            "a log entry of version 2 cannot be read; versions up to 1 can",
        ),
        (&[1, 9], "9 at byte 1 is no known kind of Entry"),
        (
            &[1, 4, 3, b'a'],
            "3 entries or bytes are announced at byte 2, where 1 bytes are left",
        ),
        (
            &[1, 4, 0xff, 0xff, 0xff, 0xff, 0x7f, b'a'],
            "34359738367 entries or bytes are announced at byte 2, where 1 bytes are left",
        ),
        (&[1, 4, 1, 0xff], "the text at byte 3 is not UTF-8"),
        (&[1, 4, 1, b'a', 0], "1 bytes are left over at byte 4"),
        (
            &[1, 3, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0],
            "the integer at byte 2 is out of range",
        ),
        (&[1, 3, 0], "the bytes end at 3, where 1 more were expected"),
    ] {
        assert_eq!(entry(bytes), error, "{bytes:?}");
    }
}

#[test]
fn trees_deeper_than_any_are_refused_before_the_stack_ends() {
    use caerus_engine::profile::tree::Node;
    // One branch in each node: total (0, 0), one child with value 0 and count (0, 0), and so on.
    let bytes = [0, 0, 1, 0, 0, 0].repeat(10_000);
    let error = Node::read(&mut Reader::new(&bytes)).unwrap_err();
    assert_eq!(error, FormError::TooDeep { at: 6 * 64 + 3 });
}

#[test]
fn export_lines_read_back_and_name_what_is_wrong() {
    for state in 0..300 {
        let entry = Entry::sample(&mut Seed::new(state));
        let line = entry.to_export_line(3, state);
        assert!(!line.contains('\n') && ExportLine::is_export_line(line.as_bytes()));
        let read = ExportLine::parse(&line).unwrap();
        let expected = ExportLine::Entry {
            partition: 3,
            offset: state,
            entry: Box::new(entry),
        };
        assert_eq!(read, expected, "seed {state}");
    }
    let head = ExportHead {
        log: u64::MAX,
        partitions: 4,
    };
    assert_eq!(
        head.to_line(),
        r#"{"v":1,"log":"ffffffffffffffff","partitions":4}"#
    );
    assert_eq!(
        ExportLine::parse(&head.to_line()).unwrap(),
        ExportLine::Head(head)
    );

    let chain = |line: &str| {
        let error = ExportLine::parse(line).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        (error.to_string(), source.unwrap_or_default())
    };
    assert_eq!(
        chain(r#"{"v":2,"partition":0,"offset":0,"entry":{"claim":{"owner":"x"}}}"#).0,
        "an export of version 2 cannot be read; version 1 can"
    );
    assert_eq!(
        chain(r#"{"v":1,"partition":0,"offset":7,"entry":{"claim":{"owner":8}}}"#),
        (
            "could not read the entry at offset 7 of partition 0".to_owned(),
            "`.claim.owner` must be a string, not this number".to_owned()
        )
    );
    assert_eq!(
        chain(r#"{"v":1,"partition":0,"offset":7,"entry":{"policy":{"revision":"r","files":[{"name":"a","text":"b"},{"name":"c"}]}}}"#).1,
        "`.policy.files[1].text` must be a string, not null"
    );
    assert_eq!(
        chain(r#"{"v":1,"partition":0,"offset":7,"entry":{"nonsense":1}}"#).1,
        "`` must be a kind of Entry, not this object"
    );
}

#[test]
fn every_kind_of_fact_is_made_up_by_some_seed() {
    let mut kinds = [false; 10];
    for state in 0..SEEDS {
        let kind = match Signal::sample(&mut Seed::new(state)).fact {
            Fact::Login(_) => 0,
            Fact::Access(_) => 1,
            Fact::Health(_) => 2,
            Fact::Session(_) => 3,
            Fact::Feedback(_) => 4,
            Fact::NetworkLogin(_) => 5,
            Fact::TenantLogin(_) => 6,
            Fact::DeviceSeen { .. } => 7,
            Fact::DeviceStanding(_) => 8,
            Fact::TenantSurge { .. } => 9,
        };
        kinds[kind] = true;
    }
    assert_eq!(kinds, [true; 10]);
}
