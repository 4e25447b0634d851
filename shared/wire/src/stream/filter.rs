//! What a subscriber wants to see of what it may see.

use std::collections::BTreeSet;

use caerus_engine::id::short_hash;
use serde::{Deserialize, Deserializer, Serialize};

use super::{FILTER_NAMES_MAX, FrameError};
use crate::decision::PublicDecision;

/// Narrows what the credential may see; empty lists do not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tenants: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub apps: BTreeSet<String>,
}

/// `null` counts as absent, for the filter and for its members.
impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        struct Members {
            #[serde(default)]
            tenants: Option<BTreeSet<String>>,
            #[serde(default)]
            apps: Option<BTreeSet<String>>,
        }
        let members = Option::<Members>::deserialize(deserializer)?.unwrap_or_default();
        Ok(Self {
            tenants: members.tenants.unwrap_or_default(),
            apps: members.apps.unwrap_or_default(),
        })
    }
}

impl Filter {
    /// A decision that names no app is always wanted: it holds for every one.
    pub fn admits(&self, decision: &PublicDecision) -> bool {
        let is_tenant = self.tenants.is_empty() || self.tenants.contains(&decision.tenant);
        let is_app = match &decision.target.app {
            Some(app) => self.apps.is_empty() || self.apps.contains(app),
            None => true,
        };
        is_tenant && is_app
    }

    /// Names what a cursor was made for: this filter, over the tenants the credential may see (`None`: every tenant).
    /// A cursor made for less would hide what lies before it.
    pub fn hash(&self, allowed: Option<&BTreeSet<String>>) -> u64 {
        let list = |names: &BTreeSet<String>| {
            let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
            short_hash(&names).to_le_bytes()
        };
        let (is_bounded, allowed) = match allowed {
            None => (0, [0; 8]),
            Some(tenants) => (1, list(tenants)),
        };
        short_hash(&[
            &list(&self.tenants),
            &list(&self.apps),
            &[is_bounded],
            &allowed,
        ])
    }

    pub(super) fn check(&self) -> Result<(), FrameError> {
        for (member, names) in [
            ("filter.tenants", &self.tenants),
            ("filter.apps", &self.apps),
        ] {
            if names.len() > FILTER_NAMES_MAX {
                return Err(FrameError::BadLength {
                    member,
                    len: names.len(),
                    of: "entries",
                    min: 0,
                    max: FILTER_NAMES_MAX,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_show_different_decisions_have_different_names() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let filter = |tenants: &[&str], apps: &[&str]| Filter {
            tenants: names(tenants),
            apps: names(apps),
        };
        let allowed: BTreeSet<String> = names(&["a"]);
        let hashes = BTreeSet::from([
            filter(&[], &[]).hash(None),
            filter(&["a"], &[]).hash(None),
            filter(&[], &["a"]).hash(None),
            filter(&["a", "b"], &[]).hash(None),
            filter(&["a"], &["b"]).hash(None),
            filter(&[], &[]).hash(Some(&allowed)),
            filter(&[], &[]).hash(Some(&BTreeSet::new())),
        ]);
        assert_eq!(hashes.len(), 7);
    }

    #[test]
    fn null_and_empty_lists_do_not_narrow() {
        for text in [
            "null",
            "{}",
            r#"{"tenants":null,"apps":[]}"#,
            r#"{"other":1}"#,
        ] {
            assert_eq!(
                serde_json::from_str::<Filter>(text).unwrap(),
                Filter::default(),
                "{text}"
            );
        }
    }
}
