//! A targeted attacker with the password and a phished code: the victim's city, provider and browser, another device.

use super::{Campaign, Strike};
use crate::act::{Act, Client, Proof};
use crate::atlas::{Class, Network, Pool};
use crate::gadget::Gadget;

pub(super) fn strike(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let who = campaign.victim();
    let own = strike.foothold.client;
    let network = provider(strike);
    let block = network.block_in(own.spot.city, Pool::All, &mut campaign.draw);
    let spot = network.host(block, &mut campaign.draw);
    let device = Some(campaign.draw.word());
    let client = Client {
        gadget: Gadget {
            device,
            ..own.gadget
        },
        spot,
    };
    let proof = if campaign.draw.chance(600) {
        Proof::Code
    } else {
        Proof::Password
    };
    let session = campaign.granted(who, client, proof);
    let requests = 4 + campaign.draw.below(6);
    campaign.plunder(who, client, session, requests);
    campaign.acts
}

/// The victim's own provider; nobody can rent a line at an office, so there it is one of the city's.
fn provider(strike: &Strike<'_>) -> &'static Network {
    let own = strike.foothold.client.spot.network;
    match own.class {
        Class::Residential => own,
        _ => strike.victim.site.providers.first().copied().unwrap_or(own),
    }
}
