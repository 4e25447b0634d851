//! `POST /v1/events`: a body taken apart into events, and the answer. Knows nothing of an event's members.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::text::cut;

/// *Units*: bytes of a body as it comes.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// *Units*: bytes of a body once expanded.
pub const EXPANDED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Events in one body.
pub const EVENTS_MAX: usize = 10_000;

/// How a body holds its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// One object, or an array of them.
    Json,
    /// One object a line; blank lines are skipped and do not count.
    JsonLines,
}

impl BodyForm {
    /// Reads a `Content-Type`; its parameters are ignored. `None`: not a type that is taken.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/json" => Some(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
                Some(Self::JsonLines)
            }
            _ => None,
        }
    }
}

/// Why a body cannot be read as a whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the body is not UTF-8 at byte {at}")]
    NotUtf8 { at: usize },
    #[error("the body is not JSON: {reason}")]
    NotJson {
        reason: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the body has more than {EVENTS_MAX} events")]
    TooMany,
    #[error("the body has no events")]
    Empty,
}

/// The texts of a body's events, in order. Each is still to be read by itself.
pub fn split_events(body: &[u8], form: BodyForm) -> Result<Vec<&[u8]>, BodyError> {
    let events = match form {
        BodyForm::JsonLines => lines(body)?,
        BodyForm::Json => elements(body)?,
    };
    if events.is_empty() {
        return Err(BodyError::Empty);
    }
    Ok(events)
}

fn lines(body: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let events: Vec<&[u8]> = lines
        .filter(|line| !line.is_empty())
        .take(EVENTS_MAX.saturating_add(1))
        .collect();
    if events.len() > EVENTS_MAX {
        return Err(BodyError::TooMany);
    }
    Ok(events)
}

fn elements(body: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    let text = std::str::from_utf8(body).map_err(|error| BodyError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    let not_json = |source: serde_json::Error| BodyError::NotJson {
        reason: cut(&source.to_string()),
        source,
    };
    if !text.trim_ascii_start().starts_with('[') {
        let event: &RawValue = serde_json::from_str(text).map_err(not_json)?;
        return Ok(vec![event.get().as_bytes()]);
    }
    let events: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
    if events.len() > EVENTS_MAX {
        return Err(BodyError::TooMany);
    }
    Ok(events
        .into_iter()
        .map(|event| event.get().as_bytes())
        .collect())
}

/// What became of a body's events. The rejected are told, not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsAnswer {
    pub accepted: u64,
    pub rejected: Vec<RejectedEvent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedEvent {
    /// The event's place in the body, from 0.
    pub index: usize,
    pub error: String,
}

impl EventsAnswer {
    /// 202, or 422 when nothing was accepted.
    pub fn status(&self) -> u16 {
        if self.accepted > 0 { 202 } else { 422 }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str, form: BodyForm) -> Result<Vec<String>, String> {
        split_events(body.as_bytes(), form)
            .map(|events| {
                let text = |event: &&[u8]| String::from_utf8(event.to_vec()).unwrap();
                events.iter().map(text).collect()
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_body_is_taken_apart_without_reading_its_events() {
        use BodyForm::{Json, JsonLines};
        let owned = |events: &[&str]| Ok(events.iter().map(|event| (*event).to_owned()).collect());
        for (body, form, events) in [
            (r#" {"a":1} "#, Json, owned(&[r#"{"a":1}"#])),
            (
                r#"[{"a":1}, 7,{"b":[2]}]"#,
                Json,
                owned(&[r#"{"a":1}"#, "7", r#"{"b":[2]}"#]),
            ),
            (
                "{\"a\":1}\r\n\n nonsense\n",
                JsonLines,
                owned(&["{\"a\":1}", "nonsense"]),
            ),
            ("[]", Json, Err("the body has no events".to_owned())),
            (" \n", JsonLines, Err("the body has no events".to_owned())),
            (
                "[{}",
                Json,
                Err("the body is not JSON: EOF while parsing a list at line 1 column 3".to_owned()),
            ),
            (
                "{} {}",
                Json,
                Err("the body is not JSON: trailing characters at line 1 column 4".to_owned()),
            ),
        ] {
            assert_eq!(split(body, form), events, "{body}");
        }
        assert!(matches!(
            split_events(b"\"\xff\"", Json),
            Err(BodyError::NotUtf8 { at: 1 })
        ));
    }

    #[test]
    fn ten_thousand_events_are_taken_and_one_more_is_not() {
        let lines = "{}\n".repeat(EVENTS_MAX);
        let array = format!("[{}{{}}]", "{},".repeat(EVENTS_MAX - 1));
        assert_eq!(
            split(&lines, BodyForm::JsonLines).unwrap().len(),
            EVENTS_MAX
        );
        assert_eq!(split(&array, BodyForm::Json).unwrap().len(), EVENTS_MAX);
        let too_many = Err("the body has more than 10000 events".to_owned());
        assert_eq!(
            split(&format!("{lines}{{}}"), BodyForm::JsonLines),
            too_many
        );
        assert_eq!(
            split(&array.replacen('[', "[{},", 1), BodyForm::Json),
            too_many
        );
    }

    #[test]
    fn content_types_are_told_by_their_media_type() {
        for (content_type, form) in [
            ("application/json", Some(BodyForm::Json)),
            ("Application/JSON; charset=utf-8", Some(BodyForm::Json)),
            ("application/x-ndjson", Some(BodyForm::JsonLines)),
            ("text/plain", None),
            ("", None),
        ] {
            assert_eq!(
                BodyForm::of_content_type(content_type),
                form,
                "{content_type}"
            );
        }
    }

    #[test]
    fn the_answer_is_422_only_when_nothing_was_accepted() {
        let mut answer = EventsAnswer {
            accepted: 1,
            rejected: vec![RejectedEvent {
                index: 3,
                error: "member `id` is missing".to_owned(),
            }],
        };
        assert_eq!(answer.status(), 202);
        assert_eq!(
            answer.to_json(),
            r#"{"accepted":1,"rejected":[{"index":3,"error":"member `id` is missing"}]}"#
        );
        answer.accepted = 0;
        assert_eq!(answer.status(), 422);
    }
}
