//! Every bound of the engine, in one place, with the relations between them checked when it is compiled.

use crate::time::Span;

/// How many records a tenant's statistics are spread over.
pub const TENANT_SHARDS: u16 = 64;
/// The shard whose record owns what is decided about the tenant's apps.
pub const FIRST_SHARD: u16 = 0;
/// Apps that policy may ask something of in one tenant, enforced and shadow counted apart.
pub const APPS_PER_TENANT: usize = 32;

/// Live sessions kept for a user; beyond it the one idle longest leaves.
pub const SESSIONS_PER_USER: usize = 32;
/// A session ends when it was not seen for this long.
pub const SESSION_IDLE: Span = Span::hours(24);
/// Children remembered at one node of a novelty tree; the least counted and oldest leaves.
pub const CHILDREN_PER_NODE: usize = 16;
/// New children learned at one node in a day, against slow poisoning.
pub const NEW_CHILDREN_PER_DAY: u8 = 3;
/// Geographic anchors remembered for a user.
pub const ANCHORS_PER_USER: usize = 3;
/// Evidence items kept in one scope; the weakest leaves.
pub const EVIDENCE_PER_SCOPE: usize = 24;
/// Devices whose standing a user record keeps.
pub const DEVICES_PER_USER: usize = 12;
/// Users a device tells its standing to.
pub const USERS_PER_DEVICE: usize = 8;
/// Alerts kept open on one device; the weakest leaves.
pub const ALERTS_PER_DEVICE: usize = 16;
/// Decisions in force of one subject, enforced and shadow together.
pub const IN_FORCE_PER_SUBJECT: usize = 64;
/// Sessions excepted from one cut-off.
pub const EXCEPT_SESSIONS: usize = 64;
/// Ids remembered against repeats, per subject.
pub const SEEN_LEN: usize = 4_096;
/// How long an id is remembered.
pub const SEEN_SPAN: Span = Span::hours(24);
/// The largest number of log entries that can be replayed to one subject after a crash: one batch.
pub const REPLAY_SPAN_LEN: usize = 1_024;
/// Distinct values kept in one population table.
pub const POPULATION_VALUES: usize = 2_048;
/// Bytes of a population record, estimated.
pub const POPULATION_BYTES: usize = 256 * 1024;
/// Resources and apps remembered against which fan-out is counted, per session window.
pub const RESOURCES_PER_WINDOW: usize = 256;
/// The longest a decision is in force before its subject is judged again.
pub const DECISION_LIFE: Span = Span::hours(24);
/// Renewals are due this long before a decision expires.
pub const RENEWAL_LEAD: Span = Span::minutes(10);
/// A live event may lie this far ahead of the clock.
pub const FUTURE_SLACK: Span = Span::minutes(5);
/// An event older than this when taken in is late.
pub const LATE_AGE: Span = Span::hours(24);

const _: () = assert!(
    SEEN_LEN > REPLAY_SPAN_LEN,
    "a replay must not outrun the seen window"
);
const _: () = assert!(
    POPULATION_VALUES * 96 <= POPULATION_BYTES,
    "the population record is bounded"
);
const _: () = assert!(
    2 * APPS_PER_TENANT <= IN_FORCE_PER_SUBJECT,
    "what policy asks of apps never pushes itself out"
);
const _: () = assert!(
    FIRST_SHARD < TENANT_SHARDS,
    "the first shard is one of them"
);
const _: () = assert!(
    RENEWAL_LEAD.0 < DECISION_LIFE.0,
    "a renewal comes before the expiry"
);
/// A user is said to be learned after this many accepted logins, or after [`LEARNING_SPAN`].
pub const LEARNING_LOGINS: u32 = 10;
pub const LEARNING_SPAN: Span = Span::days(14);
/// From this score on nothing is learned until a step-up has passed.
pub const UNLEARNED_AT: u8 = 40;
/// From this score on a lesson counts less.
pub const HALF_LEARNED_AT: u8 = 20;
/// From this score on a subject is judged again when the policy changes.
pub const CONCERNED_AT: u8 = 20;
/// A session under a revoke is kept this long after it was last seen, so that the revoke is renewed.
pub const REVOKED_SESSION_IDLE: Span = Span::days(7);
/// A login whose session is not named waits this long for the session to be seen.
pub const UNBOUND_LOGIN_LIFE: Span = Span::minutes(15);
/// Logins that wait so.
pub const UNBOUND_LOGINS: usize = 4;
/// Failed logins remembered of a user's last day.
pub const FAILURES_PER_USER: usize = 128;
/// Dismissals remembered of one subject.
pub const DISMISSALS_PER_SUBJECT: usize = 32;
/// While a demand is in force its subject is judged again this often, so that decay ends it.
pub const REVIEW_SPAN: Span = Span::minutes(30);
/// Users remembered of one network.
pub const USERS_PER_NETWORK: usize = 256;
/// Users and failures remembered of one tenant's shard.
pub const MARKS_PER_SHARD: usize = 512;
/// Ids remembered against repeats by statistics over many.
pub const SEEN_LEN_STATISTICS: usize = 1_024;
