//! The role's router as a stranger meets it, on the bus and the clock of these tests.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_ingest::{Ports, routes};
use caerus_runtime::auth::{Grant, Right, Tenants, Token, TokenTable, identify};
use caerus_runtime::metric::Metrics;
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::bus::{TestBus, TestClock};

/// 2026-09-21T14:13:20Z.
pub(crate) const NOON: Timestamp = Timestamp(1_790_000_000_000);

pub(crate) struct Stage {
    pub(crate) bus: Arc<TestBus>,
    pub(crate) metrics: Metrics,
    pub(crate) router: Router,
    pub(crate) producer: String,
    pub(crate) enforcement_point: String,
    pub(crate) analyst: String,
    pub(crate) reader: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn detail(&self) -> &str {
        self.json["detail"].as_str().unwrap_or_default()
    }

    /// `index error` of each.
    pub(crate) fn rejected(&self) -> Vec<String> {
        let all = self.json["rejected"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.iter()
            .map(|one| format!("{} {}", one["index"], one["error"].as_str().unwrap()))
            .collect()
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        let (bus, clock) = (TestBus::new(), TestClock::at(NOON));
        let metrics = Metrics::new();
        let tokens = TokenTable::new(clock.clone());
        let acme = Tenants::Some(BTreeSet::from([
            TenantId::new("acme"),
            TenantId::new("default"),
        ]));
        let (mut stored, mut texts) = (Vec::new(), Vec::new());
        for (name, right) in [
            ("okta-feed", Right::Events),
            ("nginx-7", Right::Stream),
            ("nina", Right::Feedback),
            ("auditor", Right::Read),
        ] {
            let token = Token::draw().unwrap();
            let grant = Grant {
                name: name.to_owned(),
                tenants: acme.clone(),
                rights: BTreeSet::from([right]),
                expires_at: None,
            };
            stored.push(token.stored(&grant, NOON));
            texts.push(token.reveal().expose().to_owned());
        }
        tokens.publish(stored);
        let ports = Ports {
            bus: bus.clone(),
            clock,
            geo: None,
            metrics: metrics.clone(),
        };
        let [producer, enforcement_point, analyst, reader] =
            <[String; 4]>::try_from(texts).unwrap();
        Self {
            router: identify(routes(ports), tokens, metrics.clone()),
            bus,
            metrics,
            producer,
            enforcement_point,
            analyst,
            reader,
        }
    }

    /// A request of the producer with a body; `headers` come on top and may replace.
    pub(crate) fn request(
        &self,
        query: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Request<Body> {
        let mut request = Request::post(format!("/v1/events{query}"))
            .header("authorization", format!("Bearer {}", self.producer))
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            if value.is_empty() {
                request.headers_mut().remove(name);
            } else {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        request
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 16 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    pub(crate) async fn post(&self, body: impl Into<Body>) -> Answer {
        self.send(self.request("", &[], body)).await
    }

    pub(crate) async fn post_as(&self, token: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(self.request("", &[("authorization", &bearer)], body.to_owned()))
            .await
    }

    /// The samples whose name begins so and whose value is not zero.
    pub(crate) fn counted(&self, name: &str) -> Vec<String> {
        let page = self.metrics.exposition().unwrap();
        let mut lines: Vec<String> = page
            .lines()
            .filter(|line| line.starts_with(name) && !line.ends_with(" 0"))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }
}

/// A login of acme's alice at noon, with these members beside.
pub(crate) fn login(id: &str, members: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"login","time":{},"tenant":"acme","user":"alice"{members}}}"#,
        NOON.0
    )
}
