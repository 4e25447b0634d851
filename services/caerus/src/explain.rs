//! `caerus explain`: one decision, whole, with the arithmetic behind it and where it is in force.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use caerus_engine::id::DecisionId;
use caerus_engine::number::Points;
use caerus_engine::time::Timestamp;
use caerus_runtime::auth::first::ADMIN_FILE;
use caerus_runtime::config::Environment;
use caerus_wire::api::{Listing, ReceiptView};
use caerus_wire::decision::{ModeName, PublicContribution, PublicDecision};
use caerus_wire::moment;
use clap::Parser;
use serde_json::value::RawValue;

use crate::client::{Client, Connection};
use crate::exit::{Ended, Failure};
use crate::terminal::{Paint, Tone, printable};
use crate::{ask, duration, run, show, terminal};

const AFTER_HELP: &str = "\
The lines add up, to the hundredth, to the raw score; rounded and kept within 0 to 100 it is the score that the policy \
compares. With --json: one object with members `decision` and `receipts`.";

#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The decision's id, `d-…`
    #[arg(value_name = "DECISION_ID", value_parser = parse_id)]
    id: DecisionId,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

fn parse_id(text: &str) -> Result<DecisionId, String> {
    DecisionId::parse(text).ok_or_else(|| "expected `d-` and 48 hex digits".to_owned())
}

pub(crate) fn run(args: &Args) -> Ended {
    let environment = Environment::of_process();
    let client = args.connection.client(&environment, ADMIN_FILE)?;
    let paint = Paint::of_stdout(&environment);
    run::to_end(async move {
        let found = fetch(&client, args.id).await?;
        let text = if args.json {
            format!("{}\n", found.json()?)
        } else {
            text(&found.decision, &found.receipts, paint)
        };
        terminal::print(&text)
    })
}

struct Found {
    /// As the server told it, unknown members included.
    raw: Box<RawValue>,
    decision: PublicDecision,
    receipts: Vec<ReceiptView>,
}

async fn fetch(client: &Client, id: DecisionId) -> Result<Found, Failure> {
    let raw: Box<RawValue> = ask::get(client, &format!("/v1/decisions/{id}")).await?;
    let decision = PublicDecision::parse(raw.get().as_bytes())
        .map_err(|error| anyhow!(error).context("could not read the answer"))?;
    let receipts: Listing<ReceiptView> =
        ask::get(client, &format!("/v1/decisions/{id}/receipts")).await?;
    Ok(Found {
        raw,
        decision,
        receipts: receipts.entries,
    })
}

impl Found {
    fn json(&self) -> anyhow::Result<String> {
        let receipts = serde_json::to_string(&self.receipts).context("could not write JSON")?;
        let decision = self.raw.get();
        Ok(format!(
            r#"{{"decision":{decision},"receipts":{receipts}}}"#
        ))
    }
}

fn text(decision: &PublicDecision, receipts: &[ReceiptView], paint: Paint) -> String {
    let mut text = format!(
        "{} {}\n\n",
        show::action(decision, paint).trim_end(),
        paint.tone(Tone::Strong, &show::whom(&decision.target)),
    );
    text.push_str(&facts(decision, paint));
    text.push('\n');
    text.push_str(&arithmetic(decision, paint));
    text.push('\n');
    text.push_str(&in_force(decision, receipts));
    text
}

fn facts(decision: &PublicDecision, paint: Paint) -> String {
    let mut facts = vec![
        ("id", decision.id.clone()),
        ("tenant", decision.tenant.clone()),
        ("score", score(decision)),
        ("rule", rule(decision)),
        ("cause", decision.cause.clone()),
        ("issued", issued(decision)),
        ("expires", moment::to_text(decision.expires_at)),
        ("generation", decision.generation.to_string()),
    ];
    if decision.mode == ModeName::Shadow {
        facts.push(("mode", "shadow: no enforcement point is told".to_owned()));
    }
    facts.extend(demands(decision));
    if let Some(latency) = latency(decision) {
        facts.push(("decided", latency));
    }
    if let Some(trace) = &decision.trace {
        facts.push(("trace", trace.clone()));
    }
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in facts {
        let name = paint.tone(Tone::Faint, &format!("{name:<width$}"));
        line(&mut text, &format!("  {name}  {}", printable(&value)));
    }
    text
}

/// What the decision asks for, beyond its action.
fn demands(decision: &PublicDecision) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(requires) = &decision.requires {
        let classes: Vec<&str> = requires.acr_values.iter().map(String::as_str).collect();
        let age = requires
            .max_age_s
            .map(|seconds| format!(", no longer ago than {seconds} s"));
        let required = format!("{}{}", classes.join(" or "), age.unwrap_or_default());
        facts.push(("requires", required));
    }
    if let Some(restricts) = &decision.restricts {
        let above = restricts
            .sensitivity_above
            .map(|above| format!("what is more sensitive than {above}"));
        let apps: Vec<&str> = restricts.apps.iter().map(String::as_str).collect();
        let apps = (!apps.is_empty()).then(|| format!("the apps {}", apps.join(", ")));
        let covered: Vec<String> = above.into_iter().chain(apps).collect();
        facts.push(("restricts", covered.join(" and ")));
    }
    if let Some(before) = decision.issued_before {
        let cut_off = moment::to_text(before);
        facts.push(("holds for", format!("credentials issued before {cut_off}")));
    }
    if !decision.except_sessions.is_empty() {
        let sessions: Vec<&str> = decision
            .except_sessions
            .iter()
            .map(String::as_str)
            .collect();
        facts.push(("except", format!("sessions {}", sessions.join(", "))));
    }
    facts
}

fn score(decision: &PublicDecision) -> String {
    let hypothesis = decision
        .hypothesis
        .map(|name| name.name().replace('_', " "));
    let hypothesis = hypothesis.map(|name| format!(", {name}"));
    format!(
        "{} {}{}",
        decision.score,
        decision.level.name(),
        hypothesis.unwrap_or_default()
    )
}

fn rule(decision: &PublicDecision) -> String {
    let rule = decision.policy.rule.as_deref();
    let rule = rule.unwrap_or("none: an operator decided");
    format!("{rule} ({})", decision.policy.revision)
}

fn issued(decision: &PublicDecision) -> String {
    moment::to_text(decision.issued_at)
}

fn latency(decision: &PublicDecision) -> Option<String> {
    let (received, decided) = (decision.received_at?, decision.decided_at?);
    let took = decided.since(received).0;
    Some(format!(
        "{}, {took} ms after it was taken in",
        moment::to_text(decided)
    ))
}

/// The lines, their sum, and what the sum comes to.
fn arithmetic(decision: &PublicDecision, paint: Paint) -> String {
    let lines = &decision.contributions;
    let raw = decision.raw_points();
    let points: Vec<String> = lines.iter().map(|line| signed(line.points)).collect();
    let sum = raw.to_string();
    let width = points
        .iter()
        .map(String::len)
        .chain([sum.len()])
        .max()
        .unwrap_or(0);
    let code_width = lines.iter().map(|line| line.code.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (contribution, points) in lines.iter().zip(points) {
        let points = tinted(contribution.points, &format!("{points:>width$}"), paint);
        let code = paint.tone(
            Tone::Faint,
            &format!("{:<code_width$}", printable(&contribution.code)),
        );
        line(
            &mut text,
            &format!("  {points}  {code}  {}", why(contribution, paint)),
        );
    }
    line(&mut text, &format!("  {}", "─".repeat(width)));
    let sum = paint.tone(Tone::Strong, &format!("{sum:>width$}"));
    line(&mut text, &format!("  {sum}  {}", comes_to(decision, raw)));
    text
}

fn signed(points: Points) -> String {
    if points.0 < 0 {
        points.to_string()
    } else {
        format!("+{points}")
    }
}

fn tinted(points: Points, text: &str, paint: Paint) -> String {
    match points.0 {
        ..0 => paint.tone(Tone::Good, text),
        _ => text.to_owned(),
    }
}

fn why(contribution: &PublicContribution, paint: Paint) -> String {
    let text = printable(contribution.text.as_deref().unwrap_or_default());
    let event = contribution.event.as_deref();
    let event = event.map(|event| paint.tone(Tone::Faint, &format!("  [{}]", printable(event))));
    format!("{text}{}", event.unwrap_or_default())
}

/// INVARIANT (INV-3): a sum that is not the score is said to be wrong, never smoothed over.
fn comes_to(decision: &PublicDecision, raw: Points) -> String {
    let score = decision.score;
    if raw.to_score().0 != score {
        return format!("does not come to the score {score}: the decision is damaged");
    }
    match raw.0 {
        ..0 => format!("less than nothing, so score {score}"),
        10_000.. => format!("score {score}, the most there is"),
        _ => format!("score {score}"),
    }
}

fn in_force(decision: &PublicDecision, receipts: &[ReceiptView]) -> String {
    let mut text = String::new();
    if receipts.is_empty() {
        let said = match decision.mode {
            ModeName::Enforce => "no enforcement point has acknowledged it",
            ModeName::Shadow => "in force nowhere",
        };
        line(&mut text, said);
        return text;
    }
    line(&mut text, "in force at");
    for receipt in receipts {
        let since = moment::to_text(receipt.in_force_at);
        let took = decision
            .received_at
            .map(|received| after(received, receipt.in_force_at));
        line(
            &mut text,
            &format!(
                "  {} ({}) since {since}{}",
                printable(&receipt.enforcement_point),
                printable(&receipt.client),
                took.unwrap_or_default()
            ),
        );
    }
    text
}

fn after(received: Timestamp, in_force: Timestamp) -> String {
    let span = in_force.since(received);
    let told = if span.0 < 1_000 {
        format!("{} ms", span.0)
    } else {
        duration::words(span)
    };
    format!(", {told} after it was taken in")
}

fn line(text: &mut String, line: &str) {
    // Writing into a string cannot fail.
    if writeln!(text, "{line}").is_err() {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample::revoke;

    #[test]
    fn the_whole_decision_is_told_aligned() {
        let receipt = ReceiptView {
            enforcement_point: "edge".to_owned(),
            client: "nginx-7".to_owned(),
            in_force_at: moment::parse("2026-11-21T10:00:05.140Z").unwrap(),
        };
        let expected = "\
REVOKE alice@acme.example, session s-81

  id          d-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0b0b0b0b0b0b0b0b
  tenant      acme
  score       87 HIGH, stolen credential
  rule        revoke-on-critical (sha256:00ff)
  cause       e-17
  issued      2026-11-21T10:00:05.120Z
  expires     2026-11-22T10:00:05.120Z
  generation  3
  decided     2026-11-21T10:00:05.131Z, 12 ms after it was taken in

  +16.26  PRIOR       where every assessment starts
  +78.04  TRAVEL      5,215 km in 41 minutes: Berlin, then Lagos  [e-17]
   -7.59  AUTH_CHAIN  signed in with a confirmed prompt  [e-17]
  ──────
   86.71  score 87

in force at
  edge (nginx-7) since 2026-11-21T10:00:05.140Z, 21 ms after it was taken in
";
        assert_eq!(text(&revoke(), &[receipt], Paint::Plain), expected);
    }

    #[test]
    fn what_a_step_up_demands_is_said() {
        let mut decision = revoke();
        decision.requires =
            serde_json::from_str(r#"{"acr_values":["a","b"],"max_age_s":900}"#).unwrap();
        decision.restricts =
            serde_json::from_str(r#"{"sensitivity_above":2,"apps":["x"]}"#).unwrap();
        decision.issued_before = Some(decision.issued_at);
        decision.except_sessions = ["s-1".to_owned()].into();
        assert_eq!(
            demands(&decision),
            [
                ("requires", "a or b, no longer ago than 900 s".to_owned()),
                (
                    "restricts",
                    "what is more sensitive than 2 and the apps x".to_owned()
                ),
                (
                    "holds for",
                    "credentials issued before 2026-11-21T10:00:05.120Z".to_owned()
                ),
                ("except", "sessions s-1".to_owned()),
            ]
        );
    }

    #[test]
    fn the_sum_is_told_for_what_it_comes_to() {
        for (raw, score, said) in [
            (8_671, 87, "score 87"),
            (12_562, 100, "score 100, the most there is"),
            (-250, 0, "less than nothing, so score 0"),
            (
                5_000,
                87,
                "does not come to the score 87: the decision is damaged",
            ),
        ] {
            let mut decision = revoke();
            decision.score = score;
            assert_eq!(comes_to(&decision, Points(raw)), said, "{raw}");
        }
    }

    #[test]
    fn a_decision_nobody_acknowledged_says_so() {
        let mut decision = revoke();
        assert_eq!(
            in_force(&decision, &[]),
            "no enforcement point has acknowledged it\n"
        );
        decision.mode = ModeName::Shadow;
        assert_eq!(in_force(&decision, &[]), "in force nowhere\n");
    }

    #[test]
    fn an_id_is_known_by_its_form() {
        for text in ["", "d-1", "../v1/tokens", "d-zz"] {
            assert_eq!(
                parse_id(text),
                Err("expected `d-` and 48 hex digits".to_owned()),
                "{text}"
            );
        }
        assert!(parse_id(&revoke().id).is_ok());
    }
}
