//! Forms of the climate and its changes.

use caerus_engine::climate::{
    Climate, ClimateChange, ClimateFinding, FanoutFinding, NetworkStanding, Surge, TenantClimate,
};

use super::forms;

forms! {
    struct Climate { tenants }
    struct TenantClimate { networks, surges }
    struct NetworkStanding { fanout, is_egress }
    struct FanoutFinding { nats, users, window_s, expected_milli, at, event }
    struct Surge { nats, failed, users, window_s, since, at, event }
    struct ClimateChange { tenant, what }
    enum ClimateFinding {
        0 Network { prefix, standing },
        1 Surge { shard, surge },
    }
}
