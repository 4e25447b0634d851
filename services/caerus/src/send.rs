//! `caerus send`: events of files, in order, to a running Caerus. Knows nothing of what an event says.

mod batch;
mod post;
mod progress;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use caerus_runtime::auth::first::PRODUCER_FILE;
use caerus_runtime::config::Environment;
use clap::Parser;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::batch::{Batch, Batches, Place, ReadLine};
use self::post::Poster;
use self::progress::Progress;
use crate::client::{Client, Connection};
use crate::exit::{BAD_INPUT, Ended, Failure, tell};
use crate::formats::Format;
use crate::input::{LINE_BYTES_MAX, Lines, Next, Taken, check_exist};
use crate::terminal::Reader;
use crate::{ask, run, terminal};

/// Lines read ahead of the sending.
const LINES_WAITING_MAX: usize = 4_096;
/// Rejected events that are told one by one; the rest is counted.
const REJECTED_TOLD: u64 = 100;
const RATE_MAX: i64 = 1_000_000;

const AFTER_HELP: &str = "\
Events go in the order of the files, in batches; what Caerus says it accepted is durable. Where it is busy (429, 503) the \
batch is sent again, as late as it asks for and a bounded number of times. Sending the same events again is harmless: an \
id seen before changes nothing.

What is rejected is told on stderr with file and line, makes the exit 65, and is not kept by Caerus. With --dead-letters \
it goes to stdout as JSON Lines, to be mended and sent again:

  {\"at\":\"events.jsonl:17\",\"error\":\"member `user` is missing; …\",\"event\":\"{…the line as it was…}\"}

  caerus send --backfill history.jsonl.zst && tail -f events.jsonl | caerus send -";

#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Events as JSON Lines, plain, gzip or zstd, read one after the other; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The form of the events; `caerus formats` lists them
    #[arg(long, value_name = "F", default_value = "native")]
    format: Format,
    /// Where to: http://… or https://…, as --url; kafka://… needs a build with that adapter
    #[arg(long, value_name = "URL", conflicts_with = "url", value_parser = parse_to)]
    to: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// Events a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    rate: Option<u32>,
    /// Tells history: it is learned, and nothing is decided on it
    #[arg(long)]
    backfill: bool,
    /// Writes rejected events with their reasons to stdout
    #[arg(long)]
    dead_letters: bool,
}

fn parse_to(text: &str) -> Result<String, String> {
    if text.starts_with("kafka://") {
        return Err("the Kafka adapter is not built in; send to http://…".to_owned());
    }
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err("expected http://… or https://…".to_owned());
    }
    let base = text.trim_end_matches('/');
    Ok(base.trim_end_matches("/v1/events").to_owned())
}

impl Args {
    fn client(&self, environment: &Environment) -> anyhow::Result<Client> {
        match &self.to {
            Some(url) => Client::new(url, self.connection.token(environment, PRODUCER_FILE)?),
            None => self.connection.client(environment, PRODUCER_FILE),
        }
    }

    fn path(&self) -> String {
        let backfill = self.backfill.then_some("true");
        let query = [("format", Some(self.format.name())), ("backfill", backfill)];
        ask::path("/v1/events", &query)
    }

    /// What the files hold as they lie there; `None` where one is no plain file.
    fn total_bytes(&self) -> Option<u64> {
        let mut total = 0_u64;
        for file in &self.files {
            let metadata = std::fs::metadata(file)
                .ok()
                .filter(|_| file.as_os_str() != "-")?;
            total = total.saturating_add(metadata.is_file().then_some(metadata.len())?);
        }
        Some(total)
    }
}

pub(crate) fn run(args: &Args) -> Ended {
    check_exist(&args.files)?;
    let client = args.client(&Environment::of_process())?;
    run::to_end(async move {
        let taken = Taken::default();
        let (lines, received) = mpsc::channel(LINES_WAITING_MAX);
        let files = args.files.clone();
        let counting = taken.clone();
        // Never joined: a read of stdin may wait for ever, and the channel tells all that is to be known.
        drop(tokio::task::spawn_blocking(move || {
            read_files(&files, &counting, &lines);
        }));
        let mut sending = Sending {
            batches: Batches::new(received, args.rate),
            poster: Poster::new(client, args.path()),
            pace: Pace::new(args.rate),
            progress: Progress::new(args.total_bytes()),
            keeps_letters: args.dead_letters,
            counts: Counts::default(),
        };
        let sent = sending.all().await;
        sending.end(sent)
    })
}

/// Reads on the side, so that a file that comes slowly holds up nothing. Ends when nobody listens any more.
fn read_files(files: &[PathBuf], taken: &Taken, lines: &mpsc::Sender<anyhow::Result<ReadLine>>) {
    for file in files {
        if let Err(error) = read_file(file, taken, lines) {
            // A closed channel means that the sending has ended with its own error.
            drop(lines.blocking_send(Err(error)));
            return;
        }
    }
}

fn read_file(
    file: &std::path::Path,
    taken: &Taken,
    lines: &mpsc::Sender<anyhow::Result<ReadLine>>,
) -> anyhow::Result<()> {
    let mut source = Lines::open_counted(file, taken.clone())?;
    loop {
        let line = match source.next_line()? {
            None => return Ok(()),
            Some(Next::Line(line)) => Some(line.to_vec()),
            Some(Next::TooLong) => None,
        };
        let read = ReadLine {
            place: Place(source.place()),
            line,
            taken_bytes: taken.bytes(),
        };
        if lines.blocking_send(Ok(read)).is_err() {
            return Ok(());
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    accepted: u64,
    rejected: u64,
}

struct Sending {
    batches: Batches,
    poster: Poster,
    pace: Pace,
    progress: Progress,
    keeps_letters: bool,
    counts: Counts,
}

impl Sending {
    async fn all(&mut self) -> Ended {
        while let Some(batch) = self.batches.next().await? {
            for place in &batch.too_long {
                let error = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                self.reject(place, &error, None)?;
            }
            if batch.is_posted() {
                self.pace.wait().await;
                self.post(&batch).await?;
            }
            self.progress.sent(
                batch.taken_bytes,
                self.counts.accepted,
                self.counts.rejected,
            );
        }
        Ok(())
    }

    async fn post(&mut self, batch: &Batch) -> Ended {
        let progress = &self.progress;
        let busy = |said: &str| progress.say(said);
        let answer = self.poster.post(&batch.body, &busy).await?;
        self.pace.count(batch.len());
        self.counts.accepted = self.counts.accepted.saturating_add(answer.accepted);
        for rejected in &answer.rejected {
            let (place, line) = batch
                .at(rejected.index)
                .context("the answer rejects an event that was not sent")?;
            self.reject(place, &rejected.error, Some(line))?;
        }
        Ok(())
    }

    fn reject(&mut self, place: &Place, error: &str, line: Option<&[u8]>) -> Ended {
        self.counts.rejected += 1;
        if self.counts.rejected <= REJECTED_TOLD {
            let told = format!("{}: {}", place.0, terminal::printable(error));
            self.progress.beside(|| tell(&told));
        }
        if !self.keeps_letters {
            return Ok(());
        }
        let letter = DeadLetter {
            at: &place.0,
            error,
            event: line.map(String::from_utf8_lossy),
        };
        let letter = serde_json::to_string(&letter).context("could not write JSON")?;
        let written = self
            .progress
            .beside(|| terminal::write_out(&format!("{letter}\n")));
        if written? == Reader::Gone {
            self.keeps_letters = false;
        }
        Ok(())
    }

    /// Says what came of it, also where it ended early.
    fn end(self, sent: Ended) -> Ended {
        let Counts { accepted, rejected } = self.counts;
        let took = self.progress.finish().as_secs_f64();
        tell(&format!(
            "{accepted} events accepted, {rejected} rejected, in {took:.1} s"
        ));
        if rejected > REJECTED_TOLD {
            let untold = rejected - REJECTED_TOLD;
            tell(&format!(
                "{untold} of the rejected were not told one by one"
            ));
        }
        sent?;
        if rejected > 0 {
            return Err(Failure::Told(BAD_INPUT));
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct DeadLetter<'a> {
    at: &'a str,
    error: &'a str,
    /// The line as it was; `null` where it was too long to be kept.
    event: Option<std::borrow::Cow<'a, str>>,
}

/// No more than so many events a second, counted from the start.
#[derive(Debug)]
struct Pace {
    began: Instant,
    per_second: Option<u32>,
    sent: u64,
}

impl Pace {
    fn new(per_second: Option<u32>) -> Self {
        Self {
            began: Instant::now(),
            per_second,
            sent: 0,
        }
    }

    fn count(&mut self, events: usize) {
        self.sent = self
            .sent
            .saturating_add(u64::try_from(events).unwrap_or(u64::MAX));
    }

    async fn wait(&self) {
        let Some(per_second) = self.per_second else {
            return;
        };
        let due_ms = self.sent.saturating_mul(1_000) / u64::from(per_second.max(1));
        tokio::time::sleep_until(self.began + Duration::from_millis(due_ms)).await;
    }
}

#[cfg(test)]
mod tests;
