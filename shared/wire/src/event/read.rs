//! Reads the native form. Knows nothing of writing, nor of what becomes of an event.

use std::borrow::Cow;
use std::net::IpAddr;

use caerus_engine::id::DecisionId;
use caerus_engine::number::quantise;
use caerus_engine::time::Timestamp;
use serde_json::{Map, Value};

use super::{
    ALERTS_MAX, Alert, EVENT_BYTES_MAX, Edr, EventError, EventType, Failure, Geo, ID_CHARS_MAX,
    METHODS_MAX, NAME_CHARS_MAX, NativeEvent, Network, Outcome, PATCH_AGE_DAYS_MAX,
    POSTURE_SCORE_MAX, Posture, RADIUS_KM_MAX, RiskLevel, SENSITIVITY_MAX, SessionEvent, Severity,
    TEXT_CHARS_MAX, Verdict, WORKLOAD_CHARS_MAX,
};
use crate::json::{self, Node};
use crate::moment;
use crate::text::cut;

type Read<T> = Result<T, EventError>;

pub(super) fn event(bytes: &[u8]) -> Read<NativeEvent> {
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(EventError::TooLarge { len: bytes.len() });
    }
    let members = match json::read(bytes)? {
        Node::Object(members) => members,
        other => {
            return Err(EventError::NotAnObject {
                found: other.kind(),
            });
        }
    };
    let mut members = Members {
        prefix: Cow::Borrowed(""),
        members,
    };
    let event = native(&mut members)?;
    check_required(&event)?;
    check_fitting(&event)?;
    Ok(event)
}

/// Struct expressions evaluate in the order written, so that the first error is the first of the contract's table.
fn native(of: &mut Members<'_>) -> Read<NativeEvent> {
    const EVERY: &str = "every event has one";
    Ok(NativeEvent {
        id: of
            .chars("id", 1, ID_CHARS_MAX)?
            .ok_or(missing("id", EVERY))?,
        kind: of.event_type()?.ok_or(missing("type", EVERY))?,
        time: of.time("time")?.ok_or(missing("time", EVERY))?,
        tenant: of.name("tenant")?,
        source: of.name("source")?,
        user: of.name("user")?,
        workload: of.spiffe_id("workload")?,
        peer_workload: of.spiffe_id("peer_workload")?,
        session: of.name("session")?,
        device: of.name("device")?,
        ip: of.address("ip")?,
        user_agent: of.text("user_agent")?,
        geo: of
            .object("geo")?
            .map(|mut geo| geo_of(&mut geo))
            .transpose()?,
        outcome: of.word("outcome", Outcome::parse, Outcome::WORDS)?,
        failure: of.word("failure", Failure::parse, Failure::WORDS)?,
        amr: of.names("amr", METHODS_MAX)?,
        acr: of.name("acr")?,
        issued_at: of.time("issued_at")?,
        app: of.name("app")?,
        resource: of.text("resource")?,
        method: of.name("method")?,
        status: of.integer("status", 100, 599, "100 to 599")?,
        bytes_out: of.integer("bytes_out", 0, u64::MAX, "0 to 2^64 - 1")?,
        sensitivity: of.integer("sensitivity", 0, SENSITIVITY_MAX, "0 to 4")?,
        ja4: of.name("ja4")?,
        cert_sha256: of.name("cert_sha256")?,
        posture: of
            .object("posture")?
            .map(|mut posture| posture_of(&mut posture))
            .transpose()?,
        event: of.word("event", SessionEvent::parse, SessionEvent::WORDS)?,
        level: of.word("level", risk_level, RiskLevel::WORDS)?,
        detail: of.prose("detail")?,
        verdict: of.word("verdict", Verdict::parse, Verdict::WORDS)?,
        decision: of.decision("decision")?,
        by: of.name("by")?,
        note: of.prose("note")?,
        label: of.take("label").map(Node::into_value),
        extra: of.rest(),
    })
}

fn geo_of(of: &mut Members<'_>) -> Read<Geo> {
    let geo = Geo {
        latitude: of.degrees("lat", 90, "-90 to 90")?,
        longitude: of.degrees("lon", 180, "-180 to 180")?,
        radius_m: of.radius("radius_km")?,
        country: of.country("country")?,
        region: of.name("region")?,
        city: of.name("city")?,
        asn: of.integer("asn", 0, u32::MAX, "0 to 4294967295")?,
        as_org: of.name("as_org")?,
        network: of.word("network", Network::parse, Network::WORDS)?,
        extra: of.rest(),
    };
    let together = "lat and lon come together";
    match (geo.latitude, geo.longitude) {
        (Some(_), None) => Err(missing("geo.lon", together)),
        (None, Some(_)) => Err(missing("geo.lat", together)),
        _ => Ok(geo),
    }
}

fn posture_of(of: &mut Members<'_>) -> Read<Posture> {
    Ok(Posture {
        compliant: of.truth("compliant")?,
        managed: of.truth("managed")?,
        os: of.name("os")?,
        os_version: of.name("os_version")?,
        disk_encrypted: of.truth("disk_encrypted")?,
        firewall: of.truth("firewall")?,
        screen_lock: of.truth("screen_lock")?,
        edr: of.word("edr", Edr::parse, Edr::WORDS)?,
        jailbroken: of.truth("jailbroken")?,
        patch_age_days: of.integer("patch_age_days", 0, PATCH_AGE_DAYS_MAX, "0 to 36525")?,
        score: of.integer("score", 0, POSTURE_SCORE_MAX, "0 to 100")?,
        alerts: of.alerts("alerts")?,
        extra: of.rest(),
    })
}

fn risk_level(word: &str) -> Option<RiskLevel> {
    RiskLevel::parse(&word.to_ascii_lowercase())
}

fn missing(member: &'static str, reason: &'static str) -> EventError {
    EventError::Missing { member, reason }
}

/// The members that an event's type demands.
fn check_required(event: &NativeEvent) -> Read<()> {
    let demanded: &[(bool, &'static str, &'static str)] = match event.kind {
        EventType::Login => &[(event.user.is_some(), "user", "a login names its user")],
        EventType::DeviceHealth => &[(
            event.device.is_some(),
            "device",
            "a health report names its device",
        )],
        EventType::Access => &[(
            event.user.is_some() || event.workload.is_some(),
            "user",
            "an access names its user or its workload",
        )],
        EventType::Session => &[
            (
                event.user.is_some(),
                "user",
                "a session event names its user",
            ),
            (
                event.event.is_some(),
                "event",
                "a session event says what happened",
            ),
            (
                event.event != Some(SessionEvent::RiskReported) || event.level.is_some(),
                "level",
                "a reported risk has a level",
            ),
        ],
        EventType::Feedback => &[
            (
                event.verdict.is_some(),
                "verdict",
                "feedback gives a verdict",
            ),
            (
                event.session.is_none() || event.user.is_some(),
                "user",
                "feedback that names a session names its user",
            ),
            (
                event.decision.is_some() || event.user.is_some() || event.device.is_some(),
                "decision",
                "feedback names a decision, a user, a session or a device",
            ),
        ],
    };
    match demanded.iter().find(|(is_given, ..)| !is_given) {
        Some((_, member, reason)) => Err(missing(member, reason)),
        None => Ok(()),
    }
}

fn check_fitting(event: &NativeEvent) -> Read<()> {
    if event.failure.is_some() && !matches!(event.outcome, None | Some(Outcome::Failure)) {
        return Err(EventError::Unfitting {
            member: "failure",
            reason: "the outcome is not `failure`",
        });
    }
    Ok(())
}

/// An object's members, taken out one by one; what is left is unknown.
struct Members<'a> {
    /// The path before a member's name.
    prefix: Cow<'static, str>,
    members: Vec<(Cow<'a, str>, Node<'a>)>,
}

impl<'a> Members<'a> {
    fn take(&mut self, name: &str) -> Option<Node<'a>> {
        let place = self.members.iter().position(|(known, _)| known == name)?;
        let (_, node) = self.members.swap_remove(place);
        (node != Node::Null).then_some(node)
    }

    fn rest(&mut self) -> Map<String, Value> {
        json::into_map(std::mem::take(&mut self.members))
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn wrong_type(&self, name: &str, expected: &'static str, found: &Node<'_>) -> EventError {
        EventError::WrongType {
            member: self.path(name),
            expected,
            found: found.kind(),
        }
    }

    fn unreadable(&self, name: &str, value: &str, expected: &'static str) -> EventError {
        EventError::Unreadable {
            member: self.path(name),
            value: cut(value),
            expected,
        }
    }

    fn out_of_range(&self, name: &str, expected: &'static str) -> EventError {
        EventError::OutOfRange {
            member: self.path(name),
            expected,
        }
    }

    fn string(&mut self, name: &str) -> Read<Option<Cow<'a, str>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "a string", &other)),
        }
    }

    fn object(&mut self, name: &'static str) -> Read<Option<Members<'a>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Object(members)) => Ok(Some(Members {
                prefix: Cow::Owned(format!("{}{name}.", self.prefix)),
                members,
            })),
            Some(other) => Err(self.wrong_type(name, "an object", &other)),
        }
    }

    /// A string of so many characters without control characters.
    fn chars(&mut self, name: &str, min: usize, max: usize) -> Read<Option<String>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        check_chars(&text, min, max, |_| false).map_err(|fault| fault.of(self.path(name)))?;
        Ok(Some(text.into_owned()))
    }

    fn name(&mut self, name: &str) -> Read<Option<String>> {
        self.chars(name, 1, NAME_CHARS_MAX)
    }

    fn text(&mut self, name: &str) -> Read<Option<String>> {
        self.chars(name, 0, TEXT_CHARS_MAX)
    }

    /// What people write: it may have lines and tabs.
    fn prose(&mut self, name: &str) -> Read<Option<String>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        let is_layout = |c| matches!(c, '\n' | '\r' | '\t');
        check_chars(&text, 0, TEXT_CHARS_MAX, is_layout)
            .map_err(|fault| fault.of(self.path(name)))?;
        Ok(Some(text.into_owned()))
    }

    fn names(&mut self, name: &str, max: usize) -> Read<Option<Vec<String>>> {
        let nodes = match self.take(name) {
            None => return Ok(None),
            Some(Node::List(nodes)) => nodes,
            Some(other) => return Err(self.wrong_type(name, "an array of strings", &other)),
        };
        if nodes.len() > max {
            return Err(self.too_many(name, nodes.len(), max));
        }
        let mut names = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.into_iter().enumerate() {
            let path = format!("{name}[{index}]");
            let Node::Text(text) = node else {
                return Err(self.wrong_type(&path, "a string", &node));
            };
            check_chars(&text, 1, NAME_CHARS_MAX, |_| false)
                .map_err(|fault| fault.of(self.path(&path)))?;
            names.push(text.into_owned());
        }
        Ok(Some(names))
    }

    fn too_many(&self, name: &str, len: usize, max: usize) -> EventError {
        EventError::BadLength {
            member: self.path(name),
            len,
            of: "entries",
            min: 0,
            max,
        }
    }

    fn truth(&mut self, name: &str) -> Read<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Bool(truth)) => Ok(Some(truth)),
            Some(other) => Err(self.wrong_type(name, "a boolean", &other)),
        }
    }

    fn integer<T: TryFrom<u64> + PartialOrd>(
        &mut self,
        name: &str,
        min: T,
        max: T,
        range: &'static str,
    ) -> Read<Option<T>> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Node::Unsigned(number)) => T::try_from(number).ok(),
            Some(Node::Negative(_)) => None,
            // Integers beyond 64 bits are read as floating point.
            Some(Node::Float(number)) if number.fract() == 0.0 && number.abs() >= TWO_TO_63 => None,
            Some(other) => return Err(self.wrong_type(name, "an integer", &other)),
        };
        match number {
            Some(number) if number >= min && number <= max => Ok(Some(number)),
            _ => Err(self.out_of_range(name, range)),
        }
    }

    fn number(&mut self, name: &str) -> Read<Option<f64>> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Float(number)) => Ok(Some(number)),
            Some(Node::Unsigned(number)) => Ok(Some(whole(i64::try_from(number)))),
            Some(Node::Negative(number)) => Ok(Some(whole(Ok::<_, ()>(number)))),
            Some(other) => Err(self.wrong_type(name, "a number", &other)),
        }
    }

    fn degrees(&mut self, name: &str, most: i32, range: &'static str) -> Read<Option<i32>> {
        let Some(degrees) = self.number(name)? else {
            return Ok(None);
        };
        if degrees.abs() > f64::from(most) {
            return Err(self.out_of_range(name, range));
        }
        Ok(i32::try_from(quantise(degrees * 1e6)).ok())
    }

    fn radius(&mut self, name: &str) -> Read<Option<u32>> {
        let Some(radius_km) = self.number(name)? else {
            return Ok(None);
        };
        if !(0.0..=f64::from(RADIUS_KM_MAX)).contains(&radius_km) {
            return Err(self.out_of_range(name, "0 to 20038"));
        }
        Ok(u32::try_from(quantise(radius_km * 1e3)).ok())
    }

    fn word<T>(
        &mut self,
        name: &str,
        parse: fn(&str) -> Option<T>,
        words: &'static [&'static str],
    ) -> Read<Option<T>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        match parse(&text) {
            Some(word) => Ok(Some(word)),
            None => Err(EventError::UnknownWord {
                member: self.path(name),
                value: cut(&text),
                expected: words,
            }),
        }
    }

    fn event_type(&mut self) -> Read<Option<EventType>> {
        let Some(text) = self.string("type")? else {
            return Ok(None);
        };
        match EventType::parse(&text) {
            Some(kind) => Ok(Some(kind)),
            None => Err(EventError::UnknownType { value: cut(&text) }),
        }
    }

    fn time(&mut self, name: &str) -> Read<Option<Timestamp>> {
        const EXPECTED: &str = "an RFC 3339 time or integer milliseconds";
        let moment = match self.take(name) {
            None => return Ok(None),
            Some(Node::Unsigned(ms)) => i64::try_from(ms).ok().map(Timestamp),
            Some(Node::Negative(ms)) => Some(Timestamp(ms)),
            Some(Node::Float(ms)) if ms.fract() == 0.0 && ms.abs() >= TWO_TO_63 => None,
            Some(Node::Text(text)) => match moment::parse(&text) {
                Some(moment) => Some(moment),
                None => return Err(self.unreadable(name, &text, EXPECTED)),
            },
            Some(other) => return Err(self.wrong_type(name, EXPECTED, &other)),
        };
        match moment {
            Some(moment) if moment::is_plausible(moment) => Ok(Some(moment)),
            _ => Err(self.out_of_range(name, "the years 2000 to 2100")),
        }
    }

    fn address(&mut self, name: &str) -> Read<Option<IpAddr>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Some(address)),
            Err(_) => Err(self.unreadable(name, &text, "an IPv4 or IPv6 address")),
        }
    }

    fn country(&mut self, name: &str) -> Read<Option<String>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Ok(Some(text.to_ascii_uppercase()));
        }
        Err(self.unreadable(name, &text, "a country's two letters"))
    }

    fn spiffe_id(&mut self, name: &str) -> Read<Option<String>> {
        let Some(id) = self.chars(name, 1, WORKLOAD_CHARS_MAX)? else {
            return Ok(None);
        };
        if is_spiffe_id(&id) {
            return Ok(Some(id));
        }
        Err(self.unreadable(name, &id, "a SPIFFE ID (`spiffe://trust-domain/path`)"))
    }

    fn decision(&mut self, name: &str) -> Read<Option<DecisionId>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        match DecisionId::parse(&text) {
            Some(id) => Ok(Some(id)),
            None => Err(self.unreadable(name, &text, "a decision's id")),
        }
    }

    fn alerts(&mut self, name: &str) -> Read<Vec<Alert>> {
        let nodes = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Node::List(nodes)) => nodes,
            Some(other) => return Err(self.wrong_type(name, "an array of alerts", &other)),
        };
        if nodes.len() > ALERTS_MAX {
            return Err(self.too_many(name, nodes.len(), ALERTS_MAX));
        }
        let mut alerts = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.into_iter().enumerate() {
            let path = format!("{name}[{index}]");
            let Node::Object(members) = node else {
                return Err(self.wrong_type(&path, "an object", &node));
            };
            let mut of = Members {
                prefix: Cow::Owned(format!("{}{path}.", self.prefix)),
                members,
            };
            alerts.push(alert(&mut of)?);
        }
        Ok(alerts)
    }
}

fn alert(of: &mut Members<'_>) -> Read<Alert> {
    const EVERY: &str = "every alert has one";
    Ok(Alert {
        severity: of
            .word("severity", Severity::parse, Severity::WORDS)?
            .ok_or(missing("posture.alerts[].severity", EVERY))?,
        name: of
            .name("name")?
            .ok_or(missing("posture.alerts[].name", EVERY))?,
        extra: of.rest(),
    })
}

/// The least magnitude that no signed 64-bit integer has.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

fn whole<E>(number: Result<i64, E>) -> f64 {
    caerus_engine::number::float(number.unwrap_or(i64::MAX))
}

/// What is wrong with a string, before its member is known.
enum CharsFault {
    Length { len: usize, min: usize, max: usize },
    Control { code: u32, at: usize },
}

impl CharsFault {
    fn of(self, member: String) -> EventError {
        match self {
            Self::Length { len, min, max } => EventError::BadLength {
                member,
                len,
                of: "characters",
                min,
                max,
            },
            Self::Control { code, at } => EventError::ControlCharacter { member, code, at },
        }
    }
}

fn check_chars(
    text: &str,
    min: usize,
    max: usize,
    is_allowed: fn(char) -> bool,
) -> Result<(), CharsFault> {
    // Bytes are at least as many as characters: the usual name is not counted.
    if text.len() > max || text.is_empty() {
        let len = text.chars().count();
        if len < min || len > max {
            return Err(CharsFault::Length { len, min, max });
        }
    }
    let control = text
        .chars()
        .enumerate()
        .find(|(_, c)| c.is_control() && !is_allowed(*c));
    match control {
        Some((index, c)) => Err(CharsFault::Control {
            code: u32::from(c),
            at: index + 1,
        }),
        None => Ok(()),
    }
}

/// *Source*: SPIFFE-ID §2: a lower-case trust domain, and a path of non-empty segments that are not dots.
fn is_spiffe_id(id: &str) -> bool {
    let Some(rest) = id.strip_prefix("spiffe://") else {
        return false;
    };
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    let is_domain = !domain.is_empty()
        && domain
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'));
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    is_domain && parts.all(is_segment)
}
