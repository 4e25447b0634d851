//! From a request's `Authorization` to a principal, once for each request. Knows no route: each demands for itself.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::{Principal, TokenTable};
use crate::metric::Metrics;
use crate::metric::label::AuthFailure;
use crate::refusal::Refusal;

/// What a request's credential came to.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// It carries none.
    Stranger,
    Known(Principal),
    /// It carries one that does not do.
    Failed,
}

#[derive(Clone, Debug)]
struct Door {
    tokens: TokenTable,
    metrics: Metrics,
}

/// Looks at every request's credential. It refuses nobody: a handler that takes [`Authenticated`] does.
pub fn identify(router: Router, tokens: TokenTable, metrics: Metrics) -> Router {
    router.layer(from_fn_with_state(Door { tokens, metrics }, look))
}

async fn look(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let found = door.read(request.headers());
    let is_known = matches!(found, Authentication::Known(_));
    request.extensions_mut().insert(found);
    let response = next.run(request).await;
    if is_known && response.status() == StatusCode::FORBIDDEN {
        door.count(AuthFailure::Forbidden);
    }
    response
}

impl Door {
    fn read(&self, headers: &HeaderMap) -> Authentication {
        let presented = match bearer(headers) {
            None => return Authentication::Stranger,
            Some(presented) => presented,
        };
        match presented.and_then(|token| self.tokens.authenticate(token)) {
            Ok(principal) => Authentication::Known(principal),
            Err(failure) => {
                self.count(failure);
                tracing::debug!(reason = failure.value(), "credential refused");
                Authentication::Failed
            }
        }
    }

    fn count(&self, failure: AuthFailure) {
        self.metrics.runtime.auth_failures.of(&failure).inc();
    }
}

/// *Returns*: `None` without the header; an error where it is repeated or no bearer token.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, AuthFailure>> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let only = all.next()?;
    let token = only
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    Some(match (token, all.next()) {
        (Some(token), None) => Ok(token),
        _ => Err(AuthFailure::Malformed),
    })
}

/// A handler's argument: somebody known, or the request ends with 401.
#[derive(Clone, Debug)]
pub struct Authenticated(pub Principal);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        // A router that was never wrapped in `identify` knows nobody, so it lets nobody in.
        match parts.extensions.get::<Authentication>() {
            Some(Authentication::Known(principal)) => Ok(Self(principal.clone())),
            Some(Authentication::Failed) => Err(Refusal::bad_credential()),
            Some(Authentication::Stranger) | None => Err(Refusal::no_credential()),
        }
    }
}
