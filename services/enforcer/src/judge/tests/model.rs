//! The judge and the picture against a model that was written apart: a scan of all that was ever said.

use caerus_engine::id::RuleId;
use proptest::prelude::*;

use super::*;
use crate::picture::Admission;

/// Every rule again, by scanning all that was ever said, in the words of the contract.
fn scan(said: &[Decision], request: &Request, now: Timestamp) -> (u8, BTreeSet<u64>) {
    let newest: Vec<&Decision> = said
        .iter()
        .enumerate()
        .filter(|(index, decision)| {
            !said.iter().enumerate().any(|(other_index, other)| {
                other.tenant == decision.tenant
                    && other.target == decision.target
                    && (other.generation > decision.generation
                        || (other.generation == decision.generation && other_index < *index))
            })
        })
        .map(|(_, decision)| decision)
        .filter(|decision| decision.tenant == request.tenant)
        .collect();
    let owners = |session: &SessionId| -> BTreeSet<UserId> {
        newest
            .iter()
            .filter(|decision| decision.target.session.as_ref() == Some(session))
            .filter_map(|decision| decision.target.user.clone())
            .collect()
    };
    let mut worst = 0;
    let mut met = BTreeSet::new();
    for credential in &request.credentials {
        let owners = credential.session.as_ref().map(owners).unwrap_or_default();
        if let Some(user) = &request.user
            && !owners.is_empty()
            && !owners.contains(user)
        {
            return (9, BTreeSet::new());
        }
        let users: Vec<Option<UserId>> = match &request.user {
            Some(user) => vec![Some(user.clone())],
            None if owners.is_empty() => vec![None],
            None => owners.into_iter().map(Some).collect(),
        };
        for user in users {
            let whole = Target {
                user,
                session: credential.session.clone(),
                device: request.device.clone(),
                workload: request.workload.clone(),
                app: request.app.clone(),
            };
            for decision in &newest {
                let is_young = credential
                    .authenticated_at
                    .zip(decision.issued_before)
                    .is_some_and(|(at, cut_off)| at >= cut_off);
                let is_listed = whole
                    .session
                    .as_ref()
                    .is_some_and(|session| decision.except_sessions.contains(session));
                let is_spared = decision.issued_before.is_some() && (is_young || is_listed);
                if !decision.target.matches(&whole)
                    || is_spared
                    || now >= decision.expires_at + Span::seconds(60)
                {
                    continue;
                }
                let (severity, is_met) = severity(decision, request, now);
                worst = worst.max(severity);
                if is_met {
                    met.insert(decision.generation);
                }
            }
        }
    }
    (worst, met)
}

/// 3 revoke, 2 step-up, 1 restrict, 0 nothing; and whether a demand was met.
fn severity(decision: &Decision, request: &Request, now: Timestamp) -> (u8, bool) {
    let restricted = |restricts: &Restricts| {
        restricts
            .sensitivity_above
            .is_some_and(|n| request.sensitivity > n)
            || request
                .app
                .as_ref()
                .is_some_and(|app| restricts.apps.contains(app))
            || (restricts.sensitivity_above.is_none() && restricts.apps.is_empty())
    };
    match &decision.action {
        Action::Clear => (0, false),
        Action::Revoke => (3, false),
        Action::Restrict(restricts) => (u8::from(restricted(restricts)), false),
        Action::StepUp {
            requires,
            restricts,
        } => {
            let is_met = request.proof.as_ref().is_some_and(|proof| {
                let age = now.0 - proof.authenticated_at.0;
                proof.authenticated_at > decision.issued_at
                    && age >= -60_000
                    && requires
                        .max_age_s
                        .is_none_or(|s| age <= i64::from(s) * 1_000)
                    && !requires.acr_values.is_disjoint(&proof.classes)
                    && (decision.target.session.is_none()
                        || proof.session.is_none()
                        || decision.target.session == proof.session)
            });
            match (is_met, restricts) {
                (false, _) => (2, false),
                (true, Some(restricts)) => (u8::from(restricted(restricts)), true),
                (true, None) => (0, true),
            }
        }
    }
}

fn name<T>(names: &'static [&'static str], of: fn(&'static str) -> T) -> BoxedStrategy<Option<T>>
where
    T: std::fmt::Debug + Clone + 'static,
{
    proptest::option::of(proptest::sample::select(names).prop_map(of)).boxed()
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (-4_i64..5).prop_map(|minutes| NOW + Span::minutes(minutes))
}

fn any_target() -> impl Strategy<Value = Target> {
    (
        name(&["alice", "bob"], UserId::new),
        name(&["s-1", "s-2"], SessionId::new),
        name(&["laptop"], DeviceId::new),
        name(&["payroll"], AppId::new),
        name(&["spiffe://a/b"], WorkloadId::new),
    )
        .prop_map(|(user, session, device, app, workload)| Target {
            session: session.filter(|_| user.is_some()),
            user,
            device,
            workload,
            app,
        })
        .prop_filter("a target names something", |target| !target.is_empty())
}

fn any_restricts() -> impl Strategy<Value = Restricts> {
    (
        proptest::option::of(0_u8..4),
        name(&["payroll"], AppId::new),
    )
        .prop_map(|(sensitivity_above, app)| Restricts {
            sensitivity_above,
            apps: app.into_iter().collect(),
        })
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Clear),
        any_restricts().prop_map(Action::Restrict),
        (
            proptest::option::of(30_u32..400),
            proptest::option::of(any_restricts())
        )
            .prop_map(|(max_age_s, restricts)| Action::StepUp {
                requires: sample::requires(&[MFA, "urn:hardware"], max_age_s),
                restricts,
            }),
        Just(Action::Revoke),
    ]
}

fn any_decision() -> impl Strategy<Value = Decision> {
    (
        any_target(),
        any_action(),
        0_u64..6,
        proptest::sample::select(&["acme", "other"][..]),
        (moment(), moment(), proptest::option::of(moment())),
        name(&["s-1", "s-2"], SessionId::new),
    )
        .prop_map(|(target, action, generation, tenant, times, except)| {
            let (issued_at, expires_at, issued_before) = times;
            Decision {
                id: format!("{tenant}{target:?}{generation}").into(),
                tenant: TenantId::new(tenant),
                generation,
                action,
                target,
                issued_before,
                except_sessions: except.into_iter().collect(),
                issued_at,
                expires_at,
                rule: Some(RuleId::new("rule")),
            }
        })
}

fn any_proof() -> impl Strategy<Value = Proof> {
    (
        name(&["s-1", "s-2"], SessionId::new),
        proptest::sample::select(&[MFA, "urn:other"][..]),
        moment(),
    )
        .prop_map(|(session, class, authenticated_at)| Proof {
            session,
            ..proof(class, authenticated_at)
        })
}

fn any_request() -> impl Strategy<Value = Request> {
    let credential = (
        name(&["s-1", "s-2"], SessionId::new),
        proptest::option::of(moment()),
    )
        .prop_map(|(session, authenticated_at)| Credential {
            session,
            authenticated_at,
        });
    (
        any_target(),
        proptest::collection::vec(credential, 1..4),
        proptest::option::of(any_proof()),
        0_u8..5,
    )
        .prop_map(|(whole, credentials, proof, sensitivity)| Request {
            tenant: TenantId::new("acme"),
            user: whole.user,
            device: whole.device,
            workload: whole.workload,
            app: whole.app,
            sensitivity,
            credentials,
            proof,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn looking_up_says_what_a_scan_of_all_that_was_said_would(
        said in proptest::collection::vec(any_decision(), 0..40),
        request in any_request(),
    ) {
        let mut picture = Picture::default();
        for decision in &said {
            picture.admit(Arc::new(decision.clone()));
        }
        let judgement = judge(&picture, &request, &Classes::new(), NOW);
        let severity = match &judgement.verdict {
            Verdict::Pass => 0,
            Verdict::Restrict(_) => 1,
            Verdict::StepUp(_) => 2,
            Verdict::Revoke(_) => 3,
            Verdict::Conflict => 9,
        };
        let met: BTreeSet<u64> = judgement.met.iter().map(|met| met.generation).collect();
        prop_assert_eq!((severity, met), scan(&said, &request, NOW));
    }

    #[test]
    fn forgetting_what_has_lapsed_changes_no_answer(
        said in proptest::collection::vec(any_decision(), 0..40),
        request in any_request(),
    ) {
        let mut picture = Picture::default();
        for decision in &said {
            picture.admit(Arc::new(decision.clone()));
        }
        let request = Request { user: request.user.or(Some(UserId::new("alice"))), ..request };
        let full = judge(&picture, &request, &Classes::new(), NOW);
        let lapsed = picture.lapsed(NOW, usize::MAX);
        picture.forget(&lapsed, NOW);
        let swept = judge(&picture, &request, &Classes::new(), NOW);
        // Whose session it is may be forgotten with the last decision about it, and a conflict appear or go with that.
        if full.verdict != Verdict::Conflict && swept.verdict != Verdict::Conflict {
            prop_assert_eq!(swept, full);
        }
        for decision in &said {
            let is_told_again_in_vain = picture.admit(Arc::new(decision.clone())) == Admission::Older;
            prop_assert!(is_told_again_in_vain || !decision.is_live(NOW)
                || !said.iter().any(|other| other.target == decision.target
                    && other.tenant == decision.tenant
                    && other.generation > decision.generation));
        }
    }
}
