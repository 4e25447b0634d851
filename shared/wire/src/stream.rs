//! The revocation stream: frames, cursors, filters, close codes (contract, §4). Knows no socket and no clock.

mod cursor;
mod filter;
#[cfg(test)]
mod tests;

use caerus_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::PublicDecision;
use crate::text::cut;

pub use cursor::{Cursor, CursorError};
pub use filter::Filter;

/// *Units*: bytes of one frame from a client.
pub const CLIENT_FRAME_BYTES_MAX: usize = 64 * 1024;
/// *Units*: characters of a client's label.
pub const CLIENT_CHARS_MAX: usize = 128;
/// *Units*: characters of a cursor's text.
pub const CURSOR_CHARS_MAX: usize = 16 * 1024;
/// Tenants or apps in one filter.
pub const FILTER_NAMES_MAX: usize = 1_024;
/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "caerus.v1";

/// What a subscriber says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// First, within the time allowed.
    Hello {
        /// A label of the instance, e.g. `nginx-7`.
        client: String,
        /// As last acknowledged, to resume; `None` for a snapshot.
        #[serde(default)]
        cursor: Option<String>,
        #[serde(default)]
        filter: Filter,
    },
    /// All up to here is in force.
    Ack { cursor: String },
}

/// What the gateway says. Decisions are boxed: a heartbeat should not be as large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    Welcome {
        heartbeat_ms: u32,
        /// A snapshot follows, rather than what came after the cursor.
        snapshot: bool,
        max_unacked: u32,
    },
    Snapshot {
        decisions: Vec<PublicDecision>,
        more: bool,
        /// With the last part only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    Decision {
        cursor: String,
        decision: Box<PublicDecision>,
    },
    Heartbeat(Heartbeat),
    /// Drop everything; a snapshot follows.
    Reload {
        reason: String,
    },
    /// A close code follows.
    Error {
        code: String,
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub cursor: String,
    /// Every decision caused by an event taken in before it has been sent; `None` until that is known.
    #[serde(with = "crate::moment::rfc3339_or_null", default)]
    pub evaluated_until: Option<Timestamp>,
    /// The server's clock.
    #[serde(with = "crate::moment::rfc3339")]
    pub now: Timestamp,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseCode {
    /// Also for an acknowledgement beyond what was sent.
    BadFrame,
    /// Also when the credential ends.
    NotAuthenticated,
    NotAllowed,
    TooSlow,
    TooMany,
    GoingAway,
}

impl CloseCode {
    pub const ALL: [Self; 6] = [
        Self::BadFrame,
        Self::NotAuthenticated,
        Self::NotAllowed,
        Self::TooSlow,
        Self::TooMany,
        Self::GoingAway,
    ];

    /// The WebSocket close code. *Source*: RFC 6455 §7.4.
    pub fn number(self) -> u16 {
        match self {
            Self::BadFrame => 4400,
            Self::NotAuthenticated => 4401,
            Self::NotAllowed => 4403,
            Self::TooSlow => 4408,
            Self::TooMany => 4429,
            Self::GoingAway => 1012,
        }
    }

    /// The `code` of the error frame that comes before the close.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::NotAuthenticated => "not_authenticated",
            Self::NotAllowed => "not_allowed",
            Self::TooSlow => "too_slow",
            Self::TooMany => "too_many",
            Self::GoingAway => "going_away",
        }
    }

    pub fn of_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the frame has {len} bytes; at most {CLIENT_FRAME_BYTES_MAX} are taken")]
    TooLarge { len: usize },
    #[error("a frame is a JSON object")]
    NotAnObject,
    #[error("could not read the frame: {reason}")]
    Unreadable {
        reason: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("member `{member}` has {len} {of}; {min} to {max} are taken")]
    BadLength {
        member: &'static str,
        len: usize,
        /// What is counted: characters or entries.
        of: &'static str,
        min: usize,
        max: usize,
    },
    #[error("member `{member}` has a control character")]
    ControlCharacter { member: &'static str },
}

impl ClientFrame {
    /// Reads a frame from outside. Members it does not know are ignored.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        if text.len() > CLIENT_FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge { len: text.len() });
        }
        // serde would read a tagged enum from an array, too.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(FrameError::NotAnObject);
        }
        let frame: Self = serde_json::from_str(text).map_err(unreadable)?;
        match &frame {
            Self::Hello {
                client,
                cursor,
                filter,
            } => {
                check_text("client", client, CLIENT_CHARS_MAX)?;
                if let Some(cursor) = cursor {
                    check_text("cursor", cursor, CURSOR_CHARS_MAX)?;
                }
                filter.check()?;
            }
            Self::Ack { cursor } => check_text("cursor", cursor, CURSOR_CHARS_MAX)?,
        }
        Ok(frame)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl ServerFrame {
    /// Reads a frame of the gateway. Members it does not know are ignored.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        serde_json::from_str(text).map_err(unreadable)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The frame for a decision that is encoded already, so that it is encoded once for all subscribers.
pub fn decision_frame(cursor: &Cursor, decision_json: &str) -> String {
    let cursor = cursor.to_text();
    format!(r#"{{"type":"decision","cursor":"{cursor}","decision":{decision_json}}}"#)
}

/// One part of a snapshot of decisions that are encoded already; `cursor` with the last part, which ends it.
pub fn snapshot_frame<'d>(
    decisions_json: impl IntoIterator<Item = &'d str>,
    cursor: Option<&Cursor>,
) -> String {
    let mut frame = String::from(r#"{"type":"snapshot","decisions":["#);
    for (index, decision) in decisions_json.into_iter().enumerate() {
        if index > 0 {
            frame.push(',');
        }
        frame.push_str(decision);
    }
    match cursor {
        None => frame.push_str(r#"],"more":true}"#),
        Some(cursor) => {
            frame.push_str(r#"],"more":false,"cursor":""#);
            frame.push_str(&cursor.to_text());
            frame.push_str("\"}");
        }
    }
    frame
}

fn unreadable(source: serde_json::Error) -> FrameError {
    FrameError::Unreadable {
        reason: cut(&source.to_string()),
        source,
    }
}

fn check_text(member: &'static str, text: &str, max: usize) -> Result<(), FrameError> {
    let len = text.chars().count();
    if len == 0 || len > max {
        return Err(FrameError::BadLength {
            member,
            len,
            of: "characters",
            min: 1,
            max,
        });
    }
    if text.chars().any(char::is_control) {
        return Err(FrameError::ControlCharacter { member });
    }
    Ok(())
}
