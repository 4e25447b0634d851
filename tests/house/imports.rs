//! Who may know whom: our packages among themselves, and which rooms may use which of the world's.

use std::collections::BTreeSet;
use std::process::Command;

use cargo_metadata::{DependencyKind, Package};

use crate::workspace::{none, packages, root};

/// One package of ours.
struct Room {
    package: &'static str,
    /// Which of ours it may know.
    may_know: &'static [&'static str],
    /// Which of ours its tests may know besides.
    tests_may_know: &'static [&'static str],
}

const ENGINE: &str = "caerus-engine";
const POLICY: &str = "caerus-policy";
const WIRE: &str = "caerus-wire";
const SCENARIO: &str = "caerus-scenario";
const RUNTIME: &str = "caerus-runtime";
const ADAPTERS: &str = "caerus-adapters";
const TESTKIT: &str = "caerus-testkit";

/// What every service is made of. Never adapters, never another service.
const SERVICE: &[&str] = &[ENGINE, POLICY, WIRE, RUNTIME];
/// What a service's tests may stand on.
const SERVICE_TESTS: &[&str] = &[ADAPTERS, TESTKIT, SCENARIO];

const ROOMS: &[Room] = &[
    Room {
        package: ENGINE,
        may_know: &[],
        tests_may_know: &[],
    },
    Room {
        package: POLICY,
        may_know: &[ENGINE],
        tests_may_know: &[],
    },
    Room {
        package: WIRE,
        may_know: &[ENGINE],
        tests_may_know: &[],
    },
    Room {
        package: SCENARIO,
        may_know: &[WIRE],
        tests_may_know: &[],
    },
    Room {
        package: RUNTIME,
        may_know: &[ENGINE, WIRE],
        tests_may_know: &[],
    },
    Room {
        package: ADAPTERS,
        may_know: &[ENGINE, WIRE, RUNTIME],
        tests_may_know: &[TESTKIT],
    },
    Room {
        package: TESTKIT,
        may_know: &[ENGINE, POLICY, WIRE, SCENARIO, RUNTIME],
        tests_may_know: &[],
    },
    Room {
        package: "caerus-ingest",
        may_know: SERVICE,
        tests_may_know: SERVICE_TESTS,
    },
    Room {
        package: "caerus-evaluator",
        may_know: SERVICE,
        tests_may_know: SERVICE_TESTS,
    },
    Room {
        package: "caerus-gateway",
        may_know: SERVICE,
        tests_may_know: SERVICE_TESTS,
    },
    Room {
        package: "caerus-console",
        may_know: SERVICE,
        tests_may_know: SERVICE_TESTS,
    },
    Room {
        package: "caerus-enforcer",
        may_know: SERVICE,
        tests_may_know: SERVICE_TESTS,
    },
    Room {
        package: "caerus",
        may_know: &[
            ENGINE,
            POLICY,
            WIRE,
            SCENARIO,
            RUNTIME,
            ADAPTERS,
            "caerus-ingest",
            "caerus-evaluator",
            "caerus-gateway",
            "caerus-console",
            "caerus-enforcer",
        ],
        tests_may_know: &[TESTKIT],
    },
    Room {
        package: "caerus-enforcer-bin",
        may_know: &[ENGINE, WIRE, RUNTIME, "caerus-enforcer"],
        tests_may_know: &[],
    },
    Room {
        package: "caerus-load-tests",
        may_know: &[WIRE, SCENARIO],
        tests_may_know: &[],
    },
    Room {
        package: "caerus-tests",
        may_know: &[
            ENGINE,
            POLICY,
            WIRE,
            SCENARIO,
            RUNTIME,
            ADAPTERS,
            TESTKIT,
            "caerus-ingest",
            "caerus-evaluator",
            "caerus-gateway",
            "caerus-console",
            "caerus-enforcer",
        ],
        tests_may_know: &[],
    },
];

/// All that the engine is built from besides itself.
const ENGINE_STANDS_ON: &[&str] = &["libm", "siphasher", "statrs", "thiserror"];

/// What must not be anywhere beneath a package, however it came there.
const NEVER_BENEATH: &[(&str, &[&str])] = &[
    (
        ENGINE,
        &[
            "serde",
            "serde_json",
            "tokio",
            "rand",
            "rand_core",
            "getrandom",
            "chrono",
            "jiff",
            "time",
            "log",
            "tracing",
            "sqlx",
            "hashbrown",
            "rayon",
        ],
    ),
    (
        POLICY,
        &["tokio", "getrandom", "sqlx", "axum", "hyper", "reqwest"],
    ),
    (
        WIRE,
        &[
            "tokio",
            "getrandom",
            "rand",
            "sqlx",
            "axum",
            "hyper",
            "reqwest",
        ],
    ),
    (
        SCENARIO,
        &[
            "tokio",
            "getrandom",
            "sqlx",
            "axum",
            "hyper",
            "reqwest",
            "caerus-policy",
        ],
    ),
    (
        "caerus-enforcer-bin",
        &["sqlx", "cedar-policy", "maxminddb", "caerus-adapters"],
    ),
];

/// What only these rooms may use. Tests of any room may.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sqlx", &[ADAPTERS]),
    ("maxminddb", &[ADAPTERS]),
    ("rdkafka", &[ADAPTERS]),
    ("redis", &[ADAPTERS]),
    ("cedar-policy", &[POLICY]),
    ("miette", &[POLICY]),
    ("jiff", &[WIRE]),
    ("prometheus-client", &[RUNTIME]),
    ("opentelemetry", &[RUNTIME]),
    ("opentelemetry-otlp", &[RUNTIME]),
    ("opentelemetry_sdk", &[RUNTIME]),
    ("tracing-opentelemetry", &[RUNTIME]),
    ("tracing-subscriber", &[RUNTIME]),
    ("jsonwebtoken", &["caerus-enforcer"]),
    ("statrs", &[ENGINE]),
    ("rand", &[SCENARIO, TESTKIT, "caerus-load-tests"]),
    ("rand_chacha", &[SCENARIO, TESTKIT, "caerus-load-tests"]),
    (
        "anyhow",
        &["caerus", "caerus-enforcer-bin", "caerus-load-tests"],
    ),
    (
        "clap",
        &["caerus", "caerus-enforcer-bin", "caerus-load-tests"],
    ),
    ("comfy-table", &["caerus"]),
    ("indicatif", &["caerus"]),
];

fn room(package: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.package == package)
}

/// Direct dependencies of one kind, by name.
fn direct(package: &Package, is_wanted: impl Fn(DependencyKind) -> bool) -> BTreeSet<&str> {
    let dependencies = package.dependencies.iter();
    dependencies
        .filter(|dependency| is_wanted(dependency.kind))
        .map(|dependency| dependency.name.as_str())
        .collect()
}

fn is_shipped(kind: DependencyKind) -> bool {
    matches!(kind, DependencyKind::Normal | DependencyKind::Build)
}

#[test]
fn every_package_has_its_row_and_every_row_its_package() {
    let there: BTreeSet<&str> = packages().iter().map(|p| p.name.as_str()).collect();
    let listed: BTreeSet<&str> = ROOMS.iter().map(|room| room.package).collect();
    assert_eq!(there, listed, "packages on the left, rows on the right");
}

#[test]
fn a_room_knows_only_whom_its_row_allows() {
    let ours: BTreeSet<&str> = ROOMS.iter().map(|room| room.package).collect();
    let mut breaches = Vec::new();
    for package in packages() {
        let Some(room) = room(&package.name) else {
            continue;
        };
        let shipped = direct(package, is_shipped);
        for known in shipped.intersection(&ours) {
            if !room.may_know.contains(known) {
                breaches.push(format!("{} must not know {known}", room.package));
            }
        }
        let for_tests = direct(package, |kind| !is_shipped(kind));
        for known in for_tests.intersection(&ours) {
            if !room.may_know.contains(known) && !room.tests_may_know.contains(known) {
                breaches.push(format!("tests of {} must not know {known}", room.package));
            }
        }
    }
    none("who may know whom (ARCHITECTURE.md, rooms)", &breaches);
}

#[test]
fn the_engine_stands_on_four_crates() {
    let engine = packages().into_iter().find(|p| p.name.as_str() == ENGINE);
    let names = direct(engine.expect("the engine is a package"), is_shipped);
    let allowed: BTreeSet<&str> = ENGINE_STANDS_ON.iter().copied().collect();
    assert_eq!(names, allowed);
}

#[test]
fn what_a_room_must_never_know_is_nowhere_beneath_it() {
    let mut breaches = Vec::new();
    for (package, never) in NEVER_BENEATH {
        let found = beneath(package);
        assert!(found.len() > 1, "{package} was found with its dependencies");
        for name in never.iter().filter(|name| found.contains(**name)) {
            breaches.push(format!("{name} is beneath {package}"));
        }
    }
    none("what must not be beneath a room", &breaches);
}

#[test]
fn only_the_rooms_made_for_it_use_a_crate() {
    let mut breaches = Vec::new();
    for package in packages() {
        if package.name.as_str() == "caerus-tests" {
            continue;
        }
        let shipped = direct(package, is_shipped);
        for (name, rooms) in ONLY_IN {
            if shipped.contains(name) && !rooms.contains(&package.name.as_str()) {
                let rooms = rooms.join(", ");
                breaches.push(format!("{} uses {name}; only {rooms} may", package.name));
            }
        }
    }
    none("which rooms may use which crates", &breaches);
}

/// The names of everything a package is built from, as it is built alone: what optional parts of the graph other
/// packages switch on does not count.
fn beneath(package: &str) -> BTreeSet<String> {
    let arguments = [
        "tree",
        "--offline",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--package",
    ];
    let told = Command::new("cargo")
        .args(arguments)
        .arg(package)
        .current_dir(root())
        .output()
        .expect("cargo is at hand");
    let lines = String::from_utf8_lossy(&told.stdout);
    assert!(
        told.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&told.stderr)
    );
    let names = lines
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}
