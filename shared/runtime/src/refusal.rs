//! A refusal on its way out: a problem document with its status and headers. The one place where errors become HTTP.

use std::fmt;

use axum::response::{IntoResponse, Response};
use caerus_wire::problem::{self, Problem};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::port::{PortError, PortErrorKind};
use crate::tasks::chain;

pub const PROBLEM_TYPE: &str = problem::CONTENT_TYPE;

/// How long somebody refused by a store or a queue should wait.
const RETRY_AFTER_S: u32 = 1;

/// What a stranger is told: a status, a word for machines and a sentence for people. What an operator needs to know
/// beyond that stands in the log.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// `code` is a stable word like `too_large`; `detail` a sentence that names no secret.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            headers: Vec::new(),
        }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// No credential at all. *Source*: RFC 6750, section 3: then without an error code.
    pub fn no_credential() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "no_credential",
            "this needs a bearer token",
        )
        .with_header(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"caerus\""),
        )
    }

    /// A credential that does not do. Which part of it was wrong is for the operator's log alone.
    pub fn bad_credential() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "bad_credential",
            "the bearer token is not valid, or no longer",
        )
        .with_header(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"caerus\", error=\"invalid_token\""),
        )
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    pub fn media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", detail)
    }

    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", detail)
    }

    /// Full for the moment: 429 with `Retry-After`.
    pub fn too_many(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", detail)
            .with_header(RETRY_AFTER, retry_after_s.into())
    }

    /// Not now: 503 with `Retry-After`.
    pub fn unavailable(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(RETRY_AFTER, retry_after_s.into())
    }

    /// A defect or a broken store; the cause is in the log.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this could not be done; the cause is in the log",
        )
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The document's text.
    pub fn to_json(&self) -> String {
        Problem::new(self.status.as_u16(), self.code, self.detail.as_str()).to_json()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Refusal {}

/// Logged here, once, with its whole chain; the stranger learns whether to come back.
impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        let cause = chain(&error);
        match error.kind {
            PortErrorKind::Unavailable | PortErrorKind::Conflict => {
                tracing::warn!(error = cause, "request refused: a port is unavailable");
                Self::unavailable("a store or broker does not answer", RETRY_AFTER_S)
            }
            PortErrorKind::Refused | PortErrorKind::Corrupt => {
                tracing::error!(error = cause, "request failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_problem_document_with_its_headers() {
        let refusal = Refusal::too_many("the queue holds 10,000 events", 2);
        assert_eq!(
            refusal.to_json(),
            "{\"type\":\"about:blank\",\"title\":\"Too Many Requests\",\"status\":429,\
             \"code\":\"too_many\",\"detail\":\"the queue holds 10,000 events\"}"
        );
        let response = refusal.into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_TYPE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }

    #[test]
    fn strangers_learn_whether_to_come_back_and_never_the_cause() {
        for (kind, status) in [
            (PortErrorKind::Unavailable, 503),
            (PortErrorKind::Conflict, 503),
            (PortErrorKind::Refused, 500),
            (PortErrorKind::Corrupt, 500),
        ] {
            let error = PortError::new(kind, "read `ledger`").because("password is hunter2");
            let refusal = Refusal::from(error);
            assert_eq!(refusal.status(), status);
            assert!(!refusal.to_json().contains("ledger"), "{refusal}");
        }
    }
}
