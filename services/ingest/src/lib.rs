//! Takes events in: checked, normalised, and durable in the log before anybody hears "accepted". Knows neither scores nor
//! policies, nor which broker is in use.

pub mod age;
mod agent;
pub mod normalise;
pub mod sighting;
