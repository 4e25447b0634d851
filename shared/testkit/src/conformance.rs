//! One suite of rules for each port: every adapter passes all of it. Knows no adapter; an adapter's tests expand the suites.
//!
//! A rule is a function over the port; a suite's macro makes a test of each. The macro takes an expression that opens
//! an empty port, and whatever must live as long:
//!
//! ```ignore
//! mod memory { caerus_testkit::bus_suite!((MemoryBus::new(LogId(1), 4), ())); }
//! mod sqlite { caerus_testkit::durable_bus_suite!((|| open(&folder), folder)); }
//! ```

pub mod bus;
pub mod durable;
pub mod ledger;
pub mod record_store;

use caerus_runtime::port::{PortErrorKind, PortResult};

/// Makes a test of each rule of a suite.
#[doc(hidden)]
#[macro_export]
macro_rules! rules {
    ($suite:ident, $open:expr, $($rule:ident)*) => {$(
        #[tokio::test]
        async fn $rule() -> caerus_runtime::port::PortResult<()> {
            // The second part outlives the rule: it owns the folder.
            let (port, _kept) = $open;
            $crate::conformance::$suite::$rule(port).await
        }
    )*};
}

/// Why it was refused; `None` when it was done.
pub(crate) fn refusal<T>(outcome: PortResult<T>) -> Option<PortErrorKind> {
    outcome.err().map(|error| error.kind)
}

/// Of an outcome that must be a refusal: its kind and its text.
pub(crate) fn refusal_text<T>(outcome: PortResult<T>) -> (Option<PortErrorKind>, String) {
    match outcome {
        Ok(_) => (None, String::new()),
        Err(error) => (Some(error.kind), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The names that follow `before` in a source, up to the first character no name holds.
    fn rules(source: &str) -> BTreeSet<&str> {
        source
            .split("\npub async fn ")
            .skip(1)
            .filter_map(|rest| rest.split(['(', '<']).next())
            .collect()
    }

    fn expanded<'a>(source: &'a str, suites: &[&str]) -> BTreeSet<&'a str> {
        suites
            .iter()
            .filter_map(|suite| source.split(suite).nth(1))
            .filter_map(|rest| rest.split(';').next())
            .flat_map(str::split_whitespace)
            .collect()
    }

    #[test]
    fn every_rule_written_is_a_test_of_its_suite() {
        let suites = [
            (include_str!("conformance/bus.rs"), &["bus, $open,"][..]),
            (
                include_str!("conformance/record_store.rs"),
                &["record_store, $open,"],
            ),
            (include_str!("conformance/ledger.rs"), &["ledger, $open,"]),
            (
                include_str!("conformance/durable.rs"),
                &[
                    "durable, $open, // bus",
                    "durable, $open, // record store",
                    "durable, $open, // ledger",
                ],
            ),
        ];
        for (source, expansions) in suites {
            let written = rules(source);
            assert!(!written.is_empty());
            assert_eq!(expanded(source, expansions), written);
        }
    }
}
