//! An event's members as the engine's facts, one to one. Knows no subject and no receipt.

use std::net::IpAddr;

use caerus_engine::id::{
    AcrValue, AppId, Asn, CountryCode, DeviceId, Fingerprint, ResourceId, SessionId, UserId,
    WorkloadId,
};
use caerus_engine::signal::{
    Access, AccessOutcome, Alert, Authentication, Client, Fix, Health, Login, Outcome, Place,
    ReportedRisk, SessionChange, SessionChangeKind,
};
use caerus_wire::event::{Geo, NativeEvent, SessionEvent};

use super::AboutNobody;
use crate::agent;

/// Answers that refuse a request: nothing of the session's binding follows from them.
const REFUSING: [u16; 2] = [401, 403];

pub(super) fn login(event: &NativeEvent, locate: &dyn Fn(IpAddr) -> Place) -> Login {
    Login {
        session: session(event),
        client: client(event, locate),
        outcome: event.outcome_kind(),
        authentication: authentication(event),
        issued_at: event.issued_at,
    }
}

pub(super) fn access(event: &NativeEvent, locate: &dyn Fn(IpAddr) -> Place) -> Access {
    Access {
        session: session(event),
        client: client(event, locate),
        peer_workload: event.peer_workload.as_deref().map(WorkloadId::new),
        app: event.app.as_deref().map(AppId::new),
        resource: event.resource.as_deref().map(ResourceId::new),
        outcome: access_outcome(event),
        bytes_out: event.bytes_out.unwrap_or(0),
        sensitivity: event.sensitivity,
        issued_at: event.issued_at,
    }
}

/// The status says it where there is one; else the outcome.
fn access_outcome(event: &NativeEvent) -> AccessOutcome {
    let is_refused = match event.status {
        Some(status) => REFUSING.contains(&status),
        None => event.outcome_kind() != Outcome::Success,
    };
    if is_refused {
        AccessOutcome::Refused
    } else {
        AccessOutcome::Served
    }
}

pub(super) fn health(event: &NativeEvent) -> Health {
    let posture = event.posture.clone().unwrap_or_default();
    Health {
        user: event.user.as_deref().map(UserId::new),
        compliant: posture.compliant,
        managed: posture.managed,
        os: posture.os,
        os_version: posture.os_version,
        disk_encrypted: posture.disk_encrypted,
        firewall: posture.firewall,
        screen_lock: posture.screen_lock,
        edr: posture.edr.map(Into::into),
        jailbroken: posture.jailbroken,
        patch_age_days: posture.patch_age_days,
        score: posture.score,
        alerts: posture
            .alerts
            .into_iter()
            .map(|alert| Alert {
                severity: alert.severity.into(),
                name: alert.name,
            })
            .collect(),
    }
}

pub(super) fn session_change(
    event: &NativeEvent,
    locate: &dyn Fn(IpAddr) -> Place,
) -> Result<SessionChange, AboutNobody> {
    let kind = match event.event.ok_or(AboutNobody { member: "event" })? {
        SessionEvent::Started => SessionChangeKind::Started,
        SessionEvent::Ended => SessionChangeKind::Ended,
        SessionEvent::StepUpMet => SessionChangeKind::StepUpMet,
        SessionEvent::CredentialChanged => SessionChangeKind::CredentialChanged,
        SessionEvent::MfaEnrolled => SessionChangeKind::MfaEnrolled,
        SessionEvent::AccountDisabled => SessionChangeKind::AccountDisabled,
        SessionEvent::AccountEnabled => SessionChangeKind::AccountEnabled,
        SessionEvent::RiskReported => SessionChangeKind::RiskReported {
            level: reported(event)?,
            detail: event.detail.clone(),
        },
    };
    Ok(SessionChange {
        session: session(event),
        client: client(event, locate),
        authentication: authentication(event),
        issued_at: event.issued_at,
        kind,
    })
}

fn reported(event: &NativeEvent) -> Result<ReportedRisk, AboutNobody> {
    let level = event.level.ok_or(AboutNobody { member: "level" })?;
    Ok(level.into())
}

fn session(event: &NativeEvent) -> Option<SessionId> {
    event.session.as_deref().map(SessionId::new)
}

fn client(event: &NativeEvent, locate: &dyn Fn(IpAddr) -> Place) -> Client {
    let place = match (&event.geo, event.ip) {
        (Some(geo), _) => place(geo),
        (None, Some(address)) => locate(address),
        (None, None) => Place::default(),
    };
    Client {
        device: event.device.as_deref().map(DeviceId::new),
        address: event.ip,
        place,
        agent: event
            .user_agent
            .as_deref()
            .map(agent::families)
            .unwrap_or_default(),
        ja4: event.ja4.as_deref().map(Fingerprint::new),
        certificate: event.cert_sha256.as_deref().map(Fingerprint::new),
    }
}

fn authentication(event: &NativeEvent) -> Authentication {
    let methods = event.amr.iter().flatten();
    Authentication {
        amr: methods.map(|method| method.to_lowercase()).collect(),
        acr: event.acr.as_deref().map(AcrValue::new),
    }
}

fn place(geo: &Geo) -> Place {
    let fix = match (geo.latitude, geo.longitude) {
        (Some(latitude), Some(longitude)) => Some(Fix {
            latitude,
            longitude,
            radius_m: geo.radius_m,
        }),
        _ => None,
    };
    Place {
        country: geo.country.as_deref().and_then(country),
        asn: geo.asn.map(Asn),
        city: geo.city.clone(),
        fix,
        class: geo.network.map(Into::into).unwrap_or_default(),
    }
}

fn country(code: &str) -> Option<CountryCode> {
    <[u8; 2]>::try_from(code.to_ascii_uppercase().as_bytes())
        .ok()
        .map(CountryCode)
}
