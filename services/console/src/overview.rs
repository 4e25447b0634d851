//! `GET /v1/policies`, `/v1/enforcement-points` and `/v1/audit`: what is in force, who enforces it, who changed what.
//! Knows no bus.

use axum::Json;
use axum::extract::State;
use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::auth::{Authenticated, Principal, Right, Tenants};
use caerus_runtime::port::{AuditEntry, EnforcementPoint, Page};
use caerus_runtime::refusal::Refusal;
use caerus_wire::api::{AuditView, EnforcementPointView, Listing};
use serde::Deserialize;

use crate::access;
use crate::ask::{Asked, page_error, page_len};
use crate::console::{Console, PolicyShelf};

const READERS: &[Right] = &[Right::Read, Right::Admin];
const ADMINS: &[Right] = &[Right::Admin];
/// A gateway tells of its subscribers every half minute; one not told of for so long went with its gateway.
const SILENCE: Span = Span::seconds(120);
/// Pages of the audit looked through for one that holds entries of the asker's tenants.
const AUDIT_PAGES_MAX: usize = 8;

/// The policies in force, with what is wrong with those that are not.
pub(crate) async fn policies(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
) -> Result<Json<PolicyShelf>, Refusal> {
    access::demand_any_right(&principal, READERS)?;
    Ok(Json(console.parts.policies.borrow().clone()))
}

/// Policies are changed where they come from.
pub(crate) async fn put_policies(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
) -> Result<(), Refusal> {
    access::demand_any_right(&principal, ADMINS)?;
    let source = console.parts.policies.borrow().source.clone();
    Err(Refusal::conflict(format!(
        "the policies come from {source}: change them there"
    )))
}

/// Every enforcement point that obeys one of the asker's tenants.
pub(crate) async fn enforcement_points(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
) -> Result<Json<Listing<EnforcementPointView>>, Refusal> {
    access::demand_any_right(&principal, READERS)?;
    let points = console.parts.ledger.enforcement_points().await?;
    let heard_since = console.now() - SILENCE;
    let entries = points
        .into_iter()
        .filter_map(|point| shown(&principal, point, heard_since))
        .collect();
    Ok(Json(Listing {
        entries,
        next: None,
    }))
}

/// INVARIANT (INV-10): of a point's tenants only the asker's are named. One that is for every tenant obeys the asker's
/// too, and is shown as being for those.
fn shown(
    principal: &Principal,
    point: EnforcementPoint,
    heard_since: Timestamp,
) -> Option<EnforcementPointView> {
    let tenants = match &principal.tenants {
        Tenants::All => point.tenants,
        Tenants::Some(own) if point.tenants.is_empty() => own.iter().cloned().collect(),
        Tenants::Some(own) => {
            let mut tenants = point.tenants;
            tenants.retain(|tenant| own.contains(tenant));
            if tenants.is_empty() {
                return None;
            }
            tenants
        }
    };
    Some(EnforcementPointView {
        name: point.name,
        client: point.client,
        tenants: tenants.iter().map(ToString::to_string).collect(),
        last_seen: point.last_seen,
        acknowledged: point.acknowledged,
        connected: point.is_connected && point.last_seen >= heard_since,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    after: Option<String>,
    limit: Option<u32>,
}

/// Who changed what, the newest first. What concerns no one tenant is for credentials for every tenant alone.
pub(crate) async fn audit(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
    Asked(query): Asked<AuditQuery>,
) -> Result<Json<Listing<AuditView>>, Refusal> {
    access::demand_any_right(&principal, ADMINS)?;
    let limit = page_len(query.limit)?;
    let mut after = query.after;
    let mut entries = Vec::new();
    for _ in 0..AUDIT_PAGES_MAX {
        let page: Page<AuditEntry> = console
            .parts
            .ledger
            .audit(after.as_deref(), limit)
            .await
            .map_err(|error| page_error(error, after.as_deref()))?;
        let own = page
            .entries
            .into_iter()
            .filter(|entry| may_see(&principal, entry));
        entries.extend(own.map(view));
        after = page.next;
        if !entries.is_empty() || after.is_none() {
            break;
        }
    }
    Ok(Json(Listing {
        entries,
        next: after,
    }))
}

fn may_see(principal: &Principal, entry: &AuditEntry) -> bool {
    match &entry.tenant {
        Some(tenant) => principal.tenants.include(tenant),
        None => access::is_everywhere(principal),
    }
}

fn view(entry: AuditEntry) -> AuditView {
    AuditView {
        at: entry.at,
        tenant: entry.tenant.map(|tenant| tenant.to_string()),
        principal: entry.principal,
        action: entry.action,
        object: entry.object,
        detail: entry.detail,
    }
}
