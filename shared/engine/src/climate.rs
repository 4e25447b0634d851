//! What all subjects of a tenant live in: surges of failures, networks' standings. Small, and told to every partition.

use std::collections::BTreeMap;

use crate::id::{EventId, Prefix, TenantId};
use crate::number::Nats;
use crate::time::Timestamp;

/// The conclusions in force, per tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Climate {
    pub tenants: BTreeMap<TenantId, TenantClimate>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantClimate {
    pub networks: BTreeMap<Prefix, NetworkStanding>,
    /// By the tenant's shard that saw the surge.
    pub surges: BTreeMap<u16, Surge>,
}

/// What is held against a network, or known in its favour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkStanding {
    pub fanout: Option<FanoutFinding>,
    /// Used by three users of the tenant and more: no anchor for travel, a tenant's own exit.
    pub is_egress: bool,
}

/// Many users tried from one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FanoutFinding {
    pub nats: Nats,
    pub users: u32,
    pub window_s: u32,
    pub expected_milli: u64,
    pub at: Timestamp,
    pub event: EventId,
}

/// A surge of failed logins over the tenant, seen by one of its shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surge {
    pub nats: Nats,
    pub failed: u32,
    pub users: u32,
    pub window_s: u32,
    pub since: Timestamp,
    pub at: Timestamp,
    pub event: EventId,
}

/// One change of the climate, as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClimateChange {
    pub tenant: TenantId,
    pub what: ClimateFinding,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClimateFinding {
    Network {
        prefix: Prefix,
        standing: Option<NetworkStanding>,
    },
    Surge {
        shard: u16,
        surge: Option<Surge>,
    },
}

impl Climate {
    /// Takes the change in; the later in the log wins.
    pub fn apply(&mut self, change: &ClimateChange) {
        let tenant = self.tenants.entry(change.tenant.clone()).or_default();
        match &change.what {
            ClimateFinding::Network {
                prefix,
                standing: Some(standing),
            } => {
                tenant.networks.insert(*prefix, standing.clone());
            }
            ClimateFinding::Network {
                prefix,
                standing: None,
            } => {
                tenant.networks.remove(prefix);
            }
            ClimateFinding::Surge {
                shard,
                surge: Some(surge),
            } => {
                tenant.surges.insert(*shard, surge.clone());
            }
            ClimateFinding::Surge { shard, surge: None } => {
                tenant.surges.remove(shard);
            }
        }
        if tenant.networks.is_empty() && tenant.surges.is_empty() {
            self.tenants.remove(&change.tenant);
        }
    }

    pub fn network(&self, tenant: &TenantId, prefix: Prefix) -> Option<&NetworkStanding> {
        self.tenants.get(tenant)?.networks.get(&prefix)
    }

    /// The surges under way in the tenant, by the shard that sees each.
    pub fn surges(&self, tenant: &TenantId) -> Option<&BTreeMap<u16, Surge>> {
        Some(&self.tenants.get(tenant)?.surges)
    }

    /// The strongest surge under way in the tenant.
    pub fn surge(&self, tenant: &TenantId) -> Option<&Surge> {
        self.tenants
            .get(tenant)?
            .surges
            .values()
            .max_by_key(|surge| (surge.nats, surge.at))
    }
}
