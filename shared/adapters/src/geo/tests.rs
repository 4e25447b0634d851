//! Geo databases, nested and flat: what is found in them, what stays unknown, what is refused.

use std::path::PathBuf;

use caerus_engine::id::{Asn, CountryCode};
use caerus_engine::signal::Fix;

use super::*;

/// Test databases outside the repository: a gate where they are present.
fn shared(names: &[&str]) -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/mmdb");
    if !folder.is_dir() {
        eprintln!(
            "not checked: the geo test databases are not in {}",
            folder.display()
        );
        return None;
    }
    Some(names.iter().map(|name| folder.join(name)).collect())
}

fn locate(databases: &GeoDatabases, address: &str) -> Place {
    databases.locate(address.parse().unwrap())
}

#[test]
fn a_city_database_gives_country_city_and_a_fix_with_its_radius() {
    let Some(paths) = shared(&["GeoIP2-City-Test.mmdb"]) else {
        return;
    };
    let databases = GeoDatabases::open(&paths).unwrap();
    let london = locate(&databases, "81.2.69.160");
    assert_eq!(london.country, Some(CountryCode(*b"GB")));
    assert_eq!(london.city.as_deref(), Some("London"));
    assert_eq!(
        london.fix,
        Some(Fix {
            latitude: 51_514_200,
            longitude: -93_100,
            radius_m: Some(100_000),
        })
    );
    assert_eq!(locate(&databases, "::ffff:81.2.69.160"), london);
    assert_eq!(locate(&databases, "192.0.2.1"), Place::default());
}

#[test]
fn several_databases_are_read_as_one() {
    let names = [
        "GeoIP2-City-Test.mmdb",
        "GeoLite2-ASN-Test.mmdb",
        "GeoIP2-ISP-Test.mmdb",
        "GeoIP2-Anonymous-IP-Test.mmdb",
        "GeoIP2-Connection-Type-Test.mmdb",
    ];
    let Some(paths) = shared(&names) else {
        return;
    };
    let databases = GeoDatabases::open(&paths).unwrap();
    let asn = |address| locate(&databases, address).asn;
    assert_eq!(asn("1.128.0.1"), Some(Asn(1221)));
    assert_eq!(asn("12.81.92.1"), Some(Asn(7018)));
    let classes = [
        ("65.0.0.1", NetworkClass::Tor),
        ("1.2.0.1", NetworkClass::Vpn),
        ("186.30.236.1", NetworkClass::Proxy),
        ("71.160.223.1", NetworkClass::Hosting),
        ("1.0.1.1", NetworkClass::Mobile),
        ("201.243.200.1", NetworkClass::Corporate),
        ("1.0.0.1", NetworkClass::Residential),
    ];
    for (address, expected) in classes {
        assert_eq!(locate(&databases, address).class, expected, "{address}");
    }
}

#[test]
fn the_first_database_that_knows_wins_whatever_their_order() {
    let Some(paths) = shared(&["GeoLite2-ASN-Test.mmdb", "GeoIP2-City-Test.mmdb"]) else {
        return;
    };
    let forward = GeoDatabases::open(&paths).unwrap();
    let backward = GeoDatabases::open(&[paths[1].clone(), paths[0].clone()]).unwrap();
    for address in ["89.160.20.112", "2001:480:10::1", "81.2.69.160"] {
        let place = locate(&forward, address);
        assert_ne!(place, Place::default(), "{address}");
        assert_eq!(place, locate(&backward, address), "{address}");
    }
}

/// A value as an MMDB file holds it.
enum Value {
    Text(&'static str),
    Double(f64),
    U16(u16),
    U32(u32),
    U64(u64),
    EmptyList,
    Map(Vec<(&'static str, Value)>),
}

/// The format's encoding, <https://maxmind.github.io/MaxMind-DB/>; no length here reaches 285.
fn encode(value: &Value, into: &mut Vec<u8>) {
    let control = |kind: u8, len: u8| (kind << 5) | len;
    match value {
        Value::Text(text) => {
            let len = u8::try_from(text.len()).unwrap();
            match len.checked_sub(29) {
                None => into.push(control(2, len)),
                Some(rest) => into.extend([control(2, 29), rest]),
            }
            into.extend(text.as_bytes());
        }
        Value::Double(number) => {
            into.push(control(3, 8));
            into.extend(number.to_be_bytes());
        }
        Value::U16(number) => {
            into.push(control(5, 2));
            into.extend(number.to_be_bytes());
        }
        Value::U32(number) => {
            into.push(control(6, 4));
            into.extend(number.to_be_bytes());
        }
        Value::U64(number) => {
            into.extend([control(0, 8), 9 - 7]);
            into.extend(number.to_be_bytes());
        }
        Value::EmptyList => into.extend([control(0, 0), 11 - 7]),
        Value::Map(members) => {
            into.push(control(7, u8::try_from(members.len()).unwrap()));
            for (name, member) in members {
                encode(&Value::Text(name), into);
                encode(member, into);
            }
        }
    }
}

/// An IPv4 file of one record, which every address below 128.0.0.0 has.
fn database(record: Value) -> GeoDatabases {
    const NODES: u8 = 1;
    // The left branch leads to the record, the right one nowhere.
    let mut bytes = vec![0, 0, NODES + 16, 0, 0, NODES];
    bytes.extend([0; 16]);
    encode(&record, &mut bytes);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::U16(2)),
        ("binary_format_minor_version", Value::U16(0)),
        ("build_epoch", Value::U64(1_700_000_000)),
        ("database_type", Value::Text("flat")),
        ("description", Value::Map(Vec::new())),
        ("ip_version", Value::U16(4)),
        ("languages", Value::EmptyList),
        ("node_count", Value::U32(NODES.into())),
        ("record_size", Value::U16(24)),
    ]);
    encode(&metadata, &mut bytes);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.mmdb");
    std::fs::write(&path, bytes).unwrap();
    GeoDatabases::open(&[path]).unwrap()
}

fn fix(latitude: i32, longitude: i32, radius_m: u32) -> Option<Fix> {
    Some(Fix {
        latitude,
        longitude,
        radius_m: Some(radius_m),
    })
}

#[test]
fn flat_databases_give_what_they_hold() {
    let place = |members| locate(&database(Value::Map(members)), "100.1.2.3");
    let city = place(vec![
        ("city", Value::Text("Tallinn")),
        ("country_code", Value::Text("ee")),
        ("latitude", Value::Double(59.437)),
        ("longitude", Value::Text("24.7536")),
        ("timezone", Value::Text("Europe/Tallinn")),
    ]);
    assert_eq!(city.country, Some(CountryCode(*b"EE")));
    assert_eq!(city.city.as_deref(), Some("Tallinn"));
    assert_eq!(city.fix, fix(59_437_000, 24_753_600, 50_000));
    let country = place(vec![
        ("country_code", Value::Text("EE")),
        ("latitude", Value::Double(58.7)),
        ("longitude", Value::Double(-25.5)),
    ]);
    assert_eq!(country.fix, fix(58_700_000, -25_500_000, 500_000));
    let asn = place(vec![
        ("autonomous_system_number", Value::U32(64_500)),
        ("autonomous_system_organization", Value::Text("Example")),
    ]);
    assert_eq!(asn.asn, Some(Asn(64_500)));
    assert_eq!((asn.country, asn.fix, asn.class), Default::default());
}

#[test]
fn a_nested_country_and_traits_are_read() {
    let databases = database(Value::Map(vec![
        ("country", Value::Map(vec![("iso_code", Value::Text("DE"))])),
        (
            "traits",
            Value::Map(vec![
                ("autonomous_system_number", Value::U16(7)),
                ("user_type", Value::Text("consumer_privacy_network")),
            ]),
        ),
    ]));
    let place = locate(&databases, "100.1.2.3");
    assert_eq!(place.country, Some(CountryCode(*b"DE")));
    assert_eq!(place.asn, Some(Asn(7)));
    assert_eq!(place.class, NetworkClass::Relay);
    // The file knows the lower half of IPv4 alone.
    for elsewhere in ["200.1.2.3", "2001:db8::1"] {
        assert_eq!(locate(&databases, elsewhere), Place::default());
    }
}

#[test]
fn a_fact_of_the_wrong_kind_is_unknown_and_harms_nothing() {
    let place = |members| locate(&database(Value::Map(members)), "100.1.2.3");
    let cases = [
        ("country_code", Value::Text("Germany")),
        ("latitude", Value::Double(f64::NAN)),
        ("latitude", Value::Double(91.0)),
        ("latitude", Value::Text("north")),
        ("city", Value::Text("")),
    ];
    for (name, wrong) in cases {
        let found = place(vec![
            (name, wrong),
            ("longitude", Value::Double(1.0)),
            ("autonomous_system_number", Value::Text("64500")),
        ]);
        let expected = Place {
            asn: Some(Asn(64_500)),
            ..Place::default()
        };
        assert_eq!(found, expected, "{name}");
    }
    // Null Island stands for nothing known.
    let nowhere = place(vec![
        ("latitude", Value::Double(0.0)),
        ("longitude", Value::Double(0.0)),
    ]);
    assert_eq!(nowhere.fix, None);
}

#[test]
fn a_missing_file_is_refused_and_a_broken_one_is_corrupt_and_both_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.mmdb");
    let broken = folder.path().join("broken.mmdb");
    std::fs::write(&broken, b"this is no geo database").unwrap();
    let cases = [
        (missing, PortErrorKind::Refused),
        (broken, PortErrorKind::Corrupt),
    ];
    for (path, expected) in cases {
        let error = GeoDatabases::open(std::slice::from_ref(&path)).unwrap_err();
        assert_eq!(error.kind, expected);
        assert!(
            error.operation.contains(&path.display().to_string()),
            "{error}"
        );
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn without_databases_every_place_is_unknown() {
    let databases = GeoDatabases::open(&[]).unwrap();
    assert_eq!(locate(&databases, "81.2.69.160"), Place::default());
}
