//! The policies in force: told to every partition of the log at the start, and again when their directory changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use caerus_console::{PolicyShelf, ShelvedFile};
use caerus_engine::decide::Policy as _;
use caerus_policy::{PolicySet, PolicySlot, Replacement};
use caerus_runtime::port::{Bus, NewRecord, Topic};
use caerus_runtime::tasks::TaskGroup;
use caerus_wire::entry::{Entry, PolicyFile, PolicyRevision};
use tokio::sync::watch;

use crate::exit::Failure;
use crate::policy_command;

/// How often a policy directory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

type Files = Vec<(String, String)>;

/// Puts the policies into force and keeps them so. *Returns*: what people are shown of them.
pub(crate) async fn start(
    tasks: &mut TaskGroup,
    dir: Option<PathBuf>,
    bus: &Arc<dyn Bus>,
) -> Result<watch::Receiver<PolicyShelf>, Failure> {
    let revision = policy_command::revision(dir.as_deref())?;
    let files: Files = revision
        .files
        .into_iter()
        .map(|file| (file.name, file.text))
        .collect();
    let set = PolicySet::load(&files).map_err(|problems| {
        Failure::BadConfig(anyhow::anyhow!(
            "{} problems in the policies",
            problems.len()
        ))
    })?;
    let source = dir
        .as_ref()
        .map_or_else(|| "built in".to_owned(), |dir| dir.display().to_string());
    tell_log(bus.as_ref(), &set, &files).await?;
    let shelf = shelf(&set, &source, &files);
    let (sender, receiver) = watch::channel(shelf);
    let Some(dir) = dir else {
        return Ok(receiver);
    };
    let keeper = Keeper {
        bus: Arc::clone(bus),
        dir,
        source,
        slot: PolicySlot::new(set),
        files,
        sender,
    };
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("policies", keeper.run(shutdown));
    Ok(receiver)
}

fn shelf(set: &PolicySet, source: &str, files: &Files) -> PolicyShelf {
    PolicyShelf {
        revision: set.revision().to_string(),
        source: source.to_owned(),
        files: files
            .iter()
            .map(|(name, text)| ShelvedFile {
                name: name.clone(),
                text: text.clone(),
            })
            .collect(),
        problems: Vec::new(),
    }
}

/// Writes the revision into every partition: from there on it is in force.
async fn tell_log(bus: &dyn Bus, set: &PolicySet, files: &Files) -> anyhow::Result<()> {
    let revision = PolicyRevision {
        revision: set.revision().clone(),
        files: files
            .iter()
            .map(|(name, text)| PolicyFile {
                name: name.clone(),
                text: text.clone(),
            })
            .collect(),
    };
    let value: Arc<[u8]> = Entry::Policy(revision).to_bytes().into();
    let records = (0..bus.partitions())
        .map(|partition| NewRecord {
            topic: Topic::Signals,
            partition,
            key: Vec::new(),
            value: Arc::clone(&value),
        })
        .collect();
    bus.append(records)
        .await
        .context("could not put the policies into force")?;
    Ok(())
}

struct Keeper {
    bus: Arc<dyn Bus>,
    dir: PathBuf,
    source: String,
    slot: PolicySlot,
    files: Files,
    sender: watch::Sender<PolicyShelf>,
}

impl Keeper {
    async fn run(mut self, shutdown: caerus_runtime::shutdown::Shutdown) -> anyhow::Result<()> {
        while shutdown
            .unless_begun(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            self.look().await?;
        }
        Ok(())
    }

    /// INVARIANT (INV-7): files that cannot be read or loaded leave the last good set in force, and are told.
    async fn look(&mut self) -> anyhow::Result<()> {
        let files = match read(&self.dir).await {
            Ok(files) => files,
            Err(error) => {
                self.tell_problems(vec![format!("{error:#}")]);
                return Ok(());
            }
        };
        if files == self.files {
            return Ok(());
        }
        match self.slot.replace_or_keep(&files) {
            Replacement::New(set) => {
                tell_log(self.bus.as_ref(), &set, &files).await?;
                tracing::info!(revision = %set.revision(), "policies changed");
                self.sender.send_replace(shelf(&set, &self.source, &files));
            }
            Replacement::Same => self.tell_problems(Vec::new()),
            Replacement::Kept(problems) => {
                self.tell_problems(problems.iter().map(ToString::to_string).collect());
            }
        }
        self.files = files;
        Ok(())
    }

    fn tell_problems(&self, problems: Vec<String>) {
        self.sender.send_if_modified(|shelf| {
            let is_news = shelf.problems != problems;
            if is_news && !problems.is_empty() {
                tracing::error!(
                    error = problems.join("; "),
                    "policies not taken, the last good ones stay in force"
                );
            }
            shelf.problems = problems;
            is_news
        });
    }
}

/// Files are read where blocking harms nobody.
async fn read(dir: &Path) -> anyhow::Result<Files> {
    let dir = dir.to_owned();
    let reading = tokio::task::spawn_blocking(move || policy_command::read_dir(&dir));
    reading.await.context("could not read the policies")?
}
