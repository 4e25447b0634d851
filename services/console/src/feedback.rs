//! `POST /v1/feedback`: an analyst's verdict, into the log. Knows no ledger's rows.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use caerus_engine::id::{
    DeviceId, SessionId, SourceId, SubjectHash, SubjectKey, TenantId, UserId, short_hash,
};
use caerus_engine::signal::{About, Fact, Feedback, Handling, Origin, Signal, Subject};
use caerus_engine::step::Input;
use caerus_runtime::auth::{Authenticated, Right};
use caerus_runtime::refusal::Refusal;
use caerus_runtime::trace::Traceparent;
use caerus_wire::api::{Accepted, FeedbackRequest};

use crate::access;
use crate::ask::JsonBody;
use crate::console::{Act, Console};
use crate::log;

const RIGHTS: &[Right] = &[Right::Feedback];
/// Who reports, to the engine.
const SOURCE: &str = "console";

pub(crate) async fn tell(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
    trace: Traceparent,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    access::demand_any_right(&principal, RIGHTS)?;
    let request = FeedbackRequest::parse(&body).map_err(|error| JsonBody::refuse(&error))?;
    let tenant = access::tenant(&principal, RIGHTS, request.tenant.as_deref())?;
    console
        .demand_own(&tenant, request.decision.as_deref())
        .await?;
    let now = console.now();
    let origin = Origin {
        event: log::draw_id("fb")?,
        source: SourceId::new(SOURCE),
        time: now,
        received_at: now,
        body: short_hash(&[&body]),
        position: None,
        handling: Handling::Live,
        trace: Some(trace.to_string()),
    };
    let about = about(&tenant, &request);
    let object: Vec<String> = about.iter().map(|(_, about)| words(about)).collect();
    let act = Act {
        by: &principal,
        tenant: Some(&tenant),
        action: "feedback",
        object: &object.join(" "),
        detail: request.note.as_deref().unwrap_or_default(),
    };
    console.audit(act).await?;
    let id = origin.event.to_string();
    let inputs = about.into_iter().map(|(subject, about)| {
        let feedback = Feedback {
            verdict: request.verdict.into(),
            about,
            // INVARIANT: authenticated, whatever a body claims.
            by: principal.name.clone(),
            note: request.note.clone(),
        };
        signal(&origin, subject, feedback)
    });
    log::append(console.parts.bus.as_ref(), inputs.collect()).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { id })))
}

/// A decision is found by its owner; otherwise each that is named is told: the session or the user, and the device.
fn about(tenant: &TenantId, request: &FeedbackRequest) -> Vec<(Subject, About)> {
    if let Some(decision) = request.decision_id() {
        let subject = Subject::Owner {
            tenant: tenant.clone(),
            hash: decision.owner,
        };
        return vec![(subject, About::Decision(decision))];
    }
    let mut told = Vec::new();
    if let Some(user) = &request.user {
        let key = SubjectKey::User {
            tenant: tenant.clone(),
            user: UserId::new(user.as_str()),
        };
        let about = match &request.session {
            Some(session) => About::Session(SessionId::new(session.as_str())),
            None => About::User,
        };
        told.push((Subject::Key(key), about));
    }
    if let Some(device) = &request.device {
        let key = SubjectKey::Device {
            tenant: tenant.clone(),
            device: DeviceId::new(device.as_str()),
        };
        told.push((Subject::Key(key), About::Device));
    }
    told
}

fn signal(origin: &Origin, subject: Subject, feedback: Feedback) -> (SubjectHash, Input) {
    let hash = subject.hash();
    let signal = Signal {
        origin: origin.clone(),
        subject,
        fact: Fact::Feedback(feedback),
    };
    (hash, Input::Signal(signal))
}

fn words(about: &About) -> String {
    match about {
        About::Decision(id) => format!("decision={id}"),
        About::User => "user".to_owned(),
        About::Session(session) => format!("session={session}"),
        About::Device => "device".to_owned(),
    }
}

impl Console {
    /// INVARIANT (INV-10): *Errors*: 404 for another tenant's decision. One that is not recorded yet may be anybody's:
    /// the engine compares its owner's tenant.
    async fn demand_own(&self, tenant: &TenantId, decision: Option<&str>) -> Result<(), Refusal> {
        let Some(decision) = decision else {
            return Ok(());
        };
        match self.parts.ledger.decision(decision).await? {
            Some(found) if found.tenant != *tenant => {
                Err(Refusal::not_found("no decision of that id is recorded"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
