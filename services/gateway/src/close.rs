//! How a stream ends: the close code, and the words that go before it. Knows no socket.

use axum::http::StatusCode;
use caerus_runtime::metric::label::CloseReason;
use caerus_runtime::refusal::Refusal;
use caerus_wire::stream::CloseCode;

const NO_CREDENTIAL: &str = "this needs a bearer token that stands";

/// Why a stream is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The subscriber left; there is nobody to tell.
    Left,
    BadFrame(String),
    NotAuthenticated(&'static str),
    NotAllowed(String),
    TooSlow(&'static str),
    TooMany,
    GoingAway,
}

impl End {
    /// How a refused credential ends a stream.
    pub(crate) fn of(refusal: &Refusal) -> Self {
        if refusal.status() == StatusCode::FORBIDDEN {
            Self::NotAllowed(refusal.detail().to_owned())
        } else {
            Self::NotAuthenticated(NO_CREDENTIAL)
        }
    }

    /// `None` where nobody is there to be told.
    pub(crate) fn code(&self) -> Option<CloseCode> {
        match self {
            Self::Left => None,
            Self::BadFrame(_) => Some(CloseCode::BadFrame),
            Self::NotAuthenticated(_) => Some(CloseCode::NotAuthenticated),
            Self::NotAllowed(_) => Some(CloseCode::NotAllowed),
            Self::TooSlow(_) => Some(CloseCode::TooSlow),
            Self::TooMany => Some(CloseCode::TooMany),
            Self::GoingAway => Some(CloseCode::GoingAway),
        }
    }

    pub(crate) fn label(&self) -> CloseReason {
        match self {
            Self::Left => CloseReason::Left,
            Self::BadFrame(_) => CloseReason::BadFrame,
            Self::NotAuthenticated(_) => CloseReason::NotAuthenticated,
            Self::NotAllowed(_) => CloseReason::NotAllowed,
            Self::TooSlow(_) => CloseReason::TooSlow,
            Self::TooMany => CloseReason::TooMany,
            Self::GoingAway => CloseReason::GoingAway,
        }
    }

    /// The error frame's `message`.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Left => "the subscriber left",
            Self::BadFrame(message) | Self::NotAllowed(message) => message,
            Self::NotAuthenticated(message) | Self::TooSlow(message) => message,
            Self::TooMany => "this gateway has as many subscribers as it takes",
            Self::GoingAway => "this gateway is going away, connect again",
        }
    }
}
