//! The picture on disk: written whole now and then, appended to in between, read at start. Knows no socket and no lock.
//!
//! One line for each decision and, after each batch, a mark with the cursor up to which the lines are complete; every
//! line carries its own checksum. A batch is in the file before it is acknowledged, so that a killed process comes back
//! with all that it ever said was in force (INV-2). The operating system is not asked to put appended lines on the
//! platter: after a power failure the tail may be gone, and the cursor of the last whole mark says from where to catch
//! up.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use caerus_engine::decide::{Action, Requires};
use caerus_engine::id::{RuleId, SessionId, TenantId, short_hash};
use caerus_engine::time::Timestamp;
use caerus_runtime::data_dir::DataDir;
use caerus_wire::decision::{ActionName, PublicRequires, PublicRestricts, PublicTarget};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::limit;
use crate::picture::Decision;

/// The version that is written; no other is read.
const VERSION: u32 = 1;
const FILE: &str = "picture";

/// Up to where the lines before it are complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub cursor: String,
    /// *Units*: milliseconds; by the server's clock.
    #[serde(with = "millis")]
    pub evaluated_until: Option<Timestamp>,
}

/// What was read at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub decisions: Vec<Decision>,
    pub mark: Mark,
}

/// Why a saved picture is not used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error("could not read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` has {bytes} bytes; at most {max} are read", path.display(), max = limit::SAVED_BYTES_MAX)]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("`{}` line {line}: {reason}", path.display())]
    Corrupt {
        path: PathBuf,
        line: usize,
        reason: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Head { v: u32 },
    Decision(Box<SavedDecision>),
    Mark(Mark),
}

#[derive(Serialize, Deserialize)]
struct SavedDecision {
    id: String,
    tenant: String,
    generation: u64,
    action: ActionName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requires: Option<PublicRequires>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restricts: Option<PublicRestricts>,
    target: PublicTarget,
    #[serde(with = "millis", default, skip_serializing_if = "Option::is_none")]
    issued_before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    except_sessions: BTreeSet<String>,
    issued_at: i64,
    expires_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
}

mod millis {
    //! A moment, or none, as milliseconds.

    use caerus_engine::time::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        moment: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        moment.map(|moment| moment.0).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(Timestamp))
    }
}

impl SavedDecision {
    fn of(decision: &Decision) -> Self {
        let (requires, restricts) = match &decision.action {
            Action::Clear | Action::Revoke => (None, None),
            Action::Restrict(restricts) => (None, Some(restricts)),
            Action::StepUp {
                requires,
                restricts,
            } => (Some(requires), restricts.as_ref()),
        };
        Self {
            id: decision.id.to_string(),
            tenant: decision.tenant.to_string(),
            generation: decision.generation,
            action: ActionName::of(&decision.action),
            requires: requires.map(PublicRequires::from_engine),
            restricts: restricts.map(PublicRestricts::from_engine),
            target: PublicTarget::from_engine(&decision.target),
            issued_before: decision.issued_before,
            except_sessions: decision
                .except_sessions
                .iter()
                .map(ToString::to_string)
                .collect(),
            issued_at: decision.issued_at.0,
            expires_at: decision.expires_at.0,
            rule: decision.rule.as_ref().map(ToString::to_string),
        }
    }

    /// `None` where the action lacks its particulars, or the target is empty.
    fn into_decision(self) -> Option<Decision> {
        let restricts = self.restricts.as_ref().map(PublicRestricts::to_engine);
        let requires: Option<Requires> = self.requires.as_ref().map(PublicRequires::to_engine);
        let action = match self.action {
            ActionName::Clear => Action::Clear,
            ActionName::Revoke => Action::Revoke,
            ActionName::Restrict => Action::Restrict(restricts?),
            ActionName::StepUp => Action::StepUp {
                requires: requires?,
                restricts,
            },
        };
        let target = self.target.to_engine();
        if target.is_empty() {
            return None;
        }
        Some(Decision {
            id: self.id.into(),
            tenant: TenantId::new(self.tenant),
            generation: self.generation,
            action,
            target,
            issued_before: self.issued_before,
            except_sessions: self
                .except_sessions
                .into_iter()
                .map(SessionId::new)
                .collect(),
            issued_at: Timestamp(self.issued_at),
            expires_at: Timestamp(self.expires_at),
            rule: self.rule.map(RuleId::new),
        })
    }
}

impl Line {
    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let json = serde_json::to_string(self)?;
        let sum = short_hash(&[json.as_bytes()]);
        writeln!(to, "{sum:016x} {json}")
    }

    /// *Errors*: why the line is not what was written.
    fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > limit::SAVED_LINE_BYTES_MAX {
            return Err("too long");
        }
        let (sum, json) = text.split_once(' ').ok_or("no checksum")?;
        if sum != format!("{:016x}", short_hash(&[json.as_bytes()])) {
            return Err("the checksum is wrong");
        }
        serde_json::from_str(json).map_err(|_other_form: serde_json::Error| "an unknown form")
    }
}

/// The lines of one batch, with its mark.
fn lines<'a>(
    decisions: impl IntoIterator<Item = &'a Decision>,
    mark: &Mark,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for decision in decisions {
        Line::Decision(Box::new(SavedDecision::of(decision))).write(&mut bytes)?;
    }
    Line::Mark(mark.clone()).write(&mut bytes)?;
    Ok(bytes)
}

/// Reads the saved picture of a directory; `None` where there is none. A corrupt one is put aside.
pub fn load_from(dir: &DataDir) -> Result<Option<Saved>, SavedError> {
    let path = dir.path().join(FILE);
    let loaded = load(&path);
    let is_useless = matches!(
        loaded,
        Err(SavedError::Corrupt { .. } | SavedError::TooLarge { .. })
    );
    if is_useless && let Err(error) = fs::rename(&path, path.with_extension("corrupt")) {
        tracing::warn!(%error, path = %path.display(), "corrupt picture not put aside");
    }
    loaded
}

fn load(path: &Path) -> Result<Option<Saved>, SavedError> {
    let unread = |source| SavedError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(error)),
    };
    if bytes > limit::SAVED_BYTES_MAX {
        return Err(SavedError::TooLarge {
            path: path.to_owned(),
            bytes,
        });
    }
    let bytes = fs::read(path).map_err(unread)?;
    fold(&bytes).map_err(|(line, reason)| SavedError::Corrupt {
        path: path.to_owned(),
        line,
        reason,
    })
}

/// Folds the lines up to the last mark. What follows it was never acknowledged: a torn tail is no corruption, a line
/// that is not what was written and stands before a mark is.
fn fold(bytes: &[u8]) -> Result<Option<Saved>, (usize, &'static str)> {
    let mut decisions = Vec::new();
    let mut complete: Option<(usize, Mark)> = None;
    let mut torn: Option<(usize, &'static str)> = None;
    for (index, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = std::str::from_utf8(text)
            .map_err(|_not_utf8| "not UTF-8")
            .and_then(Line::read);
        match (line, index) {
            (Ok(Line::Head { v: VERSION }), 0) => {}
            (Ok(Line::Head { .. }), 0) => return Err((1, "of a version that is not read")),
            (_, 0) => return Err((1, "the first line is not a saved picture's")),
            (Err(reason), _) => torn = torn.or(Some((index + 1, reason))),
            (Ok(_), _) if torn.is_some() => return Err(torn.unwrap_or_default()),
            (Ok(Line::Head { .. }), _) => return Err((index + 1, "a second first line")),
            (Ok(Line::Decision(saved)), _) => match saved.into_decision() {
                Some(decision) => decisions.push(decision),
                None => return Err((index + 1, "the decision is incomplete")),
            },
            (Ok(Line::Mark(mark)), _) => complete = Some((decisions.len(), mark)),
        }
    }
    let Some((len, mark)) = complete else {
        return Ok(None);
    };
    decisions.truncate(len);
    Ok(Some(Saved { decisions, mark }))
}

/// Writes the picture, whole and in parts.
#[derive(Debug)]
pub struct Journal {
    dir: DataDir,
    /// `None` until the picture was written whole, and after a write failed.
    file: Option<tokio::fs::File>,
    whole: usize,
    appended: usize,
}

impl Journal {
    /// Of a directory that no other process writes.
    pub fn new(dir: DataDir) -> Self {
        Self {
            dir,
            file: None,
            whole: 0,
            appended: 0,
        }
    }

    /// True when the file should be written whole: never yet, after a failure, or when most of its lines are old.
    pub fn is_rewrite_due(&self) -> bool {
        self.file.is_none() || self.appended > limit::SAVED_APPENDS_MIN.max(2 * self.whole)
    }

    /// The picture became another: what stands in the file is of no use any more.
    pub fn demand_rewrite(&mut self) {
        self.file = None;
    }

    /// Writes all of it beside the old file, makes it durable, and puts it in the old one's place.
    pub async fn rewrite(&mut self, decisions: Vec<Arc<Decision>>, mark: Mark) -> io::Result<()> {
        self.file = None;
        self.whole = decisions.len();
        self.appended = 0;
        let path = self.dir.path().join(FILE);
        let written = tokio::task::spawn_blocking(move || write_whole(&path, &decisions, &mark))
            .await
            .map_err(io::Error::other)??;
        self.file = Some(tokio::fs::File::from_std(written));
        Ok(())
    }

    /// Appends one batch. After a failure the file is written whole at the next occasion.
    pub async fn append(&mut self, decisions: &[Arc<Decision>], mark: &Mark) -> io::Result<()> {
        let bytes = lines(decisions.iter().map(Arc::as_ref), mark)?;
        let Some(mut file) = self.file.take() else {
            return Err(io::Error::other("the picture was never written whole"));
        };
        file.write_all(&bytes).await?;
        // Tokio's file hands bytes over in the background; only then have they left the process.
        file.flush().await?;
        self.file = Some(file);
        self.appended += decisions.len() + 1;
        Ok(())
    }
}

/// *Returns*: the file, open at its end.
fn write_whole(path: &Path, decisions: &[Arc<Decision>], mark: &Mark) -> io::Result<fs::File> {
    let beside = path.with_extension("new");
    let file = fs::File::create(&beside)?;
    let mut to = BufWriter::new(file);
    Line::Head { v: VERSION }.write(&mut to)?;
    for decision in decisions {
        Line::Decision(Box::new(SavedDecision::of(decision))).write(&mut to)?;
    }
    Line::Mark(mark.clone()).write(&mut to)?;
    let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(dir) = path.parent() {
        fs::File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
