//! Which set is in force when files change: the last good one stays. Knows no clock, no files and no watch.

use std::sync::Arc;

use caerus_engine::decide::Policy;

use crate::problem::PolicyProblem;
use crate::set::PolicySet;

/// What came of new files.
#[derive(Debug)]
pub enum Replacement {
    /// They are good and say something else than those in force.
    New(Arc<PolicySet>),
    /// They are what is in force already.
    Same,
    /// They are not good; what was in force stays.
    Kept(Vec<PolicyProblem>),
}

/// The one set in force.
#[derive(Clone, Debug)]
pub struct PolicySlot {
    current: Arc<PolicySet>,
}

impl PolicySlot {
    pub fn new(set: PolicySet) -> Self {
        Self {
            current: Arc::new(set),
        }
    }

    pub fn current(&self) -> &Arc<PolicySet> {
        &self.current
    }

    /// Takes the files' set if it is good.
    ///
    /// INVARIANT (INV-7): files that do not load leave the last good set in force; they never widen access.
    pub fn replace_or_keep<N: AsRef<str>, T: AsRef<str>>(
        &mut self,
        files: &[(N, T)],
    ) -> Replacement {
        match PolicySet::load(files) {
            Err(problems) => Replacement::Kept(problems),
            Ok(set) if set.revision() == self.current.revision() => Replacement::Same,
            Ok(set) => {
                self.current = Arc::new(set);
                Replacement::New(Arc::clone(&self.current))
            }
        }
    }
}
