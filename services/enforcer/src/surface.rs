//! The HTTP surfaces: `/check`, AuthZEN and `/status`. Knows how to ask the gate, not how it rules.
//!
//! Envoy's gRPC and HTTP variants will be further surfaces over the same gate.

mod status;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use caerus_runtime::auth::Authenticated;
use caerus_runtime::auth::Right;
use caerus_runtime::refusal::Refusal;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use serde::de::DeserializeOwned;

use crate::authzen::{Answer, Answers, Asked, Place, Question, Questions};
use crate::forward::{Forwarded, Path};
use crate::gate::{self, Gate};
use crate::limit;

pub use status::{Status, StatusParts};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether those who ask anything but `/check` need a credential: off loopback they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    Anyone,
    /// A token with the right `read`.
    Authenticated,
}

#[derive(Clone)]
struct Surface {
    gate: Arc<Gate>,
    status: Arc<StatusParts>,
    callers: Callers,
}

/// `/check`, `/access/v1/evaluation(s)` and `/status`; the shell adds `/metrics` and `/health/…`.
pub fn routes(gate: Arc<Gate>, status: StatusParts, callers: Callers) -> Router {
    let surface = Surface {
        gate,
        status: Arc::new(status),
        callers,
    };
    Router::new()
        .route("/check", any(check))
        .route("/access/v1/evaluation", post(evaluation))
        .route("/access/v1/evaluations", post(evaluations))
        .route("/status", get(tell_status))
        .layer(DefaultBodyLimit::max(limit::EVALUATION_BYTES_MAX))
        .with_state(surface)
}

/// Who is at the other end of the connection; `None` where the listener does not tell.
struct Peer(Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map(|ConnectInfo(peer)| peer.ip())))
    }
}

/// The body, where a proxy sends one along, is not read.
async fn check(State(surface): State<Surface>, Peer(peer): Peer, headers: HeaderMap) -> Response {
    surface.gate.check(peer, &headers).await
}

async fn tell_status(
    State(surface): State<Surface>,
    caller: Result<Authenticated, Refusal>,
) -> Result<Json<Status>, Refusal> {
    surface.admit(caller)?;
    Ok(Json(surface.status.read(&surface.gate)))
}

async fn evaluation(
    State(surface): State<Surface>,
    Peer(peer): Peer,
    caller: Result<Authenticated, Refusal>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = surface
        .admit_asker(peer, caller)
        .and_then(|()| read_json(&headers, &body))
        .and_then(|question: Question| surface.answer(&question));
    with_request_id(&headers, answer.map(Json).into_response())
}

async fn evaluations(
    State(surface): State<Surface>,
    Peer(peer): Peer,
    caller: Result<Authenticated, Refusal>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answers = surface
        .admit_asker(peer, caller)
        .and_then(|()| read_json(&headers, &body))
        .and_then(|questions: Questions| surface.answer_all(&questions));
    with_request_id(&headers, answers.into_response())
}

impl Surface {
    fn admit(&self, caller: Result<Authenticated, Refusal>) -> Result<(), Refusal> {
        match self.callers {
            Callers::Anyone => Ok(()),
            Callers::Authenticated => caller?.0.demand_right(Right::Read),
        }
    }

    /// Those who say who somebody is are proxies: they must be trusted as such.
    fn admit_asker(
        &self,
        peer: Option<IpAddr>,
        caller: Result<Authenticated, Refusal>,
    ) -> Result<(), Refusal> {
        if !peer.is_some_and(|peer| self.gate.trusts(peer)) {
            return Err(Refusal::forbidden(
                "the peer is not among `trusted_proxies`",
            ));
        }
        self.admit(caller)
    }

    fn answer(&self, question: &Question) -> Result<Answer, Refusal> {
        let asked = question
            .read()
            .map_err(|error| Refusal::bad_request(error.to_string()))?;
        let ruling = self.rule(asked)?;
        Ok(Answer::of(&ruling))
    }

    fn rule(&self, asked: Asked) -> Result<crate::answer::Ruling, Refusal> {
        let routes = &self.gate.rules().routes;
        let route = match &asked.place {
            Place::App(app) => routes.of_app(app),
            Place::Path(path) => {
                let forwarded = Forwarded {
                    path: Some(Path::parse(path).map_err(Refusal::bad_request)?),
                    ..Forwarded::default()
                };
                routes
                    .find(&forwarded)
                    .map_err(|error| Refusal::bad_request(error.to_string()))?
            }
        };
        let app = match asked.place {
            Place::App(app) => Some(app),
            Place::Path(_) => route.app.clone(),
        };
        let ruling = self.gate.rule(&gate::Asked {
            route,
            identity: asked.identity,
            app,
            sensitivity: asked.sensitivity.unwrap_or(route.sensitivity),
            address: None,
        });
        self.gate.note(&ruling);
        Ok(ruling)
    }

    /// A batch; without questions of its own it is one question, answered as one.
    fn answer_all(&self, questions: &Questions) -> Result<Response, Refusal> {
        if questions.evaluations.is_empty() {
            return Ok(Json(self.answer(&questions.shared)?).into_response());
        }
        if questions.evaluations.len() > limit::EVALUATIONS_MAX {
            return Err(Refusal::bad_request(format!(
                "a batch holds at most {} evaluations",
                limit::EVALUATIONS_MAX
            )));
        }
        let mut evaluations = Vec::with_capacity(questions.evaluations.len());
        for question in &questions.evaluations {
            let answer = self
                .answer(&question.or(&questions.shared))
                .unwrap_or_else(|refusal| {
                    Answer::of_error(refusal.status().as_u16(), refusal.detail())
                });
            let is_last = questions.options.evaluations_semantic.ends_with(&answer);
            evaluations.push(answer);
            if is_last {
                break;
            }
        }
        Ok(Json(Answers { evaluations }).into_response())
    }
}

fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Refusal> {
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(Refusal::bad_request("the body is `application/json`"));
    }
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body cannot be read: {error}")))
}

/// AuthZEN 1.0: a request's id comes back with its answer.
fn with_request_id(headers: &HeaderMap, mut response: Response) -> Response {
    if let Some(id) = headers.get(&X_REQUEST_ID) {
        response.headers_mut().insert(X_REQUEST_ID, id.clone());
    }
    response
}

#[cfg(test)]
mod tests;
