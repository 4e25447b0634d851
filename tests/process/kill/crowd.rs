//! People who sign in, work, travel, are attacked and prove themselves: what is posted while Caerus is killed. Knows no
//! connection.

use caerus_wire::moment;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::support::person::{Person, now};

/// Two tenants, with people and devices of the same names.
const TENANTS: [&str; 2] = ["default", "acme"];
/// So many that nobody signs in more often than people do.
const NAMES: [&str; 5] = ["ann", "ben", "cem", "dag", "eva"];
const HISTORIES: [&str; 3] = [
    "history-three-countries",
    "history-three-networks",
    "history-three-providers",
];
const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/131.0.0.0 Safari/537.36";

/// One poster's people.
#[derive(Debug)]
pub(crate) struct Crowd {
    members: Vec<Member>,
    random: ChaCha8Rng,
    /// Ids differ between posters.
    number: u64,
    made: u64,
}

#[derive(Debug)]
struct Member {
    person: Person,
    tenant: &'static str,
    history: &'static str,
    /// The session they are in, and from where.
    session: Option<(String, Value)>,
    sessions: u32,
}

impl Crowd {
    pub(crate) fn new(number: u64, random: ChaCha8Rng) -> Self {
        let history = HISTORIES[usize::try_from(number).unwrap() % HISTORIES.len()];
        let of = |tenant| {
            NAMES.map(|name| Member {
                person: Person::new(&format!("{name}-{number}")),
                tenant,
                history,
                session: None,
                sessions: 0,
            })
        };
        Self {
            members: TENANTS.into_iter().flat_map(of).collect(),
            random,
            number,
            made: 0,
        }
    }

    /// What everybody is known by.
    pub(crate) fn histories(&self) -> Vec<Vec<Value>> {
        let of = |member: &Member| {
            let mut events = member.person.history(member.history);
            for event in &mut events {
                event["tenant"] = json!(member.tenant);
                // A score line names no tenant: here each event has a name of its own.
                event["id"] = json!(format!(
                    "{}-{}",
                    member.tenant,
                    event["id"].as_str().unwrap()
                ));
            }
            events
        };
        self.members.iter().map(of).collect()
    }

    /// Some things that happen, of several people.
    pub(crate) fn happenings(&mut self) -> Vec<Value> {
        let count = self.random.random_range(1..=4);
        let mut events: Vec<Value> = (0..count).flat_map(|_| self.one()).collect();
        for event in &mut events {
            self.made += 1;
            event["id"] = json!(format!("k-{}-{}", self.number, self.made));
        }
        events
    }

    /// An operator's decision about somebody, as a request.
    pub(crate) fn command(&mut self) -> Value {
        let member = self.members.choose(&mut self.random).unwrap();
        let session = member
            .session
            .as_ref()
            .map_or("gone", |(session, _)| session);
        let action = ["clear", "step_up", "revoke"]
            .choose(&mut self.random)
            .unwrap();
        json!({
            "tenant": member.tenant, "action": action, "target": member.person.session(session),
            "reason": "a test",
        })
    }

    fn one(&mut self) -> Vec<Value> {
        let Self {
            members, random, ..
        } = self;
        let chosen = random.random_range(0..members.len());
        let mut events = members[chosen].does(random);
        for event in &mut events {
            event["tenant"] = json!(members[chosen].tenant);
        }
        events
    }
}

impl Member {
    fn does(&mut self, random: &mut ChaCha8Rng) -> Vec<Value> {
        let kind = random.random_range(0..100);
        match (&self.session, kind) {
            (None, _) | (Some(_), 0..10) => vec![self.signs_in(json!({}))],
            (Some((session, _)), 10..15) => {
                let stolen = self.access(session, &theft());
                self.session = None;
                vec![stolen]
            }
            (Some(_), 15..22) => {
                let place = json!({"device": self.person.own("laptop-9"), "ip": "198.51.199.10", "amr": ["pwd"]});
                vec![self.signs_in(place)]
            }
            (Some((session, place)), 22..34) => {
                let mut met = self.person.login("", session, place);
                met["amr"] = json!(["pwd", "otp"]);
                vec![met]
            }
            (Some(_), 34..40) => (0..6).map(|_| self.fails(random)).collect(),
            (Some(_), 40..44) => vec![self.device_reports(random)],
            (Some((session, _)), 44..47) => {
                let ended = json!({
                    "type": "session", "time": moment::to_text(now()), "user": self.person.name,
                    "session": self.person.own(session), "event": "ended",
                });
                self.session = None;
                vec![ended]
            }
            (Some((session, place)), _) => {
                let mut work = self.access(session, place);
                work["app"] = json!("payroll");
                work["resource"] = json!(format!("page-{}", random.random_range(0..40)));
                work["bytes_out"] = json!(random.random_range(200..90_000));
                vec![work]
            }
        }
    }

    fn signs_in(&mut self, place: Value) -> Value {
        self.sessions += 1;
        let session = format!("s-{}", self.sessions);
        let event = self.person.login("", &session, &place);
        self.session = Some((session, place));
        event
    }

    fn access(&self, session: &str, place: &Value) -> Value {
        let mut event = self.person.login("", session, place);
        let members = event.as_object_mut().unwrap();
        members.remove("outcome");
        members.remove("amr");
        members.insert("type".to_owned(), json!("access"));
        members.insert("status".to_owned(), json!(200));
        event
    }

    fn fails(&self, random: &mut ChaCha8Rng) -> Value {
        let failure = ["bad_password", "mfa_denied", "locked"]
            .choose(random)
            .unwrap();
        let ip = format!("203.0.113.{}", random.random_range(1..250));
        json!({
            "type": "login", "time": moment::to_text(now()), "user": self.person.name, "ip": ip,
            "outcome": "failure", "failure": failure,
            "geo": {"country": "RO", "asn": 64599, "network": "hosting"},
        })
    }

    fn device_reports(&self, random: &mut ChaCha8Rng) -> Value {
        let posture = match random.random_range(0..4) {
            0 => json!({"firewall": false, "compliant": false}),
            1 => json!({"edr": "stopped"}),
            2 => json!({"alerts": [{"severity": "critical", "name": "ransomware"}]}),
            _ => {
                json!({"firewall": true, "compliant": true, "edr": "running", "disk_encrypted": true})
            }
        };
        let device = self
            .person
            .own(["laptop-0", "laptop-1"].choose(random).unwrap());
        json!({
            "type": "device_health", "time": moment::to_text(now()), "device": device, "posture": posture,
        })
    }
}

/// Another country, another browser, in the middle of a session.
fn theft() -> Value {
    json!({
        "ip": "198.51.199.77", "user_agent": CHROME,
        "geo": {"country": "RO", "asn": 64599, "network": "residential"},
    })
}
