//! One person's ordinary day, planned from the seed alone: any day of anybody can be planned at any time, alike.
//! Knows no attack.

use crate::act::{
    Act, Change, Check, Client, Deed, DeviceState, Finding, Grade, LoginResult, Method, Presence,
    Proof, Protection, Refusal, Request, SessionRef, Who,
};
use crate::app::{App, Station};
use crate::atlas::Spot;
use crate::draw::{Draw, round};
use crate::gadget::Gadget;
use crate::moment::{DAY, HOUR, MINUTE, Moment, SECOND};
use crate::person::{Calendar, Person, Slot, Whereabouts};

/// A phone stays signed in for so many days.
const PHONE_SESSION_DAYS: i64 = 3;
/// Resources of an application somebody keeps coming back to.
const FAVOURITES: u32 = 10;
/// Spread of the bytes of an answer around the application's median, in nats.
const BYTES_SPREAD: f64 = 0.7;

/// Local time zones reach so far from UTC; no act of a day lies farther outside the day.
pub(crate) const DAY_REACH: i64 = 14 * HOUR;

/// Plans a day: the acts in no particular order.
pub(crate) fn plan(person: &Person, day: i64, calendar: &Calendar) -> Vec<Act> {
    let mut diary = Diary {
        person,
        day,
        calendar,
        acts: Vec::new(),
    };
    if matches!(person.whereabouts(day), Whereabouts::Travelling) {
        return diary.acts;
    }
    if person.works_on(day, calendar) {
        diary.desk();
    }
    diary.phone();
    diary.evening();
    diary.acts
}

/// A day being planned.
struct Diary<'a> {
    person: &'a Person,
    day: i64,
    calendar: &'a Calendar,
    acts: Vec<Act>,
}

impl Diary<'_> {
    fn push(&mut self, at: Moment, deed: Deed) {
        self.acts.push(Act {
            at,
            who: Who::Person(self.person.index),
            attack: None,
            deed,
        });
    }

    /// The moment of a local time of day.
    fn local(&self, ms: i64) -> Moment {
        local_midnight(self.person, self.day, self.calendar) + ms
    }

    /// Work at the laptop or the shared terminal: health, a login, bursts of use, perhaps a last hour from home.
    fn desk(&mut self) {
        let person = self.person;
        let Some(gadget) = person.gadget(Slot::Desk, self.day, self.calendar) else {
            return;
        };
        let mut draw = person.draws(self.day, "desk");
        let rhythm = person.rhythm;
        let start = self.local(draw.around(rhythm.starts_min * MINUTE, 20 * MINUTE));
        let length = draw.around(rhythm.length_min * MINUTE, 30 * MINUTE);
        let spot = self.desk_spot(&mut draw);
        let client = Client { gadget, spot };
        let report = start + draw.between(-10 * MINUTE, -MINUTE);
        self.health(report, gadget, &mut draw);
        let session = self.sign_in(start, client, "desk login");
        self.bursts(
            Presence { session, client },
            Span {
                from: start,
                length,
            },
            &mut draw,
        );
        if draw.chance(350) {
            let at = start + length + draw.between(MINUTE, 20 * MINUTE);
            self.push(
                at,
                Deed::Session {
                    client,
                    session,
                    change: Change::Ended,
                },
            );
        } else if person.role.station == Station::OwnLaptop && draw.chance(200) {
            let evening = Client {
                gadget,
                spot: person.remote_spot(self.day),
            };
            let at = start + length + draw.between(HOUR, 3 * HOUR);
            let uses = 1 + draw.below(2);
            self.uses(
                Presence {
                    session,
                    client: evening,
                },
                at,
                uses,
                &mut draw,
            );
        }
    }

    fn desk_spot(&self, draw: &mut Draw) -> Spot {
        let is_home = matches!(self.person.whereabouts(self.day), Whereabouts::Home);
        if is_home && draw.chance(self.person.rhythm.office_pm) {
            self.person.office_spot()
        } else {
            self.person.remote_spot(self.day)
        }
    }

    /// The device's own report, nearly always good news.
    fn health(&mut self, at: Moment, gadget: Gadget, draw: &mut Draw) {
        let firewall = if draw.chance(3) {
            Check::Failed
        } else {
            Check::Passed
        };
        let alert = draw.chance(2).then_some(Finding {
            severity: Grade::Low,
            name: "potentially unwanted program",
        });
        let patched = (self.day + i64::from(self.person.index)).rem_euclid(30);
        let state = DeviceState {
            firewall,
            protection: Protection::Running,
            patch_age_days: u32::try_from(patched).unwrap_or(0),
            alert,
        };
        self.push(at, Deed::Health { gadget, state });
    }

    /// A login with its slips: a mistyped password, a push nobody saw.
    fn sign_in(&mut self, at: Moment, client: Client, name: &str) -> SessionRef {
        let person = self.person;
        let mut draw = person.draws(self.day, name);
        let proof = person.proof;
        if draw.chance(person.rhythm.typo_pm) {
            let slips = 1 + i64::from(draw.below(2));
            for slip in 0..slips {
                let before = at + (slip - slips) * draw.between(6 * SECOND, 9 * SECOND);
                self.refused(before, client, Refusal::BadPassword);
            }
        }
        if proof == Proof::Push && draw.chance(12) {
            let before = at + draw.between(-100 * SECOND, -60 * SECOND);
            self.refused(before, client, Refusal::MfaTimeout);
        }
        let session = SessionRef {
            name: draw.word(),
            issued_at: at,
        };
        let result = LoginResult::Granted(session);
        self.push(
            at,
            Deed::Login {
                client,
                result,
                proof,
            },
        );
        session
    }

    fn refused(&mut self, at: Moment, client: Client, refusal: Refusal) {
        let result = LoginResult::Refused(refusal);
        self.push(
            at,
            Deed::Login {
                client,
                result,
                proof: Proof::Password,
            },
        );
    }

    /// A working day's use: some minutes of work here and there.
    fn bursts(&mut self, presence: Presence, span: Span, draw: &mut Draw) {
        let uses = 2 + draw.below(4);
        let first = span.from + draw.between(3 * SECOND, 40 * SECOND);
        self.uses(presence, first, uses, draw);
        for _ in 0..draw.between(1, 3) {
            let at = span.from + draw.between(10 * MINUTE, span.length.max(HOUR));
            let uses = 2 + draw.below(5);
            self.uses(presence, at, uses, draw);
        }
    }

    fn uses(&mut self, presence: Presence, mut at: Moment, count: u32, draw: &mut Draw) {
        for _ in 0..count {
            let request = request(self.person, draw);
            let Presence { session, client } = presence;
            self.push(
                at,
                Deed::Access {
                    client,
                    session,
                    request,
                },
            );
            at = at + 2 * SECOND + draw.wait(50 * SECOND);
        }
    }

    /// The phone: a few looks a day, on the air, at home, at the office, in a session of some days.
    fn phone(&mut self) {
        let person = self.person;
        if !person.has(Slot::Phone) || !uses_phone(person, self.day) {
            return;
        }
        let mut draw = person.draws(self.day, "phone");
        let signed_in_on = phone_login_day(person, self.day);
        let Some(gadget) = person.gadget(Slot::Phone, signed_in_on, self.calendar) else {
            return;
        };
        let first = phone_first_use(person, self.day, self.calendar);
        let mut session = phone_session(person, signed_in_on, self.calendar);
        let mut looks = 1 + draw.below(3);
        if signed_in_on == self.day {
            let client = Client {
                gadget,
                spot: self.phone_spot(&mut draw),
            };
            session = self.sign_in_as(session, first, client);
            looks += 1;
        }
        for look in 0..looks {
            let client = Client {
                gadget,
                spot: self.phone_spot(&mut draw),
            };
            let later = draw.between(0, 12 * HOUR);
            let at = if look == 0 {
                first + 5 * SECOND
            } else {
                first + MINUTE + later
            };
            self.uses(Presence { session, client }, at, 1, &mut draw);
        }
    }

    fn sign_in_as(&mut self, session: SessionRef, at: Moment, client: Client) -> SessionRef {
        let result = LoginResult::Granted(session);
        self.push(
            at,
            Deed::Login {
                client,
                result,
                proof: self.person.proof,
            },
        );
        session
    }

    fn phone_spot(&self, draw: &mut Draw) -> Spot {
        match draw.below(100) {
            0..60 => self.person.air_spot(draw),
            60..90 => self.person.direct_spot(self.day),
            _ if self.person.works_on(self.day, self.calendar) => self.desk_spot(draw),
            _ => self.person.direct_spot(self.day),
        }
    }

    /// Now and then somebody's own tablet or computer, at home.
    fn evening(&mut self) {
        let person = self.person;
        let mut draw = person.draws(self.day, "evening");
        let is_home = matches!(person.whereabouts(self.day), Whereabouts::Home);
        if !is_home || !draw.chance(120) {
            return;
        }
        let Some(gadget) = person.gadget(Slot::Extra, self.day, self.calendar) else {
            return;
        };
        let client = Client {
            gadget,
            spot: person.home_spot(self.day),
        };
        let at = self.local(draw.between(19 * HOUR, 22 * HOUR));
        let session = self.sign_in(at, client, "evening login");
        let uses = 1 + draw.below(3);
        self.uses(
            Presence { session, client },
            at + 8 * SECOND,
            uses,
            &mut draw,
        );
    }
}

/// A stretch of time.
#[derive(Clone, Copy)]
struct Span {
    from: Moment,
    length: i64,
}

/// Midnight where the person is on that day.
pub(crate) fn local_midnight(person: &Person, day: i64, calendar: &Calendar) -> Moment {
    calendar.zero + day * DAY + -person.city(day).utc_offset_min * MINUTE
}

/// One request of somebody at their work: mostly to what they always use.
pub(crate) fn request(person: &Person, draw: &mut Draw) -> Request {
    let app: &'static App = draw.weighted(person.role.apps);
    let resource = if draw.chance(900) {
        let favourite = person
            .seed
            .number(app.name, i64::from(draw.below(FAVOURITES)));
        u32::try_from(favourite >> 32).unwrap_or(0) % app.resources
    } else {
        draw.below(app.resources)
    };
    Request {
        app,
        resource,
        method: method(draw),
        bytes: bytes(app, draw),
    }
}

pub(crate) fn method(draw: &mut Draw) -> Method {
    if draw.chance(200) {
        Method::Post
    } else {
        Method::Get
    }
}

pub(crate) fn bytes(app: &App, draw: &mut Draw) -> u64 {
    let bytes = draw.skewed(f64::from(app.bytes_median), BYTES_SPREAD);
    round(bytes).unsigned_abs()
}

fn uses_phone(person: &Person, day: i64) -> bool {
    person
        .seed
        .chance("phone at all", day, person.rhythm.phone_pm)
        && !matches!(person.whereabouts(day), Whereabouts::Travelling)
}

/// The day on which the phone's session of `day` began: the first use in its period.
fn phone_login_day(person: &Person, day: i64) -> i64 {
    let phase = i64::from(person.index);
    let begin = (day + phase).div_euclid(PHONE_SESSION_DAYS) * PHONE_SESSION_DAYS - phase;
    (begin..day)
        .find(|earlier| uses_phone(person, *earlier))
        .unwrap_or(day)
}

fn phone_first_use(person: &Person, day: i64, calendar: &Calendar) -> Moment {
    let at = person
        .draws(day, "phone first")
        .between(6 * HOUR + 30 * MINUTE, 9 * HOUR);
    local_midnight(person, day, calendar) + at
}

fn phone_session(person: &Person, signed_in_on: i64, calendar: &Calendar) -> SessionRef {
    SessionRef {
        name: person.draws(signed_in_on, "phone session").word(),
        issued_at: phone_first_use(person, signed_in_on, calendar),
    }
}
