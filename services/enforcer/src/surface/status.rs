//! What `/status` tells people and machines: how old the picture is, and what is believed. Names nobody.

use caerus_runtime::port::Clock;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::watch;

use crate::forward::ProxyKind;
use crate::gate::Gate;
use crate::keys::Keys;
use crate::picture::Picture;
use crate::route::{OnAnonymous, OnStale, Route};
use crate::subscriber::StreamStatus;
use crate::token::Trust;

/// Where the status is read from, beside the gate.
#[derive(Debug)]
pub struct StatusParts {
    pub client: String,
    pub url: String,
    /// Whether the picture is saved.
    pub is_saved: bool,
    pub stream: watch::Receiver<StreamStatus>,
    pub clock: Arc<dyn Clock>,
}

#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    client: String,
    stream: Stream,
    picture: PictureStatus,
    identity: IdentityStatus,
    proxy: &'static str,
    routes: Vec<RouteStatus>,
}

#[derive(Debug, Serialize)]
struct Stream {
    url: String,
    connected: bool,
    /// *Units*: milliseconds since it is as it is.
    for_ms: i64,
    cursor: Option<String>,
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct PictureStatus {
    /// Targets held, lapsed and cleared ones included.
    decisions: usize,
    /// `null`: it was never complete.
    age_ms: Option<i64>,
    saved: bool,
    save_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct IdentityStatus {
    jwt: &'static str,
    /// Keys held; `null` where none are needed.
    keys: Option<usize>,
    /// True when JWTs are believed although nobody here verified them.
    unverified_jwt: bool,
    /// Empty: any is accepted.
    issuers: Vec<String>,
    /// Empty: any is accepted.
    audiences: Vec<String>,
    session_cookie: Option<String>,
    headers: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RouteStatus {
    host: Option<String>,
    path: String,
    tenant: String,
    app: Option<String>,
    sensitivity: u8,
    max_staleness_ms: i64,
    on_stale: &'static str,
    on_anonymous: &'static str,
    /// Whether the picture is too old for it now.
    stale: bool,
}

impl StatusParts {
    pub(super) fn read(&self, gate: &Gate) -> Status {
        let stream = self.stream.borrow().clone();
        let age = gate.age();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            client: self.client.clone(),
            stream: Stream {
                url: self.url.clone(),
                connected: stream.is_connected,
                for_ms: self.clock.now().since(stream.since).0,
                cursor: stream.cursor,
                last_error: stream.last_error,
            },
            picture: PictureStatus {
                decisions: gate.picture().look(Picture::len),
                age_ms: age.map(|age| age.0),
                saved: self.is_saved,
                save_error: stream.save_error,
            },
            identity: identity(gate),
            proxy: ProxyKind::name(gate.rules().proxy),
            routes: gate
                .rules()
                .routes
                .iter()
                .map(|route| RouteStatus {
                    stale: age.is_none_or(|age| age > route.max_staleness),
                    ..route_status(route)
                })
                .collect(),
        }
    }
}

fn identity(gate: &Gate) -> IdentityStatus {
    let rules = &gate.rules().identity;
    let token = rules.token.as_ref();
    let headers = &rules.headers;
    let all = [
        &headers.user,
        &headers.session,
        &headers.device,
        &headers.workload,
        &headers.tenant,
    ];
    let trust = token.map(|(_, trust)| trust);
    IdentityStatus {
        jwt: match trust {
            None => "ignored",
            Some(Trust::Keys(_)) => "verified",
            Some(Trust::Unverified) => "unverified",
        },
        keys: match trust {
            Some(Trust::Keys(keys)) => Some(Keys::current(keys).len()),
            Some(Trust::Unverified) | None => None,
        },
        unverified_jwt: matches!(trust, Some(Trust::Unverified)),
        issuers: token.map_or_else(Vec::new, |(rules, _)| {
            rules.issuers.iter().cloned().collect()
        }),
        audiences: token.map_or_else(Vec::new, |(rules, _)| {
            rules.audiences.iter().cloned().collect()
        }),
        session_cookie: rules.cookie.as_ref().map(|cookie| cookie.name.clone()),
        headers: all.into_iter().flatten().map(ToString::to_string).collect(),
    }
}

fn route_status(route: &Route) -> RouteStatus {
    RouteStatus {
        host: route.host.clone(),
        path: route.path.clone(),
        tenant: route.tenant.to_string(),
        app: route.app.as_ref().map(ToString::to_string),
        sensitivity: route.sensitivity,
        max_staleness_ms: route.max_staleness.0,
        on_stale: match route.on_stale {
            OnStale::Allow => "allow",
            OnStale::StepUp => "step_up",
            OnStale::Deny => "deny",
        },
        on_anonymous: match route.on_anonymous {
            OnAnonymous::Allow => "allow",
            OnAnonymous::Deny => "deny",
        },
        stale: false,
    }
}
