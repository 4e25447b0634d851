//! Forms of what is learned: decayed counts, trees, baselines, windows.

use caerus_engine::profile::access::{AccessHour, AccessProfile};
use caerus_engine::profile::baseline::{LevelBaseline, RateBaseline};
use caerus_engine::profile::decay::Decayed;
use caerus_engine::profile::population::{NodeTally, Population, Tally};
use caerus_engine::profile::seen::{Seen, SeenWindow};
use caerus_engine::profile::session::Bound;
use caerus_engine::profile::tree::{Branch, Fresh, Node};

use super::forms;

forms! {
    struct Decayed { value, at }
    struct Node { total, children, fresh }
    struct Branch { value, count, node }
    struct Fresh { day, learned }
    struct RateBaseline { events, exposures }
    struct LevelBaseline { weight, mean, spread }
    struct AccessProfile { volume, requests, resources, refusals }
    struct AccessHour {
        hour, bytes, requests, refusals, resources, resources_beyond, is_learnable,
    }
    struct SeenWindow { entries }
    struct Seen { id, body, at }
    struct Bound {
        address, prefix, asn, country, class, agent, device, ja4, certificate,
    }
    struct Population { values, nodes, observations }
    struct Tally { node, accepted, refused }
    struct NodeTally { accepted, refused, distinct }
}
