//! What policy asks of a tenant's apps while its logins are under attack. Judged on the tenant's first shard, from the
//! climate; knows no session, and therefore never ends one.

use std::collections::BTreeMap;

use super::Surroundings;
use super::exhibits::basis;
use super::moment::{Moment, Outcome};
use crate::climate::Surge;
use crate::decide::desk::{Desk, Grounds, Judgement, Latitude};
use crate::decide::merge::{Wishes, add};
use crate::decide::{
    Action, DeviceFacts, Facts, FactsOf, Mode, Obligation, Scope, SurgeFacts, Target,
};
use crate::evidence::{Code, Detail, Evidence, Told};
use crate::id::TenantId;
use crate::limits::APPS_PER_TENANT;
use crate::record::TenantRecord;
use crate::score::assess::{Bench, Exhibit, assess};
use crate::score::{Assessment, Hypothesis};
use crate::signal::NetworkClass;
use crate::time::Timestamp;

/// Brings what is in force on the apps to what is wished of them.
pub(super) fn judge(
    surroundings: &Surroundings<'_>,
    shard: &mut TenantRecord,
    moment: &Moment,
    latitude: Latitude,
    outcome: &mut Outcome,
) {
    let occasion = moment.occasion(surroundings);
    let core = &mut shard.core;
    core.in_force.retain(|held| held.expires_at > moment.now);
    if !moment.decides() {
        return;
    }
    let tenant = core.key.tenant().clone();
    let surges = surroundings.climate.surges(&tenant);
    let evidence = surges.and_then(|surges| strongest(surges, moment.now));
    let exhibits: Vec<Exhibit<'_>> = evidence
        .iter()
        .map(|item| Exhibit::of(item, moment.now))
        .collect();
    let worth = surroundings.model.criticality.get(&core.key);
    let worth = worth.map_or(1.0, |criticality| criticality.odds());
    let assessment = assess(surroundings.model, Bench::Tenant, &exhibits, worth);
    let grounds = Grounds {
        assessment: &assessment,
        basis: basis(&exhibits),
        credential_issued_at: None,
    };
    let facts = facts(tenant, &grounds, surges);
    let wishes = wishes(surroundings, &facts);
    let mut targets: Vec<(Mode, Target)> = wishes.keys().cloned().collect();
    targets.extend(
        core.in_force
            .iter()
            .map(|held| (held.mode, held.target.clone()))
            .filter(|key| !wishes.contains_key(key)),
    );
    targets.sort();
    for (mode, target) in targets {
        let wish = wishes.get(&(mode, target.clone()));
        let mut desk = Desk {
            core,
            occasion: &occasion,
            decisions: &mut outcome.decisions,
        };
        let judgement = Judgement {
            wish,
            grounds: &grounds,
            latitude,
        };
        desk.settle(&target, mode, judgement);
    }
}

/// The surge that weighs most by now. One counts, as at a login: shards see parts of one attack.
fn strongest(surges: &BTreeMap<u16, Surge>, now: Timestamp) -> Option<Evidence> {
    let items = surges.iter().map(|(shard, surge)| {
        let told = Told {
            event: surge.event.clone(),
            at: surge.at,
            detail: Detail::Spray {
                failed: surge.failed,
                users: surge.users,
                window_s: surge.window_s,
            },
        };
        let key = u64::from(*shard);
        Evidence::new(Code::TenantSpray, key, surge.nats.as_f64(), told)
    });
    items.max_by(|a, b| a.nats_at(now).total_cmp(&b.nats_at(now)))
}

fn facts(tenant: TenantId, grounds: &Grounds<'_>, surges: Option<&BTreeMap<u16, Surge>>) -> Facts {
    let Grounds {
        assessment, basis, ..
    } = grounds;
    Facts {
        of: FactsOf::Tenant,
        tenant,
        user: None,
        session: None,
        device: None,
        workload: None,
        score: assessment.score,
        hypothesis: assessment.hypothesis,
        scores: Hypothesis::ALL.map(|hypothesis| assessment.of(hypothesis)),
        codes: basis.iter().map(|(code, _)| *code).collect(),
        network: NetworkClass::Unknown,
        country: None,
        acr: None,
        step_up_age_s: None,
        session_age_s: None,
        device_facts: DeviceFacts::default(),
        is_account_disabled: false,
        is_learning: false,
        surge: surges.map_or_else(SurgeFacts::default, |surges| {
            surge_facts(surges, assessment)
        }),
    }
}

fn surge_facts(surges: &BTreeMap<u16, Surge>, assessment: &Assessment) -> SurgeFacts {
    if assessment.hypothesis.is_none() {
        return SurgeFacts::default();
    }
    let mut facts = SurgeFacts::default();
    for surge in surges.values() {
        facts.users = facts.users.saturating_add(surge.users);
        facts.failed = facts.failed.saturating_add(surge.failed);
        facts.shards = facts.shards.saturating_add(1);
    }
    facts
}

/// INVARIANT (INV-3): without a surge there is no reason to give, so nothing is asked, whatever a rule says.
fn wishes(surroundings: &Surroundings<'_>, facts: &Facts) -> Wishes {
    let mut wishes = Wishes::new();
    if facts.hypothesis.is_none() {
        return wishes;
    }
    for obligation in surroundings.policy.judge(facts) {
        if obligation.scope != Scope::App {
            continue;
        }
        for app in &obligation.apps {
            let target = Target {
                app: Some(app.clone()),
                ..Target::default()
            };
            add_mild(&mut wishes, target, &obligation);
        }
    }
    wishes.into_iter().take(APPS_PER_TENANT).collect()
}

/// Adds what does not end sessions. Nobody gets others logged out by typing wrong passwords, so a revoke asks nothing
/// here, nor does the step-up that would make one of those before it; no set that loads holds either.
fn add_mild(wishes: &mut Wishes, target: Target, obligation: &Obligation) {
    let key = (obligation.mode, target.clone());
    let before = wishes.get(&key).cloned();
    add(wishes, target, obligation);
    if wishes
        .get(&key)
        .is_some_and(|wish| wish.action == Action::Revoke)
    {
        match before {
            Some(wish) => wishes.insert(key, wish),
            None => wishes.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests;
