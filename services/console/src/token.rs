//! `/v1/tokens`: credentials made, listed and revoked. A secret is shown once, and never stored. Knows no bus.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use caerus_engine::id::TenantId;
use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::auth::{Authenticated, Grant, Principal, Right, Tenants, Token};
use caerus_runtime::port::StoredToken;
use caerus_runtime::refusal::Refusal;
use caerus_wire::api::Listing;
use caerus_wire::moment;
use serde::{Deserialize, Serialize};

use crate::access;
use crate::ask::JsonBody;
use crate::console::{Act, Console};

const RIGHTS: &[Right] = &[Right::Admin];
/// *Units*: characters of a credential's name or of a tenant's.
const NAME_CHARS_MAX: usize = 128;
/// Tenants of one credential.
const TENANTS_MAX: usize = 256;
/// *Units*: seconds; ten years.
const EXPIRES_IN_S_MAX: u32 = 10 * 366 * 24 * 60 * 60;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    name: String,
    /// Absent or empty: every tenant.
    #[serde(default)]
    tenants: BTreeSet<String>,
    rights: BTreeSet<String>,
    /// Absent: it does not expire.
    expires_in_s: Option<u32>,
}

/// A credential as it is told: never its hash, and its secret only when it is made.
#[derive(Debug, Serialize)]
pub(crate) struct TokenView {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    name: String,
    /// Empty: every tenant.
    tenants: Vec<String>,
    rights: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
}

impl TokenView {
    fn of(stored: StoredToken) -> Self {
        Self {
            id: stored.id,
            token: None,
            name: stored.name,
            tenants: stored.tenants.iter().map(ToString::to_string).collect(),
            rights: stored.rights,
            created_at: moment::to_text(stored.created_at),
            expires_at: stored.expires_at.map(moment::to_text),
            revoked_at: stored.revoked_at.map(moment::to_text),
        }
    }
}

pub(crate) async fn create(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
    body: JsonBody,
) -> Result<(StatusCode, Json<TokenView>), Refusal> {
    access::demand_any_right(&principal, RIGHTS)?;
    let request: TokenRequest = body.read()?;
    let grant = grant(&principal, &request, console.now())?;
    let token = Token::draw().map_err(|error| {
        tracing::error!(%error, "token not made");
        Refusal::internal()
    })?;
    let stored = token.stored(&grant, console.now());
    let detail = format!("{} with {}", grant.name, stored.rights.join(", "));
    let act = Act {
        by: &principal,
        tenant: sole(&stored.tenants),
        action: "token.create",
        object: &stored.id,
        detail: &detail,
    };
    console.audit(act).await?;
    console.parts.ledger.put_token(&stored).await?;
    console.refresh_tokens().await?;
    let view = TokenView {
        token: Some(token.reveal().expose().to_owned()),
        ..TokenView::of(stored)
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// *Errors*: 422 for what is no grant, 403 for more tenants than the asker's own.
fn grant(principal: &Principal, request: &TokenRequest, now: Timestamp) -> Result<Grant, Refusal> {
    check_name("name", &request.name)?;
    if request.tenants.len() > TENANTS_MAX {
        let detail = format!("member `tenants` has more than {TENANTS_MAX} entries");
        return Err(Refusal::unprocessable(detail));
    }
    for tenant in &request.tenants {
        check_name("tenants", tenant)?;
    }
    let tenants: Vec<TenantId> = request
        .tenants
        .iter()
        .map(|name| TenantId::new(name.as_str()))
        .collect();
    let is_within = match &principal.tenants {
        Tenants::All => true,
        // INVARIANT (INV-10): nobody hands on more than they hold; no tenants would mean every one.
        Tenants::Some(own) => !tenants.is_empty() && tenants.iter().all(|one| own.contains(one)),
    };
    if !is_within {
        return Err(Refusal::forbidden(
            "a credential hands on its own tenants alone",
        ));
    }
    let expires_at = match request.expires_in_s {
        None => None,
        Some(seconds) if (1..=EXPIRES_IN_S_MAX).contains(&seconds) => {
            Some(now + Span::seconds(i64::from(seconds)))
        }
        Some(_) => {
            let detail = format!("member `expires_in_s` lies between 1 and {EXPIRES_IN_S_MAX}");
            return Err(Refusal::unprocessable(detail));
        }
    };
    Ok(Grant {
        name: request.name.clone(),
        tenants: Tenants::from_list(&tenants),
        rights: rights(&request.rights)?,
        expires_at,
    })
}

fn rights(names: &BTreeSet<String>) -> Result<BTreeSet<Right>, Refusal> {
    let known = Right::ALL.map(Right::name).join(", ");
    let rights: Option<BTreeSet<Right>> = names.iter().map(|name| Right::parse(name)).collect();
    rights
        .filter(|rights| !rights.is_empty())
        .ok_or_else(|| Refusal::unprocessable(format!("member `rights` holds some of {known}")))
}

fn check_name(member: &str, name: &str) -> Result<(), Refusal> {
    let len = name.chars().count();
    if (1..=NAME_CHARS_MAX).contains(&len) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Refusal::unprocessable(format!(
        "member `{member}` has 1 to {NAME_CHARS_MAX} characters, none of them a control character"
    )))
}

pub(crate) async fn list(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
) -> Result<Json<Listing<TokenView>>, Refusal> {
    access::demand_any_right(&principal, RIGHTS)?;
    let tokens = console.parts.ledger.tokens().await?;
    let own = tokens.into_iter().filter(|token| is_own(&principal, token));
    Ok(Json(Listing {
        entries: own.map(TokenView::of).collect(),
        next: None,
    }))
}

pub(crate) async fn revoke(
    State(console): State<Console>,
    Authenticated(principal): Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    access::demand_any_right(&principal, RIGHTS)?;
    let tokens = console.parts.ledger.tokens().await?;
    let mut own = tokens.into_iter().filter(|token| is_own(&principal, token));
    let Some(token) = own.find(|token| token.id == id) else {
        return Err(Refusal::not_found("there is no credential of that id"));
    };
    let act = Act {
        by: &principal,
        tenant: sole(&token.tenants),
        action: "token.revoke",
        object: &token.id,
        detail: &token.name,
    };
    console.audit(act).await?;
    console
        .parts
        .ledger
        .revoke_token(&token.id, console.now())
        .await?;
    console.refresh_tokens().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// INVARIANT (INV-10): a credential is shown to those whose tenants hold all of its own.
fn is_own(principal: &Principal, token: &StoredToken) -> bool {
    match &principal.tenants {
        Tenants::All => true,
        Tenants::Some(own) => {
            !token.tenants.is_empty() && token.tenants.iter().all(|tenant| own.contains(tenant))
        }
    }
}

/// The tenant an audit entry is about, where there is one alone.
fn sole(tenants: &[TenantId]) -> Option<&TenantId> {
    match tenants {
        [only] => Some(only),
        _ => None,
    }
}

impl Console {
    /// So that this process knows at once; others look by themselves.
    async fn refresh_tokens(&self) -> Result<(), Refusal> {
        self.parts
            .tokens
            .refresh(self.parts.ledger.as_ref())
            .await?;
        Ok(())
    }
}
