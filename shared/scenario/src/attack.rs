//! The attacks there are, by name, and what every attacker is given to work with. Knows nothing of schedules.

mod impossible_travel;
mod insider;
mod malware;
mod mfa_fatigue;
mod mimic;
mod poisoning;
mod spray;
mod stolen_password;
mod stuffing;
mod token_theft;

use core::fmt;

use crate::act::{
    Act, Client, Deed, LoginResult, Presence, Proof, Refusal, Request, SessionRef, Who,
};
use crate::app::{App, TREASURES};
use crate::atlas::{Network, Pool, Spot, tables};
use crate::day;
use crate::draw::Draw;
use crate::moment::Moment;
use crate::person::Person;

/// An attack that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attack {
    /// Leaked passwords tried from one network against many accounts, most of which do not exist.
    Stuffing,
    /// A few common passwords against many accounts, every try from another address.
    Spray,
    /// Pushes sent until one is accepted.
    MfaFatigue,
    /// A session's token used from another country and browser.
    TokenTheft,
    /// A session's token used in the owner's city with the owner's browser.
    TokenTheftNearby,
    /// A stolen password used in the owner's country on a new device, without a second factor.
    StolenPassword,
    /// A stolen password used on another continent minutes after the owner was seen.
    ImpossibleTravel,
    /// A stolen password used in the owner's city, at the owner's provider, with the owner's browser.
    Mimic,
    /// A laptop taken over by malware: a critical alert, then use of the owner's session.
    Malware,
    /// Somebody carrying away what they may see, by the gigabyte.
    Insider,
    /// One new habit a day, so that the last step looks usual.
    Poisoning,
}

/// No attack has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not an attack; there are {}", Attack::names())]
pub struct UnknownAttack {
    /// Cut to a bound.
    pub name: String,
}

/// Characters of a wrong name that are repeated in the error.
const NAME_SHOWN_MAX: usize = 64;

impl Attack {
    pub const ALL: &'static [Self] = &[
        Self::Stuffing,
        Self::Spray,
        Self::MfaFatigue,
        Self::TokenTheft,
        Self::TokenTheftNearby,
        Self::StolenPassword,
        Self::ImpossibleTravel,
        Self::Mimic,
        Self::Malware,
        Self::Insider,
        Self::Poisoning,
    ];

    /// The name in commands and in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stuffing => "stuffing",
            Self::Spray => "spray",
            Self::MfaFatigue => "mfa-fatigue",
            Self::TokenTheft => "token-theft",
            Self::TokenTheftNearby => "token-theft-nearby",
            Self::StolenPassword => "stolen-password",
            Self::ImpossibleTravel => "impossible-travel",
            Self::Mimic => "mimic",
            Self::Malware => "malware",
            Self::Insider => "insider",
            Self::Poisoning => "poisoning",
        }
    }

    /// Reads a name as it is written in labels. *Errors*: any other name; the error lists them all.
    pub fn parse(name: &str) -> Result<Self, UnknownAttack> {
        Self::ALL
            .iter()
            .copied()
            .find(|attack| attack.name() == name)
            .ok_or_else(|| {
                let name = name
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(NAME_SHOWN_MAX)
                    .collect();
                UnknownAttack { name }
            })
    }

    fn names() -> String {
        Self::ALL
            .iter()
            .map(|attack| attack.name())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Whether somebody is a likely victim: pushes are sent to those who have them, and a password alone opens only
    /// what has nothing else.
    pub(crate) fn fits(self, person: &Person) -> bool {
        match self {
            Self::MfaFatigue => person.proof == Proof::Push,
            Self::StolenPassword => person.proof == Proof::Password,
            _ => true,
        }
    }

    /// Plans the attack: its acts, earliest first.
    pub(crate) fn strike(self, strike: &Strike<'_>) -> Vec<Act> {
        let mut acts = match self {
            Self::Stuffing => stuffing::strike(strike),
            Self::Spray => spray::strike(strike),
            Self::MfaFatigue => mfa_fatigue::strike(strike),
            Self::TokenTheft => token_theft::far(strike),
            Self::TokenTheftNearby => token_theft::nearby(strike),
            Self::StolenPassword => stolen_password::strike(strike),
            Self::ImpossibleTravel => impossible_travel::strike(strike),
            Self::Mimic => mimic::strike(strike),
            Self::Malware => malware::strike(strike),
            Self::Insider => insider::strike(strike),
            Self::Poisoning => poisoning::strike(strike),
        };
        acts.sort_by_key(|act| act.at);
        acts
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::str::FromStr for Attack {
    type Err = UnknownAttack;

    fn from_str(name: &str) -> Result<Self, UnknownAttack> {
        Self::parse(name)
    }
}

/// One attack on somebody: who, what they were just doing, when it begins and how fast it goes.
#[derive(Debug)]
pub(crate) struct Strike<'a> {
    pub(crate) attack: Attack,
    pub(crate) victim: &'a Person,
    /// What the victim holds while it happens.
    pub(crate) foothold: Presence,
    /// The organisation's size, for attacks on all of it.
    pub(crate) users: u32,
    pub(crate) at: Moment,
    pub(crate) tempo: Tempo,
    pub(crate) draw: Draw,
}

/// How fast an attacker goes about it, and how much of it there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo {
    /// *Units*: milliseconds between two steps of one attacker, in the mean.
    pub(crate) step_ms: i64,
    /// *Units*: milliseconds between two tries of a machine, in the mean.
    pub(crate) try_ms: i64,
    /// Tries against all accounts.
    pub(crate) tries: u32,
    /// Downloads of an insider.
    pub(crate) downloads: u32,
}

/// An attack being written down.
struct Campaign<'a> {
    strike: &'a Strike<'a>,
    at: Moment,
    draw: Draw,
    acts: Vec<Act>,
}

impl<'a> Campaign<'a> {
    fn new(strike: &'a Strike<'a>) -> Self {
        Self {
            strike,
            at: strike.at,
            draw: strike.draw.clone(),
            acts: Vec::new(),
        }
    }

    fn push(&mut self, who: Who, deed: Deed) {
        self.acts.push(Act {
            at: self.at,
            who,
            attack: Some(self.strike.attack),
            deed,
        });
    }

    fn victim(&self) -> Who {
        Who::Person(self.strike.victim.index)
    }

    /// Time passes until the attacker's next step.
    fn pause(&mut self) {
        let step = self.strike.tempo.step_ms;
        self.at = self.at + step / 2 + self.draw.wait(step / 2);
    }

    fn refused(&mut self, who: Who, client: Client, refusal: Refusal) {
        let proof = Proof::Password;
        self.push(
            who,
            Deed::Login {
                client,
                result: LoginResult::Refused(refusal),
                proof,
            },
        );
    }

    fn granted(&mut self, who: Who, client: Client, proof: Proof) -> SessionRef {
        let session = SessionRef {
            name: self.draw.word(),
            issued_at: self.at,
        };
        self.push(
            who,
            Deed::Login {
                client,
                result: LoginResult::Granted(session),
                proof,
            },
        );
        session
    }

    /// The attacker looks around with a session: some requests, where it pays first.
    fn plunder(&mut self, who: Who, client: Client, session: SessionRef, requests: u32) {
        for _ in 0..requests {
            self.pause();
            let app: &'static App = self.draw.weighted(TREASURES);
            let resource = self.draw.below(app.resources);
            let bytes = day::bytes(app, &mut self.draw);
            let request = Request {
                app,
                resource,
                method: day::method(&mut self.draw),
                bytes,
            };
            self.push(
                who,
                Deed::Access {
                    client,
                    session,
                    request,
                },
            );
        }
    }

    /// An address of a network, in any of its cities.
    fn spot(&mut self, network: &'static Network) -> Spot {
        let city = self.draw.one_of(network.cities).unwrap_or(&tables::BERLIN);
        let block = network.block_in(city, Pool::All, &mut self.draw);
        network.host(block, &mut self.draw)
    }

    /// One of some networks outside the country where the victim is.
    fn abroad(&mut self, networks: &'static [&'static Network]) -> &'static Network {
        let country = self.strike.foothold.client.spot.city.country;
        let all: Vec<&'static Network> = networks
            .iter()
            .copied()
            .filter(|network| network.cities.iter().all(|city| city.country != country))
            .collect();
        match self.draw.one_of(&all) {
            Some(network) => network,
            None => self.draw.pick(networks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_is_read_by_the_name_it_has() {
        for attack in Attack::ALL {
            assert_eq!(Attack::parse(attack.name()), Ok(*attack));
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_all_the_right_ones() {
        let error = Attack::parse("ddos\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "`ddos` is not an attack; there are stuffing, spray, mfa-fatigue, token-theft, \
             token-theft-nearby, stolen-password, impossible-travel, mimic, malware, insider, poisoning"
        );
    }
}
