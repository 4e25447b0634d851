//! `--demo`: posts a simulated organisation's events and prints what is decided, as any producer and subscriber would.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::auth::{Grant, Right, Tenants, Token};
use caerus_runtime::config::Environment;
use caerus_runtime::port::{Clock, Ledger};
use caerus_runtime::secret::Secret;
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::TaskGroup;
use caerus_scenario::Demo;
use caerus_wire::event::NativeEvent;
use caerus_wire::stream::{ClientFrame, Filter, ServerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{self, Client};
use crate::exit::tell;
use crate::show;
use crate::terminal::Paint;

/// The demo's credential ends by itself.
const TOKEN_LIFE: Span = Span::days(1);
/// Where the moment is kept at which the history ended, so that a second start does not tell it again.
const BEGUN_FILE: &str = "demo.begun";
const SEED: u64 = 20_261_121;
const TENANT: &str = "default";
/// Events of history in one request.
const HISTORY_CHUNK: usize = 500;

/// Where the demo plays, and its credential.
pub(super) struct Stage {
    pub(super) url: String,
    pub(super) token: Secret,
}

/// A credential with the rights of a producer that may tell history, and of an enforcement point.
pub(super) async fn token(ledger: &dyn Ledger, clock: &dyn Clock) -> anyhow::Result<Secret> {
    let token = Token::draw().context("could not make the demo's token")?;
    let grant = Grant {
        name: "demo".to_owned(),
        tenants: Tenants::All,
        rights: [Right::Events, Right::Operate, Right::Stream].into(),
        expires_at: Some(clock.now() + TOKEN_LIFE),
    };
    ledger
        .put_token(&token.stored(&grant, clock.now()))
        .await
        .context("could not register the demo's token")?;
    Ok(token.reveal())
}

pub(super) fn start(
    tasks: &mut TaskGroup,
    dir: &Path,
    clock: Arc<dyn Clock>,
    stage: Stage,
) -> anyhow::Result<()> {
    let paint = Paint::of_stderr(&Environment::of_process());
    let file = dir.join(BEGUN_FILE);
    let begun = std::fs::read_to_string(&file)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let start = begun.map_or_else(|| clock.now(), Timestamp);
    let producer = Producer {
        client: Client::new(&stage.url, stage.token.clone())?,
        script: Demo::new(SEED, start, TENANT),
        history_file: begun.is_none().then_some((file, start)),
        clock,
    };
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("demo subscriber", subscribe(stage, paint, shutdown.clone()));
    tasks.spawn("demo producer", producer.run(shutdown));
    Ok(())
}

struct Producer {
    client: Client,
    script: Demo,
    /// Where to note that the history was told, and when it ended.
    history_file: Option<(std::path::PathBuf, Timestamp)>,
    clock: Arc<dyn Clock>,
}

impl Producer {
    async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        if let Some((file, start)) = &self.history_file {
            tell("demo: telling 30 days of an organisation's history …");
            let told = shutdown.unless_begun(self.tell_history()).await;
            let Some(count) = told.transpose()? else {
                return Ok(());
            };
            tell(&format!(
                "demo: {count} events of history learned; now live, with attackers"
            ));
            tokio::fs::write(file, start.0.to_string())
                .await
                .with_context(|| format!("could not write `{}`", file.display()))?;
        }
        for cue in self.script.live(self.clock.now()) {
            if shutdown
                .unless_begun(tokio::time::sleep(cue.delay))
                .await
                .is_none()
            {
                return Ok(());
            }
            let sent = shutdown
                .unless_begun(self.send(&[cue.event], "/v1/events"))
                .await;
            if sent.transpose()?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn tell_history(&self) -> anyhow::Result<usize> {
        let mut count = 0;
        let mut chunk = Vec::with_capacity(HISTORY_CHUNK);
        for event in self.script.history() {
            count += 1;
            chunk.push(event);
            if chunk.len() == HISTORY_CHUNK {
                self.send(&chunk, "/v1/events?backfill=true").await?;
                chunk.clear();
            }
        }
        if !chunk.is_empty() {
            self.send(&chunk, "/v1/events?backfill=true").await?;
        }
        Ok(count)
    }

    async fn send(&self, events: &[NativeEvent], path: &str) -> anyhow::Result<()> {
        let lines: Vec<String> = events.iter().map(NativeEvent::to_json).collect();
        let answer = self
            .client
            .post(path, "application/x-ndjson", lines.join("\n"))
            .await?;
        if !answer.is_success() {
            bail!("the demo's events were refused: {}", answer.problem());
        }
        Ok(())
    }
}

async fn subscribe(stage: Stage, paint: Paint, shutdown: Shutdown) -> anyhow::Result<()> {
    let Some(connected) = shutdown
        .unless_begun(client::open_stream(&stage.url, &stage.token))
        .await
    else {
        return Ok(());
    };
    let mut stream = connected?;
    let hello = ClientFrame::Hello {
        client: "demo".to_owned(),
        cursor: None,
        filter: Filter::default(),
    };
    let hello = hello.to_json();
    stream
        .send(Message::text(hello))
        .await
        .context("could not say hello")?;
    while let Some(Some(message)) = shutdown.unless_begun(stream.next()).await {
        let Message::Text(text) = message.context("could not read the stream")? else {
            continue;
        };
        let frame = ServerFrame::parse(&text).context("could not read a frame")?;
        let cursor = match frame {
            ServerFrame::Decision { cursor, decision } => {
                tell(&show::line(&decision, paint));
                Some(cursor)
            }
            ServerFrame::Snapshot { cursor, .. } => cursor,
            _ => None,
        };
        if let Some(cursor) = cursor {
            let ack = ClientFrame::Ack { cursor }.to_json();
            stream
                .send(Message::text(ack))
                .await
                .context("could not acknowledge")?;
        }
    }
    Ok(())
}
