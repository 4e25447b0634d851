//! Who tells an event, and what they may tell: a credential, or a topic of the configuration. Knows no log.

use std::sync::Arc;

use caerus_engine::id::TenantId;
use caerus_runtime::auth::{Principal, Right};
use caerus_runtime::config::SourceTopic;
use caerus_wire::event::{EventType, NativeEvent, SessionEvent};

use crate::intake::EventRefusal;
use crate::normalise;

/// Who is answerable for an event.
#[derive(Clone, Debug)]
pub(crate) enum Teller {
    Credential(Principal),
    /// Whoever may write to the topic; who that is, is the broker's to settle.
    Topic(Arc<SourceTopic>),
}

impl Teller {
    /// `source` where the event names none, and `by` of feedback, whatever the event claims.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Credential(principal) => principal.name.as_str(),
            Self::Topic(topic) => topic.topic.as_str(),
        }
    }

    /// Whose event it is, where this teller may tell it.
    ///
    /// INVARIANT (INV-10): an event of another tenant than its teller's is refused.
    pub(crate) fn tenant_of(&self, event: &NativeEvent) -> Result<TenantId, EventRefusal> {
        match self {
            Self::Credential(principal) => {
                let tenant = normalise::tenant_of(event);
                demand(principal, event, &tenant)?;
                Ok(tenant)
            }
            Self::Topic(topic) => tenant_of(topic, event),
        }
    }
}

/// An enforcement point tells what it saw met, nothing else.
fn demand(
    principal: &Principal,
    event: &NativeEvent,
    tenant: &TenantId,
) -> Result<(), EventRefusal> {
    let is_step_up =
        event.kind == EventType::Session && event.event == Some(SessionEvent::StepUpMet);
    let right = match event.kind {
        EventType::Feedback => Right::Feedback,
        _ if is_step_up && principal.has(Right::Stream) => Right::Stream,
        _ => Right::Events,
    };
    if !principal.has(right) {
        return Err(EventRefusal::NotAllowed { right });
    }
    if !principal.tenants.include(tenant) {
        return Err(EventRefusal::OtherTenant);
    }
    Ok(())
}

/// A topic of one tenant holds that tenant's events, also those that name none; a topic of many says in each event whose
/// it is.
fn tenant_of(topic: &SourceTopic, event: &NativeEvent) -> Result<TenantId, EventRefusal> {
    if event.kind == EventType::Feedback && !topic.is_feedback {
        return Err(EventRefusal::NoFeedbackHere);
    }
    let Some(tenant) = topic.tenant.as_deref() else {
        return Ok(normalise::tenant_of(event));
    };
    match event.tenant.as_deref() {
        Some(named) if named != tenant => Err(EventRefusal::TopicOfAnotherTenant),
        _ => Ok(TenantId::new(tenant)),
    }
}
