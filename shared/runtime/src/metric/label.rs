//! Labels: enums with a known number of values, and nothing else. Knows no metric.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::catalogue::{Labelled, Values};

/// Takes a label's key and value.
pub type PutLabel<'a> = dyn FnMut(&str, &str) -> fmt::Result + 'a;

/// The labels of one metric.
pub trait Labels: Clone + fmt::Debug + Eq + Hash + Send + Sync + 'static {
    const LABELLED: &'static [Labelled];

    /// Every combination there is; empty where they become known only while running.
    fn all() -> Vec<Self>;

    fn write(&self, put: &mut PutLabel<'_>) -> fmt::Result;
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident($key:literal) { $($(#[$variant_doc:meta])* $variant:ident = $value:literal),+ $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            pub const KEY: &'static str = $key;
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            pub const VALUES: &'static [&'static str] = &[$($value),+];

            pub fn value(self) -> &'static str {
                match self { $(Self::$variant => $value),+ }
            }
        }

        impl Labels for $name {
            const LABELLED: &'static [Labelled] = &[Labelled { key: $key, values: Values::Listed(&[$($value),+]) }];

            fn all() -> Vec<Self> {
                Self::ALL.to_vec()
            }

            fn write(&self, put: &mut PutLabel<'_>) -> fmt::Result {
                put(Self::KEY, self.value())
            }
        }
    )*};
}

labels! {
    /// A part of Caerus.
    Room("room") {
        Ingest = "ingest", Evaluator = "evaluator", Gateway = "gateway", Console = "console", Enforcer = "enforcer",
        Runtime = "runtime",
    }
    /// What an event from outside is about.
    EventType("type") {
        Login = "login", DeviceHealth = "device_health", Access = "access", Session = "session", Feedback = "feedback",
    }
    /// How an event came in.
    Entrance("entrance") {
        /// `POST /v1/events`.
        Post = "post",
        /// A topic that others write to.
        Topic = "topic",
    }
    /// Why an event, or a message that should have been one, was not taken.
    Rejection("reason") {
        /// Not UTF-8, not JSON, cut off.
        Unreadable = "unreadable",
        NotAnObject = "not_an_object",
        MissingMember = "missing_member",
        WrongType = "wrong_type",
        UnknownValue = "unknown_value",
        OutOfRange = "out_of_range",
        TooLarge = "too_large",
        TooDeep = "too_deep",
        ControlCharacter = "control_character",
        /// Dated more than five minutes ahead.
        FromTheFuture = "from_the_future",
        OtherTenant = "other_tenant",
        /// The credential lacks the right for this kind of event.
        NotAllowed = "not_allowed",
        UnknownFormat = "unknown_format",
        Other = "other",
    }
    /// Why a whole request with events was refused.
    RequestRefusal("reason") {
        Unreadable = "unreadable", TooLarge = "too_large", MediaType = "media_type", Unauthenticated = "unauthenticated",
        NotAllowed = "not_allowed", QueueFull = "queue_full", StoreDown = "store_down", NothingAccepted = "nothing_accepted",
    }
    /// What a log entry is to a subject.
    SignalKind("kind") {
        Login = "login", Access = "access", Health = "health", Session = "session", Feedback = "feedback",
        NetworkLogin = "network_login", TenantLogin = "tenant_login", DeviceSeen = "device_seen",
        DeviceStanding = "device_standing", TenantSurge = "tenant_surge", Command = "command",
        WakeUp = "wake_up", Climate = "climate", Policy = "policy", Watermark = "watermark", Claim = "claim",
    }
    /// Why the engine made nothing of a signal.
    Ignored("reason") {
        Repeat = "repeat", RepeatWithAnotherBody = "repeat_with_another_body", UnknownSubject = "unknown_subject",
        OtherTenant = "other_tenant", Misdirected = "misdirected", Stale = "stale",
    }
    /// What a decision asks for.
    Action("action") {
        Revoke = "revoke", StepUp = "step_up", Restrict = "restrict", Clear = "clear",
    }
    Mode("mode") {
        Enforce = "enforce", Shadow = "shadow",
    }
    /// A named invariant of the house.
    Invariant("invariant") {
        /// A subject's generations never fall.
        Inv1 = "INV-1",
        /// An enforcement point never holds an older decision than one it acknowledged.
        Inv2 = "INV-2",
        /// Every decision has a reason, and its contributions add up to its score.
        Inv3 = "INV-3",
        /// A revoke is never overtaken by an older clear.
        Inv4 = "INV-4",
        /// Equal logs give equal bytes.
        Inv5 = "INV-5",
        /// No queue above its limit.
        Inv6 = "INV-6",
        /// A broken policy never widens access.
        Inv7 = "INV-7",
        /// Evidence decays to the prior.
        Inv8 = "INV-8",
        /// What was accepted is evaluated or is in the dead letters.
        Inv9 = "INV-9",
        /// Nothing crosses tenants.
        Inv10 = "INV-10",
    }
    /// A frame of the stream, to a subscriber.
    Frame("frame") {
        Welcome = "welcome", Snapshot = "snapshot", Decision = "decision", Heartbeat = "heartbeat", Reload = "reload",
        Error = "error",
    }
    /// How a subscriber began: with everything, from its cursor, or told to start over.
    StreamStart("start") {
        Snapshot = "snapshot", Resume = "resume", Reload = "reload",
    }
    /// How a stream ended: the close code sent, or that the subscriber left.
    CloseReason("code") {
        Left = "left", BadFrame = "4400", NotAuthenticated = "4401", NotAllowed = "4403", TooSlow = "4408",
        TooMany = "4429", GoingAway = "1012",
    }
    /// What the enforcer answered.
    CheckAnswer("answer") {
        Allow = "allow", Revoked = "revoked", StepUp = "step_up", Restricted = "restricted", Anonymous = "anonymous",
        /// The identities of one request disagree, or a token does not verify.
        BadIdentity = "bad_identity",
        /// The peer is not a trusted proxy, or its headers are not those of its family.
        BadProxy = "bad_proxy",
    }
    /// What a route's `on_stale` answered while the picture was too old.
    StaleAnswer("answer") {
        Allow = "allow", StepUp = "step_up", Deny = "deny",
    }
    /// A table of the ledger.
    LedgerTable("table") {
        Decisions = "decisions", Receipts = "receipts", Standings = "standings",
        EnforcementPoints = "enforcement_points", Audit = "audit",
    }
    /// The first digit of a status.
    StatusClass("class") {
        Informational = "1xx", Success = "2xx", Redirect = "3xx", Client = "4xx", Server = "5xx",
    }
    /// Why a connection was turned away.
    ConnectionRefusal("reason") {
        TooMany = "too_many", Tls = "tls", Protocol = "protocol",
    }
    /// Why a credential did not do.
    AuthFailure("reason") {
        Malformed = "malformed", Unknown = "unknown", Expired = "expired", Revoked = "revoked",
        /// Known, without the right or the tenant that was asked for.
        Forbidden = "forbidden",
    }
}

impl StatusClass {
    pub fn of(status: u16) -> Self {
        match status {
            0..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirect,
            400..500 => Self::Client,
            _ => Self::Server,
        }
    }
}

/// Decisions by what they ask for and whether it is enforced.
impl Labels for (Action, Mode) {
    const LABELLED: &'static [Labelled] = &[
        Labelled {
            key: Action::KEY,
            values: Values::Listed(Action::VALUES),
        },
        Labelled {
            key: Mode::KEY,
            values: Values::Listed(Mode::VALUES),
        },
    ];

    fn all() -> Vec<Self> {
        let pair = |action: &Action| Mode::ALL.iter().map(move |mode| (*action, *mode)).collect();
        Action::ALL
            .iter()
            .flat_map(pair as fn(&Action) -> Vec<Self>)
            .collect()
    }

    fn write(&self, put: &mut PutLabel<'_>) -> fmt::Result {
        self.0.write(put)?;
        self.1.write(put)
    }
}

/// A partition's number; as many as the log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

impl Labels for Partition {
    const LABELLED: &'static [Labelled] = &[Labelled {
        key: "partition",
        values: Values::Partitions,
    }];

    fn all() -> Vec<Self> {
        Vec::new()
    }

    fn write(&self, put: &mut PutLabel<'_>) -> fmt::Result {
        put("partition", &self.0.to_string())
    }
}

/// The number of a configured source topic, from 0, in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceTopic(pub u32);

impl Labels for SourceTopic {
    const LABELLED: &'static [Labelled] = &[Labelled {
        key: "topic",
        values: Values::SourceTopics,
    }];

    fn all() -> Vec<Self> {
        Vec::new()
    }

    fn write(&self, put: &mut PutLabel<'_>) -> fmt::Result {
        put("topic", &self.0.to_string())
    }
}

/// A route's template, e.g. `/v1/decisions/{id}`; as many as there are routes, and `unmatched`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route(pub Arc<str>);

impl Labels for Route {
    const LABELLED: &'static [Labelled] = &[Labelled {
        key: "route",
        values: Values::RouteTemplates,
    }];

    fn all() -> Vec<Self> {
        Vec::new()
    }

    fn write(&self, put: &mut PutLabel<'_>) -> fmt::Result {
        put("route", &self.0)
    }
}

impl Labels for (Route, StatusClass) {
    const LABELLED: &'static [Labelled] = &[
        Labelled {
            key: "route",
            values: Values::RouteTemplates,
        },
        Labelled {
            key: StatusClass::KEY,
            values: Values::Listed(StatusClass::VALUES),
        },
    ];

    fn all() -> Vec<Self> {
        Vec::new()
    }

    fn write(&self, put: &mut PutLabel<'_>) -> fmt::Result {
        self.0.write(put)?;
        self.1.write(put)
    }
}
