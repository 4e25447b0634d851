//! What happens, in compact form: who did what, from where, with what in hand. Knows nothing of the event's text form.

use crate::app::App;
use crate::atlas::Spot;
use crate::attack::Attack;
use crate::gadget::Gadget;
use crate::moment::Moment;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) at: Moment,
    pub(crate) who: Who,
    /// The attack it belongs to; `None` for ordinary life.
    pub(crate) attack: Option<Attack>,
    pub(crate) deed: Deed,
}

/// In whose name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Person(u32),
    /// An account that does not exist.
    Stranger(u64),
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Login {
        client: Client,
        result: LoginResult,
        proof: Proof,
    },
    Access {
        client: Client,
        session: SessionRef,
        request: Request,
    },
    Health {
        gadget: Gadget,
        state: DeviceState,
    },
    Session {
        client: Client,
        session: SessionRef,
        change: Change,
    },
}

/// Where somebody is and what they hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) gadget: Gadget,
    pub(crate) spot: Spot,
}

/// A session, and from where it is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presence {
    pub(crate) session: SessionRef,
    pub(crate) client: Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginResult {
    Granted(SessionRef),
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadPassword,
    UnknownUser,
    MfaDenied,
    MfaTimeout,
}

/// How somebody proves who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Password,
    /// A code from an authenticator, after the password.
    Code,
    /// A confirmed push, after the password.
    Push,
    Passkey,
}

/// A session, with the moment its credential was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionRef {
    pub(crate) name: u64,
    pub(crate) issued_at: Moment,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) app: &'static App,
    pub(crate) resource: u32,
    pub(crate) method: Method,
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Ended,
}

/// What device management reports of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceState {
    pub(crate) firewall: Check,
    pub(crate) protection: Protection,
    pub(crate) patch_age_days: u32,
    pub(crate) alert: Option<Finding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Passed,
    Failed,
}

/// The endpoint's detection and response agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    Running,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Grade,
    pub(crate) name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    Low,
    Critical,
}

impl Deed {
    pub(crate) fn client(&self) -> Option<&Client> {
        match self {
            Self::Login { client, .. }
            | Self::Access { client, .. }
            | Self::Session { client, .. } => Some(client),
            Self::Health { .. } => None,
        }
    }

    pub(crate) fn session(&self) -> Option<SessionRef> {
        match self {
            Self::Login {
                result: LoginResult::Granted(session),
                ..
            }
            | Self::Access { session, .. }
            | Self::Session { session, .. } => Some(*session),
            Self::Login { .. } | Self::Health { .. } => None,
        }
    }
}
