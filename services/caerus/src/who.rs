//! `caerus who`: how a user stands, in which sessions, and what is in force against them.

use std::collections::BTreeSet;

use anyhow::Context as _;
use caerus_runtime::auth::first::ADMIN_FILE;
use caerus_runtime::config::Environment;
use caerus_wire::api::{Listing, SubjectView};
use caerus_wire::decision::PublicDecision;
use clap::Parser;

use crate::client::{Client, Connection};
use crate::exit::{Ended, Failure, tell};
use crate::terminal::{Layout, Paint, Tone, printable};
use crate::{ask, run, show, terminal};

/// Sessions shown unless all are asked for; the latest seen come first.
const SESSIONS_SHOWN: usize = 15;
/// Reasons told of each session.
const REASONS: usize = 2;

const AFTER_HELP: &str = "\
Shows how the user stands, the sessions seen (the latest first), and the decisions in force for the user or for a device \
of one of the sessions. With --json: one object with members `subject`, `sessions` and `decisions`.";

#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The user, as events name them
    #[arg(value_name = "USER")]
    user: String,
    /// The tenant [default: the credential's only one, else `default`]
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Every session, not only the latest
    #[arg(long)]
    all: bool,
    /// JSON instead of tables
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Ended {
    let environment = Environment::of_process();
    let client = args.connection.client(&environment, ADMIN_FILE)?;
    let paint = Paint::of_stdout(&environment);
    run::to_end(async move {
        let known = fetch(&client, args).await?;
        if args.json {
            return terminal::print(&format!("{}\n", known.json()?));
        }
        let shown = if args.all { usize::MAX } else { SESSIONS_SHOWN };
        terminal::print(&known.text(shown, paint, Layout::of_stdout()))?;
        let hidden = known.sessions.len().saturating_sub(shown);
        if hidden > 0 {
            tell(&format!(
                "{hidden} older sessions are not shown; --all does"
            ));
        }
        Ok(())
    })
}

/// What is known of one user.
#[derive(Debug)]
struct Known {
    /// What stands highest of the user: a session's assessment, or the user's own.
    subject: SubjectView,
    /// The latest seen first.
    sessions: Vec<SubjectView>,
    decisions: Vec<PublicDecision>,
}

async fn fetch(client: &Client, args: &Args) -> Result<Known, Failure> {
    let tenant = args.tenant.as_deref();
    let user = Some(args.user.as_str());
    let named = [("tenant", tenant), ("kind", Some("user")), ("name", user)];
    let subjects: Listing<SubjectView> =
        ask::get(client, &ask::path("/v1/subjects", &named)).await?;
    let mut subjects = subjects.entries.into_iter();
    let subject = subjects.next().context("the answer names nobody")?;
    let tenant = Some(subject.tenant.as_str());
    let asked = [("tenant", tenant), ("user", user)];
    let mut sessions: Vec<SubjectView> = ask::list(client, "/v1/sessions", &asked).await?;
    sessions.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.session.cmp(&b.session)));
    let asked = [("active", Some("true")), ("tenant", tenant)];
    let active: Listing<PublicDecision> =
        ask::get(client, &ask::path("/v1/decisions", &asked)).await?;
    let decisions = concerning(active.entries, &args.user, &sessions);
    Ok(Known {
        subject,
        sessions,
        decisions,
    })
}

/// Those that name the user, and those for a device of a session that name no user.
fn concerning(
    active: Vec<PublicDecision>,
    user: &str,
    sessions: &[SubjectView],
) -> Vec<PublicDecision> {
    let devices: BTreeSet<&str> = sessions
        .iter()
        .filter_map(|session| session.device.as_deref())
        .collect();
    let concerns =
        |decision: &PublicDecision| match (&decision.target.user, &decision.target.device) {
            (Some(named), _) => named == user,
            (None, Some(device)) => devices.contains(device.as_str()),
            (None, None) => false,
        };
    active.into_iter().filter(concerns).collect()
}

impl Known {
    fn json(&self) -> anyhow::Result<String> {
        let known = serde_json::json!({
            "subject": self.subject,
            "sessions": self.sessions,
            "decisions": self.decisions,
        });
        serde_json::to_string(&known).context("could not write JSON")
    }

    fn text(&self, sessions_shown: usize, paint: Paint, layout: Layout) -> String {
        let mut text = format!("{}\n\n", self.head(paint));
        let rows: Vec<Vec<String>> = self.sessions.iter().take(sessions_shown).map(row).collect();
        if rows.is_empty() {
            text.push_str("no session was seen\n");
        } else {
            let header = ["SESSION", "DEVICE", "SCORE", "HYPOTHESIS", "SEEN", "WHY"];
            text.push_str(&terminal::table(&header, rows, layout));
        }
        text.push('\n');
        if self.decisions.is_empty() {
            text.push_str("nothing is in force\n");
            return text;
        }
        text.push_str("in force\n");
        for decision in &self.decisions {
            text.push_str(&format!("  {}\n", show::line(decision, paint)));
            let id = format!("    caerus explain {}", printable(&decision.id));
            text.push_str(&paint.tone(Tone::Faint, &id));
            text.push('\n');
        }
        text
    }

    fn head(&self, paint: Paint) -> String {
        let SubjectView {
            name,
            tenant,
            score,
            level,
            at,
            ..
        } = &self.subject;
        let name = paint.tone(Tone::Strong, &printable(name));
        let standing = paint.level(*level, &format!("{score} {}", level.name()));
        let sessions = self.sessions.len();
        format!(
            "{name}, tenant {}: {standing} at most over {sessions} sessions (seen {})",
            printable(tenant),
            show::moment(*at)
        )
    }
}

fn row(session: &SubjectView) -> Vec<String> {
    let hypothesis = session
        .hypothesis
        .map(|name| name.name().replace('_', " "))
        .unwrap_or_default();
    vec![
        session.session.clone().unwrap_or_default(),
        session.device.clone().unwrap_or_default(),
        format!("{} {}", session.score, session.level.name()),
        hypothesis,
        show::moment(session.at),
        why(session),
    ]
}

/// What speaks most against it.
fn why(session: &SubjectView) -> String {
    let against = session
        .contributions
        .iter()
        .filter(|line| line.code != "PRIOR" && line.points.0 > 0);
    let texts: Vec<&str> = against
        .filter_map(|line| line.text.as_deref())
        .take(REASONS)
        .collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample::revoke;

    fn view(session: &str, device: &str) -> SubjectView {
        let json = format!(
            r#"{{"tenant":"acme","kind":"user","name":"alice@acme.example","session":"{session}",
            "device":"{device}","score":87,"level":"HIGH","hypothesis":"stolen_credential","hypotheses":{{}},
            "contributions":[{{"code":"PRIOR","points":16.26,"text":"start"}},
            {{"code":"TRAVEL","points":70.0,"text":"too far"}},{{"code":"X","points":-3.0,"text":"calm"}}],
            "event":"e-17","at":"2026-11-21T10:00:05.120Z"}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn known(sessions: Vec<SubjectView>, decisions: Vec<PublicDecision>) -> Known {
        Known {
            subject: view("s-81", "laptop"),
            sessions,
            decisions,
        }
    }

    #[test]
    fn a_user_is_told_by_sessions_and_what_is_in_force() {
        let known = known(
            vec![view("s-81", "laptop"), view("s-9", "phone")],
            vec![revoke()],
        );
        let expected = "\
alice@acme.example, tenant acme: 87 HIGH at most over 2 sessions (seen 2026-11-21 10:00:05Z)

SESSION  DEVICE  SCORE    HYPOTHESIS         SEEN                  WHY
s-81     laptop  87 HIGH  stolen credential  2026-11-21 10:00:05Z  too far

in force
  2026-11-21 10:00:05Z  REVOKE     87  [acme] alice@acme.example, session s-81: 5,215 km in 41 minutes: Berlin, then Lagos
    caerus explain d-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0b0b0b0b0b0b0b0b
";
        assert_eq!(known.text(1, Paint::Plain, Layout::Plain), expected);
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let text = known(Vec::new(), Vec::new()).text(1, Paint::Plain, Layout::Plain);
        assert!(
            text.ends_with("\n\nno session was seen\n\nnothing is in force\n"),
            "{text}"
        );
    }

    #[test]
    fn a_decision_concerns_its_user_and_whoever_uses_its_device() {
        let of = |user: Option<&str>, device: Option<&str>| {
            let mut decision = revoke();
            decision.target.user = user.map(str::to_owned);
            decision.target.session = None;
            decision.target.device = device.map(str::to_owned);
            decision
        };
        let sessions = [view("s-81", "laptop")];
        for (user, device, expected) in [
            (Some("alice"), None, 1),
            (Some("bob"), None, 0),
            (Some("bob"), Some("laptop"), 0),
            (None, Some("laptop"), 1),
            (None, Some("phone"), 0),
        ] {
            let found = concerning(vec![of(user, device)], "alice", &sessions);
            assert_eq!(found.len(), expected, "{user:?} {device:?}");
        }
    }
}
