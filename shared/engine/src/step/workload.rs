//! What happens to a workload: a service calling services, weighed like one long session without a login.

use super::device::{Plain, settle_plain};
use super::exhibits::{basis, plain_exhibits};
use super::moment::{Moment, Outcome, admit};
use super::{Surroundings, accesses, verdicts};
use crate::decide::desk::{Desk, Grounds, Latitude};
use crate::decide::in_force::Core;
use crate::decide::{DeviceFacts, Facts, FactsOf, Scope, SurgeFacts, Target};
use crate::id::SubjectKey;
use crate::limits::{SEEN_LEN, UNLEARNED_AT};
use crate::profile::access::{AccessHour, AccessProfile};
use crate::record::WorkloadRecord;
use crate::score::assess::{Bench, assess};
use crate::score::{Assessment, Hypothesis, IgnoreReason, Scored};
use crate::signal::{Fact, NetworkClass, Signal};
use crate::time::Timestamp;

impl WorkloadRecord {
    pub fn new(key: SubjectKey, at: Timestamp) -> Self {
        Self {
            core: Core::new(key),
            access: AccessProfile::default(),
            hour: AccessHour::starting(at),
            evidence: Vec::new(),
            dismissals: Vec::new(),
        }
    }
}

pub(super) fn signal(
    surroundings: &Surroundings<'_>,
    workload: &mut WorkloadRecord,
    signal: &Signal,
    outcome: &mut Outcome,
) -> Scored {
    let moment = Moment::of(&signal.origin, workload.core.latest);
    if let Some(reason) = admit(&mut workload.core, &signal.origin, SEEN_LEN) {
        return Scored::Ignored(reason);
    }
    begin(surroundings, workload, &moment, outcome);
    let mut latitude = Latitude::Usual;
    match &signal.fact {
        Fact::Access(access) => {
            let WorkloadRecord {
                hour,
                access: profile,
                evidence,
                ..
            } = workload;
            accesses::count(hour, profile, access, &moment);
            accesses::evaluate(evidence, hour, profile, &moment);
        }
        Fact::Feedback(feedback) => {
            let WorkloadRecord {
                core,
                evidence,
                dismissals,
                ..
            } = workload;
            if !verdicts::on_plain(core, evidence, dismissals, feedback, &moment) {
                return Scored::Ignored(IgnoreReason::UnknownSubject);
            }
            latitude = Latitude::Corrected;
        }
        Fact::Login(_)
        | Fact::Health(_)
        | Fact::Session(_)
        | Fact::NetworkLogin(_)
        | Fact::TenantLogin(_)
        | Fact::DeviceSeen { .. }
        | Fact::DeviceStanding(_)
        | Fact::TenantSurge { .. } => return Scored::Ignored(IgnoreReason::Misdirected),
    }
    Scored::Assessed(judge(surroundings, workload, &moment, latitude, outcome))
}

pub(super) fn begin(
    surroundings: &Surroundings<'_>,
    workload: &mut WorkloadRecord,
    moment: &Moment,
    outcome: &mut Outcome,
) {
    workload.core.latest = workload.core.latest.max(moment.now);
    let occasion = moment.occasion(surroundings);
    Desk {
        core: &mut workload.core,
        occasion: &occasion,
        decisions: &mut outcome.decisions,
    }
    .lapse();
    workload
        .evidence
        .retain(|item| !item.is_negligible(moment.now));
}

pub(super) fn judge(
    surroundings: &Surroundings<'_>,
    workload: &mut WorkloadRecord,
    moment: &Moment,
    latitude: Latitude,
    outcome: &mut Outcome,
) -> Assessment {
    let worth = surroundings
        .model
        .criticality
        .get(&workload.core.key)
        .map_or(1.0, |c| c.odds());
    let shown = plain_exhibits(&workload.evidence, &workload.dismissals, moment.now);
    let assessment = assess(surroundings.model, Bench::Workload, &shown, worth);
    let basis = basis(&shown);
    if assessment.score.0 >= UNLEARNED_AT {
        workload.hour.is_learnable = false;
    }
    let SubjectKey::Workload {
        tenant,
        workload: id,
    } = workload.core.key.clone()
    else {
        return assessment;
    };
    if !moment.decides() {
        return assessment;
    }
    let facts = Facts {
        of: FactsOf::Workload,
        tenant,
        user: None,
        session: None,
        device: None,
        workload: Some(id.clone()),
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
        surge: SurgeFacts::default(),
    };
    let target = Target {
        workload: Some(id),
        ..Target::default()
    };
    let grounds = Grounds {
        assessment: &assessment,
        basis,
        credential_issued_at: None,
    };
    let plain = Plain {
        scope: Scope::Workload,
        facts,
        target,
        grounds,
        latitude,
    };
    settle_plain(surroundings, &mut workload.core, moment, plain, outcome);
    assessment
}
