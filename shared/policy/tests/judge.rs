//! Verdicts: the default set on the facts it is for, rules that fail, and what is remembered.

#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers: what fails here is a failed test"
)]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use caerus_engine::decide::{
    Action, DeviceFacts, Facts, FactsOf, Mode, Obligation, Policy, Scope, SurgeFacts,
};
use caerus_engine::evidence::Code;
use caerus_engine::id::{AcrValue, AppId, CountryCode, DeviceId, SessionId, TenantId, UserId};
use caerus_engine::number::Score;
use caerus_engine::score::Hypothesis;
use caerus_engine::signal::{EdrState, NetworkClass};
use caerus_engine::time::Span;
use caerus_policy::{CLASS_MFA, MEMO_LEN_MAX, PolicySet, default_files};
use proptest::prelude::*;

fn default_set() -> PolicySet {
    PolicySet::load(&default_files()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn set(text: &str) -> PolicySet {
    PolicySet::load(&[("p.cedar", text)]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn facts(of: FactsOf) -> Facts {
    let is_person = matches!(of, FactsOf::Session | FactsOf::User);
    Facts {
        of,
        tenant: TenantId::new("acme"),
        user: is_person.then(|| UserId::new("alice")),
        session: (of == FactsOf::Session).then(|| SessionId::new("s-1")),
        device: (is_person || of == FactsOf::Device).then(|| DeviceId::new("laptop")),
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

/// The facts with this score of this hypothesis, and as the score where it is the strongest.
fn scored(of: FactsOf, hypothesis: Hypothesis, score: u8) -> Facts {
    let mut facts = facts(of);
    facts.scores[hypothesis as usize] = Score(score);
    facts.score = Score(score);
    facts.hypothesis = Some(hypothesis);
    facts
}

fn rules(policy: &PolicySet, facts: &Facts) -> Vec<String> {
    let obligations = policy.judge(facts);
    obligations
        .iter()
        .map(|obligation| obligation.rule.to_string())
        .collect()
}

fn severity(obligations: &[Obligation]) -> u8 {
    let enforced = obligations.iter().filter(|o| o.mode == Mode::Enforce);
    enforced.map(|o| o.action.severity()).max().unwrap_or(0)
}

#[test]
fn the_default_set_loads_without_a_warning() {
    let set = default_set();
    assert_eq!(set.warnings(), []);
    assert!(set.rules().iter().any(|rule| rule.mode == Mode::Shadow));
    assert!(set.classes().contains_key(&AcrValue::new(CLASS_MFA)));
}

#[test]
fn a_session_is_answered_by_the_scores_of_its_person() {
    let set = default_set();
    for hypothesis in [
        Hypothesis::StolenCredential,
        Hypothesis::HijackedSession,
        Hypothesis::Misuse,
    ] {
        let at = |score| rules(&set, &scored(FactsOf::Session, hypothesis, score)).join(" ");
        assert_eq!(at(39), "");
        assert_eq!(at(40), "step-up-on-elevated");
        assert_eq!(at(59), "step-up-on-elevated");
        assert_eq!(at(60), "shadow-revoke-at-60 step-up-on-elevated");
        assert_eq!(
            at(80),
            "revoke-on-critical shadow-revoke-at-60 step-up-on-elevated"
        );
        assert_eq!(at(100), at(80));
    }
}

#[test]
fn a_compromised_device_is_answered_at_scope_device_only() {
    let set = default_set();
    let at = |of, score| {
        let obligations = set.judge(&scored(of, Hypothesis::CompromisedDevice, score));
        let told = obligations.iter().map(|o| (o.scope, o.action.name()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(at(FactsOf::Session, 100), []);
    assert_eq!(at(FactsOf::User, 100), []);
    assert_eq!(at(FactsOf::Device, 39), []);
    assert_eq!(at(FactsOf::Device, 40), [(Scope::Device, "restrict")]);
    assert_eq!(
        at(FactsOf::Device, 80),
        [(Scope::Device, "restrict"), (Scope::Device, "revoke")]
    );
}

#[test]
fn a_device_that_breaks_the_rules_is_kept_from_sensitive_applications() {
    let set = default_set();
    let with = |of, compliant| {
        let mut facts = facts(of);
        facts.device_facts.compliant = compliant;
        rules(&set, &facts).join(" ")
    };
    assert_eq!(
        with(FactsOf::Device, Some(false)),
        "restrict-noncompliant-device"
    );
    assert_eq!(with(FactsOf::Device, Some(true)), "");
    assert_eq!(
        with(FactsOf::Device, None),
        "",
        "what was never reported is no breach"
    );
    assert_eq!(with(FactsOf::Session, Some(false)), "");
}

#[test]
fn a_disabled_account_is_out_everywhere() {
    let set = default_set();
    for of in [FactsOf::Session, FactsOf::User] {
        let mut facts = facts(of);
        facts.is_account_disabled = true;
        let obligations = set.judge(&facts);
        assert_eq!(rules(&set, &facts), ["revoke-disabled-account"]);
        assert_eq!(
            (obligations[0].scope, &obligations[0].action),
            (Scope::User, &Action::Revoke)
        );
    }
}

#[test]
fn annotations_become_what_is_asked_for() {
    let set = set(r#"
        @id("c") @respond("step_up") @scope("user_device") @acr_values("x y") @max_age("15m") @for("8h")
        forbid (principal, action, resource);
        @id("b") @respond("restrict") @scope("session") @apps("payroll hr") @sensitivity_above("0") @mode("shadow")
        forbid (principal, action, resource);
        @id("a") @respond("step_up") @scope("app") @apps("payroll hr") @acr_values("x")
        forbid (principal, action, resource);
    "#);
    let ids = |rules: &[Obligation]| -> Vec<String> {
        rules.iter().map(|rule| rule.rule.to_string()).collect()
    };
    assert_eq!(
        ids(set.rules()),
        ["a", "b", "c"],
        "in the order of their names"
    );
    let session = set.judge(&facts(FactsOf::Session));
    assert_eq!(ids(&session), ["b", "c"]);
    let Action::Restrict(restricts) = &session[0].action else {
        panic!("{session:?}");
    };
    assert_eq!(restricts.sensitivity_above, Some(0));
    assert_eq!(restricts.apps, ["hr", "payroll"].map(AppId::new).into());
    assert_eq!(session[0].mode, Mode::Shadow);
    let Action::StepUp {
        requires,
        restricts: None,
    } = &session[1].action
    else {
        panic!("{session:?}");
    };
    assert_eq!(requires.acr_values, ["x", "y"].map(AcrValue::new).into());
    assert_eq!(requires.max_age_s, Some(900));
    assert_eq!(session[1].life, Some(Span::hours(8)));
    let tenant = set.judge(&facts(FactsOf::Tenant));
    assert_eq!(ids(&tenant), ["a"]);
    assert_eq!(tenant[0].apps, ["hr", "payroll"].map(AppId::new).into());
    assert!(session.iter().all(|rule| rule.apps.is_empty()));
}

#[test]
fn a_rule_without_a_target_in_the_facts_asks_nothing() {
    let set = set(
        r#"@id("a") @respond("revoke") @scope("user_device") forbid (principal, action, resource);"#,
    );
    let mut facts = facts(FactsOf::Session);
    assert_eq!(rules(&set, &facts), ["a"]);
    facts.device = None;
    assert!(rules(&set, &facts).is_empty());
}

#[test]
fn an_enforced_rule_that_fails_counts_as_matching_and_a_shadow_one_does_not() {
    let overflow = "when { context.score * 9223372036854775807 < 0 }";
    let set = set(&format!(
        r#"
        @id("enforced") @respond("revoke") @scope("session") forbid (principal, action, resource) {overflow};
        @id("elsewhere") @respond("revoke") @scope("session") forbid (principal == User::"bob", action, resource) {overflow};
        @id("shadow") @respond("revoke") @scope("session") @mode("shadow") forbid (principal, action, resource) {overflow};
        "#
    ));
    assert!(rules(&set, &scored(FactsOf::Session, Hypothesis::Misuse, 1)).is_empty());
    assert_eq!(
        rules(&set, &scored(FactsOf::Session, Hypothesis::Misuse, 2)),
        ["enforced"]
    );
}

/// Every member of the facts can be asked for, and is what the facts say.
#[test]
fn every_fact_can_be_asked_for() {
    let full = Facts {
        score: Score(77),
        hypothesis: Some(Hypothesis::Misuse),
        scores: [1, 2, 3, 77].map(Score),
        codes: BTreeSet::from([Code::Travel, Code::AccVol]),
        network: NetworkClass::Tor,
        country: Some(CountryCode(*b"DE")),
        acr: Some(AcrValue::new("gold")),
        step_up_age_s: Some(5),
        session_age_s: Some(6),
        device_facts: DeviceFacts {
            compliant: Some(true),
            managed: Some(false),
            os: Some("linux".to_owned()),
            disk_encrypted: Some(true),
            edr: Some(EdrState::Stopped),
            jailbroken: Some(false),
        },
        is_account_disabled: true,
        is_learning: true,
        surge: SurgeFacts {
            users: 8,
            failed: 9,
            shards: 2,
        },
        ..facts(FactsOf::Session)
    };
    let conditions = [
        "context.of == \"session\"",
        "context.tenant == \"acme\"",
        "context.score == 77",
        "context.level == \"MEDIUM\"",
        "context.hypothesis == \"misuse\"",
        "context.scores == {stolen_credential: 1, hijacked_session: 2, compromised_device: 3, misuse: 77}",
        "context.codes.containsAll([\"TRAVEL\", \"ACC_VOL\"])",
        "context.network == \"tor\"",
        "context has country && context.country == \"DE\"",
        "context has acr && context.acr == \"gold\"",
        "context has step_up_age_s && context.step_up_age_s == 5",
        "context has session_age_s && 6 == context.session_age_s",
        "context.device has id && context.device.id == \"laptop\"",
        "context.device has compliant && context.device.compliant",
        "context.device has managed && !context.device.managed",
        "context.device has os && context.device.os like \"lin*\"",
        "context.device has disk_encrypted && context.device.disk_encrypted",
        "context.device has edr && context.device.edr == \"stopped\"",
        "context.device has jailbroken && !context.device.jailbroken",
        "context.account_disabled",
        "context.learning",
        "context.surge == {users: 8, failed: 9, shards: 2}",
        "principal == User::\"alice\"",
        "resource == Session::\"s-1\"",
        "principal is User && resource is Session",
    ];
    for condition in conditions {
        let set = set(&format!(
            "@id(\"a\") @respond(\"revoke\") @scope(\"session\") forbid (principal, action, resource) when {{ {condition} }};"
        ));
        let other = Facts {
            session: Some(SessionId::new("s-2")),
            user: Some(UserId::new("bob")),
            tenant: TenantId::new("globex"),
            device: None,
            ..facts(FactsOf::Session)
        };
        // The other way round too, so that nothing remembered of one answers for the other.
        assert_eq!(rules(&set, &full), ["a"], "{condition}");
        let is_of_all = condition.contains("context.of") || condition.contains(" is ");
        assert_eq!(rules(&set, &other).is_empty(), !is_of_all, "{condition}");
        assert_eq!(rules(&set, &full), ["a"], "{condition}");
    }
}

#[test]
fn most_events_change_nothing_that_the_default_set_can_see() {
    let set = default_set();
    for event in 0..1_000u32 {
        let mut facts = scored(
            FactsOf::Session,
            Hypothesis::StolenCredential,
            u8::try_from(event % 40).unwrap(),
        );
        facts.user = Some(UserId::new(format!("user-{event}")));
        facts.session = Some(SessionId::new(format!("session-{event}")));
        facts.session_age_s = Some(event);
        facts.country = Some(CountryCode(*b"DE"));
        facts.codes = BTreeSet::from([Code::ALL[event as usize % 20]]);
        assert!(rules(&set, &facts).is_empty());
    }
    let counts = set.memo_counts();
    assert_eq!((counts.known, counts.evaluated), (999, 1));
}

#[test]
fn what_is_remembered_is_bounded() {
    let set = set(
        r#"@id("a") @respond("revoke") @scope("session") forbid (principal, action, resource) when { resource == Session::"x" };"#,
    );
    let ask = |n: usize| {
        let mut facts = facts(FactsOf::Session);
        facts.session = Some(SessionId::new(format!("s-{n}")));
        assert!(rules(&set, &facts).is_empty());
    };
    let many = MEMO_LEN_MAX + 1;
    (0..many).for_each(ask);
    assert_eq!(set.memo_counts().evaluated, many as u64);
    ask(many - 1);
    assert_eq!(set.memo_counts().known, 1, "the newest is remembered");
    ask(0);
    assert_eq!(
        set.memo_counts().evaluated,
        many as u64 + 1,
        "the oldest is not"
    );
}

prop_compose! {
    fn any_facts()(
        of in prop::sample::select(vec![FactsOf::Session, FactsOf::User, FactsOf::Device]),
        scores in prop::array::uniform4(0u8..=100),
        compliant in any::<Option<bool>>(),
        disabled in any::<bool>(),
        ages in any::<(Option<u32>, Option<u32>)>(),
        network in prop::sample::select(vec![NetworkClass::Unknown, NetworkClass::Tor]),
    ) -> Facts {
        let mut facts = facts(of);
        facts.scores = scores.map(Score);
        facts.score = facts.scores.into_iter().max().unwrap_or_default();
        facts.device_facts.compliant = compliant;
        facts.is_account_disabled = disabled;
        (facts.step_up_age_s, facts.session_age_s) = ages;
        facts.network = network;
        facts
    }
}

static DEFAULT: LazyLock<PolicySet> = LazyLock::new(default_set);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_higher_score_never_asks_for_less(facts in any_facts(), which in 0usize..4, more in 0u8..=100) {
        let mut worse = facts.clone();
        worse.scores[which] = Score(worse.scores[which].0.saturating_add(more).min(100));
        worse.score = worse.scores.into_iter().max().unwrap_or_default();
        prop_assert!(severity(&DEFAULT.judge(&worse)) >= severity(&DEFAULT.judge(&facts)));
    }

    #[test]
    fn any_text_loads_or_is_told_why_not(text in "\\PC{0,400}") {
        if let Err(problems) = PolicySet::load(&[("p.cedar", &text), ("classes.json", &text)]) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn pieces_of_policies_in_any_order_load_or_are_told_why_not(
        words in prop::collection::vec(prop::sample::select(vec![
            "@id(\"a\")", "@respond(\"revoke\")", "@scope(\"session\")", "forbid", "permit", "(principal, action, resource)",
            "when", "unless", "{", "}", "context", ".score", ">=", "80", ";", "\"", "(", ")", "//", "\n", "has", "&&", "?principal",
        ]), 0..40)
    ) {
        if let Err(problems) = PolicySet::load(&[("p.cedar", words.join(" "))]) {
            prop_assert!(problems.iter().all(|problem| problem.line >= 1 && problem.column >= 1));
        }
    }
}

#[test]
fn the_readme_lists_every_default_rule_in_its_file() {
    let readme = include_str!("../../../deploy/policies/README.md");
    let files = default_files();
    for rule in default_set().rules() {
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", rule.rule)));
        let (name, _) = files
            .iter()
            .find(|(_, text)| text.contains(&format!("@id(\"{}\")", rule.rule)))
            .unwrap();
        assert!(
            row.is_some_and(|row| row.contains(name)),
            "{} in {name}",
            rule.rule
        );
    }
}
