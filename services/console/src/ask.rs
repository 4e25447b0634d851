//! How requests are read: queries and bodies, with refusals that say where and what was expected. Knows no route.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use caerus_runtime::port::{PortError, PortErrorKind};
use caerus_runtime::refusal::Refusal;
use caerus_wire::api::{BodyForm, RequestError};
use serde::de::DeserializeOwned;

const NOT_JSON: &str = "the body must be `application/json`";
/// Entries of a page, unless fewer are asked for.
pub(crate) const PAGE_LEN: u32 = 50;
/// Entries of a page at most.
pub(crate) const PAGE_LEN_MAX: u32 = 500;

/// A query whose members are known.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(query)| Self(query))
            .map_err(|rejection| Refusal::bad_request(rejection.body_text()))
    }
}

/// A JSON body as it came, to be read once it is known that the asker may.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Bytes);

impl JsonBody {
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.0).map_err(|error| unreadable(&error, error.to_string()))
    }

    /// What `wire` does not take.
    pub(crate) fn refuse(error: &RequestError) -> Refusal {
        match error {
            RequestError::Unreadable { source, .. } => unreadable(source, error.to_string()),
            _ => Refusal::unprocessable(error.to_string()),
        }
    }
}

/// What is no JSON at all is told apart from what says the wrong thing.
fn unreadable(error: &serde_json::Error, sentence: String) -> Refusal {
    if error.is_data() {
        Refusal::unprocessable(sentence)
    } else {
        Refusal::bad_request(sentence)
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::media_type(NOT_JSON));
        }
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Self(body)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Refusal::too_large(rejection.body_text()))
            }
            Err(rejection) => Err(Refusal::bad_request(rejection.body_text())),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| BodyForm::of_content_type(text) == Some(BodyForm::Json))
}

/// How many entries a page has for what was asked. *Errors*: none, or more than there may be.
pub(crate) fn page_len(asked: Option<u32>) -> Result<u32, Refusal> {
    match asked {
        None => Ok(PAGE_LEN),
        Some(len) if (1..=PAGE_LEN_MAX).contains(&len) => Ok(len),
        Some(_) => Err(Refusal::bad_request(format!(
            "`limit` lies between 1 and {PAGE_LEN_MAX}"
        ))),
    }
}

/// A list that cannot be continued where the asker says is the asker's mistake.
pub(crate) fn page_error(error: PortError, after: Option<&str>) -> Refusal {
    match (error.kind, after) {
        (PortErrorKind::Refused, Some(_)) => {
            Refusal::bad_request("`after` is not the `next` of a page of this list")
        }
        _ => Refusal::from(error),
    }
}
