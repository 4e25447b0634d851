//! What holds for every user, whatever happens to them: a property over made-up lives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use caerus_engine::climate::Climate;
use caerus_engine::decide::{
    Action, Command, Decision, Facts, Mode, Obligation, Policy, Requires, Restricts, Scope, Target,
};
use caerus_engine::id::{
    AcrValue, AppId, Asn, CountryCode, DeviceId, EventId, PrincipalId, ResourceId, RevisionId,
    RuleId, SessionId, SourceId, SubjectKey, TenantId, UserId,
};
use caerus_engine::limits;
use caerus_engine::number::Points;
use caerus_engine::record::{Population, SubjectRecord};
use caerus_engine::score::{Contribution, Model, Scored};
use caerus_engine::signal::{
    About, Access, AccessOutcome, Agent, Authentication, Client, Fact, FailureKind, Feedback,
    Handling, Login, NetworkClass, Origin, Outcome, Place, SessionChange, SessionChangeKind,
    Signal, Subject, Verdict,
};
use caerus_engine::step::{Input, Surroundings, Transition, WakeReason, WakeUp};
use caerus_engine::time::{Span, Timestamp};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

const START: Timestamp = Timestamp(1_772_442_000_000);

/// Revokes at 45, so that made-up lives reach it; asks for more at 40, restricts at 20, and revokes the user of two bad sessions in shadow.
#[derive(Debug)]
struct Thresholds {
    revision: RevisionId,
    classes: BTreeMap<AcrValue, Vec<BTreeSet<String>>>,
}

impl Policy for Thresholds {
    fn revision(&self) -> &RevisionId {
        &self.revision
    }

    fn judge(&self, facts: &Facts) -> Vec<Obligation> {
        let requires = Requires {
            acr_values: [AcrValue::new("mfa")].into(),
            max_age_s: None,
        };
        let restricts = Restricts {
            sensitivity_above: Some(1),
            apps: BTreeSet::new(),
        };
        let rules = [
            (45, Action::Revoke, Scope::Session, Mode::Enforce),
            (
                40,
                Action::StepUp {
                    requires,
                    restricts: None,
                },
                Scope::Session,
                Mode::Enforce,
            ),
            (20, Action::Restrict(restricts), Scope::User, Mode::Enforce),
            (60, Action::Revoke, Scope::User, Mode::Shadow),
        ];
        let matching = rules
            .into_iter()
            .filter(|(floor, ..)| facts.score.0 >= *floor);
        matching
            .map(|(floor, action, scope, mode)| Obligation {
                rule: RuleId::new(format!("at-{floor}")),
                action,
                scope,
                mode,
                apps: BTreeSet::new(),
                life: None,
            })
            .collect()
    }

    fn classes(&self) -> &BTreeMap<AcrValue, Vec<BTreeSet<String>>> {
        &self.classes
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Login {
        session: u8,
        place: u8,
        device: u8,
        strong: bool,
    },
    Failure {
        place: u8,
        push: bool,
    },
    Access {
        session: u8,
        place: u8,
        device: u8,
        bytes: u32,
        refused: bool,
    },
    Change {
        session: u8,
        kind: u8,
    },
    Verdict {
        session: u8,
        verdict: u8,
    },
    Operator {
        session: u8,
        clears: bool,
    },
    Wake,
}

fn deed() -> impl Strategy<Value = Deed> {
    let small = || 0..4_u8;
    prop_oneof![
        4 => (small(), small(), small(), any::<bool>())
            .prop_map(|(session, place, device, strong)| Deed::Login { session, place, device, strong }),
        2 => (small(), any::<bool>()).prop_map(|(place, push)| Deed::Failure { place, push }),
        6 => (small(), small(), small(), any::<u32>(), any::<bool>()).prop_map(
            |(session, place, device, bytes, refused)| Deed::Access { session, place, device, bytes, refused }
        ),
        1 => (small(), 0..7_u8).prop_map(|(session, kind)| Deed::Change { session, kind }),
        1 => (small(), 0..3_u8).prop_map(|(session, verdict)| Deed::Verdict { session, verdict }),
        1 => (small(), any::<bool>()).prop_map(|(session, clears)| Deed::Operator { session, clears }),
        2 => Just(Deed::Wake),
    ]
}

fn alice() -> SubjectKey {
    SubjectKey::User {
        tenant: TenantId::new("acme"),
        user: UserId::new("alice"),
    }
}

fn client(place: u8, device: u8) -> Client {
    Client {
        device: (device > 0).then(|| DeviceId::new(format!("d-{device}"))),
        address: Some(IpAddr::V4(Ipv4Addr::new(198, 51, 100 + place, 7))),
        place: Place {
            country: Some(CountryCode([b'A' + place / 2, b'X'])),
            asn: Some(Asn(64_500 + u32::from(place))),
            class: if place == 3 {
                NetworkClass::Tor
            } else {
                NetworkClass::Residential
            },
            ..Place::default()
        },
        agent: Agent {
            os: Some("linux".to_owned()),
            browser: Some(format!("b-{}", device % 2)),
            browser_major: Some(1),
        },
        ja4: None,
        certificate: None,
    }
}

fn session(number: u8) -> SessionId {
    SessionId::new(format!("s-{number}"))
}

fn fact(deed: &Deed) -> Option<Fact> {
    Some(match *deed {
        Deed::Login {
            session: number,
            place,
            device,
            strong,
        } => Fact::Login(Box::new(Login {
            session: Some(session(number)),
            client: client(place, device),
            outcome: Outcome::Success,
            authentication: proof(strong),
            issued_at: None,
        })),
        Deed::Failure { place, push } => Fact::Login(Box::new(Login {
            session: None,
            client: client(place, 0),
            outcome: Outcome::Failure(if push {
                FailureKind::MfaDenied
            } else {
                FailureKind::BadPassword
            }),
            authentication: proof(false),
            issued_at: None,
        })),
        Deed::Access {
            session: number,
            place,
            device,
            bytes,
            refused,
        } => Fact::Access(Box::new(Access {
            session: Some(session(number)),
            client: client(place, device),
            peer_workload: None,
            app: Some(AppId::new("crm")),
            resource: Some(ResourceId::new(format!("/r/{}", bytes % 50))),
            outcome: if refused {
                AccessOutcome::Refused
            } else {
                AccessOutcome::Served
            },
            bytes_out: u64::from(bytes),
            sensitivity: None,
            issued_at: None,
        })),
        Deed::Change {
            session: number,
            kind,
        } => Fact::Session(Box::new(change(number, kind))),
        Deed::Verdict {
            session: number,
            verdict,
        } => Fact::Feedback(Feedback {
            verdict: match verdict {
                0 => Verdict::Compromised,
                1 => Verdict::Safe,
                _ => Verdict::Dismiss,
            },
            about: About::Session(session(number)),
            by: PrincipalId::new("eve"),
            note: None,
        }),
        Deed::Operator { .. } | Deed::Wake => return None,
    })
}

fn change(number: u8, kind: u8) -> SessionChange {
    let kind = match kind {
        0 => SessionChangeKind::Ended,
        1 => SessionChangeKind::AccountDisabled,
        2 => SessionChangeKind::AccountEnabled,
        3 => SessionChangeKind::MfaEnrolled,
        4 => SessionChangeKind::StepUpMet,
        5 => SessionChangeKind::Started,
        _ => SessionChangeKind::CredentialChanged,
    };
    SessionChange {
        session: Some(session(number)),
        client: client(0, 1),
        authentication: proof(true),
        issued_at: Some(START + Span::days(400)),
        kind,
    }
}

fn proof(strong: bool) -> Authentication {
    let mut amr: BTreeSet<String> = ["pwd".to_owned()].into();
    if strong {
        amr.insert("mfa".to_owned());
    }
    Authentication {
        amr,
        acr: strong.then(|| AcrValue::new("mfa")),
    }
}

fn input(deed: &Deed, number: usize, now: Timestamp) -> Input {
    let event = EventId::new(format!("e-{number}"));
    if let Deed::Operator {
        session: target,
        clears,
    } = deed
    {
        let action = if *clears {
            Action::Clear
        } else {
            Action::Revoke
        };
        return Input::Command(Command {
            tenant: TenantId::new("acme"),
            id: event,
            action,
            target: Target {
                user: Some(UserId::new("alice")),
                session: (*target > 0).then(|| session(*target)),
                ..Target::default()
            },
            reason: "drill".to_owned(),
            by: PrincipalId::new("operator"),
            time: now,
            received_at: now,
            life: Some(Span::hours(2)),
            trace: None,
        });
    }
    let Some(fact) = fact(deed) else {
        let subject = alice().hash();
        return Input::WakeUp(WakeUp {
            subject,
            at: now,
            reason: WakeReason::Due,
        });
    };
    Input::Signal(Signal {
        origin: Origin {
            event,
            source: SourceId::new("test"),
            time: now,
            received_at: now,
            body: 1,
            position: None,
            handling: Handling::Live,
            trace: None,
        },
        subject: Subject::Key(alice()),
        fact,
    })
}

/// Watches one subject's life for what must never happen.
#[derive(Default)]
struct Watch {
    generations: BTreeMap<Mode, u64>,
    /// What was told last of each target, and until when.
    in_force: BTreeMap<Target, (Action, Timestamp)>,
}

impl Watch {
    fn transition(&mut self, transition: &Transition, input: &Input) {
        if let Some(Scored::Assessed(assessment)) =
            transition.score.as_ref().map(|line| &line.outcome)
        {
            assert_adds_up(&assessment.contributions, assessment.raw);
            assert_eq!(assessment.raw.to_score(), assessment.score);
        }
        for decision in &transition.decisions {
            self.decision(decision, input);
        }
        let Some(SubjectRecord::User(user)) = &transition.record else {
            return;
        };
        assert!(user.sessions.len() <= limits::SESSIONS_PER_USER);
        assert!(user.core.in_force.len() <= limits::IN_FORCE_PER_SUBJECT);
        assert!(user.core.seen.entries.len() <= limits::SEEN_LEN);
        for scope in user
            .sessions
            .iter()
            .map(|session| &session.evidence)
            .chain([&user.evidence])
        {
            assert!(scope.len() <= limits::EVIDENCE_PER_SCOPE);
        }
    }

    fn decision(&mut self, decision: &Decision, input: &Input) {
        let generation = self.generations.entry(decision.mode).or_default();
        assert!(decision.generation > *generation, "INV-1: {decision:?}");
        *generation = decision.generation;
        assert!(!decision.contributions.is_empty(), "INV-3: {decision:?}");
        assert!(decision.expires_at > decision.issued_at || decision.action == Action::Clear);
        let total: Points = decision.contributions.iter().map(|line| line.points).sum();
        assert_eq!(total.to_score(), decision.score, "INV-3: {decision:?}");
        if decision.mode == Mode::Shadow {
            return;
        }
        let told = (decision.action.clone(), decision.expires_at);
        let before = self.in_force.insert(decision.target.clone(), told);
        let may_lower = matches!(input, Input::Command(_))
            || matches!(
                input,
                Input::Signal(Signal {
                    fact: Fact::Feedback(_),
                    ..
                })
            )
            || matches!(input, Input::Signal(Signal { fact: Fact::Session(change), .. })
                if change.kind == SessionChangeKind::AccountEnabled);
        let is_revoked = before
            .is_some_and(|(action, until)| action == Action::Revoke && until > decision.issued_at);
        assert!(
            !is_revoked || decision.action == Action::Revoke || may_lower,
            "INV-4: nothing milder than a revoke: {decision:?}"
        );
    }
}

fn assert_adds_up(contributions: &[Contribution], raw: Points) {
    let total: Points = contributions.iter().map(|line| line.points).sum();
    assert_eq!(total, raw, "INV-3: {contributions:?}");
}

fn live(deeds: &[(Deed, u32)]) -> Vec<Decision> {
    let policy = Thresholds {
        revision: RevisionId::new("sha256:test"),
        classes: BTreeMap::from([(AcrValue::new("mfa"), vec![["mfa".to_owned()].into()])]),
    };
    let (model, climate) = (Model::default(), Climate::default());
    let surroundings = Surroundings {
        model: &model,
        climate: &climate,
        policy: &policy,
    };
    let (mut record, mut population) = (None, Population::default());
    let (mut watch, mut now, mut all) = (Watch::default(), START, Vec::new());
    for (number, (deed, pause_s)) in deeds.iter().enumerate() {
        now = now + Span::seconds(i64::from(*pause_s));
        let input = input(deed, number, now);
        let transition = caerus_engine::step(&surroundings, record, population, &input);
        watch.transition(&transition, &input);
        all.extend(transition.decisions);
        (record, population) = (transition.record, transition.population);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_generations_rise_lines_add_up_and_bounds_hold(
        deeds in proptest::collection::vec((deed(), 1..40_000_u32), 1..60)
    ) {
        let once = live(&deeds);
        assert_eq!(once, live(&deeds), "INV-5: the same life gives the same decisions");
    }
}
