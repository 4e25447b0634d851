//! A policy set at work: facts in, the obligations of the rules that match out. Knows nothing of files.
//!
//! # A rule that fails
//!
//! Strict validation leaves one way for a rule to fail while it is evaluated: numbers that overflow. Cedar leaves out a
//! policy that fails; for a `forbid` that would open a door (INV-7). So here an enforced rule that fails counts as
//! matching, within the scope and for the principal and resource it is written for. A shadow rule that fails does not
//! match: nothing in force depends on it, and a flood of its decisions would help nobody.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::decide::{Facts, Mode, Obligation, Policy, Scope};
use caerus_engine::id::{AcrValue, RevisionId};
use cedar_policy::{AuthorizationError, Authorizer, Entities, PolicyId, Response};

use crate::classes::Classes;
use crate::context::Names;
use crate::memo::{Matches, Memo, MemoCounts};
use crate::problem::PolicyProblem;
use crate::rule::is_judged_on;
use crate::visible::Visible;

/// A loaded policy set. Made by [`PolicySet::load`] alone, so one that exists is whole and valid.
pub struct PolicySet {
    pub(crate) revision: RevisionId,
    pub(crate) classes: Classes,
    pub(crate) names: Names,
    /// Each policy's id is its rule's id.
    pub(crate) cedar: cedar_policy::PolicySet,
    /// Ordered by rule id.
    pub(crate) rules: Vec<Obligation>,
    pub(crate) visible: Visible,
    pub(crate) warnings: Vec<PolicyProblem>,
    pub(crate) authorizer: Authorizer,
    pub(crate) memo: Memo,
}

impl PolicySet {
    /// What is doubtful about it, in the order of files and lines.
    pub fn warnings(&self) -> &[PolicyProblem] {
        &self.warnings
    }

    /// Every rule as an obligation, ordered by rule id.
    pub fn rules(&self) -> &[Obligation] {
        &self.rules
    }

    pub fn memo_counts(&self) -> MemoCounts {
        self.memo.counts()
    }

    fn matches(&self, facts: &Facts) -> Matches {
        let key = self.visible.project(facts);
        if let Some(known) = self.memo.get(&key) {
            return known;
        }
        let matches: Matches = self.evaluate(facts).into();
        self.memo.put(key, Matches::clone(&matches));
        matches
    }

    fn evaluate(&self, facts: &Facts) -> Vec<usize> {
        let Some(request) = self.names.request(facts) else {
            // Facts that Cedar cannot even be asked about: as if every rule had failed.
            return self.all_enforced();
        };
        let response = self
            .authorizer
            .is_authorized(&request, &self.cedar, &Entities::empty());
        let matching: BTreeSet<&PolicyId> = response.diagnostics().reason().collect();
        let failed = failed(&response);
        self.rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| {
                let id = PolicyId::new(rule.rule.as_str());
                // INVARIANT (INV-7): an enforced rule that fails counts as matching.
                matching.contains(&id) || (rule.mode == Mode::Enforce && failed.contains(&id))
            })
            .map(|(index, _)| index)
            .collect()
    }

    fn all_enforced(&self) -> Vec<usize> {
        let enforced = self.rules.iter().enumerate();
        enforced
            .filter(|(_, rule)| rule.mode == Mode::Enforce)
            .map(|(index, _)| index)
            .collect()
    }
}

fn failed(response: &Response) -> BTreeSet<&PolicyId> {
    response
        .diagnostics()
        .errors()
        .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id())
        .collect()
}

/// A target of the scope can be named from these facts.
fn has_target(scope: Scope, facts: &Facts) -> bool {
    match scope {
        Scope::Session => facts.session.is_some(),
        Scope::UserDevice => facts.user.is_some() && facts.device.is_some(),
        Scope::User => facts.user.is_some(),
        Scope::Device => facts.device.is_some(),
        Scope::Workload => facts.workload.is_some(),
        // The rule itself names them.
        Scope::App => true,
    }
}

impl Policy for PolicySet {
    fn revision(&self) -> &RevisionId {
        &self.revision
    }

    fn judge(&self, facts: &Facts) -> Vec<Obligation> {
        let matches = self.matches(facts);
        matches
            .iter()
            .filter_map(|index| self.rules.get(*index))
            .filter(|rule| is_judged_on(rule.scope, facts.of) && has_target(rule.scope, facts))
            .cloned()
            .collect()
    }

    fn classes(&self) -> &BTreeMap<AcrValue, Vec<BTreeSet<String>>> {
        &self.classes
    }
}

impl core::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PolicySet")
            .field("revision", &self.revision)
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use caerus_engine::decide::{DeviceFacts, FactsOf, SurgeFacts};
    use caerus_engine::id::{DeviceId, SessionId, TenantId, UserId};
    use caerus_engine::number::Score;
    use caerus_engine::signal::NetworkClass;
    use proptest::prelude::*;

    use super::*;

    /// Rules that look at numbers in every way there is.
    const NUMBERS: &str = r#"
        @id("a") @respond("revoke") @scope("session") forbid (principal, action, resource) when { context.score > 40 && context.scores.misuse <= 60 };
        @id("b") @respond("revoke") @scope("session") forbid (principal, action, resource) when { 30 == context.scores.stolen_credential || context.score != 50 };
        @id("c") @respond("revoke") @scope("user") forbid (principal, action, resource) when { context.scores.hijacked_session * 2 < context.scores.misuse };
        @id("d") @respond("revoke") @scope("session") forbid (principal, action, resource) when { context.level == "HIGH" };
    @id("g") @respond("revoke") @scope("user") forbid (principal == User::"bob", action, resource);
        @id("e") @respond("revoke") @scope("device") forbid (principal, action, resource) unless { context has session_age_s && context.session_age_s >= -5 };
        @id("f") @respond("revoke") @scope("session") forbid (principal, action, resource) when { context has step_up_age_s && context.step_up_age_s < 900 };
        @id("h") @respond("revoke") @scope("session") forbid (principal, action, resource) when { context.surge.users >= 5 || context.surge.failed * 2 > 13 };
    "#;

    static SET: LazyLock<PolicySet> =
        LazyLock::new(|| PolicySet::load(&[("p.cedar", NUMBERS)]).unwrap());

    prop_compose! {
        fn any_facts()(
            of in prop::sample::select(vec![FactsOf::Session, FactsOf::User, FactsOf::Device]),
            scores in prop::array::uniform4(0u8..=100),
            edge in prop::sample::select(vec![0u8, 30, 40, 50, 60, 80]),
            ages in (prop::option::of(895u32..905), prop::option::of(0u32..3)),
            surge in (3u32..7, 5u32..9),
            is_bob in any::<bool>(),
        ) -> Facts {
            Facts {
                of,
                user: Some(UserId::new(if is_bob { "bob" } else { "alice" })),
                session: Some(SessionId::new("s-1")),
                device: Some(DeviceId::new("laptop")),
                score: Score(edge),
                scores: scores.map(Score),
                step_up_age_s: ages.0,
                session_age_s: ages.1,
                surge: SurgeFacts {
                    users: surge.0,
                    failed: surge.1,
                    shards: 1,
                },
                ..blank()
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_remembered_is_what_would_be_worked_out(facts in any_facts()) {
            prop_assert_eq!(SET.matches(&facts).to_vec(), SET.evaluate(&facts));
        }
    }

    #[test]
    fn the_property_meets_remembered_verdicts() {
        // Without this the property above could hold by never remembering.
        let (of, scores) = (FactsOf::Device, [Score(1); 4]);
        let facts = |score| Facts {
            of,
            scores,
            score: Score(score),
            ..blank()
        };
        assert_eq!(
            SET.visible.project(&facts(41)),
            SET.visible.project(&facts(49))
        );
        assert_ne!(
            SET.visible.project(&facts(49)),
            SET.visible.project(&facts(50))
        );
        assert_ne!(
            SET.visible.project(&facts(79)),
            SET.visible.project(&facts(80))
        );
    }

    fn blank() -> Facts {
        Facts {
            of: FactsOf::Session,
            tenant: TenantId::new("acme"),
            user: None,
            session: None,
            device: None,
            workload: None,
            score: Score(0),
            hypothesis: None,
            scores: [Score(0); 4],
            codes: BTreeSet::new(),
            network: NetworkClass::Unknown,
            country: None,
            acr: None,
            step_up_age_s: None,
            session_age_s: None,
            device_facts: DeviceFacts::default(),
            is_account_disabled: false,
            is_learning: false,
            surge: SurgeFacts::default(),
        }
    }
}
