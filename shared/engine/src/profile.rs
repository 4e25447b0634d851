//! What is remembered of a subject's habits: decayed counts, trees of values, windows, baselines. Knows no evidence.

pub mod access;
pub mod baseline;
pub mod decay;
pub mod population;
pub mod seen;
pub mod session;
pub mod tree;
