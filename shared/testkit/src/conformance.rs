//! One suite of rules for each port: every adapter passes all of it. Knows no adapter; an adapter's tests expand the suites.
//!
//! A rule is a function over the port; a suite's macro makes a test of each. The macro takes an expression that opens
//! an empty port, and whatever must live as long:
//!
//! ```text
//! mod memory { caerus_testkit::bus_suite!((MemoryBus::new(LogId(1), 4), ())); }
//! mod sqlite { caerus_testkit::durable_bus_suite!((async move |partitions| open(partitions).await, folder)); }
//! ```

pub mod bus;
pub mod claim;
pub mod durable;
pub mod ledger;
pub mod outbox;
pub mod record_store;
pub mod register;
pub mod sources;

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

    /// Functions a source offers.
    fn written(source: &str) -> BTreeSet<&str> {
        source
            .split("\npub async fn ")
            .skip(1)
            .filter_map(|rest| rest.split(['(', '<']).next())
            .collect()
    }

    /// Names a suite's macros expand.
    fn expanded<'a>(source: &'a str, suite: &str) -> BTreeSet<&'a str> {
        let opening = format!("$crate::rules! {{ {suite}, $open,");
        source
            .split(opening.as_str())
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .flat_map(str::split_whitespace)
            .collect()
    }

    #[test]
    fn every_rule_written_is_a_test_of_its_suite() {
        let bus = include_str!("conformance/bus.rs");
        let ledger = include_str!("conformance/ledger.rs");
        let record_store = include_str!("conformance/record_store.rs");
        let sources = include_str!("conformance/sources.rs");
        let durable = include_str!("conformance/durable.rs");
        let cases = [
            ("bus", bus, bus),
            ("claim", include_str!("conformance/claim.rs"), bus),
            ("record_store", record_store, record_store),
            (
                "outbox",
                include_str!("conformance/outbox.rs"),
                record_store,
            ),
            ("ledger", ledger, ledger),
            ("register", include_str!("conformance/register.rs"), ledger),
            ("sources", sources, sources),
            ("durable", durable, durable),
        ];
        for (suite, rules, macros) in cases {
            assert!(!written(rules).is_empty(), "{suite}");
            assert_eq!(expanded(macros, suite), written(rules), "{suite}");
        }
    }
}
