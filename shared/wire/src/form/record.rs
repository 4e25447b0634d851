//! Forms of subjects' records.

use caerus_engine::record::{
    Anchor, Core, CredentialChange, Dated, DeviceRecord, DeviceUser, Dismissal, FailedLogin,
    HeldCheck, HeldStanding, InForce, MetStepUp, NetworkRecord, Session, SubjectRecord,
    TenantRecord, ToldFanout, UserMark, UserRecord, WorkloadRecord,
};

use super::forms;

forms! {
    enum SubjectRecord {
        0 User(record),
        1 Device(record),
        2 Network(record),
        3 Workload(record),
        4 Tenant(record),
    }
    struct Core {
        key, latest, seen, counted, generation, shadow_generation, in_force, revision,
    }
    struct InForce {
        target, mode, generation, action, issued_before, except_sessions, issued_at, expires_at,
        life, score, hypothesis, contributions, basis, rule, cause, held_until,
    }

    struct UserRecord {
        core, first_seen, accepted_logins, networks, devices, agents, methods, anchors, failures,
        failure_baseline, access, evidence, sessions, unbound, standings, dismissals, is_disabled,
        last_credential_change,
    }
    struct CredentialChange { event, at, is_enrolment }
    struct FailedLogin { at, kind }
    struct Anchor { prefix, fix, at, class, city, country }
    struct HeldStanding { device, revision, at, compliant, managed, evidence }
    struct Dismissal { session, code, key, at, by }
    struct Session {
        id, started_at, last_seen, login_at, issued_at, acr, bound, current, evidence, dated,
        learned, met, hour, score,
    }
    struct Dated { code, key, since }
    struct MetStepUp { at, acr, network, device }

    struct DeviceRecord {
        core, revision, reported_at, compliant, managed, os, disk_encrypted, edr, jailbroken,
        checks, evidence, dismissals, users,
    }
    struct HeldCheck { check, is_failing, failed_at, at }
    struct DeviceUser { user, at }

    struct NetworkRecord { core, failed, accepted, baseline, hour, told, is_egress }
    struct UserMark { user, at }
    struct ToldFanout { nats, at }
    struct TenantRecord { core, failed, failures, baseline, window, told, since }
    struct WorkloadRecord { core, access, hour, evidence, dismissals }
}
