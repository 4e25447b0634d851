//! The evaluator: the log in, decisions out. One loop over ports around the pure fold; knows no adapter.

mod cache;
pub mod fold;
pub mod live;
pub mod replay;
