//! The seeded organisation: people with habits, devices and networks, and the attackers among them, as a stream of
//! labelled events.
//!
//! Written apart from the scorer: it knows no threshold, no weight and no policy, so that what is measured on it is
//! measured on something else than itself. No clock and no chance but the seed: same configuration, same bytes.

mod act;
mod app;
mod atlas;
mod attack;
mod day;
mod demo;
mod disorder;
mod draw;
mod form;
mod gadget;
mod moment;
mod organisation;
mod person;
mod seed;
mod strikes;
mod world;

pub use attack::{Attack, UnknownAttack};
pub use demo::{Cue, Demo, History, Live};
pub use disorder::{Disorder, Disordered};
pub use form::BENIGN;
pub use organisation::{Config, Events, Organisation};
