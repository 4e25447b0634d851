//! The process's environment, as a map that tests make up. Knows no key.

use std::collections::BTreeMap;

/// Variables by name, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// That of this process. What is not UTF-8 is read with replacement characters, and then refused by its kind.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os().map(|(name, value)| {
            let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
            (text(name), text(value))
        });
        Self {
            variables: variables.collect(),
        }
    }

    pub fn from_pairs<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            variables: BTreeMap::from(owned),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Which lines the log has: `RUST_LOG`.
    pub fn log_filter(&self) -> Option<&str> {
        self.get("RUST_LOG").filter(|text| !text.is_empty())
    }

    /// `NO_COLOR`, set and not empty. *Source*: no-color.org.
    pub fn forbids_colour(&self) -> bool {
        self.get("NO_COLOR").is_some_and(|text| !text.is_empty())
    }

    /// Those whose names begin with `prefix`, without it.
    pub(super) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables
            .range(prefix.to_owned()..)
            .map_while(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}
