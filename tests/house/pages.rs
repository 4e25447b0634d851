//! The pages people read name what is there: rooms, files, commands, flags, targets, keys, metrics.

use std::collections::BTreeSet;
use std::fs;

use crate::workspace::{files, none, packages, read, root, rust};

/// The folders of the top level, fixed by the project's owner.
const TOP_LEVEL: [&str; 7] = [
    "services/",
    "shared/",
    "migrations/",
    "deploy/",
    "dashboards/",
    "tests/",
    "load-tests/",
];
/// Set, the pages made from the code are written instead of compared.
const WRITE_VARIABLE: &str = "CAERUS_WRITE_PAGES";

fn pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    files()
        .iter()
        .filter(|file| file.path.ends_with(".md"))
        .map(|file| (file.path.as_str(), file.text.as_str()))
}

/// What stands between backticks within a line, and the lines of fenced blocks.
fn code(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced {
            found.push(line.trim());
        } else {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

#[test]
fn the_architecture_names_every_room_and_no_other() {
    let page = read("ARCHITECTURE.md");
    let rows = page.lines().skip_while(|line| *line != "## Rooms");
    let rows = rows.skip(1).take_while(|line| !line.starts_with("## "));
    let named: BTreeSet<String> = rows
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split('`').next())
        .map(|path| path.trim_end_matches('/').to_owned())
        .collect();
    let root = root();
    let mut there: BTreeSet<String> = packages()
        .iter()
        .map(|package| {
            let folder = package.manifest_path.parent().expect("a manifest's folder");
            let inside = folder.as_std_path().strip_prefix(&root);
            inside
                .expect("a package of the workspace")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    there.extend(["migrations", "deploy", "dashboards"].map(str::to_owned));
    assert_eq!(named, there, "named on the left, there on the right");
}

#[test]
fn the_top_level_is_what_the_owner_fixed() {
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(root()).expect("the workspace's root") {
        let entry = entry.expect("an entry of the root");
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_made = name == "target" || name.starts_with("caerus-") || name.starts_with('.');
        if entry.file_type().expect("a kind").is_dir() && !is_made {
            there.insert(format!("{name}/"));
        }
    }
    assert_eq!(there, TOP_LEVEL.map(str::to_owned).into());
}

#[test]
fn paths_that_pages_name_exist() {
    let mut breaches = Vec::new();
    for (path, text) in pages() {
        for word in code(text).iter().flat_map(|code| code.split_whitespace()) {
            let word = word.trim_matches(|letter: char| "(),;:\"'".contains(letter));
            let is_path = TOP_LEVEL.iter().any(|top| word.starts_with(top));
            let is_pattern = word.contains(['*', '{', '<', '…', '$']);
            if is_path && !is_pattern && !root().join(word).exists() {
                breaches.push(format!("{path}: {word}"));
            }
        }
    }
    none("paths on pages that lead nowhere", &breaches);
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut breaches = Vec::new();
    for (path, text) in pages() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            let is_far = target.contains("://") || target.starts_with("mailto:");
            if !target.is_empty() && !is_far && !root().join(folder).join(target).exists() {
                breaches.push(format!("{path}: {target}"));
            }
        }
    }
    none("links that lead nowhere", &breaches);
}

/// `StepUp` as the command line has it.
fn kebab(name: &str) -> String {
    let mut told = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !told.is_empty() {
            told.push('-');
        }
        told.extend(letter.to_lowercase());
    }
    told.replace('_', "-")
}

/// The commands of an enum that clap reads: its variants, in the form people type.
fn variants(path: &str, declaration: &str) -> BTreeSet<String> {
    let text = read(path);
    let lines = text.lines().skip_while(|line| !line.contains(declaration));
    let names: BTreeSet<String> = lines
        .skip(1)
        .take_while(|line| *line != "}")
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()))
        .filter_map(|line| line.split(|letter: char| !letter.is_alphanumeric()).next())
        .map(kebab)
        .collect();
    assert!(!names.is_empty(), "{path}: `{declaration}` was found");
    names
}

/// Every `--flag` that a program's sources declare.
fn flags(folder: &str) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = ["help", "version"].map(str::to_owned).into();
    for file in rust().filter(|file| file.path.starts_with(folder)) {
        for rest in file.text.split("#[arg(").skip(1) {
            let Some((options, field)) = rest.split_once(")]") else {
                continue;
            };
            let mut options = options.split(',').map(str::trim);
            let Some(long) = options.find(|option| option.starts_with("long")) else {
                continue;
            };
            let given = long.split('"').nth(1);
            let field = field
                .lines()
                .find(|line| line.contains(':'))
                .unwrap_or_default();
            let field = field.split(':').next().unwrap_or_default();
            let field = field
                .trim()
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub ");
            found.insert(given.map_or_else(|| kebab(field), str::to_owned));
        }
    }
    found
}

/// Command lines on pages that begin with a program's name, word by word.
fn command_lines(program: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut found = Vec::new();
    for (path, text) in pages() {
        for line in code(text) {
            let line = line
                .trim_start_matches("$ ")
                .trim_start_matches("./target/quick/");
            for part in line.split(['|', ';']) {
                let words: Vec<&str> = part.split_whitespace().collect();
                if words.first() == Some(&program) && words.len() > 1 {
                    found.push((path, words));
                }
            }
        }
    }
    found
}

fn check_commands(program: &str, commands: &BTreeSet<String>, flags: &BTreeSet<String>) {
    let mut breaches = Vec::new();
    let lines = command_lines(program);
    assert!(!lines.is_empty(), "pages show how to call {program}");
    for (path, words) in lines {
        let command = words.get(1).copied().unwrap_or_default();
        let is_command = command.starts_with(|letter: char| letter.is_ascii_lowercase());
        if is_command && !commands.contains(command) {
            breaches.push(format!("{path}: {program} has no command `{command}`"));
        }
        for word in &words {
            let flag = word.trim_matches(|letter: char| "[](),".contains(letter));
            let flag = flag.split('=').next().unwrap_or_default();
            let Some(flag) = flag.strip_prefix("--") else {
                continue;
            };
            if !flag.is_empty() && !flags.contains(flag) {
                breaches.push(format!("{path}: {program} has no flag `--{flag}`"));
            }
        }
    }
    none("commands on pages that the programs do not have", &breaches);
}

#[test]
fn commands_and_flags_on_pages_are_the_programs_own() {
    let commands = variants("services/caerus/src/cli.rs", "enum Command {");
    check_commands("caerus", &commands, &flags("services/caerus/src/"));
    let commands = variants("services/caerus-enforcer/src/cli.rs", "enum Command {");
    check_commands(
        "caerus-enforcer",
        &commands,
        &flags("services/caerus-enforcer/src/"),
    );
}

#[test]
fn the_readme_tells_of_every_command() {
    let readme = read("README.md");
    let told: BTreeSet<&str> = code(&readme)
        .into_iter()
        .flat_map(|c| c.split_whitespace())
        .collect();
    let commands = variants("services/caerus/src/cli.rs", "enum Command {");
    let breaches: Vec<String> = commands
        .into_iter()
        .filter(|command| !told.contains(command.as_str()))
        .collect();
    none("commands of which README.md does not tell", &breaches);
}

/// The targets of the Makefile and what each says of itself.
fn targets() -> Vec<(String, Option<String>)> {
    let text = read("Makefile");
    let lines = text.lines().filter(|line| {
        line.starts_with(|letter: char| letter.is_ascii_lowercase()) && !line.contains(":=")
    });
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, rest)| {
            let told = rest.split_once("## ").map(|(_, told)| told.to_owned());
            (name.to_owned(), told)
        })
        .collect()
}

#[test]
fn every_target_explains_itself_and_pages_name_no_other() {
    let targets = targets();
    let named: BTreeSet<&str> = targets.iter().map(|(name, _)| name.as_str()).collect();
    let mut breaches = Vec::new();
    for wanted in [
        "help",
        "run",
        "test",
        "lint",
        "bench",
        "services-up",
        "services-down",
    ] {
        if !named.contains(wanted) {
            breaches.push(format!("no target `{wanted}`"));
        }
    }
    for (name, told) in &targets {
        if told.as_ref().is_none_or(|told| told.len() < 16) {
            breaches.push(format!("`{name}` does not explain itself"));
        }
    }
    for (path, words) in command_lines("make") {
        let word = words.get(1).copied().unwrap_or_default();
        if !named.contains(word) {
            breaches.push(format!("{path}: make {word}"));
        }
    }
    none("targets of the Makefile", &breaches);
}

/// Compares a page with what the code says of itself; writes it instead where that is asked for.
fn check_made(path: &str, expected: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for whoever runs the test, not configuration of the program"
    )]
    let is_asked = std::env::var_os(WRITE_VARIABLE).is_some();
    if is_asked {
        let full = root().join(path);
        let folder = full.parent().expect("a page lies in a folder");
        fs::create_dir_all(folder).expect("a folder for the page");
        fs::write(&full, expected).expect("a page that can be written");
    }
    assert!(
        read(path) == expected,
        "{path} is not what the code says; `make pages` writes it anew"
    );
}

#[test]
fn the_configuration_pages_are_what_the_programs_say() {
    check_made("deploy/reference/caerus.md", &caerus_runtime::config::doc());
    check_made(
        "deploy/reference/caerus-enforcer.md",
        &caerus_enforcer::settings::LAYOUT.doc(),
    );
}

#[test]
fn the_page_of_metrics_is_the_catalogue() {
    let page = format!(
        "# Metrics\n\nWhat `/metrics` of each role exposes, as OpenMetrics text.\n\n{}",
        caerus_runtime::metric::catalogue_markdown()
    );
    check_made("deploy/reference/metrics.md", &page);
}
