//! A stranger with a stopwatch: how fast `caerus replay` goes, beside merely reading the same file, and what it holds in
//! memory for each person. Knows the binary by its command line and nothing inside it.

pub mod bench;
pub mod child;
pub mod corpus;
pub mod reading;
