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
}

impl Canary {
    pub const ALL: [Self; 4] = [
        Self::StoreDropsCommits,
        Self::NobodyFences,
        Self::BusLosesAppends,
        Self::BusLosesOutputs,
    ];
}
