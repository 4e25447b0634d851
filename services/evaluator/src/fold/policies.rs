//! How a policy revision of the log becomes the policy set in force. Knows not where revisions are written or by whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use caerus_engine::decide::{Facts, Obligation, Policy};
use caerus_engine::id::{AcrValue, RevisionId};
use caerus_policy::{PolicyProblem, PolicySet};
use caerus_wire::entry::PolicyRevision;

/// Problems of a refused revision that are told; the rest is counted.
const PROBLEMS_TOLD: usize = 5;

/// A policy set that tasks may share.
pub type SharedPolicy = Arc<dyn Policy + Send + Sync>;

type Load = dyn Fn(&PolicyRevision) -> Result<SharedPolicy, String> + Send + Sync;

/// Builds policy sets from revisions.
#[derive(Clone)]
pub struct Policies(Arc<Load>);

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policies")
    }
}

impl Policies {
    /// *Shape*: `load` is pure; it says in one sentence what is wrong with a revision it cannot build.
    pub fn by(
        load: impl Fn(&PolicyRevision) -> Result<SharedPolicy, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(load))
    }

    /// Cedar policies, as the log's revisions hold them.
    ///
    /// The revision loaded last is kept: every partition tells the same one, and so does every start, while reading and
    /// validating a set is the longest single piece of work in the fold.
    pub fn cedar() -> Self {
        let last: Mutex<Option<(PolicyRevision, SharedPolicy)>> = Mutex::default();
        Self::by(move |revision| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((known, policy)) = &*last
                && known == revision
            {
                return Ok(Arc::clone(policy));
            }
            let policy = load_cedar(revision)?;
            *last = Some((revision.clone(), Arc::clone(&policy)));
            Ok(policy)
        })
    }

    /// *Errors*: what is wrong with the revision, for operators.
    pub fn load(&self, revision: &PolicyRevision) -> Result<InForce, String> {
        let policy = (self.0)(revision)?;
        Ok(InForce {
            policy,
            source: Some(revision.clone()),
        })
    }
}

fn load_cedar(revision: &PolicyRevision) -> Result<SharedPolicy, String> {
    let files = revision.files.iter();
    let files: Vec<_> = files.map(|file| (&file.name, &file.text)).collect();
    match PolicySet::load(&files) {
        Ok(set) => Ok(Arc::new(set)),
        Err(problems) => Err(told(&problems)),
    }
}

fn told(problems: &[PolicyProblem]) -> String {
    let shown = problems.iter().take(PROBLEMS_TOLD);
    let shown: Vec<_> = shown.map(ToString::to_string).collect();
    let more = problems.len().saturating_sub(PROBLEMS_TOLD);
    match more {
        0 => shown.join("; "),
        _ => format!("{}; and {more} more", shown.join("; ")),
    }
}

/// The policy set in force and the text it was made of, from which a restart makes it again.
#[derive(Clone)]
pub struct InForce {
    pub policy: SharedPolicy,
    pub source: Option<PolicyRevision>,
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InForce")
            .field("revision", self.policy.revision())
            .finish_non_exhaustive()
    }
}

impl InForce {
    /// Before the log's first revision: nothing is asked of anybody.
    pub fn nothing() -> Self {
        Self {
            policy: Arc::new(NoPolicy {
                revision: RevisionId::new("none"),
                classes: BTreeMap::new(),
            }),
            source: None,
        }
    }
}

struct NoPolicy {
    revision: RevisionId,
    classes: BTreeMap<AcrValue, Vec<BTreeSet<String>>>,
}

impl Policy for NoPolicy {
    fn revision(&self) -> &RevisionId {
        &self.revision
    }

    fn judge(&self, _facts: &Facts) -> Vec<Obligation> {
        Vec::new()
    }

    fn classes(&self) -> &BTreeMap<AcrValue, Vec<BTreeSet<String>>> {
        &self.classes
    }
}

#[cfg(test)]
mod tests {
    use caerus_wire::entry::PolicyFile;

    use super::*;

    const FORBID: &str =
        "forbid (principal is User, action == Action::\"continue\", resource is Session)";

    fn revision(id: &str, score: &str) -> PolicyRevision {
        let text = format!(
            "@id(\"a\") @respond(\"revoke\") @scope(\"session\") {FORBID} when {{ context.score >= {score} }};"
        );
        PolicyRevision {
            revision: RevisionId::new(id),
            files: vec![PolicyFile {
                name: "a.cedar".to_owned(),
                text,
            }],
        }
    }

    #[test]
    fn a_revision_is_loaded_once_while_it_is_the_last_and_another_text_is_another_set() {
        let policies = Policies::cedar();
        let load = |revision: &PolicyRevision| policies.load(revision).unwrap().policy;
        let first = load(&revision("one", "80"));
        assert!(Arc::ptr_eq(&first, &load(&revision("one", "80"))));
        let other = load(&revision("one", "70"));
        assert_ne!(first.revision(), other.revision());
        assert!(!Arc::ptr_eq(&first, &load(&revision("one", "80"))));
    }

    #[test]
    fn a_revision_that_does_not_load_is_told_each_time() {
        let policies = Policies::cedar();
        assert!(policies.load(&revision("good", "80")).is_ok());
        for _ in 0..2 {
            let problem = policies.load(&revision("bad", "eighty")).unwrap_err();
            assert!(problem.contains("a.cedar"), "{problem}");
        }
        assert!(policies.load(&revision("good", "80")).is_ok());
    }
}
