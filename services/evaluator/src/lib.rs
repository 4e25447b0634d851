//! The evaluator: the log in, decisions out. One loop over ports around the pure fold; knows no adapter.

pub mod fold;
pub mod replay;
