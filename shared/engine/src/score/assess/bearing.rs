//! What an item of evidence is worth for a hypothesis: masks, families, weights and caps. *Source*: reference/scoring.md
//! §6.1 and rulings 1, 4, 8. Knows nothing of points.

use super::{Bench, Binding, Court, DEVICE_VERDICT, Exhibit, Part, Source};
use crate::evidence::{Code, Family, Kind};
use crate::score::Hypothesis;

const DEPENDENCE_WEIGHT: f64 = 0.7;
/// The p-series takes this many items of one code.
const SERIES_LEN: usize = 3;
const SERIES_EXPONENT: f64 = 1.5;

pub(super) const FAMILIES: [Family; 11] = [
    Family::Network,
    Family::Geo,
    Family::DeviceNovelty,
    Family::Auth,
    Family::Campaign,
    Family::Reputation,
    Family::Vendor,
    Family::Posture,
    Family::Binding,
    Family::Access,
    Family::Analyst,
];

/// A family's caps, after its weight. *Units*: nats.
pub(super) fn bounds(hypothesis: Hypothesis, family: Family) -> (f64, f64) {
    match family {
        Family::Network | Family::DeviceNovelty | Family::Auth => (-3.0, 5.0),
        Family::Geo => (0.0, 4.0),
        Family::Campaign => (0.0, 5.0),
        Family::Reputation => (-1.0, 4.0),
        Family::Vendor => (0.0, 10.0),
        Family::Posture => (0.0, 6.0),
        Family::Binding => (0.0, 7.0),
        Family::Access if hypothesis == Hypothesis::Misuse => (-1.0, 8.0),
        Family::Access => (-1.0, 5.0),
        Family::Analyst => (f64::NEG_INFINITY, f64::INFINITY),
    }
}

fn weight(family: Family) -> f64 {
    match family {
        Family::Network | Family::DeviceNovelty => DEPENDENCE_WEIGHT,
        Family::Geo
        | Family::Auth
        | Family::Campaign
        | Family::Reputation
        | Family::Vendor
        | Family::Posture
        | Family::Binding
        | Family::Access
        | Family::Analyst => 1.0,
    }
}

/// The items of one family that count for a hypothesis, weighed; codes in their fixed order.
pub(super) fn weigh_family<'a>(
    hypothesis: Hypothesis,
    family: Family,
    court: Court,
    exhibits: &'a [Exhibit<'a>],
) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    for code in Code::ALL.into_iter().filter(|code| code.family() == family) {
        let mut items: Vec<(f64, &Exhibit<'a>)> = exhibits
            .iter()
            .filter(|exhibit| exhibit.code == code)
            .map(|exhibit| (bearing(hypothesis, court, exhibit), exhibit))
            .filter(|(nats, _)| is_material(*nats))
            .collect();
        if code.kind() == Kind::Event {
            items.sort_by(|(a, x), (b, y)| b.total_cmp(a).then(x.key.cmp(&y.key)));
            items.truncate(SERIES_LEN);
        } else {
            items.sort_by_key(|(_, exhibit)| exhibit.key);
        }
        for (index, (nats, exhibit)) in items.into_iter().enumerate() {
            let rank = crate::number::float(i64::try_from(index + 1).unwrap_or(i64::MAX));
            let series = match code.kind() {
                Kind::Event => libm::pow(rank, SERIES_EXPONENT),
                Kind::State => 1.0,
            };
            let nats = weight(family) * nats / series;
            parts.push(Part {
                nats,
                source: Source::Exhibit(exhibit),
            });
        }
    }
    parts
}

pub(super) fn is_material(nats: f64) -> bool {
    libm::fabs(nats) > 1e-9
}

/// What an item is worth for a hypothesis; 0 where it does not bear on it.
fn bearing(hypothesis: Hypothesis, court: Court, exhibit: &Exhibit<'_>) -> f64 {
    let nats = exhibit.nats;
    match hypothesis {
        Hypothesis::StolenCredential if exhibit.is_disproved => 0.0,
        Hypothesis::HijackedSession if exhibit.is_disproved => 0.0,
        Hypothesis::StolenCredential => credential_bearing(court, exhibit, nats),
        Hypothesis::HijackedSession => session_bearing(court, exhibit, nats),
        Hypothesis::CompromisedDevice => match exhibit.code {
            Code::Posture | Code::EdrAlert => nats,
            Code::Analyst if is_about_device(exhibit, court) => nats,
            _ => 0.0,
        },
        Hypothesis::Misuse => match exhibit.code {
            Code::AccRate | Code::AccFanout | Code::AccDeny | Code::AccVol => nats,
            Code::Analyst if !is_about_device(exhibit, court) => nats,
            _ => 0.0,
        },
    }
}

fn credential_bearing(court: Court, exhibit: &Exhibit<'_>, nats: f64) -> f64 {
    match exhibit.code {
        Code::NetChain
        | Code::DevChain
        | Code::AuthChain
        | Code::Travel
        | Code::NetClass
        | Code::FailUser
        | Code::FailSucc
        | Code::IpFanout
        | Code::TenantSpray
        | Code::MfaFatigue
        | Code::CredChange
        | Code::IdpRisk => nats,
        Code::AccRate | Code::AccFanout | Code::AccDeny | Code::AccVol if court.has_novelty => nats,
        Code::Analyst if !is_about_device(exhibit, court) => nats,
        Code::AccRate
        | Code::AccFanout
        | Code::AccDeny
        | Code::AccVol
        | Code::Analyst
        | Code::Posture
        | Code::EdrAlert
        | Code::Binding => 0.0,
    }
}

/// In a hijacked session trust comes from a device-bound proof alone, and novelty counts beside a broken binding alone.
fn session_bearing(court: Court, exhibit: &Exhibit<'_>, nats: f64) -> f64 {
    let is_device_proven = matches!(
        court.bench,
        Bench::Session {
            is_device_proven: true
        }
    );
    match exhibit.code {
        Code::Binding | Code::CredChange | Code::IdpRisk => nats,
        Code::DevChain if nats < 0.0 => {
            if is_device_proven {
                nats
            } else {
                0.0
            }
        }
        Code::NetChain | Code::DevChain | Code::NetClass if court.has_binding() => nats.max(0.0),
        Code::Travel if court.binding == Binding::Broken => nats,
        Code::AccRate | Code::AccFanout | Code::AccDeny | Code::AccVol
            if court.has_binding() || court.bench == Bench::Workload =>
        {
            nats
        }
        Code::Analyst if !is_about_device(exhibit, court) => nats,
        Code::NetChain
        | Code::DevChain
        | Code::NetClass
        | Code::Travel
        | Code::AccRate
        | Code::AccFanout
        | Code::AccDeny
        | Code::AccVol
        | Code::Analyst
        | Code::AuthChain
        | Code::FailUser
        | Code::FailSucc
        | Code::IpFanout
        | Code::TenantSpray
        | Code::MfaFatigue
        | Code::Posture
        | Code::EdrAlert => 0.0,
    }
}

fn is_about_device(exhibit: &Exhibit<'_>, court: Court) -> bool {
    court.bench == Bench::Device || exhibit.key == DEVICE_VERDICT
}
