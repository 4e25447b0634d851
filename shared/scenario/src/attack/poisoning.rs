//! Slow poisoning: an attacker with the password and the codes signs in once a day, each day with one habit more of
//! their own, so that the profile learns them before they strike.

use super::{Campaign, Strike, token_theft};
use crate::act::{Act, Client, Proof};
use crate::atlas::{Pool, tables};
use crate::gadget::Gadget;
use crate::moment::{DAY, MINUTE};

pub(super) fn strike(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let who = campaign.victim();
    let lessons = lessons(&mut campaign);
    let last = lessons.len().saturating_sub(1);
    for (lesson, client) in lessons.into_iter().enumerate() {
        let session = campaign.granted(who, client, Proof::Code);
        let requests = if lesson == last { 10 } else { 1 };
        let begun = campaign.at;
        campaign.plunder(who, client, session, requests);
        campaign.at = begun + DAY + campaign.draw.between(-30 * MINUTE, 30 * MINUTE);
    }
    campaign.acts
}

/// What the attacker shows, day by day: from a neighbour with the victim's browser to who they are, where they are.
/// Each day differs from the one before in one thing.
fn lessons(campaign: &mut Campaign<'_>) -> Vec<Client> {
    let strike = campaign.strike;
    let own = strike.foothold.client;
    let model = token_theft::other_model(campaign);
    let device = Some(campaign.draw.word());
    let as_victim = Gadget {
        device: None,
        ..own.gadget
    };
    let unnamed = Gadget::unnamed(model, strike.at, &mut campaign.draw);
    let themselves = Gadget { device, ..unnamed };
    let nearby = strike.victim.elsewhere(own.spot, &mut campaign.draw);
    let city = own.spot.city;
    let hoster = tables::hoster_near(city);
    let block = hoster.block_in(city, Pool::All, &mut campaign.draw);
    let rented = hoster.host(block, &mut campaign.draw);
    let far = campaign.abroad(tables::FAR_HOMES);
    let home = campaign.spot(far);
    let steps = [
        (as_victim, nearby),
        (unnamed, nearby),
        (themselves, nearby),
        (themselves, rented),
        (themselves, home),
    ];
    steps.map(|(gadget, spot)| Client { gadget, spot }).to_vec()
}
