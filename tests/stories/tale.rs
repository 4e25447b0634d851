//! Tells events in order: a clock that moves on, people with a place and a device, and what they do.

use serde_json::{Value, json};

/// 2026-03-02T09:00:00Z, a Monday. *Units*: milliseconds.
const BEGINNING: i64 = 1_772_442_000_000;
pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Where somebody sits, and at what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Desk {
    pub(crate) ip: &'static str,
    pub(crate) country: &'static str,
    pub(crate) asn: u32,
    pub(crate) device: Option<&'static str>,
    pub(crate) agent: &'static str,
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

/// The owner's usual place.
pub(crate) const HOME: Desk = Desk {
    ip: "198.51.100.10",
    country: "DE",
    asn: 64_500,
    device: Some("laptop-1"),
    agent: FIREFOX,
};

/// A thief's.
pub(crate) const FAR: Desk = Desk {
    ip: "203.0.113.66",
    country: "RO",
    asn: 64_666,
    device: None,
    agent: CHROME,
};

/// The owner elsewhere: another network and another device.
pub(crate) const HOTEL: Desk = Desk {
    ip: "192.0.2.20",
    country: "DE",
    asn: 64_777,
    device: Some("tablet-1"),
    agent: FIREFOX,
};

/// Events told so far.
#[derive(Clone, Debug)]
pub(crate) struct Tale {
    pub(crate) now: i64,
    tenant: String,
    lines: Vec<Value>,
}

impl Tale {
    pub(crate) fn new() -> Self {
        Self::of("default")
    }

    pub(crate) fn of(tenant: &str) -> Self {
        Self {
            now: BEGINNING,
            tenant: tenant.to_owned(),
            lines: Vec::new(),
        }
    }

    /// A user with forty ordinary days behind them.
    pub(crate) fn with_history(mut self, user: &str) -> Self {
        for day in 0..40 {
            let session = format!("{user}-h-{day}");
            self.login(user, &session, HOME, &["pwd"]);
            self.wait(DAY);
        }
        self
    }

    pub(crate) fn wait(&mut self, ms: i64) -> &mut Self {
        self.now += ms;
        self
    }

    /// *Returns*: the event's id.
    pub(crate) fn tell(&mut self, mut event: Value) -> String {
        let id = format!("{}-{}", self.tenant, self.lines.len());
        event["tenant"] = json!(self.tenant);
        event["time"] = json!(self.now);
        if event["id"].is_null() {
            event["id"] = json!(id);
        }
        self.now += SECOND;
        let id = event["id"].as_str().unwrap().to_owned();
        self.lines.push(event);
        id
    }

    pub(crate) fn login(&mut self, user: &str, session: &str, desk: Desk, amr: &[&str]) -> String {
        let mut event = seated(desk);
        event["type"] = json!("login");
        event["user"] = json!(user);
        event["session"] = json!(session);
        event["outcome"] = json!("success");
        event["amr"] = json!(amr);
        self.tell(event)
    }

    pub(crate) fn failed_login(&mut self, user: &str, desk: Desk, failure: &str) -> String {
        let mut event = seated(desk);
        event["type"] = json!("login");
        event["user"] = json!(user);
        event["outcome"] = json!("failure");
        event["failure"] = json!(failure);
        self.tell(event)
    }

    pub(crate) fn access(&mut self, user: &str, session: &str, desk: Desk) -> String {
        let mut event = seated(desk);
        event["type"] = json!("access");
        event["user"] = json!(user);
        event["session"] = json!(session);
        event["status"] = json!(200);
        self.tell(event)
    }

    pub(crate) fn health(&mut self, device: &str, posture: Value) -> String {
        self.tell(json!({"type": "device_health", "device": device, "posture": posture}))
    }

    pub(crate) fn session_event(&mut self, user: &str, session: &str, event: &str) -> String {
        self.tell(json!({"type": "session", "user": user, "session": session, "event": event}))
    }

    pub(crate) fn lines(&self) -> &[Value] {
        &self.lines
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

fn seated(desk: Desk) -> Value {
    let mut event = json!({
        "ip": desk.ip,
        "user_agent": desk.agent,
        "geo": {"country": desk.country, "asn": desk.asn, "network": "residential"},
    });
    if let Some(device) = desk.device {
        event["device"] = json!(device);
    }
    event
}
