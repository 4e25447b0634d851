//! The AuthZEN surface, over sockets.

use super::*;

#[tokio::test]
async fn authzen_questions_are_answered_from_the_same_picture() {
    let restrict = Decision {
        action: Action::Restrict(caerus_engine::decide::Restricts {
            sensitivity_above: Some(2),
            apps: [caerus_engine::id::AppId::new("payroll")].into(),
        }),
        ..sample::revoke(sample::user("carol"))
    };
    let decisions = [
        sample::revoke(sample::session("alice", "s-1")),
        sample::step_up(sample::session("bob", "s-2")),
        restrict,
    ];
    let house = House::open(&decisions, COOKIE).await;
    let ask = |subject: Value, resource: Value| json!({"subject": subject, "action": {"name": "read"}, "resource": resource, "more": 1});
    let user = |id: &str| json!({"type": "user", "id": id});
    let wiki = || json!({"type": "app", "id": "wiki"});
    let cases = [
        (ask(user("alice"), wiki()), json!({"decision": true})),
        (
            ask(
                json!({"type": "user", "id": "alice", "properties": {"session": "s-1"}}),
                wiki(),
            ),
            json!({"decision": false, "context": {"reason": "revoked", "id": decisions[0].id.as_ref(),
                "rule": "revoke-on-critical"}}),
        ),
        (
            ask(json!({"type": "session", "id": "s-2"}), wiki()),
            json!({"decision": false, "context": {"reason": "step_up", "id": decisions[1].id.as_ref(),
                "rule": "revoke-on-critical", "acr_values": [sample::MFA], "max_age": 300}}),
        ),
        (ask(user("carol"), wiki()), json!({"decision": true})),
        (
            ask(
                user("carol"),
                json!({"type": "record", "id": "1", "properties": {"sensitivity": 3}}),
            ),
            json!({"decision": false, "context": {"reason": "restricted", "id": decisions[2].id.as_ref(),
                "rule": "revoke-on-critical"}}),
        ),
        (
            ask(
                user("carol"),
                json!({"type": "record", "id": "1", "properties": {"app": "payroll"}}),
            ),
            json!({"decision": false, "context": {"reason": "restricted", "id": decisions[2].id.as_ref(),
                "rule": "revoke-on-critical"}}),
        ),
        (
            ask(
                json!({"type": "user", "id": "alice", "properties": {"tenant": "other", "session": "s-1"}}),
                wiki(),
            ),
            json!({"decision": true}),
        ),
    ];
    for (question, expected) in cases {
        let (status, answer) = house.evaluate("/access/v1/evaluation", &question).await;
        assert_eq!((status, answer), (200, expected), "{question}");
    }
}

#[tokio::test]
async fn authzen_questions_that_are_none_get_a_400_that_names_the_member() {
    let house = House::open(&[], COOKIE).await;
    let good = json!({"subject": {"type": "user", "id": "alice"}, "action": {"name": "read"},
        "resource": {"type": "app", "id": "wiki"}});
    let changed = |path: &str, value: Value| {
        let mut question = good.clone();
        *question.pointer_mut(path).unwrap() = value;
        question
    };
    let cases = [
        (json!([]), "expected"),
        (json!({}), "member `subject` is missing"),
        (
            changed("/action", Value::Null),
            "member `action` is missing",
        ),
        (
            changed("/resource", Value::Null),
            "member `resource` is missing",
        ),
        (
            changed("/subject/id", json!("")),
            "member `subject.id` is empty",
        ),
        (changed("/subject/id", json!(7)), "expected a string"),
        (
            changed("/subject", json!({"id": "x"})),
            "missing field `type`",
        ),
        (
            changed("/subject/type", json!("robot")),
            "subject type `robot` is not known",
        ),
        (
            changed(
                "/resource",
                json!({"type": "app", "id": "x", "properties": {"sensitivity": 5}}),
            ),
            "a number from 0 to 4",
        ),
        (
            changed(
                "/subject",
                json!({"type": "user", "id": "a", "properties": {"user": "b"}}),
            ),
            "name different users",
        ),
        (
            changed("/resource", json!({"type": "route", "id": "/%zz"})),
            "hexadecimal",
        ),
    ];
    for (question, expected) in cases {
        let (status, problem) = house.evaluate("/access/v1/evaluation", &question).await;
        assert_eq!(status, 400, "{question}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{detail}");
    }
}

#[tokio::test]
async fn an_authzen_question_is_posted_as_json() {
    let house = House::open(&[], COOKIE).await;
    let good = "{}";
    for (content_type, body) in [("text/plain", good), ("application/json", "{")] {
        let line = format!("content-type: {content_type}");
        let told = house
            .send("POST /access/v1/evaluation", &[&line], body)
            .await;
        assert_eq!(told.status, 400, "{content_type} {body}");
    }
    assert_eq!(
        house
            .send("GET /access/v1/evaluation", &[], "")
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn an_authzen_batch_shares_its_parts_and_stops_where_it_is_told_to() {
    let house = House::open(&[sample::revoke(sample::user("alice"))], COOKIE).await;
    let item = |user: &str| json!({"subject": {"type": "user", "id": user}});
    let batch = |semantic: &str, items: Value| {
        json!({"action": {"name": "read"}, "resource": {"type": "app", "id": "wiki"},
            "evaluations": items, "options": {"evaluations_semantic": semantic}})
    };
    let mixed = json!([item("bob"), item("alice"), {}, item("bob")]);
    for (semantic, expected) in [
        ("execute_all", vec![true, false, false, true]),
        ("deny_on_first_deny", vec![true, false]),
        ("permit_on_first_permit", vec![true]),
    ] {
        let (status, answers) = house
            .evaluate("/access/v1/evaluations", &batch(semantic, mixed.clone()))
            .await;
        let decisions: Vec<bool> = answers["evaluations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|answer| answer["decision"].as_bool().unwrap())
            .collect();
        assert_eq!((status, decisions), (200, expected), "{semantic}");
    }
    let (_, answers) = house
        .evaluate("/access/v1/evaluations", &batch("execute_all", json!([{}])))
        .await;
    assert_eq!(
        answers["evaluations"][0]["context"]["error"],
        json!({"status": 400, "message": "member `subject` is missing"})
    );
    let many = vec![item("bob"); limit::EVALUATIONS_MAX + 1];
    for (question, expected) in [
        (batch("never", json!([item("bob")])), 400),
        (batch("execute_all", json!(many)), 400),
        (batch("execute_all", json!([])), 400),
    ] {
        let (status, _) = house.evaluate("/access/v1/evaluations", &question).await;
        assert_eq!(status, expected);
    }
    let single = json!({"subject": {"type": "user", "id": "bob"}, "action": {"name": "read"},
        "resource": {"type": "app", "id": "wiki"}});
    let (status, answer) = house.evaluate("/access/v1/evaluations", &single).await;
    assert_eq!((status, answer), (200, json!({"decision": true})));
}
