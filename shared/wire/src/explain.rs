//! Explanations for people: one sentence and one object for each line of an assessment. Knows no weights.

mod object;
mod phrase;
mod sentence;

use caerus_engine::evidence::Family;
use caerus_engine::score::{CapOf, Line};
use serde_json::{Map, Value};

/// The line's code, as decisions carry it.
pub fn code(line: &Line) -> &'static str {
    match line {
        Line::Prior => "PRIOR",
        Line::Evidence { code, .. } => code.name(),
        Line::Cap { .. } => "CAP",
        Line::Criticality => "CRITICALITY",
        Line::Operator { .. } => "OPERATOR",
    }
}

/// What the line says, in words; a phrase without a stop.
pub fn text(line: &Line) -> String {
    match line {
        Line::Prior => String::from("where every assessment starts"),
        Line::Evidence { code, detail } => sentence::text(*code, detail),
        Line::Cap { of } => match of {
            CapOf::Trust => String::from("what speaks for it counts no further than this"),
            CapOf::Family(family) => {
                format!("{} counts no further than this", family_text(*family))
            }
        },
        Line::Criticality => String::from("what is at stake"),
        Line::Operator { reason } => reason.clone(),
    }
}

/// What the line rests on, as an object; `None` where it rests on nothing observed.
pub fn evidence(line: &Line) -> Option<Map<String, Value>> {
    match line {
        Line::Prior | Line::Criticality | Line::Operator { .. } => None,
        Line::Evidence { detail, .. } => Some(object::object_of(detail)),
        Line::Cap { of } => {
            let of = match of {
                CapOf::Trust => "trust",
                CapOf::Family(family) => family_name(*family),
            };
            Some(phrase::object([("of", Value::from(of))]))
        }
    }
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::Network => "network",
        Family::Geo => "geo",
        Family::DeviceNovelty => "device_novelty",
        Family::Auth => "auth",
        Family::Campaign => "campaign",
        Family::Reputation => "reputation",
        Family::Vendor => "vendor",
        Family::Posture => "posture",
        Family::Binding => "binding",
        Family::Access => "access",
        Family::Analyst => "analyst",
    }
}

fn family_text(family: Family) -> &'static str {
    match family {
        Family::Network => "what is known of the network",
        Family::Geo => "travel",
        Family::DeviceNovelty => "what is known of the device",
        Family::Auth => "how the user signed in",
        Family::Campaign => "the campaign under way",
        Family::Reputation => "the kind of network",
        Family::Vendor => "what others report",
        Family::Posture => "the state of the device",
        Family::Binding => "what changed within the session",
        Family::Access => "what was requested",
        Family::Analyst => "what analysts found",
    }
}
