//! `caerus policy …`, and reading a directory of policies.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use caerus_policy::PolicySet;
use caerus_wire::entry::{PolicyFile, PolicyRevision};
use clap::Subcommand;

use crate::exit::{BAD_CONFIG, Ended, Failure, tell};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Says whether the policies of a directory are valid, with file, line and column where they are not
    Check {
        /// The directory with `*.cedar` files
        dir: PathBuf,
    },
}

pub(crate) fn run(command: &Command) -> Ended {
    match command {
        Command::Check { dir } => check(dir),
    }
}

fn check(dir: &Path) -> Ended {
    let files = read_dir(dir).map_err(Failure::BadConfig)?;
    let set = load(&files)?;
    for warning in set.warnings() {
        tell(&format!("warning: {warning}"));
    }
    let mut out = std::io::stdout();
    for rule in set.rules() {
        let line = format!(
            "{}  {}  {}  {}",
            rule.rule,
            rule.action.name(),
            scope_name(rule.scope),
            rule.mode.name()
        );
        writeln!(out, "{line}").context("could not write to stdout")?;
    }
    tell(&format!(
        "{} rules are valid, revision {}",
        set.rules().len(),
        revision_of(&set)
    ));
    Ok(())
}

fn revision_of(set: &PolicySet) -> String {
    use caerus_engine::decide::Policy as _;
    set.revision().to_string()
}

fn scope_name(scope: caerus_engine::decide::Scope) -> &'static str {
    use caerus_engine::decide::Scope;
    match scope {
        Scope::Session => "session",
        Scope::User => "user",
        Scope::UserDevice => "user_device",
        Scope::Device => "device",
        Scope::Workload => "workload",
        Scope::App => "app",
    }
}

/// Loads a set, or tells every problem and fails with 78.
fn load(files: &[(String, String)]) -> Result<PolicySet, Failure> {
    PolicySet::load(files).map_err(|problems| {
        for problem in &problems {
            tell(&problem.to_string());
        }
        Failure::Told(BAD_CONFIG)
    })
}

/// The policy files of a directory, in the order of their names.
pub(crate) fn read_dir(dir: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let named = dir.display();
    let entries = std::fs::read_dir(dir)
        .with_context(|| format!("could not read the policies in `{named}`"))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("could not read the policies in `{named}`"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !caerus_policy::is_policy_file(&name) {
            continue;
        }
        let path = entry.path();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("could not read the policy `{}`", path.display()))?;
        files.push((name, text));
    }
    files.sort();
    if files.iter().all(|(name, _)| !name.ends_with(".cedar")) {
        anyhow::bail!("there is no `*.cedar` file in `{named}`");
    }
    Ok(files)
}

/// The set of a directory, or the default one, as the log holds it. Problems are told and fail with 78.
pub(crate) fn revision(dir: Option<&Path>) -> Result<PolicyRevision, Failure> {
    let files = match dir {
        Some(dir) => read_dir(dir).map_err(Failure::BadConfig)?,
        None => caerus_policy::default_files()
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
    };
    let set = load(&files)?;
    for warning in set.warnings() {
        tell(&format!("warning: {warning}"));
    }
    use caerus_engine::decide::Policy as _;
    let files = files
        .into_iter()
        .map(|(name, text)| PolicyFile { name, text })
        .collect();
    Ok(PolicyRevision {
        revision: set.revision().clone(),
        files,
    })
}
