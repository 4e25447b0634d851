//! What the rules look at: the packages as cargo tells of them, the files as they lie there. Knows no rule.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cargo_metadata::{Metadata, MetadataCommand, Package};

/// Folders that are made, not written.
const MADE: [&str; 4] = [".git", "target", "caerus-data", "caerus-enforcer-data"];
/// Endings of files that somebody writes by hand.
const WRITTEN: [&str; 15] = [
    "rs",
    "md",
    "toml",
    "sql",
    "cedar",
    "cedarschema",
    "conf",
    "sh",
    "js",
    "css",
    "html",
    "yaml",
    "yml",
    "xml",
    "properties",
];
/// Files somebody writes by hand that have no ending.
const WRITTEN_NAMES: [&str; 7] = [
    "Makefile",
    "run",
    "install-test-deps",
    "servers",
    "services-up",
    "services-down",
    ".gitignore",
];

/// One written file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether all of it is tests, or what tests stand on.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
    }

    /// The lines before the tests at the file's end.
    pub(crate) fn lines_outside_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut lines = self.text.lines().enumerate().peekable();
        let mut is_over = self.is_test();
        std::iter::from_fn(move || {
            let (index, line) = lines.next()?;
            let next = lines.peek().map_or("", |(_, next)| *next);
            is_over |= line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{');
            (!is_over).then_some((index.saturating_add(1), line))
        })
    }
}

pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests lie in the workspace").into()
}

pub(crate) fn read(path: &str) -> String {
    let full = root().join(path);
    fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()))
}

/// Every written file of the workspace, in the order of its path.
pub(crate) fn files() -> &'static [Source] {
    static FILES: OnceLock<Vec<Source>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut paths = BTreeSet::new();
        walk(&root(), &mut paths);
        paths.iter().filter_map(|path| source(path)).collect()
    })
}

pub(crate) fn rust() -> impl Iterator<Item = &'static Source> {
    files().iter().filter(|file| file.is_rust())
}

fn walk(dir: &Path, paths: &mut BTreeSet<PathBuf>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let entry = entry.expect("an entry of a folder");
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().expect("a kind of entry");
        if kind.is_dir() && !MADE.contains(&name.as_str()) {
            walk(&entry.path(), paths);
        } else if kind.is_file() && is_written(&name) {
            paths.insert(entry.path());
        }
    }
}

fn is_written(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    WRITTEN.contains(&ending) || WRITTEN_NAMES.contains(&name)
}

/// The file, unless it went away while the folder was read.
fn source(path: &Path) -> Option<Source> {
    let text = fs::read_to_string(path).ok()?;
    let path = path.strip_prefix(root()).expect("walked from the root");
    Some(Source {
        path: path.to_string_lossy().replace('\\', "/"),
        text,
    })
}

/// Our own packages, with what their manifests ask for.
pub(crate) fn packages() -> Vec<&'static Package> {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    let metadata = METADATA.get_or_init(|| {
        MetadataCommand::new()
            .current_dir(root())
            .no_deps()
            .exec()
            .unwrap_or_else(|error| panic!("could not read the workspace: {error}"))
    });
    metadata.workspace_packages()
}

/// Fails with every breach on a line of its own.
pub(crate) fn none(rule: &str, breaches: &[String]) {
    assert!(
        breaches.is_empty(),
        "{rule}\n  {}\n{} in all",
        breaches.join("\n  "),
        breaches.len()
    );
}
