//! What one subscriber sees: its credential's tenants, narrowed by its own wish. Knows no socket and no queue.

use std::collections::BTreeSet;

use caerus_engine::id::TenantId;
use caerus_runtime::auth::Tenants;
use caerus_wire::stream;

use crate::picture::Entry;

/// The tenants a subscriber may see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Within {
    Every,
    These(BTreeSet<TenantId>),
}

impl From<&Tenants> for Within {
    fn from(tenants: &Tenants) -> Self {
        match tenants {
            Tenants::All => Self::Every,
            Tenants::Some(tenants) => Self::These(tenants.clone()),
        }
    }
}

/// The tenants and apps of one subscriber.
///
/// INVARIANT (INV-10): it is made of the credential's tenants and only ever gets narrower.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    tenants: Within,
    /// Empty sees the decisions of every app.
    apps: BTreeSet<String>,
}

/// Nothing that was asked for may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential is for none of the tenants asked for")]
pub struct NothingAllowed;

impl Filter {
    /// The credential's tenants, narrowed to what is wished for.
    ///
    /// *Errors*: when tenants were wished for and the credential is for none of them.
    pub fn narrow(allowed: Within, wish: &stream::Filter) -> Result<Self, NothingAllowed> {
        let mut wished = wish.tenants.iter().map(|name| TenantId::new(name.as_str()));
        let tenants = match allowed {
            allowed if wish.tenants.is_empty() => allowed,
            Within::Every => Within::These(wished.collect()),
            Within::These(allowed) => Within::These(
                wished
                    .by_ref()
                    .filter(|one| allowed.contains(one))
                    .collect(),
            ),
        };
        if matches!(&tenants, Within::These(these) if these.is_empty()) {
            return Err(NothingAllowed);
        }
        Ok(Self {
            tenants,
            apps: wish.apps.clone(),
        })
    }

    /// True when the decision is for this subscriber. One that names no app is for every app.
    ///
    /// The app of the target alone counts: a decision replaces another of the same target, so what a subscriber
    /// was shown can never be replaced by something it is not shown.
    pub fn admits(&self, entry: &Entry) -> bool {
        let is_tenant = match &self.tenants {
            Within::Every => true,
            Within::These(these) => these.contains(&entry.tenant),
        };
        let is_app = match &entry.app {
            Some(app) => self.apps.is_empty() || self.apps.contains(&**app),
            None => true,
        };
        is_tenant && is_app
    }

    /// Names the filter in cursors: the same for the same tenants and apps, on every gateway.
    pub fn hash(&self) -> u64 {
        let narrowed = stream::Filter {
            tenants: BTreeSet::new(),
            apps: self.apps.clone(),
        };
        match &self.tenants {
            Within::Every => narrowed.hash(None),
            Within::These(these) => {
                let names = these.iter().map(ToString::to_string).collect();
                narrowed.hash(Some(&names))
            }
        }
    }

    /// *Returns*: empty for every tenant.
    pub fn tenants(&self) -> Vec<TenantId> {
        match &self.tenants {
            Within::Every => Vec::new(),
            Within::These(these) => these.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn these(names: &[&str]) -> Within {
        Within::These(names.iter().map(|name| TenantId::new(*name)).collect())
    }

    fn wish(tenants: &[&str], apps: &[&str]) -> stream::Filter {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        stream::Filter {
            tenants: names(tenants),
            apps: names(apps),
        }
    }

    #[test]
    fn a_wish_narrows_the_credential_and_never_widens_it() {
        let credential = || these(&["acme", "globex"]);
        let cases: [(Within, &[&str], Result<Within, NothingAllowed>); 5] = [
            (credential(), &[], Ok(credential())),
            (credential(), &["acme", "umbrella"], Ok(these(&["acme"]))),
            (credential(), &["umbrella"], Err(NothingAllowed)),
            (Within::Every, &["acme"], Ok(these(&["acme"]))),
            (Within::Every, &[], Ok(Within::Every)),
        ];
        for (allowed, wished, expected) in cases {
            let narrowed = Filter::narrow(allowed, &wish(wished, &[]));
            assert_eq!(narrowed.map(|filter| filter.tenants), expected);
        }
        let nobody = Filter::narrow(these(&[]), &wish(&[], &[]));
        assert_eq!(nobody, Err(NothingAllowed));
    }

    #[test]
    fn filters_that_differ_have_names_that_differ() {
        let filters = [
            (Within::Every, wish(&[], &[])),
            (these(&["a"]), wish(&[], &[])),
            (these(&["a", "b"]), wish(&[], &[])),
            (Within::Every, wish(&[], &["a"])),
            (these(&["a"]), wish(&[], &["b"])),
        ];
        let names: BTreeSet<u64> = filters
            .iter()
            .map(|(allowed, wish)| Filter::narrow(allowed.clone(), wish).unwrap().hash())
            .collect();
        assert_eq!(names.len(), filters.len());
        let narrowed = Filter::narrow(these(&["a", "b"]), &wish(&["a"], &[])).unwrap();
        assert!(names.contains(&narrowed.hash()), "seen alike, named alike");
    }
}
