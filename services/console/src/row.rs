//! Records of the bus as rows of the ledger. Knows neither bus nor ledger.

use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{EnforcementPoint, LedgerDecision, Receipt};
use caerus_wire::decision::{DecisionError, PublicDecision};
use serde::Deserialize;

/// The version of receipts that is read.
const RECEIPT_VERSION: u32 = 1;

/// Why a record is no row.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("could not record a decision")]
    Decision(#[source] DecisionError),
    #[error("could not record a decision: it is not UTF-8")]
    Text(#[source] std::str::Utf8Error),
    #[error("could not record the decision: its id does not name its owner")]
    Id,
    #[error("could not record what an enforcement point said")]
    Receipt(#[source] serde_json::Error),
    #[error("could not record what an enforcement point said: it has version {version}")]
    Version { version: u32 },
}

/// What one instance of an enforcement point said.
#[derive(Debug, Deserialize)]
struct ToldForm {
    v: u32,
    enforcement_point: String,
    client: String,
    tenants: Vec<String>,
    /// *Units*: milliseconds since 1970.
    at: i64,
    is_connected: bool,
    acknowledged: Option<String>,
    receipts: Vec<ReceiptForm>,
}

#[derive(Debug, Deserialize)]
struct ReceiptForm {
    decision: String,
    tenant: String,
}

/// A record of the receipts' topic, as rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) point: EnforcementPoint,
    pub(crate) receipts: Vec<Receipt>,
}

pub(crate) fn decision(value: &[u8]) -> Result<LedgerDecision, Unreadable> {
    let json = std::str::from_utf8(value).map_err(Unreadable::Text)?;
    let decision = PublicDecision::parse(value).map_err(Unreadable::Decision)?;
    let id = decision.decision_id().ok_or(Unreadable::Id)?;
    Ok(LedgerDecision {
        owner: id.owner,
        tenant: TenantId::new(decision.tenant),
        generation: decision.generation,
        mode: decision.mode.name().to_owned(),
        action: decision.action.name().to_owned(),
        user: decision.target.user,
        session: decision.target.session,
        device: decision.target.device,
        issued_at: decision.issued_at,
        expires_at: decision.expires_at,
        id: decision.id,
        json: json.to_owned(),
    })
}

pub(crate) fn told(value: &[u8]) -> Result<Told, Unreadable> {
    let form: ToldForm = serde_json::from_slice(value).map_err(Unreadable::Receipt)?;
    if form.v != RECEIPT_VERSION {
        return Err(Unreadable::Version { version: form.v });
    }
    let at = Timestamp(form.at);
    let receipt = |one: ReceiptForm| Receipt {
        decision: one.decision,
        tenant: TenantId::new(one.tenant),
        enforcement_point: form.enforcement_point.clone(),
        client: form.client.clone(),
        in_force_at: at,
    };
    let receipts = form.receipts.into_iter().map(receipt).collect();
    Ok(Told {
        receipts,
        point: EnforcementPoint {
            name: form.enforcement_point,
            client: form.client,
            tenants: form.tenants.into_iter().map(TenantId::new).collect(),
            last_seen: at,
            acknowledged: form.acknowledged,
            is_connected: form.is_connected,
        },
    })
}
