//! What was written by each version reads for ever; see `fixtures/README.md`.

use std::path::PathBuf;

use caerus_engine::record::{Population, SubjectRecord};
use serde_json::{Value, json};

use crate::decision::PublicDecision;
use crate::entry::{Entry, ExportHead, ExportLine};
use crate::event::NativeEvent;
use crate::form::sample::{Sample, Seed};
use crate::form::{Form, FormError};
use crate::progress::Progress;
use crate::record::{
    SharedFold, decode_population, decode_record, decode_shared_fold, encode_population,
    encode_record, encode_shared_fold,
};
use crate::stream::{ClientFrame, Cursor, ServerFrame};

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/v1")
        .join(file)
}

pub(super) fn lines(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path(file)).expect(file);
    text.lines().map(str::to_owned).collect()
}

/// The switch that rewrites stored forms; given when the tests are compiled.
const REWRITE: bool = option_env!("REWRITE_FIXTURES").is_some();

#[test]
fn fixture_events_read_and_are_written_the_same() {
    for line in lines("events.jsonl") {
        let event = NativeEvent::parse(line.as_bytes()).expect(&line);
        assert_eq!(event.to_json(), line);
    }
}

#[test]
fn fixture_decisions_read_and_are_written_the_same() {
    for line in lines("decisions.jsonl") {
        let decision = PublicDecision::parse(line.as_bytes()).expect(&line);
        assert_eq!(
            serde_json::from_str::<Value>(&decision.to_json()).unwrap(),
            serde_json::from_str::<Value>(&line).unwrap()
        );
        assert_eq!(decision.to_json(), line);
    }
}

#[test]
fn fixture_frames_read_and_are_written_the_same() {
    for line in lines("frames.jsonl") {
        let written = match ClientFrame::parse(&line) {
            Ok(frame) => frame.to_json(),
            Err(_) => ServerFrame::parse(&line).expect(&line).to_json(),
        };
        assert_eq!(written, line);
    }
}

#[test]
fn fixture_exports_read_and_are_written_the_same() {
    if REWRITE {
        rewrite("export.jsonl", &made_up_export());
    }
    for line in lines("export.jsonl") {
        let written = match ExportLine::parse(&line).expect(&line) {
            ExportLine::Head(head) => head.to_line(),
            ExportLine::Entry {
                partition,
                offset,
                entry,
            } => entry.to_export_line(partition, offset),
        };
        assert_eq!(written, line);
    }
}

#[test]
fn fixture_stored_forms_read_and_are_written_the_same() {
    if REWRITE {
        rewrite("stored.jsonl", &made_up_stored());
    }
    let mut forms = std::collections::BTreeSet::new();
    for line in lines("stored.jsonl") {
        let stored: Value = serde_json::from_str(&line).unwrap();
        let form = stored["form"].as_str().unwrap();
        let bytes = hex::decode(stored["bytes"].as_str().unwrap()).unwrap();
        let (value, written) = read(form, &bytes).expect(&line);
        assert_eq!(value, stored["value"], "{form}");
        assert_eq!(hex::encode(written), hex::encode(&bytes), "{form}");
        forms.insert(form.to_owned());
    }
    let expected = [
        "cursor",
        "entry",
        "fold",
        "population",
        "progress",
        "record",
    ];
    assert_eq!(forms.into_iter().collect::<Vec<_>>(), expected);
}

/// What the bytes hold, and the bytes written anew.
fn read(form: &str, bytes: &[u8]) -> Result<(Value, Vec<u8>), FormError> {
    fn both<T: Form>(value: &T, written: Vec<u8>) -> (Value, Vec<u8>) {
        (value.to_value(), written)
    }
    Ok(match form {
        "entry" => {
            let entry = Entry::from_bytes(bytes)?;
            both(&entry, entry.to_bytes())
        }
        "record" => {
            let record = decode_record(bytes)?;
            both(&record, encode_record(&record))
        }
        "population" => {
            let population = decode_population(bytes)?;
            both(&population, encode_population(&population))
        }
        "fold" => {
            let fold = decode_shared_fold(bytes)?;
            both(&fold, encode_shared_fold(&fold))
        }
        "progress" => {
            let progress = Progress::from_bytes(bytes)?;
            both(&progress, progress.to_bytes())
        }
        "cursor" => {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let cursor = Cursor::parse(&text).unwrap();
            both(&cursor, cursor.to_text().into_bytes())
        }
        other => panic!("no form {other}"),
    })
}

fn rewrite(file: &str, lines: &[String]) {
    let text: String = lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect();
    std::fs::write(path(file), text).expect(file);
}

fn made_up_export() -> Vec<String> {
    let head = ExportHead {
        log: 0x1234_5678_9abc_def0,
        partitions: 4,
    };
    let entries =
        (0..40_u64).map(|state| Entry::sample(&mut Seed::new(state)).to_export_line(2, state));
    [head.to_line()].into_iter().chain(entries).collect()
}

fn made_up_stored() -> Vec<String> {
    let line = |form: &str, bytes: &[u8]| {
        let (value, _) = read(form, bytes).unwrap();
        json!({"form": form, "bytes": hex::encode(bytes), "value": value}).to_string()
    };
    let mut lines = Vec::new();
    for state in 0..40 {
        lines.push(line(
            "entry",
            &Entry::sample(&mut Seed::new(state)).to_bytes(),
        ));
    }
    for bytes in made_up_records() {
        lines.push(line("record", &bytes));
    }
    for state in 0..3 {
        let seed = &mut Seed::new(state);
        lines.push(line(
            "population",
            &encode_population(&Population::sample(seed)),
        ));
        lines.push(line("fold", &encode_shared_fold(&SharedFold::sample(seed))));
        lines.push(line("progress", &Progress::sample(seed).to_bytes()));
        lines.push(line("cursor", Cursor::sample(seed).to_text().as_bytes()));
    }
    lines
}

/// Of each kind the smallest that is not nearly empty.
fn made_up_records() -> Vec<Vec<u8>> {
    const BYTES_MIN: usize = 600;
    let mut smallest: [Option<Vec<u8>>; 5] = [const { None }; 5];
    for state in 0..600 {
        let bytes = encode_record(&SubjectRecord::sample(&mut Seed::new(state)));
        let kind = &mut smallest[usize::from(bytes[1])];
        let is_smaller = kind.as_ref().is_none_or(|known| bytes.len() < known.len());
        if is_smaller && bytes.len() >= BYTES_MIN {
            *kind = Some(bytes);
        }
    }
    smallest.into_iter().flatten().collect()
}
