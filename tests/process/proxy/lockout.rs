//! No one is locked out by others, and no device is washed clean by its owner.

use serde_json::{Value, json};

use super::{INVALID_TOKEN, PAGE, Stage, access, cookie};
use crate::support::idp::MFA;

/// Attempts of each kind: more than any counter needs.
const ATTEMPTS: usize = 150;

#[tokio::test]
async fn wrong_passwords_and_refused_pushes_never_end_a_session() {
    let stage = Stage::open().await;
    let grace = stage.known("grace", "history-three-networks").await;
    let client = cookie(&grace, "s-1");
    stage.happens(&grace, "known-with-push").await;
    stage.evaluated().await;
    stage.passes(&client).await;

    let failures = [
        "bad_password",
        "mfa_denied",
        "mfa_timeout",
        "locked",
        "blocked",
    ];
    let attempt = |number: usize| -> Value {
        let mut event = grace.login(
            &format!("attempt-{number}"),
            "",
            &json!({"outcome": "failure"}),
        );
        let members = event.as_object_mut().unwrap();
        members.remove("session");
        members.remove("device");
        members.remove("amr");
        event["failure"] = json!(failures[number % failures.len()]);
        event["ip"] = json!(format!("203.0.{}.{}", number % 40, number % 200 + 1));
        event["geo"] = json!({"country": "RO", "asn": 64_599, "network": "tor"});
        event["user_agent"] = json!("curl/8.0");
        event
    };
    let attempts: Vec<Value> = (0..ATTEMPTS * failures.len()).map(attempt).collect();
    // Also from where the owner is, with the owner's device.
    let near = |number: usize| {
        let wrong = json!({"outcome": "failure", "failure": "bad_password", "amr": null});
        let mut event = grace.login(&format!("near-{number}"), "", &wrong);
        event
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        event.as_object_mut().unwrap().remove("session");
        event
    };
    let nearby: Vec<Value> = (0..ATTEMPTS).map(near).collect();
    for part in attempts.chunks(50).chain(nearby.chunks(50)) {
        stage.caerus.tell(part).await;
        stage.passes(&client).await;
    }
    stage.evaluated().await;
    stage.passes(&client).await;
    stage
        .passes(&client.clone().on(&grace.own("laptop-0")))
        .await;

    // Going on with one's work is no reason either.
    stage
        .caerus
        .tell(&[access(&grace, "visit", "s-1", &json!({}))])
        .await;
    stage.evaluated().await;
    stage.passes(&client).await;
    let decisions = stage.caerus.decisions().await;
    let enforced = decisions.iter().filter(|one| one["mode"] == "enforce");
    assert_eq!(enforced.count(), 0, "{decisions:?}");
}

#[tokio::test]
async fn malware_keeps_a_device_out_although_its_owner_proves_who_they_are() {
    let stage = Stage::open().await;
    let heidi = stage.known("heidi", "history-three-networks").await;
    let (infected, clean) = (heidi.own("laptop-0"), heidi.own("laptop-1"));
    let client = cookie(&heidi, "s-1");
    stage.happens(&heidi, "known-with-push").await;
    stage.evaluated().await;
    stage.passes(&client.clone().on(&infected)).await;

    stage.happens(&heidi, "edr-alert-critical").await;
    stage
        .nginx
        .until(401, PAGE, &client.clone().on(&infected))
        .await;

    // The best proof of who somebody is, from that device, and in a session of its own.
    for session in ["s-1", "s-2"] {
        let mut met = heidi.login(&format!("met-{session}"), session, &json!({"acr": MFA}));
        met["amr"] = json!(["pwd", "hwk", "mfa"]);
        stage.caerus.tell(&[met]).await;
    }
    stage.evaluated().await;
    for session in ["s-1", "s-2"] {
        let device = cookie(&heidi, session).on(&infected);
        stage.is_refused(&device, INVALID_TOKEN).await;
    }
    // The person is welcome from anywhere else.
    stage.passes(&cookie(&heidi, "s-2").on(&clean)).await;

    // The way back is the device's own: here an analyst says that it is safe.
    let verdict = json!({"verdict": "safe", "device": infected, "note": "reinstalled"});
    let admin = stage.caerus.token("admin");
    let told = stage.caerus.post("/v1/feedback", &admin, &verdict).await;
    assert_eq!(told.status, 202, "{}", told.body);
    stage
        .nginx
        .until(200, PAGE, &cookie(&heidi, "s-2").on(&infected))
        .await;
}

#[tokio::test]
async fn a_client_cannot_speak_for_the_proxy() {
    let stage = Stage::open().await;
    let kevin = stage.known("kevin", "history-three-countries").await;
    let stolen = cookie(&kevin, "s-1").on(&kevin.own("laptop-0"));
    stage.happens(&kevin, "country-and-browser-changed").await;
    stage.nginx.until(401, PAGE, &stolen).await;
    for header in [
        ("x-caerus-user", "somebody-else"),
        ("x-caerus-device", "another-device"),
        ("x-original-uri", "/open"),
        ("x-original-url", "/open"),
        ("x-original-host", "elsewhere.example"),
        ("x-real-ip", "127.0.0.1"),
    ] {
        let seen = stage.nginx.ask_with(&stolen, header).await;
        assert_eq!(
            (seen.status, seen.challenge.as_str()),
            (401, INVALID_TOKEN),
            "{header:?}"
        );
    }
    // What only proxies of another kind send is refused, whoever it is about.
    let own = cookie(&kevin, "s-2");
    for header in [
        ("x-forwarded-uri", "/open"),
        ("x-envoy-original-path", "/open"),
    ] {
        assert_eq!(
            stage.nginx.ask_with(&own, header).await.status,
            403,
            "{header:?}"
        );
    }
    stage.passes(&own).await;
}
