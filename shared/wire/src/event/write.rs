//! Writes the native form: members in the contract's order, absent ones left out. Knows nothing of reading.

use caerus_engine::id::short_hash;
use caerus_engine::number::float;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::{Alert, Geo, NativeEvent, Posture};
use crate::moment::Moment;

/// Writes each of the members that is there, under its own name.
macro_rules! write_given {
    ($map:ident, $of:ident, $($member:ident)+) => {
        $(if let Some(value) = &$of.$member {
            $map.serialize_entry(stringify!($member), value)?;
        })+
    };
}

impl Serialize for NativeEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("time", &Moment(self.time))?;
        write_given!(map, self, tenant source user workload peer_workload session device);
        write_given!(map, self, ip user_agent geo outcome failure amr acr);
        if let Some(issued_at) = self.issued_at {
            map.serialize_entry("issued_at", &Moment(issued_at))?;
        }
        write_given!(map, self, app resource method status bytes_out sensitivity);
        write_given!(map, self, ja4 cert_sha256 posture event level detail verdict);
        if let Some(decision) = self.decision {
            map.serialize_entry("decision", &decision.to_string())?;
        }
        write_given!(map, self, by note label);
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Geo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let degrees = |millionths: i32| float(i64::from(millionths)) / 1e6;
        let mut map = serializer.serialize_map(None)?;
        if let Some(latitude) = self.latitude {
            map.serialize_entry("lat", &degrees(latitude))?;
        }
        if let Some(longitude) = self.longitude {
            map.serialize_entry("lon", &degrees(longitude))?;
        }
        if let Some(metres) = self.radius_m {
            map.serialize_entry("radius_km", &(f64::from(metres) / 1e3))?;
        }
        write_given!(map, self, country region city asn as_org network);
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Posture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        write_given!(map, self, compliant managed os os_version disk_encrypted firewall);
        write_given!(map, self, screen_lock edr jailbroken patch_age_days score);
        if !self.alerts.is_empty() {
            map.serialize_entry("alerts", &self.alerts)?;
        }
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Alert {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("severity", &self.severity)?;
        map.serialize_entry("name", &self.name)?;
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl NativeEvent {
    /// One line of JSON without a line break.
    pub fn to_json(&self) -> String {
        // Maps with text keys and finite numbers always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Names the event's content, to tell a repeat from another body under the same id: two events that read the same
    /// have the same, however they were spaced and whatever the order of their members.
    pub fn body_hash(&self) -> u64 {
        short_hash(&[self.to_json().as_bytes()])
    }

    /// Everything unknown in the event, those inside `geo` and `posture` included, as one JSON object; `None` without.
    pub fn extra_json(&self) -> Option<String> {
        let mut all = self.extra.clone();
        if let Some(geo) = self.geo.as_ref().filter(|geo| !geo.extra.is_empty()) {
            all.insert(String::from("geo"), Value::Object(geo.extra.clone()));
        }
        if let Some(posture) = &self.posture {
            let mut unknown = posture.extra.clone();
            if posture.alerts.iter().any(|alert| !alert.extra.is_empty()) {
                let alerts = posture
                    .alerts
                    .iter()
                    .map(|alert| Value::Object(alert.extra.clone()));
                unknown.insert(String::from("alerts"), Value::Array(alerts.collect()));
            }
            if !unknown.is_empty() {
                all.insert(String::from("posture"), Value::Object(sorted(unknown)));
            }
        }
        (!all.is_empty()).then(|| Value::Object(sorted(all)).to_string())
    }
}

/// The map's own order may be that of insertion.
fn sorted(map: Map<String, Value>) -> Map<String, Value> {
    let mut members: Vec<_> = map.into_iter().collect();
    members.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    members.into_iter().collect()
}
