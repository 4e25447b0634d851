//! `caerus subscribe`: an enforcement point on the terminal. Knows no engine.

mod held;
mod screen;
mod talk;

use std::time::Duration;

use anyhow::anyhow;
use caerus_runtime::auth::first::ENFORCEMENT_POINT_FILE;
use caerus_runtime::config::Environment;
use caerus_runtime::secret::Secret;
use caerus_wire::stream::Filter;
use clap::Parser;
use tokio::time::Instant;

use self::held::Held;
use self::screen::Screen;
use self::talk::{Ending, Talk};
use crate::client::Connection;
use crate::exit::{Ended, Failure};
use crate::run;
use crate::terminal::Paint;

/// Between two attempts to connect: doubled after each, up to the greatest; a connection that lasted longer starts anew.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(15);

const AFTER_HELP: &str = "\
First comes what is in force, then each decision as it is made. On a terminal a last line says how old the picture is: \
every decision on what was taken in before that has been shown.

With --ack what was shown is acknowledged: receipts then say that it is in force here. Without it this only looks on; as \
Caerus lets no enforcement point go silent, it ends such a stream after a while, which is taken up where it stood.

When the connection breaks it is made again, for as long as it takes. Ctrl-C ends it, exit 0.";

#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Only this tenant; may be given again
    #[arg(long, value_name = "T")]
    tenant: Vec<String>,
    /// Only decisions for this app, and those for every app; may be given again
    #[arg(long, value_name = "A")]
    app: Vec<String>,
    /// Decisions as JSON Lines instead of text
    #[arg(long)]
    json: bool,
    /// Acknowledges what was shown
    #[arg(long)]
    ack: bool,
}

impl Args {
    fn filter(&self) -> Filter {
        Filter {
            tenants: self.tenant.iter().cloned().collect(),
            apps: self.app.iter().cloned().collect(),
        }
    }
}

pub(crate) fn run(args: &Args) -> Ended {
    let environment = Environment::of_process();
    let url = args.connection.url(&environment);
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Failure::Usage(anyhow!(
            "`{url}` is no URL of Caerus (expected http://… or https://…)"
        )));
    }
    let token = args
        .connection
        .token(&environment, ENFORCEMENT_POINT_FILE)?;
    let paint = (!args.json).then(|| Paint::of_stdout(&environment));
    let subscriber = Subscriber {
        url,
        token,
        filter: args.filter(),
        acknowledges: args.ack,
        cursor: None,
        held: Held::default(),
        screen: Screen::of_stdout(paint),
    };
    run::to_end(async move {
        tokio::select! {
            ended = subscriber.subscribe() => ended,
            // Whoever interrupts has seen enough.
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })
}

/// One subscription, over however many connections.
struct Subscriber {
    url: String,
    token: Secret,
    filter: Filter,
    acknowledges: bool,
    /// Up to here all was shown.
    cursor: Option<String>,
    held: Held,
    screen: Screen,
}

impl Subscriber {
    /// Ends when nobody reads any more, or when Caerus will not have it. *Errors*: also when the first connection fails.
    async fn subscribe(mut self) -> Ended {
        let mut wait = WAIT_FIRST;
        let mut was_connected = false;
        loop {
            let began = Instant::now();
            let ending = match Talk::open(&mut self).await {
                Ok(talk) => {
                    was_connected = true;
                    talk.run().await
                }
                Err(ending) => ending,
            };
            let lasted = began.elapsed();
            if lasted > WAIT_MAX {
                wait = WAIT_FIRST;
            }
            match ending {
                Ending::ReaderGone => return Ok(()),
                Ending::Refused(error) => return Err(Failure::Failed(error)),
                Ending::Lost(error) if !was_connected => return Err(Failure::Failed(error)),
                // Looking on without a word is ended by design, after a while; nothing was missed.
                Ending::Unacknowledged => {
                    tokio::time::sleep(WAIT_FIRST.saturating_sub(lasted)).await
                }
                Ending::Lost(error) => {
                    self.screen.lost(&error);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
