//! Credentials: made, shown once, listed, revoked, and never wider than their maker's.

use caerus_runtime::auth::Right;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_credential_works_from_its_making_to_its_revocation() {
    let world = World::open().await;
    let admin = world.token("root", &[], &[Right::Admin]).await;
    let body = json!({"name": "nina", "tenants": ["acme"], "rights": ["read"], "expires_in_s": 60});
    let made = world.post("/v1/tokens", &admin, &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let (id, token) = (
        made["id"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    assert_eq!(made["expires_at"], "2026-09-21T14:14:20.000Z");
    assert_eq!(world.get("/v1/decisions", token).await.status, 200);
    assert_eq!(world.get("/v1/tokens", token).await.status, 403);

    let listed = world.get("/v1/tokens", &admin).await;
    assert!(
        !listed.body.contains(token) && !listed.body.contains("\"token\""),
        "shown once"
    );
    assert!(listed.body.contains(id));
    let secret = token.rsplit('_').next().unwrap();
    assert!(
        !format!("{:?}", world.ledger.tables()).contains(secret),
        "never stored"
    );

    let path = format!("/v1/tokens/{id}");
    assert_eq!(
        world.ask("DELETE", &path, Some(&admin), None).await.status,
        204
    );
    assert_eq!(world.get("/v1/decisions", token).await.status, 401);
    assert_eq!(
        world
            .ask("DELETE", "/v1/tokens/00", Some(&admin), None)
            .await
            .status,
        404
    );
    let audit = world.get("/v1/audit", &admin).await.json();
    let actions: Vec<&Value> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["action"])
        .collect();
    assert_eq!(actions, ["token.revoke", "token.create"]);
    assert!(!audit.to_string().contains(secret));
}

#[tokio::test]
async fn nobody_hands_on_more_than_they_hold() {
    let world = World::open().await;
    let root = world.token("root", &[], &[Right::Admin]).await;
    let own = world.token("anna", &["acme"], &[Right::Admin]).await;
    let of = |tenants: Value| json!({"name": "x", "tenants": tenants, "rights": ["read"]});
    for (body, status) in [
        (of(json!(["acme"])), 201),
        (of(json!(["globex"])), 403),
        (of(json!(["acme", "globex"])), 403),
        (of(json!([])), 403),
        (json!({"name": "x", "rights": ["read"]}), 403),
    ] {
        assert_eq!(
            world.post("/v1/tokens", &own, &body).await.status,
            status,
            "{body}"
        );
    }
    let wide = world.post("/v1/tokens", &root, &of(json!([]))).await;
    assert_eq!(wide.status, 201);
    let wide = wide.json()["id"].as_str().unwrap().to_owned();
    let listed = world.get("/v1/tokens", &own).await.json();
    assert_eq!(
        listed["entries"].as_array().unwrap().len(),
        2,
        "its own and what it made"
    );
    let path = format!("/v1/tokens/{wide}");
    assert_eq!(
        world.ask("DELETE", &path, Some(&own), None).await.status,
        404
    );
    let audit = world.get("/v1/audit", &own).await.json();
    assert_eq!(
        audit["entries"].as_array().unwrap().len(),
        1,
        "not what concerns every tenant"
    );
}

#[tokio::test]
async fn what_is_no_grant_is_refused() {
    let world = World::open().await;
    let admin = world.token("root", &[], &[Right::Admin]).await;
    for (body, sentence) in [
        (
            json!({"name": "", "rights": ["read"]}),
            "member `name` has 1 to 128 characters",
        ),
        (
            json!({"name": "x", "rights": []}),
            "member `rights` holds some of events, feedback",
        ),
        (
            json!({"name": "x", "rights": ["fly"]}),
            "member `rights` holds some of events, feedback",
        ),
        (
            json!({"name": "x", "rights": ["read"], "expires_in_s": 0}),
            "member `expires_in_s` lies between",
        ),
        (json!({"name": "x"}), "missing field `rights`"),
        (
            json!({"name": "x", "rights": ["read"], "colour": 1}),
            "unknown field `colour`",
        ),
    ] {
        let answer = world.post("/v1/tokens", &admin, &body).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
        assert!(answer.detail().contains(sentence), "{body}: {answer:?}");
    }
}
