//! The judge: signals in, decisions out, through one door, [`step`].
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

use record::{Population, SubjectRecord};
use step::{Input, Surroundings, Transition, Wakes};

/// Takes one input for one subject. Total on data: a strange signal is ignored with a reason, never an error.
pub fn step(
    _surroundings: &Surroundings<'_>,
    record: Option<SubjectRecord>,
    population: Population,
    _input: &Input,
) -> Transition {
    Transition {
        record,
        is_changed: false,
        population,
        is_population_changed: false,
        decisions: Vec::new(),
        derived: Vec::new(),
        score: None,
        wakes: Wakes::default(),
        is_concerned: false,
    }
}
