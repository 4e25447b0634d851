//! One event becomes signals: its own, and compact ones for the others it concerns. Pure; knows no queue, no credential and
//! no geo database, only a look-up it is handed.

mod fact;

use std::net::IpAddr;

use caerus_engine::id::{
    DeviceId, EventId, Prefix, PrincipalId, SourceId, SubjectKey, TenantId, UserId, WorkloadId,
    short_hash,
};
use caerus_engine::limits::TENANT_SHARDS;
use caerus_engine::signal::{
    About, AccessOutcome, Fact, Feedback, Handling, NetworkLogin, Origin, Outcome, Place, Signal,
    SourcePosition, Subject, TenantLogin,
};
use caerus_engine::time::Timestamp;
use caerus_wire::event::{EventType, NativeEvent};
use serde_json::{Map, Value};

use crate::sighting::{Pairing, Sightings};

/// The tenant of an event that names none.
pub const DEFAULT_TENANT: &str = "default";

/// How an event was taken in.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Whose it is: checked against the credential before.
    pub tenant: TenantId,
    /// Who reports, where the event does not say: the credential's or the topic's name.
    pub source: SourceId,
    /// Who is authenticated: `by` of feedback, whatever the body claims.
    pub by: PrincipalId,
    pub received_at: Timestamp,
    pub handling: Handling,
    /// [`body_hash`] of the event as it came.
    pub body: u64,
    /// Where it stood in its source topic; `None` for what was posted.
    pub position: Option<SourcePosition>,
    /// W3C `traceparent`.
    pub trace: Option<String>,
}

/// What an event became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalised {
    /// The first is the event's own, which has the score line; compact ones follow. Never empty.
    pub signals: Vec<Signal>,
    /// Members that no signal carries, as a JSON object's text: for the record, never for scoring.
    pub extra: Option<String>,
    /// The device sighting that was noted; to be forgotten again if the signals cannot be kept.
    pub sighted: Option<Pairing>,
}

/// What the event leaves open that its type demands. Reading already checks it; an event made in code may lack it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("member `{member}` is missing; without it the event is about nobody")]
pub struct AboutNobody {
    pub member: &'static str,
}

/// Tells a repeat from another body under the same id.
pub fn body_hash(bytes: &[u8]) -> u64 {
    short_hash(&[bytes])
}

/// The tenant an event says it is of.
pub fn tenant_of(event: &NativeEvent) -> TenantId {
    TenantId::new(event.tenant.as_deref().unwrap_or(DEFAULT_TENANT))
}

/// `locate` answers where an address lies; asked only where the event itself has no `geo`.
pub fn normalise(
    event: &NativeEvent,
    receipt: &Receipt,
    locate: &dyn Fn(IpAddr) -> Place,
    sightings: &mut Sightings,
) -> Result<Normalised, AboutNobody> {
    let origin = origin(event, receipt);
    let mut normalised = Normalised {
        signals: Vec::with_capacity(4),
        extra: extra(event),
        sighted: None,
    };
    match event.kind {
        EventType::Login => {
            let user = user(event)?;
            let fact = Fact::Login(Box::new(fact::login(event, locate)));
            normalised.tell(&origin, user_key(receipt, &user), fact);
            normalised.tell_of_login(event, receipt, &origin, &user);
            if event.outcome_kind() == Outcome::Success {
                normalised.tell_device(event, receipt, &origin, (&user, sightings));
            }
        }
        EventType::Access => {
            let access = fact::access(event, locate);
            let is_served = access.outcome == AccessOutcome::Served;
            normalised.tell(
                &origin,
                caller(event, receipt)?,
                Fact::Access(Box::new(access)),
            );
            if let (Some(user), true) = (&event.user, is_served) {
                let user = UserId::new(user.as_str());
                normalised.tell_device_once(event, receipt, &origin, (&user, sightings));
            }
        }
        EventType::DeviceHealth => {
            let device = device(event)?;
            let fact = Fact::Health(Box::new(fact::health(event)));
            normalised.tell(&origin, device_key(receipt, &device), fact);
        }
        EventType::Session => {
            let user = user(event)?;
            let change = fact::session_change(event, locate)?;
            let fact = Fact::Session(Box::new(change));
            normalised.tell(&origin, user_key(receipt, &user), fact);
        }
        EventType::Feedback => normalised.tell_feedback(event, receipt, &origin)?,
    }
    Ok(normalised)
}

impl Normalised {
    fn tell(&mut self, origin: &Origin, key: SubjectKey, fact: Fact) {
        self.signals.push(Signal {
            origin: origin.clone(),
            subject: Subject::Key(key),
            fact,
        });
    }

    /// Any outcome counts for the network and the tenant: failures are what they look for.
    fn tell_of_login(
        &mut self,
        event: &NativeEvent,
        receipt: &Receipt,
        origin: &Origin,
        user: &UserId,
    ) {
        let outcome = event.outcome_kind();
        let prefix = event.ip.map(Prefix::of);
        let tenant = &receipt.tenant;
        let user = short_hash(&[tenant.as_str().as_bytes(), user.as_str().as_bytes()]);
        if let Some(prefix) = prefix {
            let key = SubjectKey::Network {
                tenant: tenant.clone(),
                prefix,
            };
            self.tell(
                origin,
                key,
                Fact::NetworkLogin(NetworkLogin { user, outcome }),
            );
        }
        let shard = user % u64::from(TENANT_SHARDS);
        let key = SubjectKey::Tenant {
            tenant: tenant.clone(),
            shard: u16::try_from(shard).unwrap_or(0),
        };
        let login = TenantLogin {
            user,
            prefix,
            outcome,
        };
        self.tell(origin, key, Fact::TenantLogin(login));
    }

    /// A login tells its device each time.
    fn tell_device(
        &mut self,
        event: &NativeEvent,
        receipt: &Receipt,
        origin: &Origin,
        (user, sightings): (&UserId, &mut Sightings),
    ) {
        if let Some(device) = &event.device {
            let device = DeviceId::new(device.as_str());
            let pairing = Pairing::new(&receipt.tenant, user, &device);
            sightings.note(pairing, event.time);
            self.tell_seen(origin, device_key(receipt, &device), (user, pairing));
        }
    }

    /// An access tells its device of its user once an hour.
    fn tell_device_once(
        &mut self,
        event: &NativeEvent,
        receipt: &Receipt,
        origin: &Origin,
        (user, sightings): (&UserId, &mut Sightings),
    ) {
        if let Some(device) = &event.device {
            let device = DeviceId::new(device.as_str());
            let pairing = Pairing::new(&receipt.tenant, user, &device);
            if sightings.is_first(pairing, event.time) {
                self.tell_seen(origin, device_key(receipt, &device), (user, pairing));
            }
        }
    }

    fn tell_seen(&mut self, origin: &Origin, key: SubjectKey, (user, pairing): (&UserId, Pairing)) {
        self.sighted = Some(pairing);
        self.tell(origin, key, Fact::DeviceSeen { user: user.clone() });
    }

    /// A decision is found by its owner; otherwise each that is named is told: the session or the user, and the device.
    fn tell_feedback(
        &mut self,
        event: &NativeEvent,
        receipt: &Receipt,
        origin: &Origin,
    ) -> Result<(), AboutNobody> {
        let verdict = event
            .verdict
            .ok_or(AboutNobody { member: "verdict" })?
            .into();
        let fact = |about: About| {
            Fact::Feedback(Feedback {
                verdict,
                about,
                by: receipt.by.clone(),
                note: event.note.clone(),
            })
        };
        if let Some(decision) = event.decision {
            self.signals.push(Signal {
                origin: origin.clone(),
                subject: Subject::Owner {
                    tenant: receipt.tenant.clone(),
                    hash: decision.owner,
                },
                fact: fact(About::Decision(decision)),
            });
            return Ok(());
        }
        if let Some(user) = &event.user {
            let about = event.session.as_deref().map_or(About::User, |session| {
                About::Session(caerus_engine::id::SessionId::new(session))
            });
            let user = UserId::new(user.as_str());
            self.tell(origin, user_key(receipt, &user), fact(about));
        }
        if let Some(device) = &event.device {
            let device = DeviceId::new(device.as_str());
            self.tell(origin, device_key(receipt, &device), fact(About::Device));
        }
        if self.signals.is_empty() {
            return Err(AboutNobody { member: "decision" });
        }
        Ok(())
    }
}

fn origin(event: &NativeEvent, receipt: &Receipt) -> Origin {
    let source = event.source.as_deref().map(SourceId::new);
    Origin {
        event: EventId::new(event.id.as_str()),
        source: source.unwrap_or_else(|| receipt.source.clone()),
        time: event.time,
        received_at: receipt.received_at,
        body: receipt.body,
        position: receipt.position,
        handling: receipt.handling,
        trace: receipt.trace.clone(),
    }
}

fn user(event: &NativeEvent) -> Result<UserId, AboutNobody> {
    let user = event
        .user
        .as_deref()
        .ok_or(AboutNobody { member: "user" })?;
    Ok(UserId::new(user))
}

fn device(event: &NativeEvent) -> Result<DeviceId, AboutNobody> {
    let device = event.device.as_deref();
    device
        .map(DeviceId::new)
        .ok_or(AboutNobody { member: "device" })
}

/// The user where one is named, also when a workload acts for them; else the workload.
fn caller(event: &NativeEvent, receipt: &Receipt) -> Result<SubjectKey, AboutNobody> {
    match (&event.user, &event.workload) {
        (Some(user), _) => Ok(user_key(receipt, &UserId::new(user.as_str()))),
        (None, Some(workload)) => Ok(SubjectKey::Workload {
            tenant: receipt.tenant.clone(),
            workload: WorkloadId::new(workload.as_str()),
        }),
        (None, None) => Err(AboutNobody { member: "user" }),
    }
}

fn user_key(receipt: &Receipt, user: &UserId) -> SubjectKey {
    SubjectKey::User {
        tenant: receipt.tenant.clone(),
        user: user.clone(),
    }
}

fn device_key(receipt: &Receipt, device: &DeviceId) -> SubjectKey {
    SubjectKey::Device {
        tenant: receipt.tenant.clone(),
        device: device.clone(),
    }
}

/// What the form does not know, and the label: kept beside the signal.
fn extra(event: &NativeEvent) -> Option<String> {
    let mut kept = event.extra.clone();
    let mut keep = |name: &str, members: &Map<String, Value>| {
        if !members.is_empty() {
            kept.insert(name.to_owned(), Value::Object(members.clone()));
        }
    };
    if let Some(geo) = &event.geo {
        keep("geo", &geo.extra);
    }
    if let Some(posture) = &event.posture {
        keep("posture", &posture.extra);
    }
    if let Some(label) = &event.label {
        kept.insert("label".to_owned(), label.clone());
    }
    (!kept.is_empty()).then(|| Value::Object(kept).to_string())
}

#[cfg(test)]
mod tests;
