//! Password spray: one or two common passwords against many accounts, slowly, every try from another home's machine.

use super::{Campaign, Strike};
use crate::act::{Act, Client, Who};
use crate::atlas::{Network, tables};
use crate::gadget::{ATTACKERS, Gadget};

/// Common passwords that fit, per mille of the accounts tried.
const FITTING_PM: u32 = 15;

pub(super) fn strike(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let first = campaign.draw.below(strike.users);
    for step in 0..strike.tempo.tries {
        let client = rotated(&mut campaign);
        let who = Who::Person(first.wrapping_add(step) % strike.users.max(1));
        let fits = campaign.draw.chance(FITTING_PM);
        campaign.attempt(who, client, fits);
        campaign.at = campaign.at + 1 + campaign.draw.wait(strike.tempo.try_ms);
    }
    let client = rotated(&mut campaign);
    let who = campaign.victim();
    campaign.attempt(who, client, true);
    campaign.acts
}

/// Another machine for every try.
fn rotated(campaign: &mut Campaign<'_>) -> Client {
    let network: &'static Network = campaign.draw.pick(tables::PROXY_HOMES);
    let spot = campaign.spot(network);
    let model = campaign.draw.pick(ATTACKERS);
    let gadget = Gadget::unnamed(model, campaign.at, &mut campaign.draw);
    Client { gadget, spot }
}
