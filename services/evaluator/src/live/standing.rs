//! Latest assessments for people who ask: rows made from score lines. Best effort: knows nothing of where they are kept.

use caerus_engine::id::TenantId;
use caerus_engine::score::{ScoreLine, Scored};
use caerus_engine::time::Timestamp;
use caerus_runtime::port::SubjectStanding;

/// The row of whom the line is about; `None` where nothing was assessed.
pub(crate) fn standing(
    tenant: &TenantId,
    line: &ScoreLine,
    at: Timestamp,
) -> Option<SubjectStanding> {
    let Scored::Assessed(assessment) = &line.outcome else {
        return None;
    };
    let (kind, name) = match (&line.user, &line.device, &line.workload) {
        (Some(user), _, _) => ("user", user.as_str()),
        (None, _, Some(workload)) => ("workload", workload.as_str()),
        (None, Some(device), None) => ("device", device.as_str()),
        (None, None, None) => return None,
    };
    let session = line.user.as_ref().and(line.session.as_ref());
    Some(SubjectStanding {
        tenant: tenant.clone(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        session: session.map(|session| session.as_str().to_owned()),
        score: assessment.score.0,
        at,
        json: caerus_wire::score_line::to_json(line),
    })
}
