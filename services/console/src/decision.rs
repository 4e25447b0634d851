//! `GET /v1/decisions`, `…/{id}` and `…/{id}/receipts`: what was decided, why, and where it is in force. Knows no bus.

use axum::extract::{Path, Request, State};
use axum::handler::Handler;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Json, RequestExt};
use caerus_runtime::auth::{Authenticated, Principal, Right};
use caerus_runtime::port::{DecisionQuery, LedgerDecision};
use caerus_runtime::refusal::Refusal;
use caerus_wire::api::{Listing, ReceiptView};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::access;
use crate::ask::{Asked, page_error, page_len};
use crate::console::Console;

const RIGHTS: &[Right] = &[Right::Read];
/// Enforcement points may look up what became of what they obey.
const RECEIPT_RIGHTS: &[Right] = &[Right::Read, Right::Stream];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    tenant: Option<String>,
    user: Option<String>,
    session: Option<String>,
    device: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
    /// `false` asks for no more than its absence.
    #[serde(default, rename = "active")]
    _active: bool,
}

/// Lists decisions, the newest first; with `active=true` those in force, as the gateway has them.
pub(crate) async fn list(State(console): State<Console>, request: Request) -> Response {
    if asks_for_active(request.uri()) {
        return match &console.active {
            Some(gateway) => Handler::call(gateway.clone(), request, ()).await,
            None => Refusal::not_found("what is in force is told by the gateway").into_response(),
        };
    }
    match recorded(&console, request).await {
        Ok(page) => Json(page).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn asks_for_active(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query.split('&').any(|member| member == "active=true")
}

async fn recorded(
    console: &Console,
    mut request: Request,
) -> Result<Listing<Box<RawValue>>, Refusal> {
    let Authenticated(principal) = request.extract_parts().await?;
    let Asked::<ListQuery>(query) = request.extract_parts().await?;
    let tenant = access::tenant_or_all(&principal, RIGHTS, query.tenant.as_deref())?;
    let limit = page_len(query.limit)?;
    let query = DecisionQuery {
        tenant,
        user: query.user,
        session: query.session,
        device: query.device,
        after: query.after,
        limit,
    };
    let page = console.parts.ledger.decisions(&query).await;
    let page = page.map_err(|error| page_error(error, query.after.as_deref()))?;
    let entries = page
        .entries
        .into_iter()
        .map(json)
        .collect::<Result<_, _>>()?;
    let next = page.next;
    Ok(Listing { entries, next })
}

/// One decision, whole.
pub(crate) async fn one(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Box<RawValue>>, Refusal> {
    let decision = find(&console, &principal, RIGHTS, &id).await?;
    json(decision).map(Json)
}

/// Where the decision is in force, and since when.
pub(crate) async fn receipts(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Receipts>, Refusal> {
    let decision = find(&console, &principal, RECEIPT_RIGHTS, &id).await?;
    let receipts = console.parts.ledger.receipts(&decision.id).await?;
    let entries = receipts
        .into_iter()
        // INVARIANT (INV-10): a receipt is the tenant's whose decision it is.
        .filter(|receipt| receipt.tenant == decision.tenant)
        .map(|receipt| ReceiptView {
            enforcement_point: receipt.enforcement_point,
            client: receipt.client,
            in_force_at: receipt.in_force_at,
        })
        .collect();
    Ok(Json(Receipts {
        decision: decision.id,
        list: Listing {
            entries,
            next: None,
        },
    }))
}

#[derive(Debug, Serialize)]
pub(crate) struct Receipts {
    decision: String,
    #[serde(flatten)]
    list: Listing<ReceiptView>,
}

/// INVARIANT (INV-10): another tenant's decision is not found, rather than refused: that it exists is nobody's business.
async fn find(
    console: &Console,
    principal: &Principal,
    rights: &[Right],
    id: &str,
) -> Result<LedgerDecision, Refusal> {
    access::demand_any_right(principal, rights)?;
    let found = console.parts.ledger.decision(id).await?;
    found
        .filter(|decision| principal.tenants.include(&decision.tenant))
        .ok_or_else(|| Refusal::not_found("no decision of that id is recorded"))
}

fn json(decision: LedgerDecision) -> Result<Box<RawValue>, Refusal> {
    RawValue::from_string(decision.json).map_err(|error| {
        tracing::error!(%error, decision = decision.id, "decision in the ledger is not JSON");
        Refusal::internal()
    })
}
