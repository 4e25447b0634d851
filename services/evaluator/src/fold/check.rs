//! The named invariants that can be seen from what one step gave, checked in tests and in production alike.

use std::collections::BTreeMap;

use caerus_engine::decide::{Decision, Mode};
use caerus_engine::id::{SubjectHash, TenantId};
use caerus_engine::number::Points;
use caerus_engine::score::{Assessment, ScoreLine, Scored};

/// A promise of the house that was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breach {
    /// INV-1: a subject's generation did not rise.
    GenerationFell,
    /// INV-3: contributions do not add up to the score, or there is no reason.
    DoesNotAddUp,
    /// INV-10: a step spoke about another tenant, or about a target that its record does not own.
    CrossedOver,
}

impl Breach {
    pub fn name(self) -> &'static str {
        match self {
            Self::GenerationFell => "INV-1",
            Self::DoesNotAddUp => "INV-3",
            Self::CrossedOver => "INV-10",
        }
    }
}

/// Subjects whose last generation is remembered. Beyond it the memory starts anew: the check is a guard, not the truth,
/// which is the counter in the record.
const SUBJECTS_WATCHED: usize = 65_536;

/// Remembers the last generation of each subject that decided.
#[derive(Clone, Debug, Default)]
pub struct GenerationWatch {
    last: BTreeMap<(SubjectHash, Mode), u64>,
}

impl GenerationWatch {
    /// INVARIANT (INV-1): a subject's generations never fall.
    pub fn check(&mut self, subject: SubjectHash, decision: &Decision) -> Result<(), Breach> {
        if self.last.len() >= SUBJECTS_WATCHED {
            self.last.clear();
        }
        let former = self
            .last
            .insert((subject, decision.mode), decision.generation);
        match former {
            Some(former) if former >= decision.generation => Err(Breach::GenerationFell),
            _ => Ok(()),
        }
    }
}

/// INVARIANT (INV-3): every decision has a reason, and its contributions add up to its score.
pub fn decision_adds_up(decision: &Decision) -> Result<(), Breach> {
    let total: Points = decision.contributions.iter().map(|c| c.points).sum();
    let has_reason = !decision.contributions.is_empty() || decision.action.severity() == 0;
    if has_reason && total.to_score() == decision.score {
        Ok(())
    } else {
        Err(Breach::DoesNotAddUp)
    }
}

/// INVARIANT (INV-3): the same for a score line.
pub fn score_adds_up(line: &ScoreLine) -> Result<(), Breach> {
    match &line.outcome {
        Scored::Assessed(assessment) if !adds_up(assessment) => Err(Breach::DoesNotAddUp),
        Scored::Assessed(_) | Scored::Ignored(_) => Ok(()),
    }
}

fn adds_up(assessment: &Assessment) -> bool {
    let total: Points = assessment.contributions.iter().map(|c| c.points).sum();
    total == assessment.raw && total.to_score() == assessment.score
}

/// INVARIANT (INV-10): nothing crosses tenants, and a step decides only about targets its own record owns.
pub fn stays_at_home(
    tenant: &TenantId,
    subject: SubjectHash,
    decision: &Decision,
) -> Result<(), Breach> {
    let owner = decision.target.owner(&decision.tenant).hash();
    if decision.tenant == *tenant && owner == subject && decision.id.owner == subject {
        Ok(())
    } else {
        Err(Breach::CrossedOver)
    }
}
