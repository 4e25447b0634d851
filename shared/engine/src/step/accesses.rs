//! How much, how often and how widely a caller asks, against what an hour of theirs usually holds.

use super::moment::Moment;
use crate::evidence::tails::nats_of_tail;
use crate::evidence::{Code, CountExpected, Detail, Evidence, put, withdraw};
use crate::id::short_hash;
use crate::number::{Count, quantise};
use crate::profile::access::{AccessHour, AccessProfile, VOLUME_PRIOR, hour_of};
use crate::profile::baseline::{RateBaseline, RatePrior};
use crate::signal::{Access, AccessOutcome};

/// What an hour holds before anything is known of the caller, widely spread.
const REQUESTS_PRIOR: RatePrior = RatePrior {
    events: 40.0,
    exposures: 2.0,
    shape_max: 1.0,
};
const RESOURCES_PRIOR: RatePrior = RatePrior {
    events: 16.0,
    exposures: 2.0,
    shape_max: 1.5,
};
const REFUSALS_PRIOR: RatePrior = RatePrior {
    events: 1.0,
    exposures: 2.0,
    shape_max: 1.0,
};
/// *Units*: nats.
const ACCESS_MAX: f64 = 4.0;
const WINDOW_S: u32 = 3_600;

/// Counts the request into the caller's hour; a finished hour becomes part of what is usual.
pub(super) fn count(
    hour: &mut AccessHour,
    profile: &mut AccessProfile,
    access: &Access,
    moment: &Moment,
) {
    if hour_of(moment.time) > hour.hour {
        if moment.learns() {
            profile.learn(hour, moment.now);
        }
        *hour = AccessHour::starting(moment.time);
    }
    match access.outcome {
        AccessOutcome::Refused => hour.refusals = hour.refusals.saturating_add(1),
        AccessOutcome::Served => hour.add(resource_key(access), access.bytes_out),
    }
}

fn resource_key(access: &Access) -> Option<u64> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let app = text(access.app.as_ref().map(crate::id::AppId::as_str));
    let resource = text(access.resource.as_ref().map(crate::id::ResourceId::as_str));
    let peer = text(
        access
            .peer_workload
            .as_ref()
            .map(crate::id::WorkloadId::as_str),
    );
    let is_named = !(app.is_empty() && resource.is_empty() && peer.is_empty());
    is_named.then(|| short_hash(&[app.as_bytes(), resource.as_bytes(), peer.as_bytes()]))
}

/// Puts the hour so far into evidence.
pub(super) fn evaluate(
    items: &mut Vec<Evidence>,
    hour: &AccessHour,
    profile: &AccessProfile,
    moment: &Moment,
) {
    let counts = [
        (
            Code::AccRate,
            hour.requests,
            &profile.requests,
            REQUESTS_PRIOR,
        ),
        (
            Code::AccFanout,
            hour.distinct_resources(),
            &profile.resources,
            RESOURCES_PRIOR,
        ),
        (
            Code::AccDeny,
            hour.refusals,
            &profile.refusals,
            REFUSALS_PRIOR,
        ),
    ];
    for (code, seen, baseline, prior) in counts {
        evaluate_count(
            items,
            Counted {
                code,
                seen,
                baseline,
                prior,
            },
            moment,
        );
    }
    let tail = profile
        .volume
        .tail(hour.volume_level(), VOLUME_PRIOR, moment.now);
    let nats = nats_of_tail(tail).clamp(0.0, ACCESS_MAX);
    if hour.bytes == 0 || nats == 0.0 {
        withdraw(items, Code::AccVol, None);
        return;
    }
    let (mean, ..) = profile.volume.belief(VOLUME_PRIOR, moment.now);
    let expected = u64::try_from(quantise(libm::expm1(mean))).unwrap_or(0);
    let observations = quantise(profile.volume.observations(moment.now));
    let detail = Detail::Volume {
        bytes: hour.bytes,
        expected_bytes: expected,
        observations: u32::try_from(observations).unwrap_or(0),
    };
    put(
        items,
        Evidence::new(Code::AccVol, 0, nats, moment.told(detail)),
        moment.now,
    );
}

struct Counted<'a> {
    code: Code,
    seen: u32,
    baseline: &'a RateBaseline,
    prior: RatePrior,
}

fn evaluate_count(items: &mut Vec<Evidence>, counted: Counted<'_>, moment: &Moment) {
    let Counted {
        code,
        seen,
        baseline,
        prior,
    } = counted;
    let tail = baseline.tail(u64::from(seen), 1.0, prior, moment.now);
    let nats = nats_of_tail(tail).clamp(0.0, ACCESS_MAX);
    if nats == 0.0 {
        withdraw(items, code, None);
        return;
    }
    let expected = CountExpected(Count::from_f64(baseline.expected(1.0, prior, moment.now)).0);
    let detail = Detail::Requests {
        seen,
        window_s: WINDOW_S,
        expected,
    };
    put(
        items,
        Evidence::new(code, 0, nats, moment.told(detail)),
        moment.now,
    );
}
