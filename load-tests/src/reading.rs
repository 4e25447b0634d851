//! The yardstick: the same file, read and parsed and nothing else. Knows no other program.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use caerus_wire::event::{EventError, NativeEvent};

/// Why the yardstick could not be laid on.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    #[error("could not read the events")]
    Io(#[from] io::Error),
    #[error("line {line} is no event")]
    Event { line: u64, source: EventError },
}

/// What a pass over the file took.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub events: u64,
    pub took: Duration,
}

/// Parses every line of the file, one after the other.
pub fn parse_all(path: &Path) -> Result<Reading, ReadingError> {
    let begun = Instant::now();
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    let mut events = 0;
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let event = NativeEvent::parse(text).map_err(|source| ReadingError::Event {
            line: events + 1,
            source,
        })?;
        std::hint::black_box(event);
        events += 1;
    }
    Ok(Reading {
        events,
        took: begun.elapsed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_parsed_and_a_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let good = r#"{"id":"e-1","type":"login","time":1767571200000,"user":"alice"}"#;
        std::fs::write(&path, format!("{good}\n{good}")).unwrap();
        assert_eq!(parse_all(&path).unwrap().events, 2);
        std::fs::write(&path, format!("{good}\n{{}}\n")).unwrap();
        assert_eq!(
            parse_all(&path).unwrap_err().to_string(),
            "line 2 is no event"
        );
    }
}
