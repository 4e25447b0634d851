//! What happens to a handful of people: logins, requests, reports, thefts, as signals the way ingest makes them. Two
//! tenants use the same names, so that whatever crosses over is seen.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use caerus_engine::decide::{Action, Command, Requires, Target};
use caerus_engine::id::{
    AcrValue, AppId, Asn, CountryCode, DeviceId, EventId, PrincipalId, SessionId, SourceId,
    SubjectKey, TenantId, UserId, short_hash,
};
use caerus_engine::limits::TENANT_SHARDS;
use caerus_engine::signal::{
    About, Access, AccessOutcome, Agent, Alert, Authentication, Client, EdrState, Fact,
    FailureKind, Feedback, Fix, Handling, Health, Login, NetworkClass, NetworkLogin, Origin,
    Outcome, Place, SessionChange, SessionChangeKind, Severity, Signal, SourcePosition, Subject,
    TenantLogin, Verdict,
};
use caerus_engine::time::Timestamp;

use super::trouble::Dice;

const TENANTS: [&str; 2] = ["acme", "blue"];
const USERS: [&str; 3] = ["ann", "bob", "cem"];
/// The class that a second factor reaches.
pub const MFA: &str = "urn:caerus:acr:mfa";

/// What one event becomes: signals with one id, its own first.
#[derive(Clone, Debug)]
pub struct Happening {
    pub signals: Vec<Signal>,
}

/// Who does what next.
#[derive(Debug, Default)]
pub struct Workload {
    events: u64,
    /// Live sessions: tenant, user and session, by index into the names.
    sessions: Vec<(usize, usize, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Person {
    tenant: usize,
    user: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Home,
    Phone,
    Afar,
}

impl Workload {
    /// The next thing that happens at `now`.
    pub fn next(&mut self, dice: &Dice, now: Timestamp) -> Happening {
        let person = Person {
            tenant: index(dice.within(0..2)),
            user: index(dice.within(0..3)),
        };
        self.events += 1;
        match dice.within(0..20) {
            0..5 => self.login(dice, person, now, From::Home),
            5 => self.login(dice, person, now, From::Phone),
            6..8 => self.login(dice, person, now, From::Afar),
            8..10 => self.failed_login(dice, person, now),
            10..14 => self.access(dice, now, From::Home),
            14..16 => self.access(dice, now, From::Afar),
            16..18 => self.health(dice, person, now),
            18 => self.session_change(dice, person, now),
            _ => self.feedback(dice, person, now),
        }
    }

    /// An operator's command about one of them.
    pub fn command(&mut self, dice: &Dice, now: Timestamp) -> Command {
        self.events += 1;
        let user = UserId::new(pick(dice, &USERS));
        let action = match dice.within(0..3) {
            0 => Action::Revoke,
            1 => Action::StepUp {
                requires: Requires {
                    acr_values: BTreeSet::from([AcrValue::new(MFA)]),
                    max_age_s: None,
                },
                restricts: None,
            },
            _ => Action::Clear,
        };
        Command {
            tenant: TenantId::new(pick(dice, &TENANTS)),
            id: EventId::new(format!("c-{}", self.events)),
            action,
            target: Target {
                user: Some(user),
                ..Target::default()
            },
            reason: "by hand".to_owned(),
            by: PrincipalId::new("operator"),
            time: now,
            received_at: now,
            life: None,
            trace: None,
        }
    }

    fn login(&mut self, dice: &Dice, person: Person, now: Timestamp, from: From) -> Happening {
        let session = self.events;
        self.sessions.push((person.tenant, person.user, session));
        let methods: &[&str] = match dice.within(0..3) {
            0 => &["pwd"],
            _ => &["pwd", "mfa", "otp"],
        };
        let login = Login {
            session: Some(session_id(session)),
            client: client(person, from),
            outcome: Outcome::Success,
            authentication: Authentication {
                amr: methods.iter().map(|method| (*method).to_owned()).collect(),
                acr: None,
            },
            issued_at: Some(now),
        };
        self.login_signals(person, now, login)
    }

    fn failed_login(&mut self, dice: &Dice, person: Person, now: Timestamp) -> Happening {
        let failures = [
            FailureKind::BadPassword,
            FailureKind::MfaDenied,
            FailureKind::UnknownUser,
        ];
        let failure = dice.pick(&failures).copied();
        let login = Login {
            session: None,
            client: client(person, From::Afar),
            outcome: Outcome::Failure(failure.unwrap_or(FailureKind::Other)),
            authentication: Authentication::default(),
            issued_at: None,
        };
        self.login_signals(person, now, login)
    }

    fn login_signals(&self, person: Person, now: Timestamp, login: Login) -> Happening {
        let tenant = person.tenant();
        let user = person.user();
        let hash = short_hash(&[tenant.as_str().as_bytes(), user.as_str().as_bytes()]);
        let shard = u16::try_from(hash % u64::from(TENANT_SHARDS)).unwrap_or(0);
        let (prefix, device, outcome) = (
            login.client.prefix(),
            login.client.device.clone(),
            login.outcome,
        );
        let mut facts = vec![(person.key(), Fact::Login(Box::new(login)))];
        if let Some(prefix) = prefix {
            let key = SubjectKey::Network {
                tenant: tenant.clone(),
                prefix,
            };
            let seen = NetworkLogin {
                user: hash,
                outcome,
            };
            facts.push((key, Fact::NetworkLogin(seen)));
        }
        let key = SubjectKey::Tenant {
            tenant: tenant.clone(),
            shard,
        };
        let seen = TenantLogin {
            user: hash,
            prefix,
            outcome,
        };
        facts.push((key, Fact::TenantLogin(seen)));
        if let (Some(device), Outcome::Success) = (device, outcome) {
            let key = SubjectKey::Device { tenant, device };
            facts.push((key, Fact::DeviceSeen { user }));
        }
        self.happening(now, facts)
    }

    fn access(&mut self, dice: &Dice, now: Timestamp, from: From) -> Happening {
        let live = dice.pick(&self.sessions).copied();
        let (tenant, user, session) = live.unwrap_or((0, 0, 0));
        let person = Person { tenant, user };
        let access = Access {
            session: Some(session_id(session)),
            client: client(person, from),
            peer_workload: None,
            app: Some(AppId::new("payroll")),
            resource: None,
            outcome: match dice.within(0..5) {
                0 => AccessOutcome::Refused,
                _ => AccessOutcome::Served,
            },
            bytes_out: dice.within(0..100_000),
            sensitivity: Some(2),
            issued_at: None,
        };
        self.happening(now, vec![(person.key(), Fact::Access(Box::new(access)))])
    }

    fn health(&self, dice: &Dice, person: Person, now: Timestamp) -> Happening {
        let alerts = match dice.within(0..3) {
            0 => vec![Alert {
                severity: Severity::Critical,
                name: "stealer".to_owned(),
            }],
            _ => Vec::new(),
        };
        let states = [EdrState::Running, EdrState::Stopped];
        let health = Health {
            user: Some(person.user()),
            compliant: Some(alerts.is_empty()),
            firewall: Some(!dice.happens(200)),
            edr: dice.pick(&states).copied(),
            alerts,
            ..Health::default()
        };
        let key = SubjectKey::Device {
            tenant: person.tenant(),
            device: person.device(From::Home),
        };
        self.happening(now, vec![(key, Fact::Health(Box::new(health)))])
    }

    fn session_change(&mut self, dice: &Dice, person: Person, now: Timestamp) -> Happening {
        let live = dice.within(0..1 + u64::try_from(self.sessions.len()).unwrap_or(0));
        let live = usize::try_from(live).unwrap_or(0);
        let ended = live < self.sessions.len();
        let (tenant, user, session) = if ended {
            self.sessions.swap_remove(live)
        } else {
            (person.tenant, person.user, 0)
        };
        let person = Person { tenant, user };
        let change = SessionChange {
            session: ended.then(|| session_id(session)),
            client: client(person, From::Home),
            authentication: Authentication::default(),
            issued_at: None,
            kind: match ended {
                true => SessionChangeKind::Ended,
                false => SessionChangeKind::CredentialChanged,
            },
        };
        self.happening(now, vec![(person.key(), Fact::Session(Box::new(change)))])
    }

    fn feedback(&self, dice: &Dice, person: Person, now: Timestamp) -> Happening {
        let live = dice.pick(&self.sessions).copied();
        let (tenant, user, session) = live.unwrap_or((person.tenant, person.user, 0));
        let person = Person { tenant, user };
        let verdicts = [Verdict::Safe, Verdict::Compromised, Verdict::Dismiss];
        let feedback = Feedback {
            verdict: dice.pick(&verdicts).copied().unwrap_or(Verdict::Safe),
            about: About::Session(session_id(session)),
            by: PrincipalId::new("analyst"),
            note: None,
        };
        self.happening(now, vec![(person.key(), Fact::Feedback(feedback))])
    }

    fn happening(&self, now: Timestamp, facts: Vec<(SubjectKey, Fact)>) -> Happening {
        let origin = Origin {
            event: EventId::new(format!("e-{}", self.events)),
            source: SourceId::new("sim"),
            time: now,
            received_at: now,
            body: self.events,
            position: Some(SourcePosition {
                partition: 0,
                offset: self.events,
            }),
            handling: Handling::Live,
            trace: None,
        };
        let signal = |(key, fact)| Signal {
            origin: origin.clone(),
            subject: Subject::Key(key),
            fact,
        };
        Happening {
            signals: facts.into_iter().map(signal).collect(),
        }
    }
}

impl Person {
    fn tenant(self) -> TenantId {
        TenantId::new(TENANTS.get(self.tenant).copied().unwrap_or("acme"))
    }

    fn user(self) -> UserId {
        UserId::new(USERS.get(self.user).copied().unwrap_or("ann"))
    }

    fn key(self) -> SubjectKey {
        SubjectKey::User {
            tenant: self.tenant(),
            user: self.user(),
        }
    }

    fn device(self, from: From) -> DeviceId {
        match from {
            From::Home => DeviceId::new(format!("laptop-{}", self.user)),
            From::Phone => DeviceId::new(format!("phone-{}", self.user)),
            From::Afar => DeviceId::new("burner"),
        }
    }
}

fn client(person: Person, from: From) -> Client {
    let third = u8::try_from(person.user).unwrap_or(0);
    let (address, country, asn, class, fix) = match from {
        From::Home => (
            [198, 51, third, 7],
            *b"DE",
            3_320,
            NetworkClass::Residential,
            BERLIN,
        ),
        From::Phone => (
            [203, 0, third, 9],
            *b"DE",
            6_805,
            NetworkClass::Mobile,
            BERLIN,
        ),
        From::Afar => (
            [192, 0, 2, 66],
            *b"NG",
            37_148,
            NetworkClass::Hosting,
            LAGOS,
        ),
    };
    Client {
        device: Some(person.device(from)),
        address: Some(IpAddr::V4(Ipv4Addr::from(address))),
        place: Place {
            country: Some(CountryCode(country)),
            asn: Some(Asn(asn)),
            city: None,
            fix: Some(fix),
            class,
        },
        agent: Agent {
            os: Some("Linux".to_owned()),
            browser: Some("Firefox".to_owned()),
            browser_major: Some(140),
        },
        ja4: None,
        certificate: None,
    }
}

const BERLIN: Fix = Fix {
    latitude: 52_520_000,
    longitude: 13_405_000,
    radius_m: Some(5_000),
};
const LAGOS: Fix = Fix {
    latitude: 6_524_000,
    longitude: 3_379_000,
    radius_m: Some(5_000),
};

fn session_id(number: u64) -> SessionId {
    SessionId::new(format!("s-{number}"))
}

fn pick<'a>(dice: &Dice, from: &[&'a str]) -> &'a str {
    dice.pick(from).copied().unwrap_or("")
}

fn index(drawn: u64) -> usize {
    usize::try_from(drawn).unwrap_or(0)
}
