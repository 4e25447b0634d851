//! The password is known; pushes are sent until the victim, tired of them, accepts one.

use super::{Campaign, Strike, token_theft};
use crate::act::{Act, Client, Proof, Refusal};
use crate::atlas::tables;
use crate::gadget::Gadget;

pub(super) fn strike(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let who = campaign.victim();
    let network = if campaign.draw.chance(500) {
        campaign.draw.pick(tables::VPNS)
    } else {
        campaign.abroad(tables::FAR_HOMES)
    };
    let spot = campaign.spot(network);
    let model = token_theft::other_model(&mut campaign);
    let gadget = Gadget::unnamed(model, strike.at, &mut campaign.draw);
    let client = Client { gadget, spot };
    for _ in 0..6 + campaign.draw.below(7) {
        let is_denied = campaign.draw.chance(700);
        let refusal = if is_denied {
            Refusal::MfaDenied
        } else {
            Refusal::MfaTimeout
        };
        campaign.refused(who, client, refusal);
        campaign.pause();
    }
    let session = campaign.granted(who, client, Proof::Push);
    let requests = 3 + campaign.draw.below(5);
    campaign.plunder(who, client, session, requests);
    campaign.acts
}
