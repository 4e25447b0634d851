//! A phished password and code used on another continent, minutes after the owner was seen at home.

use super::{Campaign, Strike, token_theft};
use crate::act::{Act, Client, Proof};
use crate::atlas::tables;
use crate::gadget::Gadget;

pub(super) fn strike(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let who = campaign.victim();
    let network = campaign.abroad(tables::FAR_HOMES);
    let spot = campaign.spot(network);
    let model = token_theft::other_model(&mut campaign);
    let device = Some(campaign.draw.word());
    let gadget = Gadget {
        device,
        ..Gadget::unnamed(model, strike.at, &mut campaign.draw)
    };
    let client = Client { gadget, spot };
    let proof = if campaign.draw.chance(500) {
        Proof::Code
    } else {
        Proof::Password
    };
    let session = campaign.granted(who, client, proof);
    let requests = 3 + campaign.draw.below(5);
    campaign.plunder(who, client, session, requests);
    campaign.acts
}
