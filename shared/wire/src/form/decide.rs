//! Forms of targets, actions and operators' commands.

use caerus_engine::decide::{Action, Command, Mode, Requires, Restricts, Target};
use caerus_engine::score::{CapOf, Contribution, Hypothesis, Line};

use super::forms;

forms! {
    struct Target { user, session, device, workload, app }
    enum Action {
        0 Clear,
        1 Restrict(restricts),
        2 StepUp { requires, restricts },
        3 Revoke,
    }
    struct Requires { acr_values, max_age_s }
    struct Restricts { sensitivity_above, apps }
    enum Mode { 0 Enforce, 1 Shadow }
    struct Command { tenant, id, action, target, reason, by, time, received_at, life, trace }

    enum Hypothesis { 0 StolenCredential, 1 HijackedSession, 2 CompromisedDevice, 3 Misuse }
    struct Contribution { line, points, event }
    enum Line {
        0 Prior,
        1 Evidence { code, detail },
        2 Cap { of },
        3 Criticality,
        4 Operator { reason },
    }
    enum CapOf {
        0 Family(family),
        1 Trust,
    }
}
