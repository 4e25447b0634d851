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
