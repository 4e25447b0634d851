//! Forms of signals and of what a step is told.

use caerus_engine::signal::{
    About, Access, AccessOutcome, Agent, Alert, Authentication, Client, DeviceFinding,
    DeviceStanding, EdrState, Fact, FailureKind, Feedback, Fix, Handling, Health, Login,
    NetworkClass, NetworkLogin, Origin, Outcome, Place, PostureCheck, ReportedRisk, SessionChange,
    SessionChangeKind, Severity, Signal, SourcePosition, StandingEvidence, Subject, TenantLogin,
    Verdict,
};
use caerus_engine::step::{Input, WakeReason, WakeUp};

use super::forms;

forms! {
    struct Signal { origin, subject, fact }
    enum Subject {
        0 Key(key),
        1 Owner { tenant, hash },
    }
    struct Origin { event, source, time, received_at, body, position, handling, trace }
    enum Handling { 0 Live, 1 Late, 2 Backfill }
    struct SourcePosition { partition, offset }
    enum Fact {
        0 Login(login),
        1 Access(access),
        2 Health(health),
        3 Session(change),
        4 Feedback(feedback),
        5 NetworkLogin(login),
        6 TenantLogin(login),
        7 DeviceSeen { user },
        8 DeviceStanding(standing),
        9 TenantSurge { shard, is_over },
    }
    struct Client { device, address, place, agent, ja4, certificate }
    struct Place { country, asn, city, fix, class }
    struct Fix { latitude, longitude, radius_m }
    enum NetworkClass {
        0 Unknown, 1 Residential, 2 Mobile, 3 Corporate, 4 Hosting, 5 Vpn, 6 Proxy, 7 Tor, 8 Relay,
    }
    struct Agent { os, browser, browser_major }
    enum Outcome {
        0 Success,
        1 Challenged,
        2 Failure(kind),
    }
    enum FailureKind {
        0 BadPassword, 1 UnknownUser, 2 Locked, 3 MfaDenied, 4 MfaTimeout, 5 Blocked, 6 Other,
    }
    struct Login { session, client, outcome, authentication, issued_at }
    struct Authentication { amr, acr }
    struct Access {
        session, client, peer_workload, app, resource, outcome, bytes_out, sensitivity, issued_at,
    }
    enum AccessOutcome { 0 Served, 1 Refused }
    struct Health {
        user, compliant, managed, os, os_version, disk_encrypted, firewall, screen_lock, edr,
        jailbroken, patch_age_days, score, alerts,
    }
    enum EdrState { 0 Running, 1 Stopped, 2 Missing }
    struct Alert { severity, name }
    enum Severity { 0 Low, 1 Medium, 2 High, 3 Critical }
    struct SessionChange { session, client, authentication, issued_at, kind }
    enum SessionChangeKind {
        0 Started,
        1 Ended,
        2 StepUpMet,
        3 CredentialChanged,
        4 MfaEnrolled,
        5 AccountDisabled,
        6 AccountEnabled,
        7 RiskReported { level, detail },
    }
    enum ReportedRisk {
        0 None, 1 Low, 2 Medium, 3 High, 4 LeakedCredentials, 5 ConfirmedCompromised,
    }
    struct Feedback { verdict, about, by, note }
    enum Verdict { 0 Compromised, 1 Safe, 2 Dismiss }
    enum About {
        0 Decision(id),
        1 User,
        2 Session(id),
        3 Device,
    }
    struct NetworkLogin { user, outcome }
    struct TenantLogin { user, prefix, outcome }
    struct DeviceStanding { device, revision, compliant, managed, evidence }
    struct StandingEvidence { finding, nats, since, half_life, event }
    enum DeviceFinding {
        0 Check(check),
        1 Alert { name, severity },
        2 Analyst(verdict),
    }
    enum PostureCheck { 0 DiskEncryption, 1 Edr, 2 Firewall, 3 ScreenLock, 4 Jailbreak }

    enum Input {
        0 Signal(signal),
        1 Command(command),
        2 WakeUp(wake_up),
    }
    struct WakeUp { subject, at, reason }
    enum WakeReason { 0 Due, 1 Rejudge }
}
