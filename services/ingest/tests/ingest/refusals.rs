//! Bad input, each with its status and the sentence it is told with; and who may post what.

use std::io::Write;

use axum::body::Body;
use bytes::Bytes;
use caerus_engine::time::Span;
use http::StatusCode;

use super::stage::{NOON, Stage, login};

const BAD: StatusCode = StatusCode::BAD_REQUEST;
const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
const LARGE: StatusCode = StatusCode::PAYLOAD_TOO_LARGE;

type Bad = (Vec<u8>, &'static str);

/// Bodies that are no event at all.
fn unreadable() -> Vec<Bad> {
    let bodies: [(&[u8], &str); 8] = [
        (b"", "the body is empty"),
        (b"{", "not JSON at line 1"),
        (b"hello", "not JSON at line 1"),
        (b"{\"id\":NaN}", "not JSON at line 1"),
        (b"42", "an event is a JSON object, not an integer"),
        (b"\"x\"", "an event is a JSON object, not a string"),
        (b"{\"id\":\"\xff\"}", "not UTF-8 at byte 7"),
        (b"[{\"id\":", "not a JSON array"),
    ];
    bodies.map(|(body, told)| (body.to_vec(), told)).to_vec()
}

/// Events whose time is none.
fn untimely() -> Vec<Bad> {
    let ahead = (NOON + Span::minutes(6)).0.to_string();
    let times: [(&str, &str); 7] = [
        (
            "1",
            "0 member `time` is out of range; the years 2000 to 2100",
        ),
        (
            "\"1900-01-01T00:00:00Z\"",
            "0 member `time` is out of range",
        ),
        (
            "\"3000-01-01T00:00:00Z\"",
            "0 member `time` is out of range",
        ),
        ("\"yesterday\"", "0 member `time` is `yesterday`"),
        ("1e999", "0 a number at line 1"),
        (
            "123456789012345678901234567890",
            "0 member `time` is out of range",
        ),
        (&ahead, "0 member `time` lies 360 s ahead of the clock"),
    ];
    let event = |time: &str| format!(r#"{{"id":"e","type":"login","user":"a","time":{time}}}"#);
    times
        .map(|(time, told)| (event(time).into_bytes(), told))
        .to_vec()
}

/// Events of which one member is wrong.
fn misshapen() -> Vec<Bad> {
    let deep = format!(",\"x\":{}1{}", "[".repeat(64), "]".repeat(64));
    let members: [(&str, &str); 6] = [
        (",\"type\":\"x\"", "0 member `type` stands twice"),
        (",\"outcome\":true", "0 member `outcome` must be a string"),
        (
            ",\"outcome\":\"maybe\"",
            "0 member `outcome` is `maybe`; it may be one of",
        ),
        (",\"ip\":\"1.2.3\"", "0 member `ip` is `1.2.3`"),
        (
            ",\"device\":\"a\\u0000b\"",
            "0 member `device` has a control character",
        ),
        (&deep, "0 nested deeper than 32 levels"),
    ];
    let mut all = members
        .map(|(members, told)| (login("e", members), told))
        .to_vec();
    let logout = login("e", "").replace("login", "logout");
    all.push((logout, "0 `logout` is not a type of event"));
    all.push((login("", ""), "0 member `id` has 0 characters"));
    all.push(("{}".to_owned(), "0 member `id` is missing"));
    all.into_iter()
        .map(|(event, told)| (event.into_bytes(), told))
        .collect()
}

#[tokio::test]
async fn every_bad_event_gets_its_error_and_nothing_is_kept() {
    let stage = Stage::new();
    let long = login("e", &format!(",\"note\":\"{}\"", "x".repeat(65 * 1024)));
    let all = [
        (BAD, unreadable()),
        (UNPROCESSABLE, untimely()),
        (UNPROCESSABLE, misshapen()),
        (LARGE, vec![(long.into_bytes(), "the event has 6")]),
    ];
    let all = all.into_iter().flat_map(|(status, bad)| {
        bad.into_iter()
            .map(move |(body, expected)| (body, status, expected))
    });
    for (body, status, expected) in all {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = stage.post(body).await;
        assert_eq!(answer.status, status, "{shown}: {:?}", answer.json);
        let told = match status {
            StatusCode::UNPROCESSABLE_ENTITY => answer.rejected()[0].clone(),
            _ => answer.detail().to_owned(),
        };
        assert!(
            told.starts_with(expected),
            "{shown}\nfound    {told}\nexpected {expected}"
        );
    }
    assert_eq!(stage.bus.len(), 0);
}

#[tokio::test]
async fn a_bad_event_among_good_ones_is_told_by_its_place() {
    let stage = Stage::new();
    let (good, other) = (login("a", ""), login("b", ""));
    let body = format!("[{good},{{\"id\":\"x\"}},17,{other}]");
    let answer = stage.post(body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json["accepted"], 2);
    assert_eq!(
        answer.rejected(),
        [
            "1 member `type` is missing; every event has one",
            "2 an event is a JSON object, not an integer"
        ]
    );
    let lines = format!("{good}\n\nnot json\n{other}\r\n");
    let ndjson = [("content-type", "application/x-ndjson")];
    let answer = stage.send(stage.request("", &ndjson, lines)).await;
    assert_eq!(
        (answer.status, &answer.json["accepted"]),
        (StatusCode::ACCEPTED, &2.into())
    );
    assert!(
        answer.rejected()[0].starts_with("1 not JSON"),
        "{:?}",
        answer.json
    );
    let none = stage.post("[{},{}]").await;
    assert_eq!(
        (none.status, &none.json["accepted"]),
        (UNPROCESSABLE, &0.into())
    );
    assert_eq!(none.rejected().len(), 2);
    let counted = stage.counted("caerus_ingest_rejected_events_total");
    let expected = ["missing_member", "not_an_object", "unreadable"];
    for reason in expected {
        assert!(
            counted.iter().any(|line| line.contains(reason)),
            "{reason}: {counted:?}"
        );
    }
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Each is refused as a whole with the status; counted under the reason.
async fn refuse(status: StatusCode, reason: &str, bad: Vec<(&str, Headers<'_>, Bytes, &str)>) {
    let stage = Stage::new();
    let len = bad.len();
    for (query, headers, body, expected) in bad {
        let answer = stage.send(stage.request(query, headers, body)).await;
        assert_eq!(answer.status, status, "{expected}: {:?}", answer.json);
        assert!(answer.detail().starts_with(expected), "{:?}", answer.json);
        let kind = answer.headers.get("content-type").unwrap();
        assert_eq!(kind, "application/problem+json");
        let is_media = status == StatusCode::UNSUPPORTED_MEDIA_TYPE;
        assert_eq!(answer.headers.contains_key("accept-encoding"), is_media);
    }
    assert_eq!(stage.bus.len(), 0);
    assert_eq!(
        stage.counted("caerus_ingest_refused_requests_total"),
        [format!(
            "caerus_ingest_refused_requests_total{{reason=\"{reason}\"}} {len}"
        )]
    );
}

#[tokio::test]
async fn a_body_of_another_kind_is_refused_as_a_whole() {
    let event = Bytes::from(login("e", ""));
    let bad: Vec<(&str, Headers<'_>, Bytes, &str)> = vec![
        (
            "",
            &[("content-type", "text/plain")],
            event.clone(),
            "`text/plain` is not taken",
        ),
        (
            "",
            &[("content-type", "")],
            event.clone(),
            "no content-type",
        ),
        (
            "",
            &[("content-encoding", "br")],
            event,
            "content-encoding `br`",
        ),
    ];
    refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", bad).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_in_any_way_is_refused_as_a_whole() {
    let many = Bytes::from(format!("[{}{{}}]", "{},".repeat(10_000)));
    let bomb = gzip(&vec![b' '; 33 << 20]);
    let long = Bytes::from(vec![b' '; (8 << 20) + 1]);
    let bad: Vec<(&str, Headers<'_>, Bytes, &str)> = vec![
        (
            "",
            &[("content-encoding", "gzip")],
            bomb,
            "the body expands beyond",
        ),
        ("", &[], long, "the body is longer than 8388608 bytes"),
        ("", &[], many, "more than 10000 events"),
    ];
    refuse(LARGE, "too_large", bad).await;
}

#[tokio::test]
async fn a_body_or_a_parameter_that_cannot_be_read_is_refused_as_a_whole() {
    let event = Bytes::from(login("e", ""));
    let mut bad: Vec<(&str, Headers<'_>, Bytes, &str)> = vec![
        (
            "",
            &[("content-encoding", "gzip")],
            event.clone(),
            "the body is no readable gzip",
        ),
        (
            "",
            &[("content-encoding", "zstd")],
            event.clone(),
            "the body is no readable zstd",
        ),
    ];
    for (query, told) in [
        (
            "?format=okta",
            "there is no format `okta`; known are: native",
        ),
        ("?backfill=yes", "`backfill` is `true` or `false`"),
        ("?bakcfill=true", "there is no parameter `bakcfill`"),
        ("?format=native&format=native", "`format` stands twice"),
    ] {
        bad.push((query, &[], event.clone(), told));
    }
    refuse(BAD, "unreadable", bad).await;
}

#[tokio::test]
async fn a_stranger_and_a_credential_without_the_right_post_nothing() {
    let stage = Stage::new();
    let event = login("e", "");
    let stranger = stage
        .send(stage.request("", &[("authorization", "")], event.clone()))
        .await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    assert!(stranger.headers.contains_key("www-authenticate"));
    let wrong = format!("caerus_{}_{}", "0".repeat(16), "0".repeat(64));
    assert_eq!(
        stage.post_as(&wrong, &event).await.status,
        StatusCode::UNAUTHORIZED
    );
    let reader = stage.post_as(&stage.reader, &event).await;
    assert_eq!(reader.status, StatusCode::FORBIDDEN);
    assert_eq!(
        reader.detail(),
        "this needs the right `events`, `feedback` or `stream`"
    );
    assert_eq!(stage.bus.len(), 0);
}

#[tokio::test]
async fn each_right_posts_its_own_kind_of_event_and_no_other() {
    let stage = Stage::new();
    let feedback = format!(
        r#"{{"id":"f","type":"feedback","time":{},"tenant":"acme","verdict":"safe","user":"alice"}}"#,
        NOON.0
    );
    let session = |what: &str| {
        format!(
            r#"{{"id":"s-{what}","type":"session","time":{},"tenant":"acme","user":"alice","session":"s","event":"{what}"}}"#,
            NOON.0
        )
    };
    let ok = StatusCode::ACCEPTED;
    let no = StatusCode::FORBIDDEN;
    let table = [
        (&stage.producer, login("e", ""), ok),
        (&stage.producer, session("step_up_met"), ok),
        (&stage.producer, feedback.clone(), no),
        (&stage.enforcement_point, session("step_up_met"), ok),
        (&stage.enforcement_point, session("ended"), no),
        (&stage.enforcement_point, login("e", ""), no),
        (&stage.enforcement_point, feedback.clone(), no),
        (&stage.analyst, feedback.clone(), ok),
        (&stage.analyst, login("e", ""), no),
        (&stage.analyst, session("step_up_met"), no),
    ];
    for (token, event, status) in table {
        let answer = stage.post_as(token, &event).await;
        assert_eq!(answer.status, status, "{event}: {:?}", answer.json);
    }
    let history = [(
        "authorization",
        &*format!("Bearer {}", stage.enforcement_point),
    )];
    let request = stage.request("?backfill=true", &history, session("step_up_met"));
    assert_eq!(stage.send(request).await.status, no);
}

#[tokio::test]
async fn another_tenant_s_event_is_refused_and_not_named_back() {
    let stage = Stage::new();
    let other = login("e", "").replace("acme", "globex");
    let answer = stage.post(other.clone()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(
        answer.detail(),
        "this credential is not for the event's tenant"
    );
    let mixed = stage.post(format!("[{},{other}]", login("a", ""))).await;
    assert_eq!(
        (mixed.status, &mixed.json["accepted"]),
        (StatusCode::ACCEPTED, &1.into())
    );
    assert_eq!(
        mixed.rejected(),
        ["1 this credential is not for the event's tenant"]
    );
    let nothing = stage.post(format!("[{other}]")).await;
    assert_eq!(nothing.status, UNPROCESSABLE);
}

/// Requests that say they bring much and whose appends wait fill what may be in flight.
#[tokio::test]
async fn what_does_not_fit_is_told_to_come_again() {
    let stage = Stage::new();
    let permits = stage.bus.gate.available_permits();
    stage.bus.gate.forget_permits(permits);
    let large = [("content-length", "8388608")];
    let waiting: Vec<_> = (0..28)
        .map(|n| {
            let request = stage.request("", &large, login(&format!("e-{n}"), ""));
            let router = stage.router.clone();
            let send = async move {
                tower::ServiceExt::oneshot(router, request)
                    .await
                    .unwrap()
                    .status()
            };
            Box::pin(send)
        })
        .collect();
    let all = futures_util::future::join_all(waiting);
    tokio::pin!(all);
    // One poll brings each to its append, where it waits.
    assert!(futures_util::poll!(&mut all).is_pending());
    let refused = stage
        .send(stage.request("", &large, login("late", "")))
        .await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers.get("retry-after").unwrap(), "1");
    stage.bus.gate.add_permits(64);
    assert!(
        all.await
            .iter()
            .all(|status| *status == StatusCode::ACCEPTED)
    );
    let again = stage
        .send(stage.request("", &large, login("late", "")))
        .await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    assert_eq!(
        stage.counted("caerus_ingest_refused_requests_total").len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let stage = Stage::new();
    let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let answer = stage
        .send(stage.request("", &[], Body::from_stream(never)))
        .await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answer.detail(), "the body did not arrive within 30 s");
}
