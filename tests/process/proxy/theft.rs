//! A session in other hands ends; the way back is to sign in anew.

use caerus_engine::time::Span;
use caerus_wire::moment;
use serde_json::{Value, json};

use super::{INVALID_TOKEN, PAGE, Stage, cookie};
use crate::support::idp::{MFA, Signer, token};
use crate::support::nginx::Client;
use crate::support::person::now;

#[tokio::test]
async fn a_stolen_session_is_refused_and_its_owner_signs_in_anew() {
    let stage = Stage::open().await;
    let alice = stage.known("alice", "history-three-countries").await;
    let events = alice.row("country-and-browser-changed");
    let [login, theft] = <[Value; 2]>::try_from(events).unwrap();
    let stolen = cookie(&alice, "s-1");

    stage.caerus.tell(&[login]).await;
    stage.evaluated().await;
    stage.passes(&stolen).await;

    let accepted_at = stage.caerus.tell(&[theft]).await;
    stage.nginx.until(401, PAGE, &stolen).await;
    println!(
        "from the POST's 202 to the proxy's first 401: {:.1} ms",
        accepted_at.elapsed().as_secs_f64() * 1_000.0
    );
    for _ in 0..20 {
        stage.is_refused(&stolen, INVALID_TOKEN).await;
    }
    let decision = stage.caerus.in_force("revoke", &alice.session("s-1")).await;
    assert_eq!(decision["score"], 100, "{decision}");
    assert_eq!(decision["hypothesis"], "hijacked_session");
    assert_eq!(decision["policy"]["rule"], "revoke-on-critical");

    // What a refresh of that session mints is no younger, whatever it claims.
    let claims = json!({"auth_time": now().0.div_euclid(1_000) + 1, "acr": MFA});
    let minted = token(Signer::Idp, &alice.name, &alice.own("s-1"), &claims);
    stage
        .is_refused(&Client::of_bearer(&minted), INVALID_TOKEN)
        .await;

    // Whoever signs in anew gets a session that nobody ended, at once and for good.
    let anew = alice.login("anew", "s-2", &json!({}));
    stage.caerus.tell(&[anew]).await;
    stage.passes(&cookie(&alice, "s-2")).await;
    stage.evaluated().await;
    stage.passes(&cookie(&alice, "s-2")).await;
    stage.is_refused(&stolen, INVALID_TOKEN).await;

    // Both at once is the worse of the two: the upstream might believe either.
    let both = Client::of_session(&format!("{}; sid={}", alice.own("s-2"), alice.own("s-1")));
    stage.is_refused(&both, INVALID_TOKEN).await;
}

#[tokio::test]
async fn a_user_whom_an_operator_signed_out_comes_back_by_signing_in_anew() {
    let stage = Stage::open().await;
    let dora = stage.known("dora", "history-three-networks").await;
    // Refreshes have moved `iat`; what there is no `auth_time` of, only the session's name tells.
    let of = |session: &str| {
        Client::of_bearer(&token(
            Signer::Idp,
            &dora.name,
            &dora.own(session),
            &json!({}),
        ))
    };
    let (former, later) = (of("s-1"), of("s-2"));
    stage
        .caerus
        .tell(&[dora.login("login", "s-1", &json!({}))])
        .await;
    stage.evaluated().await;
    stage.passes(&former).await;

    let target = json!({"user": dora.name});
    stage.caerus.decide("revoke", &target).await;
    let decision = stage.caerus.in_force("revoke", &target).await;
    stage.nginx.until(401, PAGE, &former).await;
    stage.is_refused(&later, INVALID_TOKEN).await;

    let cut_off = moment::parse(decision["issued_before"].as_str().unwrap()).unwrap();
    let after = moment::to_text(cut_off + Span::seconds(1));
    let anew = dora.login("anew", "s-2", &json!({"time": after}));
    stage.caerus.tell(&[anew]).await;
    stage.nginx.until(200, PAGE, &later).await;
    stage.evaluated().await;
    stage.passes(&later).await;
    stage.is_refused(&former, INVALID_TOKEN).await;
}

#[tokio::test]
async fn what_an_operator_clears_is_let_in_again() {
    let stage = Stage::open().await;
    let ivan = stage.known("ivan", "history-three-countries").await;
    let client = cookie(&ivan, "s-1");
    stage.happens(&ivan, "country-and-browser-changed").await;
    stage.nginx.until(401, PAGE, &client).await;
    stage.caerus.decide("clear", &ivan.session("s-1")).await;
    stage.nginx.until(200, PAGE, &client).await;
}
