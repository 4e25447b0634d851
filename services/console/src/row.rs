//! Records of the bus as rows of the ledger. Knows neither bus nor ledger.

use caerus_engine::id::TenantId;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{EnforcementPoint, LedgerDecision, Receipt, SubjectStanding};
use caerus_wire::decision::{DecisionError, PublicDecision};
use caerus_wire::told::{PointTold, ReceiptTold, StandingTold, StandingsTold, ToldError};

/// Why a record is no row.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("could not record a decision")]
    Decision(#[source] DecisionError),
    #[error("could not record a decision: it is not UTF-8")]
    Text(#[source] std::str::Utf8Error),
    #[error("could not record the decision: its id does not name its owner")]
    Id,
    #[error(transparent)]
    Told(#[from] ToldError),
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
    let told = PointTold::from_bytes(value)?;
    let at = Timestamp(told.at);
    let receipt = |one: &ReceiptTold<'_>| Receipt {
        decision: one.decision.to_string(),
        tenant: TenantId::new(one.tenant.as_ref()),
        enforcement_point: told.enforcement_point.to_string(),
        client: told.client.to_string(),
        in_force_at: at,
    };
    Ok(Told {
        receipts: told.receipts.iter().map(receipt).collect(),
        point: EnforcementPoint {
            name: told.enforcement_point.to_string(),
            client: told.client.to_string(),
            tenants: told.tenants.into_iter().map(TenantId::new).collect(),
            last_seen: at,
            acknowledged: told.acknowledged.map(|cursor| cursor.into_owned()),
            is_connected: told.is_connected,
        },
    })
}

pub(crate) fn standings(value: &[u8]) -> Result<Vec<SubjectStanding>, Unreadable> {
    let told = StandingsTold::from_bytes(value)?;
    let row = |one: StandingTold| SubjectStanding {
        tenant: TenantId::new(one.tenant),
        kind: one.kind,
        name: one.name,
        session: one.session,
        score: one.score,
        at: Timestamp(one.at),
        json: one.json,
    };
    Ok(told.standings.into_iter().map(row).collect())
}
