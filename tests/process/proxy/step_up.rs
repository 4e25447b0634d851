//! A proof that is asked for, who may give it, and that it is asked for once.

use serde_json::{Value, json};

use super::{INVALID_TOKEN, PAGE, STEP_UP, Stage, access, cookie};
use crate::support::eventually;
use crate::support::idp::{MFA, Signer, token};
use crate::support::nginx::Client;
use crate::support::person::now;

#[tokio::test]
async fn the_login_that_meets_a_step_up_lets_the_session_in_again() {
    let stage = Stage::open().await;
    let bob = stage.known("bob", "history-three-networks").await;
    let client = cookie(&bob, "s-1");
    let place = json!({"device": bob.own("laptop-9"), "ip": "198.51.199.10"});

    stage.happens(&bob, "new-device-new-network").await;
    stage.nginx.until(401, PAGE, &client).await;
    stage.is_refused(&client, STEP_UP).await;

    // A password alone is what there was before.
    let mut again = bob.login("again", "s-1", &place);
    again["amr"] = json!(["pwd"]);
    stage.caerus.tell(&[again]).await;
    stage.evaluated().await;
    stage.is_refused(&client, STEP_UP).await;

    let mut met = bob.login("met", "s-1", &place);
    met["amr"] = json!(["pwd", "otp"]);
    stage.caerus.tell(&[met]).await;
    stage.nginx.until(200, PAGE, &client).await;

    // What was met is not asked for again on the same evidence.
    stage
        .caerus
        .tell(&[access(&bob, "visit", "s-1", &place)])
        .await;
    stage.evaluated().await;
    stage.passes(&client).await;
}

#[tokio::test]
async fn the_victims_own_proof_does_not_clear_the_thiefs_demand() {
    let stage = Stage::open().await;
    let carol = stage.known("carol", "history-three-providers").await;
    let (thief, victim) = (cookie(&carol, "s-1"), cookie(&carol, "s-2"));

    stage.happens(&carol, "provider-never-seen").await;
    stage.nginx.until(401, PAGE, &thief).await;
    stage.is_refused(&thief, STEP_UP).await;

    let mut own = carol.login("own", "s-2", &json!({"acr": MFA}));
    own["amr"] = json!(["pwd", "hwk"]);
    // One that names no session proves nothing for a session that exists.
    let mut unnamed = carol.login("unnamed", "", &json!({"acr": MFA}));
    unnamed.as_object_mut().unwrap().remove("session");
    stage.caerus.tell(&[own, unnamed]).await;
    stage.evaluated().await;
    stage.passes(&victim).await;
    stage.is_refused(&thief, STEP_UP).await;
}

/// A token of the session, in which the holder authenticated `seconds` after now.
fn proof(person: &super::Person, acr: &str, seconds: i64) -> Client {
    let auth_time = now().0.div_euclid(1_000) + seconds;
    let claims = json!({"acr": acr, "auth_time": auth_time});
    let session = person.own("s-1");
    Client::of_bearer(&token(Signer::Idp, &person.name, &session, &claims))
}

#[tokio::test]
async fn a_verified_tokens_proof_meets_a_step_up_at_once_and_for_every_other_credential_of_the_session()
 {
    let stage = Stage::open().await;
    let erin = stage.known("erin", "history-three-networks").await;
    let before = proof(&erin, MFA, -60);
    stage.passes(&before).await;

    stage.happens(&erin, "new-device-new-network").await;
    stage.nginx.until(401, PAGE, &before).await;
    // Its class is high enough, but it was reached before the demand.
    stage.is_refused(&before, STEP_UP).await;
    // This one is later, and its class too low.
    stage
        .is_refused(&proof(&erin, "urn:example:password", 1), STEP_UP)
        .await;
    stage.is_refused(&cookie(&erin, "s-1"), STEP_UP).await;

    // The next whole second is later than the demand, whatever the milliseconds.
    stage.passes(&proof(&erin, MFA, 1)).await;
    // The enforcer reports it, and the demand is lifted for the session as such.
    eventually("the reported proof to lift the demand", || async {
        let active = stage.caerus.active().await;
        let is_lifted =
            |one: &Value| one["target"] != erin.session("s-1") || one["action"] == "clear";
        active.iter().all(is_lifted).then_some(())
    })
    .await;
    stage.nginx.until(200, PAGE, &cookie(&erin, "s-1")).await;
    stage.passes(&before).await;
}

#[tokio::test]
async fn nothing_but_a_token_the_provider_signed_is_believed() {
    let stage = Stage::open().await;
    let frank = stage.known("frank", "history-three-networks").await;
    stage.happens(&frank, "known-with-push").await;
    let session = frank.own("s-1");
    let good = token(Signer::Idp, &frank.name, &session, &json!({}));
    stage.passes(&Client::of_bearer(&good)).await;

    let (head, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let other = token(Signer::Idp, "somebody-else", &session, &json!({}));
    let others_claims = other.split('.').nth(1).unwrap();
    // {"alg":"none"}
    let unsigned = "eyJhbGciOiJub25lIn0";
    let expired = json!({"exp": now().0.div_euclid(1_000) - 120});
    for forged in [
        token(Signer::Stranger, &frank.name, &session, &json!({})),
        token(Signer::Idp, &frank.name, &session, &expired),
        token(
            Signer::Idp,
            &frank.name,
            &session,
            &json!({"aud": "another"}),
        ),
        token(
            Signer::Idp,
            &frank.name,
            &session,
            &json!({"iss": "https://evil.example"}),
        ),
        format!("{head}.{others_claims}.{signature}"),
        format!("{unsigned}.{claims}."),
        format!("{unsigned}.{claims}.{signature}"),
    ] {
        stage
            .is_refused(&Client::of_bearer(&forged), INVALID_TOKEN)
            .await;
    }
    // Nobody at all, and what is no token, is asked who they are.
    let anonymous = "Bearer realm=\"caerus\"";
    stage.is_refused(&Client::default(), anonymous).await;
    stage
        .is_refused(&Client::of_bearer("caerus"), anonymous)
        .await;
}
