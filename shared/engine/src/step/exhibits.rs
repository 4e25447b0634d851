//! What is held against a session, its user and the device at hand, as it counts now: faded, after what analysts took
//! off, and marked where a proof disproved it. Knows no hypothesis.

use crate::evidence::{CheckState, Code, Detail, Evidence, NEGLIGIBLE};
use crate::id::{SessionId, short_hash};
use crate::profile::decay::fade;
use crate::record::{Bound, Dismissal, Session, UserRecord};
use crate::score::assess::{DEVICE_VERDICT, Exhibit, ExhibitDetail, verdict_detail};
use crate::signal::{DeviceFinding, StandingEvidence};
use crate::step::sessions::ATTRIBUTE_MASK;
use crate::time::Timestamp;

/// The evidence of a subject without sessions, less what analysts dismissed of it.
pub(super) fn plain_exhibits<'a>(
    evidence: &'a [Evidence],
    dismissals: &[Dismissal],
    now: Timestamp,
) -> Vec<Exhibit<'a>> {
    let items = evidence.iter();
    items
        .map(|item| exhibit(item, dismissals, None, now))
        .collect()
}

/// The positive evidence a decision rests on.
pub(super) fn basis(exhibits: &[Exhibit<'_>]) -> Vec<(Code, u64)> {
    exhibits
        .iter()
        .filter(|exhibit| exhibit.nats > NEGLIGIBLE.as_f64() && !exhibit.is_disproved)
        .map(|exhibit| (exhibit.code, exhibit.key))
        .collect()
}

pub(super) fn session_exhibits<'a>(
    user: &'a UserRecord,
    session: &'a Session,
    now: Timestamp,
) -> Vec<Exhibit<'a>> {
    let mut exhibits: Vec<Exhibit<'a>> = Vec::with_capacity(session.evidence.len() + 4);
    for item in &session.evidence {
        let mut exhibit = exhibit(item, &user.dismissals, Some(&session.id), now);
        exhibit.is_disproved = is_disproved(session, item);
        if item.code != Code::Binding {
            exhibits.push(exhibit);
            continue;
        }
        // Of one binding attribute only the greatest change that still counts is shown.
        let attribute = item.key & ATTRIBUTE_MASK;
        let rival = exhibits
            .iter_mut()
            .find(|held| held.code == Code::Binding && held.key & ATTRIBUTE_MASK == attribute);
        let rank = |exhibit: &Exhibit<'_>| {
            (
                !exhibit.is_disproved,
                crate::number::Nats::from_f64(exhibit.nats),
            )
        };
        match rival {
            Some(rival) if rank(rival) < rank(&exhibit) => *rival = exhibit,
            Some(_) => {}
            None => exhibits.push(exhibit),
        }
    }
    exhibits
}

/// Only what speaks against the session can be disproved; trust is not.
fn is_disproved(session: &Session, item: &Evidence) -> bool {
    item.nats.is_positive() && session.is_disproved(item)
}

pub(super) fn user_exhibits<'a>(
    user: &'a UserRecord,
    session: Option<&'a Session>,
    now: Timestamp,
) -> Vec<Exhibit<'a>> {
    user.evidence
        .iter()
        .map(|item| {
            let mut exhibit = exhibit(item, &user.dismissals, None, now);
            exhibit.is_disproved = session.is_some_and(|session| is_disproved(session, item))
                && !is_beyond_proof(item);
            exhibit
        })
        .collect()
}

/// A vendor's "confirmed compromised" and an analyst's verdict are not washed by a step-up.
fn is_beyond_proof(item: &Evidence) -> bool {
    use crate::signal::ReportedRisk::ConfirmedCompromised;
    item.code == Code::Analyst || matches!(item.detail, Detail::ReportedRisk(ConfirmedCompromised))
}

fn exhibit<'a>(
    item: &'a Evidence,
    dismissals: &[Dismissal],
    session: Option<&SessionId>,
    now: Timestamp,
) -> Exhibit<'a> {
    let mut exhibit = Exhibit::of(item, now);
    if exhibit.nats > 0.0 && item.code != Code::Analyst {
        let taken = dismissed(dismissals, session, (item.code, item.key), now);
        exhibit.nats = (exhibit.nats - taken).max(0.0);
    }
    exhibit
}

/// The nats analysts took off one code and key.
fn dismissed(
    dismissals: &[Dismissal],
    session: Option<&SessionId>,
    (code, key): (Code, u64),
    now: Timestamp,
) -> f64 {
    let half_life = Code::Analyst.half_life().unwrap_or(crate::time::Span::ZERO);
    dismissals
        .iter()
        .filter(|d| d.code == code && d.key == key && d.session.as_ref() == session)
        .map(|d| crate::evidence::device::ANALYST * fade(now.since(d.at), half_life))
        .fold(0.0, f64::max)
}

/// What the device at hand has told of itself.
pub(super) fn standing_exhibits<'a>(
    user: &'a UserRecord,
    current: &Bound,
    now: Timestamp,
) -> Vec<Exhibit<'a>> {
    let Some(device) = &current.device else {
        return Vec::new();
    };
    let Some(standing) = user.standings.iter().find(|held| held.device == *device) else {
        return Vec::new();
    };
    standing
        .evidence
        .iter()
        .map(|item| standing_exhibit(item, now))
        .collect()
}

fn standing_exhibit(item: &StandingEvidence, now: Timestamp) -> Exhibit<'_> {
    let nats = item.half_life.map_or(item.nats.as_f64(), |half_life| {
        item.nats.as_f64() * fade(now.since(item.since), half_life)
    });
    let (code, key, detail) = match &item.finding {
        DeviceFinding::Check(check) => (
            Code::Posture,
            *check as u64,
            Detail::Check {
                check: *check,
                state: CheckState::Failing,
            },
        ),
        DeviceFinding::Alert { name, severity } => (
            Code::EdrAlert,
            short_hash(&[name.as_bytes()]),
            Detail::Alert {
                name: name.clone(),
                severity: *severity,
            },
        ),
        DeviceFinding::Analyst(verdict) => (
            Code::Analyst,
            DEVICE_VERDICT,
            verdict_detail(*verdict, "analyst"),
        ),
    };
    Exhibit {
        code,
        key,
        nats,
        event: &item.event,
        detail: ExhibitDetail::Made(detail),
        is_disproved: false,
    }
}
