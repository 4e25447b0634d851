//! Reads the native form. Knows nothing of writing, nor of what becomes of an event.

use super::members::{Members, Read};
use super::{
    ALERTS_MAX, Alert, EVENT_BYTES_MAX, Edr, EventError, EventType, Failure, Geo, ID_CHARS_MAX,
    METHODS_MAX, NativeEvent, Network, Outcome, PATCH_AGE_DAYS_MAX, POSTURE_SCORE_MAX, Posture,
    RiskLevel, SENSITIVITY_MAX, SessionEvent, Severity, Verdict,
};
use crate::json::{self, Node};

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
    let event = native(&mut Members::new(members))?;
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
        alerts: alerts_of(of.objects("alerts", ALERTS_MAX)?)?,
        extra: of.rest(),
    })
}

fn alerts_of(objects: Vec<Members<'_>>) -> Read<Vec<Alert>> {
    let mut alerts = Vec::with_capacity(objects.len());
    for mut object in objects {
        alerts.push(alert_of(&mut object)?);
    }
    Ok(alerts)
}

fn alert_of(of: &mut Members<'_>) -> Read<Alert> {
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
