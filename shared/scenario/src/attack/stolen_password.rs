//! A stolen password used from a home in the victim's country, on a device never seen, without a second factor.

use super::{Campaign, Strike, token_theft};
use crate::act::{Act, Client, Proof};
use crate::gadget::Gadget;

pub(super) fn strike(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let who = campaign.victim();
    let spot = strike
        .victim
        .elsewhere(strike.foothold.client.spot, &mut campaign.draw);
    let model = token_theft::other_model(&mut campaign);
    let device = Some(campaign.draw.word());
    let gadget = Gadget {
        device,
        ..Gadget::unnamed(model, strike.at, &mut campaign.draw)
    };
    let client = Client { gadget, spot };
    // An old protocol, or a sign-in page that nobody moved behind the second factor.
    let session = campaign.granted(who, client, Proof::Password);
    let requests = 4 + campaign.draw.below(5);
    campaign.plunder(who, client, session, requests);
    campaign.acts
}
