//! What rules of scope `app` must be together: few enough, and such that their step-ups can be met at once. Knows no facts.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::decide::{Action, Mode, Scope};
use caerus_engine::id::{AcrValue, AppId};
use caerus_engine::limits::APPS_PER_TENANT;

use super::{Draft, Loading};
use crate::problem::{PolicyProblem, quoted};

impl Loading<'_> {
    pub(super) fn check_apps(&mut self) {
        let apart: Vec<PolicyProblem> = [Mode::Enforce, Mode::Shadow]
            .into_iter()
            .flat_map(|mode| {
                let drafts = self.drafts.iter();
                let of_apps = drafts
                    .filter(|draft| draft.rule.scope == Scope::App && draft.rule.mode == mode)
                    .collect();
                problems(of_apps)
            })
            .collect();
        self.problems.extend(apart);
    }
}

/// Step-ups of one app that share no class would be joined into a revoke of everybody, which no app's rule may be.
fn problems(drafts: Vec<&Draft<'_>>) -> Vec<PolicyProblem> {
    let mut classes: BTreeMap<&AppId, Option<BTreeSet<AcrValue>>> = BTreeMap::new();
    let mut problems = Vec::new();
    for draft in drafts {
        for app in &draft.rule.apps {
            let is_new = !classes.contains_key(app);
            if is_new && classes.len() == APPS_PER_TENANT {
                problems.push(
                    PolicyProblem::at(
                        draft.source,
                        draft.offset,
                        format!("more than {APPS_PER_TENANT} apps in rules of scope `app`"),
                    )
                    .with_help("so many the tenant's record can hold decisions about"),
                );
                return problems;
            }
            let held = classes.entry(app).or_default();
            let Action::StepUp { requires, .. } = &draft.rule.action else {
                continue;
            };
            let asked = &requires.acr_values;
            let both = match held {
                Some(held) => held.intersection(asked).cloned().collect(),
                None => asked.clone(),
            };
            if both.is_empty() {
                problems.push(
                    PolicyProblem::at(
                        draft.source,
                        draft.offset,
                        format!(
                            "no class meets all step-ups of app {}",
                            quoted(app.as_str())
                        ),
                    )
                    .with_help("name a class in @acr_values that its other rules name too"),
                );
            } else {
                *held = Some(both);
            }
        }
    }
    problems
}
