//! How files look: names, length, first lines, words that have no place here.

use crate::workspace::{Source, files, none, packages, read, rust};

/// Lines of a file outside its tests.
const LINES_MAX: usize = 500;
/// Lines of a service's `main.rs`.
const MAIN_LINES_MAX: usize = 60;
/// Letters of a module's first line, below which it says nothing.
const FIRST_LINE_MIN: usize = 16;
/// Marks in a row that make a comment a banner.
const BANNER_MARKS: usize = 4;

/// Files above the limit, with the lines they may have and why. A row may shrink or go; none may be added or grow.
const LONG_FILES: [(&str, usize, &str); 0] = [];

/// Gravity wells: names that say nothing of what is inside.
const BANNED_NAMES: [&str; 10] = [
    "mod.rs",
    "util.rs",
    "utils.rs",
    "helper.rs",
    "helpers.rs",
    "common.rs",
    "type.rs",
    "types.rs",
    "model_types.rs",
    "models.rs",
];

/// Words of work left undone, spelled apart so that this file may hold them. Letter case counts.
const LEFT_UNDONE: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("HA", "CK:"),
];

/// Phrases of a dialogue, of excuses and of banners. Letter case does not count.
const EXCUSES: [&str; 9] = [
    concat!("for ", "now,"),
    concat!("for ", "now."),
    concat!("for ", "now "),
    concat!("simpl", "ified"),
    concat!("in a real ", "system"),
    concat!("in produc", "tion you"),
    concat!("as an ", "ai"),
    concat!("placeholder ", "for"),
    concat!("left as an ", "exercise"),
];

/// What turns a test off, or makes it pass by failing.
const DEAD_TESTS: [&str; 2] = [concat!("#[ig", "nore"), concat!("#[should_", "panic")];

/// The text behind a line's comment mark, if the line is a comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let marks = ["///", "//!", "//", "--", "#"];
    marks.iter().find_map(|mark| line.strip_prefix(mark))
}

fn is_prose(file: &Source) -> bool {
    file.path.ends_with(".md")
}

/// Line by line through every written file.
fn breaches(of: impl Fn(&Source, &str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for file in files() {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(what) = of(file, line) {
                found.push(format!("{}:{}: {what}", file.path, index + 1));
            }
        }
    }
    found
}

#[test]
fn every_module_says_first_what_it_is_for() {
    let found: Vec<String> = rust()
        .filter(|file| {
            let first = file.text.lines().next().unwrap_or_default();
            let told = first.strip_prefix("//! ").unwrap_or_default();
            told.chars().count() < FIRST_LINE_MIN
        })
        .map(|file| file.path.clone())
        .collect();
    none(
        "a module's first line, `//! …`, says the job of its room",
        &found,
    );
}

#[test]
fn files_stay_short() {
    let mut found = Vec::new();
    for file in rust() {
        let lines = file.lines_outside_tests().count();
        let row = LONG_FILES.iter().find(|(path, ..)| *path == file.path);
        let limit = row.map_or(LINES_MAX, |(_, limit, _)| *limit);
        if lines > limit {
            found.push(format!("{}: {lines} lines, {limit} allowed", file.path));
        }
        if row.is_some() && lines <= LINES_MAX {
            found.push(format!("{}: short enough, take its row away", file.path));
        }
    }
    for (path, ..) in LONG_FILES {
        if !rust().any(|file| file.path == path) {
            found.push(format!("{path}: gone, take its row away"));
        }
    }
    none("a file has at most 500 lines outside its tests", &found);
}

#[test]
fn mains_are_thin() {
    let mut found = Vec::new();
    let mains: Vec<&Source> = rust()
        .filter(|file| file.path.starts_with("services/") && file.path.ends_with("/src/main.rs"))
        .collect();
    assert_eq!(mains.len(), 2, "the two programs' mains were found");
    for file in mains {
        let lines = file.text.lines().count();
        if lines > MAIN_LINES_MAX {
            found.push(format!("{}: {lines} lines", file.path));
        }
        for word in [
            "if ", "match ", "for ", "while ", "loop ", "struct ", "enum ", "impl ",
        ] {
            let mut code = file.text.lines().filter(|line| comment(line).is_none());
            if let Some(line) = code.find(|line| line.trim_start().starts_with(word)) {
                found.push(format!("{}: decides something: {}", file.path, line.trim()));
            }
        }
        let functions = file.text.matches("fn ").count();
        if functions != 1 {
            found.push(format!(
                "{}: {functions} functions beside one another",
                file.path
            ));
        }
    }
    none("a main hands over, and no more", &found);
}

#[test]
fn names_of_files_say_what_is_inside() {
    let found: Vec<String> = rust()
        .filter(|file| BANNED_NAMES.contains(&file.name()))
        .map(|file| file.path.clone())
        .collect();
    none("names that say nothing", &found);
}

#[test]
fn nothing_is_left_undone_or_excused() {
    let found = breaches(|file, line| {
        if file.path == "Cargo.toml" || file.name() == "LICENSE" {
            return None;
        }
        let low = line.to_lowercase();
        let undone = LEFT_UNDONE.iter().find(|word| line.contains(**word));
        let excuse = EXCUSES.iter().find(|word| low.contains(**word));
        undone.or(excuse).map(|word| (*word).to_owned())
    });
    none("words of work left undone", &found);
}

#[test]
fn comments_are_sentences_not_banners() {
    let found = breaches(|file, line| {
        let text = if is_prose(file) { None } else { comment(line) }?.trim();
        let marks = |letter: char| "-=*#~_".contains(letter);
        let before = text.chars().take_while(|letter| marks(*letter)).count();
        let after = text
            .chars()
            .rev()
            .take_while(|letter| marks(*letter))
            .count();
        // A table in a doc comment begins and ends with its bars, so that it is none.
        (before.max(after) >= BANNER_MARKS).then(|| text.to_owned())
    });
    none("banners", &found);
}

#[test]
fn nobody_smiles_in_pictures() {
    let is_picture = |letter: char| {
        let code = u32::from(letter);
        (0x1_F300..=0x1_FAFF).contains(&code) || (0x2600..=0x27BF).contains(&code)
    };
    let found = breaches(|file, line| {
        // In code such letters are input for tests; what people read has none.
        let read = if is_prose(file) {
            Some(line)
        } else {
            comment(line)
        }?;
        read.contains(is_picture).then(|| line.trim().to_owned())
    });
    none("pictures for letters", &found);
}

#[test]
fn every_test_runs_and_says_what_it_expects() {
    let found = breaches(|file, line| {
        let dead = DEAD_TESTS.iter().find(|word| line.contains(**word));
        dead.filter(|_| file.is_rust())
            .map(|word| (*word).to_owned())
    });
    none("tests that do not run, or pass by failing", &found);
}

#[test]
fn features_choose_adapters_and_nothing_else() {
    let found = breaches(|file, line| {
        let is_choice = line.contains("cfg(feature") || line.contains("cfg!(feature");
        let is_elsewhere = file.is_rust()
            && !file.path.starts_with("shared/adapters/")
            && !file.path.starts_with("tests/house/");
        (is_choice && is_elsewhere).then(|| line.trim().to_owned())
    });
    none("features choose adapters, never behaviour", &found);
}

#[test]
fn an_invariant_is_named_where_it_is_upheld() {
    let page = read("ARCHITECTURE.md");
    let named = |number: u32, text: &str| {
        let name = format!("INV-{number}");
        text.match_indices(&name).any(|(at, _)| {
            let after = text.get(at + name.len()..).unwrap_or_default();
            !after.starts_with(|letter: char| letter.is_ascii_digit())
        })
    };
    let mut found = Vec::new();
    for number in 1..=10 {
        if !named(number, &page) {
            found.push(format!("INV-{number} is not in ARCHITECTURE.md"));
        }
        let mut code = rust().filter(|file| !file.path.starts_with("tests/house/"));
        if !code.any(|file| named(number, &file.text)) {
            found.push(format!("INV-{number} is named in no source"));
        }
    }
    none("the named invariants", &found);
}

#[test]
fn crates_open_no_second_front_door() {
    let mut found = Vec::new();
    for package in packages() {
        let folder = package
            .manifest_path
            .parent()
            .expect("a manifest lies in a folder");
        let front = folder.join("src/lib.rs");
        if !front.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&front).expect("a readable front door");
        for line in text
            .lines()
            .filter(|line| line.trim_end().ends_with("::*;"))
        {
            found.push(format!("{front}: {line}"));
        }
    }
    none("a front door names what it lets through", &found);
}
