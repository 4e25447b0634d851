//! The console's routes, and who may use them. Knows no port.

use axum::Router;
use axum::routing::{delete, get, post};
use caerus_runtime::auth::Right;

use crate::console::Console;
use crate::{command, decision, feedback, overview, page, subject, token};

/// A route and who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// Any of these will do; none is needed where there are none.
    pub rights: &'static [Right],
}

const fn route(method: &'static str, path: &'static str, rights: &'static [Right]) -> Route {
    Route {
        method,
        path,
        rights,
    }
}

/// Every route of this room.
pub const ROUTES: &[Route] = &[
    route("GET", "/", &[]),
    route("GET", "/console.css", &[]),
    route("GET", "/console.js", &[]),
    route("GET", "/openapi.json", &[]),
    route("GET", "/v1/subjects", &[Right::Read]),
    route("GET", "/v1/sessions", &[Right::Read]),
    route("GET", "/v1/decisions", &[Right::Read]),
    route("POST", "/v1/decisions", &[Right::Operate]),
    route("GET", "/v1/decisions/{id}", &[Right::Read]),
    route(
        "GET",
        "/v1/decisions/{id}/receipts",
        &[Right::Read, Right::Stream],
    ),
    route("POST", "/v1/feedback", &[Right::Feedback]),
    route("GET", "/v1/policies", &[Right::Read, Right::Admin]),
    route("PUT", "/v1/policies", &[Right::Admin]),
    route(
        "GET",
        "/v1/enforcement-points",
        &[Right::Read, Right::Admin],
    ),
    route("GET", "/v1/audit", &[Right::Admin]),
    route("GET", "/v1/tokens", &[Right::Admin]),
    route("POST", "/v1/tokens", &[Right::Admin]),
    route("DELETE", "/v1/tokens/{id}", &[Right::Admin]),
];

/// All routes of a console; with a gateway's [`Console::new`] `active`, merged with the gateway's stream alone.
pub fn routes(console: Console) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/console.css", get(page::style))
        .route("/console.js", get(page::script))
        .route("/openapi.json", get(page::openapi))
        .route("/v1/subjects", get(subject::list))
        .route("/v1/sessions", get(subject::sessions))
        .route("/v1/decisions", get(decision::list).post(command::decide))
        .route("/v1/decisions/{id}", get(decision::one))
        .route("/v1/decisions/{id}/receipts", get(decision::receipts))
        .route("/v1/feedback", post(feedback::tell))
        .route(
            "/v1/policies",
            get(overview::policies).put(overview::put_policies),
        )
        .route("/v1/enforcement-points", get(overview::enforcement_points))
        .route("/v1/audit", get(overview::audit))
        .route("/v1/tokens", get(token::list).post(token::create))
        .route("/v1/tokens/{id}", delete(token::revoke))
        .with_state(console)
}
