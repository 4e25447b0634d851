//! Impossible travel, with the uncertainty of both fixes. *Source*: reference/scoring.md §2.

use crate::number::float;
use crate::signal::{Fix, NetworkClass};
use crate::time::Span;

/// *Units*: kilometres.
const EARTH_RADIUS_KM: f64 = 6_371.0;
/// Door to door by airliner. *Units*: kilometres an hour.
const SPEED_KM_H: f64 = 1_000.0;
/// Slack before a hop counts at all.
const SLACK_KM: f64 = 100.0;
/// Standard deviations for one kilometre of a 67 % radius (Rayleigh).
const SIGMA_PER_RADIUS: f64 = 0.6716;
const SIGMA_MIN_KM: f64 = 5.0;
const RADIUS_UNKNOWN_KM: f64 = 200.0;
/// Pairs closer in time than clocks are to one another count only when far apart.
const SKEW: Span = Span::seconds(120);
const SKEW_DISTANCE_KM: f64 = 500.0;

/// One end of a hop.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub fix: Fix,
    pub class: NetworkClass,
}

/// A hop's evidence, before caps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hop {
    pub nats: f64,
    pub km: f64,
}

/// The evidence of having been at both ends within `apart`; 0 where it was feasible.
pub fn hop(from: End, to: End, apart: Span) -> Hop {
    let km = distance_km(from.fix, to.fix);
    if apart < SKEW && km <= SKEW_DISTANCE_KM {
        return Hop { nats: 0.0, km };
    }
    let (a, b) = (radius_km(from.fix), radius_km(to.fix));
    let sigma = (SIGMA_PER_RADIUS * libm::sqrt(a * a + b * b)).max(SIGMA_MIN_KM);
    let z = (km - SPEED_KM_H * apart.as_hours() - SLACK_KM) / sigma;
    if z <= 0.0 {
        return Hop { nats: 0.0, km };
    }
    let infeasible = 0.5 * libm::erfc(-z / core::f64::consts::SQRT_2);
    let innocent = innocent_rate(from.class).max(innocent_rate(to.class));
    Hop {
        nats: -libm::log(1.0 - infeasible * (1.0 - innocent)),
        km,
    }
}

/// How often a legitimate user shows an infeasible hop on such a network.
fn innocent_rate(class: NetworkClass) -> f64 {
    match class {
        NetworkClass::Residential => 0.02,
        NetworkClass::Mobile => 0.10,
        NetworkClass::Corporate => 0.6,
        NetworkClass::Vpn | NetworkClass::Hosting | NetworkClass::Relay | NetworkClass::Proxy => {
            0.5
        }
        NetworkClass::Tor => 0.5,
        NetworkClass::Unknown => 0.15,
    }
}

/// True for networks whose fix says nothing of where their user is.
pub fn is_no_anchor(class: NetworkClass) -> bool {
    matches!(
        class,
        NetworkClass::Hosting
            | NetworkClass::Vpn
            | NetworkClass::Proxy
            | NetworkClass::Tor
            | NetworkClass::Relay
    )
}

fn radius_km(fix: Fix) -> f64 {
    fix.radius_m
        .map_or(RADIUS_UNKNOWN_KM, |metres| f64::from(metres) / 1_000.0)
}

/// Great-circle distance (haversine).
pub fn distance_km(from: Fix, to: Fix) -> f64 {
    let radians = |micro: i32| float(i64::from(micro)) / 1e6 * (core::f64::consts::PI / 180.0);
    let (lat_a, lat_b) = (radians(from.latitude), radians(to.latitude));
    let half_lat = libm::sin((lat_b - lat_a) / 2.0);
    let half_lon = libm::sin((radians(to.longitude) - radians(from.longitude)) / 2.0);
    let chord = half_lat * half_lat + libm::cos(lat_a) * libm::cos(lat_b) * half_lon * half_lon;
    2.0 * EARTH_RADIUS_KM * libm::asin(libm::sqrt(chord.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(km_east: f64, radius_km: u32, class: NetworkClass) -> End {
        let degrees = km_east / (EARTH_RADIUS_KM * core::f64::consts::PI / 180.0);
        let longitude = i32::try_from(crate::number::quantise(degrees * 1e6)).unwrap();
        End {
            fix: Fix {
                latitude: 0,
                longitude,
                radius_m: Some(radius_km * 1_000),
            },
            class,
        }
    }

    #[test]
    fn the_published_hops_come_out() {
        let home = NetworkClass::Residential;
        let table = [
            (2_000.0, Span::hours(1), home, 3.91),
            (700.0, Span::minutes(30), home, 1.38),
            (700.0, Span::minutes(30), NetworkClass::Vpn, 0.48),
            (900.0, Span::hours(1), home, 0.0),
        ];
        for (km, apart, class, nats) in table {
            let got = hop(at(0.0, 50, home), at(km, 200, class), apart).nats;
            assert!(
                (got - nats).abs() < 0.05,
                "{km} km: {got} instead of {nats}"
            );
        }
    }

    #[test]
    fn clocks_that_disagree_by_a_minute_make_no_hop_of_a_short_distance() {
        let home = NetworkClass::Residential;
        let near = hop(at(0.0, 5, home), at(400.0, 5, home), Span::seconds(60));
        let far = hop(at(0.0, 5, home), at(900.0, 5, home), Span::seconds(60));
        assert!(near.nats.abs() < f64::EPSILON && far.nats > 3.0);
    }
}
