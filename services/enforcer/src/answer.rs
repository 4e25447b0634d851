//! What was ruled, as HTTP: a status, a challenge, no body. Knows no picture and no route.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caerus_engine::id::AcrValue;
use caerus_engine::time::Timestamp;
use caerus_runtime::metric::label::CheckAnswer;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use crate::forward::ForwardError;
use crate::identity::IdentityError;
use crate::judge::Demand;
use crate::picture::Decision;
use crate::route::RouteError;

/// Why the answer is what it is, in one word; for logs of the proxy, never for decisions.
pub const REASON: HeaderName = HeaderName::from_static("x-caerus-reason");
/// The decision that answered.
pub const DECISION: HeaderName = HeaderName::from_static("x-caerus-decision");

const INVALID_TOKEN: &str = "Bearer error=\"invalid_token\"";
const NO_CREDENTIAL: &str = "Bearer realm=\"caerus\"";

/// What was ruled on one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    Allow,
    Revoked(Arc<Decision>),
    StepUp(Demand),
    Restricted(Arc<Decision>),
    /// The picture is too old for the route.
    Stale,
    Anonymous,
    BadIdentity(BadIdentity),
    BadProxy(BadProxy),
}

/// Why nobody can be told to ask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    #[error(transparent)]
    Request(#[from] IdentityError),
    #[error("the session is known to be another user's")]
    Conflict,
}

/// Why the one who asks, or how it asks, is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProxy {
    #[error("the peer is not among `trusted_proxies`")]
    Peer,
    #[error(transparent)]
    Forward(#[from] ForwardError),
    #[error(transparent)]
    Route(#[from] RouteError),
}

impl Ruling {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow)
    }

    /// One word for people and machines.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Allow => "allowed",
            Self::Revoked(_) => "revoked",
            Self::StepUp(Demand {
                decision: Some(_), ..
            }) => "step_up",
            Self::StepUp(_) => "stale_step_up",
            Self::Restricted(_) => "restricted",
            Self::Stale => "stale",
            Self::Anonymous => "anonymous",
            Self::BadIdentity(_) => "bad_identity",
            Self::BadProxy(_) => "bad_proxy",
        }
    }

    /// `None` for what `caerus_enforcer_stale_checks_total` alone counts.
    pub fn label(&self) -> Option<CheckAnswer> {
        match self {
            Self::Allow => Some(CheckAnswer::Allow),
            Self::Revoked(_) => Some(CheckAnswer::Revoked),
            Self::StepUp(_) => Some(CheckAnswer::StepUp),
            Self::Restricted(_) => Some(CheckAnswer::Restricted),
            Self::Stale => None,
            Self::Anonymous => Some(CheckAnswer::Anonymous),
            Self::BadIdentity(_) => Some(CheckAnswer::BadIdentity),
            Self::BadProxy(_) => Some(CheckAnswer::BadProxy),
        }
    }

    pub fn decision(&self) -> Option<&Arc<Decision>> {
        match self {
            Self::Revoked(decision) | Self::Restricted(decision) => Some(decision),
            Self::StepUp(demand) => demand.decision.as_ref(),
            Self::Allow
            | Self::Stale
            | Self::Anonymous
            | Self::BadIdentity(_)
            | Self::BadProxy(_) => None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Allow => StatusCode::NO_CONTENT,
            Self::Revoked(_) | Self::StepUp(_) | Self::Anonymous | Self::BadIdentity(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::Restricted(_) | Self::Stale | Self::BadProxy(_) => StatusCode::FORBIDDEN,
        }
    }
}

/// How Microsoft's clients are challenged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MicrosoftRules {
    /// Where the client authorizes; left out where it is not known.
    pub authorization_uri: Option<String>,
    /// The authentication context (`c1`…`c99`) that stands for a class; a class without one stands for itself.
    pub contexts: BTreeMap<AcrValue, String>,
}

/// The proxies' answer: 204, 401 or 403, without a body. `microsoft` is given where the request's token says that its
/// client understands claims challenges; its challenge then comes first, because some proxies pass only one on.
pub fn respond(ruling: &Ruling, microsoft: Option<&MicrosoftRules>) -> Response {
    let mut response = ruling.status().into_response();
    let headers = response.headers_mut();
    if ruling.is_allowed() {
        return response;
    }
    headers.insert(REASON, HeaderValue::from_static(ruling.reason()));
    if let Some(id) = ruling
        .decision()
        .and_then(|decision| HeaderValue::from_str(&decision.id).ok())
    {
        headers.insert(DECISION, id);
    }
    let challenges = [
        microsoft.and_then(|rules| claims_challenge(ruling, rules)),
        challenge(ruling),
    ];
    for value in challenges.into_iter().flatten() {
        // Made of sanitised parts, so it always is a header's value.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    response
}

/// RFC 6750 and RFC 9470.
fn challenge(ruling: &Ruling) -> Option<String> {
    match ruling {
        Ruling::Revoked(_) | Ruling::BadIdentity(_) => Some(INVALID_TOKEN.to_owned()),
        Ruling::Anonymous => Some(NO_CREDENTIAL.to_owned()),
        Ruling::StepUp(demand) => {
            let mut text = "Bearer error=\"insufficient_user_authentication\"".to_owned();
            let classes: Vec<&str> = expressible(demand).collect();
            if !classes.is_empty() {
                text.push_str(", acr_values=\"");
                text.push_str(&classes.join(" "));
                text.push('"');
            }
            if let Some(seconds) = demand.max_age_s {
                text.push_str(", max_age=\"");
                text.push_str(&seconds.to_string());
                text.push('"');
            }
            Some(text)
        }
        Ruling::Allow | Ruling::Restricted(_) | Ruling::Stale | Ruling::BadProxy(_) => None,
    }
}

/// Classes that can stand in a quoted, space-separated list; others could end the quotation, or be read as two.
fn expressible(demand: &Demand) -> impl Iterator<Item = &str> {
    demand
        .acr_values
        .iter()
        .map(AcrValue::as_str)
        .filter(|class| is_quotable(class) && !class.contains(' '))
}

fn is_quotable(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

/// Microsoft's claims challenge: everything quoted, in one header, padded base64 of the standard alphabet, because
/// clients' parsers have failed on anything else.
fn claims_challenge(ruling: &Ruling, rules: &MicrosoftRules) -> Option<String> {
    let claims = match ruling {
        Ruling::StepUp(demand) => {
            let context = demand
                .acr_values
                .iter()
                .find_map(|class| rules.contexts.get(class).map(String::as_str))
                .or_else(|| expressible(demand).next())?;
            json!({"access_token": {"acrs": {"essential": true, "value": context}}})
        }
        Ruling::Revoked(decision) => {
            let cut_off = decision.issued_before.unwrap_or(decision.issued_at);
            let seconds = whole_seconds_after(cut_off).to_string();
            json!({"access_token": {"nbf": {"essential": true, "value": seconds}}})
        }
        Ruling::Allow
        | Ruling::Restricted(_)
        | Ruling::Stale
        | Ruling::Anonymous
        | Ruling::BadIdentity(_)
        | Ruling::BadProxy(_) => return None,
    };
    let authorization = rules
        .authorization_uri
        .as_deref()
        .filter(|uri| is_quotable(uri))
        .map(|uri| format!("authorization_uri=\"{uri}\", "))
        .unwrap_or_default();
    let claims = STANDARD.encode(claims.to_string());
    Some(format!(
        "Bearer realm=\"\", {authorization}error=\"insufficient_claims\", claims=\"{claims}\""
    ))
}

/// The first whole second that is not before the moment.
fn whole_seconds_after(moment: Timestamp) -> i64 {
    moment.0.saturating_add(999).div_euclid(1_000)
}

#[cfg(test)]
mod tests;
