//! `/`, its style and its script, and `/openapi.json`: what is the same for everybody. Knows no port.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// The API, as a document for tools.
pub const OPENAPI: &str = include_str!("page/openapi.json");

/// Everything from here, nothing inline, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn index() -> Response {
    asset("text/html; charset=utf-8", include_str!("page/index.html"))
}

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("page/console.css"))
}

pub(crate) async fn script() -> Response {
    let script = include_str!("page/console.js");
    asset("text/javascript; charset=utf-8", script)
}

pub(crate) async fn openapi() -> Response {
    asset("application/json", OPENAPI)
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
