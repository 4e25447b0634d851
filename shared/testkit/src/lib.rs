//! What tests stand on: conformance suites for the ports, a simulator with faults drawn from a seed, and an independent
//! auditor. A dev-dependency only; knows no real time and no network.

pub mod auditor;
pub mod canary;
pub mod conformance;
pub mod sim;
