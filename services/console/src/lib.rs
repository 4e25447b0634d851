//! What people ask of Caerus, and what they tell it: the record of decisions and receipts, the JSON API, the page.
//!
//! Judges nothing: verdicts and operators' decisions go into the log like any signal, and what comes of them is read
//! back. Knows no database, no gateway and no evaluator.

mod access;
mod ask;
mod command;
mod console;
mod decision;
mod feedback;
mod log;
mod overview;
mod page;
mod recorder;
mod route;
mod row;
mod subject;
mod token;

pub use console::{Console, ConsoleParts, DECISION_WAIT, PolicyShelf, ShelvedFile};
pub use page::OPENAPI;
pub use recorder::{RecorderParts, run};
pub use route::{ROUTES, Route, routes};
