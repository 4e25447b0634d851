//! `caerus token …`: credentials made, listed and revoked. The secret is shown once, on stdout alone.

use std::collections::BTreeSet;

use anyhow::Context as _;
use caerus_runtime::auth::Right;
use caerus_runtime::auth::first::ADMIN_FILE;
use caerus_runtime::config::Environment;
use caerus_wire::moment;
use clap::{Parser, Subcommand};
use serde::{Deserialize, Serialize};

use crate::client::{Client, Connection};
use crate::exit::{Ended, Failure, tell};
use crate::terminal::{self, Layout};
use crate::{ask, duration, run, show};

const AFTER_HELP: &str = "\
The token itself goes to stdout, once; Caerus keeps its hash alone. Keep it in a file that only its user reads:

  (umask 077; caerus token create --name nginx-7 --tenant acme --right stream --expires 90d > nginx-7.token)

Rights: events (post events), feedback (post feedback), stream (be an enforcement point), read (decisions, subjects, \
sessions), operate (decide by hand), admin (credentials, audit). None implies another.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a credential and shows it, once
    Create(CreateArgs),
    /// Lists credentials, never their secrets
    List(ListArgs),
    /// Revokes a credential: from then on it opens nothing
    Revoke(RevokeArgs),
}

#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    connection: Connection,
    /// Who will use it: receipts and the audit say this name
    #[arg(long, value_name = "N")]
    name: String,
    /// A tenant it is for; may be given again. Without any: every tenant
    #[arg(long, value_name = "T")]
    tenant: Vec<String>,
    /// What it may do; may be given again
    #[arg(long, value_name = "R", required = true, value_parser = parse_right)]
    right: Vec<Right>,
    /// How long it lives, e.g. 90d; without it, until it is revoked
    #[arg(long, value_name = "DURATION", value_parser = parse_life)]
    expires: Option<u32>,
}

#[derive(Debug, Parser)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    connection: Connection,
    /// JSON Lines instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Parser)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    connection: Connection,
    /// The credential's id, as `token list` shows it: the first part of the token after `caerus_`
    #[arg(value_name = "ID")]
    id: String,
}

fn parse_right(text: &str) -> Result<Right, String> {
    let known = Right::ALL.map(Right::name).join(", ");
    Right::parse(text).ok_or_else(|| format!("expected one of {known}"))
}

fn parse_life(text: &str) -> Result<u32, String> {
    let seconds = duration::parse(text)?.as_seconds();
    u32::try_from(seconds).map_err(|error| error.to_string())
}

/// `POST /v1/tokens`.
#[derive(Debug, Serialize)]
struct Wanted<'a> {
    name: &'a str,
    tenants: BTreeSet<&'a str>,
    rights: BTreeSet<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_s: Option<u32>,
}

/// A credential as it is told.
#[derive(Debug, Serialize, Deserialize)]
struct TokenView {
    id: String,
    #[serde(skip_serializing)]
    token: Option<String>,
    name: String,
    tenants: Vec<String>,
    rights: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
}

pub(crate) fn run(command: &Command) -> Ended {
    let environment = Environment::of_process();
    let connection = match command {
        Command::Create(args) => &args.connection,
        Command::List(args) => &args.connection,
        Command::Revoke(args) => &args.connection,
    };
    let client = connection.client(&environment, ADMIN_FILE)?;
    run::to_end(async move {
        match command {
            Command::Create(args) => create(&client, args).await,
            Command::List(args) => list(&client, args).await,
            Command::Revoke(args) => revoke(&client, &args.id).await,
        }
    })
}

impl CreateArgs {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            name: &self.name,
            tenants: self.tenant.iter().map(String::as_str).collect(),
            rights: self.right.iter().map(|right| right.name()).collect(),
            expires_in_s: self.expires,
        }
    }
}

async fn create(client: &Client, args: &CreateArgs) -> Ended {
    let body = serde_json::to_string(&args.wanted()).context("could not write the request")?;
    let posted = client.post("/v1/tokens", "application/json", body).await?;
    let made: TokenView = ask::read(&ask::accepted(posted)?)?;
    let token = made.token.as_deref();
    let token = token.context("the answer holds no token")?;
    terminal::print(&format!("{token}\n"))?;
    let until = made.expires_at.as_deref();
    tell(&format!(
        "credential `{}` for {}, {}, may {}, {}; it will not be shown again",
        made.id,
        made.name,
        tenants(&made.tenants),
        made.rights.join(", "),
        until.map_or_else(
            || "until revoked".to_owned(),
            |until| format!("until {until}")
        )
    ));
    Ok(())
}

async fn list(client: &Client, args: &ListArgs) -> Ended {
    let mut tokens: Vec<TokenView> = ask::list(client, "/v1/tokens", &[]).await?;
    if args.json {
        for token in &tokens {
            let line = serde_json::to_string(token).context("could not write JSON")?;
            terminal::print(&format!("{line}\n"))?;
        }
        return Ok(());
    }
    let header = ["ID", "NAME", "TENANTS", "RIGHTS", "CREATED", "ENDS"];
    tokens.sort_by(|a, b| a.created_at.cmp(&b.created_at));
    let rows = tokens.iter().map(row).collect();
    terminal::print(&terminal::table(&header, rows, Layout::of_stdout()))
}

async fn revoke(client: &Client, id: &str) -> Result<(), Failure> {
    let path = format!("/v1/tokens/{}", ask::encoded(id));
    ask::accepted(client.delete(&path).await?)?;
    tell(&format!("credential `{id}` is revoked"));
    Ok(())
}

fn tenants(names: &[String]) -> String {
    if names.is_empty() {
        return "every tenant".to_owned();
    }
    names.join(", ")
}

/// A text that is no moment is shown as it is.
fn to_second(text: &str) -> String {
    moment::parse(text).map_or_else(|| text.to_owned(), show::moment)
}

fn row(token: &TokenView) -> Vec<String> {
    let ends = match (&token.revoked_at, &token.expires_at) {
        (Some(revoked), _) => format!("revoked {}", to_second(revoked)),
        (None, Some(expires)) => to_second(expires),
        (None, None) => "never".to_owned(),
    };
    vec![
        token.id.clone(),
        token.name.clone(),
        tenants(&token.tenants),
        token.rights.join(", "),
        to_second(&token.created_at),
        ends,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_the_request() {
        let flags = [
            "create",
            "--name",
            "nginx-7",
            "--tenant",
            "acme",
            "--right",
            "stream",
            "--right",
            "events",
            "--expires",
            "90d",
        ];
        let args = CreateArgs::try_parse_from(flags).unwrap();
        assert_eq!(
            serde_json::to_string(&args.wanted()).unwrap(),
            r#"{"name":"nginx-7","tenants":["acme"],"rights":["events","stream"],"expires_in_s":7776000}"#
        );
    }

    #[test]
    fn a_right_that_does_not_exist_is_refused_with_those_that_do() {
        let flags = ["create", "--name", "n", "--right", "root"];
        let error = CreateArgs::try_parse_from(flags).unwrap_err().to_string();
        assert!(
            error.contains("expected one of events, feedback, stream, read, operate, admin"),
            "{error}"
        );
    }

    fn view(expires_at: Option<&str>, revoked_at: Option<&str>) -> TokenView {
        TokenView {
            id: "1f".to_owned(),
            token: Some("caerus_1f_secret".to_owned()),
            name: "edge".to_owned(),
            tenants: Vec::new(),
            rights: vec!["stream".to_owned()],
            created_at: "2026-11-21T10:00:05.120Z".to_owned(),
            expires_at: expires_at.map(str::to_owned),
            revoked_at: revoked_at.map(str::to_owned),
        }
    }

    #[test]
    fn a_listed_credential_says_how_it_ends_and_never_its_secret() {
        for (token, ends) in [
            (view(None, None), "never"),
            (view(Some("soon"), None), "soon"),
            (view(Some("soon"), Some("now")), "revoked now"),
        ] {
            let row = row(&token);
            assert_eq!(row.last().unwrap(), ends);
            assert_eq!(
                (row[2].as_str(), row[4].as_str()),
                ("every tenant", "2026-11-21 10:00:05Z")
            );
            assert!(!serde_json::to_string(&token).unwrap().contains("secret"));
        }
    }
}
