//! A span, a trace and counts for every request, by its route's template. Knows no route and no exporter.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tracing::Instrument;

use crate::metric::Metrics;
use crate::metric::label::{Route, StatusClass};
use crate::trace::Traceparent;

/// What is asked for and not there is one route, however it is spelled.
const UNMATCHED: &str = "unmatched";

pub(super) async fn observe(
    State(metrics): State<Metrics>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>();
    let route = Route(matched.map_or_else(|| UNMATCHED.into(), |path| path.as_str().into()));
    let span = tracing::info_span!(
        "http request",
        method = %request.method(),
        route = %route.0,
        status = tracing::field::Empty,
    );
    let given = Traceparent::from_headers(request.headers());
    if let Some(parent) = &given {
        parent.adopt(&span);
    }
    let own = span.in_scope(Traceparent::current);
    let trace = own.or(given).unwrap_or_else(Traceparent::random);
    request.extensions_mut().insert(trace);

    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("status", status);
    metrics
        .http
        .request_seconds
        .of(&route)
        .observe(started.elapsed().as_secs_f64());
    let labels = (route, StatusClass::of(status));
    metrics.http.requests.of(&labels).inc();
    response
}
