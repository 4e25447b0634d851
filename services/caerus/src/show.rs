//! Decisions in words, for whoever looks at a terminal. Knows no connection.

use caerus_engine::time::Timestamp;
use caerus_wire::decision::{ActionName, ModeName, PublicDecision, PublicTarget};
use caerus_wire::moment;

use crate::terminal::{Paint, Tone, printable};

/// Reasons of one line; `caerus explain` gives them all.
const REASONS: usize = 3;
/// A tenant of this name goes without saying.
const DEFAULT_TENANT: &str = "default";

/// The action, padded to the longest.
pub(crate) fn action(decision: &PublicDecision, paint: Paint) -> String {
    let (word, tone) = match decision.action {
        ActionName::Revoke => ("REVOKE  ", Tone::Alarm),
        ActionName::StepUp => ("STEP-UP ", Tone::Warning),
        ActionName::Restrict => ("RESTRICT", Tone::Warning),
        ActionName::Clear => ("clear   ", Tone::Good),
    };
    paint.tone(tone, word)
}

/// Whom a decision is about, e.g. `alice, session s-81`.
pub(crate) fn whom(target: &PublicTarget) -> String {
    let members = [
        ("", &target.user),
        ("session ", &target.session),
        ("device ", &target.device),
        ("workload ", &target.workload),
        ("app ", &target.app),
    ];
    let given = members.into_iter().filter_map(|(what, name)| {
        let name = printable(name.as_deref()?);
        Some(format!("{what}{name}"))
    });
    given.collect::<Vec<_>>().join(", ")
}

/// The strongest reasons against whom it is about, in words.
pub(crate) fn reasons(decision: &PublicDecision) -> String {
    let against = decision
        .contributions
        .iter()
        .filter(|line| line.code != "PRIOR" && (line.points.0 > 0 || line.code == "OPERATOR"));
    let texts = against.filter_map(|line| line.text.as_deref());
    let texts: Vec<String> = texts.take(REASONS).map(printable).collect();
    texts.join("; ")
}

/// `2026-11-21 10:00:05Z`: the moment to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = moment::to_text(at.floor_second());
    let text = text.split('.').next().unwrap_or_default();
    format!("{}Z", text.replace('T', " "))
}

/// One decision in one line, aligned with the others: when, what, how sure, whom, and why.
pub(crate) fn line(decision: &PublicDecision, paint: Paint) -> String {
    let tenant = if decision.tenant == DEFAULT_TENANT {
        String::new()
    } else {
        format!("[{}] ", printable(&decision.tenant))
    };
    let mode = match decision.mode {
        ModeName::Enforce => "",
        ModeName::Shadow => "(shadow) ",
    };
    let when = paint.tone(Tone::Faint, &moment(decision.issued_at));
    let action = action(decision, paint);
    let score = paint.level(decision.level, &format!("{:>3}", decision.score));
    let whom = whom(&decision.target);
    let reasons = reasons(decision);
    let why = if reasons.is_empty() {
        String::new()
    } else {
        format!(": {reasons}")
    };
    format!("{when}  {action}  {score}  {mode}{tenant}{whom}{why}")
}

#[cfg(test)]
pub(crate) mod sample {
    use super::PublicDecision;

    /// A revoke of one session for travel, as the contract shows it.
    pub(crate) fn revoke() -> PublicDecision {
        let json = r#"{"v":1,"id":"d-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0b0b0b0b0b0b0b0b","tenant":"acme",
            "generation":3,"action":"revoke","mode":"enforce",
            "target":{"user":"alice@acme.example","session":"s-81"},"issued_before":null,
            "issued_at":"2026-11-21T10:00:05.120Z","expires_at":"2026-11-22T10:00:05.120Z",
            "requires":null,"restricts":null,"score":87,"level":"HIGH","hypothesis":"stolen_credential",
            "contributions":[{"code":"PRIOR","points":16.26,"text":"where every assessment starts"},
            {"code":"TRAVEL","points":78.04,"event":"e-17","text":"5,215 km in 41 minutes: Berlin, then Lagos"},
            {"code":"AUTH_CHAIN","points":-7.59,"event":"e-17","text":"signed in with a confirmed prompt"}],
            "policy":{"rule":"revoke-on-critical","revision":"sha256:00ff"},"cause":"e-17",
            "received_at":"2026-11-21T10:00:05.119Z","decided_at":"2026-11-21T10:00:05.131Z"}"#;
        PublicDecision::parse(json.as_bytes()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_one_line_with_what_speaks_against_it() {
        assert_eq!(
            line(&sample::revoke(), Paint::Plain),
            "2026-11-21 10:00:05Z  REVOKE     87  [acme] alice@acme.example, session s-81: \
             5,215 km in 41 minutes: Berlin, then Lagos"
        );
    }

    #[test]
    fn a_clear_without_reasons_ends_with_whom_it_is_about() {
        let mut decision = sample::revoke();
        decision.action = ActionName::Clear;
        decision.tenant = DEFAULT_TENANT.to_owned();
        decision.score = 4;
        decision.contributions.clear();
        assert_eq!(
            line(&decision, Paint::Plain),
            "2026-11-21 10:00:05Z  clear       4  alice@acme.example, session s-81"
        );
    }

    #[test]
    fn an_operators_reason_is_told_although_it_weighs_nothing() {
        let mut decision = sample::revoke();
        for contribution in &mut decision.contributions {
            contribution.code = "OPERATOR".to_owned();
            contribution.points.0 = 0;
            contribution.text = Some("lost \u{7}laptop".to_owned());
        }
        decision.contributions.truncate(1);
        assert_eq!(reasons(&decision), "lost \u{fffd}laptop");
    }

    #[test]
    fn colour_says_how_severe_it_is() {
        let line = line(&sample::revoke(), Paint::Colour);
        assert!(line.contains("\u{1b}[1;31mREVOKE  \u{1b}[0m"), "{line}");
    }
}
