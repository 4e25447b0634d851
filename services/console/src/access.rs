//! Whose data a request is about: the tenant it names, or the only one its credential is for. Knows no store.

use caerus_engine::id::TenantId;
use caerus_runtime::auth::{Principal, Right, Tenants};
use caerus_runtime::refusal::Refusal;

/// The tenant of events and questions that name none.
pub(crate) const DEFAULT_TENANT: &str = "default";

/// The one tenant a question is about: the one named, else the only one of the credential, else `default`.
///
/// INVARIANT (INV-10): *Errors*: 403 without one of the rights, or where the tenant is another's.
pub(crate) fn tenant(
    principal: &Principal,
    rights: &[Right],
    named: Option<&str>,
) -> Result<TenantId, Refusal> {
    let tenant = match (named, &principal.tenants) {
        (Some(named), _) => TenantId::new(named),
        (None, Tenants::Some(tenants)) => match sole(tenants.iter()) {
            Some(only) => only.clone(),
            None => TenantId::new(DEFAULT_TENANT),
        },
        (None, Tenants::All) => TenantId::new(DEFAULT_TENANT),
    };
    principal.demand_any(rights, &tenant)?;
    Ok(tenant)
}

/// As [`tenant`], where a credential for every tenant that names none asks about all of them: `None`.
pub(crate) fn tenant_or_all(
    principal: &Principal,
    rights: &[Right],
    named: Option<&str>,
) -> Result<Option<TenantId>, Refusal> {
    match (named, &principal.tenants) {
        (None, Tenants::All) => {
            demand_any_right(principal, rights)?;
            Ok(None)
        }
        _ => tenant(principal, rights, named).map(Some),
    }
}

/// *Errors*: 403 without one of the rights, whatever the tenant.
pub(crate) fn demand_any_right(principal: &Principal, rights: &[Right]) -> Result<(), Refusal> {
    if rights.iter().any(|right| principal.has(*right)) {
        return Ok(());
    }
    let names: Vec<String> = rights.iter().map(|right| format!("`{right}`")).collect();
    Err(Refusal::forbidden(format!(
        "this needs the right {}",
        names.join(" or ")
    )))
}

/// True when the credential may see all that any tenant's credential may.
pub(crate) fn is_everywhere(principal: &Principal) -> bool {
    principal.tenants == Tenants::All
}

fn sole<T>(mut of: impl Iterator<Item = T>) -> Option<T> {
    let only = of.next()?;
    of.next().is_none().then_some(only)
}
