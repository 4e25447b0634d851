//! Acts as native events: the one place that knows how the world's things are called in the contract.

use caerus_wire::Timestamp;
use caerus_wire::event::{
    Alert, Edr, EventType, Failure, Geo, NativeEvent, Network, Outcome, Posture, SessionEvent,
    Severity,
};

use crate::act::{
    Act, Change, Check, Client, Deed, DeviceState, Grade, LoginResult, Method, Proof, Protection,
    Refusal, Request, SessionRef, Who,
};
use crate::atlas::{Class, Spot};
use crate::draw::round;
use crate::gadget::{Gadget, Kind};
use crate::moment::Moment;
use crate::world::{account, stranger};

/// The label of everything that is no attack.
pub const BENIGN: &str = "benign";

/// What an event says of itself: its tenant, and the run that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    tenant: String,
    /// Tells this run's events and sessions from those of another run over the same people.
    run: u64,
}

/// The place of an event among those of its run, from which its id is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) thread: Thread,
    pub(crate) serial: u32,
}

/// Whose events are numbered together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thread {
    /// A person's ordinary day.
    Day { person: u32, day: i64 },
    /// One attack of a day.
    Strike { day: i64, number: u32 },
    /// A scene of a live script.
    Scene(u64),
    /// A colleague's visit in a live script.
    Visit(u64),
}

impl Form {
    pub(crate) fn new(tenant: &str, run: u64) -> Self {
        Self {
            tenant: tenant.to_owned(),
            run,
        }
    }

    /// The act as an event.
    pub(crate) fn event(&self, place: Place, act: &Act) -> NativeEvent {
        let mut event = NativeEvent::new(self.id(place), kind(&act.deed), timestamp(act.at));
        event.tenant = Some(self.tenant.clone());
        event.user = Some(self.user(act.who));
        event.label = Some(act.attack.map_or(BENIGN, |attack| attack.name()).into());
        if let Some(client) = act.deed.client() {
            self.client(&mut event, client);
        }
        if let Some(session) = act.deed.session() {
            self.session(&mut event, session);
        }
        match &act.deed {
            Deed::Login { result, proof, .. } => login(&mut event, *result, *proof),
            Deed::Access { request, .. } => access(&mut event, *request),
            Deed::Health { gadget, state } => health(&mut event, *gadget, *state),
            Deed::Session { change, .. } => {
                event.source = Some("idp".to_owned());
                event.event = Some(match change {
                    Change::Ended => SessionEvent::Ended,
                });
            }
        }
        event
    }

    fn id(&self, place: Place) -> String {
        let run = self.run >> 32;
        let serial = place.serial;
        match place.thread {
            Thread::Day { person, day } => format!("{run:08x}-p{person}-{day}-{serial}"),
            Thread::Strike { day, number } => format!("{run:08x}-a{number}-{day}-{serial}"),
            Thread::Scene(scene) => format!("{run:08x}-s{scene}-{serial}"),
            Thread::Visit(visit) => format!("{run:08x}-v{visit}-{serial}"),
        }
    }

    fn user(&self, who: Who) -> String {
        let account = match who {
            Who::Person(index) => account(index),
            Who::Stranger(name) => stranger(name),
        };
        format!("{account}@{}.example", self.tenant)
    }

    fn client(&self, event: &mut NativeEvent, client: &Client) {
        event.device = client
            .gadget
            .device
            .map(|name| device(client.gadget.model.kind, name));
        event.ip = Some(client.spot.address);
        event.geo = Some(geo(&client.spot));
        event.user_agent = Some(client.gadget.user_agent());
        event.ja4 = Some(client.gadget.model.ja4.to_owned());
    }

    fn session(&self, event: &mut NativeEvent, session: SessionRef) {
        event.session = Some(format!("s-{:016x}", session.name ^ self.run));
        event.issued_at = Some(timestamp(session.issued_at));
    }
}

fn timestamp(at: Moment) -> Timestamp {
    Timestamp(at.0)
}

fn kind(deed: &Deed) -> EventType {
    match deed {
        Deed::Login { .. } => EventType::Login,
        Deed::Access { .. } => EventType::Access,
        Deed::Health { .. } => EventType::DeviceHealth,
        Deed::Session { .. } => EventType::Session,
    }
}

fn device(kind: Kind, name: u64) -> String {
    let kind = match kind {
        Kind::Laptop => "laptop",
        Kind::Desktop => "desktop",
        Kind::Phone => "phone",
        Kind::Tablet => "tablet",
        Kind::Kiosk => "kiosk",
        Kind::Script => "client",
    };
    format!("{kind}-{name:012x}")
}

fn geo(spot: &Spot) -> Geo {
    Geo {
        latitude: Some(millionths(spot.city.latitude)),
        longitude: Some(millionths(spot.city.longitude)),
        radius_m: Some(spot.network.class.radius_km() * 1_000),
        country: Some(spot.city.country.to_owned()),
        city: Some(spot.city.name.to_owned()),
        asn: Some(spot.network.asn),
        as_org: Some(spot.network.organisation.to_owned()),
        network: Some(network(spot.network.class)),
        ..Geo::default()
    }
}

fn millionths(degrees: f64) -> i32 {
    i32::try_from(round(degrees * 1e6)).unwrap_or(0)
}

fn network(class: Class) -> Network {
    match class {
        Class::Residential => Network::Residential,
        Class::Mobile => Network::Mobile,
        Class::Corporate => Network::Corporate,
        Class::Hosting => Network::Hosting,
        Class::Vpn => Network::Vpn,
        Class::Proxy => Network::Proxy,
        Class::Tor => Network::Tor,
        Class::Relay => Network::Relay,
    }
}

fn login(event: &mut NativeEvent, result: LoginResult, proof: Proof) {
    event.source = Some("idp".to_owned());
    match result {
        LoginResult::Granted(_) => {
            event.outcome = Some(Outcome::Success);
            let methods = methods(proof).iter().map(|method| (*method).to_owned());
            event.amr = Some(methods.collect());
        }
        LoginResult::Refused(refusal) => {
            event.outcome = Some(Outcome::Failure);
            event.failure = Some(match refusal {
                Refusal::BadPassword => Failure::BadPassword,
                Refusal::UnknownUser => Failure::UnknownUser,
                Refusal::MfaDenied => Failure::MfaDenied,
                Refusal::MfaTimeout => Failure::MfaTimeout,
            });
        }
    }
}

/// RFC 8176 names; it has none for a confirmed push, which the field calls `push`.
fn methods(proof: Proof) -> &'static [&'static str] {
    match proof {
        Proof::Password => &["pwd"],
        Proof::Code => &["pwd", "otp", "mfa"],
        Proof::Push => &["pwd", "push", "mfa"],
        Proof::Passkey => &["hwk", "user", "mfa"],
    }
}

fn access(event: &mut NativeEvent, request: Request) {
    event.source = Some("proxy".to_owned());
    event.outcome = Some(Outcome::Success);
    event.app = Some(request.app.name.to_owned());
    event.resource = Some(format!("/{}/{}", request.app.noun, request.resource));
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    event.method = Some(method.to_owned());
    event.status = Some(200);
    event.bytes_out = Some(request.bytes);
    event.sensitivity = Some(request.app.sensitivity);
}

fn health(event: &mut NativeEvent, gadget: Gadget, state: DeviceState) {
    event.source = Some("mdm".to_owned());
    event.device = gadget.device.map(|name| device(gadget.model.kind, name));
    let is_sound = state.firewall == Check::Passed && state.protection != Protection::Stopped;
    let alerts = state.alert.map(|finding| Alert {
        severity: match finding.severity {
            Grade::Low => Severity::Low,
            Grade::Critical => Severity::Critical,
        },
        name: finding.name.to_owned(),
        extra: Default::default(),
    });
    event.posture = Some(Posture {
        compliant: Some(is_sound),
        managed: Some(true),
        os: Some(gadget.model.os.to_owned()),
        os_version: Some(gadget.model.os_version.to_owned()),
        disk_encrypted: Some(true),
        firewall: Some(state.firewall == Check::Passed),
        screen_lock: Some(true),
        edr: Some(match state.protection {
            Protection::Running => Edr::Running,
            Protection::Stopped => Edr::Stopped,
        }),
        patch_age_days: Some(state.patch_age_days),
        alerts: alerts.into_iter().collect(),
        ..Posture::default()
    });
}
