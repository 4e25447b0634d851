//! Rules about apps: a climate and a moment in, decisions of the first shard out.

use std::collections::BTreeSet;

use super::*;
use crate::climate::{Climate, ClimateChange, ClimateFinding};
use crate::decide::{Decision, Policy, Requires, Restricts};
use crate::id::{AcrValue, AppId, EventId, RevisionId, RuleId, SourceId, SubjectKey};
use crate::number::{Nats, Points};
use crate::record::{Population, SubjectRecord};
use crate::score::{Line, Model};
use crate::signal::{
    Fact, FailureKind, Handling, Origin, Outcome as LoginOutcome, Signal, Subject, TenantLogin,
};
use crate::step::door::step;
use crate::step::{Derived, Input, Transition, WakeReason, WakeUp};
use crate::time::Span;

const START: Timestamp = Timestamp(1_772_442_000_000);

/// Asks the same whatever the facts, but never at a score below `floor`.
#[derive(Debug)]
struct Rules {
    floor: u8,
    rules: Vec<Obligation>,
    revision: RevisionId,
    classes: BTreeMap<AcrValue, Vec<BTreeSet<String>>>,
}

impl Policy for Rules {
    fn revision(&self) -> &RevisionId {
        &self.revision
    }

    fn judge(&self, facts: &Facts) -> Vec<Obligation> {
        if facts.score.0 < self.floor {
            return Vec::new();
        }
        self.rules.clone()
    }

    fn classes(&self) -> &BTreeMap<AcrValue, Vec<BTreeSet<String>>> {
        &self.classes
    }
}

fn rule(name: &str, action: Action, apps: &[&str]) -> Obligation {
    Obligation {
        rule: RuleId::new(name),
        action,
        scope: Scope::App,
        mode: Mode::Enforce,
        apps: apps.iter().map(|app| AppId::new(*app)).collect(),
        life: None,
    }
}

fn step_up(class: &str) -> Action {
    Action::StepUp {
        requires: Requires {
            acr_values: [AcrValue::new(class)].into(),
            max_age_s: None,
        },
        restricts: None,
    }
}

/// One shard of a tenant, in a climate, under rules.
struct World {
    model: Model,
    climate: Climate,
    policy: Rules,
    shard: u16,
    record: Option<SubjectRecord>,
    told: usize,
}

impl World {
    fn new(floor: u8, rules: Vec<Obligation>) -> Self {
        Self {
            model: Model::default(),
            climate: Climate::default(),
            policy: Rules {
                floor,
                rules,
                revision: RevisionId::new("r"),
                classes: BTreeMap::new(),
            },
            shard: 0,
            record: None,
            told: 0,
        }
    }

    fn key(&self) -> SubjectKey {
        SubjectKey::Tenant {
            tenant: TenantId::new("acme"),
            shard: self.shard,
        }
    }

    /// Shard 3 sees a surge of this weight, or none any more.
    fn surge(&mut self, nats: Option<f64>, at: Timestamp) {
        let surge = nats.map(|nats| Surge {
            nats: Nats::from_f64(nats),
            failed: 40,
            users: 20,
            window_s: 900,
            since: at,
            at,
            event: EventId::new("e-spray"),
        });
        self.climate.apply(&ClimateChange {
            tenant: TenantId::new("acme"),
            what: ClimateFinding::Surge { shard: 3, surge },
        });
    }

    fn step(&mut self, input: &Input) -> Transition {
        let surroundings = Surroundings {
            model: &self.model,
            climate: &self.climate,
            policy: &self.policy,
        };
        let mut transition = step(
            &surroundings,
            self.record.take(),
            Population::default(),
            input,
        );
        self.record = transition.record.take();
        transition
    }

    fn signal(&mut self, at: Timestamp, handling: Handling, fact: Fact) -> Transition {
        self.told += 1;
        let origin = Origin {
            event: EventId::new(format!("e-{}", self.told)),
            source: SourceId::new("test"),
            time: at,
            received_at: at,
            body: 0,
            position: None,
            handling,
            trace: None,
        };
        let subject = Subject::Key(self.key());
        self.step(&Input::Signal(Signal {
            origin,
            subject,
            fact,
        }))
    }

    fn news(&mut self, at: Timestamp) -> Vec<Decision> {
        let fact = Fact::TenantSurge {
            shard: 3,
            is_over: false,
        };
        self.signal(at, Handling::Live, fact).decisions
    }

    fn wake(&mut self, at: Timestamp, reason: WakeReason) -> Vec<Decision> {
        let subject = self.key().hash();
        let wake = WakeUp {
            subject,
            at,
            reason,
        };
        self.step(&Input::WakeUp(wake)).decisions
    }

    fn failure(&mut self, user: u64, at: Timestamp) -> Transition {
        let login = TenantLogin {
            user,
            prefix: None,
            outcome: LoginOutcome::Failure(FailureKind::BadPassword),
        };
        self.signal(at, Handling::Live, Fact::TenantLogin(login))
    }
}

/// `action app` of each.
fn said(decisions: &[Decision]) -> Vec<String> {
    let app = |decision: &Decision| decision.target.app.as_ref().unwrap().to_string();
    decisions
        .iter()
        .map(|decision| format!("{} {}", decision.action.name(), app(decision)))
        .collect()
}

fn under_attack() -> World {
    let mut world = World::new(40, vec![rule("a", step_up("mfa"), &["payroll", "erp"])]);
    world.surge(Some(4.0), START);
    world
}

#[test]
fn a_surge_that_another_shard_sees_asks_for_more_at_each_app_named_and_says_why() {
    let decisions = under_attack().news(START);
    assert_eq!(said(&decisions), ["step_up erp", "step_up payroll"]);
    for decision in &decisions {
        assert_eq!(decision.hypothesis, Some(Hypothesis::StolenCredential));
        assert_eq!(decision.score.0, 60);
        let [prior, spray] = decision.contributions.as_slice() else {
            panic!("{:?}", decision.contributions);
        };
        assert_eq!(
            (&prior.line, prior.points),
            (&Line::Prior, Points(1_626)),
            "where every assessment starts"
        );
        assert!(
            matches!(
                &spray.line,
                Line::Evidence {
                    code: Code::TenantSpray,
                    ..
                }
            ),
            "{spray:?}"
        );
        assert_eq!(spray.event, Some(EventId::new("e-spray")));
        let total: Points = decision.contributions.iter().map(|line| line.points).sum();
        assert_eq!(total.to_score(), decision.score);
        assert_eq!(
            decision.issued_before,
            Some(START + crate::decide::desk::CUT_OFF_MARGIN)
        );
        assert_eq!(decision.except_sessions, BTreeSet::new());
    }
    let generations: Vec<u64> = decisions.iter().map(|d| d.generation).collect();
    assert_eq!(generations, [1, 2]);
}

#[test]
fn what_goes_on_is_told_once_and_lifted_when_it_is_over() {
    let mut world = under_attack();
    assert_eq!(world.news(START).len(), 2);
    for minute in 1..10 {
        world.surge(Some(4.0), START + Span::minutes(minute));
        let at = START + Span::minutes(minute);
        assert_eq!(said(&world.news(at)), Vec::<String>::new());
        assert!(world.failure(7, at).decisions.is_empty());
    }
    let end = START + Span::minutes(70);
    world.surge(None, end);
    let decisions = world.news(end);
    assert_eq!(said(&decisions), ["clear erp", "clear payroll"]);
    assert_eq!(said(&world.news(end)), Vec::<String>::new());
}

#[test]
fn it_stays_between_the_two_thresholds_and_fades_away_by_wake_ups_alone() {
    let mut world = under_attack();
    assert_eq!(world.news(START).len(), 2);
    // 4 nats are 2 after a quarter of an hour: 38 points, below the rule's 40 and above the demand's 30.
    assert!(world.news(START + Span::minutes(15)).is_empty());
    let at = START + Span::minutes(46);
    assert_eq!(
        said(&world.wake(at, WakeReason::Due)),
        ["clear erp", "clear payroll"]
    );
}

#[test]
fn what_is_still_wanted_is_renewed_before_it_expires_with_its_cut_off() {
    let mut world = under_attack();
    let first = world.news(START);
    let late = first[0].expires_at - Span::minutes(5);
    world.surge(Some(4.0), late);
    let again = world.wake(late, WakeReason::Due);
    assert_eq!(said(&again), ["step_up erp", "step_up payroll"]);
    assert!(again[0].generation > first[1].generation);
    assert_eq!(again[0].issued_before, first[0].issued_before);
}

#[test]
fn only_the_first_shard_decides_and_only_of_what_is_live() {
    let mut elsewhere = under_attack();
    elsewhere.shard = 3;
    assert!(elsewhere.news(START).is_empty());
    assert!(elsewhere.failure(7, START).decisions.is_empty());
    let fact = Fact::TenantSurge {
        shard: 3,
        is_over: false,
    };
    let told = under_attack().signal(START, Handling::Backfill, fact);
    assert!(told.decisions.is_empty());
}

#[test]
fn without_a_surge_nothing_is_asked_whatever_a_rule_says() {
    let mut world = World::new(0, vec![rule("a", step_up("mfa"), &["payroll"])]);
    assert!(world.news(START).is_empty());
    assert!(world.failure(7, START).decisions.is_empty());
}

#[test]
fn no_rule_about_apps_ever_revokes() {
    let revoke = rule("a", Action::Revoke, &["payroll"]);
    let gold = rule("b", step_up("gold"), &["payroll"]);
    let silver = rule("c", step_up("silver"), &["payroll"]);
    let mut world = World::new(0, vec![revoke, gold, silver]);
    world.surge(Some(4.0), START);
    let decisions = world.news(START);
    assert_eq!(said(&decisions), ["step_up payroll"]);
    assert_eq!(decisions[0].action, step_up("gold"), "the first to ask");
}

#[test]
fn a_new_policy_is_followed_at_once() {
    let mut world = under_attack();
    assert_eq!(world.news(START).len(), 2);
    let restricts = Restricts {
        sensitivity_above: Some(1),
        apps: BTreeSet::new(),
    };
    world.policy.rules = vec![rule("z", Action::Restrict(restricts), &["payroll"])];
    world.policy.revision = RevisionId::new("r-2");
    let at = START + Span::seconds(1);
    assert_eq!(
        said(&world.wake(at, WakeReason::Rejudge)),
        ["clear erp", "restrict payroll"]
    );
}

#[test]
fn a_shard_tells_the_climate_and_then_the_first_shard_of_its_surge_and_of_its_end() {
    let mut world = World::new(0, Vec::new());
    world.shard = 9;
    let derived: Vec<Derived> = (0..20)
        .flat_map(|user| {
            let at = START + Span::seconds(i64::try_from(user).unwrap());
            world.failure(user, at).derived
        })
        .collect();
    let end = WakeUp {
        subject: world.key().hash(),
        at: START + Span::hours(2),
        reason: WakeReason::Due,
    };
    let ended = world.step(&Input::WakeUp(end)).derived;
    let first = SubjectKey::Tenant {
        tenant: TenantId::new("acme"),
        shard: 0,
    };
    let mut pairs = 0;
    for (told, over) in [(&derived, false), (&ended, true)] {
        for pair in told.chunks(2) {
            let [Derived::Climate(_), Derived::Signal(signal)] = pair else {
                panic!("{pair:?}");
            };
            assert_eq!(signal.subject, Subject::Key(first.clone()));
            let fact = Fact::TenantSurge {
                shard: 9,
                is_over: over,
            };
            assert_eq!(signal.fact, fact);
            pairs += 1;
        }
    }
    assert!(pairs > 2, "{pairs}");
    assert_eq!(ended.len(), 2);
}
