//! What every manifest inherits: lints, versions, licence. Versions stand once, at the workspace.

use std::fs;

use toml::{Table, Value};

use crate::workspace::{none, packages, read};

/// What a package takes from the workspace.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];
const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

fn manifests() -> Vec<(String, Table)> {
    packages()
        .iter()
        .map(|package| {
            let text = fs::read_to_string(&package.manifest_path).expect("a readable manifest");
            let table = text.parse().expect("a manifest cargo has read");
            (package.name.to_string(), table)
        })
        .collect()
}

fn is_inherited(value: Option<&Value>) -> bool {
    let workspace = value.and_then(|value| value.get("workspace"));
    workspace.and_then(Value::as_bool) == Some(true)
}

#[test]
fn every_package_inherits_what_is_decided_once() {
    let mut breaches = Vec::new();
    for (name, manifest) in manifests() {
        if !is_inherited(manifest.get("lints")) {
            breaches.push(format!("{name}: [lints] workspace = true"));
        }
        let package = manifest.get("package");
        for key in INHERITED {
            if !is_inherited(package.and_then(|package| package.get(key))) {
                breaches.push(format!("{name}: {key}.workspace = true"));
            }
        }
    }
    none("what a package inherits from the workspace", &breaches);
}

#[test]
fn versions_stand_once_at_the_workspace() {
    let mut breaches = Vec::new();
    for (name, manifest) in manifests() {
        for kind in DEPENDENCIES {
            let table = manifest.get(kind).and_then(Value::as_table);
            for (dependency, value) in table.into_iter().flatten() {
                if !is_inherited(Some(value)) {
                    breaches.push(format!("{name}: {dependency}.workspace = true"));
                }
            }
        }
    }
    none("a dependency's version stands at the workspace", &breaches);
}

#[test]
fn the_workspace_names_nothing_that_nobody_uses() {
    let root: Table = read("Cargo.toml")
        .parse()
        .expect("the workspace's manifest");
    let workspace = root.get("workspace");
    let listed = workspace
        .and_then(|w| w.get("dependencies"))
        .and_then(Value::as_table);
    let listed = listed.expect("[workspace.dependencies]");
    assert!(listed.len() > 20, "the workspace's dependencies were found");
    let manifests = manifests();
    let is_used = |dependency: &str| {
        manifests.iter().any(|(_, manifest)| {
            let tables = DEPENDENCIES.iter().filter_map(|kind| manifest.get(*kind));
            tables
                .filter_map(Value::as_table)
                .any(|table| table.contains_key(dependency))
        })
    };
    let breaches: Vec<String> = listed
        .keys()
        .filter(|name| !is_used(name))
        .cloned()
        .collect();
    none(
        "dependencies of the workspace that no package uses",
        &breaches,
    );
}

#[test]
fn the_engine_is_held_to_stricter_lints() {
    let house: Table = read("clippy.toml")
        .parse()
        .expect("the house's clippy.toml");
    let engine: Table = read("shared/engine/clippy.toml")
        .parse()
        .expect("the engine's clippy.toml");
    let mut breaches = Vec::new();
    for (key, value) in &house {
        let same = match (value, engine.get(key)) {
            // Clippy merges nothing: what the house bans, the engine's file has to ban again.
            (Value::Array(bans), Some(Value::Array(own))) => {
                let paths: Vec<&Value> = own.iter().filter_map(|ban| ban.get("path")).collect();
                let mut bans = bans.iter().filter_map(|ban| ban.get("path"));
                bans.all(|path| paths.contains(&path)) && own.len() >= paths.len()
            }
            (value, own) => own == Some(value),
        };
        if !same {
            breaches.push(format!("{key} is weaker than the house's"));
        }
    }
    for key in ["disallowed-methods", "disallowed-types"] {
        let own = engine
            .get(key)
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        let bans = house.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        if own <= bans {
            breaches.push(format!("{key} adds nothing to the house's"));
        }
    }
    none("the engine's lints are the house's, and more", &breaches);
}
