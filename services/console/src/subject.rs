//! `GET /v1/subjects` and `GET /v1/sessions`: how somebody stands, and why. Knows no bus.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use caerus_engine::id::TenantId;
use caerus_runtime::auth::{Authenticated, Right};
use caerus_runtime::port::SubjectStanding;
use caerus_runtime::refusal::Refusal;
use caerus_wire::api::{Listing, SubjectView};
use caerus_wire::decision::{HypothesisName, PublicContribution};
use serde::Deserialize;

use crate::access;
use crate::ask::{Asked, page_error};
use crate::console::Console;

const RIGHTS: &[Right] = &[Right::Read];
/// The kinds of subjects that have a standing.
const KINDS: [&str; 3] = ["user", "device", "workload"];
/// Pages of one subject's sessions that are put together; what lies beyond is not told.
const PAGES_MAX: usize = 8;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectQuery {
    tenant: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    order: Option<Order>,
    after: Option<String>,
}

/// How subjects are listed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Name,
    /// The highest first, without pages.
    Risk,
}

/// Rows looked at for the riskiest subjects; one subject may have several.
const RISKIEST_ROWS_MAX: u32 = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionQuery {
    tenant: Option<String>,
    user: Option<String>,
    after: Option<String>,
}

/// What a recorded assessment says beyond its columns.
#[derive(Debug, Deserialize)]
struct Why {
    device: Option<String>,
    hypothesis: Option<HypothesisName>,
    #[serde(default)]
    hypotheses: BTreeMap<String, u8>,
    #[serde(default)]
    contributions: Vec<PublicContribution>,
    event: String,
}

/// Lists the subjects of a kind by name, each by what stands highest of it; or everything of one, the highest first.
pub(crate) async fn list(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
    Asked(query): Asked<SubjectQuery>,
) -> Result<Json<Listing<SubjectView>>, Refusal> {
    let tenant = access::tenant(&principal, RIGHTS, query.tenant.as_deref())?;
    let kind = query.kind.as_deref().unwrap_or("user");
    if !KINDS.contains(&kind) {
        let kinds = KINDS.join(", ");
        return Err(Refusal::bad_request(format!("`kind` is one of {kinds}")));
    }
    if let Some(name) = &query.name {
        return one(&console, &tenant, kind, name).await.map(Json);
    }
    let after = query.after.as_deref();
    let ledger = &console.parts.ledger;
    if matches!(query.order, Some(Order::Risk)) {
        let mut rows = ledger.riskiest(&tenant, kind, RISKIEST_ROWS_MAX).await?;
        let mut named = BTreeSet::new();
        rows.retain(|row| named.insert(row.name.clone()));
        let entries = views(rows)?;
        return Ok(Json(Listing {
            entries,
            next: None,
        }));
    }
    let page = ledger
        .standings(&tenant, kind, None, after)
        .await
        .map_err(|error| page_error(error, after))?;
    let entries = views(highest_of_each(page.entries))?;
    let next = page.next;
    Ok(Json(Listing { entries, next }))
}

async fn one(
    console: &Console,
    tenant: &TenantId,
    kind: &str,
    name: &str,
) -> Result<Listing<SubjectView>, Refusal> {
    let mut rows = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let ledger = &console.parts.ledger;
        let page = ledger
            .standings(tenant, kind, Some(name), after.as_deref())
            .await?;
        rows.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if rows.is_empty() {
        let detail = format!("no {kind} of that name was assessed in this tenant");
        return Err(Refusal::not_found(detail));
    }
    rows.sort_by_key(|row| Reverse((row.score, row.at)));
    let entries = views(rows)?;
    Ok(Listing {
        entries,
        next: None,
    })
}

/// The sessions of one user.
pub(crate) async fn sessions(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
    Asked(query): Asked<SessionQuery>,
) -> Result<Json<Listing<SubjectView>>, Refusal> {
    let tenant = access::tenant(&principal, RIGHTS, query.tenant.as_deref())?;
    let Some(user) = &query.user else {
        return Err(Refusal::bad_request("`user` says whose sessions"));
    };
    let after = query.after.as_deref();
    let ledger = &console.parts.ledger;
    let mut page = ledger
        .standings(&tenant, "user", Some(user), after)
        .await
        .map_err(|error| page_error(error, after))?;
    page.entries.retain(|row| row.session.is_some());
    let entries = views(page.entries)?;
    let next = page.next;
    Ok(Json(Listing { entries, next }))
}

/// Of rows in the order of names: the one that stands highest of each name, the latest of equals.
fn highest_of_each(rows: Vec<SubjectStanding>) -> Vec<SubjectStanding> {
    let mut highest: Vec<SubjectStanding> = Vec::new();
    for row in rows {
        match highest.last_mut() {
            Some(last) if last.name == row.name => {
                if (row.score, row.at) > (last.score, last.at) {
                    *last = row;
                }
            }
            Some(_) | None => highest.push(row),
        }
    }
    highest
}

fn views(rows: Vec<SubjectStanding>) -> Result<Vec<SubjectView>, Refusal> {
    rows.into_iter().map(view).collect()
}

/// *Errors*: a row whose JSON is no assessment; it is logged as what it is, a broken ledger.
fn view(row: SubjectStanding) -> Result<SubjectView, Refusal> {
    let why: Why = serde_json::from_str(&row.json).map_err(|error| {
        tracing::error!(%error, kind = row.kind, "standing in the ledger cannot be read");
        Refusal::internal()
    })?;
    Ok(SubjectView {
        device: why.device.filter(|_| row.kind != "device"),
        tenant: row.tenant.to_string(),
        kind: row.kind,
        name: row.name,
        session: row.session,
        score: row.score,
        level: SubjectView::level_of(row.score),
        hypothesis: why.hypothesis,
        hypotheses: why.hypotheses,
        contributions: why.contributions,
        event: why.event,
        at: row.at,
    })
}
