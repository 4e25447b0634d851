//! The `score` line of a replay: what became of one event. Knows no file.

use caerus_engine::score::{Assessment, ScoreLine, Scored};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::decimal;
use crate::decision::{HypothesisName, PublicContribution, contributions};

/// Members in the contract's order (§3); absent subjects are `null`.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    event: &'a str,
    user: Option<&'a str>,
    session: Option<&'a str>,
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<&'a str>,
    score: Option<u8>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Outcome {
    Assessed {
        /// *Units*: nats.
        log_odds: Value,
        hypothesis: Option<HypothesisName>,
        hypotheses: Map<String, Value>,
        contributions: Vec<PublicContribution>,
    },
    Ignored {
        ignored: &'static str,
    },
}

/// One line of JSON without a line break.
pub fn to_json(line: &ScoreLine) -> String {
    let (score, outcome) = match &line.outcome {
        Scored::Assessed(assessment) => (Some(assessment.score.0), assessed(assessment)),
        Scored::Ignored(reason) => {
            let ignored = reason.name();
            (None, Outcome::Ignored { ignored })
        }
    };
    let line = Line {
        kind: "score",
        event: line.event.as_str(),
        user: line.user.as_ref().map(|user| user.as_str()),
        session: line.session.as_ref().map(|session| session.as_str()),
        device: line.device.as_ref().map(|device| device.as_str()),
        workload: line.workload.as_ref().map(|workload| workload.as_str()),
        score,
        outcome,
    };
    // Maps with text keys and finite numbers always have a JSON form.
    serde_json::to_string(&line).unwrap_or_default()
}

/// The line of an event that was read but is about nobody, or was refused for a named reason before it was judged.
pub fn ignored_to_json(event: &str, reason: &'static str) -> String {
    let line = Line {
        kind: "score",
        event,
        user: None,
        session: None,
        device: None,
        workload: None,
        score: None,
        outcome: Outcome::Ignored { ignored: reason },
    };
    serde_json::to_string(&line).unwrap_or_default()
}

fn assessed(assessment: &Assessment) -> Outcome {
    let mut hypotheses: Vec<_> = assessment.hypotheses.iter().collect();
    hypotheses.sort_unstable_by_key(|(hypothesis, _)| hypothesis.name());
    let hypotheses = hypotheses
        .into_iter()
        .map(|(hypothesis, score)| (hypothesis.name().to_owned(), Value::from(score.0)));
    Outcome::Assessed {
        log_odds: decimal::value(assessment.log_odds.0, 1e6),
        hypothesis: assessment.hypothesis.map(Into::into),
        hypotheses: hypotheses.collect(),
        contributions: contributions(&assessment.contributions),
    }
}

#[cfg(test)]
mod tests {
    use caerus_engine::id::{EventId, SessionId, UserId};
    use caerus_engine::number::{Nats, Points, Score};
    use caerus_engine::score::{Contribution, Hypothesis, IgnoreReason, Line};

    use super::*;

    fn line(outcome: Scored) -> ScoreLine {
        ScoreLine {
            event: EventId::new("e-17"),
            user: Some(UserId::new("alice")),
            session: Some(SessionId::new("s-81")),
            device: None,
            workload: None,
            outcome,
        }
    }

    #[test]
    fn an_assessed_event_has_every_member_of_the_contract() {
        let assessment = Assessment {
            score: Score(87),
            raw: Points(8_700),
            log_odds: Nats(-5_120_000),
            hypothesis: Some(Hypothesis::StolenCredential),
            hypotheses: vec![
                (Hypothesis::StolenCredential, Score(87)),
                (Hypothesis::HijackedSession, Score(12)),
            ],
            contributions: vec![Contribution {
                line: Line::Criticality,
                points: Points(8_700),
                event: None,
            }],
        };
        assert_eq!(
            to_json(&line(Scored::Assessed(assessment))),
            r#"{"type":"score","event":"e-17","user":"alice","session":"s-81","device":null,"score":87,"log_odds":-5.12,"hypothesis":"stolen_credential","hypotheses":{"hijacked_session":12,"stolen_credential":87},"contributions":[{"code":"CRITICALITY","points":87.0,"text":"what is at stake"}]}"#
        );
    }

    #[test]
    fn an_ignored_event_says_why() {
        assert_eq!(
            to_json(&line(Scored::Ignored(IgnoreReason::Repeat))),
            r#"{"type":"score","event":"e-17","user":"alice","session":"s-81","device":null,"score":null,"ignored":"repeat"}"#
        );
    }
}
