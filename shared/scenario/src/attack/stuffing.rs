//! Credential stuffing: a list of leaked passwords run from one rented network. Most accounts on the list do not exist
//! here, most passwords are stale, one in a hundred fits.

use super::{Campaign, Strike};
use crate::act::{Act, Client, Proof, Refusal, Who};
use crate::atlas::{Network, Pool, tables};
use crate::gadget::{Gadget, ROBOT};

/// The list's accounts that do not exist here, per mille.
const STRANGERS_PM: u32 = 550;
/// Passwords that fit, per mille of the accounts that exist.
const FITTING_PM: u32 = 25;

pub(super) fn strike(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let network: &'static Network = campaign.draw.pick(tables::HOSTERS);
    let city = campaign
        .draw
        .one_of(network.cities)
        .unwrap_or(&tables::BERLIN);
    let block = network.block_in(city, Pool::All, &mut campaign.draw);
    let gadget = Gadget::unnamed(ROBOT, strike.at, &mut campaign.draw);
    for _ in 0..strike.tempo.tries {
        let client = Client {
            gadget,
            spot: network.host(block, &mut campaign.draw),
        };
        if campaign.draw.chance(STRANGERS_PM) {
            let who = Who::Stranger(campaign.draw.word());
            campaign.refused(who, client, Refusal::UnknownUser);
        } else {
            let who = Who::Person(campaign.draw.below(strike.users));
            let fits = campaign.draw.chance(FITTING_PM);
            campaign.attempt(who, client, fits);
        }
        campaign.at = campaign.at + 1 + campaign.draw.wait(strike.tempo.try_ms);
    }
    // The list ends with a password that fits: the reason why anybody does this.
    let client = Client {
        gadget,
        spot: network.host(block, &mut campaign.draw),
    };
    let who = campaign.victim();
    campaign.attempt(who, client, true);
    campaign.acts
}

impl Campaign<'_> {
    /// One password tried on an account that exists. *One that fits* opens a session, which is used at once.
    pub(super) fn attempt(&mut self, who: Who, client: Client, fits: bool) {
        if !fits {
            return self.refused(who, client, Refusal::BadPassword);
        }
        let session = self.granted(who, client, Proof::Password);
        let back = self.at;
        let requests = 2 + self.draw.below(3);
        self.plunder(who, client, session, requests);
        self.at = back;
    }
}
