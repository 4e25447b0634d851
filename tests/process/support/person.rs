//! Somebody with a history, and what happens to them: the worked rows' events, under names of their own, moved to the
//! present. Knows no score.

use std::path::Path;

use caerus_engine::time::{Span, Timestamp};
use caerus_wire::moment;
use serde_json::{Value, json};

/// The files' user.
const NAMED: &str = "alice";
/// The moment that the histories lead up to.
const HISTORY_UNTIL: &str = "2026-03-30T08:00:00Z";
/// The present is this long after it.
const HISTORY_AGE: Span = Span::minutes(10);
/// Members that name something of the person's own.
const OWN: [&str; 3] = ["id", "session", "device"];
/// Firefox on Linux, as the histories have it.
pub(crate) const USUAL_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// A person of a test's own.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

impl Person {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    /// The name of this person's own session or device that the files call `name`.
    pub(crate) fn own(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// What came before, up to some minutes ago.
    pub(crate) fn history(&self, file: &str) -> Vec<Value> {
        let until = moment::parse(HISTORY_UNTIL).unwrap();
        self.events_of(file, (now() - HISTORY_AGE).since(until))
    }

    /// A row of the worked rows: its last event is now.
    pub(crate) fn row(&self, file: &str) -> Vec<Value> {
        let unmoved = self.events_of(file, Span::ZERO);
        let last = moment::parse(unmoved.last().unwrap()["time"].as_str().unwrap()).unwrap();
        self.events_of(file, now().since(last))
    }

    fn events_of(&self, file: &str, moved_by: Span) -> Vec<Value> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/worked-rows");
        let text = std::fs::read_to_string(dir.join(format!("{file}.jsonl"))).unwrap();
        let events = text.lines().map(|line| {
            let mut event: Value = serde_json::from_str(line).unwrap();
            let at = moment::parse(event["time"].as_str().unwrap()).unwrap() + moved_by;
            event["time"] = json!(moment::to_text(at));
            self.taken_over(event, file)
        });
        events.collect()
    }

    fn taken_over(&self, mut event: Value, file: &str) -> Value {
        // Several files happen to one person: each has events of its own.
        event["id"] = json!(format!("{file}-{}", event["id"].as_str().unwrap()));
        if event["user"] == NAMED {
            event["user"] = json!(self.name);
        }
        for member in OWN {
            if let Some(name) = event[member].as_str() {
                event[member] = json!(self.own(name));
            }
        }
        event
    }

    /// A login that went well, now, from where this person always is; `changes` are laid over it.
    pub(crate) fn login(&self, id: &str, session: &str, changes: &Value) -> Value {
        let mut event = json!({
            "id": self.own(id), "type": "login", "time": moment::to_text(now()), "user": self.name,
            "session": self.own(session), "device": self.own("laptop-0"), "ip": "198.51.100.10",
            "user_agent": USUAL_AGENT, "geo": {"country": "DE", "asn": 64500, "network": "residential"},
            "outcome": "success", "amr": ["pwd", "push"],
        });
        for (member, value) in changes.as_object().unwrap() {
            event[member] = value.clone();
        }
        event
    }

    /// The target of a session of this person's.
    pub(crate) fn session(&self, session: &str) -> Value {
        json!({"user": self.name, "session": self.own(session)})
    }
}
