//! One record of an MMDB file, whichever of the two forms it has. Knows no files.

use caerus_engine::id::{Asn, CountryCode};
use caerus_engine::number::quantise;
use caerus_engine::signal::{Fix, NetworkClass};
use serde::Deserialize;

/// Where a file names a city and no radius: databases of that kind are right within 50 km for most addresses.
const CITY_RADIUS_M: u32 = 50_000;
/// Where a file gives a country's middle and no radius. The disc of a country's area would be exact; files without a
/// radius come without areas, and a disc of 500 km (785,000 km²) holds most countries that people sign in from. For the
/// few larger ones it errs towards certainty about a point that travel then compares with a city's, 50 km around.
const COUNTRY_RADIUS_M: u32 = 500_000;
/// MaxMind's `user_type` of relays that hide many consumers, such as iCloud's.
const RELAY: &str = "consumer_privacy_network";
const METRES_PER_KM: u32 = 1_000;
const MILLIONTHS: f64 = 1e6;

/// Members of both forms: MaxMind's nested one, and the flat one of `ip-location-db`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    country: Option<CountryName>,
    registered_country: Option<CountryName>,
    city: Option<CityName>,
    location: Option<Location>,
    traits: Traits,
    country_code: Option<String>,
    latitude: Option<Number>,
    longitude: Option<Number>,
    accuracy_radius: Option<Number>,
    /// Traits stand at the top in MaxMind's small databases.
    #[serde(flatten)]
    top: Traits,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum CountryName {
    Nested { iso_code: Option<String> },
    Flat(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum CityName {
    Nested { names: Option<Names> },
    Flat(String),
}

#[derive(Debug, Deserialize)]
struct Names {
    en: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Location {
    latitude: Option<Number>,
    longitude: Option<Number>,
    accuracy_radius: Option<Number>,
}

/// Files choose the width of their numbers freely, and some flat ones hold numbers as text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u32),
    Real(f64),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the members are the file's, each a fact of its own"
)]
struct Traits {
    autonomous_system_number: Option<Number>,
    is_anonymous: bool,
    is_anonymous_vpn: bool,
    is_hosting_provider: bool,
    is_public_proxy: bool,
    is_residential_proxy: bool,
    is_tor_exit_node: bool,
    connection_type: Option<String>,
    user_type: Option<String>,
}

impl Record {
    pub(super) fn country(&self) -> Option<CountryCode> {
        let nested = |name: &Option<CountryName>| match name {
            Some(CountryName::Nested { iso_code }) => iso_code.as_deref().and_then(country_code),
            Some(CountryName::Flat(text)) => country_code(text),
            None => None,
        };
        nested(&self.country)
            .or_else(|| self.country_code.as_deref().and_then(country_code))
            .or_else(|| nested(&self.registered_country))
    }

    pub(super) fn asn(&self) -> Option<Asn> {
        [&self.top, &self.traits]
            .into_iter()
            .find_map(|traits| traits.autonomous_system_number.as_ref()?.whole())
            .filter(|number| *number != 0)
            .map(Asn)
    }

    pub(super) fn city(&self) -> Option<&str> {
        let name = match self.city.as_ref()? {
            CityName::Nested { names } => names.as_ref()?.en.as_deref()?,
            CityName::Flat(name) => name,
        };
        Some(name).filter(|name| !name.is_empty())
    }

    pub(super) fn fix(&self) -> Option<Fix> {
        let nested = self.location.as_ref();
        let latitude = nested
            .and_then(|place| place.latitude.as_ref())
            .or(self.latitude.as_ref())?
            .real()?;
        let longitude = nested
            .and_then(|place| place.longitude.as_ref())
            .or(self.longitude.as_ref())?
            .real()?;
        // Flat files write 0, 0 where they know nothing.
        let is_nowhere = latitude.abs() < f64::EPSILON && longitude.abs() < f64::EPSILON;
        if is_nowhere && self.city().is_none() {
            return None;
        }
        Some(Fix {
            latitude: millionths(latitude, 90.0)?,
            longitude: millionths(longitude, 180.0)?,
            radius_m: Some(self.radius_m()),
        })
    }

    fn radius_m(&self) -> u32 {
        let given_km = self
            .location
            .as_ref()
            .and_then(|place| place.accuracy_radius.as_ref())
            .or(self.accuracy_radius.as_ref())
            .and_then(Number::whole);
        match given_km {
            Some(km) if km > 0 => km.saturating_mul(METRES_PER_KM),
            _ if self.city().is_some() => CITY_RADIUS_M,
            _ => COUNTRY_RADIUS_M,
        }
    }

    /// What the address hides behind, the most telling first.
    pub(super) fn behind(&self) -> NetworkClass {
        let says = |fact: fn(&Traits) -> bool| fact(&self.top) || fact(&self.traits);
        if says(|traits| traits.is_tor_exit_node) {
            NetworkClass::Tor
        } else if says(|traits| traits.user_type.as_deref() == Some(RELAY)) {
            NetworkClass::Relay
        } else if says(|traits| traits.is_anonymous_vpn) {
            NetworkClass::Vpn
        } else if says(|traits| traits.is_public_proxy || traits.is_residential_proxy) {
            NetworkClass::Proxy
        } else if says(|traits| traits.is_hosting_provider) {
            NetworkClass::Hosting
        } else if says(|traits| traits.is_anonymous) {
            NetworkClass::Proxy
        } else {
            NetworkClass::Unknown
        }
    }

    /// What kind of line it came over.
    pub(super) fn line(&self) -> NetworkClass {
        let traits = [&self.top, &self.traits];
        let of_user = traits.iter().find_map(|traits| traits.user_type.as_deref());
        let of_line = traits
            .iter()
            .find_map(|traits| traits.connection_type.as_deref());
        match of_user.map_or(NetworkClass::Unknown, class_of_user) {
            NetworkClass::Unknown => of_line.map_or(NetworkClass::Unknown, class_of_line),
            known => known,
        }
    }
}

impl Number {
    fn real(&self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(f64::from(*number)),
            Self::Real(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    fn whole(&self) -> Option<u32> {
        match self {
            Self::Whole(number) => Some(*number),
            Self::Real(number) => u32::try_from(quantise(*number)).ok(),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

fn millionths(degrees: f64, bound: f64) -> Option<i32> {
    if !degrees.is_finite() || degrees.abs() > bound {
        return None;
    }
    i32::try_from(quantise(degrees * MILLIONTHS)).ok()
}

fn country_code(text: &str) -> Option<CountryCode> {
    let bytes = <[u8; 2]>::try_from(text.as_bytes()).ok()?;
    bytes
        .iter()
        .all(u8::is_ascii_alphabetic)
        .then(|| CountryCode(bytes.map(|byte| byte.to_ascii_uppercase())))
}

/// MaxMind's `user_type`.
fn class_of_user(text: &str) -> NetworkClass {
    match text {
        "residential" => NetworkClass::Residential,
        "cellular" => NetworkClass::Mobile,
        "business" | "college" | "government" | "library" | "military" | "school" => {
            NetworkClass::Corporate
        }
        "hosting" | "content_delivery_network" => NetworkClass::Hosting,
        _ => NetworkClass::Unknown,
    }
}

/// MaxMind's `connection_type`.
fn class_of_line(text: &str) -> NetworkClass {
    match text {
        "Cellular" => NetworkClass::Mobile,
        "Corporate" => NetworkClass::Corporate,
        "Cable/DSL" | "Dialup" | "Satellite" => NetworkClass::Residential,
        _ => NetworkClass::Unknown,
    }
}
