//! What holds while Caerus is away, and after it came back.

use std::time::Instant;

use serde_json::{Value, json};

use super::{INVALID_TOKEN, MAX_STALENESS_S, PAGE, Stage, cookie};
use crate::support::eventually;
use crate::support::idp::{MFA, Signer, token};
use crate::support::nginx::Client;
use crate::support::person::now;
use crate::support::upstream::PAYSLIP;

const OPEN: &str = "/open/page";
const RECENT: &str = "/recent/page";

#[tokio::test]
async fn without_caerus_each_route_answers_as_it_was_told_and_the_revoked_stay_out() {
    let mut stage = Stage::open().await;
    let judy = stage.known("judy", "history-three-countries").await;
    let (stolen, own) = (cookie(&judy, "s-1"), cookie(&judy, "s-2"));
    stage.happens(&judy, "country-and-browser-changed").await;
    stage
        .caerus
        .tell(&[judy.login("own", "s-2", &json!({}))])
        .await;
    stage.nginx.until(401, PAGE, &stolen).await;
    stage.evaluated().await;
    stage.passes(&own).await;

    stage.caerus.program.kill();
    let killed_at = Instant::now();
    stage.nginx.until(403, PAGE, &own).await;
    println!(
        "refused for staleness {:.1} s after the kill; max_staleness is {MAX_STALENESS_S} s",
        killed_at.elapsed().as_secs_f64()
    );
    let age_ms = picture(&stage).await["age_ms"].as_u64().unwrap();
    assert!(age_ms > MAX_STALENESS_S * 1_000, "{age_ms} ms");
    stage.answers_without_caerus(&judy, "while it runs").await;

    // A restart begins from the saved picture: who was out stays out, and it is as old as it is.
    stage.enforcer.program.kill();
    // Nothing passes unchecked, and nobody is told that it is their fault.
    for client in [&own, &stolen] {
        let seen = stage.nginx.until(503, OPEN, client).await;
        assert!(!seen.body.contains(PAYSLIP), "{}", seen.body);
    }
    stage.enforcer.respawn();
    stage.enforcer.listening().await;
    let picture = picture(&stage).await;
    assert!(picture["decisions"].as_u64().unwrap() >= 1, "{picture}");
    assert!(
        picture["age_ms"].as_u64().unwrap() > MAX_STALENESS_S * 1_000,
        "{picture}"
    );
    stage
        .answers_without_caerus(&judy, "after its restart")
        .await;

    stage.caerus.respawn();
    stage.caerus.up().await;
    stage.nginx.until(200, PAGE, &own).await;
    stage.is_refused(&stolen, INVALID_TOKEN).await;
    eventually("an enforcer that is ready", || async {
        let status = stage.enforcer.status().await?;
        (status["stream"]["connected"] == true).then_some(())
    })
    .await;
}

async fn picture(stage: &Stage) -> Value {
    stage.enforcer.status().await.unwrap()["picture"].clone()
}

impl Stage {
    async fn answers_without_caerus(&self, judy: &super::Person, when: &str) {
        let (stolen, own) = (cookie(judy, "s-1"), cookie(judy, "s-2"));
        let proof = |age_s: i64| {
            let auth_time = now().0.div_euclid(1_000) - age_s;
            let claims = json!({"acr": MFA, "auth_time": auth_time});
            Client::of_bearer(&token(Signer::Idp, &judy.name, &judy.own("s-2"), &claims))
        };
        let asked = "Bearer error=\"insufficient_user_authentication\", max_age=\"300\"";
        let table = [
            (PAGE, own.clone(), 403, ""),
            (OPEN, own.clone(), 200, ""),
            (RECENT, own, 401, asked),
            (RECENT, proof(600), 401, asked),
            (RECENT, proof(10), 200, ""),
            (PAGE, proof(10), 403, ""),
            (PAGE, stolen.clone(), 401, INVALID_TOKEN),
            (OPEN, stolen.clone(), 401, INVALID_TOKEN),
            (RECENT, stolen, 401, INVALID_TOKEN),
        ];
        for (path, client, status, challenge) in table {
            let seen = self.nginx.ask(path, &client).await;
            let told = (seen.status, seen.challenge.as_str());
            assert_eq!(told, (status, challenge), "{path} for {client:?} {when}");
            assert_eq!(seen.body == PAYSLIP, status == 200, "{path} {when}");
        }
    }
}
