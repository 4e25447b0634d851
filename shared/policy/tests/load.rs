//! Bad policies, each with the place and the sentence it is told with.

use caerus_engine::decide::Policy;
use caerus_policy::{PolicyProblem, PolicySet, PolicySlot, Replacement, default_files};

const GOOD: &str = r#"@id("a") @respond("revoke") @scope("session")
forbid (principal, action, resource) when { context.score >= 80 };
"#;

fn problems(text: &str) -> Vec<String> {
    match PolicySet::load(&[("p.cedar", text)]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(PolicyProblem::to_string).collect(),
    }
}

/// A rule with these annotations, on the line after them.
fn rule(annotations: &str) -> String {
    format!("{annotations}\nforbid (principal, action, resource) when {{ context.score >= 80 }};\n")
}

fn when(condition: &str) -> String {
    format!(
        "@id(\"a\")\n@respond(\"revoke\")\n@scope(\"session\")\nforbid (principal, action, resource)\nwhen {{\n  {condition}\n}};\n"
    )
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found = problems(text);
    assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.starts_with(expected),
            "{text}\nfound    {found}\nexpected {expected}"
        );
    }
}

#[test]
fn a_policy_that_does_not_parse_is_told_at_its_place() {
    check(
        "forbid (principal, action",
        &["p.cedar:1:26: unexpected end of input"],
    );
    check(
        &GOOD.replace("when", "wehn"),
        &["p.cedar:2:38: invalid policy condition: wehn (condition must be"],
    );
    check(
        &format!("{GOOD}\n{GOOD}}}"),
        &["p.cedar:6:1: unexpected token `}`"],
    );
    check(
        "@id(\"a\") @id(\"b\") forbid(principal, action, resource);",
        &["p.cedar:1:10: duplicate annotation"],
    );
}

#[test]
fn a_misspelt_or_misused_attribute_is_told_at_its_place() {
    check(
        &when("context.scroe >= 80"),
        &["p.cedar:6:3: for policy `a`, attribute `scroe`"],
    );
    check(
        &when("context.score >= \"80\""),
        &["p.cedar:6:20: for policy `a`, unexpected type"],
    );
    check(
        &when("true && context.step_up_age_s < 900"),
        &[
            "p.cedar:6:11: for policy `a`, unable to guarantee safety of access to optional attribute",
        ],
    );
    check(
        &when("context.device.compliant"),
        &["p.cedar:6:3: for policy `a`, unable to guarantee safety"],
    );
    check(
        &when("principal == Person::\"x\""),
        &["p.cedar:6:16: for policy `a`, unrecognized entity type `Person`"],
    );
}

#[test]
fn a_word_that_no_fact_can_be_is_told_at_its_place() {
    check(
        &when("context.network == \"hostng\""),
        &["p.cedar:6:22: `context.network` is never `hostng` (it is one of: unknown residential"],
    );
    check(
        &when("context.level == \"high\""),
        &["p.cedar:6:20: `context.level` is never `high`"],
    );
    check(
        &when("context.codes.contains(\"TRAVLE\")"),
        &["p.cedar:6:26: `context.codes` is never `TRAVLE`"],
    );
    check(
        &when("context.codes.containsAny([\"TRAVEL\", \"NOPE\"])"),
        &["p.cedar:6:40: `context.codes` is never `NOPE`"],
    );
    check(
        &when("[\"tor\", \"vnp\"].contains(context.network)"),
        &["p.cedar:6:11: `context.network` is never `vnp`"],
    );
    check(
        &when("context.device has edr && context.device.edr == \"off\""),
        &["p.cedar:6:51: `context.device.edr` is never `off`"],
    );
    check(
        &when("context.hypothesis == \"none\" && context.codes.contains(\"TRAVEL\")"),
        &[],
    );
}

/// Annotations, and what they are told.
const ANNOTATIONS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "p.cedar:2:1: @id is missing",
            "p.cedar:2:1: @respond is missing",
            "p.cedar:2:1: @scope is missing",
        ],
    ),
    (
        r#"@respond("revoke") @scope("session")"#,
        &["p.cedar:1:1: @id is missing"],
    ),
    (
        r#"@id("") @respond("revoke") @scope("session")"#,
        &["p.cedar:1:1: @id: a name has 1 to 128 bytes"],
    ),
    (
        r#"@id("a b") @respond("revoke") @scope("session")"#,
        &["p.cedar:1:1: @id: `a b` holds a space"],
    ),
    (
        r#"@id("a") @respond("block") @scope("session")"#,
        &["p.cedar:1:10: @respond cannot be `block` (it is `revoke`"],
    ),
    (
        r#"@id("a") @respond("revoke") @scope("ip")"#,
        &["p.cedar:1:29: @scope cannot be `ip` (one of `session`"],
    ),
    (
        r#"@id("a") @respond("revoke") @scope("user") @mode("off")"#,
        &["p.cedar:1:44: @mode cannot be `off`"],
    ),
    (
        r#"@id("a") @respond("revoke") @scope("user") @severity("9")"#,
        &["p.cedar:1:44: there is no annotation `@severity` (known are @id"],
    ),
    (
        r#"@id("a") @respond("step_up") @scope("session")"#,
        &["p.cedar:1:1: @acr_values is missing"],
    ),
    (
        r#"@id("a") @respond("step_up") @scope("session") @acr_values(" ")"#,
        &["p.cedar:1:48: @acr_values names 0 things"],
    ),
    (
        r#"@id("a") @respond("step_up") @scope("session") @acr_values("x x")"#,
        &["p.cedar:1:48: @acr_values names `x` twice"],
    ),
    (
        r#"@id("a") @respond("step_up") @scope("session") @acr_values("x") @max_age("soon")"#,
        &["p.cedar:1:65: @max_age cannot be `soon`"],
    ),
    (
        r#"@id("a") @respond("restrict") @scope("device")"#,
        &["p.cedar:1:10: a restriction needs to say what it covers"],
    ),
    (
        r#"@id("a") @respond("restrict") @scope("device") @sensitivity_above("4")"#,
        &["p.cedar:1:48: @sensitivity_above cannot be `4`"],
    ),
    (
        r#"@id("a") @respond("restrict") @scope("device") @apps("")"#,
        &["p.cedar:1:48: @apps names 0 things"],
    ),
    (
        r#"@id("a") @respond("revoke") @scope("user") @acr_values("x")"#,
        &["p.cedar:1:44: @acr_values belongs to @respond(\"step_up\")"],
    ),
    (
        r#"@id("a") @respond("step_up") @scope("user") @acr_values("x") @apps("p")"#,
        &["p.cedar:1:62: @apps belongs to @respond(\"restrict\")"],
    ),
    (
        r#"@id("a") @respond("step_up") @scope("app") @acr_values("x")"#,
        &["p.cedar:1:1: @apps is missing (scope `app` needs the names of the apps"],
    ),
    (
        r#"@id("a") @respond("step_up") @scope("app") @acr_values("x") @apps(" ")"#,
        &["p.cedar:1:61: @apps names 0 things"],
    ),
    (
        r#"@id("a") @respond("step_up") @scope("app") @acr_values("x") @apps("payroll, erp")"#,
        &["p.cedar:1:61: @apps holds a comma (names stand apart by spaces)"],
    ),
    (
        r#"@id("a") @respond("revoke") @scope("app") @apps("payroll")"#,
        &[
            "p.cedar:1:10: @respond cannot be `revoke` in @scope(\"app\") (failed logins would end everybody's session",
        ],
    ),
    (
        r#"@id("a") @respond("restrict") @scope("app") @apps("payroll")"#,
        &["p.cedar:1:1: @sensitivity_above is missing (what of the apps is closed"],
    ),
    (
        r#"@id("a") @respond("revoke") @scope("user") @app("p")"#,
        &["p.cedar:1:44: there is no annotation `@app`"],
    ),
    (
        r#"@id("a") @respond("step_up") @scope("tenant") @acr_values("x")"#,
        &[
            "p.cedar:1:30: @scope cannot be `tenant`: a decision has no member that names one (write @scope(\"app\")",
        ],
    ),
    (
        r#"@id("a") @respond("revoke") @scope("user") @for("2d")"#,
        &["p.cedar:1:44: @for is longer than 24 h"],
    ),
    (
        r#"@id("a") @respond("revoke") @scope("user") @for("0s")"#,
        &["p.cedar:1:44: @for cannot be `0s`"],
    ),
];

#[test]
fn annotations_that_do_not_fit_are_told_at_their_place() {
    for (annotations, expected) in ANNOTATIONS {
        check(&rule(annotations), expected);
    }
}

#[test]
fn permits_templates_and_repeated_ids_are_refused() {
    check(
        &GOOD.replace("forbid", "permit"),
        &["p.cedar:1:1: a rule cannot be `permit`"],
    );
    check(
        &GOOD.replace("(principal,", "(principal == ?principal,"),
        &["p.cedar:1:1: a rule cannot be a template"],
    );
    let files = [
        ("b.cedar", format!("\n{GOOD}")),
        ("a.cedar", GOOD.to_owned()),
    ];
    let found = PolicySet::load(&files).unwrap_err();
    assert_eq!(
        found
            .iter()
            .map(PolicyProblem::to_string)
            .collect::<Vec<_>>(),
        ["b.cedar:2:1: @id `a` is taken (it names the rule at a.cedar:1:1)"]
    );
}

#[test]
fn problems_of_all_files_are_told_at_once() {
    let files = [
        ("a.cedar", GOOD.replace("score", "scroe")),
        ("b.cedar", rule("@id(\"b\")")),
        ("classes.json", "{\"x\": [[]]}".to_owned()),
    ];
    let found = PolicySet::load(&files).unwrap_err();
    let places: Vec<String> = found
        .iter()
        .map(|problem| format!("{}:{}", problem.file, problem.line))
        .collect();
    assert_eq!(
        places,
        ["b.cedar:1", "b.cedar:1", "classes.json:1"],
        "what reads is validated only when all reads"
    );
}

#[test]
fn files_that_are_none_of_a_sets_business_are_refused() {
    let found = |files: &[(&str, &str)]| PolicySet::load(files).unwrap_err()[0].to_string();
    assert_eq!(
        found(&[("README.md", "#")]),
        "README.md:1:1: a policy file is called *.cedar or classes.json"
    );
    assert_eq!(
        found(&[("a.cedar", GOOD), ("a.cedar", GOOD)]),
        "a.cedar:1:1: the file is given twice"
    );
    assert!(found(&[]).contains("there is no rule in the set"));
    assert!(
        found(&[("a.cedar", "// nothing")]).starts_with("a.cedar:1:1: there is no rule in the set")
    );
    let long = "x".repeat(300 * 1024);
    assert!(found(&[("a.cedar", &long)]).contains("the file is longer than 262144 bytes"));
}

#[test]
fn a_rule_that_can_never_match_is_warned_of_and_loads() {
    let warnings = |text: &str| -> Vec<String> {
        let set = PolicySet::load(&[("p.cedar", text)]).unwrap();
        set.warnings()
            .iter()
            .map(PolicyProblem::to_string)
            .collect()
    };
    assert_eq!(warnings(GOOD), Vec::<String>::new());
    let device = rule(r#"@id("a") @respond("revoke") @scope("device")"#);
    assert_eq!(warnings(&device), Vec::<String>::new());
    assert_eq!(
        warnings(&device.replace("(principal,", "(principal is User,")),
        [
            "p.cedar:1:1: a rule of scope `device` with this principal and resource never matches (the scope is asked about Device on Device)"
        ]
    );
    let step_up = rule(r#"@id("a") @respond("step_up") @acr_values("x") @scope("device")"#);
    assert!(warnings(&step_up)[0].contains("no login clears a step-up of scope `device`"));
}

#[test]
fn a_step_up_of_apps_is_warned_of_where_it_cannot_be_met() {
    let text =
        rule(r#"@id("a") @respond("step_up") @acr_values("x") @scope("app") @apps("payroll")"#);
    let set = PolicySet::load(&[("p.cedar", text)]).unwrap();
    let [warning] = set.warnings() else {
        panic!("{:?}", set.warnings());
    };
    let expected = "p.cedar:1:1: a session without `auth_time` cannot meet a step-up of scope `app` (it is met";
    assert!(warning.to_string().starts_with(expected), "{warning}");
}

#[test]
fn step_ups_that_no_class_meets_together_are_refused_for_apps() {
    let step_up = |id: &str, more: &str| {
        rule(&format!(
            r#"@id("{id}") @respond("step_up") @scope("app") {more}"#
        ))
    };
    let gold = step_up("a", r#"@acr_values("gold") @apps("payroll hr")"#);
    let both = step_up("b", r#"@acr_values("gold silver") @apps("payroll")"#);
    let silver = step_up("c", r#"@acr_values("silver") @apps("payroll")"#);
    check(&format!("{gold}{both}"), &[]);
    check(
        &format!("{gold}{both}{silver}"),
        &["p.cedar:5:1: no class meets all step-ups of app `payroll`"],
    );
    let other = silver.replace("payroll", "erp");
    check(&format!("{gold}{other}"), &[]);
    let shadow = silver.replace("@id", r#"@mode("shadow") @id"#);
    check(&format!("{gold}{shadow}"), &[]);
}

#[test]
fn apps_are_as_many_as_a_record_can_hold_decisions_about() {
    let restrict = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("app-{number}")).collect();
        let names = names.join(" ");
        rule(&format!(
            r#"@id("a") @respond("restrict") @scope("app") @sensitivity_above("1") @apps("{names}")"#
        ))
    };
    check(&restrict(32), &[]);
    check(
        &restrict(33),
        &["p.cedar:1:1: more than 32 apps in rules of scope `app`"],
    );
}

#[test]
fn a_revision_names_the_content_whatever_the_order() {
    let revision = |files: &[(&str, &str)]| PolicySet::load(files).unwrap().revision().to_string();
    let other = GOOD.replace("\"a\"", "\"b\"");
    let one = revision(&[("a.cedar", GOOD), ("b.cedar", &other)]);
    assert_eq!(one, revision(&[("b.cedar", &other), ("a.cedar", GOOD)]));
    assert_ne!(one, revision(&[("a.cedar", GOOD), ("c.cedar", &other)]));
    assert_ne!(one, revision(&[("a.cedar", GOOD)]));
    assert!(one.starts_with("sha256:") && one.len() == 7 + 32, "{one}");
}

#[test]
fn a_set_that_does_not_load_leaves_the_last_good_one_in_force() {
    let mut slot = PolicySlot::new(PolicySet::load(&default_files()).unwrap());
    let before = slot.current().revision().clone();
    assert!(matches!(
        slot.replace_or_keep(&default_files()),
        Replacement::Same
    ));
    let Replacement::Kept(problems) = slot.replace_or_keep(&[("p.cedar", "forbid")]) else {
        panic!("a broken file was taken");
    };
    assert_eq!(problems[0].file, "p.cedar");
    assert_eq!(slot.current().revision(), &before);
    let of_tenant = GOOD.replace("session", "tenant");
    assert!(matches!(
        slot.replace_or_keep(&[("p.cedar", of_tenant)]),
        Replacement::Kept(_)
    ));
    assert_eq!(slot.current().revision(), &before);
    let Replacement::New(set) = slot.replace_or_keep(&[("p.cedar", GOOD)]) else {
        panic!("a good file was not taken");
    };
    assert_eq!(set.revision(), slot.current().revision());
    assert_ne!(set.revision(), &before);
}

/// The deepest texts that the bounds let through, on a thread as small as the runtime's.
#[test]
fn the_deepest_text_within_bounds_neither_panics_nor_overflows() {
    let conditions = [
        format!("{}true{}", "(".repeat(22), ")".repeat(22)),
        "if true then true else ".repeat(24) + "true",
        "true && ".repeat(128) + "true",
        "true || ".repeat(128) + "true",
        format!("0{} > 1", " + 1".repeat(128)),
        format!("context{} == 1", ".a".repeat(24)),
        format!("{}true", "!".repeat(4)),
        format!("{}[]{} == []", "[".repeat(22), "]".repeat(22)),
        format!("{}1{} == 1", "{a: ".repeat(22), "}".repeat(22)),
        format!(
            "{}true{}",
            "(true && if ".repeat(22),
            " then true else false)".repeat(22)
        ),
    ];
    for condition in conditions {
        let text = when(&condition);
        let loaded = PolicySet::load(&[("p.cedar", &text)]);
        if let Err(problems) = loaded {
            assert!(!problems.is_empty());
            assert!(
                problems
                    .iter()
                    .all(|problem| !problem.message.contains("deeper")
                        && !problem.message.contains("joined")),
                "the text is meant to be within bounds: {problems:?}"
            );
        }
    }
}
