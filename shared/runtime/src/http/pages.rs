//! The pages of every role: `/metrics`, `/health/live`, `/health/ready`. Knows no service.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::{Shell, is_loopback};
use crate::auth::{Authenticated, Right};
use crate::health::Health;
use crate::metric::{EXPOSITION_TYPE, Metrics};
use crate::refusal::Refusal;

pub(super) fn routes(shell: &Shell, local: SocketAddr) -> Router {
    let metrics = if is_loopback(local.ip()) {
        get(|State(metrics): State<Metrics>| async move { exposition(&metrics) })
    } else {
        get(metrics_for_reader)
    };
    let metrics = Router::new()
        .route("/metrics", metrics)
        .with_state(shell.metrics.clone());
    Router::new()
        .route(
            "/health/live",
            get(|| async { Json(Live { status: "live" }) }),
        )
        .route("/health/ready", get(ready))
        .with_state(shell.health.clone())
        .merge(metrics)
}

/// Off loopback numbers are for those who may read, whatever their tenants: no number names one.
async fn metrics_for_reader(
    Authenticated(principal): Authenticated,
    State(metrics): State<Metrics>,
) -> Result<Response, Refusal> {
    principal.demand_right(Right::Read)?;
    exposition(&metrics)
}

fn exposition(metrics: &Metrics) -> Result<Response, Refusal> {
    match metrics.exposition() {
        Ok(page) => Ok(([(CONTENT_TYPE, EXPOSITION_TYPE)], page).into_response()),
        Err(error) => {
            tracing::error!(%error, "metrics not written");
            Err(Refusal::internal())
        }
    }
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    /// By name; `ready`, or what stands in the way.
    conditions: BTreeMap<&'static str, String>,
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Ready>) {
    let conditions = health.conditions();
    let is_ready = conditions.values().all(|state| state.obstacle().is_none());
    let (code, status) = if is_ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let told = |obstacle: Option<&str>| obstacle.unwrap_or("ready").to_owned();
    let conditions = conditions
        .iter()
        .map(|(name, state)| (*name, told(state.obstacle())))
        .collect();
    (code, Json(Ready { status, conditions }))
}
