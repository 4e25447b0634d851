//! `POST /v1/decisions`: an operator's own decision, into the log and back out as a decision. Knows no ledger's rows.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use caerus_engine::decide::{Command, Target};
use caerus_engine::id::{EventId, TenantId};
use caerus_engine::step::Input;
use caerus_runtime::auth::{Authenticated, Right};
use caerus_runtime::port::{Bus, PortResult, ReadLimit, Topic};
use caerus_runtime::refusal::Refusal;
use caerus_runtime::trace::Traceparent;
use caerus_wire::api::DecisionRequest;
use caerus_wire::decision::PublicDecision;
use serde::Serialize;
use tokio::sync::watch;

use crate::access;
use crate::ask::JsonBody;
use crate::console::{Act, Console};
use crate::log;

const RIGHTS: &[Right] = &[Right::Operate];
const READ_LIMIT: ReadLimit = ReadLimit {
    records: 256,
    bytes: 1024 * 1024,
};
/// The topic is looked at again at least this often.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The answer 202.
#[derive(Debug, Serialize)]
pub(crate) struct Decided {
    /// The decision; `null` where none came in time, or none was needed. It carries `cause`.
    id: Option<String>,
    /// All of them: a clear lifts every target that holds the user, one decision each.
    ids: Vec<String>,
    /// The command's own name: every decision it causes says so.
    cause: String,
}

pub(crate) async fn decide(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
    trace: Traceparent,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Decided>), Refusal> {
    access::demand_any_right(&principal, RIGHTS)?;
    let request = DecisionRequest::parse(&body).map_err(|error| JsonBody::refuse(&error))?;
    let tenant = access::tenant(&principal, RIGHTS, request.tenant.as_deref())?;
    let now = console.now();
    let command = Command {
        id: log::draw_id("op")?,
        action: request.action(),
        target: request.target(),
        life: request.life(),
        reason: request.reason,
        by: principal.name.clone(),
        time: now,
        received_at: now,
        trace: Some(trace.to_string()),
        tenant,
    };
    let act = Act {
        by: &principal,
        tenant: Some(&command.tenant),
        action: audited(command.action.name()),
        object: &words(&command.target),
        detail: &command.reason,
    };
    console.audit(act).await?;
    let ids = console.command(command.clone()).await?;
    let decided = Decided {
        id: ids.first().cloned(),
        ids,
        cause: command.id.to_string(),
    };
    Ok((StatusCode::ACCEPTED, Json(decided)))
}

fn audited(action: &str) -> &'static str {
    match action {
        "revoke" => "decision.revoke",
        "step_up" => "decision.step_up",
        "restrict" => "decision.restrict",
        _ => "decision.clear",
    }
}

/// The target for people, e.g. `user=alice session=s-81`.
fn words(target: &Target) -> String {
    let members = [
        ("user", target.user.as_ref().map(ToString::to_string)),
        ("session", target.session.as_ref().map(ToString::to_string)),
        ("device", target.device.as_ref().map(ToString::to_string)),
        (
            "workload",
            target.workload.as_ref().map(ToString::to_string),
        ),
        ("app", target.app.as_ref().map(ToString::to_string)),
    ];
    let given: Vec<String> = members
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)))
        .collect();
    given.join(" ")
}

impl Console {
    /// Appends the command, then waits for what it causes, for as long as people do not mind.
    async fn command(&self, command: Command) -> PortResult<Vec<String>> {
        let bus = self.parts.bus.as_ref();
        let owner = command.target.owner(&command.tenant).hash();
        let partition = owner.partition(bus.partitions());
        let mut awaited = Awaited {
            partition,
            next: bus.end(Topic::Decisions, partition).await?,
            appended: bus.appended(Topic::Decisions),
            tenant: command.tenant.clone(),
            cause: command.id.clone(),
        };
        log::append(bus, vec![(owner, Input::Command(command))]).await?;
        let wait = tokio::time::timeout(self.parts.decision_wait, awaited.decided(bus));
        match self.shutdown.unless_begun(wait).await {
            Some(Ok(found)) => found,
            // The command is in the log and will be judged; who asks learns its name.
            Some(Err(_)) | None => Ok(Vec::new()),
        }
    }
}

/// Decisions that are waited for.
#[derive(Debug)]
struct Awaited {
    partition: u32,
    next: u64,
    appended: watch::Receiver<u64>,
    tenant: TenantId,
    cause: EventId,
}

impl Awaited {
    /// The ids of all that the command caused: they come in one batch.
    async fn decided(&mut self, bus: &dyn Bus) -> PortResult<Vec<String>> {
        loop {
            let batch = bus
                .read(Topic::Decisions, self.partition, self.next, READ_LIMIT)
                .await?;
            let is_all_read = batch.next <= self.next;
            self.next = self.next.max(batch.next);
            let found: Vec<String> = batch
                .records
                .iter()
                .filter_map(|record| self.caused(&record.value))
                .collect();
            if !found.is_empty() {
                return Ok(found);
            }
            if is_all_read {
                // Whichever comes first; a bus that has gone is found at the next read.
                let again = tokio::time::timeout(LOOK_AGAIN, self.appended.changed());
                drop(again.await);
            }
        }
    }

    fn caused(&self, value: &[u8]) -> Option<String> {
        let decision = PublicDecision::parse(value).ok()?;
        let is_caused =
            decision.cause == self.cause.as_str() && decision.tenant == self.tenant.as_str();
        is_caused.then_some(decision.id)
    }
}
