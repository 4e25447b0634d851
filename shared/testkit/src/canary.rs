//! Deliberate defects, each of which the auditor must notice: an alarm that was never heard to ring proves nothing.

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Canary {
    /// The store says that a batch is committed and keeps its position alone.
    StoreDropsCommits,
    /// Bus and store let a former owner go on.
    NobodyFences,
    /// The bus says that a record is durable and has lost it.
    BusLosesAppends,
    /// The bus forgets outputs but keeps that they are complete.
    BusLosesOutputs,
    /// A gateway passes over a decision as if there were none.
    GatewaySkipsDecisions,
    /// Gateways announce a moment without waiting for what was derived before it.
    ReportsHideDerived,
    /// Gateways announce a moment without having read what was decided before it.
    ReportsHideDecisions,
    /// Who resumes is told nothing of what lay between.
    ResumeLosesBetween,
}

impl Canary {
    pub const ALL: [Self; 8] = [
        Self::StoreDropsCommits,
        Self::NobodyFences,
        Self::BusLosesAppends,
        Self::BusLosesOutputs,
        Self::GatewaySkipsDecisions,
        Self::ReportsHideDerived,
        Self::ReportsHideDecisions,
        Self::ResumeLosesBetween,
    ];
}
