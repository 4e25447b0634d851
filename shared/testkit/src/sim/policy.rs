//! A policy of two numbers, so that simulations cost little: the text `revoke 80 step-up 40`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caerus_engine::decide::{Action, Facts, FactsOf, Mode, Obligation, Policy, Requires, Scope};
use caerus_engine::id::{AcrValue, RevisionId, RuleId};
use caerus_wire::entry::{PolicyFile, PolicyRevision};

use super::workload::MFA;

#[derive(Debug)]
struct TwoNumbers {
    revision: RevisionId,
    revoke_at: u8,
    step_up_at: u8,
    classes: BTreeMap<AcrValue, Vec<BTreeSet<String>>>,
}

/// A revision in this language. A text without two numbers is one that does not load.
pub fn revision(name: &str, text: &str) -> PolicyRevision {
    PolicyRevision {
        revision: RevisionId::new(name),
        files: vec![PolicyFile {
            name: "two-numbers".to_owned(),
            text: text.to_owned(),
        }],
    }
}

/// Reads a revision. *Errors*: what is wrong with its text.
pub fn load(revision: &PolicyRevision) -> Result<Arc<dyn Policy + Send + Sync>, String> {
    let text = revision.files.first().map_or("", |file| file.text.as_str());
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["revoke", revoke_at, "step-up", step_up_at] = words.as_slice() else {
        return Err(format!("`{text}` is not `revoke N step-up N`"));
    };
    let number = |word: &str| {
        word.parse()
            .map_err(|error| format!("`{word}` is no score: {error}"))
    };
    Ok(Arc::new(TwoNumbers {
        revision: revision.revision.clone(),
        revoke_at: number(revoke_at)?,
        step_up_at: number(step_up_at)?,
        classes: BTreeMap::from([(AcrValue::new(MFA), vec![BTreeSet::from(["mfa".to_owned()])])]),
    }))
}

impl TwoNumbers {
    fn obligation(&self, rule: &str, action: Action, scope: Scope, mode: Mode) -> Obligation {
        Obligation {
            rule: RuleId::new(rule),
            action,
            scope,
            mode,
            apps: BTreeSet::new(),
            life: None,
        }
    }

    fn step_up(&self) -> Action {
        Action::StepUp {
            requires: Requires {
                acr_values: BTreeSet::from([AcrValue::new(MFA)]),
                max_age_s: None,
            },
            restricts: None,
        }
    }
}

impl Policy for TwoNumbers {
    fn revision(&self) -> &RevisionId {
        &self.revision
    }

    fn judge(&self, facts: &Facts) -> Vec<Obligation> {
        let scope = match facts.of {
            FactsOf::Session => Scope::Session,
            FactsOf::Device => Scope::Device,
            FactsOf::User | FactsOf::Workload | FactsOf::Tenant => return Vec::new(),
        };
        let score = facts.score.0;
        let mut wanted = Vec::new();
        if score >= self.revoke_at {
            wanted.push(self.obligation("a-revoke", Action::Revoke, scope, Mode::Enforce));
        }
        if score >= self.step_up_at && scope == Scope::Session {
            wanted.push(self.obligation("b-step-up", self.step_up(), scope, Mode::Enforce));
            wanted.push(self.obligation("c-shadow", Action::Revoke, scope, Mode::Shadow));
        }
        wanted
    }

    fn classes(&self) -> &BTreeMap<AcrValue, Vec<BTreeSet<String>>> {
        &self.classes
    }
}
