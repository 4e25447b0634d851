//! `caerus export`: the log as it was evaluated, partition by partition, as JSON Lines that `replay` reads. Knows no fold.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use caerus_adapters::sqlite::SqliteBus;
use caerus_engine::step::Input;
use caerus_engine::time::Timestamp;
use caerus_runtime::port::{Bus, ReadLimit, Topic};
use caerus_wire::entry::{Entry, ExportHead};
use clap::Parser;

use crate::exit::{Ended, Failure, tell};
use crate::run;

const LOG_FILE: &str = "log.db";
const READ_LIMIT: ReadLimit = ReadLimit {
    records: 4_096,
    bytes: 8 * 1024 * 1024,
};
const OUTPUT_BYTES: usize = 1 << 18;

const AFTER_HELP: &str = "\
The first line names the log and the number of its partitions; then comes every entry of the log: signals, wake-ups, \
climate, policy revisions, operators' commands, watermarks, claims. The partitions follow one another, each in its own \
order. `caerus replay` reads it and gives the decisions that were made, but for decided_at, received_at and trace.

A running Caerus may go on meanwhile: what it appends after the start of the export is left out.

With --from or --until, signals, commands, wake-ups and watermarks of other times are left out; entries without a time \
(climate, policies, claims) stay. What was learned before --from is then missing, so only an export that begins with the \
log replays exactly.

  caerus export --log ./caerus-data | zstd > log.zst && caerus replay log.zst";

#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The data directory of `caerus up`, or the log's file in it
    #[arg(long, value_name = "DIR", required_unless_present = "kafka")]
    log: Option<PathBuf>,
    /// Brokers of a log on Kafka; needs a build with the Kafka adapter
    #[arg(long, value_name = "BROKERS", conflicts_with = "log")]
    kafka: Option<String>,
    /// Leaves out what happened before this time (RFC 3339)
    #[arg(long, value_name = "T", value_parser = crate::cli::parse_time)]
    from: Option<Timestamp>,
    /// Leaves out what happened after this time (RFC 3339)
    #[arg(long, value_name = "T", value_parser = crate::cli::parse_time)]
    until: Option<Timestamp>,
}

pub(crate) fn run(args: &Args) -> Ended {
    let Some(log) = &args.log else {
        return Err(Failure::Usage(anyhow!(
            "the Kafka adapter is not built in; export a data directory with --log"
        )));
    };
    if let (Some(from), Some(until)) = (args.from, args.until)
        && from > until
    {
        return Err(Failure::Usage(anyhow!("--from lies after --until")));
    }
    let window = Window {
        from: args.from,
        until: args.until,
    };
    run::to_end(export(&log_file(log), window))
}

fn log_file(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join(LOG_FILE)
    } else {
        path.to_owned()
    }
}

async fn export(file: &Path, window: Window) -> Ended {
    let bus = SqliteBus::open_existing(file)
        .await
        .with_context(|| format!("could not read the log in `{}`", file.display()))?;
    let stdout = io::stdout().lock();
    let mut export = Export {
        bus: &bus,
        window,
        out: BufWriter::with_capacity(OUTPUT_BYTES, stdout),
        written: 0,
        left_out: 0,
    };
    let written = export.all().await;
    let (written, counts) = (written.and_then(|()| export.finish()), export.counts());
    bus.close().await;
    match written {
        Err(Stopped::Gone) => Ok(()),
        Err(Stopped::Failed(failure)) => Err(failure),
        Ok(()) => {
            tell(&counts);
            Ok(())
        }
    }
}

/// Which moments are asked for, both ends included.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Window {
    fn holds(self, entry: &Entry) -> bool {
        let Some(at) = time_of(entry) else {
            return true;
        };
        self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at <= until)
    }
}

fn time_of(entry: &Entry) -> Option<Timestamp> {
    match entry {
        Entry::Input { input, .. } => Some(match input {
            Input::Signal(signal) => signal.origin.time,
            Input::Command(command) => command.time,
            Input::WakeUp(wake_up) => wake_up.at,
        }),
        Entry::Watermark { at, .. } => Some(*at),
        Entry::Climate(_) | Entry::Policy(_) | Entry::Claim { .. } => None,
    }
}

/// Why there is no more to write.
enum Stopped {
    /// Nobody reads any more.
    Gone,
    Failed(Failure),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Gone;
        }
        let error = anyhow::Error::from(error).context("could not write to stdout");
        Self::Failed(Failure::Failed(error))
    }
}

impl From<caerus_runtime::port::PortError> for Stopped {
    fn from(error: caerus_runtime::port::PortError) -> Self {
        Self::Failed(Failure::Failed(error.into()))
    }
}

struct Export<'a, W: Write> {
    bus: &'a Arc<SqliteBus>,
    window: Window,
    out: W,
    written: u64,
    left_out: u64,
}

impl<W: Write> Export<'_, W> {
    async fn all(&mut self) -> Result<(), Stopped> {
        let head = ExportHead {
            log: self.bus.log_id().0,
            partitions: self.bus.partitions(),
        };
        writeln!(self.out, "{}", head.to_line())?;
        // The ends are taken first: a log that grows while it is read would never be done.
        let mut ends = Vec::new();
        for partition in 0..head.partitions {
            ends.push(self.bus.end(Topic::Signals, partition).await?);
        }
        for (partition, end) in (0..head.partitions).zip(ends) {
            self.partition(partition, end).await?;
        }
        Ok(())
    }

    async fn partition(&mut self, partition: u32, end: u64) -> Result<(), Stopped> {
        let mut next = self.bus.start(Topic::Signals, partition).await?;
        if next > 0 {
            tell(&format!(
                "partition {partition} begins at offset {next}, what came before is gone: its replay will not be exact"
            ));
        }
        while next < end {
            let read = self.bus.read(Topic::Signals, partition, next, READ_LIMIT);
            let batch = read.await?;
            for record in batch
                .records
                .iter()
                .take_while(|record| record.offset < end)
            {
                self.entry(partition, record.offset, &record.value)?;
            }
            if batch.next <= next {
                break;
            }
            next = batch.next;
        }
        Ok(())
    }

    fn entry(&mut self, partition: u32, offset: u64, value: &[u8]) -> Result<(), Stopped> {
        let entry = Entry::from_bytes(value)
            .with_context(|| format!("could not read offset {offset} of partition {partition}"))
            .map_err(|error| Stopped::Failed(Failure::BadInput(error)))?;
        if !self.window.holds(&entry) {
            self.left_out += 1;
            return Ok(());
        }
        writeln!(self.out, "{}", entry.to_export_line(partition, offset))?;
        self.written += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Stopped> {
        Ok(self.out.flush()?)
    }

    fn counts(&self) -> String {
        let (written, left_out) = (self.written, self.left_out);
        let partitions = self.bus.partitions();
        if left_out == 0 {
            return format!("{written} entries of {partitions} partitions");
        }
        format!("{written} entries of {partitions} partitions; {left_out} of other times left out")
    }
}

#[cfg(test)]
mod tests {
    use caerus_engine::climate::{ClimateChange, ClimateFinding};
    use caerus_engine::id::{SubjectHash, TenantId};
    use caerus_engine::step::{WakeReason, WakeUp};
    use caerus_runtime::port::NewRecord;
    use caerus_wire::entry::ExportLine;

    use super::*;

    fn wake(at: i64) -> Entry {
        Entry::Input {
            input: Input::WakeUp(WakeUp {
                subject: SubjectHash(7),
                at: Timestamp(at),
                reason: WakeReason::Due,
            }),
            extra: None,
        }
    }

    fn claim() -> Entry {
        Entry::Claim {
            owner: "me".to_owned(),
        }
    }

    async fn exported(bus: &Arc<SqliteBus>, window: Window) -> Vec<ExportLine> {
        let mut export = Export {
            bus,
            window,
            out: Vec::new(),
            written: 0,
            left_out: 0,
        };
        assert!(export.all().await.is_ok());
        let text = String::from_utf8(export.out).unwrap();
        text.lines()
            .map(|line| ExportLine::parse(line).unwrap())
            .collect()
    }

    async fn log(dir: &Path, entries: &[(u32, Entry)]) -> Arc<SqliteBus> {
        let bus = SqliteBus::open(dir.join(LOG_FILE), 2).await.unwrap();
        let records = entries.iter().map(|(partition, entry)| NewRecord {
            topic: Topic::Signals,
            partition: *partition,
            key: Vec::new(),
            value: entry.to_bytes().into(),
        });
        bus.append(records.collect()).await.unwrap();
        bus
    }

    #[tokio::test]
    async fn every_entry_is_written_in_its_partitions_order_after_the_head() {
        let dir = tempfile::tempdir().unwrap();
        let entries = [(1, wake(5)), (0, claim()), (1, wake(3)), (0, wake(9))];
        let bus = log(dir.path(), &entries).await;
        let line = |partition, offset, entry| ExportLine::Entry {
            partition,
            offset,
            entry: Box::new(entry),
        };
        assert_eq!(
            exported(&bus, Window::default()).await,
            [
                ExportLine::Head(ExportHead {
                    log: bus.log_id().0,
                    partitions: 2
                }),
                line(0, 0, claim()),
                line(0, 1, wake(9)),
                line(1, 0, wake(5)),
                line(1, 1, wake(3)),
            ]
        );
    }

    #[tokio::test]
    async fn a_window_keeps_both_its_ends_and_whatever_has_no_time() {
        let dir = tempfile::tempdir().unwrap();
        let entries = [
            (0, claim()),
            (0, wake(4)),
            (0, wake(5)),
            (0, wake(9)),
            (0, wake(10)),
        ];
        let bus = log(dir.path(), &entries).await;
        let window = Window {
            from: Some(Timestamp(5)),
            until: Some(Timestamp(9)),
        };
        let offsets: Vec<u64> = exported(&bus, window)
            .await
            .iter()
            .filter_map(|line| match line {
                ExportLine::Head(_) => None,
                ExportLine::Entry { offset, .. } => Some(*offset),
            })
            .collect();
        assert_eq!(offsets, [0, 2, 3]);
    }

    #[test]
    fn climate_has_no_time() {
        let change = ClimateChange {
            tenant: TenantId::new("acme"),
            what: ClimateFinding::Surge {
                shard: 0,
                surge: None,
            },
        };
        assert_eq!(time_of(&Entry::Climate(change)), None);
    }
}
