//! The gateway's routes: the stream and the snapshot. Knows no bus.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use caerus_runtime::auth::{Authenticated, Authentication, Principal, Right};
use caerus_runtime::refusal::Refusal;
use caerus_wire::stream::{self, SUBPROTOCOL};
use serde::Deserialize;

use crate::close::End;
use crate::connection::converse;
use crate::filter::{Filter, Within};
use crate::gateway::Gateway;
use crate::hub::Active;

/// How long somebody should wait for a picture that is not there yet.
const RETRY_AFTER_S: u32 = 1;

/// A route and who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// Any of these will do.
    pub rights: &'static [Right],
}

/// Every route of this room.
pub const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/v1/stream",
        rights: &[Right::Stream],
    },
    Route {
        method: "GET",
        path: "/v1/decisions",
        rights: SNAPSHOT_RIGHTS,
    },
];
const SNAPSHOT_RIGHTS: &[Right] = &[Right::Stream, Right::Read];

/// All routes of a gateway that stands alone.
pub fn routes(gateway: Gateway) -> Router {
    stream_routes(gateway.clone()).route("/v1/decisions", active_decisions(gateway))
}

/// The stream alone, to be merged with a console that is given [`active_decisions`].
pub fn stream_routes(gateway: Gateway) -> Router {
    Router::new()
        .route("/v1/stream", get(stream))
        .with_state(gateway)
}

/// `GET /v1/decisions?active=true`, as a route to be mounted.
pub fn active_decisions(gateway: Gateway) -> MethodRouter {
    get(active).with_state(gateway)
}

/// Upgrades whoever asks for it in the right form, then tells strangers the close code; a plain request is refused as
/// any other.
async fn stream(
    State(gateway): State<Gateway>,
    authentication: Option<Extension<Authentication>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let admission = admit(authentication.as_deref());
    let upgrade = match (upgrade, &admission) {
        (Ok(upgrade), _) => upgrade,
        (Err(_), Err(refusal)) => return refusal.clone().into_response(),
        (Err(rejection), Ok(_)) => return rejection.into_response(),
    };
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    let is_foreign =
        upgrade.selected_protocol().is_none() && upgrade.requested_protocols().next().is_some();
    if is_foreign {
        let detail = format!("the subprotocol spoken here is `{SUBPROTOCOL}`");
        return Refusal::bad_request(detail).into_response();
    }
    let shared = Arc::clone(gateway.shared());
    let frame_bytes_max = shared.limits.frame_bytes_max;
    upgrade
        .max_message_size(frame_bytes_max)
        .max_frame_size(frame_bytes_max)
        .on_upgrade(move |socket| {
            converse(
                socket,
                shared,
                admission.map_err(|refusal| End::of(&refusal)),
            )
        })
}

fn admit(authentication: Option<&Authentication>) -> Result<Principal, Refusal> {
    match authentication {
        Some(Authentication::Known(principal)) => {
            principal.demand_right(Right::Stream)?;
            Ok(principal.clone())
        }
        Some(Authentication::Failed) => Err(Refusal::bad_credential()),
        Some(Authentication::Stranger) | None => Err(Refusal::no_credential()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActiveQuery {
    #[serde(default)]
    active: bool,
    tenant: Option<String>,
    app: Option<String>,
}

/// The decisions in force, as the stream's snapshot gives them, and the cursor to subscribe from.
async fn active(
    State(gateway): State<Gateway>,
    Authenticated(principal): Authenticated,
    query: Result<Query<ActiveQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    if !SNAPSHOT_RIGHTS.iter().any(|right| principal.has(*right)) {
        return Err(Refusal::forbidden(
            "this needs the right `stream` or `read`",
        ));
    }
    let Query(query) = query.map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
    if !query.active {
        return Err(Refusal::not_found(
            "the gateway lists what is in force with `?active=true`; the console lists the rest",
        ));
    }
    let wish = stream::Filter {
        tenants: BTreeSet::from_iter(query.tenant),
        apps: BTreeSet::from_iter(query.app),
    };
    let filter = Filter::narrow(Within::from(&principal.tenants), &wish)
        .map_err(|nothing| Refusal::forbidden(nothing.to_string()))?;
    let Ok(active) = gateway.shared().active(filter).await else {
        return Err(Refusal::unavailable(
            "the picture of the decisions in force is not read yet",
            RETRY_AFTER_S,
        ));
    };
    Ok(([(CONTENT_TYPE, "application/json")], snapshot(active)).into_response())
}

/// A list of one page, and the cursor to subscribe from. Written decision by decision: the whole may be large, and each
/// is in memory already.
fn snapshot(active: Active) -> Body {
    let cursor = active.cursor.to_text();
    let head = format!("{{\"cursor\":\"{cursor}\",\"entries\":[");
    let decisions = active
        .entries
        .into_iter()
        .enumerate()
        .map(|(index, entry)| {
            let separator = if index == 0 { "" } else { "," };
            Bytes::from(format!("{separator}{}", entry.json))
        });
    let chunks = std::iter::once(Bytes::from(head))
        .chain(decisions)
        .chain(std::iter::once(Bytes::from_static(b"],\"next\":null}")));
    Body::from_stream(futures_util::stream::iter(chunks.map(Ok::<_, Infallible>)))
}
