//! `caerus revoke`, `step-up`, `restrict` and `clear`: an operator's own decision. Knows no engine.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow};
use caerus_engine::time::Span;
use caerus_runtime::auth::first::ADMIN_FILE;
use caerus_runtime::config::Environment;
use caerus_wire::api::{DEFAULT_ACR_VALUES, DecisionRequest, EXPIRES_IN_S_MAX};
use caerus_wire::decision::{ActionName, PublicRequires, PublicRestricts, PublicTarget};
use clap::Parser;
use serde::Deserialize;

use crate::client::{Answer, Connection};
use crate::exit::{Ended, Failure, tell};
use crate::{duration, run, terminal};

const AFTER_HELP: &str = "\
Prints the id of each decision made; `caerus explain ID` says where it is in force. A decision of an operator stands \
until it ends (--for, else after the default time) or is cleared; no milder decision of a policy replaces it.

  caerus revoke  --user alice@acme.example --reason 'laptop stolen' --for 8h
  caerus step-up --user alice@acme.example --session s-81 --reason 'odd downloads' --max-age 15m
  caerus clear   --user alice@acme.example --reason 'it was her'

`clear --user U` lifts every decision that holds that user, one by one.";

/// Whom it is about, why, and for how long.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
#[group(id = "whom", multiple = true, required = true, args = ["user", "device", "workload"])]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The user
    #[arg(long, value_name = "U")]
    user: Option<String>,
    /// One session of the user; without it, whatever the session
    #[arg(long, value_name = "S", requires = "user")]
    session: Option<String>,
    /// The device; without it, whatever the device
    #[arg(long, value_name = "D")]
    device: Option<String>,
    /// The workload (SPIFFE ID)
    #[arg(long, value_name = "W")]
    workload: Option<String>,
    /// The tenant [default: the credential's only one, else `default`]
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Why, in words: kept with the decision and in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// How long it stands, e.g. 15m, 8h, 2d; 31 days at most
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_life)]
    life: Option<u32>,
}

#[derive(Debug, Parser)]
pub(crate) struct StepUpArgs {
    #[command(flatten)]
    common: Args,
    /// A class (acr) that meets it; may be given again, any will do [default: urn:caerus:acr:mfa, urn:caerus:acr:phr]
    #[arg(long, value_name = "ACR")]
    acr: Vec<String>,
    /// How long ago the stronger sign-in may be, e.g. 15m
    #[arg(long, value_name = "DURATION", value_parser = parse_age)]
    max_age: Option<u32>,
}

#[derive(Debug, Parser)]
#[group(id = "what", multiple = true, required = true, args = ["sensitivity_above", "app"])]
pub(crate) struct RestrictArgs {
    #[command(flatten)]
    common: Args,
    /// Refuses requests more sensitive than this, 0 to 3
    #[arg(long, value_name = "N")]
    sensitivity_above: Option<u8>,
    /// Refuses requests to this app; may be given again
    #[arg(long, value_name = "A")]
    app: Vec<String>,
}

fn parse_life(text: &str) -> Result<u32, String> {
    let seconds = seconds(duration::parse(text)?)?;
    if seconds > EXPIRES_IN_S_MAX {
        return Err("a decision stands for 31 days at most".to_owned());
    }
    Ok(seconds)
}

fn parse_age(text: &str) -> Result<u32, String> {
    seconds(duration::parse(text)?)
}

fn seconds(span: Span) -> Result<u32, String> {
    u32::try_from(span.as_seconds()).map_err(|error| error.to_string())
}

impl Args {
    fn request(&self, action: ActionName) -> DecisionRequest {
        DecisionRequest {
            tenant: self.tenant.clone(),
            action,
            target: PublicTarget {
                user: self.user.clone(),
                session: self.session.clone(),
                device: self.device.clone(),
                workload: self.workload.clone(),
                app: None,
            },
            reason: self.reason.clone(),
            requires: None,
            restricts: None,
            expires_in_s: self.life,
        }
    }
}

impl StepUpArgs {
    fn request(&self) -> DecisionRequest {
        let mut request = self.common.request(ActionName::StepUp);
        request.requires = Some(PublicRequires {
            acr_values: self.acr_values(),
            max_age_s: self.max_age,
        });
        request
    }

    fn acr_values(&self) -> BTreeSet<String> {
        if self.acr.is_empty() {
            return DEFAULT_ACR_VALUES.map(str::to_owned).into();
        }
        self.acr.iter().cloned().collect()
    }
}

impl RestrictArgs {
    fn request(&self) -> DecisionRequest {
        let mut request = self.common.request(ActionName::Restrict);
        request.restricts = Some(PublicRestricts {
            sensitivity_above: self.sensitivity_above,
            apps: self.app.iter().cloned().collect::<BTreeSet<_>>(),
        });
        request
    }
}

pub(crate) fn revoke(args: &Args) -> Ended {
    decide(&args.connection, &args.request(ActionName::Revoke))
}

pub(crate) fn clear(args: &Args) -> Ended {
    decide(&args.connection, &args.request(ActionName::Clear))
}

pub(crate) fn step_up(args: &StepUpArgs) -> Ended {
    decide(&args.common.connection, &args.request())
}

pub(crate) fn restrict(args: &RestrictArgs) -> Ended {
    decide(&args.common.connection, &args.request())
}

/// The answer 202.
#[derive(Debug, Deserialize)]
struct Decided {
    ids: Vec<String>,
    cause: String,
}

fn decide(connection: &Connection, request: &DecisionRequest) -> Ended {
    let body = body(request)?;
    let client = connection.client(&Environment::of_process(), ADMIN_FILE)?;
    run::to_end(async move {
        let posted = client.post("/v1/decisions", "application/json", body).await;
        tell_decided(&posted?)
    })
}

/// What the server would refuse is refused before it is asked.
fn body(request: &DecisionRequest) -> Result<String, Failure> {
    let body = serde_json::to_string(request).context("could not write the request")?;
    DecisionRequest::parse(body.as_bytes()).map_err(|error| Failure::Usage(anyhow!(error)))?;
    Ok(body)
}

fn tell_decided(answer: &Answer) -> Ended {
    if !answer.is_success() {
        let refused = anyhow!("it was refused: {}", answer.problem());
        return Err(Failure::Failed(refused));
    }
    let decided: Decided =
        serde_json::from_str(&answer.body).context("could not read the answer")?;
    if decided.ids.is_empty() {
        tell(&format!(
            "accepted as `{}`; it changed nothing, or is not decided yet",
            decided.cause
        ));
    }
    for id in &decided.ids {
        terminal::print(&format!("{id}\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step_up(flags: &[&str]) -> Result<StepUpArgs, clap::Error> {
        StepUpArgs::try_parse_from([&["step-up"], flags].concat())
    }

    #[test]
    fn flags_become_the_request_of_the_contract() {
        let flags = [
            "--user",
            "alice",
            "--session",
            "s-81",
            "--tenant",
            "acme",
            "--reason",
            "odd",
            "--for",
            "8h",
            "--max-age",
            "15m",
        ];
        let body = body(&step_up(&flags).unwrap().request());
        assert_eq!(
            body.unwrap(),
            r#"{"tenant":"acme","action":"step_up","target":{"user":"alice","session":"s-81"},"reason":"odd","requires":{"acr_values":["urn:caerus:acr:mfa","urn:caerus:acr:phr"],"max_age_s":900},"expires_in_s":28800}"#
        );
        let flags = [
            "restrict",
            "--device",
            "d",
            "--reason",
            "r",
            "--sensitivity-above",
            "2",
        ];
        let restrict = RestrictArgs::try_parse_from(flags).unwrap();
        assert_eq!(
            super::body(&restrict.request()).unwrap(),
            r#"{"action":"restrict","target":{"device":"d"},"reason":"r","restricts":{"sensitivity_above":2}}"#
        );
    }

    #[test]
    fn flags_that_name_nobody_are_refused() {
        for (flags, wanted) in [
            (vec!["--reason", "r"], "--user"),
            (vec!["--session", "s", "--reason", "r"], "--user"),
            (vec!["--user", "u"], "--reason"),
            (
                vec!["--user", "u", "--reason", "r", "--for", "32d"],
                "31 days",
            ),
            (vec!["--user", "u", "--reason", "r", "--for", "soon"], "15m"),
        ] {
            let error = step_up(&flags).unwrap_err().to_string();
            assert!(error.contains(wanted), "{flags:?}: {error}");
        }
    }

    #[test]
    fn what_the_server_would_refuse_is_wrong_usage() {
        let flags = ["--user", "", "--reason", "r"];
        let refused = body(&step_up(&flags).unwrap().request());
        let Err(Failure::Usage(error)) = refused else {
            panic!("{refused:?}");
        };
        assert!(error.to_string().contains("target.user"), "{error}");
    }

    #[test]
    fn a_refusal_fails_with_what_the_server_says() {
        let answer = Answer {
            status: 403,
            retry_after_s: None,
            body: r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"this needs the right `operate`"}"#.to_owned(),
        };
        let Err(Failure::Failed(error)) = tell_decided(&answer) else {
            panic!("it passed");
        };
        assert_eq!(
            error.to_string(),
            "it was refused: Forbidden (403): this needs the right `operate`"
        );
    }
}
