//! The judge: signals in, decisions out, through one door, [`step()`].
//!
//! Pure: no clock, no randomness, no async, no files, no threads, no serde, no hash-map order. Same arguments, same
//! result, byte for byte. Modules import only to the left:
//! `id time number limits → signal → climate → profile → evidence → score → decide → record → step`.

pub mod climate;
pub mod decide;
pub mod evidence;
pub mod id;
pub mod limits;
pub mod number;
pub mod profile;
pub mod record;
pub mod score;
pub mod signal;
pub mod step;
pub mod time;

pub use step::door::step;
