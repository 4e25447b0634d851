//! Bodies of the HTTP API, in and out. Knows no framework, no rights and no store.

mod events;
mod requests;
mod views;

pub use events::{
    BODY_BYTES_MAX, BodyError, BodyForm, EVENTS_MAX, EXPANDED_BYTES_MAX, EventsAnswer,
    RejectedEvent, split_events,
};
pub use requests::{
    Accepted, DEFAULT_ACR_VALUES, DecisionRequest, EXPIRES_IN_S_MAX, FeedbackRequest,
    REASON_CHARS_MAX, RequestError,
};
pub use views::{
    AuditView, EnforcementPointView, Listing, PolicyFileView, PolicyView, ReceiptView, SubjectView,
};
