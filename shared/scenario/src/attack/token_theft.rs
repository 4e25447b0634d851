//! A session's token copied and replayed: from another country and browser, or from around the corner with the same.

use super::{Campaign, Strike};
use crate::act::{Act, Client};
use crate::atlas::tables;
use crate::gadget::{ATTACKERS, Gadget, Model};

/// The thief sits in another country, at another kind of machine.
pub(super) fn far(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let networks = match campaign.draw.below(100) {
        0..45 => tables::FAR_HOMES,
        45..80 => tables::HOSTERS,
        _ => tables::HIDEOUTS,
    };
    let network = campaign.abroad(networks);
    let spot = campaign.spot(network);
    let model = other_model(&mut campaign);
    let gadget = Gadget::unnamed(model, strike.at, &mut campaign.draw);
    replay(campaign, Client { gadget, spot })
}

/// The thief mimics city, kind of network and browser; only the provider and the address are others.
pub(super) fn nearby(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let own = strike.foothold.client;
    let spot = strike.victim.elsewhere(own.spot, &mut campaign.draw);
    let gadget = Gadget {
        device: None,
        ..own.gadget
    };
    replay(campaign, Client { gadget, spot })
}

fn replay(mut campaign: Campaign<'_>, client: Client) -> Vec<Act> {
    let (who, session) = (campaign.victim(), campaign.strike.foothold.session);
    let requests = 5 + campaign.draw.below(6);
    campaign.plunder(who, client, session, requests);
    campaign.acts
}

/// What the thief sits at: anything but the owner's browser.
pub(super) fn other_model(campaign: &mut Campaign<'_>) -> &'static Model {
    let own = campaign.strike.foothold.client.gadget.model.browser;
    let others: Vec<&'static Model> = ATTACKERS
        .iter()
        .copied()
        .filter(|model| model.browser != own)
        .collect();
    match campaign.draw.one_of(&others) {
        Some(model) => model,
        None => campaign.draw.pick(ATTACKERS),
    }
}
