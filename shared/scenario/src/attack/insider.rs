//! Somebody about to leave carries away what they may see: many resources never opened before, by the gigabyte, from
//! their own device in their own session.

use super::{Campaign, Strike};
use crate::act::{Act, Deed, Method, Request};
use crate::app::{App, STORES};
use crate::day;

/// How much larger than usual each download is.
const BULK: u64 = 40;

pub(super) fn strike(strike: &Strike<'_>) -> Vec<Act> {
    let mut campaign = Campaign::new(strike);
    let who = campaign.victim();
    let client = strike.foothold.client;
    let session = strike.foothold.session;
    for _ in 0..strike.tempo.downloads {
        let app: &'static App = campaign.draw.weighted(STORES);
        let resource = campaign.draw.below(app.resources);
        let bytes = day::bytes(app, &mut campaign.draw).saturating_mul(BULK);
        let request = Request {
            app,
            resource,
            method: Method::Get,
            bytes,
        };
        campaign.push(
            who,
            Deed::Access {
                client,
                session,
                request,
            },
        );
        campaign.at = campaign.at + 1 + campaign.draw.wait(strike.tempo.try_ms);
    }
    campaign.acts
}
