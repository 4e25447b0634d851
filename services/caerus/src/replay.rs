//! `caerus replay`: files in, decisions out. No clock, no network; the same input gives the same bytes.

use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use caerus_adapters::geo::GeoDatabases;
use caerus_engine::id::{PrincipalId, SourceId};
use caerus_engine::score::Model;
use caerus_engine::signal::Place;
use caerus_engine::time::Timestamp;
use caerus_evaluator::fold::policies::Policies;
use caerus_evaluator::fold::{PolicyNews, Settings};
use caerus_evaluator::replay::{Counts, ExportReplay, Line, RawReplay};
use caerus_ingest::age;
use caerus_ingest::normalise::{Receipt, normalise, tenant_of};
use caerus_ingest::sighting::Sightings;
use caerus_runtime::port::Geo as _;
use caerus_wire::decision::PublicDecision;
use caerus_wire::entry::ExportLine;
use caerus_wire::event::NativeEvent;
use caerus_wire::score_line;
use clap::Parser;

use crate::exit::{BAD_INPUT, Ended, Failure, tell};
use crate::input::{Lines, Next, check_exist};
use crate::policy_command;

/// Problems of input lines that are told one by one; the rest is counted.
const PROBLEMS_TOLD: u64 = 100;
/// What an event's source is called where it names none.
const SOURCE: &str = "replay";
const OUTPUT_BYTES: usize = 1 << 18;

#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// JSON Lines, plain, gzip or zstd, read one after the other; `-` is stdin. Also what `caerus export` wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The form of the events
    #[arg(long, default_value = "native", value_parser = ["native"])]
    format: String,
    /// A directory with `*.cedar` policies, instead of the default set
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// One `score` line for every event, before the decisions it causes
    #[arg(long)]
    scores: bool,
    /// Reads no event after this time (RFC 3339), and lets time pass up to it at the end
    #[arg(long, value_name = "T", value_parser = crate::cli::parse_time)]
    until: Option<Timestamp>,
    /// Partitions of the log that raw events are spread over; an export keeps its own
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    partitions: u32,
    /// An MMDB database to look addresses up in, where events have no `geo`; may be given again
    #[arg(long, value_name = "FILE")]
    geo: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Ended {
    check_exist(&args.files)?;
    let policies = Policies::cedar();
    let revision = policy_command::revision(args.policies.as_deref())?;
    let policy = policies
        .load(&revision)
        .map_err(|problem| Failure::BadConfig(anyhow!(problem)))?;
    let settings = Settings {
        partitions: args.partitions,
        model: Arc::new(Model::default()),
        policies,
    };
    let geo = open_geo(&args.geo)?;
    let mut replay = Replay {
        args,
        raw: RawReplay::new(&settings, &policy),
        export: ExportReplay::new(settings, policy),
        kind: Kind::Unknown,
        geo,
        sightings: Sightings::default(),
        greatest: None,
        events: 0,
        problems: 0,
    };
    let stdout = std::io::stdout().lock();
    let mut out = Output {
        writer: BufWriter::with_capacity(OUTPUT_BYTES, stdout),
        failed: None,
    };
    let read = replay.files(&mut out);
    let written = out.finish();
    read?;
    written.context("could not write to stdout")?;
    replay.summary()
}

fn open_geo(paths: &[PathBuf]) -> Result<Option<GeoDatabases>, Failure> {
    if paths.is_empty() {
        return Ok(None);
    }
    let opened = GeoDatabases::open(paths).context("could not use the geo databases");
    opened.map(Some).map_err(Failure::BadConfig)
}

/// What the input turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unknown,
    Raw,
    Export,
}

struct Replay<'a> {
    args: &'a Args,
    raw: RawReplay,
    export: ExportReplay,
    kind: Kind,
    geo: Option<GeoDatabases>,
    sightings: Sightings,
    greatest: Option<Timestamp>,
    events: u64,
    problems: u64,
}

impl Replay<'_> {
    fn files(&mut self, out: &mut Output<impl Write>) -> Ended {
        for path in &self.args.files {
            let mut lines = Lines::open(path)?;
            loop {
                let problem = match lines.next_line()? {
                    None => break,
                    Some(Next::Line(line)) => self.line(line, out)?,
                    Some(Next::TooLong) => Some("the line is too long".to_owned()),
                };
                if let Some(problem) = problem {
                    self.tell_problem(&lines.place(), &problem);
                }
                if out.failed.is_some() {
                    return Ok(());
                }
            }
        }
        if let (Kind::Raw, Some(until)) = (self.kind, self.args.until) {
            let scores = self.args.scores;
            self.raw
                .wake_until(until, &mut |line| out.say(&line, scores));
        }
        Ok(())
    }

    /// *Returns*: what is wrong with the line. *Errors*: what makes going on senseless.
    fn line(
        &mut self,
        line: &[u8],
        out: &mut Output<impl Write>,
    ) -> Result<Option<String>, Failure> {
        let kind = if ExportLine::is_export_line(line) {
            Kind::Export
        } else {
            Kind::Raw
        };
        if self.kind != Kind::Unknown && self.kind != kind {
            let mixed = anyhow!("raw events and an export cannot be replayed together");
            return Err(Failure::BadInput(mixed));
        }
        self.kind = kind;
        match kind {
            Kind::Export => Ok(self.export_line(line, out)),
            Kind::Raw | Kind::Unknown => Ok(self.event(line, out)),
        }
    }

    fn export_line(&mut self, line: &[u8], out: &mut Output<impl Write>) -> Option<String> {
        let Ok(text) = core::str::from_utf8(line) else {
            return Some("the line is not UTF-8".to_owned());
        };
        match ExportLine::parse(text) {
            Ok(ExportLine::Head(_)) => None,
            Ok(ExportLine::Entry {
                partition, entry, ..
            }) => {
                let scores = self.args.scores;
                self.export
                    .entry(partition, &entry, &mut |line| out.say(&line, scores));
                None
            }
            Err(error) => Some(chain(&error)),
        }
    }

    fn event(&mut self, line: &[u8], out: &mut Output<impl Write>) -> Option<String> {
        let event = match NativeEvent::parse(line) {
            Ok(event) => event,
            Err(error) => return Some(chain(&error)),
        };
        if self.args.until.is_some_and(|until| event.time > until) {
            return None;
        }
        let receipt = Receipt {
            tenant: tenant_of(&event),
            source: SourceId::new(SOURCE),
            by: PrincipalId::new(event.by.as_deref().unwrap_or(SOURCE)),
            received_at: event.time,
            handling: age::replayed(event.time, self.greatest),
            body: event.body_hash(),
            position: None,
            trace: None,
        };
        self.greatest = self.greatest.max(Some(event.time));
        let geo = self.geo.as_ref();
        let locate = |address: IpAddr| geo.map_or_else(Place::default, |geo| geo.locate(address));
        match normalise(&event, &receipt, &locate, &mut self.sightings) {
            Ok(normalised) => {
                self.events += 1;
                let scores = self.args.scores;
                self.raw
                    .event(normalised.signals, &mut |line| out.say(&line, scores));
                None
            }
            Err(error) => Some(chain(&error)),
        }
    }

    fn tell_problem(&mut self, place: &str, problem: &str) {
        self.problems += 1;
        if self.problems <= PROBLEMS_TOLD {
            tell(&format!("{place}: {problem}"));
        }
    }

    fn summary(&self) -> Ended {
        let counts: Counts = if self.kind == Kind::Export {
            self.export.counts()
        } else {
            self.raw.counts()
        };
        let Counts {
            scored,
            ignored,
            decisions,
            wake_ups,
            breaches,
            ..
        } = counts;
        let events = if self.kind == Kind::Export {
            scored + ignored
        } else {
            self.events
        };
        let subjects: usize = match self.kind {
            Kind::Export => self.export.memories().map(|(_, m)| m.records().len()).sum(),
            Kind::Raw | Kind::Unknown => self.raw.memories().map(|m| m.records().len()).sum(),
        };
        tell(&format!(
            "{events} events, {ignored} ignored, {subjects} subjects, {wake_ups} wake-ups, {decisions} decisions"
        ));
        if breaches > 0 {
            return Err(Failure::Failed(anyhow!(
                "{breaches} invariants were broken"
            )));
        }
        if self.problems > 0 {
            tell(&format!("{} lines could not be read", self.problems));
            return Err(Failure::Told(BAD_INPUT));
        }
        Ok(())
    }
}

/// An error with its causes, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

struct Output<W: Write> {
    writer: BufWriter<W>,
    failed: Option<std::io::Error>,
}

impl<W: Write> Output<W> {
    fn say(&mut self, line: &Line<'_>, scores: bool) {
        let text = match line {
            Line::Score { line, .. } if scores => score_line::to_json(line),
            Line::Score { .. } => return,
            Line::Decision(decision) => PublicDecision::from_engine(decision, None)
                .without_live_members()
                .to_json(),
            Line::Policy(PolicyNews::InForce { .. }) => return,
            Line::Policy(PolicyNews::Refused {
                revision,
                kept,
                problem,
            }) => {
                tell(&format!(
                    "policy revision {revision} was refused, {kept} stays: {problem}"
                ));
                return;
            }
        };
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = writeln!(self.writer, "{text}") {
            self.failed = Some(error);
        }
    }

    /// A reader that has gone (`| head`) is no failure.
    fn finish(mut self) -> std::io::Result<()> {
        let ended = self.failed.take().map_or_else(|| self.writer.flush(), Err);
        match ended {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            ended => ended,
        }
    }
}
