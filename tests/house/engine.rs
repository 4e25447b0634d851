//! The order inside the engine: a module imports only what stands to its left, and nothing that is not pure.

use std::collections::BTreeSet;

use crate::workspace::{Source, none, rust};

const SOURCES: &str = "shared/engine/src/";

/// The order, stage by stage. Words of one stage may use one another in the order in which they stand.
const ORDER: [&str; 12] = [
    "number", "time", "limits", "id", "signal", "climate", "profile", "evidence", "score",
    "decide", "record", "step",
];

/// What makes two runs differ, or asks the world outside.
const IMPURE: [&str; 22] = [
    "std::time",
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::io",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "Mutex",
    "RwLock",
    "OnceLock",
    "Atomic",
    "mpsc",
    "thread_local!",
    "HashMap",
    "HashSet",
    "async fn",
    ".await",
    "static mut",
    "RefCell",
];

/// The libm of the platform: its last digit differs from machine to machine. `libm` does not.
const PLATFORM_MATHEMATICS: [&str; 14] = [
    ".ln()",
    ".ln_1p()",
    ".log2()",
    ".log10()",
    ".log(",
    ".exp()",
    ".exp2()",
    ".exp_m1()",
    ".powf(",
    ".powi(",
    ".sin()",
    ".cos()",
    ".atan2(",
    ".hypot(",
];

fn sources() -> Vec<&'static Source> {
    let found: Vec<&Source> = rust()
        .filter(|file| file.path.starts_with(SOURCES) && !file.is_test())
        .collect();
    assert!(found.len() > ORDER.len(), "the engine's sources were found");
    found
}

/// The module of the crate's root that a file belongs to; none for `lib.rs`.
fn module(file: &Source) -> Option<&str> {
    let inside = file.path.strip_prefix(SOURCES)?;
    let first = inside.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib").then_some(name)
}

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

/// The modules of the crate's root that a file's code names.
fn named(file: &Source) -> BTreeSet<String> {
    let code: String = file
        .lines_outside_tests()
        .map(|(_, line)| line.split("//").next().unwrap_or_default())
        .flat_map(|line| [line, "\n"])
        .collect();
    // From a file of the root, `super` is the crate; from one below, `super::super` is.
    let depth = file.path.matches('/').count() - SOURCES.matches('/').count();
    let above = format!("{}::", vec!["super"; depth + 1].join("::"));
    let mut found = BTreeSet::new();
    for from in ["crate::", &above] {
        for (at, _) in code.match_indices(from) {
            let before = code.get(..at).unwrap_or_default();
            if before.ends_with("::") || before.ends_with("pub(") {
                continue;
            }
            first_words(code.get(at + from.len()..).unwrap_or_default(), &mut found);
        }
    }
    found
}

/// The first word of a path, or of each path in a group.
fn first_words(rest: &str, found: &mut BTreeSet<String>) {
    let Some(group) = rest.strip_prefix('{') else {
        found.insert(word(rest));
        return;
    };
    let mut open = 1_u32;
    let mut is_first = true;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            ',' if open == 1 => is_first = true,
            _ if is_first && !letter.is_whitespace() => {
                found.insert(word(group.get(at..).unwrap_or_default()));
                is_first = false;
            }
            _ => {}
        }
        if open == 0 {
            return;
        }
    }
}

fn word(text: &str) -> String {
    let letters = text.chars();
    letters
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

#[test]
fn every_module_of_the_engine_has_its_place() {
    let there: BTreeSet<&str> = sources().iter().filter_map(|file| module(file)).collect();
    assert_eq!(there, BTreeSet::from(ORDER));
}

#[test]
fn modules_of_the_engine_import_only_to_the_left() {
    let mut breaches = Vec::new();
    for file in sources() {
        let Some(own) = module(file) else { continue };
        for other in named(file) {
            let is_right = match (place(own), place(&other)) {
                (Some(own), Some(other)) => other <= own,
                // A name that is no module: an item that `lib.rs` re-exports, which stands right of all.
                _ => false,
            };
            if !is_right {
                breaches.push(format!("{}: crate::{other}", file.path));
            }
        }
    }
    none("a module of the engine imports only to its left", &breaches);
}

#[test]
fn the_engine_asks_nothing_of_the_world() {
    let mut breaches = Vec::new();
    for file in sources() {
        for (number, line) in file.lines_outside_tests() {
            let code = line.split("//").next().unwrap_or_default();
            for word in IMPURE.iter().chain(&PLATFORM_MATHEMATICS) {
                if code.contains(word) {
                    breaches.push(format!("{}:{number}: {word}", file.path));
                }
            }
        }
    }
    none(
        "the engine is pure, and its mathematics is libm's",
        &breaches,
    );
}

#[test]
fn imports_are_read_in_every_form_they_are_written() {
    let cases: [(&str, &[&str]); 5] = [
        ("use crate::time::Timestamp;", &["time"]),
        (
            "use crate::{id, score::{Model, assess}, time::Span};",
            &["id", "score", "time"],
        ),
        ("pub use super::decide::Core;", &["decide"]),
        ("let x = crate::number::cap(1); // crate::step", &["number"]),
        (
            "pub(crate) fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::step;\n}",
            &[],
        ),
    ];
    for (text, expected) in cases {
        let file = Source {
            path: format!("{SOURCES}record.rs"),
            text: text.to_owned(),
        };
        let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(named(&file), expected, "{text}");
    }
}
