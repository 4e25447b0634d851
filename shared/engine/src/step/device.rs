//! What happens to a device: reports, alerts, verdicts; and what its users are told of it.

use super::exhibits::{basis, plain_exhibits};
use super::moment::{Moment, Outcome, admit};
use super::{Derived, Surroundings, verdicts};
use crate::decide::desk::{Desk, Grounds, Judgement, Latitude};
use crate::decide::in_force::Core;
use crate::decide::merge::{Wishes, add};
use crate::decide::{DeviceFacts, Facts, FactsOf, Mode, Scope, SurgeFacts, Target};
use crate::evidence::device::{
    CHECKS_MAX, JUST_FAILED, JUST_FAILED_FACTOR, REPORT_LIFE, alert_nats, check_nats, checks,
};
use crate::evidence::{CheckState, Code, Detail, Evidence, put};
use crate::id::{DeviceId, EventId, SourceId, SubjectKey, TenantId, UserId, short_hash};
use crate::limits::{ALERTS_PER_DEVICE, CONCERNED_AT, SEEN_LEN, USERS_PER_DEVICE};
use crate::record::{DeviceRecord, DeviceUser, HeldCheck};
use crate::score::assess::{Bench, assess};
use crate::score::{Assessment, Hypothesis, IgnoreReason, Scored};
use crate::signal::{
    DeviceFinding, DeviceStanding, Fact, Handling, Health, NetworkClass, Origin, PostureCheck,
    Signal, StandingEvidence, Subject,
};
use crate::time::Timestamp;

impl DeviceRecord {
    pub fn new(key: SubjectKey) -> Self {
        Self {
            core: Core::new(key),
            revision: 0,
            reported_at: None,
            compliant: None,
            managed: None,
            os: None,
            disk_encrypted: None,
            edr: None,
            jailbroken: None,
            checks: Vec::new(),
            evidence: Vec::new(),
            dismissals: Vec::new(),
            users: Vec::new(),
        }
    }

    fn identity(&self) -> Option<(TenantId, DeviceId)> {
        match &self.core.key {
            SubjectKey::Device { tenant, device } => Some((tenant.clone(), device.clone())),
            SubjectKey::User { .. }
            | SubjectKey::Network { .. }
            | SubjectKey::Workload { .. }
            | SubjectKey::Tenant { .. } => None,
        }
    }

    pub fn is_concerned(&self, model: &crate::score::Model, now: Timestamp) -> bool {
        !self.core.in_force.is_empty() || assess_device(model, self, now).score.0 >= CONCERNED_AT
    }
}

/// One signal for a device.
pub(super) fn signal(
    surroundings: &Surroundings<'_>,
    device: &mut DeviceRecord,
    signal: &Signal,
    outcome: &mut Outcome,
) -> Scored {
    let moment = Moment::of(&signal.origin, device.core.latest);
    if let Some(reason) = admit(&mut device.core, &signal.origin, SEEN_LEN) {
        return Scored::Ignored(reason);
    }
    begin(surroundings, device, &moment, outcome);
    let before = told(device);
    let mut latitude = Latitude::Usual;
    let mut newcomer = None;
    match &signal.fact {
        Fact::Health(health) => {
            report(device, health, &moment);
            newcomer = health
                .user
                .as_ref()
                .and_then(|user| see(device, user, moment.now));
        }
        Fact::DeviceSeen { user } => newcomer = see(device, user, moment.now),
        Fact::Feedback(feedback) => {
            let DeviceRecord {
                core,
                evidence,
                dismissals,
                ..
            } = device;
            if !verdicts::on_plain(core, evidence, dismissals, feedback, &moment) {
                return Scored::Ignored(IgnoreReason::UnknownSubject);
            }
            latitude = Latitude::Corrected;
        }
        Fact::Login(_)
        | Fact::Access(_)
        | Fact::Session(_)
        | Fact::NetworkLogin(_)
        | Fact::TenantLogin(_)
        | Fact::DeviceStanding(_)
        | Fact::TenantSurge { .. } => return Scored::Ignored(IgnoreReason::Misdirected),
    }
    let assessment = judge(surroundings, device, &moment, latitude, outcome);
    tell(device, &before, newcomer, &signal.origin, outcome);
    Scored::Assessed(assessment)
}

pub(super) fn begin(
    surroundings: &Surroundings<'_>,
    device: &mut DeviceRecord,
    moment: &Moment,
    outcome: &mut Outcome,
) {
    device.core.latest = device.core.latest.max(moment.now);
    let occasion = moment.occasion(surroundings);
    Desk {
        core: &mut device.core,
        occasion: &occasion,
        decisions: &mut outcome.decisions,
    }
    .lapse();
    let now = moment.now;
    device.evidence.retain(|item| {
        !item.is_negligible(now)
            && (item.code != Code::Posture || now.since(item.at) <= REPORT_LIFE)
    });
}

fn report(device: &mut DeviceRecord, health: &Health, moment: &Moment) {
    if !moment.learns() {
        return;
    }
    let is_older = device.reported_at.is_some_and(|held| moment.time < held);
    if !is_older {
        device.reported_at = Some(moment.time);
        device.compliant = health.compliant.or(device.compliant);
        device.managed = health.managed.or(device.managed);
        device.os = health.os.clone().or_else(|| device.os.take());
        device.disk_encrypted = health.disk_encrypted.or(device.disk_encrypted);
        device.edr = health.edr.or(device.edr);
        device.jailbroken = health.jailbroken.or(device.jailbroken);
        for (check, is_failing) in checks(health) {
            weigh_check(device, check, is_failing, moment);
        }
        cap_checks(device);
    }
    for alert in health.alerts.iter().take(ALERTS_PER_DEVICE) {
        let key = short_hash(&[alert.name.as_bytes()]);
        let detail = Detail::Alert {
            name: alert.name.clone(),
            severity: alert.severity,
        };
        let nats = alert_nats(alert.severity);
        put(
            &mut device.evidence,
            Evidence::new(Code::EdrAlert, key, nats, moment.told(detail)),
            moment.now,
        );
    }
}

fn weigh_check(device: &mut DeviceRecord, check: PostureCheck, is_failing: bool, moment: &Moment) {
    let before = device
        .checks
        .iter()
        .find(|held| held.check == check)
        .copied();
    let failed_at = match before {
        Some(held) if is_failing && held.is_failing => held.failed_at,
        Some(_) if is_failing => Some(moment.now),
        _ => None,
    };
    device.checks.retain(|held| held.check != check);
    device.checks.push(HeldCheck {
        check,
        is_failing,
        failed_at,
        at: moment.now,
    });
    device.checks.sort_by_key(|held| held.check);
    let key = check as u64;
    if !is_failing {
        device
            .evidence
            .retain(|item| item.code != Code::Posture || item.key != key);
        return;
    }
    let is_fresh = failed_at.is_some_and(|at| moment.now.since(at) < JUST_FAILED);
    let factor = if is_fresh { JUST_FAILED_FACTOR } else { 1.0 };
    let state = match (check, device.edr) {
        (PostureCheck::Edr, Some(edr)) if is_fresh => CheckState::EdrJustChanged(edr),
        (PostureCheck::Edr, Some(edr)) => CheckState::Edr(edr),
        _ if is_fresh => CheckState::JustFailed,
        _ => CheckState::Failing,
    };
    let told = moment.told(Detail::Check { check, state });
    let item = Evidence::new(Code::Posture, key, check_nats(check) * factor, told);
    put(&mut device.evidence, item, moment.now);
}

/// All failing checks together weigh at most [`CHECKS_MAX`]; the later in the fixed order give way.
fn cap_checks(device: &mut DeviceRecord) {
    let mut room = CHECKS_MAX;
    device.evidence.sort_by_key(|item| (item.code, item.key));
    for item in device
        .evidence
        .iter_mut()
        .filter(|item| item.code == Code::Posture)
    {
        let nats = item.nats.as_f64().min(room);
        room -= nats;
        item.nats = crate::number::Nats::from_f64(nats);
    }
}

/// Notes a user of the device. *Returns*: the user, when new to it.
fn see(device: &mut DeviceRecord, user: &UserId, now: Timestamp) -> Option<UserId> {
    let is_known = device.users.iter().any(|held| held.user == *user);
    device.users.retain(|held| held.user != *user);
    device.users.insert(
        0,
        DeviceUser {
            user: user.clone(),
            at: now,
        },
    );
    device.users.truncate(USERS_PER_DEVICE);
    (!is_known).then(|| user.clone())
}

pub(super) fn assess_device(
    model: &crate::score::Model,
    device: &DeviceRecord,
    now: Timestamp,
) -> Assessment {
    let worth = model
        .criticality
        .get(&device.core.key)
        .map_or(1.0, |c| c.odds());
    assess(
        model,
        Bench::Device,
        &plain_exhibits(&device.evidence, &device.dismissals, now),
        worth,
    )
}

/// Judges the device, and brings what is in force on it to what is wished.
pub(super) fn judge(
    surroundings: &Surroundings<'_>,
    device: &mut DeviceRecord,
    moment: &Moment,
    latitude: Latitude,
    outcome: &mut Outcome,
) -> Assessment {
    let assessment = assess_device(surroundings.model, device, moment.now);
    let Some((tenant, id)) = device.identity().filter(|_| moment.decides()) else {
        return assessment;
    };
    let basis = basis(&plain_exhibits(
        &device.evidence,
        &device.dismissals,
        moment.now,
    ));
    let facts = Facts {
        of: FactsOf::Device,
        tenant,
        user: None,
        session: None,
        device: Some(id.clone()),
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
        device_facts: DeviceFacts {
            compliant: device.compliant,
            managed: device.managed,
            os: device.os.clone(),
            disk_encrypted: device.disk_encrypted,
            edr: device.edr,
            jailbroken: device.jailbroken,
        },
        is_account_disabled: false,
        is_learning: false,
        surge: SurgeFacts::default(),
    };
    let target = Target {
        device: Some(id),
        ..Target::default()
    };
    let grounds = Grounds {
        assessment: &assessment,
        basis,
        credential_issued_at: None,
    };
    let plain = Plain {
        scope: Scope::Device,
        facts,
        target,
        grounds,
        latitude,
    };
    settle_plain(surroundings, &mut device.core, moment, plain, outcome);
    assessment
}

/// A subject whose decisions all have one target.
pub(super) struct Plain<'a> {
    pub scope: Scope,
    pub facts: Facts,
    pub target: Target,
    pub grounds: Grounds<'a>,
    pub latitude: Latitude,
}

/// Brings the one target of a device or a workload to what is wished.
pub(super) fn settle_plain(
    surroundings: &Surroundings<'_>,
    core: &mut Core,
    moment: &Moment,
    plain: Plain<'_>,
    outcome: &mut Outcome,
) {
    let mut wishes = Wishes::new();
    for obligation in surroundings.policy.judge(&plain.facts) {
        if obligation.scope == plain.scope {
            add(&mut wishes, plain.target.clone(), &obligation);
        }
    }
    let occasion = moment.occasion(surroundings);
    for mode in [Mode::Enforce, Mode::Shadow] {
        let wish = wishes.get(&(mode, plain.target.clone()));
        let mut desk = Desk {
            core,
            occasion: &occasion,
            decisions: &mut outcome.decisions,
        };
        let judgement = Judgement {
            wish,
            grounds: &plain.grounds,
            latitude: plain.latitude,
        };
        desk.settle(&plain.target, mode, judgement);
    }
}

/// What the users have been told, to see whether it changed.
fn told(device: &DeviceRecord) -> (Option<bool>, Option<bool>, Vec<StandingEvidence>) {
    (device.compliant, device.managed, standing_evidence(device))
}

/// Evidence with its own date, so that it fades at the users' as it does here.
fn standing_evidence(device: &DeviceRecord) -> Vec<StandingEvidence> {
    let mut all: Vec<StandingEvidence> = device
        .evidence
        .iter()
        .filter(|item| {
            !device
                .dismissals
                .iter()
                .any(|d| d.code == item.code && d.key == item.key)
        })
        .filter_map(|item| {
            Some(StandingEvidence {
                finding: finding(&item.detail)?,
                nats: item.nats,
                since: item.at,
                half_life: item.half_life,
                event: item.event.clone(),
            })
        })
        .collect();
    all.sort_by(|a, b| a.finding.cmp(&b.finding));
    all
}

fn finding(detail: &Detail) -> Option<DeviceFinding> {
    match detail {
        Detail::Check { check, .. } => Some(DeviceFinding::Check(*check)),
        Detail::Alert { name, severity } => Some(DeviceFinding::Alert {
            name: name.clone(),
            severity: *severity,
        }),
        Detail::Verdict { verdict, .. } => Some(DeviceFinding::Analyst(*verdict)),
        _ => None,
    }
}

/// Tells all users when the standing changed, and a newcomer at once.
fn tell(
    device: &mut DeviceRecord,
    before: &(Option<bool>, Option<bool>, Vec<StandingEvidence>),
    newcomer: Option<UserId>,
    origin: &Origin,
    outcome: &mut Outcome,
) {
    let after = told(device);
    let is_changed = !is_same_standing(before, &after);
    let is_told = is_changed || !after.2.is_empty() || after.0.is_some() || after.1.is_some();
    let listeners: Vec<UserId> = if is_changed {
        device.users.iter().map(|held| held.user.clone()).collect()
    } else {
        newcomer.into_iter().filter(|_| is_told).collect()
    };
    let Some((tenant, id)) = device.identity() else {
        return;
    };
    if listeners.is_empty() || origin.handling == Handling::Late {
        return;
    }
    device.revision = device.revision.saturating_add(1);
    for user in listeners {
        let standing = DeviceStanding {
            device: id.clone(),
            revision: device.revision,
            compliant: after.0,
            managed: after.1,
            evidence: after.2.clone(),
        };
        let key = SubjectKey::User {
            tenant: tenant.clone(),
            user,
        };
        outcome.derived.push(Derived::Signal(Signal {
            origin: derived_origin(origin, &id, device.revision),
            subject: Subject::Key(key),
            fact: Fact::DeviceStanding(standing),
        }));
    }
}

/// A standing is the same when it holds the same findings at the same weight; a report repeated is no news.
fn is_same_standing(
    a: &(Option<bool>, Option<bool>, Vec<StandingEvidence>),
    b: &(Option<bool>, Option<bool>, Vec<StandingEvidence>),
) -> bool {
    let weights = |all: &[StandingEvidence]| -> Vec<(DeviceFinding, i64)> {
        all.iter()
            .map(|item| (item.finding.clone(), item.nats.0))
            .collect()
    };
    a.0 == b.0 && a.1 == b.1 && weights(&a.2) == weights(&b.2)
}

/// A derived signal names the event that caused it and the device that tells it.
fn derived_origin(origin: &Origin, device: &DeviceId, revision: u64) -> Origin {
    let hash = short_hash(&[device.as_str().as_bytes(), &revision.to_le_bytes()]);
    Origin {
        event: EventId::new(format!("{}~{hash:016x}", origin.event)),
        source: SourceId::new("caerus"),
        body: hash,
        position: None,
        ..origin.clone()
    }
}
